"""Every metric by its class, name and function, and back from its description."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from minilstm.foundations.errors import described, instance, shown, wording
from minilstm.losses import (
    binary_crossentropy,
    categorical_crossentropy,
    mean_absolute_error,
    mean_squared_error,
    sparse_categorical_crossentropy,
)
from minilstm.metrics import confusion, functions, means
from minilstm.metrics.base import Metric

CLASSES: tuple[type[Metric], ...] = (
    confusion.AUC, means.Accuracy, means.BinaryAccuracy, means.BinaryCrossentropy,
    means.CategoricalAccuracy, means.CategoricalCrossentropy, confusion.F1Score, confusion.FBetaScore,
    confusion.FalseNegatives, confusion.FalsePositives, means.Mean, means.MeanAbsoluteError,
    means.MeanMetricWrapper, means.MeanSquaredError, confusion.Precision, confusion.Recall,
    means.RootMeanSquaredError, means.SparseCategoricalAccuracy, means.SparseCategoricalCrossentropy,
    means.SparseTopKCategoricalAccuracy, means.TopKCategoricalAccuracy, confusion.TrueNegatives,
    confusion.TruePositives,
)  # fmt: skip
FUNCTIONS: dict[Callable[..., Any], type[Metric]] = {
    functions.binary_accuracy: means.BinaryAccuracy,
    binary_crossentropy: means.BinaryCrossentropy,
    functions.categorical_accuracy: means.CategoricalAccuracy,
    categorical_crossentropy: means.CategoricalCrossentropy,
    mean_absolute_error: means.MeanAbsoluteError,
    mean_squared_error: means.MeanSquaredError,
    functions.sparse_categorical_accuracy: means.SparseCategoricalAccuracy,
    sparse_categorical_crossentropy: means.SparseCategoricalCrossentropy,
    functions.sparse_top_k_categorical_accuracy: means.SparseTopKCategoricalAccuracy,
    functions.top_k_categorical_accuracy: means.TopKCategoricalAccuracy,
}
BY_SHAPE: dict[str, tuple[type[Metric], ...]] = {
    "accuracy": (means.BinaryAccuracy, means.SparseCategoricalAccuracy, means.CategoricalAccuracy),
    "crossentropy": (
        means.BinaryCrossentropy,
        means.SparseCategoricalCrossentropy,
        means.CategoricalCrossentropy,
    ),
}
BY_SHAPE |= {"acc": BY_SHAPE["accuracy"], "ce": BY_SHAPE["crossentropy"]}
_ALONE = [cls for cls in CLASSES if cls not in (means.Mean, means.MeanMetricWrapper, means.Accuracy)]
NAMES: dict[str, type[Metric]] = {
    **{cls.default_name(): cls for cls in _ALONE},
    **{cls.__name__: cls for cls in _ALONE},
    **dict.fromkeys(("mse", "MSE"), means.MeanSquaredError),
    **dict.fromkeys(("mae", "MAE"), means.MeanAbsoluteError),
    **dict.fromkeys(("bce", "BCE"), means.BinaryCrossentropy),
}
KNOWN = (*BY_SHAPE, *NAMES)


def get(identifier: Any) -> Metric | None:
    """The metric of that name, class, function or description; a metric itself; None for None.

    Any other function (y_true, y_pred) -> one number per row is a `MeanMetricWrapper`. ValueError for
    anything else. Source: `keras.metrics.get`.

    >>> get("mse").name, get("AUC").name, get(functions.categorical_accuracy).name
    ('mean_squared_error', 'auc', 'categorical_accuracy')
    """
    if identifier is None or isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if isinstance(identifier, str) and identifier in NAMES:
        return NAMES[identifier]()
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()
    if callable(identifier):
        known = FUNCTIONS.get(identifier)
        return means.MeanMetricWrapper(identifier) if known is None else known()
    raise ValueError(wording("metric", f"one of {', '.join(NAMES)}, or a Metric", shown(identifier)))


def serialize(metric: Metric) -> dict[str, Any]:
    """What `deserialize` makes the same metric of. Source: `keras.metrics.serialize`.

    >>> serialize(confusion.Recall(0.7))["config"]["thresholds"]
    0.7
    """
    instance("metric", metric, Metric, "a Metric")
    return {"class_name": type(metric).__name__, "config": metric.get_config()}


def deserialize(config: Mapping[str, Any]) -> Metric:
    """The metric that `serialize` describes. Source: `keras.metrics.deserialize`."""
    known = {cls.__name__: cls for cls in CLASSES}
    name, arguments = described("metric", config)
    if not isinstance(name, str) or name not in known:
        expected = f"a description with a class_name among {', '.join(known)}"
        raise ValueError(wording("metric", expected, shown(config)))
    return known[name](**arguments)
