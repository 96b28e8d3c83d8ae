"""What segments keep of a gradient whose loss reads many steps, from one batch, without any truncated pass.

A backward pass is linear in what the loss says of each step. So one pass for each step t that the loss reads
gives what t learns from each step s before it, G_ts; a segment keeps those of which s and t lie within it,
and the truncated gradient is their sum, for every length of the segments at once. Each of these passes goes
back over the whole sequence, on one tape.
"""

from __future__ import annotations

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.layers import Recurrent
from minilstm.network import passes
from minilstm.network.network import Network
from minilstm.network.passes import Batch
from minilstm.network.states import own_states
from minilstm.study.truncation.ledger import Suffixes, cosine_of, given_by, ratio_of
from minilstm.trace.trace import LayerTrace, Trace

ROOM = 1 << 27  # numbers, of a gradient for each k
LOSSES = 100  # steps whose losses are followed, at most; of more, so many at even distances


def kept_by_segments(network: Network, batch: Batch, trace: Trace, anchor: str) -> Suffixes | None:
    """By the length k = 1 .. T of the segments; None where a layer reads backwards or lies in a wrapper, or
    where that takes too much memory."""
    above = [k for k, layer in enumerate(network.layers) if isinstance(layer, Recurrent)]
    layers = network.layers[: max(above, default=-1) + 1]
    found = [layer for layer in layers if isinstance(layer, Recurrent)]
    if len(found) != len(list(trace)) or any(layer.go_backwards for layer in found):
        return None
    external = list(trace)[-1].external
    T = external.shape[1]
    with own_states(network.layers):
        done = passes.forward(layers, batch.x, batch.mask, keep="everything")
    size = sum(layer.count_params() for layer in found)
    if T * size > ROOM:
        return None
    full, kept = np.zeros(size), np.zeros((T, size))
    sizes, kept_sizes = 0.0, np.zeros(T)
    for t in np.unique(np.linspace(0, T - 1, min(T, LOSSES)).round().astype(int)):
        alone = np.zeros_like(external)
        alone[:, t] = external[:, t]
        nothing = passes.LossGradient(0.0, alone, False)
        traces = passes.backward(layers, nothing, done, record=True)[1]
        given, norms = _running(list(traces.values()), t)  # (t + 1, size): of the last 1, 2, ... steps
        lengths = t - _starts(t, T, anchor)
        full, kept = full + given[-1], kept + given[lengths]
        sizes, kept_sizes = sizes + norms[-1], kept_sizes + norms[lengths]
    return Suffixes(
        np.array([cosine_of(part, full) for part in kept]),
        np.array([ratio_of(part, full) for part in kept]),
        1 - kept_sizes / sizes if sizes else kept_sizes,
    )


def _running(traces: list[LayerTrace], t: int) -> tuple[Array, Array]:
    """What steps t, t - 1, ..., 0 give, added up as they come; and their norms."""
    ledgers = [trace.ledger() for trace in traces]
    steps = np.array([given_by(ledgers, step) for step in range(t, -1, -1)])
    return np.cumsum(steps, axis=0), np.cumsum(np.linalg.norm(steps, axis=1))


def _starts(t: int, T: int, anchor: str) -> Array:
    """The first step of the segment that step t lies in, for segments of 1 .. T steps."""
    k = np.arange(1, T + 1)
    return t // k * k if anchor == "start" else np.maximum(0, T - (T - t + k - 1) // k * k)
