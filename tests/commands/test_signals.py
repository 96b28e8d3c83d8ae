"""Ctrl-C and SIGTERM at any moment of a study: it ends, without a traceback, an orphan or a lost model.

A moment is an event in the life of the run (its handlers are there, a worker is there, a model is finished)
and a delay after it that is drawn from the seed. How fast the machine is changes which line of code is hit
and nothing that is asserted.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minilstm import length_study

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="reads /proc")

PATIENCE = 120  # seconds after which a run hangs; unloaded it ends within one
MODELS = 8
STUDY = ["study", "recall", "--lengths", "2,60", "--seeds", f"{MODELS // 2}", "--epochs", "1", "--units", "8"]
SENT = [
    (signal.SIGINT, True, 1),
    (signal.SIGTERM, False, 1),
    (signal.SIGINT, True, 2),
    (signal.SIGTERM, True, 2),
]


def catches_sigterm(pid):
    """Whether the process has its handlers; before that the interpreter is starting."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = int(status.split("SigCgt:")[1].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def session_of(pid):
    """Processes, not zombies, of the session that `pid` leads, without itself."""
    found = []
    for entry in filter(str.isdecimal, os.listdir("/proc")):
        try:
            fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == pid and int(entry) != pid and fields[0] != "Z":
            found.append(int(entry))
    return found


def workers_of(pid):
    found = []
    for child in session_of(pid):
        try:
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
        except OSError:
            continue
    return found


def lines(journal):
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def until(condition, process, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while not condition() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)


def start(folder, arguments, cache=None, **options):
    environment = dict(os.environ) | ({} if cache is None else {"NUMBA_CACHE_DIR": os.fspath(cache)})
    return subprocess.Popen(
        [sys.executable, "-m", "minilstm", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def send(process, number, group, times):
    for _ in range(times):
        try:
            (os.killpg if group else os.kill)(process.pid, number)
        except ProcessLookupError:
            return
        time.sleep(0.0005)


def ended(process):
    """Output and errors of a process that has to end by itself, with all that it started."""
    try:
        output, errors = process.communicate(timeout=PATIENCE)
        until(lambda: not session_of(process.pid), process=NEVER, seconds=10)
        assert not session_of(process.pid), "orphans"
    finally:
        for left in [process.pid, *session_of(process.pid)]:
            try:
                os.kill(left, signal.SIGKILL)
            except ProcessLookupError:
                continue
    return output, errors


class NEVER:
    """A process that does not end."""

    @staticmethod
    def poll():
        return None


def moments(journal, pid):
    """Name -> (the event, the largest delay after it in seconds)."""
    return {
        "start": (lambda: catches_sigterm(pid), 1.5),
        "worker": (lambda: workers_of(pid), 1.0),
        "kernels": (lambda: workers_of(pid), 6.0),  # with an empty cache: they are compiled
        "pool": (lambda: len(workers_of(pid)) >= 2, 0.5),
        "models": (lambda: lines(journal) >= 1, 0.5),
        "some": (lambda: lines(journal) >= MODELS // 2, 0.2),
        "report": (lambda: lines(journal) >= MODELS, 2.0),
    }


def stopped(seed, folder):
    """One run that gets a signal; what was found wrong with it, or None."""
    draw = random.Random(seed)
    journal = folder / "s" / "results.jsonl"
    names = list(moments(journal, 0))
    name, (number, group, times) = names[seed % len(names)], SENT[seed // len(names) % len(SENT)]
    process = start(
        folder, [*STUDY, "--jobs", "2", "--out", "s"], folder / "cache" if name == "kernels" else None
    )
    event, delay = moments(journal, process.pid)[name]
    until(event, process)
    time.sleep(draw.uniform(0, delay))
    send(process, number, group, times)
    sent = time.monotonic()
    output, errors = ended(process)
    seconds = time.monotonic() - sent
    case = f"seed {seed}, {name}, {number.name}, code {process.returncode}, {seconds:.1f} s: {errors}"
    assert process.returncode in (0, 128 + number), case
    assert "Traceback" not in errors, case
    assert "Exception ignored" not in errors, case
    whole = journal.read_bytes().splitlines() if journal.exists() else []
    records = [json.loads(line) for line in whole]
    assert len(records) >= errors.count(": test accuracy"), case
    if process.returncode:
        assert records == [] or "models are kept" in errors or len(records) == MODELS, case
    del output
    return seconds


@pytest.mark.slow
def test_a_study_ends_at_any_signal(tmp_path, record_property):
    run_all(range(20), tmp_path, record_property)


@pytest.mark.long
def test_a_study_ends_at_200_signals(tmp_path, record_property):
    run_all(range(20, 220), tmp_path, record_property)


def run_all(seeds, tmp_path, record_property):
    found = []
    for seed in seeds:
        folder = tmp_path / f"{seed}"
        folder.mkdir()
        found.append(stopped(seed, folder))
    record_property("count", f"{len(found)} signals, {max(found):.1f} s at most until the end")


def test_sigint_that_is_ignored_stays_ignored_and_sigterm_ends(tmp_path):
    journal = tmp_path / "s" / "results.jsonl"
    ignore = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)  # noqa: E731  as a shell's `&` does
    process = start(tmp_path, [*STUDY, "--jobs", "2", "--out", "s"], preexec_fn=ignore)
    until(lambda: lines(journal) >= 1, process)
    send(process, signal.SIGINT, True, 2)
    before = lines(journal)
    until(lambda: lines(journal) > before, process)
    assert lines(journal) > before
    send(process, signal.SIGTERM, False, 1)
    _, errors = ended(process)
    assert process.returncode in (143, 0), errors
    assert "Traceback" not in errors


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A finished study."""
    folder = tmp_path_factory.mktemp("signals") / "study"
    length_study("recall", lengths=[3], seeds=1, epochs=1, units=2, verbose=0, out=folder)
    return str(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "number", "delay"),
    [
        ("gradcheck --length 2000", signal.SIGINT, 0.3),
        ("trace --length 20000", signal.SIGTERM, 0.3),
        ("report STUDY", signal.SIGTERM, 0.1),
        ("compare STUDY STUDY --out both.html", signal.SIGINT, 0.1),
        ("reproduce copy-plateau --jobs 1", signal.SIGTERM, 0.1),
    ],
)
def test_other_commands_end_too(tmp_path, study, command, number, delay):
    process = start(tmp_path, command.replace("STUDY", study).split())
    until(lambda: catches_sigterm(process.pid), process)
    time.sleep(delay)
    send(process, number, True, 2)
    _, errors = ended(process)
    assert process.returncode == 128 + number, errors
    assert errors == "minilstm: error: interrupted\n"


@pytest.mark.slow
def test_reproduce_ends_in_the_middle_of_a_trial(tmp_path):
    process = start(tmp_path, ["reproduce", "half-lives", "copy-plateau", "--jobs", "1", "--out", "r"])
    journal = tmp_path / "r" / "results.jsonl"
    until(lambda: lines(journal) == 1 and workers_of(process.pid), process)
    send(process, signal.SIGINT, True, 2)
    output, errors = ended(process)
    assert process.returncode == 130, errors
    assert errors.endswith("error: stopped; finished trials are kept, the same command goes on\n")
    assert "Traceback" not in errors
    assert "half-lives" in output
    assert "copy-plateau" not in output
    assert [one["name"] for one in json.loads((tmp_path / "r" / "results.json").read_text())] == [
        "half-lives"
    ]
