"""The functions of `steps` for a cell that somebody wrote, by `user_steps`: as in `memory`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from minilstm.bptt.cell import State, Weights
from minilstm.bptt.tape import Contents
from minilstm.compiled import entry_points, memory
from minilstm.compiled.jit import lanes
from minilstm.compiled.memory import Kind, empty, panel_count, plain, put_state, row_size
from minilstm.compiled.user_steps import address, step_of
from minilstm.foundations.arrays import Array


class Packed(memory.Packed):
    """Cell and weights in the kernels' layout, and the cell's own step as machine code."""

    def __init__(self, cell: Any, weights: Weights) -> None:
        self.cell, self.weights, self.program = cell, weights, cell.program(weights.W.dtype.name)
        self.dtype, self.H, self.D = weights.W.dtype, len(weights.U), len(weights.W)
        self.W, self.U, self.b = (plain(part, self.dtype) for part in weights[:3])
        self.NR, self.wt = lanes(self.dtype), np.empty((0,) * 5, self.dtype)
        self.steps = {what: step_of(what, getattr(self.program, what), self.dtype.name)
                      for what in ("forward", "backward")}  # fmt: skip
        inputs, states, _ = self.program[2:]
        self.alone, n = self.program.first_state_block, len(inputs)
        order = [*inputs, *states[self.program.shared :]]
        self.facts = np.array([n, self.alone, *order], np.intp)
        self.by_state = [self.alone + states.index(gate) for gate in range(n) if states]
        self.by_input = [inputs.index(gate) for gate in range(n)]
        rb = np.zeros_like(self.b) if weights.rb is None else weights.rb
        P, H = panel_count(self.H, self.NR), self.H
        self.w = empty((P, len(order), H + 1 + self.D, self.NR), self.dtype)
        for gate, block in enumerate(self.by_input):
            self._put(self.w[:, block, H:], np.concatenate([self.b[None], self.W]), gate)
        for gate, block in enumerate(self.by_state):
            self._put(self.w[:, block, :H], self.U, gate)
            if block < n:
                self._put(self.w[:, block, H : H + 1], (self.b + rb)[None], gate)
            else:
                self._put(self.w[:, block, H : H + 1], rb[None], gate)
        self.p = empty((len(cell.rows), P * self.NR), self.dtype)
        self.p[:, H:] = 0
        if weights.p is not None:
            self.p[:, :H] = weights.p

    def _put(self, panels: Array, source: Array, gate: int) -> None:
        """panels (P, rows, NR) from the columns of `gate` in source (rows, nH)."""
        for p, panel in enumerate(panels):
            columns = source[:, gate * self.H : (gate + 1) * self.H][:, p * self.NR : (p + 1) * self.NR]
            panel[:, : columns.shape[1]] = columns
            panel[:, columns.shape[1] :] = 0

    def run_backward(
        self,
        segment: Segment,
        z: Array,
        external: Array,
        dstates: Array,
        room: tuple[Array, Array, Array],
        norms: tuple[Array | None, Array | None],
    ) -> Weights:
        """Run the kernel; the weights' gradient."""
        H, n = self.H, len(self.by_input)
        by_state, by_input = (empty((rows, n * H), self.dtype) for rows in (H + 1, 1 + self.D))
        dp = np.zeros_like(self.p)
        entry_points.run_user_backward(
            address(self.steps["backward"]), self.wt, segment.xh, z, segment.others, segment.own, self.p,
            segment.mask, self.facts, external, dstates, *room, by_state, by_input, dp, *norms,
        )  # fmt: skip
        return Weights(
            W=by_input[1:],
            U=by_state[:H] if self.by_state else np.zeros_like(self.U),
            b=by_input[0],
            rb=None if self.weights.rb is None else by_state[H],
            p=None if self.weights.p is None else dp[:, :H],
        )


class Segment(memory.Segment):
    """The tape of one segment of one chunk: see `user_steps`."""

    cell: Any

    def __init__(self, packed: Packed, kind: Kind) -> None:
        _, keep, S, b, D, H, dtype = kind
        every, NR = keep == "everything", lanes(dtype)
        P = panel_count(H, NR)
        self.cell, self.kind, self.program = packed.cell, kind, packed.program
        columns, units = (row_size(size, dtype.itemsize) for size in (max(P * NR, H + 1 + D), P * NR))
        self.xh = empty((2 if keep == "boundaries" else S + 1, b, columns), dtype)
        self.z = empty((S if every else 1, P, self.program.blocks, b, NR), dtype)
        self.others = empty((len(self.cell.states) - 1, S + 1 if every else 2, b, units), dtype)
        self.own = empty((S if every else 1, P, len(self.cell.own), b, NR), dtype)
        self.mask = np.empty((0, b), bool)  # or (S, b)

    @property
    def states(self) -> tuple[Array, ...]:
        H = self.kind.H
        return (self.xh[:, :, :H], *(array[:, :, :H] for array in self.others))

    @property
    def kept(self) -> Sequence[Array]:
        places = [(self.own, k) for k in range(len(self.cell.own))]
        if len(self.cell.kept) > len(places):  # backward by hand needs no more
            inputs, states, shared = self.program[2:]
            apart = (gate for gate in range(len(inputs)) if gate in states[shared:])
            places += [(self.z, inputs.index(gate)) for gate in range(len(inputs))]
            places += [(self.z, self.program.first_state_block + states.index(gate)) for gate in apart]
        return memory.Blocks([partial(self.blocks, *place) for place in places])

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in (self.xh, self.z, self.others, self.own))


def tape_size(cell: Any, S: int, b: int, D: int, H: int, itemsize: int) -> int:
    """Bytes on the tape of one segment."""
    dtype = np.dtype(f"f{itemsize}")
    units = panel_count(H, lanes(dtype)) * lanes(dtype)
    states = row_size(max(units, H + 1 + D), itemsize) + (len(cell.states) - 1) * row_size(units, itemsize)
    blocks = cell.program(dtype.name).blocks + len(cell.own)
    return int(itemsize * b * ((S + 1) * states + S * blocks * units))


def forward_segment(
    packed: Packed, x: Array, mask: Array | None, state: State, keep: Contents = "everything"
) -> Segment:
    """Run the steps of one segment. What is not kept takes two rows of memory in turns, or one."""
    S, b, D = x.shape
    kind = Kind(packed.cell, keep, S, b, D, packed.H, packed.dtype)
    segment = memory.pool.take(lambda: Segment(packed, kind), kind)
    put_state(segment.xh, 0, state[0])
    for array, part in zip(segment.others, state[1:], strict=True):
        put_state(array, 0, part)
    segment.mask = np.empty((0, b), bool) if mask is None else plain(mask, bool)
    entry_points.run_user_forward(
        address(packed.steps["forward"]), packed.w, plain(x.transpose(1, 0, 2), packed.dtype), segment.xh,
        segment.z, segment.others, segment.own, packed.p, segment.mask, packed.facts,
    )  # fmt: skip
    segment.last_state = tuple(part[S % len(part)].copy() for part in segment.states)
    return segment
