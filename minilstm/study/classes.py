"""Which classes the models of one length tell apart: the confusion matrix, and the recall of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.study.point import Record

MOST = 20  # classes that a matrix shows; of more, the rows with the lowest recall


@dataclass(frozen=True)
class ClassRow:
    """One class of the test part, over the seeds."""

    label: str
    counts: list[int]  # of the answers, by class
    count: int  # of its sequences, once for each seed
    recall: float | None  # share of them that was answered rightly, mean over the seeds
    low: float | None  # of the worst seed
    high: float | None
    instead: str  # the wrong answer that was given most often, "" where none was


def class_rows(records: Sequence[Record], labels: Sequence[str]) -> list[ClassRow]:
    """A row per class, from the records of one length and variant; none where nothing was counted.

    Classes without labels are called by their numbers.
    """
    found = [np.array(record["confusion"]) for record in records if record.get("confusion")]
    if not found:
        return []
    matrices = np.stack(found)  # (seeds, true class, answer)
    total = matrices.sum(axis=0)
    labels = labels or [str(k) for k in range(len(total))]
    return [_row(k, matrices[:, k], total[k], labels) for k in range(len(total))]


def _row(k: int, by_seed: Array, counts: Array, labels: Sequence[str]) -> ClassRow:
    sizes = by_seed.sum(axis=1)
    shares = [float(row[k] / size) for row, size in zip(by_seed, sizes, strict=True) if size]
    wrong = np.where(np.arange(len(counts)) == k, 0, counts)
    return ClassRow(
        label=labels[k],
        counts=[int(count) for count in counts],
        count=int(sizes.sum()),
        recall=float(np.mean(shares)) if shares else None,
        low=min(shares, default=None),
        high=max(shares, default=None),
        instead=labels[int(wrong.argmax())] if wrong.any() else "",
    )


def shown_classes(rows: Sequence[ClassRow]) -> list[ClassRow]:
    """All rows, or of many those with the lowest recall, the lowest first."""
    if len(rows) <= MOST:
        return list(rows)
    return sorted(rows, key=lambda row: (row.recall is None, row.recall))[:MOST]
