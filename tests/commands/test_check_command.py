"""`minilstm gradcheck` as a person runs it: exit codes, both streams, and files that misbehave."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import bug_zoo as zoo
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "05_check_your_own_backward.py"


def run(*arguments, cwd=None):
    command = [sys.executable, "-m", "minilstm", "gradcheck", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


def check_file(tmp_path, source, *arguments):
    path = tmp_path / "mine.py"
    path.write_text(source, encoding="utf-8")
    done = run("--file", path, "--length", 4, *arguments)
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple_rnn"])
def test_our_own_cells_hold(cell):
    done = run("--cell", cell, "--length", 5)
    assert done.returncode == 0, done.stderr
    assert "Every gradient holds: " in done.stdout
    assert f"{cell}/dh" in done.stdout


@pytest.mark.parametrize("method", ["central", "directional"])
def test_the_other_methods(method):
    done = run("--length", 4, "--method", method, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"] is True


def test_the_example_holds():
    done = run("--file", EXAMPLE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Every gradient holds") == 2


def test_a_mistake_is_named(tmp_path):
    done = check_file(tmp_path, zoo.LSTM.replace("di = dc * g", "di = dc * i"))
    assert done.returncode == 1
    assert done.stdout.count("Likely cause: di uses i where g belongs.") == 2  # step and sequence
    assert done.stderr == ""
    done = check_file(tmp_path, zoo.LSTM.replace("di = dc * g", "di = dc * i"), "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["ok"] is False
    assert found["reports"]["step"]["causes"] == ["di uses i where g belongs"]


def test_cell_and_gates_in_the_file(tmp_path):
    done = check_file(tmp_path, "CELL = 'gru'\n" + zoo.GRU)
    assert done.returncode == 0, done.stdout
    done = check_file(tmp_path, "CELL = 'gru'\nGATES = 'zrx'\n" + zoo.GRU)
    assert done.returncode == 2
    assert "mine.py: gates must be the letters zrg in some order, got 'zrx'" in done.stderr
    assert check_file(tmp_path, zoo.SIMPLE_RNN, "--cell", "simple_rnn").returncode == 0


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        (zoo.LSTM.replace("do = dh * tanh_c", "do = nothing"), 1, "backward raised NameError: name"),
        ("import nothing_of_that_name", 1, "mine.py cannot be run: it raised ModuleNotFoundError"),
        ("def f(:\n", 1, "mine.py cannot be run: it raised SyntaxError"),
        ("raise SystemExit(0)", 1, "it raised SystemExit"),
        ("import os; os._exit(0)", 1, "mine.py ended its process (exit code 0) before anything was found"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 1, "exit code -9"),
        (zoo.LSTM.replace("db = dz.sum(axis=0)", "db = dz"), 1, "return db of shape (12,), got (4, 12)"),
        (zoo.LSTM.replace("    dx = dz", "    dh *= 2; dx = dz"), 1, "backward modifies its input dh"),
        (zoo.LSTM.replace("    dx = dz", "    print('hello'); dx = dz"), 0, "printed (24 lines): hello"),
        ("while True: print('x' * 1000)", 1, "it raised OSError: [Errno 27] File too large"),
        ("x = 1", 2, "mine.py must define step_forward and step_backward, or forward and backward"),
    ],
)  # fmt: skip
def test_files_that_misbehave(tmp_path, source, code, words):
    done = check_file(tmp_path, source)
    assert done.returncode == code, done.stdout + done.stderr
    assert words in " ".join((done.stdout + done.stderr).split())


def test_a_file_that_loops_for_ever_is_stopped_with_what_it_started(tmp_path):
    source = "import subprocess, time\nsubprocess.Popen(['sleep', '77'])\nwhile True: time.sleep(1)\n"
    start = time.monotonic()
    done = check_file(tmp_path, source, "--timeout", 3)
    assert done.returncode == 1
    assert "mine.py did not finish within 3 s (--timeout)." in done.stdout
    assert time.monotonic() - start < 30
    done = check_file(tmp_path, source, "--timeout", 1, "--json")
    assert json.loads(done.stdout)["fault"] == "mine.py did not finish within 1 s (--timeout)."


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--length", "0"], "--length must be a whole number >= 1, got 0"),
        (["--length", "x"], "argument --length: invalid int value"),
        (["--cell", "rnn"], "argument --cell: invalid choice"),
        (["--timeout", "-1"], "--timeout must be a finite number > 0, got -1"),
        (["--file", "missing.py"], "--file missing.py: no such file"),
        (["--file", str(EXAMPLE), "--method", "central"], "--method central is not for --file"),
    ],
)
def test_bad_usage(arguments, words):
    done = run(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
