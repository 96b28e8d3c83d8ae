"""What a data set is: three splits, the facts a report needs, and a checksum of the bytes used.

Sequences stay ragged here, one (L, D) array each. Padding them is the business of
`minilstm.sequences`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minilstm.datasets.leaks import Alone
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import in_utf8, one_of, wording

__all__ = ["Baseline", "Dataset", "Split"]


class Split(NamedTuple):
    """One part of a data set, which unpacks as `x, y = data.train`.

    `x` is a list of B arrays of shape (L, D), float32, or (L,), int32, for the ids of words; L may differ
    from one to the next. `y` is (B,) int64 class numbers, or (B, 1) float32 targets of a regression.

    >>> Split([np.zeros((3, 2), np.float32), np.zeros((5, 2), np.float32)], np.array([0, 1]))
    Split(2 sequences of 3 to 5 steps)
    """

    x: list[NDArray[np.float32]]
    y: Array

    def __repr__(self) -> str:  # the tuple's own would print every number
        lengths = [len(sequence) for sequence in self.x]
        steps = f"{min(lengths)} to {max(lengths)}" if lengths else "0"
        return f"Split({len(lengths)} sequences of {steps} steps)"


class Baseline(NamedTuple):
    """What a rule without learning reaches, as mean squared error."""

    name: str
    validation: float
    test: float


@dataclass(frozen=True, eq=False)  # arrays have no single truth value, so data sets compare by identity
class Dataset:
    """Three splits of one task, and what a report must say about them.

    `checksum` is a SHA-256 in hexadecimal: of the vendored file for `load_digits`, of all x and y of the
    three splits for a generated task. A recipe alone would not do: NumPy may change the numbers that
    follow from a seed between versions.

    >>> from minilstm.datasets import adding
    >>> data = adding(20, samples=(4, 2, 2))
    >>> data.name, data.task, data.classes, data.features
    ('adding', 'regression', None, 2)
    >>> x, y = data.train
    >>> len(x), x[0].shape, x[0].dtype.name, y.shape
    (4, (20, 2), 'float32', (4, 1))
    """

    name: str
    train: Split = field(repr=False)
    validation: Split = field(repr=False)
    test: Split = field(repr=False)
    task: Literal["classification", "regression"]
    classes: int | None  # None for a regression
    features: int  # D; 1 for ids
    description: str  # one sentence
    source: str  # where the data come from: a citation, or the call that makes them again
    checksum: str
    vocabulary: int | None = None  # ids are 0 (padding) .. vocabulary - 1; None for numbers
    labels: tuple[str, ...] = ()  # what each class is called, where it has a name
    remarks: tuple[str, ...] = ()  # sentences on what may mislead
    horizon: int | None = None  # steps ahead, of a forecast
    baselines: tuple[Baseline, ...] = ()  # of a forecast, on the scale of y
    alone: Alone | None = None  # the input column that predicts best by itself, where that was looked at
    # How x and y were made: mean and std (D,), y_mean and y_std; or the words with an id, blanks between them
    preparation: Mapping[str, Array] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """ValueError for a text that no file can hold: a report could never be written."""
        texts = {"name": [self.name], "source": [self.source], "description": [self.description]}
        for argument, said in (texts | {"labels": self.labels, "remarks": self.remarks}).items():
            if not all(map(in_utf8, said)):
                raise ValueError(wording(argument, "of text that UTF-8 has", "one with a lone surrogate"))

    def lengths(self, split: str = "train") -> NDArray[np.int64]:
        """The number of steps of each sequence of "train", "validation" or "test": (B,) int64.

        Raises ValueError for another name.

        >>> from minilstm.datasets import adding
        >>> adding(20, samples=(4, 2, 2)).lengths("test")
        array([20, 20])
        """
        part: Split = getattr(self, one_of("split", split, ["train", "validation", "test"]))
        return np.array([len(sequence) for sequence in part.x], dtype=np.int64)


def fingerprint(splits: Iterable[Split]) -> str:
    """SHA-256 of every x and y in order, with dtypes and shapes, the same on any byte order."""
    digest = hashlib.sha256()
    for split in splits:
        for array in [*split.x, split.y]:
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            digest.update(f"{little.dtype.str}{little.shape}".encode())
            digest.update(little.ravel().data)  # no copy of what is contiguous
    return digest.hexdigest()
