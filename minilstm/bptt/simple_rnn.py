"""One step of the simple (Elman) recurrent network, forward and backward.

    F1  h = tanh(xw + hu)                hidden state
    B1  dz = dh * (1 - h^2)              from F1; dxw = dhu = dz

There is no path from h_prev to h but the one through U, a product of the step loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from minilstm.bptt import activations
from minilstm.bptt.cell import Array, State, StepGradients, variant_of


@dataclass(frozen=True)
class SimpleRNNCell:
    """The simple recurrent network's step. See the module's docstring for the equations.

    >>> (h,), kept = SimpleRNNCell().forward(np.zeros((1, 2)), np.zeros((1, 2)), (np.ones((1, 2)),))
    >>> h.tolist()
    [[0.0, 0.0]]
    """

    activation: str = "tanh"

    name: ClassVar[str] = "simple_rnn"
    gates: ClassVar[tuple[str, ...]] = ("h",)
    states: ClassVar[tuple[str, ...]] = ("h",)
    kept: ClassVar[tuple[str, ...]] = ()

    @property
    def variant(self) -> str | None:
        return variant_of(self, SimpleRNNCell())

    def forward(
        self, xw: Array, hu: Array, prev: State, p: Array | None = None
    ) -> tuple[State, tuple[Array, ...]]:
        """One step forward: (h,), and nothing to keep. xw, hu : (B, H)."""
        h = activations.get(self.activation).forward(xw + hu)  # F1
        return (h,), ()

    def backward(
        self, dstate: State, prev: State, state: State, kept: tuple[Array, ...], p: Array | None = None
    ) -> StepGradients:
        """One step backward; dstate : (dL/dh,) of (B, H)."""
        (dh,), (h,) = dstate, state
        dz = activations.get(self.activation).backward(dh, h)  # B1
        return StepGradients(dz, dz, (np.zeros_like(dh),), (dh,))
