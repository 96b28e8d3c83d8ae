"""A cell that somebody wrote over one segment of one chunk, forward and backward: the loop, the same for all.

The step itself is machine code of its own (`step_of`), made of the text that `cells.program` writes and
called by its address: so these loops are compiled once for all cells and kept on disk, and no user's code is.

Blocks of z and w: first those that hold xw alone (weights [b; W]), then xw + hu ([U; b + rb; W]), then hu
alone ([U; rb]), as in `gru`; backward they become dxw and dhu. facts is [n, the number of blocks of xw alone,
the gate of each block]. Beside what `panels` describes:

    c     (m, S+1, b, Hp)         the states but h
    kept  (S, P, k, b, NR)        what forward keeps for the trace
    p     (r, P NR)               the rows of p, and dp their gradients
    d     (1 + m, S+1, b, Hp)     the gradients of all states, or two rows in turns
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import cfunc, config, types
from numba.core import cgutils

from minilstm.compiled import functions, vectors
from minilstm.compiled.jit import BY_ADDRESS, FLUSH, float_control, instruction, kernel, lanes
from minilstm.compiled.panels import (
    count_real,
    forward_product,
    get_rows,
    lead_back,
    lead_to_input,
    put_input,
    steps_of_product,
    weight_gradient,
)
from minilstm.compiled.recording import record_gate, record_state
from minilstm.compiled.vectors import at, load, load_part, store
from minilstm.foundations.arrays import Array

ARGUMENTS = {"forward": (7, 6), "backward": (8, 8)}  # places in arrays, and sizes


@cache
def step_of(what: str, text: str, dtype: str) -> Any:
    """The function `what` of that text, compiled; `address` is where it stands (see `call`)."""
    words: dict[str, Any] = functions.FUNCTIONS | {"tanh": vectors.tanh, "NR": lanes(dtype)}
    words |= {"load": load, "store": store, "inf": np.inf, "nan": np.nan}
    exec(text, words)  # written by `cells.program`, of these words alone
    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        return words[what]
    arrays, sizes = ARGUMENTS[what]
    place = types.CPointer(getattr(types, dtype))
    kind = types.void(*[place] * arrays, *[types.intp] * sizes)
    return cfunc(kind, **BY_ADDRESS)(words[what])


def address(step: Any) -> Any:
    """What `call` wants: the address of machine code, or the function where nothing is compiled."""
    return step.address if hasattr(step, "address") else step


@instruction(lambda step, places, sizes: step(*places, *sizes))
def call(typing_context: Any, step: Any, places: Any, sizes: Any) -> Any:
    """Call the machine code at address `step`, with places in arrays and sizes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        given = [one for group in args[1:] for one in cgutils.unpack_tuple(builder, group)]
        kind = ir.FunctionType(ir.VoidType(), [one.type for one in given])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), given)
        return context.get_dummy_value()

    return types.void(step, places, types.UniTuple(types.intp, len(sizes))), generate


@kernel
def real_until(mask: Array, t: int, r: int, b: int) -> int:
    """The first masked sample of step t from r on, or b."""
    if mask.shape[0] > 0:
        while r < b and mask[t, r]:
            r += 1
        return r
    return b


@kernel
def forward_units(
    step: int, xh: Array, z: Array, c: Array, kept: Array, p: Array, mask: Array, t: int, panel: int
) -> None:
    """The cell's forward in one panel of step t, by stretches of real samples; others hold their states."""
    rows, P, blocks, b, NR = z.shape
    m, slots, _, Hp = c.shape
    Kp, block, layer, k = xh.shape[2], b * NR, slots * b * Hp, ((t % rows) * P + panel) * b * NR
    h, h_next = (t % xh.shape[0]) * b * Kp + panel * NR, ((t + 1) % xh.shape[0]) * b * Kp + panel * NR
    c_now, c_next = (t % slots) * b * Hp + panel * NR, ((t + 1) % slots) * b * Hp + panel * NR
    own, r = kept.shape[2], 0
    while r < b:
        stop = real_until(mask, t, r, b)
        if stop > r:
            call(
                step,
                (at(z, k * blocks + r * NR), at(kept, k * own + r * NR), at(xh, h + r * Kp),
                 at(xh, h_next + r * Kp), at(c, c_now + r * Hp), at(c, c_next + r * Hp), at(p, panel * NR)),
                (stop - r, block, Kp, Hp, layer, P * NR),
            )  # fmt: skip
        if stop < b:  # S3
            for j in range(blocks):
                store(z, k * blocks + j * block + stop * NR, 0)
            for j in range(own):
                store(kept, k * own + j * block + stop * NR, 0)
            store(xh, h_next + stop * Kp, load(xh, h + stop * Kp))
            for j in range(m):
                store(c, j * layer + c_next + stop * Hp, load(c, j * layer + c_now + stop * Hp))
        r = stop + 1


def user_forward(
    step: int, w: Array, x: Array, xh: Array, z: Array, c: Array, kept: Array, p: Array, mask: Array,
    facts: Array,
) -> None:  # fmt: skip
    """Fill xh, z, c, kept from x (b, S, D) and the states in xh[0], c[:, 0]; mask and rows as in `lstm`."""
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    b, S, D = x.shape
    P, blocks, K, _ = w.shape
    H, n, alone = K - 1 - D, facts[0], facts[1]
    together = P if b == 1 else 1  # panels: with one sample several are multiplied at a time
    for t in range(S):
        before, row = t % xh.shape[0], t % z.shape[0]
        put_input(xh, before, x, t, H)
        real = count_real(mask, t, b)
        for panel in range(0, P, together):
            for block in range(blocks if real > 0 else 0):
                first, last = H if block < alone else 0, K if block < n else H + 1
                forward_product(z, row, panel, block, together, blocks, xh, before, w, first, last - first)
            for one in range(panel, panel + together):
                forward_units(step, xh, z, c, kept, p, mask, t, one)
    float_control(control)


@kernel
def backward_units(
    step: int, xh: Array, z: Array, c: Array, kept: Array, p: Array, mask: Array, external: Array, d: Array,
    dp: Array, t: int, panel: int, H: int,
) -> None:  # fmt: skip
    """The cell's backward in one panel of step t: z to dxw and dhu, d[:, t + 1] to d[:, t] but for S5."""
    _, P, blocks, b, NR = z.shape
    states, turns, _, Hd = d.shape
    _, slots, _, Hp = c.shape
    Kp, block, k, unit, own = xh.shape[2], b * NR, (t * P + panel) * b * NR, panel * NR, kept.shape[2]
    now, before = ((t + 1) % turns) * b * Hd + unit, (t % turns) * b * Hd + unit
    if external.shape[0] > 0:
        for r in range(b):
            more = load_part(external, (r * external.shape[1] + t) * H + unit, min(NR, H - unit))
            store(d, now + r * Hd, load(d, now + r * Hd) + more)  # S4
    r = 0
    while r < b:
        stop = real_until(mask, t, r, b)
        if stop > r:
            call(
                step,
                (at(z, k * blocks + r * NR), at(kept, k * own + r * NR), at(xh, (t * b + r) * Kp + unit),
                 at(c, (t * b + r) * Hp + unit), at(d, now + r * Hd), at(d, before + r * Hd), at(p, unit),
                 at(dp, unit)),
                (stop - r, block, Kp, Hp, slots * b * Hp, Hd, turns * b * Hd, P * NR),
            )  # fmt: skip
        if stop < b:  # S6; dz is 0 already
            for j in range(states):
                layer = (j * turns * b + stop) * Hd
                store(d, layer + before, load(d, layer + now))
        r = stop + 1


def user_backward(
    step: int, wt: Array, xh: Array, z: Array, c: Array, kept: Array, p: Array, mask: Array, facts: Array,
    external: Array, d: Array, dx: Array, scratch: Array, dw: Array, by_state: Array, by_input: Array,
    dp: Array, norms: Array | None, rows: Array | None,
) -> None:  # fmt: skip
    """Turn z into dxw and dhu, go down d to the first states' gradients; fill dx and the gradients.

    by_state (H+1, nH) = [dU; drb], not written where there is no U; dp is added to.
    """
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    S, P, blocks, b, _ = z.shape
    n, alone, order, K = facts[0], facts[1], facts[2:], dw.shape[2]
    H, tile, stop = by_state.shape[0] - 1, steps_of_product(b), S
    for t in range(S - 1, -1, -1):
        for panel in range(P):
            backward_units(step, xh, z, c, kept, p, mask, external, d, dp, t, panel, H)
        if blocks > alone:
            lead_back(d[0], z, t, wt, mask, dx, scratch, alone, n, 1, H)  # S5, S6, S7
        else:  # no U
            lead_to_input(z, t, wt, dx, scratch, n, H)
        if norms is not None and rows is not None:  # here, where all of this is in the cache
            for j in range(d.shape[0]):
                record_state(norms, j, t, d[j], (t + 1) % d.shape[1], H)
            for block in range(n):
                record_gate(norms, d.shape[0] + order[block], rows, order[block], z, t, block, H)
        if stop - t == tile or t == 0:
            for block in range(blocks):
                first, last = H if block < alone else 0, K if block < n else H + 1
                weight_gradient(dw, xh, z, scratch, t, stop, block, first, last - first)  # S7
            stop = t
    for block in range(blocks):
        if block >= alone:
            get_rows(dw, block, 0, by_state, order[block], H)
        if block < n:
            get_rows(dw, block, H, by_input, order[block], H)
    float_control(control)
