"""The functions of `steps`, by the compiled kernels: weights and arrays in the kernels' layout.

Here the Python around a kernel: packing, chunks of the batch, the tape, and memory that is used again.
The layout and its reasons stand at the top of `kernels`.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Sequence
from ctypes import addressof, c_char
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np

from minilstm.bptt.cell import Array, Cell, State, Weights
from minilstm.bptt.pieces import StepNorms
from minilstm.bptt.tape import Kept, SegmentGradients
from minilstm.compiled import kernels
from minilstm.compiled.kernels import BLAS, SMALL

PARALLEL = True
PAGE = 4096  # bytes
ROWS = 16  # samples in a chunk, at most: one product stays small, the data of a chunk in the cache
MANY_ROWS = 32  # where more rows are better, see `chunks`
CACHE = 1_000_000  # bytes of weights above which they do not stay in a second-level cache
BLOCKS = {"lstm": 4, "gru": 4, "simple_rnn": 1}  # of z


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


class Packed:
    """Cell and weights in the kernels' layout; what backward needs, when it is first needed."""

    def __init__(self, cell: Cell, weights: Weights, rows: int) -> None:
        self.cell, self.weights, self.rows = cell, weights, rows
        W, U, b = (plain(part, weights.U.dtype) for part in weights[:3])
        rb, K = weights.rb, len(U) + 1 + len(W)
        if rb is None:
            self.w = self.panels(len(cell.gates), K)
            kernels.run_pack(self.w, U, b, W, 0, len(U))
        else:  # the GRU: see `kernels.gru_forward`
            self.w, w_g, u_g = self.panels(2, K), self.panels(1, 1 + len(W)), self.panels(1, len(U) + 1)
            kernels.run_pack(self.w, U, b + rb, W, 0, len(U))
            kernels.run_pack(w_g, U[:0], b, W, 2, len(U))
            kernels.run_pack(u_g, U, plain(rb, U.dtype), W[:0], 2, len(U))
            self.w_g, self.u_g = w_g[0], u_g[0]

    def prepare_backward(self, need_dx: bool) -> None:
        """What all chunks need, before they start: made by several threads at once it takes longer."""
        _ = self.ut, self.wt if need_dx else None

    @cached_property
    def ut(self) -> Array:
        """(n, Q, H, .), U of each gate transposed."""
        U, H = self.weights.U, len(self.weights.U)
        panels = self.panels(len(self.cell.gates), H)
        transposed, m = U.reshape(H, -1, H).transpose(1, 2, 0), panels.shape[3]
        for p in range(panels.shape[1]):
            columns = transposed[:, :, p * m : (p + 1) * m]
            panels[:, p, :, : columns.shape[2]] = columns
        return panels

    @cached_property
    def wt(self) -> Array:
        """(n, H, D), W of each gate transposed."""
        W, U, *_ = self.weights
        return aligned(W.reshape(len(W), -1, len(U)).transpose(1, 2, 0))

    def panels(self, gates: int, K: int) -> Array:
        """Memory for a (K, H) matrix of each gate, in panels (gates, P, K, m) of m columns.

        rows * K * m <= SMALL where that leaves 32 columns; the last panel may be short. Where H does not fit
        m is a power of two: other widths are up to three times slower.
        """
        H, allowed = len(self.weights.U), max(32, SMALL // (self.rows * K))
        m = H if allowed >= H else 1 << (allowed.bit_length() - 1)
        return empty((gates, -(-H // m), K, m), self.weights.U.dtype)


def weight_tiles(b: int, K: int, H: int) -> tuple[int, int]:
    """Steps in one product for the weight gradient, and rows of the gradient that it gives.

    Small products, from at least 64 rows of the tape, so that the gradient is not read and written too
    often. Where only few rows of it would fit, products too large to be small are quicker.

    >>> weight_tiles(16, 75, 64), weight_tiles(32, 257, 128), weight_tiles(16, 1025, 512)
    ((13, 75), (2, 122), (64, 1025))
    """
    steps = max(SMALL // (K * H * b), -(-64 // b))
    block = min(K, SMALL // (steps * b * H))
    return (steps, block) if block >= 48 else (-(-1024 // b), K)


def pack(cell: Cell, weights: Weights, rows: list[slice]) -> Packed:
    """Cell and weights as the functions below want them, for chunks of that many samples."""
    return Packed(cell, weights, max(piece.stop - piece.start for piece in rows))


def chunks(B: int, weight_bytes: int, parallel: bool) -> list[slice]:
    """The batch in even chunks of at most 16 samples, whatever the number of threads.

    At most 32 where that is quicker: where one thread does all the work anyway, and where the weights are
    too large for the cache, so that every chunk reads them anew at every step. Then threads still get two.

    >>> chunks(20, 1000, True)
    [slice(0, 10, None), slice(10, 20, None)]
    >>> chunks(20, 1000, False)
    [slice(0, 20, None)]
    """
    rows = ROWS if parallel and weight_bytes <= CACHE else MANY_ROWS
    count = max(-(-B // rows), min(2, -(-B // ROWS)) if parallel else 1)
    edges = [k * B // count for k in range(count + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def tape_size(cell: Cell, S: int, b: int, D: int, H: int) -> int:
    """Numbers on the tape of one segment: xh, z, and the LSTM's c."""
    c = (S + 1) * b * H if "c" in cell.states else 0
    return (S + 1) * b * (D + 1 + H) + BLOCKS[cell.name] * S * b * H + c


class Kind(NamedTuple):
    """What decides the shapes of a segment."""

    cell: str
    keep: Kept
    S: int
    b: int
    D: int
    H: int
    dtype: np.dtype[Any]


class Segment:
    """The tape of one segment of one chunk, as `SegmentTape` describes it, in the kernels' layout."""

    last_state: State  # (b, H) each

    def __init__(self, cell: Cell, kind: Kind) -> None:
        _, keep, S, b, D, H, dtype = kind
        every = keep == "everything"
        self.cell, self.kind = cell, kind
        self.xh = empty((2 if keep == "boundaries" else S + 1, b, H + 1 + D), dtype)
        self.z = empty((BLOCKS[cell.name], S if every else 1, b, H), dtype)
        self.c = empty((S + 1 if every else 2, b, H), dtype) if "c" in cell.states else None
        self.scratch = empty((2, b, H), dtype)
        self.mask = np.empty((0, b), bool)  # or (S, b)

    @property
    def states(self) -> tuple[Array, ...]:
        h = self.xh[:, :, : self.kind.H]
        return (h,) if self.c is None else (h, self.c)

    @property
    def kept(self) -> Sequence[Array]:
        return list(self.z[: len(self.cell.kept)])

    @property
    def nbytes(self) -> int:
        return self.xh.nbytes + self.z.nbytes + (0 if self.c is None else self.c.nbytes)

    @property
    def held(self) -> int:
        """Bytes of all its arrays."""
        return self.nbytes + self.scratch.nbytes


class Pool:
    """Segments that wait to be used again, by their kind; at most `limit` bytes, oldest kinds go first.

    A fresh array costs a page fault per 4 KB when it is first written, up to a third of the time of a
    training step. Used by several threads at once.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.waiting: dict[Kind, list[Segment]] = {}
        self.nbytes = 0
        self.lock = threading.Lock()

    def take(self, cell: Cell, kind: Kind) -> Segment:
        """A segment with anything in it."""
        with self.lock:
            return self._pop(kind) if kind in self.waiting else Segment(cell, kind)

    def give(self, segment: Segment) -> None:
        """Take back a segment that nobody else reads or writes any more."""
        if segment.held > self.limit:
            return
        with self.lock:
            self.waiting.setdefault(segment.kind, []).append(segment)
            self.nbytes += segment.held
            while self.nbytes > self.limit:
                self._pop(next(iter(self.waiting)))

    def _pop(self, kind: Kind) -> Segment:
        segment = self.waiting[kind].pop()
        if not self.waiting[kind]:
            del self.waiting[kind]
        self.nbytes -= segment.held
        return segment


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
    packed: Packed, x: Array, mask: Array | None, state: State, keep: Kept = "everything"
) -> Segment:
    """Run the steps of one segment. What is not kept takes two rows of memory in turns, or one."""
    S, b, D = x.shape
    cell, H, dtype = packed.cell, len(packed.weights.U), packed.w.dtype
    segment = pool.take(cell, Kind(cell.name, keep, S, b, D, H, dtype))
    xh, z, c = segment.xh, segment.z, segment.c
    xh[0, :, :H] = state[0]
    segment.mask = np.empty((0, b), bool) if mask is None else plain(mask, bool)
    blas, limit = BLAS[dtype], dtype.type(87 if dtype == np.float32 else 708)
    arrays = plain(x.transpose(1, 0, 2), dtype), xh, z
    if c is not None:
        c[0] = state[1]
        kernels.run_lstm_forward(blas, packed.w, *arrays, c, segment.mask, segment.scratch[0], limit)
    elif cell.name == "gru":
        w = packed.w, packed.w_g, packed.u_g
        kernels.run_gru_forward(blas, *w, *arrays, segment.mask, segment.scratch[0], limit)
    else:
        kernels.run_simple_rnn_forward(blas, packed.w, *arrays, segment.mask)
    segment.last_state = tuple(part[S % len(part)].copy() for part in segment.states)
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
) -> SegmentGradients:
    """Run the steps of one segment backwards; with `overwrite` the gates on the tape become dz."""
    cell, xh, mask, dtype = packed.cell, segment.xh, segment.mask, segment.xh.dtype
    n, blas = len(cell.gates), BLAS[dtype]
    S, b, K, H = len(xh) - 1, xh.shape[1], xh.shape[2], segment.z.shape[3]
    D = K - 1 - H
    dz = segment.z if overwrite else aligned(segment.z)
    external = np.empty((0, b * H), dtype) if external is None else plain(external, dtype)
    dstates = empty((len(dstate), S + 1 if record is True else 2, b, H), dtype)
    for slots, part in zip(dstates, dstate, strict=True):
        slots[S % len(slots)] = part
    norms = np.empty((len(dstate) + n, S if record == "norms" else 0, b if len(mask) else 1))
    db = np.zeros((n, b * H if record == "norms" else 0), dtype)
    dw = empty((K, n * H), dtype)
    tiles = weight_tiles(b, K, H)
    arrays = mask, external.reshape(-1, b * H), *dstates, norms, db, dw
    drb = None
    if segment.c is not None:
        kernels.run_lstm_backward(blas, packed.ut, xh, dz, segment.c, *arrays, segment.scratch, *tiles)
    elif cell.name == "gru":
        du_g = empty((H + 1, H), dtype)
        kernels.run_gru_backward(blas, packed.ut, xh, dz, *arrays, du_g, segment.scratch, *tiles)
        dw[:H, 2 * H :] = du_g[:H]
        drb = np.concatenate([dw[H, : 2 * H], du_g[H]])
    else:
        kernels.run_simple_rnn_backward(blas, packed.ut, xh, dz, *arrays, *tiles)
    dx = None
    if need_dx:
        dx = empty((S, b, D), dtype)
        flat = dz[:n].reshape(n, S * b, H), dx.reshape(S * b, D)
        kernels.run_input_gradient(blas, packed.wt, *flat, dtype.type(0))
    dweights = Weights(W=dw[H + 1 :], U=dw[:H], b=dw[H], rb=drb)
    found = SegmentGradients(dweights, tuple(slots[0] for slots in dstates), dx)
    if record == "norms":
        found.norms = StepNorms(norms, db.reshape(n, b, H))
    elif record:
        found.dz = np.concatenate(list(dz[:n]), axis=2)  # always a copy: the segment may be used again
        found.dtotal = tuple(slots[1:] for slots in dstates)
    return found
