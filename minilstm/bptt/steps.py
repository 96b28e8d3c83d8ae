"""The loop over time: the steps of one segment, forward and then backward. Here BPTT happens.

A segment is a stretch of S time steps, all of them unless somebody cuts the sequence (`segments`). Backward
meets each step as backpropagation meets a layer; that these layers share their weights shows in S7 alone.
Shorter samples of a batch are filled up to its length; the mask says which steps are real (True).
What the loop adds to the cell's equations, forward:

    S1  xw = x @ W + b                   for all steps at once: the inputs are known beforehand
    S2  hu = (h_prev * drop) @ U + rb    step by step. rb: the GRU's; drop: 0 for units left out, or 1
    S3  a masked step holds the state, and what it keeps counts as 0

and backward, from the last step to the first:

    S4  dh = dh_next + external          what step t + 1 says of h_t (its S5), and what the layer above says
    S5  dh_prev = dhu @ U.T * drop + dprev     S2 backwards, and what the cell hands back past U (LSTM: 0);
        dc_prev comes from the cell alone, for c meets no matrix
    S6  a masked step hands the state's gradient on; the cell sees a gradient of 0, so dxw, dhu, dp are 0
    S7  dW = sum_t x_t.T @ dxw_t         every step used the same weights: what each says of them adds up
        dU = sum_t (h_{t-1} * drop).T @ dhu_t,  db = sum_t dxw_t,  drb = sum_t dhu_t
        dx_t = dxw_t @ W.T

S5 and S7 are one rule. In y = h @ U, y_bj = sum_k h_bk U_kj: so h_bk gets sum_j dy_bj U_kj, that is dy @ U.T,
and U_kj gets sum_b h_bk dy_bj, that is h.T @ dy.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from minilstm.arrays import Array
from minilstm.bptt.cell import Cell, State, Weights
from minilstm.bptt.pieces import step_norms
from minilstm.bptt.tape import Kept, Segment, SegmentGradients


class Layer(NamedTuple):
    """What is repeated at every step."""

    cell: Cell
    weights: Weights
    drop: Array | None = None  # (b, H), the same at every step


def dropped(array: Array, drop: Array | None) -> Array:
    """`array` with recurrent dropout."""
    return array if drop is None else array * drop


def chosen(real: Array, ours: State, other: State) -> State:
    """`ours` where a step is real, (b, 1), otherwise `other`."""
    return tuple(np.where(real, one, two) for one, two in zip(ours, other, strict=True))


def forward_segment(
    layer: Layer, x: Array, mask: Array | None, state: State, keep: Kept = "everything"
) -> Segment:
    """Run the steps of one segment: x (S, b, D), mask (S, b) with True = real step, or None.

    Everything is kept, also where `keep` asks for less.
    """
    cell, weights, drop = layer
    S, b, H = len(x), x.shape[1], len(weights.U)
    dtype = np.result_type(x, *(part for part in weights if part is not None), *state)  # complex if one is
    states = tuple(np.empty((S + 1, b, H), dtype) for _ in cell.states)  # step t reads row t, writes t + 1
    kept = tuple(np.empty((S, b, H), dtype) for _ in cell.kept)
    for array, initial in zip(states, state, strict=True):
        array[0] = initial
    xw = x @ weights.W + weights.b  # S1  (S, b, nH)
    for t in range(S):
        prev = tuple(array[t] for array in states)  # (b, H) each
        hu = dropped(prev[0], drop) @ weights.U  # S2  (b, nH)
        if weights.rb is not None:
            hu = hu + weights.rb
        state, found = cell.forward(xw[t], hu, prev, weights.p)  # F1..
        if mask is not None:  # S3
            real = mask[t][:, None]  # (b, 1)
            state = chosen(real, state, prev)
            found = tuple(np.where(real, part, 0) for part in found)
        for array, part in zip(states, state, strict=True):
            array[t + 1] = part
        for array, part in zip(kept, found, strict=True):
            array[t] = part
    return Segment(x, mask, states, kept)


def backward_segment(
    layer: Layer,
    segment: Segment,
    external: Array | None,
    dstate: State,
    *,
    need_dx: bool,
    record: bool | Literal["norms"],
    overwrite: bool,
) -> SegmentGradients:
    """Run the steps of one segment backwards.

    external : (S, b, H) dL/dh_t from the layer above, or None; dstate : dL/d(state after the segment);
    record : also return dz and the total gradients of each step, or only their norms. `overwrite` allows the
    tape to be written over; there is no use for it here.
    """
    cell, weights, drop = layer
    S, b, _ = segment.x.shape
    dxw = np.empty((S, b, weights.W.shape[1]), segment.states[0].dtype)
    dhu = np.empty_like(dxw)
    dtotal = tuple(np.empty_like(array[1:]) for array in segment.states) if record else ()
    dp = None if weights.p is None else np.zeros_like(weights.p)
    for t in reversed(range(S)):
        if external is not None:
            dstate = (dstate[0] + external[t], *dstate[1:])  # S4  (b, H) each
        prev = tuple(array[t] for array in segment.states)
        state = tuple(array[t + 1] for array in segment.states)
        kept = tuple(array[t] for array in segment.kept)
        inside = dstate  # dL/dh and dL/dc after step t, as the cell is told
        if segment.mask is not None:
            real = segment.mask[t][:, None]  # (b, 1)
            inside = tuple(np.where(real, part, 0) for part in dstate)  # S6
        step = cell.backward(inside, prev, state, kept, weights.p)  # B1..
        before = (dropped(step.dhu @ weights.U.T, drop) + step.dprev[0], *step.dprev[1:])  # S5
        total = step.total
        if segment.mask is not None:
            before, total = chosen(real, before, dstate), chosen(real, total, dstate)  # S6
        dxw[t], dhu[t] = step.dxw, step.dhu
        for array, part in zip(dtotal, total, strict=False):  # none where nothing is recorded
            array[t] = part
        if dp is not None:
            dp += step.dp
        dstate = before
    h_prev = dropped(segment.states[0][:-1], drop)  # (S, b, H)
    x, h_prev, flat_x, flat_h = (a.reshape(S * b, a.shape[2]) for a in (segment.x, h_prev, dxw, dhu))
    return SegmentGradients(
        dweights=Weights(  # S7
            W=x.T @ flat_x,  # every step of every sample is a row: the sum over both is the product
            U=h_prev.T @ flat_h,
            b=flat_x.sum(axis=0),
            rb=None if weights.rb is None else flat_h.sum(axis=0),
            p=dp,
        ),
        dstate=dstate,
        dx=dxw @ weights.W.T if need_dx else None,  # S7  (S, b, D)
        dz=dxw if record is True else None,
        dtotal=dtotal if record is True else None,
        norms=step_norms(dxw, dtotal) if record == "norms" else None,
    )
