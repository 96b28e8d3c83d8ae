"""Files whose columns have types: .parquet and .feather, which pyarrow reads, and .arff, which SciPy does.

A table becomes the cells of a .csv, or the objects of a .jsonl where a column holds lists (`read`).
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from typing import Any

from minilstm.datasets.arrays import MOST, SMALL
from minilstm.datasets.exact import EXPECTED, is_rounded
from minilstm.foundations.arrays import is_missing

QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'" + r'|"(?:[^"\\]|\\.)*"')
PLAIN = re.compile(r"""(^|,)([ \t]*)(['"])(?!\?\3)([^'",\\\n]*)\3(?=\s*(?:,|$))""", re.MULTILINE)
DATA = re.compile(r"^\s*@data\s*$", re.IGNORECASE | re.MULTILINE)
WHOLE = re.compile(r"[+-]?\d{16,300}")

Columns = dict[str, list[Any]]


def read_columns(data: bytes, kind: str) -> Columns:
    """The columns of a file of this kind.

    Raises ValueError for one that is damaged, ModuleNotFoundError where the extra that reads it is missing.
    """
    readers: dict[str, Callable[[bytes], Columns]]
    readers = {".parquet": _parquet, ".feather": _feather, ".arff": _arff}
    try:
        found = readers[kind](data)
    except ModuleNotFoundError:
        extra = "arff" if kind == ".arff" else "parquet"
        raise ModuleNotFoundError(
            f"{kind} files need the extra {extra}: pip install 'minilstm[{extra}]'"
        ) from None
    except Exception as error:  # what these libraries raise for a damaged file has many types
        if type(error) is ValueError:
            raise
        raise ValueError(f"cannot be read as {kind}: {' '.join(str(error).split())[:200]}") from None
    if not found or not next(iter(found.values())):
        raise ValueError("has no rows")
    return found


def has_lists(columns: Columns) -> bool:
    """Whether a column holds lists: then each row has a sequence."""
    return any(isinstance(value, list) for values in columns.values() for value in values)


def check_no_structs(columns: Columns) -> None:
    """ValueError that names a column of structs or maps, of which no cell could be made."""
    for name, values in columns.items():
        if any(isinstance(value, (dict, tuple)) for value in values):
            raise ValueError(
                f"column {name!r} holds structs or maps, which are not read: make a column of each field"
            )


def as_cell(value: Any) -> str:
    """What would stand in a .csv; "" for what is missing.

    >>> [as_cell(value) for value in (0.1, None, True, float("nan"), b"a")]
    ['0.1', '', 'True', '', 'a']
    """
    if is_missing(value):
        return ""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise ValueError(f"has bytes that are no text in UTF-8: {value[:20]!r}") from None
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _parquet(data: bytes) -> Columns:
    from pyarrow import BufferReader, parquet

    file = parquet.ParquetFile(BufferReader(data))
    groups = [file.metadata.row_group(k) for k in range(file.metadata.num_row_groups)]
    needed = max(sum(group.total_byte_size for group in groups), 8 * file.metadata.num_rows)
    if needed > max(SMALL, MOST * len(data)):
        raise ValueError(f"takes {needed} bytes, more than {MOST} times the file's size: not read")
    return _of_arrow(file.read())


def _feather(data: bytes) -> Columns:
    from pyarrow import BufferReader, feather

    return _of_arrow(feather.read_table(BufferReader(data)))


def _of_arrow(table: Any) -> Columns:
    table.validate(full=True)  # of a damaged .feather pyarrow reads memory that is not there
    names = list(table.column_names)
    if len(set(names)) < len(names):
        raise ValueError("column names must differ from each other")
    return {name: table.column(k).to_pylist() for k, name in enumerate(names)}


def _arff(data: bytes) -> Columns:
    from scipy.io import arff

    text = data.decode("utf-8-sig")
    if next((line for _, line in _arff_rows(text)), "").startswith("{"):
        raise ValueError("has sparse rows, as {0 1.5, 4 a}, which are not read: write every value")
    try:
        rows, meta = arff.loadarff(io.StringIO(_unquoted(text)))
    except NotImplementedError as error:
        raise ValueError(
            f"attributes that are numbers, dates or nominal are read, not others ({error}); "
            "sequences of several features stand in a .ts"
        ) from None
    found = {}
    _check_rows(text, len(meta.names()))
    for name in meta.names():
        values = rows[name].tolist()
        found[name.strip()] = [None if value == b"?" else value for value in values]
    return found


def _unquoted(text: str) -> str:
    """The same without quotes around values, as of 'a b', which SciPy takes for parts of the value."""
    at = DATA.search(text)
    return text if at is None else text[: at.end()] + PLAIN.sub(r"\1\2\4", text[at.end() :])


def _arff_rows(text: str) -> Iterator[tuple[int, str]]:
    """The lines behind @data, and their numbers, but blank ones and comments."""
    lines = iter(enumerate(text.split("\n"), 1))
    any(line.strip().lower() == "@data" for _, line in lines)  # goes on behind it
    yield from ((n, line.strip()) for n, line in lines if line.strip() and not line.startswith("%"))


def _check_rows(text: str, attributes: int) -> None:
    """ValueError for a row with more values than attributes, which SciPy drops, or with rounded numbers."""
    for number, line in _arff_rows(text):
        if "," not in line:
            continue  # blanks between
        values = QUOTED.sub("x", line).split(",")
        if len(values) != attributes:
            raise ValueError(
                f"line {number} has {len(values)} values, the header has {attributes} attributes"
            )
        for value in values:
            if WHOLE.fullmatch(value.strip()) and is_rounded(value, float(value)):
                raise ValueError(f"line {number}: expected {EXPECTED}, got {value.strip()[:40]}")
