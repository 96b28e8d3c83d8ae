"""`load_model`: the model in a file, of minilstm or of Keras; what the file holds decides, not its name."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any

from minilstm import losses, metrics, optimizers, saving
from minilstm.cells import UserCell
from minilstm.foundations.errors import spelled, switch, wording
from minilstm.interop.keras import of_file
from minilstm.model import Sequential
from minilstm.saving.container import read_file
from minilstm.saving.keras_file import KerasFile, is_keras


@spelled
def load_model(
    path: str | os.PathLike[str], *, cells: Mapping[str, UserCell] | None = None, compile: bool = True
) -> Sequential:
    """The model that `Sequential.save` or Keras 3 wrote to `path`.

    Of an .npz or .safetensors training goes on with the same bits. A .keras file holds layers, weights, and
    what the model was compiled with: the optimizer begins anew, and what is not here is told in a warning.

    cells : cells made by `minilstm.cell` that the model uses, as {"name": cell}; a file holds their names and
    no code. ValueError where one is missing, or has other gates, states or rows of p than the saved one.
    compile : False leaves the model without optimizer, loss and metrics

    Raises WeightsFileError, with the path and the reason, for anything that is not such a file, whole and
    unchanged: damaged, truncated, foreign, of a newer format. A file can make this run no code, and take no
    more memory than its own size and some megabytes. Raises OSError where the file cannot be read.

    >>> import os, tempfile
    >>> import numpy as np, minilstm as ml
    >>> model = ml.Sequential([ml.LSTM(4, input_shape=(None, 2)), ml.Dense(1)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(os.path.join(folder, "model.npz"))
    ...     again = ml.load_model(os.path.join(folder, "model.npz"))
    >>> x = np.ones((3, 5, 2))
    >>> bool((again.predict(x) == model.predict(x)).all())
    True
    """
    return loaded(path, cells, switch("compile", compile), "cells")


def loaded(
    path: str | os.PathLike[str], cells: Mapping[str, UserCell] | None, compile: bool, named: str
) -> Sequential:
    """What `load_model` does; `named` is what its caller calls the cells."""
    data = read_file(path)
    if is_keras(data):
        if cells:
            expected = "None for a file of Keras, whose layers are those of minilstm"
            raise ValueError(wording(named, expected, sorted(cells)))
        with KerasFile(path, data) as file:
            found, said = of_file(file), file.compiled()
        if compile:
            _compile(found, said)
        return found
    found = Sequential()
    saving.restore(found, path, data, cells)
    if not compile:
        found.optimizer, found.loss, found.metrics = None, None, ()
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
        warnings.warn(text, stacklevel=5)  # the caller of `load_model`, behind `spelled`


def _named(said: Any) -> Any:
    """A description of an object; of a function, which Keras describes too, its name."""
    if isinstance(said, Mapping) and said.get("class_name") == "function":
        return said.get("config")
    return said
