"""What the names of the columns say where each row is a sequence: which is no step, and which order is meant.

Steps are mostly numbered, as t0, t1, or dated. An order is not put right here, only pointed out: the file's
is the one that is read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from minilstm.datasets.columns import as_number, some
from minilstm.datasets.times import are_dates, as_times
from minilstm.foundations.arrays import Array

NUMBERED = re.compile(r"(.*?)(\d{1,15})(\D*)")
FEWEST = 3  # columns from which a way of naming them can be told


def doubtful_steps(columns: Sequence[str]) -> str:
    """Remarks on columns that are named unlike the other steps, and on steps that do not ascend; "" for none.

    >>> doubtful_steps(["t0", "t1", "t2"])
    ''
    >>> doubtful_steps(["person", "time", "east"])[:40]
    ', note: the columns are not named as ste'
    >>> doubtful_steps(["age", "t0", "t1", "t2"])
    ", note: 'age' is read as a step, as 't0' is; if it is none, --drop leaves it out"
    >>> doubtful_steps(["t0", "t1", "t10", "t2"])
    ", note: steps are read in the order of the columns, in which 't10' stands before 't2'"
    """
    if len(columns) < 2:
        return ""
    steps, times = _times(columns)
    if len(steps) < max(min(FEWEST, len(columns)), len(columns) / 2):
        return (
            ", note: the columns are not named as steps, and are read as the steps of one feature, in this "
            "order; if a row is one step, --group says of which sequence"
        )
    remarks = ""
    known = set(steps)
    others = [column for column in columns if column not in known]
    if features := _several_features(columns, len(steps)):
        remarks += (
            f", note: {some(features)} look like features of the same steps, and are read one after another; "
            "an .npz of (N, T, D) keeps them apart"
        )
    elif others:
        verb, they = ("is read as a step", "it is") if len(others) == 1 else ("are read as steps", "they are")
        remarks += f", note: {some(others)} {verb}, as {steps[0]!r} is; if {they} none, --drop leaves "
        remarks += "it out" if len(others) == 1 else "them out"
    back = np.flatnonzero(np.diff(times) < 0)
    if len(back):
        before, after = steps[back[0]], steps[back[0] + 1]
        remarks += (
            f", note: steps are read in the order of the columns, in which {before!r} stands before {after!r}"
        )
    return remarks


def _several_features(columns: Sequence[str], steps: int) -> list[str]:
    """The first column of each way of naming, where there are several with as many columns as the first."""
    ways: dict[tuple[str, str], list[str]] = {}
    for column in columns:
        if found := NUMBERED.fullmatch(column):
            ways.setdefault((found[1], found[3]), []).append(column)
    alike = [own[0] for own in ways.values() if len(own) == steps]
    return alike if len(alike) > 1 and len(alike) * steps == len(columns) else []


def _times(columns: Sequence[str]) -> tuple[list[str], Array]:
    """The columns that are named in the way of most, and the time or number in each name."""
    numbers = {column: number for column in columns if (number := as_number(column)) is not None}
    dates = [column for column in columns if are_dates([column])]
    parts = {column: found for column in columns if (found := NUMBERED.fullmatch(column))}
    usual = Counter((found[1], found[3]) for found in parts.values()).most_common(1)
    numbered = [column for column, found in parts.items() if usual and (found[1], found[3]) == usual[0][0]]
    if len(numbers) >= max(len(dates), len(numbered)):
        return list(numbers), np.array(list(numbers.values()))
    if len(dates) >= len(numbered):
        return dates, as_times(dates, "", dates)[0]
    return numbered, np.array([float(parts[column][2]) for column in numbered])
