"""Which forward pass is it? This package's, a known other form of the cell, or another one.

A known form comes with the backward formulas that belong to it, so that mistakes in it can be named;
and it stands in for a forward pass that cannot be run on complex numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from minilstm.bptt.activations import sigmoid
from minilstm.foundations.arrays import Array
from minilstm.gradient_check.student import formulas
from minilstm.gradient_check.student.cases import SPECS, Case, Spec, Values, in_our_order
from minilstm.gradient_check.student.forms import COMMON, FORMS, Form
from minilstm.gradient_check.student.formulas import Formula

CLOSE = 1e-8
ROWS = {"WU": ("[x, h]", "[h, x]"), "WUb": ("[x, h, 1]", "[h, x, 1]", "[1, x, h]", "[1, h, x]")}


class Known(NamedTuple):
    """A forward pass that was recognised; `outputs` are those that agree."""

    form: Form
    order: tuple[str, ...]  # of the gates' blocks
    rows: str  # of a joined matrix: one of ROWS; "" where there is none
    outputs: tuple[str, ...]


def in_our_form(
    spec: Spec, known: Known, values: Values, inputs: tuple[str, ...], step: bool
) -> dict[str, Any]:
    """x (B, T, D), states and weights, as `formulas` take them; what the student does not take is 0."""
    x = values["x"][:, None] if step else values["x"]
    zero = np.zeros_like(values["h"])
    states = tuple(values[name] if name in inputs else zero for name in spec.states)
    D = x.shape[2]
    joined = next((name for name in ROWS if name in inputs), None)
    weights = parts(known.rows, values[joined], D) if joined else {}
    for name in (*spec.weights, *(["rb"] if "rb" in inputs and "rb" not in spec.weights else [])):
        if name in inputs:
            weights[name] = values[name]
        elif name not in weights:
            weights[name] = np.zeros_like(values[name])
    ordered = {name: in_our_order(spec, known.order, array) for name, array in weights.items()}
    return {"x": x, "states": states, "weights": ordered}


def parts(rows: str, joined: Array, D: int) -> Values:
    """W, U and b of one matrix, whose rows stand in that order."""
    letters = rows.strip("[]").split(", ")
    sizes = {"x": D, "1": 1, "h": len(joined) - D - ("1" in letters)}
    names = {"x": "W", "h": "U", "1": "b"}
    blocks = np.split(joined, np.cumsum([sizes[letter] for letter in letters])[:-1])
    found = {names[letter]: block for letter, block in zip(letters, blocks, strict=True)}
    return found | ({"b": found["b"][0]} if "b" in found else {})


def first_rows(inputs: tuple[str, ...]) -> str:
    """The likeliest rows of the joined matrix among the inputs; "" if there is none."""
    return next((rows[0] for name, rows in ROWS.items() if name in inputs), "")


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
    for known in _candidates(case.spec, inputs):
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
    if prefix is not None and found.ndim < 3:
        return False
    return near(found if prefix is None else found[:, :prefix], expected, close)


def _candidates(spec: Spec, inputs: tuple[str, ...]) -> Iterator[Known]:
    """The common form first, then other forms, then other orders of the gates, then both."""
    forms = FORMS[spec.cell]
    orders = [spec.gates, *(order for order in permutations(SPECS[spec.cell].gates) if order != spec.gates)]
    rows = next((rows for name, rows in ROWS.items() if name in inputs), ("",))
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
        said = [known.form.words] if known.form.words else []
        if known.order != spec.gates:
            said.append(
                f"its gates stand in the order {', '.join(known.order)} (say gates={''.join(known.order)!r})"
                + (", or i and f are exchanged in c" if known.order == ("f", "i", "g", "o") else "")
            )
        if known.rows:
            which = "W, U and b" if "1" in known.rows else "W and U"
            said.append(f"{which} are one matrix, of {known.rows}")
        if not said:
            return None
        return f"the forward pass is {'not ' if known.form.words else ''}this package's: {'; '.join(said)}"
    common = Known(FORMS[spec.cell][0], spec.gates, first_rows(inputs), ())
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
    """The LSTM with a constant in the forget gate's pre-activation.

    The first step with a c before it tells: step 0, or step 1 where c begins at 0. Where c of the step is
    not returned, it is arctanh(h / o).
    """
    t = 0 if "c" in inputs else 1
    at: Values = {}  # h and c of step t
    for name, array in outputs.items():
        if array.ndim == 3 and t < case.steps:
            at[name] = array[:, t]
        elif array.ndim == 2 and t == case.steps - 1:
            at.setdefault(name[0], array)
    if case.spec.cell != "lstm" or not at:
        return None
    for known in _candidates(case.spec, inputs):
        if known.form.words:
            continue
        given = in_our_form(case.spec, known, case.values, inputs, case.step)
        found = run(case.spec, known, given, case.mask, t + 1)
        g = {key: value[t] for key, value in found.gates.items()}
        with np.errstate(all="ignore"):
            c = at["c"] if "c" in at else np.arctanh(at["h"] / g["o"])
            f = (c - g["i"] * g["g"]) / found.cs[t]
            more = np.log(f / (1 - f)) - g["pre_f"]
        if not (np.isfinite(more).all() and np.ptp(more) < 1e-6):
            continue
        constant = float(f"{np.median(more):.6g}")
        words = f"{constant:g} is added to the forget gate's pre-activation"
        shifted = known._replace(form=Form(words, {"f": _shifted(constant)}, {}))
        whole = shown(run(case.spec, shifted, given, case.mask), tuple(outputs), case.step)
        if all(near(outputs[n], whole[n], close) for n in outputs):
            return shifted._replace(outputs=tuple(outputs))
    return None


def _shifted(constant: float) -> Formula:
    return lambda v: sigmoid(v.pre_f + constant)


def near(found: Array, expected: Array, close: float = CLOSE, steps: bool = False) -> bool:
    """Equal to that many digits of the largest entry; of each step (first axis) if `steps`."""
    if np.shape(found) != np.shape(expected) or not np.isfinite(found).all():
        return False
    axes = tuple(range(1 if steps else 0, np.ndim(expected)))
    with np.errstate(invalid="ignore"):
        error = np.abs(found - expected).max(axis=axes, initial=0)
        return bool((error <= close * np.abs(expected).max(axis=axes, initial=0)).all())
