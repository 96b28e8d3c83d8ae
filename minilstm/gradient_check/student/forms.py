"""The forms of each cell's step that are known: in words, and by the formulas that differ.

A form comes with the backward formulas that belong to it, where they are known, and with the mistakes
that only it can have.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minilstm.bptt.activations import sigmoid
from minilstm.foundations.arrays import Array
from minilstm.gradient_check.student.formulas import Formula, Table
from minilstm.gradient_check.student.shared_mistakes import Mistake


class Form(NamedTuple):
    """A form of a cell's step: in words, "" for the common one; what differs forward and backward."""

    words: str
    forward: Table
    backward: Table | None = None  # None where the formulas of its backward pass are not known here
    mistakes: tuple[Mistake, ...] = ()  # that only this form can have


def _tanh_of(gate: str) -> Formula:
    return lambda v: np.tanh(getattr(v, f"pre_{gate}"))


def _blocks(array: Any) -> list[Array]:
    return list(np.split(array, 3, axis=-1))


def _before_g(v: Any) -> Array:
    found: Array = _blocks(v.xw)[2] + (v.r * v.h_prev) @ _blocks(v.U)[2] + (_blocks(v.rb)[2])
    return found


def _before_dr(v: Any) -> Array:
    found: Array = (v.dz_g @ _blocks(v.U)[2].T) * v.h_prev
    return found


def _before_dh(v: Any) -> Array:
    U_z, U_r, U_g = _blocks(v.U)
    found: Array = v.dz_z @ U_z.T + v.dz_r @ U_r.T + (v.dz_g @ U_g.T) * v.r + v.dh_direct
    return found


def _before_dU(v: Any, read: Formula = lambda v: v.r * v.h_prev) -> Array:  # noqa: N802
    dz_z, dz_r, dz_g = _blocks(v.dhu)
    return np.concatenate([v.h_prev.T @ dz_z, v.h_prev.T @ dz_r, read(v).T @ dz_g], axis=-1)


def _before_dh_without_r(v: Any) -> Array:
    found: Array = v.dhu @ v.U.T + v.dh_direct
    return found


SHARED = [
    Form("the bias is missing", {"xw": lambda v: v.xs[v.t] @ v.W}, {"db": lambda v: 0 * v.b}),
    Form(
        "h_prev is missing: the recurrent kernel is not used",
        {"hu": lambda v: v.rb + 0 * v.xw},
        {"dh_through": lambda v: v.dh_direct + 0 * v.dh, "dU": lambda v: 0 * v.U},
    ),
    Form("the recurrent bias is missing", {"hu": lambda v: v.h_prev @ v.U}, {"drb": lambda v: 0 * v.rb}),
    Form("x of the step before is used", {"xw": lambda v: v.xs[v.t - 1] @ v.W + v.b}),
    Form("h is not passed on: every step begins at h0", {"h_prev": lambda v: v.h_first}),
    Form("mask ignored", {"h": lambda v: v.h_new}),
]
LSTM = [
    Form("", {}, {}),
    Form(
        "h = o * c: tanh of the cell state is missing",
        {"h_new": lambda v: v.o * v.c_new},
        {"do": lambda v: v.dh * v.c, "dc": lambda v: v.dc_in + v.dh * v.o},
    ),
    Form(
        "tanh(c) is stored as the cell state: c = tanh(f * c_prev + i * g), h = o * c",
        {"c_new": lambda v: np.tanh(v.f * v.c_prev + v.i * v.g), "h_new": lambda v: v.o * v.c_new},
        {
            "do": lambda v: v.dh * v.c,
            "dc": lambda v: (v.dc_in + v.dh * v.o) * (1 - v.c * v.c),
        },
        (
            Mistake(
                "the derivative of tanh(c), which is the stored state, is missing",
                {"dc": lambda v: v.dc_in + v.dh * v.o},
            ),
            Mistake(
                "the derivative of tanh(c), which is the stored state, is taken for dh's part only",
                {"dc": lambda v: v.dc_in + v.dh * v.o * (1 - v.c * v.c)},
            ),
            Mistake(
                "the derivative of tanh(c), which is the stored state, is taken at it: tanh applied twice",
                {"dc": lambda v: (v.dc_in + v.dh * v.o) * (1 - np.tanh(v.c) ** 2)},
            ),
            Mistake(
                "the derivative of tanh(c) is taken as if c were stored, not tanh(c)",
                {
                    "do": lambda v: v.dh * np.tanh(v.c),
                    "dc": lambda v: v.dc_in + v.dh * v.o * (1 - np.tanh(v.c) ** 2),
                },
            ),
        ),
    ),
    Form("h = tanh(c): the output gate is missing", {"h_new": lambda v: np.tanh(v.c_new)}),
    Form("h shows the cell state before the step", {"h_new": lambda v: v.o * np.tanh(v.c_prev)}),
    Form("h = o * tanh(tanh(c))", {"h_new": lambda v: v.o * np.tanh(np.tanh(v.c_new))}),
    Form("the forget gate is missing: c = c_prev + i * g", {"c_new": lambda v: v.c_prev + v.i * v.g}),
    Form("c_prev is missing: c = i * g", {"c_new": lambda v: v.i * v.g}),
    Form("the input gate is missing: c = f * c_prev + g", {"c_new": lambda v: v.f * v.c_prev + v.g}),
    Form("input and forget gate are coupled: f = 1 - i", {"f": lambda v: 1 - v.i}),
    Form("the candidate has sigmoid instead of tanh", {"g": lambda v: sigmoid(v.pre_g)}),
    Form("the candidate has no activation", {"g": lambda v: v.pre_g}),
    Form("every gate has tanh", {gate: _tanh_of(gate) for gate in "ifo"}),
    Form("mask ignored", {"h": lambda v: v.h_new, "c": lambda v: v.c_new}),
    Form("mask ignored for c", {"c": lambda v: v.c_new}),
    Form(
        "a masked step sets the state to 0 instead of holding it",
        {"h": lambda v: np.where(v.real, v.h_new, 0), "c": lambda v: np.where(v.real, v.c_new, 0)},
    ),
    *SHARED,
]
SWAPPED = "z and 1 - z exchanged: h = (1 - z) * h_prev + z * g"
BEFORE = "the reset gate multiplies h_prev before the product with U (reset_after=False)"
_SWAP_FORWARD: Table = {"keep": lambda v: 1 - v.z, "write": lambda v: v.z}
_SWAP_BACKWARD: Table = {"sign": lambda v: -1}
_BEFORE_FORWARD: Table = {"pre_g": _before_g}
_BEFORE_BACKWARD: Table = {
    "dr": _before_dr,
    "dq": lambda v: v.dz_g,
    "dh_through": _before_dh,
    "dU": _before_dU,
}
_BEFORE_MISTAKES = (
    Mistake("missing reset gate in the path to h_prev", {"dh_through": _before_dh_without_r}),
    Mistake(
        "missing reset gate in dU: the candidate's rows are of r * h_prev, not of h_prev",
        {"dU": lambda v: _before_dU(v, lambda v: v.h_prev)},
    ),
    Mistake("dr lacks h_{t-1}", {"dr": lambda v: v.dz_g @ _blocks(v.U)[2].T}),
)
GRU = [
    Form("", {}, {}),
    Form(SWAPPED, _SWAP_FORWARD, _SWAP_BACKWARD),
    Form(BEFORE, _BEFORE_FORWARD, _BEFORE_BACKWARD, _BEFORE_MISTAKES),
    Form(
        f"{BEFORE}; {SWAPPED}",
        _SWAP_FORWARD | _BEFORE_FORWARD,
        _SWAP_BACKWARD | _BEFORE_BACKWARD,
        _BEFORE_MISTAKES,
    ),
    Form("the reset gate is missing", {"r": lambda v: np.ones_like(v.z)}),
    *SHARED,
]
SIMPLE_RNN = [
    Form("", {}, {}),
    Form("tanh is missing", {"h_new": lambda v: v.pre_h}, {"dz_h": lambda v: v.dh}),
    Form(
        "sigmoid instead of tanh",
        {"h_new": lambda v: sigmoid(v.pre_h)},
        {"dz_h": lambda v: v.dh * v.h * (1 - v.h)},
    ),
    Form(
        "relu instead of tanh",
        {"h_new": lambda v: np.where(np.real(v.pre_h) > 0, v.pre_h, 0)},
        {"dz_h": lambda v: v.dh * (v.h > 0)},
    ),
    *SHARED,
]
FORMS = {"lstm": LSTM, "gru": GRU, "simple_rnn": SIMPLE_RNN}
COMMON = {"lstm": 3, "gru": 4, "simple_rnn": 2}  # the forms that are tried with every order of the gates
