"""Dropout: zeros at random in training, nothing in inference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from minilstm.bptt.tape import Contents
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import real_number, wording
from minilstm.layers.base import Layer, Shape
from minilstm.layers.words import Words, checked_shape


class Dropout(Layer):
    """In training set each number to 0 with probability `rate`, and scale the others by 1 / (1 - rate).

    The scale keeps the expected value, so that inference needs no change. Every number of every time
    step is drawn anew; for one draw that all steps of a sequence share, as Gal and Ghahramani 2016
    derive it, take `dropout=` and `recurrent_dropout=` of the recurrent layers. Carries a mask on.

    rate : 0 <= rate < 1; Keras also takes 1, which leaves nothing
    noise_shape : (B, T, D) of what is drawn, 1 where an axis shares its draw, None for the input's size:
        (None, 1, None) drops the same features at all steps of a sequence

    >>> x = np.ones((2, 3), "float32")
    >>> layer = Dropout(0.5)
    >>> layer.forward(x, None, keep="outputs")[0].tolist() == x.tolist()
    True
    >>> sorted(set(layer.forward(x, None, keep="outputs", rng=np.random.default_rng(0))[0].ravel().tolist()))
    [0.0, 2.0]
    """

    by_step = True

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, **words: Unpack[Words]
    ) -> None:
        super().__init__(**words)
        self.rate = real_number("rate", rate, below=1.0)
        self.noise_shape = None if noise_shape is None else checked_shape("noise_shape", noise_shape)

    @property
    def draws(self) -> bool:
        return self.rate > 0

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def forward(
        self, x: Array, mask: Array | None, *, keep: Contents, rng: np.random.Generator | None = None
    ) -> tuple[Array, Array | None, Array | None]:
        scale = None if rng is None else drop(self._drawn(x.shape), self.rate, rng, x.real.dtype)
        return (x if scale is None else x * scale), mask, scale

    def _drawn(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of what is drawn for an input of `shape`; ValueError where the one does not fit it."""
        if self.noise_shape is None:
            return shape
        pairs = list(zip(self.noise_shape, shape, strict=False))
        if len(self.noise_shape) != len(shape) or any(n not in (None, 1, of) for n, of in pairs):
            expected = f"of None, 1 or the sizes of the input {shape}"
            raise ValueError(wording("noise_shape", expected, self.noise_shape))
        return tuple(of if n is None else n for n, of in pairs)

    def backward(
        self, dy: Array, tape: Array | None, *, need_dx: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        return (dy if tape is None else dy * tape), {}


def drop(shape: Sequence[int], rate: float, rng: np.random.Generator, dtype: np.dtype[Any]) -> Array | None:
    """0 with probability `rate`, 1 / (1 - rate) otherwise; None at rate 0. The same for every dtype."""
    if rate == 0:
        return None
    return np.where(rng.random(shape) < rate, 0, 1 / (1 - rate)).astype(dtype)
