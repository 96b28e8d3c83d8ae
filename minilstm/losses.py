"""The four losses: value and gradient, from outputs or from logits.

Every loss is the mean of one number per row. A row is one sample, or one real time step of a sequence; N is
the number of rows, C the size of the last axis:

    L = (1/N) sum_n L_n,  where L_n is one of the formulas in the classes below

p are the outputs of the last layer, z its logits (p = sigmoid(z) or p = softmax(z)). Outputs are clipped to
[1e-7, 1 - 1e-7] as in Keras, and there the gradient is 0, so that a confidently wrong unit learns nothing.
The forms on logits have neither fault; use them behind a sigmoid or a softmax.

What this file is not: it knows no layers and no weights, and it averages nothing over batches.

Source: Keras 3, `keras/src/losses/loss.py` (reduction, masks) and `keras/src/backend/torch/nn.py` (formulas).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minilstm.errors import one_of, wording

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Loss",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
]

Array = NDArray[Any]
Mask = NDArray[np.bool_]
RowRule = Callable[[Array, Array], tuple[Array, Array]]

EPSILON = 1e-7  # Keras's backend.epsilon()


class Loss(ABC):
    """A loss: what targets it takes, its value, and its gradient.

    Final classes: `BinaryCrossentropy`, `CategoricalCrossentropy`, `SparseCategoricalCrossentropy`,
    `MeanSquaredError`. `logits_of` is the output activation whose logits the loss can be computed from.

    Source: `keras.losses` with reduction "sum_over_batch_size".

    >>> loss = get("mse")
    >>> loss.name, loss.logits_of
    ('mean_squared_error', None)
    """

    name: ClassVar[str]
    logits_of: ClassVar[str | None]

    @final
    def check_targets(self, y: ArrayLike, output_shape: tuple[int, ...], mask: Mask | None = None) -> Array:
        """The targets as a new array of the shape and dtype that the other methods take.

        `output_shape` is (B, C) or (B, T, C); `mask` is (B, T), True = real step. A last axis of 1 may be
        missing or surplus in `y`. Returns float64 of `output_shape`, or int64 labels of `output_shape[:-1]`.
        Targets at masked steps may hold anything: they are not checked, and come back as 0.

        Raises TypeError for a dtype that is not numeric; ValueError for another length or shape, NaN or Inf,
        and for values that the loss has no meaning for.

        Source: `keras.src.losses.loss.squeeze_or_expand_to_same_rank`; the checks of values are our own.

        >>> get("binary_crossentropy").check_targets([0, 1, 1], (3, 1)).shape
        (3, 1)
        >>> get("sparse_categorical_crossentropy").check_targets([[0], [3]], (2, 3))
        Traceback (most recent call last):
            ...
        ValueError: y has label 3 at row 1; classes are 0..2
        """
        targets = _numbers(y)
        targets = _fit_shape(targets, self._target_shape(output_shape), output_shape)
        if mask is not None:
            mask = np.asarray(mask, dtype=bool)
            if mask.shape != output_shape[:-1]:
                raise ValueError(wording("mask", f"of shape {output_shape[:-1]}", f"shape {mask.shape}"))
            trailing = (1,) * (targets.ndim - mask.ndim)
            targets = np.where(mask.reshape(mask.shape + trailing), targets, targets.dtype.type(0))
        _refuse_non_finite(targets, output_shape)
        return self._check_values(targets, output_shape)

    @final
    def value_and_gradient(
        self, y: Array, p: Array, mask: Mask | None = None
    ) -> tuple[float | complex, Array]:
        """The loss on outputs `p`, and dL/dp with the shape and dtype of `p`.

        `y` comes from `check_targets`; `p` is (B, C) or (B, T, C), float32, float64 or complex (the value is
        then complex too: complex-step differentiation); `mask` is (B, T), bool. With a mask the divisor is
        the number of real steps; with none left the loss is 0.0 and so is the gradient. Sums are float64.
        Raises nothing and warns of nothing: NaN and Inf pass through to the value.

        Source: Keras 3 on PyTorch, clipping and its zero gradient included.

        >>> value, dp = get("mse").value_and_gradient(np.array([[1.0], [0.0]]), np.array([[0.5], [0.5]]))
        >>> value, dp.tolist()
        (0.25, [[-0.5], [0.5]])
        """
        return _mean(self._from_outputs, y, p, mask)

    @final
    def value_and_gradient_from_logits(
        self, y: Array, z: Array, mask: Mask | None = None
    ) -> tuple[float | complex, Array]:
        """The loss on logits `z`, and dL/dz with the shape and dtype of `z`.

        As `value_and_gradient`, but never clipped: exact for logits of +-1e4, and the gradient stays alive.
        Raises TypeError where `logits_of` is None.

        Source: `from_logits=True` of `keras.losses`.

        >>> value, dz = get("binary_crossentropy").value_and_gradient_from_logits(
        ...     np.array([[1.0]]), np.array([[-1e4]])
        ... )
        >>> value, dz.tolist()
        (10000.0, [[-1.0]])
        """
        return _mean(self._from_logits, y, z, mask)

    @abstractmethod
    def _target_shape(self, output_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the targets that go with outputs of `output_shape`."""

    @abstractmethod
    def _check_values(self, y: Array, output_shape: tuple[int, ...]) -> Array:
        """Finite targets of the right shape, in the dtype of the loss; ValueError for a meaningless value."""

    @abstractmethod
    def _from_outputs(self, y: Array, p: Array) -> tuple[Array, Array]:
        """L_n (N,) and dL_n/dp (N, C) for rows of outputs."""

    @abstractmethod
    def _from_logits(self, y: Array, z: Array) -> tuple[Array, Array]:
        """L_n (N,) and dL_n/dz (N, C) for rows of logits."""


@final
@dataclass(frozen=True)
class BinaryCrossentropy(Loss):
    """Crossentropy of independent yes/no outputs: L_n = mean_j -(y_j log p_j + (1 - y_j) log(1 - p_j)).

        dL_n/dp_j = (p_j - y_j) / (p_j (1 - p_j)) / C        0 where p_j was clipped
        dL_n/dz_j = (sigmoid(z_j) - y_j) / C

    y: 0, 1 or anything between, of the outputs' shape (B, C) or (B, T, C), (B,) and (B, T) where C = 1.
    Source: `keras.losses.BinaryCrossentropy`.

    >>> value, _ = BinaryCrossentropy().value_and_gradient(np.array([[1.0]]), np.array([[0.5]]))
    >>> round(value, 6)
    0.693147
    """

    name = "binary_crossentropy"
    logits_of = "sigmoid"

    def _target_shape(self, output_shape: tuple[int, ...]) -> tuple[int, ...]:
        return output_shape

    def _check_values(self, y: Array, output_shape: tuple[int, ...]) -> Array:
        bad = (y < 0) | (y > 1)
        if bad.any():
            _refuse("y must be between 0 and 1, got {value} at {place}", bad, y, output_shape)
        return y.astype(np.float64)

    def _from_outputs(self, y: Array, p: Array) -> tuple[Array, Array]:
        p, inside = _clip(p)
        C = p.shape[-1]
        L_n = -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum(axis=-1) / C  # (N,)
        dp = np.where(inside, (p - y) / (p * (1 - p)) / C, 0)  # (N, C)
        return L_n, dp

    def _from_logits(self, y: Array, z: Array) -> tuple[Array, Array]:
        # L_n = max(z, 0) - y z + log(1 + exp(-|z|)): no exponential of a positive number
        z = _widen(z)
        C = z.shape[-1]
        positive = z.real > 0
        e = np.exp(np.where(positive, -z, z))  # exp(-|z|)
        L_n = (np.where(positive, z, 0) - y * z + np.log1p(e)).sum(axis=-1) / C  # (N,)
        s = e / (1 + e)  # sigmoid(-|z|); sigmoid(z) is s or 1 - s
        dz = np.where(positive, (1 - y) - s, s - y) / C  # (N, C)
        return L_n, dz


@final
@dataclass(frozen=True)
class CategoricalCrossentropy(Loss):
    """Crossentropy of one class out of C, targets as rows: L_n = -sum_k y_k log r_k, r = p/S, S = sum_k p_k.

        dL_n/dr_k = -y_k / r_k                               0 where r_k was clipped
        dL_n/dp_j = (dL_n/dr_j - sum_k r_k dL_n/dr_k) / S
        dL_n/dz_j = softmax(z)_j sum_k y_k - y_j

    y: one row of C numbers >= 0 per sample (B, C) or step (B, T, C), one-hot or a distribution; as in Keras
    a row's sum is not checked.
    Source: `keras.losses.CategoricalCrossentropy`.

    >>> value, _ = CategoricalCrossentropy().value_and_gradient(np.array([[1, 0]]), np.array([[0.25, 0.75]]))
    >>> round(value, 6)
    1.386294
    """

    name = "categorical_crossentropy"
    logits_of = "softmax"

    def _target_shape(self, output_shape: tuple[int, ...]) -> tuple[int, ...]:
        return output_shape

    def _check_values(self, y: Array, output_shape: tuple[int, ...]) -> Array:
        bad = y < 0
        if bad.any():
            _refuse("y must be >= 0, got {value} at {place}", bad, y, output_shape)
        return y.astype(np.float64)

    def _from_outputs(self, y: Array, p: Array) -> tuple[Array, Array]:
        return _crossentropy_of_outputs(y, p)

    def _from_logits(self, y: Array, z: Array) -> tuple[Array, Array]:
        return _crossentropy_of_logits(y, z)


@final
@dataclass(frozen=True)
class SparseCategoricalCrossentropy(Loss):
    """Crossentropy of one class out of C, targets as labels: as for rows, with y_k = 1 at the label.

    y: whole labels 0 .. C-1, one per sample (B,) or (B, 1), or per step (B, T) or (B, T, 1).
    Source: `keras.losses.SparseCategoricalCrossentropy`; unlike Keras, labels out of range are refused.

    >>> value, _ = SparseCategoricalCrossentropy().value_and_gradient(np.array([0]), np.array([[0.25, 0.75]]))
    >>> round(value, 6)
    1.386294
    """

    name = "sparse_categorical_crossentropy"
    logits_of = "softmax"

    def _target_shape(self, output_shape: tuple[int, ...]) -> tuple[int, ...]:
        return output_shape[:-1]

    def _check_values(self, y: Array, output_shape: tuple[int, ...]) -> Array:
        classes = output_shape[-1]
        fractional = y != np.floor(y) if y.dtype.kind == "f" else np.zeros(y.shape, dtype=bool)
        if fractional.any():
            _refuse("y must hold whole class labels, got {value} at {place}", fractional, y, output_shape)
        outside = (y < 0) | (y >= classes)
        if outside.any():
            text = f"y has label {{value:.0f}} at {{place}}; classes are 0..{classes - 1}"
            _refuse(text, outside, y, output_shape)
        return y.astype(np.int64)

    def _from_outputs(self, y: Array, p: Array) -> tuple[Array, Array]:
        return _crossentropy_of_outputs(_one_hot(y, p.shape[-1]), p)

    def _from_logits(self, y: Array, z: Array) -> tuple[Array, Array]:
        return _crossentropy_of_logits(_one_hot(y, z.shape[-1]), z)


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
        error = _widen(p) - y
        C = p.shape[-1]
        return (error * error).sum(axis=-1) / C, 2 * error / C

    def _from_logits(self, y: Array, z: Array) -> tuple[Array, Array]:
        raise TypeError("mean_squared_error has no form on logits: use value_and_gradient on the outputs")


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


def _mean(rule: RowRule, y: Array, p: Array, mask: Mask | None) -> tuple[float | complex, Array]:
    """L = sum of L_n over the rows that count / their number, and its gradient."""
    if mask is None:
        rows = p.reshape(-1, p.shape[-1])  # (N, C)
        targets = y.reshape(-1, *y.shape[p.ndim - 1 :])  # (N, C), or labels (N,)
    else:
        rows, targets = p[mask], y[mask]  # the same, real steps only
    N = len(rows)
    if N == 0:
        return 0.0, np.zeros_like(p)
    with np.errstate(all="ignore"):  # diverged outputs: the caller looks at the value
        L_n, drows = rule(targets, rows)  # (N,), (N, C)
        value = L_n.sum() / N
        drows = (drows / N).astype(p.dtype)
    if mask is None:
        gradient = drows.reshape(p.shape)
    else:
        gradient = np.zeros_like(p)
        gradient[mask] = drows
    return (complex(value) if np.iscomplexobj(value) else float(value)), gradient


def _widen(p: Array) -> Array:
    """float64 or complex128: rows are few, and sums in float32 are not worth their speed."""
    return p.astype(np.complex128 if np.iscomplexobj(p) else np.float64)


def _clip(p: Array) -> tuple[Array, Mask]:
    """p clipped to [EPSILON, 1 - EPSILON], widened, and where it was inside.

    The limits are rounded to the dtype of p, so that float32 gives Keras's 15.942385 for p = 1, y = 0.
    """
    dtype = p.real.dtype.type
    low, high = dtype(EPSILON), dtype(1 - EPSILON)
    below, above = p.real < low, p.real > high
    clipped = np.where(below, low, np.where(above, high, p))
    return _widen(clipped), ~(below | above)


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
    z = _widen(z)
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


def _numbers(y: ArrayLike) -> Array:
    """y as an array of real numbers; TypeError otherwise."""
    if isinstance(y, np.ma.MaskedArray):
        raise TypeError(wording("y", "a plain array (steps are left out by `mask=`)", "a masked array"))
    try:
        array = np.asarray(y)
    except ValueError:  # NumPy's text speaks of an "inhomogeneous shape"
        raise ValueError(
            wording("y", "an array or rows of one length", "rows of different lengths")
        ) from None
    if array.dtype.kind not in "biuf":
        raise TypeError(wording("y", "an array of numbers", f"dtype {array.dtype}"))
    return array


def _fit_shape(y: Array, shape: tuple[int, ...], output_shape: tuple[int, ...]) -> Array:
    """y with a last axis of 1 added or dropped to have `shape`; ValueError where that is not enough."""
    if y.ndim and len(y) != output_shape[0]:
        expected = f"of length {output_shape[0]}, one entry per sample of the output"
        raise ValueError(wording("y", expected, f"length {len(y)}"))
    if y.shape == shape or y.shape == (*shape, 1) or (*y.shape, 1) == shape:
        return y.reshape(shape)
    expected = f"of shape {shape} to go with outputs of shape {output_shape}"
    text = wording("y", expected, f"shape {y.shape}")
    if y.shape == output_shape:
        text += "; rows of classes go with categorical_crossentropy"
    elif y.shape in (output_shape[:-1], (*output_shape[:-1], 1)):
        text += "; class labels go with sparse_categorical_crossentropy"
    raise ValueError(text)


def _refuse_non_finite(y: Array, output_shape: tuple[int, ...]) -> None:
    if y.dtype.kind == "f":
        bad = ~np.isfinite(y)
        if bad.any():
            kind = "NaN" if np.isnan(y[bad][0]) else "Inf"
            text = f"y contains {kind} at {{place}} ({np.count_nonzero(bad)} of {y.size} values)"
            _refuse(text, bad, y, output_shape)


def _refuse(text: str, bad: Mask, y: Array, output_shape: tuple[int, ...]) -> NoReturn:
    """Raise ValueError(text), filled with the first bad value and its place in y."""
    index = [int(i) for i in np.argwhere(bad)[0]]
    value = y[tuple(index)]
    if len(index) == len(output_shape) and output_shape[-1] == 1:
        index = index[:-1]  # y may have come without that axis
    place = f"row {index[0]}" if len(index) == 1 else str(index)
    raise ValueError(text.format(value=value, place=place))
