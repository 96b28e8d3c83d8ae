"""The loop of fit: epochs, batches, means, callbacks, what is printed; and the same without training.

All that changes while fit runs, beside the weights and the optimizer, is one `FitState`.
What this file is not: it checks no arguments (`model` does) and computes no gradients (`passes` does).
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from minilstm import saving
from minilstm.callbacks import Callback, Logs
from minilstm.foundations import interrupts
from minilstm.foundations.errors import NonFiniteError, given_name, shown, wording
from minilstm.metrics import name_of
from minilstm.network import passes
from minilstm.network.network import Network, optimizer_and_loss, train_step
from minilstm.network.progress import PER_STEP, FitState, History, Means, Stateful
from minilstm.network.sources import Arrays, Batches, Source
from minilstm.network.states import own_states
from minilstm.training.progress_bar import ProgressBar


class Hooks:
    """Call a method of all callbacks, in their order, each with logs and params of its own."""

    def __init__(self, callbacks: Sequence[Callback], model: Network, params: dict[str, Any]) -> None:
        self.callbacks = callbacks
        for callback in callbacks:
            callback.set_params(copy.deepcopy(params))
            callback.set_model(model)

    def __call__(self, name: str, *arguments: Any) -> None:
        *where, logs = arguments
        for callback in self.callbacks:
            getattr(callback, name)(*where, copy.deepcopy(logs))


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
    validation_freq: int | Sequence[int] = 1  # after every so many epochs, or after these, counted from 1

    def __post_init__(self) -> None:
        params = {"verbose": self.verbose, "epochs": self.epochs, "steps": self.data.steps}
        # who saves the model comes last, and so saves what the others have done
        self.callbacks = sorted(self.callbacks, key=lambda callback: callback.resume_from is not None)
        self.progress = FitState(self.initial_epoch, history=History(params=params), parts=self._parts())
        self.hooks = Hooks(self.callbacks, self.model, params)
        self._check_logs()

    def _check_logs(self) -> None:
        """Tell callbacks the names of the logs; where no user's callback may add to them, they are all."""
        metrics = map(name_of, self.model.metrics)
        names = {"loss", PER_STEP, *metrics}
        if self.validation is not None:
            names |= {f"val_{name}" for name in names}
        if any(callback.logs_learning_rate for callback in self.callbacks):
            names.add("learning_rate")
        for callback in self.callbacks:
            callback.log_names = names
        for callback in self.callbacks:
            own = type(callback).__module__.startswith("minilstm.")
            if not own and type(callback).on_epoch_end is not Callback.on_epoch_end:
                return
        for callback in self.callbacks:
            callback.check_logs(names)

    def run(self) -> History:
        """Train until all epochs are done or a callback stops the model."""
        model, progress, logs = self.model, self.progress, Logs()
        model.stop_training = False
        model.progress = progress
        self.hooks("on_train_begin", {})
        self._resume()
        if progress.history.epoch:
            logs = {key: values[-1] for key, values in progress.history.history.items()}
        with interrupts.held():  # Ctrl-C ends between two batches
            while progress.batch or (progress.epoch < self.epochs and not model.stop_training):
                logs = self._epoch()
        self.hooks("on_train_end", logs)
        return progress.history

    def _parts(self) -> dict[str, Stateful]:
        """What changes while this fit runs, beside the model; ValueError where it cannot be put back."""
        parts: dict[str, Stateful] = {}
        resumed = any(callback.resume_from is not None for callback in self.callbacks)
        for name, data in (("x", self.data), ("validation_data", self.validation)):
            if isinstance(data, Arrays) and data.limit is not None:
                parts[name] = data
            if isinstance(data, Batches):
                if resumed and not data.resumable:
                    expected = "a list of batches or an iterable with get_state and set_state, to be resumed"
                    raise ValueError(wording(name, expected, f"a {type(data.source).__name__}"))
                parts[name] = data
        for callback in self.callbacks:
            name = type(callback).__name__
            if hasattr(callback, "get_state") != hasattr(callback, "set_state"):
                raise TypeError(wording(name, "with get_state and set_state, or with neither", "one of them"))
            if isinstance(callback, Stateful):
                taken = sum(part.partition(" ")[0] == name for part in parts)
                parts[f"{name} {taken + 1}" if taken else name] = callback
        return parts

    def _resume(self) -> None:
        """Go on where a callback's file stands; where there is none, make one that stands at the start."""
        paths = [callback.resume_from for callback in self.callbacks if callback.resume_from is not None]
        for path in filter(os.path.exists, paths):
            size = None if isinstance(self.data, Batches) else self.data.data.size
            saving.resume(self.model, path, size)
            self.data.steps = self.progress.history.params["steps"]
            return
        for path in paths:
            saving.save(self.model, path)

    def _epoch(self) -> Logs:
        progress = self.progress
        if self.verbose:
            print(f"Epoch {progress.epoch + 1}/{self.epochs}")
        if progress.batch == 0:
            self.hooks("on_epoch_begin", progress.epoch, {})
            progress.order = self.data.order(self.model.shuffle if self.shuffle else None)
            progress.means = Means()
        bar = ProgressBar(self.data.steps, self.verbose)
        if not (progress.batch and self.model.stop_training):
            self._batches(bar)
        logs, done = progress.means.result(), progress.batch
        self.data.steps = progress.history.params["steps"] = self.data.steps or done
        self.data.end_epoch(done)
        if isinstance(self.data, Batches):
            self.model.stop_training |= self.data.ended
        if self.validation is not None and self._validates(progress.epoch + 1):
            with own_states(self.model.layers):
                scores = score(self.model, self.validation, self.hooks)
            self._check_masks(self.validation)
            logs |= {f"val_{key}": value for key, value in scores.items()}
        logs = dict(sorted(logs.items()))
        bar.close(done, logs)
        if any(callback.logs_learning_rate for callback in self.callbacks):
            logs["learning_rate"] = optimizer_and_loss(self.model)[0].learning_rate
        return self._end_epoch(logs)

    def _check_masks(self, validation: Source) -> None:
        """ValueError where masks came with the one and not with the other: iterables show it late."""
        if self.data.masked is None or validation.masked is None:
            return
        if self.data.masked and not validation.masked:
            expected = "given where batches of x have masks (where every step is real: all True)"
            raise ValueError(wording("validation_mask", expected, None))
        if validation.masked and not self.data.masked:
            raise ValueError(wording("validation_mask", "None where no batch of x has a mask", "an array"))

    def _validates(self, epoch: int) -> bool:
        freq = self.validation_freq
        return epoch % freq == 0 if isinstance(freq, int) else epoch in freq

    def _end_epoch(self, logs: Logs) -> Logs:
        """Record the epoch, then call back: who saves the model then saves it between two epochs."""
        progress, epoch, known = self.progress, self.progress.epoch, set[str]()
        progress.epoch, progress.batch, progress.order = epoch + 1, 0, None
        for callback in self.callbacks:
            self._record(logs, known)
            handed = dict(logs)
            callback.on_epoch_end(epoch, handed)
            logs |= _added(callback, {key: value for key, value in handed.items() if key not in logs})
        self._record(logs, known)
        return logs

    def _record(self, logs: Logs, known: set[str]) -> None:
        """Put into the history what is not known yet: a callback may add to the logs of an epoch."""
        self.progress.history.add(self.progress.epoch - 1, {k: logs[k] for k in logs if k not in known})
        known.update(logs)

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
                    bar.update(progress.batch, progress.means.result())
                    continue
                if self.verbose:
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
            interrupts.check()
            if self.model.stop_training:
                return


def _added(callback: Callback, logs: dict[Any, Any]) -> Logs:
    """What a callback of the user's adds to the logs, which files and figures can hold: numbers by name."""
    found, adds = Logs(), f"which {type(callback).__name__} adds to the logs"
    for name, value in logs.items():
        given_name(f"a name {adds}", name)
        try:
            number = None if isinstance(value, (str, bytes)) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = None
        if number is None:
            raise TypeError(wording(f"{name!r:.80}, {adds},", "a number", shown(value)))
        found[name] = number
    return found


def score(model: Network, data: Source, hooks: Hooks, bar: ProgressBar | None = None) -> Logs:
    """Loss and metrics of the model as it is."""
    loss, means = optimizer_and_loss(model)[1], Means()
    hooks("on_test_begin", {})
    for number, batch in enumerate(data.read(None)):
        hooks("on_test_batch_begin", number, {})
        done = passes.forward(model.layers, batch.x, batch.mask, keep="outputs")
        found = passes.loss_and_gradient(model.layers, loss, batch.y, done, batch.weight)
        means.add(found.value, batch, done)
        logs = means.result()
        hooks("on_test_batch_end", number, logs)
        interrupts.check()
        if bar is not None:
            bar.update(number + 1, logs)
    logs = means.result()
    if bar is not None:
        bar.close(number + 1, logs)
    hooks("on_test_end", logs)
    return logs
