"""minGRU: a GRU whose gates do not see the state (Feng et al. 2024, arXiv:2410.01201).

    z = sigmoid(xw_z)                    update gate: how much of the state to renew
    g = xw_g                             candidate
    h = (1 - z) * h_prev + z * g         hidden state

There is no U: the path through it is exactly 0, and what is left is a product of 1 - z.
"""

import numpy as np

from minilstm.bptt.activations import sigmoid
from minilstm.bptt.cell import State
from minilstm.cells.making import make
from minilstm.foundations.arrays import Array


def _forward(xw: Array, hu: Array, prev: State, p: Array) -> tuple[State, State]:
    xw_z, g = np.split(xw, 2, axis=-1)
    z = sigmoid(xw_z)
    return ((1 - z) * prev[0] + z * g,), (z, g)


MIN_GRU = make("min_gru", _forward, gates=("z", "g"))
