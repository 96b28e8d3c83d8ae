"""Input: the shape of a model's samples, said first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minilstm.foundations.errors import spelled, wording
from minilstm.layers.words import checked_shape


class Input:
    """What a Sequential reads, as the first of its layers; it computes nothing and has no weights.

    shape : of one sample, (T, D), with None for T where the length varies; `input_shape` is the same
    batch_size, batch_shape : Keras's; a batch may have any size
    dtype : Keras's; numbers become the model's dtype, and an Embedding's ids stay whole
    name : its name

    `shape` of the object is the batch's, (None, T, D), as in Keras.

    >>> import minilstm as ml
    >>> ml.Sequential([ml.Input((5, 3)), ml.LSTM(4)]).output_shape
    (None, 4)
    """

    @spelled
    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        batch_shape: Sequence[int | None] | None = None,
        name: str | None = None,
        input_shape: Sequence[int | None] | None = None,
    ) -> None:
        shape = input_shape if shape is None else shape
        if (shape is None) == (batch_shape is None):
            raise ValueError(wording("shape or batch_shape", "given, one of the two", (shape, batch_shape)))
        if shape is not None:
            self.shape = (batch_size, *checked_shape("shape", shape))
        else:
            self.shape = checked_shape("batch_shape", batch_shape or ())
        self.dtype, self.name = dtype, name

    def __repr__(self) -> str:
        return f"<Input {self.shape}>"


InputLayer = Input  # Keras's name for it as a layer
