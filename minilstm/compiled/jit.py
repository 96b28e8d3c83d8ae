"""How everything here is compiled: Numba's options, the vectors' width, subnormal numbers, the sources' hash.

`error_model="numpy"`  a division by zero gives inf and needs no branch
`nogil`                threads work on other chunks of the batch meanwhile
no fastmath            the compiler may not reorder, nor delete the NaN this project looks for. It may not
                       even fuse a multiplication and an addition on its own (`vectors.fma` says where that
                       happens): so a sample has the same bits in any batch, whatever becomes of a loop
`_nrt: False`          no reference counts: a kernel allocates nothing, its caller holds the arrays, and
                       counting views of them with atomic operations took a quarter of a step with B = 1
`no_cfunc_wrapper`     nobody calls a kernel from C, and the wrapper takes time to compile
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from llvmlite import binding, ir
from numba import config, types
from numba.core.cpu import CPUTargetOptions
from numba.extending import intrinsic, register_jitable


def uncounted(options: dict[str, Any]) -> dict[str, Any]:
    """`options` with reference counting off, or as they are where this version of Numba cannot do that."""
    return options | {"_nrt": False} if hasattr(CPUTargetOptions, "_nrt") else options


OPTIONS: dict[str, Any] = uncounted({"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True})
BY_ADDRESS = {key: OPTIONS[key] for key in OPTIONS if key not in ("nogil", "no_cfunc_wrapper")}  # of a cfunc
FUSED = OPTIONS | {"fastmath": {"contract"}}
SUMS = OPTIONS | {"fastmath": {"contract", "reassoc"}}  # a sum in any order: four times as fast, NaN stays

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function, options: dict[str, Any] = OPTIONS) -> Function:
    """A helper, compiled into the entry points that call it and cached as part of them.

    Numba compiles it once for each types of its arguments (True is no whole number) and for each options of
    its caller: once for all other kernels, and again for those that an entry point calls itself.
    """
    jitable: Function = register_jitable(**options)(function)
    return jitable


def instruction(interpreted: Callable[..., Any]) -> Callable[..., Any]:
    """A piece of machine code that kernels call by name; with NUMBA_DISABLE_JIT=1 `interpreted` instead."""
    disabled = config.DISABLE_JIT  # type: ignore[attr-defined]
    return lambda define: interpreted if disabled else intrinsic(define)


def sources_hash() -> str:
    """Of all files in this folder: Numba's cache notices an edit in the file of an entry point only.

    Entry points carry it in their names (see `entry_points`), and so do their files in the cache.
    """
    found = sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()[:12]


# ---------------------------------------------------------------- the processor


def processor_has(feature: str) -> bool:
    """Whether Numba compiles for a processor with `feature`, in LLVM's words: "avx", "avx512f".

    NUMBA_CPU_FEATURES ("+avx2,-avx512f") counts before what this machine has.
    """
    given = config.CPU_FEATURES  # type: ignore[attr-defined]
    if given == "":  # NUMBA_CPU_NAME=generic
        return False
    said = {word[1:]: word[0] == "+" for word in (given or "").split(",") if word}
    return said.get(feature, bool(binding.get_host_cpu_features().get(feature, False)))


WIDE = processor_has("avx512f")
BYTES = 64 if WIDE else 32 if processor_has("avx") else 16  # of a vector register
REGISTERS = 32 if WIDE or platform.machine().lower() in ("aarch64", "arm64") else 16


def lanes(dtype: Any) -> int:
    """Numbers in a `vectors.Vector`, two registers; and so units in a panel.

    >>> lanes("float32") == 2 * lanes("float64")
    True
    """
    return 2 * BYTES // int(np.dtype(dtype).itemsize)


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
