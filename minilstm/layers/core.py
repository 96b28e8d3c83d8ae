"""Dense, Embedding and Masking: what stands around the recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minilstm import activations, initializers
from minilstm.errors import real_number, whole_number, wording
from minilstm.layers.base import Array, Keep, Layer, Shape


class DenseTape(NamedTuple):
    """What Dense leaves for backward."""

    x: Array  # (..., D)
    z: Array  # (..., units) before the activation; the logits of a last layer
    y: Array  # (..., units)


class Dense(Layer):
    """y = activation(x @ kernel + bias), over the last axis.

    Parameters
    ----------
    units : size of the output's last axis
    activation : None (linear), "relu", "sigmoid", "softmax" or "tanh"
    use_bias : whether there is a bias

    Weights: kernel (D, units) glorot-uniform, bias (units,) zeros. Carries a mask on. As in Keras.

    >>> Dense(3, activation="softmax").output_shape((64,))
    (3,)
    """

    def __init__(
        self,
        units: int,
        activation: str | None = None,
        use_bias: bool = True,
        *,
        input_shape: Sequence[int | None] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(input_shape=input_shape, name=name)
        self.units = whole_number("units", units)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)

    def output_shape(self, input_shape: Shape) -> Shape:
        if not input_shape or input_shape[-1] is None:
            got = f"one of shape {input_shape}"
            raise ValueError(wording(f"input of layer {self.label!r}", "with a known last axis", got))
        return (*input_shape[:-1], self.units)

    def _make_params(
        self, input_shape: Shape, rng: np.random.Generator, dtype: np.dtype[Any]
    ) -> dict[str, Array]:
        kernel = initializers.glorot_uniform((int(input_shape[-1] or 0), self.units), rng, dtype)
        return {"kernel": kernel} | (
            {"bias": initializers.zeros((self.units,), rng, dtype)} if self.use_bias else {}
        )

    def forward(self, x: Array, mask: Array | None, *, keep: Keep) -> tuple[Array, Array | None, DenseTape]:
        z = x @ self.params["kernel"]
        if self.use_bias:
            z += self.params["bias"]
        y = self.activation.forward(z)
        return y, mask, DenseTape(x, z, y)

    def backward(self, dy: Array, tape: DenseTape, *, need_dx: bool) -> tuple[Array | None, dict[str, Array]]:
        return self.backward_logits(self.activation.backward(dy, tape.y), tape, need_dx=need_dx)

    def backward_logits(
        self, dz: Array, tape: DenseTape, *, need_dx: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        """Backward from dL/dz: for a loss that is computed from the logits."""
        flat = dz.reshape(-1, self.units)
        grads = {"kernel": tape.x.reshape(len(flat), -1).T @ flat}
        if self.use_bias:
            grads["bias"] = flat.sum(axis=0)
        return (dz @ self.params["kernel"].T if need_dx else None), grads


class EmbeddingTape(NamedTuple):
    """What Embedding leaves for backward."""

    ids: Array  # (B, T)


class Embedding(Layer):
    """A row of a learned table for each whole number: (B, T) -> (B, T, output_dim).

    Parameters
    ----------
    input_dim : number of rows; ids are 0 .. input_dim - 1
    output_dim : size of a row
    mask_zero : whether id 0 is padding, and makes a mask

    Weights: embeddings (input_dim, output_dim), uniform in [-0.05, 0.05). As in Keras.

    >>> Embedding(1000, 8).output_shape((None,))
    (None, 8)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        mask_zero: bool = False,
        *,
        input_shape: Sequence[int | None] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(input_shape=input_shape, name=name)
        self.input_dim = whole_number("input_dim", input_dim)
        self.output_dim = whole_number("output_dim", output_dim)
        self.mask_zero = bool(mask_zero)

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 1:
            expected = "(batch, time) of whole numbers"
            raise ValueError(wording(f"input of layer {self.label!r}", expected, ("batch", *input_shape)))
        return (*input_shape, self.output_dim)

    def _make_params(
        self, input_shape: Shape, rng: np.random.Generator, dtype: np.dtype[Any]
    ) -> dict[str, Array]:
        return {"embeddings": initializers.uniform((self.input_dim, self.output_dim), rng, dtype)}

    def forward(
        self, x: Array, mask: Array | None, *, keep: Keep
    ) -> tuple[Array, Array | None, EmbeddingTape]:
        if self.mask_zero:
            mask = both(mask, x != 0)
        return self.params["embeddings"][x], mask, EmbeddingTape(x)

    def backward(
        self, dy: Array, tape: EmbeddingTape, *, need_dx: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        grad = np.zeros_like(self.params["embeddings"])
        np.add.at(grad, tape.ids, dy)
        return None, {"embeddings": grad}


class Masking(Layer):
    """Mark the steps whose features all equal `mask_value` as padding, and set them to 0.

    As in Keras, and with Keras's trap: a genuine step whose features all equal `mask_value` is taken
    for padding too. `mask=` of fit, predict and trace, from `lengths_to_mask`, has no such trap.

    >>> layer = Masking()
    >>> layer.forward(np.array([[[1.0], [0.0]]]), None, keep="nothing")[1].tolist()
    [[True, False]]
    """

    def __init__(
        self,
        mask_value: float = 0.0,
        *,
        input_shape: Sequence[int | None] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(input_shape=input_shape, name=name)
        self.mask_value = real_number("mask_value", mask_value, -np.inf)

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 2:
            expected = "(batch, time, features)"
            raise ValueError(wording(f"input of layer {self.label!r}", expected, ("batch", *input_shape)))
        return input_shape

    def _make_params(
        self, input_shape: Shape, rng: np.random.Generator, dtype: np.dtype[Any]
    ) -> dict[str, Array]:
        return {}

    def forward(self, x: Array, mask: Array | None, *, keep: Keep) -> tuple[Array, Array | None, Array]:
        found = both(mask, (x != self.mask_value).any(axis=-1))
        return np.where(found[..., None], x, 0), found, found

    def backward(self, dy: Array, tape: Array, *, need_dx: bool) -> tuple[Array | None, dict[str, Array]]:
        return np.where(tape[..., None], dy, 0), {}


def both(first: Array | None, second: Array) -> Array:
    """Steps that are real by both masks."""
    return second if first is None else first & second
