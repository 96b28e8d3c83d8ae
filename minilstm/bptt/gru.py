"""One step of the GRU, forward and backward. Read `lstm` first.

Forward (Cho et al. 2014, with the reset gate after the recurrent product, as in cuDNN, PyTorch and
Keras's reset_after=True):

    F1  z = sigmoid(xw_z + hu_z)         update gate: how much of the old state to keep
    F2  r = sigmoid(xw_r + hu_r)         reset gate: how much of the old state the candidate sees
    F3  q = hu_g                         h_prev @ U_g + rb_g: r multiplies rb_g, but not b_g in xw_g
    F4  g = tanh(xw_g + r * q)           candidate
    F5  h = z * h_prev + (1 - z) * g     hidden state, the only one: it is its own memory

Here z is the update gate; dz_z, dz_r, dz_g are the gradients of what stands in the brackets of F1, F2, F4, as
in the LSTM. Backward, dh comes in complete, and F5 hands it to z, g and h_prev:

    B1  dz_z = dh * (h_prev - g) * z (1 - z)     F5: z has the factor h_prev, and -g from 1 - z; then F1
    B2  dz_g = dh * (1 - z) * (1 - g^2)          F5: g has the factor 1 - z; then F4
    B3  dz_r = dz_g * q * r (1 - r)              F4: r has the factor q; then F2
    B4  dq   = dz_g * r                          F4: q has the factor r
    B5  dh_prev = dh * z                         F5: h_prev has the factor z, past the candidate

dxw = [dz_z, dz_r, dz_g], but dhu = [dz_z, dz_r, dq]: xw_g and hu_g are not simply added, r stands between.
To B5 the loop adds dhu @ U.T (`steps`, S5). Where z is 1 it holds the state and its gradient, as f = 1 does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from minilstm.bptt.activations import SIGMOID, TANH, Activation
from minilstm.bptt.cell import State, StepGradients
from minilstm.foundations.arrays import Array


@dataclass(frozen=True)
class GRUCell:
    """The GRU's step. See the module's docstring for the equations.

    >>> cell, zero = GRUCell(), np.zeros((1, 3))
    >>> (h,), kept = cell.forward(zero, zero, (np.ones((1, 1)),))
    >>> h.item()  # an update gate of one half, and a candidate of 0
    0.5
    """

    activation: Activation = TANH
    recurrent_activation: Activation = SIGMOID

    name: ClassVar[str] = "gru"
    gates: ClassVar[tuple[str, ...]] = ("z", "r", "g")
    states: ClassVar[tuple[str, ...]] = ("h",)
    kept: ClassVar[tuple[str, ...]] = ("z", "r", "g", "q")
    rows: ClassVar[tuple[str, ...]] = ()
    direct: ClassVar[tuple[str, str]] = ("from_z", "update gate")

    def forward(
        self, xw: Array, hu: Array, prev: State, p: Array | None = None
    ) -> tuple[State, tuple[Array, ...]]:
        """One step forward: (h,), and (z, r, g, q). xw, hu : (B, 3H); prev : (h,) of (B, H)."""
        sigmoid, tanh = self.recurrent_activation, self.activation
        (h_prev,) = prev
        xw_z, xw_r, xw_g = np.split(xw, 3, axis=-1)  # (B, H) each
        hu_z, hu_r, hu_g = np.split(hu, 3, axis=-1)  # (B, H) each
        z = sigmoid.forward(xw_z + hu_z)  # F1
        r = sigmoid.forward(xw_r + hu_r)  # F2
        q = hu_g  # F3
        g = tanh.forward(xw_g + r * q)  # F4
        h = z * h_prev + (1 - z) * g  # F5
        return (h,), (z, r, g, q)

    def backward(
        self, dstate: State, prev: State, state: State, kept: tuple[Array, ...], p: Array | None = None
    ) -> StepGradients:
        """One step backward; dstate : (dL/dh,), kept : (z, r, g, q), of (B, H) each."""
        sigmoid, tanh = self.recurrent_activation, self.activation
        (dh,), (h_prev,), (z, r, g, q) = dstate, prev, kept  # (B, H) each
        dz_z = sigmoid.backward(dh * (h_prev - g), z)  # B1
        dz_g = tanh.backward(dh * (1 - z), g)  # B2
        dz_r = sigmoid.backward(dz_g * q, r)  # B3
        dq = dz_g * r  # B4
        dh_prev = dh * z  # B5
        dxw = np.concatenate([dz_z, dz_r, dz_g], axis=-1)  # (B, 3H)
        dhu = np.concatenate([dz_z, dz_r, dq], axis=-1)  # (B, 3H)
        return StepGradients(dxw, dhu, dprev=(dh_prev,), total=(dh,))
