"""Which ways a gradient can take through one step of a cell, asked of the cell, and how far they lead."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from minilstm.bptt.cell import Cell, Weights
from minilstm.foundations.arrays import Array


class Links(NamedTuple):
    """For each state, by its number: what gets a part of its gradient in one step backwards."""

    within: tuple[frozenset[int], ...]  # the other states after the step: h = o tanh(c) links h to c
    direct: tuple[frozenset[int], ...]  # the states before the step, past U
    recurrent: tuple[bool, ...]  # whether h_prev @ U does
    order: tuple[int, ...]  # the states, each after those that are linked to it within the step


@cache
def links_of(cell: Cell) -> Links:
    """The links of a cell, found by one step backwards from each of its states, of random numbers.

    >>> from minilstm.bptt.lstm import LSTMCell
    >>> links_of(LSTMCell()).within
    (frozenset({1}), frozenset())
    """
    rng, (B, H), states = np.random.default_rng(0), (8, 8), range(len(cell.states))
    xw, hu = rng.normal(size=(2, B, len(cell.gates) * H))
    prev = tuple(rng.normal(size=(len(states), B, H)))
    p = rng.normal(size=(len(cell.rows), H)) if cell.rows else None
    with np.errstate(all="ignore"):
        state, kept = cell.forward(xw, hu, prev, p)
        steps = [
            cell.backward(tuple(np.full((B, H), float(j == s)) for j in states), prev, state, kept, p)
            for s in states
        ]
    within = tuple(frozenset(j for j in states if j != s and steps[s].total[j].any()) for s in states)
    return Links(
        within,
        tuple(frozenset(j for j in states if step.dprev[j].any()) for step in steps),
        tuple(bool(step.dhu.any()) for step in steps),
        tuple(sorted(states, key=lambda s: -len(within[s]))),
    )


def paths(cell: Cell, weights: Weights, real: Array, reached: Array, cut: Array) -> dict[str, Array]:
    """For each gradient, (B, T): does a path from the loss lead there, were there no rounding?

    No path leads back from a step that is `cut` to the one before it.
    """
    links, U = links_of(cell), bool(np.any(weights.U))
    states = range(len(cell.states))
    path = {name: np.zeros_like(real) for name in (*(f"d{state}" for state in cell.states), "dz")}
    now = np.zeros((len(states), len(real)), bool)  # dL/d(state after the step), as the step is told
    for t in reversed(range(real.shape[1])):
        now[0] |= reached[:, t]
        for s in links.order:
            for j in links.within[s]:
                now[j] |= now[s] & real[:, t]
        for s, state in enumerate(cell.states):
            path[f"d{state}"][:, t] = now[s]
        path["dz"][:, t] = now.any(axis=0) & real[:, t]
        before = np.zeros_like(now)
        for s in states:
            before[0] |= now[s] & (U and links.recurrent[s])
            for j in links.direct[s]:
                before[j] |= now[s]
        now = np.where(real[:, t], before, now) & ~cut[t]
    return path | {"dx": path["dz"] & bool(np.any(weights.W)), "external": reached}
