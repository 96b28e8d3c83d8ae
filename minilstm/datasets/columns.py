"""Which column, key or array of a file is what: by its usual name, or as the caller says."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from minilstm.datasets.exact import EXPECTED, is_rounded

LABELS = ("label", "labels", "target", "class", "y", "sentiment", "category")
TEXTS = ("text", "texts", "review", "sentence", "content", "comment", "message")
SERIES = ("x", "sequence", "sequences", "series", "values", "data")
LENGTHS = ("lengths", "length")
MASKS = ("mask", "masks")
TIMES = ("time", "timestamp", "datetime", "date", "t", "step", "timestep", "time_step", "order", "frame")
BOOLEANS = {"True": "1", "true": "1", "TRUE": "1", "False": "0", "false": "0", "FALSE": "0", "": ""}
LEADING_ZERO = re.compile(r"[+-]?0\d")
# A comma before decimals, or something between thousands; and what is read where commas are decimal points.
COMMA = re.compile(r"\s*[+-]?\d+((,\d+)+(\.\d*)?|(\.\d+)+,\d*|(\.\d+){2,})\s*")
DECIMAL = re.compile(r"\s*[+-]?([1-9]\d{0,2}(\.\d{3})+(,\d+)?|\d*,\d+)([eE][+-]?\d+)?\s*")
# Points between thousands, if they are all that a column has: 950, 1.037.
THOUSANDS = re.compile(r"\s*([+-]?(0|[1-9]\d{0,2}(\.\d{3})?)\s*)?")
FEW = 20  # values that show it
LONGEST = 10_000  # characters of a number; a text may be nearly all of a file
SENTENCE = 4  # words from which on a name of a column may be a text
SHOWN = 12  # columns named in a message

Names = dict[str, Any]  # what the caller said, or None: text, label, features, drop, group, order, by, ...


class Found(NamedTuple):
    """N sequences or texts, N labels, the place of each in the file, and what was taken for what."""

    x: list[Any]
    y: list[Any]
    places: list[str]
    said: str
    columns: list[str] | None = None  # of the numbers: those of the steps (a row each) or of the features
    by: list[Any] | None = None  # N values by which the parts are made


def pick(what: str, given: str | None, usual: Sequence[str], columns: Sequence[str]) -> str | None:
    """The column that was named, or the one with a usual name; None if there is none."""
    if given is not None:
        if given not in columns:
            raise ValueError(f"has no column {given!r} for --{what}; it has {some(columns)}")
        return given
    found = [column for column in columns if column.strip().lower() in usual]
    if len(found) > 1:
        raise ValueError(f"{some(found)} could each be the {what}; say which with --{what}")
    return found[0] if found else None


def kept(columns: Iterable[str], names: Names) -> list[str]:
    """The columns but those to be dropped; ValueError where such a one is not there."""
    found = list(columns)
    for column in names["drop"] or ():
        pick("drop", column, (), found)
    return [column for column in found if column not in (names["drop"] or ())]


def label_of(given: str | None, columns: Sequence[str]) -> str:
    """The column of the labels; ValueError if there is none."""
    found = pick("label", given, LABELS, columns)
    if found is None:
        bare = all(as_number(column) is not None for column in columns)
        texts = any(len(column.split()) >= SENTENCE for column in columns)
        raise ValueError(
            f"has no column that is called {' or '.join(LABELS)}; name it with --label; "
            f"it has {some(columns)}"
            + ("; if these are the first row's numbers, put a line of names above them" if bare else "")
            + ("; if this is the first row, put a line of names above it" if texts else "")
        )
    return found


def some(columns: Sequence[str]) -> str:
    """These names, for a message; of many the first and the last, where a label often stands.

    >>> print(some([f"t{k}" for k in range(30)])[-41:])
    't8', 't9', ..., 't28', 't29' (30 in all)
    """
    names = [repr(column[:60]) for column in columns]
    if len(names) <= SHOWN:
        return ", ".join(names)
    return f"{', '.join([*names[: SHOWN - 2], '...', *names[-2:]])} ({len(names)} in all)"


def by_of(names: Names, columns: Sequence[str]) -> str | None:
    """The column by which the parts are made; None if none was named."""
    return pick("by", names["by"], (), columns)


def check_named(named: Sequence[str], columns: Sequence[str]) -> None:
    """ValueError for a column that was named as one of numbers and is not there."""
    known = set(columns)
    for name in named:
        if name not in known:
            pick("features", name, (), columns)  # raises


def unused(columns: Sequence[str], used: Sequence[str]) -> str:
    """The end of a sentence on what was read: the columns that were not."""
    taken = set(used)
    left = [column for column in columns if column not in taken]
    return f", not used: {some(left)}" if left else ""


def as_number(text: str) -> float | None:
    """The number that a text is, or None; 1_000, which Python reads, is none."""
    if len(text) > LONGEST or "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None


def check_some_numbers(column: str, values: Sequence[str], option: str = "features") -> None:
    """ValueError where a column that was to be read as numbers holds none; `option` names such columns."""
    if any(as_number(value) is not None for value in values):
        return
    check_no_comma(column, values)
    shown = next(filter(str.strip, values), "")[:40]
    raise ValueError(
        f"column {column!r} holds no number, only such as {shown!r}: "
        f"name the column{'' if option == 'target' else 's'} of numbers with --{option}"
    )


def to_number(text: str, column: str, place: str) -> float:
    """The number that a text is; ValueError that names its place."""
    number = as_number(text)
    if number is None:
        raise ValueError(f"{place}, column {column!r}: expected a number, got {text[:40]!r}")
    if math.isfinite(number) and is_rounded(text, number):
        raise ValueError(
            f"{place}, column {column!r}: expected {EXPECTED}, got {text.strip()[:40]}; "
            "--drop leaves the column out"
        )
    return number


def check_no_comma(column: str, values: Sequence[str]) -> None:
    """ValueError where what is no number in a column has a comma for the point, or between thousands."""
    others = [value for value in values if value.strip() and as_number(value) is None]
    if others and all(map(COMMA.fullmatch, others[:FEW])):
        got = f"such as {others[0].strip()!r} in column {column!r}"
        raise ValueError(
            f"numbers must have a decimal point, no comma, got some {got}; --decimal comma reads 1.234,5, "
            "and --drop leaves the column out"
        )


def with_points(column: str, values: Sequence[str]) -> list[str]:
    """Numbers with a comma before their decimals, and points between thousands, as Python writes them.

    Raises ValueError where other numbers of the column have a point before their decimals.

    >>> with_points("v", ["-1,5", "1.234,5", "1.234", "1,5e3", "a, b", "1,000,000"])
    ['-1.5', '1234.5', '1234', '1.5e3', 'a, b', '1,000,000']
    """
    found = [len(value) <= LONGEST and DECIMAL.fullmatch(value) is not None for value in values]
    parted = next((value for value, own in zip(values, found, strict=True) if own and "." in value), None)
    for value, own in zip(values, found, strict=True):
        if parted and not own and "." in value and as_number(value) is not None:
            raise ValueError(
                f"column {column!r} has points before decimals, as {value.strip()[:40]!r}, and between "
                f"thousands, as {parted.strip()[:40]!r}: without --decimal comma all are before decimals"
            )
    return [
        value.replace(".", "").replace(",", ".") if own else value
        for value, own in zip(values, found, strict=True)
    ]


def doubtful_points(columns: Sequence[str], cells: dict[str, list[str]]) -> str:
    """A remark on columns whose points may stand between thousands; "" for none.

    >>> doubtful_points(["v", "w"], {"v": ["950", "1.037", "1.200"], "w": ["1.037", "2.5", "3"]})
    ", note: 'v' is read with decimals, as 1.037; if that is 1037, --decimal comma reads it"
    """
    for column in columns:
        values = cells[column]
        if all(map(THOUSANDS.fullmatch, values)):
            parted = next((value.strip() for value in values if "." in value), None)
            if parted and any("." not in value and value.strip() for value in values):
                whole = f"if that is {parted.replace('.', '')}, --decimal comma reads it"
                return f", note: {column!r} is read with decimals, as {parted}; {whole}"
    return ""


def not_utf8(data: bytes) -> ValueError:
    """The error for bytes that are not UTF-8, with the line of the first."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return ValueError("not UTF-8 but UTF-16; save it as UTF-8 first")
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        byte = f"byte 0x{data[error.start]:02x} in line {line}"
        return ValueError(f"not UTF-8 ({byte}); save it as UTF-8 first")
    return ValueError("not UTF-8")


def check_written_alike(argument: str, values: Iterable[Any]) -> None:
    """ValueError where two of these names are one number that is written in two ways, as 1, 1.0 and "1".

    A zero in front makes another name, 07 and 7.
    """
    seen: dict[Decimal, Any] = {}
    for value in dict.fromkeys(map(str, values)):
        if as_number(value) is None or LEADING_ZERO.match(value) or not math.isfinite(float(value)):
            continue
        first = seen.setdefault(Decimal(value.strip()), value)
        if first != value:
            raise ValueError(f"{argument} must write each name in one way, got {first!r} and {value!r}")


def booleans_as_numbers(cells: dict[str, list[str]], columns: Iterable[str]) -> str:
    """Make 1 and 0 of True and False in those of these columns that hold nothing else, and say so.

    >>> cells = {"flag": ["True", "False"], "name": ["True", "no"]}
    >>> booleans_as_numbers(cells, list(cells)), cells
    (", 1 for True in 'flag'", {'flag': ['1', '0'], 'name': ['True', 'no']})
    """
    found = []
    for column in columns:
        values = cells[column]
        if all(len(value) <= LONGEST and value.strip() in BOOLEANS for value in values):
            numbers = [BOOLEANS[value.strip()] for value in values]
            if any(numbers):
                cells[column] = numbers
                found.append(column)
    return f", 1 for True in {some(found)}" if found else ""
