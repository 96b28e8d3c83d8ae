"""The symbols, and what a cell is: one time step of a recurrent network, in plain NumPy.

The cell makes the next state from the input and the state before, and knows nothing of the time around it.
Symbols, the same in every file; v_prev is v of the step before:

    B  samples in the batch    T  time steps    D  features    H  units    L  the loss, one number
    x  (B, D)        input of the step
    h  (B, H)        hidden state, the output of the step
    c  (B, H)        cell state, which only the LSTM has
    n                number of gates: blocks of H columns in W, U, b and z, one for each gate or candidate
    W  (D, nH)       kernel                 xw = x @ W + b
    U  (H, nH)       recurrent kernel       hu = h_prev @ U + rb
    b  (nH,)         bias
    rb (nH,)         recurrent bias, which only the GRU has; elsewhere xw and hu are added, and b is enough
    p  (k, H)        k weights that each unit has for itself: peepholes (`variants`); None for all others
    z  (B, nH)       pre-activations: the gates before their sigmoid or tanh, block beside block
    dv               dL/dv, the gradient with respect to v, of v's shape, whatever v stands there

A cell (`simple_rnn`, `lstm`, `gru`) is handed xw and hu ready, for the products are the same for all of them
(the loop's, in `steps`). It is two functions; prev and state are the states before and after the step:

    forward(xw, hu, prev, p)                   -> state, kept
    backward(dstate, prev, state, kept, p)     -> StepGradients

and a few names; what the letters mean is told in each cell's file:

    gates     in the order of their blocks, Keras's             simple h   LSTM i f g o   GRU z r g
    states    h first                                           simple h   LSTM h c       GRU h
    kept      of a step, for backward, beside its states        simple -   LSTM i f g o   GRU z r g q
    rows      of p; one with a gate's name is the peephole of that gate
    direct    for the trace: the path of c (or h) to the step before past all weights, as a name and in words
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from minilstm.foundations.arrays import Array  # NumPy's, real or complex; the comments tell the shapes
from minilstm.foundations.norms import StepNorms

State = tuple[Array, ...]  # (B, H) each, in the order of cell.states; or a gradient with respect to it


class Weights(NamedTuple):
    """What one recurrent layer learns, in the symbols of the equations; or the gradient of it."""

    W: Array  # (D, nH)
    U: Array  # (H, nH)
    b: Array  # (nH,)
    rb: Array | None = None  # (nH,)
    p: Array | None = None  # (k, H)


class StepGradients(NamedTuple):
    """What one step backward gives."""

    dxw: Array  # (B, nH)
    dhu: Array  # (B, nH)
    dprev: State  # (B, H) each: dL/dprev, but for the path through hu, which is the loop's
    total: State  # (B, H) each: dL/dstate, every path within the step counted; for the record alone
    dp: Array | None = None  # (k, H), summed over the batch


@dataclass
class Gradients:
    """What backward gives over all steps, or a stretch of them (S for T); per-step arrays where asked for."""

    dweights: Weights  # dL/dW, dL/dU, dL/db, and of rb and p where the cell has them: summed over the steps
    dstate: State  # dL/d(initial state), (B, H) each
    dx: Array | None = None  # (T, B, D)
    dz: Array | None = None  # (T, B, nH) dL/dxw
    dtotal: tuple[Array, ...] | None = None  # (T, B, H) each: the total dL/dh_t, and dL/dc_t of an LSTM
    norms: StepNorms | None = None  # in place of dz and dtotal, where only their norms were asked for


class Cell(Protocol):
    """The contract; see the module's docstring."""

    def __hash__(self) -> int: ...  # so that a cell can be a key
    @property
    def name(self) -> str: ...
    @property
    def gates(self) -> tuple[str, ...]: ...
    @property
    def states(self) -> tuple[str, ...]: ...
    @property
    def kept(self) -> tuple[str, ...]: ...
    @property
    def rows(self) -> tuple[str, ...]: ...
    @property
    def direct(self) -> tuple[str, str]: ...

    def forward(
        self, xw: Array, hu: Array, prev: State, p: Array | None = None
    ) -> tuple[State, tuple[Array, ...]]: ...

    def backward(
        self, dstate: State, prev: State, state: State, kept: tuple[Array, ...], p: Array | None = None
    ) -> StepGradients: ...
