"""Intervals and errors of a mean or a share, from one number per sample."""

from __future__ import annotations

import math

import numpy as np

from minilstm.bptt.cell import Array

CONFIDENCE = 0.95


def wilson(right: Array) -> tuple[float, float]:
    """95 % interval of a share, from one True or 1.0 per success (Wilson 1927, as in scipy)."""
    from scipy.stats import binomtest

    found = binomtest(int(np.sum(right)), len(right)).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def student(values: Array) -> tuple[float, float]:
    """95 % interval of a mean, Student's t; (nan, nan) from fewer than two values."""
    from scipy.stats import t

    if len(values) < 2:
        return math.nan, math.nan
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * standard_error(values)
    mean = float(np.mean(values))
    return mean - half, mean + half


def standard_error(values: Array) -> float:
    """Standard deviation / sqrt(n); nan from fewer than two values."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan
