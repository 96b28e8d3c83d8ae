"""The recurrent layers of a network, and what stateful ones carry from batch to batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from minilstm.bptt.cell import State
from minilstm.layers import Layer, Recurrent
from minilstm.layers.wrappers import Wrapper


def layer_states(layers: Sequence[Layer]) -> list[State | None]:
    """The state of every recurrent layer, those in wrappers included; None for one that kept none."""
    return [layer.state for _, layer in recurrent_in(layers)]


def set_layer_states(layers: Sequence[Layer], found: Sequence[State | None]) -> None:
    """Give every recurrent layer the state that `layer_states` found."""
    for (_, layer), state in zip(recurrent_in(layers), found, strict=True):
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


def recurrent_in(layers: Sequence[Layer], path: str = "") -> Iterator[tuple[str, Recurrent]]:
    """Every recurrent layer under the name that a trace gives it, those in wrappers too."""
    for layer in layers:
        if isinstance(layer, Recurrent):
            yield f"{path}{layer.label}", layer
        elif isinstance(layer, Wrapper):
            yield from recurrent_in(layer.sublayers, f"{path}{layer.label}/")
