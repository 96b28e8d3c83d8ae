"""Files of your own: .csv, .jsonl and .npz into sequences and labels.

    .csv     a text and a label in each row; or one step in each row, with a column that says which
             sequence it belongs to (`group`); or one sequence of numbers in each row
    .jsonl   one object in each line, with a label and a text, a list of numbers, or a list of lists
    .npz     x (N, T) or (N, T, D), y (N,), and lengths (N,) where rows are padded;
             or all steps in one x (sum of lengths, D), with lengths

Files are UTF-8. Columns are found by their usual names, or named by the caller. Nothing is unpickled, and
no file takes more memory than a multiple of its size.
"""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minilstm.arrays import Array
from minilstm.datasets.arrays import MOST, SMALL, read_npz
from minilstm.datasets.bad_rows import BadRows
from minilstm.datasets.columns import (
    LENGTHS,
    SERIES,
    TEXTS,
    Found,
    Names,
    by_of,
    label_of,
    not_utf8,
    pick,
    some,
)
from minilstm.datasets.csv_file import read_csv, series_of
from minilstm.errors import one_of, wording

__all__ = ["Series", "Table", "read_file", "read_series"]


class Table(NamedTuple):
    """What a file holds: N sequences or texts, N labels, and where each stands in the file."""

    x: list[Any]
    y: list[Any]
    places: list[str]
    source: str  # the file's name and checksum
    reading: str  # which columns were taken for what
    columns: list[str] | None = None  # names of the numbers: of the steps (a row each) or of the features
    by: list[Any] | None = None  # N values, of the column by which the parts are made


class Series(NamedTuple):
    """What a file of series holds: arrays (L, D), and the names of the D columns, the target's first."""

    series: list[Array]
    columns: list[str]
    source: str
    reading: str


def read_series(
    path: str | Path,
    *,
    target: str,
    features: Sequence[str] | None = None,
    group: str | None = None,
    order: str | None = None,
) -> Series:
    """The series of a .csv file, whose rows are steps, for `from_series`.

    target : the column to be forecast, which is an input too;  features : the other inputs; None: all columns
    of numbers;  group, order : as for `read_file`

    Raises ValueError that names the file and the line, OSError where it cannot be read.
    """
    path = Path(path)
    data, kind = _opened(path)
    names: Names = {"text": None, "label": None, "features": list(features) if features else None}
    names |= {"group": group, "order": order, "by": None, "padding": None, "bad_rows": "refuse"}
    if kind not in (".csv", ".tsv"):
        raise ValueError(wording("data", "a .csv file for forecasting", path.name))
    try:
        series, columns, reading = series_of(data, target, names)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{path.name}: {error}") from None
    return Series(series, columns, _source(path, data), reading)


def _opened(path: Path) -> tuple[bytes, str]:
    """The bytes of a file, decompressed, and the ending that tells its kind; ValueError or OSError."""
    data = path.read_bytes()
    if path.suffix.lower() != ".gz":
        return data, path.suffix.lower()
    stream = zlib.decompressobj(wbits=31)
    most = max(SMALL, MOST * len(data))
    try:
        found = stream.decompress(data, most)
    except zlib.error as error:
        raise ValueError(f"{path.name}: cannot be decompressed: {error}") from None
    if not stream.eof or stream.unused_data:
        expected = "one whole stream of gzip" if len(found) < most else f"at most {MOST} times its size"
        raise ValueError(f"{path.name}: cannot be decompressed: it must be {expected}")
    return found, path.with_suffix("").suffix.lower()


def _source(path: Path, data: bytes) -> str:
    name = path.name.encode("utf-8", "replace").decode()  # it may hold bytes that are no text
    return f"{name}, SHA-256 {hashlib.sha256(data).hexdigest()}"


def read_file(
    path: str | Path,
    *,
    text: str | None = None,
    label: str | None = None,
    features: Sequence[str] | None = None,
    group: str | None = None,
    order: str | None = None,
    by: str | None = None,
    padding: str | None = None,
    bad_rows: str = "refuse",
) -> Table:
    """The sequences and labels of a .csv, .tsv, .jsonl or .npz file, which may be compressed (.gz).

    text, label, features, group : names of columns (keys, arrays); found by their usual names where None
    order : column that sorts the rows of a group, numbers or dates as 2024-12-31T23:59; or "lines", where
        they are in order. None: a column that is called time, date, step or so, where the lines ascend in it
    by : column by whose values training and test part are told from each other, see `from_sequences`
    padding : "pre" or "post", the end at which the rows of an .npz with lengths are padded; found out where
        None, and refused where both ends could be meant

    bad_rows : "refuse", where a row cannot be used, and count those; or "skip": leave them out, and say so

    Raises ValueError that names the file and the line, OSError where it cannot be read.
    """
    path = Path(path)
    data, kind = _opened(path)
    if not data.removeprefix(b"\xef\xbb\xbf").strip():
        raise ValueError(f"{path.name} is empty")
    names = {"text": text, "label": label, "features": list(features) if features else None}
    names |= {"group": group, "order": order, "by": by, "bad_rows": bad_rows}
    names["padding"] = None if padding is None else one_of("padding", padding, ("pre", "post"))
    readers = {".csv": read_csv, ".tsv": read_csv, ".jsonl": _jsonl, ".npz": _npz}
    reader = readers.get(kind)
    if reader is None:
        raise ValueError(wording("data", "a .csv, .tsv, .jsonl or .npz file", path.name))
    try:
        if reader is not read_csv:
            for option in ("group", "order"):
                if names[option] is not None:
                    raise ValueError(f"{option} must be left out but for a .csv, got {names[option]!r}")
        found = reader(data, names)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{path.name}: {error}") from None
    source = _source(path, data)
    return Table(found.x, found.y, found.places, source, found.said, found.columns, found.by)


def _jsonl(data: bytes, names: Names) -> Found:
    if names["padding"] is not None:
        raise ValueError(f"padding must be left out for a .jsonl, got {names['padding']!r}")
    bad = BadRows(names["bad_rows"])
    rows: dict[int, dict[str, Any]] = {}
    try:
        lines = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="\n")
        for number, line in enumerate(lines, 1):
            if line.strip() and (row := bad.read(number, partial(_object, line, number))) is not None:
                rows[number] = row
    except UnicodeDecodeError:
        raise not_utf8(data) from None
    if not rows:
        bad.settle("lines")
    columns = list(next(iter(rows.values())))
    label = label_of(names["label"], columns)
    by = by_of(names, columns)
    rest = [column for column in columns if column not in (label, by)]
    given = names["text"] or (names["features"] or [None])[0]
    column = pick("text" if names["text"] else "features", given, (*TEXTS, *SERIES), rest)
    if column is None:
        raise ValueError(f"name the sequences with --text or --features; it has {some(rest)}")
    for number, row in rows.items():
        for key in (label, column, *([by] if by else [])):
            if row.get(key) is None:
                bad.add(number, f"line {number} has no {key!r}")
        if not isinstance(row.get(label), (str, int, float)):
            got = f"{row.get(label)!r:.40}"
            bad.add(number, f"line {number}: expected a text or a number as {label!r}, got {got}")
    left_out = bad.settle("lines")
    kept = {number: row for number, row in rows.items() if number not in bad.errors}
    said = ", ".join(filter(None, [f"sequences from {column!r}, labels from {label!r}", left_out]))
    x, y = ([row[key] for row in kept.values()] for key in (column, label))
    groups = None if by is None else [row[by] for row in kept.values()]
    return Found(x, y, [f"line {number}" for number in kept], said, by=groups)


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"line {number} is not valid JSON: {error}") from None
    if not isinstance(row, dict):
        raise ValueError(f"line {number}: expected an object, got {line[:40]!r}")
    return row


def _npz(data: bytes, names: Names) -> Found:
    arrays = read_npz(data)
    columns = list(arrays)
    label = label_of(names["label"], columns)
    by = by_of(names, columns)
    rest = [column for column in columns if column not in (label, by)]
    column = pick("features", (names["features"] or [names["text"]])[0], (*SERIES, *TEXTS), rest)
    if column is None:
        raise ValueError(f"name the sequences with --features; it has {some(rest)}")
    sizes = pick("lengths", None, LENGTHS, rest)
    x, y = arrays[column], arrays[label]
    if y.ndim != 1 or x.ndim not in (1, 2, 3) or x.dtype.kind == "S" or y.dtype.kind == "S":
        expected = "expected x of (N, T) or (N, T, D) and y of (N,), of numbers or texts"
        raise ValueError(f"{expected}, got {x.dtype} of {x.shape} and {y.dtype} of {y.shape}")
    said = f"sequences from {column!r}, labels from {label!r}"
    if sizes is not None:
        series, more = _unpadded(x, arrays[sizes], len(y), names["padding"])
        said += f", lengths from {sizes!r}{more}"
    elif names["padding"] is not None:
        raise ValueError(f"padding must be left out where there are no lengths, got {names['padding']!r}")
    else:
        series = x.tolist() if x.dtype.kind == "U" else list(x)
    if by is not None and arrays[by].shape != y.shape:
        raise ValueError(f"{by!r} must have a value for each of the {len(y)} labels, got {arrays[by].shape}")
    places = [f"row {k}" for k in range(len(series))]
    return Found(series, y.tolist(), places, said, by=None if by is None else arrays[by].tolist())


def _unpadded(x: Array, lengths: Array, samples: int, padding: str | None) -> tuple[list[Any], str]:
    """Each sequence without its padding, and at which end that was found."""
    if lengths.dtype.kind not in "iu" or lengths.shape != (samples,) or (samples and lengths.min() < 1):
        raise ValueError(
            f"lengths must be {samples} whole numbers >= 1, got {lengths.dtype} of {lengths.shape}"
        )
    sizes: list[int] = lengths.tolist()  # Python's numbers do not overflow
    if len(x) == samples and x.ndim >= 2 and max(sizes, default=0) <= x.shape[1]:
        T, side = x.shape[1], padding or _padded_end(x, lengths)
        if side is None:
            return list(x), ""
        parts = [
            row[:size] if side == "post" else row[T - size :] for row, size in zip(x, sizes, strict=True)
        ]
        return parts, f", padded at the {'end' if side == 'post' else 'start'}"
    if sum(sizes) != len(x):
        raise ValueError(f"lengths must add up to the {len(x)} steps of x, got {sum(sizes)}")
    if padding is not None:
        raise ValueError(
            f"padding must be left out where x holds one sequence after another, got {padding!r}"
        )
    return np.split(x, np.cumsum(sizes)[:-1]), ""


def _padded_end(x: Array, lengths: Array) -> str | None:
    """The end at which one number fills all that `lengths` leaves over; None where nothing is left over.

    Raises ValueError where both ends, or neither, look like that.
    """
    steps, T = np.arange(x.shape[1]), x.shape[1]
    if (lengths == T).all():
        return None
    left_over = {"post": steps >= lengths[:, None], "pre": steps < T - lengths[:, None].astype(np.int64)}
    found = [side for side, where in left_over.items() if _is_constant(x[where])]
    if len(found) != 1:
        which = "both ends" if found else "neither end"
        raise ValueError(
            f"the rows of x are longer than lengths says, and {which} could be padding; "
            "say which with padding= ('pre' or 'post'; on the command line --padded-at)"
        )
    return found[0]


def _is_constant(values: Array) -> bool:
    """Whether all are the same number (or all NaN)."""
    first = values.reshape(-1)[:1]
    return bool((values == first).all() or (values != values).all())
