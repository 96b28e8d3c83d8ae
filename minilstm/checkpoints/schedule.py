"""Optimal checkpointing: the fewest forward steps that give the gradient of a chain from a few slots.

Two kinds of slots, for a chain of t time steps:

    states    a slot holds a state, the first one included. From it steps are advanced again; each step runs
              once more where it is differentiated, with its record (Griewank and Walther 2000). The advances:
              p(t, s) = min_y y + p(t - y, s - 1) + p(y, s), p(t, 1) = t (t - 1) / 2, p(1, s) = 0.
    records   a slot holds all that the backward pass of one step needs (Gruslys et al. 2016, "internal
              state"). All forward steps: E(t, m) = min_y y + E(t - y, m - 1) + E(y - 1, m), y being the step
              whose record is kept first; E(t, 1) = t (t + 1) / 2, E(t, m) = t for m >= t.

Both minima have a closed form. Let reach(s, r) be the longest chain that needs no step advanced more than r
times. For states it is reach(s, r) = reach(s, r - 1) + reach(s - 1, r) = C(s + r, s): the part before the
next slot has one advance behind it. A step beyond reach(s, k) costs one more for each such k; their sum is
p. For records reach(m, r) = reach(m, r - 1) + reach(m - 1, r) + 1, the step of the record itself, which makes
C(m + r + 1, m) - 1. And a split is the best where both parts lie within their reach.

What this file is not: it knows no network. `slots` carries the steps out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import comb
from typing import Literal, NamedTuple

from minilstm.foundations.errors import one_of, whole_number

Slots = Literal["states", "records"]


def with_states(steps: int, slots: int) -> int:
    """p(steps, slots): steps advanced; the `steps` recorded ones come on top.

    >>> with_states(1000, 50), with_states(10, 3)
    (1948, 15)
    """
    return _beyond(_reach_of_states, whole_number("steps", steps), whole_number("slots", slots))


def with_records(steps: int, slots: int) -> int:
    """E(steps, slots): all forward steps.

    >>> with_records(1000, 50)
    1950
    """
    steps = whole_number("steps", steps)
    return steps + _beyond(_reach_of_records, steps, whole_number("slots", slots))


class Action(NamedTuple):
    """What is done next, on the steps from `start` up to `stop`, or on the one step `start`, or its state."""

    what: Literal["keep", "drop", "restore", "advance", "record", "back"]
    start: int
    stop: int


def actions(steps: int, slots: int, kind: Slots) -> Iterator[Action]:
    """What gives the gradient of a chain from `slots` slots with the fewest forward steps.

    keep, drop, restore : put the state before step `start` into its place, forget it, go back to it
    advance : from the state at hand to that before step `stop`
    record : run step `start` from the state at hand, and keep all that its backward pass needs
    back : differentiate step `start`, whose record is then forgotten; the last step comes first

    Before the first "back" each step is run once, in order. A slot of kind "records" holds a record and the
    state that its piece of the chain begins with.

    >>> [f"{action.what} {action.start}" for action in actions(3, 1, "states")]  # doctest: +ELLIPSIS
    ['keep 0', 'advance 0', 'record 2', 'back 2', 'restore 0', 'advance 0', 'record 1', 'back 1', ...]
    """
    one_of("kind", kind, ("states", "records"))
    go = _by_states if kind == "states" else _by_records
    yield from go(whole_number("steps", steps), whole_number("slots", slots))


def forward_actions(steps: int, slots: int, kind: Slots) -> list[Action]:
    """Those before the first "back": the forward pass."""
    found = []
    for action in actions(steps, slots, kind):
        if action.what == "back":
            break
        found.append(action)
    return found


def _by_states(steps: int, slots: int) -> Iterator[Action]:
    kept = [0]
    yield Action("keep", 0, 0)
    for stop in range(steps, 0, -1):  # the chain that is left
        now = kept[-1]
        if stop < steps:
            yield Action("restore", now, now)
        while (free := slots - len(kept)) and stop - now > 1:
            after = now + _split(_reach_of_states, stop - now, free + 1, 0)
            yield Action("advance", now, after)
            yield Action("keep", after, after)
            kept.append(now := after)
        if now < stop - 1:
            yield Action("advance", now, stop - 1)
        yield Action("record", stop - 1, stop)
        yield Action("back", stop - 1, stop)
        if kept[-1] == stop - 1:
            yield Action("drop", kept.pop(), stop - 1)


def _by_records(steps: int, slots: int) -> Iterator[Action]:
    kept: list[tuple[int, int]] = []  # of each slot: where its piece begins, and its recorded step
    first, stop = 0, steps  # the piece at work, whose first state is at hand
    while True:
        while first < stop:
            free, now = slots - len(kept), first
            step = stop - 1 if free == 1 else first + _split(_reach_of_records, stop - first, free, 1)
            yield Action("keep", first, first)
            if now < step:
                yield Action("advance", now, step)
            yield Action("record", step, step + 1)
            kept.append((first, step))
            first = step + 1
        if not kept:
            return
        first, stop = kept.pop()
        yield Action("back", stop, stop + 1)
        if first < stop:
            yield Action("restore", first, first)
        yield Action("drop", first, first)


# ---------------------------------------------------------------- the closed forms

Reach = Callable[[int, int], int]


def _reach_of_states(slots: int, times: int) -> int:
    return comb(slots + times, slots) if times >= 0 else 0


def _reach_of_records(slots: int, times: int) -> int:
    return comb(slots + times + 1, slots) - 1 if times >= -1 else 0


def _times(reach: Reach, steps: int, slots: int) -> int:
    """How many times a step of the chain is advanced at most."""
    times = 0
    while reach(slots, times) < steps:
        times += 1
    return times


def _beyond(reach: Reach, steps: int, slots: int) -> int:
    """The sum of the steps beyond the reach of 0, 1, 2, ... times."""
    return sum(steps - reach(slots, k) for k in range(_times(reach, steps, slots)))


def _split(reach: Reach, steps: int, slots: int, own: int) -> int:
    """Steps before the next slot, which itself takes `own` of them: both parts within their reach."""
    times = _times(reach, steps, slots)
    return max(1 - own, reach(slots, times - 2), steps - own - reach(slots - 1, times))
