"""Sequences of your own as a data set: what they are is found out, checked, and said.

Texts become word ids and numbers are standardised, both with what the training part alone knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np

from minilstm.datasets.bad_rows import BadRows
from minilstm.datasets.base import Dataset, Split, fingerprint
from minilstm.datasets.columns import check_written_alike
from minilstm.datasets.constant_ends import constant_ends
from minilstm.datasets.leaks import best_alone, one_for_each
from minilstm.datasets.markers import missing_markers
from minilstm.datasets.remarks import of_classes, of_inputs, of_numbers, of_order
from minilstm.datasets.samples import as_numbers, as_texts, standardised
from minilstm.datasets.spelling import doubtful_names
from minilstm.datasets.splits import WAYS, Indices, first_equal, parts_by_group, parts_by_time, three_parts
from minilstm.datasets.targets import as_targets, standardised_targets
from minilstm.datasets.text_signs import text_remarks
from minilstm.datasets.times import as_times
from minilstm.foundations.arrays import Array, is_missing, is_sparse, rows_of
from minilstm.foundations.errors import instance, listed, one_of, whole_number, wording
from minilstm.sequences.text import text_ids

__all__ = ["from_sequences"]

SHARES = (0.7, 0.1)  # of train and validation; test has the rest
FEWEST = 10  # sequences that can be split


def from_sequences(
    x: Sequence[Any],
    y: Sequence[Any] | None,
    *,
    problem: str | None = None,
    words: int = 10_000,
    name: str = "data",
    source: str = "given from Python",
    places: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    split: str = "random",
    by: Sequence[Any] | None = None,
    seed: int = 0,
    bad_rows: str = "refuse",
) -> Dataset:
    """A data set of N sequences and their labels, split into 70 % train, 10 % validation, 20 % test.

    Parameters
    ----------
    x : N texts, or N arrays of numbers (L,) or (L, D) with the same D
    y : N class names or numbers, or N numbers to be predicted
    problem : "classification" or "regression"; None: classification for text, booleans and whole numbers
        of at most 100 different values
    words : size of the vocabulary of texts, at least 3
    name, source : for the report
    places : where each sequence stands in its file, for messages
    columns : names of the features, or of the steps of sequences with one feature
    split : "random", shuffled from `seed`, with each class's share of the whole in every part; "group", by
        whole groups of equal `by`, shuffled too; "time", the latest tested, the earliest trained on
    by : N group names, or N times as numbers or dates; None with "time": the order of x

    bad_rows : "refuse", or "skip": leave out what cannot be used (empty, NaN, no label, ...), and say so

    Sequences that occur twice are kept once, or they would stand in training and test. Features and a
    regression's targets are standardised with the mean and standard deviation of the training part.

    Raises TypeError or ValueError that names the argument and the first bad sequence.

    >>> data = from_sequences([[1, 2, k] for k in range(20)], ["even", "odd"] * 10)
    >>> data.task, data.labels, data.train
    ('classification', ('even', 'odd'), Split(14 sequences of 3 to 3 steps))
    """
    if not _is_list(x):
        raise TypeError(wording("x", "a list of sequences, or of texts", type(x).__name__))
    if y is None or not _is_list(y) or hasattr(y, "columns"):  # a table has several
        raise TypeError(wording("y", "a list with one label for each sequence", type(y).__name__))
    seed = whole_number("seed", seed, 0, wide=True)
    instance("name", name, str, "a text"), instance("source", source, str, "a text")
    x = rows_of("x", x)
    is_text = len(x) > 0 and isinstance(x[0], str)
    samples, y, by, at, left_out = _usable(x, y, by, places, is_text, BadRows(bad_rows))
    firsts = first_equal(samples)
    kept = [k for k, first in enumerate(firsts) if k == first]
    if len(kept) < FEWEST:
        again = len(samples) - len(kept)
        more = f" ({again} of {len(samples)} repeat another)" if again else ""
        raise ValueError(wording("x", f"at least {FEWEST} different sequences", f"{len(kept)}{more}"))
    task, targets, labels = as_targets(y, at, problem)
    unlike = int((targets != targets[firsts]).sum())
    samples, targets = [samples[k] for k in kept], targets[kept]
    if task == "classification" and len(np.unique(targets)) < 2:
        raise ValueError(wording("y", "of at least two classes", f"one alone, {labels[targets[0]]!r}"))
    classed = targets if task == "classification" else None
    parts, how = _split(classed, kept, one_of("split", split, WAYS), by, at, seed)
    vocabulary = None
    if is_text:
        ends = list(text_remarks(samples))
        found, samples = text_ids(samples, parts[0], whole_number("words", words, 3))
        vocabulary, made = len(found), {"words": np.array(" ".join(found.words))}
    else:
        named = columns if columns and len(columns) == samples[0].shape[1] > 1 else None
        ends = constant_ends(samples) or missing_markers(np.concatenate(samples), named)
        ends += of_numbers(samples, x, columns)
        samples, made = standardised(samples, parts[0])
    note = ""
    if task == "regression":
        ends += [f"Of the targets, {one}" for one in missing_markers(targets[:, None])]
        targets, own = standardised_targets(targets, parts[0])
        made |= own
        mean, std = own["y_mean"], own["y_std"]
        note = f"y standardised with the training part's mean {mean:g} and standard deviation {std:g}"
    splits = tuple(Split([samples[k] for k in part], targets[part]) for part in parts)
    found_text = _description(samples, (len(firsts) - len(kept), unlike), task, labels, vocabulary)
    classes = len(labels) if task == "classification" else None
    alone = None if is_text else best_alone(splits[0], splits[2], classes, columns)
    return Dataset(
        name=name,
        train=splits[0],
        validation=splits[1],
        test=splits[2],
        task=task,
        classes=classes,
        features=1 if is_text else samples[0].shape[1],
        description="; ".join(filter(None, [found_text, note, how, left_out])) + ".",
        source=source,
        checksum=fingerprint(splits),
        vocabulary=vocabulary,
        labels=labels,
        remarks=(
            *ends,
            *of_order(parts, kept, targets, classes, split),
            *of_classes(splits, labels),
            *of_inputs(splits, is_text),
            *(one_for_each(splits, classes, columns) if classes and not is_text else ()),
        ),
        alone=alone,
        preparation=made,
    )


def _is_list(value: Any) -> bool:
    """Whether this has an order, and its own elements: an array or a table, no text, mapping or set."""
    one = isinstance(value, (str, bytes, Mapping, Set, type)) or (hasattr(value, "shape") and not value.shape)
    return hasattr(value, "__len__") and not one and not is_sparse(value)


def _usable(
    x: Any, y: Sequence[Any], by: Any, places: Any, is_text: bool, bad: BadRows
) -> tuple[list[Any], list[Any], list[Any] | None, list[str], str]:
    """Samples, labels, `by` and places of the sequences that can be used; how many cannot, for people."""
    y = [
        None if is_missing(label) or (isinstance(label, str) and not label.strip()) else label for label in y
    ]
    by = None if by is None else listed("by", "a list with one value for each sequence", by)
    at = [f"sequence {k}" for k in range(len(x))]
    at = at if places is None else listed("places", "a list with one text for each sequence", places)
    for name, given, what in (("y", y, " labels"), ("places", at, ""), ("by", by, " values")):
        if given is not None and len(given) != len(x):
            expected = f"as long as x, which has {len(x)} sequences"
            raise ValueError(wording(name, expected, f"{len(given)}{what}"))
    samples = (as_texts if is_text else as_numbers)(x, at, bad)
    for k, label in enumerate(y):
        if label is None or (isinstance(label, (float, np.floating)) and np.isinf(label)):
            bad.add(k, wording("y", "finite", f"NaN or Inf in {at[k]}"))
    for k, value in enumerate(by or ()):
        if is_missing(value):
            bad.add(k, wording("by", "a value for each sequence", f"none for {at[k]}"))
    left_out = bad.settle("sequences")
    good = [k for k in range(len(x)) if k not in bad.errors]
    samples, y, at = [samples[k] for k in good], [y[k] for k in good], [at[k] for k in good]
    return samples, y, None if by is None else [by[k] for k in good], at, left_out


def _split(
    classes: Array | None,
    kept: Sequence[int],
    split: str,
    by: Sequence[Any] | None,
    at: Sequence[str],
    seed: int,
) -> tuple[list[Indices], str]:
    """Indices into `kept` of the three parts, and how they were made, for people."""
    n = len(kept)
    sizes = (int(SHARES[0] * n), max(1, round(SHARES[1] * n)))
    if split == "random":
        if by is not None:
            raise ValueError(wording("by", "left out with the split 'random'", type(by).__name__))
        share = "" if classes is None else ", each class's share in every part"
        return three_parts(classes, n, sizes, seed), f"split at random from seed {seed}{share}"
    if split == "group":
        if by is None:
            raise ValueError(wording("by", "given with the split 'group'", None))
        check_written_alike("by", by)
        found = parts_by_group([by[k] for k in kept], sizes, seed)
        doubts = doubtful_names("by", dict.fromkeys(str(by[k]).strip() for k in kept))
        return found, f"split by groups from seed {seed}: none stands in two parts{doubts}"
    times = np.arange(n, dtype=float)
    if by is not None:
        times = as_times([str(by[k]) for k in kept], "by", [at[k] for k in kept])[0]
    order = "the order of x" if by is None else "their times"
    return parts_by_time(times, sizes), f"split by time ({order}): the latest are tested"


def _description(
    samples: Sequence[Array],
    repeated: tuple[int, int],
    task: str,
    labels: tuple[str, ...],
    vocabulary: int | None,
) -> str:
    """What the data are; `repeated`: how many samples repeat another, and how many of them differ in y."""
    lengths = np.array([len(sample) for sample in samples])
    shape = f"{lengths[0]}"
    if lengths.min() < lengths.max():
        shape = f"{lengths.min()} to {lengths.max()}, median {int(np.median(lengths))}"
    what = (
        f"{len(samples):,} texts of {shape} words (vocabulary {vocabulary:,})"
        if vocabulary
        else f"{len(samples):,} sequences of {shape} steps with {samples[0].shape[1]} feature"
        f"{'s' if samples[0].shape[1] > 1 else ''}, standardised"
    )
    again, unlike = repeated
    left_out = f"; {again:,} that repeat another are left out" if again else ""
    left_out += f", {unlike:,} of them with another label" if unlike else ""
    names = ", ".join(_short(label) for label in labels[:10]) + (", ..." if len(labels) > 10 else "")
    aim = f"classification into {len(labels)} classes ({names})" if task == "classification" else "regression"
    return f"{what}{left_out}; {aim}"


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
