"""Times that stand in a table, as numbers or as dates, and what their spacing says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np

from minilstm.arrays import Array
from minilstm.datasets.bad_rows import BadRows
from minilstm.datasets.columns import as_number

CLOSE = 1e-6  # relative difference up to which two spacings are the same


def spacing(times: Sequence[Array], unit: str = "") -> str:
    """What the ascending times of some sequences say: steps that stand twice, gaps, unequal spacing.

    >>> spacing([np.array([0.0, 1, 2, 5]), np.array([7.0, 7, 8])])
    '1 step with the time of another, 1 gap: 2 steps are missing where one follows another after 1'
    >>> spacing([np.array([0.0, 1, 1.5])])
    'unequally spaced: 0.5 to 1'
    """
    steps = np.concatenate([np.diff(own) for own in times])
    twice = int((steps == 0).sum())
    found = [f"{counted(twice, 'step')} with the time of another"] if twice else []
    steps = steps[steps > 0]
    if len(steps) == 0:
        return ", ".join(found) or "one step each"
    usual = float(np.median(steps))
    wide = steps / usual
    if np.abs(wide - 1).max() <= CLOSE:
        found.append(f"evenly spaced, by {usual:g}{unit}")
    elif np.abs(wide - wide.round()).max() <= CLOSE * wide.max() and wide.min() > 1 - CLOSE:
        gaps, lost = int((wide > 1.5).sum()), round(float((wide - 1).sum()))
        missing = f"{counted(lost, 'step')} {'is' if lost == 1 else 'are'} missing"
        found.append(f"{counted(gaps, 'gap')}: {missing} where one follows another after {usual:g}{unit}")
    else:
        found.append(f"unequally spaced: {steps.min():g} to {steps.max():g}{unit}")
    return ", ".join(found)


def counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def as_times(
    values: Sequence[str], name: str, places: Sequence[str], bad: BadRows | None = None
) -> tuple[Array, str]:
    """Numbers, or dates of ISO 8601 as seconds, (rows,) float64, and the unit, " s" of dates.

    What most of the values are, all must be; others go to `bad`, as NaN, or are refused without it.
    """
    own = BadRows("refuse") if bad is None else bad
    dated = 2 * sum(as_number(value) is None for value in values) > len(values)
    read = _date if dated else _number
    found: list[Any] = [
        own.read(k, partial(read, value, name, place))
        for k, (value, place) in enumerate(zip(values, places, strict=True))
    ]
    if bad is None and own.errors:
        raise next(iter(own.errors.values()))
    aware = {
        one.tzinfo is not None: k for k, one in reversed([*enumerate(found)]) if isinstance(one, datetime)
    }
    if len(aware) > 1:
        raise ValueError(
            f"{places[max(aware.values())]}, {name}: some dates have a time zone, others have none"
        )
    return np.array([_seconds(one) for one in found]), " s" if dated else ""


def are_dates(values: Sequence[str]) -> bool:
    """Whether all are dates, and not numbers that could be read as dates.

    >>> are_dates(["2024-01-01", "2024-02-01 10:00"]), are_dates(["20240101"]), are_dates(["a", ""])
    (True, False, False)
    """
    try:
        return bool(values) and all(as_number(one) is None and bool(_date(one, "", "")) for one in values)
    except ValueError:
        return False


def _seconds(time: float | datetime | None) -> float:
    if isinstance(time, datetime):
        return time.replace(tzinfo=time.tzinfo or UTC).timestamp()
    return math.nan if time is None else time


def _number(value: str, name: str, place: str) -> float:
    number = as_number(value)
    if number is None:
        raise _unread(value, name, place)
    if not math.isfinite(number):
        raise ValueError(f"{place}, {name}: the order must be a finite number or a date")
    return number


def _date(value: str, name: str, place: str) -> datetime:
    try:
        return datetime.fromisoformat(value.strip())
    except ValueError:
        raise _unread(value, name, place) from None


def _unread(value: str, name: str, place: str) -> ValueError:
    return ValueError(f"{place}, {name}: expected a number or a date as 2024-12-31T23:59, got {value[:40]!r}")
