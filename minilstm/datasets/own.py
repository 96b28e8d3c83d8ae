"""Sequences of your own as a data set: what they are is found out, checked, and said.

Texts become word ids and numbers are standardised, both with what the training part alone knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from minilstm.arrays import Array
from minilstm.datasets.base import Dataset, Split, fingerprint
from minilstm.datasets.splits import first_of_each, three_parts
from minilstm.errors import one_of, whole_number, wording
from minilstm.sequences.text import text_ids

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

    Every part has each class's share of the whole. Sequences that occur twice are kept once, or they
    would stand in training and test. Features and a regression's targets are standardised with the
    mean and standard deviation of the training part.

    Raises TypeError or ValueError that names the argument and the first bad sequence.

    >>> data = from_sequences([[1, 2, k] for k in range(20)], ["even", "odd"] * 10)
    >>> data.task, data.labels, data.train
    ('classification', ('even', 'odd'), Split(14 sequences of 3 to 3 steps))
    """
    if isinstance(x, (str, bytes)) or not hasattr(x, "__len__"):
        raise TypeError(wording("x", "a list of sequences, or of texts", type(x).__name__))
    if y is None or isinstance(y, (str, bytes)) or not hasattr(y, "__len__"):
        raise TypeError(wording("y", "a list with one label for each sequence", type(y).__name__))
    if len(x) != len(y):
        raise ValueError(wording("y", f"as long as x, which has {len(x)} sequences", f"{len(y)} labels"))
    at = [f"sequence {k}" for k in range(len(x))] if places is None else list(places)
    is_text = len(x) > 0 and isinstance(x[0], str)
    samples = _texts(x, at) if is_text else _numbers(x, at)
    kept = first_of_each(samples)
    if len(kept) < FEWEST:
        more = "" if len(kept) == len(x) else f" ({len(x) - len(kept)} of {len(x)} repeat another)"
        raise ValueError(wording("x", f"at least {FEWEST} different sequences", f"{len(kept)}{more}"))
    task, targets, labels = _targets(y, at, problem)
    samples, targets = [samples[k] for k in kept], targets[kept]
    if task == "classification" and len(np.unique(targets)) < 2:
        raise ValueError(wording("y", "of at least two classes", f"one alone, {labels[targets[0]]!r}"))
    sizes = (int(SHARES[0] * len(kept)), max(1, round(SHARES[1] * len(kept))))
    parts = three_parts(targets if task == "classification" else None, len(kept), sizes, seed=0)
    vocabulary = None
    if is_text:
        found, samples = text_ids(samples, parts[0], whole_number("words", words, 3))
        vocabulary = len(found)
        short = next((k for k, ids in enumerate(samples) if len(ids) == 0), None)
        if short is not None:
            raise ValueError(wording("x", "texts with at least one word", f"none in {at[kept[short]]}"))
    else:
        samples = _standardised(samples, parts[0])
    if task == "regression":
        mean, std = targets[parts[0]].mean(), targets[parts[0]].std()
        if std == 0:
            raise ValueError(wording("y", "not constant over the training part", f"{mean:g} alone"))
        note = f", standardised with the training part's mean {mean:g} and standard deviation {std:g}"
        targets = ((targets - mean) / std).astype(np.float32)[:, None]
    else:
        note = ""
    splits = tuple(Split([samples[k] for k in part], targets[part]) for part in parts)
    return Dataset(
        name=name,
        train=splits[0],
        validation=splits[1],
        test=splits[2],
        task=task,
        classes=len(labels) if task == "classification" else None,
        features=1 if is_text else samples[0].shape[1],
        description=_description(samples, len(x) - len(kept), task, labels, vocabulary) + note + ".",
        source=source,
        checksum=fingerprint(splits),
        vocabulary=vocabulary,
        labels=labels,
    )


def _texts(x: Sequence[Any], at: Sequence[str]) -> list[Any]:
    for k, text in enumerate(x):
        if not isinstance(text, str):
            raise TypeError(wording("x", "texts, as the first is", f"{type(text).__name__} in {at[k]}"))
        _check_writable("x", text, at[k])
    return list(x)


def _check_writable(argument: str, text: str, place: str) -> None:
    """ValueError for a text that no file can hold: a report could never be written."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(
            wording(argument, "of text that UTF-8 has", f"a lone surrogate in {place}")
        ) from None


def _numbers(x: Sequence[Any], at: Sequence[str]) -> list[Any]:
    """Each sequence as (L, D) float32, finite, L >= 1, with one D."""
    found: list[Array] = []
    for k, sequence in enumerate(x):
        try:
            array = np.asarray(sequence)
        except ValueError:
            raise ValueError(
                wording("x", "sequences whose steps have equally many features", at[k])
            ) from None
        if array.dtype.kind not in "fiub":
            kind = "text" if array.dtype.kind in "US" else str(array.dtype)
            raise TypeError(wording("x", "sequences of numbers, or texts alone", f"{kind} in {at[k]}"))
        with np.errstate(over="ignore"):  # what becomes infinite is refused below
            array = array.astype(np.float32)
        if array.ndim not in (1, 2):
            raise ValueError(wording("x", "sequences of shape (L,) or (L, D)", f"{array.shape} in {at[k]}"))
        if array.size == 0:
            raise ValueError(wording("x", "sequences of at least one step", f"none in {at[k]}"))
        array = array.reshape(len(array), -1)
        if not np.isfinite(array).all():
            step = int(np.argmin(np.isfinite(array).all(axis=1)))
            raise ValueError(wording("x", "finite float32 numbers", f"NaN or Inf in {at[k]}, step {step}"))
        if found and array.shape[1] != found[0].shape[1]:
            expected = f"sequences of {found[0].shape[1]} features, as the first"
            raise ValueError(wording("x", expected, f"{array.shape[1]} in {at[k]}"))
        found.append(array)
    return found


def _targets(
    y: Sequence[Any], at: Sequence[str], problem: str | None
) -> tuple[Problem, Array, tuple[str, ...]]:
    """The task, the targets (class numbers, or float64), and the names of the classes."""
    values = list(y)
    texts = [isinstance(value, str) for value in values]
    if any(texts) and not all(texts) and problem != "classification":
        expected = "labels of one kind, text or numbers"
        raise TypeError(
            wording("y", expected, f"both: {values[texts.index(False)]!r:.80} in {at[texts.index(False)]}")
        )
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
            return "regression", numbers.astype(np.float64), ()
        if whole:
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
        )
    return "classification", found.astype(np.int64), names


def _standardised(samples: Sequence[Array], training: Iterable[int]) -> list[Array]:
    steps = np.concatenate([samples[k] for k in training]).astype(np.float64)  # (N, D)
    mean, std = steps.mean(axis=0), steps.std(axis=0)  # (D,)
    std[std == 0] = 1
    return [((sample - mean) / std).astype(np.float32) for sample in samples]


def _description(
    samples: Sequence[Array], repeated: int, task: str, labels: tuple[str, ...], vocabulary: int | None
) -> str:
    lengths = np.array([len(sample) for sample in samples])
    shape = f"{lengths.min()} to {lengths.max()}, median {int(np.median(lengths))}"
    what = (
        f"{len(samples):,} texts of {shape} words (vocabulary {vocabulary:,})"
        if vocabulary
        else f"{len(samples):,} sequences of {shape} steps with {samples[0].shape[1]} feature"
        f"{'s' if samples[0].shape[1] > 1 else ''}, standardised"
    )
    left_out = f"; {repeated:,} that repeat another are left out" if repeated else ""
    names = ", ".join(_short(label) for label in labels[:10]) + (", ..." if len(labels) > 10 else "")
    aim = f"classification into {len(labels)} classes ({names})" if task == "classification" else "regression"
    return f"{what}{left_out}; {aim}"


def _short(text: str, most: int = 40) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
