"""A .csv file into sequences and labels; `read` says which kinds there are.

What a column is for is told by its name or by the caller; a column that only numbers the rows is left out.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minilstm.datasets.columns import TEXTS, Found, Names, label_of, not_utf8, pick, some

COUNTING = "unnamed: 0"  # what pandas calls a column without a name


def read_csv(data: bytes, names: Names) -> Found:
    """Sequences, labels, their places, and what was taken for what; ValueError that names the line."""
    columns, rows, places = _rows(data, names["text"] is None and names["group"] is None)
    label = label_of(names["label"], columns)
    cells = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
    del rows
    for place, value in zip(places, cells[label], strict=True):
        if not value.strip():
            raise ValueError(f"{place} has no label (column {label!r})")
    y = _labels(cells[label])
    rest, remarks = _measured([column for column in columns if column != label], cells, names)
    if names["group"] is not None:
        x, y, places, said = _long(cells, y, label, rest, places, names)
        return x, y, places, said + remarks
    column = _text_column(names, cells, rest)
    if column is not None:
        said = f"text from column {column!r}, labels from {label!r}{_unused(rest, [column])}"
        return cells[column], y, places, said + remarks
    steps = names["features"] or rest
    _check_named(steps, rest)
    wide = [cells[step] for step in steps]
    series = [
        _wide(values, steps, place) for values, place in zip(zip(*wide, strict=True), places, strict=True)
    ]
    said = f"each row is a sequence of up to {len(steps)} numbers, labels from {label!r}"
    return series, y, places, said + _unused(rest, steps) + remarks


def _rows(data: bytes, wide: bool) -> tuple[list[str], list[list[str]], list[str]]:
    """The names of the columns, the rows, and the line of each; never a second copy of the whole text."""
    limit = csv.field_size_limit(len(data) + 1)
    lines = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="")
    rows, places = [], []
    try:
        head = lines.readline()
        lines.seek(0)
        reader = csv.reader(lines, delimiter=max(",;\t|", key=head.count), strict=True)
        columns = [column.strip() for column in next(reader, [])]
        if len(set(columns)) < len(columns):
            raise ValueError(f"column names must differ from each other, got {some(columns)}")
        for row in reader:
            if row:
                if len(row) != len(columns) and not (wide and len(row) < len(columns)):
                    found = f"line {reader.line_num} has {len(row)} fields"
                    raise ValueError(f"{found}, the header has {len(columns)}")
                rows.append(row + [""] * (len(columns) - len(row)))
                places.append(f"line {reader.line_num}")
    except UnicodeDecodeError:
        raise not_utf8(data) from None
    except csv.Error as error:
        raise ValueError(f"is not valid CSV: {error}") from None
    finally:
        csv.field_size_limit(limit)
    if not rows:
        raise ValueError("has a header and no rows")
    return columns, rows, places


def _measured(rest: list[str], cells: dict[str, list[str]], names: Names) -> tuple[list[str], str]:
    """The columns that may hold data: without one that has no name and counts the rows. And remarks."""
    named = {names["text"], names["group"], *(names["features"] or ())}
    left, remarks = [], ""
    for column in rest:
        unnamed = column == "" or column.lower() == COUNTING
        if column in named or not (unnamed or column == rest[0]) or not _counts_rows(cells[column]):
            left.append(column)
        elif unnamed:
            remarks += f", left out: column {column!r}, which only counts the rows"
        else:
            left.append(column)
            remarks += f", note: column {column!r} counts the rows"
            remarks += "; if it measures nothing, name the others with --features"
    return left, remarks


def _counts_rows(values: Sequence[str]) -> bool:
    """Whether these are whole numbers with a constant step."""
    numbers = [_number(value) for value in values]
    if len(numbers) < 3 or any(number is None or not number.is_integer() for number in numbers):
        return False
    steps = np.diff(np.array(numbers, np.float64))
    return bool(steps[0] != 0 and (steps == steps[0]).all())


def _check_named(named: Sequence[str], columns: Sequence[str]) -> None:
    known = set(columns)
    for name in named:
        if name not in known:
            pick("features", name, (), columns)  # raises


def _unused(columns: Sequence[str], used: Sequence[str]) -> str:
    taken = set(used)
    left = [column for column in columns if column not in taken]
    return f", not used: {some(left)}" if left else ""


def _text_column(names: Names, cells: dict[str, list[str]], rest: Sequence[str]) -> str | None:
    if names["features"] is not None:
        return None
    found = pick("text", names["text"], TEXTS, rest)
    if found is not None:
        return found
    texts = [column for column in rest if not _mostly_numbers(cells[column])]
    if len(texts) > 1:
        raise ValueError(f"{some(texts)} could each be the text; say which with --text, or name --features")
    if texts and len(rest) > 1 and 2 * len(set(cells[texts[0]])) <= len(cells[texts[0]]):
        raise ValueError(
            f"the rows repeat the values of column {texts[0]!r}: if rows with the same value are the steps "
            f"of one sequence, say --group {texts[0]}; if it is the text, say --text {texts[0]}"
        )
    return texts[0] if texts else None


def _mostly_numbers(values: Sequence[str]) -> bool:
    return sum(_number(value) is not None or not value.strip() for value in values) > len(values) / 2


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _labels(values: Sequence[str]) -> list[Any]:
    """Numbers if all are, the texts if none is."""
    numbers = [_number(value) for value in values]
    if all(number is not None for number in numbers):
        return numbers
    return [text if number is None else number for text, number in zip(values, numbers, strict=True)]


def _wide(values: Sequence[str], steps: Sequence[str], place: str) -> np.ndarray[Any, Any]:
    length = max((k + 1 for k, value in enumerate(values) if value.strip()), default=0)
    return np.array([_float(value, step, place) for value, step in zip(values[:length], steps, strict=False)])


def _float(value: str, column: str, place: str) -> float:
    number = _number(value)
    if number is None:
        raise ValueError(f"{place}, column {column!r}: expected a number, got {value[:40]!r}")
    return number


def _long(
    cells: dict[str, list[str]],
    y: list[Any],
    label: str,
    rest: Sequence[str],
    places: list[str],
    names: Names,
) -> Found:
    group = pick("group", names["group"], (), rest)
    assert group is not None
    features = names["features"] or [column for column in rest if column != group]
    _check_named(features, rest)
    members: dict[str, list[int]] = {}
    for k, key in enumerate(cells[group]):
        members.setdefault(key, []).append(k)
    x, found, where = [], [], []
    for key, own in members.items():
        if any(y[k] != y[own[0]] for k in own) and not all(_is_nan(y[k]) for k in own):
            raise ValueError(f"sequence {key[:40]!r} has several labels; {places[own[0]]} and others")
        x.append(np.array([[_float(cells[f][k], f, places[k]) for f in features] for k in own]))
        found.append(y[own[0]])
        where.append(f"sequence {key[:40]!r} ({places[own[0]]})")
    said = f"steps of {some(features)} grouped by {group!r}, labels from {label!r}"
    said += _unused(rest, [group, *features])
    return x, found, where, said


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
