"""The layout of all arrays, and the parts of a step that all cells share.

b samples of a chunk, S steps, D features, H units; K = H + 1 + D; n blocks of a cell (the gates, see each
cell). Units stand in P panels of NR = `lanes(dtype)`, as a product gives them; the last may be filled up.

    xh  (S+1, b, Kp)       rows [h_{t-1} | 1 | x_t]. One operand: a single product gives h U + b + x W, and in
                           the backward pass a single product gives dU, db and dW. With the 1 in the middle
                           [h | 1] and [1 | x] are in one piece too, for the GRU's candidate.
    z   (S, P, n, b, NR)   pre-activations, then the gates in place, and in the backward pass dz in place.
                           All gates of a panel are one block of 4 KB: it stays in the first-level cache from
                           its products to its activations, which are one loop.
    c   (S+1, b, Hp)       cell states; tanh(c) is computed again in the backward pass: cheaper than storing
                           and reading it.
    w   (P, n, K, NR)      [U; b; W] of each gate, cut into panels.
    wt  (Q, P, n, NR, NR)  the transposed weights that lead back: panel q of dh_prev, and after these of dx,
                           is a sum over all panels and gates of dz @ wt[q].
    dh, dc (S+1, b, Hp)    the gradients of all states, or two rows in turns.
    dw  (P, n, K, NR)      [dU; db; dW].

A row of xh, c, dh, dc has an odd number of lines of 64 bytes (`memory.row_size`): if all rows began at a
multiple of 4096 bytes they would share a few places of the cache. It has room for all P NR units, so a whole
Vector may be stored at its end; in xh over [1 | x], which are written after that. Units that fill up a panel
are computed like others but never enter a sum, as they may be Inf or NaN: a sum over units ends at H.
"""

from __future__ import annotations

from minilstm.compiled.jit import kernel
from minilstm.compiled.tile import AHEAD, LARGE, product
from minilstm.compiled.vectors import at, load, load_part, store, store_part
from minilstm.foundations.arrays import Array

# ---------------------------------------------------------------- weights


@kernel
def put_rows(w: Array, block: int, first: int, source: Array, gate: int, H: int) -> None:
    """Rows `first`, ... of w[:, block] from the columns of `gate` in source (rows, n H)."""
    P, n, K, NR = w.shape
    rows, N = source.shape
    for row in range(rows):
        for p in range(P):
            values = load_part(source, row * N + gate * H + p * NR, min(NR, H - p * NR))
            store(w, ((p * n + block) * K + first + row) * NR, values)


@kernel
def get_rows(dw: Array, block: int, first: int, target: Array, gate: int, H: int) -> None:
    """The reverse: the columns of `gate` in target (rows, n H) from rows `first`, ... of dw[:, block]."""
    P, n, K, NR = dw.shape
    rows, N = target.shape
    for row in range(rows):
        for p in range(P):
            values = load(dw, ((p * n + block) * K + first + row) * NR)
            store_part(target, row * N + gate * H + p * NR, values, min(NR, H - p * NR))


# ---------------------------------------------------------------- products of a step


@kernel
def forward_product(
    z: Array, row: int, p: int, block: int, count: int, stride: int, xh: Array, before: int, w: Array,
    first: int, depth: int,
) -> None:  # fmt: skip
    """z[row] = xh[before] @ w in `count` panels, of the columns first ... first + depth of xh.

    They begin with `block` of panel p; each lies `stride` blocks behind the one before: with 1 they are the
    blocks of this panel, with n the same block of the panels that follow.
    """
    _, P, n, b, NR = z.shape
    K, Kp = w.shape[2], xh.shape[2]
    kz, kw = ((row * P + p) * n + block) * b * NR, ((p * n + block) * K + first) * NR
    ahead = AHEAD * NR if w.nbytes > LARGE else 0
    product(
        b, count, at(z, kz), at(xh, before * b * Kp + first), at(w, kw),
        NR, stride * b * NR, Kp, 1, 0, NR, 0, stride * K * NR, depth, 1, 0, ahead,
    )  # fmt: skip


@kernel
def backward_product(
    out: Array, row: int, z: Array, t: int, wt: Array, first: int, panels: int, block: int, blocks: int,
    H: int, add: int,
) -> None:  # fmt: skip
    """out[row] (b, .) [+]= the sum of dz @ wt over `blocks` blocks of z[t]; panels from `first` of wt."""
    _, P, n, b, NR = z.shape
    width, part, piece = out.shape[2], b * NR, NR * NR
    kz, kw, panel = t * P * n * part + block * part, (first * P * n + block) * piece, P * n * piece
    full = H // NR
    if blocks == n and full > 0:  # all these panels are one piece
        product(
            b, panels, at(out, row * b * width), at(z, kz), at(wt, kw),
            width, NR, NR, 1, part, NR, piece, panel, NR, n * full, add, 0,
        )  # fmt: skip
    for p in range(full if blocks == n else 0, P):
        product(
            b, panels, at(out, row * b * width), at(z, kz + p * n * part), at(wt, kw + p * n * piece),
            width, NR, NR, 1, part, NR, piece, panel, min(NR, H - p * NR), blocks, add + p, 0,
        )  # fmt: skip


@kernel
def weight_gradient(
    dw: Array, xh: Array, z: Array, scratch: Array, start: int, stop: int, block: int, first: int, rows: int
) -> None:
    """dw[..., first : first + rows] of one block += xh.T @ dz, a sum over samples and steps (S7).

    Steps from `start` to `stop`, which begin a new sum where they are the last. Each panel of dz is copied to
    scratch first: in z its steps lie so far apart that they share a few places of the cache.
    """
    S, P, n, b, NR = z.shape
    K, Kp = dw.shape[2], xh.shape[2]
    for p in range(P):
        for t in range(start, stop):
            source = ((t * P + p) * n + block) * b * NR
            for k in range(0, b * NR, NR):
                store(scratch, (t - start) * b * NR + k, load(z, source + k))
        product(
            rows, 1, at(dw, ((p * n + block) * K + first) * NR), at(xh, start * b * Kp + first),
            at(scratch, 0), NR, 0, 1, Kp, 0, NR, 0, 0, (stop - start) * b, 1, S - stop, 0,
        )  # fmt: skip


@kernel
def steps_of_product(b: int) -> int:
    """Steps whose gradient of the weights is one product: 256 rows, of which a panel takes 16 KB of cache."""
    return max(1, 256 // b)


# ---------------------------------------------------------------- rows of xh, c, dh, dc


@kernel
def put_input(xh: Array, row: int, x: Array, t: int, H: int) -> None:
    """Put 1 and x[:, t] behind the h in the rows [h | 1 | x]; x is (b, S, D)."""
    b, _, D = x.shape
    for r in range(b):
        xh[row, r, H] = 1
        for k in range(D):
            xh[row, r, H + 1 + k] = x[r, t, k]


@kernel
def count_real(mask: Array, t: int, b: int) -> int:
    """How many of the b samples have a real step at t; mask is (S, b), or (0, b) for none."""
    if mask.shape[0] == 0:
        return b
    real = 0
    for r in range(b):
        real += mask[t, r]
    return real


@kernel
def hold_masked(states: Array, to: int, source: int, mask: Array, t: int, P: int, NR: int) -> None:
    """states[to] = states[source] in the masked rows (S6)."""
    _, b, width = states.shape
    for r in range(b):
        if not mask[t, r]:
            for k in range(r * width, r * width + P * NR, NR):
                store(states, to * b * width + k, load(states, source * b * width + k))


@kernel
def lead_to_input(z: Array, t: int, wt: Array, dx: Array, scratch: Array, blocks: int, H: int) -> None:
    """dx[:, t] = dz @ W.T by `blocks` blocks from 0 on, where it is wanted.

    By way of scratch (1, b, .), whose rows have room for whole panels.
    """
    if dx.shape[0] > 0:
        P, b, NR = z.shape[1], z.shape[3], z.shape[4]
        S, D, width = dx.shape[1], dx.shape[2], scratch.shape[2]
        backward_product(scratch, 0, z, t, wt, P, wt.shape[0] - P, 0, blocks, H, 0)  # S7
        for r in range(b):
            for k in range(0, D, NR):
                store_part(dx, (r * S + t) * D + k, load(scratch, r * width + k), min(NR, D - k))


@kernel
def lead_back(
    dh: Array, z: Array, t: int, wt: Array, mask: Array, dx: Array, scratch: Array, block: int, blocks: int,
    add: int, H: int,
) -> None:  # fmt: skip
    """From dz of step t to the gradient of the state before, and of the step's input where it is wanted.

    dh[t] [+]= dz @ U.T by `blocks` blocks from `block` on; dx[:, t] as in `lead_to_input`.
    """
    _, P, _, b, NR = z.shape
    now, before, real = (t + 1) % dh.shape[0], t % dh.shape[0], count_real(mask, t, b)
    if real > 0:
        backward_product(dh, before, z, t, wt, 0, P, block, blocks, H, add)  # S5
    if real < b:
        hold_masked(dh, before, now, mask, t, P, NR)  # S6
    lead_to_input(z, t, wt, dx, scratch, blocks, H)
