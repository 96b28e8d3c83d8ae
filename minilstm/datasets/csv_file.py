"""A table of cells, as a .csv file has it, into sequences and labels; `read` says which kinds there are.

What a column is for is told by its name or by the caller; a column that only numbers the rows is left out.
Rows that are the steps of sequences are the business of `grouped`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from minilstm.datasets.bad_rows import BadRows
from minilstm.datasets.columns import (
    LEADING_ZERO,
    TEXTS,
    Found,
    Names,
    as_number,
    booleans_as_numbers,
    by_of,
    check_named,
    check_no_comma,
    doubtful_points,
    kept,
    label_of,
    pick,
    some,
    to_number,
    unused,
    with_points,
)
from minilstm.datasets.csv_rows import rows_of
from minilstm.datasets.exact import EXACT
from minilstm.datasets.grouped import group_rows
from minilstm.datasets.identifiers import measured, named_as_labels
from minilstm.datasets.spelling import say_none
from minilstm.datasets.step_names import doubtful_steps
from minilstm.datasets.times import counted

WHOLE = re.compile(r"0|-?[1-9]\d{0,15}")
WORD = re.compile(r"\S+")

Cells = dict[str, list[str]]


def read_csv(data: bytes, names: Names) -> Found:
    """Sequences, labels, their places, and what was taken for what; ValueError that names the line."""
    bad = BadRows(names["bad_rows"])
    steps_in_rows = names["group"] is not None
    wide = names["text"] is None and not steps_in_rows
    columns, rows, places, lines = rows_of(data, wide, None if steps_in_rows else bad)
    found = read_table(columns, rows, places, names, bad)
    return found._replace(said=found.said + lines)


def read_table(
    columns: list[str], rows: list[list[str]], places: list[str], names: Names, bad: BadRows
) -> Found:
    """The same from the names of the columns, the rows, and the place of each."""
    if names["text"] is not None and names["group"] is not None:
        raise ValueError(f"text must be left out with a group, got {names['text']!r}")
    cells = cells_of(columns, rows, names)
    del rows
    columns = list(cells)
    label = label_of(names["label"], columns)
    cells[label] = list(map(str.strip, cells[label]))
    for k, (place, value) in enumerate(zip(places, cells[label], strict=True)):
        if not value:
            bad.add(k, f"{place} has no label (column {label!r})")
    y = _labels(cells[label])
    by = by_of(names, columns)
    if by is not None:
        cells[by] = list(map(str.strip, cells[by]))
        for k, (place, value) in enumerate(zip(places, cells[by], strict=True)):
            if not value:
                bad.add(k, f"{place} has no value to split by (column {by!r})")
    others = [column for column in columns if column not in (label, by)]
    told = {names[what] for what in ("text", "group", "order")}
    flags = booleans_as_numbers(cells, (column for column in others if column not in told))
    rest, more = measured(others, cells, names, timed=names["group"] is not None)
    remarks = flags + more
    if names["group"] is not None:
        found = group_rows(cells, y, label, rest, places, names, bad, by)
        return found._replace(said=found.said + remarks)
    if names["order"] is not None:
        raise ValueError(f"order must be left out without a group, got {names['order']!r}")
    column = _text_column(names, cells, rest)
    x: list[Any]
    if column is not None:
        remarks = flags + measured(others, cells, names | {"text": column})[1]  # no number is read
        said = f"text from column {column!r}, labels from {label!r}{unused(rest, [column])}"
        x, used = list(cells[column]), None
    else:
        used = list(names["features"] or rest)
        if not used:
            raise ValueError(f"has no column of a text or of numbers beside {label!r}{remarks}")
        check_named(used, rest)
        ends = f", {used[0]!r} to {used[-1]!r}" if len(used) > 1 else ""
        said = f"each row is a sequence of up to {len(used)} numbers{ends}, labels from {label!r}"
        said += (
            unused(rest, used)
            + doubtful_points(used, cells)
            + ("" if names["features"] else doubtful_steps(used) + named_as_labels(used))
        )
        table = zip(*(cells[step] for step in used), strict=True)
        x = [
            bad.read(k, partial(_wide, values, used, place))
            for k, (values, place) in enumerate(zip(table, places, strict=True))
        ]
        if shorter := sum(row is not None and len(row) < len(used) for row in x):
            said += f", {counted(shorter, 'row')} shorter, with empty cells at the end"
    left_out = bad.settle("rows")
    good = [k for k in range(len(x)) if k not in bad.errors]
    x, y, where = ([values[k] for k in good] for values in (x, y, places))
    groups = None if by is None else [cells[by][k] for k in good]
    return Found(x, y, where, ", ".join(filter(None, [said + remarks, left_out])), used, groups)


def cells_of(columns: list[str], rows: list[list[str]], names: Names) -> Cells:
    """The columns but those to be dropped, with decimal points in numbers where commas stand for them."""
    cells = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
    cells = {column: cells[column] for column in kept(columns, names)}
    if names["decimal"] == "comma":
        texts = {names["text"], names["group"], names["by"]}
        for column, values in cells.items():
            if column not in texts and column.lower() not in TEXTS:
                cells[column] = with_points(column, values)
    return cells


def _text_column(names: Names, cells: Cells, rest: Sequence[str]) -> str | None:
    if names["features"] is not None:
        return None
    found = pick("text", names["text"], TEXTS, rest)
    if found is not None:
        return found
    texts = [column for column in rest if not mostly_numbers(cells[column])]
    for column in texts:
        check_no_comma(column, cells[column])
        odd = {value.strip() for value in cells[column] if as_number(value) is None and value.strip()}
        if odd and len(say_none(odd)) == len(odd):
            raise ValueError(
                f"column {column!r} says in most rows that there is none, such as {min(odd)!r}: "
                f"--drop {column} leaves it out"
            )
    least = 1 + (len(rest) > 1)
    short = [column for column in texts if least > max(map(_words, cells[column]))]
    if len(texts) > 1 and len(short) < len(texts):
        raise ValueError(
            f"{some(texts)} could each be the text; say which with --text, or name the columns of numbers "
            "with --features"
        )
    if texts and len(rest) > 1 and 2 * len(set(cells[texts[0]])) <= len(cells[texts[0]]):
        raise ValueError(
            f"the rows repeat the values of column {texts[0]!r}: if rows with the same value are the steps "
            f"of one sequence, say --group {texts[0]}; if it is the text, say --text {texts[0]}; if neither, "
            f"--drop {','.join(short or texts)} leaves it out"
        )
    if short:
        shown = next(filter(str.strip, cells[short[0]]))[:40]
        kind = "texts of several words" if least > 1 else "texts"
        what = f"column {short[0]!r} holds" if len(short) == 1 else f"columns {some(short)} hold"
        raise ValueError(
            f"{what} neither plain numbers, as 1234.5, nor {kind}, such as {shown!r}: make numbers of them, "
            f"leave them out with --drop, or say --text {short[0]}"
        )
    return texts[0] if texts else None


def _words(text: str) -> int:
    """How many of the words of a text have a letter; 2 where there are more."""
    found = (word for word in WORD.finditer(text) if any(map(str.isalpha, word[0])))
    return sum(1 for _ in islice(found, 2))


def mostly_numbers(values: Sequence[str]) -> bool:
    """Whether most of these are numbers, or nothing."""
    return sum(as_number(value) is not None or not value.strip() for value in values) > len(values) / 2


def _labels(values: Sequence[str]) -> list[Any]:
    """Numbers if all are, else texts, beside whole numbers; texts too where numbers make one label of two.

    So of 07 and 7, and of two whole numbers between which float64 has none.
    """
    numbers = [as_number(value) for value in values]
    large = any(number is not None and EXACT <= abs(number) < math.inf for number in numbers)
    if (large or any(map(LEADING_ZERO.match, values))) and len(set(numbers)) < len(set(values)):
        return list(values)
    if all(number is not None for number in numbers):
        return numbers
    return [int(text) if WHOLE.fullmatch(text) else text for text in values]


def _wide(values: Sequence[str], steps: Sequence[str], place: str) -> np.ndarray[Any, Any]:
    length = max((k + 1 for k, value in enumerate(values) if value.strip()), default=0)
    if length and not values[0].strip():
        first = next(k for k, value in enumerate(values) if value.strip())
        raise ValueError(
            f"{place} begins with {counted(first, 'empty cell')}, which must stand behind its numbers"
        )
    return np.array(
        [to_number(value, step, place) for value, step in zip(values[:length], steps, strict=False)]
    )
