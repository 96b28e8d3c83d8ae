"""Sentences on what may mislead in a data set that can be used: its order, its classes, its inputs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from minilstm.datasets.base import Split
from minilstm.datasets.columns import COMMA, some
from minilstm.datasets.leaks import order_tells
from minilstm.datasets.spelling import listed_names, look_alike, mixed, say_none
from minilstm.datasets.splits import Indices, first_equal
from minilstm.foundations.arrays import Array
from minilstm.sequences.text import UNKNOWN

SIGNED = re.compile(r"[^\w\s]?\s*[+-]?\d[\d.,'/ ]*\s*[^\w\s]?")  # 5%, $3, 1'000, 3/4
MOST = 0.9  # share of the commonest class from which on it is told
OFTEN = 0.3  # share of unknown words
CODES = 50  # numbers from 0 to so much at least may be ids of words
LOOKED_AT = 100  # sequences whose type is looked at
WIDE = 4  # times as many features as steps


def of_order(
    parts: Sequence[Indices], kept: Sequence[int], targets: Array, classes: int | None, split: str
) -> Iterable[str]:
    """What the order of the samples says about their labels."""
    place, others = np.array(kept, float), np.concatenate(parts[1:])
    reached = order_tells((place[parts[0]], place[others]), (targets[parts[0]], targets[others]), classes)
    if reached is not None:
        value = f"accuracy {reached:.3f}" if classes else f"MSE {reached:.3g}"
        yield (
            f"The order of the rows alone predicts the label ({value}): no input may count the rows"
            + ("; if neighbours belong together, split them by group or time." if split == "random" else ".")
        )


def of_classes(splits: Sequence[Split], labels: Sequence[str]) -> Iterable[str]:
    """What is amiss with the classes: labels that may mean one, or none, and what the parts lack of them."""
    if not labels:
        return
    if several := look_alike(labels):
        yield (
            "Labels that differ in capitals, blanks, zeros in front, letters of two alphabets or signs that "
            f"are not seen are different classes: {listed_names(several)}."
        )
    if several := mixed(labels):
        yield f"Labels mix Latin and Cyrillic letters: {listed_names(several)}."
    if none := say_none(labels):
        yield f"{listed_names(none)} is a class: if it says that there is no label, leave those cells empty."
    below = [label for label in labels if re.fullmatch(r"-\d+", label)]
    if len(below) == 1 and len(labels) > 2 and set(labels) != {"-1", "0", "1"} and all(map(_plain, labels)):
        yield f"{below[0]} is a class: if it says that there is no label, leave those cells empty."
    if all(SIGNED.fullmatch(one) or COMMA.fullmatch(one) for one in labels) and not all(map(_plain, labels)):
        odd = next(label for label in labels if not _plain(label))
        yield f"Labels such as {odd!r} are names of classes; quantities are written as 1.5."
    whole = np.bincount(np.concatenate([part.y for part in splits]), minlength=len(labels))
    if whole.max() > MOST * whole.sum():
        yield (
            f"{whole.max():,} of {whole.sum():,} sequences are of class {labels[int(whole.argmax())]!r}: "
            f"naming it always has an accuracy of {whole.max() / whole.sum():.3f}."
        )
    if rare := [label for label, count in zip(labels, whole, strict=True) if count < len(splits)]:
        yield f"Too few sequences to be trained on, validated and tested: {some(rare)}."
    train, _, test = (np.bincount(part.y, minlength=len(labels)) for part in splits)
    if never := [
        label for label, learned, asked in zip(labels, train, test, strict=True) if asked > learned == 0
    ]:
        yield f"The training part has none of {some(never)}, which the test part has: no model can know it."
    if np.count_nonzero(test) == 1:
        yield f"The test part has one class alone, {labels[int(test.argmax())]!r}."


def _plain(label: str) -> bool:
    return re.fullmatch(r"[+-]?\d+(\.\d*)?", label.strip()) is not None


def of_inputs(splits: Sequence[Split], is_text: bool) -> Iterable[str]:
    """Sequences of several parts that are the same to a model, and words that it cannot know."""
    train, *others = splits
    unseen = [one for part in others for one in part.x]
    firsts = first_equal([*train.x, *unseen])
    if same := sum(first < len(train.x) for first in firsts[len(train.x) :]):
        how = "once their words are ids" if is_text else "as float32"
        yield (
            f"{same:,} of the {len(unseen):,} sequences to be validated and tested on are the same as one of "
            f"the training part, {how}."
        )
    if is_text:
        words = sum(map(len, unseen))
        unknown = sum(int((one == UNKNOWN).sum()) for one in unseen)
        if unknown > OFTEN * words:
            yield (
                f"{unknown / words:.0%} of the words to be validated and tested on are not in the "
                "vocabulary: words are found by the blanks and signs between them."
            )


def of_numbers(
    samples: Sequence[Array], given: Sequence[object], columns: Sequence[str] | None
) -> Iterable[str]:
    """What the numbers of the samples, (L, D) float64, may mean; `given` as they came."""
    L, D = samples[0].shape
    alike = all(len(sample) == L for sample in samples)
    if alike and L > 1 and D > WIDE * L:
        yield f"The sequences have {L} steps of {D} features: the steps must be the first axis of each."
    if D == 1 and all(np.asarray(one).dtype.kind in "iu" for one in given[:LOOKED_AT]):
        low, high = (int(how([how(one) for one in samples])) for how in (np.min, np.max))
        if low >= 0 and high >= CODES:
            yield f"The steps are whole numbers, {low} to {high}, read as quantities, not as ids of words."
    if D > 1:
        values = np.concatenate(samples)
        for k in map(int, np.flatnonzero(np.ptp(values, axis=0) == 0)):
            name = f"Column {columns[k]!r}" if columns and len(columns) == D else f"Feature {k}"
            yield f"{name} is {values[0, k]:g} at every step: it tells nothing."
