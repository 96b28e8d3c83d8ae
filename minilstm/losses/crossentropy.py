"""The crossentropies: of yes/no outputs, of rows of classes, of class labels; from outputs or logits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import (
    among,
    flag,
    real_number,
    settle,
    shown,
    spelled,
    whole_number,
    wording,
)
from minilstm.losses.base import Loss, Mask, refuse, widen

EPSILON = 1e-7  # Keras's backend.epsilon()


@final
@spelled
@dataclass(frozen=True)
class BinaryCrossentropy(Loss):
    """Crossentropy of independent yes/no outputs: L_n = mean_j -(y_j log p_j + (1 - y_j) log(1 - p_j)).

        dL_n/dp_j = (p_j - y_j) / (p_j (1 - p_j)) / C        0 where p_j was clipped
        dL_n/dz_j = (sigmoid(z_j) - y_j) / C

    from_logits : the outputs are z themselves
    label_smoothing s : y_j becomes y_j (1 - s) + s / 2

    y: 0, 1 or anything between, of the outputs' shape (B, C) or (B, T, C), (B,) and (B, T) where C = 1.
    Source: `keras.losses.BinaryCrossentropy`.

    >>> value, _ = BinaryCrossentropy().value_and_gradient(np.array([[1.0]]), np.array([[0.5]]))
    >>> round(value, 6)
    0.693147
    """

    from_logits: bool = False
    label_smoothing: float = 0.0
    axis: int = field(default=-1, repr=False)
    reduction: str | None = field(default="sum_over_batch_size", repr=False)
    name: str = field(default="binary_crossentropy", repr=False)
    dtype: str | None = field(default=None, repr=False)
    logits_of: str | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_smoothing(self)
        _settle(self, "sigmoid")

    def _target_shape(self, output_shape: tuple[int, ...]) -> tuple[int, ...]:
        return output_shape

    def _check_values(self, y: Array, output_shape: tuple[int, ...]) -> Array:
        if y.min(initial=0) < 0 or y.max(initial=1) > 1:
            bad = (y < 0) | (y > 1)
            refuse("y must be between 0 and 1, got {value} at {place}", bad, y, output_shape)
        return y.astype(np.float64)

    def _labels(self, y: Array, output_shape: tuple[int, ...]) -> tuple[Array, int]:
        if output_shape[-1] != 1:
            got = f"outputs of shape {output_shape}"
            raise ValueError(wording("class_weight", "None for several yes/no outputs", got))
        if not np.isin(y, (0, 1)).all():
            raise ValueError(wording("class_weight", "None for targets between 0 and 1", "weights"))
        return y[..., 0].astype(np.int64), 2

    def _from_outputs(self, y: Array, p: Array) -> tuple[Array, Array]:
        if self.from_logits:
            return self._from_logits(y, p)
        y = _smooth(y, self.label_smoothing, 2)
        p, inside = _clip(p)
        C = p.shape[-1]
        L_n = -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum(axis=-1) / C  # (N,)
        dp = np.where(inside, (p - y) / (p * (1 - p)) / C, 0)  # (N, C)
        return L_n, dp

    def _from_logits(self, y: Array, z: Array) -> tuple[Array, Array]:
        # L_n = max(z, 0) - y z + log(1 + exp(-|z|)): no exponential of a positive number
        y = _smooth(y, self.label_smoothing, 2)
        z = widen(z)
        C = z.shape[-1]
        positive = z.real > 0
        sign = np.where(positive, 1.0, -1.0)  # |z| = sign z, max(z, 0) = positive z
        label: Array = positive - y  # 1 - y or -y
        e = np.exp(-sign * z)
        L_n = (label * z + np.log1p(e)).sum(axis=-1) / C  # (N,)
        dz = (label - sign * (e / (1 + e))) / C  # (N, C); sigmoid(z) is 1 - e / (1 + e) or e / (1 + e)
        return L_n, dz


@final
@spelled
@dataclass(frozen=True)
class CategoricalCrossentropy(Loss):
    """Crossentropy of one class out of C, targets as rows: L_n = -sum_k y_k log r_k, r = p/S, S = sum_k p_k.

        dL_n/dr_k = -y_k / r_k                               0 where r_k was clipped
        dL_n/dp_j = (dL_n/dr_j - sum_k r_k dL_n/dr_k) / S
        dL_n/dz_j = softmax(z)_j sum_k y_k - y_j

    from_logits : the outputs are z themselves
    label_smoothing s : y_k becomes y_k (1 - s) + s / C

    y: one row of C numbers >= 0 per sample (B, C) or step (B, T, C), one-hot or a distribution; as in Keras
    a row's sum is not checked.
    Source: `keras.losses.CategoricalCrossentropy`.

    >>> value, _ = CategoricalCrossentropy().value_and_gradient(np.array([[1, 0]]), np.array([[0.25, 0.75]]))
    >>> round(value, 6)
    1.386294
    """

    from_logits: bool = False
    label_smoothing: float = 0.0
    axis: int = field(default=-1, repr=False)
    reduction: str | None = field(default="sum_over_batch_size", repr=False)
    name: str = field(default="categorical_crossentropy", repr=False)
    dtype: str | None = field(default=None, repr=False)
    logits_of: str | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_smoothing(self)
        _settle(self, "softmax")

    def _target_shape(self, output_shape: tuple[int, ...]) -> tuple[int, ...]:
        return output_shape

    def _check_values(self, y: Array, output_shape: tuple[int, ...]) -> Array:
        bad = y < 0
        if bad.any():
            refuse("y must be >= 0, got {value} at {place}", bad, y, output_shape)
        return y.astype(np.float64)

    def _labels(self, y: Array, output_shape: tuple[int, ...]) -> tuple[Array, int]:
        return y.argmax(axis=-1), output_shape[-1]

    def _from_outputs(self, y: Array, p: Array) -> tuple[Array, Array]:
        if self.from_logits:
            return self._from_logits(y, p)
        return _crossentropy_of_outputs(_smooth(y, self.label_smoothing, p.shape[-1]), p)

    def _from_logits(self, y: Array, z: Array) -> tuple[Array, Array]:
        return _crossentropy_of_logits(_smooth(y, self.label_smoothing, z.shape[-1]), z)


@final
@spelled
@dataclass(frozen=True)
class SparseCategoricalCrossentropy(Loss):
    """Crossentropy of one class out of C, targets as labels: as for rows, with y_k = 1 at the label.

    from_logits : the outputs are z themselves
    ignore_class : a label whose rows do not count, 0 .. C-1 or any other number

    y: whole labels 0 .. C-1, one per sample (B,) or (B, 1), or per step (B, T) or (B, T, 1).
    Source: `keras.losses.SparseCategoricalCrossentropy`; unlike Keras, labels out of range are refused.

    >>> value, _ = SparseCategoricalCrossentropy().value_and_gradient(np.array([0]), np.array([[0.25, 0.75]]))
    >>> round(value, 6)
    1.386294
    """

    from_logits: bool = False
    ignore_class: int | None = None
    reduction: str | None = field(default="sum_over_batch_size", repr=False)
    axis: int = field(default=-1, repr=False)
    name: str = field(default="sparse_categorical_crossentropy", repr=False)
    dtype: str | None = field(default=None, repr=False)
    logits_of: str | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ignore_class is not None:
            settle(self, ignore_class=whole_number("ignore_class", self.ignore_class, -(2**31)))
        _settle(self, "softmax")

    def _counted(self, y: Array) -> Mask | None:
        return None if self.ignore_class is None else y != self.ignore_class

    def _target_shape(self, output_shape: tuple[int, ...]) -> tuple[int, ...]:
        return output_shape[:-1]

    def _check_values(self, y: Array, output_shape: tuple[int, ...]) -> Array:
        classes = output_shape[-1]
        fractional = y != np.floor(y) if y.dtype.kind == "f" else np.zeros(y.shape, dtype=bool)
        if fractional.any():
            refuse("y must hold whole class labels, got {value} at {place}", fractional, y, output_shape)
        outside = (y < 0) | (y >= classes)
        if self.ignore_class is not None:
            outside &= y != self.ignore_class
        if outside.any():
            text = f"y has label {{value:.0f}} at {{place}}; classes are 0..{classes - 1}"
            refuse(text, outside, y, output_shape)
        return y.astype(np.int64)

    def _labels(self, y: Array, output_shape: tuple[int, ...]) -> tuple[Array, int]:
        return y, output_shape[-1]

    def _from_outputs(self, y: Array, p: Array) -> tuple[Array, Array]:
        rule = _crossentropy_of_logits if self.from_logits else _crossentropy_of_outputs
        return rule(_one_hot(y, p.shape[-1]), p)

    def _from_logits(self, y: Array, z: Array) -> tuple[Array, Array]:
        return _crossentropy_of_logits(_one_hot(y, z.shape[-1]), z)


def _settle(loss: Any, activation: str) -> None:
    """Check flag and axis, and set what the outputs may be an activation of; logits are of nothing."""
    if not among(loss.axis, (-1,)):
        raise ValueError(wording("axis", "-1: classes stand in the last axis", shown(loss.axis)))
    from_logits = flag("from_logits", loss.from_logits)
    settle(loss, from_logits=from_logits, logits_of=None if from_logits else activation)


def _check_smoothing(loss: Any) -> None:
    settle(loss, label_smoothing=real_number("label_smoothing", loss.label_smoothing))
    if loss.label_smoothing > 1:
        raise ValueError(wording("label_smoothing", "at most 1", loss.label_smoothing))


def _smooth(y: Array, share: float, classes: int) -> Array:
    """Targets with this share of their weight spread over all classes."""
    return y * (1 - share) + share / classes if share else y


def _clip(p: Array) -> tuple[Array, Mask]:
    """p clipped to [EPSILON, 1 - EPSILON], widened, and where it was inside.

    The limits are rounded to the dtype of p, so that float32 gives Keras's 15.942385 for p = 1, y = 0.
    """
    dtype = p.real.dtype.type
    low, high = dtype(EPSILON), dtype(1 - EPSILON)
    below, above = p.real < low, p.real > high
    clipped = np.where(below, low, np.where(above, high, p))
    return widen(clipped), ~(below | above)


def _crossentropy_of_outputs(y: Array, p: Array) -> tuple[Array, Array]:
    S = p.sum(axis=-1, keepdims=True)  # (N, 1)
    r = p / S
    clipped, inside = _clip(r)
    L_n = -(y * np.log(clipped)).sum(axis=-1)  # (N,)
    dr = np.where(inside, -y / clipped, 0)
    dp = (dr - (r * dr).sum(axis=-1, keepdims=True)) / S  # (N, C)
    return L_n, dp


def _crossentropy_of_logits(y: Array, z: Array) -> tuple[Array, Array]:
    # log softmax(z)_k = z_k - m - log sum_j exp(z_j - m) for any m; the largest z keeps exp below 1
    z = widen(z)
    z = z - z.real.max(axis=-1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=-1, keepdims=True)  # (N, 1)
    L_n = (y * (np.log(total) - z)).sum(axis=-1)  # (N,)
    dz = e / total * y.sum(axis=-1, keepdims=True) - y  # (N, C)
    return L_n, dz


def _one_hot(labels: Array, classes: int) -> Array:
    """Rows with a 1 at the label; (N,) -> (N, C)."""
    rows: Array = (labels[:, None] == np.arange(classes)).astype(np.float64)
    return rows
