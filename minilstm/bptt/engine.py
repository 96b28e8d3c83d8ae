"""What runs the steps of a segment: the engine that `segments` is handed, here the plain one.

The lesson's own engine is the loop of `steps`, over the whole batch at once, in one thread. Another stands in
`minilstm.compiled`: it wants the weights in a layout of its own, takes the batch in chunks that fit a
processor's cache, runs them on threads, and reuses memory. The fields below are all they differ in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from minilstm.arrays import Array
from minilstm.bptt import steps
from minilstm.bptt.cell import Cell, Gradients, State, Weights
from minilstm.bptt.tape import Tape


def _whole(B: int, work: int) -> list[slice]:
    return [slice(0, B)]


def _one_by_one(function: Callable[[Any], Any], items: Sequence[Any], work: int) -> list[Any]:
    return [function(item) for item in items]


def _nothing(*_: Any) -> Any:
    return None


@dataclass(frozen=True)
class Engine:
    """The functions of an engine; by default those of the plain one. `work` is the multiply-adds of the pass.

    chunks(B, work) : the batch in pieces, each of which goes through time on its own;
    pack(cell, weights, drop) : the layer as forward_segment and backward_segment want it;
    prepare(packed, need_dx) : called once before segments are run backwards;
    run(function, items, work) : [function(item) for item in items], maybe at the same time;
    release(segment) : nobody reads this segment any more;
    is_bounded(packed, x, state) : whether surely no number has become Inf or NaN on the way through x
    """

    name: str = "numpy"
    forward_segment: Callable[..., Any] = steps.forward_segment
    backward_segment: Callable[..., Gradients] = steps.backward_segment
    chunks: Callable[[int, int], list[slice]] = _whole
    pack: Callable[[Cell, Weights, Array | None], Any] = steps.Layer
    prepare: Callable[[Any, bool], None] = _nothing
    run: Callable[[Callable[[Any], Any], Sequence[Any], int], list[Any]] = _one_by_one
    release: Callable[[Any], None] = _nothing
    is_bounded: Callable[[Any, Array, State], bool] = _nothing


PLAIN = Engine()


def stays_zero(
    is_bounded: Callable[[Any, Array, State], bool], tape: Tape, external: Array | None
) -> Callable[[int], bool]:
    """Does a dL/d(state) of 0 after so many steps stay 0 all the way back? Asked once for each.

    Not where a loss comes in on the way, nor where a number may be Inf: 0 * Inf is NaN.
    """

    @cache
    def asked(steps: int) -> bool:
        loss = external is not None and bool(external[:steps].any())
        return not loss and is_bounded(tape.packed, tape.x, tape.first_state)

    return asked


def work_of(weights: Weights, x: Array) -> int:
    """Multiply-adds of a forward pass, about; backward takes twice as many."""
    T, B, D = x.shape
    work: int = T * B * (len(weights.U) + D + 1) * weights.W.shape[1]
    return work


def variant_of(cell: Any, common: Any) -> str | None:
    """The settings in which a cell differs from the common one, such as "activation='relu'"; or None."""
    settings = ((name, getattr(cell, name)) for name in cell.__dataclass_fields__)
    return ", ".join(f"{k}={v!r}" for k, v in settings if v != getattr(common, k)) or None
