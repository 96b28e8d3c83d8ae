"""One LSTM step, forward and backward.

Forward (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000):

    F1  z = xw + hu                      pre-activations, blocks z_i, z_f, z_g, z_o
    F2  i = sigmoid(z_i)                 input gate: how much of the candidate to write
    F3  f = sigmoid(z_f)                 forget gate: how much of the old cell to keep
    F4  g = tanh(z_g)                    candidate
    F5  o = sigmoid(z_o)                 output gate: how much of the cell to show
    F6  c = f * c_prev + i * g           cell state
    F7  h = o * tanh(c)                  hidden state

Backward. dh and dc come in as everything that later steps and the layers above say about h and c,
without the path from c to h inside this step. With s' = s (1 - s) for a gate s = sigmoid(z) and
1 - g^2 for g = tanh(z), both written through the value, the chain rule gives from the bottom up:

    B1  do = dh * tanh(c)                             from F7
    B2  dc = dc + dh * o * (1 - tanh(c)^2)            from F7: now dc is the total dL/dc
    B3  di = dc * g                                   from F6
    B4  df = dc * c_prev                              from F6
    B5  dg = dc * i                                   from F6
    B6  dz_i = di * i (1 - i)                         from F2
        dz_f = df * f (1 - f)                         from F3
        dz_g = dg * (1 - g^2)                         from F4
        dz_o = do * o (1 - o)                         from F5
    B7  dc_prev = dc * f                              from F6: the constant-error carousel

and dxw = dhu = dz, by F1. The gradient of h_prev is dz @ U.T, a product of the step loop.

Variants that change the gradient's path (Greff et al. 2017, "LSTM: A Search Space Odyssey"):

    forget_gate="none"     F3 is f = 1: the cell of 1997, without a block for f; B7 passes dc on undiminished
    forget_gate="coupled"  F3 is f = 1 - i, without a block for f; di gains -df
    peepholes              P1  z_i += p_i * c_prev, z_f += p_f * c_prev, z_o += p_o * c
                           P2  dc += dz_o * p_o, dc_prev += dz_i * p_i + dz_f * p_f
                           P3  dp_i = sum dz_i * c_prev, dp_f = sum dz_f * c_prev, dp_o = sum dz_o * c

and other activations in place of sigmoid (recurrent_activation) and of both tanh (activation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from minilstm.bptt import activations
from minilstm.bptt.cell import Array, State, StepGradients, variant_of

FORGET_GATES = ("learned", "coupled", "none")


@dataclass(frozen=True)
class LSTMCell:
    """The LSTM's step. See the module's docstring for the equations.

    >>> cell, zero, one = LSTMCell(), np.zeros((1, 4)), np.ones((1, 1))
    >>> (h, c), kept = cell.forward(zero, zero, (one, one))
    >>> c.item()  # a forget gate of one half
    0.5
    """

    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    forget_gate: str = "learned"
    peepholes: bool = False

    name: ClassVar[str] = "lstm"
    states: ClassVar[tuple[str, ...]] = ("h", "c")
    kept: ClassVar[tuple[str, ...]] = ("i", "f", "g", "o")

    @property
    def gates(self) -> tuple[str, ...]:
        """Blocks of W, U, b and z."""
        return ("i", "f", "g", "o") if self.forget_gate == "learned" else ("i", "g", "o")

    @property
    def peephole_gates(self) -> tuple[str, ...]:
        """Rows of p."""
        return tuple(gate for gate in self.gates if gate != "g") if self.peepholes else ()

    @property
    def variant(self) -> str | None:
        return variant_of(self, LSTMCell())

    def forward(
        self, xw: Array, hu: Array, prev: State, p: Array | None = None
    ) -> tuple[State, tuple[Array, ...]]:
        """One step forward: (h, c), and (i, f, g, o).

        xw, hu : (B, nH); prev : (h, c) of (B, H) each; p : (k, H) or None. Real or complex, any one dtype.
        """
        sigmoid = activations.get(self.recurrent_activation).forward
        tanh = activations.get(self.activation).forward
        _, c_prev = prev
        z = dict(zip(self.gates, np.split(xw + hu, len(self.gates), axis=-1), strict=True))  # F1  (B, H) each
        peep = {} if p is None else dict(zip(self.peephole_gates, p, strict=True))
        for gate in (gate for gate in peep if gate != "o"):
            z[gate] = z[gate] + peep[gate] * c_prev  # P1
        i = sigmoid(z["i"])  # F2
        if self.forget_gate == "learned":
            f = sigmoid(z["f"])  # F3
        else:
            f = 1 - i if self.forget_gate == "coupled" else np.ones_like(i)
        g = tanh(z["g"])  # F4
        c = f * c_prev + i * g  # F6
        if "o" in peep:
            z["o"] = z["o"] + peep["o"] * c  # P1
        o = sigmoid(z["o"])  # F5
        h = o * tanh(c)  # F7
        return (h, c), (i, f, g, o)

    def backward(
        self, dstate: State, prev: State, state: State, kept: tuple[Array, ...], p: Array | None = None
    ) -> StepGradients:
        """One step backward.

        dstate : dL/dh and dL/dc (B, H) without this step's own path from c to h (see above); prev, state :
        the states before and after the step; kept : (i, f, g, o).

        >>> cell, zero, one = LSTMCell(), np.zeros((1, 1)), np.ones((1, 1))
        >>> step = cell.backward((zero, one), (zero, one), (zero, one), (one, one / 2, one, one))
        >>> step.dprev[1].item()  # the forget gate
        0.5
        """
        sigmoid, tanh = activations.get(self.recurrent_activation), activations.get(self.activation)
        (dh, dc), (_, c_prev), (_, c), (i, f, g, o) = dstate, prev, state, kept
        peep = {} if p is None else dict(zip(self.peephole_gates, p, strict=True))
        tanh_c = tanh.forward(c)
        do = dh * tanh_c  # B1
        dz = {"o": sigmoid.backward(do, o)}  # B6
        dc = dc + tanh.backward(dh * o, tanh_c)  # B2
        if "o" in peep:
            dc = dc + dz["o"] * peep["o"]  # P2
        di = dc * g  # B3
        df = dc * c_prev  # B4
        dg = dc * i  # B5
        if self.forget_gate == "coupled":
            di = di - df
        dz["i"] = sigmoid.backward(di, i)  # B6
        dz["f"] = sigmoid.backward(df, f)
        dz["g"] = tanh.backward(dg, g)
        dc_prev = dc * f  # B7
        for gate in (gate for gate in peep if gate != "o"):
            dc_prev = dc_prev + dz[gate] * peep[gate]  # P2
        dp = None
        if p is not None:
            seen = (c if gate == "o" else c_prev for gate in peep)
            dp = np.stack(
                [(dz[gate] * cell).sum(axis=0) for gate, cell in zip(peep, seen, strict=True)]
            )  # P3
        dxw = np.concatenate([dz[gate] for gate in self.gates], axis=-1)  # (B, nH)
        return StepGradients(dxw, dxw, (np.zeros_like(dh), dc_prev), (dh, dc), dp)
