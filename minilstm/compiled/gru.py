"""The GRU over one segment of one chunk, forward and backward. Equations and tags: `bptt.gru`, `bptt.steps`.

Blocks of z and w: g, z, r, q, in this order because dh_prev is a sum over z, r, q and dx one over g, z, r:
each is one piece. For g the weights are [b; W], for q [U; rb], for z and r all of [U; b + rb; W]. Backward
the blocks become dz_g, dz_z, dz_r, dq. The arrays are described in `panels`.
"""

from __future__ import annotations

import numpy as np

from minilstm.compiled.jit import FLUSH, float_control, kernel
from minilstm.compiled.panels import (
    count_real,
    forward_product,
    get_rows,
    lead_back,
    put_input,
    put_rows,
    steps_of_product,
    weight_gradient,
)
from minilstm.compiled.recording import record_gate, record_state
from minilstm.compiled.vectors import load, load_part, sigmoid, store, tanh
from minilstm.foundations.arrays import Array


def gru_pack(w: Array, U: Array, b: Array, W: Array, both: Array, rb: Array) -> None:
    """w for the products forward; b, both = b + rb and rb are (1, 3H)."""
    H = U.shape[0]
    for gate in range(2):
        put_rows(w, 1 + gate, 0, U, gate, H)
        put_rows(w, 1 + gate, H, both, gate, H)
        put_rows(w, 1 + gate, H + 1, W, gate, H)
    put_rows(w, 0, H, b, 2, H)
    put_rows(w, 0, H + 1, W, 2, H)
    put_rows(w, 3, 0, U, 2, H)
    put_rows(w, 3, H, rb, 2, H)


@kernel
def forward_gates(z: Array, xh: Array, mask: Array, t: int, p: int) -> None:
    """F1 ... F5 in panel p of step t, sample by sample."""
    rows, P, _, b, NR = z.shape
    Kp, block = xh.shape[2], b * NR
    gates = ((t % rows) * P + p) * 4 * block
    h_now, h_next = (t % xh.shape[0]) * b * Kp + p * NR, ((t + 1) % xh.shape[0]) * b * Kp + p * NR
    for r in range(b):
        k, h_prev = gates + r * NR, load(xh, h_now + r * Kp)
        if mask.shape[0] == 0 or mask[t, r]:
            update = sigmoid(load(z, k + block))  # F1
            reset = sigmoid(load(z, k + 2 * block))  # F2
            g = tanh(load(z, k) + reset * load(z, k + 3 * block))  # F3, F4
            store(z, k, g)
            store(z, k + block, update)
            store(z, k + 2 * block, reset)
            store(xh, h_next + r * Kp, update * h_prev + (1 - update) * g)  # F5
        else:  # S3
            for gate in range(4):
                store(z, k + gate * block, 0)
            store(xh, h_next + r * Kp, h_prev)


def gru_forward(w: Array, x: Array, xh: Array, z: Array, mask: Array) -> None:
    """Fill xh and z from x (b, S, D) and h in xh[0]. mask and fewer rows of xh and z as in `lstm_forward`."""
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    b, S, D = x.shape
    P, _, K, _ = w.shape
    H = K - 1 - D
    together = P if b == 1 else 1  # panels: with one sample several are multiplied at a time
    for t in range(S):
        before, row = t % xh.shape[0], t % z.shape[0]
        put_input(xh, before, x, t, H)
        real = count_real(mask, t, b)
        for p in range(0, P, together):
            if real > 0:
                forward_product(z, row, p, 1, together, 4, xh, before, w, 0, K)  # S1, S2
                forward_product(z, row, p, 2, together, 4, xh, before, w, 0, K)  # S1, S2
                forward_product(z, row, p, 0, together, 4, xh, before, w, H, 1 + D)  # S1
                forward_product(z, row, p, 3, together, 4, xh, before, w, 0, H + 1)  # S2, F3
            for panel in range(p, p + together):
                forward_gates(z, xh, mask, t, panel)
    float_control(control)


@kernel
def backward_gates(
    z: Array, xh: Array, mask: Array, external: Array, dh: Array, t: int, p: int, H: int
) -> None:
    """B1 ... B5 in panel p of step t, sample by sample; dh[t] is what goes past the candidate."""
    S, P, _, b, NR = z.shape
    Hp, Kp, block, slots = dh.shape[2], xh.shape[2], b * NR, dh.shape[0]
    gates, unit = (t * P + p) * 4 * block, p * NR
    now, before = ((t + 1) % slots) * b * Hp + unit, (t % slots) * b * Hp + unit
    for r in range(b):
        k, row = gates + r * NR, r * Hp
        dht = load(dh, now + row)
        if external.shape[0] > 0:
            dht = dht + load_part(external, (r * S + t) * H + unit, min(NR, H - unit))  # S4
            store(dh, now + row, dht)
        if mask.shape[0] == 0 or mask[t, r]:
            g, update, reset = load(z, k), load(z, k + block), load(z, k + 2 * block)
            q, h_prev = load(z, k + 3 * block), load(xh, (t * b + r) * Kp + unit)
            carried = dht * update  # B5
            dz_g = dht * (1 - update) * (1 - g * g)  # B2
            dq = dz_g * reset  # B4
            store(z, k, dz_g)
            store(z, k + block, carried * (h_prev - g) * (1 - update))  # B1
            store(z, k + 2 * block, dq * q * (1 - reset))  # B3
            store(z, k + 3 * block, dq)
            store(dh, before + row, carried)
        else:  # S6; dz is 0 already
            store(dh, before + row, dht)


def gru_backward(
    wt: Array, xh: Array, z: Array, mask: Array, external: Array, dh: Array, dx: Array, scratch: Array,
    dw: Array, by_state: Array, by_input: Array, norms: Array | None, rows: Array | None,
) -> None:  # fmt: skip
    """Turn z from gates into dz, go down dh to dL/dh_0; fill dx and the gradients, as in `lstm_backward`.

    by_state (H+1, 3H) = [dU; drb] and by_input (1+D, 3H) = [db; dW], by way of dw, which has the blocks of
    w; its rows of U for g, and of W for q, are not written.
    """
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    S, P, _, b, _ = z.shape
    H, K, tile, stop = by_state.shape[0] - 1, dw.shape[2], steps_of_product(b), S
    for t in range(S - 1, -1, -1):
        for p in range(P):
            backward_gates(z, xh, mask, external, dh, t, p, H)
        lead_back(dh, z, t, wt, mask, dx, scratch, 1, 3, 1, H)  # S5, S6, S7
        if norms is not None and rows is not None:  # here, where all of this is in the cache
            record_state(norms, 0, t, dh, (t + 1) % dh.shape[0], H)
            for gate in range(3):
                record_gate(norms, 1 + gate, rows, gate, z, t, (1 + gate) % 3, H)
        if stop - t == tile or t == 0:
            weight_gradient(dw, xh, z, scratch, t, stop, 0, H, K - H)  # S7
            weight_gradient(dw, xh, z, scratch, t, stop, 1, 0, K)  # S7
            weight_gradient(dw, xh, z, scratch, t, stop, 2, 0, K)  # S7
            weight_gradient(dw, xh, z, scratch, t, stop, 3, 0, H + 1)  # S7
            stop = t
    for gate in range(3):
        get_rows(dw, 1 + gate, 0, by_state, gate, H)
        get_rows(dw, (1 + gate) % 3, H, by_input, gate, H)
    float_control(control)
