"""What each layer of a model does with the next steps of its input, (B, S, ...) -> (B, S, ...).

A recurrent layer goes on from its state and gives h of every step, also where the model asks for the last
one alone: that is what it would give if the sequence ended there. Layers that take each step by itself do
what they do in `predict`. All others need the whole sequence, and are refused.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from minilstm.compiled.engines import products_of, stepping_of
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import check_room, wording
from minilstm.layers import Dense, Layer, Recurrent
from minilstm.layers.wrappers import inside


class Stage(Protocol):
    """One layer: x (B, S, ...) and its mask (B, S) -> output, and the mask it carries on."""

    def __call__(self, x: Array, mask: Array | None) -> tuple[Array, Array | None]: ...


class RecurrentStage:
    """A recurrent layer at a state of its own."""

    def __init__(self, layer: Recurrent, batch: int) -> None:
        self.layer, self.carries_mask = layer, layer.return_sequences
        self.zeros = layer.zero_output_for_mask
        state = len(layer.cell.states) * layer.units * layer.dtype.itemsize
        check_room(f"a stream of {batch} sequences", batch * state)
        self.steps = stepping_of(layer.backend, layer.cell, layer.symbols, batch)

    def __call__(self, x: Array, mask: Array | None) -> tuple[Array, Array | None]:
        h = self.steps.advance(x, mask)
        if self.zeros and mask is not None:
            h = np.where(mask[..., None], h, 0)
        return h, mask if self.carries_mask else None

    def copy(self) -> RecurrentStage:
        """The same layer at the same state, which from now on goes its own way."""
        other = copy.copy(self)
        other.steps = self.steps.copy()
        return other


class DenseStage:
    """A Dense layer whose weights are laid out for the kernel once."""

    def __init__(self, layer: Dense) -> None:
        self.multiply = products_of(layer.backend).by(layer.params["kernel"])
        self.bias = layer.params["bias"].copy() if layer.use_bias else None
        self.units, self.activate = layer.units, layer.activation.forward

    def __call__(self, x: Array, mask: Array | None) -> tuple[Array, Array | None]:
        z = self.multiply(x.reshape(-1, x.shape[-1]))  # (B S, units)
        if self.bias is not None:
            z = z + self.bias
        return self.activate(z).reshape(*x.shape[:-1], self.units), mask


class StepwiseStage:
    """Any other layer that takes each step by itself."""

    def __init__(self, layer: Layer) -> None:
        self.layer = copy.deepcopy(layer) if layer.params else layer

    def __call__(self, x: Array, mask: Array | None) -> tuple[Array, Array | None]:
        y, mask, _ = self.layer.forward(x, mask, keep="outputs")
        return y, mask


def stages_of(layers: Sequence[Layer], batch: int) -> list[Stage]:
    """A stage for each layer, with copies of the weights; ValueError names a layer that cannot have one."""
    for layer in layers:
        _check(layer)
    if not any(isinstance(layer, Recurrent) for layer in layers):
        got = [type(layer).__name__ for layer in layers]
        raise ValueError(wording("model", "with at least one recurrent layer, to be a stream", got))
    return [_stage(layer, batch) for layer in layers]


def _stage(layer: Layer, batch: int) -> Stage:
    if isinstance(layer, Recurrent):
        return RecurrentStage(layer, batch)
    return DenseStage(layer) if type(layer) is Dense else StepwiseStage(layer)


def _check(layer: Layer) -> None:
    what, expected = f"layer {layer.label!r}", "one that needs no step that is still to come"
    if isinstance(layer, Recurrent):
        if layer.go_backwards:
            raise ValueError(wording(what, expected, f"{type(layer).__name__} with go_backwards=True"))
    elif not layer.by_step:
        raise ValueError(wording(what, expected, f"{type(layer).__name__}, which needs the whole sequence"))
    elif any(isinstance(sub, Recurrent) and sub.stateful for sub in inside([layer])):
        raise ValueError(wording(what, "without a stateful layer in it", type(layer).__name__))
