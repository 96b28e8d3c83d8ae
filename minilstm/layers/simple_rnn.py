"""SimpleRNN: the layer around `minilstm.bptt.simple_rnn`."""

from __future__ import annotations

from typing import Unpack

from minilstm.bptt.simple_rnn import SimpleRNNCell
from minilstm.cells.activations import get, of_output
from minilstm.layers.recurrent import Common, Recurrent


class SimpleRNN(Recurrent):
    """The simple (Elman) recurrent network over (B, T, D): h_t = activation(x_t W + h_{t-1} U + b).

    Parameters
    ----------
    units : H, the size of the hidden state
    activation : "tanh" or another
    others : as in `Recurrent`

    Weights, in Keras's order, shapes and initialisation: kernel (D, H) glorot-uniform, recurrent_kernel
    (H, H) orthogonal, bias (H,) zeros. Equations in `minilstm.bptt.simple_rnn`.

    >>> import numpy as np
    >>> SimpleRNN(4)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    def __init__(self, units: int, *, activation: str = "tanh", **common: Unpack[Common]) -> None:
        super().__init__(units, **common)
        self.activation = of_output("activation", activation)
        self.cell = SimpleRNNCell(get(self.activation))
