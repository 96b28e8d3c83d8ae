"""Save a model whole, and load it again: architecture, weights, optimizer, randomness, history.

    describe   model -> a JSON document and named arrays           (objects, container)
    save       the same into a file, atomically                    (files)
    restore    its bytes -> a model that goes on with the same bits

What this file is not: `interop` reads and writes the files of other libraries.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from minilstm.cells import UserCell
from minilstm.foundations import files
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import WeightsFileError, shown, wording
from minilstm.layers import RNN
from minilstm.layers.wrappers import inside
from minilstm.network.network import Network, checked_built
from minilstm.network.progress import FitState
from minilstm.network.states import layer_states
from minilstm.saving import keras_file, keras_format
from minilstm.saving.container import SUFFIXES, DamagedError, Document, pack, read_file, unpack
from minilstm.saving.objects import encode
from minilstm.saving.reading import Saved, fitting
from minilstm.saving.states import flatten

__all__ = ["load_weights", "restore", "resume", "save", "save_weights"]

Path_ = str | os.PathLike[str]


def save(model: Network, path: Path_) -> None:
    """Write `model` to `path`, an .npz, a .safetensors or a .keras; see `Sequential.save`."""
    suffix = checked_suffix(path, (*SUFFIXES, keras_format.SUFFIX))
    if not model.layers:
        raise ValueError(wording("model", "with at least one layer, to be saved", "none"))
    _check_finite(model)
    if suffix == keras_format.SUFFIX:
        keras_format.refused(model.layers)
        files.write_bytes(path, keras_format.packed(model))
        return
    files.write_bytes(path, pack(suffix, *describe(model)))


def save_weights(model: Network, path: Path_) -> None:
    """Write the weights of `model` alone; see `Sequential.save_weights`."""
    _check_finite(model)
    if files.checked_path("path", path).endswith(keras_format.WEIGHTS_SUFFIX):
        keras_format.refused(model.layers)
        files.write_bytes(path, keras_format.weights(checked_built(model).layers))
        return
    suffix = checked_suffix(path, SUFFIXES, (*SUFFIXES, keras_format.WEIGHTS_SUFFIX))
    files.write_bytes(path, pack(suffix, {"weights_only": True}, _weights(checked_built(model))))


def _check_finite(model: Network) -> None:
    """ValueError where weights are not finite: no reader takes such a file, which may replace a good one."""
    for name, value in model.named_weights.items():
        if not np.isfinite(value).all():
            raise ValueError(wording(f"weights {name!r}", "finite, to be saved", "NaN or Inf"))


def load_weights(model: Network, path: Path_) -> None:
    """Put the weights of a file into `model`; see `Sequential.load_weights`."""
    checked_built(model)
    data = read_file(path)
    if keras_file.is_keras(data):
        keras_file.load_weights(model, path, data)
        return
    try:
        arrays = unpack(data)[1]
        found = {name: array for name, array in arrays.items() if name.startswith("layers/")}
        expected = {name: value.shape for name, value in _weights(model).items()}
        for name in sorted(found.keys() ^ expected.keys()):
            raise DamagedError(f"only {'the file' if name in found else 'the model'} has {name!r}")
        for name, shape in expected.items():
            if found[name].shape != shape:
                raise DamagedError(f"its {name!r} has shape {found[name].shape}, the model's {shape}")
            if not np.isfinite(found[name]).all():
                raise DamagedError(f"its {name!r} holds NaN or Inf")
    except DamagedError as error:
        raise WeightsFileError(os.fspath(path), str(error)) from None
    for name, value in _weights(model).items():
        value[...] = found[name]


def resume(model: Network, path: Path_, samples: int | None) -> None:
    """Bring `model`, its optimizer, and the fit in `model.progress` to where the file stands.

    Raises WeightsFileError where the file is damaged, of another model, optimizer or set of callbacks, or of
    a fit over another number of samples.
    """
    try:
        Saved(*unpack(read_file(path)), cells_of(model)).resume(model, describe(model)[0], samples)
    except DamagedError as error:
        raise WeightsFileError(os.fspath(path), str(error)) from None


def restore(model: Network, path: Path_, data: bytes, cells: Mapping[str, UserCell] | None) -> None:
    """Make `model` the one in `data`, of `cells` of the user's; it stays as it was where that raises.

    Raises WeightsFileError, which names `path`, for what is not a model of minilstm, whole and unchanged.
    """
    whole = cells is None or isinstance(cells, Mapping)
    if not whole or not all(isinstance(cell, UserCell) for cell in (cells or {}).values()):
        raise TypeError(wording("cells", "a dict of cells made by minilstm.cell, by name", shown(cells)))
    try:
        found = Saved(*unpack(data), cells)
    except DamagedError as error:
        raise WeightsFileError(os.fspath(path), str(error)) from None
    found.into(model)


def cells_of(model: Network) -> dict[str, UserCell]:
    """The user's cells in a model, by name."""
    return {layer.cell.name: layer.cell for layer in inside(model.layers) if isinstance(layer, RNN)}


def checked_suffix(path: Path_, known: Sequence[str] = SUFFIXES, named: Sequence[str] | None = None) -> str:
    """The suffix of `path`; ValueError, which names `named`, where it is none of those that are `known`."""
    suffix = Path(files.checked_path("path", path)).suffix
    if suffix not in known:
        ends = " or ".join(named or known)
        raise ValueError(wording("path", f"a name that ends in {ends}", repr(os.fspath(path))))
    return suffix


# ------------------------------------------------------------------------------------------ model -> document


def describe(model: Network) -> tuple[Document, dict[str, Array]]:
    """The document and the arrays of a file that holds `model`."""
    content: Document = {
        "name": model.name,
        "dtype": model.dtype.name,
        "built": model.built,
        "layers": [encode("layers", layer) for layer in model.layers],
        "random": {
            "entropy": encode("seed", model.seeds.entropy),
            "spawn_key": list(model.seeds.spawn_key),
            "children": model.seeds.n_children_spawned,
            "shuffle": model.shuffle.bit_generator.state,
            "steps_taken": model.steps_taken,
        },
        "compiled": None,
        "states": None,
        "progress": None,
    }
    arrays = _weights(model)
    content["states"] = [flatten("state", state, arrays) for state in layer_states(model.layers)]
    if model.optimizer is not None:
        model.optimizer.follow(model.trainable_params)
        content["compiled"] = {
            "optimizer": encode("optimizer", model.optimizer),
            "iterations": model.optimizer.iterations,
            "loss": encode("loss", model.loss),
            "metrics": encode("metrics", model.metrics),
        }
        arrays |= {f"optimizer/{name}": slot for name, slot in model.optimizer.slots.items()}
    if model.progress is not None:
        content["progress"] = _describe_progress(model, model.progress, arrays) | {
            "stopped": model.stop_training
        }
    return content, arrays


def _weights(model: Network) -> dict[str, Array]:
    """The weights themselves, under their names in a file."""
    return {
        f"layers/{k}/{name}": value
        for k, layer in enumerate(model.layers)
        for name, value in layer.params.items()
    }


def _describe_progress(model: Network, progress: FitState, arrays: dict[str, Array]) -> Document:
    """The document of a fit, whose arrays are added to `arrays`."""
    history, means = progress.history, progress.means
    # those of an epoch that is not over, if the model was not compiled with other metrics since
    sums = fitting(means.sums, model.metrics) if progress.batch else {}
    arrays |= {
        f"history/{k}": np.array(values, np.float64)
        for k, values in enumerate([history.epoch, *history.history.values()])
    }
    text = "\0".join(history.nonfinite).encode()  # an array too: a long run may have skipped many batches
    arrays["history/nonfinite"] = np.array(list(text), np.float64)
    arrays["progress/means"] = np.array([means.loss, means.samples, means.step_loss, means.steps], np.float64)
    if progress.order is not None:
        arrays["progress/order"] = progress.order.astype(np.float64)
    parts = {name: part.get_state() for name, part in progress.parts.items()}
    return {
        "epoch": progress.epoch,
        "batch": progress.batch,
        "sums": flatten("sums", sums, arrays),
        "ordered": progress.order is not None,
        "history": list(history.history),
        "params": history.params,
        "parts": {name: flatten(f"the state of {name}", state, arrays) for name, state in parts.items()},
    }
