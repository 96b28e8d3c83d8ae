"""A diagonal linear unit: a complex state that turns and decays (Orvieto et al. 2023, LRU, arXiv:2303.06349).

    lambda = exp(-exp(v) + i exp(w))     |lambda| < 1 for any v; v and w are rows of p
    s = lambda * s_prev + gain * (x_a + i x_b)      gain = sqrt(1 - |lambda|^2) keeps the state's size
    h = Re s                             shown to the next layer, whose matrix may mix

The state s is two real ones, a + i b. There is no U and nothing nonlinear: over T steps the gradient is
multiplied by lambda^T. |lambda| begins between 0.9 and 0.999, the angle below pi / 10, as in the LRU.
"""

import numpy as np

from minilstm.bptt.cell import State
from minilstm.cells.making import make
from minilstm.foundations.arrays import Array
from minilstm.initializers import RandomUniform


def _forward(xw: Array, hu: Array, prev: State, p: Array) -> tuple[State, State]:
    (_, a, b), (x_a, x_b) = prev, np.split(xw, 2, axis=-1)
    size, angle = np.exp(-np.exp(p[0])), np.exp(p[1])
    u, v, gain = size * np.cos(angle), size * np.sin(angle), np.sqrt(1 - size * size)
    a, b = u * a - v * b + gain * x_a, v * a + u * b + gain * x_b
    return (1 * a, a, b), ()


V, W = (RandomUniform(*np.log(ends).tolist()) for ends in (-np.log([0.999, 0.9]), [1e-3, np.pi / 10]))
DIAGONAL = make("diagonal", _forward, gates=("a", "b"), states=("h", "a", "b"), p={"v": V, "w": W})
