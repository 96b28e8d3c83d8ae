"""Lags: real steps counted back from the end of each sample, so that padding blurs nothing."""

from __future__ import annotations

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import real_number
from minilstm.foundations.norms import norm


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


def reach(norms: Array, threshold: float) -> float:
    """1 + the largest lag whose norm is `threshold` of the largest; 0 if all are zero, nan if one is nan.

    >>> reach(np.array([8.0, 4.0, 2.0, 1.0]), 0.25)
    3
    """
    threshold = real_number("threshold", threshold, above=True, below=1.0)
    if np.isnan(norms).any():
        return float("nan")
    if not norms.any():
        return 0
    return int(1 + np.nonzero(norms >= threshold * norms.max())[0].max())
