"""The package as a whole: what importing it costs, the names it gives out, its one version."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import inspect
import json
import os
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minilstm

ROOT = Path(__file__).resolve().parent.parent


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-P", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_import_is_quick_and_loads_nothing_heavy():
    """Best of five new processes, as other work on the machine only ever adds."""
    code = """
import sys, time, json
start = time.perf_counter()
import minilstm
print(json.dumps([time.perf_counter() - start, sorted(sys.modules)]))
"""
    seconds = []
    for _ in range(5):
        done = run_python("-c", code)
        assert done.returncode == 0, done.stderr
        took, modules = json.loads(done.stdout)
        seconds.append(took)
        heavy = {"numba", "llvmlite", "scipy", "matplotlib", "rich", "jinja2", "torch", "keras"}
        assert not heavy & {name.split(".")[0] for name in modules}
    assert min(seconds) < 0.3


def test_layers_and_models_of_numpy_need_no_numba_either():
    code = """
import sys
import numpy as np
import minilstm as ml
model = ml.Sequential([ml.LSTM(2, input_shape=(3, 1), backend="numpy"), ml.Dense(1)])
model.compile(optimizer="adam", loss="mse")
model.fit(np.ones((2, 3, 1)), [0, 1], verbose=0)
assert not {"numba", "scipy", "matplotlib"} & set(sys.modules), set(sys.modules)
"""
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr


def test_the_core_needs_no_scipy():
    code = """
import sys
sys.modules["scipy"] = sys.modules["threadpoolctl"] = None  # an import of them fails
import numpy as np
import minilstm as ml
model = ml.Sequential([ml.Embedding(9, 3), ml.LSTM(4), ml.Dense(2, activation="softmax")])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
x, y = np.arange(40).reshape(8, 5) % 9, np.arange(8) % 2
history = model.fit(x, y, epochs=2, verbose=0)
assert len(history.history["loss"]) == 2
assert np.isfinite(model.trace(x, y)["lstm"].norm("dh")).all()
small = ml.Sequential([ml.LSTM(2, input_shape=(3, 1), backend="numpy"), ml.Dense(1)], dtype="float64")
small.compile(loss="mse")
assert ml.gradcheck(small, np.ones((2, 3, 1)), np.ones(2)).ok
assert ml.length_study("recall", lengths=[2, 3], seeds=2, epochs=1, units=2).rows
assert all(sys.modules[name] is None for name in ("scipy", "threadpoolctl"))
"""
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr


def test_help_needs_no_scikit_learn():
    code = """
import pydoc, sys
sys.modules["sklearn"] = None  # an import of it fails
import minilstm as ml
assert "LSTMClassifier" not in dir(ml)
assert pydoc.render_doc(ml)
ml.LSTMClassifier
"""
    done = run_python("-c", code)
    wanted = "ModuleNotFoundError: LSTMClassifier needs scikit-learn: pip install 'minilstm[sklearn]'"
    assert done.stderr.endswith(f"{wanted}\n"), done.stderr


@pytest.mark.parametrize(("module", "lines"), [(minilstm, 100), (minilstm.keras, 40)])
def test_help_of_the_package_is_one_page(module, lines):
    """`help` prints whole each class that stands in `__all__`: only modules do, as in scikit-learn."""
    page = pydoc.plain(pydoc.render_doc(module))
    assert len(page.splitlines()) <= lines
    assert "Method resolution order" not in page
    assert all(inspect.ismodule(getattr(module, name)) for name in module.__all__)
    assert not set(dir(module)) - {"__version__"} - set(re.findall(r"\w+", page))


def test_help_of_the_package_fits_a_terminal():
    page = pydoc.plain(pydoc.render_doc(minilstm)).partition("\nFILE\n")[0]
    assert max(map(len, page.splitlines())) <= 80


def test_every_public_name_is_there():
    assert sorted(dir(minilstm)) == dir(minilstm)
    assert {*minilstm.__all__, "LSTM"} < {*dir(minilstm)}
    for name in dir(minilstm):
        if name == "plots" and importlib.util.find_spec("minilstm.plots") is None:
            continue
        assert getattr(minilstm, name) is not None, name
    with pytest.raises(AttributeError, match="module 'minilstm' has no attribute 'GRU_'"):
        _ = minilstm.GRU_


def test_every_public_name_has_a_docstring():
    for name in set(dir(minilstm)) - {"__version__", "plots"}:
        assert (getattr(minilstm, name).__doc__ or "").strip(), name


def test_the_type_checker_sees_the_names_that_are_given_out():
    """The names under TYPE_CHECKING are those of the lazy table."""
    text = (ROOT / "minilstm" / "__init__.py").read_text(encoding="utf-8")
    seen = set(re.findall(r"^    from [\w.]+ import (\w+) as \1$", text, re.MULTILINE))
    assert seen == set(dir(minilstm)) - {"__version__"}


def test_keras_s_names_are_the_same_objects():
    assert minilstm.keras.Sequential is minilstm.Sequential
    for name in set(dir(minilstm.keras)) - set(minilstm.keras._MODULES):
        assert getattr(minilstm.keras, name) is getattr(minilstm, name, getattr(minilstm.keras, name))


def test_the_version_stands_in_one_place():
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", minilstm.__version__)
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    try:
        installed = importlib.metadata.version("minilstm")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("minilstm is not installed")
    assert installed == minilstm.__version__


@pytest.mark.skipif(
    importlib.util.find_spec("minilstm.commands") is None, reason="there is no command line yet"
)
def test_python_m_minilstm():
    done = run_python("-m", "minilstm", "--version")
    assert done.returncode == 0, done.stderr
    assert minilstm.__version__ in done.stdout


def test_types_are_declared():
    assert (ROOT / "minilstm" / "py.typed").exists()


@pytest.mark.slow
def test_a_user_s_type_checker_knows_the_names(tmp_path):
    """Under --strict; a name that is not there is an error, and the only one."""
    script = tmp_path / "script.py"
    script.write_text(
        """
import numpy as np
import minilstm as ml
from minilstm import LSTM

model = ml.Sequential([LSTM(8, input_shape=(None, 2)), ml.Dense(1, activation="sigmoid")], seed=0)
model.compile(optimizer=ml.Adam(1e-3), loss="binary_crossentropy", metrics=["accuracy"])
x, y = np.ones((6, 5, 2)), np.array([0, 1, 0, 1, 0, 1])
history: ml.History = model.fit(x, y, callbacks=[ml.EarlyStopping(patience=2)])
losses: list[float] = history.history["loss"]
trace: ml.Trace = model.trace(x, y)
norms = trace["lstm"].norm("dh") + model.predict(x).sum()
ml.plots.gradient_flow(trace["lstm"]).figure
ml.LTSM(3)
""",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(script)],
        env=os.environ | {"MYPYPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(script.name)]
    errors = [line for line in lines if ": error: " in line]
    assert [line.partition(" error: ")[2] for line in errors] == [
        'Module has no attribute "LTSM"  [attr-defined]'
    ], done.stdout + done.stderr
