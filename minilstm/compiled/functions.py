"""Functions of Vectors for cells that somebody wrote: exp, where, comparisons, and those of the C library.

A truth is 1.0 or 0.0, a number like others: the compiler turns `where` of a comparison into one instruction.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils

from minilstm.compiled.jit import instruction
from minilstm.compiled.vectors import (
    FLOATS,
    Emitted,
    Vector,
    as_vector,
    clamp,
    dtype_of,
    exp_of_minus,
    fma,
)

SMALLEST = {"float32": 87.33, "float64": 708.39}  # exp(-x) is a normal number up to here
NAMES = {"arctan": "atan", "power": "pow"}  # in the C library, where they are not NumPy's


def _emitted(values: tuple[Any, ...]) -> list[Emitted]:
    """All of them as Vectors; none outside of code that is being generated."""
    one = next((value for value in values if isinstance(value, Emitted)), None)
    return [] if one is None else [one.new(one.other(value)) for value in values]


def _comparison(symbol: str, plain: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def compare(a: Any, b: Any) -> Any:
        if found := _emitted((a, b)):
            x, y = found
            true = x.builder.fcmp_ordered(symbol, x.value, y.value)
            return x.new(x.builder.select(true, x.other(1.0), x.other(0.0)))
        return plain(a, b).astype(np.result_type(a, b))

    return compare


def _where(truth: Any, a: Any, b: Any) -> Any:
    if found := _emitted((truth, a, b)):
        condition, x, y = found
        true = x.builder.fcmp_unordered("!=", condition.value, x.other(0.0))
        return x.new(x.builder.select(true, x.value, y.value))
    return np.where(truth != 0, a, b).astype(truth.dtype)


_less = _comparison("<", operator.lt)


def _exp(x: Any) -> Any:
    """exp(x), 0 below the normal numbers; by exp(x / 2) twice where 2^n alone would overflow."""
    limit = SMALLEST[dtype_of(x)]
    large = _less(limit, x)
    s, q = exp_of_minus(clamp(_where(large, x * -0.5, x * -1.0), limit))
    e = fma(s, q, s)
    with np.errstate(over="ignore"):
        return _where(_less(x, -limit), 0.0, _where(large, e * e, e))


def _sqrt(x: Any) -> Any:
    if not isinstance(x, Emitted):
        return np.sqrt(x)
    name = f"llvm.sqrt.v{x.type.count}f{32 if dtype_of(x) == 'float32' else 64}"
    kind = ir.FunctionType(x.type, [x.type])
    function = cgutils.get_or_insert_function(x.builder.module, kind, name)
    return x.new(x.builder.call(function, [x.value]))


def _of_library(name: str) -> Callable[..., Any]:
    """A function of the C library, called for one number after the other."""

    def function(*values: Any) -> Any:
        vectors = _emitted(values)
        if not vectors:
            with np.errstate(all="ignore"):
                return getattr(np, name)(*values)
        builder, kind = vectors[0].builder, vectors[0].type
        symbol = NAMES.get(name, name) + ("f" if kind.element == FLOATS["float32"] else "")
        if binding.address_of_symbol(symbol) is None:
            raise NotImplementedError(f"a C library without {symbol}")
        called = ir.FunctionType(kind.element, [kind.element] * len(vectors))
        there = cgutils.get_or_insert_function(builder.module, called, symbol)
        found = ir.Constant(kind, ir.Undefined)
        for lane in (ir.IntType(32)(k) for k in range(kind.count)):
            numbers = [builder.extract_element(vector.value, lane) for vector in vectors]
            found = builder.insert_element(found, builder.call(there, numbers), lane)
        return vectors[0].new(found)

    return function


def _instruction(function: Callable[..., Any], count: int = 1) -> Any:
    """`function` of `count` Vectors and numbers as an instruction."""

    def define(*kinds: Any) -> Any:
        vector = next(kind for kind in kinds if isinstance(kind, Vector))

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            pairs = zip(kinds, args, strict=True)
            given = [Emitted(builder, as_vector(context, builder, vector.dtype, *pair)) for pair in pairs]
            return function(*given).value

        return vector(*kinds), generate

    one = lambda typing_context, a: define(a)  # noqa: E731  Numba counts the arguments
    two = lambda typing_context, a, b: define(a, b)  # noqa: E731
    three = lambda typing_context, a, b, c: define(a, b, c)  # noqa: E731
    return instruction(function)((one, two, three)[count - 1])


FUNCTIONS = {
    "exp": _instruction(_exp),
    "sqrt": _instruction(_sqrt),
    "where": _instruction(_where, 3),
    "less": _instruction(_less, 2),
    "less_equal": _instruction(_comparison("<=", operator.le), 2),
    "equal": _instruction(_comparison("==", operator.eq), 2),
    "power": _instruction(_of_library("power"), 2),
} | {
    name: _instruction(_of_library(name))
    for name in ("log", "log1p", "expm1", "sin", "cos", "sinh", "cosh", "arctan")
}
