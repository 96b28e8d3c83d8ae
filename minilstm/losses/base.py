"""What every loss offers: check the targets, and the mean of one number per row with its gradient.

What this file is not: it knows no formula of a loss; those stand beside it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Self, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minilstm.foundations.arrays import Array, is_sparse, plain_array
from minilstm.foundations.errors import by_name, given_name, one_of, real_number, shown, snake_case, wording

Mask = NDArray[np.bool_]
RowRule = Callable[[Array, Array], tuple[Array, Array]]
REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none")


class Loss:
    """A loss: what targets it takes, its value, and its gradient.

    Arguments of all classes: `reduction`, how the rows' losses become one number ("sum_over_batch_size" and
    "mean" divide their weighted sum by their number, "mean_with_sample_weight" by the sum of the weights,
    "sum" by nothing; None or "none", for a call alone, leaves them as they are), `name`, and `dtype` of what
    a call gives ("float32" or "float64"; None: that of the outputs). `logits_of` is the activation whose
    logits the loss can be computed from.

    A loss of your own is a function, see `CustomLoss`, or as in Keras a subclass with `call(y_true, y_pred)`,
    one number for each row or each output, and `gradient(y_true, y_pred)`, the derivative of each of them by
    its outputs, (..., C). Without a gradient it can be called; nothing here finds one to train with.

    Source: `keras.losses.Loss`.

    >>> from minilstm.losses import get
    >>> loss = get("mse")
    >>> loss.name, loss.logits_of
    ('mean_squared_error', None)
    """

    reduction: str | None
    name: str
    dtype: str | None
    logits_of: str | None = None

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: str | None = None,
    ) -> None:
        if not hasattr(self, "call"):
            raise TypeError(f"{type(self).__name__} must have call(y_true, y_pred), and gradient to train")
        self.name = snake_case(type(self).__name__) if name is None else name
        self.reduction, self.dtype = reduction, dtype
        self.__post_init__()

    def __post_init__(self) -> None:
        if self.reduction is not None:
            one_of("reduction", self.reduction, REDUCTIONS)
        given_name("name", self.name)
        if self.dtype is not None:
            one_of("dtype", self.dtype, ("float32", "float64"))

    def __call__(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> Any:
        """The loss of outputs `y_pred` (..., C) for the targets `y_true`, reduced as the loss says.

        sample_weight : a number, or what fits the rows of the loss (B,), (B, 1) or (B, T), as NumPy
            stretches it

        A float of NumPy, or an array of one per row. Raises as `check_targets` does. Source: `keras.Loss`.

        >>> from minilstm.losses import MeanSquaredError
        >>> float(MeanSquaredError()([[0.0], [2.0]], [[1.0], [0.0]], sample_weight=[1, 3]))
        6.5
        """
        p = _numbers(y_pred, "y_pred")
        p = p if p.dtype in (np.float32, np.float64) else p.astype(np.float32)
        if p.ndim == 0:
            raise ValueError(wording("y_pred", "an array of outputs (..., C)", "one number"))
        y = plain_array("y_true", y_true)
        if hasattr(self, "call"):
            y, p = same_rank(y.astype(p.dtype), p)
            found = _reduced(self.reduction, np.asarray(self.call(y, p)), sample_weight, None)
            return np.asarray(found, self.dtype or p.dtype)[()]
        single = p.ndim == 1 and (y.ndim < 2 or y.shape[-1] != 1)
        p, y = (p[None], y[None]) if single else (p[:, None] if p.ndim == 1 else p, y)
        targets = self.check_targets(y, p.shape)
        rows = p.reshape(-1, p.shape[-1])
        with np.errstate(all="ignore"):
            values = self._from_outputs(targets.reshape(-1, *targets.shape[p.ndim - 1 :]), rows)[0]
        counts = self._counted(targets)
        found = _reduced(self.reduction, values.reshape(p.shape[:-1]), sample_weight, counts)
        found = found[0] if single and np.ndim(found) else found
        return np.asarray(found, self.dtype or p.dtype)[()]

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, by name. Source: `keras.Loss.get_config`."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The loss that `get_config` describes."""
        return cls(**by_name("config", config))

    def _counted(self, y: Array) -> Mask | None:
        """Which rows count at all; None where all do."""
        return None

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
        per row (B,) or (B, T), multiplies each row's loss; the divisor is as `reduction` says. Sums are
        float64.
        Raises nothing and warns of nothing: NaN and Inf pass through to the value.

        Source: Keras 3 on PyTorch, clipping and its zero gradient included.

        >>> from minilstm.losses import get
        >>> value, dp = get("mse").value_and_gradient(np.array([[1.0], [0.0]]), np.array([[0.5], [0.5]]))
        >>> value, dp.tolist()
        (0.25, [[-0.5], [0.5]])
        """
        return self._reduce(self._from_outputs, y, p, mask, weight)

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
        return self._reduce(self._from_logits, y, z, mask, weight)

    def class_weights(self, weights: Mapping[int, float], y: Array, output_shape: tuple[int, ...]) -> Array:
        """The weight of each row by its class, 1 for a class that is not named; for losses on classes.

        `y` comes from `check_targets`. Raises TypeError or ValueError for anything but a dict of finite
        numbers by class, for a class that does not exist, and for losses and targets without classes.
        Source: `class_weight` of `keras.Model.fit`.
        """
        labels, classes = self._labels(y, output_shape)
        if not isinstance(weights, Mapping):
            raise TypeError(wording("class_weight", "a dict of numbers by class", shown(weights)))
        table = np.ones(classes)
        for label, number in weights.items():
            whole = isinstance(label, (int, np.integer)) and not isinstance(label, bool)
            if not whole or not 0 <= label < classes:
                raise ValueError(wording("class_weight", f"of the classes 0..{classes - 1}", shown(label)))
            table[label] = real_number(f"class_weight[{label}]", number)
        return np.asarray(table[labels])

    def _labels(self, y: Array, output_shape: tuple[int, ...]) -> tuple[Array, int]:
        """The class of each row, and how many classes there are; ValueError where there are none."""
        raise ValueError(wording("class_weight", f"None for {self.name}, which has no classes", "weights"))

    def _target_shape(self, output_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the targets that go with outputs of `output_shape`."""
        return output_shape

    def _check_values(self, y: Array, output_shape: tuple[int, ...]) -> Array:
        """Finite targets of the right shape, in the dtype of the loss; ValueError for a meaningless value."""
        return y.astype(np.float64)

    def _from_outputs(self, y: Array, p: Array) -> tuple[Array, Array]:
        """L_n (N,) and dL_n/dp (N, C) for rows of outputs; of a subclass of the user's if not overridden."""
        value, slope = np.asarray(self.call(y, p)), np.asarray(self.gradient(y, p))  # type: ignore[attr-defined]
        if value.shape == p.shape and self.reduction != "sum":  # one number for each output: their mean
            value, slope = value.mean(axis=-1), slope / p.shape[-1]
        elif value.shape == p.shape:
            value = value.sum(axis=-1)
        return checked_rows(self.name, value, slope, p)

    def _from_logits(self, y: Array, z: Array) -> tuple[Array, Array]:
        """L_n (N,) and dL_n/dz (N, C) for rows of logits."""
        raise TypeError(f"{self.name} has no form on logits: use value_and_gradient on the outputs")

    @final
    def _reduce(
        self, rule: RowRule, y: Array, p: Array, mask: Mask | None, weight: Array | None
    ) -> tuple[float | complex, Array]:
        """L, the weighted sum of L_n over the rows that count by what `reduction` says, and its gradient."""
        counts = self._counted(y)
        if counts is not None:
            mask = counts if mask is None else mask & counts
        if mask is None:
            rows = p.reshape(-1, p.shape[-1])  # (N, C)
            targets = y.reshape(-1, *y.shape[p.ndim - 1 :])  # (N, C), or labels (N,)
        else:
            rows, targets = p[mask], y[mask]  # the same, real steps only
        divisor: float = len(rows)
        if divisor == 0:
            return 0.0, np.zeros_like(p)
        with np.errstate(all="ignore"):  # diverged outputs: the caller looks at the value
            L_n, drows = rule(targets, rows)  # (N,), (N, C)
            if weight is not None:
                w_n = weight.reshape(-1) if mask is None else weight[mask]  # (N,)
                L_n, drows = w_n * L_n, w_n[:, None] * drows
                if self.reduction == "mean_with_sample_weight":
                    divisor = float(w_n.sum()) or 1.0
            if self.reduction == "sum":
                divisor = 1
            value = L_n.sum() / divisor
            drows = (drows / divisor).astype(p.dtype)
        if mask is None:
            gradient = drows.reshape(p.shape)
        else:
            gradient = np.zeros_like(p)
            gradient[mask] = drows
        return (complex(value) if value.dtype.kind == "c" else float(value)), gradient


def checked_rows(name: str, value: Array, slope: Array, p: Array) -> tuple[Array, Array]:
    """What a loss of the user's gives for rows of outputs p, (N,) and (N, C); ValueError for other shapes."""
    if value.shape != p.shape[:1] or slope.shape != p.shape:
        expected = f"a function that gives ({(len(p),)} losses, {p.shape} gradients)"
        raise ValueError(wording(f"loss {name!r}", expected, f"{value.shape} and {slope.shape}"))
    return value, slope


def _reduced(
    reduction: str | None, values: Array, sample_weight: ArrayLike | None, counts: Mask | None
) -> Array:
    """The rows' losses, weighted and reduced, as a call of a loss of Keras gives them."""
    weight = None if sample_weight is None else _numbers(sample_weight, "sample_weight")
    share = 1.0  # of the rows that count
    if counts is not None:
        values, share = np.where(counts, values, 0), float(counts.mean()) or 1.0
        if weight is not None:
            real, weight = same_rank(counts.astype(np.float64), weight)
            weight = weight * real
        else:
            weight = counts.astype(np.float64)
    if weight is not None:
        values, weight = same_rank(values, weight)
        try:
            values = values * weight
        except ValueError:
            expected = f"of a shape that fits the losses' {values.shape}"
            raise ValueError(wording("sample_weight", expected, weight.shape)) from None
    if reduction in (None, "none"):
        return values
    divisor = 1.0 if reduction == "sum" else values.size * share
    if reduction == "mean_with_sample_weight" and weight is not None:
        divisor = float(weight.sum()) or 1.0
    return np.asarray(values.sum() / (divisor or 1.0))


def same_rank(a: Array, b: Array) -> tuple[Array, Array]:
    """Both, where their ranks differ by a last axis of 1: two axes become one, but one becomes two.

    Source: `keras/src/losses/loss.py`, `squeeze_or_expand_to_same_rank`.

    >>> [part.shape for part in same_rank(np.ones((3, 1)), np.ones(3))]
    [(3, 1), (3, 1)]
    """
    if a.ndim == b.ndim + 1 and a.shape[-1] == 1:
        return (a, b[:, None]) if b.ndim == 1 else (a[..., 0], b)
    if b.ndim == a.ndim + 1 and b.shape[-1] == 1:
        return (a[:, None], b) if a.ndim == 1 else (a, b[..., 0])
    return a, b


def widen(p: Array) -> Array:
    """float64 or complex128: rows are few, and sums in float32 are not worth their speed."""
    return p.astype(np.complex128 if p.dtype.kind == "c" else np.float64)


def _numbers(y: ArrayLike, argument: str = "y") -> Array:
    """y as an array of real numbers; TypeError otherwise."""
    if isinstance(y, np.ma.MaskedArray):
        raise TypeError(wording(argument, "a plain array (steps are left out by `mask=`)", "a masked array"))
    if is_sparse(y):
        raise TypeError(wording(argument, "a plain array", "a sparse one: its toarray() makes one"))
    try:
        array = np.asarray(y)
    except ValueError:  # NumPy's text speaks of an "inhomogeneous shape"
        got = "rows of different lengths: use pad_sequences, and mask= for the padded steps"
        raise ValueError(wording(argument, "an array or rows of one length", got)) from None
    if array.dtype.kind in "US" or (array.dtype.kind == "O" and any(isinstance(v, str) for v in array.flat)):
        ways = "np.unique(labels, return_inverse=True)[1] numbers labels, LSTMClassifier takes text"
        raise TypeError(f"{wording(argument, 'an array of numbers', f'dtype {array.dtype}')}; {ways}")
    if array.dtype.kind not in "biuf":
        raise TypeError(wording(argument, "an array of numbers", f"dtype {array.dtype}"))
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
