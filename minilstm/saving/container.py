"""A file of named arrays and one JSON document, in one of two layouts, both without pickle and without code.

    .npz           an uncompressed zip: minilstm.json, then one .npy member per array; `numpy.load` reads it
    .safetensors   the layout of that name: the document stands in the header's __metadata__

The document lists every array with its dtype and shape. Whoever knows the document therefore knows every
other byte of the file except the numbers themselves, and so reading is writing once more: `unpack` finds the
document, lays out the file again as `pack` does, and refuses a file that differs anywhere. There is no
tolerant parser that a damaged or hostile file could lead astray, and no memory is taken but that of the file
and of its document.

Source: PKWARE's APPNOTE.TXT 6.3.10, `numpy.lib.format`, and the safetensors format description.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np

from minilstm.foundations import files
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import WeightsFileError

__all__ = ["SUFFIXES", "DamagedError", "pack", "read_file", "unpack"]

Document = dict[str, Any]

SUFFIXES = (".npz", ".safetensors")
FORMAT, VERSION = "minilstm model", 2
READABLE = (1, 2)  # 1 held no states
DOCUMENT = "minilstm.json"
DOCUMENT_LIMIT = 2**18  # bytes; histories are arrays, so a document is some kilobytes
ARRAYS_LIMIT = 4096
HEADER_LIMIT = 2**20  # bytes of the safetensors header, which holds the document in quotes
DIGITS_LIMIT = 4300  # of a whole number, as in Python itself; seeds have 3,010 at most
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}(/[A-Za-z0-9_.-]{1,64}){0,7}")
DTYPES = {  # NumPy's name -> .npy's, safetensors'
    "float32": ("<f4", "F32"), "float64": ("<f8", "F64"), "int32": ("<i4", "I32"), "int64": ("<i8", "I64"),
    "uint8": ("|u1", "U8"), "uint32": ("<u4", "U32"), "uint64": ("<u8", "U64"),
}  # fmt: skip
ZIP_LIMIT = 2**32 - 1  # bytes and offsets; beyond it a zip needs extensions that we leave out


class DamagedError(ValueError):
    """The bytes are not such a file; the text is the reason."""


def pack(suffix: str, content: Document, arrays: Mapping[str, Array]) -> bytes:
    """The bytes of a file that holds `content` (plain JSON) and `arrays` (of DTYPES) in their order.

    Equal arguments give equal bytes. Raises ValueError where the layout cannot hold them.

    >>> file = pack(".npz", {"note": "two"}, {"a/b": np.ones(2, "float32")})
    >>> content, arrays = unpack(file)
    >>> content["note"], arrays["a/b"].tolist()
    ('two', [1.0, 1.0])
    """
    specs = [(name, array.dtype.name, array.shape) for name, array in arrays.items()]
    listed = [[name, dtype, list(shape)] for name, dtype, shape in specs]
    head = {"format": FORMAT, "version": VERSION}
    if len(listed) > ARRAYS_LIMIT:
        raise ValueError(f"the model has {len(listed)} arrays; a file holds {ARRAYS_LIMIT}")
    document = json.dumps(head | content | {"arrays": listed}, allow_nan=False).encode("ascii")
    if len(document) > DOCUMENT_LIMIT:
        raise ValueError(f"the description of the model takes {len(document)} bytes of {DOCUMENT_LIMIT}")
    views = {
        name: np.ascontiguousarray(array, DTYPES[array.dtype.name][0]).reshape(-1).view(np.uint8).data
        for name, array in arrays.items()
    }
    return b"".join(_LAYOUTS[suffix](document, specs, views))


def unpack(data: bytes) -> tuple[Document, dict[str, Array]]:
    """The content and the arrays (views of `data`) of a file that `pack` made; DamagedError otherwise."""
    if data[:4] == b"PK\x03\x04":
        suffix, document = ".npz", _document_of_npz(data)
    elif not data:
        raise DamagedError("it is empty")
    else:
        suffix, document = ".safetensors", _document_of_safetensors(data)
    content = strict_json(document)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DamagedError("it is not a model file of minilstm")
    version = content.get("version")
    if type(version) is not int or version not in READABLE:
        known = " and ".join(map(str, READABLE))
        raise DamagedError(f"it has format version {version!r:.40}; this minilstm reads {known}")
    specs = _checked_specs(content.get("arrays"))
    views = dict(_views(suffix, data, document, specs))
    position = 0
    for chunk in _LAYOUTS[suffix](document, specs, views):
        if chunk != data[position : position + len(chunk)]:
            raise DamagedError(f"its bytes from {position} on are not what its description says")
        position += len(chunk)
    if position != len(data):
        raise DamagedError(f"{len(data) - position} bytes follow its end")
    return content, {
        name: np.frombuffer(views[name], DTYPES[dtype][0]).reshape(shape) for name, dtype, shape in specs
    }


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file: a device or a pipe might never end."""
    try:
        return files.read_bytes(path)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise WeightsFileError(os.fspath(path), "it is not a regular file") from None
        raise


# ------------------------------------------------------------------------------------------ the two layouts

Spec = tuple[str, str, tuple[int, ...]]  # name, dtype, shape


def _npz(document: bytes, specs: list[Spec], views: Mapping[str, memoryview]) -> Iterator[bytes | memoryview]:
    """The chunks of a zip with stored members: headers, contents, the central directory, the end record."""
    members: list[tuple[str, bytes, bytes | memoryview]] = [(DOCUMENT, b"", document)]
    members += [(f"{name}.npy", _npy_header(dtype, shape), views[name]) for name, dtype, shape in specs]
    directory, offset = [], 0
    for name, header, body in members:
        crc, size, encoded = (
            zlib.crc32(body, zlib.crc32(header)),
            len(header) + len(body),
            name.encode("ascii"),
        )
        if offset + size > ZIP_LIMIT:
            raise ValueError("an .npz holds less than 4 GB; save as .safetensors")
        common = struct.pack("<5H3I2H", 20, 0, 0, 0, 0x21, crc, size, size, len(encoded), 0)
        yield b"PK\x03\x04" + common + encoded + header
        yield body
        tail = struct.pack("<3H2I", 0, 0, 0, 0o644 << 16, offset)
        directory.append(b"PK\x01\x02" + struct.pack("<H", 0x314) + common + tail + encoded)
        offset += 30 + len(encoded) + size
    central = b"".join(directory)
    yield central
    yield b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, len(members), len(members), len(central), offset, 0)


def _npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """The head of a .npy file, version 1.0: a Python literal, filled up to a multiple of 64 bytes."""
    text = f"{{'descr': '{DTYPES[dtype][0]}', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(10 + len(text) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode("ascii")


def _safetensors(
    document: bytes, specs: list[Spec], views: Mapping[str, memoryview]
) -> Iterator[bytes | memoryview]:
    """The chunks of a safetensors file: the header's length, the header, the numbers."""
    digest = hashlib.sha256(document)  # the layout itself has no checksum
    for name, _, _ in specs:
        digest.update(views[name])
    metadata = {"format": "np", "minilstm": document.decode("ascii"), "sha256": digest.hexdigest()}
    header: Document = {"__metadata__": metadata}
    ends = [0]
    for name, dtype, shape in specs:
        ends.append(ends[-1] + len(views[name]))
        header[name] = {"dtype": DTYPES[dtype][1], "shape": list(shape), "data_offsets": ends[-2:]}
    text = json.dumps(header)
    text += " " * (-len(text) % 8)
    if len(text) > HEADER_LIMIT:
        raise ValueError(f"the description of the model takes {len(text)} bytes of {HEADER_LIMIT}")
    yield struct.pack("<Q", len(text)) + text.encode("ascii")
    for name, _, _ in specs:
        yield views[name]


_LAYOUTS = {".npz": _npz, ".safetensors": _safetensors}


def _document_of_npz(data: bytes) -> bytes:
    start = 30 + len(DOCUMENT)
    if len(data) < start:
        raise DamagedError("it ends inside its first header")
    size = int.from_bytes(data[22:26], "little")
    if size > min(DOCUMENT_LIMIT, len(data) - start):
        raise DamagedError(f"its description is said to take {size} bytes")
    return data[start : start + size]


def _document_of_safetensors(data: bytes) -> bytes:
    size = int.from_bytes(data[:8], "little")
    if size > min(HEADER_LIMIT, len(data) - 8):
        raise DamagedError("it is neither an .npz nor a .safetensors of minilstm")
    header = strict_json(data[8 : 8 + size])
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    document = metadata.get("minilstm") if isinstance(metadata, dict) else None
    if not isinstance(document, str) or not document.isascii():
        raise DamagedError(
            "it is a .safetensors that minilstm did not write; interop.from_torch_state_dict takes its arrays"
        )
    return document.encode("ascii")


def _views(suffix: str, data: bytes, document: bytes, specs: list[Spec]) -> Iterator[tuple[str, memoryview]]:
    """Where the numbers of each array stand, by the sizes that the document gives."""
    sizes = [math.prod(shape) * np.dtype(dtype).itemsize for _, dtype, shape in specs]
    heads = [0] * len(specs)
    if suffix == ".npz":
        start = 30 + len(DOCUMENT) + len(document)
        heads = [30 + len(f"{name}.npy") + len(_npy_header(dtype, shape)) for name, dtype, shape in specs]
    else:
        start = 8 + int.from_bytes(data[:8], "little")
    if start + sum(sizes) + sum(heads) > len(data):
        raise DamagedError(
            f"it says it holds {sum(sizes)} bytes of numbers, and has {len(data)} bytes in all"
        )
    whole = memoryview(data)
    for (name, _, _), head, size in zip(specs, heads, sizes, strict=True):
        yield name, whole[start + head : start + head + size]
        start += head + size


def _checked_specs(listed: Any) -> list[Spec]:
    """The document's list of arrays, each name once, dtypes known, shapes of whole numbers."""
    if not isinstance(listed, list) or len(listed) > ARRAYS_LIMIT:
        raise DamagedError("it has no list of arrays, or one that is too long")
    specs: list[Spec] = []
    for entry in listed:
        match entry:
            case [str(name), str(dtype), list(shape)] if NAME.fullmatch(name) and dtype in DTYPES:
                whole = all(type(size) is int and 0 <= size < 2**48 for size in shape)
                if whole and len(shape) <= 8:
                    specs.append((name, dtype, tuple(shape)))
                    continue
        raise DamagedError(f"an array is described as {entry!r:.80}")
    for first, second in pairwise(sorted(name for name, _, _ in specs)):
        if first == second:
            raise DamagedError(f"it holds {first!r} twice")
    return specs


# ------------------------------------------------------------------------------------------ strict JSON


def strict_json(text: bytes) -> Any:
    """What `text` says in strict JSON: no NaN, no key twice, no huge number, no depth without end.

    >>> strict_json(b'{"a": 1, "a": 2}')
    Traceback (most recent call last):
    minilstm.saving.container.DamagedError: its description has the key 'a' twice
    """
    try:
        return json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_no_key_twice,
            parse_constant=_no_constant,
            parse_int=_short_int,
        )
    except RecursionError:
        raise DamagedError("its description is nested too deeply") from None
    except UnicodeDecodeError:
        raise DamagedError("its description is not text") from None
    except json.JSONDecodeError as error:
        raise DamagedError(f"its description is not JSON: {error}") from None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> Document:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = sorted(key for key, _ in pairs)
        twice = next(first for first, second in pairwise(keys) if first == second)
        raise DamagedError(f"its description has the key {twice!r:.40} twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise DamagedError(f"its description holds {name}, which is not JSON")


def _short_int(digits: str) -> int:
    if len(digits) > DIGITS_LIMIT:
        raise DamagedError(f"its description holds a number of {len(digits)} digits")
    return int(digits)
