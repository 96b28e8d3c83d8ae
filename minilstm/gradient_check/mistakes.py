"""Known mistakes in backward passes, as changed formulas: the published ones and their relatives.

Each was made by somebody: missing sigmoid', the bias of another gate, h_t for h_{t-1}, dc_T ignored,
tanh applied twice, dc set to zero. `known` lists those that a cell can have.
"""

from __future__ import annotations

from itertools import combinations, permutations
from typing import Any, NamedTuple

import numpy as np

from minilstm.activations import sigmoid
from minilstm.gradient_check.formulas import GATES, TABLES, Array, Formula, Table


class Mistake(NamedTuple):
    """A cause in words, and the formulas that it puts in place of the right ones."""

    cause: str
    formulas: Table


def known(cell: str) -> list[Mistake]:
    """The mistakes that a backward pass of this cell can have, the likelier first."""
    own = {"lstm": _lstm, "gru": _gru, "simple_rnn": _simple_rnn}[cell]
    return [*own(), *_any_cell(cell)]


def known_forward(cell: str) -> list[Mistake]:
    """The mistakes that a forward pass of this cell can have."""
    lstm = [
        Mistake("h = o * c: tanh of the cell state is missing", {"h_new": lambda v: v.o * v.c_new}),
        Mistake("h = tanh(c): the output gate is missing", {"h_new": lambda v: np.tanh(v.c_new)}),
        Mistake("h shows the cell state before the step", {"h_new": lambda v: v.o * np.tanh(v.c_prev)}),
        Mistake("h = o * tanh(tanh(c))", {"h_new": lambda v: v.o * np.tanh(np.tanh(v.c_new))}),
        Mistake("the forget gate is missing: c = c_prev + i * g", {"c_new": lambda v: v.c_prev + v.i * v.g}),
        Mistake("c_prev is missing: c = i * g", {"c_new": lambda v: v.i * v.g}),
        Mistake("the input gate is missing: c = f * c_prev + g", {"c_new": lambda v: v.f * v.c_prev + v.g}),
        Mistake("i and f are exchanged in c", {"c_new": lambda v: v.i * v.c_prev + v.f * v.g}),
        Mistake("the candidate has sigmoid instead of tanh", {"g": lambda v: sigmoid(v.pre_g)}),
        Mistake("the candidate has no activation", {"g": lambda v: v.pre_g}),
        Mistake("1 is added to the forget gate's pre-activation", {"f": lambda v: sigmoid(v.pre_f + 1)}),
        Mistake("every gate has tanh", {gate: _tanh_of(gate) for gate in "ifo"}),
        Mistake("mask ignored", {"h": lambda v: v.h_new, "c": lambda v: v.c_new}),
        Mistake("mask ignored for c", {"c": lambda v: v.c_new}),
        Mistake("mask ignored for h", {"h": lambda v: v.h_new}),
        Mistake(
            "a masked step sets the state to 0 instead of holding it",
            {"h": lambda v: np.where(v.real, v.h_new, 0), "c": lambda v: np.where(v.real, v.c_new, 0)},
        ),
    ]
    gru = [
        Mistake(
            "z and 1 - z exchanged: h = (1 - z) * h_prev + z * g",
            {"h_new": lambda v: (1 - v.z) * v.h_prev + v.z * v.g},
        ),
        Mistake("the reset gate is missing", {"r": lambda v: np.ones_like(v.z)}),
        Mistake(
            "the reset gate multiplies h_prev before the product with U (reset_after=False)",
            {"pre_g": _before_g},
        ),
        Mistake("mask ignored", {"h": lambda v: v.h_new}),
    ]
    rnn = [
        Mistake("tanh is missing", {"h_new": lambda v: v.pre_h}),
        Mistake("sigmoid instead of tanh", {"h_new": lambda v: sigmoid(v.pre_h)}),
        Mistake("mask ignored", {"h": lambda v: v.h_new}),
    ]
    shared = [
        Mistake("the bias is missing", {"xw": lambda v: v.xs[v.t] @ v.W}),
        Mistake("h_prev is missing: the recurrent kernel is not used", {"hu": lambda v: v.rb + 0 * v.xw}),
        Mistake("the recurrent bias is missing", {"hu": lambda v: v.h_prev @ v.U}),
        Mistake("x of the step before is used", {"xw": lambda v: v.xs[v.t - 1] @ v.W + v.b}),
        Mistake("h is not passed on: every step begins at h0", {"h_prev": lambda v: v.h_first}),
    ]
    return [*{"lstm": lstm, "gru": gru, "simple_rnn": rnn}[cell], *shared]


def _tanh_of(gate: str) -> Formula:
    return lambda v: np.tanh(getattr(v, f"pre_{gate}"))


def _before_g(v: Any) -> Array:
    U, rb = (np.split(part, 3, axis=-1)[2] for part in (v.U, v.rb))
    found: Array = np.split(v.xw, 3, axis=-1)[2] + (v.r * v.h_prev) @ U + rb
    return found


def _lstm() -> list[Mistake]:
    tanh2 = "1 - tanh(c)^2"
    return [
        Mistake("missing forget-gate path: dc_prev is not dc * f, dc is passed on as 0", _dc_prev(0)),
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
        Mistake("tanh missing in do: dh * c instead of dh * tanh(c)", {"do": lambda v: v.dh * v.c}),
        Mistake("do uses the cell state before the step, c_prev", {"do": lambda v: v.dh * np.tanh(v.c_prev)}),
        Mistake("do lacks the factor tanh(c)", {"do": lambda v: v.dh}),
        Mistake("di uses i where g belongs", {"di": lambda v: v.dc * v.i}),
        Mistake("dg uses g where i belongs", {"dg": lambda v: v.dc * v.g}),
        Mistake("df uses c_t where c_{t-1} belongs: off by one step", {"df": lambda v: v.dc * v.c}),
        Mistake("df uses h_{t-1} where c_{t-1} belongs", {"df": lambda v: v.dc * v.h_prev}),
        Mistake("di uses c_{t-1} where g belongs", {"di": lambda v: v.dc * v.c_prev}),
        Mistake("dc_T ignored: the gradient of the last cell state is not used", _first("dc_in", 0)),
        Mistake("df is left at 0", {"df": lambda v: 0 * v.dc}),
        Mistake("di is left at 0", {"di": lambda v: 0 * v.dc}),
        Mistake("dg is left at 0", {"dg": lambda v: 0 * v.dc}),
        Mistake("do is left at 0", {"do": lambda v: 0 * v.dh}),
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
        Mistake("the direct path has 1 - z instead of z", {"dh_direct": lambda v: v.dh * (1 - v.z)}),
        Mistake("dg has z instead of 1 - z", {"dg": lambda v: v.dh * v.z}),
        Mistake("dz lacks h_{t-1}: -dh * g instead of dh * (h_prev - g)", {"dz": lambda v: -v.dh * v.g}),
        Mistake("dz lacks g: dh * h_prev instead of dh * (h_prev - g)", {"dz": lambda v: v.dh * v.h_prev}),
        Mistake("dz has the wrong sign: g - h_prev", {"dz": lambda v: v.dh * (v.g - v.h_prev)}),
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


TANH = {"g", "h"}  # the gates whose activation is tanh; the others have sigmoid


def _slope(gate: str, form: str) -> Formula:
    """d(gate) -> dz_gate, with the derivative of the activation in one of several forms."""
    upstream = "dh" if gate == "h" else f"d{gate}"

    def formula(v: Any) -> Array:
        d, s, z = getattr(v, upstream), getattr(v, gate), getattr(v, f"pre_{gate}")
        slopes = {
            "none": lambda: np.ones_like(s),
            "input": lambda: 1 - z * z if gate in TANH else z * (1 - z),
            "other": lambda: s * (1 - s) if gate in TANH else 1 - s * s,
            "half": lambda: 1 - s,
            "minus": lambda: -(1 - s * s) if gate in TANH else -s * (1 - s),
            "double": lambda: 2 * (1 - s * s) if gate in TANH else 2 * s * (1 - s),
            "again": lambda: 1 - np.tanh(s) ** 2 if gate in TANH else sigmoid(s) * (1 - sigmoid(s)),
            "twice": lambda: (1 - s * s) ** 2 if gate in TANH else (s * (1 - s)) ** 2,
        }
        found: Array = d * slopes[form]()
        return found

    return formula


def _any_cell(cell: str) -> list[Mistake]:
    gates = GATES[cell]
    found = []
    words = {
        "none": "missing derivative of the activation",
        "input": "derivative from the pre-activation z instead of the activation's output",
        "other": "derivative of the wrong activation (sigmoid's for tanh, or tanh's for sigmoid)",
        "half": "derivative 1 - s, where s (1 - s) for sigmoid and 1 - s^2 for tanh belong",
        "minus": "sign flipped",
        "double": "factor 2",
        "again": "activation applied twice: its derivative is taken at its output",
        "twice": "derivative of the activation applied twice",
    }
    for form, cause in words.items():
        for gate in gates:
            found.append(Mistake(f"{cause}, in gate {gate}", {f"dz_{gate}": _slope(gate, form)}))
        if len(gates) > 1:
            every = {f"dz_{gate}": _slope(gate, form) for gate in gates}
            found.append(Mistake(f"{cause}, in every gate", every))
            sigmoids = {key: value for key, value in every.items() if key[3:] not in TANH}
            found.append(Mistake(f"{cause}, in every sigmoid gate", sigmoids))
    for a, b in combinations(range(len(gates)), 2):
        pair = f"{gates[a]} and {gates[b]}"
        found.append(Mistake(f"gates {pair} swapped", {"dxw": _swap(cell, "dxw", a, b)}))
        if cell == "gru":
            found[-1].formulas["dhu"] = _swap(cell, "dhu", a, b)
        for name, weight in (("dW", "W"), ("dU", "U"), ("db", "b"), ("drb", "rb")):
            if name == "drb" and cell != "gru":
                continue
            cause = f"gates {pair} swapped in the gradient of {weight}"
            found.append(Mistake(cause, {name: _swap(cell, name, a, b, upstream=True)}))
    for a, b in permutations(range(len(gates)), 2):
        cause = f"bias gradient of gate {gates[a]} is that of another gate, {gates[b]}"
        found.append(Mistake(cause, {"db": _copy_bias(len(gates), a, b)}))
    for k, gate in enumerate(gates):
        cause = f"recurrent kernel of gate {gate} not transposed in dh_prev"
        found.append(Mistake(cause, {"dh_through": _untransposed(len(gates), [k])}))
        cause = f"gradient of the recurrent kernel transposed, in gate {gate}"
        found.append(Mistake(cause, {"dU": _transposed(len(gates), [k])}))
        if len(gates) == 1:
            continue
        cause = f"gate {gate} missing in dh_prev"
        found.append(Mistake(cause, {"dh_through": _without("dhu", "U", len(gates), k)}))
        cause = f"gate {gate} missing in dx"
        found.append(Mistake(cause, {"dx": _without("dxw", "W", len(gates), k)}))
    every_gate = list(range(len(gates)))
    found += [
        Mistake(
            "recurrent kernel not transposed in dh_prev",
            {"dh_through": _untransposed(len(gates), every_gate)},
        ),
        Mistake("gradient of the recurrent kernel transposed", {"dU": _transposed(len(gates), every_gate)}),
        Mistake(
            "h_t used where h_{t-1} belongs in the gradient of U: off by one step",
            {"dU": lambda v: v.hs[v.t + 1].T @ v.dhu},
        ),
        Mistake(
            "h_{t-2} used where h_{t-1} belongs in the gradient of U: off by one step",
            {"dU": lambda v: v.hs[max(v.t - 1, 0)].T @ v.dhu},
        ),
        Mistake(
            "x of the next step used in the gradient of W: off by one step",
            {"dW": lambda v: v.xs[min(v.t + 1, v.T - 1)].T @ v.dxw},
        ),
        Mistake(
            "x of the step before used in the gradient of W: off by one step",
            {"dW": lambda v: v.xs[v.t - 1].T @ v.dxw},
        ),
        Mistake("dh_prev is not passed on: every step is on its own", {"dh_prev": lambda v: 0 * v.dh}),
        Mistake(
            "dh of later steps passed on twice: added to itself", {"dh": lambda v: 2 * v.dh_next + v.external}
        ),
        Mistake(
            "the incoming dh of a step is passed on beside dh_prev",
            {"dh_prev": lambda v: np.where(v.real, v.dh_through, 0) + v.dh},
        ),
        Mistake("dh of later steps replaces the step's own dh", _all_but_last("dh", "dh_next")),
        Mistake(
            "the step's own dh replaces that of later steps: dh is not accumulated",
            {"dh": lambda v: v.external},
        ),
        Mistake("dh_T ignored: the gradient of the last output is not used", _first("external", 0)),
        Mistake(
            "the incoming dh is read one step too early: off by one step",
            {"external": lambda v: v.externals[v.t - 1]},
        ),
        Mistake(
            "the incoming dh is read one step too late: off by one step",
            {"external": lambda v: v.externals[v.t + 1] if v.t + 1 < v.T else 0 * v.externals[v.t]},
        ),
        Mistake("only the last dh is used: those of earlier steps are ignored", _only_last()),
        Mistake(
            "mask ignored: masked steps are treated as real ones",
            {"real": lambda v: np.ones_like(v.mask[v.t][:, None])},
        ),
        Mistake(
            "at a masked step the gradient is cut instead of passed through",
            {"dh_prev": lambda v: np.where(v.real, v.dh_through, 0)}
            | ({"dc_prev": lambda v: np.where(v.real, v.dc_through, 0)} if cell == "lstm" else {}),
        ),
        Mistake(
            "at a masked step dh is cut instead of passed through",
            {"dh_prev": lambda v: np.where(v.real, v.dh_through, 0)},
        ),
        Mistake("dx uses the recurrent path's dhu instead of dxw", {"dx": lambda v: v.dhu @ v.W.T}),
    ]
    ends = {"dh_prev": _not_at_the_start("dh_through", "dh")}
    if cell == "lstm":
        ends["dc_prev"] = _not_at_the_start("dc_through", "dc_in")
    found.append(Mistake("the gradient of the initial state is left at 0", ends))
    for name, weight in (("W", "W"), ("U", "U"), ("b", "b")):
        cause = f"gradient of {weight} not accumulated over the steps: only that of the first step is left"
        found.append(Mistake(cause, {f"{name}_sum": _first_step_only(f"d{name}")}))
    overwritten = {f"{name}_sum": _first_step_only(f"d{name}") for name in ("W", "U", "b", "rb")}
    found.append(
        Mistake("gradients not accumulated over the steps: only that of the first step is left", overwritten)
    )
    for rows, words_of in ((slice(0, 1), "first"), (slice(-1, None), "last")):
        for name, value in (("dW", "x"), ("dU", "h_prev"), ("db", "")):
            cause = f"{name} not accumulated over the batch: only its {words_of} sample counts"
            found.append(Mistake(cause, {name: _some_rows(name, value, rows)}))
        every = {n: _some_rows(n, value, rows) for n, value in (("dW", "x"), ("dU", "h_prev"), ("db", ""))}
        found.append(Mistake(f"not accumulated over the batch: only its {words_of} sample counts", every))
    return found


def _dc_prev(value: float) -> Table:
    return {"dc_through": lambda v: value * v.dc}


def _first(name: str, factor: float) -> Table:
    """The value of `name` at the last step, the first that backward meets, times `factor`."""
    source: dict[str, Formula] = {
        "dc_in": lambda v: v.dc_next,
        "external": lambda v: v.externals[v.t],
    }
    right = source[name]
    return {name: lambda v: right(v) * (factor if v.t == v.T - 1 else 1)}


def _only_last() -> Table:
    return {"external": lambda v: v.externals[v.t] * (v.t == v.T - 1)}


def _all_but_last(name: str, other: str) -> Table:
    return {name: lambda v: v.external if v.t == v.T - 1 else getattr(v, other)}


def _blocks(array: Array, count: int) -> list[Array]:
    return list(np.split(array, count, axis=-1))


def _swap(cell: str, name: str, a: int, b: int, upstream: bool = False) -> Formula:
    """The formula of `name` with two gates' blocks exchanged."""
    right = TABLES[cell][name]
    order = list(range(len(GATES[cell])))
    order[a], order[b] = order[b], order[a]

    def formula(v: Any) -> Array:
        blocks = _blocks(right(v), len(order))
        return np.concatenate([blocks[k] for k in order], axis=-1)

    return formula


def _copy_bias(count: int, gate: int, other: int) -> Formula:
    def formula(v: Any) -> Array:
        blocks = _blocks(v.dxw.sum(axis=0), count)
        blocks[gate] = blocks[other]
        return np.concatenate(blocks, axis=-1)

    return formula


def _untransposed(count: int, gates: list[int]) -> Formula:
    def formula(v: Any) -> Array:
        total: Array = 0 + v.dh_direct
        parts = zip(_blocks(v.dhu, count), _blocks(v.U, count), strict=True)
        for k, (dhu, U) in enumerate(parts):
            total = total + dhu @ (U if k in gates else U.T)
        return total

    return formula


def _transposed(count: int, gates: list[int]) -> Formula:
    def formula(v: Any) -> Array:
        blocks = _blocks(v.h_prev.T @ v.dhu, count)
        return np.concatenate([b.T if k in gates else b for k, b in enumerate(blocks)], axis=-1)

    return formula


def _without(values: str, weight: str, count: int, gate: int) -> Formula:
    """dx or dh_prev with one gate's share left out."""

    def formula(v: Any) -> Array:
        d, w = _blocks(getattr(v, values), count), _blocks(getattr(v, weight), count)
        total: Any = v.dh_direct if weight == "U" else 0
        for k in range(count):
            if k != gate:
                total = total + d[k] @ w[k].T
        return total if count > 1 else 0 * (d[0] @ w[0].T)

    return formula


def _not_at_the_start(through: str, held: str) -> Formula:
    return lambda v: np.where(v.real, getattr(v, through), getattr(v, held)) * (v.t > 0)


def _first_step_only(name: str) -> Formula:
    return lambda v: getattr(v, name)


def _some_rows(name: str, value: str, rows: slice) -> Formula:
    d = "dhu" if name == "dU" else "dxw"
    if not value:
        return lambda v: getattr(v, d)[rows].sum(axis=0)
    return lambda v: getattr(v, value)[rows].T @ getattr(v, d)[rows]
