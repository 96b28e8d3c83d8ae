"""Layers around layers: what a wrapper is, and TimeDistributed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Unpack

import numpy as np

from minilstm.bptt.tape import Contents
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import shown, switch, wording
from minilstm.layers.base import Layer, Shape
from minilstm.layers.embedding import Embedding
from minilstm.layers.words import Words


class Wrapper(Layer):
    """A layer that runs inner layers. It owns no weights: its `params` are theirs, as "inner/kernel".

    The backward pass is a split of dL/d(output) into one piece per inner layer, the inner layers' own
    backward passes, and a join of their dL/d(input). Apart from each other, so that a recorded pass can
    look into the inner layers on the way.
    """

    def __init__(
        self,
        sublayers: Sequence[Layer],
        **words: Unpack[Words],
    ) -> None:
        self.sublayers = tuple(sublayers)
        for sub in self.sublayers:
            sub.name = sub.label
        super().__init__(**words)
        self.regularizers = {
            f"{sub.label}/{key}": penalty
            for sub in self.sublayers
            for key, penalty in sub.regularizers.items()
        }

    @property
    def params(self) -> dict[str, Array]:
        """The inner layers' weights. To replace them, assign a new dict of the same names."""
        return {f"{sub.label}/{key}": w for sub in self.sublayers for key, w in sub.params.items()}

    @params.setter
    def params(self, values: dict[str, Array]) -> None:
        for sub in self.sublayers:
            sub.params = {key: values.get(f"{sub.label}/{key}", w) for key, w in sub.params.items()}

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = switch("trainable", value)
        for sub in self.sublayers:
            sub.trainable = self._trainable

    @property
    def trainable_params(self) -> dict[str, Array]:
        return {key: value for key, value in self.params.items() if self.learns(key)}

    def learns(self, key: str) -> bool:
        label, _, inner = key.partition("/")
        return self.trainable and any(sub.label == label and sub.learns(inner) for sub in self.sublayers)

    @property
    def draws(self) -> bool:
        return any(sub.draws for sub in self.sublayers)

    @abstractmethod
    def inner_shape(self, input_shape: Shape) -> Shape:
        """Shape of one sample of the inner layers' input."""

    def make_weights(self, input_shape: Shape, rng: np.random.Generator, dtype: np.dtype[Any]) -> None:
        self.output_shape(input_shape)
        for sub in self.sublayers:
            sub.make_weights(self.inner_shape(input_shape), rng, dtype)
        self.input_shape, self.dtype, self.built = input_shape, dtype, True

    def restore(self, input_shape: Shape, dtype: np.dtype[Any], params: dict[str, Array]) -> None:
        for sub in self.sublayers:
            found = {key.removeprefix(f"{sub.label}/"): w for key, w in params.items()}
            inner = self.inner_shape(input_shape)
            sub.restore(inner, dtype, {key: found[key] for key in sub.weight_shapes(inner)})
        self.make_weights(input_shape, np.random.default_rng(0), dtype)

    def weight_shapes(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        inner = self.inner_shape(input_shape)
        return {
            f"{sub.label}/{key}": shape
            for sub in self.sublayers
            for key, shape in sub.weight_shapes(inner).items()
        }

    @abstractmethod
    def split(self, dy: Array, tape: Any) -> list[tuple[Array, Any]]:
        """dL/d(output) and tape of each inner layer, in the order of `sublayers`."""

    @abstractmethod
    def join(self, dxs: Sequence[Array], tape: Any) -> Array:
        """dL/d(input) from that of each inner layer."""

    def split_steps(self, reached: Array | None) -> list[Array | None]:
        """Which steps of the inner layers' outputs count, (B, T) each, given those of this layer's output."""
        return [None for _ in self.sublayers]

    def join_steps(self, entered: Sequence[Array | None], reached: Array | None) -> Array | None:
        """Which steps of the input count, given those of the inner layers' inputs and of the output."""
        return reached

    def memory(self, batch: int, length: int) -> dict[str, int]:
        inner = super().memory(batch, length)
        for sub in self.sublayers:
            inner |= sub.memory(*self.inner_batch(batch, length))
        return {f"{self.label}/{name}": size for name, size in inner.items()}

    def inner_batch(self, batch: int, length: int) -> tuple[int, int]:
        """Samples and steps of the inner layers, given those of this one."""
        return batch, length

    def backward(self, dy: Array, tape: Any, *, need_dx: bool) -> tuple[Array | None, dict[str, Array]]:
        dxs: list[Array] = []
        grads: dict[str, Array] = {}
        for sub, (piece, inner) in zip(self.sublayers, self.split(dy, tape), strict=True):
            dx, found = sub.backward(piece, inner, need_dx=need_dx)
            grads |= {f"{sub.label}/{key}": grad for key, grad in found.items()}
            dxs += [] if dx is None else [dx]
        return (self.join(dxs, tape) if dxs else None), grads


def inside(layers: Sequence[Layer]) -> Iterator[Layer]:
    """The layers, and those in wrappers too.

    >>> import minilstm as ml
    >>> [layer.label for layer in inside([ml.TimeDistributed(ml.Dense(2)), ml.LSTM(3)])]
    ['time_distributed', 'dense', 'lstm']
    """
    for layer in layers:
        yield layer
        if isinstance(layer, Wrapper):
            yield from inside(layer.sublayers)


class TimeDistributedTape(NamedTuple):
    """What TimeDistributed leaves for backward."""

    inner: Any
    batch: int
    T: int


class TimeDistributed(Wrapper):
    """`layer` on each time step by itself: (B, T, ...) -> (B, T, ...), with the same weights at every step.

    Carries the mask (B, T) on; the layer itself works on every step and sees no mask, as in Keras.
    Around Dense it gives what Dense gives without it. Around a recurrent layer it reads (B, T, S, D), and
    runs over S for each of the T steps.

    >>> import minilstm as ml
    >>> TimeDistributed(ml.LSTM(4)).output_shape((7, 5, 3))
    (7, 4)
    """

    by_step = True

    def __init__(self, layer: Layer, **words: Unpack[Words]) -> None:
        if not isinstance(layer, Layer) or isinstance(layer, Embedding):
            raise TypeError(wording("layer", "a layer that takes numbers, not ids", shown(layer)))
        super().__init__([layer], **words)
        self.layer = layer

    def inner_shape(self, input_shape: Shape) -> Shape:
        return input_shape[1:]

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) < 2:
            expected, got = "(batch, time, ...)", ("batch", *input_shape)
            raise ValueError(wording(f"input of layer {self.label!r}", expected, got))
        return (input_shape[0], *self.layer.output_shape(input_shape[1:]))

    def inner_batch(self, batch: int, length: int) -> tuple[int, int]:
        S = self.input_shape[1] if self.input_shape else None
        return batch * length, 1 if S is None else S

    def forward(
        self, x: Array, mask: Array | None, *, keep: Contents, rng: np.random.Generator | None = None
    ) -> tuple[Array, Array | None, TimeDistributedTape]:
        B, T = x.shape[:2]
        y, _, inner = self.layer.forward(x.reshape(B * T, *x.shape[2:]), None, keep=keep, rng=rng)
        return y.reshape(B, T, *y.shape[1:]), mask, TimeDistributedTape(inner, B, T)

    def split(self, dy: Array, tape: TimeDistributedTape) -> list[tuple[Array, Any]]:
        return [(dy.reshape(-1, *dy.shape[2:]), tape.inner)]

    def join(self, dxs: Sequence[Array], tape: TimeDistributedTape) -> Array:
        return dxs[0].reshape(tape.batch, tape.T, *dxs[0].shape[1:])

    def logits(self, tape: TimeDistributedTape) -> tuple[str, Array] | None:
        found = self.layer.logits(tape.inner)
        return None if found is None else (found[0], found[1].reshape(tape.batch, tape.T, -1))

    def backward_logits(
        self, dz: Array, tape: TimeDistributedTape, *, need_dx: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        [(piece, inner)] = self.split(dz, tape)
        dx, found = self.layer.backward_logits(piece, inner, need_dx=need_dx)
        grads = {f"{self.layer.label}/{key}": grad for key, grad in found.items()}
        return (None if dx is None else self.join([dx], tape)), grads
