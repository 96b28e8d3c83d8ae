"""From wrong gradients to a likely cause.

First the known mistakes are tried: each is run on a short sequence, alone and then together, and named
if it gives the student's wrong gradients to 8 digits, all of them. What no known mistake explains is
looked at for a pattern: a constant ratio, a block of another gate, gradients that end after k steps.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import numpy as np

from minilstm.arrays import Array
from minilstm.gradient_check.report import Comparison, Report
from minilstm.gradient_check.student import formulas, mistakes, reach
from minilstm.gradient_check.student.cases import Case, draw, in_our_order, ours
from minilstm.gradient_check.student.functions import Functions
from minilstm.gradient_check.student.shared_mistakes import Mistake

SHORT = 5  # steps of the sequence that known mistakes are tried on
CLOSE = 1e-8
ROUNDED = 1e-6  # errors below this everywhere are a matter of precision
Found = dict[str, Array]


def causes(functions: Functions, case: Case, report: Report) -> list[str]:
    """The likely causes in words; nothing where none is recognised."""
    found: list[str] = []
    forward = [one for one in report.comparisons if one.name.startswith("forward")]
    backward = [one for one in report.comparisons if not one.name.startswith("forward")]
    wrong = [one for one in backward if not one.max_error <= report.tolerance]
    order = None
    if any(not one.max_error <= report.tolerance for one in forward):
        words, order = _forward_causes(functions, case)
        right = "" if wrong else "; the backward pass is right for the forward pass it belongs to"
        found += [f"the forward pass is not this cell's: {words}{right}"]
        if order is None:
            pattern = _ratio_cause(wrong, case) if wrong else None
            return [*found, pattern] if pattern else found
    if wrong:
        found += _backward_causes(functions, case, report, wrong, order or functions.spec.gates)
    return found


def broken_laws(functions: Functions, case: Case) -> list[str]:
    """Laws that every backward pass obeys, whatever its formulas, and this one does not."""
    found = []
    loss = case.losses[0]

    def fresh() -> object:
        return functions.forward(case.x, case.states, case.weights, case.mask).cache

    cache = fresh()
    once, twice = (functions.backward(loss, cache, case) for _ in range(2))
    if any(not np.array_equal(once[name], twice[name], equal_nan=True) for name in once):
        found.append("backward gives another result when it is called again: it changes its cache")
    scale = 1024.0
    large = loss._replace(dh=scale * loss.dh, dlast=tuple(scale * part for part in loss.dlast))
    scaled = functions.backward(large, fresh(), case)
    if not found and not all(_near(scaled[name], scale * once[name]) for name in once):
        found.append(
            "backward is not linear in the incoming gradient: are gradients clipped or normalised inside it?"
        )
    return found


# ------------------------------------------------------------------------------ a wrong forward pass


def _forward_causes(functions: Functions, case: Case) -> tuple[str, tuple[str, ...] | None]:
    """What is wrong with forward, in words; and the order of its gates, if that is all."""
    spec = functions.spec
    found = functions.forward(case.x, case.states, case.weights, case.mask)
    for order in permutations(spec.gates):
        h, last = ours(spec._replace(gates=order), case.x, case.states, case.weights, case.mask)
        if _near(found.h, h) and all(map(_near, found.last, last[1:])):
            word = "".join(order)
            return f"its gates stand in the order {', '.join(order)} (say gates={word!r})", order
    weights = {name: in_our_order(spec, array) for name, array in case.weights.items()}
    table = formulas.FORWARD_TABLES[spec.cell]
    for mistake in mistakes.known_forward(spec.cell):
        with np.errstate(all="ignore"):
            run = formulas.forward(table | mistake.formulas, case.x, case.states, weights, case.mask)
        if _near(found.h, run.hs[1:].transpose(1, 0, 2)):
            return mistake.cause, None
    return "its outputs differ", None


# ------------------------------------------------------------------------------ a wrong backward pass


def _backward_causes(
    functions: Functions, case: Case, report: Report, wrong: list[Comparison], order: tuple[str, ...]
) -> list[str]:
    spec = functions.spec._replace(gates=order)
    short = _shortened(functions, case)
    student = [_student_s(functions, short, loss, order) for loss in short.losses]
    weights = {name: in_our_order(spec, array) for name, array in short.weights.items()}
    forward = formulas.forward(formulas.FORWARD_TABLES[spec.cell], short.x, short.states, weights, short.mask)
    table = formulas.TABLES[spec.cell]

    def explains(changes: formulas.Table, names: set[str] | None = None) -> bool:
        for loss, gradients in zip(short.losses, student, strict=True):
            found = _tried(table | changes, forward, loss.dh, loss.dlast)
            for name in gradients if names is None else names:
                if not _near(gradients[name], found[name], steps=name == "x"):
                    return False
        return True

    strong = [one for one in wrong if "loss on" not in one.name]  # a loss that every step enters
    if strong and all(one.max_error < ROUNDED for one in strong):
        size = max(one.max_error for one in strong)
        return [f"errors of {size:.0e} look like float32: is an array float32?"]
    lost = reach.lost(functions, case, report) if case.mask is None else None
    if lost:
        return [lost]
    if explains({}):
        return [f"right on {SHORT} steps and wrong on {case.x.shape[1]}: something depends on the length"]
    known = mistakes.known(spec.cell) + _truncations(spec.cell, short.x.shape[1])
    single = next((mistake for mistake in known if explains(mistake.formulas)), None)
    if single is not None:
        return [single.cause]
    pattern = _ratio_cause(wrong, case)
    if pattern:
        return [pattern]
    return _several(known, explains, set(student[0]))


def _several(
    known: list[Mistake], explains: Callable[[formulas.Table, set[str]], bool], names: set[str]
) -> list[str]:
    """Mistakes that together explain everything: in the path backwards first, then in each weight's sum."""
    path = {name for name in names if name == "x" or name.endswith("0")}
    for through in [Mistake("", {}), *known]:
        if not explains(through.formulas, path):
            continue
        found = [through] if through.cause else []
        for name in sorted(names - path):
            changes = {key: formula for mistake in found for key, formula in mistake.formulas.items()}
            if explains(changes, {name}):
                continue
            fits = (m for m in known if explains(changes | m.formulas, path | {name}))
            mistake = next(fits, None)
            if mistake is None:
                return []
            found.append(mistake)
        return [mistake.cause for mistake in found]
    return []


def _shortened(functions: Functions, case: Case) -> Case:
    """A case of few steps, with a mask if the long one has one."""
    B, T, D = case.x.shape
    steps = min(T, SHORT)
    mask = None
    if case.mask is not None:
        mask = np.random.default_rng(0).random((B, steps)) < 0.6
        mask[0, : steps // 2 + 1] = False  # a masked beginning, and masked steps amid real ones
        mask[-1, -1] = False
    return draw(functions.spec, (B, steps, D, case.states[0].shape[1]), mask, 0, functions.step)


def _student_s(functions: Functions, case: Case, loss: object, order: tuple[str, ...]) -> Found:
    """The student's gradients, under the names and in the order of `formulas`, time-major."""
    spec = functions.spec._replace(gates=order)
    cache = functions.forward(case.x, case.states, case.weights, case.mask).cache
    gradients = functions.backward(loss, cache, case)  # type: ignore[arg-type]
    found = {"x": gradients.pop("x").transpose(1, 0, 2)}
    for name, gradient in gradients.items():
        if name in spec.weights:
            found[name] = in_our_order(spec, gradient)
        else:
            found[f"{name[0]}0"] = gradient
    return found


def _tried(
    table: formulas.Table, forward: SimpleNamespace, dh: Array, dlast: tuple[Array, ...]
) -> dict[str, Array]:
    with np.errstate(all="ignore"):
        return formulas.backward(table, forward, dh.transpose(1, 0, 2), dlast[0] if dlast else None)


def _truncations(cell: str, T: int) -> list[Mistake]:
    """Backward passes that stop after k steps, or cut the gradient after every k-th step."""
    found = []
    for k in range(1, T):
        after = f"truncated after {k} step{'s' if k > 1 else ''}"
        names = {"dx", "W_sum", "U_sum", "b_sum", "rb_sum", "dh_prev", "dc_prev"} & formulas.TABLES[
            cell
        ].keys()
        for hold in (True, False):
            stopped = {name: _stopped(formulas.TABLES[cell][name], name, k, hold) for name in names}
            found.append(Mistake(f"{after}: the steps before get no gradient", stopped))
        for count, words in (
            (lambda v: v.T - v.t, "counted from the end"),
            (lambda v: v.t, "counted from the start"),
        ):
            cut = {
                name: _cut(formulas.TABLES[cell][name], count, k) for name in names & {"dh_prev", "dc_prev"}
            }
            found.append(Mistake(f"{after}: the gradient is cut at every {k}. step, {words}", cut))
    return found


def _stopped(right: formulas.Formula, name: str, k: int, hold: bool) -> formulas.Formula:
    """The formula's value until k steps were done; then 0, or what it was (sums always, states if `hold`)."""

    def formula(v: Any) -> Any:
        if v.t >= v.T - k:
            return right(v)
        if name.endswith("_sum"):
            return getattr(v, name)
        if hold and name.endswith("_prev"):
            return getattr(v, name.replace("prev", "next"))
        return 0 * right(v)

    return formula


def _cut(right: formulas.Formula, count: Callable[[Any], int], k: int) -> formulas.Formula:
    return lambda v: right(v) * (0 if v.t and count(v) % k == 0 else 1)


# ------------------------------------------------------------------------------ patterns


def _ratio_cause(wrong: list[Comparison], case: Case) -> str | None:
    """The cause, if in one tensor or gate, or in all, every entry is the same multiple of what it must be."""
    B, T, _ = case.x.shape
    names = {-1.0: "sign flipped", 2.0: "factor 2", 0.5: "factor 1/2", 0.0: "all zero"}
    for value, words in ((B, "B, the batch size"), (T, "T, the number of steps"), (B * T, "B * T")):
        if value > 2:
            names |= {float(value): f"factor {words}", 1 / value: f"factor 1/({words}): averaged, not summed"}
    ratios = {}
    for one in wrong:
        checked = one.checked & (one.errors > 0)
        gates = [gate for gate, error in one.by_gate().items() if error > CLOSE]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = (one.analytic / one.numeric)[checked]
        if (
            not len(ratio)
            or not np.isfinite(ratio).all()
            or np.ptp(ratio) > 1e-6 * np.abs(ratio).max(initial=1e-9)
        ):
            return None
        place = one.name.split(",")[0]
        if 0 < len(gates) < len(one.gates):
            place += f" of gate{'s' if len(gates) > 1 else ''} {', '.join(gates)}"
        ratios[place] = float(np.median(ratio))
    values = np.array(list(ratios.values()))
    if not len(values) or np.ptp(values) > 1e-6 * np.abs(values).max(initial=1e-9):
        return None
    known = next((words for value, words in names.items() if abs(values[0] - value) < 1e-6), None)
    words = known or f"every entry is {values[0]:.6g} times what it must be"
    return f"{words}, in {', '.join(ratios)}"


def _near(found: Array, expected: Array, steps: bool = False) -> bool:
    """Equal to 8 digits of the largest entry; of each step (first axis) if `steps`."""
    if np.shape(found) != np.shape(expected) or not np.isfinite(found).all():
        return False
    axes = tuple(range(1 if steps else 0, np.ndim(expected)))
    with np.errstate(invalid="ignore"):
        error = np.abs(found - expected).max(axis=axes, initial=0)
        return bool((error <= CLOSE * np.abs(expected).max(axis=axes, initial=0)).all())
