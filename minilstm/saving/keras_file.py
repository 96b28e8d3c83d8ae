"""The files of Keras 3, read without Keras: .keras (a zip with a config and an HDF5 file) and .weights.h5.

A file is not trusted. Its arrays are looked up by the places that a model says, and their shapes, types and
sizes are compared before any number is read or any memory taken: together they are no larger than the file.
Whatever is wrong with it is a WeightsFileError. HDF5 itself is parsed by h5py's C library.

Source: `keras/src/saving/saving_lib.py` for the places in the file.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import WeightsFileError, wording
from minilstm.layers import Layer
from minilstm.layers.base import Shape
from minilstm.network.network import Network, checked_built
from minilstm.saving.container import DOCUMENT, read_file
from minilstm.saving.keras_format import places

METADATA_LIMIT = 2**21  # bytes of config.json; a layer takes about 1,500
HDF5, ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"
LEGACY = ("model_config", "layer_names", "layer_names0")  # of .h5 as before Keras 3: model, weights alone
REASON_LIMIT = 300  # characters of what a file may make an error say


def is_keras(data: bytes) -> bool:
    """Whether these bytes, which may be damaged, are a file of Keras and not of minilstm."""
    own = data[30 : 30 + len(DOCUMENT)] == DOCUMENT.encode()  # the first name in the zip
    return data.startswith(HDF5) or (data.startswith(ZIP) and not own and b"config.json" in data)


class KerasFile:
    """An open .keras or .weights.h5 file, of `data` where it is read; any error is a WeightsFileError."""

    def __init__(self, path: str | os.PathLike[str], data: bytes | None = None) -> None:
        try:
            import h5py
        except ImportError:
            raise ImportError("reading files of Keras needs h5py: pip install 'minilstm[keras]'") from None
        self.h5py, self.data = h5py, read_file(path) if data is None else data
        self.path = os.fspath(path)

    def __enter__(self) -> KerasFile:
        whole = not self.data.startswith(HDF5)
        self.stored = self._member("model.weights.h5") if whole else self.data
        try:
            self.file = self.h5py.File(io.BytesIO(self.stored), "r")
            legacy = any(name in self.file.attrs for name in LEGACY)
        except Exception as error:  # h5py has a type for each of many ways to be damaged
            raise self._refused(f"its weights are not HDF5: {error}") from None
        if legacy:
            way = "save it again from Keras, as .keras or .weights.h5"
            raise self._refused(f"it is an .h5 file as before Keras 3, which is not read; {way}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.file.close()
        except Exception as damage:  # only a damaged file fails to close
            error = error or damage
        if isinstance(error, Exception) and not isinstance(error, WeightsFileError):
            raise self._refused(str(error) or type(error).__name__) from None

    def _refused(self, reason: str) -> WeightsFileError:
        short = reason if len(reason) <= REASON_LIMIT else reason[: REASON_LIMIT - 3] + "..."
        return WeightsFileError(self.path, short)

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
            raise self._refused(f"it is not a file of Keras, .keras or .weights.h5: {error}") from None

    def config(self) -> Mapping[str, Any]:
        """What config.json says of the Sequential that is in the file."""
        if self.data.startswith(HDF5):
            raise self._refused("it holds weights alone: make the model, and load_weights of it reads them")
        found = self._described()
        name = found.get("class_name")
        if name is None:
            raise self._refused("its config.json cannot be read: it names no class")
        if name != "Sequential":
            raise self._refused(f"it holds a {name!r:.40}, not a Sequential")
        config = found.get("config")
        if not isinstance(config, dict):
            raise self._refused("its config.json cannot be read: it describes no model")
        return config

    def compiled(self) -> Mapping[str, Any]:
        """What config.json says the model was compiled with; nothing where it was not."""
        found = self._described().get("compile_config")
        return found if isinstance(found, dict) else {}

    def _described(self) -> Mapping[str, Any]:
        """What stands in config.json; nothing where that is no object."""
        text = self._member("config.json")
        if len(text) > METADATA_LIMIT:
            raise self._refused(f"its config.json has {len(text)} bytes, more than {METADATA_LIMIT}")
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self._refused(f"its config.json cannot be read: {error}") from None
        return found if isinstance(found, dict) else {}

    def weights(self, layers: Sequence[Layer], shapes: Sequence[Shape]) -> list[Array]:
        """The arrays of `layers`, whose inputs have `shapes`, in Keras's order."""
        found = [(place, self._dataset(place, shape)) for place, shape in places(layers, shapes)]
        size = sum(dataset.nbytes for _, dataset in found)
        if size > len(self.stored):
            raise self._refused(f"its arrays take {size} bytes, and it has {len(self.stored)}")
        return [self._numbers(place, dataset) for place, dataset in found]

    def _dataset(self, place: str, shape: tuple[int, ...]) -> Any:
        """The dataset at `place`, not yet read: in this very file, of this shape, of numbers."""
        found: Any = self.file
        for part in place.split("/"):
            link = found.get(part, getlink=True) if isinstance(found, self.h5py.Group) else None
            if not isinstance(link, self.h5py.HardLink):
                raise self._refused(f"it holds no {place!r}, which the model has")
            found = found[part]
        if not isinstance(found, self.h5py.Dataset) or found.is_virtual or found.external:
            raise self._refused(f"its {place!r} is no array of its own")
        if found.shape != shape or found.dtype.kind != "f":
            raise self._refused(
                f"its {place!r} has shape {found.shape} of {found.dtype}, the model's {shape}"
            )
        if found.id.get_storage_size() < found.nbytes:
            raise self._refused(f"its {place!r} is compressed or not there, which Keras does not do")
        return found

    def _numbers(self, place: str, dataset: Any) -> Array:
        found = np.asarray(dataset[()])
        if not np.isfinite(found).all():
            raise self._refused(f"its {place!r} holds NaN or Inf")
        return found


def load_weights(model: Network, path: str | os.PathLike[str], data: bytes | None = None) -> None:
    """Put the weights of a .weights.h5 or .keras file into `model`: see `interop.load_keras_weights`."""
    checked_built(model)
    with KerasFile(path, data) as file:
        found = file.weights(model.layers, [layer.input_shape or () for layer in model.layers])
        model.set_weights([in_dtype(f"weight {k}", w, model.dtype) for k, w in enumerate(found)])


def in_dtype(what: str, array: Array, dtype: np.dtype[Any]) -> Array:
    """A copy in the model's dtype; ValueError where a number is not finite in it."""
    with np.errstate(over="ignore"):
        found = np.asarray(array).astype(dtype)
    if not np.isfinite(found).all():
        raise ValueError(wording(what, f"finite in {dtype}", "NaN, Inf, or a number too large for it"))
    return found
