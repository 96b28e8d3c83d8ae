"""Rows of a table that are the steps of sequences: which belong together, and in which order they come.

The order is not taken for granted: a column tells it, or the caller says that the lines do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from minilstm.datasets.bad_rows import BadRows
from minilstm.datasets.columns import (
    TIMES,
    Found,
    Names,
    check_named,
    check_some_numbers,
    check_written_alike,
    doubtful_points,
    pick,
    some,
    to_number,
    unused,
)
from minilstm.datasets.identifiers import is_unnamed, named_as_labels, names_groups
from minilstm.datasets.spelling import doubtful_names
from minilstm.datasets.times import are_dates, as_times, compact_dates, counted, no_times, repeated, spacing
from minilstm.foundations.arrays import Array

LINES = "lines"  # what to say for the order of the lines
CHOICE = f"--order COLUMN sorts by a column, --order {LINES} keeps the order of the lines"

Cells = dict[str, list[str]]


def group_rows(
    cells: Cells,
    y: list[Any],
    label: str,
    rest: Sequence[str],
    places: list[str],
    names: Names,
    bad: BadRows,
    by: str | None = None,
) -> Found:
    """The rows with the same value of a column as one sequence, and what was taken for what.

    Raises ValueError for a group with several labels, and where nothing tells the order of the steps.
    """
    group = pick("group", names["group"], (), rest)
    assert group is not None
    members: dict[str, list[int]] = {}
    for k, key in enumerate(map(str.strip, cells[group])):
        if key:
            members.setdefault(key, []).append(k)
        else:
            bad.add(k, f"{places[k]} does not say which sequence it belongs to (column {group!r})")
    check_written_alike(f"column {group!r}", members)
    for key, own in members.items():
        if any(k in bad.errors for k in own):
            continue
        if any(y[k] != y[own[0]] for k in own) and not all(_is_nan(y[k]) for k in own):
            raise ValueError(f"sequence {key[:40]!r} has several labels; {places[own[0]]} and others")
        if by is not None and any(cells[by][k] != cells[by][own[0]] for k in own):
            raise ValueError(
                f"sequence {key[:40]!r} has several values of {by!r}, by which it should be split"
            )
    others = [column for column in rest if column != group]
    order, ordered = in_order(cells, list(members.values()), others, places, names, bad)
    features = names["features"] or [column for column in rest if column not in (group, order)]
    check_named(features, rest)
    for column in features:
        check_some_numbers(column, cells[column])
    x, kept = [], {}
    for key, own in members.items():
        faulty = next((k for k in own if k in bad.errors), None)
        series = (
            None if faulty is not None else bad.read(own[0], partial(_series, cells, features, own, places))
        )
        if series is not None:
            x.append(series)
            kept[key] = own
    left_out = bad.settle("rows")
    left_out += " with their sequences" if left_out else ""
    members = kept
    found = [y[own[0]] for own in members.values()]
    where = [f"sequence {key[:40]!r} ({places[min(own)]})" for key, own in members.items()]
    said = f"steps of {some(features)} grouped by {group!r}, {ordered}, labels from {label!r}"
    said += unused(rest, [group, *features, *([order] if order else [])]) + doubtful_names(
        f"column {group!r}", members
    )
    if names["features"] is None:
        said += "".join(names_groups(column, cells[column], list(members.values())) for column in features)
        said += named_as_labels(features)
    said += doubtful_points(features, cells)
    said = ", ".join(filter(None, [said, left_out]))
    parted = None if by is None else [cells[by][own[0]] for own in members.values()]
    return Found(x, found, where, said, features, parted)


def _series(cells: Cells, features: Sequence[str], own: Sequence[int], places: Sequence[str]) -> Array:
    return np.array([[to_number(cells[f][k], f, places[k]) for f in features] for k in own])


def in_order(
    cells: Cells,
    members: list[list[int]],
    rest: Sequence[str],
    places: Sequence[str],
    names: Names,
    bad: BadRows | None = None,
) -> tuple[str | None, str]:
    """Sort each group's rows in place; the column that told how, if one did, and a sentence on the order.

    A column with a usual name, or one of dates without a name, is believed where the lines agree with it;
    otherwise, and where there is none, the order is asked for, unless no group has two rows.
    """
    given = names["order"]
    if given == LINES and LINES not in rest:
        return None, "steps in the order of the lines, as was said"
    column = pick("order", given, TIMES, rest)
    if column is None:
        column = next((name for name in rest if is_unnamed(name) and are_dates(cells[name])), None)
    if column is None:
        if max(map(len, members)) == 1:
            return None, "one step each"
        raise ValueError(
            f"no column tells the order of the steps of a sequence: {CHOICE}; it has {some(rest)}"
        )
    if unread := no_times(cells[column]):
        expected = "numbers or dates as 2024-12-31T23:59"
        raise ValueError(f"column {column!r} must hold {expected}, got {unread[:40]!r}: {CHOICE}")
    times, unit = as_times(cells[column], f"column {column!r}", places, bad)
    steps = [np.diff(times[own]) for own in members]
    back = next((k for k, step in enumerate(steps) if (step < 0).any()), None)
    if back is not None and given is None:
        line = places[members[back][int(np.argmax(steps[back] < 0)) + 1]]
        raise ValueError(f"column {column!r} does not ascend within a sequence ({line}): {CHOICE}")
    for own in members:
        own[:] = [own[k] for k in np.argsort(times[own], kind="stable")]
    said = f"steps ordered by {column!r}"
    if back is not None:
        count = sum(bool((step < 0).any()) for step in steps)
        said += f", in which the lines of {counted(count, 'sequence')} were not"
    whole = [times[own] for own in members if not np.isnan(times[own]).any()]
    if compact_dates(cells[column]):
        shown = f"numbers that look like dates, as {cells[column][0].strip()}: no gap is told"
        return column, f"{said} ({', '.join([shown, *repeated(whole)])})"
    return column, f"{said} ({spacing(whole, unit)})" if whole else said


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
