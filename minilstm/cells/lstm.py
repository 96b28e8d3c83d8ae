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

Nothing here looks at a mask. The step loop sets i, f, g, o of a masked step to 0, and then B3 to B7
give zeros by themselves.
"""

from __future__ import annotations

import numpy as np

from minilstm.activations import sigmoid, tanh
from minilstm.cells import Array, Saved, State

GATES = ("i", "f", "g", "o")


def forward(xw: Array, hu: Array, prev: State) -> tuple[State, Saved]:
    """One step forward: the new state, and what `backward` needs.

    xw, hu : (B, 4H); prev : State of (B, H). Real or complex, any one dtype.

    >>> state, saved = forward(np.zeros((1, 4)), np.zeros((1, 4)), State(np.ones((1, 1)), np.ones((1, 1))))
    >>> state.c.item()  # a forget gate of one half
    0.5
    """
    z_i, z_f, z_g, z_o = np.split(xw + hu, 4, axis=-1)  # F1  (B, H) each
    i = sigmoid(z_i)  # F2
    f = sigmoid(z_f)  # F3
    g = tanh(z_g)  # F4
    o = sigmoid(z_o)  # F5
    c = f * prev.c + i * g  # F6
    h = o * tanh(c)  # F7
    return State(h, c), Saved(i, f, g, o, prev.c, c)


def backward(dstate: State, saved: Saved) -> tuple[Array, Array, State]:
    """One step backward.

    dstate : State of (B, H), dL/dh and dL/dc without this step's own path from c to h (see above).
    Returns dz (B, 4H), which is dL/dxw and dL/dhu; dc_prev (B, H); and the total dL/dh, dL/dc.

    >>> one = np.ones((1, 1))
    >>> dz, dc_prev, total = backward(State(0 * one, one), Saved(one, one / 2, one, one, one, one))
    >>> dc_prev.item()  # the forget gate
    0.5
    """
    i, f, g, o, c_prev, c = saved
    dh, dc = dstate
    tanh_c = tanh(c)
    do = dh * tanh_c  # B1
    dc = dc + dh * o * (1 - tanh_c * tanh_c)  # B2
    di = dc * g  # B3
    df = dc * c_prev  # B4
    dg = dc * i  # B5
    dz = np.concatenate(  # B6  (B, 4H)
        [di * i * (1 - i), df * f * (1 - f), dg * (1 - g * g), do * o * (1 - o)], axis=-1
    )
    dc_prev = dc * f  # B7
    return dz, dc_prev, State(dh, dc)
