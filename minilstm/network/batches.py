"""What fit, evaluate and predict read: arrays, or an iterable of batches, checked against the model.

Arrays are checked as a whole, before any work; an iterable's batches as they come. Either way what a pass
gets needs no other look. What this file is not: it trains nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from minilstm import metrics
from minilstm.foundations.arrays import Array, is_sparse
from minilstm.foundations.errors import real_number, sized, whole_number, wording
from minilstm.layers import Embedding, checks
from minilstm.layers.base import Shape
from minilstm.network.network import Network, build, optimizer_and_loss
from minilstm.network.passes import Batch
from minilstm.network.sources import Arrays, Batches, Source

DEFAULT_BATCH_SIZE = 32


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
        expected = "(x, y), with sample_weight, with sample_weight and mask, or an iterable of batches"
        raise ValueError(wording(name, expected, sized(data)))
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
    if isinstance(x, (list, tuple, str, bytes, dict, type)) or hasattr(x, "__array__") or is_sparse(x):
        return False
    return isinstance(x, Iterable) or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))


def _stream(given: Given, check: Callable[[Any], Any], epochs: int) -> Batches:
    """`Batches`; ValueError where an iterator cannot last for all epochs."""
    x, steps = given.x, given.steps
    if steps is not None:
        whole_number(given.steps_name, steps)
    elif isinstance(x, Iterator) and epochs > 1:
        expected = f"given where {given.argument} is an iterator, which ends once"
        raise ValueError(wording(given.steps_name, expected, f"None and {epochs} epochs"))
    return Batches(x, check, steps)


def _parts(item: Any) -> tuple[Any, Any, Any, Any]:
    """A batch as (x, y, sample_weight, mask), None for what it does not have."""
    if not isinstance(item, (tuple, list)) or not 2 <= len(item) <= 4:
        expected = "(x, y), (x, y, sample_weight) or (x, y, sample_weight, mask)"
        raise ValueError(wording("it", expected, sized(item)))
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
    counted = _mask_of_the_loss(model, array, real) if len(shape) == 3 else None
    targets = loss.check_targets(y, shape, counted)
    weights = None if weight is None else checks.sample_weight(weight, shape, counted)
    found = tuple(metrics.resolve(name, np.shape(y), shape) for name in model.metrics)
    return Batch(array, targets, real, weights, found)


def _mask_of_the_loss(model: Network, array: Array, real: Array | None) -> Array | None:
    """The mask (B, T) of the outputs, as far as it is known before a pass: Masking may come inside."""
    mask = model.layers[0].input_mask(array, real)
    for layer in model.layers:
        mask = None if mask is None else layer.carried_mask(mask)
    return mask


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
