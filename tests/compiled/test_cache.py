"""Compiled code and its cache on disk: found again, damaged, nowhere to keep it, made from other sources."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from interpreted import INTERPRETED

from minilstm.compiled import entry_points

ROOT = Path(__file__).resolve().parents[2]

RUN = """
import warnings
import numpy as np
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from minilstm.bptt.cell import Weights
    from minilstm.bptt.lstm import LSTMCell
    from minilstm.compiled import chunks, engines
    rng = np.random.default_rng(0)
    D, H = 3, 4
    shapes = (D, 4 * H), (H, 4 * H), (4 * H,)
    weights = Weights(*(rng.normal(size=shape).astype("float32") * 0.5 for shape in shapes))
    x = rng.normal(size=(5, 20, D)).astype("float32")
    found = {}
    for backend in ("numba", "numpy"):
        tape = chunks.forward(LSTMCell(), weights, x, engine=engines.engine_of(backend))
        found[backend] = chunks.backward(weights, tape, np.ones((5, 20, H), "float32"))
for ours, theirs in zip(*([*found[b].dweights[:3], found[b].dx] for b in ("numba", "numpy"))):
    assert abs(ours - theirs).max() <= 1e-5 * abs(theirs).max()
for warning in caught:
    print(f"{warning.category.__name__}: {warning.message}")
"""


def run_python(code: str, **environment: str) -> list[str]:
    """Lines that a new Python process prints; it must succeed."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=inherited | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def warm_cache(tmp_path_factory) -> Path:
    """A cache folder that RUN has filled."""
    folder = tmp_path_factory.mktemp("numba-cache")
    assert run_python(RUN, NUMBA_CACHE_DIR=str(folder)) == []
    assert list(folder.rglob("*.nbi"))
    assert list(folder.rglob("*.nbc"))
    return folder


slow_and_compiled = [
    pytest.mark.slow,
    pytest.mark.skipif(INTERPRETED, reason="there is no cache without the compiler"),
]


class TestCache:
    pytestmark = slow_and_compiled

    def test_second_process_reads_the_cache(self, warm_cache):
        before = {path: path.stat().st_mtime_ns for path in warm_cache.rglob("*.nb?")}
        assert run_python(RUN, NUMBA_CACHE_DIR=str(warm_cache)) == []
        assert {path: path.stat().st_mtime_ns for path in warm_cache.rglob("*.nb?")} == before

    def test_what_is_read_loads_nothing_of_the_compiler_and_what_is_compiled_after_it_all(self, warm_cache):
        """What Numba knows of numpy.linalg stands for all that it loads before it compiles, half a second."""
        again = RUN.replace("float32", "float64")
        code = f"""
import sys
def loaded():
    return "numba.np.linalg" in sys.modules
{RUN}
assert not loaded()
{again}
assert loaded()
import numba
assert numba.njit(lambda a: np.linalg.inv(a).sum())(np.eye(3)) == 3
"""
        folder = warm_cache.parent / "both"
        shutil.copytree(warm_cache, folder)
        run_python(code, NUMBA_CACHE_DIR=str(folder))
        run_python(code.replace("assert loaded()", "assert not loaded()"), NUMBA_CACHE_DIR=str(folder))

    @pytest.mark.parametrize("suffix", ["nbi", "nbc"])
    def test_damaged_cache_gives_one_warning_and_right_results(self, warm_cache, tmp_path, suffix):
        """The files of the kernels are by turns empty, cut, and garbage."""
        folder = tmp_path / "cache"
        shutil.copytree(warm_cache, folder)
        paths = sorted(folder.rglob(f"*.{suffix}"))
        assert len(paths) >= 3
        for k, path in enumerate(paths):
            content = path.read_bytes()
            path.write_bytes([b"", content[: len(content) // 2], b"\xff" * 64][k % 3])
        self.check_one_warning(run_python(RUN, NUMBA_CACHE_DIR=str(folder)))
        run_python(RUN, NUMBA_CACHE_DIR=str(folder))  # makes anew what was removed
        assert run_python(RUN, NUMBA_CACHE_DIR=str(folder)) == []

    def test_no_cache_folder_gives_one_warning_and_right_results(self, tmp_path):
        """A package folder, a home and a cache folder that nothing can be written to."""
        shutil.copytree(
            ROOT / "minilstm", tmp_path / "minilstm", ignore=shutil.ignore_patterns("__pycache__")
        )
        blocked = tmp_path / "minilstm" / "compiled" / "__pycache__"  # where Numba would write first
        blocked.write_text("a file where a folder should be")
        nowhere = str(blocked / "below")
        folders = {"HOME": nowhere, "XDG_CACHE_HOME": nowhere, "NUMBA_CACHE_DIR": nowhere}
        lines = run_python(RUN, PYTHONPATH=str(tmp_path), PYTHONDONTWRITEBYTECODE="1", **folders)
        self.check_one_warning(lines)

    def test_an_edit_in_a_helper_s_file_is_noticed(self, tmp_path):
        """Numba looks at the file of an entry point only; the hash of all sources is in its name."""
        shutil.copytree(
            ROOT / "minilstm", tmp_path / "minilstm", ignore=shutil.ignore_patterns("__pycache__")
        )
        cache, run = tmp_path / "cache", RUN + "print(found['numba'].dweights.W.sum(dtype=float))"
        cache.mkdir()

        def lines():
            return run_python(run, PYTHONPATH=str(tmp_path), NUMBA_CACHE_DIR=str(cache))

        helper = tmp_path / "minilstm" / "compiled" / "panels.py"
        before, found = helper.read_text(), lines()
        assert lines() == found
        kept = sorted(cache.rglob("*.nbc"))
        broken = before.replace("xh[row, r, H] = 1\n", "xh[row, r, H] = 1.000003\n")
        assert broken != before
        helper.write_text(broken)
        assert lines() != found
        helper.write_text(before)
        assert lines() == found
        assert set(kept) < set(cache.rglob("*.nbc"))

    @staticmethod
    def check_one_warning(lines: list[str]) -> None:
        assert len(lines) == 1, lines
        assert lines[0].startswith("RuntimeWarning: Numba's cache cannot be used")


def test_without_numba_numpy_does_the_work():
    """Where Numba cannot be imported, the NumPy backend takes over after one warning that names the cause."""
    code = "import sys; sys.modules['numba'] = None" + RUN
    lines = run_python(code)
    assert len(lines) == 1, lines
    assert lines[0].startswith("RuntimeWarning: Numba cannot be used (ModuleNotFoundError")
    assert "NumPy backend does the work" in lines[0]


@pytest.mark.skipif(INTERPRETED, reason="nothing is compiled")
@pytest.mark.parametrize("compiles", [True, False])
def test_compiling_is_said_only_while_something_is_compiled(monkeypatch, capsys, compiles):
    class Dispatcher:
        def __init__(self, function, options):
            self.stats = SimpleNamespace(cache_misses={}, cache_path=None)

        def enable_caching(self):
            pass

        def __call__(self, *arrays):
            self.stats.cache_misses = {"signature": int(compiles)}

    class Timer:
        def __init__(self, seconds, said):
            self.said = said

        def start(self):
            pass

        def cancel(self):  # as late as can be
            self.said()

    monkeypatch.setattr(entry_points, "Kernel", Dispatcher)
    monkeypatch.setattr(entry_points, "threading", SimpleNamespace(Timer=Timer))
    entry_points.say_compiling.cache_clear()
    monkeypatch.setattr(entry_points.time, "perf_counter", iter([0.0, 9.0, 0.0, 8.0]).__next__)
    for _ in range(2):
        entry_points.entry_point(lambda *arrays: None)(None, np.ones(1), None)
    told = capsys.readouterr().err
    assert told.splitlines() == (
        [
            "minilstm: compiling kernels, once on this machine ...",
            "minilstm: compiled <lambda> for float64 in 9.0 s",
            "minilstm: compiled <lambda> for float64 in 8.0 s",
        ]
        if compiles
        else []
    )
