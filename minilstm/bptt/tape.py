"""What forward hands to backward. Plain data.

Time first everywhere: T time steps, S of them in one segment; B samples. The array of a state has one row
more than there are steps: row 0 is the initial state, step t reads row t and writes row t + 1, and no step is
special.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from minilstm.bptt.cell import Cell, State
from minilstm.bptt.pieces import join
from minilstm.foundations.arrays import Array

# All steps; the states between segments, from which backward can run the steps again; nothing for a backward.
Contents = Literal["everything", "boundaries", "outputs"]


@dataclass
class Segment:
    """What the steps of one segment leave for backward. A compiled engine has a form of its own."""

    x: Array  # (S, B, D)
    mask: Array | None  # (S, B) bool, True = real step
    states: tuple[Array, ...]  # (S+1, B, H) each, in the order of cell.states
    kept: Sequence[Array]  # (S, B, H) each, in the order of cell.kept

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in (*self.states, *self.kept))

    @property
    def last_state(self) -> State:
        return tuple(state[-1].copy() for state in self.states)  # a view would keep the whole array alive


@dataclass
class Tape:
    """One forward pass: its segments in order of time."""

    cell: Cell
    engine: Any  # what ran the steps: `engine.Engine`
    packed: Any  # cell and weights in the form that it wants
    x: Array  # (T, B, D)
    mask: Array | None  # (T, B) bool, True = real step
    spans: list[slice]  # the steps of each segment
    states: list[State]  # the state at each segment's start, then the last state
    segments: list[Any]  # a Segment each, or None unless keep is "everything"
    keep: Contents = "everything"
    plan: Any = None  # `checkpoints.slots.Plan`, which then decides what `states` and `segments` hold
    consumed: bool = False  # a backward pass was allowed to write over it

    @property
    def nbytes(self) -> int:
        """Bytes that wait for the backward pass: segments and boundary states, the input apart."""
        kept: int = sum(segment.nbytes for segment in self.segments if segment is not None)
        return kept + sum(part.nbytes for state in self.states[:-1] for part in state)

    @property
    def last_state(self) -> State:
        """The state after the last step, (B, H) each."""
        return self.states[-1]

    def run(self, span: slice, state: State, keep: Contents) -> Any:
        """A segment: the steps `span`, forward from `state`."""
        real = None if self.mask is None else self.mask[span]
        return self.engine.forward_segment(self.packed, self.x[span], real, state, keep)

    def check_readable(self) -> None:
        """Raise RuntimeError when a backward pass has written over this tape."""
        if self.consumed:
            raise RuntimeError("this tape was consumed by backward(overwrite=True); run forward again")

    def join(self, name: str) -> Array:
        """One array (T, B, H) of a state after each step, or of what the cell keeps: "h", "c", "i", ..."""
        self.check_readable()
        if name in self.cell.states:
            k = self.cell.states.index(name)
            return join([segment.states[k][1:] for segment in self.segments], 0)
        k = self.cell.kept.index(name)
        return join([segment.kept[k] for segment in self.segments], 0)
