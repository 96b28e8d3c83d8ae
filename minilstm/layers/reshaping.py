"""Layers without weights: RepeatVector and Flatten change a shape, Activation applies an activation."""

from __future__ import annotations

import math
from typing import NamedTuple, Unpack

import numpy as np

from minilstm.bptt.tape import Contents
from minilstm.cells import activations
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import check_room, one_of, whole_number, wording
from minilstm.layers.base import Layer, Shape
from minilstm.layers.words import Words

FORMATS = ("channels_last",)


class RepeatVector(Layer):
    """One vector as a sequence of n steps: (B, D) -> (B, n, D), as between an encoder and a decoder.

    >>> RepeatVector(3)([[1.0, 2.0]]).tolist()
    [[[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]]
    """

    def __init__(self, n: int, **words: Unpack[Words]) -> None:
        super().__init__(**words)
        self.n = whole_number("n", n)

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 1:
            expected = "(batch, features)"
            raise ValueError(wording(f"input of layer {self.label!r}", expected, ("batch", *input_shape)))
        return (self.n, *input_shape)

    def carried_mask(self, mask: Array) -> None:
        return None

    def forward(
        self, x: Array, mask: Array | None, *, keep: Contents, rng: np.random.Generator | None = None
    ) -> tuple[Array, None, None]:
        check_room(f"the output of layer {self.label!r} with n={self.n}", self.n * x.nbytes)
        return np.repeat(x[:, None], self.n, axis=1), None, None

    def backward(self, dy: Array, tape: None, *, need_dx: bool) -> tuple[Array, dict[str, Array]]:
        return dy.sum(axis=1), {}


class Flatten(Layer):
    """All that a sample holds as one vector: (B, ...) -> (B, size). Ends the mask, as in Keras.

    data_format : "channels_last", or None for the same; the other order is Keras's for pictures

    >>> Flatten()(np.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, data_format: str | None = None, **words: Unpack[Words]) -> None:
        super().__init__(**words)
        self.data_format = None if data_format is None else one_of("data_format", data_format, FORMATS)

    def output_shape(self, input_shape: Shape) -> Shape:
        return (None if None in input_shape else math.prod(size or 0 for size in input_shape),)

    def carried_mask(self, mask: Array) -> None:
        return None

    def forward(
        self, x: Array, mask: Array | None, *, keep: Contents, rng: np.random.Generator | None = None
    ) -> tuple[Array, None, tuple[int, ...]]:
        return x.reshape(len(x), -1), None, x.shape

    def backward(self, dy: Array, tape: tuple[int, ...], *, need_dx: bool) -> tuple[Array, dict[str, Array]]:
        return dy.reshape(tape), {}


class ActivationTape(NamedTuple):
    """What Activation leaves for backward."""

    z: Array  # also the logits of a last layer
    y: Array


class Activation(Layer):
    """An activation as a layer of its own; `Dense(..., activation=)` gives the same. Carries a mask on.

    activation : the name, as in Dense; losses on probabilities find the logits in front of it

    >>> Activation("relu")([[-1.0, 2.0]]).tolist()
    [[0.0, 2.0]]
    """

    by_step = True

    def __init__(self, activation: str | None, **words: Unpack[Words]) -> None:
        super().__init__(**words)
        self.activation = activations.get(activation)

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def forward(
        self, x: Array, mask: Array | None, *, keep: Contents, rng: np.random.Generator | None = None
    ) -> tuple[Array, Array | None, ActivationTape]:
        y = self.activation.forward(x)
        return y, mask, ActivationTape(x, y)

    def backward(self, dy: Array, tape: ActivationTape, *, need_dx: bool) -> tuple[Array, dict[str, Array]]:
        return self.activation.gradient(dy, tape.z, tape.y), {}

    def logits(self, tape: ActivationTape) -> tuple[str, Array]:
        return self.activation.name, tape.z

    def backward_logits(
        self, dz: Array, tape: ActivationTape, *, need_dx: bool
    ) -> tuple[Array, dict[str, Array]]:
        return dz, {}
