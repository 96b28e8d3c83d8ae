"""The files of Keras 3, written without Keras: .keras, and .weights.h5 with weights alone. They need h5py.

What is minilstm's own, and changes nothing in what a model computes (checkpoints, truncation, backends), is
left out, and so are initializers, the optimizer's state, history and randomness: `.npz` and `.safetensors`
hold those. What this file is not: `interop` reads such files.

Source: `keras/src/saving/saving_lib.py` for the places in the file.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minilstm import metrics
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import shown, wording
from minilstm.layers import LSTM, RNN, Bidirectional, Layer, Recurrent
from minilstm.layers.base import Shape
from minilstm.layers.wrappers import Wrapper, inside
from minilstm.network.network import Network, checked_built
from minilstm.regularizers import L1L2
from minilstm.saving.objects import is_users

SUFFIX, WEIGHTS_SUFFIX = ".keras", ".weights.h5"
Config = dict[str, Any]
OWN = (  # arguments that Keras does not have; `refused` looks at those that change what is computed
    "backend",
    "checkpoint_records",
    "checkpoint_slots",
    "checkpoint_steps",
    "forget_gate",
    "input_shape",
    "peepholes",
    "truncate_from",
    "truncate_steps",
)


def packed(model: Network) -> bytes:
    """The bytes of a .keras file with `model`; ValueError for what Keras does not have, before any work."""
    shape = list(checked_built(model).input_shape)
    for layer in inside(model.layers):
        if is_users(layer):
            expected = "of one of minilstm's own classes, to be saved"
            raise ValueError(wording(f"layer {layer.label!r}", expected, type(layer).__name__))
    first = _object("layers", "InputLayer", {"batch_shape": shape, "dtype": "float32", "name": "input_layer"})
    rows = [first, *map(_layer, model.layers)]
    config = {"name": model.name, "dtype": model.dtype.name, "layers": rows, "build_input_shape": shape}
    whole = _object("", "Sequential", config) | {"build_config": {"input_shape": shape}}
    if (compiled := _compiled(model)) is not None:
        whole["compile_config"] = compiled
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_STORED) as archive:
        members: dict[str, str | bytes] = {
            "metadata.json": json.dumps({"keras_version": "3.0.0", "date_saved": ""}),
            "config.json": json.dumps(whole),
            "model.weights.h5": weights(model.layers),
        }
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # the same bytes at any time
    return found.getvalue()


def refused(layers: Sequence[Layer]) -> None:
    """ValueError where a layer computes what no layer of Keras does."""
    for layer in inside(layers):
        if isinstance(layer, RNN):
            raise ValueError(
                wording(f"layer {layer.label!r}", "of a cell that Keras has too", layer.cell.name)
            )
        if isinstance(layer, LSTM) and (layer.peepholes or layer.forget_gate != "learned"):
            expected = "a cell that Keras has too (without peepholes, with a learned forget gate)"
            raise ValueError(wording(f"layer {layer.label!r}", expected, layer.config()))


def places(layers: Sequence[Layer], shapes: Sequence[Shape]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Where the file keeps each array, and its shape. Layers are counted by class: names do not matter."""
    taken: dict[str, int] = {}
    for layer, input_shape in zip(layers, shapes, strict=True):
        name = layer.default_name()
        taken[name] = taken.get(name, -1) + 1
        groups = list(_groups(layer, f"layers/{name}" + (f"_{taken[name]}" if taken[name] else "")))
        wanted = list(layer.weight_shapes(input_shape).values())
        each = len(wanted) // len(groups) if groups else 0
        for k, group in enumerate(groups):
            for number, shape in enumerate(wanted[k * each : (k + 1) * each]):
                yield f"{group}/{number}", shape


def _groups(layer: Layer, place: str) -> Iterator[str]:
    """Where the file keeps the arrays of a layer that stands at `place`."""
    if isinstance(layer, Recurrent):
        yield f"{place}/cell/vars"
    elif isinstance(layer, Bidirectional):
        yield f"{place}/forward_layer/cell/vars"
        yield f"{place}/backward_layer/cell/vars"
    elif isinstance(layer, Wrapper):
        yield from _groups(layer.sublayers[0], f"{place}/layer")
    elif layer.initializers:
        yield f"{place}/vars"


def weights(layers: Sequence[Layer]) -> bytes:
    """The bytes of an HDF5 file with the weights of `layers`, which have been built."""
    try:
        import h5py
    except ImportError:
        raise ImportError("files of Keras need h5py: pip install 'minilstm[keras]'") from None
    arrays: list[Array] = [value for layer in layers for value in layer.params.values()]
    found = io.BytesIO()
    with h5py.File(found, "w") as file:
        spots = places(layers, [layer.input_shape or () for layer in layers])
        for (place, shape), value in zip(spots, arrays, strict=True):
            assert value.shape == shape
            file.create_dataset(place, data=np.ascontiguousarray(value))
    return found.getvalue()


def _object(module: str, name: str, config: Config) -> Config:
    place = f"keras.{module}".rstrip(".")
    return {"module": place, "class_name": name, "config": config, "registered_name": None}


def _layer(layer: Layer) -> Config:
    config: Config = {"name": layer.label, "trainable": layer.trainable, "dtype": layer.dtype.name}
    for key, value in layer.config().items():
        if key.endswith("_regularizer") and value is not None:
            config[key] = _penalty(layer, key)
        elif isinstance(value, Layer):
            config[key] = _layer(value)
        elif key not in OWN and not key.endswith("_initializer") and key not in config:
            config[key] = list(value) if isinstance(value, tuple) else value
    if isinstance(layer, Bidirectional):
        config["backward_layer"] = _layer(layer.backward_layer)
    return _object("layers", type(layer).__name__, config)


def _holds_code(metric: metrics.Metric) -> bool:
    """Whether a metric is of a class or a function of the user's, which no file can hold."""
    return is_users(metric) or any(map(callable, metric.get_config().values()))


def _penalty(layer: Layer, argument: str) -> Config:
    prefix = argument.removesuffix("_regularizer")
    found = layer.regularizers["recurrent_kernel" if prefix == "recurrent" else prefix]
    if type(found) is not L1L2:
        expected = "one of minilstm.regularizers, for a .keras file"
        raise ValueError(wording(f"{argument} of layer {layer.label!r}", expected, shown(found)))
    return _object("regularizers", "L1L2", dict(found.get_config()))


def _compiled(model: Network) -> Config | None:
    """What Keras compiles the model with; None where it was not compiled, or with what is the user's own."""
    optimizer, loss = model.optimizer, model.loss
    rate = None if optimizer is None else optimizer.schedule
    if optimizer is None or loss is None or any(map(is_users, filter(None, (optimizer, loss, rate)))):
        return None
    config = optimizer.config() | {"name": optimizer.name}
    if rate is not None:
        schedule = rate.get_config()
        if schedule.get("name", "") is None:  # Keras's own default is a text, and it trains with no other
            del schedule["name"]
        config["learning_rate"] = _object("optimizers.schedules", type(rate).__name__, schedule)
    found: Config = {"optimizer": _object("optimizers", type(optimizer).__name__, config)}
    found["loss"] = _object("losses", type(loss).__name__, loss.get_config())
    for key, weighted in (("metrics", False), ("weighted_metrics", True)):
        chosen = [one for one in model.metrics if isinstance(one, metrics.Weighted) is weighted]
        plain = [one.metric if isinstance(one, metrics.Weighted) else one for one in chosen]
        if any(not isinstance(one, str) and _holds_code(one) for one in plain):
            return None
        found[key] = [
            one if isinstance(one, str) else _object("metrics", type(one).__name__, one.get_config())
            for one in plain
        ] or None
    return found
