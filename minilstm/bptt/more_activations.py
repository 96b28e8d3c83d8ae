"""The other activations, and all of them by name: of cells with another one than usual, and of other layers.

The plain LSTM needs none of these. The derivatives of relu, linear and hard_sigmoid are 0 or one constant;

    softmax   y_j = e^x_j / sum_k e^x_k     dy_j/dx_k = y_j ((j is k) - y_k): every y_j depends on every x_k,
              so x_k gets sum_j dy_j y_j ((j is k) - y_k) = y_k (dy_k - sum_j dy_j y_j)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilstm.arrays import Array
from minilstm.bptt.activations import sigmoid, sigmoid_backward, tanh_backward
from minilstm.errors import one_of


def relu(x: Array) -> Array:
    """max(x, 0), NaN stays NaN."""
    return np.where(x.real <= 0, 0, x)


def _relu_backward(dy: Array, y: Array) -> Array:
    return dy * (y.real > 0)


def linear(x: Array) -> Array:
    """x itself."""
    return x


def _linear_backward(dy: Array, y: Array) -> Array:
    return dy


def hard_sigmoid(x: Array) -> Array:
    """x / 6 + 1 / 2, cut off at 0 and 1: Keras 3's form. NaN stays NaN.

    >>> hard_sigmoid(np.array([-4.0, 0.0, 4.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    y = x / 6 + 0.5
    return np.where(y.real <= 0, 0, np.where(y.real >= 1, 1, y))


def _hard_sigmoid_backward(dy: Array, y: Array) -> Array:
    return dy * ((y.real > 0) & (y.real < 1)) / 6


def softmax(x: Array) -> Array:
    """exp(x) / sum(exp(x)) over the last axis, shifted so that no exponential overflows.

    >>> softmax(np.array([1000.0, 1000.0])).tolist()
    [0.5, 0.5]
    """
    e: Array = np.exp(x - x.real.max(axis=-1, keepdims=True))
    value: Array = e / e.sum(axis=-1, keepdims=True)
    return value


def _softmax_backward(dy: Array, y: Array) -> Array:
    dx: Array = y * (dy - (dy * y).sum(axis=-1, keepdims=True))
    return dx


@dataclass(frozen=True)
class Activation:
    """An activation: `forward(x) -> y` and `backward(dy, y) -> dx`, both of x's shape."""

    name: str
    forward: Callable[[Array], Array]
    backward: Callable[[Array, Array], Array]
    slope: float = 1.0  # the largest it has


ACTIVATIONS = {
    activation.name: activation
    for activation in (
        Activation("hard_sigmoid", hard_sigmoid, _hard_sigmoid_backward, 1 / 6),
        Activation("linear", linear, _linear_backward),
        Activation("relu", relu, _relu_backward),
        Activation("sigmoid", sigmoid, sigmoid_backward, 1 / 4),
        Activation("softmax", softmax, _softmax_backward),
        Activation("tanh", np.tanh, tanh_backward),
    )
}


def get(identifier: str | None) -> Activation:
    """The activation of that name; None is linear, as in Keras."""
    name = "linear" if identifier is None else identifier
    return ACTIVATIONS[one_of("activation", name, ACTIVATIONS)]


def variant_of(cell: Any, common: Any) -> str | None:
    """The settings in which a cell differs from the common one, such as "activation='relu'"; or None."""
    settings = ((name, getattr(cell, name)) for name in cell.__dataclass_fields__)
    return ", ".join(f"{k}={v!r}" for k, v in settings if v != getattr(common, k)) or None
