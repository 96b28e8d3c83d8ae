"""What every metric is: numbers that rows of a batch add up to, and a value made of their sums.

What this file is not: it knows no formula of a metric.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from minilstm import initializers
from minilstm.foundations.arrays import Array, numeric_array
from minilstm.foundations.errors import by_name, given_name, listed, one_of, snake_case, whole_number, wording
from minilstm.losses.base import same_rank


class Variable(np.ndarray[Any, Any]):
    """An array that a metric of the user's keeps numbers in."""

    def assign(self, value: ArrayLike) -> Variable:
        """Take over a value."""
        self[...] = value
        return self

    def assign_add(self, value: ArrayLike) -> Variable:
        """Add a value."""
        self[...] += np.asarray(value, self.dtype)
        return self


class Metric:
    """A metric over a stream of batches: `update_state` adds a batch, `result` is the value so far.

    fit and evaluate ask the metric for what a batch adds up to, keep the sums themselves, and leave the
    object as it is. Arguments of all classes: `name` (by default the class's, as "root_mean_squared_error"),
    and `dtype` of the result ("float64" where it is None). `direction` says whether a larger value ("max") or
    a smaller one ("min") is better.

    A metric of your own has `counted` and `value`; or, as in Keras, `update_state` and `result`, and keeps
    its numbers in what `add_weight` makes: fit then lets it take in batch after batch.
    Source: `keras.metrics.Metric`.

    >>> from minilstm.metrics import BinaryAccuracy
    >>> metric = BinaryAccuracy(threshold=0.7)
    >>> metric.update_state([1, 0], [0.8, 0.9])
    >>> metric.update_state([1, 1], [0.8, 0.9])
    >>> float(metric.result()), metric.name
    (0.75, 'binary_accuracy')
    """

    slots: ClassVar[tuple[str, ...]] = ("total", "count")
    direction: ClassVar[Literal["min", "max"] | None] = None
    sparse: ClassVar[bool | None] = False  # whether targets are labels, one per row; None: as they come
    way_to_one: ClassVar[str] = ""  # what makes its result one number

    def __init__(
        self, name: str | None = None, dtype: str | None = None, config: Mapping[str, Any] | None = None
    ) -> None:
        self.name = given_name("name", self.default_name() if name is None else name)
        self.dtype = None if dtype is None else one_of("dtype", dtype, ("float32", "float64"))
        kind, base = type(self), Metric
        own = kind.update_state is not base.update_state and kind.result is not base.result
        self.keeps_own = own and kind.counted is base.counted  # its numbers, in what `add_weight` makes
        if not self.keeps_own and kind.counted is base.counted:
            expected = "with update_state and result, or with counted and value"
            raise TypeError(wording(type(self).__name__, expected, "neither"))
        self._config, self._state = dict(config or {}), self.empty()
        self._own: list[tuple[Variable, Array]] = []  # of add_variable, and what they begin with

    @classmethod
    def default_name(cls) -> str:
        """The class's name as Keras writes it in logs."""
        return snake_case(cls.__name__)

    def add_variable(
        self,
        shape: Sequence[int] = (),
        initializer: Any = "zeros",
        dtype: str | None = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Variable:
        """An array to keep numbers in, with Keras's `assign` and `assign_add`; `aggregation` is Keras's."""
        begin = initializers.get("initializer", "zeros" if initializer is None else initializer)
        dtype = (self.dtype or "float64") if dtype is None else dtype
        sizes = tuple(whole_number("shape", size) for size in listed("shape", "a tuple of numbers", shape))
        first = np.asarray(begin(sizes or (1,), np.random.default_rng(0), dtype)).reshape(sizes)
        self._own.append((first.copy().view(Variable), first))
        return self._own[-1][0]

    def add_weight(
        self,
        shape: Sequence[int] = (),
        initializer: Any = None,
        dtype: str | None = None,
        name: str | None = None,
    ) -> Variable:
        """`add_variable`, as Keras calls it too.

        >>> class Largest(Metric):
        ...     def __init__(self, name="largest"):
        ...         super().__init__(name)
        ...         self.found = self.add_weight(name="found", initializer="zeros")
        ...
        ...     def update_state(self, y_true, y_pred, sample_weight=None):
        ...         self.found.assign(np.maximum(self.found, np.max(y_pred)))
        ...
        ...     def result(self):
        ...         return self.found
        >>> metric = Largest()
        >>> metric.update_state([0, 0], [3.0, 1.0])
        >>> float(metric.result())
        3.0
        """
        return self.add_variable(shape, initializer, dtype, name=name)

    def gone_on(self, before: Array | None, y: Array, p: Array, weight: Array | None) -> Array:
        """Of a metric that keeps its own numbers: all of them after one more batch, end to end."""
        self._put(before)
        self.update_state(y, p, weight)
        return np.concatenate([np.ravel(variable) for variable, _ in self._own] or [np.zeros(0)])

    def own_result(self, kept: Array) -> Any:
        """Its value, where its numbers are these."""
        self._put(kept)
        return self.result()

    def _put(self, kept: Array | None) -> None:
        self.reset_state()
        start = 0
        for variable, _ in self._own if kept is not None else ():
            variable[...] = np.reshape(kept[start : start + variable.size], variable.shape)  # type: ignore[index]
            start += variable.size

    def results(self, width: int | None) -> int:
        """How many numbers `result` has for outputs (..., width); None: the width is not known yet."""
        return 1

    def empty(self) -> Array:
        """The sums of no batch, (slots, ...)."""
        return np.zeros(len(self.slots))

    def counted(self, y: Array, p: Array, weight: Array | None) -> Array:
        """What targets and outputs add to the sums, (slots, ...); `weight` is none, or fits their rows."""
        raise NotImplementedError

    def value(self, sums: Array) -> Any:
        """The metric of these sums: a number, or an array of them."""
        raise NotImplementedError

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Take in a batch; sample_weight is a number or has an entry for each row, as in Keras."""
        y, p = given(y_true, y_pred, self.sparse)
        weight = None if sample_weight is None else numeric_array("sample_weight", sample_weight)
        with np.errstate(all="ignore"):
            found = self.counted(y, p, weight)
        if self._state.any() and found.shape != self._state.shape:
            expected = f"of the outputs' number that the metric has seen, {self._state.shape[1:]}"
            raise ValueError(wording("y_pred", expected, found.shape[1:]))
        self._state = found + (self._state if self._state.any() else 0)

    def result(self) -> Any:
        """The value over all batches since the last `reset_state`; 0 of none."""
        with np.errstate(all="ignore"):
            return np.asarray(self.value(self._state), self.dtype or np.float64)[()]

    def reset_state(self) -> None:
        """Forget all batches."""
        self._state = self.empty()
        for variable, first in self._own:
            variable[...] = first

    def __call__(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> Any:
        """Take in a batch; the value so far."""
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()

    @property
    def variables(self) -> list[Array]:
        """The sums, one array for each of `slots`; of a metric that keeps its own, those."""
        return [variable for variable, _ in self._own] or list(self._state)

    def __getattr__(self, name: str) -> Any:
        if name in type(self).slots and "_state" in self.__dict__:
            found: Array = self._state[type(self).slots.index(name)]
            return found
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, by name."""
        return {"name": self.name, "dtype": self.dtype, **self._config}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A metric of these arguments, without any batch."""
        return cls(**by_name("config", config))

    def __repr__(self) -> str:
        given = {key: value for key, value in self.get_config().items() if value is not None}
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in given.items())})"


def given(y_true: ArrayLike, y_pred: ArrayLike, sparse: bool | None) -> tuple[Array, Array]:
    """Targets and outputs of a metric, of one rank where they are no labels.

    TypeError or ValueError where they are no numbers, or do not go together; `sparse` None takes any.
    """
    y, p = numeric_array("y_true", y_true), numeric_array("y_pred", y_pred)
    got = f"{y.shape} and {p.shape}"
    if sparse is False:
        y, p = same_rank(y, p)
    if 0 in p.shape[1:] or (sparse is not None and p.shape in ((), (0,))):
        raise ValueError(wording("y_pred", "of at least one output for each row", f"shape {p.shape}"))
    if sparse is None:
        return y, p
    try:
        np.broadcast_shapes(*(labels_of(y, p).shape, p.shape[:-1]) if sparse else (y.shape, p.shape))
    except ValueError:
        raise ValueError(wording("y_true and y_pred", "of shapes that go together", got)) from None
    return y, p


def labels_of(y: Array, p: Array) -> Array:
    """The labels of rows of outputs p: without a last axis of 1."""
    return y[..., 0] if y.ndim == p.ndim and y.shape[-1:] == (1,) else y


def weights_for(weight: Array, shape: tuple[int, ...]) -> Array:
    """`weight` for rows of that shape; ValueError where it does not fit them."""
    try:
        return np.broadcast_to(weight, shape)
    except ValueError:
        raise ValueError(wording("sample_weight", f"of a shape that fits {shape}", weight.shape)) from None


def ratio(a: Any, b: Any) -> Array:
    """a / b, and 0 where b is 0."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.asarray(np.divide(a, b, out=np.zeros(np.broadcast(a, b).shape), where=b != 0))
