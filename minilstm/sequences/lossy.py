"""What a conversion to another dtype has changed: counted, and never raising."""

from __future__ import annotations

import reprlib
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minilstm.foundations.arrays import Array

Mask = NDArray[np.bool_]


@dataclass
class Losses:
    """Counts the values that a conversion to the result's dtype has changed."""

    total: int = 0
    changed: int = 0
    first: int = -1  # the first sequence with a changed value
    value: str = ""  # how the padding value is written, if it changed
    keepers: set[np.dtype[Any]] = field(default_factory=set)  # dtypes that would have kept the values
    _waiting: list[tuple[Any, Array, int]] = field(default_factory=list)

    def add(self, values: Any, stored: Array, b: int, sure: bool = False) -> None:
        """Compare the steps of sequence `b` with what the result holds of them, if that is not `sure`.

        Usual numbers as floats wait for `look`, which can tell of all at once that nothing was lost.
        """
        self.total += stored.size
        if sure or (type(values) is np.ndarray and values.dtype == stored.dtype):
            return
        if stored.dtype.kind == "f" and _are_usual(values):
            self._waiting.append((values, stored, b))
        elif not _are_equal_integers(values, stored):
            self._count(values, stored, b)

    def look(self, out: Array) -> None:
        """Compare what waits, of which `out` is the result."""
        if self._waiting:
            # Below this limit no integer was rounded, and no float became infinite.
            limit = 2.0 ** (np.finfo(out.dtype).nmant + 1)
            if not (-limit < out.min(initial=0) and out.max(initial=0) < limit):
                for values, stored, b in self._waiting:
                    self._count(values, stored, b)
            self._waiting.clear()

    def _count(self, values: Any, stored: Array, b: int) -> None:
        changed = self._compare(values, stored)
        if changed and not 0 <= self.first <= b:
            self.first = b
        self.changed += changed

    def add_value(self, value: Any, dtype: np.dtype[Any]) -> None:
        """Compare the padding value with what `dtype` makes of it."""
        with suppress(Exception), np.errstate(over="ignore", invalid="ignore"):  # never raises, as `_changed`
            if self._compare(value, np.full(np.shape(value), value, dtype=dtype)):
                self.value = reprlib.repr(value)

    def _compare(self, values: Any, stored: Array) -> int:
        changed, keeper = _changed(values, stored)
        if changed:
            self.keepers.add(keeper)
        return changed

    def __bool__(self) -> bool:
        return self.changed > 0 or self.value != ""

    def message(self, dtype: np.dtype[Any]) -> str:
        where = f" (first in sequences[{self.first}])" if self.changed else ""
        value = f" and the padding value {self.value}" if self.value else ""
        keeper = np.result_type(*self.keepers)
        # Keras's rule for strings wants the type itself, so the advice is object without quotes.
        advice = "dtype=object" if keeper.hasobject else f'dtype="{keeper}"'
        return (
            f"pad_sequences changed {self.changed} of {self.total} values{where}{value} "
            f"to fit dtype {dtype}; {advice} keeps them"
        )


def _are_usual(values: Any) -> bool:
    """Whether they are numbers of NumPy, or look like a list of Python's."""
    if type(values) is np.ndarray:
        return values.dtype.kind in "fiu"
    return type(values) is list and bool(values) and type(values[0]) in (int, float)


def _are_equal_integers(values: Any, stored: Array) -> bool:
    if type(values) is not np.ndarray or values.dtype.kind + stored.dtype.kind not in ("ii", "uu"):
        return False
    return bool(np.logical_and.reduce(values == stored, axis=None))


def _changed(values: Any, stored: Array) -> tuple[int, np.dtype[Any]]:
    """How many of `values` are not what `stored` says, and a dtype that would have kept them.

    Never raises: values that cannot be compared as numbers or text count as unchanged.
    """
    kind = stored.dtype.kind
    try:
        with np.errstate(all="ignore"):
            if kind in "SU":
                full = np.asarray(values, dtype=kind)  # without a width: as wide as the text needs
                return int(np.count_nonzero(full != stored)), np.dtype(object)
            if kind in "biufc":  # objects are kept as they are; dates and records are not looked into
                numbers = _as_numbers(values)
                changed = int(np.count_nonzero(_differs(numbers, stored)))
                return changed, _keeper(numbers) if changed else stored.dtype
    except Exception:  # any object may stand in a sequence, and its conversion may raise anything
        if kind == "b":  # text and other objects as booleans: nothing is left of them
            return stored.size, np.dtype(object)
    return 0, stored.dtype


def _as_numbers(values: Any) -> Array:
    """`values` in NumPy's own choice of dtype; text and objects are read as numbers."""
    numbers = np.asarray(values)
    if numbers.dtype.kind in "OSU":  # "1.5", Fraction(1, 3), None (NumPy's NaN)
        numbers = numbers.astype(np.complex128)
        if not np.nan_to_num(numbers.imag).any():
            numbers = numbers.real
    return numbers


def _differs(before: Array, after: Array) -> Mask:
    """Where `after` is another number than `before`; rounding a float to a shorter float is not."""
    kinds = before.dtype.kind + after.dtype.kind
    differs: Mask
    if kinds[0] == "c" and kinds[1] != "c":
        differs = (before.imag != 0) | _differs(before.real, after)
    elif kinds in ("ff", "fc", "cc"):
        differs = np.isfinite(before) & ~np.isfinite(after)
    elif kinds in ("if", "uf", "ic", "uc"):
        differs = ~_exactly_equal(before, after.real)
    elif kinds in ("fi", "fu"):
        differs = ~_exactly_equal(after, before)
    else:  # integers and booleans, or a float as a boolean: `!=` is exact
        differs = np.not_equal(before, after)
    return differs


def _exactly_equal(integers: Array, floats: Array) -> Mask:
    """Elementwise equality in which no side is rounded (`==` takes 2**53 + 1 to float64 first)."""
    signed = integers.dtype.kind == "i"
    limit = 2.0 ** (8 * integers.dtype.itemsize - signed)
    floats = floats.astype(np.result_type(floats, np.float64))
    inside = (floats >= (-limit if signed else 0.0)) & (floats < limit)  # False for NaN
    equal: Mask = inside & (floats == np.trunc(floats)) & (floats.astype(integers.dtype) == integers)
    return equal


def _keeper(numbers: Array) -> np.dtype[Any]:
    """The shortest usual dtype of the same kind that stores `numbers` unchanged."""
    usual = {"f": "float32 float64", "c": "complex64 complex128"}
    names = usual.get(numbers.dtype.kind, "int32 int64 uint64").split()
    for name in names:
        if not _differs(numbers, numbers.astype(name)).any():
            return np.dtype(name)
    return numbers.dtype
