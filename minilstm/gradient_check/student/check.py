"""check_step and check_sequence: a backward pass that somebody wrote by hand, held against the numbers.

Two questions, answered apart. Is the backward pass the derivative of *its own* forward pass, whatever
that computes? This decides `ok`. Which cell is the forward pass? This is a note, and helps to name what
is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minilstm.cells import UserCell
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import check_room, flag, real_number, shown, whole_number, wording
from minilstm.gradient_check.report import AXES, Comparison, Report
from minilstm.gradient_check.student import diagnosis, forwards, laws, signature, suggest
from minilstm.gradient_check.student.any_cell import check_cell
from minilstm.gradient_check.student.cases import WEIGHTS, Case, Spec, Values, draw, spec_of
from minilstm.gradient_check.student.derivatives import Numbers, derivatives, precision_words
from minilstm.gradient_check.student.exceptions import FunctionError
from minilstm.gradient_check.student.forms import FORMS
from minilstm.gradient_check.student.functions import Functions, Told
from minilstm.layers.checks import checked_mask

TOLERANCE = 1e-9
LOW_PRECISION = 1e-12  # above it, what is computed is not float64
PER_EPS = 2000.0  # the tolerance, in units of the precision, where that is low
INPUTS = ("x", "h", "c", "W", "U", "b", "rb", "WU", "WUb", "mask")
OUTPUTS = ("h", "c", "h_last", "c_last", "cache", "-")


def check_step(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    cell: str | UserCell = "lstm",
    *,
    batch: int = 4,
    features: int = 2,
    units: int = 3,
    gates: str | None = None,
    inputs: Sequence[str] | str | None = None,
    outputs: Sequence[str] | str | None = None,
    strict: bool = False,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> Report:
    """Check one time step that somebody wrote by hand.

    Parameters
    ----------
    forward, backward : NumPy functions. For cell="lstm"

            forward(x, h_prev, c_prev, W, U, b)  -> h, c, cache
            backward(dh, dc, cache)              -> dx, dh_prev, dc_prev, dW, dU, db

        where x (B, D), h and c (B, H), W (D, 4H), U (H, 4H), b (4H,), each gradient has the shape of what
        it belongs to, dh and dc are what later steps say of h and c, and cache is whatever backward needs.
        "simple_rnn" has no c. "gru" has no c and a recurrent bias: forward(x, h_prev, W, U, b, rb) -> h,
        cache; backward(dh, cache) -> dx, dh_prev, dW, dU, db, drb. What is absent is not judged: a bias,
        a state, a gradient that is None. Other shapes and styles: `minilstm.gradient_check.adapters`.
    cell : "lstm", "gru" or "simple_rnn"; or one made by `minilstm.cell`: then forward and backward are as
        that function takes them, (xw, hu, prev, p) -> state, kept and (dstate, prev, state, kept, p) ->
        dxw, dhu, dprev, total, dp, and of the arguments below batch, units, seed and tolerance count
    batch, features, units : sizes of the random case
    gates : order of the blocks in W, U and b; "ifgo" and "zrg" if None; "ifog" is CS231n's
    inputs, outputs : names of what forward takes and returns, in order, where they cannot be found out:
        "x", "h", "c", "W", "U", "b", "rb", "WU" (W and U in one matrix), "WUb" (b too);
        "h", "c", "cache", "-" (ignored)
    strict : whether also code that changes its inputs, uses up its cache, prints, computes in float32 or has
        another forward pass than this package's is not `ok`
    seed : of the random case
    tolerance : the largest error that passes

    Returns
    -------
    Report; `str(report)` has the table and the verdict, `report.ok` whether the gradients are right,
    `report.causes` why not, `report.notes` and `report.hygiene` what else is worth saying.

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
    if isinstance(cell, UserCell):
        case = (
            whole_number("batch", batch),
            whole_number("units", units),
            whole_number("seed", seed, 0, wide=True),
        )
        _check_sizes(case[0], 1, 1, case[1])
        return check_cell(forward, backward, cell, *case, _tolerance(tolerance))
    spec = _spec(cell, gates)
    told = Told(signature.told("inputs", inputs, INPUTS), signature.told("outputs", outputs, OUTPUTS))
    sizes = whole_number("batch", batch), 1, whole_number("features", features), whole_number("units", units)
    seed = whole_number("seed", seed, 0, wide=True)
    return _check((forward, backward), spec, sizes, None, told, seed, _tolerance(tolerance), True, strict)


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
    inputs: Sequence[str] | str | None = None,
    outputs: Sequence[str] | str | None = None,
    strict: bool = False,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> Report:
    """Check a whole backpropagation through time that somebody wrote by hand.

    Parameters
    ----------
    forward, backward : NumPy functions. For cell="lstm"

            forward(x, h0, c0, W, U, b)     -> h, c_last, cache
            backward(dh, dc_last, cache)    -> dx, dh0, dc0, dW, dU, db

        where x (B, T, D), h (B, T, H) the outputs of all steps, c_last (B, H), and dh (B, T, H) what the
        loss says of each output directly. "simple_rnn": forward(x, h0, W, U, b) -> h, cache;
        backward(dh, cache) -> dx, dh0, dW, dU, db. "gru": the same with a recurrent bias rb and drb.
        States that begin at 0, outputs of the last step only, c of all steps, absent gradients: see
        `check_step`.
    length : T
    mask : (B, T), True = real step; forward is then called with it as its last argument
    cell, batch, features, units, gates, inputs, outputs, strict, seed, tolerance : as in `check_step`

    Two losses are checked: one that reads every output, and one that reads the last state only, whose
    gradient has to come all the way back. Returns a Report, see `check_step`.

    Raises
    ------
    ValueError, TypeError : an argument cannot be meant. What the two functions raise is in the report.
    """
    spec = _spec(cell, gates)
    told = Told(signature.told("inputs", inputs, INPUTS), signature.told("outputs", outputs, OUTPUTS))
    B, T = whole_number("batch", batch), whole_number("length", length)
    real = None if mask is None else checked_mask(mask, (B, T))
    sizes = B, T, whole_number("features", features), whole_number("units", units)
    seed = whole_number("seed", seed, 0, wide=True)
    return _check((forward, backward), spec, sizes, real, told, seed, _tolerance(tolerance), False, strict)


def _check_sizes(batch: int, length: int, features: int, units: int) -> None:
    """MemoryError where the states or the weights of a case are larger than memory."""
    sizes = f"batch={batch}, length={length}, features={features}, units={units}"
    numbers = max(batch * length * max(features, units), max(features, units) * units)
    check_room(f"a case of {sizes}", 8 * numbers)


def _tolerance(value: float) -> float:
    return real_number("tolerance", value, above=True)


def _spec(cell: str, gates: str | None) -> Spec:
    spec = spec_of(cell)
    if gates is None:
        return spec
    if not isinstance(gates, str) or sorted(gates) != sorted(spec.gates):
        raise ValueError(wording("gates", f"the letters {''.join(spec.gates)} in some order", shown(gates)))
    return spec._replace(gates=tuple(gates))


def _check(
    pair: tuple[Callable[..., Any], Callable[..., Any]],
    spec: Spec,
    sizes: tuple[int, ...],
    mask: Array | None,
    told: Told,
    seed: int,
    tolerance: float,
    step: bool,
    strict: bool,
) -> Report:
    forward, backward = pair
    flag("strict", strict)
    _check_sizes(*sizes)
    if signature.said(forward, "single"):
        sizes = (1, *sizes[1:])
        mask = None if mask is None else mask[:1]
    case = draw(spec, sizes, mask, seed, step, bool(signature.said(forward, "ids")))
    values = signature.said(forward, "values", {})  # parameters of a loss that is inside
    case.values.update(values if isinstance(values, dict) else {})  # of a dict a method
    report = Report([], "the complex step", tolerance, strict=strict)
    functions = None
    try:
        functions = Functions(forward, backward, case, told)
        judge(functions, case, report)
    except FunctionError as fault:
        report.fault, report.exception, report.stage = str(fault), fault.__cause__, fault.stage
        report.causes += fault.causes
        if functions is None and told == Told():
            report.adapters = suggest.adapter(forward, backward, case)
            if report.adapters:
                report.fault += f" {suggest.advice(report.adapters)}"
                report.causes.clear()
    if functions is not None:
        functions.restore()
        report.hygiene += functions.hygiene
        report.notes += functions.remarks
    return report


def judge(functions: Functions, case: Case, report: Report) -> None:
    """Fill the report: every gradient beside its numbers, what forward is, and why something is wrong."""
    found = functions.forward(case.values)
    functions.precision = _precision(functions, case, found)
    close = max(forwards.CLOSE, PER_EPS * functions.precision)
    given = ", ".join(functions.incoming).split(", ")
    losses = {name: case.losses[name] for name in given if name not in ("cache", "zero")}
    inside = "loss" in losses
    known = None if inside else forwards.recognise(case, functions.inputs, found, close)
    numbers = derivatives(functions, case, losses, known, report)
    obeyed = laws.obeyed(functions, case, losses)
    eps = max(functions.precision, obeyed.eps if 1e-9 < obeyed.eps < 1e-4 else 0.0)
    if eps > LOW_PRECISION:
        words = precision_words(eps)
        report.hygiene.append(f"computes in {words}: the check is done at its precision, {eps:.0e}")
        if not report.strict:
            report.tolerance = max(report.tolerance, PER_EPS * eps)
    for words, loss in _losses(case, losses):
        gradients = functions.gradients(case.values, loss)
        for name in functions.judged:
            report.comparisons.append(
                _comparison(functions, case, name, words, gradients[name], numbers[name], eps)
            )
    if not inside:
        _say_what_was_left_out(functions, case, report)
        report.known = known is not None and len(known.outputs) == len(found)
        different = forwards.in_words(case, functions.inputs, found, known)
        if different:
            peepholes = None if report.known else laws.peepholes(functions, case)
            different += f": {peepholes}" if peepholes else ""
            report.notes.append(different)
        report.forward += _forward(functions, case, found)
    if obeyed.causes or not report.right:
        report.causes += diagnosis.causes(functions, case, losses, known, numbers, obeyed, report)
    report.lawful = not obeyed.causes


def _precision(functions: Functions, case: Case, found: Values) -> float:
    """The relative precision of forward: by second differences over nudges that only rounding can see."""
    if any(array.dtype.kind != "f" or array.dtype.itemsize < 8 for array in found.values()):
        coarse = max(np.finfo(a.dtype).eps for a in found.values() if a.dtype.kind == "f")
        return float(coarse)
    rng = np.random.default_rng(2)
    names = [name for name in functions.inputs if name != "mask" and not (name == "x" and functions.ids)]
    direction = {name: 1e-7 * rng.normal(size=case.values[name].shape) for name in names}
    runs = [
        functions.forward(case.values | {n: case.values[n] + sign * direction[n] for n in names})
        for sign in (1, -1)
    ]
    noise = 0.0
    for name, array in found.items():
        size = np.abs(array).max(initial=0)
        bend = np.abs(runs[0][name] + runs[1][name] - 2 * array).max(initial=0)
        noise = max(noise, float(bend / size) if size > 0 else 0.0)
    for eps in (np.finfo(np.float16).eps, np.finfo(np.float32).eps):
        if noise > eps / 8:
            return float(eps)
    return float(np.finfo(np.float64).eps)


def _losses(case: Case, losses: Values) -> list[tuple[str, Values]]:
    """A loss that reads everything, and for a sequence one that reads the last step only."""
    found = [("", losses)]
    if not case.step and case.steps > 1 and "h" in losses:
        last = {**losses, "h": np.zeros_like(losses["h"])}
        last["h"][:, -1] = losses["h"][:, -1]
        if "c" in losses:
            last["c"] = np.zeros_like(losses["c"])
        found.append((", loss on the last step", last))
    return found


def _comparison(
    functions: Functions, case: Case, name: str, words: str, analytic: Any, numbers: Numbers, eps: float
) -> Comparison:
    used = slice(None) if not words else slice(-2, None)
    numeric, bound = numbers.parts[used].sum(axis=0), numbers.bounds[used].sum(axis=0)
    if words and "c" in functions.incoming and not case.step:  # dc of all steps is part of the rest
        numeric, bound = numbers.parts[-2], numbers.bounds[-2]
    if eps > LOW_PRECISION:
        bound = np.maximum(bound, 1e-35)
    kind = "bias" if name in ("b", "rb") else "weight" if name in WEIGHTS else "state"
    axes = AXES["steps" if name == "x" else kind]
    if functions.step and name == "x":
        axes = ("sample", "feature")
    gates = case.spec.gates if name in WEIGHTS and len(case.spec.gates) > 1 else ()
    label = name
    if "loss" in functions.incoming:  # any parameters, under names of their own
        axes, gates = tuple(f"axis {k}" for k in range(numeric.ndim)), ()
        return Comparison(f"d{label}", np.real(analytic), numeric, numbers.checked, axes, gates, bound)
    if name in ("h", "c"):
        label = f"{name}_prev" if functions.step else f"{name}0"
    elif name in forwards.ROWS:
        label = "W"
    return Comparison(f"d{label}{words}", np.real(analytic), numeric, numbers.checked, axes, gates, bound)


def _forward(functions: Functions, case: Case, found: Values) -> list[Comparison]:
    """The outputs beside those of this package's cell, in the order of gates that was asked for."""
    rows = forwards.first_rows(functions.inputs)
    ours = forwards.Known(FORMS[case.spec.cell][0], case.spec.gates, rows, ())
    given = forwards.in_our_form(case.spec, ours, case.values, functions.inputs, case.step)
    expected = forwards.shown(forwards.run(case.spec, ours, given, case.mask), tuple(found), case.step)
    return [
        Comparison(
            f"forward {name}",
            np.real(array),
            expected[name],
            np.ones(array.shape, bool),
            AXES["states" if array.ndim == 3 else "state"],
        )
        for name, array in found.items()
    ]


def _say_what_was_left_out(functions: Functions, case: Case, report: Report) -> None:
    """What is absent, and what therefore could not be checked."""
    for state in case.spec.states:
        if state not in functions.inputs:
            report.notes.append(
                f"{state} of the start is not taken: it begins at 0, and has no gradient to check"
            )
    absent = [n for n in functions.inputs if n not in (*functions.judged, "mask")]
    if absent:
        report.notes.append(f"no gradient of {', '.join(absent)}: not judged")
    unused = [name for name in functions.outputs if name not in ", ".join(functions.incoming).split(", ")]
    if unused:
        which = ", ".join(unused)
        report.notes.append(f"backward takes no gradient of {which}: a loss on it is not checked")
    if "c" in case.spec.states and not any(name[0] == "c" for name in functions.outputs):
        report.notes.append("c is not returned: a loss on it is not checked")
    inside = ["b"] if "WUb" in functions.inputs else []
    biases = [n for n in case.spec.weights if n in ("b", "rb") and n not in (*functions.inputs, *inside)]
    if biases:
        report.notes.append(f"no {' and no '.join(biases)}: taken as 0")
