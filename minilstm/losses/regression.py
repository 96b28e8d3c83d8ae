"""Losses on numbers."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import final

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import real_number, settle, spelled
from minilstm.losses.base import Loss, widen


class _OfErrors(Loss):
    """The mean of one number per error e = p - y, over the last axis.

    y: finite numbers of the outputs' shape (B, C) or (B, T, C), (B,) and (B, T) where C = 1.
    """

    def _from_outputs(self, y: Array, p: Array) -> tuple[Array, Array]:
        value, slope = self._of_error(widen(p) - y)
        C = p.shape[-1]
        return value.sum(axis=-1) / C, slope / C

    @abstractmethod
    def _of_error(self, e: Array) -> tuple[Array, Array]:
        """The value of each error, and its derivative."""


@final
@spelled
@dataclass(frozen=True)
class MeanSquaredError(_OfErrors):
    """Mean of squared errors: L_n = mean_j (p_j - y_j)^2, dL_n/dp_j = 2 (p_j - y_j) / C.

    Source: `keras.losses.MeanSquaredError`.

    >>> MeanSquaredError().value_and_gradient(np.array([[0.0, 0.0]]), np.array([[1.0, 3.0]]))[0]
    5.0
    """

    reduction: str | None = field(default="sum_over_batch_size", repr=False)
    name: str = field(default="mean_squared_error", repr=False)
    dtype: str | None = field(default=None, repr=False)

    def _of_error(self, e: Array) -> tuple[Array, Array]:
        return e * e, 2 * e


@final
@spelled
@dataclass(frozen=True)
class MeanAbsoluteError(_OfErrors):
    """Mean of errors without their sign: L_n = mean_j |e_j|, dL_n/dp_j = sign(e_j) / C, and 0 where e_j is 0.

    Source: `keras.losses.MeanAbsoluteError`.

    >>> MeanAbsoluteError().value_and_gradient(np.array([[0.0, 0.0]]), np.array([[1.0, -3.0]]))[0]
    2.0
    """

    reduction: str | None = field(default="sum_over_batch_size", repr=False)
    name: str = field(default="mean_absolute_error", repr=False)
    dtype: str | None = field(default=None, repr=False)

    def _of_error(self, e: Array) -> tuple[Array, Array]:
        sign = np.sign(e.real)
        return sign * e, sign


@final
@spelled
@dataclass(frozen=True)
class Huber(_OfErrors):
    """Squared for small errors and linear for large ones, d = delta:

        e^2 / 2                where |e| <= d      slope e
        d |e| - d^2 / 2        elsewhere           slope d sign(e)

    Source: Huber 1964; `keras.losses.Huber`.

    >>> Huber().value_and_gradient(np.array([[0.0, 0.0]]), np.array([[1.0, 3.0]]))[0]
    1.5
    """

    delta: float = 1.0
    reduction: str | None = field(default="sum_over_batch_size", repr=False)
    name: str = field(default="huber_loss", repr=False)
    dtype: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        settle(self, delta=real_number("delta", self.delta, above=True))

    def _of_error(self, e: Array) -> tuple[Array, Array]:
        sign, d = np.sign(e.real), self.delta
        small = sign * e.real <= d
        return np.where(small, e * e / 2, d * sign * e - d * d / 2), np.where(small, e, d * sign)


@final
@spelled
@dataclass(frozen=True)
class LogCosh(_OfErrors):
    """log cosh e: like e^2 / 2 for small errors and like |e| - log 2 for large ones; its slope is tanh e.

        log cosh e = |e| + log(1 + exp(-2 |e|)) - log 2      no exponential of a positive number

    Source: `keras.losses.LogCosh`.

    >>> round(LogCosh().value_and_gradient(np.array([[0.0, 0.0]]), np.array([[1.0, 1000.0]]))[0], 6)
    499.870317
    """

    reduction: str | None = field(default="sum_over_batch_size", repr=False)
    name: str = field(default="log_cosh", repr=False)
    dtype: str | None = field(default=None, repr=False)

    def _of_error(self, e: Array) -> tuple[Array, Array]:
        size = np.where(e.real < 0, -e, e)
        return size + np.log1p(np.exp(-2 * size)) - np.log(2), np.tanh(e)
