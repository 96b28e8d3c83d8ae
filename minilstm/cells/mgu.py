"""MGU, the minimal gated unit: one gate instead of the GRU's two (Zhou et al. 2016, arXiv:1603.09420).

    f = sigmoid(xw_f + hu_f)             forget gate: how much of the state to renew
    g = tanh(xw_g + f * hu_g)            candidate; f stands behind the product, as r in the GRU's reset_after
    h = (1 - f) * h_prev + f * g         hidden state

Zhou et al. have U_g (f * h_prev), whose product mixes units within the step; f * (U_g h_prev) is elementwise.
"""

import numpy as np

from minilstm.bptt.activations import sigmoid
from minilstm.bptt.cell import State
from minilstm.cells.making import make
from minilstm.foundations.arrays import Array


def _forward(xw: Array, hu: Array, prev: State, p: Array) -> tuple[State, State]:
    (h_prev,) = prev
    (xw_f, xw_g), (hu_f, hu_g) = np.split(xw, 2, axis=-1), np.split(hu, 2, axis=-1)
    f = sigmoid(xw_f + hu_f)
    g = np.tanh(xw_g + f * hu_g)
    return ((1 - f) * h_prev + f * g,), (f, g)


MGU = make("mgu", _forward, gates=("f", "g"))
