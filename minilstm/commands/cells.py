"""`minilstm cells`: recurrent cells side by side, before and after training. Which forgets first?

Two tasks of exactly the length asked for. Recall: name the symbol of the first step, for which the gradient
has to come all the way back. Parity: of the number of ones among random bits, every one of which counts.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minilstm import layers
from minilstm.datasets import recall
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import check_room, fail, whole_number
from minilstm.foundations.tables import in_columns, terminal_width
from minilstm.model import Sequential
from minilstm.optimizers import Adam
from minilstm.trace import dynamics
from minilstm.trace.trace import LayerTrace

TRAIN, TEST, PROBE = 1000, 400, 32  # sequences
# The columns before those of the tasks.
BEFORE = ("parameters", "through U", "past U", "Lyapunov", "reach before", "after")
COMPILED = ("lstm", "gru", "simple_rnn")  # what is compared where no cell is named: those with kernels


class Task(NamedTuple):
    """x (B, T, D) and y (B,) of training and of test, and the number of classes."""

    train: tuple[Array, Array]
    test: tuple[Array, Array]
    classes: int


def recall_task(length: int, seed: int) -> Task:
    data = recall(length, samples=(TRAIN, 1, TEST), seed=seed)
    parts = [(np.stack(part[0]), np.asarray(part[1])) for part in (data.train, data.test)]
    return Task(parts[0], parts[1], 4)


def parity_task(length: int, seed: int) -> Task:
    bits = np.random.default_rng([seed, length]).integers(0, 2, size=(TRAIN + TEST, length))
    x, y = (2.0 * bits[..., None] - 1).astype(np.float32), bits.sum(axis=1) % 2
    return Task((x[:TRAIN], y[:TRAIN]), (x[TRAIN:], y[TRAIN:]), 2)


def run(options: argparse.Namespace) -> int:
    """Measure, and print the table; the exit code."""
    if options.list:
        print("\n".join(layers.KINDS))
        return 0
    names = list(layers.KINDS) if options.all else options.names or list(COMPILED)
    try:
        for name in names:
            layers.maker_of(name, "NAME")
        lengths = sorted({whole_number("--lengths", length, 2) for length in options.lengths})
    except (ValueError, TypeError) as error:
        return fail(str(error), 2)
    least = 4 * (options.units**2 + (TRAIN + TEST) * lengths[-1])
    check_room(f"a cell with --units {options.units} and --lengths {lengths[-1]}", least)
    rows, done = [("cell", *heading(lengths))], 0
    total, start = len(names) * options.seeds, time.monotonic()
    each = f"{2 * len(lengths)} trainings of {options.epochs} epoch{'s' * (options.epochs != 1)} each"
    if any(name not in COMPILED for name in names):
        each += "; a cell without kernels takes about ten times as long as the LSTM"
    print(f"{total} runs, {each}", file=sys.stderr, flush=True)
    for name in names:
        seeds = []
        for seed in range(options.seeds):
            seeds.append(measured(name, lengths, options.units, options.epochs, seed))
            done += 1
            took = f"{time.monotonic() - start:.0f} s"
            text = f"{done}/{total}  {layers.label(name)}, seed {seed}, after {took}"
            print(text, file=sys.stderr, flush=True)
        rows.append((layers.label(name), *in_words(seeds, lengths)))
    print("\n".join(in_blocks(rows, terminal_width())))
    return 0


def in_blocks(rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """The table; where the terminal is too narrow, what comes before the tasks and, below, the rest."""
    whole = in_columns(rows, left=1)
    if width is None or max(map(len, whole)) <= width:
        return whole
    first = [row[: 1 + len(BEFORE)] for row in rows]
    second = [(row[0], *row[1 + len(BEFORE) :]) for row in rows]
    return [*in_columns(first, left=1), "", *in_columns(second, left=1)]


def measured(kind: str, lengths: list[int], units: int, epochs: int, seed: int) -> dict[str, Any]:
    """All figures of one cell and seed; of the longest length where there is one figure."""
    found: dict[str, Any] = {}
    for length in lengths:
        for task, data in (("recall", recall_task(length, seed)), ("parity", parity_task(length, seed))):
            model = built(kind, data, units, seed)
            x, y = data.train
            if task == "recall":
                rec = model.trace(x[:PROBE], y[:PROBE])["rec"]
                found |= before(rec) | {"parameters": model.layers[0].count_params()}
                start = time.perf_counter()
            model.fit(x, y, epochs=epochs, verbose=0)
            if task == "recall":
                seconds = time.perf_counter() - start
                found["time"] = 1e6 * seconds / (epochs * length * -(-len(x) // 32))
                found["after"] = reach(model.trace(x[:PROBE], y[:PROBE])["rec"])
            found[f"{task} {length}"] = model.evaluate(*data.test)[1]  # type: ignore[index]
    return found


def built(kind: str, data: Task, units: int, seed: int) -> Sequential:
    x = data.train[0]
    layer = layers.maker_of(kind)(units, input_shape=x.shape[1:], name="rec")
    model = Sequential([layer, layers.Dense(data.classes, activation="softmax")], seed=seed)
    model.compile(Adam(3e-3, clipnorm=1.0), "sparse_categorical_crossentropy", ["accuracy"])
    return model


def before(rec: LayerTrace) -> dict[str, Any]:
    """What an untrained layer does with the gradient: shares by path, exponent, horizon."""
    shares = rec.ledger().mean_shares()
    exponent = dynamics.lyapunov_exponents(dynamics.jacobians(rec))[0]
    through_U = shares.get("recurrent weights", 0.0)
    return {"U": through_U, "past U": sum(shares.values()) - through_U, "exponent": exponent} | {
        "before": reach(rec)
    }


def reach(rec: LayerTrace) -> float:
    """How many steps back 1 % of the gradient of the memory reaches: of h where nothing else is kept."""
    return rec.horizon(0.01, f"d{rec.memory}")


def heading(lengths: list[int]) -> list[str]:
    tasks = [f"{task} {length}" for length in lengths for task in ("recall", "parity")]
    return [*BEFORE, *tasks, "us/step"]


def in_words(seeds: list[dict[str, Any]], lengths: list[int]) -> list[str]:
    """One row: means over the seeds, and for what training does the range."""

    def mean(key: str) -> float:
        return float(np.mean([found[key] for found in seeds]))

    def spread(key: str, form: str) -> str:
        values = sorted(found[key] for found in seeds)
        low, high = (format(value, form) for value in (values[0], values[-1]))
        return low if low == high else f"{low} to {high}"

    tasks = [f"{task} {length}" for length in lengths for task in ("recall", "parity")]
    return [
        f"{seeds[0]['parameters']}",
        f"{mean('U'):.0%}",
        f"{mean('past U'):.0%}",
        f"{mean('exponent'):.3f}",
        spread("before", ".0f"),
        spread("after", ".0f"),
        *(spread(task, ".2f") for task in tasks),
        f"{min(found['time'] for found in seeds):.0f}",
    ]
