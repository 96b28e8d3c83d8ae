"""Check and convert what users hand to models and layers, once, at the public edge.

Anything numeric that NumPy can turn into an array is accepted and converted to the model's dtype;
the caller's arrays are never written to. What cannot be meant is refused before any work, with the
argument, what was expected and what came.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minilstm.foundations.arrays import Array, numeric_array
from minilstm.foundations.errors import wording


def batch(x: Any, input_shape: tuple[int | None, ...] | None, dtype: np.dtype[Any]) -> Array:
    """`x` as (batch, ...) of `dtype`, with Keras's repair of a missing or extra last axis of 1.

    The length of the time axis may differ from `input_shape`, as in Keras. Non-finite values are
    looked for later, in `check_finite`, once the mask is known.
    """
    array = numeric_array("x", x)
    if input_shape is not None:
        rank = len(input_shape) + 1
        if array.ndim == rank - 1 and rank == 3 and input_shape[-1] == 1:
            array = array[..., None]
        elif array.ndim == rank + 1 and array.shape[-1] == 1:
            array = array[..., 0]
        if array.ndim != rank or (rank == 3 and input_shape[-1] not in (None, array.shape[-1])):
            shape = ("batch", *("any" if size is None else size for size in input_shape))
            raise ValueError(wording("x", f"of shape ({', '.join(map(str, shape))})", array.shape))
    elif array.ndim not in (2, 3):
        raise ValueError(wording("x", "(batch, time, features)", f"shape {array.shape}"))
    if 0 in array.shape[1:]:
        what = "time steps" if array.shape[1] == 0 else "features"
        raise ValueError(wording("x", f"of at least 1 of its {what}", f"0 {what}"))
    if array.dtype == dtype:
        return np.ascontiguousarray(array)
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype)


def token_ids(x: Any) -> Array:
    """`x` as (batch, time) of numbers, for an Embedding."""
    array = numeric_array("x", x)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(wording("x", "(batch, time) of whole numbers, at least 1 step", array.shape))
    return array


def check_token_ids(array: Array, rows: int, mask: Array | None) -> Array:
    """`array` as whole numbers 0 .. rows - 1; a masked step may hold anything, and becomes 0."""
    if mask is not None:
        array = np.where(mask, array, 0)
    with np.errstate(invalid="ignore"):  # beyond int64: not equal to what came
        ids = array.astype(np.int64) if np.isfinite(array).all() else None
    if ids is None or (ids != array).any():
        raise ValueError(wording("x", "of whole numbers", "fractions, NaN or Inf"))
    if ids.size and (ids.min() < 0 or ids.max() >= rows):
        where = np.argwhere((ids < 0) | (ids >= rows))[0]
        got = f"{ids[tuple(where)]} at {where.tolist()}"
        raise ValueError(wording("x", f"of ids 0 .. {rows - 1}", got))
    return ids


def check_finite(argument: str, array: Array, mask: Array | None = None) -> None:
    """Raise ValueError where a real step holds NaN or Inf; a masked step may hold anything.

    >>> check_finite("x", np.array([[[0.0], [np.nan]]]))
    Traceback (most recent call last):
    ValueError: x must be finite, got NaN at [0, 1, 0] (1 of 2 values)
    """
    finite = np.isfinite(array)
    if finite.all():
        return
    bad = ~finite if mask is None else ~finite & mask[..., None]
    if bad.any():
        where = np.argwhere(bad)[0]
        value = "NaN" if np.isnan(array[tuple(where)]) else "Inf"
        got = f"{value} at {where.tolist()} ({bad.sum()} of {array.size} values)"
        raise ValueError(wording(argument, "finite", got))


def check_same_length(x: Array, y: ArrayLike) -> None:
    """Raise ValueError where x and y have different numbers of samples.

    >>> check_same_length(np.zeros((2, 5, 1)), [0, 1, 0])
    Traceback (most recent call last):
    ValueError: x and y must be of the same length, got 2 and 3
    """
    try:
        count = len(y)  # type: ignore[arg-type]
    except TypeError:
        expected, got = "an array with one entry per sample", f"a {type(y).__name__} without a length"
        raise ValueError(wording("y", expected, got)) from None
    if len(x) != count:
        raise ValueError(wording("x and y", "of the same length", f"{len(x)} and {count}"))


def sample_weight(value: Any, output_shape: tuple[int, ...], mask: Array | None = None) -> Array:
    """`value` as one finite float64 per row of the loss: (B,), or (B, T) for outputs (B, T, C).

    (B, 1) is taken too; for outputs (B, T, C) it weighs all steps of a sample alike. (B,) is not: Keras
    would take it for weights of time steps. A masked step may hold anything, and becomes 0.

    >>> sample_weight([1.0, 2.0], (2, 3, 1))
    Traceback (most recent call last):
    ValueError: sample_weight must be of shape (2, 3) or (2, 1), got (2,)
    """
    weight, rows = numeric_array("sample_weight", value), output_shape[:-1]
    shapes = (rows, (rows[0], 1))
    if weight.shape not in shapes:
        expected = " or ".join(str(shape) for shape in shapes)
        raise ValueError(wording("sample_weight", f"of shape {expected}", weight.shape))
    if len(rows) == 1:
        weight = weight.reshape(rows)
    weight = np.broadcast_to(weight, rows).astype(np.float64)
    if mask is not None:
        weight = np.where(mask, weight, 0)
    check_finite("sample_weight", weight)
    return weight


def checked_mask(mask: ArrayLike, shape: tuple[int, ...]) -> Array:
    """`mask` as bool (B, T); ValueError or TypeError where shape or values are wrong."""
    array = numeric_array("mask", mask)
    if array.shape != tuple(shape):
        raise ValueError(wording("mask", f"of shape {tuple(shape)} (batch, time)", array.shape))
    if array.dtype.kind != "b" and not np.isin(array, (0, 1)).all():
        bad = array[~np.isin(array, (0, 1))].flat[0]
        raise ValueError(wording("mask", "of True and False (or 1 and 0)", bad))
    return array.astype(bool)
