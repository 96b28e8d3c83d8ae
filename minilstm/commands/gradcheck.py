"""`minilstm gradcheck`: check this package's gradients, or those of a file that somebody wrote.

Exit codes: 0 every gradient holds, 1 one does not (or the file failed), 2 the request cannot be meant.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from minilstm import interrupts
from minilstm.errors import fail, real_number, whole_number
from minilstm.gradient_check import gradcheck
from minilstm.layers import GRU, LSTM, Dense, SimpleRNN
from minilstm.model import Sequential

CELLS = {"lstm": LSTM, "gru": GRU, "simple_rnn": SimpleRNN}


def run(options: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    try:
        whole_number("--length", options.length)
        whole_number("--seed", options.seed, 0)
        real_number("--timeout", options.timeout, above=True)
    except ValueError as error:
        return fail(str(error), 2)
    if options.file is None:
        return _own(options)
    if options.method != "complex":
        return fail(f"--method {options.method} is not for --file, which takes the complex step", 2)
    if not options.file.is_file():
        return fail(f"--file {options.file}: no such file", 2)
    return _student_s(options)


def _own(options: argparse.Namespace) -> int:
    """This package's own gradients on a small random network."""
    B, T, D, H = 2, options.length, 3, 8
    rng = np.random.default_rng(options.seed)
    layer = CELLS[options.cell or "lstm"](H, input_shape=(T, D), name=options.cell or "lstm")
    model = Sequential([layer, Dense(1, name="dense")], dtype="float64", seed=options.seed)
    model.compile(loss="mse")
    state = [rng.uniform(-0.9, 0.9, (B, H)) for _ in layer.cell.states]
    report = gradcheck(
        model,
        rng.normal(size=(B, T, D)),
        rng.normal(size=B),
        method=options.method,
        initial_state={layer.label: state},
        seed=options.seed,
    )
    print(json.dumps(report.to_dict(), allow_nan=False) if options.json else report)
    return 0 if report.ok else 1


def _student_s(options: argparse.Namespace) -> int:
    """The functions of a file, in a process of their own that cannot hurt this one."""
    given = {"cell": options.cell, "length": options.length, "seed": options.seed}
    with tempfile.TemporaryDirectory() as folder:
        result, printed = Path(folder, "result.json"), Path(folder, "printed.txt")
        command = [sys.executable, "-m", "minilstm.gradient_check.student.runner"]
        command += [str(options.file), str(result), json.dumps(given)]
        code = _waited(command, printed, options.timeout)
        name = options.file.name
        if code is None:
            found = {"fault": f"{name} did not finish within {options.timeout:g} s (--timeout)."}
        elif not result.exists():
            found = {"fault": f"{name} ended its process (exit code {code}) before anything was found."}
        else:
            found = json.loads(result.read_text(encoding="utf-8"))
        lines = printed.read_text(encoding="utf-8", errors="replace").splitlines()
    if "usage" in found:
        return fail(found["usage"], 2)
    return _told(found, lines, options)


def _waited(command: list[str], printed: Path, timeout: float) -> int | None:
    """The exit code of a command whose output goes to a file; None if it had to be stopped."""
    with interrupts.held() as flag, open(printed, "wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            end = time.monotonic() + timeout
            while time.monotonic() < end:
                with suppress(subprocess.TimeoutExpired):
                    return process.wait(min(0.1, timeout))
                flag.check()
            return None
        finally:
            if process.poll() is None:
                if hasattr(os, "killpg"):
                    os.killpg(process.pid, signal.SIGKILL)  # the file may have started others
                else:
                    process.kill()
                process.wait()


def _told(found: dict[str, Any], lines: list[str], options: argparse.Namespace) -> int:
    """Print what was found about a file; the exit code."""
    reports = found.get("reports", {})
    ok = bool(reports) and all(report["ok"] for report in reports.values())
    if options.json:
        for report in reports.values():
            del report["text"]
        whole = {"ok": ok, "fault": found.get("fault"), "reports": reports, "printed": lines[:20]}
        print(json.dumps(whole, allow_nan=False))
        return 0 if ok else 1
    for kind, report in reports.items():
        print(f"{options.file.name}, {kind}: {report['text']}\n")
    if "fault" in found:
        print(found["fault"])
    if lines:
        more = f" ({len(lines)} lines)" if len(lines) > 1 else ""
        print(f"Note: {options.file.name} printed{more}: {lines[0][:200]}")
    return 0 if ok else 1
