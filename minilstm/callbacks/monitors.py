"""Callbacks that follow one value of the epochs' logs: stop, save, or lower the learning rate by it.

Source: `keras/src/callbacks/{monitor_callback,early_stopping,reduce_lr_on_plateau,model_checkpoint}.py`.
"""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Set
from pathlib import Path
from string import Formatter
from typing import Any, Literal

from minilstm import metrics, saving
from minilstm.callbacks.base import Callback, Logs, settable_rate
from minilstm.foundations import files
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import (
    flag,
    one_of,
    real_number,
    shown,
    spelled,
    verbosity,
    whole_number,
    wording,
)
from minilstm.network.progress import PER_STEP
from minilstm.saving import keras_format
from minilstm.saving.container import SUFFIXES


class Monitor(Callback):
    """Base: what is monitored, and whether a value is better than the best so far.

    monitor : a key of the epochs' logs;  mode : "min", "max", or "auto" (by the name); one that contradicts
    the loss or a known metric is refused, before the first batch, where Keras takes it;
    min_delta : a smaller improvement is none. NaN is never an improvement.
    """

    @spelled
    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        if not isinstance(monitor, str):
            raise TypeError(wording("monitor", "the name of a value in the logs", shown(monitor)))
        self.monitor = monitor
        self.mode = one_of("mode", mode, ("auto", "min", "max"))
        self.min_delta = real_number("min_delta", min_delta)
        self.best: float | None = None
        self.told = False  # that there is nothing to follow

    remembers: tuple[str, ...] = ()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.told, self._sign = False, self._direction()

    def check_logs(self, names: Set[str]) -> None:
        if self.monitor not in names:
            raise ValueError(wording("monitor", f"one of {', '.join(sorted(names))}", shown(self.monitor)))

    def get_state(self) -> dict[str, Any]:
        """What is to be remembered where a fit is taken up again."""
        return {name: getattr(self, name) for name in (*self.remembers, "told")}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        for name in (*self.remembers, "told"):
            setattr(self, name, state[name])

    def _direction(self) -> float:
        known = metrics.direction(self.monitor.removeprefix("val_"), self.model.metrics)
        got = f"{self.mode!r} and monitor={self.monitor!r}"
        if self.mode == "auto" and known is None:
            raise ValueError(wording("mode", "'min' or 'max' for what is not a known metric", got))
        if known is not None and self.mode not in ("auto", known):
            raise ValueError(wording("mode", f"'auto' or {known!r} for this metric", got))
        return -1.0 if "min" in (self.mode, known) else 1.0

    def better(self, value: float, than: float | None) -> bool:
        """Whether `value` beats `than` by more than min_delta."""
        return not math.isnan(value) and (than is None or self._sign * (value - than) > self.min_delta)

    def value(self, logs: Logs | None) -> float | None:
        """The monitored value; None, after one warning per fit, where the logs do not have it."""
        logs = logs or {}
        if self.monitor in logs:
            return logs[self.monitor]
        if not (self.told or self.awaited()):
            self.told = True
            text = wording("monitor", f"one of {', '.join(logs)}", shown(self.monitor))
            warnings.warn(f"{type(self).__name__} has nothing to follow: {text}", stacklevel=2)
        return None

    def awaited(self) -> bool:
        """Whether the logs will have the value, if not after every epoch; only masks make "loss_per_step"."""
        return self.monitor in self.log_names and not self.monitor.endswith(PER_STEP)

    def say(self, verbose: int, text: str) -> None:
        """Print `text`, if asked."""
        if verbose:
            print(text)


class EarlyStopping(Monitor):
    """Stop when the monitored value has not improved for `patience` epochs.

    Parameters
    ----------
    monitor, min_delta, mode : what counts as an improvement
    patience : epochs without one; 0 and 1 both stop at the first
    verbose : 1 to say when it stops
    baseline : a value that must be beaten too
    restore_best_weights : whether the model ends with the weights from the end of its best epoch
    start_from_epoch : epochs before this one do not count

    As in Keras, the first epoch never stops training.

    >>> EarlyStopping(monitor="loss", patience=3).patience
    3
    """

    remembers = ("best", "wait", "stopped_epoch", "best_epoch", "best_weights")

    @spelled
    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = whole_number("patience", patience, 0)
        self.verbose = verbosity(verbose)
        self.baseline = None if baseline is None else real_number("baseline", baseline, -math.inf)
        self.restore_best_weights = flag("restore_best_weights", restore_best_weights)
        self.start_from_epoch = whole_number("start_from_epoch", start_from_epoch, 0)
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best_weights: list[Array] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best, self.best_weights = None, None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.value(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        improved = self.better(value, self.best)
        if improved:
            self.best, self.best_epoch = value, epoch
            if self.baseline is None or self.better(value, self.baseline):
                self.wait = 0
        if self.restore_best_weights and (improved or self.best_weights is None):
            self.best_weights = self.model.get_weights()
        if not improved and self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch:
            self.say(self.verbose, f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            text = "Restoring model weights from the end of the best epoch: "
            self.say(self.verbose, f"{text}{self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(Monitor):
    """Multiply the learning rate by `factor` when the monitored value stops improving.

    Parameters
    ----------
    monitor, min_delta, mode : what counts as an improvement
    factor : between 0 and 1
    patience : epochs without improvement before the learning rate is reduced
    verbose : 1 to say when it is
    cooldown : epochs after a reduction in which nothing is counted
    min_lr : the learning rate does not fall below it

    The learning rate that an epoch used is recorded in History.

    >>> ReduceLROnPlateau(factor=1.0)
    Traceback (most recent call last):
    ValueError: factor must be a finite number >= 0 and < 1, got 1.0
    """

    logs_learning_rate = True
    remembers = ("best", "wait", "cooling")

    @spelled
    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = real_number("factor", factor, below=1.0)
        self.patience = whole_number("patience", patience, 0)
        self.verbose = verbosity(verbose)
        self.cooldown = whole_number("cooldown", cooldown, 0)
        self.min_lr = real_number("min_lr", min_lr)
        self.wait = self.cooling = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        settable_rate(self, self.model)
        self.best, self.wait, self.cooling = None, 0, 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value, optimizer = self.value(logs), settable_rate(self, self.model)
        if value is None:
            return
        if self.cooling:
            self.cooling, self.wait = self.cooling - 1, 0
        if self.better(value, self.best):
            self.best, self.wait = value, 0
        elif not self.cooling:
            self.wait += 1
            if self.wait >= self.patience and optimizer.learning_rate > self.min_lr:
                optimizer.learning_rate = max(optimizer.learning_rate * self.factor, self.min_lr)
                text = f"ReduceLROnPlateau reducing learning rate to {optimizer.learning_rate}."
                self.say(self.verbose, f"\nEpoch {epoch + 1}: {text}")
                self.cooling, self.wait = self.cooldown, 0


class ModelCheckpoint(Monitor):
    """Save the model, after each epoch or after so many batches, always or when it is the best so far.

    Parameters
    ----------
    filepath : where to; may hold `{epoch}` (counted from 1), `{batch}` and keys of the logs, such as
        "best-{epoch:02d}-{val_loss:.2f}.npz"; missing folders are made, before the first batch
    monitor, mode : what is best
    verbose : 1 to say what is done
    save_best_only : whether to save only when the monitored value is the best so far
    save_weights_only : whether to save weights alone, with `model.save_weights`, instead of `model.save`
    save_freq : "epoch", or a number of batches
    initial_value_threshold : the monitored value must be better than this too
    resume : whether fit goes on from the file at `filepath`, if it is there, instead of from the beginning:
        with the same bits as a fit that was never interrupted, at any batch: layers' states, data, callbacks
        and CSVLogger's file included. Run the same script again. Iterables need `get_state` and `set_state`,
        or to be a list; callbacks of your own that remember something need them too

    >>> ModelCheckpoint("model.npz", save_freq="day")
    Traceback (most recent call last):
    ValueError: save_freq must be 'epoch' or a number of batches, got 'day'
    """

    remembers = ("best", "batches", "epoch")

    @spelled
    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: int | Literal["epoch"] = "epoch",
        initial_value_threshold: float | None = None,
        resume: bool = False,
    ) -> None:
        super().__init__(monitor, mode, 0.0)
        self.filepath = files.checked_path("filepath", filepath)
        self.paths = (self.filepath,)
        self.verbose = verbosity(verbose)
        only_weights, resume = flag("save_weights_only", save_weights_only), flag("resume", resume)
        foreign = keras_format.WEIGHTS_SUFFIX if only_weights else keras_format.SUFFIX
        known = SUFFIXES if resume else (*SUFFIXES, foreign)  # Keras's files hold no state of a fit
        if not self.filepath.endswith(known):
            expected = f"a name that ends in {' or '.join(known)}"
            raise ValueError(wording("filepath", expected, shown(self.filepath)))
        _check_pattern(self.filepath)
        self.save_best_only = flag("save_best_only", save_best_only)
        self.save_weights_only = flag("save_weights_only", save_weights_only)
        if isinstance(save_freq, str) and save_freq != "epoch":
            raise ValueError(wording("save_freq", "'epoch' or a number of batches", shown(save_freq)))
        self.save_freq = save_freq if isinstance(save_freq, str) else whole_number("save_freq", save_freq)
        if initial_value_threshold is not None:
            initial_value_threshold = real_number(
                "initial_value_threshold", initial_value_threshold, -math.inf
            )
        self.initial_value_threshold = self.best = initial_value_threshold
        self.batches = self.epoch = 0  # since the last file; the epoch that goes on
        if resume:
            if save_best_only or save_weights_only or "{" in self.filepath:
                expected = "False where the file is not always the last whole model"
                raise ValueError(wording("resume", expected, "True"))
            self.resume_from = self.filepath

    def check_logs(self, names: Set[str]) -> None:
        if self.save_best_only:
            super().check_logs(names)
        wanted = _names_in(self.filepath)
        if self.save_freq == "epoch" and (unknown := sorted(wanted - names - {"epoch"})):
            expected = f"a path with no other names in braces than {', '.join(['epoch', *sorted(names)])}"
            raise ValueError(wording("filepath", expected, f"{self.filepath!r} ({unknown[0]!r})"))

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if self.save_best_only:
            super().on_train_begin(logs)
        self._make_folder(self.filepath)
        self.told, self.best, self.batches = False, self.initial_value_threshold, 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.batches += 1
        if self.save_freq != "epoch" and self.batches >= self.save_freq:
            self.batches = 0
            self._save(self.epoch, (logs or {}) | {"batch": batch + 1})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch" or (self.resume_from is not None and self.model.stop_training):
            self._save(epoch, logs or {})

    def _save(self, epoch: int, logs: Logs) -> None:
        try:
            path = self.filepath.format(**(logs | {"epoch": epoch + 1}))
        except (KeyError, IndexError) as error:
            known = ", ".join(["epoch", *logs])
            expected = f"a path with no other names in braces than {known}"
            raise ValueError(wording("filepath", expected, f"{self.filepath!r} ({error})")) from None
        if not self._wanted(epoch, logs, path):
            return
        self._make_folder(path)
        (saving.save_weights if self.save_weights_only else saving.save)(self.model, path)

    def _make_folder(self, path: str) -> None:
        folder = Path(path).parent
        if "{" not in str(folder):
            files.make_folder(folder)

    def _wanted(self, epoch: int, logs: Logs, path: str) -> bool:
        start = f"\nEpoch {epoch + 1}: "
        value = self.value(logs) if self.save_best_only else None
        if self.save_best_only and value is None and self.awaited() and self.save_freq == "epoch":
            return False  # this epoch was not validated: what is best stays
        if value is None:  # nothing to compare with: save, as Keras does
            self.say(self.verbose, f"{start}saving model to {path}")
            return True
        best = "None" if self.best is None else f"{self.best:.5f}"
        if not self.better(value, self.best):
            self.say(self.verbose, f"{start}{self.monitor} did not improve from {best}")
            return False
        text = f"{self.monitor} improved from {best} to {value:.5f}, saving model to {path}"
        self.say(self.verbose, start + text)
        self.best = value
        return True


def _names_in(pattern: str) -> set[str]:
    return {re.split(r"[.\[]", name)[0] for _, name, _, _ in Formatter().parse(pattern) if name}


def _check_pattern(filepath: str) -> None:
    """ValueError for a path that is a folder, or cannot be filled with numbers."""
    try:
        filled = filepath.format(**dict.fromkeys(_names_in(filepath), 1))
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        expected = "a path with names of numbers in braces, as {epoch:02d}"
        raise ValueError(wording("filepath", expected, f"{filepath!r} ({error})")) from None
    if Path(filled).is_dir():
        raise ValueError(wording("filepath", "a file", f"the folder {filepath!r}"))
