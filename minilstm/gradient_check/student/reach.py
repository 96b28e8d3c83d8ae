"""How far back a student's gradients reach: where they end although they must go on, and how they were cut.

A loss on one step tells where the gradient of that step ends; a few of them tell a gradient that is cut at
every k-th step from one that each loss carries k steps back, and from one that ends at a step for good.
"""

from __future__ import annotations

import numpy as np

from minilstm.arrays import Array
from minilstm.gradient_check.report import Comparison, Report
from minilstm.gradient_check.student.cases import Case, Loss
from minilstm.gradient_check.student.functions import Functions

MOST = 60  # cuts that are looked for, each by one run of backward


def lost(functions: Functions, case: Case, report: Report) -> str | None:
    """The cause, if dx is exactly 0 at steps, or in entries, that a gradient must reach."""
    dx = [one for one in report.comparisons if one.name.startswith("dx")]
    if len(dx) < 2:
        return None
    every, last = dx
    T = case.x.shape[1]
    zero = ~last.analytic.any(axis=(0, 2)) & (np.abs(last.numeric).max(axis=(0, 2)) > 0)  # (T,)
    first = int(T - zero[::-1].argmax()) if zero.any() else 0  # steps 0 .. first - 1 get nothing
    if 0 < first < T - 1 and not last.analytic[:, :first].any():
        if not every.analytic[:, :first].any():
            return f"truncated after {T - first} steps: steps 0 to {first - 1} get no gradient"
        steps = every.by_step()
        if steps is not None and steps[:first].max() > report.tolerance:
            return _how_cut(functions, case, first)
    return _threshold(dx, report.tolerance)


def _how_cut(functions: Functions, case: Case, first: int) -> str:
    """In words, how the gradient of the last step comes to end at step `first`."""
    T = case.x.shape[1]
    if _ends(functions, case, T - 2) == first - 1:
        return f"truncated after {T - first} steps: what the loss says of a step goes back no further"
    cuts, end = [first], _ends(functions, case, first - 1)
    while 0 < end < cuts[-1] and len(cuts) < MOST:
        cuts.append(end)
        end = _ends(functions, case, end - 1)
    apart = {int(gap) for gap in -np.diff(cuts)}
    if len(cuts) == 1:
        return f"truncated: the gradient is cut before step {first}, and nowhere else"
    if len(apart) == 1:
        (k,) = apart
        counted = "start" if first % k == 0 else "end" if T - first == k else None
        if counted:
            words = "" if T % k == 0 else f", counted from the {counted}"
            return f"truncated after {k} steps: the gradient is cut at every {k}. step{words}"
    shown = ", ".join(map(str, sorted(cuts)[-5:]))
    return f"truncated: the gradient is cut before steps {'... ' if len(cuts) > 5 else ''}{shown}"


def _ends(functions: Functions, case: Case, step: int) -> int:
    """The earliest step that gets a gradient from a loss on `step` alone; `step` itself if none does."""
    given = case.losses[0]
    loss = Loss("", np.zeros_like(given.dh), tuple(np.zeros_like(part) for part in given.dlast))
    loss.dh[:, step] = given.dh[:, step]
    cache = functions.forward(case.x, case.states, case.weights, case.mask).cache
    reached: Array = np.flatnonzero(functions.backward(loss, cache, case)["x"].any(axis=(0, 2)))
    return int(reached[0]) if len(reached) else step


def _threshold(dx: list[Comparison], tolerance: float) -> str | None:
    """The cause, if all that is wrong are the smallest entries, which are exactly 0."""
    gone = [(one.analytic == 0) & (np.abs(one.numeric) > 0) & one.checked for one in dx]
    lost = np.concatenate([np.abs(one.numeric[there]) for one, there in zip(dx, gone, strict=True)])
    kept = np.concatenate(
        [np.abs(one.numeric[one.checked & ~there]) for one, there in zip(dx, gone, strict=True)]
    )
    right = all((one.errors[~there] <= tolerance).all() for one, there in zip(dx, gone, strict=True))
    if len(lost) and right and lost.max() <= kept[kept > 0].min(initial=np.inf):
        return f"gradients below about {lost.max():.0e} are lost: an underflow, or a threshold"
    return None
