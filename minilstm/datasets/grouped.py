"""Rows of a table that are the steps of sequences: which belong together, and in which order they come.

The order is not taken for granted: a column tells it, or the caller says that the lines do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from minilstm.arrays import Array
from minilstm.datasets.columns import TIMES, Found, Names, as_number, check_named, pick, some, to_number, unused
from minilstm.datasets.identifiers import names_groups

LINES = "lines"  # what to say for the order of the lines
CLOSE = 1e-6  # relative difference up to which two spacings are the same
CHOICE = f"--order COLUMN sorts by a column, --order {LINES} keeps the order of the lines"

Cells = dict[str, list[str]]


def group_rows(
    cells: Cells, y: list[Any], label: str, rest: Sequence[str], places: list[str], names: Names
) -> Found:
    """The rows with the same value of a column as one sequence, and what was taken for what.

    Raises ValueError for a group with several labels, and where nothing tells the order of the steps.
    """
    group = pick("group", names["group"], (), rest)
    assert group is not None
    members: dict[str, list[int]] = {}
    for k, key in enumerate(cells[group]):
        members.setdefault(key, []).append(k)
    for key, own in members.items():
        if any(y[k] != y[own[0]] for k in own) and not all(_is_nan(y[k]) for k in own):
            raise ValueError(f"sequence {key[:40]!r} has several labels; {places[own[0]]} and others")
    order, ordered = in_order(cells, list(members.values()), [c for c in rest if c != group], places, names)
    features = names["features"] or [column for column in rest if column not in (group, order)]
    check_named(features, rest)
    columns = [[to_number(v, f, at) for v, at in zip(cells[f], places, strict=True)] for f in features]
    table = np.array(columns).reshape(len(features), len(places)).T  # (rows, D)
    x = [table[own] for own in members.values()]
    found = [y[own[0]] for own in members.values()]
    where = [f"sequence {key[:40]!r} ({places[min(own)]})" for key, own in members.items()]
    said = f"steps of {some(features)} grouped by {group!r}, {ordered}, labels from {label!r}"
    said += unused(rest, [group, *features, *([order] if order else [])])
    if names["features"] is None:
        said += "".join(names_groups(column, cells[column], list(members.values())) for column in features)
    return Found(x, found, where, said, features)


def in_order(
    cells: Cells, members: list[list[int]], rest: Sequence[str], places: Sequence[str], names: Names
) -> tuple[str | None, str]:
    """Sort each group's rows in place; the column that told how, if one did, and a sentence on the order.

    A column with a usual name is believed where the lines agree with it; otherwise, and where there is
    none, the order is asked for, unless no group has two rows.
    """
    given = names["order"]
    if given == LINES and LINES not in rest:
        return None, "steps in the order of the lines, as was said"
    column = pick("order", given, TIMES, rest)
    if column is None:
        if max(map(len, members)) == 1:
            return None, "one step each"
        raise ValueError(f"no column tells the order of the steps of a sequence: {CHOICE}; it has {some(rest)}")
    times, unit = _times(cells[column], column, places)
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
        said += f", in which the lines of {_count(count, 'sequence')} were not"
    return column, f"{said} ({spacing([times[own] for own in members], unit)})"


def spacing(times: Sequence[Array], unit: str = "") -> str:
    """What the ascending times of some sequences say: steps that stand twice, gaps, unequal spacing.

    >>> spacing([np.array([0.0, 1, 2, 5]), np.array([7.0, 7, 8])])
    '1 step with the time of another, 1 gap: 2 steps are missing where one follows another after 1'
    >>> spacing([np.array([0.0, 1, 1.5])])
    'unequally spaced: 0.5 to 1'
    """
    steps = np.concatenate([np.diff(own) for own in times])
    twice = int((steps == 0).sum())
    found = [f"{_count(twice, 'step')} with the time of another"] if twice else []
    steps = steps[steps > 0]
    if len(steps) == 0:
        return ", ".join(found) or "one step each"
    usual = float(np.median(steps))
    wide = steps / usual
    if np.abs(wide - 1).max() <= CLOSE:
        found.append(f"evenly spaced, by {usual:g}{unit}")
    elif np.abs(wide - wide.round()).max() <= CLOSE * wide.max() and wide.min() > 1 - CLOSE:
        gaps, lost = int((wide > 1.5).sum()), int(round(float((wide - 1).sum())))
        missing = f"{_count(lost, 'step')} {'is' if lost == 1 else 'are'} missing"
        found.append(f"{_count(gaps, 'gap')}: {missing} where one follows another after {usual:g}{unit}")
    else:
        found.append(f"unequally spaced: {steps.min():g} to {steps.max():g}{unit}")
    return ", ".join(found)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _times(values: Sequence[str], column: str, places: Sequence[str]) -> tuple[Array, str]:
    """Numbers, or dates of ISO 8601 as seconds, (rows,) float64, and the unit, " s" of dates."""
    numbers = [as_number(value) for value in values]
    if any(number is None for number in numbers):
        dates = [_date(value, column, place) for value, place in zip(values, places, strict=True)]
        aware = [date.tzinfo is not None for date in dates]
        if len(set(aware)) > 1:
            place = places[aware.index(not aware[0])]
            raise ValueError(f"{place}, column {column!r}: some dates have a time zone, others have none")
        return np.array([date.replace(tzinfo=date.tzinfo or UTC).timestamp() for date in dates]), " s"
    found = np.array(numbers, np.float64)
    if not np.isfinite(found).all():
        place = places[int(np.argmin(np.isfinite(found)))]
        raise ValueError(f"{place}, column {column!r}: the order must be a finite number or a date")
    return found, ""


def _date(value: str, column: str, place: str) -> datetime:
    try:
        return datetime.fromisoformat(value.strip())
    except ValueError:
        raise ValueError(
            f"{place}, column {column!r}: expected a number or a date as 2024-12-31T23:59, got {value[:40]!r}"
        ) from None


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
