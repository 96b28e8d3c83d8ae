"""What does not fit into the contract, found by calling a function and named before any work.

A cell is elementwise beyond the products with W and U: each unit of each sample by itself. Layer
normalisation inside the step, a matrix memory, and products of two states with further matrices are not:
their local Jacobians are no longer diagonal, so neither the complex step of all units at once nor the ledger,
whose only way from unit to unit is U, would be true of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from minilstm.bptt.cell import State
from minilstm.cells.local import Entry, Structure, by_complex, combine, derivatives
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import wording

B, H = 6, 5  # of the case, different from each other
CLOSE = 1e-10  # relative, between two exact derivatives
ROUGH = 1e-5  # the same, of central differences with steps of NUDGE
NUDGE = 1e-6
MOVES = (0, -9.0), (0, 9.0), (1, 0.37)  # of one unit: far enough to turn a branch, and a little
INSTEAD = {
    "np.absolute": "np.where(x.real >= 0, x, -x)",
    "np.fabs": "np.where(x.real >= 0, x, -x)",
    "np.maximum": "np.where(a.real >= b.real, a, b)",
    "np.fmax": "np.where(a.real >= b.real, a, b)",
    "np.minimum": "np.where(a.real <= b.real, a, b)",
    "np.fmin": "np.where(a.real <= b.real, a, b)",
    "np.sign": "np.where(x.real >= 0, 1, -1)",
    "np.clip": "np.where(x.real < low, low, np.where(x.real > high, high, x))",
}
NOT_ELEMENTWISE = (
    "layer normalisation inside the step, matrix memories and products of states with further matrices do "
    "not fit: there the units of a step mix, which here they do only by W and U"
)


class Case(NamedTuple):
    """The arguments of forward."""

    xw: Array  # (B, nH)
    hu: Array  # (B, nH)
    prev: State  # (B, H) each
    p: Array | None  # (k, H)

    def copy(self) -> Case:
        p = None if self.p is None else self.p.copy()
        return Case(self.xw.copy(), self.hu.copy(), tuple(part.copy() for part in self.prev), p)

    def parts(self, names: Names) -> Iterator[tuple[str, Array]]:
        """The blocks of each argument (views), by their names."""
        for kind, array in (("xw", self.xw), ("hu", self.hu)):
            for gate, block in zip(names.gates, np.split(array, len(names.gates), axis=-1), strict=True):
                yield f"{kind}_{gate}", block
        for state, array in zip(names.states, self.prev, strict=True):
            yield f"{state}_prev", array
        for row, line in zip(names.rows, () if self.p is None else self.p, strict=True):
            yield f"p_{row}", line


class Names(NamedTuple):
    """The names of a cell's parts; kept is None where they are still to be found."""

    gates: tuple[str, ...]
    states: tuple[str, ...]
    kept: tuple[str, ...] | None
    rows: tuple[str, ...]


Forward = Callable[[Case], tuple[State, tuple[Array, ...]]]


def checked(function: Callable[..., Any], names: Names) -> Forward:
    """`function` of a case, with its results checked for their number and shapes."""

    def forward(case: Case) -> tuple[State, tuple[Array, ...]]:
        try:
            with np.errstate(all="ignore"):  # what is not finite is looked at afterwards
                found = function(*case)
        except Exception as error:
            shapes = f"xw and hu {case.xw.shape}, prev {len(case.prev)} of {case.prev[0].shape}"
            shapes += "" if case.p is None else f", p {case.p.shape}"
            got = f"{type(error).__name__}: {error}"
            raise ValueError(
                wording("forward", f"a function of (xw, hu, prev, p), here {shapes}", got)
            ) from error
        if (
            not isinstance(found, tuple)
            or len(found) != 2
            or not all(isinstance(f, (tuple, list)) for f in found)
        ):
            expected = "a function that returns two tuples of arrays, (state, kept)"
            raise ValueError(wording("forward", expected, _words(found)))
        state, kept = tuple(found[0]), tuple(found[1])
        labels = {"state": names.states}
        if names.kept is not None:
            labels["kept"] = names.kept
        for what, arrays in (("state", state), ("kept", kept)):
            if what in labels and len(arrays) != len(labels[what]):
                expected = f"a function whose {what} is {', '.join(labels[what]) or 'no array'}"
                raise ValueError(wording("forward", expected, f"{len(arrays)} arrays"))
            for name, array in zip(labels.get(what, map(str, range(len(arrays)))), arrays, strict=True):
                if not isinstance(array, np.ndarray) or array.shape != case.prev[0].shape:
                    expected = (
                        f"a function whose {what} {name!r} is of shape {case.prev[0].shape} (batch, units)"
                    )
                    raise ValueError(wording("forward", expected, _words(array)))
        return state, kept

    return forward


def _words(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}: " + ", ".join(type(one).__name__ for one in value)
    return f"{value!r:.60} ({type(value).__name__})"


def draw(forward: Forward, names: Names, seed: int, B: int = B, H: int = H) -> Case:
    """Random arguments; the states are those after some steps from zeros, so that they can be met."""
    rng, n = np.random.default_rng(seed), len(names.gates)
    p = rng.normal(size=(len(names.rows), H)) * 0.7 if names.rows else None
    prev = tuple(np.zeros((B, H)) for _ in names.states)
    for _ in range(3):
        case = Case(rng.normal(size=(B, n * H)), rng.normal(size=(B, n * H)), prev, p)
        prev, _ = forward(case.copy())
    xw, hu = rng.normal(size=(2, B, n * H))
    return Case(xw, hu, tuple(part.real.astype(np.float64) for part in prev), p)


def check_forward(forward: Forward, names: Names, case: Case) -> None:
    """What can be seen without derivatives: purity, no randomness, finite at zero, elementwise."""
    given = case.copy()
    first = forward(given)
    for (name, before), (_, after) in zip(case.parts(names), given.parts(names), strict=True):
        if not np.array_equal(before, after, equal_nan=True):
            raise ValueError(
                wording("forward", "a function that leaves its arguments as they are", f"a changed {name}")
            )
    again = forward(case.copy())
    for one, other in zip((*first[0], *first[1]), (*again[0], *again[1]), strict=True):
        if not np.array_equal(one, other, equal_nan=True):
            expected = "a function of its arguments alone, without randomness or a memory of its own"
            raise ValueError(wording("forward", expected, "another result at the second call"))
    zero = _zero(case)
    found = forward(zero)
    for name, array in zip((*names.states, *(names.kept or ())), (*found[0], *found[1]), strict=False):
        if not np.isfinite(array).all():
            expected = "finite where input and states are 0, as in every first step"
            raise ValueError(wording("forward", expected, f"{array.flat[0]} in {name}"))
    _check_elementwise(forward, names, case, first)


def _zero(case: Case) -> Case:
    zeros = [np.zeros_like(part) for part in (case.xw, case.hu)]
    return Case(zeros[0], zeros[1], tuple(np.zeros_like(part) for part in case.prev), case.p)


def _check_elementwise(
    forward: Forward, names: Names, case: Case, found: tuple[State, tuple[Array, ...]]
) -> None:
    results = (*names.states, *(names.kept or map(str, range(len(found[1])))))
    for (name, _), (unit, by) in product(case.parts(names), MOVES):
        nudged, one_sample = case.copy(), name[:2] != "p_"
        dict(nudged.parts(names))[name][(0, unit) if one_sample else unit] += by
        moved = forward(nudged)
        for result, one, other in zip(results, (*found[0], *found[1]), (*moved[0], *moved[1]), strict=True):
            change = ~((one == other) | (np.isnan(one) & np.isnan(other)))
            where = change.copy()
            where[:, unit] = False
            if where.any() or (one_sample and change[1:].any()):
                what = "unit" if where.any() else "sample"
                got = f"a {result} that moves with another {what}'s {name} ({NOT_ELEMENTWISE})"
                raise ValueError(wording("forward", "elementwise, each unit of each sample by itself", got))


def unsafe(name: str) -> ValueError:
    """The error for a function that no complex number goes through."""
    instead = INSTEAD.get(name, "np.where(x.real > 0, ..., ...)")
    expected = "made of functions that complex numbers go through"
    return ValueError(wording("forward", expected, f"{name}: branch on .real instead, {instead}"))


def check_derivatives(
    function: Callable[..., Any], names: Names, structure: Structure, cases: list[Case]
) -> None:
    """The derivatives against central differences, which know nothing of complex numbers; finite at zero."""
    whole = structure._replace(shared=frozenset(), recurrent=True)
    for case in cases:
        exact = by_complex(function, whole, *case)
        for (label, _), k in zip(case.parts(names), whole.sources, strict=True):
            ups, downs = case.copy(), case.copy()
            dict(ups.parts(names))[label][...] += NUDGE
            dict(downs.parts(names))[label][...] -= NUDGE
            up, middle, down = (function(*one)[0] for one in (ups, case.copy(), downs))
            for s, state in enumerate(names.states):
                rough = (up[s] - down[s]) / (2 * NUDGE)
                value = exact.get((s, k), np.zeros((B, H)))
                sides = rough, (up[s] - middle[s]) / NUDGE, (middle[s] - down[s]) / NUDGE  # a kink has two
                error = np.min([np.abs(side - value) for side in sides], axis=0)
                if not error.max() <= ROUGH * (1 + np.abs(rough).max()):
                    worst = np.unravel_index(error.argmax(), rough.shape)
                    got = f"d{state}/d{label} = {value[worst]:.6g} where differences give {rough[worst]:.6g}"
                    expected = (
                        "a function whose derivative complex arrays carry (.real only to choose a branch)"
                    )
                    raise ValueError(wording("forward", expected, got))
    with np.errstate(all="ignore"):
        at_zero = derivatives(function, structure, *_zero(cases[0]))
    for (s, source), part in at_zero.items():
        if not np.isfinite(part).all():
            got = f"{np.ravel(part)[0]} as d{names.states[s]} by {source.kind} {source.number}"
            raise ValueError(wording("forward", "of finite slope where input and states are 0", got))


def beside(
    backward: Callable[..., Any], function: Callable[..., Any], names: Names, structure: Structure, case: Case
) -> Iterator[tuple[str, list[tuple[str, Array, Array]]]]:
    """A backward by hand beside the chain rule, block by block: for the gradient of each state alone its
    name, and what both give."""
    state, kept = function(*case)
    rng = np.random.default_rng(1)
    found: dict[Entry, Array] = derivatives(function, structure, *case)
    for s, from_state in enumerate(names.states):
        dstate = tuple(rng.normal(size=state[0].shape) * (j == s) for j in range(len(names.states)))
        given = [tuple(part.copy() for part in dstate), case.copy().prev]
        try:
            step = backward(given[0], given[1], tuple(state), tuple(kept), case.p)
            dxw, dhu, dprev, total, *dp = step
        except Exception as error:
            expected = "a function of (dstate, prev, state, kept, p) that returns dxw, dhu, dprev, total, dp"
            raise ValueError(wording("backward", expected, f"{type(error).__name__}: {error}")) from error
        if any(not np.array_equal(a, b) for a, b in zip(given[0], dstate, strict=True)):
            expected = "a function that leaves its arguments as they are"
            raise ValueError(wording("backward", expected, f"a changed d{from_state}"))
        right = combine(structure, dstate, found)
        pairs = _pairs("dxw", names.gates, dxw, right.dxw)
        if structure.recurrent:
            pairs += _pairs("dhu", names.gates, dhu, right.dhu)
        pairs += _named("dprev", names.states, dprev, right.dprev)
        if structure.dual or None not in structure.made:
            pairs += _named("total", names.states, total, right.total)
        if names.rows:
            pairs += _named("dp", names.rows, dp[0] if dp else None, right.dp)
        yield from_state, pairs


def check_backward(
    backward: Callable[..., Any], function: Callable[..., Any], names: Names, structure: Structure, case: Case
) -> None:
    """ValueError where a backward by hand is not the derivative."""
    for from_state, pairs in beside(backward, function, names, structure, case):
        size = max(np.abs(value).max(initial=0) for _, _, value in pairs)
        for label, got, value in pairs:
            off = np.abs(got - value).max(initial=0)
            if not off <= CLOSE * size:
                said = f"{label} off by {off:.2g} in what it makes of dL/d{from_state}"
                raise ValueError(wording("backward", "the derivative of forward", said))


def _pairs(what: str, gates: tuple[str, ...], got: Any, right: Array) -> list[tuple[str, Array, Array]]:
    if np.shape(got) != right.shape:
        raise ValueError(
            wording("backward", f"a function whose {what} is of shape {right.shape}", np.shape(got))
        )
    n = len(gates)
    blocks = zip(gates, np.split(got, n, axis=-1), np.split(right, n, axis=-1), strict=True)
    return [(f"{what} of gate {gate!r}", one, other) for gate, one, other in blocks]


def _named(what: str, names: tuple[str, ...], got: Any, right: Any) -> list[tuple[str, Array, Array]]:
    if (
        got is None
        or len(got) != len(names)
        or any(np.shape(g) != r.shape for g, r in zip(got, right, strict=True))
    ):
        shapes = got if got is None else [np.shape(one) for one in got]
        expected = f"a function whose {what} is {len(names)} of shape {right[0].shape}"
        raise ValueError(wording("backward", expected, shapes))
    return [(f"{what} of {name!r}", g, r) for name, g, r in zip(names, got, right, strict=True)]
