"""Callbacks that follow no single value: a schedule by epochs, a CSV file, and stopping at NaN.

Source: `keras/src/callbacks/{learning_rate_scheduler,csv_logger,terminate_on_nan}.py`.
"""

from __future__ import annotations

import csv
import inspect
import io
import os
import warnings
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

import numpy as np

from minilstm.callbacks.base import Callback, Logs, settable_rate
from minilstm.foundations import files
from minilstm.foundations.errors import flag, in_utf8, misspelled, shown, spelled, verbosity, wording
from minilstm.network.progress import PER_STEP


class LearningRateScheduler(Callback):
    """Set the learning rate at the start of each epoch to `schedule(epoch, learning_rate)`.

    A schedule of one argument gets the epoch alone.

    The learning rate that an epoch used is recorded in History.

    >>> callback = LearningRateScheduler(lambda epoch, rate: rate if epoch < 10 else rate * 0.9)
    """

    logs_learning_rate = True

    @spelled
    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise TypeError(wording("schedule", "a function of (epoch, learning_rate)", shown(schedule)))
        self.schedule, self.verbose = schedule, verbosity(verbose)
        self.by_epoch_alone = _arguments(schedule) == 1

    def on_train_begin(self, logs: Logs | None = None) -> None:
        settable_rate(self, self.model)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = settable_rate(self, self.model)
        rate = self.schedule(*(epoch, optimizer.learning_rate)[: 1 if self.by_epoch_alone else 2])
        if not isinstance(rate, (float, np.floating)):
            raise TypeError(wording("what schedule returns", "a float", shown(rate)))
        optimizer.learning_rate = float(rate)
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")


class CSVLogger(Callback):
    """Write the logs of each epoch as a line of a CSV file: epoch (from 0), then the logs by name.

    filename : where to;  separator : between the columns;  append : whether to go on with an old file,
    whose header then stays the only one. A file is complete, and on the disk, after each epoch. What the
    first epoch reports becomes a column, and what validation will report ("NA" where an epoch has none; Keras
    adds them where there is no validation at all). A value that comes later, or is called epoch, is left out
    with a warning.

    >>> CSVLogger("log.csv", separator=";;")
    Traceback (most recent call last):
    ValueError: separator must be a string of one character, got ';;'
    """

    @spelled
    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        self.paths = (files.checked_path("filename", filename),)
        self.path = Path(filename)
        if not isinstance(separator, str) or len(separator) != 1 or not in_utf8(separator):
            raise ValueError(wording("separator", "a string of one character", shown(separator)))
        if separator in '"\r\n':
            raise ValueError(wording("separator", "no quote and no line end", shown(separator)))
        if not self.path.parent.is_dir():
            raise ValueError(wording("filename", "in a folder that exists", repr(os.fspath(filename))))
        self.separator, self.append = separator, flag("append", append)
        if self.path.is_dir():
            raise ValueError(wording("filename", "a file", f"the folder {os.fspath(filename)!r}"))
        if self.path.exists() and not self.path.is_file():  # of which nothing could be taken back
            raise ValueError(wording("filename", "a file", f"the pipe or device {os.fspath(filename)!r}"))
        self.columns: list[str] | None = None
        self.told = False  # that a value has no column
        self.size = 0  # bytes of the file that hold

    def check_logs(self, names: Set[str]) -> None:
        if self.append:
            self._check_header(sorted(names), {PER_STEP, f"val_{PER_STEP}"})

    def _check_header(self, columns: list[str], optional: Set[str] = frozenset()) -> None:
        """ValueError where the file goes on with other columns than these; some are optional."""
        columns = [name for name in columns if name not in optional]
        if self.path.exists():
            try:
                with self.path.open(newline="", encoding="utf-8") as file:
                    header = next(csv.reader(file, delimiter=self.separator), None)
            except (UnicodeDecodeError, csv.Error) as error:
                raise ValueError(
                    wording("filename", "a log of CSVLogger", f"{str(self.path)!r}: {error}")
                ) from None
            if header and [name for name in header if name not in optional] != ["epoch", *columns]:
                expected = f"a log with the columns epoch, {', '.join(columns)}"
                got = f"{str(self.path)!r} with {', '.join(header)}"
                raise ValueError(wording("filename", expected, got))

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.columns, self.told = None, False
        self.size = self.path.stat().st_size if self.append and self.path.exists() else 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        rows: list[list[Any]] = []
        logs = logs or {}
        if self.columns is None:
            later = {f"val_{name}" for name in logs} & self.log_names
            self.columns = sorted({*logs, *later} - {"epoch"})  # which is the first
            if self.size:
                self._check_header(self.columns)
            rows = [] if self.size else [["epoch", *self.columns]]
        if (unwritten := sorted(set(logs) - set(self.columns))) and not self.told:
            self.told = True
            reason = "its columns are epoch and what the first epoch reported"
            said = f"CSVLogger has no column for {', '.join(unwritten)}: {reason}"
            warnings.warn(said, stacklevel=2)
        rows.append([epoch, *(logs.get(key, "NA") for key in self.columns)])
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=self.separator).writerows(rows)
        files.truncate(self.path, self.size)
        lines = ("" if self._ends_its_line() else "\r\n") + text.getvalue()
        files.append_line(self.path, lines.removesuffix("\n"))
        self.size += len(lines.encode("utf-8"))

    def _ends_its_line(self) -> bool:
        if not self.size:
            return True
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() == b"\n"

    def get_state(self) -> dict[str, Any]:
        """The columns, and how much of the file belongs to the fit so far."""
        return {"columns": self.columns, "size": self.size}

    def set_state(self, state: dict[str, Any]) -> None:
        """Leave lines that a fit wrote after the checkpoint to be written over, by the next epoch.

        ValueError where lines before it are gone.
        """
        self.columns, self.size = state["columns"], state["size"]
        found = self.path.stat().st_size if self.path.exists() else 0
        if found < self.size:
            expected = f"the log of the fit that goes on, of {self.size} bytes or more"
            raise ValueError(wording("filename", expected, f"{str(self.path)!r} of {found}"))


class TerminateOnNaN(Callback):
    """Stop training, and raise no error, where the loss or a gradient becomes NaN or infinite.

    The weights stay those before that batch (Keras's are lost), the epoch's loss is recorded as NaN, and
    what happened is printed. The same as `fit(..., on_nonfinite="stop")` would say without a callback.

    raise_error : whether to raise the NonFiniteError instead, a RuntimeError as Keras's

    >>> TerminateOnNaN().raise_error
    False
    """

    @spelled
    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = flag("raise_error", raise_error)


class LambdaCallback(Callback):
    """A callback made of functions, by the names of the methods; see `Callback` for what they are given.

    >>> import minilstm as ml
    >>> model = ml.Sequential([ml.LSTM(2, input_shape=(3, 1)), ml.Dense(1)], seed=0)
    >>> model.compile(loss="mse")
    >>> said = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, sorted(logs)))
    >>> history = model.fit(np.ones((4, 3, 1)), np.ones(4), epochs=2, callbacks=[said], verbose=0)
    0 ['loss']
    1 ['loss']
    """

    @spelled
    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **functions: Callable[..., Any],
    ) -> None:
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        for name, function in (given | functions).items():
            if function is None:
                continue
            if not callable(function):
                raise TypeError(wording(name, "a function", shown(function)))
            if name.startswith("on_") and not hasattr(Callback, name):
                raise misspelled("LambdaCallback", name, filter(_is_hook, dir(Callback)))
            setattr(self, name, function)


def _is_hook(name: str) -> bool:
    return name.startswith("on_")


def _arguments(function: Callable[..., Any]) -> int:
    """How many arguments by position a function takes; 2 where it does not say."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 2
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return 2
    return sum(one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) for one in parameters)
