"""`minilstm trace`: what it prints and writes, and what it refuses."""

from __future__ import annotations

import re

import numpy as np
import pytest

import minilstm as ml
from minilstm.commands.cli import main

SMALL = ["--length", "12", "--units", "4"]


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple_rnn"])
def test_it_prints_the_verdict_and_writes_the_page(cell, tmp_path, capsys):
    assert main(["trace", *SMALL, "--cell", cell, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "dh: " in printed
    assert "% of it arrives through the " in printed
    page = (tmp_path / "out" / "trace.html").read_text()
    assert printed.splitlines()[0] in re.sub("</?span[^>]*>", "", page)
    what = f"{cell} of 4 units, 16 samples of 12 steps, float32"
    assert f"traced: {what}; seed 0; minilstm {ml.__version__}\n" in printed
    assert f"{what}</p>" in page
    assert f"<h1>Where the gradient goes: {cell}, 12 steps, seed 0</h1>" in page


def test_forget_bias_and_scale_are_used(tmp_path, capsys):
    words = ["trace", "--length", "60", "--units", "8", "--float64", "--out", str(tmp_path)]
    assert main([*words, "--forget-bias", "-3", "--recurrent-scale", "0"]) == 0
    assert "vanishing" in capsys.readouterr().out
    assert main([*words, "--forget-bias", "9", "--recurrent-scale", "0"]) == 0
    assert "steady" in capsys.readouterr().out


def test_data_and_a_saved_model(tmp_path, capsys):
    rng = np.random.default_rng(0)
    x, mask = rng.normal(size=(3, 7, 2)), np.arange(7) < np.array([[7], [4], [2]])
    np.savez(tmp_path / "d.npz", x=x, y=rng.normal(size=(3, 1)), mask=mask)
    model = ml.Sequential([ml.GRU(4, input_shape=(7, 2), name="own"), ml.Dense(1)], seed=0)
    model.compile(loss="mse")
    model.save(tmp_path / "m.npz")
    out = ["--out", str(tmp_path)]
    assert main(["trace", "--data", str(tmp_path / "d.npz"), "--weights", str(tmp_path / "m.npz"), *out]) == 0
    found = np.load(tmp_path / "d.npz")
    verdict = model.trace(found["x"], found["y"], mask)["own"].verdict()
    headline, detail, *_ = capsys.readouterr().out.splitlines()
    assert headline.startswith("own: the gradient of h ")
    assert detail == f"own, {verdict}"
    np.save(tmp_path / "x.npy", x)
    assert main(["trace", "--units", "4", "--data", str(tmp_path / "x.npy"), *out]) == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--cell", "gru", "--forget-bias", "1"], "--forget-bias must be left out for a cell without"),
        (["--data", "nothing.npy"], "nothing.npy"),
        (["--weights", "nothing.npz"], "nothing.npz"),
    ],
)
def test_what_cannot_be_meant(words, text, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["trace", *SMALL, *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("minilstm: error: ")
    assert text in error
    assert error.count("\n") == 1


def test_data_of_another_shape(tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.zeros((3, 4)))
    assert main(["trace", *SMALL, "--data", str(tmp_path / "x.npy")]) == 2
    assert "x of shape (batch, time, features), got {'x': (3, 4)}" in capsys.readouterr().err
    (tmp_path / "bad.npy").write_text("no array")
    assert main(["trace", *SMALL, "--data", str(tmp_path / "bad.npy")]) == 2
    assert "--data must be a .npy or .npz file of arrays" in capsys.readouterr().err


def test_a_length_that_is_none():
    with pytest.raises(SystemExit) as caught:
        main(["trace", "--length", "0"])
    assert caught.value.code == 2
