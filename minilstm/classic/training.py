"""Rows that train today's layers, by `fit` with a generator of fresh batches and a callback that stops it.

The bands of this file are those of before the first full run.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np

from minilstm import optimizers
from minilstm.callbacks import Callback, Logs
from minilstm.classic.row import Band, Record, Row, pairs
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import NonFiniteError
from minilstm.layers import LSTM, Dense, Recurrent, SimpleRNN, TimeDistributed
from minilstm.model import Sequential

Batches = Iterator[tuple[Array, Array]]
BASELINE = 1 / 6  # mean squared error of always answering 1 in the adding task


class Until(Callback):
    """Stop when the mean loss of the last `window` batches is below `below`.

    updates : batches so far;  mean : that mean now;  solved : whether it was below
    """

    def __init__(self, below: float, window: int = 100) -> None:
        self.below, self.losses = below, deque[float](maxlen=window)
        self.updates, self.solved = 0, False

    @property
    def mean(self) -> float:
        return float(np.mean(self.losses))

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.updates += 1
        self.losses.append((logs or {})["batch_loss"])
        if len(self.losses) == self.losses.maxlen and self.mean < self.below:
            self.solved = self.model.stop_training = True


def train(model: Sequential, batches: Batches, updates: int, below: float = 0.0, window: int = 100) -> Until:
    """Fit for so many updates, or until the mean loss is below; a loss that is not finite ends it too."""
    until = Until(below, window)
    with suppress(NonFiniteError):
        model.fit(batches, epochs=1, steps_per_epoch=updates, callbacks=[until], verbose=0)
    return until


def drawing(
    draw: Callable[[np.random.Generator, int], tuple[Array, Array]], seed: int, batch: int
) -> Batches:
    """Fresh batches for ever."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    while True:
        yield draw(rng, batch)


# ---------------------------------------------------------------- adding, as in Arjovsky et al. and Le et al.


def adding_pairs(rng: np.random.Generator, count: int, length: int) -> tuple[Array, Array]:
    """x (count, length, 2): values of U[0, 1), a marker in each half; y (count, 1): the marked ones' sum."""
    values = rng.random((count, length), dtype=np.float32)
    marker = np.zeros((count, length), np.float32)
    rows, half = np.arange(count), length // 2
    early, late = rng.integers(half, size=count), rng.integers(half, length, size=count)
    marker[rows, early] = marker[rows, late] = 1
    return np.stack([values, marker], axis=2), (values[rows, early] + values[rows, late])[:, None]


def learn_adding(seed: int, layer: Recurrent, length: int, updates: int, below: float) -> Record:
    """Updates until the mean error of the last 100 batches of 20 is below; Adam, 1e-3, norm at most 1."""
    model = Sequential([layer, Dense(1)], dtype="float32", seed=seed)
    model.compile(optimizers.Adam(1e-3, global_clipnorm=1.0), "mse")
    batches = drawing(lambda rng, count: adding_pairs(rng, count, length), seed, 20)
    until = train(model, batches, updates, below)
    return {"value": until.updates, "solved": until.solved, "error": until.mean}


def adding(seed: int, *, length: int, units: int, updates: int) -> Record:
    """LSTM on the adding task; and the baseline by a million draws."""
    _, y = adding_pairs(np.random.default_rng(np.random.SeedSequence(seed)), 1_000_000 // length, length)
    layer = LSTM(units, input_shape=(length, 2))
    return learn_adding(seed, layer, length, updates, BASELINE / 10) | {
        "baseline": float(((y - 1) ** 2).mean())
    }


def forget_bias(seed: int, *, forget_bias: int, length: int, units: int, updates: int) -> Record:
    """The same with the forget gate's bias at 1 or at 0."""
    layer = LSTM(units, input_shape=(length, 2), unit_forget_bias=bool(forget_bias))
    return learn_adding(seed, layer, length, updates, BASELINE / 10)


def first_weights(seed: int, *, init: str, length: int, units: int, updates: int) -> Record:
    """A simple network, its recurrent weights the identity with relu (IRNN), orthogonal, or uniform."""
    kind, backend = ("relu", "numpy") if init == "identity" else ("tanh", "numba")  # relu has no kernel
    layer = SimpleRNN(
        units, input_shape=(length, 2), activation=kind, recurrent_initializer=init, backend=backend
    )
    record = learn_adding(seed, layer, length, updates, BASELINE / 2)
    return record | {"value": record["error"]}


# ---------------------------------------------------------------- copying


def copying(rng: np.random.Generator, count: int, length: int) -> tuple[Array, Array]:
    """x (count, length+20, 10) one-hot: ten of 8 symbols, blanks (8), a delimiter (9), ten blanks.

    y (count, length+20): blanks (8), and in the last ten steps the ten symbols.
    """
    symbols = rng.integers(8, size=(count, 10))
    read = np.full((count, length + 20), 8)
    read[:, :10], read[:, length + 9] = symbols, 9
    asked = np.full((count, length + 20), 8)
    asked[:, -10:] = symbols
    return np.eye(10, dtype=np.float32)[read], asked


def copy_plateau(seed: int, *, length: int, units: int, updates: int) -> Record:
    """The mean loss of the last 200 updates over that without memory; RMSprop, 1e-3, entries clipped at 1."""
    model = Sequential(
        [
            LSTM(units, input_shape=(length + 20, 10), return_sequences=True),
            TimeDistributed(Dense(9, activation="softmax")),
        ],
        dtype="float32",
        seed=seed,
    )
    model.compile(optimizers.RMSprop(1e-3, clipvalue=1.0), "sparse_categorical_crossentropy")
    batches = drawing(lambda rng, count: copying(rng, count, length), seed, 20)
    until = train(model, batches, updates, window=200)
    memoryless = 10 * math.log(8) / (length + 20)
    return {"value": until.mean / memoryless, "solved": until.updates == updates}


# ---------------------------------------------------------------- temporal order with and without clipping


def order_of_symbols(rng: np.random.Generator, count: int, length: int) -> tuple[Array, Array]:
    """x (count, length, 6) one-hot: A or B at a step of [L/10, 2L/10) and of [5L/10, 6L/10), noise elsewhere.

    y (count,): which of AA, AB, BA, BB.
    """
    tenth, rows = length // 10, np.arange(count)
    symbols = rng.integers(2, 6, size=(count, length))
    which = rng.integers(2, size=(count, 2))
    for k, place in enumerate((tenth, 5 * tenth)):
        symbols[rows, place + rng.integers(tenth, size=count)] = which[:, k]
    return np.eye(6, dtype=np.float32)[symbols], 2 * which[:, 0] + which[:, 1]


def clipping(seed: int, *, clip: float, length: int, units: int, updates: int) -> Record:
    """Share of 10,000 fresh sequences that a tanh network gets wrong; SGD, 0.01, weights of N(0, 0.1)."""
    layer = SimpleRNN(units, input_shape=(length, 6))
    model = Sequential([layer, Dense(4, activation="softmax")], dtype="float32", seed=seed)
    rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
    for name, weight in model.named_weights.items():
        if not name.endswith("bias"):
            weight[...] = rng.normal(0, 0.1, weight.shape)
    model.compile(optimizers.SGD(0.01, global_clipnorm=clip or None), "sparse_categorical_crossentropy")
    until = train(
        model, drawing(lambda rng, count: order_of_symbols(rng, count, length), seed, 20), updates, 0.01
    )
    x, y = order_of_symbols(rng, 10_000, length)
    share = float((model.predict(x, batch_size=500).argmax(axis=1) != y).mean())
    return {"value": share, "solved": share < 0.01, "updates": until.updates}


ROWS = (
    Row(
        name="copy-plateau",
        claim="An LSTM of 40 units stays at the memoryless loss of the copy task with a delay of 200.",
        source="Arjovsky, Shah and Bengio 2016",
        published="10 ln 8 / 220 = 0.0945",
        run=copy_plateau,
        measured="loss over the memoryless one, after 3,000 updates",
        bands=(
            Band(
                "mean from 0.95 to 1.05",
                "the published curve lies on the line; its noise and ours are a few percent",
                lambda found: found[None]["mean"] is not None and abs(found[None]["mean"] - 1) <= 0.05,
            ),
        ),
        trials=3,
        settings={"length": 200, "units": 40, "updates": 3000},
    ),
    Row(
        name="adding",
        claim="An LSTM learns to add two marked numbers among 100; always answering 1 has an error of 1/6.",
        source="Arjovsky, Shah and Bengio 2016; Le, Jaitly and Hinton 2015",
        published="convincingly below 0.167, which is 1/6",
        run=adding,
        measured="updates until the error is below a tenth of 1/6",
        bands=(
            Band(
                "every trial gets below a tenth of the baseline",
                "published: convincingly",
                lambda found: found[None]["solved"] == found[None]["trials"],
            ),
            Band(
                "the baseline is 1/6 to 0.02",
                "of 10,000 draws its standard error is 0.002",
                lambda found: all(abs(one["baseline"] - BASELINE) < 0.02 for one in found[None]["records"]),
            ),
        ),
        trials=3,
        settings={"length": 100, "units": 128, "updates": 10_000},
        reduced="up to 10,000 updates of 20 sequences, Adam",
    ),
    Row(
        name="forget-bias",
        claim="An LSTM whose forget gate starts open (bias 1) learns sooner than one at bias 0.",
        source="Jozefowicz, Zaremba and Sutskever 2015; Gers, Schmidhuber and Cummins 2000",
        published="a bias of 1 improves the LSTM on every task tried",
        run=forget_bias,
        measured="updates until the error is below a tenth of 1/6, by the bias",
        bands=(
            Band(
                "bias 1 needs fewer updates in at least 4 of 5 pairs of equal seeds",
                "by chance 4 or more have a probability of 0.19, 5 of 0.03: the weaker is asked for",
                lambda found: (
                    sum(one["value"] < other["value"] for one, other in pairs(found))
                    >= 0.8 * len(pairs(found))
                ),
            ),
        ),
        trials=5,
        settings={"forget_bias": (1, 0), "length": 100, "units": 64, "updates": 6_000},
        reduced="the adding task, which is not among those of the paper",
    ),
    Row(
        name="first-weights",
        claim="A simple network with relu and identity weights (IRNN) learns the adding task; with tanh and "
        "uniform weights it stays at the baseline.",
        source="Le, Jaitly and Hinton 2015",
        published="IRNN solves T = 150 where tanh learns later",
        run=first_weights,
        measured="mean squared error after the last update, where it is below a half of 1/6",
        bands=(
            Band(
                "the IRNN gets below half the baseline in more trials than tanh with uniform weights",
                "the published order; the budget is far below the paper's million updates",
                lambda found: found["identity"]["solved"] > found["glorot_uniform"]["solved"],
            ),
        ),
        trials=3,
        settings={
            "init": ("identity", "orthogonal", "glorot_uniform"),
            "length": 100,
            "units": 100,
            "updates": 5_000,
        },
        reduced="T = 100, up to 5,000 updates of 20 sequences, Adam",
    ),
    Row(
        name="clipping",
        claim="With its gradient's norm clipped a tanh network learns temporal order where it fails without.",
        source="Pascanu, Mikolov and Bengio 2013, figure 7",
        published="success in every run with clipping; less and less without as sequences grow",
        run=clipping,
        measured="wrong share of 10,000 fresh sequences, of trials below 1 %, by the norm (0: no clipping)",
        bands=(
            Band(
                "more trials succeed with clipping than without",
                "the published order at every length beyond the shortest",
                lambda found: found[1.0]["solved"] > found[0.0]["solved"],
            ),
        ),
        trials=5,
        settings={"clip": (1.0, 0.0), "length": 20, "units": 50, "updates": 40_000},
        reduced="length 20, at most 40,000 updates for 5,000,000",
    ),
)
