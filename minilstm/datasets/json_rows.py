"""Rows that are objects, each with a sequence: the lines of a .jsonl, or a table with a column of lists."""

from __future__ import annotations

import io
import json
from functools import partial
from typing import Any

from minilstm.datasets.bad_rows import BadRows
from minilstm.datasets.columns import (
    SERIES,
    TEXTS,
    Found,
    Names,
    by_of,
    kept,
    label_of,
    not_utf8,
    pick,
    some,
    unused,
)

OF_TABLES = ("group", "order", "decimal")  # options of files whose rows are cells


def read_jsonl(data: bytes, names: Names) -> Found:
    bad = BadRows(names["bad_rows"])
    rows: dict[int, dict[str, Any]] = {}
    try:
        lines = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="\n")
        for number, line in enumerate(lines, 1):
            if line.strip() and (row := bad.read(number, partial(_object, line, number))) is not None:
                rows[number] = row
    except UnicodeDecodeError:
        raise not_utf8(data) from None
    if not rows:
        bad.settle("lines")
    return as_objects(rows, "line", names, bad)


def as_objects(rows: dict[int, dict[str, Any]], place: str, names: Names, bad: BadRows) -> Found:
    """What these rows hold, of which each has a sequence; `place` is what a row is called."""
    for option in OF_TABLES:
        if names[option] not in (None, "point"):
            raise ValueError(
                f"{option} must be left out where each row has a sequence, got {names[option]!r}"
            )
    columns = kept(dict.fromkeys(key for row in rows.values() for key in row), names)
    label = label_of(names["label"], columns)
    by = by_of(names, columns)
    rest = [column for column in columns if column not in (label, by)]
    given = names["text"] or (names["features"] or [None])[0]
    column = pick("text" if names["text"] else "features", given, (*TEXTS, *SERIES), rest)
    if column is None:
        raise ValueError(f"name the sequences with --text or --features; it has {some(rest)}")
    for number, row in rows.items():
        for key in (label, column, *([by] if by else [])):
            if row.get(key) is None or (key != column and not str(row[key]).strip()):
                bad.add(number, f"{place} {number} has no {key!r}")
        if not isinstance(row.get(label), (str, int, float)):
            got = f"{row.get(label)!r:.40}"
            bad.add(number, f"{place} {number}: expected a text or a number as {label!r}, got {got}")
    left_out = bad.settle(f"{place}s")
    good = {number: row for number, row in rows.items() if number not in bad.errors}
    said = f"sequences from {column!r}, labels from {label!r}{unused(rest, [column])}"
    said = ", ".join(filter(None, [said, left_out]))
    x, y = ([row[key] for row in good.values()] for key in (column, label))
    groups = None if by is None else [row[by] for row in good.values()]
    return Found(x, y, [f"{place} {number}" for number in good], said, by=groups)


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"line {number} is not valid JSON: {error}") from None
    if not isinstance(row, dict):
        raise ValueError(f"line {number}: expected an object, got {line[:40]!r}")
    return row


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these keys and values; ValueError for a key that stands twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found
