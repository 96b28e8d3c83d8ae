"""check_step and check_sequence: a backward pass that somebody wrote by hand, held against the numbers.

The numbers are the complex step through *their own* forward pass, so a wrong forward pass and a wrong
backward pass are told apart: the forward pass is compared with this package's, the backward pass with
the derivative of the forward pass it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minilstm.arrays import Array
from minilstm.errors import numeric_array, real_number, whole_number, wording
from minilstm.gradient_check.report import AXES, Comparison, Report
from minilstm.gradient_check.student import diagnosis
from minilstm.gradient_check.student.cases import Case, Spec, draw, ours, spec_of
from minilstm.gradient_check.student.derivatives import Numbers, derivatives
from minilstm.gradient_check.student.functions import FunctionError, Functions

TOLERANCE = 1e-9


def check_step(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    cell: str = "lstm",
    *,
    batch: int = 4,
    features: int = 2,
    units: int = 3,
    gates: str | None = None,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> Report:
    """Check one time step that somebody wrote by hand.

    Parameters
    ----------
    forward, backward : NumPy functions that also work on complex arrays. For cell="lstm"

            forward(x, h_prev, c_prev, W, U, b)  -> h, c, cache
            backward(dh, dc, cache)              -> dx, dh_prev, dc_prev, dW, dU, db

        where x (B, D), h and c (B, H), W (D, 4H), U (H, 4H), b (4H,), each gradient has the shape of what
        it belongs to, dh and dc are what later steps say of h and c, and cache is whatever backward needs.
        "simple_rnn" has no c. "gru" has no c and a recurrent bias: forward(x, h_prev, W, U, b, rb) -> h,
        cache; backward(dh, cache) -> dx, dh_prev, dW, dU, db, drb.
    cell : "lstm", "gru" or "simple_rnn"
    batch, features, units : sizes of the random case
    gates : order of the blocks in W, U and b; "ifgo" and "zrg" if None; "ifog" is CS231n's
    seed : of the random case
    tolerance : the largest error that passes

    Returns
    -------
    Report; `str(report)` has the table and the verdict, `report.ok` whether it holds.

    Raises
    ------
    ValueError, TypeError : an argument cannot be meant. What the two functions raise is in the report.

    >>> def forward(x, h_prev, W, U, b):
    ...     h = np.tanh(x @ W + h_prev @ U + b)
    ...     return h, (x, h_prev, W, U, h)
    >>> def backward(dh, cache):
    ...     x, h_prev, W, U, h = cache
    ...     dz = dh * (1 - h)
    ...     return dz @ W.T, dz @ U.T, x.T @ dz, h_prev.T @ dz, dz.sum(axis=0)
    >>> report = check_step(forward, backward, "simple_rnn")
    >>> report.ok, report.causes
    (False, ['1 - h instead of 1 - h^2: the square is missing'])
    """
    functions = Functions(forward, backward, _spec(cell, gates), step=True)
    sizes = whole_number("batch", batch), 1, whole_number("features", features), whole_number("units", units)
    return _check(functions, sizes, None, whole_number("seed", seed, 0), _tolerance(tolerance))


def check_sequence(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    cell: str = "lstm",
    *,
    length: int = 40,
    batch: int = 4,
    features: int = 2,
    units: int = 3,
    mask: ArrayLike | None = None,
    gates: str | None = None,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> Report:
    """Check a whole backpropagation through time that somebody wrote by hand.

    Parameters
    ----------
    forward, backward : NumPy functions that also work on complex arrays. For cell="lstm"

            forward(x, h0, c0, W, U, b)     -> h, c_last, cache
            backward(dh, dc_last, cache)    -> dx, dh0, dc0, dW, dU, db

        where x (B, T, D), h (B, T, H) the outputs of all steps, c_last (B, H), and dh (B, T, H) what the
        loss says of each output directly. "simple_rnn": forward(x, h0, W, U, b) -> h, cache;
        backward(dh, cache) -> dx, dh0, dW, dU, db. "gru": the same with a recurrent bias rb and drb.
    length : T
    mask : (B, T), True = real step; forward is then called with it as its last argument
    cell, batch, features, units, gates, seed, tolerance : as in `check_step`

    Two losses are checked: one that reads every output, and one that reads the last state only, whose
    gradient has to come all the way back. Returns a Report, see `check_step`.

    Raises
    ------
    ValueError, TypeError : an argument cannot be meant. What the two functions raise is in the report.
    """
    functions = Functions(forward, backward, _spec(cell, gates), step=False)
    B, T = whole_number("batch", batch), whole_number("length", length)
    real = None
    if mask is not None:
        real = numeric_array("mask", mask)
        if real.shape != (B, T):
            raise ValueError(wording("mask", f"of shape {(B, T)} (batch, length)", real.shape))
        real = real.astype(bool)
    sizes = B, T, whole_number("features", features), whole_number("units", units)
    return _check(functions, sizes, real, whole_number("seed", seed, 0), _tolerance(tolerance))


def _tolerance(value: float) -> float:
    return real_number("tolerance", value, above=True)


def _spec(cell: str, gates: str | None) -> Spec:
    spec = spec_of(cell)
    if gates is None:
        return spec
    if not isinstance(gates, str) or sorted(gates) != sorted(spec.gates):
        raise ValueError(wording("gates", f"the letters {''.join(spec.gates)} in some order", repr(gates)))
    return spec._replace(gates=tuple(gates))


def _check(
    functions: Functions, sizes: tuple[int, ...], mask: Array | None, seed: int, tolerance: float
) -> Report:
    case = draw(functions.spec, sizes, mask, seed, functions.step)
    report = Report([], "the complex step", tolerance)
    try:
        compare(functions, case, report)
        report.causes += diagnosis.broken_laws(functions, case)
        if not report.ok:
            report.causes += diagnosis.causes(functions, case, report)
    except FunctionError as fault:
        report.fault, report.exception = str(fault), fault.__cause__
        report.causes += fault.causes
    report.causes += sorted(functions.modified)
    return report


def compare(functions: Functions, case: Case, report: Report) -> None:
    """Fill the report: the forward pass beside this package's, every gradient beside its numbers."""
    spec = functions.spec
    found = functions.forward(case.x, case.states, case.weights, case.mask)
    expected = ours(spec, case.x, case.states, case.weights, case.mask)
    names = [f"forward {name}" for name in functions.outputs]
    for name, one, other in zip(names, (found.h, *found.last), (expected[0], *expected[1][1:]), strict=True):
        axes = AXES["states" if one.ndim == 3 else "state"]
        one, other = (part[:, 0] if functions.step and part.ndim == 3 else part for part in (one, other))
        axes = AXES["state"] if functions.step else axes
        everything = np.ones(one.shape, bool)
        report.comparisons.append(Comparison(name, np.real(one), other, everything, axes))
    agrees = all(one.max_error <= report.tolerance for one in report.comparisons)
    numbers = derivatives(functions, case, agrees, report)
    for k, loss in enumerate(case.losses):
        cache = (
            found.cache if k == 0 else functions.forward(case.x, case.states, case.weights, case.mask).cache
        )
        gradients = functions.backward(loss, cache, case)
        for name, gradient in zip(functions.inputs, gradients, strict=True):
            report.comparisons.append(
                _comparison(functions, name, loss.words, gradients[gradient], numbers[name], k)
            )


def _comparison(
    functions: Functions, name: str, words: str, analytic: Array, numbers: Numbers, k: int
) -> Comparison:
    numeric, bound, checked = numbers.values[k], numbers.bounds[k], numbers.checked
    spec = functions.spec
    kind = {"x": "steps", "W": "weight", "U": "weight", "b": "bias", "rb": "bias"}.get(name, "state")
    axes = AXES[kind]
    if functions.step and name == "x":
        analytic, numeric, bound, checked = (part[:, 0] for part in (analytic, numeric, bound, checked))
        axes = ("sample", "feature")
    gates = spec.gates if name in spec.weights and len(spec.gates) > 1 else ()
    return Comparison(f"d{name}{words}", analytic, numeric, checked, axes, gates, bound)
