"""The few error types of minilstm, and one wording for "argument, expected, got".

Arguments are checked at the public edge, before any work, with the helpers of this file. It is not
a validation framework: each helper returns the checked value or raises, and nothing more.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from minilstm.arrays import Array

__all__ = ["NonFiniteError", "PaddingWarning", "WeightsFileError"]


class NonFiniteError(ArithmeticError):
    """Training met a loss or a gradient that is NaN or infinite.

    origin : the `minilstm.trace.nonfinite.Origin` of the first such value, where it was found; otherwise None
    """

    def __init__(self, message: str, origin: Any = None) -> None:
        super().__init__(message)
        self.origin = origin


class PaddingWarning(UserWarning):
    """`pad_sequences` gave Keras's result, and that result lost some of the data."""


class WeightsFileError(ValueError):
    """A file of weights cannot be read: damaged, foreign, hostile, newer, or of another model.

    `path` is the file, `reason` says what is wrong with it. Nothing of the file was used.
    """

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = str(path), reason

    def __reduce__(self) -> tuple[type[WeightsFileError], tuple[str, str]]:
        return type(self), (self.path, self.reason)


def wording(argument: str, expected: str, got: object) -> str:
    """The one sentence every error uses.

    >>> wording("units", "a whole number >= 1", 0)
    'units must be a whole number >= 1, got 0'
    """
    return f"{argument} must be {expected}, got {got}"


def whole_number(argument: str, value: Any, minimum: int = 1) -> int:
    """`value` as an int that is at least `minimum`; TypeError or ValueError otherwise.

    >>> whole_number("units", 64)
    64
    """
    expected = f"a whole number >= {minimum}"
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(wording(argument, expected, repr(value)))
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(wording(argument, expected, repr(value))) from None
    if number < minimum:
        raise ValueError(wording(argument, expected, number))
    return number


def real_number(
    argument: str, value: Any, minimum: float = 0.0, *, above: bool = False, below: float = np.inf
) -> float:
    """`value` as a finite float, `minimum <= value < below` (`minimum < value` if `above`).

    >>> real_number("learning_rate", 1e-3, above=True)
    0.001
    """
    expected = f"a finite number {'>' if above else '>='} {minimum:g}"
    if below < np.inf:
        expected += f" and < {below:g}"
    if isinstance(value, (bool, np.bool_, str, bytes)):
        raise TypeError(wording(argument, expected, repr(value)))
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(wording(argument, expected, repr(value))) from None
    if not (minimum < number if above else minimum <= number) or not number < below:
        raise ValueError(wording(argument, expected, number))
    return number


def one_of(argument: str, value: Any, choices: Iterable[str]) -> str:
    """`value` if it is one of `choices`; ValueError otherwise.

    >>> one_of("padding", "pre", ["pre", "post"])
    'pre'
    """
    choices = list(choices)
    if value not in choices:
        expected = " or ".join(repr(choice) for choice in choices)
        raise ValueError(wording(argument, expected, repr(value)))
    return str(value)


def numeric_array(argument: str, value: Any) -> Array:
    """`value` as an array of real numbers of any numeric dtype.

    >>> numeric_array("x", [[1, 2], [3, 4]]).shape
    (2, 2)
    """
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(wording(argument, "a plain array", "a masked array: pass mask= instead"))
    try:
        array = np.asarray(value)
    except ValueError:
        got = "sequences of different lengths: use pad_sequences"
        raise ValueError(wording(argument, "a rectangular array", got)) from None
    if array.dtype.kind not in "fiub":
        raise TypeError(wording(argument, "an array of real numbers", f"dtype {array.dtype}"))
    return array


def fail(message: str, code: int) -> int:
    """For commands: the message as one line on stderr; the exit code."""
    print(f"minilstm: error: {' '.join(message.split())}", file=sys.stderr)
    return code


def in_words(error: BaseException) -> str:
    """What an exception says, with the file that an OSError is about."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or type(error).__name__
