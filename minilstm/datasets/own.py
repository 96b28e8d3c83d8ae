"""Sequences of your own as a data set: what they are is found out, checked, and said.

Texts become word ids and numbers are standardised, both with what the training part alone knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from functools import partial
from numbers import Real
from typing import Any, Literal

import numpy as np

from minilstm.datasets.bad_rows import LARGEST, BadRows
from minilstm.datasets.base import Dataset, Split, fingerprint
from minilstm.datasets.columns import check_written_alike
from minilstm.datasets.constant_ends import constant_ends
from minilstm.datasets.exact import EXACT, EXPECTED, rounded
from minilstm.datasets.leaks import best_alone, one_for_each
from minilstm.datasets.markers import missing_markers
from minilstm.datasets.remarks import of_classes, of_inputs, of_numbers, of_order
from minilstm.datasets.spelling import doubtful_names
from minilstm.datasets.splits import WAYS, Indices, first_equal, parts_by_group, parts_by_time, three_parts
from minilstm.datasets.text_signs import text_remarks
from minilstm.datasets.times import as_times
from minilstm.foundations.arrays import Array, is_missing, rows_of
from minilstm.foundations.errors import in_utf8, instance, listed, one_of, whole_number, wording
from minilstm.sequences.text import has_words, pieces, text_ids

__all__ = ["from_sequences"]

SHARES = (0.7, 0.1)  # of train and validation; test has the rest
FEWEST = 10  # sequences that can be split
MOST_CLASSES = 100  # whole numbers with more different values are taken for a quantity

Problem = Literal["classification", "regression"]


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
    task, targets, labels = _targets(y, at, problem)
    unlike = int((targets != targets[firsts]).sum())
    samples, targets = [samples[k] for k in kept], targets[kept]
    if task == "classification" and len(np.unique(targets)) < 2:
        raise ValueError(wording("y", "of at least two classes", f"one alone, {labels[targets[0]]!r}"))
    classed = targets if task == "classification" else None
    parts, how = _split(classed, kept, one_of("split", split, WAYS), by, at, seed)
    vocabulary, ends = None, []
    made: dict[str, Array] = {}
    if is_text:
        ends = list(text_remarks(samples))
        found, samples = text_ids(samples, parts[0], whole_number("words", words, 3))
        vocabulary, made["words"] = len(found), np.array(" ".join(found.words))
    else:
        ends = constant_ends(samples) or missing_markers(
            np.concatenate(samples), columns if columns and len(columns) == samples[0].shape[1] > 1 else None
        )
        ends += of_numbers(samples, x, columns)
        steps = np.concatenate([samples[k] for k in parts[0]])  # (N, D)
        made["mean"], made["std"] = steps.mean(axis=0), steps.std(axis=0)  # (D,)
        made["std"][made["std"] == 0] = 1
        samples = _standardised(samples, made["mean"], made["std"])
    if task == "regression":
        mean, std = targets[parts[0]].mean(), targets[parts[0]].std()
        if std == 0:
            raise ValueError(wording("y", "not constant over the training part", f"{mean:g} alone"))
        note = f"y standardised with the training part's mean {mean:g} and standard deviation {std:g}"
        targets = ((targets - mean) / std).astype(np.float32)[:, None]
        made |= {"y_mean": mean, "y_std": std}
    else:
        note = ""
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
    return hasattr(value, "__len__") and not one


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
    samples = (_texts if is_text else _numbers)(x, at, bad)
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


def _texts(x: Sequence[Any], at: Sequence[str], bad: BadRows) -> list[Any]:
    for k, text in enumerate(x):
        bad.read(k, partial(_check_text, text, at[k]))
    return list(x)


def _check_text(text: Any, place: str) -> None:
    if not isinstance(text, str):
        raise TypeError(wording("x", "texts, as the first is", f"{type(text).__name__} in {place}"))
    _check_writable("x", text, place)
    if not has_words(text):
        raise ValueError(wording("x", "texts with at least one word", f"none in {place}"))


def _check_writable(argument: str, text: str, place: str) -> None:
    """ValueError for a text that no file can hold: a report could never be written."""
    if not all(map(in_utf8, pieces(text))):
        raise ValueError(wording(argument, "of text that UTF-8 has", f"a lone surrogate in {place}"))


def _numbers(x: Sequence[Any], at: Sequence[str], bad: BadRows) -> list[Any]:
    """Each sequence as (L, D) float64, finite, L >= 1, with one D; None for a bad one."""
    found: list[Array | None] = []
    first: Array | None = None
    for k, sequence in enumerate(x):
        found.append(bad.read(k, partial(_series, sequence, at[k], first)))
        first = found[-1] if first is None else first
    return found


def _series(sequence: Any, place: str, first: Array | None) -> Array:
    try:
        array = np.asarray(sequence)
        if isinstance(sequence, np.ma.MaskedArray) and np.ma.is_masked(sequence):
            raise TypeError(wording("x", "plain arrays", f"a masked one: cut it to its real steps ({place})"))
    except ValueError:
        raise ValueError(wording("x", "sequences whose steps have equally many features", place)) from None
    if array.dtype.kind not in "fiub":
        kind = "text" if array.dtype.kind in "US" else _odd(array)
        raise TypeError(wording("x", "sequences of numbers, or texts alone", f"{kind} in {place}"))
    with np.errstate(invalid="ignore"):  # a signalling NaN is refused below, as any other
        array = array.astype(np.float64)  # float32 would lose what changes little beside a large mean
    if (whole := rounded(sequence, array)) is not None:
        raise ValueError(wording("x", EXPECTED, f"{whole} in {place}"))
    if array.ndim not in (1, 2):
        raise ValueError(wording("x", "sequences of shape (L,) or (L, D)", f"{array.shape} in {place}"))
    if array.size == 0:
        raise ValueError(wording("x", "sequences of at least one step", f"none in {place}"))
    array = array.reshape(len(array), -1)
    if not np.isfinite(array).all():
        finite = np.isfinite(array).all(axis=1)
        step = int(np.argmin(finite))
        where = f", step {step}"
        if not finite[step:].any() and 0 < step < len(finite) - 1:
            where = f" from step {step} to its end, as if padded"
        elif not step and finite[(real := int(np.argmax(finite))) :].all() and real > 1:
            where = f" before step {real}, as if padded"
        raise ValueError(wording("x", "finite numbers", f"NaN or Inf in {place}{where}"))
    if np.abs(array).max() > LARGEST:
        step = int(np.argmax(np.abs(array).max(axis=1)))
        got = f"{array.flat[np.abs(array).argmax()]:g} in {place}, step {step}"
        raise ValueError(wording("x", f"numbers up to {LARGEST:g} in size", got))
    if first is not None and array.shape[1] != first.shape[1]:
        expected = f"sequences of {first.shape[1]} features, as the first"
        raise ValueError(wording("x", expected, f"{array.shape[1]} in {place}"))
    return array


def _odd(array: Array) -> str:
    """What an array of no numbers holds, for people."""
    if array.dtype.kind != "O":
        return str(array.dtype)
    odd = [value for value in array.flat if not isinstance(value, Real)]
    return f"{odd[0]!r:.40}" if odd else "a whole number of more than 64 bits"


def _targets(
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
            _check_writable("y", str(value), at[k])
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


def _standardised(samples: Sequence[Array], mean: Array, std: Array) -> list[Array]:
    with np.errstate(over="ignore"):
        found = [((sample - mean) / std).astype(np.float32) for sample in samples]
    for sample, made in zip(samples, found, strict=True):
        if not np.isfinite(made).all():
            worst = sample[~np.isfinite(made)][0]
            expected = "of numbers that float32 holds beside those of the training part"
            raise ValueError(
                wording("x", expected, f"{worst:g}, where they are of {std.max():.3g} around their mean")
            )
    return found


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
