"""The random case that a student's functions are run on, and this package's own outputs for it.

Sizes are unequal and nothing is constant: all-ones cannot see swapped gates, equal sizes cannot see
swapped axes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minilstm.arrays import Array
from minilstm.bptt import segments
from minilstm.bptt.cell import Weights
from minilstm.bptt.gru import GRUCell
from minilstm.bptt.lstm import LSTMCell
from minilstm.bptt.simple_rnn import SimpleRNNCell
from minilstm.errors import one_of


class Spec(NamedTuple):
    """What the functions of a cell take and give: gates in the order of their blocks, states, weights."""

    cell: str
    gates: tuple[str, ...]
    states: tuple[str, ...]
    weights: tuple[str, ...]


CELLS = {cell.name: cell for cell in (LSTMCell(), GRUCell(), SimpleRNNCell())}
SPECS = {
    name: Spec(name, cell.gates, cell.states, ("W", "U", "b", "rb") if name == "gru" else ("W", "U", "b"))
    for name, cell in CELLS.items()
}


def spec_of(cell: str) -> Spec:
    """The spec of that cell; ValueError for an unknown name."""
    return SPECS[one_of("cell", cell, SPECS)]


class Loss(NamedTuple):
    """A weighted sum of outputs; its weights are the gradients that backward is given.

    words : how its gradients are called in the report;  dh : (B, T, H);  dlast : (B, H) for each state
    beside h.
    """

    words: str
    dh: Array
    dlast: tuple[Array, ...]


class Case(NamedTuple):
    """One random network with data, batch first; the blocks of the weights in the student's order."""

    x: Array  # (B, T, D)
    states: tuple[Array, ...]  # (B, H) each
    weights: dict[str, Array]
    mask: Array | None  # (B, T) bool
    losses: tuple[Loss, ...]


def draw(spec: Spec, sizes: tuple[int, ...], mask: Array | None, seed: int, step: bool) -> Case:
    """A random case of sizes B, T, D, H; with one loss for a step, two for a sequence."""
    B, T, D, H = sizes
    rng = np.random.default_rng([seed, *sizes])
    n = len(spec.gates) * H
    weights = {
        "W": rng.normal(size=(D, n)) * 0.7,
        "U": rng.normal(size=(H, n)) * 0.7 / np.sqrt(H),
        "b": rng.normal(size=n) * 0.7,
        "rb": rng.normal(size=n) * 0.7,
    }
    x = rng.normal(size=(B, T, D))
    states = tuple(rng.uniform(-0.9, 0.9, (B, H)) * (1 + (name == "c")) for name in spec.states)
    dlast = tuple(rng.normal(size=(B, H)) for _ in spec.states[1:])
    every = Loss("", rng.normal(size=(B, T, H)), dlast)
    last = Loss(", loss on the last step", np.zeros((B, T, H)), dlast)
    last.dh[:, -1] = rng.normal(size=(B, H))
    chosen = {name: weights[name] for name in spec.weights}
    return Case(x, states, chosen, mask, (every,) if step or T == 1 else (every, last))


def in_our_order(spec: Spec, array: Array) -> Array:
    """The last axis's blocks, from the student's order of the gates to this package's."""
    blocks = dict(zip(spec.gates, np.split(array, len(spec.gates), axis=-1), strict=True))
    return np.concatenate([blocks[gate] for gate in SPECS[spec.cell].gates], axis=-1)


def ours(
    spec: Spec, x: Array, states: tuple[Array, ...], weights: dict[str, Array], mask: Array | None
) -> tuple[Array, tuple[Array, ...]]:
    """h (B, T, H) and the last states, as this package's NumPy reference computes them; real or complex."""
    dtype = np.result_type(x, *states, *weights.values())
    found = Weights(*(in_our_order(spec, array).astype(dtype) for array in weights.values()))
    outputs = np.empty((x.shape[1], len(x), len(found.U)), dtype)
    tape = segments.forward(
        CELLS[spec.cell],
        found,
        x.transpose(1, 0, 2).astype(dtype),
        None if mask is None else mask.T,
        tuple(part.astype(dtype) for part in states),
        outputs=outputs,
    )
    return outputs.transpose(1, 0, 2), tape.last_state
