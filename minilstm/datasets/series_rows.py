"""Rows of a table that are the steps of one series or several, which is to be forecast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from minilstm.datasets.bad_rows import BadRows
from minilstm.datasets.columns import (
    Names,
    as_number,
    booleans_as_numbers,
    check_named,
    check_no_comma,
    check_some_numbers,
    check_written_alike,
    doubtful_points,
    pick,
    some,
    to_number,
    unused,
)
from minilstm.datasets.csv_file import Cells, cells_of, mostly_numbers
from minilstm.datasets.grouped import in_order
from minilstm.datasets.identifiers import measured, named_as_labels
from minilstm.datasets.spelling import doubtful_names


def series_of(
    columns: list[str], rows: list[list[str]], places: list[str], target: str, names: Names
) -> tuple[list[np.ndarray[Any, Any]], list[str], str]:
    """Series whose rows are steps, the names of their columns, and what was taken for what."""
    cells = cells_of(columns, rows, names)
    columns = list(cells)
    pick("target", target, (), columns)
    group, bad = pick("group", names["group"], (), columns), BadRows(names["bad_rows"])
    named = [column for column in columns if column == target or column in (names["features"] or ())]
    remarks = booleans_as_numbers(cells, named)
    others = [column for column in columns if column != group]
    rest, more = measured(others, cells, names, timed=True, target=target)
    remarks += more
    members: dict[str, list[int]] = {}
    for k, key in enumerate(cells[group] if group else ["one"] * len(places)):
        if not key.strip():
            raise ValueError(f"{places[k]} does not say which series it belongs to (column {group!r})")
        members.setdefault(key.strip(), []).append(k)
    check_written_alike(f"column {group!r}", members)
    order, ordered = in_order(cells, list(members.values()), rest, places, names)
    numbers = [column for column in rest if column != order and mostly_numbers(cells[column])]
    if names["features"] is None:
        remarks += _no_numbers(cells, [column for column in rest if column not in (target, order, *numbers)])
    used = names["features"] or numbers
    check_named([*used, target], rest)
    used = [target, *(column for column in used if column != target)]
    for column in used:
        check_some_numbers(column, cells[column], "target" if column == target else "features")
    table = np.full((len(places), len(used)), np.nan)  # (rows, D)
    for k, (place, *values) in enumerate(zip(places, *(cells[name] for name in used), strict=True)):
        row = bad.read(k, partial(_finite, values, used, place))
        table[k] = np.nan if row is None else row
    left_out = bad.settle("rows")
    said = f"series of {some(used)}{f' grouped by {group!r}' if group else ''}, {ordered}"
    left = unused(columns, [*used, *filter(None, [group, order])])
    if group:
        remarks += doubtful_names(f"column {group!r}", members)
    if names["features"] is None:
        remarks += named_as_labels([column for column in used if column != target])
    remarks += doubtful_points(used, cells)
    said = ", ".join(filter(None, [said + left + remarks, left_out]))
    return [table[own] for own in members.values()], used, said


def _no_numbers(cells: Cells, columns: Sequence[str]) -> str:
    """A remark on columns that are no inputs; ValueError where their numbers are only written otherwise."""
    remarks = ""
    for column in columns:
        check_no_comma(column, cells[column])
        odd = next(value for value in cells[column] if value.strip() and as_number(value) is None)
        remarks += f", note: most rows of column {column!r} hold no number, but such as {odd.strip()[:40]!r}"
    return remarks


def _finite(values: Sequence[str], names: Sequence[str], place: str) -> list[float]:
    row = [to_number(value, name, place) for value, name in zip(values, names, strict=True)]
    for number, name in zip(row, names, strict=True):
        if not math.isfinite(number):
            raise ValueError(f"{place}, column {name!r}: expected a finite number, got {number}")
    return row
