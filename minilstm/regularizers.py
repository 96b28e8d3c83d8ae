"""Penalties on weights, added to the loss that fit minimises: l1 sum |w| and l2 sum w^2, as in Keras.

Layers take one as `kernel_regularizer=`, `recurrent_regularizer=`, `bias_regularizer=` or
`embeddings_regularizer=`: by name, as an object of this file, or as any object that offers both methods of
`Regularizer`. The model adds value and gradient. What this file is not: weight decay. Under Adam the two
differ (Loshchilov and Hutter 2019); for decay take AdamW.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import one_of, real_number, settle, shown, spelled, wording


@runtime_checkable
class Regularizer(Protocol):
    """A penalty on a weight."""

    def __call__(self, w: Array) -> Any:
        """The penalty, one number."""

    def gradient(self, w: Array) -> Array:
        """Its gradient, of w's shape."""


@spelled
@dataclass(frozen=True)
class L1L2:
    """The penalty l1 sum |w| + l2 sum w^2, and its gradient l1 sign(w) + 2 l2 w.

    The value is summed in float64 (complex128 for complex weights). At w = 0 the gradient of |w| is 0 here.
    Source: `keras.regularizers.L1L2`.

    >>> penalty = L1L2(l1=0.5, l2=0.1)
    >>> penalty(np.array([1.0, -2.0])), penalty.gradient(np.array([1.0, -2.0])).tolist()
    (2.0, [0.7, -0.9])
    """

    l1: float = 0.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        settle(self, l1=real_number("l1", self.l1), l2=real_number("l2", self.l2))

    def get_config(self) -> dict[str, float]:
        """The arguments of the constructor, by name."""
        return {"l1": self.l1, "l2": self.l2}

    @classmethod
    def from_config(cls, config: Mapping[str, float]) -> Self:
        """The penalty that `get_config` describes."""
        return cls(**config)

    def __call__(self, w: ArrayLike) -> Any:
        """The penalty, one number."""
        w = np.asarray(w)
        wide = w.astype(np.result_type(w, np.float64), copy=False)
        return (self.l1 * (np.sign(wide.real) * wide).sum() + self.l2 * (wide * wide).sum()).item()

    def gradient(self, w: Array) -> Array:
        """Its gradient, of w's shape and dtype."""
        found: Array = self.l1 * np.sign(w.real) + 2 * self.l2 * w
        return found


@spelled
def l1(l1: float = 0.01) -> L1L2:
    """l1 sum |w|: draws weights to exactly 0.

    >>> l1(0.5)
    L1L2(l1=0.5, l2=0.0)
    """
    return L1L2(l1=l1)


@spelled
def l2(l2: float = 0.01) -> L1L2:
    """l2 sum w^2 (no factor of one half): keeps weights small.

    >>> l2()
    L1L2(l1=0.0, l2=0.01)
    """
    return L1L2(l2=l2)


@spelled
def l1_l2(l1: float = 0.01, l2: float = 0.01) -> L1L2:
    """Both.

    >>> l1_l2(l1=0.5)
    L1L2(l1=0.5, l2=0.01)
    """
    return L1L2(l1, l2)


REGULARIZERS = {"l1": l1, "l2": l2, "l1_l2": l1_l2}


def get(argument: str, identifier: str | Regularizer | None) -> Regularizer | None:
    """The regularizer of that name with Keras's 0.01, or `identifier` itself; `argument` is for the message.

    >>> get("kernel_regularizer", "l2")
    L1L2(l1=0.0, l2=0.01)
    """
    if identifier is None or isinstance(identifier, Regularizer):
        return identifier
    if isinstance(identifier, str):
        name = "l1_l2" if identifier.lower() == "l1l2" else identifier.lower()  # Keras's classes
        return REGULARIZERS[name if name in REGULARIZERS else one_of(argument, identifier, REGULARIZERS)]()
    expected = "None, a name or a regularizer such as regularizers.l2(1e-4)"
    raise TypeError(wording(argument, expected, shown(identifier)))
