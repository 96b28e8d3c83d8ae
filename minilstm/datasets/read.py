"""Files of your own into sequences and labels.

    .csv     a text and a label in each row; or one step in each row, with a column that says which
             sequence it belongs to (`group`); or one sequence of numbers in each row
    .jsonl   one object in each line, with a label and a text, a list of numbers, or a list of lists
    .npz     x (N, T) or (N, T, D), y (N,), and lengths (N,) or mask (N, T) where rows are padded;
             or all steps in one x (sum of lengths, D), with lengths
    .parquet, .feather, .arff   as a .csv; or as a .jsonl, where a column holds lists
    .ts      one sequence of one feature or several, and its label, in each line

Files are UTF-8. Columns are found by their usual names, or named by the caller. Nothing is unpickled, and
no file takes more memory than a multiple of its size (of a .feather, what it says when it is decompressed).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from minilstm.datasets.arrays import MOST, SMALL
from minilstm.datasets.bad_rows import BadRows
from minilstm.datasets.column_files import as_cell, check_no_structs, has_lists, read_columns
from minilstm.datasets.columns import (
    Found,
    Names,
    kept,
)
from minilstm.datasets.csv_file import read_csv, read_table
from minilstm.datasets.csv_rows import rows_of
from minilstm.datasets.json_rows import OF_TABLES, as_objects, read_jsonl
from minilstm.datasets.npz_file import read_arrays
from minilstm.datasets.series_rows import series_of
from minilstm.datasets.ts_file import read_ts
from minilstm.foundations import files
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import instance, listed, one_of, reworded, wording

__all__ = ["Series", "Table", "read_file", "read_series"]

CSV = (".csv", ".tsv")
TYPED = (".parquet", ".feather", ".arff")
PIECE = 2**20  # bytes that are decompressed at a time
DECIMALS = ("point", "comma")
KINDS = f"a {', '.join((*CSV, '.jsonl', '.npz', *TYPED))} or .ts file"


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
    drop: Sequence[str] | None = None,
    group: str | None = None,
    order: str | None = None,
    decimal: str = "point",
    bad_rows: str = "refuse",
) -> Series:
    """The series of a .csv, .tsv, .parquet, .feather or .arff file, whose rows are steps, for `from_series`.

    target : the column to be forecast, which is an input too;  features : the other inputs; None: all columns
    of numbers;  drop, group, order, decimal : as for `read_file`
    bad_rows : "refuse", where a row has what is no finite number, and count those; or "skip": such a row
        is NaN in the series, and `from_series(bad_rows="skip")` leaves it out

    Raises ValueError that names the file and the line, OSError where it cannot be read.
    """
    path = Path(files.checked_path("path", path))
    data, kind = _opened(path)
    instance("target", target, str, "the name of a column")
    names: Names = {"text": None, "label": None, "features": _columns("features", features)}
    names |= {"group": group, "order": order, "by": None, "padding": None, "bad_rows": bad_rows}
    names |= {"drop": _columns("drop", drop), "decimal": one_of("decimal", decimal, DECIMALS)}
    _check_names(names)
    if kind not in (*CSV, *TYPED):
        expected = f"a {', '.join((*CSV, *TYPED[:-1]))} or {TYPED[-1]} file for forecasting"
        raise ValueError(wording("data", expected, path.name))
    try:
        typed = None if kind in CSV else _cells(_columns_of(data, kind, names))
        names["drop"] = names["drop"] if typed is None else None
        columns, rows, places, lines = rows_of(data, False) if typed is None else (*typed, "")
        series, columns, reading = series_of(columns, rows, places, target, names)
    except (ValueError, TypeError, ModuleNotFoundError) as error:
        raise reworded(error, f"{path.name}: {error}") from None
    return Series(series, columns, _source(path, data), reading + lines)


def _columns(argument: str, names: Any) -> list[str] | None:
    """Names of columns as a list; None for none of them."""
    if names is None:
        return None
    found = listed(argument, "a list of names of columns", names)
    return [instance(argument, name, str, "a list of names of columns") for name in found] or None


def _check_names(names: Names) -> None:
    """TypeError where one column is named by something else than a text."""
    for argument in ("text", "label", "group", "order", "by"):
        instance(argument, names.get(argument), (str, type(None)), "the name of a column, or None")


def _opened(path: Path) -> tuple[bytes, str]:
    """The bytes of a file, decompressed, and the ending that tells its kind; ValueError or OSError."""
    data = files.read_bytes(path)
    if path.suffix.lower() != ".gz":
        return data, path.suffix.lower()
    found, most = io.BytesIO(), max(SMALL, MOST * len(data))
    try:
        with gzip.open(io.BytesIO(data)) as stream:  # of one member or of several
            while piece := stream.read(PIECE):
                if found.write(piece) and found.tell() > most:
                    raise ValueError(f"it must be at most {MOST} times its size")
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ValueError(f"{path.name}: cannot be decompressed: {error}") from None
    return found.getvalue(), path.with_suffix("").suffix.lower()


def _source(path: Path, data: bytes) -> str:
    name = path.name.encode("utf-8", "replace").decode()  # it may hold bytes that are no text
    return f"{name}, SHA-256 {hashlib.sha256(data).hexdigest()}"


def read_file(
    path: str | Path,
    *,
    text: str | None = None,
    label: str | None = None,
    features: Sequence[str] | None = None,
    drop: Sequence[str] | None = None,
    group: str | None = None,
    order: str | None = None,
    by: str | None = None,
    decimal: str = "point",
    padding: str | None = None,
    bad_rows: str = "refuse",
) -> Table:
    """The sequences and labels of a file of a kind that `minilstm study --formats` shows, or of one as .gz.

    text, label, features, group : names of columns (keys, arrays); found by their usual names where None
    order : column that sorts the rows of a group, numbers or dates as 2024-12-31T23:59; or "lines", where
        they are in order. None: a column that is called time, date, step or so, where the lines ascend in it
    drop : columns that are left alone;  decimal : "point", or "comma" where numbers are written as 1.234,5
    by : column by whose values training and test part are told from each other, see `from_sequences`
    padding : "pre" or "post", the end at which the rows of an .npz with lengths are padded; found out where
        None, and refused where both ends could be meant

    bad_rows : "refuse", where a row cannot be used, and count those; or "skip": leave them out, and say so

    Raises ValueError that names the file and the line, OSError where it cannot be read.
    """
    path = Path(files.checked_path("path", path))
    data, kind = _opened(path)
    if not data.removeprefix(b"\xef\xbb\xbf") or data.removeprefix(b"\xef\xbb\xbf").isspace():
        raise ValueError(f"{path.name} is empty")
    names = {"text": text, "label": label, "features": _columns("features", features)}
    names |= {"group": group, "order": order, "by": by, "bad_rows": bad_rows}
    names |= {"drop": _columns("drop", drop), "decimal": one_of("decimal", decimal, DECIMALS)}
    _check_names(names)
    if by is not None and by == group:
        raise ValueError(
            wording("by", "another column than group, each of which is one sequence", repr(by))
            + ": the split 'random' keeps each in one part"
        )
    names["padding"] = None if padding is None else one_of("padding", padding, ("pre", "post"))
    readers: dict[str, Callable[[bytes, Names], Found]]
    readers = {**dict.fromkeys(CSV, read_csv), ".jsonl": read_jsonl, ".npz": read_arrays, ".ts": read_ts}
    readers |= {kind: partial(_typed, kind) for kind in TYPED}
    reader = readers.get(kind)
    if reader is None:
        raise ValueError(wording("data", KINDS, path.name))
    try:
        if kind in (".npz", ".ts"):
            for option in (*OF_TABLES, "drop"):
                if names[option] not in (None, "point"):
                    raise ValueError(f"{option} must be left out but for a .csv, got {names[option]!r}")
        if kind != ".npz" and names["padding"] is not None:
            raise ValueError(f"padding must be left out for a {kind}, got {names['padding']!r}")
        found = reader(data, names)
    except (ValueError, TypeError, ModuleNotFoundError) as error:
        raise reworded(error, f"{path.name}: {error}") from None
    if not found.x:
        raise ValueError(f"{path.name}: no row is left to use: {found.said}")
    y = list(map(_stripped, found.y))
    groups = None if found.by is None else list(map(_stripped, found.by))
    return Table(found.x, y, found.places, _source(path, data), found.said, found.columns, groups)


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _typed(kind: str, data: bytes, names: Names) -> Found:
    columns, bad = _columns_of(data, kind, names), BadRows(names["bad_rows"])
    names = names | {"drop": None}
    if not has_lists(columns):
        return read_table(*_cells(columns), names, bad)
    rows = zip(*columns.values(), strict=True)
    return as_objects(
        {k: dict(zip(columns, row, strict=True)) for k, row in enumerate(rows)}, "row", names, bad
    )


def _columns_of(data: bytes, kind: str, names: Names) -> dict[str, list[Any]]:
    """The typed columns of a file but those to be dropped."""
    columns = read_columns(data, kind)
    return {name: columns[name] for name in kept(columns, names)}


def _cells(columns: dict[str, list[Any]]) -> tuple[list[str], list[list[str]], list[str]]:
    """Typed columns as `rows_of` gives those of a .csv."""
    check_no_structs(columns)
    rows = [list(map(as_cell, row)) for row in zip(*columns.values(), strict=True)]
    return list(columns), rows, [f"row {k}" for k in range(len(rows))]
