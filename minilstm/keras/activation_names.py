"""The activations as functions, by Keras's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minilstm.arrays import Array
from minilstm.bptt import more_activations

__all__ = [
    "elu",
    "gelu",
    "get",
    "hard_sigmoid",
    "linear",
    "relu",
    "selu",
    "serialize",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "swish",
    "tanh",
]

Function = Callable[[ArrayLike], Array]


def _made(name: str) -> Function:
    one = more_activations.get(name)

    def function(x: ArrayLike) -> Array:
        array = np.asarray(x)
        return one.forward(array if array.dtype.kind in "fc" else array.astype(np.float32))

    function.__name__, function.__doc__ = name, f"{name} of x, in its dtype; float32 of whole numbers."
    return function


elu, gelu, hard_sigmoid, linear = (_made(name) for name in ("elu", "gelu", "hard_sigmoid", "linear"))
relu, selu, sigmoid, silu = (_made(name) for name in ("relu", "selu", "sigmoid", "silu"))
softmax, softplus, tanh = (_made(name) for name in ("softmax", "softplus", "tanh"))
swish = silu


def get(identifier: str | Callable[..., Any] | None) -> Callable[..., Any]:
    """The function of that name; a function itself; `linear` for None. Source: `keras.activations.get`.

    >>> get("relu")([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """
    if callable(identifier):
        return identifier
    found: Callable[..., Any] = globals()[more_activations.get(identifier).name]
    return found


def serialize(activation: Callable[..., Any]) -> str:
    """The name of an activation.

    >>> serialize(tanh)
    'tanh'
    """
    return more_activations.get(activation.__name__).name
