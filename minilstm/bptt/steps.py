"""The loop over time: the steps of one segment, forward and then backward. Here BPTT happens.

A segment is a stretch of S time steps: all of them, unless somebody cuts the sequence (`segments`). What
forward hands to backward, a `Segment`, is plain data and stands in the next file, `tape`. What runs the steps
of a segment is called an engine: this file is the plain one, `minilstm.compiled` the fast one.

Shorter samples of a batch are filled up to its length; the mask says which steps are real (True). Recurrent
dropout, drop (B, H), multiplies h where it meets U, by the same factors at every step: 0 for the units left
out, and 1 / (1 - rate) for the others. The loop adds to the cell's equations, forward:

    S1  xw = x @ W + b                   for all steps at once: the inputs are known beforehand
    S2  hu = (h_prev * drop) @ U + rb    step by step; rb is the GRU's
    S3  a masked step holds the state; what the cell keeps of it is set to 0, for nothing came of it

and backward, from the last step to the first:

    S4  dh = dh_next + external          what step t + 1 says of h_t (its S5), and what the layer above says
    S5  dh_prev = (dhu @ U.T) * drop + dprev     S2 backwards, and what the cell hands back past U (LSTM: 0);
        dc_prev comes from the cell alone, for c meets no matrix
    S6  a masked step hands the state's gradient on; the cell sees a gradient of 0, so dxw, dhu, dp are 0
        (x must be a number there too: in S7 it meets this 0, and 0 times NaN is NaN)
    S7  dW = sum_t x_t.T @ dxw_t         (D, nH)  every step used the same weights, so what each says adds up
        dU = sum_t (h_{t-1} * drop).T @ dhu_t     (H, nH)
        db = sum_t dxw_t,  drb = sum_t dhu_t,  dp = sum_t dp_t     summed over the samples, too
        dx_t = dxw_t @ W.T               (B, D)

S5 and S7 are one rule. In y = h @ U, y_sj = sum_k h_sk U_kj: so h_sk gets sum_j dy_sj U_kj, that is dy @ U.T,
and U_kj gets sum_s h_sk dy_sj, that is h.T @ dy: the sum over the samples s is in the product.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from minilstm.bptt.cell import Cell, Gradients, State, Weights
from minilstm.bptt.tape import Contents, Segment
from minilstm.foundations.arrays import Array
from minilstm.foundations.norms import step_norms


class Layer(NamedTuple):
    """A recurrent layer: what is the same at every step."""

    cell: Cell
    weights: Weights
    drop: Array | None = None  # (B, H)


def dropped(array: Array, drop: Array | None) -> Array:
    """`array` * drop, where there is one."""
    return array if drop is None else array * drop


def chosen(real: Array, ours: State, other: State) -> State:
    """`ours` where a step is real, (B, 1), otherwise `other`."""
    return tuple(np.where(real, one, two) for one, two in zip(ours, other, strict=True))


def forward_segment(
    layer: Layer, x: Array, mask: Array | None, state: State, keep: Contents = "everything"
) -> Segment:
    """Run the steps of one segment: x (S, B, D), mask (S, B) or None, state (B, H) of each of cell.states.

    `keep` may ask for less, which the compiled engine makes use of; here everything is kept.
    """
    cell, weights, drop = layer
    S, B, H = len(x), x.shape[1], len(weights.U)
    dtype = np.result_type(x, *(part for part in weights if part is not None), *state)  # complex if one is
    states = tuple(np.empty((S + 1, B, H), dtype) for _ in cell.states)  # step t reads row t, writes t + 1
    kept = tuple(np.empty((S, B, H), dtype) for _ in cell.kept)
    for array, initial in zip(states, state, strict=True):
        array[0] = initial
    xw = x @ weights.W + weights.b  # S1  (S, B, nH)
    for t in range(S):
        prev = tuple(array[t] for array in states)  # (B, H) each
        hu = dropped(prev[0], drop) @ weights.U  # S2  (B, nH)
        if weights.rb is not None:
            hu = hu + weights.rb  # S2
        state, kept_now = cell.forward(xw[t], hu, prev, weights.p)  # F1..  (B, H) each
        if mask is not None:  # S3
            real = mask[t][:, None]  # (B, 1)
            state = chosen(real, state, prev)
            kept_now = tuple(np.where(real, part, 0) for part in kept_now)
        for array, part in zip(states, state, strict=True):
            array[t + 1] = part
        for array, part in zip(kept, kept_now, strict=True):
            array[t] = part
    return Segment(x, mask, states, kept)


def backward_segment(
    layer: Layer,
    segment: Segment,
    external: Array | None,  # (S, B, H) dL/dh_t from the layer above
    dstate: State,  # (B, H) each, dL/d(state after the segment)
    *,
    need_dx: bool,  # dL/dx, too
    record: bool | Literal["norms"],  # dz and the total gradients of every step, too; or only their norms
    overwrite: bool,  # allow the segment to be written over, which the compiled engine makes use of
) -> Gradients:
    """Run the steps of one segment backwards."""
    cell, weights, drop = layer
    S, B, _ = segment.x.shape
    dxw = np.empty((S, B, weights.W.shape[1]), segment.states[0].dtype)
    dhu = np.empty((S, B, weights.U.shape[1]), dxw.dtype)
    dtotal = tuple(np.empty_like(array[1:]) for array in segment.states) if record else ()
    dp = None if weights.p is None else np.zeros_like(weights.p)
    for t in reversed(range(S)):
        if external is not None:
            dstate = (dstate[0] + external[t], *dstate[1:])  # S4  (B, H) each
        prev = tuple(array[t] for array in segment.states)
        state = tuple(array[t + 1] for array in segment.states)
        kept = tuple(array[t] for array in segment.kept)
        inside = dstate  # dL/dh and dL/dc after step t, as the cell is told
        if segment.mask is not None:
            real = segment.mask[t][:, None]  # (B, 1)
            inside = tuple(np.where(real, part, 0) for part in dstate)  # S6
        step = cell.backward(inside, prev, state, kept, weights.p)  # B1..
        dprev = (dropped(step.dhu @ weights.U.T, drop) + step.dprev[0], *step.dprev[1:])  # S5
        total = step.total
        if segment.mask is not None:  # S6: the state after a masked step is the state before it
            dprev, total = chosen(real, dprev, dstate), chosen(real, total, dstate)
        dxw[t], dhu[t] = step.dxw, step.dhu
        for array, part in zip(dtotal, total, strict=False):  # none where nothing is recorded
            array[t] = part
        if dp is not None:
            dp += step.dp  # S7
        dstate = dprev  # on to the step before
    h_prev = dropped(segment.states[0][:-1], drop)  # (S, B, H): the h that each step began with
    x, h_prev, flat_dxw, flat_dhu = (a.reshape(S * B, a.shape[2]) for a in (segment.x, h_prev, dxw, dhu))
    return Gradients(
        dweights=Weights(  # every step of every sample is a row: products and sums go over both
            W=x.T @ flat_dxw,  # S7  (D, nH)
            U=h_prev.T @ flat_dhu,  # S7  (H, nH)
            b=flat_dxw.sum(axis=0),  # S7  (nH,)
            rb=None if weights.rb is None else flat_dhu.sum(axis=0),  # S7  (nH,)
            p=dp,
        ),
        dstate=dstate,
        dx=dxw @ weights.W.T if need_dx else None,  # S7  (S, B, D)
        dz=dxw if record is True else None,
        dtotal=dtotal if record is True else None,
        norms=step_norms(dxw, dtotal) if record == "norms" else None,
    )
