"""The functions of `steps`, by the compiled kernels: weights and arrays in the kernels' layout.

Here the Python around a kernel: packing, the tape, and memory that is used again.
The layout and its reasons stand at the top of `panels`.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Sequence
from ctypes import addressof, c_char
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import numpy as np

from minilstm.bptt.cell import Cell, Gradients, State, Weights
from minilstm.bptt.tape import Contents
from minilstm.compiled import entry_points
from minilstm.compiled.jit import lanes
from minilstm.foundations.arrays import Array
from minilstm.foundations.norms import StepNorms

PAGE = 4096  # bytes
BLOCKS = {"lstm": 4, "gru": 4, "simple_rnn": 1}  # of z and w, see each cell
KEPT = {"lstm": [0, 1, 2, 3], "gru": [1, 2, 0, 3], "simple_rnn": []}  # blocks in the order of cell.kept


def kernel(cell: Cell, what: str) -> Callable[..., None]:
    """An entry point of the cell: "pack", "forward" or "backward"."""
    found: Callable[..., None] = getattr(entry_points, f"run_{cell.name}_{what}")
    return found


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """`np.empty` at the beginning of a page; where less than a page is wanted, of 64 bytes.

    Vectors of 512 bits that cross a boundary of 64 bytes cost a tenth to a quarter; and one gate of one step,
    16 x 64 in float32, is then one page, which halves the cost of recording dh and dc.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    boundary = PAGE if size >= PAGE else 64
    memory = np.empty(size + boundary, np.uint8)
    return np.ndarray(shape, dtype, memory, -addressof(c_char.from_buffer(memory.data)) % boundary)


def aligned(values: Array) -> Array:
    """A copy on such a boundary."""
    copy = empty(values.shape, values.dtype)
    copy[...] = values
    return copy


def plain(values: Array, dtype: Any) -> Array:
    """`values` as the kernels are compiled for: of `dtype`, contiguous, writable."""
    values = np.ascontiguousarray(values, dtype)
    return values if values.flags.carray else values.copy()


def room_for_weights(cell: Cell, D: int, H: int, dtype: np.dtype[Any]) -> Array:
    """The weights of the products forward as in `panels`, (P, n, K, NR), with anything in it."""
    NR = lanes(dtype)
    return empty((panel_count(H, NR), BLOCKS[cell.name], H + 1 + D, NR), dtype)


def pack(cell: Cell, weights: Weights, w: Array) -> None:
    """Fill w; the weights are as `plain` gives them."""
    bias = weights.b.reshape(1, -1)
    if weights.rb is None:
        kernel(cell, "pack")(w, weights.U, bias, weights.W)
    else:
        rb = weights.rb.reshape(1, -1)
        kernel(cell, "pack")(w, weights.U, bias, weights.W, bias + rb, rb)


class Packed:
    """Cell and weights in the kernels' layout; what backward needs, when it is first needed."""

    def __init__(self, cell: Cell, weights: Weights) -> None:
        self.cell, self.weights = cell, weights
        self.dtype, self.H, self.D = weights.U.dtype, len(weights.U), len(weights.W)
        self.W, self.U, self.b = (plain(part, self.dtype) for part in weights[:3])
        self.NR, self.wt = lanes(self.dtype), np.empty((0,) * 5, self.dtype)
        rb = None if weights.rb is None else plain(weights.rb, self.dtype)
        self.w = room_for_weights(cell, self.D, self.H, self.dtype)
        pack(cell, Weights(self.W, self.U, self.b, rb), self.w)

        first = 1 if cell.name == "gru" else 0  # see `gru`: z, r, q for dh, and g, z, r for dx
        self.by_state = [first + k for k in range(len(cell.gates))]
        self.by_input = KEPT[cell.name][: len(cell.gates)] or [0]

    def prepare_backward(self, need_dx: bool) -> None:
        """What all chunks need, before they start: made by several threads at once it takes longer."""
        P, n, _, NR = self.w.shape
        panels = P + (panel_count(self.D, NR) if need_dx else 0)
        if len(self.wt) < panels:
            self.wt = empty((panels, P, n, NR, NR), self.dtype)
            if self.by_state:
                self._put_transposed(self.wt[:P], self.U, self.by_state)
            if need_dx:
                self._put_transposed(self.wt[P:], self.W, self.by_input)

    def _put_transposed(self, panels: Array, source: Array, blocks: list[int]) -> None:
        """panels (Q, P, n, NR, NR): [q, p, block, u, k] = source[q NR + k, unit p NR + u of its gate]."""
        Q, P, _, NR, _ = panels.shape
        H, n = self.H, len(blocks)
        if len(source) < Q * NR or H < P * NR:
            filled = np.zeros((Q * NR, n, P * NR), self.dtype)
            filled[: len(source), :, :H] = source.reshape(len(source), n, H)
            source = filled
        values = source.reshape(Q, NR, n, P, NR).transpose(0, 3, 2, 4, 1)
        for gate, block in enumerate(blocks):
            panels[:, :, block] = values[:, :, gate]

    def run_backward(
        self,
        segment: Any,
        z: Array,
        external: Array,
        dstates: Array,  # (states, slots, b, .)
        room: tuple[Array, Array, Array],  # dx, what is scratched on, the weights' gradient by panels
        norms: tuple[Array | None, Array | None],  # of the steps, and the rows of db
    ) -> Weights:
        """Run the kernel; the weights' gradient."""
        H, D, n = self.H, self.D, len(self.by_input)
        if self.cell.name == "gru":
            by_state, by_input = weights = [empty((rows, n * H), self.dtype) for rows in (H + 1, 1 + D)]
            found = Weights(W=by_input[1:], U=by_state[:H], b=by_input[0], rb=by_state[H])
        else:
            (dw,) = weights = [empty((H + 1 + D, n * H), self.dtype)]
            found = Weights(W=dw[H + 1 :], U=dw[:H], b=dw[H])
        arrays = segment.mask, external, *dstates, *room, *weights, *norms
        kernel(self.cell, "backward")(self.wt, segment.xh, z, *segment.cells, *arrays)
        return found


def panel_count(units: int, NR: int) -> int:
    """Panels of NR units, the last of which may be filled up."""
    return -(-units // NR)


def row_size(numbers: int, itemsize: int) -> int:
    """Numbers from one row of an array to the next: an odd count of lines of 64 bytes, see `panels`.

    >>> row_size(64, 4), row_size(75, 4)
    (80, 80)
    """
    return (-(-numbers * itemsize // 64) | 1) * 64 // itemsize


def put_state(states: Array, row: int, part: Array) -> None:
    """states[row] = part (b, H), and 0 in the units that fill up a panel, which are computed like others."""
    H = part.shape[1]
    states[row, :, :H] = part
    states[row, :, H:] = 0


def tape_size(cell: Cell, S: int, b: int, D: int, H: int, itemsize: int) -> int:
    """Bytes on the tape of one segment: xh, z, and the LSTM's c."""
    NR = lanes(np.dtype(f"f{itemsize}"))
    units = panel_count(H, NR) * NR
    c = (S + 1) * b * row_size(units, itemsize) if "c" in cell.states else 0
    xh = (S + 1) * b * row_size(max(units, H + 1 + D), itemsize)
    return itemsize * (xh + S * BLOCKS[cell.name] * b * units + c)


class Kind(NamedTuple):
    """What decides the shapes of a segment."""

    cell: Any  # its name, or a user's cell itself
    keep: Contents
    S: int
    b: int
    D: int
    H: int
    dtype: np.dtype[Any]


class Blocks(Sequence[Array]):
    """What a cell keeps, each array copied out of the layout of the kernels when it is asked for."""

    def __init__(self, makers: Sequence[Callable[[], Array]]) -> None:
        self.makers = makers

    def __len__(self) -> int:
        return len(self.makers)

    def __getitem__(self, k: Any) -> Any:
        return self.makers[k]()


class Segment:
    """The tape of one segment of one chunk, as `SegmentTape` describes it, in the kernels' layout."""

    last_state: State  # (b, H) each
    thread = 0

    def __init__(self, cell: Cell, kind: Kind) -> None:
        name, keep, S, b, D, H, dtype = kind
        every, NR = keep == "everything", lanes(dtype)
        P = panel_count(H, NR)
        self.cell, self.kind = cell, kind
        columns, units = (row_size(size, dtype.itemsize) for size in (max(P * NR, H + 1 + D), P * NR))
        self.xh = empty((2 if keep == "boundaries" else S + 1, b, columns), dtype)
        self.z = empty((S if every else 1, P, BLOCKS[name], b, NR), dtype)
        self.c = empty((S + 1 if every else 2, b, units), dtype) if "c" in cell.states else None
        self.mask = np.empty((0, b), bool)  # or (S, b)

    @property
    def states(self) -> tuple[Array, ...]:
        H = self.kind.H
        return (self.xh[:, :, :H],) if self.c is None else (self.xh[:, :, :H], self.c[:, :, :H])

    @property
    def cells(self) -> tuple[Array, ...]:
        """c where the cell has it, as the kernels want it behind z."""
        return () if self.c is None else (self.c,)

    @property
    def kept(self) -> Sequence[Array]:
        return Blocks([partial(self.blocks, self.z, k) for k in KEPT[self.kind.cell]])

    def blocks(self, z: Array, *blocks: int) -> Array:
        """Blocks of z side by side, (S, b, H) each."""
        S, P, _, b, NR = z.shape
        found = np.empty((S, b, len(blocks), P * NR), z.dtype)
        for place, k in enumerate(blocks):
            found[:, :, place].reshape(S, b, P, NR)[...] = z[:, :, k].transpose(0, 2, 1, 3)
        return found[..., : self.kind.H].reshape(S, b, -1)

    @property
    def nbytes(self) -> int:
        return self.xh.nbytes + self.z.nbytes + (0 if self.c is None else self.c.nbytes)


class Pooled(Protocol):
    """What a pool keeps: memory of a kind."""

    thread: int  # that used it last, in whose processor's cache it may still lie

    @property
    def kind(self) -> Any: ...
    @property
    def nbytes(self) -> int: ...


Made = TypeVar("Made", bound=Pooled)


class Pool:
    """Memory that waits to be used again, by its kind; at most `limit` bytes, oldest kinds go first.

    A fresh array costs a page fault per 4 KB when it is first written, up to a third of the time of a
    training step. Used by several threads at once, each of which gets back what it gave if that is there:
    from another processor's cache a training step takes up to a fifth longer.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.waiting: dict[Any, list[Any]] = {}
        self.nbytes = 0
        self.lock = threading.Lock()

    def take(self, make: Callable[[], Made], kind: Any) -> Made:
        """One with anything in it, made anew where none waits."""
        thread = threading.get_ident()
        with self.lock:
            if kind not in self.waiting:
                return make()
            own = [k for k, segment in enumerate(self.waiting[kind]) if segment.thread == thread]
            found: Any = self._pop(kind, own[-1] if own else 0)
            return found  # type: ignore[no-any-return]

    def give(self, used: Pooled) -> None:
        """Take back what nobody else reads or writes any more."""
        if used.nbytes > self.limit:
            return
        used.thread = threading.get_ident()
        with self.lock:
            self.waiting.setdefault(used.kind, []).append(used)
            self.nbytes += used.nbytes
            while self.nbytes > self.limit:
                self._pop(next(iter(self.waiting)))

    def _pop(self, kind: Any, k: int = 0) -> Any:
        found = self.waiting[kind].pop(k)
        if not self.waiting[kind]:
            del self.waiting[kind]
        self.nbytes -= found.nbytes
        return found


pool = Pool(limit=64_000_000)


def _fresh_pool() -> None:
    """In a forked child: another thread may have been at work in the pool, and is not there to finish."""
    global pool
    pool = Pool(pool.limit)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fresh_pool)


def release(segment: Segment) -> None:
    """Keep the memory of a segment that nobody reads any more for the next one."""
    pool.give(segment)


def forward_segment(
    packed: Packed, x: Array, mask: Array | None, state: State, keep: Contents = "everything"
) -> Segment:
    """Run the steps of one segment. What is not kept takes two rows of memory in turns, or one."""
    S, b, D = x.shape
    cell, H, dtype = packed.cell, packed.H, packed.dtype
    kind = Kind(cell.name, keep, S, b, D, H, dtype)
    segment = pool.take(lambda: Segment(cell, kind), kind)
    put_state(segment.xh, 0, state[0])
    if segment.c is not None:
        put_state(segment.c, 0, state[1])
    segment.mask = np.empty((0, b), bool) if mask is None else plain(mask, bool)
    inputs = plain(x.transpose(1, 0, 2), dtype)
    kernel(cell, "forward")(packed.w, inputs, segment.xh, segment.z, *segment.cells, segment.mask)
    segment.last_state = tuple(part[S % len(part), :, :H].copy() for part in (segment.xh, *segment.cells))
    return segment


def backward_segment(
    packed: Packed,
    segment: Segment,
    external: Array | None,
    dstate: State,
    *,
    need_dx: bool,
    record: bool | Literal["norms"],
    overwrite: bool,
) -> Gradients:
    """Run the steps of one segment backwards; with `overwrite` the gates on the tape become dz."""
    packed.prepare_backward(need_dx)
    (_, _, S, b, D, H, dtype), (P, _, _, NR) = segment.kind, packed.w.shape
    n = len(packed.by_input)
    z = segment.z if overwrite else aligned(segment.z)
    external = np.empty((0, 0, H), dtype) if external is None else plain(external.transpose(1, 0, 2), dtype)
    slots = S + 1 if record is True else 2
    dstates = empty((len(dstate), slots, b, row_size(P * NR, dtype.itemsize)), dtype)
    for array, part in zip(dstates, dstate, strict=True):
        put_state(array, S % slots, part)
    dx = empty((b, S, D) if need_dx else (0, 0, 0), dtype)
    scratch = empty((1, b, max(panel_count(D, NR), -(-max(256, b) // b)) * NR), dtype)
    norms = rows = None
    if record == "norms":
        norms = np.empty((len(dstate) + n, S, b if len(segment.mask) else 1))
        rows = np.zeros((n, b, P * NR), dtype)
    room = dx, scratch, empty(packed.w.shape, dtype)
    found = Gradients(
        dweights=packed.run_backward(segment, z, external, dstates, room, (norms, rows)),
        dstate=tuple(array[0, :, :H] for array in dstates),
        dx=dx.transpose(1, 0, 2) if need_dx else None,
    )
    if norms is not None and rows is not None:
        found.norms = StepNorms(norms, rows[:, :, :H])
    elif record:
        found.dz = segment.blocks(z, *packed.by_input)
        found.dtotal = tuple(array[1:, :, :H] for array in dstates)
    return found
