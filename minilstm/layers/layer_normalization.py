"""LayerNormalization: each sample, or each of its steps, brought to mean 0 and variance 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Unpack

import numpy as np

from minilstm.bptt.tape import Contents
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import real_number, shown, switch, wording
from minilstm.initializers import Initializer
from minilstm.layers.base import Layer, Shape, declare_weight
from minilstm.layers.words import Words
from minilstm.regularizers import Regularizer


class NormalizationTape(NamedTuple):
    """What LayerNormalization leaves for backward."""

    normal: Array  # n, of x's shape: what gamma and beta change
    apart: Array  # (x - mean) / sqrt(variance + epsilon): n itself, but with rms_scaling
    scale: Array  # 1 / sqrt(variance + epsilon), 1 along the axes
    axes: tuple[int, ...]


class LayerNormalization(Layer):
    """y = gamma n + beta with n = (x - mean) / sqrt(variance + epsilon), over `axis` of each sample.

    Parameters
    ----------
    axis : the axis, or a list of axes, that mean and variance are taken over, the batch's being 0
    epsilon : added to the variance
    center, scale : whether there is beta; whether there is gamma
    beta_, gamma_initializer, beta_, gamma_regularizer : as of other weights
    rms_scaling : n = x / sqrt(variance + epsilon) instead, without beta: what Keras calls so

    With the default axis every step is normalized by itself, so a mask is carried on and changes nothing
    at real steps. Weights, in Keras's order: gamma, beta, of the shape of the axes.
    Backward, m being the mean over the axes and a = (x - mean) / sqrt(...): dn = dy gamma and
    dx = (dn - m(dn) - a m(dn n)) / sqrt(variance + epsilon), with rms_scaling without m(dn).
    Source: Ba, Kiros and Hinton 2016, arXiv 1607.06450.

    >>> LayerNormalization()([[1.0, 2.0, 3.0]]).round(3).tolist()
    [[-1.2239999771118164, 0.0, 1.2239999771118164]]
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: str | Initializer = "zeros",
        gamma_initializer: str | Initializer = "ones",
        beta_regularizer: str | Regularizer | None = None,
        gamma_regularizer: str | Regularizer | None = None,
        *,
        rms_scaling: bool = False,
        **words: Unpack[Words],
    ) -> None:
        super().__init__(**words)
        numbers = axis if isinstance(axis, (list, tuple)) else [axis]
        if not numbers or not all(isinstance(one, int) and not isinstance(one, bool) for one in numbers):
            raise TypeError(wording("axis", "a whole number or a list of them", shown(axis)))
        if 0 in numbers:
            raise ValueError(wording("axis", "none of them 0, the batch's", shown(axis)))
        self.axis = axis if isinstance(axis, int) else list(axis)
        self.epsilon = real_number("epsilon", epsilon)
        self.center, self.scale = switch("center", center), switch("scale", scale)
        self.rms_scaling = switch("rms_scaling", rms_scaling)
        declare_weight(self, "beta", "beta", beta_initializer, beta_regularizer)
        declare_weight(self, "gamma", "gamma", gamma_initializer, gamma_regularizer)
        self.by_step = self.axis in (-1, [-1])

    def _axes(self, rank: int) -> tuple[int, ...]:
        """The axes of an input of that rank, counted from the batch's, in order."""
        given = [self.axis] if isinstance(self.axis, int) else self.axis
        axes = sorted({one % rank for one in given if -rank <= one < rank})
        if len(axes) != len(given) or 0 in axes:
            expected = f"of {rank} axes, the batch's left out, each once, for layer {self.label!r}"
            raise ValueError(wording("axis", expected, self.axis))
        return tuple(axes)

    def output_shape(self, input_shape: Shape) -> Shape:
        for axis in self._axes(len(input_shape) + 1):
            if input_shape[axis - 1] is None:
                got = ("batch", *input_shape)
                raise ValueError(wording(f"input of layer {self.label!r}", f"of known axis {axis}", got))
        return input_shape

    def weight_shapes(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        shape = tuple(int(input_shape[axis - 1] or 0) for axis in self._axes(len(input_shape) + 1))
        found = {"gamma": shape} if self.scale or self.rms_scaling else {}
        return found | ({"beta": shape} if self.center and not self.rms_scaling else {})

    def _along(self, weight: Array, rank: int, axes: tuple[int, ...]) -> Array:
        """A weight in the shape of the input, 1 along all other axes."""
        sizes = iter(weight.shape)
        return weight.reshape([next(sizes) if axis in axes else 1 for axis in range(rank)])

    def forward(
        self, x: Array, mask: Array | None, *, keep: Contents, rng: np.random.Generator | None = None
    ) -> tuple[Array, Array | None, NormalizationTape]:
        axes = self._axes(x.ndim)
        apart = x - x.mean(axis=axes, keepdims=True)
        variance = (apart * apart).mean(axis=axes, keepdims=True)
        scale = 1 / np.sqrt(variance + self.epsilon)
        apart = apart * scale
        y = normal = x * scale if self.rms_scaling else apart
        if "gamma" in self.params:
            y = y * self._along(self.params["gamma"], x.ndim, axes)
        if "beta" in self.params:
            y = y + self._along(self.params["beta"], x.ndim, axes)
        return y, mask, NormalizationTape(normal, apart, scale, axes)

    def backward(
        self, dy: Array, tape: NormalizationTape, *, need_dx: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        normal, apart, scale, axes = tape
        others = tuple(axis for axis in range(dy.ndim) if axis not in axes)
        sums = {"gamma": dy * normal, "beta": dy}
        grads = {key: sums[key].sum(axis=others) for key in self.params}
        if not need_dx:
            return None, grads
        dn = dy * self._along(self.params["gamma"], dy.ndim, axes) if "gamma" in self.params else dy
        dx = dn - apart * (dn * normal).mean(axis=axes, keepdims=True)
        if not self.rms_scaling:
            dx -= dn.mean(axis=axes, keepdims=True)
        return dx * scale, grads
