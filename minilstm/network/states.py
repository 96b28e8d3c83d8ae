"""What stateful layers carry from batch to batch, of all recurrent layers in a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from minilstm.bptt.cell import State
from minilstm.layers import Layer, Recurrent
from minilstm.layers.wrappers import inside


def layer_states(layers: Sequence[Layer]) -> list[State | None]:
    """The state of every recurrent layer, those in wrappers included; None for one that kept none."""
    return [layer.state for layer in _recurrent(layers)]


def set_layer_states(layers: Sequence[Layer], found: Sequence[State | None]) -> None:
    """Give every recurrent layer the state that `layer_states` found."""
    for layer, state in zip(_recurrent(layers), found, strict=True):
        layer.state = state


@contextmanager
def own_states(layers: Sequence[Layer]) -> Iterator[None]:
    """Within it stateful layers begin with no state; afterwards they have those from before."""
    before = layer_states(layers)
    set_layer_states(layers, [None] * len(before))
    try:
        yield
    finally:
        set_layer_states(layers, before)


def _recurrent(layers: Sequence[Layer]) -> list[Recurrent]:
    return [layer for layer in inside(layers) if isinstance(layer, Recurrent)]
