"""The activations as functions, by Keras's names."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minilstm.cells import activations
from minilstm.foundations.arrays import Array, numeric_array
from minilstm.foundations.errors import flag, real_number, shown, wording

__all__ = [
    "elu", "gelu", "get", "hard_sigmoid", "linear", "relu", "selu", "serialize", "sigmoid", "silu",
    "softmax", "softplus", "swish", "tanh",
]  # fmt: skip

Function = Callable[[ArrayLike], Array]


def _numbers(x: ArrayLike) -> Array:
    array = np.asarray(x)
    return array if array.dtype.kind in "fc" else numeric_array("x", x).astype(np.float32)


def _made(name: str) -> Function:
    one = activations.get(name)

    def function(x: ArrayLike) -> Array:
        return one.forward(_numbers(x))

    function.__name__, function.__doc__ = name, f"{name} of x, in its dtype; float32 of whole numbers."
    return function


elu, hard_sigmoid, linear, _gelu = (_made(name) for name in ("elu", "hard_sigmoid", "linear", "gelu"))
selu, sigmoid, silu, softplus, tanh = map(_made, ("selu", "sigmoid", "silu", "softplus", "tanh"))
swish = silu


def relu(
    x: ArrayLike, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Array:
    """x above `threshold`, at most `max_value`; up to it, negative_slope (x - threshold). NaN stays NaN.

    Source: `keras.activations.relu`. As an activation of a layer it is the plain one, max(x, 0).

    >>> relu([-2.0, 1.0, 9.0], negative_slope=0.5, max_value=6.0).tolist()
    [-1.0, 1.0, 6.0]
    """
    array = _numbers(x)
    negative_slope = real_number("negative_slope", negative_slope, -np.inf)
    threshold = real_number("threshold", threshold, -np.inf)
    if max_value is not None:
        max_value = real_number("max_value", max_value, -np.inf)
    rest = negative_slope * (array - threshold) if negative_slope else 0
    found = np.where(array <= threshold, rest, array).astype(array.dtype)
    return found if max_value is None else np.minimum(found, array.dtype.type(max_value))


def gelu(x: ArrayLike, approximate: bool = False) -> Array:
    """x times the normal distribution function of x, or its form by a tanh. Source: `keras.activations.gelu`.

    >>> gelu([1.0, -2.0], approximate=True).round(4).tolist()
    [0.8412, -0.0454]
    """
    if not flag("approximate", approximate):
        return _gelu(x)
    array = _numbers(x)
    return np.asarray(array * (1 + np.tanh(math.sqrt(2 / math.pi) * (array + 0.044715 * array**3))) / 2)


def softmax(x: ArrayLike, axis: int | tuple[int, ...] = -1) -> Array:
    """exp(x) / sum(exp(x)) over an axis, or several together. Source: `keras.activations.softmax`.

    >>> softmax([[0.0, 0.0]], axis=0).tolist()
    [[1.0, 1.0]]
    """
    array = _numbers(x)
    try:
        e = np.exp(array - array.max(axis=axis, keepdims=True, initial=-np.inf))
    except (TypeError, ValueError, OverflowError):
        expected = f"an axis, or several, of x, which has {array.ndim}"
        raise ValueError(wording("axis", expected, shown(axis))) from None
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


def get(identifier: str | Callable[..., Any] | None) -> Callable[..., Any]:
    """The function of that name; a function itself; `linear` for None. Source: `keras.activations.get`.

    >>> get("relu")([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """
    if callable(identifier):
        return identifier
    found: Callable[..., Any] = globals()[activations.get(identifier).name]
    return found


def serialize(activation: Callable[..., Any]) -> str:
    """The name of an activation.

    >>> serialize(tanh)
    'tanh'
    """
    return activations.get(activation.__name__).name
