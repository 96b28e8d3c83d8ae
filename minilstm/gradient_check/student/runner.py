"""Runs in a process of its own: checks the functions of a student's file, and writes what it found.

    python -m minilstm.gradient_check.student.runner FILE RESULT OPTIONS

FILE defines `step_forward` and `step_backward` (see `check_step`), `forward` and `backward` (see
`check_sequence`; or of a step, if they accept and return what one does), or both pairs; and may say
CELL = "gru", GATES = "ifog" and ADAPTER = "columns", or "time_major, pytorch", one in the other. Without
CELL it is the first that they can be. With the adapter "layer" it defines a class with forward and backward;
with "loss_inside", `loss_and_gradients`, `parameters` and `arguments`. RESULT is the file for what was
found, as JSON; OPTIONS are JSON too. Whatever FILE prints, raises or breaks stays in here.
"""

from __future__ import annotations

import errno
import inspect
import itertools
import json
import os
import runpy
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from minilstm import files
from minilstm.gradient_check import adapters
from minilstm.gradient_check.report import Report
from minilstm.gradient_check.student.check import check_sequence, check_step
from minilstm.gradient_check.student.exceptions import described

PAIRS = {"step": ("step_forward", "step_backward"), "sequence": ("forward", "backward")}
CHECKS: dict[str, Callable[..., Report]] = {"step": check_step, "sequence": check_sequence}
CELLS = ("lstm", "gru", "simple_rnn")
PLAIN = (
    *("columns", "time_major", "single", "ids", "dictionary", "listed", "pytorch", "blocks"),
    *("course", "separate", "states"),
)
LARGEST_OUTPUT = 1_000_000  # bytes that the file may print
UNWRITABLE = 74  # exit code: RESULT cannot be written, whatever was found


def run(path: str, options: dict[str, Any]) -> dict[str, Any]:
    """{"reports": {"step": ..., "sequence": ...}}, {"fault": words}, or {"usage": words}."""
    name = Path(path).name
    try:
        defined = runpy.run_path(path, run_name="student")
    except BaseException as error:
        return {"fault": f"{name} cannot be run: {why(error)}."}
    adapter = options["adapter"] or defined.get("ADAPTER")
    cell = options["cell"] or defined.get("CELL")
    cells = CELLS if cell is None else (cell,)
    reports = {}
    try:
        pairs = found(defined, adapter)
        if not pairs:
            return {"usage": f"{name} must define {expected(adapter)}{suggestion(defined)}"}
        given = {"gates": defined.get("GATES"), "seed": options["seed"], "length": options["length"]}
        for kind, pair in pairs.items():
            kinds = ("sequence", "step") if [*pairs] == ["sequence"] else (kind,)
            kind, report = first_that_runs(kinds, cells, pair, given)
            reports[kind] = told(report)
    except (TypeError, ValueError) as error:  # CELL, GATES or ADAPTER
        return {"usage": f"{name}: {error}"}
    return {"reports": reports}


def found(defined: dict[str, Any], adapter: str | None) -> dict[str, adapters.Pair]:
    """The pairs of functions to check, as the adapter makes them, by "step" and "sequence"."""
    wrapping = [] if adapter is None else [name.strip() for name in adapter.split(",")]
    if not set(wrapping) <= {*PLAIN} and adapter not in ("layer", "loss_inside"):
        known = ", ".join((*PLAIN, "layer", "loss_inside"))
        raise ValueError(f"the adapter must be one of {known}, got {adapter!r}")
    if adapter == "layer":
        classes = [
            value
            for value in defined.values()
            if inspect.isclass(value) and hasattr(value, "forward") and hasattr(value, "backward")
        ]
        return {"layer": adapters.layer(classes[-1])} if classes else {}
    if adapter == "loss_inside":
        function, parameters = defined.get("loss_and_gradients"), defined.get("parameters")
        if function is None or parameters is None:
            return {}
        return {"sequence": adapters.loss_inside(function, parameters, *defined.get("arguments", ()))}
    names = {kind: pair for kind, pair in PAIRS.items() if all(callable(defined.get(n)) for n in pair)}
    pairs = {kind: (defined[forward], defined[backward]) for kind, (forward, backward) in names.items()}
    for name in reversed(wrapping):
        pairs = {kind: getattr(adapters, name)(*pair) for kind, pair in pairs.items()}
    return pairs


def first_that_runs(
    kinds: Sequence[str], cells: Sequence[str], pair: adapters.Pair, given: dict[str, Any]
) -> tuple[str, Report]:
    """The functions as the first kind and cell for which they run; as the very first where they never do."""
    reports = [(kinds[0], checked(kinds[0], pair, cells[0], given))]
    for kind, cell in list(itertools.product(kinds, cells))[1:]:
        if reports[-1][1].fault is None:
            return reports[-1]
        reports.append((kind, checked(kind, pair, cell, given)))
    if reports[-1][1].fault is None:
        return reports[-1]
    kind, report = max(reports, key=lambda tried: _promising(tried[1]))  # the first of the best
    if "--adapter" in str(report.fault):
        return kind, report
    if len(kinds) > 1:
        both = "It was tried as a sequence and as a step, which the names step_forward and step_backward say."
        report.fault = f"As a {kind}: {report.fault} {both}"
    if len(cells) > 1:
        report.fault = f"{report.fault} It was tried as {', '.join(cells)}: CELL says which it is."
    return kind, report


def _promising(report: Report) -> tuple[bool, bool]:
    """How near a try came that failed: whether an adapter fits, and whether forward ran."""
    fault = report.fault or ""
    return "--adapter" in fault, not fault.startswith("forward raised")


def checked(kind: str, pair: adapters.Pair, cell: str, given: dict[str, Any]) -> Report:
    """The report; of a layer, as a step if it can be one."""
    of_step = {name: value for name, value in given.items() if name != "length"}
    if kind != "layer":
        return CHECKS[kind](*pair, cell, **(given if kind == "sequence" else of_step))
    report = check_step(*pair, cell, **of_step)
    return report if report.fault is None else check_sequence(*pair, cell, **of_step)


def expected(adapter: str | None) -> str:
    if adapter == "layer":
        return "a class with forward and backward"
    if adapter == "loss_inside":
        return "loss_and_gradients and parameters (a dict of arrays), and arguments (a tuple)"
    return "step_forward and step_backward, or forward and backward"


def suggestion(defined: dict[str, Any]) -> str:
    """What the file defines instead, if that looks like a pair, or like a class."""
    functions = [n for n, v in defined.items() if inspect.isfunction(v)]
    for name in functions:
        for ahead, back in (("forward", "backward"), ("fwd", "bwd"), ("fprop", "bprop"), ("fp", "bp")):
            other = name.replace(ahead, back)
            if ahead in name and other in functions:
                kind = "step" if "step" in name or "cell" in name else "sequence"
                return f"; it has {name} and {other}: name them {' and '.join(PAIRS[kind])}"
    for name, value in defined.items():
        if inspect.isclass(value) and hasattr(value, "forward") and hasattr(value, "backward"):
            return f"; it has the class {name}: use --adapter layer"
    return f"; it has {', '.join(functions[:6])}" if functions else ""


def why(error: BaseException) -> str:
    """Why a file cannot be run, in words."""
    if isinstance(error, SyntaxError):
        return f"it is not Python: {error.msg}" + (f", line {error.lineno}" if error.lineno else "")
    if isinstance(error, UnicodeDecodeError) or "null bytes" in str(error):
        return "it is not Python, but binary data"
    if isinstance(error, ModuleNotFoundError):
        return f"it needs the package {error.name!r}, which is not installed"
    if isinstance(error, FileNotFoundError):
        return f"it reads the file {error.filename!r}, which is not there"
    if isinstance(error, EOFError):
        return "it asks for input, and there is nobody to give it"
    if isinstance(error, MemoryError):
        return "it needs more memory than it may have (--memory)"
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return f"it prints or writes more than {LARGEST_OUTPUT / 1e6:g} MB"
    return f"it raised {described(error)}"


def told(report: Report) -> dict[str, Any]:
    return report.to_dict() | {"text": str(report)}


def limited(memory: float) -> Callable[[], None]:
    """Limit what the file may print and how much memory it may take; a function that lifts the first."""
    try:
        import resource
    except ImportError:  # no such limits on Windows
        return lambda: None
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_OUTPUT, resource.RLIM_INFINITY))
    size = int(memory * 1e6)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (size if hard < 0 else min(size, hard), hard))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def main() -> None:
    path, result, text = sys.argv[1:]
    options, process = json.loads(text), os.getpid()
    lift = limited(options["memory"])
    found = run(path, options)
    if os.getpid() != process:  # the file forked: only the first process tells
        os._exit(0)
    lift()
    try:
        files.write_text(result, json.dumps(found))
    except OSError:
        os._exit(UNWRITABLE)
    with suppress(OSError):
        sys.stdout.flush()
    os._exit(0)  # whatever threads the file has started


if __name__ == "__main__":
    main()
