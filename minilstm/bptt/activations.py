"""Activation functions: the value y = a(x), and the derivative written through the value.

Backpropagation has y at hand from the forward pass, and y is enough:

    sigmoid   y = 1 / (1 + e^-x)    dy/dx = e^-x / (1 + e^-x)^2 = y (1 - y)     for e^-x / (1 + e^-x) = 1 - y
    tanh      y = sinh x / cosh x   dy/dx = (cosh^2 x - sinh^2 x) / cosh^2 x = 1 - y^2

They take complex arrays too, so that imaginary nudges (see `bptt`) can check the very code that trains:
branches look at the real part only, and nothing takes an absolute value or a conjugate, which have no complex
derivative. Others stand in `minilstm.cells.activations`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minilstm.foundations.arrays import Array


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x) for x >= 0, and for x < 0 the same as e^x / (e^x + 1): neither exponential can overflow.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    positive = x.real >= 0
    e: Array = np.exp(np.where(positive, -x, x))
    value: Array = np.where(positive, 1, e) / (1 + e)
    return value


def _sigmoid_backward(dy: Array, y: Array) -> Array:
    dx: Array = dy * y * (1 - y)
    return dx


def _tanh_backward(dy: Array, y: Array) -> Array:
    dx: Array = dy * (1 - y * y)
    return dx


@dataclass(frozen=True, repr=False)
class Activation:
    """An activation: `forward(x) -> y`, and `backward(dy, y) -> dx`, dL/dx from dL/dy; all of x's shape."""

    name: str
    forward: Callable[[Array], Array]
    backward: Callable[[Array, Array], Array]
    slope: float = 1.0  # the largest it has
    of_input: bool = False  # `backward` takes x in the place of y: one y stands for several x

    def __repr__(self) -> str:
        return repr(self.name)

    def gradient(self, dy: Array, x: Array, y: Array) -> Array:
        """dL/dx from dL/dy, by whichever of x and y `backward` takes."""
        return self.backward(dy, x if self.of_input else y)


SIGMOID = Activation("sigmoid", sigmoid, _sigmoid_backward, slope=1 / 4)
TANH = Activation("tanh", np.tanh, _tanh_backward)
