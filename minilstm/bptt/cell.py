"""What a cell is, and the symbols: one time step of a recurrent network, in plain NumPy.

A recurrent network reads x_1, x_2, ... one after the other and carries a state along. The cell is the step:
from the state before it and the input it makes the state after it, and knows nothing of time, masks or
segments. A cell (`simple_rnn`, `lstm`, `gru`) is a few facts and two functions:

    gates     the blocks of W, U, b and z, in Keras's order:   LSTM i f g o   GRU z r g   simple h
    states    the states, h first:                             LSTM h c       GRU h       simple h
    kept      what backward needs of a step beside its states: LSTM i f g o   GRU z r g q simple -
    rows      the rows of p; one with a gate's name is the peephole of that gate
    direct    the way of the memory's gradient to the step before, past all weights: the name of this part
              of it, and the words:   LSTM from_c, carousel   GRU from_z, update gate. The memory is the
              second state where there is one, otherwise h

    forward(xw, hu, prev, p)                   -> state, kept
    backward(dstate, prev, state, kept, p)     -> StepGradients

Symbols, used everywhere below the layers; n is the number of gates:

    B  batch         T  time steps      D  features      H  units
    x  (B, D)        input of the step
    h  (B, H)        hidden state, the output of the step
    c  (B, H)        cell state of the LSTM
    W  (D, nH)       kernel                 xw = x @ W + b
    U  (H, nH)       recurrent kernel       hu = h_prev @ U + rb
    b  (nH,)         bias
    rb (nH,)         recurrent bias, which only the GRU has
    p  (k, H)        weights of one unit each, as the peepholes of some `variants`; None for all others
    z  (B, nH)       pre-activations: the gates before their sigmoid or tanh, block beside block
    L                the loss, one number
    dv               dL/dv, the gradient with respect to v, of v's shape; whatever v stands there

The equations and their tags (F1.., B1..) stand in each cell's docstring, again at the lines of its code, and
a third time in `minilstm.compiled`. The products with W, U and their transposes are made by the loop
(`steps`, tags S1..), for all cells alike.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from minilstm.arrays import Array

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
    dprev: State  # (B, H) each: what reaches the states before this step, but for the path through hu
    total: State  # (B, H) each: the states after this step, every path counted
    dp: Array | None = None  # (k, H), summed over the batch


class Cell(Protocol):
    """The contract; see the module's docstring."""

    def __hash__(self) -> int: ...
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
    @property
    def variant(self) -> str | None: ...  # what makes this cell other than the common one, in words

    def forward(
        self, xw: Array, hu: Array, prev: State, p: Array | None = None
    ) -> tuple[State, tuple[Array, ...]]: ...

    def backward(
        self, dstate: State, prev: State, state: State, kept: tuple[Array, ...], p: Array | None = None
    ) -> StepGradients: ...
