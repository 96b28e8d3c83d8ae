"""The step loop compiled with Numba: one segment of one chunk of the batch, start to end, without the GIL.

The functions and their order are those of `steps`, the equations and tags those of `cells.lstm`.
Kernels take plain arrays, fill given arrays, and never validate. This is the only file that imports
numba, and all kernels stand in it: Numba's cache does not notice an edit in another file.

Layout, and the reason for each choice (b samples of a chunk, S steps, K = H + D + 1):

    xh  (S+1, b, K)   rows [h_t | x_t | 1]. One operand: a single product gives x W + h U + b, and in
                      the backward pass a single product gives dU, dW and db.
    z   (S, b, 4H)    pre-activations, then the gates i, f, g, o in place, and in the backward pass dz
                      in place. Rows, so that dz is an operand of every backward product as it lies.
    c   (S+1, b, H)   cell states. tanh(c) is computed again in the backward pass: cheaper than storing
                      and reading it.
    w   (P, K, n)     [U; W; b] cut into panels of n columns, each contiguous, so that one product with a
                      chunk has at most SMALL multiply-adds: up to there OpenBLAS multiplies in place,
                      above it copies the weights anew in every step (2 to 3 times slower at H = 256).
    ut  (Q, 4H, n)    U transposed, in panels for the same reason.
    chunks            at most 16 samples: one product stays small, the data of a chunk in the cache.

The gates are worked on row by row, in passes over few arrays: with more in one loop, LLVM gives up
proving that they do not overlap and falls back to scalar code. The loops run over `range(a.size)` from
0: with another start they keep a test for negative indices.

Compiler flags, once, in `OPTIONS`: `error_model="numpy"` (a division by zero gives inf and needs no
branch), `fastmath={"contract"}` (fused multiply-add only: full fastmath would license the compiler
to delete the NaN this project looks for), `nogil` for the threads over chunks. Subnormal numbers are
flushed to 0 while a kernel runs (`float_control`).
"""

from __future__ import annotations

import platform
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.errors import NumbaError
from numba.extending import get_cython_function_address, intrinsic, overload

from minilstm import threads
from minilstm.cells import Array, State, Weights
from minilstm.tape import SegmentGradients

PARALLEL = True
ROWS = 16  # samples in a chunk, at most

OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile a helper; it is cached as part of the entry point that calls it."""
    compiled: Function = njit(**OPTIONS)(function)
    return compiled


# ---------------------------------------------------------------- subnormal numbers

FLUSH = np.uint32(0x8040)  # MXCSR: results (FZ) and operands (DAZ) that are subnormal count as 0


def float_control(value: Any) -> Any:
    """Load `value` into the processor's floating-point control register (0: leave it); what it held.

    A vanishing gradient passes through the subnormal numbers on its way to 0, and there many processors
    are a hundred times slower. While a kernel runs they are flushed to 0, in its own thread only. x86
    has this register; elsewhere, and with NUMBA_DISABLE_JIT=1 (this form), nothing is done.
    """
    return np.uint32(0)


@intrinsic
def _exchange_mxcsr(typing_context: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        if platform.machine().lower() not in ("x86_64", "amd64"):
            return word(0)
        kind = ir.FunctionType(ir.VoidType(), [pointer])
        store = builder.module.declare_intrinsic("llvm.x86.sse.stmxcsr", (), kind)
        load = builder.module.declare_intrinsic("llvm.x86.sse.ldmxcsr", (), kind)
        slot = builder.alloca(word)
        builder.call(store, [builder.bitcast(slot, pointer)])
        before = builder.load(slot)
        with builder.if_then(builder.icmp_unsigned("!=", args[0], word(0))):
            builder.store(args[0], slot)
            builder.call(load, [builder.bitcast(slot, pointer)])
        return before

    return types.uint32(types.uint32), generate


@overload(float_control)
def _compiled_float_control(value: Any) -> Any:
    def compiled(value: Any) -> Any:
        return _exchange_mxcsr(np.uint32(value))  # type: ignore[call-arg]

    return compiled


# ---------------------------------------------------------------- exponential, sigmoid, tanh


def split_exp(x: Any) -> Any:
    """s, q with exp(x) = s + s q: x = n ln 2 + r, s = 2^n, q = exp(r) - 1, |r| <= ln(2) / 2.

    q is the Taylor polynomial, to the degree whose remainder is below half an ulp. Multiplying by
    s = 2^n at the end, instead of adding n to the exponent of q, lets NaN through. This Python form
    is what runs with NUMBA_DISABLE_JIT=1.
    """
    n = np.round(x / np.log(2.0))
    return 2.0**n, np.expm1(x - n * np.log(2.0))


def _split_exp_float32(x: Any) -> Any:
    big = np.float32(12582912.0)  # 1.5 * 2^23: adding it rounds to a whole number
    n = (x * np.float32(1.4426950408889634) + big) - big
    r = (x - n * np.float32(0.693359375)) + n * np.float32(2.12194440e-4)  # ln 2 in two parts
    q = np.float32(1 / 5040)
    q = q * r + np.float32(1 / 720)
    q = q * r + np.float32(1 / 120)
    q = q * r + np.float32(1 / 24)
    q = q * r + np.float32(1 / 6)
    q = q * r + np.float32(1 / 2)
    q = q * r + np.float32(1)
    return np.int32((np.int32(n) + 127) << 23).view(np.float32), q * r


def _split_exp_float64(x: Any) -> Any:
    big = 6755399441055744.0  # 1.5 * 2^52
    n = (x * 1.4426950408889634 + big) - big
    r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10  # ln 2 in two parts
    q = 1 / 6227020800
    q = q * r + 1 / 479001600
    q = q * r + 1 / 39916800
    q = q * r + 1 / 3628800
    q = q * r + 1 / 362880
    q = q * r + 1 / 40320
    q = q * r + 1 / 5040
    q = q * r + 1 / 720
    q = q * r + 1 / 120
    q = q * r + 1 / 24
    q = q * r + 1 / 6
    q = q * r + 1 / 2
    q = q * r + 1
    return np.int64((np.int64(n) + 1023) << 52).view(np.float64), q * r


@overload(split_exp, jit_options=OPTIONS)  # type: ignore[arg-type]
def _choose_split_exp(x: Any) -> Any:
    return {types.float32: _split_exp_float32, types.float64: _split_exp_float64}.get(x)


@kernel
def sigmoid(a: Array, limit: Any) -> None:
    """a = 1 / (1 + exp(-a)) in place; relative accuracy for closed gates down to -limit."""
    one = a.dtype.type(1)
    for k in range(a.size):
        x = -a[k]
        x = limit if limit < x else x  # written so that NaN passes
        x = -limit if x < -limit else x
        s, q = split_exp(x)
        a[k] = one / (one + (s + s * q))


@kernel
def tanh(a: Array, out: Array) -> None:
    """out = e / (e + 2), e = exp(2 a) - 1: no cancellation for small a. out may be a."""
    one, two, limit = a.dtype.type(1), a.dtype.type(2), a.dtype.type(40)
    for k in range(a.size):
        x = two * a[k]
        x = limit if limit < x else x
        x = -limit if x < -limit else x
        s, q = split_exp(x)
        e = s * q + (s - one)
        out[k] = e / (e + two)


# ---------------------------------------------------------------- products

SMALL = 1_000_000  # multiply-adds up to which OpenBLAS multiplies without repacking its operands


def gemm(blas: Any, a: Array, transpose: bool, b: Array, out: Array, beta: Any) -> None:
    """out = a @ b + beta * out, or a.T @ b + beta * out; 2-D, rows contiguous but any distance apart.

    `blas` is the address of SciPy's sgemm or dgemm. Compared with np.dot this adds to `out` and takes
    panels of larger arrays. This Python form is what runs with NUMBA_DISABLE_JIT=1.
    """
    product = (a.T if transpose else a) @ b
    out[...] = product + beta * out if beta else product


@intrinsic
def _call_blas(
    typing_context: Any, blas: Any, ta: Any, m: Any, n: Any, k: Any, a: Any, lda: Any, b: Any, ldb: Any,
    beta: Any, c: Any, ldc: Any,
) -> Any:  # fmt: skip
    """?gemm("N", ta, m, n, k, 1, a, lda, b, ldb, beta, c, ldc), all by reference, as Fortran wants it."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        blas, ta, m, n, k, a, lda, b, ldb, beta, c, ldc = args
        byte, word, pointer = ir.IntType(8), ir.IntType(32), ir.IntType(8).as_pointer()

        def by_reference(value: Any) -> Any:
            slot = builder.alloca(value.type)
            builder.store(value, slot)
            return builder.bitcast(slot, pointer)

        def integer(value: Any) -> Any:
            return by_reference(builder.trunc(value, word))

        def array(value: Any) -> Any:
            return builder.inttoptr(value, pointer)

        kind = ir.FunctionType(ir.VoidType(), [pointer] * 13)
        letters = by_reference(byte(ord("N"))), by_reference(builder.trunc(ta, byte))
        sizes = integer(m), integer(n), integer(k)
        one = by_reference(beta.type(1.0))
        operands = array(a), integer(lda), array(b), integer(ldb), by_reference(beta), array(c), integer(ldc)
        builder.call(builder.inttoptr(blas, kind.as_pointer()), [*letters, *sizes, one, *operands])
        return context.get_dummy_value()

    number, address = types.int64, types.uint64
    sizes = number, number, number, number
    return types.void(
        address, *sizes, address, number, address, number, beta, address, number
    ), generate  # fmt: skip


@overload(gemm, jit_options=OPTIONS)  # type: ignore[arg-type]
def _compiled_gemm(blas: Any, a: Any, transpose: Any, b: Any, out: Any, beta: Any) -> Any:
    def compiled(blas: Any, a: Any, transpose: Any, b: Any, out: Any, beta: Any) -> Any:
        # Fortran reads a row-major array as its transpose: out.T = b.T @ a.T
        ta = ord("T") if transpose else ord("N")
        lda, ldb, ldc = a.strides[0] // a.itemsize, b.strides[0] // b.itemsize, out.strides[0] // out.itemsize
        sizes = out.shape[1], out.shape[0], b.shape[0]
        pa, pb, pc = a.ctypes.data, b.ctypes.data, out.ctypes.data
        _call_blas(blas, ta, *sizes, pb, ldb, pa, lda, beta, pc, ldc)  # type: ignore[call-arg]

    return compiled


@kernel
def multiply(blas: Any, a: Array, panels: Array, out: Array, depth: int, zero: Any, one: Any) -> None:
    """out (b, N) = a (b, K) @ the matrix (K, N) that stands in `panels` (P, K, n), `depth` rows at a time."""
    K, N, n = a.shape[1], out.shape[1], panels.shape[2]
    for p in range(panels.shape[0]):
        width = min(n, N - p * n)
        for k in range(0, K, depth):
            part = panels[p, k : k + depth, :width]
            gemm(
                blas, a[:, k : k + depth], False, part, out[:, p * n : p * n + width], zero if k == 0 else one
            )


# ---------------------------------------------------------------- passes over the rows of one step


@kernel
def fill(out: Array, value: Any) -> None:
    for k in range(out.size):
        out[k] = value


@kernel
def copy(out: Array, values: Array) -> None:
    for k in range(out.size):  # out[:] = values compiles for seconds: Numba allows for broadcasting, overlap
        out[k] = values[k]


@kernel
def update_cell(c: Array, c_prev: Array, i: Array, f: Array, g: Array) -> None:
    for k in range(c.size):
        c[k] = f[k] * c_prev[k] + i[k] * g[k]  # F6


@kernel
def show_cell(h: Array, o: Array, tanh_c: Array) -> None:
    for k in range(h.size):
        h[k] = o[k] * tanh_c[k]  # F7


@kernel
def add(total: Array, part: Array) -> None:
    for k in range(total.size):
        total[k] += part[k]  # S4


@kernel
def add_output_path(dc: Array, dh: Array, o: Array, tanh_c: Array) -> None:
    one = dc.dtype.type(1)
    for k in range(dc.size):
        dc[k] += dh[k] * o[k] * (one - tanh_c[k] * tanh_c[k])  # B2


@kernel
def output_gate(o: Array, dh: Array, tanh_c: Array) -> None:
    one = o.dtype.type(1)
    for k in range(o.size):
        o[k] = dh[k] * tanh_c[k] * o[k] * (one - o[k])  # B1, B6


@kernel
def input_gate(out: Array, dc: Array, i: Array, g: Array) -> None:
    one = out.dtype.type(1)
    for k in range(out.size):
        out[k] = dc[k] * g[k] * i[k] * (one - i[k])  # B3, B6


@kernel
def candidate(g: Array, dc: Array, i: Array) -> None:
    one = g.dtype.type(1)
    for k in range(g.size):
        g[k] = dc[k] * i[k] * (one - g[k] * g[k])  # B5, B6


@kernel
def forget_gate(f: Array, dc: Array, c_prev: Array) -> None:
    one = f.dtype.type(1)
    for k in range(f.size):
        carried = dc[k] * f[k]  # B7
        f[k] = carried * c_prev[k] * (one - f[k])  # B4, B6
        dc[k] = carried


# ---------------------------------------------------------------- one segment of one chunk


@kernel
def count(real: Array) -> int:
    total = 0
    for r in range(real.size):
        total += real[r]
    return total


def lstm_forward(
    blas: Any, w: Array, xh: Array, z: Array, c: Array, mask: Array, tanh_c: Array, limit: Any
) -> None:
    """Fill xh[1:, :, :H] = h, z = gates and c from xh[0], c[0] and the inputs in xh.

    mask is (S, b), or (0, b) for none. Where z and c hold a single step ((1, b, 4H), (1, b, H)), nothing
    is kept for a backward pass, and every step uses the same rows. tanh_c (H,) is scratch.
    """
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    S, b, H = xh.shape[0] - 1, xh.shape[1], c.shape[2]
    zero, one = w.dtype.type(0), w.dtype.type(1)
    kept = 1 if c.shape[0] == S + 1 else 0
    for t in range(S):
        gates, c_prev, c_new = z[t * kept], c[t * kept], c[(t + 1) * kept]
        if mask.shape[0] == 0 or count(mask[t]) > 0:
            multiply(blas, xh[t], w, gates, xh.shape[2], zero, one)  # S1, S2, F1
        for r in range(b):
            if mask.shape[0] > 0 and not mask[t, r]:  # S3
                fill(gates[r], zero)
                copy(c_new[r], c_prev[r])
                copy(xh[t + 1, r, :H], xh[t, r, :H])
                continue
            i, f, g, o = gates[r, :H], gates[r, H : 2 * H], gates[r, 2 * H : 3 * H], gates[r, 3 * H :]
            sigmoid(gates[r, : 2 * H], limit)  # F2, F3
            tanh(g, g)  # F4
            sigmoid(o, limit)  # F5
            update_cell(c_new[r], c_prev[r], i, f, g)  # F6
            tanh(c_new[r], tanh_c)
            show_cell(xh[t + 1, r, :H], o, tanh_c)  # F7
    float_control(control)


def lstm_backward(
    blas: Any, ut: Array, xh: Array, z: Array, c: Array, mask: Array, external: Array, dh: Array, dc: Array,
    dh_all: Array, dc_all: Array, dw: Array, scratch: Array, depth: int, tile: int,
) -> None:  # fmt: skip
    """Turn z from gates into dz; dh, dc from dL/d(last state) into dL/d(first state); fill dw = [dU; dW; db].

    external, dh_all, dc_all are (S, b, H), or (0, b, H) for none. scratch is (2, H) and held (b, H).
    The product for dw takes `tile` steps at a time.
    """
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    S, b, H = xh.shape[0] - 1, xh.shape[1], c.shape[2]
    tanh_c, dz_i, held = scratch[b], scratch[b + 1], scratch[:b]
    zero, one, stop = dw.dtype.type(0), dw.dtype.type(1), S
    for t in range(S - 1, -1, -1):
        dz = z[t]
        for r in range(b):
            if external.shape[0] > 0:
                add(dh[r], external[t, r])  # S4
            if mask.shape[0] > 0 and not mask[t, r]:  # dz is 0 already, dh and dc pass
                copy(held[r], dh[r])  # S6
                if dh_all.shape[0] > 0:
                    copy(dh_all[t, r], dh[r])
                    copy(dc_all[t, r], dc[r])
                continue
            i, f, g, o = dz[r, :H], dz[r, H : 2 * H], dz[r, 2 * H : 3 * H], dz[r, 3 * H :]
            tanh(c[t + 1, r], tanh_c)
            add_output_path(dc[r], dh[r], o, tanh_c)  # B2
            output_gate(o, dh[r], tanh_c)  # B1, B6
            if dh_all.shape[0] > 0:
                copy(dh_all[t, r], dh[r])
                copy(dc_all[t, r], dc[r])
            input_gate(dz_i, dc[r], i, g)  # B3, B6
            candidate(g, dc[r], i)  # B5, B6
            copy(i, dz_i)
            forget_gate(f, dc[r], c[t, r])  # B4, B6, B7
        real = b if mask.shape[0] == 0 else count(mask[t])
        if real > 0:
            multiply(blas, dz, ut, dh, depth, zero, one)  # S5
        if real < b:
            for r in range(b):
                if not mask[t, r]:
                    copy(dh[r], held[r])  # S6
        if stop - t == tile or t == 0:
            rows, steps = (
                xh[t:stop].reshape((stop - t) * b, xh.shape[2]),
                z[t:stop].reshape((stop - t) * b, 4 * H),
            )
            gemm(blas, rows, True, steps, dw, zero if stop == S else one)  # S7
            stop = t
    float_control(control)


def input_gradient(blas: Any, dz: Array, wt: Array, dx: Array, beta: Any) -> None:
    """dx (n, D) = dz (n, 4H) @ wt (4H, D)."""
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    gemm(blas, dz, False, wt, dx, beta)  # S7
    float_control(control)


# ---------------------------------------------------------------- compiled entry points


_cache_warned = False


def _compile(function: Callable[..., None]) -> Callable[..., None]:
    """`function` compiled, from the cache on disk where that works, without it where it does not.

    The cache can fail in many ways (no writable folder, a full disk, a damaged index), each with its
    own exception. None of them is a reason to stop: the kernel is then compiled for this process only.
    """

    def uncached(cause: Exception) -> Callable[..., None]:
        global _cache_warned
        if not _cache_warned:  # once, not once per kernel
            cause_text = f"{type(cause).__name__}: {cause}"
            message = f"Numba's cache cannot be used ({cause_text}); compiling for this process only"
            warnings.warn(message, RuntimeWarning, stacklevel=3)
            _cache_warned = True
        plain: Callable[..., None] = njit(**OPTIONS)(function)
        return plain

    try:
        chosen = njit(cache=True, **OPTIONS)(function)
    except RuntimeError as error:
        chosen = uncached(error)
    seen: set[np.dtype[Any]] = set()

    def call(*arrays: Any) -> None:
        if arrays[1].dtype not in seen:
            with _first:
                first_call(*arrays)
        else:
            chosen(*arrays)

    def first_call(*arrays: Any) -> None:
        nonlocal chosen
        global compile_seconds
        start = time.perf_counter()
        notice = threading.Timer(1.0, _say, ["compiling kernels, once on this machine ..."])
        notice.start()
        try:  # the first call compiles, or reads the cache, before it touches the arrays
            chosen(*arrays)
        except NumbaError:  # a fault of this file, not of the cache
            raise
        except Exception as error:
            chosen = uncached(error)
            chosen(*arrays)
        finally:
            notice.cancel()
        seconds = time.perf_counter() - start
        if seconds > 1:
            _say(f"compiled {function.__name__} for {arrays[1].dtype} in {seconds:.1f} s")
        compile_seconds += seconds
        seen.add(arrays[1].dtype)

    return call


def _say(text: str) -> None:
    """A line for the person who waits."""
    print(f"minilstm: {text}", file=sys.stderr, flush=True)


_first = threading.Lock()  # first calls of several threads: one compiles, the others wait
compile_seconds = 0.0  # spent so far in first calls: compiling, or reading the cache

_forward = _compile(lstm_forward)
_backward = _compile(lstm_backward)
_input_gradient = _compile(input_gradient)


# ---------------------------------------------------------------- the functions of `steps`, compiled


BLAS = {  # addresses of SciPy's products, by a public function of Numba; passed to kernels as a number
    np.dtype(dtype): np.uint64(get_cython_function_address("scipy.linalg.cython_blas", name))
    for dtype, name in (("float32", "sgemm"), ("float64", "dgemm"))
}
threads.limit_blas("scipy.libs")


@dataclass
class Packed:
    """The weights in the kernels' layout, made once per forward or backward pass."""

    w: Array  # (P, K, n): [U; W; b] in panels
    ut: Array  # (Q, 4H, n): U.T in panels
    depth: int  # rows of ut in one product
    wt: Array  # (4H, D)
    H: int


def in_panels(matrix: Array, rows: int) -> Array:
    """(K, N) as (P, K, n): panels of n columns, ROWS * rows * n within SMALL; the last may be short."""
    K, N = matrix.shape
    n = min(N, max(32, SMALL // (ROWS * rows) // 32 * 32))
    P = -(-N // n)
    panels = np.zeros((P, K, n), matrix.dtype)
    for p in range(P):
        part = matrix[:, p * n : (p + 1) * n]
        panels[p, :, : part.shape[1]] = part
    return panels


def pack(weights: Weights) -> Packed:
    """Lay the weights out as the kernels want them (see the top of this file)."""
    W, U, b = weights
    H = len(U)
    depth = min(4 * H, 512)
    together = np.concatenate([U, W, b[None]])
    return Packed(
        in_panels(together, len(together)), in_panels(U.T, depth), depth, np.ascontiguousarray(W.T), H
    )


def chunks(B: int) -> list[slice]:
    """The batch in even chunks of at most 16 samples, whatever the number of threads.

    >>> chunks(20)
    [slice(0, 10, None), slice(10, 20, None)]
    """
    count = max(1, -(-B // ROWS))
    edges = [k * B // count for k in range(count + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def tape_size(S: int, b: int, D: int, H: int) -> int:
    """Numbers on the tape of one segment: xh, gates, c."""
    return (S + 1) * b * (H + D + 1) + S * b * 4 * H + (S + 1) * b * H


@dataclass
class Segment:
    """The tape of one segment of one chunk, as `SegmentTape` describes it, in the kernels' layout."""

    mask: Array  # (S, b) or (0, b)
    xh: Array  # (S+1, b, K)
    gates: Array  # (S, b, 4H)
    c: Array  # (S+1, b, H)

    @property
    def h(self) -> Array:
        return self.xh[:, :, : self.c.shape[2]]

    @property
    def nbytes(self) -> int:
        return self.xh.nbytes + self.gates.nbytes + self.c.nbytes

    @property
    def last_state(self) -> State:
        return State(self.h[-1].copy(), self.c[-1])


def forward_segment(packed: Packed, x: Array, mask: Array | None, state: State, keep: bool = True) -> Segment:
    """Run the steps of one segment. With `keep=False` only the h of each step and the last c remain."""
    S, b, D = x.shape
    H, dtype = packed.H, packed.w.dtype
    xh = np.empty((S + 1, b, H + D + 1), dtype)
    xh[0, :, :H] = state.h
    xh[:S, :, H : H + D] = x
    xh[:, :, H + D] = 1
    z = np.empty((S if keep else 1, b, 4 * H), dtype)
    c = np.empty((S + 1 if keep else 1, b, H), dtype)
    c[0] = state.c
    mask = np.empty((0, b), bool) if mask is None else np.ascontiguousarray(mask)
    limit = dtype.type(87 if dtype == np.float32 else 708)
    _forward(BLAS[dtype], packed.w, xh, z, c, mask, np.empty(H, dtype), limit)
    return Segment(mask, xh, z, c)


def backward_segment(
    packed: Packed,
    segment: Segment,
    external: Array | None,
    dstate: State,
    *,
    need_dx: bool,
    record: bool,
    overwrite: bool,
) -> SegmentGradients:
    """Run the steps of one segment backwards; with `overwrite` the gates on the tape become dz."""
    xh, c, H, dtype = segment.xh, segment.c, packed.H, segment.xh.dtype
    S, b, K = len(xh) - 1, *xh.shape[1:]
    none = np.empty((0, b, H), dtype)
    dz = segment.gates if overwrite else segment.gates.copy()
    dh, dc = (np.array(part, dtype, order="C") for part in dstate)
    dh_all, dc_all = (np.empty((S, b, H), dtype) if record else none for _ in "hc")
    external = none if external is None else np.ascontiguousarray(external)
    dw = np.empty((K, 4 * H), dtype)
    scratch = np.empty((b + 2, H), dtype)
    tile = SMALL // (K * 4 * H * b) or S  # small products, or one large one
    _backward(
        BLAS[dtype], packed.ut, xh, dz, c, segment.mask, external, dh, dc, dh_all, dc_all, dw, scratch,
        packed.depth, tile,
    )  # fmt: skip
    dx = None
    if need_dx:
        dx = np.empty((S, b, K - H - 1), dtype)
        _input_gradient(
            BLAS[dtype], dz.reshape(S * b, 4 * H), packed.wt, dx.reshape(S * b, -1), dtype.type(0)
        )
    return SegmentGradients(
        dW=dw[H:-1],
        dU=dw[:H],
        db=dw[-1],
        dstate=State(dh, dc),
        dx=dx,
        dz=dz if record else None,
        dh=dh_all if record else None,
        dc=dc_all if record else None,
    )
