"""Metrics as functions: one number for each row, or for each output of a row, as Keras's give it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minilstm.metrics import means
from minilstm.metrics.base import given


def binary_accuracy(y_true: ArrayLike, y_pred: ArrayLike, threshold: float = 0.5) -> Any:
    """1.0 for each output on the right side of the threshold: (...) -> (...).

    >>> binary_accuracy([[1.0], [0.0]], [[0.6], [0.6]]).tolist()
    [[1.0], [0.0]]
    """
    return _values(means.BinaryAccuracy(threshold=threshold), y_true, y_pred)


def categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Any:
    """1.0 for each row whose largest output is the largest target: (..., C) -> (...).

    >>> categorical_accuracy([[0, 1]], [[0.4, 0.6]]).tolist()
    [1.0]
    """
    return _values(means.CategoricalAccuracy(), y_true, y_pred)


def sparse_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Any:
    """1.0 for each row whose largest output is that of its label: (..., C) -> (...).

    >>> sparse_categorical_accuracy([1], [[0.4, 0.6]]).tolist()
    [1.0]
    """
    return _values(means.SparseCategoricalAccuracy(), y_true, y_pred)


def top_k_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> Any:
    """1.0 for each row whose class is among the k largest outputs: (..., C) -> (...).

    >>> top_k_categorical_accuracy([[0, 0, 1]], [[0.5, 0.2, 0.3]], k=2).tolist()
    [1.0]
    """
    return _values(means.TopKCategoricalAccuracy(k), y_true, y_pred)


def sparse_top_k_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> Any:
    """The same for labels: (..., C) -> (...).

    >>> sparse_top_k_categorical_accuracy([2], [[0.5, 0.2, 0.3]], k=2).tolist()
    [1.0]
    """
    return _values(means.SparseTopKCategoricalAccuracy(k), y_true, y_pred)


def _values(metric: Any, y_true: ArrayLike, y_pred: ArrayLike) -> Any:
    return np.asarray(metric.row_values(*given(y_true, y_pred, metric.sparse)), np.float64)
