"""Mistakes that follow from the formulas themselves, whoever made them or not; see `mistakes` for known ones.

What a cell multiplies and adds (`formulas.PRODUCTS`) with a term or a factor left out, one too many, or
another value of the step in its place; what its matrices add up with a gate's share left out, twice, or
made with another gate's block; a slice of the wrong rows; a gradient of one gate's weights that is scaled or
made of another step's state; a gradient of the start that is another one's; a masked step that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations, product
from types import SimpleNamespace
from typing import Any

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.gradient_check.student.formulas import (
    GATES,
    PRODUCTS,
    TABLES,
    VALUES,
    Formula,
    Table,
    summed,
    value,
)
from minilstm.gradient_check.student.shared_mistakes import Mistake

GRADIENTS = {  # what a line may take for the gradient that belongs there
    "lstm": (
        *("dh", "the loss's own dh", "the dh of later steps", "dc", "the incoming dc"),
        *("do", "di", "df", "dg", "do * o * (1 - o)", "dh * o * (1 - tanh(c)^2)"),
    ),
    "gru": ("dh", "the loss's own dh", "the dh of later steps", "dg", "dz", "dr", "dz_g", "dz_r", "dz_z"),
    "simple_rnn": ("the loss's own dh", "the dh of later steps"),
}
FACTORS = {  # and for the value
    "lstm": (
        *("i", "f", "g", "o", "1 - i", "1 - f", "1 - o", "1 - g^2", "c", "c_prev", "h_t", "h_prev"),
        *("tanh(c)", "1 - tanh(c)^2", "1 - tanh(c)", "tanh(c_prev)", "tanh(h_t)", "1 - c^2", "1 - h_t^2"),
    ),
    "gru": ("z", "r", "g", "q", "1 - z", "1 - r", "1 - g^2", "h_t", "h_prev", "1 - h_t^2"),
    "simple_rnn": ("h_t", "h_prev", "1 - h_t^2", "1 - h_prev^2"),
}
AVERAGED = None
SCALES = {-1.0: "has the wrong sign", 2.0: "counts twice"}
KERNELS = {"dx": ("dxw", "W"), "dh_through": ("dhu", "U")}
SHOWN = {"dh_through": "dh_prev", "dc_through": "dc_prev", "dh_direct": "the direct path to dh_prev"}


def slips(cell: str, rows: str, changed: Table) -> list[Mistake]:
    """All of this cell.

    rows : of a joined matrix, as `forwards` has them, "" where there is none;  changed : the lines that
    another form of the cell has in place of the common ones, which are left alone
    """
    every = [*_lines(cell), *_shares(cell), *_weights(cell), *_starts(cell), *_masked(cell)]
    if rows:
        every += _slices(rows.strip("[]").split(", "), GATES[cell])
    return [mistake for mistake in every if not mistake.formulas.keys() & changed.keys()]


def _lines(cell: str) -> Iterator[Mistake]:
    """One line with a term or a factor more, less, or another."""
    for name, terms in PRODUCTS[cell].items():
        shown = SHOWN.get(name, name)
        for k, term in enumerate(terms):
            words = " * ".join(f"({one})" if " - " in one else one for one in term)
            where = f", in {words}" if len(term) > 1 else ""

            def line(*other: tuple[str, ...], name: str = name, k: int = k, terms: Any = terms) -> Table:
                return {name: summed((*terms[:k], *other, *terms[k + 1 :]))}

            for j, factor in enumerate(term):
                for used in _instead(cell, name, factor):
                    other = (*term[:j], used, *term[j + 1 :])
                    yield Mistake(f"{shown} uses {used} where {factor} belongs{where}", line(other))
                if len(term) > 1:
                    without = line((*term[:j], *term[j + 1 :]))
                    yield Mistake(f"{shown} lacks the factor {factor}{where}", without)
            if len(terms) > 1:
                yield Mistake(f"{shown} lacks the term {words}", line())
            for more in FACTORS[cell]:
                yield Mistake(f"{shown} has a factor {more} too many, in {words}", line((*term, more)))
            for scale, said in SCALES.items():
                yield Mistake(f"{words} {said} in {shown}", _scaled(cell, name, summed((term,)), scale))


def _instead(cell: str, name: str, factor: str) -> Iterator[str]:
    """What a line may use in the place of a factor: only what is there when its turn comes."""
    order = [*TABLES[cell]]
    gradient = factor in GRADIENTS[cell] or factor in PRODUCTS[cell]
    for used in GRADIENTS[cell] if gradient else FACTORS[cell]:
        first = used.split(" ")[0] if used in VALUES else used  # do * o * (1 - o) needs do
        if used != factor and (first not in order or order.index(first) < order.index(name)):
            yield used


def _scaled(cell: str, name: str, part: Formula, scale: float) -> Table:
    """The line with a part of it counted `scale` times."""
    right = TABLES[cell][name]
    return {name: lambda v: right(v) + (scale - 1) * part(v)}


def _shares(cell: str) -> Iterator[Mistake]:
    """What the gates give to dx and dh_prev: one gate's share twice, with the wrong sign, or another's."""
    gates = GATES[cell]
    n = len(gates)
    right = [(k, k, 1.0) for k in range(n)]
    changes: dict[str, list[tuple[int, int, float]]] = {}
    for k, gate in enumerate(gates if n > 1 else ()):
        rest = [share for share in right if share[0] != k]
        changes[f"only gate {gate} counts"] = [right[k]]
        changes[f"the kernel of gate {gate} is used for every gate"] = [(a, k, 1.0) for a in range(n)]
        changes[f"gate {gate}'s gradient is used for every gate"] = [(k, b, 1.0) for b in range(n)]
        for scale, said in SCALES.items():
            changes[f"the share of gate {gate} {said}"] = [*rest, (k, k, scale)]
    for a, b in permutations(range(n), 2):
        rest = [share for share in right if share[0] != a]
        changes[f"the kernel of gate {gates[b]} is used for gate {gates[a]}"] = [*rest, (a, b, 1.0)]
        changes[f"gate {gates[b]}'s gradient is used for gate {gates[a]}"] = [*rest, (b, a, 1.0)]
        if a < b:
            others = [share for share in rest if share[0] != b]
            words = f"the kernels of gates {gates[a]} and {gates[b]} are exchanged"
            changes[words] = [*others, (a, b, 1.0), (b, a, 1.0)]
    for words, shares in changes.items():
        table = {name: _added(name, shares, n) for name in KERNELS}
        yield Mistake(f"{words} in dx and dh_prev", table)
        for name in KERNELS:
            yield Mistake(f"{words} in {SHOWN.get(name, name)}", {name: table[name]})


def _added(name: str, shares: list[tuple[int, int, float]], count: int) -> Formula:
    gradient, kernel = KERNELS[name]

    def formula(v: Any) -> Array:
        d, w = (np.split(getattr(v, one), count, axis=-1) for one in (gradient, kernel))
        total: Array = sum(scale * d[a] @ w[b].T for a, b, scale in shares)
        return total + (v.dh_direct if name == "dh_through" else 0)

    return formula


def _weights(cell: str) -> Iterator[Mistake]:
    """The gradient of one gate's weights: scaled, of one sample, or of another state."""
    gates = GATES[cell]
    names = [name for name in ("dW", "dU", "db", "drb") if name != "drb" or cell == "gru"]
    scales = [*SCALES.items(), (0.0, "is left at 0"), (AVERAGED, "is averaged over the samples, not summed")]
    groups = [*([k] for k in range(len(gates))), [*range(len(gates))]]
    for name, group in product(names, groups):
        where = f"{name} of gate {gates[group[0]]}" if len(group) < len(gates) else name
        for scale, said in scales:
            yield Mistake(f"{where} {said}", {name: _in_gates(cell, name, group, _times(scale))})
        for rows, said in ((slice(0, 1), "first"), (slice(-1, None), "last")):
            cause = f"{where} is that of the {said} sample only"
            yield Mistake(cause, {name: _in_gates(cell, name, group, _of_samples(rows))})
    states: Table = {"h_t": lambda v: v.hs[v.t + 1], "the first h": lambda v: v.hs[0]}
    states |= {"x of the step before": lambda v: v.xs[v.t - 1], "the first x": lambda v: v.xs[0]}
    if cell == "lstm":
        states |= {"c_prev": lambda v: v.c_prev, "c": lambda v: v.c}
    for (words, state), group in product(states.items(), groups):
        name, right = ("dW", "x") if "x" in words else ("dU", "h_prev")
        where = f" of gate {gates[group[0]]}" if len(group) < len(gates) else ""
        cause = f"{words} used where {right} belongs in the gradient of {name[1]}{where}"
        over_time = "x" in words or "first" in words
        yield Mistake(cause, {name: _in_gates(cell, name, group, _of_states(name, state))}, over_time)


Changed = Callable[[Formula, Any], Array]  # what a right formula and the step make


def _in_gates(cell: str, name: str, group: list[int], changed: Changed) -> Formula:
    """The gradient of a weight with the blocks of some gates changed."""
    right, count = TABLES[cell][name], len(GATES[cell])

    def formula(v: Any) -> Array:
        both = zip(*(np.split(a, count, axis=-1) for a in (right(v), changed(right, v))), strict=True)
        return np.concatenate([other if k in group else b for k, (b, other) in enumerate(both)], axis=-1)

    return formula


def _times(scale: float | None) -> Changed:
    return lambda right, v: right(v) * (1 / v.B if scale is AVERAGED else scale)


def _of_samples(rows: slice) -> Changed:
    """What the formula gives for these samples alone."""

    def changed(right: Formula, v: Any) -> Array:
        parts = {name: getattr(v, name)[rows] for name in ("x", "h_prev", "dxw", "dhu")}
        found: Array = right(SimpleNamespace(**vars(v) | parts))
        return found

    return changed


def _of_states(name: str, state: Formula) -> Changed:
    """What another state gives in the place of x or h_prev."""
    return lambda right, v: state(v).T @ (v.dxw if name == "dW" else v.dhu)


def _starts(cell: str) -> Iterator[Mistake]:
    """What is returned as the gradient of the first states is another gradient of step 0."""
    taken = [("dh_prev", one) for one in ("dh", "the loss's own dh", "the dh of later steps")]
    if cell == "lstm":
        taken += [("dh_prev", "dc"), *(("dc_prev", one) for one in ("dc", "the incoming dc", "dh"))]
    for name in ("dh_prev", "dc_prev") if cell == "lstm" else ("dh_prev",):
        cause = f"the gradient of the first {name[1]} is left at 0"
        yield Mistake(cause, {name: _at_the_start(TABLES[cell][name], lambda v: 0 * v.dh)})
    for name, used in taken:
        cause = f"the gradient of the first {name[1]} is {used} of step 0, not what that step passes on"
        yield Mistake(cause, {name: _at_the_start(TABLES[cell][name], value(used))})
    if cell == "lstm":
        dh, dc = TABLES[cell]["dh_prev"], TABLES[cell]["dc_prev"]
        exchanged = {"dh_prev": _at_the_start(dh, dc), "dc_prev": _at_the_start(dc, dh)}
        yield Mistake("the gradients of h and c before the first step are exchanged", exchanged)


def _at_the_start(right: Formula, used: Formula) -> Formula:
    return lambda v: right(v) if v.t else used(v)


def _masked(cell: str) -> Iterator[Mistake]:
    """At masked steps: what counts although it must not, and what is passed on instead of what is held."""
    for name in ("dW", "dU", "db", "dx"):
        table = TABLES[cell]
        cause = f"masked steps count in {name}"
        yield Mistake(cause, {name: _unmasked(table[name], {one: table[one] for one in ("dxw", "dhu")})})
    held = [("dh_prev", one) for one in ("dh_through", "the dh of later steps", "the loss's own dh")]
    if cell == "lstm":
        held += [("dc_prev", "dc"), ("dc_prev", "dh")]
    for name, used in held:
        words = f"at a masked step {SHOWN.get(used, used)} is passed on as {name}, not what came in"
        yield Mistake(words, {name: _where_masked(TABLES[cell][name], value(used))})
    for name, through, came in (("dh_prev", "dh_through", "dh"), ("dc_prev", "dc_through", "dc_in")):
        if name in TABLES[cell]:
            swapped = _where_masked(value(came), value(through))
            yield Mistake(f"the mask is taken the wrong way round in {name}", {name: swapped})
    ignored = _where_masked(value("the loss's own dh"), lambda v: 0 * v.external)
    lost = {"dh": lambda v: v.dh_next + ignored(v)}
    yield Mistake("what the loss says of a masked step's output is left out", lost)


def _unmasked(right: Formula, lines: Table) -> Formula:
    """The formula's value with these lines as they are where no step is masked."""

    def formula(v: Any) -> Array:
        free = SimpleNamespace(**vars(v) | {"real": np.ones_like(v.real)})
        for name, line in lines.items():
            setattr(free, name, line(free))
        found: Array = right(free)
        return found

    return formula


def _where_masked(right: Formula, used: Formula) -> Formula:
    return lambda v: np.where(v.real, right(v), used(v))


def _slices(letters: list[str], gates: tuple[str, ...]) -> Iterator[Mistake]:
    """dx and dh_prev are other rows of the gradient of [h, x]; its weights' gradient is of [x, h]."""
    order = [letter for letter in letters if letter != "1"]
    joined = f"[{', '.join(order)}]"

    def whole(v: Any) -> Array:
        parts = {"x": v.dxw @ v.W.T, "h": v.dhu @ v.U.T}
        return np.concatenate([parts[letter] for letter in order], axis=-1)

    def rows(letter: str, start: int | None) -> Formula:
        def formula(v: Any) -> Array:
            found, size = whole(v), len(v.W if letter == "x" else v.U)
            begin = found.shape[-1] - size if start is None else start
            return found[:, begin : begin + size]

        return formula

    ends = {"the last": None, "the first": 0}
    names = {"x": "dx", "h": "dh_through"}
    right = dict(zip(order, ("the first", "the last"), strict=True))
    wrong = {letter: next(end for end in ends if end != right[letter]) for letter in order}
    for chosen in (["h"], ["x"], ["h", "x"]):
        said = ", and ".join(
            f"{SHOWN.get(names[one], names[one])} takes {wrong[one]} entries of the gradient of {joined}, "
            f"not {right[one]}"
            for one in chosen
        )
        table = {names[one]: rows(one, ends[wrong[one]]) for one in chosen}
        yield Mistake(f"a wrong slice: {said}", table)
    turned = f"[{', '.join(order[::-1])}]"
    every = [*range(len(gates))]
    for group in (every, *([k] for k in every if len(every) > 1)):
        stacked = {name: _stacked(order, name, group, len(gates)) for name in ("dW", "dU")}
        where = "" if group == every else f", in gate {gates[group[0]]}"
        yield Mistake(f"the weights' gradient is of {turned}, where forward takes {joined}{where}", stacked)


def _stacked(order: list[str], name: str, gates: list[int], count: int) -> Formula:
    """Rows of the gradient of the joined matrix, made of x and h in the other order."""

    def formula(v: Any) -> Array:
        sizes = {"x": len(v.W), "h": len(v.U)}
        letter = "x" if name == "dW" else "h"
        begin = 0 if order[0] == letter else sizes[order[0]]
        parts = {"x": v.x, "h": v.h_prev}
        turned = np.concatenate([parts[one] for one in order[::-1]], axis=-1)
        taken = turned[:, begin : begin + sizes[letter]]
        blocks = [
            (taken if k in gates else parts[letter]).T @ d
            for k, d in enumerate(np.split(v.dxw if name == "dW" else v.dhu, count, axis=-1))
        ]
        return np.concatenate(blocks, axis=-1)

    return formula
