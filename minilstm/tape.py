"""The records handed from function to function: what forward leaves, what backward gives.

Plain data. Time-major throughout: T time steps (S in one segment), B samples (b in one chunk of the
batch), D features, H units. State arrays have one row more than there are steps: row 0 is the
initial state, so step t reads row t and writes row t + 1, and no step is special.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from minilstm.cells import Array, State


class SegmentTape(Protocol):
    """What one segment of one chunk leaves for backward; `steps` and `kernels` each have their own form."""

    @property
    def h(self) -> Array: ...  # (S+1, b, H)
    @property
    def c(self) -> Array: ...  # (S+1, b, H)
    @property
    def gates(self) -> Array: ...  # (S, b, 4H) after their activations, blocks i, f, g, o
    @property
    def nbytes(self) -> int: ...
    @property
    def last_state(self) -> State: ...  # (b, H) each


@dataclass
class SegmentGradients:
    """What one segment of one chunk gives: sums over its steps, and per-step arrays where asked for."""

    dW: Array  # (D, 4H)
    dU: Array  # (H, 4H)
    db: Array  # (4H,)
    dstate: State  # dL/d(initial state of the segment), (b, H) each
    dx: Array | None = None  # (S, b, D)
    dz: Array | None = None  # (S, b, 4H)
    dh: Array | None = None  # (S, b, H) total
    dc: Array | None = None  # (S, b, H) total


@dataclass
class Tape:
    """One forward pass: for each chunk of the batch, its segments in order of time.

    A tape made with `keep="boundaries"` or `"outputs"` has None in place of each segment; with boundaries,
    backward computes a segment again from the state at its start. `consumed` says that a backward pass
    was allowed to write over the tape.
    """

    backend: str
    packed: object  # the weights, as the backend wants them
    x: Array  # (T, B, D)
    mask: Array | None  # (T, B) bool, True = real step
    rows: list[slice]  # the samples of each chunk
    spans: list[slice]  # the steps of each segment
    states: list[list[State]]  # [chunk][segment]: the state at the segment's start, then the last state
    segments: list[list[SegmentTape | None]]  # [chunk][segment]
    keep: str = "everything"  # what `forward` was asked to keep
    consumed: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes that wait for the backward pass: segments and boundary states, the input apart."""
        kept = sum(segment.nbytes for chunk in self.segments for segment in chunk if segment is not None)
        return kept + sum(state.h.nbytes + state.c.nbytes for chunk in self.states for state in chunk[:-1])

    @property
    def last_state(self) -> State:
        """h_T and c_T, (B, H) each."""
        last = [chunk[-1] for chunk in self.states]
        return State(np.concatenate([s.h for s in last]), np.concatenate([s.c for s in last]))

    def check_readable(self) -> None:
        """Raise RuntimeError when a backward pass has written over this tape."""
        if self.consumed:
            raise RuntimeError("this tape was consumed by backward(overwrite=True); run forward again")

    def join(self, name: str) -> Array:
        """One array of a per-step quantity: "h" or "c" after each step (T, B, H), or "gates" (T, B, 4H)."""
        self.check_readable()
        first = 0 if name == "gates" else 1
        return join_chunks([[getattr(segment, name)[first:] for segment in chunk] for chunk in self.segments])


@dataclass
class Gradients:
    """One backward pass over a whole tape; the per-step arrays only where asked for."""

    dW: Array  # (D, 4H)
    dU: Array  # (H, 4H)
    db: Array  # (4H,)
    dstate: State  # dL/dh_0 and dL/dc_0, (B, H) each
    dx: Array | None  # (T, B, D)
    dz: Array | None  # (T, B, 4H)
    dh: Array | None  # (T, B, H) total dL/dh_t
    dc: Array | None  # (T, B, H) total dL/dc_t


def join_chunks(pieces: Sequence[Sequence[Array]]) -> Array:
    """Pieces [chunk][segment] of (S, b, .) as one array (T, B, .), laid out (B, T, .) in memory.

    The caller of the layer wants (B, T, .), and gets a view of this without another copy.
    """
    T = sum(len(piece) for piece in pieces[0])
    B = sum(chunk[0].shape[1] for chunk in pieces)
    out = np.empty((B, T, pieces[0][0].shape[2]), pieces[0][0].dtype).transpose(1, 0, 2)
    row = 0
    for chunk in pieces:
        step, b = 0, chunk[0].shape[1]
        for piece in chunk:
            out[step : step + len(piece), row : row + b] = piece
            step += len(piece)
        row += b
    return out
