"""Means over samples, or over rows, of one number for each: accuracies, errors, losses, and your own.

    BinaryAccuracy                 [ (p_j > threshold) = y_j ]         0.5 itself is class 0
    CategoricalAccuracy            [ argmax_k p_k = argmax_k y_k ]     the first of equals wins
    SparseCategoricalAccuracy      [ argmax_k p_k = y ]
    TopKCategoricalAccuracy        [ p of the true class is among the k largest ]   equals of the k-th are
    MeanSquaredError               (p_j - y_j)^2
    RootMeanSquaredError           its root, of the mean over all batches
    MeanAbsoluteError              |p_j - y_j|

Source: Keras 3, `keras/src/metrics/{reduction,accuracy,regression,probabilistic}_metrics.py`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from minilstm import losses
from minilstm.foundations.arrays import Array, numeric_array
from minilstm.foundations.errors import real_number, shown, spelled, whole_number, wording
from minilstm.losses.base import same_rank
from minilstm.metrics.base import Metric, labels_of, ratio, weights_for


def sums(values: Array, weight: Array | None) -> Array:
    """The sum of weight times value over samples, and the sum of the weights: [total, count].

    Values (B, ...) beyond the axes of the weight are averaged, and so are both beyond the first.
    """
    values = np.asarray(values, np.float64)
    if values.size == 0:
        return np.zeros(2)
    if weight is None:
        count = float(len(values)) if values.ndim else 1.0
    else:
        values, weight = same_rank(values, weight.astype(np.float64))
        if values.ndim > weight.ndim:
            values = values.mean(axis=tuple(range(weight.ndim, values.ndim)))
        weight = weights_for(weight, values.shape)
        values = values * weight
        count = float(weight.mean(axis=tuple(range(1, weight.ndim))).sum())
    if values.ndim > 1:
        values = values.mean(axis=tuple(range(1, values.ndim)))
    return np.array([values.sum(), count])


@spelled
class Mean(Metric):
    """The weighted mean of numbers: `update_state(values, sample_weight=None)`.

    >>> metric = Mean()
    >>> metric.update_state([1.0, 3.0], sample_weight=[1, 3])
    >>> float(metric.result())
    2.5
    """

    sparse = None

    def __init__(self, name: str = "mean", dtype: str | None = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take in numbers, weighted."""
        values = numeric_array("values", values)
        super().update_state(values, values, sample_weight)

    def __call__(self, values: Any, sample_weight: Any = None) -> Any:  # type: ignore[override]
        """Take in numbers; their mean so far."""
        self.update_state(values, sample_weight)
        return self.result()

    def counted(self, y: Array, p: Array, weight: Array | None) -> Array:
        return sums(p, weight)

    def value(self, sums: Array) -> Any:
        return ratio(*sums)


class _MeanOf(Metric):
    """The mean of a number for each row."""

    def counted(self, y: Array, p: Array, weight: Array | None) -> Array:
        return sums(self.row_values(y, p), weight)

    def value(self, sums: Array) -> Any:
        return ratio(*sums)

    @abstractmethod
    def row_values(self, y: Array, p: Array) -> Array:
        """One number for each row, or for each output of it."""


@spelled
class MeanMetricWrapper(_MeanOf):
    """The mean of what `fn(y_true, y_pred, **kwargs)` gives for each row; a function in `metrics=` is one.

    >>> metric = MeanMetricWrapper(lambda y, p: abs(y - p).max(axis=-1), name="largest_error")
    >>> float(metric([[0.0, 0.0]], [[1.0, 3.0]]))
    3.0
    """

    sparse = None

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: str | None = None, **kwargs: Any
    ) -> None:
        if not callable(fn):
            raise TypeError(wording("fn", "a function (y_true, y_pred) -> one number per row", shown(fn)))
        self.fn, self.kwargs = fn, kwargs
        own = fn.__name__ if hasattr(fn, "__name__") else None
        super().__init__(own if name is None else name, dtype, {"fn": fn, **kwargs})

    def row_values(self, y: Array, p: Array) -> Array:
        return np.asarray(self.fn(y, p, **self.kwargs))


@spelled
class Accuracy(_MeanOf):
    """The share of outputs that equal their targets; both are classes.

    >>> float(Accuracy()([[1], [2]], [[1], [3]]))
    0.5
    """

    direction = "max"

    def __init__(self, name: str = "accuracy", dtype: str | None = None) -> None:
        super().__init__(name, dtype)

    def row_values(self, y: Array, p: Array) -> Array:
        y, p = same_rank(y, p)
        return np.asarray(y == p)


@spelled
class BinaryAccuracy(_MeanOf):
    """The share of yes/no outputs on the right side of `threshold`; NaN is not above it.

    >>> float(BinaryAccuracy(threshold=0.7)([[1], [0]], [[0.6], [0.6]]))
    0.5
    """

    direction = "max"

    def __init__(
        self, name: str = "binary_accuracy", dtype: str | None = None, threshold: float = 0.5
    ) -> None:
        self.threshold = real_number("threshold", threshold, -np.inf)
        super().__init__(name, dtype, {"threshold": threshold})

    def row_values(self, y: Array, p: Array) -> Array:
        y, p = same_rank(y, p)
        return np.asarray((p > self.threshold) == y)


@spelled
class CategoricalAccuracy(_MeanOf):
    """The share of rows whose largest output is the largest target.

    >>> float(CategoricalAccuracy()([[0, 1], [1, 0]], [[0.4, 0.6], [0.4, 0.6]]))
    0.5
    """

    direction = "max"

    def __init__(self, name: str = "categorical_accuracy", dtype: str | None = None) -> None:
        super().__init__(name, dtype)

    def row_values(self, y: Array, p: Array) -> Array:
        return np.asarray(p.argmax(axis=-1) == y.argmax(axis=-1))


@spelled
class SparseCategoricalAccuracy(_MeanOf):
    """The share of rows whose largest output is that of the label.

    >>> float(SparseCategoricalAccuracy()([1, 0], [[0.4, 0.6], [0.4, 0.6]]))
    0.5
    """

    direction, sparse = "max", True

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: str | None = None) -> None:
        super().__init__(name, dtype)

    def row_values(self, y: Array, p: Array) -> Array:
        return np.asarray(p.argmax(axis=-1) == labels_of(y, p))


@spelled
class TopKCategoricalAccuracy(_MeanOf):
    """The share of rows whose class is among the k most likely; targets are rows of classes.

    The name "top_k_categorical_accuracy" stands for k = 5.

    >>> float(TopKCategoricalAccuracy(k=2)([[0, 0, 1]], [[0.5, 0.2, 0.3]]))
    1.0
    """

    direction = "max"

    def __init__(
        self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: str | None = None
    ) -> None:
        self.k = whole_number("k", k)
        super().__init__(name, dtype, {"k": k})

    def row_values(self, y: Array, p: Array) -> Array:
        return _in_top(self.k, y.argmax(axis=-1), p)


@spelled
class SparseTopKCategoricalAccuracy(_MeanOf):
    """The same for targets that are class labels.

    >>> SparseTopKCategoricalAccuracy(k=0)
    Traceback (most recent call last):
    ValueError: k must be a whole number >= 1, got 0
    """

    direction, sparse = "max", True

    def __init__(
        self, k: int = 5, name: str = "sparse_top_k_categorical_accuracy", dtype: str | None = None
    ) -> None:
        self.k = whole_number("k", k)
        super().__init__(name, dtype, {"k": k})

    def row_values(self, y: Array, p: Array) -> Array:
        return _in_top(self.k, labels_of(y, p), p)


@spelled
class MeanSquaredError(_MeanOf):
    """The mean of squared errors.

    >>> float(MeanSquaredError()([[0.0, 0.0]], [[1.0, 3.0]]))
    5.0
    """

    direction = "min"

    def __init__(self, name: str = "mean_squared_error", dtype: str | None = None) -> None:
        super().__init__(name, dtype)

    def row_values(self, y: Array, p: Array) -> Array:
        y, p = same_rank(y, p)
        return np.asarray(((p - y) ** 2).mean(axis=-1))


@spelled
class RootMeanSquaredError(_MeanOf):
    """The root of the mean of squared errors.

    >>> float(RootMeanSquaredError()([[0.0, 0.0]], [[6.0, 8.0]]).round(4))
    7.0711
    """

    direction = "min"

    def __init__(self, name: str = "root_mean_squared_error", dtype: str | None = None) -> None:
        super().__init__(name, dtype)

    def row_values(self, y: Array, p: Array) -> Array:
        y, p = same_rank(y, p)
        return np.asarray((p - y) ** 2, np.float64)

    def value(self, sums: Array) -> Any:
        return np.sqrt(ratio(*sums))


@spelled
class MeanAbsoluteError(_MeanOf):
    """The mean of errors without their sign.

    >>> float(MeanAbsoluteError()([[0.0, 0.0]], [[1.0, -3.0]]))
    2.0
    """

    direction = "min"

    def __init__(self, name: str = "mean_absolute_error", dtype: str | None = None) -> None:
        super().__init__(name, dtype)

    def row_values(self, y: Array, p: Array) -> Array:
        y, p = same_rank(y, p)
        return np.asarray(np.abs(p - y).mean(axis=-1))


@spelled
class BinaryCrossentropy(_MeanOf):
    """The loss of that name as a metric.

    >>> float(BinaryCrossentropy()([[1.0]], [[0.5]]).round(4))
    0.6931
    """

    direction = "min"

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        self.loss = losses.BinaryCrossentropy(from_logits, label_smoothing, reduction=None)
        super().__init__(name, dtype, {"from_logits": from_logits, "label_smoothing": label_smoothing})

    def row_values(self, y: Array, p: Array) -> Array:
        return np.asarray(self.loss(y, p))


@spelled
class CategoricalCrossentropy(_MeanOf):
    """The loss of that name as a metric.

    >>> float(CategoricalCrossentropy()([[1, 0]], [[0.5, 0.5]]).round(4))
    0.6931
    """

    direction = "min"

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
    ) -> None:
        self.loss = losses.CategoricalCrossentropy(from_logits, label_smoothing, axis, reduction=None)
        super().__init__(
            name, dtype, {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        )

    def row_values(self, y: Array, p: Array) -> Array:
        return np.asarray(self.loss(y, p))


@spelled
class SparseCategoricalCrossentropy(_MeanOf):
    """The loss of that name as a metric; rows of the class `ignore_class` are 0.

    As in Keras they count in the mean where there are no weights, and where there are do not.

    >>> float(SparseCategoricalCrossentropy()([0], [[0.5, 0.5]]).round(4))
    0.6931
    """

    direction, sparse = "min", True

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        self.loss = losses.SparseCategoricalCrossentropy(from_logits, ignore_class, reduction=None, axis=axis)
        config = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(name, dtype, config)

    def counted(self, y: Array, p: Array, weight: Array | None) -> Array:
        if self.loss.ignore_class is not None and weight is not None:
            real, weight = same_rank((labels_of(y, p) != self.loss.ignore_class).astype(np.float64), weight)
            weight = real * weights_for(weight, real.shape)
        return super().counted(y, p, weight)

    def row_values(self, y: Array, p: Array) -> Array:
        return np.asarray(self.loss(y, p))


def _in_top(k: int, labels: Array, p: Array) -> Array:
    if p.ndim == 0 or labels.shape != p.shape[:-1]:
        raise ValueError(wording("y_true", f"one label for each row of y_pred {p.shape}", labels.shape))
    rows, flat = p.reshape(-1, p.shape[-1]), labels.reshape(-1)
    inside = (flat >= 0) & (flat < rows.shape[-1]) & (flat == np.floor(flat))  # no other label is in the top
    k = min(k, rows.shape[-1])
    least = np.partition(rows, -k, axis=-1)[:, -k]  # (N,)
    own = np.take_along_axis(rows, np.where(inside, flat, 0)[:, None].astype(np.intp), axis=-1)[:, 0]
    return np.asarray(inside & (own >= least)).reshape(labels.shape)
