"""Numbers of training for a board to draw: metrics of each epoch, gradient norms of each step back in time.

`Scalars` hands every number to a function of yours; `TensorBoard` writes them to its files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from minilstm.callbacks.base import Logs
from minilstm.callbacks.gradient_tracer import GradientTracer
from minilstm.foundations import files
from minilstm.foundations.errors import among, listed, misspelled, shown, spelled, whole_number, wording
from minilstm.network.network import optimizer_and_loss

Write = Callable[[str, float, int], Any]
# Keras's arguments of TensorBoard, and the values that change nothing here.
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "histogram_freq": (0,),
    "write_graph": (True, False),
    "write_images": (False,),
    "write_steps_per_second": (False,),
    "profile_batch": (0,),
    "embeddings_freq": (0,),
    "embeddings_metadata": (None,),
}


class Scalars(GradientTracer):
    """Call `write(tag, value, step)` with the numbers of a fit.

    After each epoch, with its number: "epoch_loss" and so on for all of its logs, and "epoch_learning_rate".
    After each chosen batch, with the number of batches before it: "batch_loss", "norm" of all gradients, and
    for each recurrent layer the norms at chosen lags, "gradients/lstm/dh/lag_8" for 8 steps back from the
    last real one.

    every : k for every k-th batch; "epoch" for the first batch of each epoch
    lags : which; None for 0, 1, 2, 4, 8, ...

    >>> import numpy as np, minilstm as ml
    >>> model = ml.Sequential([ml.LSTM(2, input_shape=(3, 1), backend="numpy"), ml.Dense(1)], seed=0)
    >>> model.compile("sgd", "mse")
    >>> tags = []
    >>> hook = Scalars(lambda tag, value, step: tags.append(tag))
    >>> _ = model.fit(np.ones((4, 3, 1)), np.ones(4), verbose=0, callbacks=[hook])
    >>> tags[:3], tags[-2:]
    (['batch_loss', 'norm', 'gradients/lstm/dh/lag_0'], ['epoch_loss', 'epoch_learning_rate'])
    """

    @spelled
    def __init__(
        self, write: Write, every: int | Literal["epoch"] = "epoch", lags: Sequence[int] | None = None
    ) -> None:
        super().__init__(every)
        if not callable(write):
            raise TypeError(wording("write", "a function (tag, value, step)", shown(write)))
        self.write = write
        lags = None if lags is None else listed("lags", "a list of whole numbers", lags)
        self.lags = None if lags is None else [whole_number("lags", lag, 0) for lag in lags]

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        super().on_train_batch_end(batch, logs)
        for record in self.records:
            self.write("batch_loss", record.loss, self.steps - 1)
            self.write("norm", record.norm, self.steps - 1)
            for path, layer in record.layers.items():
                for name, values in layer.states.items():
                    lags = _powers(len(values)) if self.lags is None else self.lags
                    for lag in (lag for lag in lags if lag < len(values)):
                        tag = f"gradients/{path}/{name}/lag_{lag}"
                        self.write(tag, float(values[lag]), self.steps - 1)
        self.records.clear()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        rate = {"learning_rate": optimizer_and_loss(self.model)[0].learning_rate}
        for name, value in ((logs or {}) | rate).items():
            self.write(f"epoch_{name}", value, epoch)


class TensorBoard(Scalars):
    """Write what `Scalars` names to files of TensorBoard. Needs tensorboardX, not TensorFlow.

    As with Keras's, `log_dir` has a folder "train" and one "validation", and "epoch_loss" stands in both.

    log_dir : the folder, made where it is missing
    update_freq : "epoch" for the gradients of each epoch's first batch, "batch", or k for every k-th
    lags : of the gradients' norms, as in `Scalars`

    Keras's other arguments are taken at the values that change nothing: there are no histograms and graphs.
    Source: `keras.callbacks.TensorBoard`.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        update_freq: int | Literal["epoch", "batch"] = "epoch",
        lags: Sequence[int] | None = None,
        **words: Any,
    ) -> None:
        for name, value in words.items():
            if name not in NEUTRAL:
                raise misspelled("TensorBoard", name, ["log_dir", "update_freq", "lags", *NEUTRAL])
            if not among(value, NEUTRAL[name]):
                expected = f"{NEUTRAL[name][0]}: only scalars are written"
                raise ValueError(wording(name, expected, shown(value)))
        every: Any = 1 if among(update_freq, ("batch",)) else update_freq
        if not among(every, ("epoch",)):
            whole_number("update_freq", every)
        super().__init__(self._add, every, lags)
        self.log_dir = files.checked_path("log_dir", log_dir)
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            text = "TensorBoard needs tensorboardX: pip install 'minilstm[tensorboard]'"
            raise ImportError(f"{text}; Scalars(write) hands the numbers to a function of yours") from None
        self._make = SummaryWriter
        self.paths = (self.log_dir,)
        self._writers: dict[str, Any] = {}

    def _add(self, tag: str, value: float, step: int) -> None:
        part = "validation" if tag.startswith("epoch_val_") else "train"
        if part not in self._writers:
            self._writers[part] = self._make(os.path.join(self.log_dir, part))
        self._writers[part].add_scalar(tag.replace("epoch_val_", "epoch_"), value, step)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        super().on_epoch_end(epoch, logs)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()


def _powers(count: int) -> list[int]:
    """0, 1, 2, 4, 8, ... below `count`."""
    return [0, *(2**k for k in range(count.bit_length()) if 2**k < count)][:count]
