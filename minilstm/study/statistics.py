"""Intervals and errors of a mean, a share or a slope, from one number per sample or point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from minilstm.foundations.arrays import Array

CONFIDENCE = 0.95
NORMAL = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)  # standard errors in half an interval


def wilson(right: Array) -> tuple[float, float]:
    """95 % interval of a share, from one True or 1.0 per success (Wilson 1927).

    >>> [round(edge, 3) for edge in wilson(np.array([1.0] * 8 + [0.0] * 2))]
    [0.49, 0.943]
    """
    n, successes = len(right), int(np.sum(right))
    p, z = successes / n, NORMAL
    center = (2 * n * p + z**2) / (2 * (n + z**2))
    half = z * math.sqrt(4 * n * p * (1 - p) + z**2) / (2 * (n + z**2))
    return center - half if successes > 0 else 0.0, center + half if successes < n else 1.0


def share_error(right: Array) -> float:
    """Standard error of a share, from the longer arm of its Wilson interval: never 0, however few there are.

    >>> round(share_error(np.ones(15)), 3), round(share_error(np.arange(1000) < 900), 4)
    (0.104, 0.0103)
    """
    share = float(np.mean(right))
    low, high = wilson(right)
    return max(share - low, high - share) / NORMAL


def difference(
    first: tuple[float, float, float], second: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Second minus first, each (value, low, high), and the interval of that, from the two intervals.

    Source: Newcombe, Interval estimation for the difference between independent proportions, Statistics in
    Medicine 17, 1998, method 10 where the two are Wilson's; Zou and Donner, ibid. 27, 2008, for any two.

    >>> a, b = np.arange(80) < 48, np.arange(70) < 56
    >>> found = difference((a.mean(), *wilson(a)), (b.mean(), *wilson(b)))
    >>> [round(float(number), 4) for number in found]
    [0.2, 0.0524, 0.3339]
    """
    (a, a_low, a_high), (b, b_low, b_high) = first, second
    return b - a, b - a - math.hypot(b - b_low, a_high - a), b - a + math.hypot(b_high - b, a - a_low)


def student(values: Array) -> tuple[float, float]:
    """95 % interval of a mean, Student's t; (nan, nan) from fewer than two values."""
    if len(values) < 2:
        return math.nan, math.nan
    half = t_quantile(len(values) - 1) * standard_error(values)
    mean = float(np.mean(values))
    return mean - half, mean + half


def standard_error(values: Array) -> float:
    """Standard deviation / sqrt(n); nan from fewer than two values."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


@cache
def t_quantile(free: int) -> float:
    """x with P(|t| < x) = 95 % for Student's t with `free` degrees of freedom.

    With x = sqrt(free) tan(a) the probability is a finite sum of powers of cos(a); a by bisection.
    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.

    >>> round(t_quantile(1), 3), round(t_quantile(10), 3)
    (12.706, 2.228)
    """
    odd = free % 2
    k = np.arange(1, (free - odd) // 2)
    factors = np.append(1.0, np.cumprod(2 * k / (2 * k + 1) if odd else (2 * k - 1) / (2 * k)))
    powers = 2 * np.arange(len(factors)) + odd

    def probability(a: float) -> float:
        terms = math.sin(a) * float(factors @ math.cos(a) ** powers)
        return 2 / math.pi * (a + terms * (free > 1)) if odd else terms

    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if probability(middle) < CONFIDENCE else (low, middle)
    return math.sqrt(free) * math.tan(low)


class Line(NamedTuple):
    """A straight line through points by least squares."""

    intercept: float
    slope: float
    r_squared: float
    slope_error: float  # standard error of the slope; nan from two points


def line(x: Sequence[float], y: Sequence[float]) -> Line:
    """The line through (x, y), of which two x differ at least.

    >>> line([0, 1, 2], [1, 3, 5])
    Line(intercept=1.0, slope=2.0, r_squared=1.0, slope_error=0.0)
    """
    (xx, xy), (_, yy) = np.cov(x, y, bias=True).tolist()
    slope, free = xy / xx, len(x) - 2
    r_squared = min(1.0, xy**2 / (xx * yy)) if yy else 0.0
    error = math.sqrt((1 - r_squared) * yy / xx / free) if free else math.nan
    return Line(float(np.mean(y) - slope * np.mean(x)), slope, r_squared, error)
