"""The same model in Keras and here, with the same weights; and random cases to train both on."""

from __future__ import annotations

from typing import Any

import numpy as np

import minilstm as ml
from minilstm.network.network import build

Layers = list[tuple[str, tuple[Any, ...], dict[str, Any]]]


def keras_weights(model) -> list[np.ndarray]:
    return [variable.value.detach().numpy().copy() for variable in model.weights]


def pair(keras, layers: Layers, shape: tuple[int | None, ...], seed: int = 7, **compiled):
    """Keras's model and ours from the same layers; an optimizer is (class, options).

    Keras's own weights are drawn from `seed`: Adam magnifies the rounding of a gradient that is near 0.
    """
    keras.utils.set_random_seed(seed)
    theirs = keras.Sequential(
        [keras.Input(shape)] + [getattr(keras.layers, layer)(*args, **kw) for layer, args, kw in layers]
    )
    ours = ml.Sequential([getattr(ml, layer)(*args, **kw) for layer, args, kw in layers])
    kind, options = compiled.pop("optimizer", ("Adam", {"learning_rate": 0.01}))
    theirs.compile(optimizer=getattr(keras.optimizers, kind)(**_for(keras, options)), **compiled)
    ours.compile(optimizer=getattr(ml, kind)(**_for(ml, options)), **compiled)
    build(ours, shape)
    ours.set_weights(keras_weights(theirs))
    return theirs, ours


def _for(library, options: dict[str, Any]) -> dict[str, Any]:
    """Options with a learning-rate schedule, given as (class, options), made by that library."""
    rate = options.get("learning_rate")
    if not isinstance(rate, tuple):
        return options
    home = library if library is ml else library.optimizers.schedules
    return options | {"learning_rate": getattr(home, rate[0])(**rate[1])}
