"""One step of the simple (Elman) recurrent network, forward and backward: the shortest cell there is.

    F1  h = tanh(xw + hu)                the new state from the input and the old state
    B1  dz = dh * (1 - h^2)              through tanh, with z = xw + hu; a sum hands its gradient to both
                                         summands as it is, so dxw = dhu = dz

h_prev stands in hu alone: what it gets, dhu @ U.T, is made by the loop (`steps`, S5), and the cell hands
it 0. What goes back over k steps is multiplied k times by U.T and by the slopes 1 - h^2, which are at most 1:
as a rule it vanishes or explodes, exponentially in k. The other cells have a second path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from minilstm.bptt.activations import TANH, Activation
from minilstm.bptt.cell import State, StepGradients
from minilstm.foundations.arrays import Array


@dataclass(frozen=True)
class SimpleRNNCell:
    """The simple recurrent network's step. See the module's docstring for the equations.

    >>> one, half = np.ones((1, 1)), np.full((1, 1), 0.5)
    >>> step = SimpleRNNCell().backward(dstate=(one,), prev=(one,), state=(half,), kept=())
    >>> step.dxw.item()  # 1 - 0.5^2
    0.75
    """

    activation: Activation = TANH

    name: ClassVar[str] = "simple_rnn"
    gates: ClassVar[tuple[str, ...]] = ("h",)
    states: ClassVar[tuple[str, ...]] = ("h",)
    kept: ClassVar[tuple[str, ...]] = ()  # B1 needs h alone, which is a state
    rows: ClassVar[tuple[str, ...]] = ()
    direct: ClassVar[tuple[str, str]] = ("from_h_prev", "past all weights")  # nothing ever comes by it

    def forward(
        self, xw: Array, hu: Array, prev: State, p: Array | None = None
    ) -> tuple[State, tuple[Array, ...]]:
        """One step forward: (h,), and nothing to keep. xw, hu : (B, H)."""
        h = self.activation.forward(xw + hu)  # F1
        return (h,), ()

    def backward(
        self, dstate: State, prev: State, state: State, kept: tuple[Array, ...], p: Array | None = None
    ) -> StepGradients:
        """One step backward; dstate : (dL/dh,) of (B, H)."""
        (dh,), (h,) = dstate, state  # (B, H) each
        dz = self.activation.backward(dh, h)  # B1  (B, H)
        return StepGradients(dxw=dz, dhu=dz, dprev=(np.zeros_like(dh),), total=(dh,))
