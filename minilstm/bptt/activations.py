"""Activation functions: the value, and the derivative written through the value.

The derivative takes the *output* y = a(x), not the input x: backpropagation has y on its tape, and
tanh'(x) = 1 - y^2 and sigmoid'(x) = y (1 - y) need nothing else.

Every function here works on complex arrays too, so the complex-step check runs the code that
trains: branches look at the real part only, and nothing takes an absolute value or a conjugate.
These are the readable forms; the compiled forms of sigmoid and tanh stand in `kernels`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minilstm.errors import one_of

Array = NDArray[Any]


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), in the branch whose exponential cannot overflow.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    positive = x.real >= 0
    e: Array = np.exp(np.where(positive, -x, x))  # real part <= 1
    value: Array = np.where(positive, 1, e) / (1 + e)
    return value


def tanh(x: Array) -> Array:
    """Hyperbolic tangent."""
    return np.tanh(x)


def relu(x: Array) -> Array:
    """max(x, 0), NaN stays NaN."""
    return np.where(x.real <= 0, 0, x)


def linear(x: Array) -> Array:
    """x itself."""
    return x


def hard_sigmoid(x: Array) -> Array:
    """x / 6 + 1 / 2, cut off at 0 and 1: Keras 3's form. NaN stays NaN.

    >>> hard_sigmoid(np.array([-4.0, 0.0, 4.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    y = x / 6 + 0.5
    return np.where(y.real <= 0, 0, np.where(y.real >= 1, 1, y))


def softmax(x: Array) -> Array:
    """exp(x) / sum(exp(x)) over the last axis, shifted so that no exponential overflows.

    >>> softmax(np.array([1000.0, 1000.0])).tolist()
    [0.5, 0.5]
    """
    e: Array = np.exp(x - x.real.max(axis=-1, keepdims=True))
    value: Array = e / e.sum(axis=-1, keepdims=True)
    return value


def _sigmoid_backward(dy: Array, y: Array) -> Array:
    dx: Array = dy * y * (1 - y)
    return dx


def _tanh_backward(dy: Array, y: Array) -> Array:
    dx: Array = dy * (1 - y * y)
    return dx


def _relu_backward(dy: Array, y: Array) -> Array:
    return dy * (y.real > 0)


def _hard_sigmoid_backward(dy: Array, y: Array) -> Array:
    return dy * ((y.real > 0) & (y.real < 1)) / 6


def _linear_backward(dy: Array, y: Array) -> Array:
    return dy


def _softmax_backward(dy: Array, y: Array) -> Array:
    dx: Array = y * (dy - (dy * y).sum(axis=-1, keepdims=True))
    return dx


@dataclass(frozen=True)
class Activation:
    """An activation: `forward(x) -> y` and `backward(dy, y) -> dx`, both of x's shape."""

    name: str
    forward: Callable[[Array], Array]
    backward: Callable[[Array, Array], Array]


ACTIVATIONS = {
    activation.name: activation
    for activation in (
        Activation("hard_sigmoid", hard_sigmoid, _hard_sigmoid_backward),
        Activation("linear", linear, _linear_backward),
        Activation("relu", relu, _relu_backward),
        Activation("sigmoid", sigmoid, _sigmoid_backward),
        Activation("softmax", softmax, _softmax_backward),
        Activation("tanh", tanh, _tanh_backward),
    )
}


def get(identifier: str | None) -> Activation:
    """The activation of that name; None is linear, as in Keras.

    >>> get(None).name
    'linear'
    """
    name = "linear" if identifier is None else identifier
    return ACTIVATIONS[one_of("activation", name, ACTIVATIONS)]
