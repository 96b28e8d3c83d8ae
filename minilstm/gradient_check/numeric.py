"""Derivatives from the function itself: the complex step, and central differences with a bound.

Complex step: f'(v) = Im f(v + i e) / e with e = 1e-30. Nothing is subtracted, so nothing cancels, and
what is left out is of the order e^2 = 1e-60 of the third derivative: exact to rounding, however small.
Where the derivative itself is 0 and the third is not (a residual of 0, say), only that is left: a smaller
e, which makes it 64 times smaller, tells it from a derivative.

Central differences: (f(v + s) - f(v - s)) / 2s loses digits to cancellation if s is small and to
curvature if it is large. For each entry the step is taken from a ladder where the sum of both, as
estimated, is smallest; the estimate is kept as the error bound of that entry.

Both are a list of offsets, and a rule that makes derivatives of the values at those offsets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minilstm.foundations.arrays import Array

TINY = 1e-30
FAINT = 1e-45  # a derivative by the complex step below which a smaller step is tried
LADDER = (1e-2, 2e-3, 4e-4, 8e-5, 1.6e-5, 3.2e-6)  # steps of central differences, each a fifth of the last
ROUNDING = 16  # times the precision: the error of one value of the function, relative to its size


class Method(NamedTuple):
    """How derivatives are made: their name in reports, the offsets, and the dtype that carries them."""

    words: str
    offsets: tuple[complex, ...]
    dtype: np.dtype[Any]
    eps: float = float(np.finfo(np.float64).eps)  # relative precision of the function

    def derivatives(self, values: Array, size: float) -> tuple[Array, Array]:
        """Values (n, offsets) of the function -> derivatives (n,) and their error bounds (n,).

        `size` is the magnitude of the terms that add up to a value: its rounding error is relative to that.
        """
        if len(self.offsets) == 1:
            return values[:, 0].imag / TINY, np.zeros(len(values))
        steps = np.array([offset.real for offset in self.offsets[::2]])
        with np.errstate(invalid="ignore"):
            slopes = (values[:, ::2] - values[:, 1::2]).real / (2 * steps)  # (n, steps)
            curvature = np.abs(slopes[:, :-1] - slopes[:, 1:]) / 24  # the smaller step's, by Richardson
        bound = curvature + ROUNDING * self.eps * max(size, 1e-300) / steps[1:]
        best = np.nan_to_num(bound, nan=np.inf).argmin(axis=1)
        rows = np.arange(len(values))
        return slopes[rows, best + 1], 4 * bound[rows, best]

    def rounded(self, eps: float) -> Method:
        """Central differences for a function of that precision: with larger steps, if it is lower."""
        factor = max(1.0, (eps / self.eps) ** (1 / 3)) if eps > 1e-12 else 1.0
        grown = tuple(min(factor, 30.0) * offset for offset in self.offsets)
        return self._replace(offsets=grown, eps=max(eps, self.eps))


COMPLEX = Method("the complex step", (1j * TINY,), np.dtype(np.complex128))
CENTRAL = Method(
    "central differences", tuple(s for step in LADDER for s in (step, -step)), np.dtype(np.float64)
)


def sample(
    shape: tuple[int, ...], count: int, rng: np.random.Generator, always: Array | None = None
) -> Array:
    """Which entries to check: (n, ndim) indexes in order; all of them if `count` reaches.

    Otherwise `count` drawn without repetition, and those that are True in `always`.
    """
    size = int(np.prod(shape))
    if count >= size:
        chosen = np.arange(size)
    else:
        drawn = rng.choice(size, count, replace=False)
        chosen = np.union1d(drawn, [] if always is None else np.flatnonzero(always)).astype(int)
    return np.stack(np.unravel_index(chosen, shape), axis=1)


def by_rows(method: Method, chosen: Array, per_run: int, run: Callable[[Array, Array], Array]) -> Array:
    """Values (n, offsets, ...) of the function with each chosen entry nudged, many in one run.

    chosen : (n, ndim), a sample first;  run : of the rows' entries (R, ndim) and their nudges (R,), gives
    (R, ...).
    """

    def values_at(chosen: Array, offsets: Array) -> Array:
        found = []
        for start in range(0, len(chosen), per_run):
            part = np.repeat(chosen[start : start + per_run], len(offsets), axis=0)
            values = run(part, np.tile(offsets, len(part) // len(offsets)))
            found.append(values.reshape(-1, len(offsets), *values.shape[1:]))
        return np.concatenate(found)

    return _seen(method, chosen, values_at)


def _seen(method: Method, chosen: Array, values_at: Callable[[Array, Array], Array]) -> Array:
    """Values at the method's offsets, without what the complex step leaves where a derivative is 0."""
    offsets = np.array(method.offsets).astype(method.dtype)
    values = values_at(chosen, offsets)
    if method.words != COMPLEX.words:
        return values
    rows = faint(values.imag).reshape(len(values), -1).any(axis=1)
    if rows.any():
        smaller = values_at(chosen[rows], offsets / 8).imag
        values.imag[rows] = without_rest(values.imag[rows], smaller)
    return values


def faint(imaginary: Array) -> Array:
    """Which imaginary parts give a derivative so small that it may be none; bool."""
    size = np.abs(imaginary)
    return (size > 0) & (size < FAINT * TINY)


def without_rest(imaginary: Array, smaller: Array) -> Array:
    """Imaginary parts, 0 where those of a step an eighth as large say that there is no derivative."""
    rest = faint(imaginary) & (np.abs(imaginary - 8 * smaller) > np.abs(8 * smaller))
    return np.where(rest, 0.0, imaginary)


def nudge(rows: Array, part: Array, nudges: Array) -> None:
    """Nudge one entry of each row (R, ...), in place: that which `part` names after its sample."""
    rows[(np.arange(len(part)), *part[:, 1:].T)] += nudges


def by_entry(method: Method, array: Array, chosen: Array, run: Callable[[], Any]) -> Array:
    """Values (n, offsets, ...) of the function, a run for each chosen entry of `array`, nudged in place."""

    def values_at(chosen: Array, offsets: Array) -> Array:
        found = []
        for index in map(tuple, chosen):
            kept = array[index]
            for offset in offsets:
                array[index] = kept + offset
                found.append(run())
            array[index] = kept
        values = np.array(found)
        return values.reshape(len(chosen), len(offsets), *values.shape[1:])

    return _seen(method, chosen, values_at)
