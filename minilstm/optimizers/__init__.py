"""Clip the gradients, then step: SGD, RMSprop and Adam with Keras's formulas, in Keras's order.

    prepare   gradients -> their norm, and the clipped gradients      (looks only: nothing changes)
    step      parameters += change, in place                          (the formulas are in `rules`)

All parameters are laid end to end in one vector, so that a formula costs about ten NumPy calls whatever the
number of arrays; g below is that vector of gradients. Its means are kept in the parameters' dtype.

What this package is not: it does not look for NaN. `prepare` reports the norm, and the caller decides.

Source: Keras 3, `keras/src/optimizers/{base_optimizer,sgd,rmsprop,adam}.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minilstm.foundations.errors import described, instance, one_of, shown, wording
from minilstm.optimizers.base import Optimizer, Update
from minilstm.optimizers.rules import SGD, Adam, AdamW, RMSprop
from minilstm.optimizers.schedules import (
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    LearningRateSchedule,
    PiecewiseConstantDecay,
    PolynomialDecay,
)

__all__ = [
    "SGD", "Adam", "AdamW", "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay",
    "LearningRateSchedule", "Optimizer", "PiecewiseConstantDecay", "PolynomialDecay", "RMSprop", "Update",
    "deserialize", "get", "serialize",
]  # fmt: skip

_OPTIMIZERS: dict[str, type[SGD] | type[RMSprop] | type[Adam]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
}


def get(identifier: Any) -> Optimizer:
    """A new optimizer of that name with its defaults, of that class or description; an optimizer itself.

    In names upper and lower case are one. Raises ValueError, with the known names, for anything else.
    Source: `keras.optimizers.get`.

    >>> get("Adam").learning_rate
    0.001
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if isinstance(identifier, type) and identifier in _OPTIMIZERS.values():
        return identifier()  # type: ignore[no-any-return]
    if not isinstance(identifier, str):
        raise ValueError(
            wording("optimizer", f"one of {', '.join(_OPTIMIZERS)} or an Optimizer", shown(identifier))
        )
    return _OPTIMIZERS[one_of("optimizer", identifier.lower(), _OPTIMIZERS)]()


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """What `deserialize` makes the same optimizer of, before its first step. Source: `keras.optimizers`.

    >>> serialize(SGD(0.5))["config"]["learning_rate"]
    0.5
    """
    instance("optimizer", optimizer, Optimizer, "an Optimizer")
    return {"class_name": type(optimizer).__name__, "config": optimizer.get_config()}


def deserialize(config: Mapping[str, Any]) -> Optimizer:
    """The optimizer that `serialize` describes. Source: `keras.optimizers.deserialize`."""
    name, arguments = described("optimizer", config)
    return _OPTIMIZERS[one_of("class_name", str(name).lower(), _OPTIMIZERS)].from_config(arguments)
