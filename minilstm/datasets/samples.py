"""Sequences of your own, one by one: what each must be, and numbers brought to one size."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from numbers import Real
from typing import Any

import numpy as np

from minilstm.datasets.bad_rows import LARGEST, BadRows
from minilstm.datasets.exact import EXPECTED, rounded
from minilstm.datasets.splits import Indices
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import in_utf8, wording
from minilstm.sequences.text import has_words, pieces


def as_texts(x: Sequence[Any], at: Sequence[str], bad: BadRows) -> list[Any]:
    for k, text in enumerate(x):
        bad.read(k, partial(_check_text, text, at[k]))
    return list(x)


def _check_text(text: Any, place: str) -> None:
    if not isinstance(text, str):
        raise TypeError(wording("x", "texts, as the first is", f"{type(text).__name__} in {place}"))
    check_writable("x", text, place)
    if not has_words(text):
        raise ValueError(wording("x", "texts with at least one word", f"none in {place}"))


def check_writable(argument: str, text: str, place: str) -> None:
    """ValueError for a text that no file can hold: a report could never be written."""
    if not all(map(in_utf8, pieces(text))):
        raise ValueError(wording(argument, "of text that UTF-8 has", f"a lone surrogate in {place}"))


def as_numbers(x: Sequence[Any], at: Sequence[str], bad: BadRows) -> list[Any]:
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


def standardised(
    samples: Sequence[Array], training: Sequence[int] | Indices
) -> tuple[list[Array], dict[str, Array]]:
    """Samples less the training part's mean, by its standard deviation, float32; and those two, (D,) each."""
    steps = np.concatenate([samples[k] for k in training])  # (N, D)
    mean, std = steps.mean(axis=0), steps.std(axis=0)  # (D,)
    std[std == 0] = 1
    with np.errstate(over="ignore"):
        found = [((sample - mean) / std).astype(np.float32) for sample in samples]
    for sample, made in zip(samples, found, strict=True):
        if not np.isfinite(made).all():
            worst = sample[~np.isfinite(made)][0]
            expected = "of numbers that float32 holds beside those of the training part"
            raise ValueError(
                wording("x", expected, f"{worst:g}, where they are of {std.max():.3g} around their mean")
            )
    return found, {"mean": mean, "std": std}
