"""What every metric is: numbers that rows of a batch add up to, and a value made of their sums.

What this file is not: it knows no formula of a metric.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from minilstm.arrays import Array
from minilstm.errors import numeric_array, one_of, wording


class Metric(ABC):
    """A metric over a stream of batches: `update_state` adds a batch, `result` is the value so far.

    fit and evaluate ask the metric for what a batch adds up to, keep the sums themselves, and leave the
    object as it is. Arguments of all classes: `name` (by default the class's, as "root_mean_squared_error"),
    and `dtype` of the result ("float64" where it is None). `direction` says whether a larger value ("max") or
    a smaller one ("min") is better. Source: `keras.metrics.Metric`.

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

    def __init__(
        self, name: str | None = None, dtype: str | None = None, config: Mapping[str, Any] | None = None
    ) -> None:
        self.name = self.default_name() if name is None else name
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(wording("name", "a non-empty string", repr(name)))
        self.dtype = None if dtype is None else one_of("dtype", dtype, ("float32", "float64"))
        self._config, self._state = dict(config or {}), self.empty()

    @classmethod
    def default_name(cls) -> str:
        """The class's name as Keras writes it in logs."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()

    def empty(self) -> Array:
        """The sums of no batch, (slots, ...)."""
        return np.zeros(len(self.slots))

    @abstractmethod
    def counted(self, y: Array, p: Array, weight: Array | None) -> Array:
        """What targets and outputs add to the sums, (slots, ...); `weight` is none, or fits their rows."""

    @abstractmethod
    def value(self, sums: Array) -> Any:
        """The metric of these sums: a number, or an array of them."""

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Take in a batch; sample_weight is a number or has an entry for each row, as in Keras."""
        y, p = numeric_array("y_true", y_true), numeric_array("y_pred", y_pred)
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

    def __call__(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> Any:
        """Take in a batch; the value so far."""
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()

    @property
    def variables(self) -> list[Array]:
        """The sums, one array for each of `slots`."""
        return list(self._state)

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
        return cls(**config)

    def __repr__(self) -> str:
        given = {key: value for key, value in self.get_config().items() if value is not None}
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in given.items())})"


def ratio(a: Any, b: Any) -> Array:
    """a / b, and 0 where b is 0."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.asarray(np.divide(a, b, out=np.zeros(np.broadcast(a, b).shape), where=b != 0))
