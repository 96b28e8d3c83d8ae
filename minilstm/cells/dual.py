"""The complex evaluation of a step carried to first order: a + b e with e^2 = 0, for many b at once.

A step is elementwise, so its local derivatives are numbers: what one entry of xw, hu, a state or p does to
the same entry of a state. Evaluated at z + 1e-30 i, a function gives f(z) + f'(z) 1e-30 i: the complex step.
Here the imaginary parts are kept beside the real ones, one for each *source* (a block of xw or hu, a state, a
row of p), so that the real part, with its exponentials, is computed once for all of them:

    a * b  ->  value a b,  parts  da b + a db            exp a  ->  value e^a,  parts  e^a da     and so on

`Dual` is what `forward` gets in place of its arrays; NumPy's functions reach it by its protocols. A
function that is not in the tables here raises `UnknownError`, and the caller evaluates with complex numbers
instead; one that no complex number goes through, as abs, raises `UnsafeError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from minilstm.foundations.arrays import Array

ONE = 1.0
Part = Any  # an array that broadcasts to the value, or a number


class Source(NamedTuple):
    """What is nudged: a block of "xw" or "hu", a state in "prev", a row of "p", a "state" after the step."""

    kind: str
    number: int


class UnknownError(Exception):
    """A function whose derivative is not known here."""


class UnsafeError(Exception):
    """A function that gives no derivative on complex arrays; the text is its name."""


# For each function, of its value y and its inputs: the factor of the part of each input; None for 1.
RULES: dict[Any, Callable[..., tuple[Any, ...]]] = {
    np.add: lambda y, a, b: (None, None),
    np.subtract: lambda y, a, b: (None, -1),
    np.multiply: lambda y, a, b: (b, a),
    np.divide: lambda y, a, b: (1 / b, -y / b),
    np.negative: lambda y, a: (-1,),
    np.positive: lambda y, a: (None,),
    np.exp: lambda y, a: (y,),
    np.expm1: lambda y, a: (y + 1,),
    np.log: lambda y, a: (1 / a,),
    np.log1p: lambda y, a: (1 / (1 + a),),
    np.tanh: lambda y, a: (1 - y * y,),
    np.sqrt: lambda y, a: (0.5 / y,),
    np.square: lambda y, a: (2 * a,),
    np.reciprocal: lambda y, a: (-y * y,),
    np.sin: lambda y, a: (np.cos(a),),
    np.cos: lambda y, a: (-np.sin(a),),
    np.sinh: lambda y, a: (np.cosh(a),),
    np.cosh: lambda y, a: (np.sinh(a),),
    np.arctan: lambda y, a: (1 / (1 + a * a),),
}
UNSAFE = {
    *(np.absolute, np.fabs, np.maximum, np.minimum, np.fmax, np.fmin, np.sign, np.conjugate, np.heaviside),
    *(np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal, np.copysign),
    *(np.floor, np.ceil, np.trunc, np.rint, np.clip, np.abs, np.angle, np.iscomplexobj, np.imag),
}


class Run:
    """One evaluation of a step: H, and what is nudged at the arrays that it makes on its way.

    marks : source by the number of an array, which gets a part of its own there;
    offsets : numbers added to an array's value; shared : blocks of hu that stand in one sum with those of xw
    """

    def __init__(
        self,
        units: int,
        marks: Mapping[int, Source] | None = None,
        offsets: Mapping[int, Array] | None = None,
        shared: frozenset[int] = frozenset(),
    ) -> None:
        self.units, self.marks, self.offsets, self.shared = units, marks or {}, offsets or {}, shared
        self.count = 0

    def block(self, source: Source, start: int) -> Source | None:
        """The block of a source of xw or hu that begins at column `start`; None where it is a shared one."""
        number, rest = divmod(start, self.units)
        if rest:
            raise UnknownError("a slice across blocks")
        return None if source.kind == "hu" and number in self.shared else Source(source.kind, number)


class Dual(NDArrayOperatorsMixin):
    """A value (N, H), or (N, nH) as long as it is not split into blocks, and its part for each source.

    A part may be any shape that broadcasts to the value's. Of an array of several blocks, `start` is its
    first column, and its sources have the number -1: a part is the derivative by the entry's own place.
    """

    def __init__(
        self, run: Run, value: Array, parts: Mapping[Source, Part] | None = None, start: int | None = None
    ) -> None:
        self.run, self.number = run, run.count
        run.count += 1
        self.value = value + run.offsets[self.number] if self.number in run.offsets else value
        self.parts, self.start = dict(parts or {}), start
        if self.number in run.marks:
            self.parts[run.marks[self.number]] = ONE

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def dtype(self) -> Any:
        return self.value.dtype

    @property
    def ndim(self) -> int:
        return self.value.ndim

    @property
    def size(self) -> int:
        return self.value.size

    @property
    def real(self) -> Array:
        return self.value.real

    def __len__(self) -> int:
        return len(self.value)

    def copy(self) -> Dual:
        return Dual(self.run, self.value, self.parts, self.start)

    def __array__(self, *_: Any, **__: Any) -> Array:
        raise UnknownError("an array of it")

    def __bool__(self) -> bool:
        raise UnsafeError("a truth value")

    def __getattr__(self, name: str) -> Any:
        raise UnknownError(name)

    def __getitem__(self, key: Any) -> Dual:
        columns = key[-1] if isinstance(key, tuple) and len(key) == 2 else None
        if self.start is None or not isinstance(columns, slice) or key[0] not in (Ellipsis, slice(None)):
            raise UnknownError("an index")
        start, stop, step = columns.indices(self.shape[-1])
        if step != 1:
            raise UnknownError("a step in a slice")
        return self._columns(start, stop)

    def _columns(self, start: int, stop: int) -> Dual:
        first = (self.start or 0) + start
        parts: dict[Source, Part] = {}
        whole = stop - start != self.run.units  # still several blocks
        for source, part in self.parts.items():
            at = source if whole or source.number >= 0 else self.run.block(source, first)
            if at is not None:
                parts[at] = part[..., start:stop] if np.ndim(part) else part
        return Dual(self.run, self.value[..., start:stop], parts, first if whole else None)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        out = options.pop("out", None)
        if ufunc in UNSAFE:
            raise UnsafeError(f"np.{ufunc.__name__}")
        if ufunc in (np.isnan, np.isinf, np.isfinite):
            return ufunc(inputs[0].value)
        if method != "__call__" or options or (ufunc not in RULES and ufunc is not np.power):
            raise UnknownError(f"np.{ufunc.__name__}")
        found = self._power(*inputs) if ufunc is np.power else self._apply(ufunc, inputs)
        if out is None:
            return found
        (target,) = out
        if not isinstance(target, Dual):
            raise UnknownError("out=")
        target.__dict__.update(found.__dict__)
        return target

    def _apply(self, ufunc: Any, inputs: tuple[Any, ...]) -> Dual:
        values = [one.value if isinstance(one, Dual) else one for one in inputs]
        y = ufunc(*values)
        start = _start(inputs)
        parts: dict[Source, Part] = {}
        if any(isinstance(one, Dual) and one.parts for one in inputs):
            for one, factor in zip(inputs, RULES[ufunc](y, *values), strict=True):
                for source, part in one.parts.items() if isinstance(one, Dual) else ():
                    if factor is not None:
                        part = factor if part is ONE else part * factor
                    parts[source] = parts[source] + part if source in parts else part
        return Dual(self.run, y, parts, start)

    def _power(self, base: Any, exponent: Any) -> Dual:
        if isinstance(exponent, Dual) or not isinstance(base, Dual):
            raise UnknownError("np.power of two arrays")
        factor = exponent * base.value ** (exponent - 1)
        parts = {source: part * factor for source, part in base.parts.items()}
        return Dual(self.run, base.value**exponent, parts, base.start)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if function in UNSAFE:
            raise UnsafeError(f"np.{function.__name__}")
        if function not in FUNCTIONS:
            raise UnknownError(f"np.{function.__name__}")
        return FUNCTIONS[function](*args, **options)


def _start(inputs: Iterable[Any]) -> int | None:
    """The first column of what these stand in."""
    starts = {one.start for one in inputs if isinstance(one, Dual)}
    if len(starts) > 1:
        raise UnknownError("blocks that do not stand side by side")
    return starts.pop()


def _where(condition: Array, a: Any, b: Any) -> Dual:
    if isinstance(condition, Dual):
        raise UnsafeError("np.where of a number")
    duals = [one for one in (a, b) if isinstance(one, Dual)]
    first, second = (one.value if isinstance(one, Dual) else one for one in (a, b))
    value = np.where(condition, first, second)
    sources = dict.fromkeys(source for one in duals for source in one.parts)
    parts = {
        source: np.where(
            condition, *(one.parts.get(source, 0) if isinstance(one, Dual) else 0 for one in (a, b))
        ).astype(value.dtype, copy=False)
        for source in sources
    }
    return Dual(duals[0].run, value, parts, _start(duals))


def _split(array: Dual, sections: Any, axis: int = 0) -> list[Dual]:
    if array.start is None or axis not in (-1, array.ndim - 1):
        raise UnknownError("np.split")
    width = array.shape[-1]
    if isinstance(sections, (int, np.integer)):
        if width % sections:
            raise ValueError("array split does not result in an equal division")
        edges = [width * k // int(sections) for k in range(int(sections) + 1)]
    else:
        edges = [0, *sections, width]
    return [array._columns(start, stop) for start, stop in pairwise(edges)]


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.where: _where,
    np.split: _split,
    np.array_split: _split,
    np.hsplit: lambda array, sections: _split(array, sections, 1),
    np.zeros_like: lambda array, **options: np.zeros_like(array.value, **options),
    np.ones_like: lambda array, **options: np.ones_like(array.value, **options),
    np.full_like: lambda array, fill, **options: np.full_like(array.value, fill, **options),
    np.real: lambda array: array.value.real,
    np.copy: lambda array: array.copy(),
    np.shape: lambda array: array.shape,
    np.ndim: lambda array: array.ndim,
    np.size: lambda array: array.size,
}


def inputs_of(
    run: Run,
    gates: int,
    xw: Array,
    hu: Array,
    prev: tuple[Array, ...],
    p: Array | None,
    *,
    parts: bool = True,
) -> tuple[Any, Any, tuple[Any, ...], Any]:
    """The arguments of `forward` as Duals, each with a part of its own; or as values alone."""

    def one(value: Array, source: Source, start: int | None = None) -> Dual:
        return Dual(run, value, {source: ONE} if parts else {}, start)

    def blocks(kind: str, value: Array) -> Any:
        if value.shape[-1] == 0 or (kind == "hu" and len(run.shared) == gates):
            return Dual(run, value, {}, 0 if gates > 1 else None)
        return one(value, Source(kind, 0 if gates == 1 else -1), None if gates == 1 else 0)

    rows = None if p is None else tuple(one(row, Source("p", r)) for r, row in enumerate(p))
    return (
        blocks("xw", xw),
        blocks("hu", hu),
        tuple(one(state, Source("prev", j)) for j, state in enumerate(prev)),
        rows,
    )
