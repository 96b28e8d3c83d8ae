"""The option `--isa` of the benchmarks: one machine measured as if it had a narrower instruction set.

Libraries choose their instructions when they are loaded, so the switches must stand in the environment before
the measuring process starts: `restrict` starts it. What this file is not: complete. ONNX Runtime has no
switch, MKL obeys its own on processors of Intel only, and TensorFlow's own kernels are compiled for one set.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import llvmlite.binding
import numba
import numpy as np

HASWELL = "+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe,+popcnt"
SWITCHES = {  # of OpenBLAS, PyTorch, oneDNN, MKL (on processors of Intel), XLA and Numba
    "avx2": {
        "OPENBLAS_CORETYPE": "Haswell",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": HASWELL,
        "NPY_DISABLE_CPU_FEATURES": "",
    },
    "avx512": {
        "OPENBLAS_CORETYPE": "SkylakeX",
        "ATEN_CPU_CAPABILITY": "avx512",
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
        "MKL_ENABLE_INSTRUCTIONS": "AVX512",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX512",
        "NUMBA_CPU_NAME": "skylake-avx512",
        "NUMBA_CPU_FEATURES": f"{HASWELL},+avx512bw,+avx512cd,+avx512dq,+avx512f,+avx512vl",
    },
}


def switches(isa: str) -> dict[str, str]:
    """The environment variables that keep every library that has one to `isa`."""
    found = dict(SWITCHES[isa])
    if isa == "avx2":  # NumPy warns of names that the processor does not have
        simd = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
        found["NPY_DISABLE_CPU_FEATURES"] = " ".join(n for n in simd if n.startswith(("AVX512", "X86_V4")))
    return found


def widest(features: str) -> str:
    """The wider of avx512 and avx2 in a list like "+avx,+avx2", or "other"."""
    known = features.split(",")
    return "avx512" if "+avx512f" in known else "avx2" if "+avx2" in known else "other"


NATIVE = widest(llvmlite.binding.get_host_cpu_features().flatten())


def in_force() -> str:
    """What Numba compiles for in this process."""
    return widest(numba.config.CPU_FEATURES) if numba.config.CPU_FEATURES else NATIVE


def add_option(parser: argparse.ArgumentParser) -> None:
    """The option `--isa`, for `restrict`."""
    text = "keep all libraries that have a switch for it to this instruction set (ONNX Runtime has none)"
    parser.add_argument("--isa", choices=("native", *SWITCHES), default="native", help=text)


def restrict(isa: str) -> None:
    """Run this script again with the switches of `isa` in its environment, unless they are there."""
    if isa == "native":
        return
    if NATIVE == "other" or (isa, NATIVE) == ("avx512", "avx2"):
        raise SystemExit(f"--isa must be native or one that this processor has, got {isa}")
    if os.environ.get("NUMBA_CPU_FEATURES") != SWITCHES[isa]["NUMBA_CPU_FEATURES"]:
        command = [sys.executable, *sys.argv]
        raise SystemExit(subprocess.run(command, env=os.environ | switches(isa), check=False).returncode)
