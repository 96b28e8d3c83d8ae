"""The mathematics: one time step of a recurrent cell, forward and backward, in plain NumPy.

A cell is a small frozen object (`lstm.LSTMCell`, `gru.GRUCell`, `simple_rnn.SimpleRNNCell`) with a few
facts and two functions that know one step and nothing of time, masks or segments:

    gates     the blocks of W, U, b and z, in Keras's order:   LSTM i f g o   GRU z r g   SimpleRNN h
    states    the states, h first:                             LSTM h c       GRU h       SimpleRNN h
    kept      what backward needs of a step beside its states: LSTM i f g o   GRU z r g q SimpleRNN -

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
    p  (k, H)        peephole weights, which only an LSTM with peepholes has
    z  (B, nH)       pre-activations in the blocks of the gates
    dv               dL/dv, for whatever v stands there

The equations and their tags (F1.., B1..) stand in each cell's docstring, again at each line of its
code, and a third time, compiled, in `kernels`. The products with W, U and their transposes belong to
the step loop (`steps`), with tags of their own (S1..).
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

Array = NDArray[Any]
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
    dprev: State  # (B, H) each: what reaches the states before this step, the path through hu apart
    total: State  # (B, H) each: the total gradient of the states after this step
    dp: Array | None = None  # (k, H), summed over the batch


class Cell(Protocol):
    """The contract; see the module's docstring."""

    @property
    def name(self) -> str: ...
    @property
    def gates(self) -> tuple[str, ...]: ...
    @property
    def states(self) -> tuple[str, ...]: ...
    @property
    def kept(self) -> tuple[str, ...]: ...
    @property
    def variant(self) -> str | None:
        """What makes this cell other than the common one, in words; None if nothing does."""

    def forward(
        self, xw: Array, hu: Array, prev: State, p: Array | None = None
    ) -> tuple[State, tuple[Array, ...]]: ...

    def backward(
        self, dstate: State, prev: State, state: State, kept: tuple[Array, ...], p: Array | None = None
    ) -> StepGradients: ...


def variant_of(cell: Any, common: Any) -> str | None:
    """The settings in which a cell differs from the common one, such as "activation='relu'"."""
    settings = ((name, getattr(cell, name)) for name in cell.__dataclass_fields__)
    return ", ".join(f"{k}={v!r}" for k, v in settings if v != getattr(common, k)) or None
