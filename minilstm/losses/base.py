"""What every loss offers: check the targets, and the mean of one number per row with its gradient.

What this file is not: it knows no formula of a loss; those stand beside it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, NoReturn, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minilstm.arrays import Array
from minilstm.errors import real_number, wording

Mask = NDArray[np.bool_]
RowRule = Callable[[Array, Array], tuple[Array, Array]]


class Loss(ABC):
    """A loss: what targets it takes, its value, and its gradient.

    Final classes: `BinaryCrossentropy`, `CategoricalCrossentropy`, `SparseCategoricalCrossentropy`,
    `MeanSquaredError`. `logits_of` is the output activation whose logits the loss can be computed from.

    Source: `keras.losses` with reduction "sum_over_batch_size".

    >>> from minilstm.losses import get
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

        >>> from minilstm.losses import get
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
        self, y: Array, p: Array, mask: Mask | None = None, weight: Array | None = None
    ) -> tuple[float | complex, Array]:
        """The loss on outputs `p`, and dL/dp with the shape and dtype of `p`.

        `y` comes from `check_targets`; `p` is (B, C) or (B, T, C), float32, float64 or complex (the value is
        then complex too: complex-step differentiation); `mask` is (B, T), bool. With a mask the divisor is
        the number of real steps; with none left the loss is 0.0 and so is the gradient. `weight`, one number
        per row (B,) or (B, T), multiplies each row's loss and leaves the divisor as it is. Sums are float64.
        Raises nothing and warns of nothing: NaN and Inf pass through to the value.

        Source: Keras 3 on PyTorch, clipping and its zero gradient included.

        >>> from minilstm.losses import get
        >>> value, dp = get("mse").value_and_gradient(np.array([[1.0], [0.0]]), np.array([[0.5], [0.5]]))
        >>> value, dp.tolist()
        (0.25, [[-0.5], [0.5]])
        """
        return _mean(self._from_outputs, y, p, mask, weight)

    @final
    def value_and_gradient_from_logits(
        self, y: Array, z: Array, mask: Mask | None = None, weight: Array | None = None
    ) -> tuple[float | complex, Array]:
        """The loss on logits `z`, and dL/dz with the shape and dtype of `z`.

        As `value_and_gradient`, but never clipped: exact for logits of +-1e4, and the gradient stays alive.
        Raises TypeError where `logits_of` is None.

        Source: `from_logits=True` of `keras.losses`.

        >>> from minilstm.losses import get
        >>> value, dz = get("binary_crossentropy").value_and_gradient_from_logits(
        ...     np.array([[1.0]]), np.array([[-1e4]])
        ... )
        >>> value, dz.tolist()
        (10000.0, [[-1.0]])
        """
        return _mean(self._from_logits, y, z, mask, weight)

    def class_weights(self, weights: Mapping[int, float], y: Array, output_shape: tuple[int, ...]) -> Array:
        """The weight of each row by its class, 1 for a class that is not named; for losses on classes.

        `y` comes from `check_targets`. Raises TypeError or ValueError for anything but a dict of finite
        numbers by class, for a class that does not exist, and for losses and targets without classes.
        Source: `class_weight` of `keras.Model.fit`.
        """
        labels, classes = self._labels(y, output_shape)
        if not isinstance(weights, Mapping):
            raise TypeError(wording("class_weight", "a dict of numbers by class", repr(weights)))
        table = np.ones(classes)
        for label, number in weights.items():
            whole = isinstance(label, (int, np.integer)) and not isinstance(label, bool)
            if not whole or not 0 <= label < classes:
                raise ValueError(wording("class_weight", f"of the classes 0..{classes - 1}", repr(label)))
            table[label] = real_number(f"class_weight[{label}]", number)
        return np.asarray(table[labels])

    def _labels(self, y: Array, output_shape: tuple[int, ...]) -> tuple[Array, int]:
        """The class of each row, and how many classes there are; ValueError where there are none."""
        raise ValueError(wording("class_weight", f"None for {self.name}, which has no classes", "weights"))

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


def _mean(
    rule: RowRule, y: Array, p: Array, mask: Mask | None, weight: Array | None
) -> tuple[float | complex, Array]:
    """L = sum of w_n L_n over the rows that count / their number, and its gradient."""
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
        if weight is not None:
            w_n = weight.reshape(-1) if mask is None else weight[mask]  # (N,)
            L_n, drows = w_n * L_n, w_n[:, None] * drows
        value = L_n.sum() / N
        drows = (drows / N).astype(p.dtype)
    if mask is None:
        gradient = drows.reshape(p.shape)
    else:
        gradient = np.zeros_like(p)
        gradient[mask] = drows
    return (complex(value) if value.dtype.kind == "c" else float(value)), gradient


def widen(p: Array) -> Array:
    """float64 or complex128: rows are few, and sums in float32 are not worth their speed."""
    return p.astype(np.complex128 if p.dtype.kind == "c" else np.float64)


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
            refuse(text, bad, y, output_shape)


def refuse(text: str, bad: Mask, y: Array, output_shape: tuple[int, ...]) -> NoReturn:
    """Raise ValueError(text), filled with the first bad value and its place in y."""
    index = [int(i) for i in np.argwhere(bad)[0]]
    value = y[tuple(index)]
    if len(index) == len(output_shape) and output_shape[-1] == 1:
        index = index[:-1]  # y may have come without that axis
    place = f"row {index[0]}" if len(index) == 1 else str(index)
    raise ValueError(text.format(value=value, place=place))
