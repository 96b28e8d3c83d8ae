"""Numeric gradients through a student's forward pass: each input entry is nudged, in batches.

Samples do not know of each other, so a nudged entry of x or of a state needs its own sample only:
thousands of them are the rows of one call. Weights are nudged one call at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minilstm.arrays import Array
from minilstm.gradient_check.numeric import CENTRAL, COMPLEX, TINY, Method, sample
from minilstm.gradient_check.report import Report
from minilstm.gradient_check.student.cases import Case, ours
from minilstm.gradient_check.student.functions import ComplexError, Functions, Outputs, complex_forward

ROWS = 300_000  # numbers of one state, over rows and steps, in one call
WORK = 8_000  # nudged entries times steps of one weight, above which they are sampled

Run = Callable[[Array, tuple[Array, ...], dict[str, Array], Array | None], Outputs]


class Numbers(NamedTuple):
    """One tensor's numeric gradients: for each loss the values and their bounds; what was checked."""

    values: list[Array]
    bounds: list[Array]
    checked: Array


def derivatives(functions: Functions, case: Case, agrees: bool, report: Report) -> dict[str, Numbers]:
    """Numeric gradients of all inputs and weights, for each loss, by name.

    By the complex step through the student's forward pass. Where that cannot run on complex numbers:
    through this package's, if both give the same outputs, and otherwise by central differences.
    """
    try:
        _probe(functions, case)
        return _all(functions, case, COMPLEX, lambda *a: complex_forward(functions, *a))
    except ComplexError as reason:
        if agrees:
            report.notes.append(
                f"forward cannot be used on complex numbers ({reason}), but gives what this package's gives: "
                "the numbers come from the complex step through that one"
            )
            return _all(functions, case, COMPLEX, _ours(functions))
        report.notes.append(
            f"forward cannot be used on complex numbers ({reason}), and gives other values than this "
            "package's: the numbers come from central differences, which see only large gradients"
        )
        report.method = CENTRAL.words
        return _all(functions, case, CENTRAL, functions.forward)


def _probe(functions: Functions, case: Case) -> None:
    """ComplexError unless forward carries a small imaginary part as its derivative (by a difference)."""
    rng = np.random.default_rng(0)
    direction = [rng.normal(size=a.shape) for a in (case.x, *case.states, *case.weights.values())]

    def at(offset: complex) -> tuple[Array, ...]:
        parts = [
            a + offset * d
            for a, d in zip((case.x, *case.states, *case.weights.values()), direction, strict=True)
        ]
        n = len(case.states)
        weights = dict(zip(case.weights, parts[1 + n :], strict=True))
        run = complex_forward(functions, parts[0], tuple(parts[1 : 1 + n]), weights, case.mask)
        return run.h, *run.last

    slopes, above, below = at(1j * TINY), at(1e-6), at(-1e-6)
    for slope, up, down, name in zip(slopes, above, below, functions.outputs, strict=True):
        expected = np.real(up - down) / 2e-6
        size = np.abs(expected).max(initial=0)
        if size > 1e-3 and not np.abs(slope.imag / TINY - expected).max() <= 1e-2 * size:
            raise ComplexError(
                f"the imaginary part of {name} is lost: look for abs, real, conj, maximum, astype"
            )


def _all(functions: Functions, case: Case, method: Method, run: Run) -> dict[str, Numbers]:
    found: dict[str, Numbers] = {}
    rng = np.random.default_rng(1)
    inputs = dict(zip(functions.inputs, (case.x, *case.states), strict=False))
    for name, array in inputs.items():
        limit = max(64, int(3e7) // (case.x.shape[1] * case.states[0].shape[1] * len(method.offsets)))
        first = np.zeros(array.shape, bool)
        first[:, 0] = name == "x"  # the gradient that had the longest way to come is always looked at
        chosen = sample(array.shape, limit, rng, first)
        found[name] = _by_rows(case, method, run, list(inputs).index(name), array, chosen)
    for name, array in case.weights.items():
        limit = max(32, WORK // (case.x.shape[1] * len(method.offsets)))
        found[name] = _by_calls(case, method, run, name, sample(array.shape, limit, rng))
    return found


def _numbers(array: Array, chosen: Array, values: Array, bounds: Array) -> Numbers:
    """Derivatives (losses, n) of the chosen entries, put where they belong; 0 elsewhere."""
    at = tuple(chosen.T)
    full, limits = (np.zeros((len(values), *array.shape)) for _ in "vb")
    for k in range(len(values)):
        full[k][at], limits[k][at] = values[k], bounds[k]
    checked = np.zeros(array.shape, bool)
    checked[at] = True
    return Numbers(list(full), list(limits), checked)


def _terms(case: Case, found: Outputs, samples: Array | slice) -> list[Array]:
    """For each loss, what each row adds to it, (R,)."""
    rows = []
    for loss in case.losses:
        total = (loss.dh[samples] * found.h).sum(axis=(1, 2))
        for weight, state in zip(loss.dlast, found.last, strict=True):
            total = total + (weight[samples] * state).sum(axis=1)
        rows.append(total)
    return rows


def _derive(case: Case, method: Method, values: Array) -> tuple[Array, Array]:
    """Values (losses, n, offsets) -> derivatives and bounds, (losses, n)."""
    pairs = []
    for loss, per_loss in zip(case.losses, values, strict=True):
        size = np.abs(loss.dh).sum() + sum(np.abs(part).sum() for part in loss.dlast)
        pairs.append(method.derivatives(per_loss, float(size)))
    return np.stack([p[0] for p in pairs]), np.stack([p[1] for p in pairs])


def _by_rows(case: Case, method: Method, run: Run, which: int, array: Array, chosen: Array) -> Numbers:
    """Nudge entries of x (`which` 0) or of a state: each is a row of its own, of its sample."""
    offsets = np.array(method.offsets)
    _, T, _ = case.x.shape
    per_call = max(1, ROWS // (T * case.states[0].shape[1] * len(offsets)))
    values = np.zeros((len(case.losses), len(chosen), len(offsets)), method.dtype)
    for start in range(0, len(chosen), per_call):
        part = np.repeat(chosen[start : start + per_call], len(offsets), axis=0)  # (R, ndim)
        samples = part[:, 0]
        inputs = [a[samples].astype(method.dtype) for a in (case.x, *case.states)]
        steps = np.tile(offsets.astype(method.dtype), len(part) // len(offsets))
        inputs[which][(np.arange(len(part)), *part[:, 1:].T)] += steps
        mask = None if case.mask is None else case.mask[samples]
        found = run(inputs[0], tuple(inputs[1:]), case.weights, mask)
        for k, rows in enumerate(_terms(case, found, samples)):
            values[k, start : start + per_call] = rows.reshape(-1, len(offsets))
    return _numbers(array, chosen, *_derive(case, method, values))


def _by_calls(case: Case, method: Method, run: Run, name: str, chosen: Array) -> Numbers:
    """Nudge entries of a weight, a call for each."""
    values = np.zeros((len(case.losses), len(chosen), len(method.offsets)), method.dtype)
    array = case.weights[name].astype(method.dtype)
    x, states = case.x.astype(method.dtype), tuple(s.astype(method.dtype) for s in case.states)
    for n, index in enumerate(map(tuple, chosen)):
        for m, offset in enumerate(np.array(method.offsets).astype(method.dtype)):
            nudged = array.copy()
            nudged[index] += offset
            found = run(x, states, case.weights | {name: nudged}, case.mask)
            for k, rows in enumerate(_terms(case, found, slice(None))):
                values[k, n, m] = rows.sum()
    return _numbers(array, chosen, *_derive(case, method, values))


def _ours(functions: Functions) -> Run:
    """This package's forward pass in the form of a student's."""

    def run(x: Array, states: tuple[Array, ...], weights: dict[str, Array], mask: Array | None) -> Outputs:
        h, last = ours(functions.spec, x, states, weights, mask)
        return Outputs(h, last[1:], None)

    return run
