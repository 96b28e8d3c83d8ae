"""The file of a stream: the states of its recurrent layers, and which weights they belong to."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping

from minilstm.foundations import files
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import WeightsFileError
from minilstm.network.network import Network
from minilstm.saving import checked_suffix
from minilstm.saving.container import DamagedError, Document, pack, read_file, unpack

Path = str | os.PathLike[str]


def weights_digest(network: Network) -> str:
    """Of the kinds of the layers and all their weights: a state means something with these alone."""
    found = hashlib.blake2b(digest_size=16)
    for layer in network.layers:
        found.update(type(layer).__name__.encode())
        for key, value in layer.params.items():
            found.update(f"{key}{value.shape}{value.dtype}".encode() + value.tobytes())
    return found.hexdigest()


def save_stream(path: Path, digest: str, batch: int, arrays: Mapping[str, Array]) -> None:
    """Write the states of a stream to `path`, an .npz or a .safetensors."""
    content: Document = {"stream": {"batch": batch, "weights": digest}}
    files.write_bytes(path, pack(checked_suffix(path), content, arrays))


def load_stream(path: Path, digest: str, batch: int, expected: Mapping[str, Array]) -> dict[str, Array]:
    """Copies of the states in a file of `save_stream`, of the shapes and dtypes of `expected`.

    WeightsFileError where the file is damaged, or of another model, other weights or another batch.
    """
    try:
        content, arrays = unpack(read_file(path))
        match content.get("stream"):
            case {"batch": int(size), "weights": str(weights)}:
                pass
            case _:
                raise DamagedError("it holds no stream")
        if weights != digest:
            raise DamagedError("it is of a stream of another model, or of other weights of this one")
        if size != batch:
            raise DamagedError(f"it holds {size} streams, and this one has {batch}")
        if {n: (a.shape, a.dtype) for n, a in arrays.items()} != {
            n: (a.shape, a.dtype) for n, a in expected.items()
        }:
            raise DamagedError("its states are not those of such a model")
    except DamagedError as error:
        raise WeightsFileError(os.fspath(path), str(error)) from None
    return {name: array.copy() for name, array in arrays.items()}
