"""What fit, evaluate and predict read: arrays, or an iterable of batches, checked against the model.

Arrays are checked as a whole, before any work; an iterable's batches as they come. Either way what a pass
gets needs no other look. What this file is not: it trains nothing.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from minilstm import metrics
from minilstm.arrays import Array
from minilstm.errors import real_number, reworded, whole_number, wording
from minilstm.layers import Embedding, checks
from minilstm.layers.base import Shape
from minilstm.network.network import Network, build, optimizer_and_loss
from minilstm.network.passes import Batch
from minilstm.network.progress import Stateful

DEFAULT_BATCH_SIZE = 32
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


class Stream:
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


Source = Arrays | Stream


class Given(NamedTuple):
    """What a user gave as data, and what it was called."""

    argument: str
    x: Any
    y: Any = None
    weight: Any = None
    mask: Any = None
    batch_size: Any = None
    steps: Any = None
    steps_name: str = "steps"


def source(
    model: Network, given: Given, class_weight: Mapping[int, float] | None = None, epochs: int = 1
) -> Source:
    """What `given` stands for: arrays where there is a y, otherwise an iterable of batches."""
    if given.y is not None or not (gives_batches(given.x) or isinstance(given.x, list)):
        return _arrays(model, given, class_weight)
    for name, value in (
        ("sample_weight", given.weight),
        ("mask", given.mask),
        ("batch_size", given.batch_size),
    ):
        if value is not None:
            expected = f"None where {given.argument} gives batches, which bring their own"
            raise ValueError(wording(name, expected, type(value).__name__))

    def check(item: Any) -> Batch:
        x, y, weight, mask = _parts(item)
        return weigh_classes(model, checked(model, x, y, mask, weight), class_weight)

    return _stream(given, check, epochs)


def training_data(
    model: Network,
    given: Given,
    validation: Given | None,
    split: float,
    split_steps: int | None,
    class_weight: Mapping[int, float] | None,
    epochs: int,
) -> tuple[Source, Source | None]:
    """What fit trains on, and what it evaluates after each epoch."""
    share = real_number("validation_split", split, below=1.0)
    if split_steps is not None and not share:
        raise ValueError(wording("validation_steps", "None without validation_data", split_steps))
    if validation is not None:
        if share:
            raise ValueError(wording("validation_split", "0 where validation_data is given", share))
        arrays = given.y is not None and validation.y is not None
        if arrays and (given.mask is None) != (validation.mask is None):
            one, other = ("given", "None") if validation.mask is None else ("None", "an array")
            expected = f"{one} where mask is {one} (where every step is real: all True)"
            raise ValueError(wording("validation_mask", expected, other))
        return source(model, given, class_weight, epochs), source(model, validation, None, epochs)
    data = source(model, given, None if share else class_weight, epochs)
    if not share:
        return data, None
    if not isinstance(data, Arrays):
        raise ValueError(wording("validation_split", "0 where x gives batches", share))
    size, first = data.data.size, math.floor(data.data.size * (1 - share))
    if first == 0:
        raise ValueError(wording("validation_split", f"small enough to leave 1 of {size} samples", share))
    training = weigh_classes(model, data.data.take(slice(first)), class_weight)
    held_out = data.data.take(slice(first, None))
    steps = None if split_steps is None else whole_number("validation_steps", split_steps)
    return Arrays(training, data.batch_size, data.limit), Arrays(held_out, data.batch_size, steps)


def validation_given(data: Any, mask: Any, batch_size: Any, steps: Any) -> Given | None:
    """What fit was given as validation data: (x, y[, sample_weight[, mask]]) or an iterable of batches."""
    name = "validation_data"
    if data is None:
        if mask is not None:
            raise ValueError(wording("validation_mask", "None without validation_data", type(mask).__name__))
        return None
    if gives_batches(data) or (isinstance(data, list) and all(isinstance(item, tuple) for item in data)):
        return Given(name, data, None, None, mask, None, steps, "validation_steps")
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3, 4):
        got = type(data).__name__ + (f" of {len(data)}" if isinstance(data, (tuple, list)) else "")
        expected = "(x, y), with sample_weight, with sample_weight and mask, or an iterable of batches"
        raise ValueError(wording(name, expected, got))
    x, y, weight, own = (*data, None, None)[:4]
    if own is not None and mask is not None:
        raise ValueError(wording("validation_mask", f"None where {name} has a mask", type(mask).__name__))
    mask = own if mask is None else mask
    return Given(name, x, y, weight, mask, batch_size, steps, "validation_steps")


def prediction_inputs(
    model: Network, x: Any, mask: Any, batch_size: int | None, steps: int | None
) -> Iterator[tuple[Array, Array | None]]:
    """The inputs of predict in batches, with their masks; one batch of nothing where there is no sample."""
    if gives_batches(x):

        def check(item: Any) -> Batch:
            whole = isinstance(item, (tuple, list))
            real = item[3] if whole and len(item) == 4 else None
            array, real = checked_inputs(model, item[0] if whole else item, real)
            return Batch(array, np.empty(0), real, None, ())

        for batch in _stream(Given("x", x, steps=steps), check, 1).read():
            yield batch.x, batch.mask
        return
    array, real = checked_inputs(model, x, mask)
    size = _size(batch_size)
    end = len(array) if steps is None else min(len(array), whole_number("steps", steps) * size)
    for start in range(0, max(end, 1), size):
        part = slice(start, start + size)
        yield array[part], None if real is None else real[part]


def order_of(x: Any) -> Array | None:
    """Which samples an iterable's batches hold, in their order, where it tells that by `indices()`."""
    indices = x.indices if gives_batches(x) and hasattr(x, "indices") else None
    return np.concatenate(indices()) if callable(indices) else None


def _arrays(model: Network, given: Given, class_weight: Mapping[int, float] | None) -> Arrays:
    if given.y is None:
        expected = f"given where {given.argument} is not an iterable of batches"
        raise ValueError(wording("y", expected, None))
    if gives_batches(given.x):
        got = f"a {type(given.y).__name__}"
        raise ValueError(wording("y", f"None where {given.argument} gives batches", got))
    steps = None if given.steps is None else whole_number(given.steps_name, given.steps)
    size = _size(given.batch_size)
    data = checked(model, given.x, given.y, given.mask, given.weight)
    return Arrays(weigh_classes(model, data, class_weight), size, steps)


def _size(batch_size: int | None) -> int:
    return DEFAULT_BATCH_SIZE if batch_size is None else whole_number("batch_size", batch_size)


def gives_batches(x: Any) -> bool:
    """Whether x is an iterable of batches and not something that NumPy takes for an array."""
    if isinstance(x, (list, tuple, str, bytes, dict)) or hasattr(x, "__array__"):
        return False
    return isinstance(x, Iterable) or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))


def _stream(given: Given, check: Callable[[Any], Any], epochs: int) -> Stream:
    """A Stream; ValueError where an iterator cannot last for all epochs."""
    x, steps = given.x, given.steps
    if steps is not None:
        whole_number(given.steps_name, steps)
    elif isinstance(x, Iterator) and epochs > 1:
        expected = f"given where {given.argument} is an iterator, which ends once"
        raise ValueError(wording(given.steps_name, expected, f"None and {epochs} epochs"))
    return Stream(x, check, steps)


def _parts(item: Any) -> tuple[Any, Any, Any, Any]:
    """A batch as (x, y, sample_weight, mask), None for what it does not have."""
    if not isinstance(item, (tuple, list)) or not 2 <= len(item) <= 4:
        got = type(item).__name__ + (f" of {len(item)}" if isinstance(item, (tuple, list)) else "")
        raise ValueError(wording("it", "(x, y), (x, y, sample_weight) or (x, y, sample_weight, mask)", got))
    x, y, weight, mask = (*item, None, None)[:4]
    return x, y, weight, mask


def checked_inputs(model: Network, x: ArrayLike, mask: ArrayLike | None) -> tuple[Array, Array | None]:
    """x as a pass takes it, free of anything a layer cannot take, and the mask; builds the model."""
    return _checked_inputs(model, _as_array(model, x), mask)[:2]


def checked(
    model: Network,
    x: ArrayLike,
    y: ArrayLike,
    mask: ArrayLike | None = None,
    weight: ArrayLike | None = None,
) -> Batch:
    """Samples that training, evaluation and trace can use without another look at them."""
    loss = optimizer_and_loss(model)[1]
    if model.built and not any(layer.params for layer in model.layers):
        expected = "with at least one layer that learns"
        raise ValueError(wording("model", expected, [type(layer).__name__ for layer in model.layers]))
    array = _as_array(model, x)
    checks.check_same_length(array, y)
    array, real, shape = _checked_inputs(model, array, mask)
    if len(array) == 0:
        raise ValueError(wording("x", "of at least 1 sample", "0 samples"))
    counted = model.layers[0].input_mask(array, real) if len(shape) == 3 else None  # (B, T) of the loss
    targets = loss.check_targets(y, shape, counted)
    weights = None if weight is None else checks.sample_weight(weight, shape, counted)
    found = tuple(metrics.resolve(name, np.shape(y), shape) for name in model.metrics)
    return Batch(array, targets, real, weights, found)


def weigh_classes(model: Network, batch: Batch, class_weight: Mapping[int, float] | None) -> Batch:
    """The batch with the weight of its row's class on each row."""
    if class_weight is None:
        return batch
    if batch.weight is not None:
        raise ValueError(wording("class_weight", "None where sample_weight is given", "both"))
    shape = (batch.size, *output_shape(model, batch.x))
    return batch._replace(weight=optimizer_and_loss(model)[1].class_weights(class_weight, batch.y, shape))


def output_shape(model: Network, array: Array) -> tuple[int, ...]:
    """Shape of one sample's output for these inputs; raises where a layer cannot take them."""
    shape: Shape = array.shape[1:]
    for layer in model.layers:
        shape = layer.output_shape(shape)
    return tuple(int(size or 0) for size in shape)


def _as_array(model: Network, x: ArrayLike) -> Array:
    """x as (batch, ...): of the model's dtype, or as it came for an Embedding."""
    if not model.layers:
        raise RuntimeError("the model has no layers")
    if isinstance(model.layers[0], Embedding):
        return checks.token_ids(x)
    return checks.batch(x, model.sample_shape, model.dtype)


def _checked_inputs(
    model: Network, array: Array, mask: ArrayLike | None
) -> tuple[Array, Array | None, tuple[int, ...]]:
    """x and the mask as `checked_inputs` gives them, and the shape of the model's output."""
    first = model.layers[0]
    if not model.built:
        timed = array.ndim == 3 or isinstance(first, Embedding)
        build(model, (None, *array.shape[2:]) if timed else array.shape[1:])
    shape = (len(array), *output_shape(model, array))
    if mask is not None and array.ndim == 2 and not isinstance(first, Embedding):
        raise ValueError(wording("mask", "None where x has no time axis", f"x of shape {array.shape}"))
    real = None if mask is None else checks.checked_mask(mask, array.shape[:2])
    if isinstance(first, Embedding):
        array = checks.check_token_ids(array, first.input_dim, real)
    else:
        checks.check_finite("x", array, real if array.ndim == 3 else None)
    if real is not None and array.ndim == 3:
        array = np.where(real[..., None], array, 0)
    return array, real, shape
