"""The processor's peak: multiply-adds that wait for nothing, in registers alone.

No product of matrices reaches it, which also loads its operands. Compiled for the instruction set that Numba
uses in this process (see `isa`). What this file is not: a measurement of memory.
"""

from __future__ import annotations

import ctypes
import math
import time

import isa
import llvmlite.binding as llvm
import numba

CHAINS = 12  # independent sums: each multiply-add waits about 4 cycles for the one before in its chain
LANES = {"avx512": 16, "avx2": 8, "other": 4}  # float32 in a register


def source(lanes: int) -> str:
    """A loop of CHAINS multiply-adds of whole registers, as LLVM's assembly."""
    vector = f"<{lanes} x float>"
    starts = [f"%s{k} = phi {vector} [zeroinitializer, %entry], [%t{k}, %loop]" for k in range(CHAINS)]
    steps = [
        f"%t{k} = call {vector} @llvm.fma.v{lanes}f32({vector} %v, {vector} %v, {vector} %s{k})"
        for k in range(CHAINS)
    ]
    sums = [f"%u{k} = fadd {vector} %{f'u{k - 1}' if k > 1 else 't0'}, %t{k}" for k in range(1, CHAINS)]
    return "\n".join(
        [
            f"declare {vector} @llvm.fma.v{lanes}f32({vector}, {vector}, {vector})",
            "define float @run(i64 %n, float %x) {",
            "entry:",
            f"%one = insertelement {vector} undef, float %x, i32 0",
            f"%v = shufflevector {vector} %one, {vector} undef, <{lanes} x i32> zeroinitializer",
            "br label %loop",
            "loop:",
            "%i = phi i64 [0, %entry], [%next, %loop]",
            *starts,
            *steps,
            "%next = add i64 %i, 1",
            "%more = icmp slt i64 %next, %n",
            "br i1 %more, label %loop, label %end",
            "end:",
            *sums,
            f"%found = extractelement {vector} %u{CHAINS - 1}, i32 0",
            "ret float %found",
            "}",
        ]
    )


def peak(rounds: int = 100, steps: int = 500_000) -> float:
    """The most float32 multiply-adds per second that one core reaches in `rounds` tries."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    cpu = numba.config.CPU_NAME or llvm.get_host_cpu_name()
    features = numba.config.CPU_FEATURES or llvm.get_host_cpu_features().flatten()
    machine = llvm.Target.from_default_triple().create_target_machine(cpu=cpu, features=features, opt=2)
    lanes, shortest = LANES[isa.in_force()], math.inf
    with llvm.create_mcjit_compiler(llvm.parse_assembly(source(lanes)), machine) as engine:
        engine.finalize_object()
        kind = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_int64, ctypes.c_float)
        run = kind(engine.get_function_address("run"))
        for _ in range(rounds):
            start = time.perf_counter()
            run(steps, 1e-3)
            shortest = min(shortest, time.perf_counter() - start)
    return steps * CHAINS * lanes / shortest
