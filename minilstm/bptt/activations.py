"""Activation functions: the value y = a(x), and the derivative written through the value.

Backpropagation has y at hand from the forward pass, and y is enough:

    sigmoid   y = 1 / (1 + e^-x)    dy/dx = e^-x / (1 + e^-x)^2 = y (1 - y)     for e^-x / (1 + e^-x) = 1 - y
    tanh      y = sinh x / cosh x   dy/dx = (cosh^2 x - sinh^2 x) / cosh^2 x = 1 - y^2    (forward: np.tanh)

They take complex arrays too, so that imaginary nudges (see `bptt`) can check the very code that trains:
branches look at the real part only, and nothing takes an absolute value or a conjugate, which have no complex
derivative. Others stand in `more_activations`.
"""

from __future__ import annotations

import numpy as np

from minilstm.arrays import Array


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x) for x >= 0, and for x < 0 the same as e^x / (e^x + 1): neither exponential can overflow.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    positive = x.real >= 0
    e: Array = np.exp(np.where(positive, -x, x))
    value: Array = np.where(positive, 1, e) / (1 + e)
    return value


def sigmoid_backward(dy: Array, y: Array) -> Array:
    """dL/dx from dL/dy, of y's shape."""
    dx: Array = dy * y * (1 - y)
    return dx


def tanh_backward(dy: Array, y: Array) -> Array:
    """dL/dx from dL/dy, of y's shape."""
    dx: Array = dy * (1 - y * y)
    return dx
