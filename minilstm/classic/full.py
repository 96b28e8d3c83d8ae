"""The network of 1997 with its full gradient: what the truncation drops, opened as a ledger.

Backwards in time, with the equations of `network` and a = z W:

    L1  dy[t] = external[t] + from_hidden[t]          hidden units: from this step's outputs (G2), and
        from_hidden[t] = W[hidden rows] da[t+1]       from the next step's gates and cell inputs
    L2  dy_out gains sum_{v in j} dy_c h(s)           from C5
    L3  ds[t] = from_output[t] + carousel[t]          from C5: dy_c y_out h'(s),
        carousel[t] = ds[t+1]                         from C4: the constant-error carousel
    L4  dy_in gains sum_{v in j} ds c,  dc = ds y_in  from C4
    L5  da = [dy_in y_in (1-y_in), dy_out y_out (1-y_out), dc (1 - c^2/4)],  dW = sum_t z[t]' da[t]

With from_hidden = 0 this is the truncated gradient once more, now backwards in time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minilstm.classic import network
from minilstm.classic.network import Shape, Step, Weights
from minilstm.foundations.arrays import Array


@dataclass(frozen=True)
class Ledger:
    """The gradient by the weights, and what reached the hidden units and cells at each step.

    external, from_hidden : (T, H), they add up to dy;  from_output, carousel : (T, C), they add up to ds
    """

    gradient: Weights
    external: Array
    from_hidden: Array
    from_output: Array
    carousel: Array


def ledger(shape: Shape, weights: Weights, x: Array, targets: Array, *, truncated: bool = False) -> Ledger:
    """BPTT of the sum of E over x (T, D); targets (T, K), with rows of NaN at the steps that have none.

    `truncated` drops from_hidden at every step, as the paper does.
    """
    done = list(network.steps(shape, weights, x))
    T, b = len(done), shape.blocks
    external, from_hidden = np.zeros((2, T, shape.hidden))
    from_output, carousel = np.zeros((2, T, shape.cells))
    gradient = Weights(np.zeros_like(weights.W), np.zeros_like(weights.V))
    for t in reversed(range(T)):
        now, h_s = done[t], network.h(done[t].s)
        y_out = np.repeat(now.y[b : 2 * b], shape.size)
        if not np.isnan(targets[t]).any():
            d = (now.output - targets[t]) * now.output * (1 - now.output)  # G1
            gradient.V[...] += np.outer([*now.y[2 * b :], shape.one_out], d)  # G2
            external[t, 2 * b :] = weights.V[:-1] @ d
        dy_c = (external[t] + from_hidden[t])[2 * b :]  # L1
        from_output[t] = dy_c * y_out * (1 - h_s**2) / 2  # L3
        da = _through(shape, now, from_hidden[t], dy_c * h_s, from_output[t] + carousel[t])
        gradient.W[...] += np.outer(now.z, da)  # L5
        if t > 0:
            carousel[t - 1] = from_output[t] + carousel[t]
            if not truncated:
                from_hidden[t - 1] = weights.W[shape.inputs : -1] @ da
    gradient.W[-1] *= shape.one
    return Ledger(gradient, external, from_hidden, from_output, carousel)


def _through(shape: Shape, now: Step, from_hidden: Array, shown: Array, ds: Array) -> Array:
    """dE/da (H,) of one step: L2, L4, L5. `shown` is dy_c h(s)."""
    b, by_block = shape.blocks, (shape.blocks, shape.size)
    gates = now.y[: 2 * b]
    offered = np.stack([ds * now.c, shown]).reshape(2, *by_block).sum(axis=2)  # L4, L2  (2, b)
    dgates = (from_hidden[: 2 * b] + offered.ravel()) * gates * (1 - gates)
    dc = ds * np.repeat(now.y[:b], shape.size) * (1 - now.c**2 / 4)
    return np.concatenate([dgates, dc])


def dropped_share(shape: Shape, weights: Weights, x: Array, targets: Array) -> float:
    """The share of the true gradient that the truncation drops: <G - T, G> / <G, G>.

    G is the full gradient of the hidden units' weights W, T the truncated one (that of V loses nothing).
    0: nothing is lost; 1: what is kept has nothing of G; below 0: what is kept is more than G, which the
    dropped part would have taken back.
    """
    full, kept = (
        ledger(shape, weights, x, targets, truncated=cut).gradient.W.ravel() for cut in (False, True)
    )
    return float(((full - kept) @ full) / (full @ full))
