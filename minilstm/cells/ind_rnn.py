"""IndRNN: each unit sees itself alone, by one weight u (Li et al. 2018, arXiv:1803.04831).

    h = relu(xw + u * h_prev)            u is a row of p, one number for each unit; there is no U

From h_prev to h the gradient is multiplied by u where the unit is on: over T steps by u^T, so |u| <= 1 (and
near 1 for long memories) is all that has to be seen to. u begins uniform between 0 and 1.
"""

from minilstm.bptt.cell import State
from minilstm.cells.activations import relu
from minilstm.cells.making import make
from minilstm.foundations.arrays import Array
from minilstm.initializers import RandomUniform


def _forward(xw: Array, hu: Array, prev: State, p: Array) -> tuple[State, State]:
    return (relu(xw + p[0] * prev[0]),), ()


IND_RNN = make("ind_rnn", _forward, gates=("h",), p={"u": RandomUniform(0.0, 1.0)})
