"""Files of your own: .csv, .jsonl and .npz into sequences and labels.

    .csv     a text and a label in each row; or one step in each row, with a column that says which
             sequence it belongs to (`group`); or one sequence of numbers in each row
    .jsonl   one object in each line, with a label and a text, a list of numbers, or a list of lists
    .npz     x (N, T) or (N, T, D), y (N,), and lengths (N,) where rows are padded;
             or all steps in one x (sum of lengths, D), with lengths

Files are UTF-8. Columns are found by their usual names, or named by the caller. Nothing is unpickled.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minilstm.errors import wording

__all__ = ["Table", "read_file"]

LABELS = ("label", "labels", "target", "class", "y", "sentiment", "category")
TEXTS = ("text", "texts", "review", "sentence", "content", "comment", "message")
SERIES = ("x", "sequence", "sequences", "series", "values", "data")
LENGTHS = ("lengths", "length")
SHOWN = 12  # columns named in a message


class Table(NamedTuple):
    """What a file holds: N sequences or texts, N labels, and where each stands in the file."""

    x: list[Any]
    y: list[Any]
    places: list[str]
    source: str  # the file's name and checksum
    reading: str  # which columns were taken for what


def read_file(
    path: str | Path,
    *,
    text: str | None = None,
    label: str | None = None,
    features: Sequence[str] | None = None,
    group: str | None = None,
) -> Table:
    """The sequences and labels of a .csv, .jsonl or .npz file.

    text, label, features, group : names of columns (keys, arrays); found by their usual names where None

    Raises ValueError that names the file and the line, OSError where it cannot be read.
    """
    path = Path(path)
    data = path.read_bytes()
    if not data.strip():
        raise ValueError(f"{path.name} is empty")
    names = {"text": text, "label": label, "features": list(features) if features else None, "group": group}
    readers = {".csv": _csv, ".jsonl": _jsonl, ".npz": _npz}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ValueError(wording("data", "a .csv, .jsonl or .npz file", path.name))
    try:
        x, y, places, reading = reader(data, names)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{path.name}: {error}") from None
    return Table(x, y, places, f"{path.name}, SHA-256 {hashlib.sha256(data).hexdigest()}", reading)


Found = tuple[list[Any], list[Any], list[str], str]
Names = dict[str, Any]


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        byte = f"byte 0x{data[error.start]:02x} in line {line}"
        raise ValueError(f"not UTF-8 ({byte}); save it as UTF-8 first") from None


# ------------------------------------------------------------ which column is what


def _pick(what: str, given: str | None, usual: Sequence[str], columns: Sequence[str]) -> str | None:
    """The column that was named, or the one with a usual name; None if there is none."""
    if given is not None:
        if given not in columns:
            raise ValueError(f"has no column {given!r} for --{what}; it has {_some(columns)}")
        return given
    found = [column for column in columns if column.strip().lower() in usual]
    if len(found) > 1:
        raise ValueError(f"{_some(found)} could each be the {what}; say which with --{what}")
    return found[0] if found else None


def _label(given: str | None, columns: Sequence[str]) -> str:
    found = _pick("label", given, LABELS, columns)
    if found is None:
        raise ValueError(
            f"has no column that is called {' or '.join(LABELS)}; name it with --label; "
            f"it has {_some(columns)}"
        )
    return found


def _some(columns: Sequence[str]) -> str:
    shown = ", ".join(repr(column[:60]) for column in columns[:SHOWN])
    return shown + (f" and {len(columns) - SHOWN} more" if len(columns) > SHOWN else "")


# ------------------------------------------------------------ .csv


def _csv(data: bytes, names: Names) -> Found:
    text = _decoded(data)
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t|", key=head.count)
    limit = csv.field_size_limit(len(text) + 1)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        columns = [column.strip() for column in next(reader)]
        rows, lines = [], []
        for row in reader:
            if row:
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise ValueError(f"is not valid CSV: {error}") from None
    finally:
        csv.field_size_limit(limit)
    if len(set(columns)) < len(columns):
        raise ValueError(f"column names must differ from each other, got {_some(columns)}")
    if not rows:
        raise ValueError("has a header and no rows")
    label = _label(names["label"], columns)
    wide = names["text"] is None and names["group"] is None
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(columns) and not (wide and len(row) < len(columns)):
            raise ValueError(f"line {line} has {len(row)} fields, the header has {len(columns)}")
        row += [""] * (len(columns) - len(row))
    places = [f"line {line}" for line in lines]
    cells = {column: [row[k] for row in rows] for k, column in enumerate(columns)}
    rest = [column for column in columns if column != label]
    for place, value in zip(places, cells[label], strict=True):
        if not value.strip():
            raise ValueError(f"{place} has no label (column {label!r})")
    y = _labels(cells[label])
    if names["group"] is not None:
        return _long(cells, y, label, rest, places, names)
    column = _text_column(names, cells, rest)
    if column is not None:
        said = f"text from column {column!r}, labels from {label!r}{_unused(rest, [column])}"
        return cells[column], y, places, said
    steps = names["features"] or rest
    for step in steps:
        _pick("features", step, (), rest)
    series = [_wide([cells[step][k] for step in steps], steps, place) for k, place in enumerate(places)]
    said = (
        f"each row is a sequence of up to {len(steps)} numbers, labels from {label!r}{_unused(rest, steps)}"
    )
    return series, y, places, said


def _unused(columns: Sequence[str], used: Sequence[str]) -> str:
    left = [column for column in columns if column not in used]
    return f", not used: {_some(left)}" if left else ""


def _text_column(names: Names, cells: dict[str, list[str]], rest: Sequence[str]) -> str | None:
    if names["features"] is not None:
        return None
    found = _pick("text", names["text"], TEXTS, rest)
    if found is not None:
        return found
    texts = [column for column in rest if not _mostly_numbers(cells[column])]
    if len(texts) > 1:
        raise ValueError(f"{_some(texts)} could each be the text; say which with --text, or name --features")
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
    group = _pick("group", names["group"], (), rest)
    assert group is not None
    features = names["features"] or [column for column in rest if column != group]
    for feature in features:
        _pick("features", feature, (), rest)
    members: dict[str, list[int]] = {}
    for k, key in enumerate(cells[group]):
        members.setdefault(key, []).append(k)
    x, found, where = [], [], []
    for key, own in members.items():
        labels = {y[k] for k in own}
        if len(labels) > 1:
            raise ValueError(f"sequence {key[:40]!r} has several labels; {places[own[0]]} and others")
        x.append(np.array([[_float(cells[f][k], f, places[k]) for f in features] for k in own]))
        found.append(y[own[0]])
        where.append(f"sequence {key[:40]!r} ({places[own[0]]})")
    said = f"steps of {_some(features)} grouped by {group!r}, labels from {label!r}"
    said += _unused(rest, [group, *features])
    return x, found, where, said


# ------------------------------------------------------------ .jsonl, .npz


def _jsonl(data: bytes, names: Names) -> Found:
    rows: list[dict[str, Any]] = []
    places: list[str] = []
    for number, line in enumerate(_decoded(data).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {number} is not valid JSON: {error}") from None
        if not isinstance(row, dict):
            raise ValueError(f"line {number}: expected an object, got {line[:40]!r}")
        rows.append(row)
        places.append(f"line {number}")
    columns = list(rows[0])
    label = _label(names["label"], columns)
    rest = [column for column in columns if column != label]
    given = names["text"] or (names["features"] or [None])[0]
    column = _pick("text" if names["text"] else "features", given, (*TEXTS, *SERIES), rest)
    if column is None:
        raise ValueError(f"name the sequences with --text or --features; it has {_some(rest)}")
    for row, place in zip(rows, places, strict=True):
        for key in (label, column):
            if row.get(key) is None:
                raise ValueError(f"{place} has no {key!r}")
    said = f"sequences from {column!r}, labels from {label!r}"
    return [row[column] for row in rows], [row[label] for row in rows], places, said


def _npz(data: bytes, names: Names) -> Found:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"cannot be read as .npz without pickle: {error}") from None
    columns = list(arrays)
    label = _label(names["label"], columns)
    rest = [column for column in columns if column != label]
    column = _pick("features", (names["features"] or [names["text"]])[0], (*SERIES, *TEXTS), rest)
    if column is None:
        raise ValueError(f"name the sequences with --features; it has {_some(rest)}")
    sizes = _pick("lengths", None, LENGTHS, rest)
    x, y = arrays[column], arrays[label]
    if y.ndim != 1 or x.ndim not in (1, 2, 3):
        raise ValueError(f"expected x of (N, T) or (N, T, D) and y of (N,), got {x.shape} and {y.shape}")
    lengths = None if sizes is None else arrays[sizes]
    series = _unpadded(x, lengths, len(y))
    places = [f"row {k}" for k in range(len(series))]
    return series, y.tolist(), places, f"sequences from {column!r}, labels from {label!r}"


def _unpadded(x: np.ndarray[Any, Any], lengths: np.ndarray[Any, Any] | None, samples: int) -> list[Any]:
    if lengths is None:
        return x.tolist() if x.dtype.kind == "U" else list(x)
    if lengths.dtype.kind not in "iu" or lengths.shape != (samples,) or (samples and lengths.min() < 1):
        raise ValueError(
            f"lengths must be {samples} whole numbers >= 1, got {lengths.dtype} of {lengths.shape}"
        )
    if len(x) == samples and x.ndim >= 2 and lengths.max() <= x.shape[1]:
        return [row[:length] for row, length in zip(x, lengths, strict=True)]
    if lengths.sum() != len(x):
        raise ValueError(f"lengths must add up to the {len(x)} steps of x, got {lengths.sum()}")
    return np.split(x, np.cumsum(lengths)[:-1])
