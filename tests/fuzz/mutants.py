"""Mutants of files: bytes that are flipped, cut, doubled and put elsewhere; JSON whose parts become others.

All is drawn from one generator, so that a seed gives the same mutant again.
"""

from __future__ import annotations

import copy
import io
import json
import struct
import zipfile
from typing import Any

import numpy as np

NUMBERS = (
    0,
    1,
    2,
    3,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    2**63 - 1,
    2**64 - 1,
)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 5000, 2**31, 2**63, 10**40, 0.5, -1.0, 1e308, float("nan"), float("inf"),
    "", "x", "LSTM", "a/b", "../x", "\ud800", "\x00", [], {}, [[]], [None], {"class_name": "Dense"},
    "9" * 5000,
)  # fmt: skip
TOKENS = (  # a lone surrogate, marks of byte orders and of direction, ends of lines and of files, odd numbers
    b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", "\u202e".encode(), b"\r", b"\n", b"\x00", b"\x1a", b'"',
    b",", b"\t", b"nan", b"1e999", b"-0", b"9" * 400, "\u0663".encode(), b"?", b":", b"{",
)  # fmt: skip
KEYS = ("", "units", "config", "class_name", "layer", "name", "shape", "seed", "length", "new")


def of_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """`data` with one to four changes."""
    found = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        if not found:
            return bytes(rng.integers(0, 256, 20, dtype=np.uint8))
        place, size = int(rng.integers(len(found))), int(rng.integers(1, 9))
        match rng.integers(8):
            case 0:
                found[place] ^= 1 << int(rng.integers(8))
            case 1:
                found[place : place + size] = rng.integers(0, 256, size, dtype=np.uint8).tobytes()
            case 2:
                width = (1, 2, 4, 8)[rng.integers(4)]
                number = NUMBERS[rng.integers(len(NUMBERS))] % 256**width
                found[place : place + width] = number.to_bytes(width, "little")
            case 3:
                del found[place : place + (size if rng.integers(2) else size * 100)]
            case 4:
                found[place:place] = found[place : place + size * 10]
            case 5:
                other = int(rng.integers(len(found)))
                found[place : place + size * 4] = found[other : other + size * 4]
            case 6:
                if rng.integers(8) == 0:
                    del found[place:]
            case 7:
                found[place : place + size * int(rng.integers(2))] = TOKENS[rng.integers(len(TOKENS))]
    return bytes(found)


def of_json(value: Any, rng: np.random.Generator) -> Any:
    """`value` with one to three of its parts gone, of another type, elsewhere, or nested deeply."""
    found = {"": copy.deepcopy(value)}
    for _ in range(rng.integers(1, 4)):
        places = list(_places(found))
        holder, key = places[rng.integers(len(places))]
        match rng.integers(6):
            case 0 if holder is not found:
                del holder[key]
            case 1:
                other, place = places[rng.integers(len(places))]
                holder[key] = copy.deepcopy(other[place])
            case 2 if isinstance(holder, dict) and holder is not found:
                holder[KEYS[rng.integers(len(KEYS))]] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
            case 3 if rng.integers(10) == 0:
                for _ in range(int(rng.integers(1, 60))):
                    holder[key] = [holder[key]] if rng.integers(2) else {"layer": holder[key]}
            case _:
                holder[key] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
    return found[""]


def of_safetensors(data: bytes, rng: np.random.Generator) -> bytes:
    """A .safetensors of which the header is changed, with its right length; or the bytes after it are."""
    size = int.from_bytes(data[:8], "little")
    header, rest = data[8 : 8 + size], data[8 + size :]
    if rng.integers(4):
        header = json.dumps(of_json(json.loads(header), rng)).encode()
    else:
        rest = of_bytes(rest, rng)
    return len(header).to_bytes(8, "little") + header + rest


def _places(value: Any) -> Any:
    """Every (container, key) in it."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key])


def of_zip(data: bytes, rng: np.random.Generator) -> bytes:
    """A zip of which one member is changed, with the right checksum; or whose names or flags are."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = list(members)[rng.integers(len(members))]
    if name.endswith(".json"):
        text = members[name]
        changed = of_json(json.loads(text), rng) if rng.integers(4) else None
        members[name] = of_bytes(text, rng) if changed is None else json.dumps(changed).encode()
        if rng.integers(50) == 0:
            members[name] = b'{"a":' * 10**5
    else:
        members[name] = of_bytes(members[name], rng)
    if rng.integers(10) == 0:
        members[f"../{name}"] = members.pop(name)
    buffer = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if rng.integers(10) == 0 else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    found = bytearray(buffer.getvalue())
    if rng.integers(10) == 0:  # the member's flags (encrypted), its method or its size, as the directory says
        entry = found.rfind(b"PK\x01\x02")
        place, width, number = ((8, "<H", 1), (10, "<H", 99), (24, "<I", 2**31))[rng.integers(3)]
        struct.pack_into(width, found, entry + place, number)
    return bytes(found)
