"""minLSTM: gates that do not see the state, and add up to 1 (Feng et al. 2024, arXiv:2410.01201).

    f, i = sigmoid(xw_f), sigmoid(xw_i)  forget and input gate
    f, i = f / (f + i), i / (f + i)      so that the state neither grows nor shrinks with time
    g = xw_g                             candidate
    h = f * h_prev + i * g               hidden state

There is no U, and no c beside h.
"""

import numpy as np

from minilstm.bptt.activations import sigmoid
from minilstm.bptt.cell import State
from minilstm.cells.making import make
from minilstm.foundations.arrays import Array


def _forward(xw: Array, hu: Array, prev: State, p: Array) -> tuple[State, State]:
    xw_f, xw_i, g = np.split(xw, 3, axis=-1)
    f, i = sigmoid(xw_f), sigmoid(xw_i)
    f, i = f / (f + i), i / (f + i)
    return (f * prev[0] + i * g,), (f, i, g)


MIN_LSTM = make("min_lstm", _forward, gates=("f", "i", "g"))
