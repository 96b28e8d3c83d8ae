"""Save a model whole, and load it again: architecture, weights, optimizer, randomness, history.

    describe   model -> a JSON document and named arrays           (objects, container)
    save       the same into a file, atomically                    (files)
    restore    a file -> a model that goes on with the same bits

What this file is not: `interop` reads and writes the files of other libraries.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minilstm import files
from minilstm.errors import WeightsFileError, wording
from minilstm.layers.base import Array
from minilstm.saving.container import SUFFIXES, DamagedError, Document, pack, unpack
from minilstm.saving.objects import encode
from minilstm.saving.reading import Saved

if TYPE_CHECKING:
    from minilstm.model import Sequential

__all__ = ["restore", "save"]

Path_ = str | os.PathLike[str]


def save(model: Sequential, path: Path_) -> None:
    """Write `model` to `path`, an .npz or a .safetensors; see `Sequential.save`."""
    suffix = _checked_suffix(path)
    if not model.layers:
        raise ValueError(wording("model", "with at least one layer, to be saved", "none"))
    files.write_bytes(path, pack(suffix, *describe(model)))


def restore(model: Sequential, path: Path_) -> None:
    """Make `model` the one that `path` holds; it stays as it was where that raises.

    Raises WeightsFileError for a file that is not a model of minilstm, whole and unchanged; OSError where it
    cannot be read.
    """
    data = _read(path)
    try:
        found = Saved(*unpack(data))
    except DamagedError as error:
        raise WeightsFileError(os.fspath(path), str(error)) from None
    found.into(model)


def _checked_suffix(path: Path_) -> str:
    suffix = Path(path).suffix
    if suffix not in SUFFIXES:
        raise ValueError(
            wording("path", f"a name that ends in {' or '.join(SUFFIXES)}", repr(os.fspath(path)))
        )
    return suffix


def _read(path: Path_) -> bytes:
    """The bytes of a regular file: a device or a pipe might never end."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        raise WeightsFileError(os.fspath(path), "it is not a regular file")
    return Path(path).read_bytes()


# ------------------------------------------------------------------------------------------ model -> document


def describe(model: Sequential) -> tuple[Document, dict[str, Array]]:
    """The document and the arrays of a file that holds `model`."""
    content: Document = {
        "name": model.name,
        "dtype": model.dtype.name,
        "built": model.built,
        "layers": [encode("layers", layer) for layer in model.layers],
        "random": {
            "entropy": encode("seed", model._seeds.entropy),
            "spawn_key": list(model._seeds.spawn_key),
            "children": model._seeds.n_children_spawned,
            "shuffle": model._shuffle.bit_generator.state,
            "steps_taken": model.steps_taken,
        },
        "compiled": None,
        "history": None,
    }
    arrays = {
        f"layers/{k}/{name}": value
        for k, layer in enumerate(model.layers)
        for name, value in layer.params.items()
    }
    if model.optimizer is not None:
        content["compiled"] = {
            "optimizer": encode("optimizer", model.optimizer),
            "iterations": model.optimizer.iterations,
            "loss": encode("loss", model.loss),
            "metrics": encode("metrics", model.metrics),
        }
        arrays |= {f"optimizer/{name}": slot for name, slot in model.optimizer.slots.items()}
    if model.history is not None:
        content["history"] = {"names": list(model.history.history), "params": model.history.params}
        arrays |= {
            f"history/{k}": np.array(values, np.float64)
            for k, values in enumerate([model.history.epoch, *model.history.history.values()])
        }
    return content, arrays
