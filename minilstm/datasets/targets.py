"""Labels of your own: classes or quantities, as what they are tells; of two kinds they are refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from minilstm.datasets.bad_rows import LARGEST
from minilstm.datasets.exact import EXACT
from minilstm.datasets.samples import check_writable
from minilstm.datasets.splits import Indices
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import one_of, wording

MOST_CLASSES = 100  # whole numbers with more different values are taken for a quantity

Problem = Literal["classification", "regression"]


def as_targets(
    y: Sequence[Any], at: Sequence[str], problem: str | None
) -> tuple[Problem, Array, tuple[str, ...]]:
    """The task, the targets (class numbers, or float64), and the names of the classes."""
    values = list(y)
    texts = [isinstance(value, str) for value in values]
    truths = [isinstance(value, (bool, np.bool_)) for value in values]
    if any(truths) and not all(truths):
        expected = "labels of one kind, True and False or others"
        first = (f"{values[k]!r:.80} in {at[k]}" for k in (truths.index(False), truths.index(True)))
        raise TypeError(wording("y", expected, f"both: {', '.join(first)}"))
    if any(texts) and not all(texts) and problem != "classification":
        expected = "labels of one kind, text or numbers"
        first = (f"{values[k]!r:.80} in {at[k]}" for k in (texts.index(False), texts.index(True)))
        raise TypeError(wording("y", expected, f"both: {', '.join(first)}"))
    if problem is not None:
        one_of("problem", problem, ("classification", "regression"))
    numbers = None
    if not any(texts):
        numbers = np.asarray(values)
        if numbers.dtype.kind not in "fiub" or numbers.ndim != 1:
            expected = "class names or numbers, one for each sequence"
            raise TypeError(wording("y", expected, f"shape {numbers.shape}, dtype {numbers.dtype}"))
        if not np.isfinite(numbers).all():
            raise ValueError(
                wording("y", "finite", f"NaN or Inf in {at[int(np.argmin(np.isfinite(numbers)))]}")
            )
        whole = bool((numbers == np.round(numbers)).all())
        if problem is None:
            many = len(np.unique(numbers)) > MOST_CLASSES
            problem = "classification" if whole and not many else "regression"
        if problem == "regression":
            goals = numbers.astype(np.float64)
            worst = int(np.abs(goals).argmax())
            if abs(goals[worst]) > LARGEST:
                got = f"{goals[worst]:g} in {at[worst]}"
                raise ValueError(wording("y", f"numbers up to {LARGEST:g} in size", got))
            return "regression", goals, ()
        if whole and numbers.dtype.kind not in "iu" and np.abs(numbers).max() < EXACT:
            numbers = numbers.astype(np.int64)
    elif problem == "regression":
        raise TypeError(wording("y", "numbers for a regression", f"text, {values[texts.index(True)]!r:.80}"))
    if numbers is not None:
        classes, found = np.unique(numbers, return_inverse=True)
        names = tuple(str(value) for value in classes.tolist())
    else:
        for k, value in enumerate(values):
            check_writable("y", str(value), at[k])
        names = tuple(sorted({str(value) for value in values}))
        place = {label: k for k, label in enumerate(names)}
        found = np.array([place[str(value)] for value in values])
    if len(names) > max(2, len(values) // 2):
        raise ValueError(
            wording("y", "of classes with at least two sequences on average", f"{len(names)} classes")
            + (
                f", such as {names[0]!r:.40}"
                if numbers is None
                else '; problem="regression" predicts numbers'
            )
        )
    return "classification", found.astype(np.int64), names


def standardised_targets(targets: Array, training: Indices) -> tuple[Array, dict[str, Any]]:
    """A regression's targets (N, 1) float32, and the mean and standard deviation of the training part's."""
    mean, std = targets[training].mean(), targets[training].std()
    if std == 0:
        raise ValueError(wording("y", "not constant over the training part", f"{mean:g} alone"))
    return ((targets - mean) / std).astype(np.float32)[:, None], {"y_mean": mean, "y_std": std}
