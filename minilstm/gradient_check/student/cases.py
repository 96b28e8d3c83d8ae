"""The random case that a student's functions are run on, and the names of what they take and give.

Sizes are unequal and nothing is constant: all-ones cannot see swapped gates, equal sizes cannot see
swapped axes. Of the tensors here, a student's forward pass takes those that its signature names.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minilstm.bptt.gru import GRUCell
from minilstm.bptt.lstm import LSTMCell
from minilstm.bptt.simple_rnn import SimpleRNNCell
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import one_of

Values = dict[str, Array]
WEIGHTS = ("W", "U", "b", "rb", "WU", "WUb")


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


class Case(NamedTuple):
    """One random network with data, batch first; the blocks of the weights in the student's order.

    values : "x" (B, T, D), or (B, D) for a step; "h" and "c" (B, H); "W" (D, nH), "U" (H, nH), "b" and
    "rb" (nH,); "WU" (D + H, nH), W and U in one, and "WUb" (D + H + 1, nH), b too;  losses : what a loss
    says of each output, by name: "h" (B, T, H) or (B, H), "c", "h_last" and "c_last" (B, H).
    """

    spec: Spec
    step: bool
    sizes: tuple[int, ...]  # B, T, D, H
    values: Values
    losses: Values
    mask: Array | None  # (B, T) bool

    @property
    def steps(self) -> int:
        return 1 if self.step else self.sizes[1]

    @property
    def units(self) -> int:
        return self.sizes[3]

    @property
    def batch(self) -> int:
        return self.sizes[0]


def draw(
    spec: Spec,
    sizes: tuple[int, ...],
    mask: Array | None,
    seed: int,
    step: bool,
    ids: bool = False,
    scale: float = 1.0,
) -> Case:
    """A random case of sizes B, T, D, H; x is one-hot if `ids`."""
    B, T, D, H = sizes
    rng = np.random.default_rng([seed, *sizes])
    n = len(spec.gates) * H
    values = {
        "W": rng.normal(size=(D, n)) * 0.7 * scale,
        "U": rng.normal(size=(H, n)) * 0.7 * scale / np.sqrt(H),
        "b": rng.normal(size=n) * 0.7,
        "rb": rng.normal(size=n) * 0.7,
    }
    x = rng.normal(size=(B, T, D))
    if ids:
        x = np.eye(D)[rng.integers(0, D, (B, T))]
    values["x"] = x[:, 0] if step else x
    for name in ("h", "c"):
        values[name] = rng.uniform(-0.9, 0.9, (B, H)) * (1 + (name == "c"))
    values["WU"] = np.concatenate([values["W"], values["U"]])
    values["WUb"] = np.concatenate([values["WU"], values["b"][None]])
    shape = (B, H) if step else (B, T, H)
    losses = {"h": rng.normal(size=shape), "c": rng.normal(size=shape)}
    losses |= {"loss": np.ones(1), "h_last": rng.normal(size=(B, H)), "c_last": rng.normal(size=(B, H))}
    return Case(spec, step, sizes, values, losses, mask)


def in_our_order(spec: Spec, order: tuple[str, ...], array: Array) -> Array:
    """The last axis's blocks, from `order` to this package's order of the gates."""
    blocks = dict(zip(order, np.split(array, len(order), axis=-1), strict=True))
    return np.concatenate([blocks[gate] for gate in SPECS[spec.cell].gates], axis=-1)
