"""The step loop in NumPy: one segment of the time axis, one cell step after the other.

This is the reference: short, readable, and working on complex arrays too. `kernels` offers the same
functions compiled. What the loop adds to the cell's equations, forward:

    S1  xw = x @ W + b                   for all steps of the segment at once
    S2  hu = h_prev @ U
    S3  a masked step holds the state: h = h_prev, c = c_prev, and its gates count as 0

and backward, from the last step to the first:

    S4  dh = dh_next + external          what later steps say of h_t, and what the layer above says
    S5  dh_prev = dz @ U.T,  dc_prev = B7 of the cell
    S6  a masked step passes both on:    dh_prev = dh, dc_prev = dc
    S7  dW = sum_t x_t.T @ dz_t,  dU = sum_t h_{t-1}.T @ dz_t,  db = sum_t dz_t,  dx_t = dz_t @ W.T

A masked step has gates 0, hence dz = 0, and adds nothing to S7.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minilstm.cells import Array, Saved, State, Weights, lstm
from minilstm.tape import SegmentGradients

PARALLEL = False  # NumPy's own products may use threads; the Python loop cannot


def pack(weights: Weights) -> Weights:
    """The weights as the functions below want them: as they are."""
    return weights


def chunks(B: int) -> list[slice]:
    """The batch in one piece."""
    return [slice(0, B)]


def tape_size(S: int, b: int, D: int, H: int) -> int:
    """Numbers on the tape of one segment."""
    return 2 * (S + 1) * b * H + S * b * 4 * H


@dataclass
class Segment:
    """The tape of one segment, as `SegmentTape` describes it."""

    x: Array  # (S, b, D)
    mask: Array | None  # (S, b)
    h: Array  # (S+1, b, H)
    c: Array  # (S+1, b, H)
    gates: Array  # (S, b, 4H)

    @property
    def nbytes(self) -> int:
        return self.h.nbytes + self.c.nbytes + self.gates.nbytes

    @property
    def last_state(self) -> State:
        return State(self.h[-1].copy(), self.c[-1].copy())  # a view would keep all of h and c alive


def release(segment: Segment) -> None:
    """Nobody reads this segment any more; nothing to do here."""


def forward_segment(
    weights: Weights, x: Array, mask: Array | None, state: State, keep: bool = True
) -> Segment:
    """Run the steps of one segment. `keep=False`, for callers that want only states, saves nothing here."""
    S, b, _ = x.shape
    H = weights.U.shape[0]
    dtype = np.result_type(x, *weights, *state)
    h = np.empty((S + 1, b, H), dtype)
    c = np.empty((S + 1, b, H), dtype)
    gates = np.empty((S, b, 4 * H), dtype)
    h[0], c[0] = state
    xw = x @ weights.W + weights.b  # S1  (S, b, 4H)
    for t in range(S):
        prev = State(h[t], c[t])
        new, saved = lstm.forward(xw[t], prev.h @ weights.U, prev)  # S2, F1..F7
        gates[t] = np.concatenate(saved[:4], axis=-1)
        if mask is None:
            h[t + 1], c[t + 1] = new
        else:  # S3
            real = mask[t][:, None]
            h[t + 1] = np.where(real, new.h, prev.h)
            c[t + 1] = np.where(real, new.c, prev.c)
            gates[t] = np.where(real, gates[t], 0)
    return Segment(x, mask, h, c, gates)


def backward_segment(
    weights: Weights,
    segment: Segment,
    external: Array | None,
    dstate: State,
    *,
    need_dx: bool,
    record: bool,
    overwrite: bool,
) -> SegmentGradients:
    """Run the steps of one segment backwards.

    external : (S, b, H) dL/dh_t from the layer above, or None; dstate : dL/d(state after the segment).
    `overwrite` allows the tape to be written over; the reference has no use for it.
    """
    S, b, D = segment.x.shape
    H = weights.U.shape[0]
    dz = np.empty_like(segment.gates)
    dh_all = np.empty_like(segment.h[1:]) if record else None
    dc_all = np.empty_like(segment.c[1:]) if record else None
    dh, dc = dstate
    for t in reversed(range(S)):
        if external is not None:
            dh = dh + external[t]  # S4
        i, f, g, o = np.split(segment.gates[t], 4, axis=-1)
        saved = Saved(i, f, g, o, segment.c[t], segment.c[t + 1])
        dz[t], dc_prev, total = lstm.backward(State(dh, dc), saved)  # B1..B7
        if dh_all is not None and dc_all is not None:
            dh_all[t], dc_all[t] = total
        dh_prev = dz[t] @ weights.U.T  # S5
        if segment.mask is None:
            dh, dc = dh_prev, dc_prev
        else:  # S6
            real = segment.mask[t][:, None]
            dh = np.where(real, dh_prev, total.h)
            dc = np.where(real, dc_prev, total.c)
    flat = dz.reshape(S * b, 4 * H)  # S7
    return SegmentGradients(
        dW=segment.x.reshape(S * b, D).T @ flat,
        dU=segment.h[:-1].reshape(S * b, H).T @ flat,
        db=flat.sum(axis=0),
        dstate=State(dh, dc),
        dx=dz @ weights.W.T if need_dx else None,
        dz=dz if record else None,
        dh=dh_all,
        dc=dc_all,
    )
