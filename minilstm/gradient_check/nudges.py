"""Nudges in the middle of a sequence: h_t, c_t or the pre-activations of one step, and what follows.

Each row is one nudge of one sample at one step. It runs from the state that the tape has before that
step, through the same step loop as training, to the end of the sequence.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from minilstm.bptt import segments
from minilstm.bptt.cell import State, Weights
from minilstm.cells import with_state
from minilstm.foundations.arrays import Array
from minilstm.layers import Recurrent
from minilstm.layers.recurrent import RecurrentTape


class Nudged(NamedTuple):
    """R nudges, in order of time."""

    kind: str  # a state, or "z" for xw, the part of the pre-activations that x gives
    samples: Array  # (R,)
    steps: Array  # (R,)
    units: Array  # (R,) the last index
    offsets: Array  # (R,)


def nudged_states(layer: Recurrent, tape: RecurrentTape, nudged: Nudged) -> Array:
    """The layer's output for each row: (R, T, H) with `return_sequences`, otherwise (R, H)."""
    steps, weights, cell = tape.steps, layer.symbols, layer.cell
    T = len(steps.x)
    history = tuple(
        np.concatenate([first[None], steps.join(name)])
        for name, first in zip(cell.states, steps.first_state, strict=True)
    )  # (T+1, B, H) each
    x = steps.x[:, nudged.samples]  # (T, R, D)
    mask = None if steps.mask is None else steps.mask[:, nudged.samples]
    outputs = history[0][1:, nudged.samples]  # (T, R, H), right up to each row's own step
    begin = int(nudged.steps.min())
    state: State = tuple(part[begin, nudged.samples] for part in history)
    stops = [*np.unique(nudged.steps).tolist(), T]
    for t, following in pairwise(stops):
        now = np.flatnonzero(nudged.steps == t)
        real = None if mask is None else mask[t, now]
        prev = tuple(part[t, nudged.samples[now]] for part in history)
        after = tuple(part[t + 1, nudged.samples[now]] for part in history)
        fresh = _nudge(layer, weights, nudged, now, x[t, now], prev, after, real)
        running = np.flatnonzero(nudged.steps < t)
        if t > begin and len(running):  # the rows that began before take this step as any other
            part = _run(layer, weights, x[t : t + 1], mask, t, running, state, outputs)
            for array, value in zip(state, part, strict=True):
                array[running] = value
        for array, value in zip(state, fresh, strict=True):
            array[now] = value
        outputs[t, now] = fresh[0]
        going = np.flatnonzero(nudged.steps <= t)
        if following > t + 1:
            part = _run(layer, weights, x[t + 1 : following], mask, t + 1, going, state, outputs)
            for array, value in zip(state, part, strict=True):
                array[going] = value
    return outputs.transpose(1, 0, 2) if layer.return_sequences else state[0]


def _run(
    layer: Recurrent,
    weights: Weights,
    x: Array,
    mask: Array | None,
    start: int,
    rows: Array,
    state: State,
    outputs: Array,
) -> State:
    """Some rows through the steps of x, from step `start`; their outputs are written down."""
    S = len(x)
    found = np.empty((S, len(rows), layer.units), outputs.dtype)
    tape = segments.forward(
        layer.cell,
        weights,
        x[:, rows],
        None if mask is None else mask[start : start + S, rows],
        tuple(part[rows] for part in state),
        keep="outputs",
        outputs=found,
    )
    outputs[start : start + S, rows] = found
    return tape.last_state


def _nudge(
    layer: Recurrent,
    weights: Weights,
    nudged: Nudged,
    now: Array,
    x: Array,
    prev: State,
    after: State,
    real: Array | None,
) -> State:
    """The states after step t, (R, H) each, of the rows that are nudged there."""
    at = np.arange(len(now)), nudged.units[now]
    offsets = nudged.offsets[now]
    xw = x @ weights.W + weights.b
    hu = prev[0] @ weights.U + (0 if weights.rb is None else weights.rb)
    if nudged.kind == "z":
        xw[at] += offsets
        held, (found, _) = after, layer.cell.forward(xw, hu, prev, weights.p)
    else:
        number, change = layer.cell.states.index(nudged.kind), np.zeros(prev[0].shape, offsets.dtype)
        change[at] = offsets
        found = with_state(layer.cell, xw, hu, prev, weights.p, number, change)
        held = tuple(part + change if j == number else part for j, part in enumerate(after))
    if real is None:
        return found
    return tuple(np.where(real[:, None], one, other) for one, other in zip(found, held, strict=True))
