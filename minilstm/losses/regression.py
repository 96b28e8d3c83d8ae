"""Losses on numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from minilstm.arrays import Array
from minilstm.losses.base import Loss, widen


@final
@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """Mean of squared errors: L_n = mean_j (p_j - y_j)^2, dL_n/dp_j = 2 (p_j - y_j) / C.

    y: finite numbers of the outputs' shape (B, C) or (B, T, C), (B,) and (B, T) where C = 1.
    Source: `keras.losses.MeanSquaredError`.

    >>> MeanSquaredError().value_and_gradient(np.array([[0.0, 0.0]]), np.array([[1.0, 3.0]]))[0]
    5.0
    """

    name = "mean_squared_error"
    logits_of = None

    def _target_shape(self, output_shape: tuple[int, ...]) -> tuple[int, ...]:
        return output_shape

    def _check_values(self, y: Array, output_shape: tuple[int, ...]) -> Array:
        return y.astype(np.float64)

    def _from_outputs(self, y: Array, p: Array) -> tuple[Array, Array]:
        error = widen(p) - y
        C = p.shape[-1]
        return (error * error).sum(axis=-1) / C, 2 * error / C

    def _from_logits(self, y: Array, z: Array) -> tuple[Array, Array]:
        raise TypeError("mean_squared_error has no form on logits: use value_and_gradient on the outputs")
