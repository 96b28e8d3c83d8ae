"""A compiled layer that goes on from where it stands: weights packed once, states in the kernels' layout.

The kernels, and so the bits, are those of `memory.forward_segment`; what is left out is what that does anew
at each call: packing, memory, the copy of the state in and out.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from minilstm.bptt.cell import State
from minilstm.compiled import threads
from minilstm.compiled.inference import run_steps
from minilstm.compiled.memory import Kind, Packed, Segment, kernel, put_state
from minilstm.foundations.arrays import Array

ROWS = 128  # samples in a chunk, at most: a call from Python costs what a few rows cost
ROOM = 1024  # samples times steps of a chunk, at most: what a call fills stays in a processor's own cache
PARALLEL_WORK = 2_000_000  # multiply-adds in one call below which waking a thread costs more than it saves


class Stepping:
    """`batch` sequences, each at its own state, zeros at first."""

    def __init__(self, packed: Packed, batch: int) -> None:
        self.packed = packed
        count = -(-batch // ROWS)
        edges = [k * batch // count for k in range(count + 1)]
        self.rows = [slice(start, stop) for start, stop in pairwise(edges)]
        self.segments = [self._segment(rows.stop - rows.start) for rows in self.rows]
        self.forward = kernel(packed.cell, "forward")
        zeros = np.zeros((batch, packed.H), packed.dtype)
        self.state = tuple(zeros for _ in packed.cell.states)
        first = self.segments[0]  # of one step of one chunk all is made once: Python costs more than the step
        self.arrays = (first.xh, first.z, *first.cells, first.mask)
        self.h = first.xh[1:2, :, : packed.H].transpose(1, 0, 2)
        self.turns = [(array[0], array[1]) for array in (first.xh, *first.cells) if len(array) > 1]

    def _segment(self, b: int) -> Segment:
        packed = self.packed
        kind = Kind(packed.cell.name, "outputs", max(1, ROOM // b), b, packed.D, packed.H, packed.dtype)
        segment = Segment(packed.cell, kind)
        for array in (segment.xh, segment.z, *segment.cells):
            array[...] = 0
        return segment

    @property
    def state(self) -> State:
        """Copies of the states, (B, H) each."""
        parts = zip(*[segment.states for segment in self.segments], strict=True)
        return tuple(np.concatenate([part[0] for part in chunks]) for chunks in parts)

    @state.setter
    def state(self, state: State) -> None:
        for rows, segment in zip(self.rows, self.segments, strict=True):
            for array, part in zip((segment.xh, *segment.cells), state, strict=True):
                put_state(array, 0, part[rows])

    def copy(self) -> Stepping:
        """Another one at the same state, with the same packed weights."""
        other = Stepping(self.packed, self.rows[-1].stop)
        other.state = self.state
        return other

    def advance(self, x: Array, mask: Array | None) -> Array:
        """h (B, S, H) of the next S steps; x (B, S, D) as `plain` gives it, mask (B, S) or None."""
        B, S, _ = x.shape
        if S == 1 and mask is None and len(self.rows) == 1:
            self.forward(self.packed.w, x, *self.arrays)
            for first, second in self.turns:
                first[...] = second
            return self.h.copy()
        out = np.empty((B, S, self.packed.H), self.packed.dtype)
        if len(self.rows) == 1:
            run_steps(self.forward, self.packed.w, self.segments[0], x, mask, out)
            return out
        w = self.packed.w

        def chunk(k: int) -> None:
            rows = self.rows[k]
            real = None if mask is None else mask[rows]
            run_steps(self.forward, w, self.segments[k], x[rows], real, out[rows])

        threads.run(chunk, range(len(self.rows)), B * S * w.size > PARALLEL_WORK)
        return out
