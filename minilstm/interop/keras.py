"""Models and weights of Keras 3: from a model in memory, or from its files without Keras.

Kernels, recurrent kernels, biases and their blocks of gates are Keras's own here, so nothing is reordered.
Files are parsed by h5py's C library; what is checked before any number is read is that each array is there,
in the file itself, with the shape that the model has.

Source: `keras/src/saving/saving_lib.py` for the places in the file.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minilstm import layers
from minilstm.errors import WeightsFileError, wording
from minilstm.layers import Layer, Recurrent
from minilstm.layers.base import Array
from minilstm.model import Sequential
from minilstm.regularizers import L1L2

__all__ = ["from_keras", "load_keras_weights", "to_keras"]

Config = Mapping[str, Any]

KNOWN = (
    "Bidirectional", "Dense", "Dropout", "Embedding", "GRU", "GlobalAveragePooling1D", "LSTM", "Masking",
    "SimpleRNN", "TimeDistributed",
)  # fmt: skip
WITHOUT_EFFECT = (
    "dtype",
    "name",
    "seed",
    "trainable",
    "unroll",
    "implementation",
)  # on what is computed here
NEUTRAL = (None, False, 0, "channels_last")  # values of an argument that this package does not have
METADATA_LIMIT = 2**24  # bytes of config.json


def to_keras(model: Sequential | Layer) -> list[Array]:
    """Copies of all weights in Keras's order and shapes, for `set_weights` of the same model in Keras.

    Raises ValueError for an LSTM that Keras does not have: with peepholes, or without a learned forget gate.

    >>> import minilstm as ml
    >>> model = ml.Sequential([ml.GRU(4, input_shape=(None, 3))])
    >>> [array.shape for array in to_keras(model)]
    [(3, 12), (4, 12), (2, 12)]
    """
    for layer in _flat(model.layers if isinstance(model, Sequential) else [model]):
        if getattr(layer, "peepholes", False) or getattr(layer, "forget_gate", "learned") != "learned":
            expected = "a cell that Keras has too (without peepholes, with a learned forget gate)"
            raise ValueError(wording(f"layer {layer.label!r}", expected, layer.config()))
    return model.get_weights()


def from_keras(source: Any, *, dtype: str = "float32") -> Sequential:
    """A model like the Keras `Sequential` in `source`, with its weights; not compiled.

    Parameters
    ----------
    source : a `keras.Sequential`, or the path of a .keras file (read without Keras; needs h5py)
    dtype : of the new model

    All layers learn, also those that Keras had frozen. Initializers and the optimizer are left behind.

    Raises
    ------
    ValueError : a layer, or an argument of one, that this package does not have; the message names it
    WeightsFileError : the file is no .keras file, or does not hold the weights of the model it describes
    """
    if isinstance(source, (str, os.PathLike)):
        with _KerasFile(source) as file:
            model = _model_of(file.config(), dtype)
            model.set_weights(file.weights(model))
            return model
    if not hasattr(source, "get_config") or not hasattr(source, "get_weights"):
        raise TypeError(wording("source", "a keras.Sequential or the path of a .keras file", repr(source)))
    model = _model_of(source.get_config(), dtype)
    model.set_weights(source.get_weights())
    return model


def load_keras_weights(model: Sequential, path: str | os.PathLike[str]) -> None:
    """Put the weights of a .weights.h5 or .keras file into `model`, whose layers are those of the file.

    Layers belong together by class and order, as in Keras: their names do not matter. Nothing is changed
    where something does not fit: WeightsFileError. Needs h5py (`pip install 'minilstm[keras]'`), not Keras.
    """
    if not model.built:
        raise RuntimeError("the model must be built first: give the first layer input_shape=(T, D)")
    with _KerasFile(path) as file:
        model.set_weights(file.weights(model))


# ------------------------------------------------------------------------------------------ architecture


def _flat(parts: Iterable[Layer]) -> Iterator[Layer]:
    """Each layer, and the layers inside it."""
    for layer in parts:
        yield layer
        yield from _flat(getattr(layer, "sublayers", ()))


def _model_of(config: Config, dtype: str) -> Sequential:
    """The built model that a Sequential's config describes, with weights that do not matter."""
    entries = [entry for entry in config.get("layers", ()) if isinstance(entry, Mapping)]
    if not entries or any("inbound_nodes" in entry for entry in entries):
        raise ValueError(wording("source", "a keras.Sequential, layers in a row", config.get("name")))
    shape = None
    if entries[0].get("class_name") == "InputLayer":
        first, *entries = entries
        shape = first["config"].get("batch_shape")
    elif entries[0].get("build_config"):
        shape = entries[0]["build_config"].get("input_shape")
    if shape is None:
        raise ValueError(
            wording("source", "a model that knows the shape of its input", "one that is not built")
        )
    if not entries:
        raise ValueError(wording("source", "a model with layers", "none"))
    made = [_layer_of(entry) for entry in entries]
    made[0].input_shape = tuple(shape[1:])
    return Sequential(made, dtype=dtype, seed=0, name=str(config.get("name", "sequential")))


def _layer_of(entry: Config, inner: bool = False) -> Layer:
    """The layer that an entry of a config describes; ValueError where this package has none like it."""
    class_name, config = entry["class_name"], entry["config"]
    cls = getattr(layers, class_name, None) if class_name in KNOWN else None
    if cls is None:
        raise ValueError(wording("a layer of the Keras model", f"one of {', '.join(KNOWN)}", class_name))
    known = cls.argument_names()
    arguments: dict[str, Any] = {} if inner else {"name": config.get("name")}
    for key, value in config.items():
        if key in WITHOUT_EFFECT or key.endswith("_initializer"):
            continue
        if class_name == "Bidirectional" and key == "backward_layer":
            _check_backward(config)
        elif inner and key == "zero_output_for_mask":
            continue  # Bidirectional sets it, there and here
        elif key in known and key.endswith("_regularizer") and value is not None:
            arguments[key] = _regularizer_of(value)
        elif key == "layer":
            arguments[key] = _layer_of(value, inner=class_name == "Bidirectional")
        elif key in known:
            arguments[key] = value
        elif value not in NEUTRAL:
            what = f"layer {config.get('name')!r} of the Keras model"
            raise ValueError(wording(what, "without what minilstm does not have", f"{key}={value!r:.80}"))
    return cls(**arguments)  # type: ignore[no-any-return]


def _check_backward(config: Config) -> None:
    """ValueError where the backward layer is another than the forward layer turned round."""
    ahead, back = (dict(config[key]["config"]) for key in ("layer", "backward_layer"))
    for one in (ahead, back):
        for key in [key for key in one if key in WITHOUT_EFFECT or key.endswith("_initializer")]:
            del one[key]
    if back | {"go_backwards": False} != ahead | {"go_backwards": False}:
        what = f"layer {config.get('name')!r} of the Keras model"
        raise ValueError(wording(what, "the same layer in both directions", "different ones"))


def _regularizer_of(value: Any) -> L1L2:
    if isinstance(value, Mapping) and value.get("class_name") in ("L1", "L2", "L1L2"):
        return L1L2(**value["config"])
    raise ValueError(wording("a regularizer of the Keras model", "L1, L2 or L1L2", f"{value!r:.80}"))


# ------------------------------------------------------------------------------------------ files


class _KerasFile:
    """An open .keras or .weights.h5 file; WeightsFileError where it is not what it should be."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            import h5py
        except ImportError:
            raise ImportError("reading files of Keras needs h5py: pip install 'minilstm[keras]'") from None
        self.h5py, self.path = h5py, os.fspath(path)
        if not self.path.endswith((".keras", ".h5")):
            raise ValueError(wording("path", "a name that ends in .keras or .weights.h5", repr(self.path)))
        self.data = Path(path).read_bytes()

    def __enter__(self) -> _KerasFile:
        stored = self._member("model.weights.h5") if self.path.endswith(".keras") else self.data
        try:
            self.file = self.h5py.File(io.BytesIO(stored), "r")
        except OSError as error:
            raise self._refused(f"its weights are not HDF5: {error}") from None
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def _refused(self, reason: str) -> WeightsFileError:
        return WeightsFileError(self.path, reason)

    def _member(self, name: str) -> bytes:
        """A member of the zip, which Keras never compresses: it cannot be larger than the file."""
        try:
            with zipfile.ZipFile(io.BytesIO(self.data)) as archive:
                info = archive.getinfo(name)
                if info.compress_type != zipfile.ZIP_STORED or info.file_size > len(self.data):
                    raise self._refused(f"its {name} is compressed, which Keras does not do")
                return archive.read(info)
        except WeightsFileError:
            raise
        except KeyError:
            raise self._refused(f"it holds no {name}") from None
        except Exception as error:  # zipfile raises half a dozen types for damaged archives
            raise self._refused(f"it is not a .keras file: {error}") from None

    def config(self) -> Config:
        text = self._member("config.json")
        try:
            if len(text) > METADATA_LIMIT:
                raise ValueError(f"it has {len(text)} bytes")
            found = json.loads(text)
            if found["class_name"] != "Sequential":
                raise self._refused(f"it holds a {found['class_name']!r:.40}, not a Sequential")
            return found["config"]  # type: ignore[no-any-return]
        except WeightsFileError:
            raise
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._refused(f"its config.json cannot be read: {error}") from None

    def weights(self, model: Sequential) -> list[Array]:
        """The arrays for all layers of `model`, in Keras's order."""
        try:
            return list(self._weights(model))
        except WeightsFileError:
            raise
        except Exception as error:  # whatever h5py finds in a damaged file
            raise self._refused(f"its weights cannot be read: {error}") from None

    def _weights(self, model: Sequential) -> Iterator[Array]:
        taken: dict[str, int] = {}
        for layer in model.layers:
            name = layer.default_name()
            taken[name] = taken.get(name, -1) + 1
            place = f"layers/{name}" + (f"_{taken[name]}" if taken[name] else "")
            shapes = list(layer.weight_shapes(layer.input_shape or ()).values())
            groups = list(_groups(layer, place))
            each = len(shapes) // len(groups) if groups else 0
            for k, group in enumerate(groups):
                for number, shape in enumerate(shapes[k * each : (k + 1) * each]):
                    yield self._array(f"{group}/{number}", shape)

    def _array(self, place: str, shape: tuple[int, ...]) -> Array:
        """The dataset at `place`: in this very file, of this shape, of numbers."""
        group = self.file
        for part in place.split("/"):
            link = group.get(part, getlink=True) if isinstance(group, self.h5py.Group) else None
            if not isinstance(link, self.h5py.HardLink):
                raise self._refused(f"it holds no {place!r}, which the model has")
            group = group[part]
        dataset = group
        if not isinstance(dataset, self.h5py.Dataset) or dataset.is_virtual or dataset.external:
            raise self._refused(f"its {place!r} is no array of its own")
        if dataset.shape != shape or dataset.dtype.kind != "f":
            got = f"{dataset.shape} of {dataset.dtype}"
            raise self._refused(f"its {place!r} has shape {got}, the model's {shape}")
        found = np.asarray(dataset[()])
        if not np.isfinite(found).all():
            raise self._refused(f"its {place!r} holds NaN or Inf")
        return found


def _groups(layer: Layer, place: str) -> Iterator[str]:
    """Where the file keeps the arrays of a layer that stands at `place`."""
    if isinstance(layer, Recurrent):
        yield f"{place}/cell/vars"
    elif type(layer).__name__ == "Bidirectional":
        yield f"{place}/forward_layer/cell/vars"
        yield f"{place}/backward_layer/cell/vars"
    elif hasattr(layer, "sublayers"):
        yield from _groups(layer.sublayers[0], f"{place}/layer")
    elif layer.params:
        yield f"{place}/vars"
