"""Backpropagation through time: forward -> Tape, backward -> Gradients.

The time axis is worked through in segments. One loop serves three uses:

    one segment                                   full BPTT (the default)
    many, interiors computed again from the       checkpointed BPTT: the same gradient to rounding,
    state at each segment's start                 far less memory
    many, the gradient cut at each boundary       truncated BPTT

What happens inside a segment stands in `steps` (NumPy, the reference) or `compiled` (Numba), which
offer the same functions; what happens inside a step stands in `cells`. Here is only the loop over
chunks of the batch and segments of time, and the sums.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Literal

import numpy as np

from minilstm.bptt import steps
from minilstm.bptt.cell import Array, Cell, State, Weights
from minilstm.bptt.tape import Gradients, Kept, SegmentGradients, Tape, add_weights, join_chunks, join_states
from minilstm.compiled import threads
from minilstm.errors import one_of, whole_number
from minilstm.norms import join_norms, step_norms

BACKENDS = ("numba", "numpy")
PARALLEL_WORK = 8_000_000  # multiply-adds in one pass below which waking a thread costs more than it saves


@cache
def _kernels() -> ModuleType | None:
    """The compiled engine, or None, with one warning that names the cause, where Numba cannot be used."""
    try:
        from minilstm.compiled import memory
    except Exception as error:  # whatever a broken installation raises
        message = f"Numba cannot be used ({type(error).__name__}: {error}); the NumPy backend does the work"
        warnings.warn(message, RuntimeWarning, stacklevel=4)
        return None
    return memory


def resolve_backend(backend: str, cell: Cell | None = None) -> str:
    """`backend` if it can be used here, for this cell, otherwise "numpy" after one warning.

    >>> resolve_backend("numpy")
    'numpy'
    """
    one_of("backend", backend, BACKENDS)
    if backend == "numba" and cell is not None and cell.variant is not None:
        message = f"no compiled kernel for {cell.name} with {cell.variant}; the NumPy backend does the work"
        warnings.warn(message, RuntimeWarning, stacklevel=4)
        return "numpy"
    return "numpy" if backend == "numba" and _kernels() is None else backend


def _engine(backend: str, B: int) -> ModuleType:
    """The functions that do the work; an empty batch is the reference's, which has no chunks to fill."""
    return (_kernels() if backend == "numba" and B > 0 else None) or steps


def tape_bytes(
    cell: Cell, T: int, B: int, D: int, H: int, itemsize: int, backend: str, segment_steps: int, keep: str
) -> int:
    """`Tape.nbytes` of a forward pass, known before it runs.

    >>> from minilstm.bptt.lstm import LSTMCell
    >>> tape_bytes(LSTMCell(), 5, 4, 2, 3, 8, "numpy", 5, "everything")
    3264
    """
    lengths = [min(segment_steps, T - start) for start in range(0, T, segment_steps)]
    states = len(cell.states) * len(lengths) * B * H
    engine = _engine(backend, B)
    kept = sum(engine.tape_size(cell, S, B, D, H) for S in lengths) if keep == "everything" else 0
    return itemsize * (states + kept)


def forward(
    cell: Cell,
    weights: Weights,
    x: Array,
    mask: Array | None = None,
    initial_state: State | None = None,
    *,
    backend: str = "numpy",
    segment_steps: int | None = None,
    keep: str = "everything",
    outputs: Array | None = None,
    drop: Array | None = None,
) -> Tape:
    """Run a recurrent layer over x.

    Parameters
    ----------
    cell : the mathematics of one step
    weights : W (D, nH), U (H, nH), b (nH,), one float dtype (any, also complex, with "numpy")
    x : (T, B, D), T >= 1
    mask : (T, B) bool, True = real step, or None
    initial_state : (B, H) for each of cell.states, or None for zeros
    backend : "numpy" or "numba"
    segment_steps : steps in a segment, or None for one segment
    keep : "everything" for a later `backward`; "boundaries" to keep the state at each segment's start
        only, from which backward computes the segment again; "outputs" where no backward will follow
    outputs : (T, B, H) to be filled with h of every step, or None
    drop : (B, H) factor of h where it enters the product with U, the same at every step, or None:
        recurrent dropout; with "numpy" only

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
    engine = _engine(backend, B)
    work = T * B * (H + D + 1) * weights.U.shape[1]
    parallel = engine.PARALLEL and work > PARALLEL_WORK
    rows = engine.chunks(B, weights.W.nbytes + weights.U.nbytes, parallel)
    packed = engine.pack(cell, weights, rows)
    if drop is not None:
        packed = packed._replace(drop=drop)
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

    results = threads.run(run, rows, parallel)
    states, segments = [s for s, _ in results], [k for _, k in results]
    return Tape(cell, backend, packed, x, mask, rows, spans, states, segments, keep)  # type: ignore[arg-type]


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
    engine, packed = _engine(tape.backend, B), tape.packed
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

    packed.prepare_backward(need_dx)
    tape.consumed = overwrite
    work = 2 * T * B * (H + D + 1) * weights.U.shape[1]
    parts = threads.run(run, range(len(tape.rows)), engine.PARALLEL and work > PARALLEL_WORK)
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
        norms=join_norms([[part.norms for part in chunk] for chunk in parts]) if record == "norms" else None,  # type: ignore[misc]
    )
