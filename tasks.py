"""Shortcuts for who works on minilstm: `python tasks.py` lists them, `python tasks.py NAME [MORE]` runs one.

What stands behind the name is handed on: `python tasks.py layer bptt -k gru`.
"""

from __future__ import annotations

import subprocess
import sys

PYTEST = "pytest -q"
QUICK = f"{PYTEST} -m 'not slow and not peer'"
TASKS = {
    "lint": ("ruff, its formatter, mypy", ["ruff check .", "ruff format --check .", "mypy"]),
    "layer": ("the quick tests of one folder of tests/: layer bptt", [f"{QUICK} tests/"]),
    "quick": ("all quick tests, on all processors", [f"{QUICK} -n auto"]),
    "test": ("the tests of the README's command, all but the slow ones", [f"{PYTEST} -n auto"]),
    "slow": ("the others", [f"{PYTEST} -n auto -m slow"]),
    "python": (
        "the kernels' tests with the kernels as plain Python, which a debugger can enter",
        ["NUMBA_DISABLE_JIT=1 pytest -q tests/compiled/test_kernels.py"],
    ),
    "bounds": (
        "the kernels' tests with every index checked",
        ["NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=.numba-bounds pytest -q tests/compiled/test_kernels.py"],
    ),
    "coverage": (
        "branch coverage of the quick tests (pip install coverage)",
        [f"coverage run --branch --source minilstm -m {QUICK}", "coverage report --skip-covered --sort miss"],
    ),
    "profile": ("where the time of a training step goes", ["python benchmarks/step_profile.py"]),
    "docs": ("the site, while you write (pip install '.[docs]')", ["mkdocs serve"]),
    "structure": ("rooms, arrows, circles, lines", ["python tests/test_architecture.py"]),
    "names": ("write the public face down again", ["python tests/test_public_names.py --write"]),
}


def main(arguments: list[str]) -> int:
    """Run one task; its exit code."""
    if not arguments or arguments[0] not in TASKS:
        print(__doc__)
        print("\n".join(f"  {name:<10} {what}" for name, (what, _) in TASKS.items()))
        return 0 if not arguments else 2
    name, *more = arguments
    for command in TASKS[name][1]:
        glue = "" if command.endswith("/") else " "
        code = subprocess.run(command + glue + subprocess.list2cmdline(more), shell=True).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
