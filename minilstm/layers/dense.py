"""Dense: the layer that reads the states out."""

from __future__ import annotations

from typing import NamedTuple, Unpack

import numpy as np

from minilstm.bptt.tape import Contents
from minilstm.cells import activations
from minilstm.compiled.engines import products_of
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import switch, whole_number, wording
from minilstm.initializers import Initializer
from minilstm.layers.base import Layer, Shape, declare_weight
from minilstm.layers.words import Words
from minilstm.regularizers import Regularizer


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
    activation : None (linear), "relu", "sigmoid", "softmax", "tanh", "elu", "gelu", "hard_sigmoid", "selu",
        "silu" ("swish") or "softplus"
    use_bias : whether there is a bias
    kernel_initializer, bias_initializer : how the weights begin: see `minilstm.initializers`
    kernel_regularizer, bias_regularizer : penalties on the weights: see `minilstm.regularizers`

    Weights: kernel (D, units), bias (units,). Carries a mask on. As in Keras.

    >>> Dense(3, activation="softmax").output_shape((64,))
    (3,)
    """

    by_step = True

    def __init__(
        self,
        units: int,
        activation: str | None = None,
        use_bias: bool = True,
        *,
        kernel_initializer: str | Initializer = "glorot_uniform",
        bias_initializer: str | Initializer = "zeros",
        kernel_regularizer: str | Regularizer | None = None,
        bias_regularizer: str | Regularizer | None = None,
        **words: Unpack[Words],
    ) -> None:
        super().__init__(**words)
        self.units = whole_number("units", units)
        self.activation = activations.get(activation)
        self.use_bias = switch("use_bias", use_bias)
        declare_weight(self, "kernel", "kernel", kernel_initializer, kernel_regularizer)
        declare_weight(self, "bias", "bias", bias_initializer, bias_regularizer)

    def output_shape(self, input_shape: Shape) -> Shape:
        if not input_shape or input_shape[-1] is None:
            got = f"one of shape {input_shape}"
            raise ValueError(wording(f"input of layer {self.label!r}", "with a known last axis", got))
        return (*input_shape[:-1], self.units)

    def weight_shapes(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {"kernel": (int(input_shape[-1] or 0), self.units)}
        return shapes | ({"bias": (self.units,)} if self.use_bias else {})

    def forward(
        self, x: Array, mask: Array | None, *, keep: Contents, rng: np.random.Generator | None = None
    ) -> tuple[Array, Array | None, DenseTape]:
        flat = x.reshape(-1, x.shape[-1])
        z = products_of(self.backend).matmul(flat, self.params["kernel"]).reshape(*x.shape[:-1], self.units)
        if self.use_bias:
            z += self.params["bias"]
        y = self.activation.forward(z)
        return y, mask, DenseTape(x, z, y)

    def backward(self, dy: Array, tape: DenseTape, *, need_dx: bool) -> tuple[Array | None, dict[str, Array]]:
        dz = self.activation.gradient(dy, tape.z, tape.y)
        return self.backward_logits(dz, tape, need_dx=need_dx)

    def logits(self, tape: DenseTape) -> tuple[str, Array]:
        return self.activation.name, tape.z

    def backward_logits(
        self, dz: Array, tape: DenseTape, *, need_dx: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        flat, matmul = dz.reshape(-1, self.units), products_of(self.backend).matmul
        grads = {"kernel": matmul(tape.x.reshape(len(flat), -1).T, flat)}
        if self.use_bias:
            grads["bias"] = flat.sum(axis=0)
        return matmul(flat, self.params["kernel"].T).reshape(tape.x.shape) if need_dx else None, grads
