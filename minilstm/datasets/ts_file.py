"""A .ts file, as the UCR and UEA archives have them: a sequence and its label in each line.

After a header of lines that begin with @ or #, and @data, each line has the features of a sequence, separated
by colons, their steps by commas, and the label at its end. aeon's reader is not used: it asks for an older
Numba, makes small letters of labels' capitals, and drops the sign of numbers with time stamps.
"""

from __future__ import annotations

import io
from functools import partial
from typing import Any

import numpy as np

from minilstm.datasets.bad_rows import BadRows
from minilstm.datasets.columns import Found, Names, not_utf8, some, to_number
from minilstm.foundations.arrays import Array

MISSING = ("?", "nan", "NaN")


def read_ts(data: bytes, names: Names) -> Found:
    """Sequences (L, D), their labels and places; ValueError that names the line."""
    for option in ("text", "label", "features", "by", "padding"):
        if names[option] is not None:
            raise ValueError(f"{option} must be left out for a .ts, got {names[option]!r}")
    try:
        lines = list(enumerate(io.StringIO(data.decode("utf-8-sig")), 1))
    except UnicodeDecodeError:
        raise not_utf8(data) from None
    head = [line.split() for _, line in lines if line.startswith("@")]
    tags = {words[0].lower(): words[1:] for words in head}
    start = next((n for n, line in lines if line.strip().lower() == "@data"), None)
    if start is None:
        raise ValueError("has no line @data")
    if _says(tags, "@timestamps"):
        raise ValueError("has time stamps (@timestamps true), which are not read; write the numbers alone")
    classes = set(tags.get("@classlabel", ["false"])[1:]) if _says(tags, "@classlabel") else None
    if classes is None and not _says(tags, "@targetlabel"):
        raise ValueError("has no labels: neither @classLabel true nor @targetlabel true stands in its header")
    bad, x, y, places = BadRows(names["bad_rows"]), [], [], []
    for number, line in lines[start:]:
        if not line.strip() or line.startswith("#"):
            continue
        found = bad.read(number, partial(_case, line, f"line {number}", classes))
        if found is not None:
            x.append(found[0])
            y.append(found[1])
            places.append(f"line {number}")
    left_out = bad.settle("lines")
    said = f"a sequence and its {'label' if classes else 'target'} in each line"
    said += _contradictions(tags, x, classes, y)
    return Found(x, y, places, said + (f", {left_out}" if left_out else ""))


def _contradictions(
    tags: dict[str, list[str]], x: list[Array], classes: set[str] | None, y: list[Any]
) -> str:
    """Remarks on what the header says and the lines do not; "" for none."""
    remarks = ""
    features, lengths = {one.shape[1] for one in x}, {len(one) for one in x}
    if _says(tags, "@univariate") and features - {1}:
        remarks += f", note: its header says @univariate true, a line has {max(features)} features"
    if _says(tags, "@equallength") and len(lengths) > 1:
        remarks += (
            f", note: its header says @equalLength true, lines have {min(lengths)} to {max(lengths)} steps"
        )
    announced = tags.get("@serieslength", [""])[0]
    if announced.isdecimal() and lengths and lengths != {int(announced[:18])}:
        remarks += f", note: its header says @seriesLength {announced[:18]}, a line has {min(lengths)} steps"
    if x and (never := sorted((classes or set()) - set(y))):
        remarks += f", note: no line has {some(never)}, which @classLabel names"
    return remarks


def _says(tags: dict[str, list[str]], tag: str) -> bool:
    return [word.lower() for word in tags.get(tag, [])[:1]] == ["true"]


def _case(line: str, place: str, classes: set[str] | None) -> tuple[Array, Any]:
    """A sequence (L, D) and its label."""
    *features, label = (part.strip() for part in line.split(":"))
    if not features:
        raise ValueError(f"{place} has no colon, and so no label")
    if classes is not None and label not in classes:
        raise ValueError(f"{place} has the label {label[:40]!r}, which @classLabel does not name")
    columns = [
        [np.nan if value.strip() in MISSING else to_number(value, "", place) for value in part.split(",")]
        for part in features
    ]
    if len({len(column) for column in columns}) > 1:
        lengths = ", ".join(str(len(column)) for column in columns)
        raise ValueError(f"{place} has features of different lengths ({lengths})")
    return np.array(columns).T, label if classes is not None else to_number(label, "target", place)
