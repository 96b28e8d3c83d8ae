"""Known mistakes in backward passes, as changed formulas: the published ones and their relatives.

Each was made by somebody: missing sigmoid', the bias of another gate, h_t for h_{t-1}, dc_T ignored,
tanh applied twice, dc set to zero. `known` lists those that a cell can have.
"""

from __future__ import annotations

import numpy as np

from minilstm.gradient_check.student.shared_mistakes import Mistake, any_cell


def known(cell: str) -> list[Mistake]:
    """The mistakes that a backward pass of this cell can have, the likelier first."""
    own = {"lstm": _lstm, "gru": _gru, "simple_rnn": _simple_rnn}[cell]
    return [*own(), *any_cell(cell)]


def _lstm() -> list[Mistake]:
    tanh2 = "1 - tanh(c)^2"
    return [
        Mistake(
            "missing forget-gate path: dc_prev is not dc * f, dc is passed on as 0",
            {"dc_through": lambda v: 0 * v.dc},
        ),
        Mistake(
            "missing forget-gate path: dc is passed on without the factor f",
            {"dc_through": lambda v: v.dc},
        ),
        Mistake("dc is passed on with the input gate i instead of f", {"dc_through": lambda v: v.dc * v.i}),
        Mistake(
            f"missing {tanh2} in the path from h to c",
            {"dc": lambda v: v.dc_in + v.dh * v.o},
        ),
        Mistake(
            f"tanh applied twice: 1 - tanh(tanh(c))^2 instead of {tanh2}",
            {"dc": lambda v: v.dc_in + v.dh * v.o * (1 - np.tanh(v.tanh_c) ** 2)},
        ),
        Mistake(
            f"1 - c^2 instead of {tanh2}: derivative through the input of tanh, not its output",
            {"dc": lambda v: v.dc_in + v.dh * v.o * (1 - v.c * v.c)},
        ),
        Mistake(
            f"1 - tanh(c) instead of {tanh2}: the square is missing",
            {"dc": lambda v: v.dc_in + v.dh * v.o * (1 - v.tanh_c)},
        ),
        Mistake(
            f"{tanh2} taken at c_prev instead of c",
            {"dc": lambda v: v.dc_in + v.dh * v.o * (1 - np.tanh(v.c_prev) ** 2)},
        ),
        Mistake(
            f"{tanh2} multiplies the incoming dc too",
            {"dc": lambda v: (v.dc_in + v.dh * v.o) * (1 - v.tanh_c**2)},
        ),
        Mistake(
            "missing output gate in the path from h to c",
            {"dc": lambda v: v.dc_in + v.dh * (1 - v.tanh_c**2)},
        ),
        Mistake("missing path from h to c: dh never reaches dc", {"dc": lambda v: v.dc_in}),
        Mistake(
            "the dc of later steps is dropped: dc = dh * o * (1 - tanh(c)^2) without the incoming dc",
            {"dc": lambda v: v.dh * v.o * (1 - v.tanh_c**2)},
        ),
        Mistake(
            "the path from h to c is missing in what is passed on: dc_prev takes dc from before it",
            {"dc_through": lambda v: v.dc_in * v.f},
        ),
        Mistake(
            "the incoming dc is added after the step, not before: the gates see dh's part of it only",
            {"dc": lambda v: v.dh * v.o * (1 - v.tanh_c**2), "dc_through": lambda v: (v.dc + v.dc_in) * v.f},
        ),
        Mistake(
            "the incoming dc is added after the step, not before: it passes without the forget gate",
            {"dc": lambda v: v.dh * v.o * (1 - v.tanh_c**2), "dc_through": lambda v: v.dc * v.f + v.dc_in},
        ),
        Mistake(
            "dh's part of dc is added after the step, not before: the gates see the incoming dc only",
            {
                "dc": lambda v: v.dc_in,
                "dc_through": lambda v: (v.dc_in + v.dh * v.o * (1 - v.tanh_c**2)) * v.f,
            },
        ),
        Mistake(
            "only half of the incoming dc is added",
            {"dc": lambda v: v.dc_in / 2 + v.dh * v.o * (1 - v.tanh_c**2)},
        ),
        Mistake("tanh missing in do: dh * c instead of dh * tanh(c)", {"do": lambda v: v.dh * v.c}),
        Mistake("do uses the cell state before the step, c_prev", {"do": lambda v: v.dh * np.tanh(v.c_prev)}),
        Mistake("do lacks the factor tanh(c)", {"do": lambda v: v.dh}),
        *(_factor("i", used, "g") for used in "ifo"),
        *(_factor("g", used, "i") for used in "gfo"),
        Mistake("df uses c_t where c_{t-1} belongs: off by one step", {"df": lambda v: v.dc * v.c}),
        Mistake("df uses h_{t-1} where c_{t-1} belongs", {"df": lambda v: v.dc * v.h_prev}),
        Mistake(
            "c_{t-1} used where h_{t-1} belongs in the gradient of U", {"dU": lambda v: v.c_prev.T @ v.dhu}
        ),
        Mistake("di uses c_{t-1} where g belongs", {"di": lambda v: v.dc * v.c_prev}),
        Mistake(
            "dc_T ignored: the gradient of the last cell state is not used",
            {"dc_in": lambda v: v.dc_next * (v.t < v.T - 1)},
        ),
        *(Mistake(f"d{gate} is left at 0", {f"d{gate}": lambda v: 0 * v.dh}) for gate in "figo"),
        Mistake(
            "mask ignored for c: at a masked step dc is passed on as at a real one",
            {"dc_prev": lambda v: v.dc_through},
        ),
        Mistake(
            "at a masked step dc is cut instead of passed through",
            {"dc_prev": lambda v: np.where(v.real, v.dc_through, 0)},
        ),
    ]


def _gru() -> list[Mistake]:
    return [
        Mistake("missing direct path: dh * z does not reach dh_prev", {"dh_direct": lambda v: 0 * v.dh}),
        Mistake(
            "z and 1 - z exchanged in the direct path to dh_prev", {"dh_direct": lambda v: v.dh * v.write}
        ),
        Mistake(
            "z is missing in the direct path: the whole dh reaches dh_prev", {"dh_direct": lambda v: v.dh}
        ),
        Mistake("z and 1 - z exchanged in dg", {"dg": lambda v: v.dh * v.keep}),
        Mistake("dg lacks the factor that the update gate is in h", {"dg": lambda v: v.dh}),
        Mistake("dz lacks h_{t-1} in the difference of h_prev and g", {"dz": lambda v: -v.sign * v.dh * v.g}),
        Mistake("dz lacks g in the difference of h_prev and g", {"dz": lambda v: v.sign * v.dh * v.h_prev}),
        Mistake("dz has the wrong sign", {"dz": lambda v: -v.sign * v.dh * (v.h_prev - v.g)}),
        Mistake("missing reset gate in the path to h_prev", {"dq": lambda v: v.dz_g}),
        Mistake("dr uses h_{t-1} instead of q = h_prev @ U_g + rb_g", {"dr": lambda v: v.dz_g * v.h_prev}),
        Mistake("dr lacks the derivative of tanh", {"dr": lambda v: v.dg * v.q}),
        Mistake("bias gradients b and rb are the same", {"drb": lambda v: v.db}),
    ]


def _simple_rnn() -> list[Mistake]:
    return [
        Mistake(
            "tanh applied twice: 1 - tanh(h)^2 instead of 1 - h^2",
            {"dz_h": lambda v: v.dh * (1 - np.tanh(v.h) ** 2)},
        ),
        Mistake(
            "derivative at h_{t-1}: off by one step", {"dz_h": lambda v: v.dh * (1 - v.h_prev * v.h_prev)}
        ),
        Mistake("1 - h instead of 1 - h^2: the square is missing", {"dz_h": lambda v: v.dh * (1 - v.h)}),
    ]


def _factor(gate: str, used: str, right: str) -> Mistake:
    """d of the gate with another value of the step in the place of its factor of dc."""
    return Mistake(
        f"d{gate} uses {used} where {right} belongs", {f"d{gate}": lambda v: v.dc * getattr(v, used)}
    )
