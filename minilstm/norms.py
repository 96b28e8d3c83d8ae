"""Norms that neither overflow nor underflow, and the count of steps back from the end of a sample."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


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
