"""The records handed from function to function: what forward leaves, what backward gives. Plain data.

Time-major throughout: T time steps (S in one segment), B samples (b in one chunk, some samples of the batch),
D features, H units. State arrays have one row more than there are steps: row 0 is the initial state, so
step t reads row t and writes row t + 1, and no step is special.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from minilstm.arrays import Array
from minilstm.bptt.cell import Cell, State, Weights
from minilstm.bptt.pieces import StepNorms, join_chunks, join_states

Kept = Literal["everything", "boundaries", "outputs"]  # of a pass: all, the states between segments, h alone


@dataclass
class Segment:
    """What the steps of one segment leave for backward. A compiled engine has a form of its own."""

    x: Array  # (S, b, D)
    mask: Array | None  # (S, b) bool
    states: tuple[Array, ...]  # (S+1, b, H) each, in the order of cell.states
    kept: Sequence[Array]  # (S, b, H) each, in the order of cell.kept

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in (*self.states, *self.kept))

    @property
    def last_state(self) -> State:
        return tuple(state[-1].copy() for state in self.states)  # a view would keep the whole array alive


@dataclass
class SegmentGradients:
    """What one segment of one chunk gives: sums over its steps, and per-step arrays where asked for."""

    dweights: Weights
    dstate: State  # dL/d(initial state of the segment), (b, H) each
    dx: Array | None = None  # (S, b, D)
    dz: Array | None = None  # (S, b, nH) dL/dxw
    dtotal: tuple[Array, ...] | None = None  # (S, b, H) each: dL/dh_t, and dL/dc_t of an LSTM
    norms: StepNorms | None = None  # in place of dz and dtotal, where only their norms were asked for


@dataclass
class Tape:
    """One forward pass: for each chunk of the batch, its segments in order of time."""

    cell: Cell
    engine: Any  # the `Engine` that ran it
    packed: Any  # cell and weights as this engine wants them
    x: Array  # (T, B, D)
    mask: Array | None  # (T, B) bool, True = real step
    rows: list[slice]  # the samples of each chunk
    spans: list[slice]  # the steps of each segment
    states: list[list[State]]  # [chunk][segment]: the state at the segment's start, then the last state
    segments: list[list[Any]]  # [chunk][segment]: a Segment, or None unless keep is "everything"
    keep: Kept = "everything"
    consumed: bool = False  # a backward pass was allowed to write over it

    @property
    def nbytes(self) -> int:
        """Bytes that wait for the backward pass: segments and boundary states, the input apart."""
        kept: int = sum(segment.nbytes for chunk in self.segments for segment in chunk if segment is not None)
        return kept + sum(part.nbytes for chunk in self.states for state in chunk[:-1] for part in state)

    @property
    def first_state(self) -> State:
        """The initial state, (B, H) each."""
        return join_states([chunk[0] for chunk in self.states])

    @property
    def last_state(self) -> State:
        """The state after the last step, (B, H) each."""
        return join_states([chunk[-1] for chunk in self.states])

    def check_readable(self) -> None:
        """Raise RuntimeError when a backward pass has written over this tape."""
        if self.consumed:
            raise RuntimeError("this tape was consumed by backward(overwrite=True); run forward again")

    def join(self, name: str) -> Array:
        """One array (T, B, H) of a state after each step, or of what the cell keeps: "h", "c", "i", ..."""
        self.check_readable()
        if name in self.cell.states:
            k = self.cell.states.index(name)
            return join_chunks([[segment.states[k][1:] for segment in chunk] for chunk in self.segments])
        k = self.cell.kept.index(name)
        return join_chunks([[segment.kept[k] for segment in chunk] for chunk in self.segments])


@dataclass
class Gradients:
    """One backward pass over a whole tape; the per-step arrays only where asked for."""

    dweights: Weights  # dL/dW, dL/dU, dL/db, and of rb and p where the cell has them
    dstate: State  # dL/d(initial state), (B, H) each
    dx: Array | None  # (T, B, D)
    dz: Array | None  # (T, B, nH) dL/dxw
    dtotal: tuple[Array, ...] | None  # (T, B, H) each: the total dL/dh_t, and dL/dc_t of an LSTM
    norms: StepNorms | None = None  # of dz and dtotal, where only norms were asked for
