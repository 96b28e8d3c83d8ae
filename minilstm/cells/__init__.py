"""The mathematics: one time step of a recurrent cell, forward and backward, in plain NumPy.

A cell is a module with the names of its gates (`GATES`) and two functions that know one step and
nothing of time, batches or segments:

    forward(xw, hu, prev)            -> state, saved
    backward(dstate, saved)          -> dz, dprev, total

Symbols, used everywhere below the layers:

    B  batch         T  time steps      D  features      H  units
    x  (B, D)        input of the step
    h  (B, H)        hidden state, the output of the step
    c  (B, H)        cell state
    W  (D, 4H)       kernel                 xw = x @ W + b
    U  (H, 4H)       recurrent kernel       hu = h_prev @ U
    b  (4H,)         bias
    z  (B, 4H)       pre-activations, xw + hu, in the blocks i, f, g, o
    dv               dL/dv, for whatever v stands there

The equations and their tags (F1.., B1..) stand in each cell's docstring, again at each line of its
code, and a third time, compiled, in `kernels`. The products with W, U and their transposes belong to
the step loop (`steps`), with tags of their own (S1..).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

Array = NDArray[Any]


class Weights(NamedTuple):
    """What one recurrent layer learns, in the symbols of the equations."""

    W: Array  # (D, 4H)
    U: Array  # (H, 4H)
    b: Array  # (4H,)


class State(NamedTuple):
    """The state between two steps, or a gradient with respect to it. The order is (h, c) everywhere."""

    h: Array  # (B, H)
    c: Array  # (B, H)


class Saved(NamedTuple):
    """What `forward` leaves for `backward`: the gates after their activations, and both cell states."""

    i: Array  # (B, H)
    f: Array  # (B, H)
    g: Array  # (B, H)
    o: Array  # (B, H)
    c_prev: Array  # (B, H)
    c: Array  # (B, H)
