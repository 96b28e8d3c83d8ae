"""Norms that neither overflow nor underflow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minilstm.foundations.arrays import Array

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


class StepNorms(NamedTuple):
    """What is left of a backward pass where only norms are wanted, L2 over the units."""

    steps: Array
    """(states + n, T, B) float64: of dL/dh_t, dL/dc_t of an LSTM, and dL/dz_t gate by gate. Where there is no
    mask, the compiled engine may give one norm for all samples of a chunk: fewer columns than B"""
    db: Array
    """(n, B, H): each sample's own gradient of the bias, the sum of its dz over time"""


def step_norms(dz: Array, dstates: tuple[Array, ...]) -> StepNorms:
    """The norms of one segment, by sample: dz (S, B, nH), dstates (S, B, H) each."""
    S, B, H = dstates[0].shape
    gates = dz.reshape(S, B, -1, H).transpose(2, 0, 1, 3)  # (n, S, B, H)
    steps = [*(over_units(part) for part in dstates), *over_units(gates)]
    return StepNorms(np.stack(steps), gates.sum(axis=1))


def join_norms(chunks: Sequence[Sequence[StepNorms]]) -> StepNorms:
    """Norms of [chunk of the batch][segment of time] as those of the whole; db in float64."""
    steps = [np.concatenate([part.steps for part in segments], axis=1) for segments in chunks]
    db = [np.add.reduce([part.db for part in segments], dtype=np.float64) for segments in chunks]
    return StepNorms(np.concatenate(steps, axis=2), np.concatenate(db, axis=1))
