"""What may give the label away: one input column alone, the length, or the place of a row in the file.

A column alone answers by its bins: the training part's commonest class, or mean, in each of at most 50 bins
of about equally many training samples. What that reaches on samples it has not seen is what a model is held
against.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minilstm.foundations.arrays import Array

BINS, PER_BIN = 50, 5
MOST = 5_000  # training samples looked at
HELD_OUT = 20  # samples from which on a share says something
NEARLY = 0.9  # of what a model gains over the baseline, from which on a column alone is told
LITTLE = 0.2  # of the way from the baseline to no error: a column that gains less is no leak
CLEAR = 0.5  # of the way from the baseline to no error, from which on an order is told


class Alone(NamedTuple):
    """The column that reaches most by itself on the test part, with what it and the baseline reach."""

    column: str
    metric: float  # accuracy, or mean squared error
    baseline: float

    def warning(self, reached: float | None, classification: bool) -> str:
        """A sentence where the column reaches nearly all that a model `reached` (None: no error at all)."""
        best = float(classification) if reached is None else reached
        sign = 1 if classification else -1
        gained, possible = (sign * (value - self.baseline) for value in (self.metric, best))
        if gained < max(NEARLY * possible, LITTLE * abs(classification - self.baseline)):
            return ""
        value = f"accuracy of {self.metric:.3f}" if classification else f"MSE of {self.metric:.3g}"
        name = self.column[:1].upper() + self.column[1:]
        return f"{name} alone reaches a test {value}: look whether it gives the label away."


def best_alone(
    train: tuple[Sequence[Array], Array],
    test: tuple[Sequence[Array], Array],
    classes: int | None,
    names: Sequence[str] | None,
) -> Alone | None:
    """The best of all columns; None where there are too few samples to say.

    A column is a step, where sequences of numbers have one feature and a name for each step or are equally
    long; otherwise a feature, by its first value, its last and its mean. The length counts as one too.
    """
    if len(test[0]) < HELD_OUT:
        return None
    y, wanted, found = train[1][:MOST], test[1], None
    baseline = _reached(np.zeros(len(y)), y, np.zeros(len(wanted)), wanted, classes)
    sign = 1 if classes else -1
    for column, values, unseen in _columns(train[0][:MOST], test[0], names):
        if np.isnan(values).all():
            continue
        metric = _reached(values, y, unseen, wanted, classes)
        if found is None or sign * metric > sign * found.metric:
            found = Alone(column, metric, baseline)
    return found


def last_alone(
    train: tuple[Sequence[Array], Array],
    test: tuple[Sequence[Array], Array],
    target: int,
    names: Sequence[str] | None,
    baseline: float,
) -> Alone | None:
    """The column, but for the target's, whose last known value tells nearly all of what is to be forecast.

    baseline : the mean squared error that is to be beaten
    """
    if len(test[0]) < HELD_OUT:
        return None
    found = None
    own, unseen = (np.array([window[-1] for window in part]) for part in (train[0][:MOST], test[0]))
    for k in range(own.shape[1]):
        if k == target:
            continue
        metric = _reached(own[:, k], train[1][:MOST], unseen[:, k], test[1], None)
        if metric <= (1 - NEARLY) * baseline and (found is None or metric < found.metric):
            found = Alone(f"column {names[k]!r}" if names else f"feature {k}", metric, baseline)
    return found


def one_for_each(
    parts: Sequence[tuple[Sequence[Array], Array]], classes: int, names: Sequence[str] | None
) -> Iterator[str]:
    """Sentences on columns with one value for each class, where too few samples tell more (`best_alone`)."""
    samples = [sample for part in parts for sample in part[0]]
    y = np.concatenate([part[1] for part in parts])
    if len(parts[-1][0]) >= HELD_OUT or len(samples) < HELD_OUT:
        return
    for column, values, _ in _columns(samples, samples, names):
        if len(np.unique(values)) != classes:
            continue
        pairs = np.unique(np.stack([values, y], axis=1), axis=0)
        if len(pairs) == classes:
            name = f"{column[:1].upper()}{column[1:]}"
            yield f"{name} has one value for each class: look whether it gives the class away."


def order_tells(places: Sequence[Array], y: Sequence[Array], classes: int | None) -> float | None:
    """What the place in the file alone reaches on samples that it has not seen, where that is much.

    places, y : of the training part, and of the others
    """
    if len(y[1]) < HELD_OUT:
        return None
    reached = _reached(places[0], y[0], places[1], y[1], classes)
    base = _reached(np.zeros(len(y[0])), y[0], np.zeros(len(y[1])), y[1], classes)
    gained, possible = (reached - base, 1 - base) if classes else (base - reached, base)
    return reached if possible > 0 and gained >= CLEAR * possible else None


def _columns(
    train: Sequence[Array], test: Sequence[Array], names: Sequence[str] | None
) -> Iterator[tuple[str, Array, Array]]:
    """(name, values in training, values in test) of every column; NaN where a sequence does not reach it."""
    parts = (train, test)
    lengths = [np.array([len(sequence) for sequence in part], float) for part in parts]
    longest, D = int(max(own.max() for own in lengths)), train[0].shape[1]
    if any(own.min() < longest for own in lengths):
        yield "the length", lengths[0], lengths[1]
    if D == 1 and (len(names or ()) == longest or all(own.min() == longest for own in lengths)):
        tables = [np.full((len(part), longest), np.nan) for part in parts]
        for table, part in zip(tables, parts, strict=True):
            for row, sequence in zip(table, part, strict=True):
                row[: len(sequence)] = sequence[:, 0]
        for step in range(longest):
            name = f"column {names[step]!r}" if names and len(names) == longest else f"step {step}"
            yield name, tables[0][:, step], tables[1][:, step]
        return
    for feature in range(D):
        name = f"column {names[feature]!r}" if names and len(names) == D else f"feature {feature}"
        hows: tuple[Callable[[Array], Any], ...] = (_first, _last, np.mean)
        for how in hows:
            values = [np.array([how(s[:, feature]) for s in part], float) for part in parts]
            yield name, values[0], values[1]


def _first(series: Array) -> Any:
    return series[0]


def _last(series: Array) -> Any:
    return series[-1]


def _reached(values: Array, y: Array, unseen: Array, wanted: Array, classes: int | None) -> float:
    """Accuracy, or mean squared error, of the bins of `values` on the samples with `unseen`."""
    count = max(1, min(BINS, len(y) // PER_BIN))
    edges = np.sort(values)[np.arange(1, count) * len(values) // count]
    own, other = (
        np.searchsorted(edges, part, side="right") for part in (values, unseen)
    )  # equal edges: no bin
    if classes:
        votes = np.bincount(own * classes + y, minlength=count * classes).reshape(count, classes)
        votes[votes.sum(axis=1) == 0] = votes.sum(axis=0)  # nothing seen there
        return float((votes.argmax(axis=1)[other] == wanted).mean())
    counts, sums = np.bincount(own, minlength=count), np.bincount(own, y.ravel(), minlength=count)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), y.mean())
    return float(np.square(means[other] - wanted.ravel()).mean())
