"""The step loop in NumPy: one segment of the time axis, one cell step after the other.

This is the reference: short, readable, and working on complex arrays too. `compiled.memory` offers the
same functions compiled. What the loop adds to the cell's equations, forward:

    S1  xw = x @ W + b                   for all steps of the segment at once
    S2  hu = (h_prev * drop) @ U + rb    rb: the GRU's recurrent bias; drop: recurrent dropout, or 1
    S3  a masked step holds the state, and what it keeps counts as 0

and backward, from the last step to the first:

    S4  dh = dh_next + external          what later steps say of h_t, and what the layer above says
    S5  dh_prev = dhu @ U.T * drop + dprev   dhu and dprev from the cell; dc_prev from the cell alone
    S6  a masked step passes the gradient of the state on; the cell sees a gradient of 0 there, and its
        dxw, dhu, dp are 0
    S7  dW = sum_t x_t.T @ dxw_t,  db = sum_t dxw_t,  dx_t = dxw_t @ W.T,
        dU = sum_t (h_{t-1} * drop).T @ dhu_t,  drb = sum_t dhu_t
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from minilstm.bptt.cell import Array, Cell, State, Weights
from minilstm.bptt.tape import Kept, SegmentGradients


class Packed(NamedTuple):
    """Cell and weights as the functions below want them: as they are."""

    cell: Cell
    weights: Weights
    drop: Array | None = None  # (B, H) factor of h_prev on its way into the product with U


def dropped(array: Array, drop: Array | None) -> Array:
    """`array` with recurrent dropout."""
    return array if drop is None else array * drop


@dataclass
class Segment:
    """The tape of one segment, as `SegmentTape` describes it."""

    x: Array  # (S, b, D)
    mask: Array | None  # (S, b)
    states: tuple[Array, ...]  # (S+1, b, H) each
    kept: Sequence[Array]  # (S, b, H) each

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in (*self.states, *self.kept))

    @property
    def last_state(self) -> State:
        return tuple(state[-1].copy() for state in self.states)  # a view would keep the whole array alive


def forward_segment(
    packed: Packed, x: Array, mask: Array | None, state: State, keep: Kept = "everything"
) -> Segment:
    """Run the steps of one segment. Everything is kept here, also where `keep` asks for less."""
    cell, weights, drop = packed
    S, b, _ = x.shape
    H = len(weights.U)
    dtype = np.result_type(x, *(part for part in weights if part is not None), *state)
    states = tuple(np.empty((S + 1, b, H), dtype) for _ in cell.states)
    kept = [np.empty((S, b, H), dtype) for _ in cell.kept]
    for array, initial in zip(states, state, strict=True):
        array[0] = initial
    xw = x @ weights.W + weights.b  # S1  (S, b, nH)
    for t in range(S):
        prev = tuple(array[t] for array in states)
        hu = dropped(prev[0], drop) @ weights.U  # S2
        if weights.rb is not None:
            hu = hu + weights.rb
        new, saved = cell.forward(xw[t], hu, prev, weights.p)  # F1..
        if mask is not None:  # S3
            real = mask[t][:, None]
            new = tuple(np.where(real, ours, held) for ours, held in zip(new, prev, strict=True))
            saved = tuple(np.where(real, array, 0) for array in saved)
        for array, value in zip(states, new, strict=True):
            array[t + 1] = value
        for array, value in zip(kept, saved, strict=True):
            array[t] = value
    return Segment(x, mask, states, kept)


def backward_segment(
    packed: Packed,
    segment: Segment,
    external: Array | None,
    dstate: State,
    *,
    need_dx: bool,
    record: bool | Literal["norms"],
    overwrite: bool,
) -> SegmentGradients:
    """Run the steps of one segment backwards.

    external : (S, b, H) dL/dh_t from the layer above, or None; dstate : dL/d(state after the segment).
    `overwrite` allows the tape to be written over; the reference has no use for it.
    """
    cell, weights, drop = packed
    S, b, D = segment.x.shape
    H = len(weights.U)
    dxw = np.empty((S, b, weights.W.shape[1]), segment.states[0].dtype)
    dhu = np.empty_like(dxw)
    dtotal = tuple(np.empty_like(array[1:]) for array in segment.states) if record else None
    dp = None if weights.p is None else np.zeros_like(weights.p)
    for t in reversed(range(S)):
        if external is not None:
            dstate = (dstate[0] + external[t], *dstate[1:])  # S4
        inside = dstate
        if segment.mask is not None:  # S6
            real = segment.mask[t][:, None]
            inside = tuple(np.where(real, part, 0) for part in dstate)
        prev = tuple(array[t] for array in segment.states)
        state = tuple(array[t + 1] for array in segment.states)
        step = cell.backward(
            inside, prev, state, tuple(array[t] for array in segment.kept), weights.p
        )  # B1..
        dxw[t], dhu[t] = step.dxw, step.dhu
        if dp is not None:
            dp += step.dp
        before = (dropped(step.dhu @ weights.U.T, drop) + step.dprev[0], *step.dprev[1:])  # S5
        total = step.total
        if segment.mask is not None:  # S6
            before = tuple(np.where(real, ours, held) for ours, held in zip(before, dstate, strict=True))
            total = tuple(np.where(real, ours, held) for ours, held in zip(total, dstate, strict=True))
        if dtotal is not None:
            for array, value in zip(dtotal, total, strict=True):
                array[t] = value
        dstate = before
    flat_x, flat_h = (array.reshape(S * b, array.shape[2]) for array in (dxw, dhu))  # S7
    return SegmentGradients(
        dweights=Weights(
            W=segment.x.reshape(S * b, D).T @ flat_x,
            U=dropped(segment.states[0][:-1], drop).reshape(S * b, H).T @ flat_h,
            b=flat_x.sum(axis=0),
            rb=None if weights.rb is None else flat_h.sum(axis=0),
            p=dp,
        ),
        dstate=dstate,
        dx=dxw @ weights.W.T if need_dx else None,
        dz=dxw if record else None,
        dtotal=dtotal,
    )
