"""Where a student's gradients end although they must go on, and how far from the loss they are wrong.

A loss on one step tells where the gradient of that step ends; a few of them tell a gradient that is cut at
every k-th step from one that each loss carries k steps back, and from one that ends at a step for good.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.gradient_check.report import Comparison, Report
from minilstm.gradient_check.student import formulas
from minilstm.gradient_check.student.cases import Case, Values
from minilstm.gradient_check.student.derivatives import Numbers
from minilstm.gradient_check.student.functions import Functions
from minilstm.gradient_check.student.laws import alone, reach, wraps_around
from minilstm.gradient_check.student.shared_mistakes import Mistake

LOUD = 1e6  # times a loss, to see a threshold move; a cut does not
MOST = 60  # cuts that are looked for, each by one run of backward


class Wrong(NamedTuple):
    """What is known about a backward pass that is not right."""

    functions: Functions
    case: Case
    losses: Values
    numbers: dict[str, Numbers]
    report: Report

    @property
    def tensors(self) -> list[Comparison]:
        return self.report.wrong


def lost(wrong: Wrong) -> str | None:
    """The cause, if dx is exactly 0 at steps, or in entries, that a gradient must reach."""
    report, case = wrong.report, wrong.case
    dx = [one for one in report.comparisons if one.name.startswith("dx")]
    if len(dx) < 2:
        return None
    every, last = dx
    T = case.steps
    zero = ~last.analytic.any(axis=(0, 2)) & (np.abs(last.numeric).max(axis=(0, 2)) > 0)  # (T,)
    first = int(T - zero[::-1].argmax()) if zero.any() else 0  # steps 0 .. first - 1 get nothing
    if 0 < first < T - 1 and not last.analytic[:, :first].any():
        if not every.analytic[:, :first].any():
            return f"truncated after {T - first} steps: steps 0 to {first - 1} get no gradient"
        steps = every.by_step()
        cut = _ends(wrong, T - 1) == _ends(wrong, T - 1, LOUD)  # a larger loss does not reach further back
        if cut and steps is not None and steps[:first].max() > report.tolerance:
            return _how_cut(wrong, first)
    return _threshold(dx, report.tolerance)


def _after(steps: int) -> str:
    return f"truncated after {steps} step{'s' if steps > 1 else ''}"


def _how_cut(wrong: Wrong, first: int) -> str:
    """In words, how the gradient of the last step comes to end at step `first`."""
    T = wrong.case.steps
    if _ends(wrong, T - 2) == first - 1:
        return f"{_after(T - first)}: what the loss says of a step goes back no further"
    cuts, end = [first], _ends(wrong, first - 1)
    while 0 < end < cuts[-1] and len(cuts) < MOST:
        cuts.append(end)
        end = _ends(wrong, end - 1)
    apart = {int(gap) for gap in -np.diff(cuts)}
    if len(cuts) == 1:
        return f"truncated: the gradient is cut before step {first}, and nowhere else"
    if len(apart) == 1:
        (k,) = apart
        counted = "start" if first % k == 0 and T - first <= k else "end" if T - first == k else None
        if counted:
            words = "" if T % k == 0 else f", counted from the {counted}"
            return f"{_after(k)}: the gradient is cut at every {k}. step{words}"
    shown = ", ".join(map(str, sorted(cuts)[-5:]))
    return f"truncated: the gradient is cut before steps {'... ' if len(cuts) > 5 else ''}{shown}"


def _ends(wrong: Wrong, step: int, size: float = 1.0) -> int:
    """The earliest step that gets a gradient from a loss on `step` alone; `step` itself if none does."""
    dx = np.asarray(wrong.functions.gradients(wrong.case.values, alone(wrong.losses, step, size))["x"])
    reached: Array = np.flatnonzero(dx.any(axis=(0, 2)))
    return int(reached[0]) if len(reached) else step


def _threshold(dx: list[Comparison], tolerance: float) -> str | None:
    """The cause, if all that is wrong are the smallest entries, which are exactly 0."""
    gone = [(one.analytic == 0) & (np.abs(one.numeric) > 0) & one.checked for one in dx]
    lost = np.concatenate([np.abs(one.numeric[there]) for one, there in zip(dx, gone, strict=True)])
    kept = np.concatenate(
        [np.abs(one.numeric[one.checked & ~there]) for one, there in zip(dx, gone, strict=True)]
    )
    right = all((one.errors[~there] <= tolerance).all() for one, there in zip(dx, gone, strict=True))
    if len(lost) and right and kept.any() and lost.max() <= kept[kept > 0].min(initial=np.inf):
        return f"gradients below about {lost.max():.0e} are lost: an underflow, or a threshold"
    return None


def by_distance(wrong: Wrong) -> str | None:
    """What a loss on each step alone shows: which distances from it are right, which get nothing."""
    found = reach(wrong.functions, wrong.case, wrong.losses)
    if found is None or not wrong.numbers["x"].checked.all():
        return None
    T = wrong.case.steps
    future = np.triu(found.reached, 1)
    if future.any() and not np.tril(found.reached, -1).any():
        return "backward goes through the steps in forward order: a loss reaches later steps, no earlier one"
    if future.any():
        t, s = np.argwhere(future)[0]
        return f"a loss on step {t} gives a gradient to x of step {s}, which comes later"
    if wraps_around(wrong.functions, wrong.case, wrong.losses, found.gradients[0]):
        return "a loss on step 0 depends on the last step: is a state of index -1 read for the initial one?"
    right = np.zeros((T, T), bool)
    for t in range(T):
        truth, got = wrong.numbers["x"].parts[t], np.asarray(found.gradients[t]["x"])
        size = np.abs(truth).max(axis=(0, 2))
        right[t] = np.abs(got - truth).max(axis=(0, 2)) <= 1e-7 * size
    lags = [bool(np.diagonal(right, -k).all()) for k in range(T)]
    empty = [not np.diagonal(found.reached, -k).any() for k in range(T)]
    if lags[0] and T > 1 and all(empty[1:]):
        return "the states' gradients are not passed from step t to t-1: a loss reaches its own step only"
    if lags[0] and not any(lags[1:]):
        return "right at the step of the loss, wrong at every earlier one: what the steps pass on is wrong"
    if T > 2 and lags[0] and lags[1] and not any(lags[2:]):
        return (
            "right at the step of the loss and one step before, wrong from two steps on: the Jacobians of "
            "the steps are multiplied in the wrong order, or all but one are dropped"
        )
    return None


def truncations(cell: str, T: int) -> list[Mistake]:
    """Backward passes that stop after k steps, or cut the gradient after every k-th step."""
    found = []
    for k in range(1, T):
        after = _after(k)
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
