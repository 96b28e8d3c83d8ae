"""GlobalAveragePooling1D: one vector for a sequence, the mean over its real steps."""

from __future__ import annotations

from typing import NamedTuple, Unpack

import numpy as np

from minilstm.bptt.tape import Contents
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import one_of, switch, wording
from minilstm.layers.base import Layer, Shape
from minilstm.layers.reshaping import FORMATS
from minilstm.layers.words import Words


class PoolingTape(NamedTuple):
    """What GlobalAveragePooling1D leaves for backward."""

    share: Array  # (B, T or 1, 1) what each step counts: 1 / number of real steps, or 0
    T: int


class GlobalAveragePooling1D(Layer):
    """The mean over time: (B, T, D) -> (B, D), over the real steps where there is a mask.

    Ends the mask. As in Keras, but for a sample without a real step, where Keras divides by 0: here its
    mean is 0, and no gradient reaches it.

    >>> x = np.array([[[1.0], [3.0], [8.0]]])
    >>> GlobalAveragePooling1D().forward(x, np.array([[True, True, False]]), keep="outputs")[0].tolist()
    [[2.0]]

    data_format : "channels_last", or None for the same
    keepdims : whether the time axis stays, of size 1
    """

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **words: Unpack[Words]
    ) -> None:
        super().__init__(**words)
        self.data_format = None if data_format is None else one_of("data_format", data_format, FORMATS)
        self.keepdims = switch("keepdims", keepdims)

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 2:
            expected = "(batch, time, features)"
            raise ValueError(wording(f"input of layer {self.label!r}", expected, ("batch", *input_shape)))
        return (1, input_shape[1]) if self.keepdims else (input_shape[1],)

    def carried_mask(self, mask: Array) -> None:
        return None

    def forward(
        self, x: Array, mask: Array | None, *, keep: Contents, rng: np.random.Generator | None = None
    ) -> tuple[Array, Array | None, PoolingTape]:
        T, dtype = x.shape[1], x.real.dtype
        if mask is None:
            return (
                x.mean(axis=1, keepdims=self.keepdims),
                None,
                PoolingTape(np.full((1, 1, 1), 1 / T, dtype), T),
            )
        real = mask[..., None]
        count = np.maximum(real.sum(axis=1, keepdims=True), 1)  # (B, 1, 1)
        y = np.where(real, x, 0).sum(axis=1, keepdims=True) / count.astype(dtype)
        return y if self.keepdims else y[:, 0], None, PoolingTape((real / count).astype(dtype), T)

    def backward(
        self, dy: Array, tape: PoolingTape, *, need_dx: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        dx = (dy if self.keepdims else dy[:, None, :]) * tape.share
        return np.broadcast_to(dx, (len(dy), tape.T, dy.shape[-1])), {}
