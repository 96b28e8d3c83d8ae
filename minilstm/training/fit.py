"""The loop of fit: epochs, batches, means, callbacks, what is printed; and the same without training.

All that changes while fit runs, beside the weights and the optimizer, is one `FitState`.
What this file is not: it checks no arguments (`model` does) and computes no gradients (`passes` does).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from minilstm import saving
from minilstm.callbacks import Callback, Logs
from minilstm.errors import NonFiniteError
from minilstm.network import passes
from minilstm.network.batches import Source, Stream
from minilstm.network.network import Network, optimizer_and_loss, train_step
from minilstm.network.progress import FitState, History, Means
from minilstm.training.progress_bar import ProgressBar


class Hooks:
    """Call a method of all callbacks, in their order."""

    def __init__(self, callbacks: Sequence[Callback], model: Network, params: dict[str, Any]) -> None:
        self.callbacks = callbacks
        for callback in callbacks:
            callback.set_params(params)
            callback.set_model(model)

    def __call__(self, name: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, name)(*arguments)


@dataclass
class Fit:
    """One call of fit, its arguments checked. `run` goes on from where `progress` stands."""

    model: Network
    data: Source
    validation: Source | None
    epochs: int
    initial_epoch: int
    shuffle: bool
    verbose: int
    callbacks: Sequence[Callback]
    on_nonfinite: Literal["raise", "stop", "skip"] = "raise"

    def __post_init__(self) -> None:
        params = {"verbose": self.verbose, "epochs": self.epochs, "steps": self.data.steps}
        # who saves the model comes last, and so saves what the others have done
        self.callbacks = sorted(self.callbacks, key=lambda callback: callback.resume_from is not None)
        self.progress = FitState(self.initial_epoch, history=History(params=params), callbacks=self.callbacks)
        self.hooks = Hooks(self.callbacks, self.model, params)

    def run(self) -> History:
        """Train until all epochs are done or a callback stops the model."""
        model, progress, logs = self.model, self.progress, Logs()
        model.stop_training = False
        model.progress = progress
        self.hooks("on_train_begin", {})
        self._resume()
        while progress.epoch < self.epochs and not model.stop_training:
            logs = self._epoch()
        self.hooks("on_train_end", logs)
        return progress.history

    def _resume(self) -> None:
        """Go on where a callback's file stands, if it has one."""
        for callback in self.callbacks:
            if callback.resume_from is not None and os.path.exists(callback.resume_from):
                size = None if isinstance(self.data, Stream) else self.data.data.size
                saving.resume(self.model, callback.resume_from, size)
                return

    def _epoch(self) -> Logs:
        progress = self.progress
        if self.verbose:
            print(f"Epoch {progress.epoch + 1}/{self.epochs}")
        if progress.batch == 0:
            self.hooks("on_epoch_begin", progress.epoch, {})
            progress.order = self.data.order(self.model.shuffle if self.shuffle else None)
            progress.means = Means()
        bar = ProgressBar(self.data.steps, self.verbose)
        self._batches(bar)
        logs, done = progress.means.result(), progress.batch
        self.data.steps = progress.history.params["steps"] = self.data.steps or done
        if isinstance(self.data, Stream) and self.data.ended:
            self.model.stop_training = True
        if self.validation is not None:
            scores = score(self.model, self.validation, self.hooks)
            logs |= {f"val_{key}": value for key, value in scores.items()}
        logs = dict(sorted(logs.items()))
        bar.close(done, logs)
        if any(callback.logs_learning_rate for callback in self.callbacks):
            logs["learning_rate"] = optimizer_and_loss(self.model)[0].learning_rate
        return self._end_epoch(logs)

    def _end_epoch(self, logs: Logs) -> Logs:
        """Record the epoch, then call back: who saves the model then saves it between two epochs."""
        progress, found, epoch = self.progress, list(logs), self.progress.epoch
        progress.history.add(epoch, logs)
        progress.epoch, progress.batch, progress.order = epoch + 1, 0, None
        self.hooks("on_epoch_end", epoch, logs)
        added = {key: value for key, value in logs.items() if key not in found}
        progress.history.add(epoch, added)
        return logs

    def _batches(self, bar: ProgressBar) -> None:
        """The batches of an epoch that are not done yet."""
        progress = self.progress
        for batch in self.data.read(progress.order, progress.batch):
            number = progress.batch
            self.hooks("on_train_batch_begin", number, {})
            try:
                step = train_step(self.model, batch)
            except NonFiniteError as error:
                where = f"epoch {progress.epoch + 1}, batch {number + 1}"
                text = f"{where}: {error}. The weights are those before this batch."
                if self.on_nonfinite == "raise":
                    raise NonFiniteError(text, error.origin) from None
                progress.history.nonfinite.append(text)
                if self.on_nonfinite == "skip":
                    progress.batch += 1
                    continue
                print(f"{text} Training stops.")
                self.model.stop_training = True
                progress.means.loss = float("nan")
                progress.means.samples = max(1, progress.means.samples)
                return
            progress.means.add(step.loss, batch, step.done)
            progress.batch += 1
            logs = progress.means.result()
            bar.update(progress.batch, logs)
            update = step.update
            logs |= {"norm": update.norm, "norm_after": update.norm_after, "clipped": float(update.clipped)}
            logs["batch_loss"] = step.loss
            self.hooks("on_train_batch_end", number, logs)
            if self.model.stop_training:
                return


def score(model: Network, data: Source, hooks: Hooks, bar: ProgressBar | None = None) -> Logs:
    """Loss and metrics of the model as it is."""
    loss, means = optimizer_and_loss(model)[1], Means()
    hooks("on_test_begin", {})
    for number, batch in enumerate(data.read(None)):
        hooks("on_test_batch_begin", number, {})
        done = passes.forward(model.layers, batch.x, batch.mask, keep="nothing")
        found = passes.loss_and_gradient(model.layers, loss, batch.y, done, batch.weight)
        means.add(found.value, batch, done)
        logs = means.result()
        hooks("on_test_batch_end", number, logs)
        if bar is not None:
            bar.update(number + 1, logs)
    logs = means.result()
    if bar is not None:
        bar.close(number + 1, logs)
    hooks("on_test_end", logs)
    return logs
