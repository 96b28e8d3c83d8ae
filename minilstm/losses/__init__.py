"""Losses: value and gradient, from outputs or from logits; as objects, by name, and as functions.

Every loss is the mean of one number per row. A row is one sample, or one real time step of a sequence; N is
the number of rows, C the size of the last axis:

    L = (1/N) sum_n L_n,  where L_n is one of the formulas in the classes below

Called, a loss or a function gives a value alone, as Keras's do.

p are the outputs of the last layer, z its logits (p = sigmoid(z) or p = softmax(z)). Outputs are clipped to
[1e-7, 1 - 1e-7] as in Keras, and there the gradient is 0, so that a confidently wrong unit learns nothing.
The forms on logits have neither fault; use them behind a sigmoid or a softmax.

What this package is not: it knows no layers and no weights, and it averages nothing over batches.

Source: Keras 3, `keras/src/losses/loss.py` (reduction, masks) and `keras/src/backend/torch/nn.py` (formulas).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from minilstm.foundations.errors import described, instance, one_of, shown, wording
from minilstm.losses.base import Loss
from minilstm.losses.crossentropy import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
from minilstm.losses.custom import CustomLoss
from minilstm.losses.regression import Huber, LogCosh, MeanAbsoluteError, MeanSquaredError

__all__ = [
    "BinaryCrossentropy", "CategoricalCrossentropy", "CustomLoss", "Huber", "LogCosh", "Loss",
    "MeanAbsoluteError", "MeanSquaredError", "SparseCategoricalCrossentropy", "binary_crossentropy",
    "categorical_crossentropy", "deserialize", "get", "huber", "log_cosh", "mean_absolute_error",
    "mean_squared_error", "serialize", "sparse_categorical_crossentropy",
]  # fmt: skip


def mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> Any:
    """`MeanSquaredError` of each row: (..., C) -> (...)."""
    return MeanSquaredError(reduction=None)(y_true, y_pred)


def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> Any:
    """`MeanAbsoluteError` of each row: (..., C) -> (...)."""
    return MeanAbsoluteError(reduction=None)(y_true, y_pred)


def huber(y_true: ArrayLike, y_pred: ArrayLike, delta: float = 1.0) -> Any:
    """`Huber` of each row: (..., C) -> (...)."""
    return Huber(delta, reduction=None)(y_true, y_pred)


def log_cosh(y_true: ArrayLike, y_pred: ArrayLike) -> Any:
    """`LogCosh` of each row: (..., C) -> (...)."""
    return LogCosh(reduction=None)(y_true, y_pred)


def binary_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """`BinaryCrossentropy` of each row: (..., C) -> (...)."""
    return BinaryCrossentropy(from_logits, label_smoothing, axis, reduction=None)(y_true, y_pred)


def categorical_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """`CategoricalCrossentropy` of each row: (..., C) -> (...)."""
    return CategoricalCrossentropy(from_logits, label_smoothing, axis, reduction=None)(y_true, y_pred)


def sparse_categorical_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Any:
    """`SparseCategoricalCrossentropy` of each row: (..., C) -> (...)."""
    loss = SparseCategoricalCrossentropy(from_logits, ignore_class, reduction=None, axis=axis)
    return loss(y_true, y_pred)


_FUNCTIONS: dict[Any, type[Loss]] = {
    binary_crossentropy: BinaryCrossentropy,
    categorical_crossentropy: CategoricalCrossentropy,
    sparse_categorical_crossentropy: SparseCategoricalCrossentropy,
    mean_squared_error: MeanSquaredError,
    mean_absolute_error: MeanAbsoluteError,
    huber: Huber,
    log_cosh: LogCosh,
}
_LOSSES: dict[str, type[Loss]] = {
    **{function.__name__: cls for function, cls in _FUNCTIONS.items()},
    **{cls.__name__: cls for cls in _FUNCTIONS.values()},
    **dict.fromkeys(("mse", "MSE"), MeanSquaredError),
    **dict.fromkeys(("mae", "MAE"), MeanAbsoluteError),
    **dict.fromkeys(("bce", "BCE"), BinaryCrossentropy),
}


def get(identifier: Any) -> Loss | None:
    """The loss of that name, class, function or description; a loss itself; None for None.

    A function of your own gives (losses, gradients): see `CustomLoss`. Raises ValueError, with the known
    names, for anything else. Source: `keras.losses.get`.

    >>> get("mse"), get(log_cosh), get({"class_name": "Huber", "config": {"delta": 2.0}})
    (MeanSquaredError(), LogCosh(), Huber(delta=2.0))
    """
    if identifier is None or isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if isinstance(identifier, str):
        return _LOSSES[one_of("loss", identifier, _LOSSES)]()
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return identifier()
    if callable(identifier):
        known = _FUNCTIONS.get(identifier)
        return CustomLoss(identifier) if known is None else known()
    expected = f"one of {', '.join(_LOSSES)}, a Loss or a function of your own"
    raise ValueError(wording("loss", expected, shown(identifier)))


def for_training(identifier: Any) -> Loss | None:
    """As `get`; ValueError for a loss that leaves its rows as they are, which has no gradient."""
    loss = get(identifier)
    if loss is not None and loss.reduction in (None, "none"):
        expected = "one that gives one number, to train"
        raise ValueError(wording("reduction of the loss", expected, shown(loss.reduction)))
    if hasattr(loss, "call") and not hasattr(loss, "gradient"):
        expected = (
            "one with gradient(y_true, y_pred) beside its call (no derivative is found), or a CustomLoss"
        )
        raise TypeError(wording("loss", expected, type(loss).__name__))
    return loss


def serialize(loss: Loss) -> dict[str, Any]:
    """What `deserialize` makes the same loss of. Source: `keras.losses.serialize`.

    >>> serialize(Huber(2.0))["class_name"]
    'Huber'
    """
    instance("loss", loss, Loss, "a Loss")
    return {"class_name": type(loss).__name__, "config": loss.get_config()}


def deserialize(config: Mapping[str, Any]) -> Loss:
    """The loss that `serialize` describes. Source: `keras.losses.deserialize`."""
    name, arguments = described("loss", config)
    if not isinstance(name, str) or name not in _LOSSES:
        expected = f"a description with a class_name among {', '.join(_LOSSES)}"
        raise ValueError(wording("loss", expected, shown(config)))
    return _LOSSES[name](**arguments)
