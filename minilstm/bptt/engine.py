"""What runs the steps of a segment: the engine that `segments` is handed, here the plain one.

The lesson's own engine is the loop of `steps`. Another stands in `minilstm.compiled`: it wants the weights in
a layout of its own, and reuses memory. The fields below are all they differ in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minilstm.bptt import steps
from minilstm.bptt.cell import Cell, Gradients, State, Weights
from minilstm.bptt.tape import Tape
from minilstm.foundations.arrays import Array


def _nothing(*_: Any) -> None:
    return None


def _never(tape: Tape, external: Array | None) -> Callable[[int], bool]:
    return lambda steps: False


@dataclass(frozen=True)
class Engine:
    """The functions of an engine; by default those of the plain one.

    pack(cell, weights, drop) : the layer as forward_segment and backward_segment want it;
    prepare(packed, need_dx) : called once before segments are run backwards;
    release(segment) : nobody reads this segment any more;
    stays_zero(tape, external)(t) : whether a gradient of 0 after t steps is sure to be 0 in all of them;
    read : another way forward where no backward pass will follow, see `compiled.chunks`
    """

    name: str = "numpy"
    forward_segment: Callable[..., Any] = steps.forward_segment
    backward_segment: Callable[..., Gradients] = steps.backward_segment
    pack: Callable[[Cell, Weights, Array | None], Any] = steps.Layer
    prepare: Callable[[Any, bool], None] = _nothing
    release: Callable[[Any], None] = _nothing
    stays_zero: Callable[[Tape, Array | None], Callable[[int], bool]] = _never
    read: Callable[..., State] | None = None
    parallel: bool = False  # whether parts of the batch may go through time at once, see `compiled.chunks`


PLAIN = Engine()
