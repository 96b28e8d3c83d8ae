"""AntisymmetricRNN: a step of an equation whose Jacobian only turns (Chang et al. 2019, arXiv:1902.09689).

    U = R - R' - gamma I                 antisymmetric but for gamma, which damps; R is what is learned
    h = h_prev + step * tanh(xw + hu)    Euler's method for dh/dt = tanh(x W + h U + b)

The eigenvalues of R - R' are imaginary, so with a small step those of the Jacobian stay near 1: the gradient
neither vanishes nor explodes. `recurrent_kernel` is R, trained through U (`recurrent_map`); a trace shows U.
"""

import numpy as np

from minilstm.bptt.cell import State
from minilstm.cells.making import make
from minilstm.foundations.arrays import Array

STEP, GAMMA = 0.1, 0.01


def _forward(xw: Array, hu: Array, prev: State, p: Array) -> tuple[State, State]:
    return (prev[0] + STEP * np.tanh(xw + hu),), ()


def _turn(R: Array) -> Array:
    return R - R.T - GAMMA * np.eye(len(R), dtype=R.dtype)


def _turn_backward(dU: Array, R: Array) -> Array:
    return dU - dU.T


ANTISYMMETRIC = make("antisymmetric", _forward, gates=("h",), recurrent_map=(_turn, _turn_backward))
