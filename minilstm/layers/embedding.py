"""Embedding: a learned vector for each token id."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from minilstm.bptt.tape import Contents
from minilstm.compiled.engines import products_of
from minilstm.foundations.arrays import Array, numeric_array
from minilstm.foundations.errors import switch, whole_number, wording
from minilstm.initializers import Initializer
from minilstm.layers import checks
from minilstm.layers.base import Layer, Shape, both, declare_weight
from minilstm.regularizers import Regularizer


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
    embeddings_initializer : how the table begins: see `minilstm.initializers`
    embeddings_regularizer : a penalty on it: see `minilstm.regularizers`
    weights : [table] to begin with, of vectors learned elsewhere; `trainable=False` keeps them
    input_length : the number of steps, where it is fixed

    Weights: embeddings (input_dim, output_dim). As in Keras.

    >>> Embedding(1000, 8).output_shape((None,))
    (None, 8)
    """

    by_step = True

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        mask_zero: bool = False,
        *,
        embeddings_initializer: str | Initializer = "uniform",
        embeddings_regularizer: str | Regularizer | None = None,
        **words: Any,
    ) -> None:
        if (length := words.pop("input_length", None)) is not None:
            words.setdefault("input_shape", (length,))
        table = words.pop("weights", None)
        super().__init__(**words)
        self.input_dim = whole_number("input_dim", input_dim)
        self.output_dim = whole_number("output_dim", output_dim)
        self.mask_zero = switch("mask_zero", mask_zero)
        declare_weight(self, "embeddings", "embeddings", embeddings_initializer, embeddings_regularizer)
        if table is not None:
            self.initializers["embeddings"] = self._given(table)

    def _given(self, weights: Any) -> Initializer:
        """The table that `weights` gives, [table] as in Keras or the table itself."""
        table = numeric_array(
            "weights", weights[0] if isinstance(weights, (list, tuple)) and weights else weights
        )
        if table.shape != (self.input_dim, self.output_dim):
            raise ValueError(
                wording("weights", f"[table] of {(self.input_dim, self.output_dim)}", table.shape)
            )
        return lambda shape, rng, dtype: table.astype(dtype)

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 1:
            expected = "(batch, time) of whole numbers"
            raise ValueError(wording(f"input of layer {self.label!r}", expected, ("batch", *input_shape)))
        return (*input_shape, self.output_dim)

    def weight_shapes(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        return {"embeddings": (self.input_dim, self.output_dim)}

    def checked_call(self, inputs: ArrayLike, mask: ArrayLike | None) -> tuple[Array, Array | None]:
        if not self.built:
            self.make_weights((None,), np.random.default_rng(), self.dtype)
        x = numeric_array("x", inputs)
        real = None if mask is None else checks.checked_mask(mask, x.shape[:2])
        return checks.check_token_ids(x, self.input_dim, real), real

    def input_mask(self, x: Array, mask: Array | None) -> Array | None:
        return both(mask, x != 0) if self.mask_zero else mask

    def forward(
        self, x: Array, mask: Array | None, *, keep: Contents, rng: np.random.Generator | None = None
    ) -> tuple[Array, Array | None, EmbeddingTape]:
        return self.params["embeddings"].take(x, axis=0), self.input_mask(x, mask), EmbeddingTape(x)

    def backward(
        self, dy: Array, tape: EmbeddingTape, *, need_dx: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        ids, found = tape.ids.ravel(), np.zeros((self.input_dim, self.output_dim), dy.dtype)
        products_of(self.backend).add_rows(found, dy.reshape(ids.size, -1), ids)
        return None, {"embeddings": found}
