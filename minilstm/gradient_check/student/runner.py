"""Runs in a process of its own: checks the functions of a student's file, and writes what it found.

    python -m minilstm.gradient_check.student.runner FILE RESULT OPTIONS

FILE defines `step_forward` and `step_backward` (see `check_step`), `forward` and `backward` (see
`check_sequence`), or both pairs; and may say CELL = "gru" and GATES = "ifog". RESULT is the file for
what was found, as JSON; OPTIONS are JSON too. Whatever FILE prints, raises or breaks stays in here.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

from minilstm.gradient_check.report import Report
from minilstm.gradient_check.student.check import check_sequence, check_step
from minilstm.gradient_check.student.functions import described

PAIRS = {"step": ("step_forward", "step_backward"), "sequence": ("forward", "backward")}
LARGEST_OUTPUT = 1_000_000  # bytes that the file may print


def run(path: str, options: dict[str, Any]) -> dict[str, Any]:
    """{"reports": {"step": ..., "sequence": ...}}, {"fault": words}, or {"usage": words}."""
    name = Path(path).name
    try:
        defined = runpy.run_path(path, run_name="student")
    except BaseException as error:
        return {"fault": f"{name} cannot be run: it raised {described(error)}."}
    pairs = {kind: names for kind, names in PAIRS.items() if all(callable(defined.get(n)) for n in names)}
    if not pairs:
        expected = "step_forward and step_backward, or forward and backward"
        return {"usage": f"{name} must define {expected}"}
    cell = options["cell"] or defined.get("CELL", "lstm")
    reports = {}
    try:
        for kind, (forward, backward) in pairs.items():
            functions = defined[forward], defined[backward], cell
            given = {"gates": defined.get("GATES"), "seed": options["seed"]}
            if kind == "step":
                report = check_step(*functions, **given)
            else:
                report = check_sequence(*functions, length=options["length"], **given)
            reports[kind] = _told(report)
    except (TypeError, ValueError) as error:  # CELL or GATES
        return {"usage": f"{name}: {error}"}
    return {"reports": reports}


def _told(report: Report) -> dict[str, Any]:
    return report.to_dict() | {"text": str(report)}


def main() -> None:
    path, result, options = sys.argv[1:]
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_OUTPUT, resource.RLIM_INFINITY))
    except ImportError:  # no such limit on Windows
        resource = None  # type: ignore[assignment]
    found = run(path, json.loads(options))
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    Path(result).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
