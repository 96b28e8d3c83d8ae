"""The loop of fit: epochs, batches, means, callbacks, what is printed; and the same without training.

All that changes while fit runs, beside the weights and the optimizer, is one `Progress`.
What this file is not: it checks no arguments (`model` does) and computes no gradients (`passes` does).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from minilstm import passes
from minilstm.callbacks import Callback, Logs
from minilstm.errors import NonFiniteError
from minilstm.history import History
from minilstm.layers.base import Array
from minilstm.metrics import Metric
from minilstm.optimizers import Update

if TYPE_CHECKING:
    from minilstm.model import Sequential


class Step(NamedTuple):
    """What one training step found: the loss before the update, the update, the forward pass."""

    loss: float
    update: Update
    done: passes.Pass


class Data(NamedTuple):
    """Checked inputs, targets, mask, and the metrics that fit them."""

    x: Array
    y: Array
    mask: Array | None
    metrics: list[Metric]

    @property
    def size(self) -> int:
        return len(self.x)

    def batches(self, batch_size: int, order: Array) -> Iterator[tuple[Array, Array, Array | None]]:
        """The samples in `order`, in batches; the last may be shorter."""
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            yield self.x[rows], self.y[rows], None if self.mask is None else self.mask[rows]


class Means:
    """Loss and metrics over the batches of an epoch: the loss weighted by batch size, as in Keras."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.metrics = metrics
        self.loss, self.samples = 0.0, 0
        self.totals = [[0.0, 0] for _ in metrics]

    def add(self, loss: float, y: Array, done: passes.Pass) -> None:
        """Count a batch."""
        self.loss += loss * len(done.output)
        self.samples += len(done.output)
        for total, metric in zip(self.totals, self.metrics, strict=True):
            value, count = metric.count(y, done.output, done.mask)
            total[0] += value
            total[1] += count

    def result(self) -> Logs:
        """The means so far, the loss first."""
        logs = {"loss": self.loss / self.samples}
        for (value, count), metric in zip(self.totals, self.metrics, strict=True):
            logs[metric.name] = value / count if count else 0.0
        return logs


@dataclass
class Progress:
    """Where a fit stands: `batch` batches of epoch `epoch` are done, the samples are taken in `order`."""

    means: Means
    epoch: int = 0
    batch: int = 0
    order: Array | None = None  # None before an epoch has begun
    history: History = field(default_factory=History)


class Fit:
    """One call of fit, its arguments checked. `run` goes on from where `progress` stands."""

    def __init__(
        self,
        model: Sequential,
        data: Data,
        validation: Data | None,
        batch_size: int,
        shuffle: bool,
        epochs: int,
        verbose: int | str,
        callbacks: Sequence[Callback],
    ) -> None:
        self.model, self.data, self.validation = model, data, validation
        self.batch_size, self.shuffle, self.epochs = batch_size, shuffle, epochs
        self.verbose, self.callbacks = verbose, callbacks
        self.steps = -(-data.size // batch_size)
        params = {"verbose": verbose, "epochs": epochs, "steps": self.steps}
        self.progress = Progress(Means(data.metrics), history=History(params=params))

    def run(self) -> History:
        """Train until all epochs are done or a callback stops the model."""
        progress = self.progress
        self.model.stop_training = False
        self.model.history = progress.history
        for callback in self.callbacks:
            callback.model = self.model
        while progress.epoch < self.epochs and not self.model.stop_training:
            start = time.perf_counter()
            logs = self._epoch()
            if self.validation is not None:
                scores = score(self.model, self.validation, self.batch_size)
                logs |= {f"val_{key}": value for key, value in scores.items()}
            logs = dict(sorted(logs.items()))
            history = progress.history
            history.epoch.append(progress.epoch)
            for key, value in logs.items():
                history.history.setdefault(key, []).append(value)
            if self.verbose != 0:
                _print_epoch(progress.epoch, self.epochs, logs, time.perf_counter() - start, self.steps)
            for callback in self.callbacks:
                callback.on_epoch_end(progress.epoch, logs)
            progress.epoch += 1
        return progress.history

    def _epoch(self) -> Logs:
        """The batches of an epoch that are not done yet."""
        progress = self.progress
        if progress.order is None:
            for callback in self.callbacks:
                callback.on_epoch_begin(progress.epoch)
            size = self.data.size
            progress.order = self.model._shuffle.permutation(size) if self.shuffle else np.arange(size)
            progress.means = Means(self.data.metrics)
        rest = progress.order[progress.batch * self.batch_size :]
        for x, y, mask in self.data.batches(self.batch_size, rest):
            try:
                step = self.model._train_step(x, y, mask)
            except NonFiniteError as error:
                where = f"epoch {progress.epoch + 1}, batch {progress.batch + 1}"
                message = f"{where}: {error}. The weights are those before this batch."
                raise NonFiniteError(message, error.origin) from None
            progress.means.add(step.loss, y, step.done)
            progress.batch += 1
            logs = {"loss": step.loss, "norm": step.update.norm, "clipped": float(step.update.clipped)}
            for callback in self.callbacks:
                callback.on_train_batch_end(progress.batch - 1, logs)
        progress.batch, progress.order = 0, None
        return progress.means.result()


def score(model: Sequential, data: Data, batch_size: int) -> Logs:
    """Loss and metrics of the model as it is."""
    loss, means = model._compiled()[1], Means(data.metrics)
    for x, y, mask in data.batches(batch_size, np.arange(data.size)):
        done = passes.forward(model.layers, x, mask, keep="nothing")
        means.add(passes.loss_and_gradient(model.layers, loss, y, done).value, y, done)
    return means.result()


def _print_epoch(epoch: int, epochs: int, logs: Logs, seconds: float, steps: int) -> None:
    numbers = " - ".join(f"{key}: {value:.4f}" for key, value in logs.items())
    print(f"Epoch {epoch + 1}/{epochs}")
    print(f"{steps}/{steps} - {seconds:.0f}s - {seconds / steps * 1000:.0f}ms/step - {numbers}")
