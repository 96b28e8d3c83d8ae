"""Columns that number the rows or name what they belong to, instead of measuring anything.

One that counts the rows is left out, and said, as are dates and one word for each row where each row is a
sequence. What may be a measurement all the same, or the time, is only pointed out: a count of few rows, one
beside which every column counts, and one of steps whose order no other column tells.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from minilstm.datasets.columns import TIMES, Names, as_number, some
from minilstm.datasets.times import are_dates

UNNAMED = re.compile(r"(unnamed: \d+([._]\w+)*)?", re.IGNORECASE)  # what pandas calls one without a name
INDEX = re.compile(r"__index_level_\d+__")  # what it calls an index without a name in a .parquet or .feather
NAMED = re.compile(r"(^|[\s_.-])(id|uuid|guid|index|idx|key|nr|no|number|row|row_?id)$", re.IGNORECASE)
# A number with a currency, a unit or so, as 5%, $3.50, 1'000, 3/7, 0:05, 0x1f, 1.5+-0.1: no name of a row.
QUANTITY = re.compile(
    r"[+-]?\d*\.\d.*|\W{0,3}(0x[\da-f]+|\d[\d.,':/]*([de][+-]?\d+)?)\W{0,2}[^\W\d]{0,3}", re.IGNORECASE
)
LABELLED = re.compile(r"(^|[\W_])(labels?|targets?|class(es)?|sentiment|category)([\W_\d]|$)", re.IGNORECASE)
FEWEST = 3  # values from which a pattern can be seen
SEVERAL = 5  # values from which it is believed whatever the column's name
LONGEST_ID = 40  # characters: a UUID has 36


def measured(
    rest: Sequence[str],
    cells: dict[str, list[str]],
    names: Names,
    timed: bool = False,
    target: str | None = None,
) -> tuple[list[str], str]:
    """The columns that may hold data, and remarks on those that look like an identifier.

    timed : rows are steps, so that a column with the usual name of a time may well count them
    target : a column that is what is to be forecast
    """
    named = {names["text"], names["group"], names["order"], target, *(names["features"] or ())}
    left, remarks = [], ""
    believed = _believed(rest, cells, names, named, timed)
    for column in rest:
        if column not in named and not any(map(str.strip, cells[column])):
            remarks += f", left out: column {column!r}, which is empty"
            continue
        counts = column not in named and counts_rows(cells[column])
        if INDEX.fullmatch(column) and column not in named and not are_dates(cells[column]):
            remarks += ", left out: pandas's index"
            continue
        if counts and (is_unnamed(column) or NAMED.search(column)):
            remarks += f", left out: column {column!r}, which only counts the rows"
            continue
        if not timed and column not in named and are_dates(cells[column]):
            remarks += f", left out: column {column!r}, which holds dates"
            continue
        if column in believed:
            remarks += f", left out: column {column!r}, which only {believed[column]}"
            continue
        left.append(column)
        if column in named or names["text"] is not None or names["features"] is not None:
            continue  # named, or not read at all
        if timed and column.lower() in TIMES:
            continue
        if counts:
            remarks += _pointed_out(column, "counts the rows")
        elif is_unnamed(column) and _numbers_rows(cells[column]):
            remarks += _pointed_out(column, "has no name, and numbers the rows as a shuffled index does")
        elif NAMED.search(column) and _all_differ(cells[column]):
            remarks += _pointed_out(column, "looks like an identifier: no value stands twice")
    return left, remarks


def _believed(
    rest: Sequence[str],
    cells: dict[str, list[str]],
    names: Names,
    named: set[str | None],
    timed: bool,
) -> dict[str, str]:
    """The columns that identify the rows whatever their names, and what each does."""
    if names["features"] is not None:
        return {}  # the others are not read
    free = [column for column in rest if column not in named and len(cells[column]) >= SEVERAL]
    if timed:
        if names["group"] is None or not (names["order"] or any(name.lower() in TIMES for name in rest)):
            return {}
        free = [column for column in free if column.lower() not in TIMES]
    counting = {column for column in free if counts_rows(cells[column])}
    others = [column for column in free if column not in counting]
    counted = [column for column in free if column in counting] if others else []
    found = dict.fromkeys(counted, "counts the rows (--features keeps it)")
    numbers = {column for column in others if None not in map(as_number, filter(str.strip, cells[column]))}
    if not timed and names["text"] is None and len(numbers) > 1:
        words = (column for column in others if column not in numbers and _names_rows(cells[column]))
        found |= dict.fromkeys(words, "names the rows")
    return found


def _names_rows(values: Sequence[str]) -> bool:
    """Whether each value is one short word that is no number, and none stands twice.

    >>> _names_rows(["P001", "P002", "P003"]), _names_rows(["P1", "P1", "P2"]), _names_rows(["1", "2", "3"])
    (True, False, False)
    >>> _names_rows(["1%", "2%", "3%"])
    False
    """
    if 2 * sum(QUANTITY.fullmatch(value.strip()) is not None for value in values) > len(values):
        return False
    return _all_differ(values) and all(
        len(value) <= LONGEST_ID and len(value.split()) == 1 and as_number(value) is None for value in values
    )


def names_groups(column: str, cells: Sequence[str], members: Sequence[Sequence[int]]) -> str:
    """A remark on a column that has one value for each sequence: one of its own, or one that others share."""
    values = [{cells[k] for k in own} for own in members]
    alike = len(values) >= FEWEST and all(len(own) == 1 for own in values)
    if not alike:
        return ""
    different = len(set.union(*values))
    if different == len(values):
        return _pointed_out(column, "has a value of its own for each sequence")
    if different < 2 or max(map(len, members)) == 1:
        return ""
    return (
        f", note: column {column!r} is the same at all steps of a sequence; if it says whom they are of, "
        f"--split group --by {column} keeps theirs in one part"
    )


def named_as_labels(columns: Sequence[str]) -> str:
    """A remark on columns of numbers whose names are those of labels; "" for none.

    >>> named_as_labels(["label_2", "t0", "classic"])
    ", note: 'label_2' is read as numbers, and named as a label; --drop leaves it out"
    """
    found = [column for column in columns if LABELLED.search(column)]
    if not found:
        return ""
    how = (
        "is read as numbers, and named as a label"
        if len(found) == 1
        else "are read as numbers, and named as labels"
    )
    return f", note: {some(found)} {how}; --drop leaves {'it' if len(found) == 1 else 'them'} out"


def _pointed_out(column: str, what: str) -> str:
    return f", note: column {column!r} {what}; if it measures nothing, name the others with --features"


def is_unnamed(column: str) -> bool:
    """Whether a column has no name, or what pandas gives one that has none.

    >>> [is_unnamed(name) for name in ("", "Unnamed: 0", "Unnamed: 0.1", "id")]
    [True, True, True, False]
    """
    return (UNNAMED.fullmatch(column) or INDEX.fullmatch(column)) is not None


def _numbers_rows(values: Sequence[str]) -> bool:
    """Whether these are whole numbers of which none stands twice: an index that was shuffled or cut."""
    numbers = [as_number(value) for value in values]
    return _all_differ(values) and all(number is not None and number.is_integer() for number in numbers)


def counts_rows(values: Sequence[str]) -> bool:
    """Whether these are whole numbers with a constant step.

    >>> counts_rows(["5", "6", "7"]), counts_rows(["0", "0", "0"]), counts_rows(["1", "2", "4"])
    (True, False, False)
    """
    if len(values) < FEWEST:
        return False
    last = step = None
    for value in values:  # most columns are done with after three
        number = as_number(value)
        if number is None or not number.is_integer():
            return False
        if last is not None:
            if step is None:
                step = number - last
            if step == 0 or number - last != step:
                return False
        last = number
    return True


def _all_differ(values: Sequence[str]) -> bool:
    return len(values) >= FEWEST and len(set(values)) == len(values)
