"""Vectors of numbers inside a kernel, and exp, sigmoid and tanh of them.

    i = sigmoid(load(z, k))                    NR numbers of contiguous z, from the k-th on
    store(c, k, f * load(c, k - n) + i * g)    + - * / with each other and with plain numbers

A Vector is two registers of the processor: 16 float32 with AVX, 32 with AVX-512, half as many float64.
Two, because one activation is a chain of 20 instructions that each wait for the one before, and the second
register fills the waiting. `load` and `store` check nothing. `load_part` and `store_part` touch the first
`count` numbers only, for rows that end inside a vector.

Each operation is defined once, on `Emitted`, as Python operators that emit LLVM instructions; so the
polynomials below are one text, which emits code when a kernel is compiled, and which computes when it is
given NumPy arrays. That is what runs with NUMBA_DISABLE_JIT=1, where `load` copies a slice of the array
and checks that it lies inside.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model

from minilstm.compiled.jit import instruction, lanes
from minilstm.foundations.arrays import Array

FLOATS = {"float32": ir.FloatType(), "float64": ir.DoubleType()}


def vector_type(dtype: str) -> Any:
    """The LLVM type of a Vector: <16 x float>."""
    return ir.VectorType(FLOATS[dtype], lanes(dtype))


def splat(kind: Any, number: Any) -> Any:
    """A constant with `number` in each place."""
    return ir.Constant(kind, [ir.Constant(kind.element, number)] * kind.count)


class Emitted:
    """A Vector while code is generated: its operators emit instructions and give the Vector they make."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value, self.type = builder, value, value.type

    def new(self, value: Any) -> Emitted:
        return Emitted(self.builder, value)

    def other(self, number: Any) -> Any:
        return number.value if isinstance(number, Emitted) else splat(self.type, number)

    def __add__(self, other: Any) -> Emitted:
        return self.new(self.builder.fadd(self.value, self.other(other)))

    def __sub__(self, other: Any) -> Emitted:
        return self.new(self.builder.fsub(self.value, self.other(other)))

    def __rsub__(self, other: Any) -> Emitted:
        return self.new(self.builder.fsub(self.other(other), self.value))

    def __mul__(self, other: Any) -> Emitted:
        return self.new(self.builder.fmul(self.value, self.other(other)))

    def __truediv__(self, other: Any) -> Emitted:
        return self.new(self.builder.fdiv(self.value, self.other(other)))

    def __rtruediv__(self, other: Any) -> Emitted:
        return self.new(self.builder.fdiv(self.other(other), self.value))


def multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, rounded once where the processor can do that in one instruction."""
    name = f"llvm.fmuladd.v{a.type.count}f{32 if a.type.element == FLOATS['float32'] else 64}"
    kind = ir.FunctionType(a.type, [a.type] * 3)
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, [a, b, c])


def prefetch(builder: Any, pointer: Any) -> None:
    """Ask for the line of memory at `pointer`, which may lie outside of any array."""
    number = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), number, number, number])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    place = builder.bitcast(pointer, kind.args[0])
    builder.call(function, [place, number(0), number(3), number(1)])  # to read, soon again, numbers


def fma(a: Any, b: Any, c: Any) -> Any:
    """a b + c, of Vectors, where b or c may be plain numbers."""
    if isinstance(a, Emitted):
        return a.new(multiply_add(a.builder, a.value, a.other(b), a.other(c)))
    return a * b + c  # a plain number takes the dtype of the array


def clamp(x: Any, limit: float) -> Any:
    """x between -limit and limit; NaN passes."""
    if not isinstance(x, Emitted):
        return np.clip(x, x.dtype.type(-limit), x.dtype.type(limit))
    builder, low, high = x.builder, splat(x.type, -limit), splat(x.type, limit)
    value = builder.select(builder.fcmp_ordered("<", high, x.value), high, x.value)
    return x.new(builder.select(builder.fcmp_ordered("<", value, low), low, value))


def power_of_two(t: Any) -> Any:
    """2^n of t = n + 1.5 * 2^23 (float64: 1.5 * 2^52), whose last bits are n: shifted into the exponent."""
    if not isinstance(t, Emitted):
        single = t.dtype == np.float32
        bits = t.view(np.uint32 if single else np.uint64)
        shift, one = (23, np.uint32(127 << 23)) if single else (52, np.uint64(1023 << 52))
        return ((bits << bits.dtype.type(shift)) + one).view(t.dtype)
    single = t.type.element == FLOATS["float32"]
    width, shift, bias = (32, 23, 127) if single else (64, 52, 1023)
    whole = ir.VectorType(ir.IntType(width), t.type.count)
    bits = t.builder.shl(t.builder.bitcast(t.value, whole), splat(whole, shift))
    return t.new(t.builder.bitcast(t.builder.add(bits, splat(whole, bias << shift)), t.type))


# ---------------------------------------------------------------- exp, sigmoid, tanh

# exp(r) = 1 + r + r^2 (p[0] + p[1] r + ...) for |r| <= ln(2) / 2: mpmath.chebyfit of (exp(r) - 1 - r) / r^2.
POLYNOMIALS = {
    "float32": [
        0.5, 0.166665770255979882, 0.041666554662050534, 0.0083631730745137109, 0.00139261761199355789,
    ],
    "float64": [
        0.500000000000000102, 0.166666666666666675, 0.0416666666666241619, 0.00833333333333006445,
        0.00138888889171967191, 0.000198412698630405453, 0.0000248015213223686933, 2.75572684803100255e-6,
        2.76200758799833666e-7, 2.51003758325612337e-8,
    ],
}  # fmt: skip
ROUNDERS = {"float32": 12582912.0, "float64": 6755399441055744.0}  # adding 1.5 * 2^23 (2^52) rounds to whole
LN2 = {  # in two parts, of which a multiple of the first is exact
    "float32": (0.693359375, -2.12194440e-4),
    "float64": (0.693147180369123816490, 1.90821492927058770002e-10),
}
LIMITS = {"float32": 87.0, "float64": 708.0}  # of sigmoid: beyond, exp(x) or exp(-x) leaves the range


def dtype_of(x: Any) -> str:
    """The dtype of a Vector or of an array, as a word."""
    if isinstance(x, Emitted):
        return "float32" if x.type.element == FLOATS["float32"] else "float64"
    return str(x.dtype)


def exp_of_minus(x: Any) -> tuple[Any, Any]:
    """s, q with exp(-x) = s + s q: x = r - n ln 2, s = 2^n, q = exp(-r) - 1, |r| <= ln(2) / 2.

    Multiplying by 2^n at the end, instead of adding n to the exponent of q, lets NaN through.
    """
    dtype = dtype_of(x)
    p, rounder, (high, low), inverse = POLYNOMIALS[dtype], ROUNDERS[dtype], LN2[dtype], -1.4426950408889634
    t = fma(x, inverse, rounder)
    n = t - rounder
    r = fma(n, low, fma(n, high, x))
    square = r * r
    # exp(-r) is wanted: odd powers change their sign
    pairs = [fma(r, -p[k + 1], p[k]) if k + 1 < len(p) else p[k] for k in range(0, len(p), 2)]
    total = pairs[-1]
    for pair in pairs[-2::-1]:
        total = fma(square, total, pair)
    return power_of_two(t), fma(square, total, 0 - r)


def _sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)); relative accuracy for closed gates, down to -LIMITS."""
    s, q = exp_of_minus(clamp(x, LIMITS[dtype_of(x)]))
    return 1 / (fma(s, q, s) + 1)


def _tanh(x: Any) -> Any:
    """e / (2 - e), e = 1 - exp(-2 x): no cancellation for small x."""
    s, q = exp_of_minus(clamp(x + x, 40.0))
    e = (1 - s) - s * q
    return e / (2 - e)


# ---------------------------------------------------------------- what kernels see


class Vector(types.Type):
    """Numba's type of a Vector."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        super().__init__(name=f"Vector({dtype})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, vector_type(kind.dtype))


class _Operator(AbstractTemplate):
    """Vector with Vector, or with a number."""

    def generic(self, args: Any, keywords: Any) -> Any:
        vectors = [kind for kind in args if isinstance(kind, Vector)]
        others = (kind for kind in args if not isinstance(kind, (Vector, types.Number)))
        if len(args) == 2 and vectors and not list(others):
            return signature(vectors[0], *args)
        return None


def repeat(builder: Any, number: Any, kind: Any) -> Any:
    """`number`, known when the kernel runs, in each place of an LLVM vector."""
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), None)
    return builder.shuffle_vector(first, first, zeros)


def as_vector(context: Any, builder: Any, dtype: str, given: Any, value: Any) -> Any:
    """`value` of Numba's type `given` as an LLVM vector: it is one already, or a number for each place."""
    if isinstance(given, Vector):
        return value
    return repeat(builder, context.cast(builder, value, given, getattr(types, dtype)), vector_type(dtype))


def _lower_operator(operation: Callable[[Any, Any], Any]) -> Any:
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        dtype = sig.return_type.dtype
        vectors = (as_vector(context, builder, dtype, *pair) for pair in zip(sig.args, args, strict=True))
        left, right = (Emitted(builder, vector) for vector in vectors)
        return operation(left, right).value

    return generate


for _operation in (operator.add, operator.sub, operator.mul, operator.truediv):
    infer_global(_operation)(type("VectorOperator", (_Operator,), {}))
    for _kinds in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(_operation, *_kinds)(_lower_operator(_operation))


def element(context: Any, builder: Any, kind: Any, array: Any, k: Any) -> Any:
    """Pointer to the k-th number of a contiguous array, or behind a pointer."""
    data = (
        array if isinstance(kind, types.CPointer) else context.make_array(kind)(context, builder, array).data
    )
    return builder.gep(data, [k])


def load_vector(builder: Any, pointer: Any, kind: Any) -> Any:
    """The numbers at `pointer`, which may stand anywhere."""
    return builder.load(builder.bitcast(pointer, kind.as_pointer()), align=_itemsize(kind))


def store_vector(builder: Any, value: Any, pointer: Any) -> None:
    """Put `value` at `pointer`, which may stand anywhere."""
    kind = value.type
    builder.store(value, builder.bitcast(pointer, kind.as_pointer()), align=_itemsize(kind))


def _itemsize(kind: Any) -> int:
    return 4 if kind.element == FLOATS["float32"] else 8


def flat(a: Array) -> Array:
    """`a` in one dimension, without a copy: what the Python forms index."""
    assert a.flags.c_contiguous
    return a.reshape(-1)


def _load(a: Array, k: int) -> Array:
    return _load_part(a, k, lanes(a.dtype))


def _load_part(a: Array, k: int, count: int) -> Array:
    assert 0 <= k <= a.size - count
    found = np.zeros(lanes(a.dtype), a.dtype)
    found[:count] = flat(a)[k : k + count]
    return found


def _store(a: Array, k: int, value: Any) -> None:
    assert 0 <= k <= a.size - lanes(a.dtype)
    flat(a)[k : k + lanes(a.dtype)] = value


def _store_part(a: Array, k: int, values: Array, count: int) -> None:
    assert 0 <= k <= a.size - count
    flat(a)[k : k + count] = values[:count]


@instruction(lambda a, k: flat(a)[k:])
def at(typing_context: Any, a: Any, k: Any) -> Any:
    """The place of the k-th number of `a`, a contiguous array or such a place: one type for all shapes."""
    place = types.CPointer(a.dtype)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return element(context, builder, a, *args)

    return place(a, types.intp), generate


@instruction(lambda a, k: None)
def fetch(typing_context: Any, a: Any, k: Any) -> Any:
    """Ask for the line of memory with the k-th number of `a`, before it is needed; it may lie outside."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        prefetch(builder, element(context, builder, a, *args))
        return context.get_dummy_value()

    return types.void(a, types.intp), generate


@instruction(_load)
def load(typing_context: Any, a: Any, k: Any) -> Any:
    """The Vector that begins at the k-th number of contiguous `a`."""
    vector = Vector(str(a.dtype))

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return load_vector(builder, element(context, builder, a, *args), vector_type(vector.dtype))

    return vector(a, types.intp), generate


@instruction(_store)
def store(typing_context: Any, a: Any, k: Any, value: Any) -> Any:
    """Put `value`, a Vector or one number for all places, into contiguous `a`, from its k-th number on."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = as_vector(context, builder, str(a.dtype), value, args[2])
        store_vector(builder, vector, element(context, builder, a, *args[:2]))
        return context.get_dummy_value()

    return types.void(a, types.intp, value), generate


@instruction(_load_part)
def load_part(typing_context: Any, a: Any, k: Any, count: Any) -> Any:
    """The Vector of `count` numbers from the k-th on, then zeros."""
    vector = Vector(str(a.dtype))

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind, pointer = vector_type(vector.dtype), element(context, builder, a, *args[:2])
        slot = cgutils.alloca_once_value(builder, ir.Constant(kind, None))
        whole = builder.icmp_signed(">=", args[2], args[2].type(kind.count))
        with builder.if_else(whole) as (full, part):
            with full:
                builder.store(load_vector(builder, pointer, kind), slot)
            with part:
                builder.store(ir.Constant(kind, None), slot)
                numbers = builder.bitcast(slot, kind.element.as_pointer())
                with cgutils.for_range(builder, args[2]) as loop:
                    number = builder.load(builder.gep(pointer, [loop.index]))
                    builder.store(number, builder.gep(numbers, [loop.index]))
        return builder.load(slot)

    return vector(a, types.intp, types.intp), generate


@instruction(_store_part)
def store_part(typing_context: Any, a: Any, k: Any, value: Any, count: Any) -> Any:
    """Put the first `count` numbers of `value` into contiguous `a`, from its k-th number on."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind, pointer = args[2].type, element(context, builder, a, *args[:2])
        whole = builder.icmp_signed(">=", args[3], args[3].type(kind.count))
        with builder.if_else(whole) as (full, part):
            with full:
                store_vector(builder, args[2], pointer)
            with part:
                slot = cgutils.alloca_once_value(builder, args[2])
                numbers = builder.bitcast(slot, kind.element.as_pointer())
                with cgutils.for_range(builder, args[3]) as loop:
                    number = builder.load(builder.gep(numbers, [loop.index]))
                    builder.store(number, builder.gep(pointer, [loop.index]))
        return context.get_dummy_value()

    return types.void(a, types.intp, value, types.intp), generate


def _activation(function: Callable[[Any], Any]) -> Any:
    """`function` of Vectors as an instruction."""

    def define(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return function(Emitted(builder, args[0])).value

        return x(x), generate

    define.__name__ = function.__name__.strip("_")
    define.__doc__ = function.__doc__
    return instruction(function)(define)


sigmoid = _activation(_sigmoid)
tanh = _activation(_tanh)
