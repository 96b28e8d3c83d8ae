"""Backpropagation through time, the whole of it: forward -> Tape, backward -> Gradients.

The time axis is cut into segments of segment_steps, and one loop over them serves three uses:

    one segment, or many      full BPTT, the default: the tape holds every step
    many, keep="boundaries"   checkpointed BPTT: the tape holds the state at each segment's start; backward
                              first runs a segment forward again. Less memory, more time, the same gradient
    many, truncate=True       truncated BPTT: what a segment says of the state it began with is dropped, so no
                              dependence is learned across a cut. An approximation of the gradient

Full and checkpointed agree because a segment depends on the past through one thing alone, the state it begins
with. So that state is all that must be kept, and dL/d(that state) all that must be handed back.

Inside a segment the engine does the work: `steps`, or its compiled form. With the plain engine read pack as
`steps.Layer`, prepare, release and ahead as nothing, stays_zero as False, plan as None: another choice of
checkpoints (`minilstm.checkpoints`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import numpy as np

from minilstm.bptt.cell import Cell, Gradients, State, Weights
from minilstm.bptt.engine import PLAIN, Engine
from minilstm.bptt.pieces import add_weights, join_gradients
from minilstm.bptt.tape import Contents, Tape
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import one_of, whole_number


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
    packed: Any = None,
    plan: Any = None,
    from_end: bool = False,
) -> Tape:
    """Run a recurrent layer over x (T, B, D), T >= 1.

    mask : (T, B) bool, True = real step, or None
    initial_state : (B, H) for each of cell.states, or None for zeros
    engine : what runs the steps; the plain one takes arrays of any float dtype, complex too
    segment_steps : steps in a segment, None for one segment
    keep : "everything" for a later `backward`; "boundaries" for one that computes each segment again;
        "outputs" where none will follow
    outputs : (T, B, H) to be filled with h of every step, or None
    packed : engine.pack(cell, weights, drop), with the recurrent dropout of `steps`; None for one without
    from_end : whether the first segment is the one that may be shorter, and not the last
    plan : `checkpoints.slots.Plan` of T steps, in place of segment_steps and keep; or None
    """
    one_of("keep", keep, get_args(Contents))
    T, B, _ = x.shape
    length = T if segment_steps is None else whole_number("segment_steps", segment_steps)
    early = -T % length if from_end else 0  # by so much the first segment is shorter, and not the last
    spans = [slice(max(start, 0), min(start + length, T)) for start in range(-early, T, length)]
    if initial_state is None:
        initial_state = tuple(np.zeros((B, len(weights.U)), weights.U.dtype) for _ in cell.states)
    packed = packed or engine.pack(cell, weights, None)
    kept = keep == "everything"
    tape = Tape(cell, engine, packed, x, mask, spans, [initial_state], [], keep, plan)
    passing: Contents = "boundaries" if outputs is None else "outputs"  # what is read of a segment not kept

    def run(span: slice, state: State, keep: Contents) -> Any:
        segment = tape.run(span, state, keep)
        if outputs is not None:
            outputs[span] = segment.states[0][1:]
        return segment

    if plan is not None:
        tape.states, tape.segments = plan.forward(run, engine.release, initial_state, passing)
        return tape
    for span in spans:
        segment = run(span, tape.states[-1], "everything" if kept else passing)
        tape.states.append(segment.last_state)
        tape.segments.append(segment if kept else None)
        if not kept:
            engine.release(segment)
    return tape


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
    ahead: Callable[[Iterator[Any]], Iterator[Any]] = iter,
) -> Gradients:
    """Run a recurrent layer backwards over its tape, with the weights of the forward pass, unchanged since.

    external : (T, B, H) dL/dh_t from the layer above, or None
    dstate : dL/d(last state), (B, H) each, beside what `external` says of the last step; None for zeros
    need_dx : also return dL/dx, (T, B, D)
    record : also return dz (T, B, nH), and the total gradient (T, B, H) of each state at every step; or, with
        "norms", only their norms, which cost the compiled engine little time and next to no memory
    truncate : cut the gradient at the boundaries of the segments
    overwrite : allow the tape to be written over; otherwise it is left as it was. RuntimeError where an
        earlier call was allowed it, or where the tape kept outputs only
    ahead : what hands on the segments, and may compute one again while the one after it in time is in use
    """
    tape.check_readable()
    if tape.keep == "outputs":
        raise RuntimeError('this tape was made with keep="outputs", and holds nothing for a backward pass')
    engine, B = tape.engine, tape.x.shape[1]
    if dstate is None:
        dstate = tuple(np.zeros((B, len(weights.U)), weights.U.dtype) for _ in tape.cell.states)
    engine.prepare(tape.packed, need_dx)
    tape.consumed = overwrite
    stays_zero = engine.stays_zero(tape, external)
    found: list[Gradients] = []  # of the segments, from the last to the first; those of the weights in sum
    for span, segment, again in ahead(_backwards(tape, overwrite)):
        above = None if external is None else external[span]  # (S, B, H)
        options = {"need_dx": need_dx, "record": record, "overwrite": overwrite or again}
        gradients: Gradients = engine.backward_segment(tape.packed, segment, above, dstate, **options)
        if overwrite or again:
            engine.release(segment)
        if found:
            gradients.dweights = add_weights([found[-1].dweights, gradients.dweights])
        found.append(gradients)
        dstate, gradients.dstate = gradients.dstate, ()  # dL/d(state before the segment), (B, H) each
        if span.start and truncate:
            dstate = tuple(np.zeros_like(part) for part in dstate)
        if span.start and not record and not any(part.any() for part in dstate) and stays_zero(span.start):
            rest = np.zeros_like(tape.x[: span.start]) if need_dx else None
            found.append(Gradients(gradients.dweights, (), rest))  # all that is left is 0
            break
    return join_gradients(found[::-1], 0, gradients.dweights, dstate)


def _backwards(tape: Tape, overwrite: bool) -> Iterator[tuple[slice, Any, bool]]:
    """The segments from the last to the first, and whether they were computed again."""
    if tape.plan is not None:
        yield from tape.plan.backward(tape.run, tape.engine.release, tape.states, tape.segments)
        return
    for n in reversed(range(len(tape.spans))):
        segment, again = tape.segments[n], tape.segments[n] is None
        if again:
            segment = tape.run(tape.spans[n], tape.states[n], "everything")
        if overwrite:
            tape.segments[n] = None
        yield tape.spans[n], segment, again
