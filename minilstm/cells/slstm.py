"""sLSTM: exponential gates, a normaliser n and a stabiliser m (Beck et al. 2024, xLSTM, arXiv:2405.04517).

    m = max(z_f + m_prev, z_i)           the largest exponent so far; z = xw + hu, in the blocks z_i, z_f, ...
    i, f = exp(z_i - m), exp(z_f + m_prev - m)      gates, both at most 1 by the choice of m
    c = f * c_prev + i * tanh(z_g)       memory
    n = f * n_prev + i                   normaliser: what c would be of inputs that are all 1
    h = sigmoid(z_o) * c / n             hidden state

i = exp(z_i) and f = exp(z_f) alone overflow. c / n is the same for any m, so dm is 0 but for rounding.
"""

import numpy as np

from minilstm.bptt.activations import sigmoid
from minilstm.bptt.cell import State
from minilstm.cells.making import make
from minilstm.foundations.arrays import Array


def _forward(xw: Array, hu: Array, prev: State, p: Array) -> tuple[State, State]:
    _, c, n, m_prev = prev
    z_i, z_f, z_g, z_o = np.split(xw + hu, 4, axis=-1)
    m = np.where((z_f + m_prev).real > z_i.real, z_f + m_prev, z_i)
    i, f = np.exp(z_i - m), np.exp(z_f + m_prev - m)
    c = f * c + i * np.tanh(z_g)
    n = f * n + i
    return (sigmoid(z_o) * c / n, c, n, m), (i, f)


SLSTM = make("slstm", _forward, gates="ifgo", states="hcnm", kept="if")
