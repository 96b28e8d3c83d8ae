"""History, what fit returns; and where a fit stands: all, beside the network, that going on needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from minilstm.foundations import notebook
from minilstm.foundations.arrays import Array
from minilstm.metrics import Bound
from minilstm.network.passes import Batch, Pass

PER_STEP = "loss_per_step"


@dataclass
class History:
    """What fit returns: `history[name]` has one float per epoch, `epoch` the numbers of the epochs."""

    history: dict[str, list[float]] = field(default_factory=dict)
    epoch: list[int] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)
    nonfinite: list[str] = field(default_factory=list)  # the batches that fit stopped at or skipped, and why

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.history.items() if values)
        count = len(self.epoch)
        return f"<History: {count} epoch{'' if count == 1 else 's'}{': ' if last else ''}{last}>"

    def _repr_html_(self) -> str:
        rows = []
        for name, values in self.history.items():
            numbers = values[:1] + values[-1:] + ([min(values), max(values)] if values else [])
            rows.append([name, *(f"{number:.4g}" for number in numbers), notebook.sparkline(values)])
        head = ["", "first epoch", "last", "smallest", "largest", ""]
        title = f"History, {len(self.epoch)} epochs"
        return notebook.block(title, notebook.table(head, rows), *self.nonfinite[:3])

    def add(self, epoch: int, logs: dict[str, float]) -> None:
        """Take in what an epoch found, or more of the last epoch."""
        if self.epoch[-1:] != [epoch]:
            self.epoch.append(epoch)
        for key, value in logs.items():
            self.history.setdefault(key, []).append(value)


@dataclass
class Means:
    """Loss and metrics over the batches of an epoch: the loss weighted by batch size, as in Keras.

    Where a mask reaches the loss, that weighs a batch with few real steps as one with many: there PER_STEP
    is told too, the batches weighted by their real steps.
    """

    loss: float = 0.0
    samples: int = 0
    step_loss: float = 0.0  # of masked batches, times their real steps
    steps: int = 0
    sums: dict[str, Array] = field(default_factory=dict)  # of each metric
    metrics: dict[str, Bound] = field(default_factory=dict)

    def add(self, loss: float, batch: Batch, done: Pass) -> None:
        """Count a batch."""
        self.loss += loss * batch.size
        self.samples += batch.size
        if done.mask is not None:
            steps = int(done.mask.sum())
            self.step_loss += loss * steps
            self.steps += steps
        for metric in batch.metrics:
            before = self.sums.get(metric.name)
            self.sums[metric.name] = metric.add(before, batch.y, done.output, done.mask, batch.weight)
            self.metrics[metric.name] = metric

    def result(self) -> dict[str, float]:
        """The means so far, the loss first."""
        logs = {"loss": self.loss / self.samples if self.samples else float("nan")}
        for name, metric in self.metrics.items():
            logs[name] = metric.value(self.sums[name])
        if self.steps:
            logs[PER_STEP] = self.step_loss / self.steps
        return logs


@runtime_checkable
class Stateful(Protocol):
    """What changes while fit runs and can be put back: a callback, an iterable of batches, your own too.

    A state is made of None, bool, int, float, str and NumPy arrays of numbers, in lists, tuples and dicts by
    text. `set_state(get_state())`, on an object made with the same arguments, brings it to where the first
    one stood. What `get_state` returned does not change later. Where a fit is taken up, `set_state` is called
    before the model gets its weights back, so that a state that is refused leaves everything as it was.
    """

    def get_state(self) -> Any:
        """Where it stands."""

    def set_state(self, state: Any) -> None:
        """Go to where `state` says."""


@dataclass
class Kept:
    """The state of something that is not there: of a callback of a fit that was loaded from a file."""

    state: Any

    def get_state(self) -> Any:
        """The state."""
        return self.state

    def set_state(self, state: Any) -> None:
        """Take another one."""
        self.state = state


@dataclass
class FitState:
    """Where a fit stands: `batch` batches of epoch `epoch` are done, the samples are taken in `order`.

    parts : the callbacks and iterables whose states going on needs, by name
    """

    epoch: int = 0
    batch: int = 0
    order: Array | None = None  # None before an epoch has begun, and where the data has its own order
    means: Means = field(default_factory=Means)
    history: History = field(default_factory=History)
    parts: dict[str, Stateful] = field(default_factory=dict)
