"""The benchmarks run to their end, their arithmetic is right, and they refuse what would mislead."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import llvmlite.binding as llvm
import numpy as np
import pytest
from scipy.optimize import curve_fit
from threadpoolctl import threadpool_limits

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import isa  # noqa: E402
import length_scaling  # noqa: E402
import measure  # noqa: E402
import peak  # noqa: E402
import startup  # noqa: E402
import step_profile  # noqa: E402
import tile_model  # noqa: E402
import tracer_cost  # noqa: E402
import versus_peers  # noqa: E402
from measure import Call  # noqa: E402
from versus_peers import Row  # noqa: E402

from minilstm.compiled import chunks, memory  # noqa: E402

RNG = np.random.default_rng(0)
COMMANDS = [path for path in BENCHMARKS.glob("*.py") if "def main()" in path.read_text()]
Main = Callable[..., None]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Main:
    """Run a script's `main` with arguments, each of its timings two calls."""

    def brief(functions: Any, *_: Any, **__: Any) -> measure.Turns:
        return measure.in_turn(functions, rounds=2, seconds=0)

    def run(script: Any, *arguments: object) -> None:
        if hasattr(script, "in_turn"):
            monkeypatch.setattr(script, "in_turn", brief)
        monkeypatch.setattr(sys, "argv", [script.__file__, *map(str, arguments)])
        script.main()

    return run


@pytest.fixture
def same_threads(torch: Any) -> Iterator[None]:
    """The number of threads of PyTorch, which versus_peers sets, as it was."""
    count = torch.get_num_threads()
    yield
    torch.set_num_threads(count)


def written(folder: Path, name: str) -> tuple[Any, str]:
    """What a benchmark wrote: JSON and Markdown; its figure is there in both forms."""
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    xml.etree.ElementTree.fromstring((folder / f"{name}.svg").read_bytes())
    return json.loads((folder / f"{name}.json").read_text()), (folder / f"{name}.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.stem)
def test_says_what_it_does(path):
    command = [sys.executable, str(path), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout


# ---------------------------------------------------------------- measure


def test_time_covered_by_calls_of_two_threads_counts_once():
    calls = [Call("", (), 1, 2.0, 5.0), Call("", (), 0, 1.0, 3.0), Call("", (), 0, 4.0, 4.5)]
    assert measure.covered([*calls, Call("", (), 0, 7.0, 7.5)]) == 4.5
    assert measure.covered([]) == 0


def test_watched_functions_are_given_back():
    before = chunks.cut
    with measure.watched((chunks, "cut")) as calls:
        chunks.cut(20, True)
    assert chunks.cut is before
    assert [(call.name, call.arguments) for call in calls] == [("cut", (20, True))]
    assert 0 < calls[0].stop - calls[0].start < 1


def test_others_do_not_include_our_own_work():
    others = measure.Others()
    others.before = np.array([0.0, 0.0])
    share = others.share
    with mock.patch("os.times", return_value=(1e9,) * 5):
        assert share is None or (0 < share < 1 and others.share == 0)


def test_machine_names_what_was_asked_for():
    found = measure.machine(measure.Others(), "matplotlib")
    assert {"python", "minilstm", "numpy", "numba", "matplotlib"} == set(found["versions"])
    assert found["processor"]
    assert found["date"] in measure.sentence(found)
    busy = measure.sentence(found | {"taken_by_others": 0.25})
    assert "other work took 25 % of the cores" in busy


# ---------------------------------------------------------------- versus_peers


@pytest.mark.peer
def test_versus_peers(run, tmp_path, monkeypatch, capsys, same_threads):
    pytest.importorskip("onnxruntime")
    rows = [Row("LSTM", 3, 4, 2, 5, (1e-9, 1e-9), (1e9, 1e9)), Row("GRU", 2, 3, 4, 5)]
    monkeypatch.setattr(versus_peers, "ROWS", [*rows, Row("SimpleRNN", 2, 3, 4, 5)])
    run(versus_peers, "--rows", "0,1,2", "--runs", 2, "--out", tmp_path)
    result, text = written(tmp_path, "versus_peers")
    assert text in capsys.readouterr().out
    if result["machine"][0]["isa"] != "other":
        assert "PyTorch 0.00x: met" in text
        assert re.search("(PyTorch|ONNX Runtime) 1000000000.00x: .*missed", text)
    assert {"torch", "onnxruntime"} < set(result["machine"][0]["versions"])
    lstm, gru, _ = result["rows"]
    assert list(lstm["step"]) == ["minilstm", "torch"]
    assert list(lstm["predict"]) == ["minilstm", "torch", "onednn", "ort"]
    assert list(gru["predict"]) == ["minilstm", "torch"]
    assert len(lstm["step"]["torch"]["runs"]) == 2


@pytest.mark.peer
@pytest.mark.parametrize("after", [0, 1])
def test_versus_peers_refuses_to_time_what_differs(run, monkeypatch, same_threads, after):
    """Before the first training step, and after it."""
    real = versus_peers.PEERS["torch"]

    def other(*arguments: Any) -> dict[str, Any]:
        functions, steps = real(*arguments), []
        return {
            "step": lambda: steps.append(functions["step"]()),
            "predict": lambda: functions["predict"]() + (2e-5 if len(steps) == after else 0),
        }

    monkeypatch.setitem(versus_peers.PEERS, "torch", other)
    monkeypatch.setattr(versus_peers, "ROWS", [Row("LSTM", 3, 4, 2, 5)])
    with pytest.raises(SystemExit, match=r"torch differs from minilstm by 2\.0e-05 at LSTM 3, 4, 2, 5"):
        run(versus_peers, "--rows", 0, "--peers", "torch")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--peers", "torch,theano"], "--peers must be of torch, .*, got theano"),
        (["--peers", "keras-tf,keras-jax"], "must name keras once: a process can hold it in one way"),
        (["--peers", "ort,torch,torch-flush"], "must name torch once"),
        (["--runs", "0"], "--runs must be at least 1, got 0"),
    ],
)
def test_versus_peers_refuses_arguments(run, capsys, arguments, error):
    with pytest.raises(SystemExit):
        run(versus_peers, *arguments)
    assert re.search(error, capsys.readouterr().err)


def test_a_ratio_is_the_median_of_runs_of_the_median_of_turns():
    first = {"minilstm": [[1.0, 3.0, 2.0], [4.0], [1.0]], "torch": [[4.0], [4.0], [5.0]]}  # 2, 1, 5
    second = {"minilstm": [[1.0], [1.0], [1.0]], "torch": [[3.0], [6.0], [9.0]]}
    found = versus_peers.summary([first, second])
    assert found["minilstm"] == {"ms": 1500.0}
    torch = found["torch"]
    assert torch["runs"] == [2, 6]
    assert (torch["ms"], torch["ratio"]) == (5000, 4)
    assert (torch["low"], torch["high"]) == tuple(np.percentile([2, 1, 5, 3, 6, 9], [25, 75]))


def result_of(processor: str, option: str, native: str = "avx512", **sides: float) -> dict[str, Any]:
    """What versus_peers writes of its first row."""
    cells = {
        side.replace("_", "-"): {"ms": 2.0, "ratio": r, "low": r, "high": r} for side, r in sides.items()
    }
    row = dict(zip(Row._fields[:5], versus_peers.ROWS[0][:5], strict=True))
    one = {"processor": processor, "processor_isa": native, "isa": option, "switches": {"SOME_ISA": option}}
    one |= {"cores": 2, "threads": 2, "date": "d", "versions": {}, "taken_by_others": 0}
    tasks = {task: {"minilstm": {"ms": 2.0}} | cells for task in versus_peers.TASKS}
    return {"machine": [one], "runs": 3, "seconds": 1, "rows": [row | tasks]}


def test_versus_peers_joins_files(run, tmp_path, capsys):
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    measure.write_json(paths[0], result_of("x", "avx2", torch=2.1, ort=0.7))
    measure.write_json(paths[1], result_of("x", "avx2", keras_tf=4.0, torch=9.0))
    run(versus_peers, "--join", *paths, "--out", tmp_path / "joined")
    result, text = written(tmp_path / "joined", "versus_peers")
    assert text in capsys.readouterr().out
    step = result["rows"][0]["step"]
    ratios = {side: one.get("ratio") for side, one in step.items() if side != "minilstm"}
    assert ratios == {"torch": 2.1, "ort": 0.7, "keras-tf": 4.0}
    assert "PyTorch 2.00x: met" in text
    assert "ONNX Runtime 0.90x: **missed**" in text  # the faster of the two
    assert "SOME_ISA=avx2" in text
    assert "ONNX Runtime (no switch: avx512)" in text
    for other in (result_of("y", "avx2", keras_tf=4.0), result_of("x", "avx512", keras_tf=4.0)):
        measure.write_json(paths[1], other)
        with pytest.raises(
            SystemExit, match=r"not of one machine: x, avx2; (x, avx512|y, avx2)|x, avx512; x"
        ):
            run(versus_peers, "--join", *paths)


def test_goals_are_those_of_the_instruction_set():
    row = result_of("x", "avx2", torch=2.1)["rows"][0]
    assert versus_peers.goals(row, "step", "avx2") == {"torch": 2.0}
    assert versus_peers.goals(row, "step", "avx512") == {"torch": 2.4}
    row = result_of("x", "avx512", torch=2.1, ort=0.7)["rows"][0]
    assert versus_peers.goals(row, "predict", "avx512") == {"ort": 1.0}
    assert versus_peers.goals(row, "step", "other") == {}
    long = row | {"T": 1000}
    assert versus_peers.goals(long, "step", "avx2") == {}  # PyTorch, flushing, is not there
    long["step"] = long["step"] | {"torch-flush": {"ratio": 3.5}}
    assert versus_peers.goals(long, "step", "avx2") == {"torch-flush": 3.0}


# ---------------------------------------------------------------- instruction sets


SHOW_ISA = """
import argparse, json, isa
parser = argparse.ArgumentParser()
isa.add_option(parser)
isa.restrict(parser.parse_args().isa)
import measure, numba, numpy
add = numba.njit(lambda x, y: x + y)
add(numpy.ones(100, "float32"), numpy.ones(100, "float32"))
(code,) = add.inspect_asm().values()
registers = [name for name in ("xmm", "ymm", "zmm") if name in code]
print(json.dumps(measure.machine(measure.Others()) | {"registers": registers}))
"""


def isa_process(tmp_path: Path, option: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A script with the option --isa, in a process of its own."""
    script = tmp_path / "show_isa.py"
    script.write_text(SHOW_ISA)
    path = os.pathsep.join([str(BENCHMARKS), str(BENCHMARKS.parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, str(script), "--isa", option],
        env=os.environ | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(isa.NATIVE == "other", reason="the switches are for processors with AVX2")
def test_a_script_runs_again_with_the_switches_of_an_instruction_set(tmp_path, torch):
    done = isa_process(tmp_path, "avx2")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["isa"], found["processor_isa"]) == ("avx2", isa.NATIVE)
    assert found["switches"].items() <= isa.switches("avx2").items()
    assert {"NUMBA_CPU_NAME", "ONEDNN_MAX_CPU_ISA"} <= set(found["switches"])
    assert "ymm" in found["registers"]
    assert "zmm" not in found["registers"]
    assert done.stderr == ""


@pytest.mark.skipif(isa.NATIVE == "avx512", reason="this processor has all of them")
def test_an_instruction_set_that_the_processor_lacks_is_refused(tmp_path):
    done = isa_process(tmp_path, "avx512")
    assert done.returncode == 1
    assert "--isa must be native or one that this processor has, got avx512" in done.stderr


# ---------------------------------------------------------------- length_scaling


def test_length_scaling(run, tmp_path, capsys):
    run(length_scaling, "--quick", "--out", tmp_path)
    result, text = written(tmp_path, "length_scaling")
    assert text in capsys.readouterr().out
    assert [row["T"] for row in result["rows"]] == [16, 32, 64, 128, 256, 512, 1024]
    with (tmp_path / "length_scaling.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[3]["step_ms"]) == result["rows"][3]["step_ms"]
    rows = memory.row_size(10 + 1 + 64, 4) + memory.row_size(64, 4)  # of xh and of c
    assert result["tape_bytes_per_step"] == 4 * 32 * (rows + 4 * 64)


def test_the_fit_is_that_of_scipy_with_its_intervals():
    lengths = [16, 32, 64, 128, 256, 512, 1024]
    values = [0.5 + 0.03 * length for length in lengths] * RNG.normal(1, 0.02, 7)
    line = curve_fit(lambda x, a, b: a + b * x, lengths, values, sigma=values)
    found = length_scaling.fit(lengths, values)
    np.testing.assert_allclose([found["a"], found["b"]], line[0], rtol=1e-5)
    np.testing.assert_allclose(
        [found["a_margin"], found["b_margin"]], 2.5706 * np.sqrt(np.diag(line[1])), rtol=1e-4
    )  # 2.5706: Student's t, 97.5 %, 5 degrees of freedom
    power = length_scaling.fit(lengths, [2 * length**1.5 for length in lengths])
    assert power["p"] == pytest.approx(1.5)
    assert power["p_margin"] == pytest.approx(0, abs=1e-6)


def test_where_a_time_leaves_the_line():
    rows = [
        {"T": 10, "step_ms": 11.0, "step_low": 10.9, "step_high": 11.1},
        {"T": 20, "step_ms": 22.0, "step_low": 19.0, "step_high": 23.0},  # not beyond its spread
        {"T": 40, "step_ms": 41.0, "step_low": 40.9, "step_high": 41.1},  # not by 5 %
    ]
    assert length_scaling.leaves(rows, {"step": {"a": 0.0, "b": 1e-3}}) == ["step at T=10: +10 %"]


# ---------------------------------------------------------------- step_profile


def test_step_profile(run, tmp_path, monkeypatch, capsys):
    B, T, D, H = 40, 30, 3, 50
    monkeypatch.setattr(step_profile, "ROWS", [(2, 3, 4, 5), (B, T, D, H)])
    monkeypatch.setattr(step_profile, "profile", partial(step_profile.profile, rounds=1, seconds=0.01))
    run(step_profile, "--rows", "1,0", "--out", tmp_path)
    result, text = written(tmp_path, "step_profile")
    assert text in capsys.readouterr().out
    row = result["rows"][0]
    assert sum(step_profile.multiply_adds(B, T, D, H).values()) == T * B * 4 * H * (2 * (H + 1 + D) + H)
    ms = row["ms"]
    assert ms["step"] > ms["forward kernel"] + ms["backward kernel"] > 0
    assert ms["python"] > 0
    limit = result["peak"] * row["threads"]
    share = 100 * sum(step_profile.multiply_adds(B, T, D, H).values()) / (1e-3 * ms["step"]) / limit
    assert f"| {share:.0f} % |\n" in text


def test_the_peak_is_above_what_a_product_reaches():
    """NumPy's, on one thread: no product runs in registers alone."""
    a = np.ones((256, 256), "float32")
    with threadpool_limits(1, "blas"):
        times = measure.in_turn({"product": lambda: a @ a}, 3, 0.05)["product"]
    reached = a.shape[0] ** 3 / min(min(turn) for turn in times)
    assert reached < peak.peak() < 1e12


def test_the_model_is_asked_of_the_tile_s_loop():
    code = tile_model.loop_of("haswell", isa.HASWELL, 5, 1).splitlines()
    assert sum("vfmadd" in line for line in code) == 2 * 5 * 4
    assert code[-1].startswith("\tj")
    assert not any("rsp" in line or line.startswith("\tj") for line in code[:-1])


def test_the_peak_s_loop_is_multiply_adds_in_registers():
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2
    )
    lanes = peak.LANES[isa.NATIVE]
    code = machine.emit_assembly(llvm.parse_assembly(peak.source(lanes)))
    if isa.NATIVE != "other":
        assert code.count("vfmadd") == peak.CHAINS
        assert "(%rsp)" not in code


# ---------------------------------------------------------------- start-up, recording


@pytest.mark.slow
def test_startup(run, tmp_path, capsys):
    run(startup, "--repeats", 1, "--out", tmp_path)
    assert "empty cache:     kernels compiled in" in capsys.readouterr().out
    found = json.loads((tmp_path / "startup.json").read_text())
    assert found["warm"]["kernels"] < found["cold"]["kernels"] < found["cold"]["end"]
    assert 0 < found["warm"]["imported"] < found["warm"]["end"]


@pytest.mark.parametrize("cell", ["LSTM", "GRU", "SimpleRNN"])
def test_what_recording_costs(cell):
    said = tracer_cost.recording(cell, 4, 5, 2, 3, rounds=1)
    times = r"\d+\.\d\d ms, with dh and dc \d+\.\d{3} times, with norms \d+\.\d{3} times"
    assert re.fullmatch(f"backward, B=4 T=5 D=2 H=3: kernel {times}; all {times}", said)
