"""Every metric by its class, name and function, and back from its description."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from minilstm.errors import described, wording
from minilstm.losses import (
    binary_crossentropy,
    categorical_crossentropy,
    mean_absolute_error,
    mean_squared_error,
    sparse_categorical_crossentropy,
)
from minilstm.metrics.base import Metric
from minilstm.metrics.confusion import (
    AUC,
    F1Score,
    FalseNegatives,
    FalsePositives,
    FBetaScore,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from minilstm.metrics.functions import (
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from minilstm.metrics.means import (
    Accuracy,
    BinaryAccuracy,
    BinaryCrossentropy,
    CategoricalAccuracy,
    CategoricalCrossentropy,
    Mean,
    MeanAbsoluteError,
    MeanMetricWrapper,
    MeanSquaredError,
    RootMeanSquaredError,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)

CLASSES: tuple[type[Metric], ...] = (
    AUC,
    Accuracy,
    BinaryAccuracy,
    BinaryCrossentropy,
    CategoricalAccuracy,
    CategoricalCrossentropy,
    F1Score,
    FBetaScore,
    FalseNegatives,
    FalsePositives,
    Mean,
    MeanAbsoluteError,
    MeanMetricWrapper,
    MeanSquaredError,
    Precision,
    Recall,
    RootMeanSquaredError,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    TrueNegatives,
    TruePositives,
)
FUNCTIONS: dict[Callable[..., Any], type[Metric]] = {
    binary_accuracy: BinaryAccuracy,
    binary_crossentropy: BinaryCrossentropy,
    categorical_accuracy: CategoricalAccuracy,
    categorical_crossentropy: CategoricalCrossentropy,
    mean_absolute_error: MeanAbsoluteError,
    mean_squared_error: MeanSquaredError,
    sparse_categorical_accuracy: SparseCategoricalAccuracy,
    sparse_categorical_crossentropy: SparseCategoricalCrossentropy,
    sparse_top_k_categorical_accuracy: SparseTopKCategoricalAccuracy,
    top_k_categorical_accuracy: TopKCategoricalAccuracy,
}
BY_SHAPE: dict[str, tuple[type[Metric], ...]] = {
    "accuracy": (BinaryAccuracy, SparseCategoricalAccuracy, CategoricalAccuracy),
    "crossentropy": (BinaryCrossentropy, SparseCategoricalCrossentropy, CategoricalCrossentropy),
}
BY_SHAPE |= {"acc": BY_SHAPE["accuracy"], "ce": BY_SHAPE["crossentropy"]}
_ALONE = [cls for cls in CLASSES if cls not in (Mean, MeanMetricWrapper, Accuracy)]
NAMES: dict[str, type[Metric]] = {
    **{cls.default_name(): cls for cls in _ALONE},
    **{cls.__name__: cls for cls in _ALONE},
    **dict.fromkeys(("mse", "MSE"), MeanSquaredError),
    **dict.fromkeys(("mae", "MAE"), MeanAbsoluteError),
    **dict.fromkeys(("bce", "BCE"), BinaryCrossentropy),
}
KNOWN = (*BY_SHAPE, *NAMES)


def get(identifier: Any) -> Metric | None:
    """The metric of that name, class, function or description; a metric itself; None for None.

    Any other function (y_true, y_pred) -> one number per row is a `MeanMetricWrapper`. ValueError for
    anything else. Source: `keras.metrics.get`.

    >>> get("mse").name, get("AUC").name, get(categorical_accuracy).name
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
        return MeanMetricWrapper(identifier) if known is None else known()
    raise ValueError(wording("metric", f"one of {', '.join(NAMES)}, or a Metric", repr(identifier)))


def serialize(metric: Metric) -> dict[str, Any]:
    """What `deserialize` makes the same metric of. Source: `keras.metrics.serialize`.

    >>> serialize(Recall(0.7))["config"]["thresholds"]
    0.7
    """
    return {"class_name": type(metric).__name__, "config": metric.get_config()}


def deserialize(config: Mapping[str, Any]) -> Metric:
    """The metric that `serialize` describes. Source: `keras.metrics.deserialize`."""
    known = {cls.__name__: cls for cls in CLASSES}
    name, arguments = described("metric", config)
    if not isinstance(name, str) or name not in known:
        expected = f"a description with a class_name among {', '.join(known)}"
        raise ValueError(wording("metric", expected, repr(config)))
    return known[name](**arguments)
