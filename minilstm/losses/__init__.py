"""The four losses: value and gradient, from outputs or from logits.

Every loss is the mean of one number per row. A row is one sample, or one real time step of a sequence; N is
the number of rows, C the size of the last axis:

    L = (1/N) sum_n L_n,  where L_n is one of the formulas in the classes below

p are the outputs of the last layer, z its logits (p = sigmoid(z) or p = softmax(z)). Outputs are clipped to
[1e-7, 1 - 1e-7] as in Keras, and there the gradient is 0, so that a confidently wrong unit learns nothing.
The forms on logits have neither fault; use them behind a sigmoid or a softmax.

What this package is not: it knows no layers and no weights, and it averages nothing over batches.

Source: Keras 3, `keras/src/losses/loss.py` (reduction, masks) and `keras/src/backend/torch/nn.py` (formulas).
"""

from __future__ import annotations

from minilstm.errors import one_of, wording
from minilstm.losses.base import Loss
from minilstm.losses.crossentropy import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
from minilstm.losses.regression import MeanSquaredError

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Loss",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
]

_LOSSES: dict[str, type[Loss]] = {
    "binary_crossentropy": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
}


def get(identifier: object) -> Loss:
    """The loss of that name, or the loss itself; ValueError, with the known names, for anything else.

    Source: `keras.losses.get`.

    >>> get("mse")
    MeanSquaredError()
    """
    if isinstance(identifier, Loss):
        return identifier
    if not isinstance(identifier, str):
        raise ValueError(wording("loss", f"one of {', '.join(_LOSSES)} or a Loss", repr(identifier)))
    return _LOSSES[one_of("loss", identifier, _LOSSES)]()
