"""Which forward pass is it? This package's, a known other form of the cell, or another one.

A known form comes with the backward formulas that belong to it, so that mistakes in it can be named;
and it stands in for a forward pass that cannot be run on complex numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from minilstm.arrays import Array
from minilstm.bptt.activations import sigmoid
from minilstm.gradient_check.student import formulas
from minilstm.gradient_check.student.cases import SPECS, Case, Spec, Values, in_our_order
from minilstm.gradient_check.student.formulas import Formula, Table
from minilstm.gradient_check.student.shared_mistakes import Mistake

CLOSE = 1e-8


class Form(NamedTuple):
    """A form of a cell's step: in words, "" for the common one; what differs forward and backward."""

    words: str
    forward: Table
    backward: Table | None = None  # None where the formulas of its backward pass are not known here
    mistakes: tuple[Mistake, ...] = ()  # that only this form can have


class Known(NamedTuple):
    """A forward pass that was recognised; `outputs` are those that agree."""

    form: Form
    order: tuple[str, ...]  # of the gates' blocks
    rows: str  # of a joined matrix: "[x, h]" or "[h, x]"
    outputs: tuple[str, ...]


def in_our_form(
    spec: Spec, known: Known, values: Values, inputs: tuple[str, ...], step: bool
) -> dict[str, Any]:
    """x (B, T, D), states and weights, as `formulas` take them; what the student does not take is 0."""
    x = values["x"][:, None] if step else values["x"]
    zero = np.zeros_like(values["h"])
    states = tuple(values[name] if name in inputs else zero for name in spec.states)
    D = x.shape[2]
    weights: Values = {}
    if "WU" in inputs:
        joined, H = values["WU"], values["h"].shape[1]
        first = D if known.rows == "[x, h]" else H
        parts = joined[:first], joined[first:]
        weights["W"], weights["U"] = parts if known.rows == "[x, h]" else parts[::-1]
    for name in spec.weights:
        if name in inputs:
            weights[name] = values[name]
        elif name not in weights:
            weights[name] = np.zeros_like(values[name])
    ordered = {name: in_our_order(spec, known.order, weights[name]) for name in spec.weights}
    return {"x": x, "states": states, "weights": ordered}


def run(spec: Spec, known: Known, given: dict[str, Any], mask: Array | None, steps: int | None = None) -> Any:
    """The known form's forward pass; of the first steps only, if told."""
    x = given["x"][:, :steps]
    table = formulas.FORWARD_TABLES[spec.cell] | known.form.forward
    with np.errstate(all="ignore"):
        return formulas.forward(
            table, x, given["states"], given["weights"], None if mask is None else mask[:, :steps]
        )


def shown(found: Any, names: tuple[str, ...], step: bool) -> Values:
    """The outputs of a run by the student's names."""
    hs, cs = found.hs[1:].transpose(1, 0, 2), found.cs[1:].transpose(1, 0, 2)
    every = {"h": hs, "c": cs, "h_last": hs[:, -1], "c_last": cs[:, -1]}
    return {name: every[name][:, -1] if step else every[name] for name in names}


def recognise(case: Case, inputs: tuple[str, ...], outputs: Values, close: float = CLOSE) -> Known | None:
    """The form that gives the student's outputs; one that gives h, or c, only, if none gives all."""
    partly: Known | None = None
    names = tuple(outputs)
    prefix = 1 if {"h", "c"} & outputs.keys() and not case.step else None
    for known in _candidates(case.spec, "WU" in inputs):
        given = in_our_form(case.spec, known, case.values, inputs, case.step)
        start = shown(run(case.spec, known, given, case.mask, prefix), names, case.step)
        agreeing = [n for n in names if _begins(outputs[n], start[n], prefix, close)]
        if not agreeing:
            continue
        whole = shown(run(case.spec, known, given, case.mask), names, case.step)
        agreeing = [n for n in names if near(outputs[n], whole[n], close)]
        if len(agreeing) == len(names):
            return known._replace(outputs=names)
        if agreeing and (partly is None or len(agreeing) > len(partly.outputs)):
            partly = known._replace(outputs=tuple(agreeing))
    return _with_forget_bias(case, inputs, outputs, close) or partly


def _begins(found: Array, expected: Array, prefix: int | None, close: float) -> bool:
    if prefix is None:
        return near(found, expected, close)
    if found.ndim < 3:
        return False
    return near(found[:, :prefix], expected, close)


def _candidates(spec: Spec, joined: bool) -> Iterator[Known]:
    """The common form first, then other forms, then other orders of the gates, then both."""
    forms = FORMS[spec.cell]
    orders = [spec.gates, *(order for order in permutations(SPECS[spec.cell].gates) if order != spec.gates)]
    rows = ("[x, h]", "[h, x]") if joined else ("",)
    pairs = [(form, orders[0]) for form in forms]
    pairs += [(form, order) for order in orders[1:] for form in forms[: COMMON[spec.cell]]]
    pairs += [(form, order) for order in orders[1:] for form in forms[COMMON[spec.cell] :]]
    for form, order in pairs:
        for row in rows:
            yield Known(form, order, row, ())


def in_words(case: Case, inputs: tuple[str, ...], outputs: Values, known: Known | None) -> str | None:
    """What the forward pass is, where it is not this package's cell as it stands; None where it is."""
    spec = case.spec
    if known is not None and len(known.outputs) == len(outputs):
        parts = [known.form.words] if known.form.words else []
        if known.order != spec.gates:
            parts.append(
                f"its gates stand in the order {', '.join(known.order)} (say gates={''.join(known.order)!r})"
            )
        if known.rows:
            parts.append(f"W and U are one matrix, of {known.rows}")
        if not parts:
            return None
        return f"the forward pass is {'not ' if known.form.words else ''}this package's: {'; '.join(parts)}"
    common = Known(FORMS[spec.cell][0], spec.gates, "[x, h]" if "WU" in inputs else "", ())
    base = known or common
    given = in_our_form(spec, base, case.values, inputs, case.step)
    found = run(spec, base, given, case.mask)
    ours = shown(found, tuple(outputs), case.step)
    differ = [name for name in outputs if not near(outputs[name], ours[name])]
    verb = "are" if len(differ) > 1 else "is"
    words = f"the forward pass is not this package's: {' and '.join(differ)} {verb} not this cell's"
    if known is not None:
        words += f" ({' and '.join(known.outputs)} {'are' if len(known.outputs) > 1 else 'is'})"
    clues = [
        clue for name in differ if (clue := _clue(name, outputs[name], ours[name], found, case)) is not None
    ]
    return ": ".join([words, *clues[:1]])


def _clue(name: str, got: Array, ours: Array, found: Any, case: Case) -> str | None:
    """What an output that differs looks like."""
    if name in ("c", "c_last"):

        def at(a: Array) -> Array:
            return a[-1] if case.step or name == "c_last" else a.transpose(1, 0, 2)

        if near(got, at(np.tanh(found.cs[1:]))):
            return "forward returns tanh(c) as c"
        if near(got, at(found.cs[:-1])):
            return "forward returns c_prev as c"
        if near(got, at(found.hs[1:])):
            return "forward returns h as c"
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = got / ours
    if np.isfinite(ratio).all() and np.ptp(ratio) < 1e-8 * np.abs(ratio).max() and ratio.any():
        return f"{name} is {ratio.flat[0]:.6g} times this cell's"
    return None


def _with_forget_bias(case: Case, inputs: tuple[str, ...], outputs: Values, close: float) -> Known | None:
    """The LSTM with a constant in the forget gate's pre-activation, which the first c tells."""
    name = next((n for n in ("c", "c_last") if n in outputs), None)
    if case.spec.cell != "lstm" or name is None or "c" not in inputs or (case.steps > 1 and name != "c"):
        return None
    c = outputs[name] if outputs[name].ndim == 2 else outputs[name][:, 0]
    for known in _candidates(case.spec, "WU" in inputs):
        if known.form.words:
            continue
        given = in_our_form(case.spec, known, case.values, inputs, case.step)
        g = {key: value[0] for key, value in run(case.spec, known, given, case.mask, 1).gates.items()}
        with np.errstate(all="ignore"):
            f = (c - g["i"] * g["g"]) / given["states"][1]
            more = np.log(f / (1 - f)) - g["pre_f"]
        if not (np.isfinite(more).all() and np.ptp(more) < 1e-6):
            continue
        constant = float(f"{np.median(more):.6g}")
        words = f"{constant:g} is added to the forget gate's pre-activation"
        found = known._replace(form=Form(words, {"f": _shifted(constant)}, {}))
        whole = shown(run(case.spec, found, given, case.mask), tuple(outputs), case.step)
        if all(near(outputs[n], whole[n], close) for n in outputs):
            return found._replace(outputs=tuple(outputs))
    return None


def _shifted(constant: float) -> Formula:
    return lambda v: sigmoid(v.pre_f + constant)


def near(found: Array, expected: Array, close: float = CLOSE) -> bool:
    """Equal to that many digits of the largest entry."""
    if np.shape(found) != np.shape(expected) or not np.isfinite(found).all():
        return False
    return bool(np.abs(found - expected).max(initial=0) <= close * np.abs(expected).max(initial=0))


# ------------------------------------------------------------------------------ the forms


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


def _before_dU(v: Any) -> Array:  # noqa: N802
    dz_z, dz_r, dz_g = _blocks(v.dhu)
    parts = [v.h_prev.T @ dz_z, v.h_prev.T @ dz_r, (v.r * v.h_prev).T @ dz_g]
    return np.concatenate(parts, axis=-1)


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
    Form("i and f are exchanged in c", {"c_new": lambda v: v.i * v.c_prev + v.f * v.g}),
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
GRU = [
    Form("", {}, {}),
    Form(SWAPPED, _SWAP_FORWARD, _SWAP_BACKWARD),
    Form(BEFORE, _BEFORE_FORWARD, _BEFORE_BACKWARD),
    Form(f"{BEFORE}; {SWAPPED}", _SWAP_FORWARD | _BEFORE_FORWARD, _SWAP_BACKWARD | _BEFORE_BACKWARD),
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
