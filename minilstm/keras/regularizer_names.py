"""Keras's names of the regularizers, and its `get`."""

from __future__ import annotations

from typing import Any

from minilstm import regularizers
from minilstm.regularizers import L1L2, Regularizer, l1, l1_l2, l2

L1, L2 = l1, l2

__all__ = ["L1", "L1L2", "L2", "Regularizer", "get", "l1", "l1_l2", "l2"]


def get(identifier: Any) -> Regularizer | None:
    """The regularizer of that name, or one itself. Source: `keras.regularizers.get`.

    >>> get("l2")
    L1L2(l1=0.0, l2=0.01)
    """
    return regularizers.get("identifier", identifier)
