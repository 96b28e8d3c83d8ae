"""The local derivatives of a cell's step, and the step backwards that they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from minilstm.bptt.cell import State, StepGradients
from minilstm.cells.dual import Dual, Run, Source, inputs_of
from minilstm.cells.followed import Followed, states_of
from minilstm.foundations.arrays import Array

Function = Callable[..., Any]  # forward(xw, hu, prev, p) -> state, kept
Entry = tuple[int, Source]  # d(state of this number) / d(source)
TINY = 2.0**-60  # of the complex step, as a power of two: its square vanishes beside float32 and float64


class Structure(NamedTuple):
    """What a step depends on, found when the cell is made.

    gates, states, rows : how many there are of each;  shared : the blocks of hu that stand in one sum
    with those of xw;  entries : the derivatives that are not 0 throughout;  made : for each state the number
    of the array that forward returns as it, where later arrays read it;  dual : whether `Dual` knows all of
    its functions;  recurrent : whether it reads hu
    """

    gates: int
    states: int
    rows: int
    shared: frozenset[int] = frozenset()
    entries: tuple[Entry, ...] = ()
    made: tuple[int | None, ...] = ()
    dual: bool = True
    recurrent: bool = True

    @property
    def sources(self) -> list[Source]:
        """All that can be nudged in the arguments of forward."""
        found = [Source("xw", k) for k in range(self.gates)]
        found += [Source("hu", k) for k in range(self.gates) if self.recurrent and k not in self.shared]
        found += [Source("prev", j) for j in range(self.states)]
        return found + [Source("p", r) for r in range(self.rows)]


def derivatives(
    function: Function, structure: Structure, xw: Array, hu: Array, prev: State, p: Array | None
) -> dict[Entry, Array]:
    """d(state) / d(source), (N, H) each, of all samples and units at once, but for those that are 0."""
    find = _by_duals if structure.dual else by_complex
    return find(function, structure, xw, hu, prev, p)


def _by_duals(
    function: Function, structure: Structure, xw: Array, hu: Array, prev: State, p: Array | None
) -> dict[Entry, Array]:
    states, _ = evaluated(function, structure, xw, hu, prev, p)
    return parts_of(states)


def evaluated(
    function: Function, structure: Structure, xw: Any, hu: Any, prev: tuple[Any, ...], p: Any
) -> tuple[Any, Any]:
    """What forward returns of Duals: the states, and what it keeps."""
    marks = {made: Source("state", j) for j, made in enumerate(structure.made) if made is not None}
    run = Run(prev[0].shape[-1], marks, shared=structure.shared)
    state, kept = function(*inputs_of(run, structure.gates, xw, hu, prev, p))
    return state, kept


def parts_of(states: tuple[Any, ...]) -> dict[Entry, Any]:
    """The local derivatives that these states carry."""
    return {
        (s, source): part
        for s, state in enumerate(states)
        if isinstance(state, Dual)
        for source, part in state.parts.items()
        if source != Source("state", s)
    }


def by_complex(
    function: Function, structure: Structure, xw: Array, hu: Array, prev: State, p: Array | None
) -> dict[Entry, Array]:
    """The same with complex numbers, one evaluation for each source."""
    H = prev[0].shape[-1]
    found: dict[Entry, Array] = {}
    for source in structure.sources:
        arguments: dict[str, Any] = {"xw": xw, "hu": hu, "prev": prev, "p": p}
        arguments = {key: _complex(value) for key, value in arguments.items()}
        match source.kind:
            case "xw" | "hu":
                arguments[source.kind][:, source.number * H : (source.number + 1) * H] += TINY * 1j
            case kind:
                arguments[kind][source.number][...] += TINY * 1j
        states, _ = function(*arguments.values())
        for s, state in enumerate(states):
            part = np.imag(state) / TINY
            if np.any(part):
                found[s, source] = part.astype(prev[0].dtype)
    case = tuple(map(_complex, (xw, hu, prev, p)))
    for j, made in enumerate(() if structure.dual else structure.made):
        if made is not None:  # a state, where it is made
            run = Run(H, offsets={made: np.asarray(TINY * 1j)})
            for s, state in enumerate(states_of(run, function, *case)):
                part = np.imag(np.asarray(state)) / TINY
                if s != j and np.any(part):
                    found[s, Source("state", j)] = part.astype(prev[0].dtype)
    return found


def _complex(value: Any) -> Any:
    if value is None or isinstance(value, np.ndarray):
        return None if value is None else value + 0j
    return tuple(part + 0j for part in value)


def states_made(function: Function, structure: Structure, case: tuple[Any, ...]) -> tuple[int | None, ...]:
    """For each state the number of the array that is returned as it; None for one that is an argument."""
    xw, hu, prev, p = case
    run = Run(prev[0].shape[-1])
    if structure.dual:
        arguments = inputs_of(run, structure.gates, xw, hu, prev, p)
        given = run.count
        states, _ = function(*arguments)
    else:
        given, states = 0, states_of(run, function, xw, hu, prev, p)
    found, taken = list[int | None](), set[int | None]()
    for state in states:
        number = state.number if isinstance(state, (Dual, Followed)) else None
        new = number is not None and number >= given and number not in taken
        found.append(number if new else None)
        taken.add(number)
    return tuple(found)


def combine(
    structure: Structure, dstate: State, found: Mapping[Entry, Array], record: bool = True
) -> StepGradients:
    """The step backwards: the chain rule through each local derivative, entry by entry."""
    shape, dtype = dstate[0].shape, dstate[0].dtype

    def part(source: Source) -> Array | None:
        terms = [dstate[s] * found[s, source] for s in range(structure.states) if (s, source) in found]
        return sum(terms[1:], terms[0]) if terms else None

    def full(source: Source) -> Array:
        value = part(source)
        return np.zeros(shape, dtype) if value is None else value

    blocks = [full(Source("xw", k)) for k in range(structure.gates)]
    dxw = np.concatenate(blocks, axis=-1) if len(blocks) > 1 else blocks[0]
    if not structure.recurrent:
        dhu = dxw[:, :0]
    elif len(structure.shared) == structure.gates:
        dhu = dxw
    else:
        every = range(structure.gates)
        dhu = np.concatenate(
            [
                block if k in structure.shared else full(Source("hu", k))
                for k, block in zip(every, blocks, strict=True)
            ],
            axis=-1,
        )
    total = list(dstate)
    for j in range(structure.states) if record else ():
        more = part(Source("state", j))
        total[j] = dstate[j] if more is None else dstate[j] + more
    rows = [full(Source("p", r)).sum(axis=0) for r in range(structure.rows)]
    dprev = tuple(full(Source("prev", j)) for j in range(structure.states))
    return StepGradients(dxw, dhu, dprev, tuple(total), np.stack(rows) if rows else None)
