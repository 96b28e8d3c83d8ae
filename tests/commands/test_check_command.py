"""`minilstm gradcheck` as a person runs it: exit codes, both streams, and files that misbehave."""

# ruff: noqa: E501
from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bug_zoo as zoo
import pytest
import right_zoo

from minilstm.commands.cli import main
from minilstm.gradient_check.student import runner

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
        ("raise SystemExit(0)", 1, "it raised SystemExit"),
        ("import os; os._exit(0)", 1, "mine.py ended its process (exit code 0) before anything was found"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 1, "exit code -9"),
        (zoo.LSTM.replace("db = dz.sum(axis=0)", "db = dz"), 1, "return db of shape (12,), got (4, 12)"),
        (zoo.LSTM.replace("    dx = dz", "    dh *= 2; dx = dz"), 0, "Hygiene: backward modifies its input dh"),
        (zoo.LSTM.replace("    dx = dz", "    print('hello'); dx = dz"), 0, "Hygiene: backward prints while it runs"),
        ("print('hello')\n" + zoo.LSTM, 0, "mine.py printed: hello"),
        ("while True: print('x' * 1000)", 1, "mine.py cannot be run: it prints or writes more than 1 MB"),
        ("def step_forward(:", 1, "mine.py cannot be run: it is not Python: invalid syntax, line 1"),
        ("x = 1\0", 1, "it is not Python"),
        ("import nowhere_at_all", 1, "it needs the package 'nowhere_at_all', which is not installed"),
        ("open('data.csv')", 1, "it reads the file 'data.csv', which is not there"),
        ("name = input('your name? ')", 1, "it asks for input, and there is nobody to give it"),
        ("import numpy; numpy.ones(10**10)", 1, "it needs more memory than it may have (--memory)"),
        ("import os; os.fork()\n" + zoo.LSTM, 0, "Every gradient holds"),
        ("class Cell:\n    def forward(self): 0\n    def backward(self): 0\n", 1, "Cell must be made of its weights"),
        ("x = 1", 2, "mine.py must define a pair of functions like forward and backward"),
        ("def lossFun(x, y, h): pass", 2, "if that returns loss, gradients, add to the file loss_and_gradients = lossFun"),
    ],
)  # fmt: skip
def test_files_that_misbehave(tmp_path, source, code, words):
    done = check_file(tmp_path, source)
    assert done.returncode == code, done.stdout + done.stderr
    assert words in " ".join((done.stdout + done.stderr).split())


def test_adapters(tmp_path):
    done = check_file(tmp_path, right_zoo.LAYER, "--adapter", "layer")
    assert done.returncode == 0, done.stdout
    done = check_file(tmp_path, "ADAPTER = 'columns'\nCELL = 'simple_rnn'\n" + right_zoo.COLUMN_RNN)
    assert done.returncode == 0, done.stdout
    inside = right_zoo.LOSS_INSIDE + "arguments = inputs, targets, hprev\n"
    done = check_file(tmp_path, inside, "--adapter", "loss_inside", "--json")
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["reports"]["sequence"]["ok"] is True
    done = check_file(tmp_path, inside, "--adapter", "rows")
    assert done.returncode == 2
    assert "the adapter must be one of columns, time_major" in done.stderr


ROWS = """import numpy as np


def rnn_forward(x, h0, Wx, Wh, b):
    h, hs = h0, []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ Wx + h @ Wh + b)
        hs.append(h)
    return np.stack(hs, axis=1), (x, h0, Wx, Wh, hs)


def rnn_backward(dhs, cache):
    x, h0, Wx, Wh, hs = cache
    dx, dh, dWx, dWh, db = [], 0, 0, 0, 0
    for t in reversed(range(len(hs))):
        dz = (dhs[:, t] + dh) * (1 - hs[t] ** 2)
        before = hs[t - 1] if t else h0
        dx.insert(0, dz @ Wx.T)
        dh, dWx, dWh, db = dz @ Wh.T, dWx + x[:, t].T @ dz, dWh + before.T @ dz, db + dz.sum(axis=0)
    return np.stack(dx, axis=1), dh, dWx, dWh, db


def affine_forward(x, w):
    return x @ w, (x, w)


def affine_backward(d, cache):
    return d @ cache[1].T, cache[0].T @ d
"""
COLUMN = """import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def lstm_cell_forward(x, h_prev, c_prev, Wf, bf, Wi, bi, Wc, bc, Wo, bo):
    z = np.vstack((h_prev, x))
    f, i, g, o = sigmoid(Wf @ z + bf), sigmoid(Wi @ z + bi), np.tanh(Wc @ z + bc), sigmoid(Wo @ z + bo)
    c = f * c_prev + i * g
    return o * np.tanh(c), c, dict(z=z, f=f, i=i, g=g, o=o, c=c, c_prev=c_prev, W=(Wf, Wi, Wc, Wo))


def lstm_cell_backward(dh, dc, k):
    t = np.tanh(k["c"])
    dc = dc + dh * k["o"] * (1 - t**2)
    d = [dc * k["c_prev"] * k["f"] * (1 - k["f"]), dc * k["g"] * k["i"] * (1 - k["i"])]
    d += [dc * k["i"] * (1 - k["g"] ** 2), dh * t * k["o"] * (1 - k["o"])]
    dz, H = sum(W.T @ one for W, one in zip(k["W"], d)), len(dh)
    return dz[H:], dz[:H], dc * k["f"], *[part for one in d for part in (one @ k["z"].T, one)]
"""
EACH = """import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def gru_forward(x, h, p):
    z = sigmoid(x @ p["W_xz"] + h @ p["W_hz"] + p["b_z"])
    r = sigmoid(x @ p["W_xr"] + h @ p["W_hr"] + p["b_r"])
    n = np.tanh(x @ p["W_xh"] + (r * h) @ p["W_hh"] + p["b_h"])
    return z * h + (1 - z) * n, (x, h, z, r, n, p)


def gru_backward(dh, cache):
    x, h, z, r, n, p = cache
    dz, dn = dh * (h - n) * z * (1 - z), dh * (1 - z) * (1 - n**2)
    drh = dn @ p["W_hh"].T
    dr = drh * h * r * (1 - r)
    grads = {"dx": 0, "dh_prev": dh * z + drh * r}
    for gate, d, state in (("z", dz, h), ("r", dr, h), ("h", dn, r * h)):
        grads["dx"] = grads["dx"] + d @ p["W_x" + gate].T
        if gate != "h":
            grads["dh_prev"] = grads["dh_prev"] + d @ p["W_h" + gate].T
        grads |= {"dW_x" + gate: x.T @ d, "dW_h" + gate: state.T @ d, "db_" + gate: d.sum(axis=0)}
    return grads
"""


OBJECT = """import numpy as np


class RNN:
    def __init__(self, input_size, hidden_size):
        rng = np.random.default_rng(0)
        self.params = {"Wx": rng.normal(size=(input_size, hidden_size)), "b": np.zeros(hidden_size)}
        self.params["Wh"] = rng.normal(size=(hidden_size, hidden_size))

    def forward(self, x, h):
        p = self.params
        self.kept = x, h, np.tanh(x @ p["Wx"] + h @ p["Wh"] + p["b"])
        return self.kept[-1]

    def backward(self, dh):
        x, before, h = self.kept
        dz = dh * (1 - h ** 2)
        self.grads = {"Wx": x.T @ dz, "Wh": before.T @ dz, "b": dz.sum(axis=0)}
        return dz @ self.params["Wx"].T, dz @ self.params["Wh"].T
"""


@pytest.mark.parametrize(
    ("text", "kinds", "adapter", "right", "wrong", "cause"),
    [
        (ROWS, ["rnn_forward"], None, "1 - hs[t] ** 2", "1 - hs[t]", "1 - h instead of 1 - h^2"),
        (
            ROWS.replace("rnn_", "lstm_cell_") + ROWS.split("def affine")[0].replace("rnn_", "RNN_"),
            ["RNN_forward"], None, "dh = 0", "dh = 0", "",
        ),
        (COLUMN, ["lstm_cell_forward"], "separate,column", 'dc * k["f"], *', "dc, *", "forget"),
        (EACH, ["gru_forward"], "gates", "(h - n)", "(n - h)", "wrong sign"),
        (OBJECT, ["layer"], None, "1 - h ** 2", "1 - h", "1 - h instead of 1 - h^2"),
    ],
)  # fmt: skip
def test_pairs_by_any_name_are_checked_with_the_adapter_that_they_need(
    tmp_path, text, kinds, adapter, right, wrong, cause
):
    options = {"cell": "simple_rnn" if "RNN_" in text else None, "length": 6, "seed": 0, "adapter": None}
    for broken in (False, True) if cause else (False,):
        (tmp_path / "mine.py").write_text(text.replace(right, wrong) if broken else text)
        reports = runner.run(str(tmp_path / "mine.py"), options)["reports"]
        assert list(reports) == kinds
        for report in reports.values():
            assert (report["fault"], report["ok"]) == (None, not broken)
            assert adapter is None or report["notes"][0].startswith(f"checked with --adapter {adapter}, as ")
            assert not broken or cause in report["causes"][0]


def test_an_adapter_that_is_said_is_not_bent_to_what_the_code_does(tmp_path):
    """Columns without a sum over the samples are right for one sample: unasked this is a note."""
    options = {"cell": None, "length": 6, "seed": 0, "adapter": None}
    (tmp_path / "mine.py").write_text(COLUMN)
    ((_, report),) = runner.run(str(tmp_path / "mine.py"), options)["reports"].items()
    assert report["notes"][0].endswith("one sample, as a column (D, 1), and sums over no others")
    options["adapter"] = "separate,columns"
    ((_, report),) = runner.run(str(tmp_path / "mine.py"), options)["reports"].items()
    assert not report["ok"]
    assert "return db of shape (12,), got (48,)" in report["fault"]


def test_a_folder_of_submissions(tmp_path):
    sources = {
        "ann": zoo.LSTM,
        "bob": zoo.LSTM.replace("di = dc * g", "di = dc * i"),
        "cleo": "import time; time.sleep(60)",
        "dan": None,
    }
    for name, source in sources.items():
        (tmp_path / name).mkdir()
        if source is not None:
            (tmp_path / name / "mine.py").write_text(source)
    given = ["--folder", tmp_path, "--file", "mine.py", "--length", 4, "--timeout", 40, "--jobs", 2]
    done = run(*given, "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)["submissions"]
    assert {name: row["ok"] for name, row in found.items()} == {
        "ann": True, "bob": False, "cleo": False, "dan": False,
    }  # fmt: skip
    assert found["bob"]["cause"] == "di uses i where g belongs"
    assert found["cleo"]["cause"] == "mine.py did not finish within 40 s (--timeout)."
    assert found["dan"]["cause"] == "mine.py is not there."
    assert all(row["seconds"] >= 0 for row in found.values())
    (tmp_path / "cleo" / "mine.py").write_text(zoo.LSTM)
    (tmp_path / "bob" / "mine.py").write_text(zoo.LSTM)
    (tmp_path / "dan").rmdir()
    done = run(*given)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["submission", "seconds", "cause"]
    assert lines[1].split()[:2] == ["ann", "ok"]
    assert lines[-1] == "3 of 3 are right."


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
        (["--length", "x"], "argument --length: must be a whole number, got 'x'"),
        (["--cell", "rnn"], "argument --cell: invalid choice"),
        (["--timeout", "-1"], "--timeout must be a finite number > 0, got -1"),
        (["--jobs", "0"], "--jobs must be a whole number >= 1, got 0"),
        (["--memory", "0"], "--memory must be a finite number > 0, got 0"),
        (["--folder", "missing"], "--folder missing: no such folder"),
        (["--file", "missing.py"], "--file missing.py: no such file"),
        (["--file", "."], "--file .: a folder; --folder checks all files in it"),
        (["--file", os.devnull], f"--file {os.devnull}: a pipe or a device; save its text in a file"),
        (["--file=--"], "--file must be a value, got '--'"),
        (["--length=--"], "--length must be a value, got '--'"),
        (["--file", str(EXAMPLE), "--method", "central"], "--method central is not for --file"),
    ],
)
def test_bad_usage(arguments, words):
    done = run(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_a_folder_for_temporary_files_that_cannot_be_used_is_no_fault_of_the_file(
    tmp_path, monkeypatch, capsys
):
    path = tmp_path / "mine.py"
    path.write_text("import pathlib, shutil, sys\nshutil.rmtree(pathlib.Path(sys.argv[2]).parent)\n")
    assert main(["gradcheck", "--file", str(path)]) == 2  # as on a full disk: what was found goes nowhere
    ((out, error),) = (capsys.readouterr(),)
    assert out == ""
    assert error.endswith(" is full or cannot be written; TMPDIR names another folder\n")
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(os, "open", refused)
    for asked in ("--file", path), ("--folder", tmp_path):
        assert main(["gradcheck", *map(str, asked)]) == 2
        error = capsys.readouterr().err
        assert error.startswith("minilstm: error: No usable temporary directory found in [")
        assert error.count("\n") == 1


def refused(*_, **__):
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize("cell", ["", 'CELL = "simple_rnn"\n'])
def test_a_step_is_told_from_a_sequence_by_what_it_accepts_and_returns(tmp_path, cell):
    """The step that docs/how-to/check.md prints, saved as a file."""
    text = (Path(__file__).parents[2] / "docs" / "how-to" / "check.md").read_text(encoding="utf-8")
    (tmp_path / "step.py").write_text(cell + text.split("```python\n")[1].split("```")[0])
    options = {"cell": None, "length": 6, "seed": 0, "adapter": None}
    with contextlib.redirect_stdout(io.StringIO()):  # it prints
        found = runner.run(str(tmp_path / "step.py"), options)
    ((kind, report),) = found["reports"].items()
    assert (kind, report["ok"]) == ("step", True)
    (tmp_path / "none.py").write_text(
        "def forward(x):\n    raise ValueError('no')\n\n\ndef backward(d, c):\n    return d\n"
    )
    ((kind, report),) = runner.run(str(tmp_path / "none.py"), options)["reports"].items()
    assert kind == "sequence"  # nothing runs: what was tried first is told
    assert report["fault"]


STEP = """import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def forward(TAKES):
    OPEN
    i, f, g, o = np.split(x @ W + h @ U + b, 4, axis=1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    c1 = f * c + i * g
    h1 = o * np.tanh(c1)
    cache = [x, h, c, W, U, i, f, g, o, np.tanh(c1)]
    return GIVES


def backward(DTAKES):
    DOPEN
    x, h, c, W, U, i, f, g, o, t = cache
    dc = dc + dh * o * (1 - t * t)
    dz = [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g), dh * t * o * (1 - o)]
    dz = np.concatenate(dz, axis=1)
    return DGIVES
"""
PLAIN = {"TAKES": "x, h, c, W, U, b", "OPEN": "pass", "DTAKES": "dh, dc, cache", "DOPEN": "pass"}
PLAIN["DGIVES"] = "dz @ W.T, dz @ U.T, dc * f, x.T @ dz, h.T @ dz, dz.sum(axis=0)"
PAIRED = {"DTAKES": "dstate, cache", "DOPEN": "dh, dc = dstate"}
NESTED = PAIRED | {"TAKES": "x, state, params", "OPEN": "(h, c), (W, U, b) = state, params"}


@pytest.mark.parametrize(
    ("parts", "adapter"),
    [
        ({"GIVES": "(h1, c1), cache"}, None),
        ({"GIVES": "(h1, c1), cache"} | PAIRED, None),
        ({"GIVES": "[h1, c1], cache"}, None),
        ({"GIVES": "h1, (h1, c1), cache"}, None),
        ({"GIVES": "cache, (h1, c1)", "DTAKES": "cache, dh, dc"}, None),
        ({"GIVES": "(h1, c1), cache"} | NESTED, "listed,states"),
        (
            {"GIVES": "(h1, c1), cache"}
            | NESTED
            | {"OPEN": "(h, c), (W, U, b) = state, (params[k] for k in 'WUb')"},
            "dictionary,states",
        ),
    ],
)
def test_a_step_may_nest_what_it_takes_and_returns(tmp_path, parts, adapter):
    text = STEP
    for name, words in sorted((PLAIN | parts).items()):
        text = re.sub(rf"\b{name}\b", words, text)
    options = {"cell": None, "length": 6, "seed": 0, "adapter": None}
    for wrong in (False, True):
        (tmp_path / "step.py").write_text(text.replace(" * (1 - t * t)", "") if wrong else text)
        if adapter is not None:
            ((_, report),) = runner.run(str(tmp_path / "step.py"), options)["reports"].items()
            assert report["notes"][0].startswith(
                f"checked with --adapter {adapter}, as the weights seem to be"
            )
            assert (report["fault"], report["ok"]) == (None, not wrong)
        ((kind, report),) = runner.run(str(tmp_path / "step.py"), options | {"adapter": adapter})[
            "reports"
        ].items()
        assert (kind, report["fault"], report["ok"]) == ("step", None, not wrong)
        assert report["causes"] == ["missing 1 - tanh(c)^2 in the path from h to c"] * wrong


@pytest.mark.parametrize(
    ("takes", "told"),
    [
        (
            "D, p",
            "LSTM makes its own weights, and their names do not tell those of the gates i f g o: it has no arrays.",
        ),
        (
            "D, H, rate, p",
            "LSTM must be made of its weights, as LSTM(W, U, b), or of sizes, as LSTM(input_size, hidden_size), "
            "but it takes (D, H, rate, p).",
        ),
    ],
)
def test_a_class_that_makes_its_own_weights_is_refused_in_words(tmp_path, takes, told):
    text = f"class LSTM:\n    def __init__(self, {takes}): pass\n    def forward(self, x): return self.W\n    backward = forward\n"
    (tmp_path / "made.py").write_text(text)
    options = {"cell": "lstm", "length": 6, "seed": 0, "adapter": "layer"}
    ((_, report),) = runner.run(str(tmp_path / "made.py"), options)["reports"].items()
    assert report["fault"].startswith(
        f"{told} To check it with its loss, add to the file: parameters = model = LSTM(...);"
    )
