"""A compiled layer where no backward pass will follow: forward in memory that is kept from call to call.

The kernels, and so the bits, are those of `memory.forward_segment`. What is left out is what a tape needs:
for a small batch that takes longer than the steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minilstm.bptt.cell import Cell, State, Weights
from minilstm.bptt.tape import Contents
from minilstm.compiled import memory, threads
from minilstm.compiled.memory import Kind, Segment, kernel, pack, plain, room_for_weights
from minilstm.foundations.arrays import Array

ROOM = 1024  # samples times steps of a chunk whose h of every step is read: they stay in a processor's cache
STEPS = 1024  # in one call of a kernel, at most: a program can be interrupted between two of them
NO_MASK = np.empty((0, 0), bool)


class Use(NamedTuple):
    """What decides which memory is needed."""

    cell: str
    every: bool  # whether h of every step is read, and not of the last alone
    chunks: int
    B: int
    D: int
    H: int
    dtype: np.dtype[Any]


class Reader:
    """Room for packed weights, and for a step or some of each chunk of a batch."""

    thread = 0  # see `memory.Pool`

    def __init__(self, cell: Cell, use: Use, rows: list[slice]) -> None:
        self.kind, self.rows, self.run = use, rows, kernel(cell, "forward")
        self.w = room_for_weights(cell, use.D, use.H, use.dtype)
        self.segments = [self._segment(cell, chunk.stop - chunk.start) for chunk in rows]
        self.nbytes = self.w.nbytes + sum(segment.nbytes for segment in self.segments)

    def _segment(self, cell: Cell, b: int) -> Segment:
        _, every, _, _, D, H, dtype = self.kind
        keep: Contents = "outputs" if every else "boundaries"
        S = max(1, ROOM // b) if every else STEPS
        return Segment(cell, Kind(cell.name, keep, S, b, D, H, dtype))

    def read(self, k: int, x: Array, mask: Array | None, state: State | None, out: Array | None) -> State:
        """The state after all steps of chunk k, of which x, mask, state and out are the whole batch's."""
        rows, segment, H = self.rows[k], self.segments[k], self.kind.H
        arrays = (segment.xh, *segment.cells)
        for array in arrays:
            array[0] = 0
        for array, first in zip(arrays, state or (), strict=False):
            array[0, :, :H] = first[rows]
        real, h = None if mask is None else mask[rows], None if out is None else out[rows]
        run_steps(self.run, self.w, segment, x[rows], real, h)
        return tuple(array[0, :, :H] for array in arrays)


def run_steps(
    run: Callable[..., None], w: Array, segment: Segment, x: Array, mask: Array | None, out: Array | None
) -> None:
    """From the state in row 0 of the segment's arrays through x (b, T, D), and back to row 0.

    As many steps at a time as the segment was made for; fills out (b, T, H) where h of every step is wanted.
    """
    room, T, (_, _, _, _, _, H, dtype) = segment.kind.S, x.shape[1], segment.kind
    for start in range(0, T, room):
        part = plain(x[:, start : start + room], dtype)
        S = part.shape[1]
        real = NO_MASK if mask is None else plain(mask[:, start : start + S].T, bool)
        run(w, part, segment.xh, segment.z, *segment.cells, real)
        if out is not None:
            out[:, start : start + S] = segment.xh[1 : S + 1, :, :H].transpose(1, 0, 2)
        for array in (segment.xh, *segment.cells):
            if S % len(array):
                array[0] = array[S % len(array)]


def read(
    cell: Cell,
    weights: Weights,
    x: Array,
    mask: Array | None,
    state: State | None,
    out: Array | None,
    rows: list[slice],
    parallel: bool,
) -> State:
    """All steps of x (B, T, D) from `state`, in chunks; fills out (B, T, H). The last state, (B, H) each."""
    (B, _, D), H, dtype = x.shape, len(weights.U), weights.U.dtype
    own = Weights(*(None if part is None else plain(part, dtype) for part in weights[:4]))  # type: ignore[arg-type]
    use = Use(cell.name, out is not None, len(rows), B, D, H, dtype)
    reader = memory.pool.take(lambda: Reader(cell, use, rows), use)
    pack(cell, own, reader.w)
    last = tuple(np.empty((B, H), dtype) for _ in cell.states)

    def chunk(k: int) -> None:
        for array, part in zip(last, reader.read(k, x, mask, state, out), strict=True):
            array[rows[k]] = part

    threads.run(chunk, range(len(rows)), parallel)
    memory.pool.give(reader)
    return last
