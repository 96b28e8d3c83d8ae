"""Numeric gradients through a student's forward pass, for every loss at once.

A loss is a weighted sum of outputs. What each step's h adds to it, and what the rest adds, is kept
apart: so the gradient of a loss that reads every output, the last step only, or any other step comes
from the same runs.

Samples do not know of each other, so a nudged entry of x or of a state needs its own sample only:
thousands of them are the rows of one call. Where the code takes one batch size only, and for weights,
each entry is a call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.gradient_check.numeric import (
    CENTRAL,
    COMPLEX,
    TINY,
    Method,
    by_entry,
    by_rows,
    nudge,
    sample,
)
from minilstm.gradient_check.report import Report
from minilstm.gradient_check.student import forwards
from minilstm.gradient_check.student.cases import WEIGHTS, Case, Values
from minilstm.gradient_check.student.exceptions import ComplexError, FunctionError, complex_numbers
from minilstm.gradient_check.student.forwards import Known
from minilstm.gradient_check.student.functions import Functions

ROWS = 300_000  # numbers of one state, over rows and steps, in one call
WORK = 8_000  # nudged entries times steps of one weight, above which they are sampled
Run = Callable[[Values, "Array | None"], Values]


class Numbers(NamedTuple):
    """One tensor's numeric gradients, T + 1 of them: of what each step's h adds, and of all the rest."""

    parts: Array  # (T + 1, *shape)
    bounds: Array  # (T + 1, *shape)
    checked: Array  # (*shape)


def derivatives(
    functions: Functions, case: Case, losses: Values, known: Known | None, report: Report
) -> dict[str, Numbers]:
    """Numeric gradients of all inputs whose gradient is judged, by name.

    By the complex step through the student's forward pass. Where that cannot run on complex numbers:
    through the formulas it was recognised as; and otherwise by central differences.
    """

    def student_s(values: Values, mask: Array | None) -> Values:
        with complex_numbers():
            return functions.forward(values, mask)

    try:
        if functions.precision > 1e-12:
            raise ComplexError(f"it computes in {precision_words(functions.precision)}")
        _probe(functions, case, student_s)
        return _all(functions, case, losses, COMPLEX, student_s)
    except ComplexError as reason:
        if known is not None and len(known.outputs) == len(functions.outputs):

            def recognised(values: Values, mask: Array | None) -> Values:
                given = forwards.in_our_form(case.spec, known, values, functions.inputs, case.step)
                found = forwards.run(case.spec, known, given, mask)
                return forwards.shown(found, tuple(functions.outputs), case.step)

            report.notes.append(
                f"forward cannot be used on complex numbers ({reason}), but gives what known formulas give: "
                "the numbers come from the complex step through those"
            )
            return _all(functions, case, losses, COMPLEX, recognised)
        report.notes.append(
            f"forward cannot be used on complex numbers ({reason}), and is no known form of this "
            "cell: the numbers come from central differences, which see only large gradients"
        )
        method = CENTRAL.rounded(functions.precision)
        report.method = method.words
        return _all(functions, case, losses, method, lambda values, mask: functions.forward(values, mask))


def precision_words(eps: float) -> str:
    return {1e-12: "float64", 1e-5: "float32"}.get(
        next((k for k in (1e-12, 1e-5) if eps < k), 1.0), "float16"
    )


def _probe(functions: Functions, case: Case, run: Run) -> None:
    """ComplexError unless forward carries a small imaginary part as its derivative (by a difference)."""
    rng = np.random.default_rng(0)
    names = [name for name in functions.inputs if name != "mask" and not (name == "x" and functions.ids)]
    direction = {name: rng.normal(size=case.values[name].shape) for name in names}

    def at(offset: complex) -> Values:
        nudged = {name: case.values[name] + offset * direction[name] for name in names}
        return run(case.values | nudged, case.mask)

    slopes, above, below = at(1j * TINY), at(1e-6), at(-1e-6)
    for name in functions.outputs:
        expected = np.real(above[name] - below[name]) / 2e-6
        size = np.abs(expected).max(initial=0)
        if size > 1e-3 and not np.abs(slopes[name].imag / TINY - expected).max() <= 1e-2 * size:
            raise ComplexError(
                f"the imaginary part of {name} is lost: look for abs, real, conj, maximum, astype"
            )


def _all(functions: Functions, case: Case, losses: Values, method: Method, run: Run) -> dict[str, Numbers]:
    found: dict[str, Numbers] = {}
    rng = np.random.default_rng(1)
    rows = not functions.one_batch and _takes_rows(case, run)
    typed = {name: value.astype(method.dtype) for name, value in case.values.items()}
    steps, units, offsets = case.steps, case.units, len(method.offsets)
    for name in functions.judged:
        array = case.values[name]
        if name in WEIGHTS or not rows:
            limit = max(32, WORK // (steps * offsets))
        else:
            limit = max(64, int(3e7) // (steps * units * offsets))
        first = np.zeros(array.shape, bool)
        if name == "x" and not case.step:
            first[:, 0] = True  # the gradient that had the longest way to come is always looked at
        chosen = sample(array.shape, limit, rng, first)

        def whole() -> Array:
            terms: Array = _terms(losses, run(typed, case.mask), slice(None)).sum(axis=0)
            return terms

        def by_sample(part: Array, nudges: Array, name: str = name) -> Array:
            samples = part[:, 0]
            batch = {n: v if n in WEIGHTS else v[samples] for n, v in typed.items()}
            nudge(batch[name], part, nudges)
            mask = None if case.mask is None else case.mask[samples]
            return _terms(losses, run(batch, mask), samples)

        if name in WEIGHTS or not rows:
            values = by_entry(method, typed[name], chosen, whole)
        else:
            values = by_rows(method, chosen, max(1, ROWS // (steps * units * offsets)), by_sample)
        found[name] = _numbers(array, chosen, losses, method, values)
    return found


def _takes_rows(case: Case, run: Run) -> bool:
    """Whether a batch of other rows gives each sample the outputs that it has in this one."""
    samples = np.arange(case.batch).repeat(2)[::-1]
    batch = {name: v if name in WEIGHTS else v[samples] for name, v in case.values.items()}
    try:
        one = run(case.values, case.mask)
        other = run(batch, None if case.mask is None else case.mask[samples])
    except (FunctionError, ComplexError):
        return False
    return all(
        other[name].shape == one[name][samples].shape
        and np.allclose(other[name].real, one[name][samples].real, rtol=1e-12, atol=1e-12)
        for name in one
    )


def _numbers(array: Array, chosen: Array, losses: Values, method: Method, values: Array) -> Numbers:
    """Values (n, offsets, T + 1) at the chosen entries -> derivatives, put where they belong; 0 elsewhere."""
    at = tuple(chosen.T)
    count = values.shape[2]
    full, limits = (np.zeros((count, *array.shape)) for _ in "vb")
    size = float(sum(np.abs(weight).sum() for weight in losses.values())) / count
    for k in range(count):
        full[k][at], limits[k][at] = method.derivatives(values[:, :, k], size)
    checked = np.zeros(array.shape, bool)
    checked[at] = True
    return Numbers(full, limits, checked)


def _terms(losses: Values, found: Values, samples: Array | slice) -> Array:
    """What each row's h adds to the loss at each step, and what its other outputs add: (R, T + 1)."""
    rows = len(next(iter(found.values())))
    h = losses.get("h")
    steps = h.shape[1] if h is not None and h.ndim == 3 else 1
    terms = np.zeros((rows, steps + 1), np.result_type(*found.values()))
    for name, weight in losses.items():
        part = weight[samples] * found[name]
        if name == "h" and part.ndim == 3:
            terms[:, :-1] += part.sum(axis=2)
        else:
            terms[:, 0 if name == "h" else -1] += part.sum(axis=tuple(range(1, part.ndim)))
    return terms
