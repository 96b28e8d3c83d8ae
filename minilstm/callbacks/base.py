"""The methods that fit and evaluate call on every callback."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from minilstm.foundations.errors import shown, wording
from minilstm.network.network import Network, optimizer_and_loss
from minilstm.optimizers import Optimizer

Logs = dict[str, float]


class Callback:
    """Override what you need; each method does nothing by itself. Names and order are Keras's.

    `self.model` is the model that is being fitted, `self.params` holds verbose, epochs and steps. Set
    `self.model.stop_training = True` to stop after the current batch, or after the epoch at its end.

    What a method is handed is a copy, made for this callback: whatever it does to it changes neither the
    training nor what other callbacks see. `self.model` is the model itself, so that a callback can act on it.

    Logs: those of a batch hold the means over the epoch so far, "loss" and the metrics; and of this batch
    alone "batch_loss", the gradient's "norm" before clipping, "norm_after" it, and whether it was "clipped"
    (0.0 or 1.0).
    Those of an epoch are what History records; numbers that are added to them there by name are recorded too
    (anything else is an error), and what is changed is not.

    A callback that carries something from batch to batch, and is to take part in a fit that can be taken up
    again (`ModelCheckpoint(resume=True)`), has two methods more: `get_state()`, and `set_state(state)`, which
    is called after `on_train_begin`; see `minilstm.network.progress.Stateful`. Without them it counts as one
    that has nothing to remember.

    >>> class Print(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print(epoch, logs["loss"])
    """

    model: Network
    params: dict[str, Any]
    logs_learning_rate = False  # whether the logs of an epoch are to hold "learning_rate"
    resume_from: str | None = None  # the file that fit goes on from, if it is there
    paths: tuple[str, ...] = ()  # the files or folders that it writes; no two callbacks of a fit share one
    log_names: Set[str] = frozenset()  # what fit knows that the logs of some epoch will have

    def set_model(self, model: Network) -> None:
        """Before everything else."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Before everything else."""
        self.params = params

    def check_logs(self, names: Set[str]) -> None:
        """Before all else, with the names that the logs of each epoch will have: raise, or do nothing.

        "loss_per_step" is among them, which only a masked loss has. Not called where a callback of your own
        has `on_epoch_end`, which may add to them.
        """

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch of a fit."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch, with its logs; not where fit raised an error."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before the first batch of an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch, its validation included."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of training: what `on_train_batch_begin` calls."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After the update of a batch: what `on_train_batch_end` calls."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After the update of a batch."""
        self.on_batch_end(batch, logs=logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation, and before the validation of an epoch."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After it, with the loss and the metrics it found."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of an evaluation."""

    def on_predict_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Before `predict`."""

    def on_predict_end(self, logs: dict[str, Any] | None = None) -> None:
        """After it."""

    def on_predict_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Before a batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """After a batch of `predict`, with its "outputs"."""


def settable_rate(callback: Callback, model: Network) -> Optimizer:
    """The model's optimizer; ValueError where a schedule has the learning rate."""
    optimizer = optimizer_and_loss(model)[0]
    if optimizer.schedule is not None:
        expected = f"a number for {type(callback).__name__}, which sets it"
        raise ValueError(wording("learning_rate", expected, shown(optimizer.schedule)))
    return optimizer
