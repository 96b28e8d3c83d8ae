"""Masking: which steps are padding, by a value that marks them."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from minilstm.bptt.tape import Contents
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import real_number, wording
from minilstm.layers.base import Layer, Shape, both
from minilstm.layers.words import Words


class Masking(Layer):
    """Mark the steps whose features all equal `mask_value` as padding, and set them to 0.

    As in Keras, and with Keras's trap: a genuine step whose features all equal `mask_value` is taken
    for padding too. `mask=` of fit, predict and trace, from `lengths_to_mask`, has no such trap.

    >>> layer = Masking()
    >>> layer.forward(np.array([[[1.0], [0.0]]]), None, keep="outputs")[1].tolist()
    [[True, False]]
    """

    by_step = True

    def __init__(
        self,
        mask_value: float = 0.0,
        **words: Unpack[Words],
    ) -> None:
        super().__init__(**words)
        self.mask_value = real_number("mask_value", mask_value, -np.inf)

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 2:
            expected = "(batch, time, features)"
            raise ValueError(wording(f"input of layer {self.label!r}", expected, ("batch", *input_shape)))
        return input_shape

    def input_mask(self, x: Array, mask: Array | None) -> Array:
        return both(mask, (x.real != self.mask_value).any(axis=-1))

    def forward(
        self, x: Array, mask: Array | None, *, keep: Contents, rng: np.random.Generator | None = None
    ) -> tuple[Array, Array | None, Array]:
        found = self.input_mask(x, mask)
        return np.where(found[..., None], x, 0), found, found

    def backward(self, dy: Array, tape: Array, *, need_dx: bool) -> tuple[Array | None, dict[str, Array]]:
        return np.where(tape[..., None], dy, 0), {}
