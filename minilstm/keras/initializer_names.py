"""Keras's names of the initializers, and its `get`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minilstm import initializers
from minilstm.foundations.errors import described, one_of
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
IdentityInitializer, OrthogonalInitializer = Identity, Orthogonal
constant, ones, zeros, variance_scaling = Constant, Ones, Zeros, VarianceScaling

__all__ = [
    "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "IdentityInitializer",
    "LecunNormal", "LecunUniform", "Ones", "Orthogonal", "OrthogonalInitializer", "RandomNormal",
    "RandomUniform", "TruncatedNormal", "VarianceScaling", "Zeros", "constant", "deserialize", "get",
    "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "identity", "lecun_normal",
    "lecun_uniform", "ones", "orthogonal", "random_normal", "random_uniform", "serialize",
    "truncated_normal", "variance_scaling", "zeros",
]  # fmt: skip


def get(identifier: Any) -> Any:
    """The initializer of that name, class or description; one itself. Source: `keras.initializers.get`.

    >>> get("glorot_uniform")
    GlorotUniform()
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        return deserialize(identifier)
    return initializers.get("identifier", identifier)


def serialize(initializer: Any) -> dict[str, Any]:
    """What `deserialize` makes the same initializer of. Source: `keras.initializers.serialize`.

    >>> serialize(RandomNormal(stddev=0.1))["config"]["stddev"]
    0.1
    """
    return {"class_name": type(initializer).__name__, "config": initializer.get_config()}


def deserialize(config: Mapping[str, Any]) -> Any:
    """The initializer that `serialize` describes. Source: `keras.initializers.deserialize`."""
    known = {name: value for name, value in globals().items() if isinstance(value, type) and name in __all__}
    name, arguments = described("initializer", config)
    return known[one_of("class_name", name, known)](**arguments)
