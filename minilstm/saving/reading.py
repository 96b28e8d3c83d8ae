"""What a saved model's document and arrays say, checked against each other before a model sees any of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from minilstm import metrics
from minilstm.bptt.cell import State
from minilstm.cells import UserCell
from minilstm.foundations.arrays import Array
from minilstm.layers import Layer
from minilstm.layers.base import Shape
from minilstm.losses import Loss
from minilstm.network.network import Network, share_backend
from minilstm.network.progress import FitState, History, Kept, Means, Stateful
from minilstm.network.states import layer_states, recurrent_in, set_layer_states
from minilstm.optimizers import Optimizer
from minilstm.saving.container import DamagedError, Document
from minilstm.saving.objects import decode
from minilstm.saving.states import unflatten

Kind = TypeVar("Kind")


class Saved:
    """A saved model, taken apart and checked: raises DamagedError, or `into` puts it into a model.

    Shapes are computed from the layers' arguments and compared with the arrays that are there; an array of
    the size that a file merely claims is never made.
    """

    optimizer: Optimizer | None
    loss: Loss | None
    progress: FitState | None

    def __init__(
        self, content: Document, arrays: dict[str, Array], cells: Mapping[str, UserCell] | None = None
    ) -> None:
        self._arrays, self._used = arrays, set[str]()
        self.name = _entry(content, "name", str)
        dtype = _entry(content, "dtype", str)
        if dtype not in ("float32", "float64"):
            raise DamagedError(f"its dtype is {dtype!r:.40}")
        self.dtype = np.dtype(dtype)
        self.layers: list[Layer] = [
            decode(one, Layer, cells=cells) for one in _entry(content, "layers", list)
        ]
        names = [layer.name for layer in self.layers]
        if None in names or len(set(names)) != len(names):
            raise DamagedError(f"its layers are not named once each: {', '.join(map(repr, names)):.80}")
        self.shapes = self._input_shapes() if _entry(content, "built", bool) else []
        self.weights = [self._weights_of(k) for k in range(len(self.shapes))]
        self._read_random(_entry(content, "random", dict))
        self._read_compiled(_entry(content, "compiled", dict, type(None)))
        self._content = content
        self.stopped, self.states, self.parts = False, list[State | None](), dict[str, Any]()
        if content["version"] == 1:
            self._read_first_version(_entry(content, "progress", dict, type(None)))
        else:
            self._read_states(_entry(content, "states", list))
            self._read_progress(_entry(content, "progress", dict, type(None)))
        if foreign := sorted(set(arrays) - self._used):
            raise DamagedError(f"it holds {foreign[0]!r}, which the model does not have")

    def into(self, model: Network) -> None:
        """Put everything into `model`."""
        for layer, shape, weights in zip(self.layers, self.shapes, self.weights, strict=False):
            layer.restore(shape, self.dtype, weights)
        share_backend(self.layers)
        model.name, model.dtype, model.layers = self.name, self.dtype, self.layers
        model.seeds, model.shuffle, model.steps_taken = self.seeds, self.shuffle, self.steps_taken
        model.optimizer, model.loss, model.metrics = self.optimizer, self.loss, self.metrics
        model.progress, model.stop_training = self.progress, self.stopped
        set_layer_states(model.layers, self.states or layer_states(model.layers))
        if model.optimizer is not None and self.iterations:
            model.optimizer.restore(model.trainable_params, self.iterations, self.slots)

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
        if list(fit.parts) != list(self.parts):
            known, ours = (", ".join(parts) or "nothing" for parts in (self.parts, fit.parts))
            raise DamagedError(f"it remembers {known}, where this fit has {ours}")
        order = self.progress.order
        if order is not None and len(order) != samples:
            raise DamagedError(f"its fit has {len(order)} samples, and x has {samples}")
        _set_states(fit.parts, self.parts)
        self.layers = model.layers
        optimizer, rate = model.optimizer, None if self.optimizer is None else self.optimizer.learning_rate
        self.optimizer, self.loss = optimizer, model.loss
        steps, params = self.progress.history.params.get("steps"), fit.history.params
        params["steps"] = steps if params["steps"] is None else params["steps"]
        self.progress.parts, self.progress.history.params = fit.parts, params
        fit.__dict__.update(self.progress.__dict__)  # the very object that fit goes on with
        self.progress = fit
        self.into(model)
        if optimizer is not None and optimizer.schedule is None and rate is not None:
            optimizer.learning_rate = rate

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
        self.metrics: tuple[metrics.Identifier, ...] = ()
        self.iterations, self.slots = 0, dict[str, Array]()
        if said is None:
            return
        self.optimizer = decode(said.get("optimizer"), Optimizer)
        self.loss = None if said.get("loss") is None else decode(said["loss"], Loss)
        self.metrics = _accepted("its metrics", metrics.check, decode(_entry(said, "metrics", list)))
        self.iterations = _entry(said, "iterations", int)
        if not 0 <= self.iterations < 2**63 or (self.iterations and not self.shapes):
            raise DamagedError("its optimizer has steps that the model cannot have taken")
        if self.iterations:
            size = sum(
                value.size
                for layer, found in zip(self.layers, self.weights, strict=True)
                for key, value in found.items()
                if layer.learns(key)
            )
            names = self.optimizer.slot_names if size else ()
            self.slots = {name: self._take(f"optimizer/{name}", (size,), self.dtype) for name in names}

    def _read_progress(self, said: Document | None) -> None:
        self.progress = None
        if said is None:
            return
        self.stopped = _entry(said, "stopped", bool)
        self.parts = {name: self._state(part) for name, part in _entry(said, "parts", dict).items()}
        history = self._history(_names(said, "history"), _entry(said, "params", dict))
        loss, samples, step_loss, steps = _four(self._rows("progress/means"))
        if not all(0 <= number < 2**48 for number in (samples, steps)):
            raise DamagedError("its means are of no number of samples")
        epoch, batch = _whole_numbers([_entry(said, "epoch", int), _entry(said, "batch", int)])
        sums = self._state(_entry(said, "sums", dict))
        known = {metrics.name_of(one): metrics.stand_in(one) for one in self.metrics}
        if batch == 0:
            sums = {}  # older files hold those of an epoch that is over, perhaps of other metrics
        if not isinstance(sums, dict) or fitting(sums, self.metrics).keys() != sums.keys():
            raise DamagedError("its means are not those of its metrics")
        bound = {name: known[name] for name in sums}
        means = Means(loss, int(samples), step_loss, int(steps), sums, bound)
        order = self._order() if _entry(said, "ordered", bool) else None
        parts: dict[str, Stateful] = {name: Kept(state) for name, state in self.parts.items()}
        self.progress = FitState(epoch, batch, order, means, history, parts)

    def _order(self) -> Array:
        found = np.array(self._rows("progress/order"))
        if not np.array_equal(np.sort(found), np.arange(len(found))):
            raise DamagedError("its order of the samples is not one")
        return found.astype(np.int64)

    def _state(self, said: Any) -> Any:
        """The state of a callback or an iterable, with copies of its arrays."""

        def take(name: str) -> Array:
            if name not in self._arrays:
                raise DamagedError(f"it holds no {name!r}, which a state has")
            self._used.add(name)
            return self._arrays[name].astype(self._arrays[name].dtype.newbyteorder("="))

        return unflatten(said, take)

    def _read_states(self, said: list[Any]) -> None:
        recurrent = [layer for _, layer in recurrent_in(self.layers)]
        found = [self._state(one) for one in said]
        if len(found) != len(recurrent):
            raise DamagedError("its states are not those of its layers")
        for layer, state in zip(recurrent, found, strict=True):
            if state is not None:
                whole = isinstance(state, tuple) and len(state) == len(layer.cell.states)
                whole = whole and all(isinstance(part, np.ndarray) for part in state)
                if not whole or any(part.dtype != self.dtype or part.ndim != 2 for part in state):
                    raise DamagedError(f"it holds no state of layer {layer.label!r}")
                _accepted("its states do not fit", layer.checked_state, state, len(state[0]))
        self.states = found

    def _read_first_version(self, said: Document | None) -> None:
        """Of a fit the history alone: what going on needs was not all there."""
        self.progress = None
        self._used |= {name for name in self._arrays if name.startswith(("callbacks/", "progress/"))}
        if said is not None:
            history = self._history(_names(said, "history"), _entry(said, "params", dict))
            self.progress = FitState(history=history)

    def _history(self, names: list[str], params: Document) -> History:
        rows = [self._rows(f"history/{k}") for k in range(len(names) + 1)]
        if any(len(row) > len(rows[0]) for row in rows):
            raise DamagedError("its history has columns that are longer than its epochs")
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


def _set_states(parts: dict[str, Stateful], states: dict[str, Any]) -> None:
    """Bring all parts to their states, or, where one of them refuses its own, none."""
    before: dict[str, Any] = {}
    try:
        for name, part in parts.items():
            before[name] = part.get_state()
            part.set_state(states[name])
    except BaseException:
        for name, state in before.items():
            parts[name].set_state(state)
        raise


def _entry(said: Document, key: str, *kinds: type[Kind]) -> Kind:
    """`said[key]`, of one of these types (a bool is no int)."""
    value = said.get(key)
    if type(value) not in kinds:
        raise DamagedError(f"its {key!r} is {value!r:.40}")
    return value  # type: ignore[return-value]


def _four(numbers: list[float]) -> list[float]:
    if len(numbers) != 4:
        raise DamagedError("its means are not four numbers")
    return numbers


def fitting(sums: Mapping[str, Any], of: Sequence[metrics.Identifier]) -> dict[str, Any]:
    """Those of `sums` that these metrics can have made."""
    known = {metrics.name_of(one): metrics.stand_in(one) for one in of}
    return {name: found for name, found in sums.items() if _fits(known.get(name), found)}


def _fits(bound: metrics.Bound | None, sums: Any) -> bool:
    """Whether these can be the sums of that metric."""
    whole = bound is not None and isinstance(sums, np.ndarray) and sums.dtype == np.float64
    return whole and sums.ndim > 0 and len(sums) == len(bound.metric.slots)  # type: ignore[union-attr]


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
