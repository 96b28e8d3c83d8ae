"""Whole numbers that float64 does not hold, as long ids and times in nanoseconds: they would be rounded."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np

from minilstm.foundations.arrays import Array

EXACT = 2**53  # whole numbers below this are in float64
EXPECTED = "numbers that float64 holds exactly (whole ones up to 2^53)"


def is_rounded(text: str, number: float) -> bool:
    """Whether `number`, finite, is not the one that is written, beyond what digits behind a point lose.

    >>> is_rounded("9007199254740993", 9007199254740993.0), is_rounded("0.1", 0.1), is_rounded("1e20", 1e20)
    (True, False, False)
    """
    if abs(number) < EXACT or "e" in text.lower():
        return False
    return Decimal(text.strip()) != Decimal(number)


def rounded(given: Any, array: Array) -> int | None:
    """The first whole number of `given` that its float64 `array` does not hold; None where there is none.

    >>> rounded([[2**53, 2**53 + 1]], np.array([[2.0**53, 2.0**53]]))
    9007199254740993
    >>> rounded([0.5, 1e20], np.array([0.5, 1e20]))
    """
    if not (np.abs(array) >= EXACT).any():
        return None
    values = given if isinstance(given, (list, tuple)) else np.asarray(given).tolist()
    return next((one for one in _whole(values) if int(float(one)) != one), None)


def _whole(values: Any) -> Iterator[int]:
    for value in values if isinstance(values, (list, tuple)) else [values]:
        if isinstance(value, (int, np.integer)):
            yield int(value)
        elif isinstance(value, (list, tuple)):
            yield from _whole(value)
        elif isinstance(value, np.ndarray):
            yield from _whole(value.tolist())
