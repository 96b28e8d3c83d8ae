"""Files whose columns have types: .parquet and .feather, which pyarrow reads, and .arff, which SciPy does.

A table becomes the cells of a .csv, or the objects of a .jsonl where a column holds lists (`read`).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from minilstm.arrays import is_missing
from minilstm.datasets.arrays import MOST, SMALL

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

    try:
        rows, meta = arff.loadarff(io.StringIO(data.decode("utf-8-sig")))
    except NotImplementedError as error:
        raise ValueError(
            f"attributes that are numbers, dates or nominal are read, not others ({error}); "
            "sequences of several features stand in a .ts"
        ) from None
    found = {}
    for name in meta.names():
        values = rows[name].tolist()
        found[name.strip()] = [None if value == b"?" else value for value in values]
    return found
