"""Optimal checkpointing: the fewest forward steps that give a gradient from a few slots of memory.

Two kinds of slots, for a chain of t time steps:

    records   a slot holds all that the backward pass of one step needs, its state included (Gruslys et al.
              2016, "internal state"). E(t, m) = min_y y + E(t - y, m - 1) + E(y - 1, m), y being the step
              whose record is kept first; E(t, 1) = t (t + 1) / 2, E(t, m) = t for m >= t.
    states    a slot holds a state, from which steps are advanced again; a step that is differentiated runs
              once more, with its record (Griewank and Walther 2000). p(t, s) = min_y y + p(t - y, s - 1) +
              p(y, s), p(t, 1) = t (t - 1) / 2, p(1, s) = 0; the t recorded steps come on top.

This counts both, and carries the first out for a chain of any kind. The layers' own checkpoints
(`checkpoint_steps`) are segments of one length, which cost at most one more forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from minilstm.arrays import Array
from minilstm.errors import whole_number

State = TypeVar("State")
Record = TypeVar("Record")
Gradient = TypeVar("Gradient")


def with_records(steps: int, slots: int) -> Array:
    """E(t, m) for t = 0 .. steps and m = 0 .. slots, (steps+1, slots+1); row 0 is 0, column 0 is not used.

    >>> int(with_records(1000, 50)[1000, 50])
    1950
    """
    steps, slots = whole_number("steps", steps), whole_number("slots", slots)
    t = np.arange(steps + 1)
    found = np.zeros((steps + 1, slots + 1), np.int64)
    found[:, 1] = t * (t + 1) // 2
    for m in range(2, slots + 1):
        for n in range(1, steps + 1):
            y = np.arange(1, n + 1)
            found[n, m] = (y + found[n - y, m - 1] + found[y - 1, m]).min()
    return found


def with_states(steps: int, slots: int) -> int:
    """p(steps, slots), in closed form: r t - C(s + r, s + 1), r the least with C(s + r, s) >= t.

    >>> with_states(1000, 50), with_states(10, 3)
    (1948, 15)
    """
    from math import comb

    steps, slots = whole_number("steps", steps), whole_number("slots", slots)
    r = 0
    while comb(slots + r, slots) < steps:
        r += 1
    return r * steps - comb(slots + r, slots + 1)


def backpropagate(
    state: State,
    steps: int,
    slots: int,
    forward: Callable[[int, State], tuple[Record, State]],
    backward: Callable[[int, Record, Gradient], Gradient],
    gradient: Gradient,
) -> Gradient:
    """The gradient by the first state, with at most `slots` records kept at a time.

    forward(t, state) runs step t = 0 .. steps - 1 and gives its record and the next state, E(steps, slots)
    times in all; backward(t, record, gradient) turns the gradient by the state after step t into that by the
    state before it, once for each step, from the last to the first.
    """
    cost = with_records(steps, slots)
    kept: list[tuple[int, State, int, int, Record]] = []
    first, count, free = 0, steps, slots  # the piece at work: its first step, its length, slots left
    while True:
        while count:
            y, now = _first_kept(cost, count, free), state
            for t in range(first, first + y):
                record, now = forward(t, now)
            kept.append((first, state, y, free, record))
            first, state, count, free = first + y, now, count - y, free - 1
        if not kept:
            return gradient
        first, state, y, free, record = kept.pop()
        gradient = backward(first + y - 1, record, gradient)
        count = y - 1


def _first_kept(cost: Array, count: int, free: int) -> int:
    """The step whose record is kept first: with one slot the last, else that with the least cost."""
    if free == 1:
        return count
    y = np.arange(1, count + 1)
    return int(y[np.argmin(y + cost[count - y, free - 1] + cost[y - 1, free])])
