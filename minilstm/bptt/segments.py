"""Backpropagation through time, the whole of it: forward -> Tape, backward -> Gradients.

The time axis is cut into segments of segment_steps, and one loop over them serves three uses:

    one segment               full BPTT, the default: the tape holds every step. Or several, all of them kept:
                              between them backward can see that nothing is left to hand back
    many, keep="boundaries"   checkpointed BPTT: the tape holds the state at each segment's start; backward
                              first runs a segment forward again. Less memory, more time, the same gradient
    many, truncate=True       truncated BPTT: what a segment says of the state it began with is dropped, so no
                              dependence is learned across a cut. An approximation of the gradient

Checkpoints may also stand in a given number of `slots`, where the fewest steps are run again. Full and
checkpointed agree because a segment depends on the past through one thing alone, the state it begins with. So
that state is all that must be kept, and dL/d(that state) all that must be handed back.

Inside a segment the engine does the work: `steps`, or its compiled form. Samples meet only in the sums of the
weights' gradients, so a chunk of the batch may go through all segments on its own. With the plain engine read
engine.chunks as "the whole batch", pack as `steps.Layer`, run as a loop, prepare and release as nothing.

Once dL/d(state) is exactly 0 and no loss reaches an earlier step directly, every earlier gradient is 0, and
backward ends there: with the same bits, if no number of the forward pass is Inf or NaN, for 0 * Inf is NaN.
Only an engine that can say so, by the size of inputs and weights, lets it end (`Engine.is_bounded`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Literal, get_args

import numpy as np

from minilstm.arrays import Array
from minilstm.bptt import slots
from minilstm.bptt.cell import Cell, State, Weights
from minilstm.bptt.engine import PLAIN, Engine, work_of
from minilstm.bptt.pieces import add_weights, join_chunks, join_norms, join_states
from minilstm.bptt.schedule import Plan
from minilstm.bptt.tape import Contents, Gradients, Tape
from minilstm.errors import one_of, whole_number

SEGMENT_STEPS = 1024  # of a segment of a pass that keeps everything: a call costs what a few of them cost


def forward(
    cell: Cell,
    weights: Weights,
    x: Array,
    mask: Array | None = None,
    initial_state: State | None = None,
    *,
    engine: Engine = PLAIN,
    segment_steps: int | None = None,
    keep: Contents = "everything",
    outputs: Array | None = None,
    drop: Array | None = None,
    plan: Plan | None = None,
) -> Tape:
    """Run a recurrent layer over x (T, B, D), T >= 1.

    mask : (T, B) bool, True = real step, or None
    initial_state : (B, H) for each of cell.states, or None for zeros
    engine : what runs the steps; the plain one takes arrays of any float dtype, complex too
    segment_steps : steps in a segment, None for one segment
    keep : "everything" for a later `backward`; "boundaries" for one that computes each segment again;
        "outputs" where none will follow
    outputs : (T, B, H) to be filled with h of every step, or None
    drop : (B, H) recurrent dropout, a factor of h where it meets U, or None; plain engine only
    plan : of T steps, for checkpoints in slots, in place of segment_steps and keep; or None

    >>> from minilstm.bptt.lstm import LSTMCell
    >>> weights = Weights(np.zeros((2, 12)), np.zeros((3, 12)), np.zeros(12))
    >>> h, c = forward(LSTMCell(), weights, np.ones((5, 4, 2))).last_state
    >>> h.shape
    (4, 3)
    """
    one_of("keep", keep, get_args(Contents))
    T, B, _ = x.shape
    length = T if segment_steps is None else whole_number("segment_steps", segment_steps)
    spans = [slice(start, min(start + length, T)) for start in range(0, T, length)]
    work = work_of(weights, x)
    rows = engine.chunks(B, work)
    packed = engine.pack(cell, weights, drop)
    if initial_state is None:
        initial_state = tuple(np.zeros((B, len(weights.U)), weights.U.dtype) for _ in cell.states)
    passing: Contents = "boundaries" if outputs is None else "outputs"  # of steps that are not kept

    def through_time(chunk: slice) -> tuple[list[State], list[Any]]:
        def run(span: slice, state: State, keep: Contents) -> Any:
            segment = engine.forward_segment(packed, x[span, chunk], _part(mask, span, chunk), state, keep)
            if outputs is not None:
                outputs[span, chunk] = segment.states[0][1:]
            return segment

        state = tuple(part[chunk] for part in initial_state)
        if plan is not None:
            return slots.forward(plan, run, engine.release, state, passing)
        states, segments = [state], []
        for span in spans:
            segment = run(span, states[-1], "everything" if keep == "everything" else passing)
            states.append(segment.last_state)
            segments.append(segment if keep == "everything" else None)
            if keep != "everything":
                engine.release(segment)
        return states, segments

    found = engine.run(through_time, rows, work)
    states, segments = [part for part, _ in found], [part for _, part in found]
    return Tape(cell, engine, packed, x, mask, rows, spans, states, segments, keep, plan)


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
    """Run a recurrent layer backwards over its tape, with the weights of the forward pass, unchanged since.

    external : (T, B, H) dL/dh_t from the layer above, or None
    dstate : dL/d(last state), (B, H) each, beside what `external` says of the last step; None for zeros
    need_dx : also return dL/dx, (T, B, D)
    record : also return dz (T, B, nH), and the total gradient (T, B, H) of each state at every step; or, with
        "norms", only their norms, which costs little time and next to no memory
    truncate : cut the gradient at the boundaries of the segments
    overwrite : allow the tape to be written over; otherwise it is left as it was

    RuntimeError where the tape was consumed by an earlier call with `overwrite`, or kept outputs only.
    """
    tape.check_readable()
    if tape.keep == "outputs":
        raise RuntimeError('this tape was made with keep="outputs", and holds nothing for a backward pass')
    engine, packed, B = tape.engine, tape.packed, tape.x.shape[1]
    if dstate is None:
        dstate = tuple(np.zeros((B, len(weights.U)), weights.U.dtype) for _ in tape.cell.states)

    @cache
    def ends_at(step: int) -> bool:
        """Whether zeros before `step` stay zeros all the way to the first step."""
        loss = external is not None and bool((external[:step] != 0).any())
        return not loss and engine.is_bounded(packed, tape.x, tape.first_state)

    def back_through_time(k: int) -> tuple[list[Gradients], State, int]:
        """The segments' gradients, of the weights in sum; dL/d(first state); how many steps were left out."""
        chunk, left = tape.rows[k], 0
        found: list[Gradients] = []
        dlast = tuple(part[chunk] for part in dstate)  # dL/d(state after the segment), (b, H) each
        for span, segment, again in _backwards(tape, k, overwrite):
            dh = _part(external, span, chunk)
            options = {"need_dx": need_dx, "record": record, "overwrite": overwrite or again}
            gradients = engine.backward_segment(packed, segment, dh, dlast, **options)
            if overwrite or again:
                engine.release(segment)
            gradients.dweights = add_weights([part.dweights for part in (*found[-1:], gradients)])
            found.append(gradients)
            dlast, gradients.dstate = gradients.dstate, ()  # of many segments only what is wanted is kept
            if span.start and not record and (truncate or _is_zero(dlast)) and ends_at(span.start):
                dlast, left = tuple(np.zeros_like(part) for part in dlast), span.start
                break
            if span.start and truncate:
                dlast = tuple(np.zeros_like(part) for part in dlast)
        return found[::-1], dlast, left

    engine.prepare(packed, need_dx)
    tape.consumed = overwrite
    parts = engine.run(back_through_time, range(len(tape.rows)), 2 * work_of(weights, tape.x))

    def joined(pick: Callable[[Gradients], Any]) -> Array:
        return join_chunks([[pick(segment) for segment in found] for found, *_ in parts])

    def joined_dx() -> Array:
        pieces = []
        for found, _, left in parts:
            own = [segment.dx for segment in found]
            pieces.append([np.zeros((left, *own[0].shape[1:]), own[0].dtype), *own] if left else own)
        return join_chunks(pieces)

    totals = range(len(tape.cell.states)) if record is True else ()
    norms = [[segment.norms for segment in found] for found, *_ in parts]
    return Gradients(
        dweights=add_weights([found[0].dweights for found, *_ in parts]),  # a fixed order, for any threads
        dstate=join_states([first for _, first, _ in parts]),
        dx=joined_dx() if need_dx else None,
        dz=joined(lambda segment: segment.dz) if record is True else None,
        dtotal=tuple(joined(lambda segment, k=k: segment.dtotal[k]) for k in totals) or None,  # type: ignore[misc]
        norms=join_norms(norms) if record == "norms" else None,
    )


def _backwards(tape: Tape, k: int, overwrite: bool) -> Iterator[tuple[slice, Any, bool]]:
    """The segments of a chunk from the last to the first, and whether they were computed again."""
    engine, chunk, states, segments = tape.engine, tape.rows[k], tape.states[k], tape.segments[k]

    def run(span: slice, state: State, keep: Contents) -> Any:
        real = _part(tape.mask, span, chunk)
        return engine.forward_segment(tape.packed, tape.x[span, chunk], real, state, keep)

    if tape.plan is not None:
        yield from slots.backward(tape.plan, run, engine.release, states, segments)
    else:
        for n in reversed(range(len(tape.spans))):
            segment, again = segments[n], segments[n] is None
            if again:
                segment = run(tape.spans[n], states[n], "everything")
            if overwrite:
                segments[n] = None
            yield tape.spans[n], segment, again


def _part(array: Array | None, span: slice, chunk: slice) -> Array | None:
    return None if array is None else array[span, chunk]


def _is_zero(state: State) -> bool:
    return not any(part.any() for part in state)
