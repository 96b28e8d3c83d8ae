"""Backpropagation through time: forward -> Tape, backward -> Gradients.

The time axis is worked through in segments. One loop serves three uses:

    one segment                                   full BPTT (the default)
    many, interiors computed again from the       checkpointed BPTT: the same gradient to rounding,
    state at each segment's start                 far less memory
    many, the gradient cut at each boundary       truncated BPTT

What happens inside a segment stands in `steps`, what happens inside a step in the cells (`lstm`). Here is
only the loop over chunks of the batch and segments of time, and the sums. The engine that runs a segment
is handed in; `compiled` has one with the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np

from minilstm.bptt import steps
from minilstm.bptt.cell import Array, Cell, State, Weights
from minilstm.bptt.tape import (
    Gradients,
    Kept,
    SegmentGradients,
    Tape,
    add_weights,
    join_chunks,
    join_norms,
    join_states,
    step_norms,
)
from minilstm.errors import one_of, whole_number

Result = TypeVar("Result")


def _all_at_once(B: int, weight_bytes: int, work: int) -> list[slice]:
    return [slice(0, B)]


def _as_they_are(cell: Cell, weights: Weights, rows: list[slice], drop: Array | None = None) -> Any:
    return steps.Packed(cell, weights, drop)


def _one_by_one(function: Callable[[Any], Result], items: Sequence[Any], work: int) -> list[Result]:
    return [function(item) for item in items]


def _nothing(*_: Any) -> None:
    pass


@dataclass(frozen=True)
class Engine:
    """What runs the steps of a segment: as it stands, the loop of `steps`, the whole batch in one thread.

    `minilstm.compiled.engines` makes the other one. `work` is the number of multiply-adds of a whole pass.

    chunks(B, weight_bytes, work) : the batch in pieces, each of which goes through time on its own;
    pack(cell, weights, rows, drop) : cell and weights as the two functions want them;
    forward_segment, backward_segment : see `steps`;
    prepare(packed, need_dx) : called once before the segments are run backwards;
    run(function, items, work) : `[function(item) for item in items]`;
    release(segment) : nobody reads this segment any more
    """

    name: str = "numpy"
    forward_segment: Callable[..., Any] = steps.forward_segment
    backward_segment: Callable[..., SegmentGradients] = steps.backward_segment
    chunks: Callable[[int, int, int], list[slice]] = _all_at_once
    pack: Callable[[Cell, Weights, list[slice], Array | None], Any] = _as_they_are
    prepare: Callable[[Any, bool], None] = _nothing
    run: Callable[[Callable[[Any], Any], Sequence[Any], int], list[Any]] = _one_by_one
    release: Callable[[Any], None] = _nothing


PLAIN = Engine()


def forward(
    cell: Cell,
    weights: Weights,
    x: Array,
    mask: Array | None = None,
    initial_state: State | None = None,
    *,
    engine: Engine = PLAIN,
    segment_steps: int | None = None,
    keep: str = "everything",
    outputs: Array | None = None,
    drop: Array | None = None,
) -> Tape:
    """Run a recurrent layer over x.

    Parameters
    ----------
    cell : the mathematics of one step
    weights : W (D, nH), U (H, nH), b (nH,), one float dtype (any, also complex, with the plain engine)
    x : (T, B, D), T >= 1
    mask : (T, B) bool, True = real step, or None
    initial_state : (B, H) for each of cell.states, or None for zeros
    engine : what runs the steps of a segment
    segment_steps : steps in a segment, or None for one segment
    keep : "everything" for a later `backward`; "boundaries" to keep the state at each segment's start
        only, from which backward computes the segment again; "outputs" where no backward will follow
    outputs : (T, B, H) to be filled with h of every step, or None
    drop : (B, H) factor of h where it enters the product with U, the same at every step, or None:
        recurrent dropout; with the plain engine only

    >>> from minilstm.bptt.lstm import LSTMCell
    >>> weights = Weights(np.zeros((2, 12)), np.zeros((3, 12)), np.zeros(12))
    >>> h, c = forward(LSTMCell(), weights, np.ones((5, 4, 2))).last_state
    >>> h.shape
    (4, 3)
    """
    one_of("keep", keep, ("everything", "boundaries", "outputs"))
    T, B, D = x.shape
    H = len(weights.U)
    length = T if segment_steps is None else whole_number("segment_steps", segment_steps)
    work = T * B * (H + D + 1) * weights.U.shape[1]
    rows = engine.chunks(B, weights.W.nbytes + weights.U.nbytes, work)
    packed = engine.pack(cell, weights, rows, drop)
    spans = [slice(start, min(start + length, T)) for start in range(0, T, length)]
    if initial_state is None:
        initial_state = tuple(np.zeros((B, H), weights.U.dtype) for _ in cell.states)

    wanted: Kept = "everything" if keep == "everything" else "end" if outputs is None else "states"

    def run(chunk: slice) -> tuple[list[State], list[object]]:
        states = [tuple(part[chunk] for part in initial_state)]
        kept: list[object] = []
        for span in spans:
            part = None if mask is None else mask[span, chunk]
            segment = engine.forward_segment(packed, x[span, chunk], part, states[-1], wanted)
            states.append(segment.last_state)
            kept.append(segment if keep == "everything" else None)
            if outputs is not None:
                outputs[span, chunk] = segment.states[0][1:]
            if keep != "everything":
                engine.release(segment)
        return states, kept

    results = engine.run(run, rows, work)
    states, segments = [s for s, _ in results], [k for _, k in results]
    return Tape(cell, engine, packed, x, mask, rows, spans, states, segments, keep)


def backward(
    weights: Weights,
    tape: Tape,
    external: Array | None = None,
    dstate: State | None = None,
    *,
    need_dx: bool = True,
    record: bool | Literal["norms"] = False,
    truncate: bool = False,
    overwrite: bool = False,
) -> Gradients:
    """Run a recurrent layer backwards over its tape.

    Parameters
    ----------
    weights : those of the forward pass, unchanged since
    tape : what `forward` returned; left as it was, unless `overwrite`
    external : (T, B, H) dL/dh_t from the layer above, or None
    dstate : dL/d(last state), (B, H) each, beside what `external` says of the last step; None for zeros
    need_dx : also return dL/dx, (T, B, D)
    record : also return dz (T, B, nH), and the total gradient (T, B, H) of each state at every step; or, with
        "norms", only their norms, which costs little time and next to no memory
    truncate : cut the gradient at the boundaries of the segments
    overwrite : allow the tape to be written over (the compiled backend then needs no copy of it)

    Raises
    ------
    RuntimeError : the tape was consumed by an earlier call with `overwrite`, or kept outputs only
    """
    tape.check_readable()
    if tape.keep == "outputs":
        raise RuntimeError('this tape was made with keep="outputs", and holds nothing for a backward pass')
    T, B, D = tape.x.shape
    H = len(weights.U)
    engine, packed = tape.engine, tape.packed
    if dstate is None:
        dstate = tuple(np.zeros((B, H), weights.U.dtype) for _ in tape.cell.states)

    def run(k: int) -> list[SegmentGradients]:
        chunk, found = tape.rows[k], []
        dlast = tuple(part[chunk] for part in dstate)
        for n in reversed(range(len(tape.spans))):
            span = tape.spans[n]
            segment = tape.segments[k][n]
            again = segment is None
            if again:
                part = None if tape.mask is None else tape.mask[span, chunk]
                segment = engine.forward_segment(packed, tape.x[span, chunk], part, tape.states[k][n])
            gradients = engine.backward_segment(
                packed,
                segment,
                None if external is None else external[span, chunk],
                dlast,
                need_dx=need_dx,
                record=record,
                overwrite=overwrite or again,
            )
            if record == "norms" and gradients.dz is not None and gradients.dtotal is not None:
                summary = step_norms(gradients.dz, gradients.dtotal)
                gradients = replace(gradients, dz=None, dtotal=None, norms=summary)
            found.append(gradients)
            if overwrite or again:
                tape.segments[k][n] = None
                engine.release(segment)
            dlast = gradients.dstate
            if truncate:
                dlast = tuple(np.zeros_like(part) for part in dlast)
        return found[::-1]

    engine.prepare(packed, need_dx)
    tape.consumed = overwrite
    work = 2 * T * B * (H + D + 1) * weights.U.shape[1]
    parts = engine.run(run, range(len(tape.rows)), work)
    every = [segment for chunk in parts for segment in chunk]  # a fixed order: the same bits for any threads

    def joined(pick: Callable[[SegmentGradients], Array]) -> Array:
        return join_chunks([[pick(segment) for segment in chunk] for chunk in parts])

    def picked(k: int) -> Array:
        return joined(lambda segment: segment.dtotal[k])  # type: ignore[index]

    return Gradients(
        dweights=add_weights([segment.dweights for segment in every]),
        dstate=join_states([chunk[0].dstate for chunk in parts]),
        dx=joined(lambda segment: segment.dx) if need_dx else None,  # type: ignore[arg-type,return-value]
        dz=joined(lambda segment: segment.dz) if record is True else None,  # type: ignore[arg-type,return-value]
        dtotal=tuple(picked(k) for k in range(len(tape.cell.states))) if record is True else None,
        norms=join_norms([[part.norms for part in chunk] for chunk in parts]) if record == "norms" else None,
    )
