"""The LSTM's variants: what differs from the plain cell of `lstm`.

Every equation that is not named here is the plain cell's, and has its tag. What changes the gradient's path
(Greff et al. 2017, "LSTM: A Search Space Odyssey"):

    forget_gate="none"      F3  f = 1: the cell of 1997. There is no block z_f; B7 passes dc on undiminished
    forget_gate="coupled"   F3  f = 1 - i: what is written is forgotten. There is no block z_f either,
                            and i, which stands in f too, gets from there:  V1  di = di - df
    peepholes               the gates see the cell state: i and f the old one, o the new one
                            P1  z_i += p_i * c_prev,  z_f += p_f * c_prev,  z_o += p_o * c
                            so c_prev and c stand in these lines, too, and get from there
                            P2  dc += dz_o * p_o,  dc_prev += dz_i * p_i + dz_f * p_f
                            P3  dp_i = sum dz_i * c_prev,  dp_f = sum dz_f * c_prev,  dp_o = sum dz_o * c,
                            over the samples here, and over the steps by the loop
    activations             others in place of sigmoid (recurrent_activation) and of both tanh (activation)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from minilstm.bptt.activations import SIGMOID, TANH, Activation
from minilstm.bptt.cell import State, StepGradients
from minilstm.bptt.lstm import LSTMCell
from minilstm.foundations.arrays import Array

FORGET_GATES = ("learned", "coupled", "none")


@dataclass(frozen=True)
class LSTMVariant:
    """An LSTM's step with other settings than `LSTMCell`; with none it is the plain cell.

    >>> LSTMVariant(forget_gate="coupled", peepholes=True).rows
    ('i', 'o')
    """

    activation: Activation = TANH
    recurrent_activation: Activation = SIGMOID
    forget_gate: str = "learned"
    peepholes: bool = False

    name: ClassVar[str] = LSTMCell.name
    states: ClassVar[tuple[str, ...]] = LSTMCell.states
    kept: ClassVar[tuple[str, ...]] = LSTMCell.kept
    direct: ClassVar[tuple[str, str]] = LSTMCell.direct

    @property
    def gates(self) -> tuple[str, ...]:
        """Blocks of W, U, b and z."""
        return LSTMCell.gates if self.forget_gate == "learned" else ("i", "g", "o")

    @property
    def rows(self) -> tuple[str, ...]:
        """Rows of p: the gates that have a peephole."""
        return tuple(gate for gate in self.gates if gate != "g") if self.peepholes else ()

    def forward(
        self, xw: Array, hu: Array, prev: State, p: Array | None = None
    ) -> tuple[State, tuple[Array, ...]]:
        """One step forward, as `LSTMCell.forward`; xw, hu : (B, nH), p : (k, H) or None."""
        sigmoid, tanh = self.recurrent_activation, self.activation
        _, c_prev = prev
        z = dict(zip(self.gates, np.split(xw + hu, len(self.gates), axis=-1), strict=True))  # F1  (B, H) each
        peep = {} if p is None else dict(zip(self.rows, p, strict=True))
        for gate in (gate for gate in peep if gate != "o"):
            z[gate] = z[gate] + peep[gate] * c_prev  # P1
        i = sigmoid.forward(z["i"])  # F2
        if self.forget_gate == "learned":
            f = sigmoid.forward(z["f"])  # F3
        else:
            f = 1 - i if self.forget_gate == "coupled" else np.ones_like(i)
        g = tanh.forward(z["g"])  # F4
        c = f * c_prev + i * g  # F6
        if "o" in peep:
            z["o"] = z["o"] + peep["o"] * c  # P1
        o = sigmoid.forward(z["o"])  # F5
        h = o * tanh.forward(c)  # F7
        return (h, c), (i, f, g, o)

    def backward(
        self, dstate: State, prev: State, state: State, kept: tuple[Array, ...], p: Array | None = None
    ) -> StepGradients:
        """One step backward, as `LSTMCell.backward`."""
        sigmoid, tanh = self.recurrent_activation, self.activation
        (dh, dc), (_, c_prev), (_, c), (i, f, g, o) = dstate, prev, state, kept
        peep = {} if p is None else dict(zip(self.rows, p, strict=True))
        tanh_c = tanh.forward(c)
        dz = {"o": sigmoid.backward(dh * tanh_c, o)}  # B1, B6
        dc = dc + tanh.backward(dh * o, tanh_c)  # B2
        if "o" in peep:
            dc = dc + dz["o"] * peep["o"]  # P2: dz_o must be there before dc is complete
        di, df, dg = dc * g, dc * c_prev, dc * i  # B3, B4, B5
        if self.forget_gate == "coupled":
            di = di - df  # V1
        dz |= {"i": sigmoid.backward(di, i), "f": sigmoid.backward(df, f), "g": tanh.backward(dg, g)}  # B6
        dc_prev = dc * f  # B7
        for gate in (gate for gate in peep if gate != "o"):
            dc_prev = dc_prev + dz[gate] * peep[gate]  # P2
        dp = None
        if p is not None:
            seen = ((dz[gate], c if gate == "o" else c_prev) for gate in peep)
            dp = np.stack([(d * cell).sum(axis=0) for d, cell in seen])  # P3  (k, H)
        dxw = np.concatenate([dz[gate] for gate in self.gates], axis=-1)  # (B, nH)
        return StepGradients(dxw, dxw, (np.zeros_like(dh), dc_prev), (dh, dc), dp)
