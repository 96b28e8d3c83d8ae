"""The simple network over one segment of one chunk. Equations and tags: `bptt.simple_rnn`, `bptt.steps`.

One block: h, which backward becomes dz. The arrays are described in `panels`.
"""

from __future__ import annotations

import numpy as np

from minilstm.compiled.jit import FLUSH, float_control, kernel
from minilstm.compiled.panels import (
    forward_product,
    get_rows,
    lead_back,
    put_input,
    put_rows,
    steps_of_product,
    weight_gradient,
)
from minilstm.compiled.recording import record_gate, record_state
from minilstm.compiled.vectors import load, load_part, store, tanh
from minilstm.foundations.arrays import Array


def simple_rnn_pack(w: Array, U: Array, b: Array, W: Array) -> None:
    """w = [U; b; W], for the products forward; b is (1, H)."""
    H = U.shape[0]
    put_rows(w, 0, 0, U, 0, H)
    put_rows(w, 0, H, b, 0, H)
    put_rows(w, 0, H + 1, W, 0, H)


@kernel
def forward_hidden(z: Array, xh: Array, mask: Array, t: int, p: int) -> None:
    """F1 in panel p of step t, sample by sample."""
    rows, P, _, b, NR = z.shape
    Kp, block = xh.shape[2], ((t % rows) * P + p) * b * NR
    h_now, h_next = (t % xh.shape[0]) * b * Kp + p * NR, ((t + 1) % xh.shape[0]) * b * Kp + p * NR
    for r in range(b):
        if mask.shape[0] == 0 or mask[t, r]:
            h = tanh(load(z, block + r * NR))  # F1
            store(z, block + r * NR, h)
            store(xh, h_next + r * Kp, h)
        else:  # S3
            store(xh, h_next + r * Kp, load(xh, h_now + r * Kp))


def simple_rnn_forward(w: Array, x: Array, xh: Array, z: Array, mask: Array) -> None:
    """Fill xh and z from x (b, S, D) and h in xh[0]. mask and fewer rows of xh and z as in `lstm_forward`."""
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    b, S, D = x.shape
    P, _, K, _ = w.shape
    together = P if b == 1 else 1  # panels: with one sample several are multiplied at a time
    for t in range(S):
        before = t % xh.shape[0]
        put_input(xh, before, x, t, K - 1 - D)
        for p in range(0, P, together):
            forward_product(z, t % z.shape[0], p, 0, together, 1, xh, before, w, 0, K)  # S1, S2
            for panel in range(p, p + together):
                forward_hidden(z, xh, mask, t, panel)
    float_control(control)


@kernel
def backward_hidden(z: Array, mask: Array, external: Array, dh: Array, t: int, p: int, H: int) -> None:
    """B1 in panel p of step t, sample by sample."""
    S, P, _, b, NR = z.shape
    Hp, unit = dh.shape[2], p * NR
    block, now = (t * P + p) * b * NR, ((t + 1) % dh.shape[0]) * b * Hp + unit
    for r in range(b):
        k, dht = block + r * NR, load(dh, now + r * Hp)
        if external.shape[0] > 0:
            dht = dht + load_part(external, (r * S + t) * H + unit, min(NR, H - unit))  # S4
            store(dh, now + r * Hp, dht)
        if mask.shape[0] == 0 or mask[t, r]:
            h = load(z, k)
            store(z, k, dht * (1 - h * h))  # B1
        else:
            store(z, k, 0)  # S6


def simple_rnn_backward(
    wt: Array, xh: Array, z: Array, mask: Array, external: Array, dh: Array, dx: Array, scratch: Array,
    dw: Array, found: Array, norms: Array | None, rows: Array | None,
) -> None:  # fmt: skip
    """Turn z from h into dz, go down dh to dL/dh_0; fill dx and the gradients, as in `lstm_backward`."""
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    S, P, _, b, _ = z.shape
    H, tile, stop = found.shape[1], steps_of_product(b), S
    for t in range(S - 1, -1, -1):
        for p in range(P):
            backward_hidden(z, mask, external, dh, t, p, H)
        lead_back(dh, z, t, wt, mask, dx, scratch, 0, 1, 0, H)  # S5, S6, S7
        if norms is not None and rows is not None:  # here, where all of this is in the cache
            record_state(norms, 0, t, dh, (t + 1) % dh.shape[0], H)
            record_gate(norms, 1, rows, 0, z, t, 0, H)
        if stop - t == tile or t == 0:
            weight_gradient(dw, xh, z, scratch, t, stop, 0, 0, dw.shape[2])  # S7
            stop = t
    get_rows(dw, 0, 0, found, 0, H)
    float_control(control)
