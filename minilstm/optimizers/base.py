"""What every optimizer does: lay the parameters end to end, clip, decay the weights, step.

What this file is not: the formulas of the steps stand in `rules`.
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, NoReturn, Self, final

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import NonFiniteError, by_name, real_number, shown, whole_number, wording
from minilstm.foundations.norms import vector_norm
from minilstm.foundations.signatures import WholeSignature
from minilstm.optimizers.schedules import LearningRateSchedule, deserialize, serialize
from minilstm.optimizers.words import RENAMED, WORDS, name_among

Arrays = Mapping[str, Array]

BLOCK = 16_384  # entries that go through a whole formula at once: its arrays stay in the cache


class Update(NamedTuple):
    """What clipping saw and did.

    >>> from minilstm.optimizers import SGD
    >>> SGD(global_clipnorm=1.0).prepare({"w": np.array([3.0, 4.0])})[1]
    Update(norm=5.0, clipped=True, norm_after=1.0)
    """

    norm: float
    """L2 norm of all gradients together, before clipping; nan or inf if one of them is."""
    clipped: bool
    """Whether clipping changed a gradient."""
    norm_after: float
    """L2 norm of all gradients together, after clipping."""


class Optimizer(ABC):
    """An optimizer: a learning rate, at most one way of clipping, weight decay, a formula for the step.

    Classes: `SGD`, `RMSprop`, `Adam`, `AdamW`. `learning_rate` is a number or a `LearningRateSchedule`.
    Keyword arguments of all, > 0; `weight_decay` wd takes wd a w from each parameter w before the step, a the
    learning rate; of the others at most one:

    - `clipnorm` c: each gradient g becomes g c / max(|g|, c)
    - `clipvalue` c: each entry is clipped to [-c, c]
    - `global_clipnorm` c: all gradients are scaled by c / max(n, c), n their common norm

    `name` is a label; Keras's other arguments are taken at the values that change nothing.
    Raises TypeError for arguments that are not numbers, ValueError for numbers out of range.
    Source: `keras.optimizers.Optimizer`.

    >>> from minilstm.optimizers import get
    >>> optimizer = get("adam")
    >>> optimizer.learning_rate, optimizer.iterations
    (0.001, 0)
    """

    __signature__ = WholeSignature(WORDS)

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule,
        slot_names: tuple[str, ...],
        weight_decay: float | None,
        clipnorm: float | None,
        clipvalue: float | None,
        global_clipnorm: float | None,
        **words: Any,
    ) -> None:
        self.name = name_among(words, type(self).__name__, self._arguments())
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = {name: value for name, value in clips.items() if value is not None}
        if len(given) > 1:
            got = ", ".join(f"{name}={value!r}" for name, value in given.items())
            raise ValueError(wording("clipping", "one of clipnorm, clipvalue and global_clipnorm", got))
        for name, value in given.items():
            given[name] = real_number(name, value, above=True)
        self.clipnorm = given.get("clipnorm")
        self.clipvalue = given.get("clipvalue")
        self.global_clipnorm = given.get("global_clipnorm")
        self.weight_decay = None if weight_decay is None else real_number("weight_decay", weight_decay)
        self.iterations = 0
        self.backend = "numpy"  # a model that trains by compiled kernels says so here
        self.schedule: LearningRateSchedule | None = None
        if isinstance(learning_rate, LearningRateSchedule):
            self.schedule = learning_rate
        else:
            self.learning_rate = learning_rate
        self._slot_names = slot_names
        self._layout: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}  # in the order of the vector
        self._g = self._w = np.empty(0)
        self._parts: dict[str, slice] = {}  # of the vector
        self._slots: list[Array] = []
        self._kept: list[Array] = []  # the slots before a step, for one that is refused

    @classmethod
    def _arguments(cls) -> list[str]:
        return [name for name in inspect.signature(cls).parameters if name not in WORDS]

    @property
    def lr(self) -> NoReturn:
        """Older scripts' word for `learning_rate`: AttributeError, in reading and in writing."""
        raise AttributeError(f"{type(self).__name__} has no attribute 'lr'; {RENAMED['lr']}")

    @lr.setter
    def lr(self, value: float) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} has no attribute 'lr'; {RENAMED['lr']}")

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step, a finite number >= 0; it may be set where there is no schedule.

        >>> from minilstm.optimizers import SGD
        >>> optimizer = SGD()
        >>> optimizer.learning_rate = 0.5
        >>> optimizer.learning_rate
        0.5
        """
        if self.schedule is None:
            return self._learning_rate
        name = f"learning_rate of {type(self.schedule).__name__} at step {self.iterations}"
        return real_number(name, self.schedule(self.iterations))

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        if self.schedule is not None:
            raise TypeError(wording("learning_rate", f"left to its schedule, {self.schedule!r}", value))
        self._learning_rate = real_number("learning_rate", value)

    def __repr__(self) -> str:
        """The learning rate, and the arguments that are not their defaults."""
        shown = inspect.signature(type(self)).parameters
        given = {n: v for n, v in self.config().items() if n == "learning_rate" or v != shown[n].default}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    def config(self) -> dict[str, Any]:
        """The arguments of the constructor.

        >>> from minilstm.optimizers import SGD
        >>> SGD(0.5).config()["learning_rate"]
        0.5
        """
        schedule = {} if self.schedule is None else {"learning_rate": self.schedule}
        return {name: getattr(self, name) for name in self._arguments()} | schedule

    def get_config(self) -> dict[str, Any]:
        """`config` as plain values with the name, as in Keras; see `from_config`.

        >>> from minilstm.optimizers import SGD
        >>> SGD.from_config(SGD(0.5, momentum=0.9).get_config()).momentum
        0.9
        """
        found = {"name": self.name, **self.config()}
        if self.schedule is not None:
            found["learning_rate"] = serialize(self.schedule)
        return found

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The optimizer that `get_config` describes, before its first step."""
        config = by_name("config", config)
        rate = config.get("learning_rate")
        schedule = {"learning_rate": deserialize(rate)} if isinstance(rate, Mapping) else {}
        return cls(**{**config, **schedule})

    @final
    def apply(self, params: Arrays, grads: Arrays) -> Update:
        """Clip and step: `params` change in place, `grads` stay as they are.

        Both map names to float32 or float64 arrays of equal shapes; names, shapes and the one dtype are
        fixed by the first step. Raises ValueError where they do not fit, before anything changes.
        Source: `keras.optimizers.Optimizer.apply`.

        >>> from minilstm.optimizers import SGD
        >>> params = {"w": np.array([1.0, 2.0])}
        >>> update = SGD(learning_rate=0.5).apply(params, {"w": np.array([2.0, 0.0])})
        >>> params["w"].tolist(), update.norm
        ([0.0, 2.0], 2.0)
        """
        clipped, update = self.prepare(grads)
        self.step(params, clipped)
        return update

    @final
    def prepare(self, grads: Arrays) -> tuple[dict[str, Array], Update]:
        """The gradients to step with, and what clipping saw and did; nothing is changed.

        Arrays that clipping leaves alone are returned themselves, not copied. The norm does not overflow:
        1e30 in float32 is clipped right. Gradients with NaN or Inf are returned as they are.
        Source: `keras/src/optimizers/base_optimizer.py`, `_clip_gradients`.

        >>> from minilstm.optimizers import Adam
        >>> clipped, update = Adam(clipvalue=1.0).prepare({"w": np.array([3.0, -0.5])})
        >>> clipped["w"].tolist(), update.clipped
        ([1.0, -0.5], True)
        """
        _check_arrays("grads", grads)
        with np.errstate(over="ignore", invalid="ignore"):  # the norm says it
            return self._clip(grads, {name: vector_norm(g) for name, g in grads.items()})

    @final
    def step(self, params: Arrays, grads: Arrays) -> None:
        """One step with gradients that are already clipped: `params` change in place, `grads` do not.

        Raises ValueError where names, shapes or dtypes do not fit, and NonFiniteError where a parameter would
        become infinite or NaN, before any of them, or of the slots, changes.
        Source: `keras/src/optimizers/base_optimizer.py`, `_backend_update_step`.

        >>> from minilstm.optimizers import SGD
        >>> params = {"w": np.array([1.0])}
        >>> SGD(learning_rate=0.5).step(params, {"w": np.array([2.0])})
        >>> params["w"].tolist()
        [0.0]
        """
        _check_arrays("params", params)
        _check_arrays("grads", grads)
        if not self._layout:
            self._lay_out(params)
        self._check("params", params)
        self._check("grads", grads)
        g, w = self._g, self._w
        np.concatenate([grads[name].ravel() for name in self._layout], out=g)
        np.concatenate([params[name].ravel() for name in self._layout], out=w)
        for kept, slot in zip(self._kept, self._slots, strict=True):
            kept[...] = slot
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # what becomes infinite is looked for below
                if self.weight_decay is not None:
                    w -= self._decay(w)
                self._advance(self._rate(g.dtype), w, g)
            if not np.isfinite(w).all():
                name = next(name for name, part in self._parts.items() if not np.isfinite(w[part]).all())
                raise NonFiniteError(
                    f"the step would make {name} infinite or NaN; is the learning rate too large?"
                )
        except BaseException:
            for kept, slot in zip(self._kept, self._slots, strict=True):
                slot[...] = kept
            raise
        for name, part in self._parts.items():
            params[name][...] = w[part].reshape(params[name].shape)
        self.iterations += 1

    @property
    def slot_names(self) -> tuple[str, ...]:
        """What the optimizer keeps per weight between steps, such as "momentum" and "velocity"."""
        return self._slot_names

    @property
    def slots(self) -> dict[str, Array]:
        """The arrays of `slot_names` themselves, all weights in one vector; none before the first step.

        >>> from minilstm.optimizers import Adam
        >>> optimizer = Adam()
        >>> _ = optimizer.apply({"w": np.ones(2)}, {"w": np.ones(2)})
        >>> optimizer.slots["momentum"].round(4).tolist()
        [0.1, 0.1]
        """
        return dict(zip(self._slot_names, self._slots, strict=False))

    @final
    def restore(self, params: Arrays, iterations: int, slots: Arrays) -> None:
        """Go on where an optimizer with these `iterations` and `slots` stood; `params` are the model's."""
        _check_arrays("params", params)
        whole_number("iterations", iterations, 0)
        if params:
            self._lay_out(params)
        _check_arrays("slots", slots)
        for name, slot in self.slots.items():
            if name not in slots or slots[name].shape != slot.shape:
                expected = f"arrays of shape {slot.shape} by the names {', '.join(self.slots)}"
                raise ValueError(wording("slots", expected, f"no such {name!r}"))
        for name, slot in self.slots.items():
            slot[...] = slots[name]
        self.iterations = iterations

    @final
    def follow(self, params: Arrays) -> None:
        """Step these parameters from now on: those known already keep their state, new ones have none.

        >>> from minilstm.optimizers import Adam
        >>> optimizer = Adam()
        >>> _ = optimizer.apply({"u": np.ones(1), "w": np.ones(2)}, {"u": np.ones(1), "w": np.ones(2)})
        >>> optimizer.follow({"w": np.ones(2)})
        >>> optimizer.slots["momentum"].round(4).tolist()
        [0.1, 0.1]
        """
        _check_arrays("params", params)
        if not self._layout or params.keys() == self._layout.keys():
            return
        parts, slots = self._parts, self.slots
        if not params:
            self._layout, self._parts, self._slots, self._kept = {}, {}, [], []
            return
        self._lay_out(params)
        for name in parts.keys() & self._parts.keys():
            for key, slot in self.slots.items():
                slot[self._parts[name]] = slots[key][parts[name]]

    def _decay(self, w: Array) -> Array:
        number = w.dtype.type  # as Keras: in the parameters' dtype
        return np.asarray(w * number(self.weight_decay or 0) * number(self.learning_rate))

    def _clip(self, grads: Arrays, norms: dict[str, float]) -> tuple[dict[str, Array], Update]:
        norm = math.hypot(*norms.values())
        result = dict(grads)
        unchanged = result, Update(norm, False, norm)
        if not math.isfinite(norm):
            return unchanged
        if self.clipnorm is not None:
            c = self.clipnorm
            long = [name for name, n in norms.items() if n > c]
            for name in long:
                result[name] = grads[name] * (c / norms[name])
            return result, Update(norm, bool(long), math.hypot(*(min(n, c) for n in norms.values())))
        if self.global_clipnorm is not None and norm > self.global_clipnorm:
            scale = self.global_clipnorm / norm
            return {name: g * scale for name, g in grads.items()}, Update(norm, True, self.global_clipnorm)
        if self.clipvalue is not None and norm > self.clipvalue:
            c = self.clipvalue
            result = {name: np.clip(g, -c, c) for name, g in grads.items()}
            clipped = any(not np.array_equal(result[name], g) for name, g in grads.items())
            return result, Update(norm, clipped, math.hypot(*(vector_norm(g) for g in result.values())))
        return unchanged

    def _advance(self, a: float, w: Array, g: Array) -> None:
        """Change w, all 1-D."""
        for start in range(0, w.size, BLOCK):
            block = slice(start, start + BLOCK)
            w[block] += self._change(a, g[block], [slot[block] for slot in self._slots])

    def _rate(self, dtype: np.dtype[Any]) -> float:
        """a in the formula of step `iterations` + 1, for parameters of this dtype."""
        return self.learning_rate

    @abstractmethod
    def _change(self, a: float, g: Array, slots: Sequence[Array]) -> Array:
        """Bring `slots` up to date with `g`, entry by entry, and return the change of w, all 1-D."""

    def _lay_out(self, params: Arrays) -> None:
        """Give each parameter its part of one vector, and make the state: zeros."""
        dtypes = {w.dtype for w in params.values()}
        if dtypes not in ({np.dtype(np.float32)}, {np.dtype(np.float64)}):
            got = ", ".join(sorted(str(dtype) for dtype in dtypes)) or "no parameters"
            raise ValueError(wording("params", "all float32 or all float64", got))
        (dtype,) = dtypes
        size = sum(w.size for w in params.values())
        self._layout = {name: (w.shape, dtype) for name, w in params.items()}
        self._g, self._w, *self._slots = (np.zeros(size, dtype) for _ in range(2 + len(self._slot_names)))
        self._kept = [slot.copy() for slot in self._slots]
        edges = [0, *accumulate(w.size for w in params.values())]
        self._parts = {name: slice(*pair) for name, pair in zip(params, pairwise(edges), strict=True)}

    def _check(self, argument: str, arrays: Arrays) -> None:
        """ValueError where names, shapes and dtype are not those of the first step's parameters."""
        if {name: (array.shape, array.dtype) for name, array in arrays.items()} == self._layout:
            return
        for name, (shape, dtype) in self._layout.items():
            if name in arrays and (arrays[name].shape, arrays[name].dtype) != (shape, dtype):
                expected = f"of shape {shape} and dtype {dtype}"
                got = f"shape {arrays[name].shape} and dtype {arrays[name].dtype}"
                raise ValueError(wording(f"{argument}[{name!r}]", expected, got))
        expected = f"the parameters of the first step, {', '.join(self._layout)}"
        raise ValueError(wording(argument, expected, ", ".join(arrays)))


def _check_arrays(argument: str, value: Arrays) -> None:
    """TypeError for anything but arrays by their names."""
    if not isinstance(value, Mapping) or not all(isinstance(array, np.ndarray) for array in value.values()):
        raise TypeError(wording(argument, "a dict of arrays by name", shown(value)))
