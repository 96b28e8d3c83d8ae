"""Arrays out of the bytes of an .npz or .npy file that is not trusted: every size is checked first.

What an archive claims is compared with what it holds before memory is taken. Nothing is unpickled, and
nothing is written to the disk, whatever the members are called. What this file is not: it does not read
models (`saving` does).
"""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from typing import IO

import numpy as np
from numpy.lib import format as npy

from minilstm.foundations.arrays import Array

__all__ = ["read_npy", "read_npz"]

MOST = 200  # times the size of the file that its arrays may take; deflate alone could reach 1,032
SMALL = 2**24  # bytes that any file may take
HEADER = 10_000  # bytes of a member's header
ENCRYPTED = 0x1
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_npz(data: bytes) -> dict[str, Array]:
    """The arrays of an .npz file, by name; members that are no .npy files are not among them.

    Raises ValueError for an archive that is damaged, encrypted or compressed by an unusual method, that
    claims more than it holds or takes more than 200 times its size, and for pickled data.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            names = [info.filename for info in members]
            if len(set(names)) < len(names):
                raise ValueError("two of its arrays have the same name")
            limit = max(SMALL, MOST * len(data))
            found = {}
            for info in members:
                array = _member(archive, info, limit)
                limit -= array.nbytes
                found[info.filename.removesuffix(".npy")] = array
            return found
    except ValueError:
        raise
    except Exception as error:  # zipfile has half a dozen types for damaged archives
        raise ValueError(f"cannot be read as .npz: {error}") from None


def read_npy(data: bytes) -> Array:
    """The array of an .npy file; ValueError as for `read_npz`.

    >>> buffer = io.BytesIO()
    >>> np.save(buffer, np.arange(3))
    >>> read_npy(buffer.getvalue())
    array([0, 1, 2])
    """
    return _array(io.BytesIO(data), "the array", len(data), max(SMALL, len(data)))


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> Array:
    name = f"{info.filename.removesuffix('.npy')!r:.60}"
    if info.flag_bits & ENCRYPTED:
        raise ValueError(f"{name} is encrypted")
    if info.compress_type not in METHODS:
        raise ValueError(f"{name} is compressed by method {info.compress_type}; only deflate is read")
    with archive.open(info) as file:
        return _array(file, name, info.file_size, limit)


def _array(file: IO[bytes], name: str, size: int, limit: int) -> Array:
    """The array in `file`, which is said to have `size` bytes; of at most `limit` bytes."""
    try:
        version = npy.read_magic(file)
        if version == (1, 0):
            read = npy.read_array_header_1_0
        elif version == (2, 0):
            read = npy.read_array_header_2_0
        else:
            raise ValueError(f"version {version} of .npy is not read")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that an old Python 2 wrote
            shape, fortran, dtype = read(file, max_header_size=HEADER)
        start = file.tell()
    except Exception as error:  # a header is a literal of Python, and may be anything
        raise ValueError(f"{name} is no array: {' '.join(str(error).split())[:200]}") from None
    if dtype.hasobject:
        raise ValueError(
            f"{name} holds Python objects, which are not read without pickle: pad its rows, or "
            "put one after another, and give lengths; save texts as array.astype(str)"
        )
    if dtype.kind not in "biufcUS" or dtype.itemsize == 0:
        raise ValueError(f"{name} has dtype {dtype!s:.40}: numbers or texts are read")
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes > limit or min(shape, default=0) < 0:
        raise ValueError(
            f"{name} takes {nbytes} bytes, more than {MOST} times the file's size: not read. "
            "If that is meant, save it without compression"
        )
    if nbytes != size - start:
        raise ValueError(f"{name} claims {nbytes} bytes and has {size - start}")
    content = file.read(nbytes)
    if len(content) != nbytes or file.read(1):
        raise ValueError(f"{name} claims {nbytes} bytes and has {len(content)}")
    array = np.frombuffer(bytearray(content), dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)
