"""Three parts of one set of samples: at random, by what they belong to, or by time; the same for a seed.

Samples that occur twice would stand in training and test at once, so all but the first are dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minilstm.foundations.arrays import Array
from minilstm.sequences.text import pieces

Indices = NDArray[np.integer[Any]]

WAYS = ("random", "group", "time")


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


def parts_by_group(groups: Sequence[Any], sizes: tuple[int, int], seed: int) -> list[Indices]:
    """Indices of train, validation and test, none of which has samples of a group that another has.

    Whole groups in random order, each to the part that lacks most samples; the last groups to parts that have
    none. Raises ValueError for fewer than three groups.

    >>> [sorted(part.tolist()) for part in parts_by_group(list("aaabbbccc"), (6, 1), seed=0)]
    [[6, 7, 8], [0, 1, 2], [3, 4, 5]]
    """
    names, member = np.unique(np.array([str(group).strip() for group in groups]), return_inverse=True)
    if len(names) < 3:
        raise ValueError(f"the samples belong to {len(names)} groups, too few for three parts")
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    room = np.array([*sizes, len(groups) - sum(sizes)])
    parts: list[list[int]] = [[], [], []]
    for k, group in enumerate(rng.permutation(len(names))):
        own = np.flatnonzero(member == group)
        empty = [part for part in range(3) if not parts[part]]
        part = empty[0] if empty and len(names) - k <= len(empty) else int(np.argmax(room))
        parts[part] += own.tolist()
        room[part] -= len(own)
    return [rng.permutation(np.array(part)) for part in parts]


def parts_by_time(times: Array, sizes: tuple[int, int]) -> list[Indices]:
    """Indices of train, validation and test, each later than the one before; equal times stay together.

    >>> parts_by_time(np.array([5, 1, 3, 3, 4, 2]), (3, 1))
    [array([1, 5]), array([2, 3]), array([4, 0])]
    """
    order = np.argsort(times, kind="stable")
    cuts = np.searchsorted(times[order], times[order][np.cumsum(sizes)])
    parts: list[Indices] = list(np.split(order, cuts))
    if not all(len(part) for part in parts):
        raise ValueError("too many samples have the same time for three parts")
    return parts


def first_of_each(samples: Sequence[Any]) -> list[int]:
    """Indices of the samples, texts or arrays, without those that are equal to an earlier one."""
    return [k for k, first in enumerate(first_equal(samples)) if k == first]


def first_equal(samples: Sequence[Any]) -> list[int]:
    """For each sample, a text or an array, the index of the first that is equal to it.

    >>> first_equal(["a", "b", "a"])
    [0, 1, 0]
    """
    seen: dict[bytes, int] = {}
    firsts = []
    for k, sample in enumerate(samples):
        digest = hashlib.blake2b(digest_size=16)
        if isinstance(sample, str):
            for piece in pieces(sample):
                digest.update(piece.encode("utf-8", "surrogatepass"))
        else:
            digest.update(str(sample.shape).encode())
            digest.update(sample.ravel().data)  # no copy of what is contiguous
        firsts.append(seen.setdefault(digest.digest(), k))
    return firsts
