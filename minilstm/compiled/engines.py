"""Which engine runs the steps: the lesson's own, in NumPy, or the compiled one.

Not the engines themselves: those are `bptt.engine.PLAIN` and `memory`. Numba is imported when the compiled
engine is first asked for.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from minilstm.bptt.cell import Cell, State, Weights
from minilstm.bptt.engine import PLAIN, Engine
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import one_of

BACKENDS = ("numba", "numpy")
PARALLEL_WORK = 8_000_000  # multiply-adds in one pass below which waking a thread costs more than it saves


@runtime_checkable
class Programmed(Protocol):
    """A cell that somebody wrote: its step as text, or in words why not; see `cells.program`."""

    def program(self, dtype: str) -> Any: ...


@cache
def _have_programs(kind: type) -> bool:
    return issubclass(kind, Programmed)


def _is_programmed(cell: Any) -> bool:
    """Whether it is such a cell; its class is asked once, for a protocol takes its time to answer."""
    return _have_programs(type(cell))  # type: ignore[arg-type]


@cache
def _compiled() -> Engine | None:
    """The compiled engine, or None, with one warning that names the cause, where Numba cannot be used."""
    try:
        from minilstm.compiled import exact_zero, inference, memory
    except Exception as error:  # whatever a broken installation raises
        message = f"Numba cannot be used ({type(error).__name__}: {error}); the NumPy backend does the work"
        warnings.warn(message, RuntimeWarning, stacklevel=4)
        return None

    def pack(cell: Cell, weights: Weights, drop: Array | None) -> memory.Packed:
        assert drop is None  # recurrent dropout has no kernel: layers leave it to the plain engine
        return memory.Packed(cell, weights)

    return Engine(
        name="numba",
        forward_segment=memory.forward_segment,
        backward_segment=memory.backward_segment,
        pack=pack,
        prepare=memory.Packed.prepare_backward,
        release=memory.release,
        stays_zero=exact_zero.stays_zero,
        read=inference.read,
        parallel=True,
    )


@cache
def _compiled_of_users() -> Engine | None:
    """The same for cells that somebody wrote."""
    engine = _compiled()
    if engine is None:
        return None
    from minilstm.compiled import user_memory

    def pack(cell: Cell, weights: Weights, drop: Array | None) -> user_memory.Packed:
        assert drop is None
        return user_memory.Packed(cell, weights)

    return replace(
        engine,
        forward_segment=user_memory.forward_segment,
        pack=pack,
        prepare=user_memory.Packed.prepare_backward,
        read=None,
    )


def without_kernel(cell: Any) -> str | None:
    """In words, what of `cell` no kernel computes: settings, or what a user's forward uses; or None.

    >>> from minilstm.bptt.variants import LSTMVariant
    >>> without_kernel(LSTMVariant(forget_gate="none"))
    "forget_gate='none'"
    """
    if _is_programmed(cell):
        found = cell.program("float64")
        return f"a forward that uses {found}" if isinstance(found, str) else None
    common, settings = type(cell)(), vars(cell).items()
    return ", ".join(f"{k}={v!r}" for k, v in settings if v != vars(common)[k]) or None


def resolve_backend(backend: str, cell: Cell | None = None) -> str:
    """`backend` if it can be used here, for this cell, otherwise "numpy" after one warning.

    >>> resolve_backend("numpy")
    'numpy'
    """
    one_of("backend", backend, BACKENDS)
    missing = without_kernel(cell) if backend == "numba" and cell is not None else None
    if cell is not None and missing is not None:
        message = f"no compiled kernel for {cell.name} with {missing}; the NumPy backend does the work"
        warnings.warn(message, RuntimeWarning, stacklevel=4)
        return "numpy"
    return "numpy" if backend == "numba" and _compiled() is None else backend


def engine_of(backend: str, B: int = 1, cell: Cell | None = None) -> Engine:
    """The engine of that name for `cell`; for an empty batch the plain one, which has no chunks to fill.

    >>> engine_of("numpy").name
    'numpy'
    """
    compiled = _compiled_of_users if _is_programmed(cell) else _compiled
    return (compiled() if backend == "numba" and B > 0 else None) or PLAIN


class Stepping(Protocol):
    """A recurrent layer that goes on from where it stands, for a batch of sequences."""

    state: State  # (B, H) each; copies when read

    def copy(self) -> Stepping: ...
    def advance(self, x: Array, mask: Array | None) -> Array: ...  # (B, S, D) -> h (B, S, H)


class PlainStepping:
    """The same by the functions that an engine has for segments."""

    def __init__(self, engine: Engine, cell: Cell, weights: Weights, batch: int) -> None:
        own = Weights(*(None if part is None else part.copy() for part in weights))  # type: ignore[arg-type]
        self.engine, self.packed = engine, engine.pack(cell, own, None)
        self.state = tuple(np.zeros((batch, len(own.U)), own.U.dtype) for _ in cell.states)

    def copy(self) -> PlainStepping:
        return copy(self)  # a state is never written to

    def advance(self, x: Array, mask: Array | None) -> Array:
        real = None if mask is None else mask.T
        segment = self.engine.forward_segment(self.packed, x.transpose(1, 0, 2), real, self.state, "outputs")
        self.state = segment.last_state
        h: Array = segment.states[0][1:].transpose(1, 0, 2)
        return h


def stepping_of(backend: str, cell: Cell, weights: Weights, batch: int) -> Stepping:
    """`cell` with a copy of `weights`, at a state of zeros."""
    engine = engine_of(backend, batch, cell)
    if engine is PLAIN or _is_programmed(cell):
        return PlainStepping(engine, cell, weights, batch)
    from minilstm.compiled import memory, stepping

    return stepping.Stepping(memory.Packed(cell, weights), batch)


class Products(NamedTuple):
    """What the layers beside the recurrent ones compute with."""

    matmul: Callable[[Array, Array], Array]  # (m, k) @ (k, n)
    add_rows: Callable[[Array, Array, Array], None]  # out[ids[k]] += rows[k], k after k
    by: Callable[[Array], Callable[[Array], Array]]  # by(b)(a) is matmul(a, b); b is laid out once


def _add_rows(out: Array, rows: Array, ids: Array) -> None:
    width = out.shape[1]
    places = np.add.outer(ids * width, np.arange(width))  # in one dimension add.at is five times as fast
    np.add.at(out.reshape(-1), places.reshape(-1), rows.reshape(-1))


def _matmul_by(b: Array) -> Callable[[Array], Array]:
    own = b.copy()
    return lambda a: a @ own


@cache
def products_of(backend: str) -> Products:
    """Those of that backend. The compiled ones leave complex numbers and empty arrays to NumPy.

    >>> products_of("numpy").matmul(np.ones((2, 3)), np.ones((3, 1))).tolist()
    [[3.0], [3.0]]
    """
    if backend == "numpy" or _compiled() is None:
        return Products(np.matmul, _add_rows, _matmul_by)
    from minilstm.compiled import products

    def matmul(a: Array, b: Array) -> Array:
        if a.dtype != b.dtype or b.dtype.kind != "f" or 0 in (*a.shape, *b.shape):
            return np.asarray(a @ b)
        return products.matmul(a, b, len(a) * b.size > PARALLEL_WORK)

    def add_rows(out: Array, rows: Array, ids: Array) -> None:
        (products.add_rows if out.dtype.kind == "f" else _add_rows)(out, rows, ids)

    def by(b: Array) -> Callable[[Array], Array]:
        panels, n = products.panels_of(b), b.shape[1]
        return lambda a: products.times_panels(a, panels, n, len(a) * b.size > PARALLEL_WORK)

    return Products(matmul, add_rows, by)


def _plain_size(cell: Cell, S: int, b: int, D: int, H: int, itemsize: int) -> int:
    """Bytes on the tape of one segment of the plain engine."""
    return itemsize * (len(cell.states) * (S + 1) * b * H + len(cell.kept) * S * b * H)


def tape_bytes(
    cell: Cell,
    T: int,
    B: int,
    D: int,
    H: int,
    itemsize: int,
    backend: str,
    segment_steps: int,
    keep: str,
    waiting: tuple[int, int] | None = None,
) -> int:
    """`Tapes.nbytes` of a forward pass, known before it runs.

    waiting : the states and the steps that a plan of checkpoints keeps for backward; None without one

    >>> from minilstm.bptt.lstm import LSTMCell
    >>> tape_bytes(LSTMCell(), 5, 4, 2, 3, 8, "numpy", 5, "everything")
    3264
    """
    size = _plain_size
    if engine_of(backend, B) is not PLAIN:
        if _is_programmed(cell):
            from minilstm.compiled.user_memory import tape_size as size
        else:
            from minilstm.compiled.memory import tape_size as size
    if waiting is not None:
        states, records = waiting
        return states * itemsize * len(cell.states) * B * H + records * size(cell, 1, B, D, H, itemsize)
    whole, rest = divmod(T, segment_steps)
    states = itemsize * len(cell.states) * (whole + (rest > 0)) * B * H
    if keep != "everything":
        return states
    kept = whole * size(cell, min(segment_steps, T), B, D, H, itemsize)
    return states + kept + (size(cell, rest, B, D, H, itemsize) if rest else 0)
