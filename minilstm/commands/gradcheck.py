"""`minilstm gradcheck`: check this package's gradients, or those of a file that somebody wrote.

Every file is run in a process of its own, in its own folder, with limits on time, memory and output.
Exit codes: 0 every gradient holds, 1 one does not (or the file failed), 2 the request cannot be meant.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import minilstm
from minilstm.compiled import threads
from minilstm.foundations import interrupts
from minilstm.foundations.errors import check_room, fail, in_words, real_number, whole_number
from minilstm.foundations.tables import in_columns
from minilstm.gradient_check import gradcheck
from minilstm.gradient_check.student.runner import UNWRITABLE
from minilstm.layers import RECURRENT, Dense
from minilstm.model import Sequential

FILE_WIDTH = 10_000  # of a table that is not printed to a terminal: a submission a line


def run(options: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    try:
        whole_number("--length", options.length)
        whole_number("--seed", options.seed, 0)
        whole_number("--jobs", options.jobs)
        real_number("--timeout", options.timeout, above=True)
        real_number("--memory", options.memory, above=True)
    except ValueError as error:
        return fail(str(error), 2)
    if options.file is None and options.folder is None:
        return _own(options)
    if options.method != "complex":
        return fail(f"--method {options.method} is not for --file, which takes the complex step", 2)
    try:
        if options.folder is not None:
            return _folder(options)
        if not options.file.is_file():
            return fail(f"--file {options.file}: {_no_file(options.file)}", 2)
        found = _checked(options.file, options)
    except OSError as error:  # no fault of the file
        return fail(in_words(error), 2)
    if "usage" in found:
        return fail(found["usage"], 2)
    return _told(found, options)


def _no_file(path: Path) -> str:
    """What is wrong with something that is no regular file."""
    if path.is_dir():
        return "a folder; --folder checks all files in it"
    return "a pipe or a device; save its text in a file" if path.exists() else "no such file"


def _own(options: argparse.Namespace) -> int:
    """This package's own gradients on a small random network."""
    B, T, D, H = 2, options.length, 3, 8
    rng = np.random.default_rng(options.seed)
    layer = RECURRENT[options.cell or "lstm"](H, input_shape=(T, D), name=options.cell or "lstm")
    model = Sequential([layer, Dense(1, name="dense")], dtype="float64", seed=options.seed)
    model.compile(loss="mse")
    check_room(f"a check of --length {T}", 8 * B * T * D + sum(model.memory(B, T).values()))
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


def _folder(options: argparse.Namespace) -> int:
    """A folder of submissions: FILE in each of its folders, or each .py file in it; in processes."""
    folder = options.folder
    if not folder.is_dir():
        return fail(f"--folder {folder}: no such folder", 2)
    if options.file is None:
        files = {path.stem: path for path in sorted(folder.glob("*.py"))}
    else:
        files = {path.name: path / options.file for path in sorted(folder.iterdir()) if path.is_dir()}
    if not files:
        what = "no .py file in it" if options.file is None else "no folder in it"
        return fail(f"--folder {folder}: {what}", 2)
    with interrupts.held(), ThreadPoolExecutor(options.jobs) as pool:
        rows = list(pool.map(lambda path: _row(path, options), files.values()))
    submissions = dict(zip(files, rows, strict=True))
    ok = all(row["ok"] for row in rows)
    if options.json:
        print(json.dumps({"ok": ok, "submissions": submissions}, allow_nan=False))
        return 0 if ok else 1
    table = [("submission", "", "seconds", "cause")]
    for name, row in submissions.items():
        table.append((name, "ok" if row["ok"] else "NOT", f"{row['seconds']:.1f}", row["cause"] or ""))
    width = shutil.get_terminal_size((FILE_WIDTH, 24)).columns
    print("\n".join(in_columns(table, left=4, width=width)))
    print(f"{sum(row['ok'] for row in rows)} of {len(rows)} are right.")
    return 0 if ok else 1


def _row(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What was found about one submission, for the table and the JSON."""
    start = time.monotonic()
    found: dict[str, Any] = {"fault": f"{path.name} is not there."}
    if path.is_file():
        found = _checked(path, options)
    reports = list(found.get("reports", {}).values())
    fault = found.get("fault") or found.get("usage")
    causes = [cause for report in reports if not report["ok"] for cause in report["causes"]]
    faults = [report["fault"] for report in reports if report["fault"]]
    wrong = [t["tensor"] for report in reports for t in report["tensors"] if not t["ok"]]
    unnamed = [f"wrong: {', '.join(dict.fromkeys(wrong))}"] if wrong else []
    return {
        "ok": bool(reports) and all(report["ok"] for report in reports),
        "cause": next(iter([*([fault] if fault else []), *causes, *faults, *unnamed]), None),
        "causes": list(dict.fromkeys(causes)),
        "notes": list(dict.fromkeys(note for report in reports for note in report["notes"])),
        "hygiene": list(dict.fromkeys(one for report in reports for one in report["hygiene"])),
        "seconds": round(time.monotonic() - start, 2),
    }


def _checked(file: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The functions of a file, in a process of their own that cannot hurt this one.

    An OSError is about the folder for temporary files: there is none, or it is full.
    """
    given = {name: getattr(options, name) for name in ("cell", "length", "seed", "adapter", "memory")}
    with tempfile.TemporaryDirectory() as folder:
        result, printed = Path(folder, "result.json"), Path(folder, "printed.txt")
        command = [sys.executable, "-m", "minilstm.gradient_check.student.runner"]
        command += [str(file.resolve()), str(result), json.dumps(given)]
        found: dict[str, Any]
        code = _waited(command, printed, options.timeout, file.resolve().parent)
        if code == UNWRITABLE and not result.exists():
            raise OSError(f"{folder} is full or cannot be written; TMPDIR names another folder")
        if code is None:
            found = {"fault": f"{file.name} did not finish within {options.timeout:g} s (--timeout)."}
        elif not result.exists():
            ended = f"{file.name} ended its process (exit code {code}) before anything was found."
            found = {"fault": ended}
        else:
            found = json.loads(result.read_text(encoding="utf-8"))
        found["printed"] = printed.read_text(encoding="utf-8", errors="replace").splitlines()
    return found


def _waited(command: list[str], printed: Path, timeout: float, folder: Path) -> int | None:
    """The exit code of a command whose output goes to a file; None if it had to be stopped."""
    place = str(Path(minilstm.__file__).parents[1])
    paths = os.pathsep.join(path for path in (place, os.environ.get("PYTHONPATH")) if path)
    with interrupts.held() as flag, open(printed, "wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=folder,
            env={**os.environ, **threads.ONE_BLAS_THREAD, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1"},
        )
        try:
            end = time.monotonic() + timeout
            while time.monotonic() < end:
                with suppress(subprocess.TimeoutExpired):
                    return process.wait(min(0.1, timeout))
                flag.check()
            return None
        finally:
            if hasattr(os, "killpg"):
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # the file may have started others
            elif process.poll() is None:
                process.kill()
            process.wait()


def _told(found: dict[str, Any], options: argparse.Namespace) -> int:
    """Print what was found about a file; the exit code."""
    reports, lines = found.get("reports", {}), found["printed"]
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
