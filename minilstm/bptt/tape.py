"""The records handed from function to function: what forward leaves, what backward gives.

Plain data. Time-major throughout: T time steps (S in one segment), B samples (b in one chunk of the
batch), D features, H units. State arrays have one row more than there are steps: row 0 is the
initial state, so step t reads row t and writes row t + 1, and no step is special.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from minilstm.bptt.cell import Array, Cell, State, Weights
from minilstm.norms import over_units

Kept = Literal["everything", "states", "end"]  # of a segment: for backward; h of each step; the last state


class StepNorms(NamedTuple):
    """What is kept of a backward pass where only norms are wanted."""

    steps: Array
    """(states + n, T, parts) float64, of dL/dh_t, (dL/dc_t,) and dL/dz_t gate by gate: of each sample where
    there is a mask; without one some samples together may be a part"""
    db: Array
    """(n, B, H): each sample's own gradient of the bias, the sum of its dz over time"""


class SegmentTape(Protocol):
    """What one segment of one chunk leaves for backward; each engine has its own form."""

    @property
    def states(self) -> tuple[Array, ...]: ...  # (S+1, b, H) each, in the order of cell.states
    @property
    def kept(self) -> Sequence[Array]: ...  # (S, b, H) each, in the order of cell.kept
    @property
    def nbytes(self) -> int: ...
    @property
    def last_state(self) -> State: ...  # (b, H) each


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
    """One forward pass: for each chunk of the batch, its segments in order of time.

    A tape made with `keep="boundaries"` or `"outputs"` has None in place of each segment; with boundaries,
    backward computes a segment again from the state at its start. `consumed` says that a backward pass
    was allowed to write over the tape.
    """

    cell: Cell
    engine: Any  # the `Engine` that ran it
    packed: Any  # cell and weights as that engine wants them
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
        return kept + sum(part.nbytes for chunk in self.states for state in chunk[:-1] for part in state)

    @property
    def first_state(self) -> State:
        """The initial state, (B, H) each."""
        return join_states([chunk[0] for chunk in self.states])

    @property
    def last_state(self) -> State:
        """The state after the last step, (B, H) each."""
        return join_states([chunk[-1] for chunk in self.states])

    @property
    def last_output(self) -> Array:
        """h of the last state, (B, H)."""
        return join_states([chunk[-1][:1] for chunk in self.states])[0]

    def check_readable(self) -> None:
        """Raise RuntimeError when a backward pass has written over this tape."""
        if self.consumed:
            raise RuntimeError("this tape was consumed by backward(overwrite=True); run forward again")

    def join(self, name: str) -> Array:
        """One array (T, B, H) of a state after each step, or of what the cell keeps: "h", "c", "i", ..."""
        self.check_readable()
        if name in self.cell.states:
            k = self.cell.states.index(name)
            return join_chunks([[segment.states[k][1:] for segment in chunk] for chunk in self._segments()])
        k = self.cell.kept.index(name)
        return join_chunks([[segment.kept[k] for segment in chunk] for chunk in self._segments()])

    def _segments(self) -> list[list[SegmentTape]]:
        return [[segment for segment in chunk if segment is not None] for chunk in self.segments]


@dataclass
class Gradients:
    """One backward pass over a whole tape; the per-step arrays only where asked for."""

    dweights: Weights  # dL/dW, dL/dU, dL/db, and of rb and p where the cell has them
    dstate: State  # dL/d(initial state), (B, H) each
    dx: Array | None  # (T, B, D)
    dz: Array | None  # (T, B, nH) dL/dxw
    dtotal: tuple[Array, ...] | None  # (T, B, H) each: the total dL/dh_t, and dL/dc_t of an LSTM
    norms: StepNorms | None = None  # of dz and dtotal, where only norms were asked for


def join_states(chunks: Sequence[State]) -> State:
    """The states of the chunks as one state of the whole batch."""
    if len(chunks) == 1:
        return chunks[0]
    return tuple(np.concatenate(parts) for parts in zip(*chunks, strict=True))


def add_weights(parts: Sequence[Weights]) -> Weights:
    """The sum of the gradients of several segments, in their order; the first ones are written over."""

    def total(arrays: Sequence[Array]) -> Array:
        found = arrays[0]
        for array in arrays[1:]:
            found += array
        return found

    groups = zip(*parts, strict=True)
    return Weights(*(None if group[0] is None else total(group) for group in groups))  # type: ignore[arg-type]


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


def step_norms(dz: Array, dstates: tuple[Array, ...]) -> StepNorms:
    """The norms of one segment, by sample: dz (S, b, nH), dstates (S, b, H) each."""
    S, b, H = dstates[0].shape
    gates = dz.reshape(S, b, -1, H).transpose(2, 0, 1, 3)  # (n, S, b, H)
    steps = [*(over_units(part) for part in dstates), *over_units(gates)]
    return StepNorms(np.stack(steps), gates.sum(axis=1))


def join_norms(chunks: Sequence[Sequence[StepNorms]]) -> StepNorms:
    """Norms of [chunk of the batch][segment of time] as those of the whole; db in float64."""
    if len(chunks[0]) > 1:
        chunks = [[_join_segments(chunk)] for chunk in chunks]
    return StepNorms(
        np.concatenate([chunk.steps for (chunk,) in chunks], axis=2),
        np.concatenate([chunk.db for (chunk,) in chunks], axis=1, dtype=np.float64),
    )


def _join_segments(segments: Sequence[StepNorms]) -> StepNorms:
    db = [segment.db for segment in segments]
    return StepNorms(
        np.concatenate([segment.steps for segment in segments], axis=1), np.add.reduce(db, dtype=np.float64)
    )
