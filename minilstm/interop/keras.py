"""Models and weights of Keras 3: from a model in memory, or from its files without Keras.

Kernels, recurrent kernels, biases and their blocks of gates are Keras's own here, so nothing is reordered.
What is described is compared with the arrays that are there before a model is made of both, so nothing is
ever of a size that a description merely claims. `saving.keras_file` reads the files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minilstm import layers
from minilstm.foundations.arrays import Array, numeric_array
from minilstm.foundations.errors import by_name, listed, shown, wording
from minilstm.layers import Layer
from minilstm.layers.base import Shape
from minilstm.model import Sequential
from minilstm.regularizers import L1L2
from minilstm.saving import keras_file
from minilstm.saving.keras_file import KerasFile, in_dtype
from minilstm.saving.keras_format import refused

__all__ = ["from_keras", "load_keras_weights", "to_keras"]

Config = Mapping[str, Any]
Kind = TypeVar("Kind")

KNOWN = (
    "Activation", "Bidirectional", "Dense", "Dropout", "Embedding", "Flatten", "GRU",
    "GlobalAveragePooling1D", "LSTM", "LayerNormalization", "Masking", "RepeatVector", "SimpleRNN",
    "TimeDistributed",
)  # fmt: skip
WITHOUT_EFFECT = (
    "dtype",
    "name",
    "seed",
    "unroll",
    "implementation",
)  # on what is computed here
NEUTRAL = (None, False, 0, "channels_last")  # values of an argument that this package does not have
LAYERS_LIMIT = 1000
NESTING_LIMIT = 16  # a layer in a layer in a layer


def to_keras(model: Sequential | Layer) -> list[Array]:
    """Copies of all weights in Keras's order and shapes, for `set_weights` of the same model in Keras.

    Raises ValueError for a layer that Keras does not have: an LSTM with peepholes or without a learned forget
    gate, or an RNN.

    >>> import minilstm as ml
    >>> model = ml.Sequential([ml.GRU(4, input_shape=(None, 3))])
    >>> [array.shape for array in to_keras(model)]
    [(3, 12), (4, 12), (2, 12)]
    """
    if not isinstance(model, (Sequential, Layer)):
        raise TypeError(wording("model", "a Sequential or a layer", shown(model)))
    refused(model.layers if isinstance(model, Sequential) else [model])
    return model.get_weights()


def from_keras(source: Any, *, dtype: str = "float32") -> Sequential:
    """A model like the Keras `Sequential` in `source`, with its weights; not compiled.

    Parameters
    ----------
    source : a `keras.Sequential`, or the path of a .keras file (read without Keras; needs h5py)
    dtype : of the new model

    A frozen layer stays frozen. Initializers and the optimizer are left behind.

    Raises
    ------
    ValueError : a layer, or an argument of one, that this package does not have; the message names it
    WeightsFileError : the same of a file, a ValueError too; or it is damaged, no .keras file, or does not
        hold the weights of the model it describes
    """
    if isinstance(source, (str, os.PathLike)):
        with KerasFile(source) as file:
            return of_file(file, dtype)
    if not hasattr(source, "get_config") or not hasattr(source, "get_weights"):
        raise TypeError(wording("source", "a keras.Sequential or the path of a .keras file", shown(source)))
    arrays = listed("what get_weights() of the Keras model gives", "a list of arrays", source.get_weights())
    said = by_name("what get_config() of the Keras model gives", source.get_config())
    return _model(_architecture(said), arrays, dtype)


def of_file(file: KerasFile, dtype: str = "float32") -> Sequential:
    """The model that an open .keras file holds, not compiled."""
    found = _architecture(file.config())
    return _model(found, file.weights(found.layers, found.shapes), dtype)


def load_keras_weights(model: Sequential, path: str | os.PathLike[str]) -> None:
    """Put the weights of a .weights.h5 or .keras file into `model`, whose layers are those of the file.

    Layers belong together by class and order, as in Keras: their names do not matter. Nothing is changed
    where something does not fit: WeightsFileError. Needs h5py (`pip install 'minilstm[keras]'`), not Keras.
    """
    keras_file.load_weights(model, path)


# ------------------------------------------------------------------------------------------ architecture


class Architecture(NamedTuple):
    """What a config describes: layers without weights, and the shape of each one's input."""

    name: str
    layers: list[Layer]
    shapes: list[Shape]


def _architecture(config: Config) -> Architecture:
    """What a Sequential's config describes; ValueError where that cannot be had here. Nothing is built."""
    entries = [entry for entry in _entry(config, "layers", list) if isinstance(entry, Mapping)]
    if not entries or any("inbound_nodes" in entry for entry in entries):
        raise ValueError(wording("source", "a keras.Sequential, layers in a row", config.get("name")))
    if len(entries) > LAYERS_LIMIT:
        raise ValueError(wording("source", f"a model of at most {LAYERS_LIMIT} layers", len(entries)))
    shape = None
    if entries[0].get("class_name") == "InputLayer":
        first, *entries = entries
        shape = _entry(first, "config", dict).get("batch_shape")
    elif entries[0].get("build_config"):
        shape = _entry(entries[0], "build_config", dict).get("input_shape")
    if shape is None:
        raise ValueError(
            wording("source", "a model that knows the shape of its input", "one that is not built")
        )
    if not entries:
        raise ValueError(wording("source", "a model with layers", "none"))
    if not isinstance(shape, (list, tuple)):
        raise ValueError(wording("the shape of the Keras model's input", "a list", shown(shape)))
    made = [_layer_of(entries[0], {"input_shape": tuple(shape[1:])}), *map(_layer_of, entries[1:])]
    shapes: list[Shape] = [made[0].input_shape or ()]
    for layer in made[:-1]:
        shapes.append(layer.output_shape(shapes[-1]))
    return Architecture(str(config.get("name", "sequential")), made, shapes)


def _model(found: Architecture, arrays: Sequence[Array], dtype: str) -> Sequential:
    """The model of these layers with these weights, which stand in Keras's order."""
    model = Sequential(dtype=dtype, seed=0, name=found.name)
    wanted = [layer.weight_shapes(shape) for layer, shape in zip(found.layers, found.shapes, strict=True)]
    count = sum(map(len, wanted))
    if len(arrays) != count:
        raise ValueError(wording("the weights of the Keras model", f"{count} arrays", len(arrays)))
    rest = iter(arrays)
    for layer, shape, weights in zip(found.layers, found.shapes, wanted, strict=True):
        params = {}
        for key, size in weights.items():
            given = next(rest)
            if isinstance(given, np.ndarray) and given.dtype.name == "bfloat16":  # of ml_dtypes
                given = given.astype(np.float32)
            array = numeric_array(f"{layer.label}/{key}", given)
            if array.shape != size:
                raise ValueError(wording(f"{layer.label}/{key}", f"of shape {size}", array.shape))
            params[key] = in_dtype(f"{layer.label}/{key}", array, model.dtype)
        layer.restore(shape, model.dtype, params)
        model.add(layer)
    return model


def _entry(said: Config, key: str, kind: type[Kind]) -> Kind:
    """`said[key]`, which is of this type; ValueError otherwise."""
    value = said.get(key)
    if not isinstance(value, kind):
        raise ValueError(
            wording(f"{key!r} in the config of a Keras model", f"a {kind.__name__}", shown(value))
        )
    return value


def _layer_of(entry: Config, more: Config | None = None, inside: str = "", depth: int = 0) -> Layer:
    """The layer that an entry of a config describes; ValueError where this package has none like it.

    more : further arguments;  inside : the class of the layer that it stands in
    """
    class_name, config = entry.get("class_name"), _entry(entry, "config", dict)
    cls = getattr(layers, class_name) if class_name in KNOWN else None
    if cls is None:
        raise ValueError(
            wording("a layer of the Keras model", f"one of {', '.join(KNOWN)}", f"{class_name!s:.40}")
        )
    if depth > NESTING_LIMIT:
        raise ValueError("the layers of the Keras model are nested too deeply")
    what = f"layer {config.get('name')!r:.40} of the Keras model"
    known = cls.argument_names()
    arguments: dict[str, Any] = {} if inside == "Bidirectional" else {"name": _entry(config, "name", str)}
    for key, value in config.items():
        if key in WITHOUT_EFFECT or key.endswith("_initializer"):
            continue
        if key == "trainable":
            arguments |= {} if value is True else {key: value}
            continue
        if class_name == "Bidirectional" and key == "backward_layer":
            _check_backward(config)
        elif inside == "Bidirectional" and key == "zero_output_for_mask":
            continue  # Bidirectional sets it, there and here
        elif key in known and key.endswith("_regularizer") and value is not None:
            arguments[key] = _regularizer_of(value)
        elif key == "layer":
            arguments[key] = _layer_of(_entry(config, key, dict), None, cls.__name__, depth + 1)
        elif key in known:
            arguments[key] = value
        elif value not in NEUTRAL:
            raise ValueError(wording(what, "without what minilstm does not have", f"{key}={value!r:.80}"))
    try:
        return cls(**arguments, **(more or {}))  # type: ignore[no-any-return]
    except (TypeError, ValueError, AttributeError, OverflowError) as error:  # whatever JSON holds
        raise ValueError(f"{what} cannot be made: {error}") from None


def _check_backward(config: Config) -> None:
    """ValueError where the backward layer is another than the forward layer turned round."""
    ahead, back = (
        {
            key: _unnumbered(value)
            for key, value in _entry(_entry(config, name, dict), "config", dict).items()
            if key not in WITHOUT_EFFECT and not key.endswith("_initializer")
        }
        for name in ("layer", "backward_layer")
    )
    if back | {"go_backwards": False} != ahead | {"go_backwards": False}:
        what = f"layer {config.get('name')!r:.40} of the Keras model"
        raise ValueError(wording(what, "the same layer in both directions", "different ones"))


def _unnumbered(value: Any) -> Any:
    """An argument without the number that an object has in the file, which no two share."""
    if isinstance(value, dict):
        return {key: part for key, part in value.items() if key != "shared_object_id"}
    return value


def _regularizer_of(value: Any) -> L1L2:
    if isinstance(value, Mapping) and value.get("class_name") in ("L1", "L2", "L1L2"):
        given = _entry(value, "config", dict)
        if given.keys() <= {"l1", "l2"}:
            return L1L2(**given)
    raise ValueError(wording("a regularizer of the Keras model", "L1, L2 or L1L2", shown(value)))
