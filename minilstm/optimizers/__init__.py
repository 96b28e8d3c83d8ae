"""Clip the gradients, then step: SGD, RMSprop and Adam with Keras's formulas, in Keras's order.

    prepare   gradients -> their norm, and the clipped gradients      (looks only: nothing changes)
    step      parameters += change, in place                          (the formulas are in `rules`)

All parameters are laid end to end in one vector, so that a formula costs about ten NumPy calls whatever the
number of arrays; g below is that vector of gradients. Its means are kept in the parameters' dtype.

What this package is not: it does not look for NaN. `prepare` reports the norm, and the caller decides.

Source: Keras 3, `keras/src/optimizers/{base_optimizer,sgd,rmsprop,adam}.py`.
"""

from __future__ import annotations

from minilstm.errors import one_of, wording
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
    "SGD",
    "Adam",
    "AdamW",
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "Optimizer",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "RMSprop",
    "Update",
]

_OPTIMIZERS: dict[str, type[SGD] | type[RMSprop] | type[Adam]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
}


def get(identifier: object) -> Optimizer:
    """A new optimizer of that name with its defaults, or the optimizer itself; upper and lower case are one.

    Raises ValueError, with the known names, for anything else. Source: `keras.optimizers.get`.

    >>> get("Adam").learning_rate
    0.001
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if not isinstance(identifier, str):
        raise ValueError(
            wording("optimizer", f"one of {', '.join(_OPTIMIZERS)} or an Optimizer", repr(identifier))
        )
    return _OPTIMIZERS[one_of("optimizer", identifier.lower(), _OPTIMIZERS)]()
