"""The LSTM over one segment of one chunk, forward and backward. Equations, tags: `bptt.lstm`, `bptt.steps`.

Blocks of z, w, wt, dw: i, f, g, o. The arrays are described in `panels`.
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
from minilstm.compiled.vectors import fetch, load, load_part, sigmoid, store, tanh
from minilstm.foundations.arrays import Array


def lstm_pack(w: Array, U: Array, b: Array, W: Array) -> None:
    """w = [U; b; W] of each gate, for the products forward; b is (1, 4H)."""
    H = U.shape[0]
    for gate in range(4):
        put_rows(w, gate, 0, U, gate, H)
        put_rows(w, gate, H, b, gate, H)
        put_rows(w, gate, H + 1, W, gate, H)


@kernel
def forward_gates(z: Array, c: Array, xh: Array, mask: Array, t: int, p: int) -> None:
    """F2 ... F7 in panel p of step t, sample by sample."""
    rows, P, _, b, NR = z.shape
    Hp, Kp, block = c.shape[2], xh.shape[2], b * NR
    gates = ((t % rows) * P + p) * 4 * block
    c_now, c_next = (t % c.shape[0]) * b * Hp + p * NR, ((t + 1) % c.shape[0]) * b * Hp + p * NR
    h_now, h_next = (t % xh.shape[0]) * b * Kp + p * NR, ((t + 1) % xh.shape[0]) * b * Kp + p * NR
    for r in range(b):
        k = gates + r * NR
        if mask.shape[0] == 0 or mask[t, r]:
            i = sigmoid(load(z, k))  # F2
            f = sigmoid(load(z, k + block))  # F3
            g = tanh(load(z, k + 2 * block))  # F4
            o = sigmoid(load(z, k + 3 * block))  # F5
            cell = f * load(c, c_now + r * Hp) + i * g  # F6
            store(z, k, i)
            store(z, k + block, f)
            store(z, k + 2 * block, g)
            store(z, k + 3 * block, o)
            store(c, c_next + r * Hp, cell)
            store(xh, h_next + r * Kp, o * tanh(cell))  # F7
        else:  # S3
            for gate in range(4):
                store(z, k + gate * block, 0)
            store(c, c_next + r * Hp, load(c, c_now + r * Hp))
            store(xh, h_next + r * Kp, load(xh, h_now + r * Kp))


def lstm_forward(w: Array, x: Array, xh: Array, z: Array, c: Array, mask: Array) -> None:
    """Fill xh, z = gates and c from x (b, S, D), h in xh[0] and c[0].

    mask is (S, b), or (0, b) for none. Where no backward pass will follow, the steps take turns in fewer
    rows: z has one, c two, and xh two if h of the last step is enough.
    """
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    b, S, D = x.shape
    P, _, K, _ = w.shape
    for t in range(S):
        before = t % xh.shape[0]
        put_input(xh, before, x, t, K - 1 - D)
        real = count_real(mask, t, b)
        for k in range(P):
            p = k if t % 2 == 0 else P - 1 - k  # back and forth: the panels used last are still in the cache
            if real > 0:
                forward_product(z, t % z.shape[0], p, 0, 4, 1, xh, before, w, 0, K)  # S1, S2, F1
            forward_gates(z, c, xh, mask, t, p)
    float_control(control)


@kernel
def backward_gates(
    z: Array, c: Array, mask: Array, external: Array, dh: Array, dc: Array, t: int, p: int, H: int
) -> None:
    """B1 ... B7 in panel p of step t, sample by sample: z from gates to dz, dc[t + 1] to dc[t]."""
    S, P, _, b, NR = z.shape
    Hp, block, slots = c.shape[2], b * NR, dh.shape[0]
    gates, unit = (t * P + p) * 4 * block, p * NR
    now, before = ((t + 1) % slots) * b * Hp + unit, (t % slots) * b * Hp + unit
    for r in range(b):
        k, row = gates + r * NR, r * Hp
        for gate in range(4):  # of the step before, which comes next: the tape has left the cache
            fetch(z, k + (gate - 4 * P) * block)
        fetch(c, (t - 1) * b * Hp + unit + row)
        dht, dct = load(dh, now + row), load(dc, now + row)
        if external.shape[0] > 0:
            dht = dht + load_part(external, (r * S + t) * H + unit, min(NR, H - unit))  # S4
            store(dh, now + row, dht)
        if mask.shape[0] == 0 or mask[t, r]:
            i, f, g, o = load(z, k), load(z, k + block), load(z, k + 2 * block), load(z, k + 3 * block)
            tanh_c = tanh(load(c, (t + 1) * b * Hp + unit + row))
            dct = dct + dht * o * (1 - tanh_c * tanh_c)  # B2
            carried = dct * f  # B7
            store(z, k, dct * g * i * (1 - i))  # B3, B6
            store(z, k + block, carried * load(c, t * b * Hp + unit + row) * (1 - f))  # B4, B6
            store(z, k + 2 * block, dct * i * (1 - g * g))  # B5, B6
            store(z, k + 3 * block, dht * tanh_c * o * (1 - o))  # B1, B6
            store(dc, now + row, dct)
            store(dc, before + row, carried)
        else:  # S6; dz is 0 already
            store(dc, before + row, dct)


def lstm_backward(
    wt: Array, xh: Array, z: Array, c: Array, mask: Array, external: Array, dh: Array, dc: Array, dx: Array,
    scratch: Array, dw: Array, found: Array, norms: Array | None, rows: Array | None,
) -> None:  # fmt: skip
    """Turn z from gates into dz, go from dL/d(last state) in dh, dc to dL/d(first state) in dh[0], dc[0],
    fill dx (b, S, D), or (0, 0, 0) where it is not wanted, and found (K, 4H) = [dU; db; dW] by way of dw.

    dh and dc are (S+1, b, Hp): the gradient of every state. With two rows the steps use them in turn, step t
    from row (t + 1) % 2 to t % 2. external is (b, S, H), or (0, 0, H) for none. norms and rows as in
    `recording`, scratch as in `lead_back` and `weight_gradient`.
    """
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    S, P, _, b, _ = z.shape
    H, tile, stop = found.shape[1] // 4, steps_of_product(b), S
    for t in range(S - 1, -1, -1):
        for p in range(P):
            backward_gates(z, c, mask, external, dh, dc, t, p, H)
        lead_back(dh, z, t, wt, mask, dx, scratch, 0, 4, 0, H)  # S5, S6, S7
        if norms is not None and rows is not None:  # here, where all of this is in the cache
            record_state(norms, 0, t, dh, (t + 1) % dh.shape[0], H)
            record_state(norms, 1, t, dc, (t + 1) % dc.shape[0], H)
            for gate in range(4):
                record_gate(norms, 2 + gate, rows, gate, z, t, gate, H)
        if stop - t == tile or t == 0:
            for gate in range(4):
                weight_gradient(dw, xh, z, scratch, t, stop, gate, 0, dw.shape[2])  # S7
            stop = t
    for gate in range(4):
        get_rows(dw, gate, 0, found, gate, H)
    float_control(control)
