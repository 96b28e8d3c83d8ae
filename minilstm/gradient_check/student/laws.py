"""Tests that need no formula: laws that every backward pass obeys, whatever its cell.

It is linear in the incoming gradient, so that of 0 is 0; it depends on every gradient it is given; a loss
on one step reaches that step and the steps before it, and knows nothing of later ones.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.gradient_check.student.cases import Case, Values
from minilstm.gradient_check.student.exceptions import FunctionError
from minilstm.gradient_check.student.functions import Functions

SCALE, ODD = 1024.0, 1.1  # a power of 2 changes no digit; the other number shows the precision
STRIDE = 0.3  # by which a cell state is moved, to see what depends on it
Found = dict[str, Array | None]


class Laws(NamedTuple):
    """What was found: broken laws in words, how precise backward is, and whether it is not linear."""

    causes: list[str]
    eps: float
    bent: bool


def scaled(losses: Values, factor: float) -> Values:
    return {name: factor * weight for name, weight in losses.items()}


def alone(losses: Values, t: int, factor: float = 1.0) -> Values:
    """What the loss says of the output of step t, times `factor`, and nothing else."""
    found = scaled(losses, 0.0)
    found["h"][:, t] = factor * losses["h"][:, t]
    return found


def obeyed(functions: Functions, case: Case, losses: Values) -> Laws:
    """Linearity, precision, and dependence on every incoming gradient."""
    once = functions.gradients(case.values, losses)
    none = functions.gradients(case.values, scaled(losses, 0.0))
    large = functions.gradients(case.values, scaled(losses, SCALE))
    odd = functions.gradients(case.values, scaled(losses, ODD))
    causes = []
    names = list(functions.judged)
    zero = {n: np.where(np.isfinite(a), a, 0) for n, a in none.items() if a is not None}
    eps = max((_error(odd[name], once[name], zero[name], ODD) for name in functions.judged), default=0.0)
    if eps > 1e-4:
        eps = 0.0  # not a matter of precision
    affine = [name for name in names if zero[name].any()]
    bent = [name for name in names if _error(large[name], once[name], zero[name], SCALE) > 1e-4 + 20 * eps]
    if affine and not bent:
        causes.append(
            f"backward(0) is not 0, in {_d(affine)}: something is added that no incoming gradient multiplies "
            "(a misplaced bracket?)"
        )
    elif bent:
        causes.append(_bent(names, once, large, bent))
    for name in losses:
        without = none
        if len(losses) > 1:
            without = functions.gradients(case.values, {**losses, name: 0 * losses[name]})
        if all(np.array_equal(without[n], once[n], equal_nan=True) for n in names):  # type: ignore[arg-type]
            causes.insert(0, f"d{name} is never used: backward gives the same without it")
    _called_again(functions, case, losses, once)
    return Laws(causes, eps, bool(bent))


def _bent(names: list[str], once: Found, large: Found, bent: list[str]) -> str:
    """What a backward pass that is not linear does to its gradients."""
    same = [n for n in bent if np.allclose(np.asarray(large[n]), np.asarray(once[n]), rtol=1e-6)]
    if same:
        return f"backward is not linear in the incoming gradient: {_d(same)} normalised, whatever its size"
    caps = {}
    for name in bent:
        size = np.abs(np.asarray(large[name]))
        top = size.max(initial=0)
        if top > 0 and (size == top).sum() > 1:
            caps[name] = float(top)
    if caps:
        name, top = next(iter(caps.items()))
        return f"backward is not linear in the incoming gradient: gradients are clipped, d{name} at {top:.4g}"
    return (
        f"backward is not linear in the incoming gradient, in {_d(bent)}: "
        "are gradients clipped or normalised inside it?"
    )


def _d(names: list[str]) -> str:
    return ", ".join(f"d{name}" for name in names)


def _error(found: Array | None, once: Array | None, zero: Array | None, factor: float) -> float:
    """How far from factor times what it was, beside what comes of 0."""
    if found is None or once is None or zero is None or not np.isfinite(once).all():
        return 0.0
    expected = zero + factor * (once - zero)
    size = np.abs(expected).max(initial=0)
    if not np.isfinite(found).all():
        return np.inf
    return float(np.abs(found - expected).max(initial=0) / size) if size > 0 else 0.0


def _called_again(functions: Functions, case: Case, losses: Values, once: Found) -> None:
    """Whether backward leaves its cache as it was; a matter of hygiene."""
    try:
        twice = functions.gradients(case.values, losses, again=True)
    except FunctionError:
        functions.hygiene["backward uses up its cache: a second call raises"] = None
        return
    if any(not np.array_equal(once[n], twice[n], equal_nan=True) for n in functions.judged):  # type: ignore[arg-type]
        functions.hygiene["backward gives another result when it is called again: it changes its cache"] = (
            None
        )


def peepholes(functions: Functions, case: Case) -> str | None:
    """In words, how the gates of an LSTM's first step read the cell state; None where they do not.

    They do not where c is linear in c_prev, and h / tanh(c) does not change with it.
    """
    name = next((n for n in ("c", "c_last") if n in functions.outputs), None)
    if name is None or "c" not in functions.inputs:
        return None
    before = case.values["c"]
    values, mask = case.values, case.mask
    if not case.step:
        values = values | {"x": values["x"][:, :1]}
        mask = None if mask is None else np.ones_like(mask[:, :1])
    try:
        runs = [functions.forward(values | {"c": before + nudge}, mask) for nudge in (0.0, STRIDE, -STRIDE)]
    except FunctionError:
        return None
    c, h = (
        [np.real(run[n]).reshape(before.shape) for run in runs]
        for n in (name, "h" if "h" in runs[0] else "h_last")
    )
    small = max(1e-6, 1e3 * functions.precision)
    bend = np.abs(c[1] + c[2] - 2 * c[0]).max(initial=0)
    if bend > small * np.abs(c[1] - c[2]).max(initial=0):
        return "its gates read the cell state (peepholes): c is not linear in c_prev"
    o = [state / np.tanh(cell) for state, cell in zip(h, c, strict=True)]
    if np.ptp(o, axis=0).max(initial=0) > small:
        return "h / tanh(c) changes with c_prev: does the output gate read the cell state (a peephole)?"
    return None


# ------------------------------------------------------------------------------ reach


class Reach(NamedTuple):
    """What losses on single steps reach: from[t, s], whether x_s gets a gradient from a loss on step t."""

    reached: Array  # (T, T) bool
    gradients: list[Found]  # of each step's loss


def reach(functions: Functions, case: Case, losses: Values) -> Reach | None:
    """A loss on each step alone; None where backward is not given h of every step or gives no dx."""
    if case.step or "h" not in losses or "x" not in functions.judged:
        return None
    rows, gradients = [], []
    for t in range(case.steps):
        found = functions.gradients(case.values, alone(losses, t))
        gradients.append(found)
        rows.append(np.asarray(found["x"]).any(axis=(0, 2)))
    return Reach(np.array(rows), gradients)


def wraps_around(functions: Functions, case: Case, losses: Values, first: Found) -> bool:
    """Whether the gradient of a loss on step 0 changes with the input of the last step."""
    if case.step or case.steps < 2 or "h" not in losses:
        return False
    x = case.values["x"].copy()
    x[:, -1] = np.roll(x[:, -1], 1, axis=0)
    found = functions.gradients(case.values | {"x": x}, alone(losses, 0))
    return any(
        not np.allclose(np.asarray(found[n]), np.asarray(first[n])) for n in functions.judged if n != "x"
    )
