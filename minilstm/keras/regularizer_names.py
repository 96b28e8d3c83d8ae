"""Keras's names of the regularizers, and its `get`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minilstm import regularizers
from minilstm.foundations.errors import described, one_of
from minilstm.regularizers import L1L2, Regularizer, l1, l1_l2, l2

L1, L2 = l1, l2

__all__ = ["L1", "L1L2", "L2", "Regularizer", "deserialize", "get", "l1", "l1_l2", "l2", "serialize"]


def get(identifier: Any) -> Regularizer | None:
    """The regularizer of that name, or one itself. Source: `keras.regularizers.get`.

    >>> get("l2")
    L1L2(l1=0.0, l2=0.01)
    """
    return (
        deserialize(identifier)
        if isinstance(identifier, dict)
        else regularizers.get("identifier", identifier)
    )


def serialize(regularizer: L1L2) -> dict[str, Any]:
    """What `deserialize` makes the same penalty of. Source: `keras.regularizers.serialize`.

    >>> serialize(l2(0.5))
    {'class_name': 'L1L2', 'config': {'l1': 0.0, 'l2': 0.5}}
    """
    return {"class_name": type(regularizer).__name__, "config": regularizer.get_config()}


def deserialize(config: Mapping[str, Any]) -> L1L2:
    """The penalty that `serialize` describes, of Keras's classes L1, L2 and L1L2 too."""
    known = {"L1": l1, "L2": l2, "L1L2": L1L2}
    name, arguments = described("regularizer", config)
    return known[one_of("class_name", name, known)](**arguments)
