"""Checkpointed BPTT with a fixed number of slots: the actions of `schedule`, carried out on one chunk.

A tape so made holds, for each slot, a state, and beside it a record (a segment of one step) where slots hold
records, or only for the last step where they hold states. Backward goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from minilstm.bptt.cell import State
from minilstm.bptt.tape import Contents
from minilstm.checkpoints.schedule import Slots, actions, forward_actions

Run = Callable[[slice, State, Contents], Any]  # the steps of a span, from a state: a segment
Release = Callable[[Any], None]


class Plan(NamedTuple):
    """So many slots, of which kind, for a chain of so many steps; what `bptt.segments` is handed."""

    steps: int
    slots: int
    kind: Slots

    @property
    def waiting(self) -> tuple[int, int]:
        """States and records that wait for the backward pass."""
        found = [action.what for action in forward_actions(*self)]
        return found.count("keep"), found.count("record")

    def forward(
        self, run: Run, release: Release, state: State, passing: Contents
    ) -> tuple[list[State], list[Any]]:
        """The states in the slots, then the last one; and the records. `passing`: what is kept on the way."""
        states, records = [], []
        for what, start, stop in forward_actions(*self):
            if what == "keep":
                states.append(state)
                continue
            segment = run(slice(start, stop), state, "everything" if what == "record" else passing)
            state = segment.last_state
            if what == "record":
                records.append(segment)
            else:
                release(segment)
        return [*states, state], records

    def backward(
        self, run: Run, release: Release, states: list[State], records: list[Any]
    ) -> Iterator[tuple[slice, Any, bool]]:
        """The steps from the last to the first, each with its record, and whether that was made again."""
        kept: dict[int, State] = {}
        recorded: dict[int, tuple[Any, bool]] = {}
        of_tape, passed, state = (iter(states), iter(records)), True, states[0]  # passed: what forward did
        for what, start, stop in actions(*self):
            if what == "back":
                passed = False
                yield slice(start, stop), *recorded.pop(start)
            elif what == "keep":
                kept[start] = next(of_tape[0]) if passed else state
            elif what == "drop":
                del kept[start]
            elif what == "restore":
                state = kept[start]
            elif passed:
                if what == "record":
                    recorded[start] = next(of_tape[1]), False
            else:
                segment = run(slice(start, stop), state, "everything" if what == "record" else "boundaries")
                state = segment.last_state
                if what == "record":
                    recorded[start] = segment, True
                else:
                    release(segment)
