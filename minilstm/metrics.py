"""The metrics that fit and evaluate report beside the loss.

A metric gives one number per row; fit adds them up over batches and divides once at the end. A row is a
sample or a real time step: with a mask, masked steps do not count.

    binary accuracy        mean_j [ (p_j > 0.5) = y_j ]              0.5 itself is class 0
    categorical accuracy   [ argmax_k p_k = argmax_k y_k ]           the first of equals wins
    sparse accuracy        [ argmax_k p_k = y ]
    top-k accuracy         [ p of the true class is among the k largest ]   equals of the k-th are
    mean squared error     mean_j (p_j - y_j)^2
    mean absolute error    mean_j |p_j - y_j|

What this file is not: nothing here has a gradient.

Source: Keras 3, `keras/src/metrics` and `keras/src/trainers/compile_utils.py` (what "accuracy" stands for).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minilstm.arrays import Array
from minilstm.errors import whole_number, wording

__all__ = ["Metric", "SparseTopKCategoricalAccuracy", "TopKCategoricalAccuracy"]


@dataclass(frozen=True)
class Metric:
    """A metric by the name the user gave it, for one kind of targets.

    `sparse` says that targets are labels, one per row; otherwise they have the outputs' shape.
    Made by `resolve`. Source: `keras.metrics`.

    >>> metric = resolve("acc", (3,), (3, 1))
    >>> metric.name, metric.count(np.array([0, 1, 1]), np.array([[0.2], [0.9], [0.5]]))
    ('acc', (2.0, 3))
    """

    name: str
    rule: Callable[[Array, Array], Array]
    sparse: bool

    def count(self, y: Array, p: Array, mask: NDArray[np.bool_] | None = None) -> tuple[float, int]:
        """The sum over the rows that count, and their number; the metric is their quotient.

        `p` is (B, C) or (B, T, C), `mask` (B, T), True = real step. `y` has one label per row or the shape
        of `p`; a last axis of 1 may be missing or surplus. As in Keras, NaN in `p` is not above 0.5.

        >>> resolve("mse", (2,), (2, 1)).count(np.array([1.0, 2.0]), np.array([[0.0], [0.0]]))
        (5.0, 2)
        """
        y = y.reshape(p.shape[:-1] if self.sparse else p.shape)
        if mask is None:
            rows = p.reshape(-1, p.shape[-1])  # (N, C)
            targets = y.reshape(-1) if self.sparse else y.reshape(rows.shape)
        else:
            rows, targets = p[mask], y[mask]
        with np.errstate(all="ignore"):  # diverged outputs: the loss reports them
            per_row = self.rule(targets, rows.astype(np.float64))  # (N,)
        return float(per_row.sum()), len(rows)


@dataclass(frozen=True)
class TopKCategoricalAccuracy:
    """The share of rows whose class is among the k most likely; targets are rows of classes.

    Source: `keras.metrics.TopKCategoricalAccuracy`; the name "top_k_categorical_accuracy" stands for k = 5.

    >>> metric = resolve(TopKCategoricalAccuracy(k=2), (1, 3), (1, 3))
    >>> metric.count(np.array([[0, 0, 1]]), np.array([[0.5, 0.2, 0.3]]))
    (1.0, 1)
    """

    k: int = 5
    name: str = "top_k_categorical_accuracy"

    def __post_init__(self) -> None:
        whole_number("k", self.k)
        _check_name(self.name)

    def rule(self, y: Array, p: Array) -> Array:
        """1 for each row (N,) of p (N, C) whose class is among the k largest, 0 for the others."""
        return _in_top(self.k, y.argmax(axis=-1), p)


@dataclass(frozen=True)
class SparseTopKCategoricalAccuracy:
    """The same for targets that are class labels.

    Source: `keras.metrics.SparseTopKCategoricalAccuracy`; the name "sparse_top_k_categorical_accuracy"
    stands for k = 5.

    >>> SparseTopKCategoricalAccuracy(k=0)
    Traceback (most recent call last):
    ValueError: k must be a whole number >= 1, got 0
    """

    k: int = 5
    name: str = "sparse_top_k_categorical_accuracy"

    def __post_init__(self) -> None:
        whole_number("k", self.k)
        _check_name(self.name)

    def rule(self, y: Array, p: Array) -> Array:
        """1 for each row (N,) of p (N, C) whose label is among the k largest, 0 for the others."""
        return _in_top(self.k, y, p)


TopK = TopKCategoricalAccuracy | SparseTopKCategoricalAccuracy


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise ValueError(wording("name", "a non-empty string", repr(name)))


def _in_top(k: int, labels: Array, p: Array) -> Array:
    k = min(k, p.shape[-1])
    least = np.partition(p, -k, axis=-1)[:, -k]  # (N,)
    own = np.take_along_axis(p, labels[:, None].astype(np.intp), axis=-1)[:, 0]
    return np.asarray(own >= least)


def _binary_accuracy(y: Array, p: Array) -> Array:
    per_row: Array = ((p > 0.5) == y).mean(axis=-1, dtype=np.float64)
    return per_row


def _categorical_accuracy(y: Array, p: Array) -> Array:
    per_row: Array = p.argmax(axis=-1) == y.argmax(axis=-1)
    return per_row


def _sparse_categorical_accuracy(y: Array, p: Array) -> Array:
    per_row: Array = p.argmax(axis=-1) == y
    return per_row


def _mean_squared_error(y: Array, p: Array) -> Array:
    per_row: Array = ((p - y) ** 2).mean(axis=-1)
    return per_row


def _mean_absolute_error(y: Array, p: Array) -> Array:
    per_row: Array = np.abs(p - y).mean(axis=-1)
    return per_row


_RULES: dict[str, Callable[[Array, Array], Array]] = {
    "binary_accuracy": _binary_accuracy,
    "categorical_accuracy": _categorical_accuracy,
    "sparse_categorical_accuracy": _sparse_categorical_accuracy,
    "mean_squared_error": _mean_squared_error,
    "mse": _mean_squared_error,
    "mean_absolute_error": _mean_absolute_error,
    "mae": _mean_absolute_error,
    "top_k_categorical_accuracy": TopKCategoricalAccuracy().rule,
    "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy().rule,
}
_KNOWN = ("accuracy", "acc", *_RULES)


def direction(name: str, identifiers: tuple[str | TopK, ...] = ()) -> str | None:
    """Whether a smaller ("min") or a larger ("max") value of the loss or a metric is better; None: unknown.

    `identifiers` are the metrics of the model, which may have names of their own.

    >>> direction("loss"), direction("accuracy"), direction("f1")
    ('min', 'max', None)
    """
    if name in ("loss", "loss_per_step", "mean_squared_error", "mse", "mean_absolute_error", "mae"):
        return "min"
    own = [identifier.name for identifier in identifiers if not isinstance(identifier, str)]
    return "max" if name in (*_KNOWN, *own) else None


def resolve(identifier: str | TopK, y_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> Metric:
    """The metric of that name for the user's targets of `y_shape` and outputs of `output_shape`.

    "accuracy" and "acc" stand for binary accuracy where the outputs' last axis is 1; else for sparse
    categorical accuracy where the targets have fewer axes than the outputs or a last axis of 1; else for
    categorical accuracy.
    Raises ValueError for an unknown name, or targets that the metric cannot compare with the outputs.
    Source: `keras/src/trainers/compile_utils.py`, `get_metric`.

    >>> resolve("accuracy", (3,), (3, 4)).sparse, resolve("accuracy", (3, 4), (3, 4)).sparse
    (True, False)
    """
    (identifier,) = check([identifier])
    if not isinstance(identifier, str):
        sparse = isinstance(identifier, SparseTopKCategoricalAccuracy)
        return _made(identifier.name, identifier.rule, sparse, y_shape, output_shape)
    known = identifier
    if identifier in ("accuracy", "acc"):
        if output_shape[-1] == 1:
            known = "binary_accuracy"
        elif len(y_shape) < len(output_shape) or y_shape[-1] == 1:
            known = "sparse_categorical_accuracy"
        else:
            known = "categorical_accuracy"
    return _made(identifier, _RULES[known], known.startswith("sparse_"), y_shape, output_shape)


def _made(
    name: str,
    rule: Callable[[Array, Array], Array],
    sparse: bool,
    y_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
) -> Metric:
    expected = output_shape[:-1] if sparse else output_shape
    if not (y_shape == expected or y_shape == (*expected, 1) or (*y_shape, 1) == expected):
        text = f"of shape {expected} for the metric {name!r} and outputs of shape {output_shape}"
        raise ValueError(wording("y", text, f"shape {y_shape}"))
    return Metric(name, rule, sparse)


def check(identifiers: object) -> tuple[str | TopK, ...]:
    """The names and objects in `metrics=`, each known and no name twice; None gives none.

    Raises ValueError for a bare string or anything else that is not a list or tuple, for an unknown name and
    for a name that comes twice (Keras numbers those). Source: `keras/src/trainers/compile_utils.py`.

    >>> check(["accuracy"])
    ('accuracy',)
    >>> check("accuracy")
    Traceback (most recent call last):
        ...
    ValueError: metrics must be a list or tuple of names, got 'accuracy'
    """
    if identifiers is None:
        return ()
    if not isinstance(identifiers, (list, tuple)):
        raise ValueError(wording("metrics", "a list or tuple of names", repr(identifiers)))
    names: list[str] = []
    for identifier in identifiers:
        if not (isinstance(identifier, TopK) or (isinstance(identifier, str) and identifier in _KNOWN)):
            raise ValueError(wording("metrics", f"of the names {', '.join(_KNOWN)}", repr(identifier)))
        names.append(identifier if isinstance(identifier, str) else identifier.name)
        if names[-1] in names[:-1]:
            raise ValueError(wording("metrics", "different names", f"{names[-1]!r} twice"))
    return tuple(identifiers)
