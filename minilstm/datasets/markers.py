"""Numbers that seem to say that there is none, as -999: one value far from all others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minilstm.datasets.times import counted
from minilstm.foundations.arrays import Array

FEWEST = 3  # times that such a number stands
FAR = 10  # times the range of all others from which on once is enough
DISTINCT = 10  # other values from which a range can be told
LOOKED_AT = 10_000  # of those others


def missing_markers(values: Array, columns: Sequence[str] | None = None) -> list[str]:
    """A sentence for each of the D columns of values (M, D) whose least or largest number seems to be one.

    It stands there at most as often as all others, and farther from them than they are from each other; ten
    times as far where it stands once or twice. `columns` : their names.

    >>> load = np.array([[-999.0]] * 3 + [[k] for k in range(20)])
    >>> print(missing_markers(load, ["load"])[0])  # doctest: +NORMALIZE_WHITESPACE
    -999 stands 3 times in column 'load', far from all other values (0 to 19): if it says that there is none,
    leave those cells empty.
    """
    found = []
    for k in range(values.shape[1]):
        own = values[np.isfinite(values[:, k]), k]
        if len(own) < FEWEST + DISTINCT:
            continue
        for marker in (own.min(), own.max()):
            others = own[own != marker]
            count = len(own) - len(others)
            if count > len(others):
                continue
            low, high = others.min(), others.max()
            away = min(abs(marker - low), abs(marker - high))
            if away <= (high - low) * (1 if count >= FEWEST else FAR):
                continue
            if len(np.unique(others[:LOOKED_AT])) >= DISTINCT:
                where = f" in column {columns[k]!r}" if columns is not None else ""
                found.append(
                    f"{marker:g} stands {counted(count, 'time')}{where}, far from all other values "
                    f"({low:g} to {high:g}): if it says that there is none, leave those cells empty."
                )
    return found
