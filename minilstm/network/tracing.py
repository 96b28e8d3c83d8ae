"""A trace of a network on a user's data: one forward and backward pass with every step recorded."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import ArrayLike

from minilstm.bptt.cell import State
from minilstm.foundations.errors import check_room, one_of, wording
from minilstm.layers import Bidirectional, Recurrent
from minilstm.layers.wrappers import inside
from minilstm.network import batches
from minilstm.network.network import Network, record
from minilstm.trace.trace import Trace


def trace(
    network: Network,
    x: ArrayLike,
    y: ArrayLike,
    mask: ArrayLike | None = None,
    initial_state: dict[str, Sequence[ArrayLike]] | None = None,
) -> Trace:
    """See `Sequential.trace`."""
    batch = batches.checked(network, x, y, mask)
    if not any(isinstance(layer, Recurrent) for layer in inside(network.layers)):
        expected = "with at least one recurrent layer, to be traced"
        raise ValueError(wording("model", expected, [type(layer).__name__ for layer in network.layers]))
    size, length = batch.x.shape[:2]
    check_room(f"a trace of {size} sequences of {length} steps", sum(network.memory(size, length).values()))
    return record(network, batch, initial=checked_states(network, initial_state, batch.size))


def checked_states(
    network: Network, initial_state: dict[str, Sequence[ArrayLike]] | None, B: int
) -> dict[str, State]:
    """Initial states by layer name, each as its layer wants them."""
    if initial_state is not None and not isinstance(initial_state, dict):
        expected = "a dict of [h, c] by layer name"
        raise TypeError(wording("initial_state", expected, type(initial_state).__name__))
    recurrent = {
        layer.label: layer for layer in network.layers if isinstance(layer, (Recurrent, Bidirectional))
    }
    for name in initial_state or {}:
        one_of("initial_state", name, recurrent)
    return {name: recurrent[name].checked_state(s, B) for name, s in (initial_state or {}).items()}
