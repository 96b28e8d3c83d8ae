"""A cell made of a function that somebody wrote: the contract of `bptt.cell`, its backward step included."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from minilstm.bptt import steps
from minilstm.bptt.cell import Cell, Gradients, State, StepGradients
from minilstm.bptt.engine import PLAIN
from minilstm.bptt.gru import GRUCell
from minilstm.bptt.lstm import LSTMCell
from minilstm.bptt.simple_rnn import SimpleRNNCell
from minilstm.bptt.tape import Segment
from minilstm.cells.dual import Dual, Run, inputs_of
from minilstm.cells.followed import states_of
from minilstm.cells.local import Entry, Function, Structure, combine, derivatives, states_made
from minilstm.cells.program import Program, program
from minilstm.foundations.arrays import Array

LESSON = (LSTMCell.name, GRUCell.name, SimpleRNNCell.name)
# The cells of this folder, each in the module of its name, where it is called by the name in capitals.
SET = ("mgu", "min_gru", "min_lstm", "ind_rnn", "slstm", "diagonal", "antisymmetric")
KNOWN = (*LESSON, *SET)  # names that a user's cell may not have
BLOCK = 1 << 15  # entries of an array of local derivatives: some of these stay in a processor's cache
Map = tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]  # R -> U, and (dU, R) -> dR


@dataclass(frozen=True)
class UserCell:
    """A step that somebody wrote, with all that `minilstm.cell` found out about it; made by that function.

    function, by_hand : forward, and backward where it was given;  own : the names of what forward keeps;
    bias, initial : where the bias of a gate and a row of p start, if not at 0;
    recurrent_bias : whether hu has a bias of its own, as in the GRU
    """

    name: str
    gates: tuple[str, ...]
    states: tuple[str, ...]
    own: tuple[str, ...]
    rows: tuple[str, ...]
    function: Function
    by_hand: Callable[..., Any] | None
    structure: Structure
    bias: tuple[tuple[str, float], ...] = ()
    initial: tuple[Any, ...] = ()
    recurrent_bias: bool = False
    recurrent_map: Map | None = None

    def __repr__(self) -> str:
        words = f"gates {', '.join(self.gates)}; states {', '.join(self.states)}"
        return f"<cell {self.name!r}: {words}>"

    def program(self, dtype: str) -> Program | str:
        """Its step as text to be compiled, for arrays of that dtype, or in words what cannot be."""
        return program(self, dtype)

    @property
    def recurrent(self) -> bool:
        """Whether there is a U."""
        return self.structure.recurrent

    @property
    def direct(self) -> tuple[str, str]:
        memory = self.states[min(1, len(self.states) - 1)]
        return f"from_{memory}" if len(self.states) > 1 else "from_h_prev", "past all weights"

    @property
    def kept(self) -> tuple[str, ...]:
        """What forward keeps, and without a backward by hand the pre-activations, xw + hu or each alone."""
        if self.by_hand is not None:
            return self.own
        apart = [k for k in range(len(self.gates)) if self.recurrent and k not in self.structure.shared]
        found = [f"xw_{gate}" if k in apart else f"z_{gate}" for k, gate in enumerate(self.gates)]
        return (*self.own, *found, *(f"hu_{self.gates[k]}" for k in apart))

    def forward(
        self, xw: Array, hu: Array, prev: State, p: Array | None = None
    ) -> tuple[State, tuple[Array, ...]]:
        """One step forward. xw, hu : (B, nH), hu (B, 0) without U; prev : (B, H) each."""
        hu = hu if self.recurrent else hu[:, :0]
        state, kept = self.function(xw, hu, prev, p)
        if self.by_hand is not None:
            return tuple(state), tuple(kept)
        n = len(self.gates)
        blocks = np.split(xw, n, axis=-1)
        if self.recurrent:
            for k, block in enumerate(np.split(hu, n, axis=-1)):
                if k in self.structure.shared:
                    blocks[k] = blocks[k] + block
                else:
                    blocks.append(block)
        return tuple(state), (*kept, *blocks)

    def backward(
        self, dstate: State, prev: State, state: State, kept: tuple[Array, ...], p: Array | None = None
    ) -> StepGradients:
        """One step backward: the one by hand, or the chain rule through the local derivatives."""
        if self.by_hand is not None:
            dxw, dhu, dprev, total, *dp = self.by_hand(dstate, prev, state, kept, p)
            dhu = dhu if self.recurrent else dxw[:, :0]
            return StepGradients(dxw, dhu, tuple(dprev), tuple(total), dp[0] if dp else None)
        return combine(self.structure, dstate, self.local(prev, kept, p))

    def local(self, prev: State, kept: tuple[Array, ...], p: Array | None) -> dict[Entry, Array]:
        """The local derivatives at (N, H) states; see `local.derivatives`."""
        n, structure = len(self.gates), self.structure
        blocks, apart = list(kept[len(self.own) :][:n]), list(kept[len(self.own) + n :])
        xw = np.concatenate(blocks, axis=-1) if n > 1 else blocks[0]
        hu = np.zeros_like(xw) if self.recurrent else xw[:, :0]
        for k in range(n) if apart else ():
            if k not in structure.shared:
                H = blocks[0].shape[-1]
                hu[:, k * H : (k + 1) * H] = apart.pop(0)
        return derivatives(self.function, structure, xw, hu, prev, p)


class _Linear(NamedTuple):
    """In place of a cell, where its local derivatives are what it kept."""

    cell: UserCell
    record: bool

    @property
    def states(self) -> tuple[str, ...]:
        return self.cell.states

    def backward(
        self, dstate: State, prev: State, state: State, kept: tuple[Any, ...], p: Array | None = None
    ) -> StepGradients:
        return combine(self.cell.structure, dstate, kept[0], self.record)


class _Blockwise:
    """The local derivatives by step, found for as many steps at once as stay in a processor's cache."""

    def __init__(self, cell: UserCell, segment: Segment, p: Array | None) -> None:
        self.cell, self.segment, self.p = cell, segment, p
        S, b, H = segment.states[0][1:].shape
        self.steps, self.span, self.found = max(1, BLOCK // (b * H)), slice(S, S), dict[Entry, Array]()

    def __getitem__(self, t: int) -> dict[Entry, Array]:
        if not self.span.start <= t < self.span.stop:
            self.span = slice(max(0, t + 1 - self.steps), t + 1)
            self.found = self._find(self.span)
        return {entry: part[t - self.span.start] for entry, part in self.found.items()}

    def _find(self, span: slice) -> dict[Entry, Array]:
        states = [array[:-1][span] for array in self.segment.states]
        shape = states[0].shape
        kept = [array[span] for array in self.segment.kept]
        flat = [tuple(array.reshape(-1, shape[-1]) for array in arrays) for arrays in (states, kept)]
        found = self.cell.local(flat[0], flat[1], self.p)
        rows = flat[0][0].shape
        return {entry: np.broadcast_to(part, rows).reshape(shape) for entry, part in found.items()}


def _backward_segment(
    layer: steps.Layer, segment: Segment, external: Array | None, dstate: State, **options: Any
) -> Gradients:
    """`steps.backward_segment`; the local derivatives do not wait for the gradient, so many steps share one
    evaluation."""
    cell = layer.cell
    if isinstance(cell, UserCell) and cell.by_hand is None:
        linear: Any = _Linear(cell, bool(options["record"]))
        kept: Sequence[Any] = [_Blockwise(cell, segment, layer.weights.p)]
        layer, segment = layer._replace(cell=linear), replace(segment, kept=kept)
    return steps.backward_segment(layer, segment, external, dstate, **options)


ENGINE = replace(PLAIN, backward_segment=_backward_segment)


@cache
def _made(cell: Cell) -> tuple[int | None, ...]:
    """Where the forward of a cell of the lesson makes its states."""
    if isinstance(cell, UserCell):
        return cell.structure.made
    n, states = len(cell.gates), len(cell.states)
    p = np.zeros((len(cell.rows), 1)) if cell.rows else None
    case = np.zeros((1, n)), np.zeros((1, n)), (np.zeros((1, 1)),) * states, p
    return states_made(cell.forward, Structure(n, states, len(cell.rows)), case)


def with_state(
    cell: Cell, xw: Array, hu: Array, prev: State, p: Array | None, number: int, change: Array
) -> State:
    """The states after a step in which one of them is changed where it is made: what reads it sees that.

    So a change of an LSTM's c shows in h of the same step.
    """
    function = cell.function if isinstance(cell, UserCell) else cell.forward
    made = _made(cell)[number]
    if made is None:
        states, _ = function(xw, hu, prev, p)
        return tuple(state + change if j == number else state for j, state in enumerate(states))
    run = Run(prev[0].shape[-1], offsets={made: change})
    if isinstance(cell, UserCell) and not cell.structure.dual:
        return tuple(np.asarray(state) for state in states_of(run, function, xw, hu, prev, p))
    states, _ = function(*inputs_of(run, len(cell.gates), xw, hu, prev, p, parts=False))
    return tuple(state.value if isinstance(state, Dual) else state for state in states)
