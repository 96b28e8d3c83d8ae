"""`minilstm.cell`: from a function to a cell, with everything that does not fit named before any work."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from keyword import iskeyword
from typing import Any, overload

import numpy as np

from minilstm import initializers
from minilstm.cells import checks
from minilstm.cells.checks import Case, Names
from minilstm.cells.dual import Source, UnsafeError
from minilstm.cells.local import Structure, by_complex, derivatives, states_made
from minilstm.cells.user import KNOWN, Map, UserCell
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import given_name, real_number, shown, wording
from minilstm.initializers import Initializer

TAKEN = {  # names that a trace has already
    *("x", "dx", "dz", "external", "name", "cell", "weights", "arrays", "real", "cut", "reached", "states"),
    *("gates", "memory", "names", "before", "blocks", "row", "norm", "horizon", "status", "ledger", "decay"),
    *("verdict", "peepholes", "lag_norm", "effective_memory", "named_weights", "name_of_p", "step_back"),
    "go_backwards",
}


@overload
def cell(forward: Callable[..., Any], *, gates: Sequence[str], **options: Any) -> UserCell: ...


@overload
def cell(*, gates: Sequence[str], **options: Any) -> Callable[[Callable[..., Any]], UserCell]: ...


def cell(  # type: ignore[misc]  # the options stand once, below
    forward: Callable[..., Any] | None = None,
    *,
    gates: Sequence[str],
    states: Sequence[str] = ("h",),
    kept: Sequence[str] | None = None,
    p: Sequence[str] | Mapping[str, float | str | Initializer] = (),
    backward: Callable[..., Any] | None = None,
    bias: Mapping[str, float] | None = None,
    recurrent_bias: bool = False,
    recurrent_map: Map | None = None,
    name: str | None = None,
) -> UserCell | Callable[[Callable[..., Any]], UserCell]:
    """A recurrent cell from one step in NumPy; `minilstm.RNN` is the layer, every instrument takes it.

    Without `forward` it is a decorator: `@ml.cell(gates=["f", "g"])` above the function.

    Parameters
    ----------
    forward : a function (xw, hu, prev, p) -> (state, kept). xw = x @ W + b and hu = h_prev @ U are
        (B, nH), n blocks side by side, one for each gate; prev is a tuple of the states before the step,
        (B, H) each, p (k, H) or None. It returns the states after the step and what is to be seen in a
        trace, two tuples of (B, H) arrays, float32 or float64 as its arguments are, and complex where they
        are. It is elementwise: each unit of each sample by itself, changes nothing and draws nothing
    gates : names of the blocks of W, U and b;  states : names of the states, "h", the output, first
    kept : names of what forward keeps; those of the gates if None and it keeps as many
    p : names of the rows of p, weights of one unit each, or a dict of how each begins: a number (0 if only
        names are given), or an initializer
    backward : (dstate, prev, state, kept, p) -> (dxw, dhu, dprev, total, dp), as `minilstm.bptt.cell` has
        it. Without it the derivatives come from the complex step, exact to rounding. One that is given is
        checked against them here
    bias : what the bias of a gate begins with, as {"f": 1.0}; the others begin as the layer says
    recurrent_bias : whether hu has a bias of its own, as in the GRU
    recurrent_map : (R -> U, (dU, R) -> dR), functions of matrices (H, nH), where U is made of the weights R
    name : the cell's name in files and tables; the function's if None, with _cell where that is taken

    A forward that does not read hu has no U. Equations that two of xw's and hu's blocks enter only as a
    sum take fewer evaluations. Returns the cell, with `forward` and `backward` of the contract.

    Raises
    ------
    ValueError, TypeError : a name twice, a result of another shape, changed arguments, randomness, NaN where
        everything is 0, units that mix, functions without a complex derivative (branch on `.real`), a wrong
        backward

    >>> def forward(xw, hu, prev, p):
    ...     (h_prev,) = prev
    ...     f = 1 / (1 + np.exp(-(xw + hu)))
    ...     return (f * h_prev + (1 - f) * np.tanh(xw),), (f,)
    >>> leaky = cell(forward, gates=["f"], name="leaky")
    >>> leaky.kept
    ('f', 'xw_f', 'hu_f')
    """
    given = {name: value for name, value in locals().items() if name != "forward"}
    if forward is None:
        return partial(cell, **given)
    name = _own_name(forward, name)
    if not callable(forward):
        raise TypeError(wording("forward", "a function (xw, hu, prev, p) -> state, kept", shown(forward)))
    if backward is not None and not callable(backward):
        raise TypeError(wording("backward", "a function or None", shown(backward)))
    names = _names(gates, states, kept, p)
    run = checks.checked(forward, names)
    cases = [checks.draw(run, names, seed) for seed in (0, 1)]
    names = _with_kept(names, len(run(cases[0])[1]))
    run = checks.checked(forward, names)
    checks.check_forward(run, names, cases[0])
    checks.draw(run, names, 2, B=checks.H, H=checks.B)  # runs it for other sizes, as layers will
    structure = _structure(forward, names, cases)
    checks.check_derivatives(forward, names, structure, cases)
    if backward is not None:
        for case in cases:
            checks.check_backward(backward, forward, names, structure, case)
    initial = tuple(_first(row, p[row]) for row in names.rows) if isinstance(p, Mapping) else None
    made = UserCell(
        name=name,
        gates=names.gates,
        states=names.states,
        own=names.kept or (),
        rows=names.rows,
        function=forward,
        by_hand=backward,
        structure=structure,
        bias=_biases(bias, names.gates),
        initial=initial or (0.0,) * len(names.rows),
        recurrent_bias=bool(recurrent_bias) and structure.recurrent,
        recurrent_map=_checked_map(recurrent_map, len(gates)),
    )
    _distinct(made)
    return made


def make(name: str, forward: Callable[..., Any], **options: Any) -> UserCell:
    """`cell`, of a name that only the package's own cells may have."""
    return replace(cell(forward, **options), name=name)


def _names(gates: Any, states: Any, kept: Any, p: Any) -> Names:
    found: list[Any] = []
    for argument, value in (("gates", gates), ("states", states), ("kept", kept), ("p", p)):
        if value is None and argument == "kept":
            found.append(None)
            continue
        try:
            names = tuple(value)
        except TypeError:
            raise TypeError(wording(argument, "a sequence of names", shown(value))) from None
        for one in names:
            if not isinstance(one, str) or not one.isidentifier() or iskeyword(one) or one[0] == "_":
                expected = "names such as 'f' or 'forget', to be had as attributes"
                raise ValueError(wording(argument, expected, shown(one)))
        if len(set(names)) != len(names):
            raise ValueError(wording(argument, "names that differ", f"{list(names)}"))
        found.append(names)
    if not found[0]:
        raise ValueError(wording("gates", "at least one name, of a block of W", "none"))
    if not found[1] or found[1][0] != "h":
        raise ValueError(
            wording("states", "names of which the first is 'h', the output", f"{list(found[1])}")
        )
    for row in found[3]:
        if row in found[0]:
            raise ValueError(wording("p", "names that no gate has", shown(row)))
    return Names(*found)


def _own_name(forward: Callable[..., Any], name: str | None) -> str:
    if name is None:
        found = forward.__name__.strip("<>") if inspect.isfunction(forward) else type(forward).__name__
        return f"{found}_cell" if found in KNOWN else found
    if given_name("name", name, "/") in KNOWN:
        expected = f"another than {', '.join(KNOWN)}, which are cells already"
        raise ValueError(wording("name", expected, shown(name)))
    return name


def _with_kept(names: Names, count: int) -> Names:
    """With the names of what is kept, where they can be known."""
    if names.kept is not None:
        return names
    if count not in (0, len(names.gates)):
        raise ValueError(wording("kept", f"the names of the {count} arrays that forward keeps", None))
    return names._replace(kept=names.gates if count else ())


def _distinct(made: UserCell) -> None:
    """Every array of a trace has a name of its own."""
    seen = set(TAKEN)
    for what, names in (("states", made.states), ("kept", made.kept)):
        for one in names:
            new = {one} | ({f"d{one}", f"{one}0", f"d{one}0"} if what == "states" else set())
            if clash := sorted(new & seen):
                expected = "names that stand for nothing else in a trace"
                raise ValueError(wording(what, expected, f"{one!r} (there is {clash[0]!r} already)"))
            seen |= new


def _first(row: str, value: Any) -> float | Initializer:
    """How a row of p begins."""
    what = f"p[{row!r}]"
    if isinstance(value, str) or callable(value):
        return initializers.get(what, value)
    return real_number(what, value, -np.inf)


def _biases(bias: Mapping[str, float] | None, gates: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    if not isinstance(bias, Mapping | None):
        raise TypeError(wording("bias", 'a dict by gate, such as {"f": 1.0}, or None', shown(bias)))
    for gate in bias or {}:
        if gate not in gates:
            raise ValueError(wording("bias", f"a dict by gate, of {', '.join(gates)}", shown(gate)))
    return tuple(
        (gate, real_number(f"bias of {gate}", value, -np.inf)) for gate, value in (bias or {}).items()
    )


def _structure(forward: Callable[..., Any], names: Names, cases: list[Case]) -> Structure:
    """What the step depends on, found on the cases."""
    plain = Structure(len(names.gates), len(names.states), len(names.rows))
    try:
        made = states_made(forward, plain, cases[0])
    except UnsafeError as error:
        raise checks.unsafe(str(error)) from None
    except Exception:  # whatever a function does that `Dual` does not know
        plain, made = plain._replace(dual=False), ()
    try:
        found = [by_complex(forward, plain, *case) for case in cases]
    except Exception as error:
        expected = "a function of complex arrays too"
        raise ValueError(wording("forward", expected, f"{type(error).__name__}: {error}")) from error
    recurrent = any(source.kind == "hu" for every in found for _, source in every)
    if not recurrent:
        try:
            forward(*(case := cases[0].copy())._replace(hu=case.hu[:, :0]))
        except Exception:  # it reads hu after all, in a way that adds nothing
            recurrent = True
    shared = frozenset(
        k for k in range(plain.gates) if recurrent and _is_sum(forward, plain, k, cases, found)
    )
    whole = plain._replace(made=made, recurrent=recurrent, shared=shared)
    if whole.dual and not _agree(forward, whole, cases, found):
        whole = whole._replace(dual=False)
    if not whole.dual:
        whole = whole._replace(made=states_made(forward, whole, cases[0].copy()))
    entries = dict.fromkeys(entry for case in cases for entry in derivatives(forward, whole, *case))
    return whole._replace(entries=tuple(entries))


def _agree(
    forward: Callable[..., Any], structure: Structure, cases: list[Case], found: list[dict[Any, Array]]
) -> bool:
    """Whether the first order is that of complex numbers; not where a view is written to, which it copies."""
    for case, every in zip(cases, found, strict=True):
        ours = derivatives(forward, structure, *case)
        for entry in ((s, source) for s in range(structure.states) for source in structure.sources):
            one, other = (np.asarray(parts.get(entry, 0.0)) for parts in (ours, every))
            if not np.abs(one - other).max() <= checks.CLOSE * np.abs(other).max():
                return False
    return True


def _is_sum(
    forward: Callable[..., Any],
    structure: Structure,
    k: int,
    cases: list[Case],
    found: list[dict[Any, Array]],
) -> bool:
    """Whether block k of xw and of hu enter forward only as their sum."""
    for case, every in zip(cases, found, strict=True):
        for s in range(structure.states):
            one, other = (every.get((s, Source(kind, k)), np.zeros(1)) for kind in ("xw", "hu"))
            if np.abs(one - other).max() > 1e-14 * np.abs(one).max():
                return False
        merged = case.copy()
        columns = slice(k * checks.H, (k + 1) * checks.H)
        merged.xw[:, columns] += merged.hu[:, columns]
        merged.hu[:, columns] = 0
        results = ([part for group in forward(*one) for part in group] for one in (case.copy(), merged))
        if not all(np.allclose(a, b, rtol=1e-13, atol=1e-13) for a, b in zip(*results, strict=True)):
            return False
    return True


def _checked_map(pair: Any, gates: int) -> Map | None:
    """The two functions of `recurrent_map`, the second of which must be the first one's derivative."""
    if pair is None:
        return None
    if not isinstance(pair, tuple) or len(pair) != 2 or not all(callable(one) for one in pair):
        raise TypeError(wording("recurrent_map", "two functions, R -> U and (dU, R) -> dR", shown(pair)))
    rng, H = np.random.default_rng(0), checks.H
    R, direction, dU = rng.normal(size=(3, H, gates * H))
    U = np.asarray(pair[0](R + 1e-30j * direction))
    if U.shape != R.shape:
        raise ValueError(wording("recurrent_map", f"R -> U of R's shape, here {R.shape}", U.shape))
    dR = np.asarray(pair[1](dU, R))
    right = float((dU * U.imag).sum() / 1e-30)
    if dR.shape != R.shape or abs(float((dR * direction).sum()) - right) > 1e-10 * abs(dU).sum():
        got = (
            f"a derivative along a direction of {(dR * direction).sum() if dR.shape == R.shape else dR.shape}"
        )
        raise ValueError(
            wording("recurrent_map", f"a pair whose derivative along a direction is {right:.6g} here", got)
        )
    return pair[0], pair[1]
