"""Norms that neither overflow nor underflow, and the count of steps back from the end of a sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

DOT = 8_192  # longest dot product: longer ones lose digits in float32, and BLAS may split them over threads


def norm(values: Array, axis: tuple[int, ...] | None = None) -> Array:
    """L2 norm over `axis`, or over everything, in float64.

    Scaled by the largest entry before squaring, so that 1e-200 is a number; nan or inf where an entry is.

    >>> norm(np.array([3e-200, 4e-200])).item()
    5e-200
    """
    values = values.astype(np.float64, copy=False)
    axis = tuple(range(values.ndim)) if axis is None else axis
    largest = np.abs(values).max(axis=axis, keepdims=True, initial=0)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        root = np.sqrt(((values / scale) ** 2).sum(axis=axis))
        found: Array = root * scale.reshape(root.shape)
    return found


def norms_along(axis: int, values: Array) -> list[float]:
    """Norms over all axes but one of float64 values: few passes, and no bit depends on threads.

    >>> norms_along(0, np.array([[3e-200, 4e-200], [3, 4]]))
    [5e-200, 5.0]
    """
    axes = list(range(values.ndim))
    squares = np.einsum(values, axes, values, axes, [axis]).tolist()
    if all(1e-270 < square < math.inf for square in squares):
        return [math.sqrt(square) for square in squares]
    found: list[float] = norm(values, tuple(k for k in axes if k != axis)).tolist()
    return found


def vector_norm(values: Array) -> float:
    """The L2 norm of one array, in its own dtype: quick, squares do not overflow, no bit depends on threads.

    >>> vector_norm(np.array([3e-200, 4e-200]))
    5e-200
    """
    flat = values.ravel()
    square = 0.0
    for start in range(0, flat.size, DOT):
        part = flat[start : start + DOT]
        square += float(np.dot(part, part))
    if 1e-20 < square < math.inf:
        return math.sqrt(square)
    largest = float(np.abs(flat).max(initial=0))  # too small, too large or not a number: scale first
    if largest == 0 or not math.isfinite(largest):
        return largest
    scaled = flat.astype(np.float64) / largest
    return largest * math.sqrt(float((scaled * scaled).sum()))


def lags(real: Array) -> Array:
    """(B, T) whole numbers: how many real steps follow in the same sample; -1 at masked steps.

    >>> lags(np.array([[True, True, False, True, False]])).tolist()
    [[2, 1, -1, 0, -1]]
    """
    after = np.cumsum(real[:, ::-1], axis=1)[:, ::-1] - 1
    return np.where(real, after, -1)


def lag_table(per_sample: Array, real: Array) -> Array:
    """Values per sample and step (B, T), counted back from each sample's last real step: (B, L).

    L is the length of the longest sample; nan where a sample is shorter.

    >>> lag_table(np.array([[1.0, 3.0], [4.0, 0.0]]), np.array([[True, True], [True, False]])).tolist()
    [[3.0, 1.0], [4.0, nan]]
    """
    lag = lags(real)
    found = np.full((len(real), int(lag.max(initial=-1)) + 1), np.nan)
    found[np.nonzero(real)[0], lag[real]] = per_sample[real]
    return found


def by_lag(per_sample: Array, real: Array) -> Array:
    """Norms per sample and step (B, T), pooled over the samples at each lag: (L,), L the longest sample.

    >>> by_lag(np.array([[1.0, 3.0], [4.0, 0.0]]), np.array([[True, True], [True, False]])).tolist()
    [5.0, 1.0]
    """
    lag = lags(real)
    return np.array([norm(per_sample[lag == k]) for k in range(int(lag.max(initial=-1)) + 1)])


class StepNorms(NamedTuple):
    """What is kept of a backward pass where only norms are wanted."""

    steps: Array
    """(states + n, T, parts) float64, of dL/dh_t, (dL/dc_t,) and dL/dz_t gate by gate: of each sample where
    there is a mask; without one some samples together may be a part"""
    db: Array
    """(n, B, H): each sample's own gradient of the bias, the sum of its dz over time"""


def step_norms(dz: Array, dstates: tuple[Array, ...]) -> StepNorms:
    """The norms of one segment, by sample: dz (S, b, nH), dstates (S, b, H) each."""
    S, b, H = dstates[0].shape
    gates = dz.reshape(S, b, -1, H).transpose(2, 0, 1, 3)  # (n, S, b, H)
    steps = [*(over_units(part) for part in dstates), *over_units(gates)]
    return StepNorms(np.stack(steps), gates.sum(axis=1))


def join_norms(chunks: Sequence[Sequence[StepNorms]]) -> StepNorms:
    """Norms of [chunk of the batch][segment of time] as those of the whole; db in float64."""
    if len(chunks[0]) > 1:
        chunks = [[_join_segments(chunk)] for chunk in chunks]
    return StepNorms(
        np.concatenate([chunk.steps for (chunk,) in chunks], axis=2),
        np.concatenate([chunk.db for (chunk,) in chunks], axis=1, dtype=np.float64),
    )


def _join_segments(segments: Sequence[StepNorms]) -> StepNorms:
    db = [segment.db for segment in segments]
    return StepNorms(
        np.concatenate([segment.steps for segment in segments], axis=1), np.add.reduce(db, dtype=np.float64)
    )


def over_units(values: Array, wide: bool = True) -> Array:
    """Norm over the last axis, in float64; without a product that a BLAS would spread over its own threads.

    wide : float64 values may have squares beyond its range; norms of float32 values have not.

    >>> [f"{norm:.6g}" for norm in over_units(np.array([[3e-30, 4e-30], [3, 4]], "float32"))]
    ['5e-30', '5']
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        squares = np.einsum("...k,...k->...", values, values, dtype=np.float64)
    found: Array = np.sqrt(squares)
    if (
        wide and values.dtype == np.float64
    ):  # every square of a float32 fits; here some may have left the range
        unsafe = (squares < 1e-270) | (squares == np.inf)
        if unsafe.any() and (rows := values[unsafe]).any():  # zeros are common, and right already
            found = np.array(found)
            found[unsafe] = norm(rows, (1,))
    return found
