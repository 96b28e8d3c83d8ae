"""Times that stand in a table, as numbers or as dates, and what their spacing says."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np

from minilstm.datasets.bad_rows import BadRows
from minilstm.datasets.columns import LONGEST, as_number
from minilstm.foundations.arrays import Array

FEWEST = 3  # steps from which on a sequence has a spacing of its own
COMPACT = re.compile(r"\s*(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])?\s*")
CLOSE = 1e-4  # relative difference up to which two spacings are the same
FINER = re.compile(r"[.,]\d{6}(\d+)")  # digits of a second that a datetime does not hold
MILLIONTH = Decimal("1e-6")


def spacing(times: Sequence[Array], unit: str = "") -> str:
    """What the ascending times of some sequences say: steps that stand twice, gaps, unequal spacing.

    >>> spacing([np.array([0.0, 1, 2, 5]), np.array([7.0, 8])])
    '1 gap: 2 steps are missing where one follows another after 1'
    >>> spacing([np.array([7.0, 7, 8])])
    '1 step with the time of another, in the order of the file, evenly spaced, by 1'
    >>> spacing([np.array([0.0, 1, 1.5])])
    'unequally spaced: 0.5 to 1'
    >>> spacing([np.arange(5.0), np.arange(5.0) / 100])
    'each sequence evenly spaced, by 0.01 to 1'
    """
    each = [np.diff(own) for own in times]
    steps = np.concatenate(each)
    found = repeated(times)
    steps = steps[steps > 0]
    if len(steps) == 0:
        return ", ".join(found) or "one step each"
    own = [part[0] for part in each if len(part) >= FEWEST and np.ptp(part) <= CLOSE * part[0]]
    if len(own) == len(each) and np.ptp(own) > CLOSE * max(own):
        found.append(f"each sequence evenly spaced, by {min(own):g} to {max(own):g}{unit}")
        return ", ".join(found)
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


def repeated(times: Sequence[Array]) -> list[str]:
    """What is to be said of steps that have the time of another, between which the file's order decides."""
    twice = sum(int((np.diff(own) == 0).sum()) for own in times)
    return [f"{counted(twice, 'step')} with the time of another, in the order of the file"] if twice else []


def counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def as_times(
    values: Sequence[str], name: str, places: Sequence[str], bad: BadRows | None = None
) -> tuple[Array, str]:
    """What has passed since the first, (rows,) float64, and its unit: " s" of dates of ISO 8601, or "".

    What most of the values are, all must be; others go to `bad`, as NaN, or are refused without it. Times
    since 1970 in nanoseconds, which float64 does not hold, keep their differences.

    >>> as_times(["1700000000000000001", "1700000000000000000"], "t", ["row 0", "row 1"])
    (array([1., 0.]), '')
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
    aware = {one[1]: k for k, one in reversed([*enumerate(found)]) if one is not None}
    if len(aware) > 1:
        raise ValueError(
            f"{places[max(aware.values())]}, {name}: some dates have a time zone, others have none"
        )
    first = min((one[0] for one in found if one is not None), default=Decimal())
    passed = [math.nan if one is None else float(one[0] - first) for one in found]
    return np.array(passed), " s" if dated else ""


def are_dates(values: Sequence[str]) -> bool:
    """Whether all are dates, and not numbers that could be read as dates.

    >>> are_dates(["2024-01-01", "2024-02-01 10:00"]), are_dates(["20240101"]), are_dates(["a", ""])
    (True, False, False)
    """
    try:
        return bool(values) and all(as_number(one) is None and bool(_date(one, "", "")) for one in values)
    except ValueError:
        return False


def compact_dates(values: Sequence[str]) -> bool:
    """Whether all are numbers that look like dates, 20240131 or 202401, and are no equal steps apart."""
    return bool(values) and all(map(COMPACT.fullmatch, values))


def no_times(values: Sequence[str]) -> str:
    """The first of these, where none is a number or a date of ISO 8601; "" where one is.

    >>> no_times(["31.12.2024", "01.01.2025"]), no_times(["31.12.2024", "2025-01-01"])
    ('31.12.2024', '')
    """
    if any(as_number(value) is not None or are_dates([value]) for value in values):
        return ""
    return next(filter(str.strip, values), "")


def _number(value: str, name: str, place: str) -> tuple[Decimal, bool]:
    number = as_number(value)
    if number is None:
        raise _unread(value, name, place)
    if not math.isfinite(number):
        raise ValueError(f"{place}, {name}: the order must be a finite number or a date")
    return Decimal(value.strip()), False


def _date(value: str, name: str, place: str) -> tuple[Decimal, bool]:
    """Seconds since the year 1, and whether there is a time zone."""
    if len(value) > LONGEST:
        raise _unread(value, name, place)
    try:
        time = datetime.fromisoformat(value.strip())
    except ValueError:
        raise _unread(value, name, place) from None
    passed = time.replace(tzinfo=time.tzinfo or UTC) - datetime.min.replace(tzinfo=UTC)
    seconds = Decimal(passed.days * 86_400 + passed.seconds) + passed.microseconds * MILLIONTH
    if finer := FINER.search(value):
        seconds += Decimal(f"0.{finer[1]}") * MILLIONTH
    return seconds, time.tzinfo is not None


def _unread(value: str, name: str, place: str) -> ValueError:
    return ValueError(f"{place}, {name}: expected a number or a date as 2024-12-31T23:59, got {value[:40]!r}")
