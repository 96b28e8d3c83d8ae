"""One point of the study: train one model, and measure it.

The result is a record, a dict that JSON can hold. A number that does not exist (the accuracy of a model
that diverged, a norm that is not finite) is None in it, never 0. The fields in `TIMES` are the only
ones that differ from run to run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from minilstm import layers
from minilstm.callbacks import Callback, Logs
from minilstm.compiled import threads
from minilstm.datasets import Dataset, Split
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import NonFiniteError
from minilstm.initializers import RandomUniform
from minilstm.model import Sequential
from minilstm.network import tracing
from minilstm.network.network import Network
from minilstm.optimizers import Adam
from minilstm.sequences import lengths_to_mask, pad_sequences, padding_audit
from minilstm.study.plan import Point, Settings
from minilstm.study.source import Source
from minilstm.study.statistics import share_error, standard_error, student, wilson
from minilstm.trace.lags import by_lag, reach
from minilstm.trace.trace import LayerTrace

Record = dict[str, Any]
TIMES = ("seconds_per_epoch", "ms_per_step", "ms_low", "ms_high", "seconds", "threads")
PROBE = 64  # validation sequences whose gradients are looked at
SEEN = 5_000  # training sequences, at most, on which the trained model is measured
REACH = 0.01  # of its largest norm, down to which the gradient's horizon goes
SNAPSHOTS = 20  # epochs, at most, after which the gradient's profile is kept
LEARNED = 0.99  # training accuracy from which on patience counts
# Word vectors start with variance 1, as in PyTorch. From Keras's start, within 0.05 of 0, the IMDb model of
# length 400 ended at a test accuracy of 0.846, where a PyTorch model with its own start reaches 0.887.
UNIT = RandomUniform(-math.sqrt(3), math.sqrt(3))


class Part:
    """One split, padded and truncated to the point's length."""

    def __init__(self, split: Split, point: Point, ids: bool) -> None:
        padding, truncating = point.padding or "post", point.truncating or "post"
        dtype = "int32" if ids else "float32"
        self.x = pad_sequences(
            split.x, maxlen=point.length, dtype=dtype, padding=padding, truncating=truncating
        )  # (B, T, D), or (B, T) ids
        self.y = split.y
        self.real = lengths_to_mask([len(s) for s in split.x], point.length, padding)  # (B, T)
        self.mask = self.real if point.mask else None

    @property
    def nbytes(self) -> int:
        return int(self.x.nbytes + (0 if self.mask is None else self.mask.nbytes))


class _Watch(Callback):
    """Times of the training batches, how many gradients were clipped, the gradient after each epoch, the end.

    The end is decided on training and validation values alone, by one rule for all lengths and seeds.
    """

    def __init__(self, point: Point, validation: Part, settings: Settings) -> None:
        self.point, self.validation, self.patience = point, validation, settings.patience
        self.epochs: list[list[float]] = []
        self.clipped = 0
        self.curves: dict[str, list[float]] = {}
        self.kept = {round(k) for k in np.linspace(1, settings.epochs, SNAPSHOTS)}
        self.snapshots: list[Record] = []

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self.epochs.append([])
        self.last = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        now = time.perf_counter()
        self.epochs[-1].append(now - self.last)
        self.last = now
        self.clipped += int((logs or {})["clipped"])

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        for key, value in (logs or {}).items():
            self.curves.setdefault(key, []).append(value)
        if epoch + 1 in self.kept:
            self.snapshot(self.model, epoch + 1)
        if self.patience is not None and has_converged(self.curves, self.patience):
            self.model.stop_training = True

    def snapshot(self, model: Network, epoch: int) -> None:
        """Keep the gradient's norm at some steps before the end, and its horizon."""
        norms = _trace(model, self.point, self.validation).lag_norm("dh")
        found = [finite(norms[k]) for k in thin(len(norms))]
        horizon = finite(reach(norms, REACH))
        self.snapshots.append({"epoch": epoch, "horizon": horizon, "norms": rounded(found)})


def has_converged(curves: dict[str, list[float]], patience: int) -> bool:
    """Whether the training accuracy is high, and so many epochs in a row had no better validation loss.

    >>> has_converged({"accuracy": [0.9, 1.0, 1.0], "val_loss": [0.3, 0.3, 0.4]}, 2)
    True
    >>> has_converged({"accuracy": [0.9, 1.0, 1.0], "val_loss": [0.3, 0.4, 0.2]}, 2)
    False
    """
    losses = curves["val_loss"]
    since = len(losses) - 1 - losses.index(min(losses))
    return curves["accuracy"][-1] >= LEARNED and since >= patience


def build_model(settings: Settings, point: Point, data: Dataset) -> Sequential:
    """The compiled model of a point; points of one seed and one size start from the same weights."""
    options: dict[str, Any] = {"units": point.units, "name": layers.label(point.rnn)}
    if point.forget_bias is not None:
        options["unit_forget_bias"] = bool(point.forget_bias)
    stack: list[layers.Layer] = []
    if data.vocabulary is None:
        options["input_shape"] = (point.length, data.features)
    else:
        words = layers.Embedding(
            data.vocabulary,
            settings.embedding or 1,
            embeddings_initializer=UNIT,
            input_shape=(point.length,),
            name="words",
        )
        stack.append(words)
    stack.append(layers.maker_of(point.rnn)(**options))
    stack.append(layers.Dense(data.classes, activation="softmax") if data.classes else layers.Dense(1))
    model = Sequential(stack, dtype="float32", seed=settings.model_seed(point))
    optimizer = Adam(settings.learning_rate, clipnorm=point.clipnorm)
    if data.classes is None:
        model.compile(optimizer, "mse")
    else:
        model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])
    return model


def run_point(settings: Settings, source: Source, point: Point, save: Path | None = None) -> Record:
    """Train and measure one point, and save its model if told. `diverged` says what happened, if it did."""
    start = time.perf_counter()
    data = source.at(point.length)
    ids = data.vocabulary is not None
    train, validation, test = (Part(part, point, ids) for part in (data.train, data.validation, data.test))
    if point.shuffled:
        train.y = np.random.default_rng([settings.seed, point.seed]).permutation(train.y)
    model = build_model(settings, point, data)
    audit = padding_audit(data.train.x, point.length)[0]
    watch = _Watch(point, validation, settings)
    record: Record = point.to_dict() | {"diverged": None}
    record |= _baselines(train, validation, test, data) | dict.fromkeys((*METRICS, "confusion"))
    with np.errstate(all="ignore"):  # what is not finite becomes part of the record
        record["before"] = _probe(model, point, validation)
        watch.snapshot(model, 0)
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
            if save is not None:
                model.save(save)
        record["after"] = _probe(model, point, validation)
    size = settings.batch_size
    steps = [1000 * seconds for epoch in watch.epochs for seconds in epoch]
    whole = [sum(epoch) for epoch in watch.epochs if len(epoch) == -(-len(train.x) // size)]
    return record | {
        "seconds_per_epoch": _quantile(whole, 0.5),
        **quartiles(steps),  # beside other models: `timing` measures it alone
        "seconds": time.perf_counter() - start,
        "threads": threads.get_num_threads(),
        "tape_bytes": sum(model.memory(min(size, len(train.x)), train.x.shape[1]).values()),
        "data_bytes": sum(part.nbytes for part in (train, validation, test)),
        "cut_share": audit.cut_share,
        "sequences_cut_share": audit.sequences_cut_share,
        "padding_share": audit.padding_share,
        "clipped_share": watch.clipped / len(steps) if steps else None,
        "curves": {key: [finite(v) for v in values] for key, values in sorted(watch.curves.items())},
        "lags": thin(len(record["before"]["norms"])),
        "snapshots": watch.snapshots,
    }


# ------------------------------------------------------------ how good it is


CLASSES = 200  # at most, of which the answers are counted class by class
METRICS = ("test_metric", "test_low", "test_high", "validation_metric", "validation_error", "train_metric")


def _baselines(train: Part, validation: Part, test: Part, data: Dataset) -> Record:
    """What always answering the commonest training class, or the training mean, would reach.

    Of a forecast, what the rule that is best on the validation part would.
    """
    if data.baselines:
        best = min(data.baselines, key=lambda rule: rule.validation)
        return {
            "baseline": best.test,
            "validation_baseline": best.validation,
            "baseline_name": best.name,
        }
    classes = data.classes
    answer = np.bincount(train.y).argmax() if classes else train.y.mean()
    parts = {"baseline": test, "validation_baseline": validation}
    return {name: float(_against(answer, part.y, classes).mean()) for name, part in parts.items()}


def _scores(model: Sequential, train: Part, validation: Part, test: Part, classes: int | None) -> Record:
    """Test, validation and training metric of a trained model, the last on at most `SEEN` sequences."""
    found, confusion = {}, None
    for name, part in (("test", test), ("validation", validation), ("train", train)):
        n = SEEN if name == "train" else len(part.x)
        output = model.predict(part.x[:n], mask=None if part.mask is None else part.mask[:n])
        found[name] = _against(output.argmax(axis=-1) if classes else output, part.y[:n], classes)
        if name == "test" and classes and classes <= CLASSES:
            confusion = np.zeros((classes, classes), int)  # (true class, answer)
            np.add.at(confusion, (part.y, output.argmax(axis=-1)), 1)
    low, high = (wilson if classes else student)(found["test"])
    error = (share_error if classes else standard_error)(found["validation"])
    means = [found[name].mean() for name in ("test", "validation", "train")]
    values = (means[0], low, high, means[1], error, means[2])
    return {
        **dict(zip(METRICS, map(finite, values), strict=True)),
        "confusion": None if confusion is None else confusion.tolist(),
    }


def _against(answer: Any, y: Array, classes: int | None) -> Array:
    """Per sample: 1.0 where the answer is right; the squared error of a regression."""
    found: Array = answer == y if classes else np.square(np.asarray(answer, float) - y)
    return found.astype(float).reshape(len(y))  # (B,)


# ------------------------------------------------------------ what the gradient does


def _trace(model: Network, point: Point, part: Part) -> LayerTrace:
    """The recurrent layer on the first sequences of a part."""
    mask = None if part.mask is None else part.mask[:PROBE]
    return tracing.trace(model, part.x[:PROBE], part.y[:PROBE], mask)[layers.label(point.rnn)]


def _probe(model: Sequential, point: Point, part: Part) -> Record:
    """The gradient of the hidden state, step by step, for the first validation sequences."""
    layer = _trace(model, point, part)
    statuses, counts = np.unique(layer.status("dh"), return_counts=True)
    per_sample = layer.norm("dh", per_sample=True)  # (B, T)
    norms = by_lag(per_sample, layer.real)
    first = layer.real.argmax(axis=1)  # (B,)
    return {
        "horizon": finite(reach(norms, REACH)),
        "first_norm": finite(np.linalg.norm(per_sample[np.arange(len(first)), first])),
        "norms": [finite(value) for value in norms],
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


def thin(count: int) -> list[int]:
    """Numbers from 0 to `count` - 1: all, or the first 32 and then ever fewer, about 100 together."""
    if count <= 96:
        return list(range(count))
    return sorted({*range(32), *(round(k) for k in np.geomspace(32, count - 1, 64))})


def rounded(values: Iterable[float | None], digits: int = 4) -> list[float | None]:
    """The values to so many significant digits: the journal need not hold noise."""
    return [None if value is None else float(f"{value:.{digits}g}") for value in values]


def finite(value: Any) -> float | None:
    """`value` as a float, None if it is NaN or infinite."""
    number = float(value)
    return number if math.isfinite(number) else None


def quartiles(steps: list[float]) -> Record:
    """The median of the times of training steps (ms), and the ends between which the middle half lies."""
    shares = {"ms_per_step": 0.5, "ms_low": 0.25, "ms_high": 0.75}
    return {name: _quantile(steps, share) for name, share in shares.items()}


def _quantile(values: list[float], share: float) -> float | None:
    return float(np.quantile(values, share)) if values else None
