"""Where the batches of an epoch come from: arrays in memory, or an iterable that gives them.

Both can say where they stand, and go on from there in another process. What this file is not: it checks
nothing; `batches` does, and hands a check to what comes batch by batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import reworded, wording
from minilstm.network.passes import Batch
from minilstm.network.progress import Stateful

END = object()  # of an iterator


class Arrays:
    """Samples in memory, read in batches of `batch_size`; the last may be shorter.

    With `limit`, an epoch of training has that many batches and the next one goes on where it ended; the
    last one of a pass may have fewer, and is told. Read without an order, each reading begins anew.
    Source: `keras/src/trainers/epoch_iterator.py`.
    """

    def __init__(self, data: Batch, batch_size: int, limit: int | None = None) -> None:
        self.data, self.batch_size, self.limit = data, batch_size, limit
        self.whole = -(-data.size // batch_size)  # batches of a pass
        self.steps: int | None = limit or self.whole
        self._pass: Array | None = None  # the order of a pass that later epochs go on with
        self._taken = 0  # batches of it that earlier epochs had

    @property
    def masked(self) -> bool:
        """Whether a mask came with the samples."""
        return self.data.mask is not None

    def order(self, rng: np.random.Generator | None) -> Array:
        """A new order of the samples, their own where `rng` is None, or that of an unfinished pass."""
        if self._pass is not None:
            return self._pass
        found = np.arange(self.data.size) if rng is None else rng.permutation(self.data.size)
        self._pass = None if self.limit is None else found
        return found

    def read(self, order: Array | None, done: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, `done` of them left out at the start."""
        first = 0 if order is None else self._taken
        order = np.arange(self.data.size) if order is None else order
        for number in range(first + done, min(first + (self.limit or self.whole), self.whole)):
            yield self.data.take(order[number * self.batch_size : (number + 1) * self.batch_size])
        if self.limit is not None and first + self.limit > self.whole:
            text = f"x ran out of batches after {self.whole - first} of {self.limit} steps"
            warnings.warn(f"{text}: the next epoch begins with all {self.whole} again", stacklevel=2)

    def end_epoch(self, done: int) -> None:
        """An epoch of training with so many batches has ended."""
        self._taken += done if self.limit is not None else 0
        if self._taken >= self.whole:
            self._pass, self._taken = None, 0

    def get_state(self) -> dict[str, Any]:
        """Where the pass stands."""
        return {"pass": self._pass, "taken": self._taken}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on in that pass; ValueError where it is one of other samples."""
        found = state["pass"]
        if found is not None and len(found) != self.data.size:
            raise ValueError(wording("x", f"of the {len(found)} samples of the fit", self.data.size))
        self._pass = None if found is None else found.astype(np.intp)
        self._taken = int(state["taken"])


class Batches:
    """Batches from an iterable, each checked when it comes.

    With `steps`, an epoch has that many batches and the next one goes on where it ended; without, it has
    all that the iterable gives, and the next one begins anew. Where an iterator ends too early, `ended` is
    set after a warning, as in Keras. Its own state is the iterable's, and how far it has been read.
    """

    def __init__(self, source: Any, check: Callable[[Any], Batch], steps: int | None) -> None:
        self.source, self.check, self.limit = source, check, steps
        self.steps = steps or (len(source) if isinstance(source, Sized) else None)  # None: not known yet
        self.ended = False
        self.masked: bool | None = None  # whether a mask came with a batch so far; None before the first
        self._pass: Iterator[Any] | None = None  # through the source
        self._taken = 0  # batches of this pass
        self._began: Any = None  # the source's state when it began

    def order(self, rng: np.random.Generator | None) -> None:
        """None: the iterable has its own order."""

    def read(self, order: Array | None = None, done: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, `done` of them left out at the start."""
        count = done
        for item in self._rest_of_pass(done) if self.limit is None else self._next_steps(done, self.limit):
            try:
                batch = self.check(item)
            except (TypeError, ValueError) as error:
                raise reworded(error, f"batch {count + 1} of the epoch: {error}") from None
            self.masked = bool(self.masked) or batch.mask is not None
            yield batch
            count += 1
        if count == 0:
            raise ValueError(wording("x", "an iterable of at least 1 batch", "no batch"))

    def end_epoch(self, done: int) -> None:
        """Tell the iterable that an epoch of training has ended, as keras.utils.PyDataset wants it."""
        if hasattr(self.source, "on_epoch_end"):
            self.source.on_epoch_end()

    @property
    def resumable(self) -> bool:
        """Whether the iterable can be put back: by its `set_state`, or because it never changes."""
        source = self.source
        fixed = hasattr(source, "__getitem__") and hasattr(source, "__len__")
        return isinstance(source, Stateful) or (fixed and not hasattr(source, "on_epoch_end"))

    def get_state(self) -> dict[str, Any]:
        """The iterable's state, now and when its pass began, and how many batches of the pass were taken."""
        began = None if self._pass is None else {"began": self._began, "taken": self._taken}
        return {"now": _state_of(self.source), "pass": began}

    def set_state(self, state: dict[str, Any]) -> None:
        """Begin the pass again and leave out what was taken; ValueError where it has become shorter."""
        self._pass, began = None, state["pass"]
        if began is not None:
            _put_back(self.source, began["began"])
            items = self._begin()
            for taken in range(began["taken"]):
                if next(items, END) is END:
                    expected = f"the iterable of the fit that goes on, at least {began['taken']} batches long"
                    raise ValueError(wording("x", expected, f"{taken} batches"))
            self._taken = began["taken"]
        _put_back(self.source, state["now"])

    def _begin(self) -> Iterator[Any]:
        source = self.source
        self._began, self._taken = _state_of(source), 0
        self._pass = (
            iter(source) if isinstance(source, Iterable) else map(source.__getitem__, range(len(source)))
        )
        return self._pass

    def _rest_of_pass(self, done: int) -> Iterator[Any]:
        """All batches of a pass, without those that are done."""
        for item in self._pass if done and self._pass is not None else self._begin():
            self._taken += 1
            yield item
        self._pass = None

    def _next_steps(self, done: int, steps: int) -> Iterator[Any]:
        """The batches of an epoch of so many steps, from as many passes as that takes."""
        for taken in range(done, steps):
            item = END if self._pass is None else next(self._pass, END)
            if item is END:
                item = next(self._begin(), END)
            if item is END:
                self.ended = True
                text = f"x ran out of batches after {taken} of {steps} steps: training stops"
                warnings.warn(text, stacklevel=2)
                return
            self._taken += 1
            yield item


def _state_of(source: Any) -> Any:
    return source.get_state() if isinstance(source, Stateful) else None


def _put_back(source: Any, state: Any) -> None:
    if isinstance(source, Stateful):
        source.set_state(state)


Source = Arrays | Batches
