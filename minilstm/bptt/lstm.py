"""One step of the LSTM, forward and backward: the common cell. Its variants stand in `variants`.

Forward (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000):

    F1  z = xw + hu                      pre-activations, in the blocks z_i, z_f, z_g, z_o
    F2  i = sigmoid(z_i)                 input gate: how much of the candidate to write
    F3  f = sigmoid(z_f)                 forget gate: how much of the old cell state to keep
    F4  g = tanh(z_g)                    candidate: what could be written
    F5  o = sigmoid(z_o)                 output gate: how much of the cell state to show
    F6  c = f * c_prev + i * g           cell state: the memory
    F7  h = o * tanh(c)                  hidden state: what the next step and the layer above see

All products here are entry by entry: a unit sees the other units only through hu = h_prev @ U.

Backward goes through these lines from the last to the first. At each it asks: the gradient of the left side
is known; what does each variable on the right get? What it gets is that gradient times the derivative of the
line, and a variable that stands in several lines adds up what it gets from each.

Two gradients come in. dh is complete: h leaves the step only towards the next step and the layer above, and
the loop has added both. dc is what the next step says of c, by its B7; c has one more use, in F7, and what it
gets from there is added by B2.

    B1  do = dh * tanh(c)                F7 is a product: the factor of o is tanh(c),
    B2  dc = dc + dh * o * (1 - tanh(c)^2)   that of tanh(c) is o; tanh' = 1 - tanh^2. Now dc is complete
    B3  di = dc * g                      F6: i has the factor g,
    B4  df = dc * c_prev                     f has c_prev,
    B5  dg = dc * i                          g has i
    B6  dz_i = di * i * (1 - i)          F2, with sigmoid' = s (1 - s): see `activations`
        dz_f = df * f * (1 - f)          F3
        dz_g = dg * (1 - g^2)            F4
        dz_o = do * o * (1 - o)          F5
    B7  dc_prev = dc * f                 F6 once more: c_prev has the factor f

F1 is a sum, so dxw = dhu = dz: each summand gets what the sum gets. h_prev stands in hu alone: what it gets
is made of dhu and the whole of U, by the loop (`steps`, S5), and the cell itself hands it 0.

What the LSTM is for stands in B7. On the path from c to c_prev and on to the c before, for k steps, dc is
multiplied by k forget gates and nothing else: where they are near 1 the gradient comes through (the constant-
error carousel). The path through h passes U, and slopes in B6 of at most 1/4 for a gate, at every step: on it
the gradient soon vanishes, or explodes where U is large.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from minilstm.bptt.activations import sigmoid
from minilstm.bptt.cell import State, StepGradients
from minilstm.foundations.arrays import Array


@dataclass(frozen=True)
class LSTMCell:
    """The LSTM's step. See the module's docstring for the equations.

    >>> cell, zero, one = LSTMCell(), np.zeros((1, 4)), np.ones((1, 1))
    >>> (h, c), kept = cell.forward(zero, zero, (one, one))
    >>> c.item()  # f = sigmoid(0) is one half, and g = tanh(0) writes nothing
    0.5
    """

    name: ClassVar[str] = "lstm"
    gates: ClassVar[tuple[str, ...]] = ("i", "f", "g", "o")
    states: ClassVar[tuple[str, ...]] = ("h", "c")
    kept: ClassVar[tuple[str, ...]] = ("i", "f", "g", "o")
    rows: ClassVar[tuple[str, ...]] = ()
    direct: ClassVar[tuple[str, str]] = ("from_c", "carousel")

    def forward(
        self, xw: Array, hu: Array, prev: State, p: Array | None = None
    ) -> tuple[State, tuple[Array, ...]]:
        """One step forward: (h, c), and (i, f, g, o). xw, hu : (B, 4H); prev : (h, c) of (B, H) each."""
        _, c_prev = prev
        z = xw + hu  # F1  (B, 4H)
        z_i, z_f, z_g, z_o = np.split(z, 4, axis=-1)  # (B, H) each, like all that follows
        i = sigmoid(z_i)  # F2
        f = sigmoid(z_f)  # F3
        g = np.tanh(z_g)  # F4
        o = sigmoid(z_o)  # F5
        c = f * c_prev + i * g  # F6
        h = o * np.tanh(c)  # F7
        return (h, c), (i, f, g, o)

    def backward(
        self, dstate: State, prev: State, state: State, kept: tuple[Array, ...], p: Array | None = None
    ) -> StepGradients:
        """One step backward. dstate : dL/dh, and dL/dc without this step's own path from c to h."""
        (dh, dc), (_, c_prev), (_, c), (i, f, g, o) = dstate, prev, state, kept  # (B, H) each
        tanh_c = np.tanh(c)  # made again: time is cheaper here than memory for every step
        do = dh * tanh_c  # B1
        dc = dc + dh * o * (1 - tanh_c * tanh_c)  # B2: from here on the total dL/dc
        di = dc * g  # B3
        df = dc * c_prev  # B4
        dg = dc * i  # B5
        dz_i = di * i * (1 - i)  # B6
        dz_f = df * f * (1 - f)  # B6
        dz_g = dg * (1 - g * g)  # B6
        dz_o = do * o * (1 - o)  # B6
        dc_prev = dc * f  # B7
        dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=-1)  # (B, 4H)
        return StepGradients(dxw=dz, dhu=dz, dprev=(np.zeros_like(dh), dc_prev), total=(dh, dc))
