"""Times that stand in a table, as numbers or as dates, and what their spacing says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from minilstm.arrays import Array
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


def as_times(values: Sequence[str], name: str, places: Sequence[str]) -> tuple[Array, str]:
    """Numbers, or dates of ISO 8601 as seconds, (rows,) float64, and the unit, " s" of dates."""
    numbers = [as_number(value) for value in values]
    if any(number is None for number in numbers):
        dates = [_date(value, name, place) for value, place in zip(values, places, strict=True)]
        aware = [date.tzinfo is not None for date in dates]
        if len(set(aware)) > 1:
            place = places[aware.index(not aware[0])]
            raise ValueError(f"{place}, {name}: some dates have a time zone, others have none")
        return np.array([date.replace(tzinfo=date.tzinfo or UTC).timestamp() for date in dates]), " s"
    found = np.array(numbers, np.float64)
    if not np.isfinite(found).all():
        place = places[int(np.argmin(np.isfinite(found)))]
        raise ValueError(f"{place}, {name}: the order must be a finite number or a date")
    return found, ""


def _date(value: str, name: str, place: str) -> datetime:
    try:
        return datetime.fromisoformat(value.strip())
    except ValueError:
        raise ValueError(
            f"{place}, {name}: expected a number or a date as 2024-12-31T23:59, got {value[:40]!r}"
        ) from None
