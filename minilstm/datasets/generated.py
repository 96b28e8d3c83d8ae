"""Two tasks whose difficulty is their length: `recall` and `adding`.

Both ask for something from early in the sequence at the last step, and hide it behind noise, so the
gradient that teaches the answer has to travel the whole way back. They go back to Hochreiter and
Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997, sections 5.2 and 5.4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minilstm.datasets.base import Dataset, Split, fingerprint
from minilstm.foundations.errors import check_room, whole_number, wording

__all__ = ["adding", "recall"]

Draw = Callable[[np.random.Generator, int], Split]


def recall(
    length: int,
    *,
    samples: Sequence[int] = (2000, 400, 600),
    symbols: int = 4,
    noise_symbols: int = 4,
    seed: int = 0,
) -> Dataset:
    """Classification: name the symbol of the first step after `length - 1` steps of noise.

    The first step is one of `symbols` symbols, drawn uniformly, and is the class. Every later step is
    one of `noise_symbols` others, drawn uniformly, so nothing but the first step tells the class, and
    guessing scores 1 / `symbols`. Steps are one-hot: x is a list of (length, symbols + noise_symbols)
    float32, classes first; y is (B,) int64. All sequences have exactly `length` >= 1 steps.

    `samples` are the sizes of train, validation and test, each drawn from its own stream of `seed`.
    The symbols to remember and the noise have separate alphabets. With one alphabet for both, the
    network must also learn that only the first step counts, which hides the effect of the distance.
    Training succeeds or gets stuck depending on the initial weights, so compare lengths over several
    seeds of the model.

    Raises TypeError or ValueError that names the argument. Source: a form of the long time lag
    problems of Hochreiter and Schmidhuber (1997), section 5.2.

    >>> data = recall(50, samples=(8, 4, 4), seed=1)
    >>> x, y = data.train
    >>> x[0].shape, y.shape
    ((50, 8), (8,))
    >>> bool(x[0][0].argmax() == y[0])
    True
    """
    length = whole_number("length", length, 1)
    symbols = whole_number("symbols", symbols, 2)
    noise_symbols = whole_number("noise_symbols", noise_symbols, 1)
    sizes, seed = _sizes(samples), whole_number("seed", seed, 0, wide=True)
    check_room(f"a code of {symbols + noise_symbols} symbols", 4 * (symbols + noise_symbols) ** 2)
    _check_samples(sizes, length, symbols + noise_symbols)
    one_hot = np.eye(symbols + noise_symbols, dtype=np.float32)

    def draw(rng: np.random.Generator, size: int) -> Split:
        y = rng.integers(symbols, size=size)  # (B,)
        noise = rng.integers(symbols, symbols + noise_symbols, size=(size, length - 1))  # (B, T-1)
        return Split([one_hot[np.append(first, rest)] for first, rest in zip(y, noise, strict=True)], y)

    return _drawn(
        draw,
        sizes,
        seed,
        name="recall",
        task="classification",
        classes=symbols,
        features=symbols + noise_symbols,
        description=f"Name the first of {length} symbols after {length - 1} steps of noise.",
        source=f"minilstm.datasets.recall({length}, samples={sizes}, symbols={symbols}, "
        f"noise_symbols={noise_symbols}, seed={seed})",
    )


def adding(length: int, *, samples: Sequence[int] = (2000, 400, 600), seed: int = 0) -> Dataset:
    """Regression: the sum of the two marked values among `length` random ones.

    Each step has two features: a value drawn uniformly from [0, 1), and a marker that is 1 at one step
    of the first half (the first `length // 2` steps) and at one step of the rest, 0 elsewhere. x is a
    list of (length, 2) float32; y is (B, 1) float32, between 0 and 2. Always answering 1, the mean,
    has a mean squared error of 1/6. All sequences have exactly `length` >= 2 steps.

    `samples` are the sizes of train, validation and test, each drawn from its own stream of `seed`.

    Raises TypeError or ValueError that names the argument. Source: Hochreiter and Schmidhuber (1997),
    section 5.4, with [0, 1) for [-1, 1], one marker per half, a sum that is not rescaled, and a fixed
    length.

    >>> x, y = adding(50, samples=(8, 4, 4), seed=1).train
    >>> values, marker = x[0].T
    >>> int(marker.sum()), bool(values[marker == 1].sum() == y[0, 0])
    (2, True)
    """
    length = whole_number("length", length, 2)
    sizes, seed = _sizes(samples), whole_number("seed", seed, 0, wide=True)
    _check_samples(sizes, length, 2)
    half = length // 2

    def draw(rng: np.random.Generator, size: int) -> Split:
        values = rng.random((size, length), dtype=np.float32)  # (B, T)
        rows = np.arange(size)
        early, late = rng.integers(half, size=size), rng.integers(half, length, size=size)  # (B,)
        marker = np.zeros((size, length), np.float32)  # (B, T)
        marker[rows, early] = marker[rows, late] = 1
        y = values[rows, early] + values[rows, late]  # (B,)
        return Split(list(np.stack([values, marker], axis=2)), y[:, None])  # B of (T, 2), (B, 1)

    return _drawn(
        draw,
        sizes,
        seed,
        name="adding",
        task="regression",
        classes=None,
        features=2,
        description=f"Add the two marked ones of {length} random values.",
        source=f"minilstm.datasets.adding({length}, samples={sizes}, seed={seed})",
    )


def _sizes(samples: Sequence[int]) -> tuple[int, int, int]:
    """`samples` as three whole numbers >= 1."""
    expected = "three whole numbers: train, validation, test"
    try:
        sizes = tuple(samples)
    except TypeError:
        raise TypeError(wording("samples", expected, repr(samples))) from None
    if len(sizes) != 3:
        raise ValueError(wording("samples", expected, repr(samples)))
    train, validation, test = (whole_number("samples", size, 1) for size in sizes)
    return train, validation, test


def _check_samples(sizes: Sequence[int], length: int, features: int) -> None:
    samples = max(sizes)
    check_room(f"samples={samples} sequences of length={length}", 4 * samples * length * features)


def _drawn(draw: Draw, sizes: tuple[int, int, int], seed: int, **facts: Any) -> Dataset:
    """Each split from its own child of the seed, so that changing one size leaves the others alone."""
    streams = np.random.SeedSequence(seed).spawn(3)
    train, validation, test = splits = [
        draw(np.random.default_rng(stream), size) for stream, size in zip(streams, sizes, strict=True)
    ]
    return Dataset(train=train, validation=validation, test=test, checksum=fingerprint(splits), **facts)
