"""The other activations, and all of them by name: of cells with another one than usual, and of other layers.

Sigmoid and tanh stand in `bptt.activations` (source: Keras 3, `keras/src/activations`). The derivatives of
relu, linear and hard_sigmoid are 0 or one constant;

    softmax   y_j = e^x_j / sum_k e^x_k     dy_j/dx_k = y_j ((j is k) - y_k): every y_j depends on every x_k,
              so x_k gets sum_j dy_j y_j ((j is k) - y_k) = y_k (dy_k - sum_j dy_j y_j)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minilstm.bptt.activations import SIGMOID, TANH, Activation, sigmoid
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import one_of


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
    """x / 6 + 1 / 2, cut off at 0 and 1: Keras 3's form. NaN stays NaN."""
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


def elu(x: Array) -> Array:
    """x where it is positive, e^x - 1 elsewhere; there the slope is y + 1."""
    return np.where(x.real > 0, x, np.expm1(np.where(x.real > 0, 0, x)))


def _elu_backward(dy: Array, y: Array) -> Array:
    return dy * np.where(y.real > 0, 1, y + 1)


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al. 2017


def selu(x: Array) -> Array:
    """SELU_SCALE times x where it is positive, times SELU_ALPHA (e^x - 1) elsewhere."""
    y: Array = SELU_SCALE * np.where(x.real > 0, x, SELU_ALPHA * np.expm1(np.where(x.real > 0, 0, x)))
    return y


def _selu_backward(dy: Array, y: Array) -> Array:
    return dy * np.where(y.real > 0, SELU_SCALE, y + SELU_SCALE * SELU_ALPHA)


def softplus(x: Array) -> Array:
    """log(1 + e^x), without an exponential of a positive number; its slope is sigmoid x = 1 - e^-y.

    >>> softplus(np.array([-1000.0, 1000.0])).tolist()
    [0.0, 1000.0]
    """
    positive = x.real > 0
    y: Array = np.where(positive, x, 0) + np.log1p(np.exp(np.where(positive, -x, x)))
    return y


def _softplus_backward(dy: Array, y: Array) -> Array:
    dx: Array = dy * -np.expm1(-y)
    return dx


def silu(x: Array) -> Array:
    """x sigmoid x, which Keras calls swish too."""
    y: Array = x * sigmoid(x)
    return y


def _silu_backward(dy: Array, x: Array) -> Array:
    s = sigmoid(x)
    dx: Array = dy * (s + x * s * (1 - s))
    return dx


def gelu(x: Array) -> Array:
    """x times the normal distribution function of x."""
    y: Array = x * _normal(x)
    return y


def _gelu_backward(dy: Array, x: Array) -> Array:
    dx: Array = dy * (_normal(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi))
    return dx


def _normal(x: Array) -> Array:
    """The normal distribution function; of complex x to first order in its imaginary part (complex step)."""
    erf = np.frompyfunc(math.erf, 1, 1)
    value: Array = 0.5 * (1 + np.asarray(erf(x.real / math.sqrt(2)), x.real.dtype))
    if x.dtype.kind == "c":
        return value + 1j * x.imag * np.exp(-(x.real**2) / 2) / math.sqrt(2 * math.pi)
    return value


ACTIVATIONS = {
    one.name: one
    for one in (
        Activation("elu", elu, _elu_backward),
        Activation("gelu", gelu, _gelu_backward, 1.1289, of_input=True),
        Activation("hard_sigmoid", hard_sigmoid, _hard_sigmoid_backward, 1 / 6),
        Activation("linear", linear, _linear_backward),
        Activation("relu", relu, _relu_backward),
        Activation("selu", selu, _selu_backward, SELU_SCALE * SELU_ALPHA),
        SIGMOID,
        Activation("silu", silu, _silu_backward, 1.0999, of_input=True),
        Activation("softmax", softmax, _softmax_backward),
        Activation("softplus", softplus, _softplus_backward),
        TANH,
    )
}
SAME = {"swish": "silu"}  # Keras's other names
LIBRARIES = ("minilstm", "keras")  # whose functions are what they are called; a user's may be anything


def get(identifier: str | Callable[[Array], Array] | None) -> Activation:
    """The activation of that name, or of that function of this file; None is linear, as in Keras.

    >>> get(None).name, get("swish").name, get(elu).name
    ('linear', 'silu', 'elu')
    """
    return ACTIVATIONS[one_of("activation", _name(identifier), ACTIVATIONS)]


def of_output(argument: str, identifier: str | Callable[[Array], Array] | None) -> str:
    """The name of an activation for a cell, which keeps its outputs for the backward pass, not their inputs.

    >>> of_output("activation", "swish")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: activation must be 'elu' or ... or 'softplus' or 'tanh', got 'silu'; ...
    """
    known = [name for name, one in ACTIVATIONS.items() if not one.of_input and name != "softmax"]
    return one_of(argument, _name(identifier), known)


def _name(identifier: Any) -> Any:
    if identifier is None:
        return "linear"
    if callable(identifier):
        known = str(identifier.__module__).partition(".")[0] in LIBRARIES and hasattr(identifier, "__name__")
        same = (name for name, one in ACTIVATIONS.items() if one.forward is identifier)
        identifier = next(same, identifier.__name__ if known else identifier)
    return SAME.get(identifier, identifier) if isinstance(identifier, str) else identifier
