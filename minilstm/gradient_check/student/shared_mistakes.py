"""Known mistakes in a backward pass that any cell can have; see `mistakes`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, permutations
from operator import attrgetter
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from minilstm.bptt.activations import sigmoid
from minilstm.foundations.arrays import Array
from minilstm.gradient_check.student.formulas import GATES, TABLES, Formula, Table

OVER_TIME = {"external", "dh", "W_sum", "U_sum", "b_sum", "rb_sum", "dc_in"}


class Mistake(NamedTuple):
    """A cause in words, and the formulas that it puts in place of the right ones."""

    cause: str
    formulas: Table
    between_steps: bool = False

    @property
    def over_time(self) -> bool:
        """Whether it is about what passes between steps, so that one step cannot show it."""
        return self.between_steps or bool(self.formulas.keys() & OVER_TIME)

    def covers(self, other: Mistake) -> bool:
        """Whether the other one says the same in other words, or of fewer gates."""
        return other.formulas.keys() <= self.formulas.keys() or self.cause[:12] == other.cause[:12]


TANH = {"g", "h"}  # the gates whose activation is tanh; the others have sigmoid


def _derivative(gate: str, s: Array) -> Array:
    """Of the gate's activation, through its value s."""
    return 1 - s * s if gate in TANH else s * (1 - s)


def _slope(gate: str, form: str) -> Formula:
    """d(gate) -> dz_gate, with the derivative of the activation in one of several forms."""
    upstream = "dh" if gate == "h" else f"d{gate}"

    def formula(v: Any) -> Array:
        d, s, z = getattr(v, upstream), getattr(v, gate), getattr(v, f"pre_{gate}")
        slopes: dict[str, Callable[[], Array]] = {
            "none": lambda: np.ones_like(s),
            "input": lambda: 1 - z * z if gate in TANH else z * (1 - z),
            "other": lambda: s * (1 - s) if gate in TANH else 1 - s * s,
            "half": lambda: 1 - s,
            "minus": lambda: -_derivative(gate, s),
            "double": lambda: 2 * _derivative(gate, s),
            "value": lambda: s,
            "again": lambda: 1 - np.tanh(s) ** 2 if gate in TANH else sigmoid(s) * (1 - sigmoid(s)),
            "twice": lambda: _derivative(gate, s) ** 2,
        }
        found: Array = d * slopes[form]()
        return found

    return formula


def any_cell(cell: str) -> list[Mistake]:
    """The mistakes that a backward pass of every cell can have, the likelier first."""
    gates = GATES[cell]
    return [*_slopes(gates), *_gates(cell, gates), *_steps(cell, gates), *_sums(cell), *_others(cell, gates)]


def _others(cell: str, gates: tuple[str, ...]) -> list[Mistake]:
    """Seen in public code: states read from the wrong end, gradients not passed on, another gate's value."""
    alone = "the states' gradients are not passed from step t to t-1: every step is on its own"
    index = "of step 0 is read from index -1, which is the last step's"
    found = [
        Mistake(
            "dx is summed over the steps",
            {"dx": lambda v: v.dxw @ v.W.T + (v.dx if v.t < v.T - 1 else 0)},
            True,
        ),
        Mistake(f"h {index}", {"dU": lambda v: v.hs[v.t or -1].T @ v.dhu}, True),
        Mistake(f"h {index}", {"h_prev": lambda v: v.hs[v.t or -1]}, True),
    ]
    if cell == "lstm":
        cut: Table = {"dh": lambda v: v.external}
        found += [
            Mistake(alone, cut | {"dc_in": lambda v: 0 * v.dc_next}),
            Mistake(alone, cut | {"dc_in": lambda v: v.dc_next * (v.t == v.T - 1)}),
            Mistake(alone, {"dh_prev": lambda v: 0 * v.dh, "dc_prev": lambda v: 0 * v.dh}),
            Mistake(f"c {index}", {"c_prev": lambda v: v.cs[v.t or -1]}, True),
            Mistake(
                f"h and c {index}",
                {"c_prev": lambda v: v.cs[v.t or -1], "h_prev": lambda v: v.hs[v.t or -1]},
                True,
            ),
        ]
    names = {"W_sum": "dW", "U_sum": "dU", "b_sum": "db", "rb_sum": "drb"}
    last = {total: _last_step_only(total, part) for total, part in names.items()}
    found.append(Mistake("weight gradients of the last step only: not accumulated over the steps", last))
    for total, part in names.items():
        cause = f"{part} of the last step only: not accumulated over the steps"
        found.append(Mistake(cause, {total: last[total]}))
    for a, b in permutations(range(len(gates)), 2):
        gate, other = gates[a], gates[b]
        found.append(
            Mistake(
                f"the derivative of gate {gate} is taken at gate {other}'s value",
                {f"dz_{gate}": _at_other(gate, other)},
            )
        )
        found.append(
            Mistake(
                f"the derivative of gate {gate} is taken with the bias of gate {other}",
                {f"dz_{gate}": _with_other_bias(gate, a, b, len(gates))},
            )
        )
    return found


def _last_step_only(total: str, part: str) -> Formula:
    return lambda v: getattr(v, part) if v.t == v.T - 1 else getattr(v, total)


def _at_other(gate: str, other: str) -> Formula:
    def formula(v: Any) -> Array:
        s = getattr(v, other)
        found: Array = getattr(v, f"d{gate}") * _derivative(gate, s)
        return found

    return formula


def _with_other_bias(gate: str, a: int, b: int, count: int) -> Formula:
    def formula(v: Any) -> Array:
        bias = _blocks(v.b, count)
        z = getattr(v, f"pre_{gate}") - bias[a] + bias[b]
        s = np.tanh(z) if gate in TANH else sigmoid(z)
        found: Array = getattr(v, f"d{gate}") * _derivative(gate, s)
        return found

    return formula


def _slopes(gates: tuple[str, ...]) -> list[Mistake]:
    """The derivative of the activation is missing or another one."""
    found = []
    words = {
        "none": "missing derivative of the activation",
        "input": "derivative from the pre-activation z instead of the activation's output",
        "other": "derivative of the wrong activation (sigmoid's for tanh, or tanh's for sigmoid)",
        "half": "derivative 1 - s, where s (1 - s) for sigmoid and 1 - s^2 for tanh belong",
        "minus": "sign flipped",
        "double": "factor 2",
        "value": "the activation's value instead of its derivative",
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
    return found


def _gates(cell: str, gates: tuple[str, ...]) -> list[Mistake]:
    """One gate is taken for another, left out, or its kernel is not transposed."""
    found = []
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
        other = f"of gate {gates[a]} is that of another gate, {gates[b]}"
        copied: Table = {name: _copied(cell, name, a, b) for name in ("dW", "dU", "db")}
        found.append(Mistake(f"bias gradient {other}", {"db": copied["db"]}))
        found.append(Mistake(f"gradient of W {other}", {"dW": copied["dW"]}))
        found.append(Mistake(f"gradient of U {other}", {"dU": copied["dU"]}))
        found.append(Mistake(f"gradient of W and U {other}", {"dW": copied["dW"], "dU": copied["dU"]}))
    for k, gate in enumerate(gates):
        cause = f"recurrent kernel of gate {gate} not transposed in dh_prev"
        found.append(Mistake(cause, {"dh_through": _untransposed(len(gates), [k])}))
        cause = f"gradient of the recurrent kernel transposed, in gate {gate}"
        found.append(Mistake(cause, {"dU": _transposed(len(gates), [k])}))
        if len(gates) == 1:
            continue
        missing: Table = {
            "dh_through": _without("dhu", "U", len(gates), k),
            "dx": _without("dxw", "W", len(gates), k),
        }
        for where, names in (("dh_prev", ["dh_through"]), ("dx", ["dx"]), ("dx and dh_prev", [*missing])):
            found.append(Mistake(f"gate {gate} missing in {where}", {name: missing[name] for name in names}))
    return found


def _steps(cell: str, gates: tuple[str, ...]) -> list[Mistake]:
    """A state, an input or a gradient is that of another step, or is not passed on."""
    every_gate = list(range(len(gates)))
    return [
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
            True,
        ),
        Mistake(
            "x of the next step used in the gradient of W: off by one step",
            {"dW": lambda v: v.xs[min(v.t + 1, v.T - 1)].T @ v.dxw},
            True,
        ),
        Mistake(
            "x of the step before used in the gradient of W: off by one step",
            {"dW": lambda v: v.xs[v.t - 1].T @ v.dxw},
            True,
        ),
        Mistake("dh_prev is not passed on: every step is on its own", {"dh_prev": lambda v: 0 * v.dh}),
        Mistake(
            "dh of later steps passed on twice: added to itself", {"dh": lambda v: 2 * v.dh_next + v.external}
        ),
        Mistake(
            "the incoming dh of a step is passed on beside dh_prev",
            {"dh_prev": lambda v: np.where(v.real, v.dh_through, 0) + v.dh},
        ),
        Mistake(
            "dh of later steps replaces the step's own dh",
            {"dh": lambda v: v.external if v.t == v.T - 1 else v.dh_next},
        ),
        Mistake(
            "the step's own dh replaces that of later steps: dh is not accumulated",
            {"dh": lambda v: v.external},
        ),
        Mistake(
            "dh_T ignored: the gradient of the last output is not used",
            {"external": lambda v: v.externals[v.t] * (v.t < v.T - 1)},
        ),
        Mistake(
            "the incoming dh is read one step too early: off by one step",
            {"external": lambda v: v.externals[v.t - 1]},
        ),
        Mistake(
            "the incoming dh is read one step too late: off by one step",
            {"external": lambda v: v.externals[v.t + 1] if v.t + 1 < v.T else 0 * v.externals[v.t]},
        ),
        Mistake(
            "only the last dh is used: those of earlier steps are ignored",
            {"external": lambda v: v.externals[v.t] * (v.t == v.T - 1)},
        ),
        Mistake(
            "mask ignored: masked steps are treated as real ones",
            {"real": lambda v: np.ones_like(v.mask[v.t][:, None])},
        ),
        Mistake(
            "masked steps count in the gradients of x and the weights",
            {name: _as_if_real(TABLES[cell][name]) for name in ("dxw", "dhu")},
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


def _sums(cell: str) -> list[Mistake]:
    """A gradient is not added up over steps or samples, or that of the initial state is left out."""
    found = []
    ends = {"dh_prev": _not_at_the_start("dh_through", "dh")}
    if cell == "lstm":
        ends["dc_prev"] = _not_at_the_start("dc_through", "dc_in")
    found.append(Mistake("the gradient of the initial state is left at 0", ends))
    left = "not accumulated over the steps: only that of the first step is left"
    overwritten: Table = {f"{name}_sum": attrgetter(f"d{name}") for name in ("W", "U", "b", "rb")}
    for name in "WUb":
        found.append(Mistake(f"gradient of {name} {left}", {f"{name}_sum": overwritten[f"{name}_sum"]}))
    found.append(Mistake(f"gradients {left}", overwritten))
    for rows, words_of in ((slice(0, 1), "first"), (slice(-1, None), "last")):
        cause = f"not accumulated over the batch: only its {words_of} sample counts"
        every = {n: _some_rows(n, value, rows) for n, value in (("dW", "x"), ("dU", "h_prev"), ("db", ""))}
        found += [Mistake(f"{name} {cause}", {name: formula}) for name, formula in every.items()]
        found.append(Mistake(cause, every))
    return found


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


def _copied(cell: str, name: str, gate: int, other: int) -> Formula:
    """The formula of `name` with one gate's block in the place of another's."""
    right = TABLES[cell][name]

    def formula(v: Any) -> Array:
        blocks = _blocks(right(v), len(GATES[cell]))
        blocks[gate] = blocks[other]
        return np.concatenate(blocks, axis=-1)

    return formula


def _as_if_real(right: Formula) -> Formula:
    """The formula's value where no step is masked."""
    return lambda v: right(SimpleNamespace(**vars(v) | {"real": np.ones_like(v.real)}))


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


def _some_rows(name: str, value: str, rows: slice) -> Formula:
    d = "dhu" if name == "dU" else "dxw"
    if not value:
        return lambda v: getattr(v, d)[rows].sum(axis=0)
    return lambda v: getattr(v, value)[rows].T @ getattr(v, d)[rows]
