"""A batch in chunks, each of which goes through all of time on its own: `bptt.segments` for each, on threads.

Samples meet only in the sums of the weights' gradients, so a chunk may be as small as fits a processor's
cache. Its size does not depend on the number of threads, and the sums are added in a fixed order: the same
bits for any number. An engine that is not parallel takes the batch as one chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from minilstm.bptt import segments
from minilstm.bptt.cell import Cell, Gradients, State, Weights
from minilstm.bptt.engine import PLAIN, Engine
from minilstm.bptt.pieces import add_weights, join, join_gradients
from minilstm.bptt.tape import Contents, Tape
from minilstm.compiled import engines, threads
from minilstm.foundations.arrays import Array

ROWS = 16  # samples in a chunk, at most: what a step reads and writes of one panel stays in the cache


@dataclass
class Tapes:
    """One forward pass of a batch: the tape of each chunk, and what they are asked together."""

    x: Array  # (T, B, D)
    mask: Array | None  # (T, B) bool, True = real step
    rows: list[slice]  # the samples of each chunk
    parts: list[Tape]

    @property
    def cell(self) -> Cell:
        return self.parts[0].cell

    @property
    def keep(self) -> Contents:
        return self.parts[0].keep

    @property
    def spans(self) -> list[slice]:
        """The steps of each segment."""
        return self.parts[0].spans

    @property
    def nbytes(self) -> int:
        """Bytes that wait for the backward pass, the input apart."""
        return sum(part.nbytes for part in self.parts)

    @property
    def first_state(self) -> State:
        """The initial state, (B, H) each."""
        return join_states([part.states[0] for part in self.parts])

    @property
    def last_state(self) -> State:
        """The state after the last step, (B, H) each."""
        return join_states([part.states[-1] for part in self.parts])

    def join(self, name: str) -> Array:
        """One array (T, B, H) of a state after each step, or of what the cell keeps: "h", "c", "i", ..."""
        return join([part.join(name) for part in self.parts], 1)


class Ended(NamedTuple):
    """What is left of a forward pass that kept nothing."""

    last_state: State
    nbytes: int = 0


def join_states(chunks: Sequence[State]) -> State:
    """The states of the chunks as one state of the whole batch."""
    return chunks[0] if len(chunks) == 1 else tuple(map(np.concatenate, zip(*chunks, strict=True)))


def cut(B: int, parallel: bool) -> list[slice]:
    """The batch in even chunks of at most 16 samples, whatever the number of threads.

    At most 32 where one thread does all the work anyway: half as many calls.

    >>> cut(20, True)
    [slice(0, 10, None), slice(10, 20, None)]
    >>> cut(20, False)
    [slice(0, 20, None)]
    """
    count = -(-B // (ROWS if parallel else 2 * ROWS))
    edges = [k * B // count for k in range(count + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def forward(
    cell: Cell,
    weights: Weights,
    x: Array,
    mask: Array | None = None,
    initial_state: State | None = None,
    *,
    engine: Engine = PLAIN,
    outputs: Array | None = None,
    drop: Array | None = None,
    **options: Any,
) -> Tapes:
    """`segments.forward` for a batch, with the same arguments, and recurrent dropout (B, H) as such."""
    T, B, _ = x.shape
    parallel = engine.parallel and _work(weights, B * T) > engines.PARALLEL_WORK
    rows = cut(B, parallel) if engine.parallel else [slice(0, B)]
    packed = engine.pack(cell, weights, drop)

    def run(chunk: slice) -> Tape:
        own = _of(x, chunk), _of(mask, chunk), _state(initial_state, chunk)
        more = {"engine": engine, "packed": packed, "outputs": _of(outputs, chunk), **options}
        return segments.forward(cell, weights, *own, **more)

    return Tapes(x, mask, rows, threads.run(run, rows, parallel))


def read(
    cell: Cell,
    weights: Weights,
    x: Array,
    mask: Array | None,
    state: State | None,
    outputs: Array | None,
    engine: Engine,
) -> Ended:
    """The last state after x (B, T, D), where nothing is kept: for an engine that has `read`.

    mask : (B, T) bool, or None; outputs : (B, T, H) to be filled with h of every step, or None
    """
    B, T, _ = x.shape
    parallel = _work(weights, B * T) > engines.PARALLEL_WORK
    assert engine.read is not None
    return Ended(engine.read(cell, weights, x, mask, state, outputs, cut(B, parallel), parallel))


def backward(
    weights: Weights,
    tapes: Tapes,
    external: Array | None = None,
    dstate: State | None = None,
    *,
    need_dx: bool = True,
    **options: Any,
) -> Gradients:
    """`segments.backward` for a batch, with the same arguments."""
    first, rows, (T, B, _) = tapes.parts[0], tapes.rows, tapes.x.shape
    first.engine.prepare(first.packed, need_dx)
    parallel = first.engine.parallel and 2 * _work(weights, B * T) > engines.PARALLEL_WORK
    if parallel and len(rows) == 1 and tapes.keep == "boundaries" and threads.get_num_threads() > 1:
        options["ahead"] = threads.ahead  # the other thread has nothing else to do

    def run(k: int) -> Gradients:
        own = _of(external, rows[k]), _state(dstate, rows[k])
        return segments.backward(weights, tapes.parts[k], *own, need_dx=need_dx, **options)

    found = threads.run(run, range(len(rows)), parallel)
    dweights = add_weights([part.dweights for part in found])
    return join_gradients(found, 1, dweights, join_states([part.dstate for part in found]))


def _of(array: Array | None, chunk: slice) -> Any:
    return None if array is None else array[:, chunk]


def _state(state: State | None, chunk: slice) -> State | None:
    return None if state is None else tuple(part[chunk] for part in state)


def _work(weights: Weights, steps: int) -> int:
    """Multiply-adds of a forward pass of so many steps of samples, about; backward takes twice as many."""
    work: int = steps * (len(weights.U) + len(weights.W) + 1) * weights.W.shape[1]
    return work
