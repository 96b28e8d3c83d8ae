"""Arrays: the type of all of them, and what a user gives for one.

Shapes stand in comments, in the letters of `bptt.cell`.
"""

from __future__ import annotations

from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minilstm.foundations.errors import shown, wording

Array = NDArray[Any]  # any dtype, any shape

RAGGED = "a rectangular array", "sequences of different lengths: use pad_sequences"


def plain_array(argument: str, value: Any) -> Array:
    """`value` as an array of any dtype; ValueError where its rows are of different lengths.

    >>> plain_array("x", ["a", "b"]).shape
    (2,)
    """
    try:
        return np.asarray(value)
    except ValueError:  # NumPy's text speaks of an "inhomogeneous shape"
        raise ValueError(wording(argument, *RAGGED)) from None


def is_sparse(value: Any) -> bool:
    """Whether this is a sparse matrix of SciPy: it has no length, and NumPy takes it for one object."""
    return hasattr(value, "toarray") and hasattr(value, "nnz")


def numeric_array(argument: str, value: Any) -> Array:
    """`value` as an array of real numbers of any numeric dtype; of a table, its rows by position.

    >>> numeric_array("x", [[1, 2], [3, 4]]).shape
    (2, 2)
    """
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(wording(argument, "a plain array", "a masked array: pass mask= instead"))
    if is_sparse(value):
        raise TypeError(wording(argument, "a plain array", "a sparse one: its toarray() makes one"))
    if hasattr(value, "columns"):  # a table of pandas, polars, pyarrow
        return _of_columns(argument, value)
    array = plain_array(argument, value)
    if array.dtype.kind == "O":
        if any(np.ndim(part) for part in array.flat):
            if len({np.shape(part) for part in array.flat}) > 1:
                raise ValueError(wording(argument, *RAGGED))
            whole = plain_array(argument, array.tolist())
            if whole.shape != array.shape:  # a Series of arrays, all of one shape
                return numeric_array(argument, whole)
        if array.size and all(isinstance(part, (Real, Decimal)) for part in array.flat):
            try:
                array = array.astype(np.float64)
            except OverflowError:
                expected = "an array of numbers that float64 can hold"
                raise ValueError(wording(argument, expected, "a whole number of more digits")) from None
    if array.dtype.kind not in "fiub":
        raise TypeError(wording(argument, "an array of real numbers", f"dtype {array.dtype}"))
    return array


def is_missing(value: Any) -> bool:
    """Whether this stands for no value: None, NaN, NaT, pandas.NA.

    >>> [is_missing(value) for value in (None, float("nan"), 0, "")]
    [True, True, False, False]
    """
    if value is None:
        return True
    try:
        return np.ndim(value) == 0 and bool(value != value)
    except TypeError:  # pandas.NA is neither true nor false
        return True


def rows_of(argument: str, value: Any) -> Any:
    """`value`, or its rows by position where it is a table or a Series, whose index is not looked at.

    >>> rows_of("x", [[1, 2], [3]])
    [[1, 2], [3]]
    """
    if hasattr(value, "columns"):
        return numeric_array(argument, value)
    try:
        iter(value)
    except TypeError:
        raise TypeError(wording(argument, "a list of sequences", shown(value))) from None
    return list(value) if hasattr(value, "iloc") else value


def _of_columns(argument: str, table: Any) -> Array:
    """The columns of a table side by side; TypeError that names the first that holds no numbers."""
    names = list(getattr(table, "column_names", table.columns))
    found = []
    for k, name in enumerate(names):
        column = table.iloc[:, k] if hasattr(table, "iloc") else table[name]
        try:
            found.append(numeric_array(argument, column))
        except (TypeError, ValueError):
            expected = "of numbers (sequences of different lengths: use pad_sequences)"
            dtype = column.dtype if hasattr(column, "dtype") else column.type
            raise TypeError(wording(f"column {name!r} of {argument}", expected, f"dtype {dtype}")) from None
    return np.stack(found, axis=1) if found else np.asarray(table, np.float64)
