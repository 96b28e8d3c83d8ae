"""Keras's names of the initializers, and its `get`."""

from __future__ import annotations

from typing import Any

from minilstm import initializers
from minilstm.initializers import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Identity,
    LecunNormal,
    LecunUniform,
    Ones,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
)

glorot_normal, glorot_uniform, he_normal, he_uniform = GlorotNormal, GlorotUniform, HeNormal, HeUniform
lecun_normal, lecun_uniform, orthogonal, identity = LecunNormal, LecunUniform, Orthogonal, Identity
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
constant, ones, zeros, variance_scaling = Constant, Ones, Zeros, VarianceScaling

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "constant",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]


def get(identifier: Any) -> Any:
    """The initializer of that name, class or description; one itself. Source: `keras.initializers.get`.

    >>> get("glorot_uniform")
    GlorotUniform()
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        known = {name: value for name, value in vars(initializers).items() if isinstance(value, type)}
        return known[identifier["class_name"]](**identifier.get("config", {}))
    return initializers.get("identifier", identifier)
