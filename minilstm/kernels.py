"""The step loop compiled with Numba: one segment of one chunk of the batch, start to end, without the GIL.

The functions and their order are those of `steps`, the equations and tags those of `cells.lstm`.
Kernels take plain arrays, fill given arrays, and never validate. This is the only file that imports
numba, and all kernels stand in it: Numba's cache does not notice an edit in another file.

Layout, and the reason for each choice (b samples of a chunk, S steps, K = H + D + 1):

    xh  (S+1, b, K)    rows [h_t | x_t | 1]. One operand: a single product gives x W + h U + b, and
                       in the backward pass a single product gives dU, dW and db.
    w   (4, K, H)      [U; W; b] of each gate, contiguous, so that every product writes a contiguous
    z   (4, S, b, H)   block (gate, step) and the passes over the gates are flat loops over one
                       block, which LLVM vectorises. z becomes i, f, g, o in place, and in the backward
                       pass dz in place.
    c   (S+1, b, H)    cell states. tanh(c) is computed again in the backward pass: cheaper than
                       storing and reading it.
    chunks             at most 16 samples: the product of one step then stays below the size at which
                       OpenBLAS starts to repack the weights, and a chunk's data stays in the cache.

Each flat pass touches few arrays: with more, LLVM gives up proving that they do not overlap and
falls back to scalar code. The loops run over `range(a.size)` from 0 for the same reason.

Compiler flags, once, in `OPTIONS`: `error_model="numpy"` (a division by zero gives inf and needs no
branch), `fastmath={"contract"}` (fused multiply-add only: full fastmath would license the compiler
to delete the NaN this project looks for), `nogil` for the threads over chunks. Subnormal numbers are
flushed to 0 while a kernel runs (`float_control`).
"""

from __future__ import annotations

import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import scipy.linalg.cython_blas  # noqa: F401  the BLAS behind Numba's np.dot; loaded so that it can be limited
from llvmlite import ir
from numba import njit, types
from numba.core.errors import NumbaError
from numba.extending import intrinsic, overload

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


# ---------------------------------------------------------------- flat passes, one block each


@kernel
def update_cell(c: Array, c_prev: Array, i: Array, f: Array, g: Array) -> None:
    for k in range(c.size):
        c[k] = f[k] * c_prev[k] + i[k] * g[k]  # F6


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


@kernel
def copy(out: Array, values: Array) -> None:
    for k in range(out.size):  # out[:] = values compiles for seconds: Numba allows for broadcasting, overlap
        out[k] = values[k]


@kernel
def add(total: Array, part: Array) -> None:
    for k in range(total.size):
        total[k] += part[k]


# ---------------------------------------------------------------- one segment of one chunk


def lstm_forward(w: Array, xh: Array, z: Array, c: Array, mask: Array, scratch: Array, limit: Any) -> None:
    """Fill xh[1:, :, :H] = h, z = gates and c from xh[0], c[0] and the inputs in xh.

    mask is (S, b), or (0, b) for none. Where z and c hold a single step ((4, 1, b, H), (1, b, H)),
    nothing is kept for a backward pass, and every step uses the same rows.
    """
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    S, b, H = xh.shape[0] - 1, xh.shape[1], c.shape[2]
    kept = 1 if c.shape[0] == S + 1 else 0
    for t in range(S):
        i, f, g, o = z[0, t * kept], z[1, t * kept], z[2, t * kept], z[3, t * kept]
        c_prev, c_new = c[t * kept], c[(t + 1) * kept]
        real = b
        if mask.shape[0] > 0:
            real = 0
            for r in range(b):
                real += mask[t, r]
        if real == 0:  # S3, the whole chunk at once
            for gate in range(4):
                z[gate, t * kept] = 0
            copy(c_new.ravel(), c_prev.ravel())
            for r in range(b):
                copy(xh[t + 1, r, :H], xh[t, r])
            continue
        for gate in range(4):
            np.dot(xh[t], w[gate], z[gate, t * kept])  # S1, S2, F1
        sigmoid(i.ravel(), limit)  # F2
        sigmoid(f.ravel(), limit)  # F3
        tanh(g.ravel(), g.ravel())  # F4
        sigmoid(o.ravel(), limit)  # F5
        if real < b:
            for r in range(b):
                if not mask[t, r]:
                    i[r, :], f[r, :], g[r, :] = 0, 1, 0  # S3: c = c_prev
        update_cell(c_new.ravel(), c_prev.ravel(), i.ravel(), f.ravel(), g.ravel())  # F6
        tanh(c_new.ravel(), scratch.ravel())
        for r in range(b):
            if real < b and not mask[t, r]:
                f[r, :], o[r, :] = 0, 0  # S3: gates count as 0
                copy(xh[t + 1, r, :H], xh[t, r])  # S3: h = h_prev
            else:
                for j in range(H):
                    xh[t + 1, r, j] = o[r, j] * scratch[r, j]  # F7
    float_control(control)


def lstm_backward(
    ut: Array,
    xh: Array,
    z: Array,
    c: Array,
    mask: Array,
    external: Array,
    dh: Array,
    dc: Array,
    dh_all: Array,
    dc_all: Array,
    dw: Array,
    scratch: Array,
) -> None:
    """Turn z from gates into dz; dh, dc from dL/d(last state) into dL/d(first state); fill dw = [dU; dW; db].

    external, dh_all, dc_all are (S, b, H), or (0, b, H) for none. scratch is (3, b, H).
    """
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    S, b, H = xh.shape[0] - 1, xh.shape[1], c.shape[2]
    tanh_c, dz_i, held = scratch[0], scratch[1], scratch[2]
    for t in range(S - 1, -1, -1):
        i, f, g, o = z[0, t], z[1, t], z[2, t], z[3, t]
        if external.shape[0] > 0:
            add(dh.ravel(), external[t].ravel())  # S4
        real = b
        if mask.shape[0] > 0:
            real = 0
            for r in range(b):
                real += mask[t, r]
        if real == 0:  # S6, the whole chunk at once: dz is 0 already, dh and dc pass
            if dh_all.shape[0] > 0:
                copy(dh_all[t].ravel(), dh.ravel())
                copy(dc_all[t].ravel(), dc.ravel())
            continue
        tanh(c[t + 1].ravel(), tanh_c.ravel())
        add_output_path(dc.ravel(), dh.ravel(), o.ravel(), tanh_c.ravel())  # B2
        output_gate(o.ravel(), dh.ravel(), tanh_c.ravel())  # B1, B6
        if dh_all.shape[0] > 0:
            copy(dh_all[t].ravel(), dh.ravel())
            copy(dc_all[t].ravel(), dc.ravel())
        input_gate(dz_i.ravel(), dc.ravel(), i.ravel(), g.ravel())  # B3, B6
        candidate(g.ravel(), dc.ravel(), i.ravel())  # B5, B6
        copy(i.ravel(), dz_i.ravel())
        if real < b:
            copy(held.ravel(), dc.ravel())
        forget_gate(f.ravel(), dc.ravel(), c[t].ravel())  # B4, B6, B7
        if real < b:
            for r in range(b):
                if not mask[t, r]:
                    copy(dc[r], held[r])  # S6
            copy(held.ravel(), dh.ravel())
        np.dot(i, ut[0], dh)  # S5
        for gate in range(1, 4):
            np.dot(z[gate, t], ut[gate], tanh_c)
            add(dh.ravel(), tanh_c.ravel())
        if real < b:
            for r in range(b):
                if not mask[t, r]:
                    copy(dh[r], held[r])  # S6
    K = xh.shape[2]
    rows = xh[:S].reshape(S * b, K)
    for gate in range(4):
        np.dot(rows.T, z[gate].reshape(S * b, H), dw[gate])  # S7
    float_control(control)


def input_gradient(wt: Array, dz: Array, dx: Array, part: Array) -> None:
    """dx (n, D) = sum over the gates of dz[gate] (n, H) @ wt[gate] (H, D)."""
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    np.dot(dz[0], wt[0], dx)  # S7
    for gate in range(1, 4):
        np.dot(dz[gate], wt[gate], part)
        add(dx.ravel(), part.ravel())
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
        nonlocal chosen
        dtype = arrays[0].dtype
        if dtype in seen:
            chosen(*arrays)
            return
        start = time.perf_counter()
        try:  # the first call compiles, or reads the cache, before it touches the arrays
            chosen(*arrays)
        except NumbaError:  # a fault of this file, not of the cache
            raise
        except Exception as error:
            chosen = uncached(error)
            chosen(*arrays)
        seen.add(dtype)
        global compile_seconds
        compile_seconds += time.perf_counter() - start

    return call


compile_seconds = 0.0  # spent so far in first calls: compiling, or reading the cache

_forward = _compile(lstm_forward)
_backward = _compile(lstm_backward)
_input_gradient = _compile(input_gradient)
threads.limit_blas("scipy")


# ---------------------------------------------------------------- the functions of `steps`, compiled


@dataclass
class Packed:
    """The weights in the kernels' layout, made once per forward or backward pass."""

    weights: Weights
    w: Array  # (4, K, H)
    ut: Array  # (4, H, H), U of each gate transposed
    wt: Array  # (4, H, D), W of each gate transposed


def pack(weights: Weights) -> Packed:
    """Lay the weights out as the kernels want them (see the top of this file)."""
    W, U, b = weights
    D, H = len(W), len(U)
    w = np.empty((4, H + D + 1, H), U.dtype)
    w[:, :H] = U.reshape(H, 4, H).transpose(1, 0, 2)
    w[:, H : H + D] = W.reshape(D, 4, H).transpose(1, 0, 2)
    w[:, H + D] = b.reshape(4, H)
    ut = np.ascontiguousarray(U.reshape(H, 4, H).transpose(1, 2, 0))
    wt = np.ascontiguousarray(W.reshape(D, 4, H).transpose(1, 2, 0))
    return Packed(weights, w, ut, wt)


def chunks(B: int) -> list[slice]:
    """The batch in even chunks of at most 16 samples, whatever the number of threads.

    >>> chunks(20)
    [slice(0, 10, None), slice(10, 20, None)]
    """
    count = max(1, -(-B // ROWS))
    edges = [k * B // count for k in range(count + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


@dataclass
class Segment:
    """The tape of one segment of one chunk, as `SegmentTape` describes it, in the kernels' layout."""

    mask: Array  # (S, b) or (0, b)
    xh: Array  # (S+1, b, K)
    z: Array  # (4, S, b, H)
    cells: Array  # (S+1, b, H)

    @property
    def h(self) -> Array:
        return self.xh[:, :, : self.cells.shape[2]]

    @property
    def c(self) -> Array:
        return self.cells

    @property
    def gates(self) -> Array:
        return join_gates(self.z)

    @property
    def nbytes(self) -> int:
        return self.xh.nbytes + self.z.nbytes + self.cells.nbytes

    @property
    def last_state(self) -> State:
        return State(self.h[-1].copy(), self.cells[-1])


def join_gates(z: Array) -> Array:
    """(4, S, b, H) as (S, b, 4H)."""
    _, S, b, H = z.shape
    return z.transpose(1, 2, 0, 3).reshape(S, b, 4 * H)


def forward_segment(packed: Packed, x: Array, mask: Array | None, state: State, keep: bool = True) -> Segment:
    """Run the steps of one segment. With `keep=False` only the h of each step and the last c remain."""
    S, b, D = x.shape
    H, dtype = packed.w.shape[2], packed.w.dtype
    xh = np.empty((S + 1, b, H + D + 1), dtype)
    xh[0, :, :H] = state.h
    xh[:S, :, H : H + D] = x
    xh[:, :, H + D] = 1
    z = np.empty((4, S if keep else 1, b, H), dtype)
    c = np.empty((S + 1 if keep else 1, b, H), dtype)
    c[0] = state.c
    mask = np.empty((0, b), bool) if mask is None else np.ascontiguousarray(mask)
    limit = dtype.type(87 if dtype == np.float32 else 708)
    _forward(packed.w, xh, z, c, mask, np.empty((b, H), dtype), limit)
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
    xh, c, dtype = segment.xh, segment.cells, segment.xh.dtype
    S, b, H = len(xh) - 1, xh.shape[1], c.shape[2]
    K, D = xh.shape[2], xh.shape[2] - H - 1
    none = np.empty((0, b, H), dtype)
    dz = segment.z if overwrite else segment.z.copy()
    dh, dc = (np.array(part, dtype, order="C") for part in dstate)
    dh_all, dc_all = (np.empty((S, b, H), dtype) if record else none for _ in "hc")
    external = none if external is None else np.ascontiguousarray(external)
    dw = np.empty((4, K, H), dtype)
    scratch = np.empty((3, b, H), dtype)
    _backward(packed.ut, xh, dz, c, segment.mask, external, dh, dc, dh_all, dc_all, dw, scratch)
    dx = None
    if need_dx:
        dx = np.empty((S * b, D), dtype)
        _input_gradient(packed.wt, dz.reshape(4, S * b, H), dx, np.empty_like(dx))
        dx = dx.reshape(S, b, D)
    flat = dw.transpose(1, 0, 2).reshape(K, 4 * H)
    return SegmentGradients(
        dW=flat[H : H + D],
        dU=flat[:H],
        db=flat[H + D],
        dstate=State(dh, dc),
        dx=dx,
        dz=join_gates(dz) if record else None,
        dh=dh_all if record else None,
        dc=dc_all if record else None,
    )
