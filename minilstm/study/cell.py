"""One cell of the study: train one model, and measure it.

The result is a record, a dict that JSON can hold. A number that does not exist (the accuracy of a model
that diverged, a norm that is not finite) is None in it, never 0. The fields in `TIMES` are the only
ones that differ from run to run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minilstm.callbacks import Callback, Logs
from minilstm.datasets import Split
from minilstm.errors import NonFiniteError
from minilstm.layers import LSTM, Dense
from minilstm.model import Sequential
from minilstm.optimizers import Adam
from minilstm.sequences import lengths_to_mask, pad_sequences, padding_audit
from minilstm.study.plan import Cell, Settings
from minilstm.trace import LayerTrace

Record = dict[str, Any]
Array = NDArray[Any]

TIMES = ("seconds_per_epoch", "ms_per_step", "seconds")
PROBE = 64  # validation sequences whose gradients are looked at
CONFIDENCE = 0.95


class _Part:
    """One split, padded and truncated to the cell's length."""

    def __init__(self, split: Split, settings: Settings, cell: Cell) -> None:
        padding, truncating = settings.padding or "post", settings.truncating or "post"
        self.x = pad_sequences(
            split.x, maxlen=cell.length, dtype="float32", padding=padding, truncating=truncating
        )  # (B, T, D)
        self.y = split.y
        self.real = lengths_to_mask([len(s) for s in split.x], cell.length, padding)  # (B, T)
        self.mask = self.real if cell.mask else None


class _Watch(Callback):
    """Times of the training batches (validation apart), and how many gradients were clipped."""

    def __init__(self) -> None:
        self.epochs: list[list[float]] = []
        self.clipped = 0
        self.curves: dict[str, list[float]] = {}

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        self.epochs.append([])
        self.last = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        now = time.perf_counter()
        self.epochs[-1].append(now - self.last)
        self.last = now
        self.clipped += int(logs["clipped"])

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        for key, value in logs.items():
            self.curves.setdefault(key, []).append(value)


def build_model(settings: Settings, cell: Cell, features: int, classes: int | None) -> Sequential:
    """The compiled model of a cell; cells of one seed start from the same weights."""
    head = Dense(1) if classes is None else Dense(classes, activation="softmax")
    model = Sequential(
        [LSTM(settings.units, input_shape=(cell.length, features), name="lstm"), head],
        dtype="float32",
        seed=settings.model_seed(cell),
    )
    optimizer = Adam(settings.learning_rate, clipnorm=settings.clipnorm)
    if classes is None:
        model.compile(optimizer, "mse")
    else:
        model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])
    return model


def run_cell(settings: Settings, cell: Cell) -> Record:
    """Train and measure one cell. Divergence is a result: `diverged` then says what happened."""
    start = time.perf_counter()
    data = settings.data(cell.length)
    train, validation, test = (
        _Part(split, settings, cell) for split in (data.train, data.validation, data.test)
    )
    model = build_model(settings, cell, data.features, data.classes)
    audit = padding_audit(data.train.x, cell.length)[0]
    watch = _Watch()
    record: Record = {"length": cell.length, "mask": cell.mask, "seed": cell.seed, "diverged": None}
    record |= _baselines(train, validation, test, data.classes) | dict.fromkeys(METRICS)
    with np.errstate(all="ignore"):  # what is not finite becomes part of the record
        record["before"] = _probe(model, validation)
        try:
            model.fit(
                train.x,
                train.y,
                mask=train.mask,
                batch_size=settings.batch_size,
                epochs=settings.epochs,
                validation_data=(validation.x, validation.y),
                validation_mask=validation.mask,
                verbose=0,
                callbacks=[watch],
            )
        except NonFiniteError as error:
            record["diverged"] = str(error)
        else:
            record |= _scores(model, train, validation, test, data.classes)
        record["after"] = _probe(model, validation)
    size = settings.batch_size
    steps = [seconds for epoch in watch.epochs for seconds in epoch]
    whole = [sum(epoch) for epoch in watch.epochs if len(epoch) == -(-len(train.x) // size)]
    return record | {
        "seconds_per_epoch": _median(whole),
        "ms_per_step": _median([1000 * seconds for seconds in steps]),
        "seconds": time.perf_counter() - start,
        "tape_bytes": sum(model.memory(min(size, len(train.x)), train.x.shape[1]).values()),
        "cut_share": audit.cut_share,
        "padding_share": audit.padding_share,
        "clipped_share": watch.clipped / len(steps) if steps else None,
        "curves": {key: [finite(v) for v in values] for key, values in sorted(watch.curves.items())},
    }


# ------------------------------------------------------------ how good it is


METRICS = ("test_metric", "test_low", "test_high", "validation_metric", "validation_error", "train_metric")


def _baselines(train: _Part, validation: _Part, test: _Part, classes: int | None) -> Record:
    """What always answering the commonest training class, or the training mean, would reach."""
    answer = np.bincount(train.y).argmax() if classes else train.y.mean()
    parts = {"baseline": test, "validation_baseline": validation}
    return {name: float(_against(answer, part.y, classes).mean()) for name, part in parts.items()}


def _scores(model: Sequential, train: _Part, validation: _Part, test: _Part, classes: int | None) -> Record:
    """Test, validation and training metric of a trained model."""
    found = {}
    for name, part in (("test", test), ("validation", validation), ("train", train)):
        output = model.predict(part.x, mask=part.mask)
        found[name] = _against(output.argmax(axis=-1) if classes else output, part.y, classes)
    low, high = (wilson if classes else student)(found["test"])
    error = standard_error(found["validation"])
    means = [found[name].mean() for name in ("test", "validation", "train")]
    values = (means[0], low, high, means[1], error, means[2])
    return dict(zip(METRICS, map(finite, values), strict=True))


def _against(answer: Any, y: Array, classes: int | None) -> Array:
    """Per sample: 1.0 where the answer is right; the squared error of a regression."""
    found: Array = answer == y if classes else np.square(np.asarray(answer, float) - y)
    return found.astype(float).reshape(len(y))  # (B,)


def wilson(right: Array) -> tuple[float, float]:
    """95 % interval of a share, from one True or 1.0 per success (Wilson 1927, as in scipy)."""
    from scipy.stats import binomtest

    found = binomtest(int(np.sum(right)), len(right)).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def student(values: Array) -> tuple[float, float]:
    """95 % interval of a mean, Student's t; (nan, nan) from fewer than two values."""
    from scipy.stats import t

    if len(values) < 2:
        return math.nan, math.nan
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * standard_error(values)
    mean = float(np.mean(values))
    return mean - half, mean + half


def standard_error(values: Array) -> float:
    """Standard deviation / sqrt(n); nan from fewer than two values."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


# ------------------------------------------------------------ what the gradient does


def _probe(model: Sequential, part: _Part) -> Record:
    """The gradient of the hidden state, step by step, for the first validation sequences."""
    mask = None if part.mask is None else part.mask[:PROBE]
    layer = model.trace(part.x[:PROBE], part.y[:PROBE], mask)["lstm"]
    statuses, counts = np.unique(layer.status("dh"), return_counts=True)
    per_sample = layer.norm("dh", per_sample=True)  # (B, T)
    first = layer.real.argmax(axis=1)  # (B,)
    return {
        "horizon": finite(layer.horizon(0.01)),
        "first_norm": finite(np.linalg.norm(per_sample[np.arange(len(first)), first])),
        "norms": [finite(value) for value in layer.lag_norm("dh")],
        "status": {str(name): int(count) for name, count in zip(statuses, counts, strict=True)},
        "profile": profile(layer, part.real[:PROBE]),
    }


def profile(layer: LayerTrace, real: Array) -> Record:
    """The norm of dh relative to the end of each recording: the median over the recordings.

    offset 0 is the last real step of a recording, negative offsets lie in it, positive ones in the
    padding after it. `real` (B, T) says which steps are real, whether or not the layer was masked. A
    masked step passes its gradient on, so a masked layer has numbers in the padding too. The median,
    not the mean square: a few long recordings with little padding would hide the many short ones.
    Offsets that fewer than a quarter of the recordings have are left out.
    """
    norms = np.sqrt(np.square(layer.dh.astype(np.float64)).sum(axis=2))  # (B, T)
    T = real.shape[1]
    last = T - 1 - real[:, ::-1].argmax(axis=1)  # (B,)
    first = real.argmax(axis=1)  # (B,)
    steps = np.arange(T)
    offset = np.where(steps >= first[:, None], steps - last[:, None], T)  # padding before a recording: none
    enough = max(1, len(real) // 4)
    found = [s for s in range(1 - T, T) if np.count_nonzero(offset == s) >= enough]
    return {"offset": found, "norm": [finite(np.median(norms[offset == s])) for s in found]}


def finite(value: Any) -> float | None:
    """`value` as a float, None if it is NaN or infinite."""
    number = float(value)
    return number if math.isfinite(number) else None


def _median(values: Iterable[float]) -> float | None:
    values = list(values)
    return float(np.median(values)) if values else None
