"""Three parts of one set of samples: the same share of every class in each, the same for a seed.

Samples that occur twice would stand in training and test at once, so all but the first are dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.integer[Any]]


def three_parts(
    y: NDArray[np.int64] | None, samples: int, sizes: tuple[int, int], seed: int
) -> list[Indices]:
    """Indices of train, validation and test, of which the first two have `sizes` and test the rest.

    With class numbers y (N,) every part has each class's share of the whole, to one sample.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    order = rng.permutation(samples)
    if y is not None:
        place = np.empty(samples)  # 0 to 1: where in its class a sample stands
        for number in np.unique(y):
            own = order[y[order] == number]
            place[own] = (np.arange(len(own)) + 0.5) / len(own)
        order = order[np.argsort(place[order], kind="stable")]
    parts = np.split(order, np.cumsum(sizes))
    return [rng.permutation(part) for part in parts]


def first_of_each(samples: Sequence[Any]) -> list[int]:
    """Indices of the samples, texts or arrays, without those that are equal to an earlier one."""
    seen: set[bytes] = set()
    kept = []
    for k, sample in enumerate(samples):
        if isinstance(sample, str):
            data = sample.encode("utf-8", "surrogatepass")
        else:
            data = str(sample.shape).encode() + sample.tobytes()
        key = hashlib.blake2b(data, digest_size=16).digest()
        if key not in seen:
            seen.add(key)
            kept.append(k)
    return kept
