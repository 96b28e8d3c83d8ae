"""How long does an epoch of the IMDb study take, beside PyTorch?

    python benchmarks/imdb_epoch.py [--isa avx2] [--lengths 200,400] [--batches 20] [--rounds 7] [--threads N]

The model of `minilstm study imdb`: Embedding (10,000 words, 32), LSTM (64), Dense (2, softmax), Adam 3e-3,
clipping at 1, batches of 32 real reviews, padded after their end and cut at their beginning; float32.
Each side trains on the same few batches in the same order, in one process, in turn. Each turn begins after
a pause with the same new weights, trains on all batches once to warm up, and is timed the second time. The
predictions of all sides are compared before anything is timed; where they differ the row is refused.

Ours is `fit`, with all that it does between the steps. PyTorch is the loop that its users write: zero_grad,
backward, clip_grad_norm_, Adam, as it is by default and with `fused=True`; the ratio is to the faster one. It
has no mask; padded at the end, the same model is the output at each review's last word. The other form,
`pack_padded_sequence`, is timed on two batches alone (its own column): on a CPU it takes many times as long.
PyTorch is told to flush numbers below 1e-38 to 0, as our kernels do; left as it is by default its step at
length 400 takes ten times as long. Threads take that over from the one that starts them, so it is told first.
An epoch in seconds is the median of a batch times the 625 batches of the study's training part.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from functools import partial

import isa
import numpy as np
import torch
from measure import Others, machine, sentence
from torch.nn.utils.rnn import pack_padded_sequence

import minilstm as ml
from minilstm.datasets import load_imdb

BATCH, WORDS, VECTOR, UNITS, STEPS = 32, 10_000, 32, 64, 625
Epoch = Callable[[], object]
Predict = Callable[[], np.ndarray]
Weights = list[np.ndarray]


def ours(T: int, x: np.ndarray, y: np.ndarray, mask: np.ndarray | None) -> tuple[ml.Sequential, Epoch]:
    """The study's model, and one epoch of it."""
    start = ml.initializers.RandomUniform(-(3**0.5), 3**0.5)
    words = ml.Embedding(WORDS, VECTOR, embeddings_initializer=start, input_shape=(T,))
    model = ml.Sequential([words, ml.LSTM(UNITS), ml.Dense(2, activation="softmax")], seed=0)
    model.compile(
        optimizer=ml.Adam(3e-3, clipnorm=1.0), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model, lambda: model.fit(x, y, mask=mask, batch_size=BATCH, epochs=1, shuffle=False, verbose=0)


class Reviews(torch.nn.Module):
    """The same model in PyTorch; `how` it comes by the state after the last step."""

    def __init__(self, how: str, weights: Weights) -> None:
        super().__init__()
        self.how = how
        self.words = torch.nn.Embedding(WORDS, VECTOR)
        self.lstm = torch.nn.LSTM(VECTOR, UNITS, batch_first=True)
        self.dense = torch.nn.Linear(UNITS, 2)
        table, kernel, recurrent, bias, dense, dense_bias = weights
        own = (
            (self.words.weight, table),
            (self.lstm.weight_ih_l0, kernel.T),
            (self.lstm.weight_hh_l0, recurrent.T),
            (self.lstm.bias_ih_l0, bias),
            (self.lstm.bias_hh_l0, np.zeros_like(bias)),
            (self.dense.weight, dense.T),
            (self.dense.bias, dense_bias),
        )
        with torch.no_grad():
            for parameter, value in own:
                parameter.copy_(torch.tensor(value.copy()))

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        vectors = self.words(x)
        if self.how == "packed":
            packed = pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False)
            last = self.lstm(packed)[1][0][0]
        elif self.how == "last word":
            last = self.lstm(vectors)[0][torch.arange(len(x)), lengths - 1]
        else:
            last = self.lstm(vectors)[1][0][0]
        return self.dense(last)


def with_torch(
    how: str, fused: bool, weights: Weights, x: np.ndarray, y: np.ndarray, lengths: np.ndarray
) -> tuple[Predict, Epoch]:
    """Prediction, and one epoch."""
    model = Reviews(how, weights)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, eps=1e-7, fused=fused)
    loss = torch.nn.CrossEntropyLoss()
    data = [torch.tensor(array.astype(np.int64)) for array in (x, lengths, y)]

    def epoch() -> float:
        total, right = 0.0, 0
        for k in range(0, len(x), BATCH):
            ids, own, targets = (array[k : k + BATCH] for array in data)
            optimizer.zero_grad()
            logits = model(ids, own)
            value = loss(logits, targets)
            value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += float(value.detach())
            right += int((logits.argmax(1) == targets).sum())
        return total

    def predict() -> np.ndarray:
        with torch.no_grad():
            return torch.softmax(model(data[0], data[1]), 1).numpy()

    return predict, epoch


def in_turn(sides: dict[str, Callable[[], Epoch]], rounds: int) -> dict[str, list[float]]:
    """Seconds of an epoch of each side."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, new in sides.items():
            epoch = new()
            time.sleep(0.06)
            epoch()
            start = time.perf_counter()
            epoch()
            found[name].append(time.perf_counter() - start)
    return found


def row(T: int, masked: bool, reviews: ml.datasets.Split, rounds: int) -> str:
    """One line of the table."""
    x = ml.pad_sequences(reviews.x, maxlen=T, padding="post", truncating="pre")
    lengths = np.minimum([len(review) for review in reviews.x], T)
    mask = ml.lengths_to_mask(lengths, T, "post") if masked else None
    model, _ = ours(T, x, reviews.y, mask)
    weights = [weight.copy() for weight in model.get_weights()]
    wanted = model.predict(x, mask=mask)
    sides: dict[str, Callable[[], Epoch]] = {"ours": lambda: ours(T, x, reviews.y, mask)[1]}
    for how, fused in itertools.product(("last word", "packed") if masked else ("plain",), (False, True)):
        few = 2 * BATCH if how == "packed" else len(x)
        new = partial(with_torch, how, fused, weights, x[:few], reviews.y[:few], lengths[:few])
        error = float(np.abs(new()[0]() - wanted[:few]).max())
        if error > 1e-5:
            raise SystemExit(f"T={T}: PyTorch ({how}) predicts otherwise, by {error:.1e}")
        if how != "packed":
            sides[f"{how}{', fused' if fused else ''}"] = lambda new=new: new()[1]  # type: ignore[misc]
        elif not fused:
            packed = 1e3 * in_turn({how: lambda new=new: new()[1]}, 1)[how][0] / 2  # type: ignore[misc]
    times = in_turn(sides, rounds)
    batches = len(x) // BATCH
    ms = {name: 1e3 * float(np.median(values)) / batches for name, values in times.items()}
    own = ms.pop("ours")
    low, high = (1e3 * np.quantile(times["ours"], q) / batches for q in (0.25, 0.75))
    others = ", ".join(f"{name} {value:.1f} ({value / own:.2f}x)" for name, value in ms.items())
    fastest = min(ms.values())
    return (
        f"T={T} {'masked' if masked else 'plain '} {own:6.1f} [{low:.1f}, {high:.1f}] ms a batch; {others}"
        f"{f', packed {packed:.0f}' if masked else ''}; an epoch {own * STEPS / 1e3:.1f} s, "
        f"PyTorch {fastest * STEPS / 1e3:.1f} s: {fastest / own:.2f}x"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lengths", default="200,400")
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=ml.get_num_threads())
    isa.add_option(parser)
    options = parser.parse_args()
    isa.restrict(options.isa)
    others = Others()
    ml.set_num_threads(options.threads)
    torch.set_num_threads(options.threads)
    x, y = load_imdb().train
    reviews = ml.datasets.Split(x[: options.batches * BATCH], y[: options.batches * BATCH])
    print(f"{options.batches} batches of {BATCH}")
    for T in map(int, options.lengths.split(",")):
        for masked in (True, False):
            print(row(T, masked, reviews, options.rounds), flush=True)
    print(f"Measured {sentence(machine(others, 'torch'))}.")


if __name__ == "__main__":
    main()
