"""Padding that nobody spoke of: one number, repeated at one end of sequences that are all equally long."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minilstm.foundations.arrays import Array

OFTEN = 0.25  # share of the sequences from which on it is told


def constant_ends(samples: Sequence[Array]) -> list[str]:
    """A sentence for each end at which many of the samples (L, D), of one L, repeat one and the same step.

    >>> rows = [[[5.0], [1], [0], [0]], [[3.0], [0], [0], [0]], [[4.0], [2], [6], [7]]]
    >>> print(constant_ends([np.array(row) for row in rows])[0])  # doctest: +NORMALIZE_WHITESPACE
    2 of 3 sequences end with 0, repeated, as if padded: say their lengths (in a table leave those cells
    empty, or those rows out), or a mask cannot know it.
    """
    length = len(samples[0])
    if length < 3 or any(len(sample) != length for sample in samples):
        return []
    x = np.stack(samples)  # (N, L, D)
    found = []
    for way, steps in (("end", x[:, ::-1]), ("begin", x)):
        repeated = (steps[:, 0] == steps[:, 1]).all(axis=1)
        if not repeated.any():
            continue
        values, counts = np.unique(steps[repeated, 0], axis=0, return_counts=True)
        value, count = values[counts.argmax()], int(counts.max())
        if count >= OFTEN * len(x) and np.ptp(value) == 0:
            found.append(
                f"{count:,} of {len(x):,} sequences {way} with {value[0]:g}, repeated, as if padded: say "
                "their lengths (in a table leave those cells empty, or those rows out), or a mask cannot "
                "know it."
            )
    return found
