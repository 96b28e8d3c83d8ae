"""The step loop compiled with Numba: one segment of one chunk of the batch, start to end, without the GIL.

The equations and tags are those of `cells` and `steps`. Kernels take plain arrays, fill given arrays,
and never validate; `compiled` prepares the arrays. This is the only file that imports numba, and all
kernels stand in it: Numba's cache does not notice an edit in another file.

Layout, and the reason for each choice (b samples of a chunk, S steps, K = H + 1 + D; the LSTM's blocks):

    xh  (S+1, b, K)      rows [h_{t-1} | 1 | x_t]. One operand: a single product gives h U + b + x W, and in
                         the backward pass a single product gives dU, db and dW. With the 1 in the
                         middle [h | 1] and [1 | x] are in one piece too, for the GRU's candidate.
    z   (4, S, b, H)     pre-activations, then the gates i, f, g, o in place, and in the backward pass dz
                         in place. One gate of one step is one block, so the passes over it are flat loops.
                         GRU: z, r, g, q, which become dz_z, dz_r, dz_g, dq. Simple network: h, then dz.
    c   (S+1, b, H)      cell states. tanh(c) is computed again in the backward pass: cheaper than storing
                         and reading it.
    w   (4, P, K, n)     [U; b; W] of each gate cut into panels of n columns, so that one product with a
                         chunk has at most SMALL multiply-adds: up to there OpenBLAS multiplies in place,
                         above it copies the weights anew in every step (2 to 3 times slower at H = 256).
    ut  (4, Q, H, n)     U transposed, in panels for the same reason.
    chunks               at most 16 samples, or 32: one product stays small, the data of a chunk in the cache
                         (see `compiled.chunks`).
    dw  (K, 4H)          [dU; db; dW], given by blocks of rows that are small products too
                         (see `compiled.weight_tiles`): 1.4 times as fast as large ones at H = 128.
    boundaries           arrays begin at a page (`compiled.empty`), and so at a multiple of a vector's size.

Each flat pass touches few arrays: with more, LLVM gives up proving that they do not overlap and falls back
to scalar code; where an array is both read and written, it is one argument, not two. The loops run over
`range(a.size)` from 0: with another start they keep a test for negative indices.

What compiles slowly is avoided as well, since the first user waits for it: wrappers with which Python could
call a helper (see `kernel`), functions that are inlined before types are known, NumPy's `reshape` (see
`reshaped`).

Compiler flags, once, in `OPTIONS`: `error_model="numpy"` (a division by zero gives inf and needs no
branch), `fastmath={"contract"}` (fused multiply-add only: full fastmath would license the compiler
to delete the NaN this project looks for), `nogil` for the threads over chunks, and no reference counts
(`uncounted`): a kernel allocates nothing, its caller holds the arrays, and counting the views of them with
atomic operations took a quarter of a step with B = 1. Subnormal numbers are flushed to 0 while a kernel runs
(`float_control`).
"""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.core import cgutils
from numba.core.cpu import CPUTargetOptions
from numba.core.errors import NumbaError
from numba.extending import get_cython_function_address, intrinsic, overload, register_jitable

from minilstm.bptt.cell import Array
from minilstm.compiled import blas, threads


def uncounted(options: dict[str, Any]) -> dict[str, Any]:
    """`options` with reference counting off, or as they are where this version of Numba cannot do that."""
    return options | {"_nrt": False} if hasattr(CPUTargetOptions, "_nrt") else options


OPTIONS: dict[str, Any] = uncounted(
    {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}, "no_cfunc_wrapper": True}
)
SUMS = OPTIONS | {
    "fastmath": {"contract", "reassoc"}
}  # a sum in any order: four times as fast, and NaN stays

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """A helper, compiled into the entry points that call it and cached as part of them."""
    jitable: Function = register_jitable(**OPTIONS)(function)
    return jitable


def instruction(interpreted: Callable[..., Any]) -> Callable[..., Any]:
    """A piece of machine code that kernels call by name; with NUMBA_DISABLE_JIT=1 `interpreted` instead."""
    disabled = config.DISABLE_JIT  # type: ignore[attr-defined]
    return lambda define: interpreted if disabled else intrinsic(define)


def summing_kernel(function: Function) -> Function:
    """A helper that may add up in any order."""
    jitable: Function = register_jitable(**SUMS)(function)
    return jitable


# ---------------------------------------------------------------- subnormal numbers

FLUSH = np.uint32(0x8040)  # MXCSR: results (FZ) and operands (DAZ) that are subnormal count as 0


@instruction(lambda value: np.uint32(0))
def float_control(typing_context: Any, value: Any) -> Any:
    """Load `value` into the processor's floating-point control register (0: leave it); what it held.

    A vanishing gradient passes through the subnormal numbers on its way to 0, and there many processors
    are a hundred times slower. While a kernel runs they are flushed to 0, in its own thread only. x86
    has this register; elsewhere, and with NUMBA_DISABLE_JIT=1, nothing is done.
    """

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


# ---------------------------------------------------------------- vectors of 512 bits


@instruction(lambda: None)
def wide_vectors(typing_context: Any) -> Any:
    """Ask LLVM for vectors of 512 bits in the loops of the function that calls this.

    On processors of the Skylake family LLVM prefers 256, which slows the activations down by a third. A
    preference, no more: where the processor has no such vectors, nothing changes.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        # set.add: llvmlite lists the attributes without a value, and refuses others in its own `add`
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), generate


# ---------------------------------------------------------------- views


@instruction(lambda values, shape: values.reshape(shape))
def reshaped(typing_context: Any, values: Any, shape: Any) -> Any:
    """Contiguous `values` in another shape of the same size; nothing is checked.

    `reshape` does the same, but takes 0.1 s to compile, each time it is used.
    """
    kind = values.copy(ndim=len(shape))

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(values)(context, builder, args[0])
        made = context.make_array(kind)(context, builder)  # without an owner: the caller holds the memory
        lengths = [builder.extract_value(args[1], k) for k in range(len(shape))]
        strides = [array.itemsize]
        for length in reversed(lengths[1:]):
            strides.insert(0, builder.mul(strides[0], length))
        made.data, made.itemsize, made.nitems = array.data, array.itemsize, array.nitems
        made.shape = cgutils.pack_array(builder, lengths)  # type: ignore[no-untyped-call]
        made.strides = cgutils.pack_array(builder, strides)  # type: ignore[no-untyped-call]
        return made._getvalue()

    sizes = types.UniTuple(types.intp, len(shape))  # type: ignore[no-untyped-call]
    return kind(values, sizes), generate


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
    wide_vectors()
    one = a.dtype.type(1)
    for k in range(a.size):
        x = -a[k]
        x = limit if limit < x else x  # written so that NaN passes
        x = -limit if x < -limit else x
        s, q = split_exp(x)
        a[k] = one / (one + (s + s * q))


@kernel
def tanh(a: Array) -> None:
    """a = e / (e + 2) in place, e = exp(2 a) - 1: no cancellation for small a."""
    wide_vectors()
    one, two, limit = a.dtype.type(1), a.dtype.type(2), a.dtype.type(40)
    for k in range(a.size):
        x = two * a[k]
        x = limit if limit < x else x
        x = -limit if x < -limit else x
        s, q = split_exp(x)
        e = s * q + (s - one)
        a[k] = e / (e + two)


# ---------------------------------------------------------------- products

PLAIN, TRANSPOSED = ord("N"), ord("T")
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
        letters = by_reference(byte(PLAIN)), by_reference(builder.trunc(ta, byte))
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
        ta = TRANSPOSED if transpose else PLAIN
        # NumPy gives an axis of one row any stride; BLAS wants at least a row's length
        lda = max(a.strides[0] // a.itemsize, a.shape[1])
        ldb = max(b.strides[0] // b.itemsize, b.shape[1])
        ldc = max(out.strides[0] // out.itemsize, out.shape[1])
        sizes = out.shape[1], out.shape[0], b.shape[0]
        pa, pb, pc = a.ctypes.data, b.ctypes.data, out.ctypes.data
        _call_blas(blas, ta, *sizes, pb, ldb, pa, lda, beta, pc, ldc)  # type: ignore[call-arg]

    return compiled


@kernel
def multiply(blas: Any, a: Array, panels: Array, out: Array, beta: Any) -> None:
    """out (b, N) = a (b, K) @ m + beta * out, where m (K, N) stands in `panels` (P, K, n)."""
    N, n = out.shape[1], panels.shape[2]
    for p in range(panels.shape[0]):
        width = min(n, N - p * n)
        gemm(blas, a, False, panels[p, :, :width], out[:, p * n : p * n + width], beta)


@kernel
def add_products(blas: Any, rows: Array, dz: Array, dw: Array, block: int, beta: Any) -> None:
    """dw (K, H) = rows.T (K, N) @ dz (N, H) + beta * dw, `block` rows of dw at a time."""
    for k in range(0, dw.shape[0], block):
        end = min(k + block, dw.shape[0])
        gemm(blas, rows[:, k:end], True, dz, dw[k:end], beta)


def pack(panels: Array, U: Array, b: Array, W: Array, first: int, H: int) -> None:
    """Fill `panels` (n, P, K, m) with the columns of [U; b; W] that belong to the gates from `first` on.

    U (., N), b (N,), W (., N), of H columns for each gate; U or W may have no rows.
    """
    gates, P, K, m = panels.shape
    for k in range(K):
        for gate in range(gates):
            for p in range(P):
                start, width = (first + gate) * H + p * m, min(m, H - p * m)
                row = U[k] if k < len(U) else b if k == len(U) else W[k - len(U) - 1]
                copy(panels[gate, p, k, :width], row[start : start + width])


# ---------------------------------------------------------------- flat passes, one block each


@kernel
def copy(out: Array, values: Array) -> None:
    for k in range(out.size):  # out[:] = values compiles for seconds: Numba allows for broadcasting, overlap
        out[k] = values[k]


@kernel
def update_cell(c: Array, c_prev: Array, i: Array, f: Array, g: Array) -> None:
    for k in range(c.size):
        c[k] = f[k] * c_prev[k] + i[k] * g[k]  # F6


@kernel
def show_cell(xh: Array, o: Array, tanh_c: Array) -> None:
    for r in range(o.shape[0]):
        for k in range(o.shape[1]):
            xh[r, k] = o[r, k] * tanh_c[r, k]  # F7


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
def forget_gate(f: Array, dc_prev: Array, dc: Array, c_prev: Array) -> None:
    one = f.dtype.type(1)
    for k in range(f.size):
        carried = dc[k] * f[k]  # B7
        f[k] = carried * c_prev[k] * (one - f[k])  # B4, B6
        dc_prev[k] = carried


# ---------------------------------------------------------------- norms, row by row


@kernel
def scaled_norm(row: Array) -> Any:
    """The norm of a row whose squares leave the range of float64."""
    scale, total = np.float64(0), np.float64(0)
    for k in range(row.size):
        value = abs(np.float64(row[k]))
        scale = value if scale < value else scale
    if not 0 < scale < np.inf:
        return scale
    for k in range(row.size):
        value = np.float64(row[k]) / scale
        total += value * value
    return scale * np.sqrt(total)


@summing_kernel
def row_norms(out: Array, block: Array) -> None:
    """out (b,) float64 = norm of each row of block (b, H), as `norms.norm` forms it."""
    wide_vectors()
    for r in range(block.shape[0]):
        total = np.float64(0)
        for k in range(block.shape[1]):
            value = np.float64(block[r, k])
            total += value * value
        out[r] = total
    for r in range(out.size):  # apart from the loop above: half as long
        out[r] = np.sqrt(out[r])
    if block.itemsize == 8:  # every square of a float32 fits; here some may have left the range
        for r in range(out.size):
            if out[r] < 1e-135 or out[r] == np.inf:
                out[r] = scaled_norm(block[r])


@kernel
def gate_norms(norms: Array, db: Array, z: Array, flat: Array, t: int) -> None:
    """The last n of norms (states + n, S, parts) at t = norms of dz; db (n, b H) += dz, each sample's own
    gradient of the bias. z (n or more, S, parts, b H / parts) and flat (n or more, S, b H) are dz.
    """
    first = norms.shape[0] - db.shape[0]
    for gate in range(db.shape[0]):
        row_norms(norms[first + gate, t], z[gate, t])
        add(db[gate], flat[gate, t])


# ---------------------------------------------------------------- masks, row by row


@kernel
def count_real(mask: Array, t: int, b: int) -> int:
    """How many of the b samples have a real step at t; mask is (S, b), or (0, b) for none."""
    if mask.shape[0] == 0:
        return b
    real = 0
    for r in range(b):
        real += mask[t, r]
    return real


@kernel
def set_masked(block: Array, real: Array, value: Any) -> None:
    for r in range(block.shape[0]):
        if not real[r]:
            for k in range(block.shape[1]):
                block[r, k] = value


@kernel
def hold_masked(block: Array, real: Array, held: Array, H: int) -> None:
    for r in range(block.shape[0]):
        if not real[r]:
            for k in range(H):
                block[r, k] = held[r, k]


# ---------------------------------------------------------------- flat passes of the GRU and of both


@kernel
def put_input(row: Array, x: Array) -> None:
    """Put 1 and x (b, D) behind the h in a step's row [h | 1 | x]."""
    b, D = x.shape
    one, features = row[:, row.shape[1] - D - 1], row[:, row.shape[1] - D :]
    for r in range(b):
        one[r] = 1
        for k in range(D):
            features[r, k] = x[r, k]


@kernel
def put_hidden(xh: Array, h: Array) -> None:
    for r in range(h.shape[0]):
        for k in range(h.shape[1]):
            xh[r, k] = h[r, k]


@kernel
def get_hidden(h: Array, xh: Array) -> None:
    for r in range(h.shape[0]):
        for k in range(h.shape[1]):
            h[r, k] = xh[r, k]


@kernel
def add_reset(g: Array, r: Array, q: Array) -> None:
    for k in range(g.size):
        g[k] += r[k] * q[k]  # GRU F4


@kernel
def update_hidden(h: Array, z: Array, g: Array) -> None:
    one = h.dtype.type(1)
    for k in range(h.size):
        h[k] = z[k] * h[k] + (one - z[k]) * g[k]  # GRU F5, h_prev in place


@kernel
def gru_candidate(out: Array, dh: Array, z: Array, g: Array) -> None:
    one = out.dtype.type(1)
    for k in range(out.size):
        out[k] = dh[k] * (one - z[k]) * (one - g[k] * g[k])  # GRU B2


@kernel
def update_gate(z: Array, dh_prev: Array, dh: Array, h_prev: Array, g: Array) -> None:
    one = z.dtype.type(1)
    for k in range(z.size):
        carried = dh[k] * z[k]  # GRU B5
        z[k] = carried * (h_prev[k] - g[k]) * (one - z[k])  # GRU B1
        dh_prev[k] = carried


@kernel
def reset_gate(r: Array, q: Array, dz_g: Array) -> None:
    one = r.dtype.type(1)
    for k in range(r.size):
        dq = dz_g[k] * r[k]  # GRU B4
        r[k] = dq * q[k] * (one - r[k])  # GRU B3
        q[k] = dq


@kernel
def hidden_gradient(h: Array, dh: Array) -> None:
    one = h.dtype.type(1)
    for k in range(h.size):
        h[k] = dh[k] * (one - h[k] * h[k])  # simple network B1, in place


# ---------------------------------------------------------------- one segment of one chunk


def lstm_forward(
    blas: Any, w: Array, x: Array, xh: Array, z: Array, c: Array, mask: Array, tanh_c: Array, limit: Any
) -> None:
    """Fill xh, z = gates and c from x (b, S, D), h in xh[0] and c[0].

    mask is (S, b), or (0, b) for none. Where no backward pass will follow, the steps take turns in fewer
    rows: z has one, c two, and xh two if h of the last step is enough. tanh_c (b, H) is scratch.
    """
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    b, S, H = x.shape[0], x.shape[1], c.shape[2]
    zero, one = w.dtype.type(0), w.dtype.type(1)
    gates, cells = reshaped(z, (4, z.shape[1], b * H)), reshaped(c, (c.shape[0], b * H))
    tanh_flat = reshaped(tanh_c, (b * H,))
    for t in range(S):
        row, before, after = t % z.shape[1], t % xh.shape[0], (t + 1) % xh.shape[0]
        c_prev, c_new = cells[t % c.shape[0]], cells[(t + 1) % c.shape[0]]
        put_input(xh[before], x[:, t])
        i, f, g, o = gates[0, row], gates[1, row], gates[2, row], gates[3, row]
        real = count_real(mask, t, b)
        if real > 0:
            for gate in range(4):
                multiply(blas, xh[before], w[gate], z[gate, row], zero)  # S1, S2, F1
            sigmoid(i, limit)  # F2
            sigmoid(f, limit)  # F3
            tanh(g)  # F4
            sigmoid(o, limit)  # F5
        if real < b:  # S3: c = 1 c_prev + 0 g
            for gate in range(4):
                set_masked(z[gate, row], mask[t], one if gate == 1 else zero)
        update_cell(c_new, c_prev, i, f, g)  # F6
        copy(tanh_flat, c_new)
        tanh(tanh_flat)
        show_cell(xh[after], z[3, row], tanh_c)  # F7
        if real < b:  # S3: h = h_prev, and all gates count as 0
            hold_masked(xh[after], mask[t], xh[before], H)
            set_masked(z[1, row], mask[t], zero)
    float_control(control)


def lstm_backward(
    blas: Any, ut: Array, xh: Array, z: Array, c: Array, mask: Array, external: Array, dh: Array, dc: Array,
    norms: Array, db: Array, dw: Array, scratch: Array, tile: int, block: int,
) -> None:  # fmt: skip
    """Turn z from gates into dz, go from dL/d(last state) in dh, dc to dL/d(first state) in dh[0], dc[0],
    fill dw = [dU; db; dW].

    dh and dc are (S+1, b, H): the gradient of every state. With two rows, (2, b, H), the steps use them in
    turn, step t from row (t + 1) % 2 to t % 2. external is (S, b H), or (0, b H) for none. norms
    (6, S, parts), of dh, dc and dz, for each of `parts` parts of the batch, and db as in `gate_norms`;
    (6, 0, parts) for none. dw is (K, 4H), its product takes `tile` steps and gives `block` rows at a time.
    scratch is (2, b, H).
    """
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    S, b, H, slots = xh.shape[0] - 1, xh.shape[1], c.shape[2], dh.shape[0]
    zero, one, stop = dw.dtype.type(0), dw.dtype.type(1), S
    gates, cells = reshaped(z, (4, S, b * H)), reshaped(c, (S + 1, b * H))
    dh_flat, dc_flat = reshaped(dh, (slots, b * H)), reshaped(dc, (slots, b * H))
    parts, scratch_flat = norms.shape[2], reshaped(scratch, (2, b * H))
    dh_parts, dc_parts = (
        reshaped(dh, (slots, parts, b * H // parts)),
        reshaped(dc, (slots, parts, b * H // parts)),
    )
    z_parts = reshaped(z, (4, S, parts, b * H // parts))
    tanh_c, dz_i = scratch_flat[0], scratch_flat[1]
    for t in range(S - 1, -1, -1):
        i, f, g, o = gates[0, t], gates[1, t], gates[2, t], gates[3, t]
        now, before = (t + 1) % slots, t % slots
        dh_t, dc_t = dh_flat[now], dc_flat[now]
        if external.shape[0] > 0:
            add(dh_t, external[t])  # S4
        real = count_real(mask, t, b)
        if real > 0:  # in a step that is masked everywhere dz is 0 already
            copy(tanh_c, cells[t + 1])
            tanh(tanh_c)
            add_output_path(dc_t, dh_t, o, tanh_c)  # B2
            output_gate(o, dh_t, tanh_c)  # B1, B6
            input_gate(dz_i, dc_t, i, g)  # B3, B6
            candidate(g, dc_t, i)  # B5, B6
            copy(i, dz_i)
            forget_gate(f, dc_flat[before], dc_t, cells[t])  # B4, B6, B7
            for gate in range(4):
                multiply(blas, z[gate, t], ut[gate], dh[before], zero if gate == 0 else one)  # S5
        if real < b:  # S6
            hold_masked(dh[before], mask[t], dh[now], H)
            hold_masked(dc[before], mask[t], dc[now], H)
        if norms.shape[1] > 0:  # here, where all of this is in the cache
            row_norms(norms[0, t], dh_parts[now])
            row_norms(norms[1, t], dc_parts[now])
            gate_norms(norms, db, z_parts, gates, t)
        if stop - t == tile or t == 0:
            rows = reshaped(xh[t:stop], ((stop - t) * b, xh.shape[2]))
            for gate in range(4):
                dz = reshaped(z[gate, t:stop], ((stop - t) * b, H))
                found = dw[:, gate * H : (gate + 1) * H]
                add_products(blas, rows, dz, found, block, zero if stop == S else one)  # S7
            stop = t
    float_control(control)


def gru_forward(
    blas: Any, w: Array, w_g: Array, u_g: Array, x: Array, xh: Array, z: Array, mask: Array, h: Array,
    limit: Any,
) -> None:  # fmt: skip
    """Fill xh and z = [z, r, g, q] from x (b, S, D) and h in xh[0].

    w (2, P, K, n) for z and r; w_g (P, 1+D, n) = [b_g; W_g]; u_g (P, H+1, n) = [U_g; rb_g]. mask and fewer
    rows of xh and z as in `lstm_forward`. h (b, H) is scratch.
    """
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    b, S, H = x.shape[0], x.shape[1], h.shape[1]
    zero = w.dtype.type(0)
    blocks, h_flat = reshaped(z, (4, z.shape[1], b * H)), reshaped(h, (b * H,))
    get_hidden(h, xh[0])
    for t in range(S):
        row, before, after = t % z.shape[1], t % xh.shape[0], (t + 1) % xh.shape[0]
        put_input(xh[before], x[:, t])
        real = count_real(mask, t, b)
        if real > 0:
            multiply(blas, xh[before], w[0], z[0, row], zero)  # S1, S2
            multiply(blas, xh[before], w[1], z[1, row], zero)
            multiply(blas, xh[before][:, H:], w_g, z[2, row], zero)
            multiply(blas, xh[before][:, : H + 1], u_g, z[3, row], zero)  # F3
            update, reset, g, q = blocks[0, row], blocks[1, row], blocks[2, row], blocks[3, row]
            sigmoid(update, limit)  # F1
            sigmoid(reset, limit)  # F2
            add_reset(g, reset, q)  # F4
            tanh(g)
            update_hidden(h_flat, update, g)  # F5
        put_hidden(xh[after], h)
        if real < b:  # S3
            hold_masked(xh[after], mask[t], xh[before], H)
            get_hidden(h, xh[after])
            for block in range(4):
                set_masked(z[block, row], mask[t], zero)
    float_control(control)


def gru_backward(
    blas: Any, ut: Array, xh: Array, z: Array, mask: Array, external: Array, dh: Array, norms: Array,
    db: Array, dw: Array, du_g: Array, scratch: Array, tile: int, block: int,
) -> None:  # fmt: skip
    """Turn z from [z, r, g, q] into [dz_z, dz_r, dz_g, dq], go down dh to dL/dh_0; fill the weight gradients.

    dw (K, 3H) = [dU; db; dW] for z and r, [db; dW] in its last rows for g; du_g (H+1, H) = [dU_g; drb_g].
    norms is (4, S, parts). The rest as in `lstm_backward`.
    """
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    S, b, K, H, slots = xh.shape[0] - 1, xh.shape[1], xh.shape[2], dh.shape[2], dh.shape[0]
    zero, one, stop = dw.dtype.type(0), dw.dtype.type(1), S
    gates, dh_flat, scratch_flat = (
        reshaped(z, (4, S, b * H)),
        reshaped(dh, (slots, b * H)),
        reshaped(scratch, (2, b * H)),
    )
    parts = norms.shape[2]
    dh_parts, z_parts = (
        reshaped(dh, (slots, parts, b * H // parts)),
        reshaped(z, (4, S, parts, b * H // parts)),
    )
    h_prev, dz_g = scratch_flat[0], scratch_flat[1]
    for t in range(S - 1, -1, -1):
        update, reset, g, q = gates[0, t], gates[1, t], gates[2, t], gates[3, t]
        now, before = (t + 1) % slots, t % slots
        dh_t = dh_flat[now]
        if external.shape[0] > 0:
            add(dh_t, external[t])  # S4
        real = count_real(mask, t, b)
        if real > 0:
            get_hidden(scratch[0], xh[t])
            gru_candidate(dz_g, dh_t, update, g)  # B2
            if real < b:
                set_masked(scratch[1], mask[t], zero)  # S6
            update_gate(update, dh_flat[before], dh_t, h_prev, g)  # B1, B5
            reset_gate(reset, q, dz_g)  # B3, B4
            copy(g, dz_g)
            multiply(blas, z[0, t], ut[0], dh[before], one)  # S5
            multiply(blas, z[1, t], ut[1], dh[before], one)
            multiply(blas, z[3, t], ut[2], dh[before], one)
        if real < b:
            hold_masked(dh[before], mask[t], dh[now], H)  # S6
        if norms.shape[1] > 0:
            row_norms(norms[0, t], dh_parts[now])
            gate_norms(norms, db, z_parts, gates, t)
        if stop - t == tile or t == 0:
            n, beta = (stop - t) * b, zero if stop == S else one
            rows = reshaped(xh[t:stop], (n, K))
            add_products(blas, rows, reshaped(z[0, t:stop], (n, H)), dw[:, :H], block, beta)  # S7
            add_products(blas, rows, reshaped(z[1, t:stop], (n, H)), dw[:, H : 2 * H], block, beta)
            add_products(blas, rows[:, H:], reshaped(z[2, t:stop], (n, H)), dw[H:, 2 * H :], block, beta)
            add_products(blas, rows[:, : H + 1], reshaped(z[3, t:stop], (n, H)), du_g, block, beta)
            stop = t
    float_control(control)


def simple_rnn_forward(blas: Any, w: Array, x: Array, xh: Array, z: Array, mask: Array) -> None:
    """Fill xh and z (1, S, b, H) from x (b, S, D) and h in xh[0]; w (1, P, K, n). As in `lstm_forward`."""
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    b, S, H = x.shape[0], x.shape[1], z.shape[3]
    for t in range(S):
        h, before, after = z[0, t % z.shape[1]], t % xh.shape[0], (t + 1) % xh.shape[0]
        put_input(xh[before], x[:, t])
        multiply(blas, xh[before], w[0], h, w.dtype.type(0))  # S1, S2
        tanh(reshaped(h, (b * H,)))  # F1
        put_hidden(xh[after], h)
        if count_real(mask, t, b) < b:
            hold_masked(xh[after], mask[t], xh[before], H)  # S3
    float_control(control)


def simple_rnn_backward(
    blas: Any, ut: Array, xh: Array, z: Array, mask: Array, external: Array, dh: Array, norms: Array,
    db: Array, dw: Array, tile: int, block: int,
) -> None:  # fmt: skip
    """Turn z from h into dz, go down dh to dL/dh_0; fill dw (K, H) = [dU; db; dW].

    norms is (2, S, parts). The rest as in `lstm_backward`.
    """
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    S, b, K, H, slots = xh.shape[0] - 1, xh.shape[1], xh.shape[2], dh.shape[2], dh.shape[0]
    zero, one, stop = dw.dtype.type(0), dw.dtype.type(1), S
    gates, dh_flat, parts = reshaped(z, (1, S, b * H)), reshaped(dh, (slots, b * H)), norms.shape[2]
    dh_parts, z_parts = (
        reshaped(dh, (slots, parts, b * H // parts)),
        reshaped(z, (1, S, parts, b * H // parts)),
    )
    for t in range(S - 1, -1, -1):
        now, before = (t + 1) % slots, t % slots
        if external.shape[0] > 0:
            add(dh_flat[now], external[t])  # S4
        hidden_gradient(gates[0, t], dh_flat[now])  # B1
        real = count_real(mask, t, b)
        if real < b:
            set_masked(z[0, t], mask[t], zero)  # S6
        multiply(blas, z[0, t], ut[0], dh[before], zero)  # S5
        if real < b:
            hold_masked(dh[before], mask[t], dh[now], H)  # S6
        if norms.shape[1] > 0:
            row_norms(norms[0, t], dh_parts[now])
            gate_norms(norms, db, z_parts, gates, t)
        if stop - t == tile or t == 0:
            n = (stop - t) * b
            beta = zero if stop == S else one
            dz = reshaped(z[0, t:stop], (n, H))
            add_products(blas, reshaped(xh[t:stop], (n, K)), dz, dw, block, beta)  # S7
            stop = t
    float_control(control)


def input_gradient(blas: Any, wt: Array, dz: Array, dx: Array, zero: Any) -> None:
    """dx (n, D) = sum over the gates of dz[gate] (n, H) @ wt[gate] (H, D)."""
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    one, block = dx.dtype.type(1), max(16, SMALL // (wt.shape[1] * wt.shape[2]))
    for n in range(0, dx.shape[0], block):
        end = min(n + block, dx.shape[0])
        for gate in range(wt.shape[0]):
            gemm(blas, dz[gate, n:end], False, wt[gate], dx[n:end], zero if gate == 0 else one)  # S7
    float_control(control)


def adam(w: Array, g: Array, m: Array, v: Array, a: Any, rate_1: Any, rate_2: Any, epsilon: Any) -> None:
    """The step of `optimizers.Adam` in one pass over the memory, with the roundings of NumPy's form; all 1-D.

    rate_1, rate_2 are 1 - beta_1, 1 - beta_2 rounded once: 1 - 0.999 in float32 is 1.3e-5 off.
    """
    wide_vectors()
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    for k in range(w.size):
        m[k] += rate_1 * (g[k] - m[k])
        v[k] += rate_2 * (g[k] * g[k] - v[k])
        w[k] -= a * (m[k] / (np.sqrt(v[k]) + epsilon))
    float_control(control)


# ---------------------------------------------------------------- compiled entry points


_cache_warned = False


def _compile(function: Callable[..., None], options: dict[str, Any] = OPTIONS) -> Callable[..., None]:
    """`function` compiled, from the cache on disk where that works, without it where it does not.

    The cache can fail in many ways (no writable folder, a full disk, a damaged index), each with its
    own exception. None of them is a reason to stop: the kernel is then compiled for this process only,
    and its files are removed, so that the next process makes them anew.
    """

    def uncached(cause: Exception) -> Callable[..., None]:
        global _cache_warned
        if not _cache_warned:  # once, not once per kernel
            cause_text = f"{type(cause).__name__}: {cause}"
            message = f"Numba's cache cannot be used ({cause_text}); compiling for this process only"
            warnings.warn(message, RuntimeWarning, stacklevel=3)
            _cache_warned = True
        plain: Callable[..., None] = njit(**options)(function)
        return plain

    try:
        chosen = njit(cache=True, **options)(function)
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
            _remove_cached(chosen, function.__name__)
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


def _remove_cached(dispatcher: Any, name: str) -> None:
    """Remove the files of one kernel from Numba's cache, as far as that can be done."""
    folder = Path(dispatcher.stats.cache_path)
    for path in folder.glob(f"{Path(__file__).stem}.{name}-*.nb[ic]"):
        with suppress(OSError):
            path.unlink()


def _say(text: str) -> None:
    """A line for the person who waits."""
    print(f"minilstm: {text}", file=sys.stderr, flush=True)


_first = threading.Lock()  # first calls of several threads: one compiles, the others wait
compile_seconds = 0.0  # spent so far in first calls: compiling, or reading the cache

run_pack = _compile(pack)
run_lstm_forward = _compile(lstm_forward)
run_lstm_backward = _compile(lstm_backward)
run_gru_forward = _compile(gru_forward)
run_gru_backward = _compile(gru_backward)
run_simple_rnn_forward = _compile(simple_rnn_forward)
run_simple_rnn_backward = _compile(simple_rnn_backward)
run_input_gradient = _compile(input_gradient)
run_adam = _compile(adam, OPTIONS | {"fastmath": False})  # no fused multiply-add: the bits of NumPy's form

blas.preload()
BLAS = {  # addresses of SciPy's products, by a public function of Numba; passed to kernels as a number
    np.dtype(dtype): np.uint64(get_cython_function_address(blas.NAME, name))
    for dtype, name in (("float32", "sgemm"), ("float64", "dgemm"))
}
threads.limit_blas("scipy.libs")


def _fresh_lock() -> None:
    """In a forked child: another thread may have held the lock, and is not there to release it."""
    global _first
    _first = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fresh_lock)
