"""`load_model` in Keras's words, which reads Keras's own files too."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minilstm import losses, metrics, model, optimizers
from minilstm.cells import UserCell
from minilstm.errors import spelled, wording
from minilstm.interop.keras import from_keras
from minilstm.interop.keras_file import KerasFile
from minilstm.model import Sequential

__all__ = ["load_model"]


@spelled
def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, UserCell] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Sequential:
    """The model in a file: .npz or .safetensors as `minilstm.load_model`, .keras as `interop.from_keras`.

    custom_objects : cells made by `minilstm.cell`, by name
    compile : whether the model is compiled as it was when it was saved. What a .keras file was compiled with
        and is not here is told in a warning; the optimizer begins anew there
    safe_mode : Keras's; no file is ever run

    Source: `keras.models.load_model`.
    """
    if Path(filepath).suffix not in (".keras", ".h5"):
        found = model.load_model(filepath, cells=custom_objects)
        if not compile:
            found.optimizer, found.loss, found.metrics = None, None, ()
        return found
    if custom_objects:
        expected = "None for a file of Keras, whose layers are those of minilstm"
        raise ValueError(wording("custom_objects", expected, sorted(custom_objects)))
    found = from_keras(filepath)
    if compile:
        with KerasFile(filepath) as file:
            said = file.compiled()
        _compile(found, said)
    return found


def _compile(found: Sequential, said: Mapping[str, Any]) -> None:
    """Compile as a file says, or warn and leave it."""
    if not said.get("optimizer"):
        return
    try:
        plain, weighted = (
            [metrics.get(_named(one)) if isinstance(one, Mapping) else one for one in said.get(key) or []]
            for key in ("metrics", "weighted_metrics")
        )
        loss = losses.get(_named(said.get("loss")))
        optimizer = optimizers.get(_named(said["optimizer"]))
        found.compile(optimizer, loss, plain, weighted_metrics=weighted)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        text = f"the model is not compiled, for what it was saved with is not here: {error}"
        warnings.warn(text, stacklevel=4)  # the caller of `load_model`, behind `spelled`


def _named(said: Any) -> Any:
    """A description of an object; of a function, which Keras describes too, its name."""
    if isinstance(said, Mapping) and said.get("class_name") == "function":
        return said.get("config")
    return said
