"""Keras's names, so that a script needs only other imports.

    from tensorflow.keras.layers import LSTM      becomes      from minilstm.keras.layers import LSTM
    import tensorflow as tf                       becomes      import minilstm as tf

Each folder of Keras is here by its name: activations, callbacks, datasets, initializers, layers, losses,
metrics, models, optimizers (and schedules), preprocessing.sequence, regularizers, utils; and for short
Sequential, LSTM, GRU, SimpleRNN, Bidirectional, TimeDistributed, Embedding, Masking, Dense, Dropout,
GlobalAveragePooling1D and pad_sequences themselves. A name that is not here says what to use in its place.
Everything is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from minilstm.keras import scope

_FLAT = (
    "GRU", "LSTM", "Bidirectional", "Dense", "Dropout", "Embedding", "GlobalAveragePooling1D", "Masking",
    "Sequential", "SimpleRNN", "TimeDistributed", "pad_sequences",
)  # fmt: skip
_CALLED = {"Input": "layers", "Layer": "layers", "Loss": "losses", "Metric": "metrics"}
_CALLED |= {"Optimizer": "optimizers"}
_MODULES = sorted({name.partition(".")[0] for name in scope.HOMES})

__all__ = _MODULES  # help() prints every class that stands here; dir() lists all names


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"minilstm.keras.{name}")
    if name in _FLAT:
        return getattr(import_module("minilstm"), name)
    return scope.find(_CALLED.get(name, "models"), name)


def __dir__() -> list[str]:
    return sorted([*_FLAT, *_MODULES])
