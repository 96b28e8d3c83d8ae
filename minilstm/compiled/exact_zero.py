"""When a backward pass may end early: the gradient is exactly 0, and surely stays 0 all the way back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minilstm.bptt.cell import State
from minilstm.bptt.tape import Tape
from minilstm.compiled.memory import BLOCKS, Packed
from minilstm.foundations.arrays import Array


def stays_zero(tape: Tape, external: Array | None) -> Callable[[int], bool]:
    """Does a dL/d(state) of 0 after so many steps stay 0 all the way back?

    Not where a loss comes in on the way, nor where a number may be Inf: 0 * Inf is NaN.
    """

    def asked(steps: int) -> bool:
        loss = external is not None and bool(external[:steps].any())
        return not loss and _is_bounded(tape.packed, tape.x, tape.states[0])

    return asked


def _is_bounded(packed: Packed, x: Array, state: State) -> bool:
    """Whether no product of the forward pass can have overflowed, by the sizes of what goes into it.

    With gates from -1 to 1 no h is larger than 1 or than the first one, and c grows by 1 a step at most: of
    cells other than these three nothing is known.
    """
    if packed.cell.name not in BLOCKS:
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        h = max(1.0, *(float(np.abs(part).max(initial=0)) for part in state))
        parts = ((h, packed.U), (float(np.abs(x).max(initial=0)), packed.W), (1.0, packed.b))
        size = sum(most * float(np.abs(weights).sum(axis=0).max()) for most, weights in parts)
        if packed.weights.rb is not None:
            size += float(np.abs(packed.weights.rb).max())
    return bool(size < np.finfo(packed.dtype).max / 4)
