"""What a saved model's document and arrays say, checked against each other before a model sees any of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from minilstm import metrics
from minilstm.layers import Layer
from minilstm.layers.base import Array, Shape
from minilstm.losses import Loss
from minilstm.network.network import Network
from minilstm.network.progress import FitState, History, Means
from minilstm.optimizers import Optimizer
from minilstm.saving.container import DamagedError, Document
from minilstm.saving.objects import decode

Kind = TypeVar("Kind")


class Saved:
    """A saved model, taken apart and checked: raises DamagedError, or `into` puts it into a model.

    Shapes are computed from the layers' arguments and compared with the arrays that are there; an array of
    the size that a file merely claims is never made.
    """

    optimizer: Optimizer | None
    loss: Loss | None
    progress: FitState | None

    def __init__(self, content: Document, arrays: dict[str, Array]) -> None:
        self._arrays, self._used = arrays, set[str]()
        self.name = _entry(content, "name", str)
        dtype = _entry(content, "dtype", str)
        if dtype not in ("float32", "float64"):
            raise DamagedError(f"its dtype is {dtype!r:.40}")
        self.dtype = np.dtype(dtype)
        self.layers: list[Layer] = [decode(one, Layer) for one in _entry(content, "layers", list)]
        names = [layer.name for layer in self.layers]
        if None in names or len(set(names)) != len(names):
            raise DamagedError(f"its layers are not named once each: {', '.join(map(repr, names)):.80}")
        self.shapes = self._input_shapes() if _entry(content, "built", bool) else []
        self.weights = [self._weights_of(k) for k in range(len(self.shapes))]
        self._read_random(_entry(content, "random", dict))
        self._read_compiled(_entry(content, "compiled", dict, type(None)))
        self._content = content
        self._read_progress(_entry(content, "progress", dict, type(None)))
        if foreign := sorted(set(arrays) - self._used):
            raise DamagedError(f"it holds {foreign[0]!r}, which the model does not have")

    def into(self, model: Network) -> None:
        """Put everything into `model`."""
        for layer, shape, weights in zip(self.layers, self.shapes, self.weights, strict=False):
            layer.restore(shape, self.dtype, weights)
        model.name, model.dtype, model.layers = self.name, self.dtype, self.layers
        model.seeds, model.shuffle, model.steps_taken = self.seeds, self.shuffle, self.steps_taken
        model.optimizer, model.loss, model.metrics = self.optimizer, self.loss, self.metrics
        model.progress = self.progress
        if model.optimizer is not None and self.iterations:
            model.optimizer.restore(model.named_weights, self.iterations, self.slots)

    def resume(self, model: Network, now: Document, samples: int | None) -> None:
        """Bring `model`, which is as `now` says, and its fit to where this stands; or change nothing."""
        before, fit = self._content, model.progress
        if self.progress is None or fit is None:
            raise DamagedError("it holds no fit to go on with")
        for key in ("layers", "dtype"):
            if before[key] != now[key]:
                raise DamagedError(f"its {key} are not those of the model")
        if _without_rate(before["compiled"]) != _without_rate(now["compiled"]):
            raise DamagedError("it was compiled in another way than the model")
        classes = [type(callback).__name__ for callback in fit.resumable()]
        if classes != [name for name, _, _ in self.callbacks]:
            raise DamagedError(f"its callbacks are {', '.join(name for name, _, _ in self.callbacks)}")
        order = self.progress.order
        if order is not None and len(order) != samples:
            raise DamagedError(f"its fit has {len(order)} samples, and x has {samples}")
        self.layers = model.layers
        optimizer, rate = model.optimizer, None if self.optimizer is None else self.optimizer.learning_rate
        self.optimizer, self.loss = optimizer, model.loss
        self.progress.callbacks, self.progress.history.params = fit.callbacks, fit.history.params
        fit.__dict__.update(self.progress.__dict__)  # the very object that fit goes on with
        self.progress = fit
        self.into(model)
        if optimizer is not None and optimizer.schedule is None and rate is not None:
            optimizer.learning_rate = rate
        for callback, (_, kept, weights) in zip(fit.resumable(), self.callbacks, strict=True):
            for name in callback.resumable:
                setattr(callback, name, kept.get(name))
            if weights:
                callback.best_weights = weights  # type: ignore[attr-defined]

    # ------------------------------------------------------------ architecture and weights

    def _input_shapes(self) -> list[Shape]:
        """The input's shape of each layer, through the whole model."""
        shape = self.layers[0].input_shape if self.layers else None
        if shape is None:
            raise DamagedError("it does not say the shape of the model's input")
        shapes = []
        for layer in self.layers:
            shapes.append(shape)
            shape = _accepted("its layers do not fit", layer.output_shape, shape)
        return shapes

    def _weights_of(self, k: int) -> dict[str, Array]:
        layer = self.layers[k]
        shapes = _accepted("its layers do not fit", layer.weight_shapes, self.shapes[k])
        found = {name: self._take(f"layers/{k}/{name}", shape, self.dtype) for name, shape in shapes.items()}
        for name, value in found.items():
            if not np.isfinite(value).all():
                raise DamagedError(f"the weights {layer.name}/{name} hold NaN or Inf")
        return found

    def _take(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """A copy of the array of that name; DamagedError where it is missing or does not fit."""
        array = self._arrays.get(name)
        if array is None:
            raise DamagedError(f"it holds no {name!r}, which the model has")
        if array.shape != shape or array.dtype.newbyteorder("=") != dtype:
            got, expected = f"{array.shape} of {array.dtype}", f"{shape} of {dtype}"
            raise DamagedError(f"its {name!r} has shape {got}, the model's {expected}")
        self._used.add(name)
        return array.astype(dtype)

    # ------------------------------------------------------------ what training goes on with

    def _read_random(self, said: Document) -> None:
        entropy: Any = _entry(said, "entropy", int, list)
        key = _whole_numbers(_entry(said, "spawn_key", list))
        _whole_numbers(entropy if isinstance(entropy, list) else [entropy])
        state, children = _entry(said, "shuffle", dict), _entry(said, "children", int)
        inner = _entry(state, "state", dict)
        _whole_numbers([_entry(inner, "state", int), _entry(inner, "inc", int), children])
        wrong = "its random state is not one"
        self.seeds = _accepted(
            wrong,
            lambda: np.random.SeedSequence(entropy, spawn_key=key, n_children_spawned=children),
        )
        self.shuffle = np.random.Generator(np.random.PCG64(0))
        _accepted(wrong, setattr, self.shuffle.bit_generator, "state", state)
        self.steps_taken = _entry(said, "steps_taken", int)

    def _read_compiled(self, said: Document | None) -> None:
        self.optimizer = None
        self.loss = None
        self.metrics: tuple[str | metrics.TopK, ...] = ()
        self.iterations, self.slots = 0, dict[str, Array]()
        if said is None:
            return
        self.optimizer = decode(said.get("optimizer"), Optimizer)
        self.loss = None if said.get("loss") is None else decode(said["loss"], Loss)
        self.metrics = _accepted("its metrics", metrics.check, decode(_entry(said, "metrics", list)))
        self.iterations = _entry(said, "iterations", int)
        if self.iterations < 0 or (self.iterations and not self.shapes):
            raise DamagedError("its optimizer has steps that the model cannot have taken")
        if self.iterations:
            size = sum(value.size for found in self.weights for value in found.values())
            self.slots = {
                name: self._take(f"optimizer/{name}", (size,), self.dtype)
                for name in self.optimizer.slot_names
            }

    def _read_progress(self, said: Document | None) -> None:
        self.progress = None
        self.callbacks: list[tuple[str, Document, list[Array]]] = []
        if said is None:
            return
        history = self._history(_names(said, "history"), _entry(said, "params", dict))
        names = _names(said, "metrics")
        loss, samples, *totals = numbers = self._rows("progress/means") or [0.0, 0.0]
        whole = all(0 <= number < 2**48 for number in [samples, *totals[1::2]])
        if len(numbers) != 2 + 2 * len(names) or not whole:
            raise DamagedError("its means are not those of its metrics")
        pairs = zip(totals[::2], map(int, totals[1::2]), strict=True)
        means = Means(loss, int(samples), dict(zip(names, pairs, strict=True)))
        epoch, batch = _whole_numbers([_entry(said, "epoch", int), _entry(said, "batch", int)])
        order = self._order() if _entry(said, "ordered", bool) else None
        self.progress = FitState(epoch, batch, order, means, history)
        for k, one in enumerate(_entry(said, "callbacks", list)):
            self.callbacks.append(self._callback(k, one))

    def _order(self) -> Array:
        found = np.array(self._rows("progress/order"))
        if not np.array_equal(np.sort(found), np.arange(len(found))):
            raise DamagedError("its order of the samples is not one")
        return found.astype(np.int64)

    def _callback(self, k: int, said: Any) -> tuple[str, Document, list[Array]]:
        if not isinstance(said, dict):
            raise DamagedError("it does not describe its callbacks")
        kept, count = _entry(said, "kept", dict), _entry(said, "weights", int)
        if not all(value is None or type(value) in (int, float) for value in kept.values()):
            raise DamagedError("it does not describe its callbacks")
        shapes = [value.shape for found in self.weights for value in found.values()]
        if count not in (0, len(shapes)):
            raise DamagedError("it holds best weights that the model does not have")
        weights = [self._take(f"callbacks/{k}/{j}", shapes[j], self.dtype) for j in range(count)]
        return _entry(said, "class", str), kept, weights

    def _history(self, names: list[str], params: Document) -> History:
        rows = [self._rows(f"history/{k}") for k in range(len(names) + 1)]
        if any(len(row) != len(rows[0]) for row in rows):
            raise DamagedError("its history has columns of different lengths")
        epochs = [int(epoch) for epoch in rows[0] if 0 <= epoch < 2**48]
        if epochs != rows[0]:
            raise DamagedError("its history has epochs that are not whole numbers")
        codes = self._rows("history/nonfinite")
        text = _accepted("its history's text is none", lambda: bytes(map(int, codes)).decode())
        nonfinite = text.split("\0") if text else []
        return History(dict(zip(names, rows[1:], strict=True)), epochs, params, nonfinite)

    def _rows(self, name: str) -> list[float]:
        array = self._arrays.get(name, np.zeros((0, 0)))
        return [float(value) for value in self._take(name, (array.size,), np.dtype(np.float64))]


def _entry(said: Document, key: str, *kinds: type[Kind]) -> Kind:
    """`said[key]`, of one of these types (a bool is no int)."""
    value = said.get(key)
    if type(value) not in kinds:
        raise DamagedError(f"its {key!r} is {value!r:.40}")
    return value  # type: ignore[return-value]


def _names(said: Document, key: str) -> list[str]:
    names = _entry(said, key, list)
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise DamagedError(f"its {key} has no names")
    return names


def _without_rate(compiled: Any) -> Any:
    """How a model was compiled; the learning rate may change while it is fitted, the steps do."""
    if compiled is None:
        return None
    optimizer = compiled["optimizer"]
    config = {key: value for key, value in optimizer["config"].items() if key != "learning_rate"}
    return optimizer["class"], config, compiled["loss"], compiled["metrics"]


def _whole_numbers(values: list[Any]) -> list[int]:
    if not all(type(value) is int and value >= 0 for value in values):
        raise DamagedError("its random state is not one")
    return values


def _accepted(wrong: str, check: Callable[..., Any], *arguments: Any) -> Any:
    """What `check` returns; DamagedError where it finds something wrong."""
    try:
        return check(*arguments)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise DamagedError(f"{wrong}: {error}") from None
