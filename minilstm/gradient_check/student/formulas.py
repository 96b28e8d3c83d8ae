"""Each cell as a table of formulas, forward and backward, so that a known mistake is a changed line.

`forward` and `backward` run a table over a sequence: step by step, each formula in its turn, on a
namespace `v` that holds the step. A mistake (see `mistakes`) replaces a few formulas; running it
shows which wrong gradients it would give, for comparison with those of a wrong backward pass.

This is not the code that trains and not a reference to check with: numbers to check with come from
the complex step alone.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

import numpy as np

from minilstm.bptt.activations import sigmoid
from minilstm.foundations.arrays import Array

Formula = Callable[[Any], Any]
Table = dict[str, Formula]
Terms = tuple[tuple[str, ...], ...]  # a sum of products, by the names of their factors


def _one_minus(name: str, power: int) -> Formula:
    return lambda v: 1 - getattr(v, name) ** power


VALUES: Table = {  # factors that are not themselves a value of the step
    **{f"1 - {gate}": _one_minus(gate, 1) for gate in "ifozr"},
    **{f"1 - {name}^2": _one_minus(name, 2) for name in ("c", "g", "h_prev")},
    "1 - tanh(c)^2": lambda v: 1 - v.tanh_c * v.tanh_c,
    "tanh(c)": lambda v: v.tanh_c,
    "-g": lambda v: -v.g,
    "h_t": lambda v: v.hs[v.t + 1],
    "1 - h_t^2": lambda v: 1 - v.hs[v.t + 1] ** 2,
    "tanh(c_prev)": lambda v: np.tanh(v.c_prev),
    "tanh(h_t)": lambda v: np.tanh(v.hs[v.t + 1]),
    "1 - tanh(c)": lambda v: 1 - v.tanh_c,
    "the loss's own dh": lambda v: v.external,
    "the dh of later steps": lambda v: v.dh_next,
    "the incoming dc": lambda v: v.dc_in,
    "dh * o * (1 - tanh(c)^2)": lambda v: v.dh * v.o * (1 - v.tanh_c * v.tanh_c),
    "do * o * (1 - o)": lambda v: v.do * v.o * (1 - v.o),
}


def value(name: str) -> Formula:
    """The factor of that name."""
    return VALUES.get(name) or attrgetter(name)


def summed(terms: Terms) -> Formula:
    """The sum of these products."""
    factors = [[value(name) for name in term] for term in terms]

    def formula(v: Any) -> Any:
        total: Any = 0
        for first, *rest in factors:
            product = first(v)
            for factor in rest:
                product = product * factor(v)
            total = total + product
        return total

    return formula


def _joined(gates: str, values: str) -> Formula:
    names = [f"{values}_{gate}" for gate in gates]
    return lambda v: np.concatenate([getattr(v, name) for name in names], axis=-1)


BEFORE: Table = {  # what every step begins with
    "real": lambda v: v.mask[v.t][:, None],
    "x": lambda v: v.xs[v.t],
    "h_prev": lambda v: v.hs[v.t],
    "external": lambda v: v.externals[v.t],
    "dh": lambda v: v.dh_next + v.external,
}
AFTER: Table = {  # what every step ends with
    "dx": lambda v: v.dxw @ v.W.T,
    "dh_through": lambda v: v.dhu @ v.U.T + v.dh_direct,
    "dW": lambda v: v.x.T @ v.dxw,
    "dU": lambda v: v.h_prev.T @ v.dhu,
    "db": lambda v: v.dxw.sum(axis=0),
    "drb": lambda v: v.dhu.sum(axis=0),
    "W_sum": lambda v: v.W_sum + v.dW,
    "U_sum": lambda v: v.U_sum + v.dU,
    "b_sum": lambda v: v.b_sum + v.db,
    "rb_sum": lambda v: v.rb_sum + v.drb,
    "dh_prev": lambda v: np.where(v.real, v.dh_through, v.dh),
}

PRODUCTS: dict[str, dict[str, Terms]] = {  # what each cell multiplies and adds, unit by unit
    "lstm": {
        "do": (("dh", "tanh(c)"),),
        "dc": (("the incoming dc",), ("dh", "o", "1 - tanh(c)^2")),
        "di": (("dc", "g"),),
        "df": (("dc", "c_prev"),),
        "dg": (("dc", "i"),),
        "dz_i": (("di", "i", "1 - i"),),
        "dz_f": (("df", "f", "1 - f"),),
        "dz_g": (("dg", "1 - g^2"),),
        "dz_o": (("do", "o", "1 - o"),),
        "dc_through": (("dc", "f"),),
    },
    "gru": {
        "dg": (("dh", "write"),),
        "dz": (("sign", "dh", "h_prev"), ("sign", "dh", "-g")),
        "dz_g": (("dg", "1 - g^2"),),
        "dr": (("dz_g", "q"),),
        "dz_r": (("dr", "r", "1 - r"),),
        "dz_z": (("dz", "z", "1 - z"),),
        "dq": (("dz_g", "r"),),
        "dh_direct": (("dh", "keep"),),
    },
    "simple_rnn": {"dz_h": (("dh", "1 - h_t^2"),)},
}


def _lines(products: dict[str, Terms]) -> Table:
    return {name: summed(terms) for name, terms in products.items()}


LSTM: Table = {
    **BEFORE,
    "c": lambda v: v.c_new,
    "c_prev": lambda v: v.cs[v.t],
    "tanh_c": lambda v: np.tanh(v.c),
    "dc_in": lambda v: v.dc_next,
    **_lines(PRODUCTS["lstm"]),
    "dxw": lambda v: np.where(v.real, _joined("ifgo", "dz")(v), 0),
    "dhu": lambda v: v.dxw,
    "dh_direct": lambda v: 0,
    **AFTER,
    "dc_prev": lambda v: np.where(v.real, v.dc_through, v.dc_in),
}

GRU: Table = {
    **BEFORE,
    "sign": lambda v: 1,
    **_lines(PRODUCTS["gru"]),
    "dxw": lambda v: np.where(v.real, _joined("zrg", "dz")(v), 0),
    "dhu": lambda v: np.where(v.real, np.concatenate([v.dz_z, v.dz_r, v.dq], axis=-1), 0),
    **AFTER,
}

SIMPLE_RNN: Table = {
    **BEFORE,
    **_lines(PRODUCTS["simple_rnn"]),
    "dxw": lambda v: np.where(v.real, v.dz_h, 0),
    "dhu": lambda v: v.dxw,
    "dh_direct": lambda v: 0,
    **AFTER,
}

TABLES = {"lstm": LSTM, "gru": GRU, "simple_rnn": SIMPLE_RNN}
GATES = {"lstm": ("i", "f", "g", "o"), "gru": ("z", "r", "g"), "simple_rnn": ("h",)}


def _block(name: str, k: int, count: int) -> Formula:
    return lambda v: np.split(getattr(v, name), count, axis=-1)[k]


def _pre(gates: str) -> Table:
    """The pre-activation of each gate, from z."""
    return {f"pre_{gate}": _block("z_all", k, len(gates)) for k, gate in enumerate(gates)}


LINEAR: Table = {
    "real": lambda v: v.mask[v.t][:, None],
    "xw": lambda v: v.xs[v.t] @ v.W + v.b,
    "h_prev": lambda v: v.h,
    "hu": lambda v: v.h_prev @ v.U + v.rb,
}
LSTM_FORWARD: Table = {
    **LINEAR,
    "c_prev": lambda v: v.c,
    "z_all": lambda v: v.xw + v.hu,
    **_pre("ifgo"),
    "i": lambda v: sigmoid(v.pre_i),
    "f": lambda v: sigmoid(v.pre_f),
    "g": lambda v: np.tanh(v.pre_g),
    "o": lambda v: sigmoid(v.pre_o),
    "c_new": lambda v: v.f * v.c_prev + v.i * v.g,
    "h_new": lambda v: v.o * np.tanh(v.c_new),
    "c": lambda v: np.where(v.real, v.c_new, v.c_prev),
    "h": lambda v: np.where(v.real, v.h_new, v.h_prev),
}
GRU_FORWARD: Table = {
    **LINEAR,
    "q": _block("hu", 2, 3),
    "pre_z": lambda v: _block("xw", 0, 3)(v) + _block("hu", 0, 3)(v),
    "pre_r": lambda v: _block("xw", 1, 3)(v) + _block("hu", 1, 3)(v),
    "z": lambda v: sigmoid(v.pre_z),
    "r": lambda v: sigmoid(v.pre_r),
    "pre_g": lambda v: _block("xw", 2, 3)(v) + v.r * v.q,
    "g": lambda v: np.tanh(v.pre_g),
    "keep": lambda v: v.z,
    "write": lambda v: 1 - v.z,
    "h_new": lambda v: v.keep * v.h_prev + v.write * v.g,
    "h": lambda v: np.where(v.real, v.h_new, v.h_prev),
}
SIMPLE_RNN_FORWARD: Table = {
    **LINEAR,
    "pre_h": lambda v: v.xw + v.hu,
    "h_new": lambda v: np.tanh(v.pre_h),
    "h": lambda v: np.where(v.real, v.h_new, v.h_prev),
}
FORWARD_TABLES = {"lstm": LSTM_FORWARD, "gru": GRU_FORWARD, "simple_rnn": SIMPLE_RNN_FORWARD}


def forward(
    table: Table,
    x: Array,
    states: tuple[Array, ...],
    weights: dict[str, Array],
    mask: Array | None,
) -> SimpleNamespace:
    """What `table` computes, time-major, in the form that `backward` takes.

    x : (B, T, D);  states : (B, H) each;  weights : W, U, b, rb in this package's order of the gates.
    """
    B, T, _ = x.shape
    v = SimpleNamespace(**{"rb": 0, "xs": x.transpose(1, 0, 2), **weights})
    v.mask = np.ones((T, B), bool) if mask is None else mask.T
    v.h, v.c, v.h_first = states[0], states[-1], states[0]
    hs, cs = [v.h], [v.c]
    kept = [
        name for name in table if name in (*"ifgozrqh", "c_new", "keep", "write") or name.startswith("pre_")
    ]
    gates: dict[str, list[Array]] = {name: [] for name in kept}
    for t in range(T):
        v.t = t
        for name, formula in table.items():
            setattr(v, name, formula(v))
        hs.append(v.h)
        cs.append(v.c)
        for name in kept:
            gates[name].append(getattr(v, name))
    return SimpleNamespace(
        xs=v.xs,
        mask=v.mask,
        W=v.W,
        U=v.U,
        b=v.b,
        rb=v.rb,
        hs=np.array(hs),
        cs=np.array(cs),
        gates={name: np.array(values) for name, values in gates.items()},
    )


def backward(
    table: Table, forward: SimpleNamespace, externals: Array, last: Array | None
) -> dict[str, Array]:
    """The gradients that `table` gives.

    forward : xs (T, B, D), mask (T, B), hs and cs (T+1, B, H), W, U, and in `gates` each per-step value
    (T, B, H) by its name;  externals : (T, B, H) dL/dh_t from above;  last : (B, H) dL/dc_T or None.
    Returns x, h0, c0 (LSTM), W, U, b, rb under those names, time-major.
    """
    zero = np.zeros_like(externals[0])
    v = _at_the_end(forward, externals, zero, zero if last is None else last)
    dx = np.zeros_like(v.xs)
    for t in reversed(range(v.T)):
        _step(table, forward, v, t)
        dx[t] = v.dx
        v.dh_next = v.dh_prev
        if "dc_prev" in table:
            v.dc_next = v.dc_prev
    found = {"x": dx, "h0": v.dh_prev, "W": v.W_sum, "U": v.U_sum, "b": v.b_sum, "rb": v.rb_sum}
    return found | ({"c0": v.dc_prev} if "dc_prev" in table else {})


def _at_the_end(forward: SimpleNamespace, externals: Array, dh: Array, dc: Array) -> SimpleNamespace:
    """The namespace before any step backwards."""
    v = SimpleNamespace(**{key: value for key, value in vars(forward).items() if key != "gates"})
    v.externals, v.T, v.B = externals, *externals.shape[:2]
    v.dh_next, v.dc_next = dh, dc
    v.W_sum = v.U_sum = v.b_sum = v.rb_sum = 0
    return v


def _step(table: Table, forward: SimpleNamespace, v: SimpleNamespace, t: int) -> None:
    """Step t backwards: each formula in its turn."""
    v.t = t
    for name, values in forward.gates.items():
        setattr(v, name, values[t])
    for name, formula in table.items():
        setattr(v, name, formula(v))


def one_step(
    table: Table, forward: SimpleNamespace, t: int, dh: Array, dc: Array
) -> tuple[Array, Array, Array]:
    """What one step gives for the gradients dh, dc of its states: dx, and dh, dc of the states before it."""
    v = _at_the_end(forward, np.zeros((len(forward.mask), *dh.shape)), dh, dc)
    _step(table, forward, v, t)
    return v.dx, v.dh_prev, vars(v).get("dc_prev", dc)
