"""Callbacks: a way to look on, or to stop, while fit runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minilstm.model import Sequential

Logs = dict[str, float]


class Callback:
    """Override what you need; each method does nothing by itself.

    `self.model` is the model that is being fitted. Set `self.model.stop_training = True` to stop after
    the current epoch. The logs of a batch hold its "loss", the gradient's "norm" before clipping and
    whether it was "clipped" (0.0 or 1.0); those of an epoch are what History records.

    >>> class Print(Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         print(epoch, logs["loss"])
    """

    model: Sequential

    def on_epoch_begin(self, epoch: int) -> None:
        """Before the first batch of an epoch."""

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """After the update of a batch."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """After an epoch, its validation included."""
