"""What does LLVM's model of a processor say of the product's inner loop, where there is no such machine?

    python benchmarks/tile_model.py [--mca llvm-mca-19]

Compiles the tile of `minilstm.compiled.tile` for each processor and lets llvm-mca run its loop over k: vector
multiply-adds in a cycle. The model knows ports, latencies and the front end; it takes every operand for there
in the first-level cache, and its tables may be wrong. It measures nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys

import isa
import llvmlite.binding as llvm
from llvmlite import ir
from measure import markdown

from minilstm.compiled import jit, tile

PROCESSORS = {"znver3": "avx2", "znver4": "avx512", "skylake-avx512": "avx512", "icelake-server": "avx512"}
TURNS = 200


def loop_of(cpu: str, features: str, rows: int, panels: int) -> str:
    """A turn of the tile's loop, as assembly."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = ir.Module()
    tile.build_tile(module, "float32", rows, panels).linkage = "external"
    target = llvm.Target.from_triple("x86_64-unknown-linux-gnu")
    machine = target.create_target_machine(cpu=cpu, features=features, opt=3)
    parsed = llvm.parse_assembly(str(module))
    options = llvm.create_pipeline_tuning_options(3)
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(parsed, builder)
    blocks = re.split(r"^\.L\w+:.*", machine.emit_assembly(parsed), flags=re.M)
    count = 2 * rows * panels * tile.TURN
    (turn,) = (block for block in blocks if block.count("vfmadd") == count)
    lines = [line for line in turn.splitlines() if re.match(r"\t[a-z]", line)]
    return "\n".join(lines[: next(k for k, line in enumerate(lines) if line.startswith("\tj")) + 1])


def multiply_adds(mca: str, cpu: str, code: str) -> float:
    """Those of whole registers in a cycle, by the model."""
    command = [mca, "-mtriple=x86_64", f"-mcpu={cpu}", f"-iterations={TURNS}", "-json"]
    done = subprocess.run(command, input=f"{code}\n", text=True, capture_output=True, check=True)
    cycles = json.loads(done.stdout)["CodeRegions"][0]["SummaryView"]["TotalCycles"]
    return code.count("vfmadd") * TURNS / float(cycles)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mca", default="llvm-mca", help="the program, of LLVM 17 or later")
    parser.add_argument("--cpu", choices=PROCESSORS, help="print this processor's row alone")
    options = parser.parse_args()
    if options.cpu is None:
        head = ["processor", "numbers in a register", "rows", "multiply-adds in a cycle"]
        print(markdown(head, []), end="", flush=True)
        for cpu, name in PROCESSORS.items():  # the width is decided when a process begins
            switches = isa.SWITCHES[name] | {"NUMBA_CPU_NAME": cpu}
            command = [sys.executable, __file__, "--mca", options.mca, "--cpu", cpu]
            subprocess.run(command, env=os.environ | switches, check=True)
        return
    features = isa.SWITCHES[PROCESSORS[options.cpu]]["NUMBA_CPU_FEATURES"]
    for rows, panels in ((1, tile.PANELS), (5, 1), (6, 1), (8, 1), (11, 1), (12, 1)):
        if rows <= tile.ROWS:
            found = multiply_adds(options.mca, options.cpu, loop_of(options.cpu, features, rows, panels))
            print(f"| {options.cpu} | {jit.BYTES // 4} | {rows} | {found:.2f} |")


if __name__ == "__main__":
    main()
