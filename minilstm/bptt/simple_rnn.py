"""One step of the simple (Elman) recurrent network, forward and backward: the shortest cell there is.

    F1  h = tanh(xw + hu)                the new state from the input and the old state
    B1  dz = dh * (1 - h^2)              through tanh, with z = xw + hu; a sum hands its gradient to both
                                         summands as it is, so dxw = dhu = dz

From h_prev to h there is one path, through U: what goes back over k steps is multiplied by U.T and by slopes
1 - h^2 <= 1 k times. So it vanishes or explodes, exponentially in k; the other cells have a second path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from minilstm.arrays import Array
from minilstm.bptt import more_activations as activations
from minilstm.bptt.cell import State, StepGradients


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
    rows: ClassVar[tuple[str, ...]] = ()
    direct: ClassVar[tuple[str, str]] = ("from_h_prev", "past all weights")

    @property
    def slope(self) -> float:
        """The largest slope of the activation."""
        return activations.get(self.activation).slope

    @property
    def variant(self) -> str | None:
        return activations.variant_of(self, SimpleRNNCell())

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
        (dh,), (h,) = dstate, state  # (B, H) each
        dz = activations.get(self.activation).backward(dh, h)  # B1  (B, H)
        return StepGradients(dxw=dz, dhu=dz, dprev=(np.zeros_like(dh),), total=(dh,))
