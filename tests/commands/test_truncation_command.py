"""`minilstm truncation`: the table and the figure of one's own model, and what is refused before any work."""

from __future__ import annotations

import numpy as np
import pytest

import minilstm as ml
from minilstm.commands import truncation
from minilstm.commands.cli import main


@pytest.fixture
def own(tmp_path):
    """A saved model and data of 12 steps."""
    x = np.random.default_rng(0).normal(size=(6, 12, 2)).astype("float32")
    np.savez(tmp_path / "data.npz", x=x, y=np.ones((6, 1), "float32"))
    model = ml.Sequential([ml.LSTM(3, input_shape=(12, 2)), ml.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    model.save(tmp_path / "model.npz")
    return ["--data", str(tmp_path / "data.npz"), "--weights", str(tmp_path / "model.npz")], x, model


def test_it_prints_what_the_study_finds_and_writes_the_figure(own, tmp_path, capsys):
    options, x, model = own
    figure = tmp_path / "new" / "cost.png"
    assert main(["truncation", *options, "--steps", "2,12", "--out", str(figure)]) == 0
    printed = capsys.readouterr().out
    found = ml.truncation_study(model, x, np.ones((6, 1)), steps=[2, 12])
    assert found.table() in printed
    assert printed.endswith(f"written: {figure}\n")
    assert figure.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--out", "cost.txt"], "--out must be a file ending in .png, .svg, .pdf, got cost.txt"),
        (["--steps", "0"], "--steps must be a whole number >= 1, got 0"),
        (["--steps", "5,41"], "--steps must be from 1 to 40, the frames of the recordings, got 41"),
        (["--draws", "-1"], "--draws must be a whole number >= 0, got -1"),
        (["--data", "x.npz"], "--data and --weights must be given together, got one of them"),
        (["--data", "x.npz", "--weights", "w.npz"], "x.npz"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_trained(options, words, monkeypatch, capsys):
    monkeypatch.setattr(truncation, "digits", lambda seed: pytest.fail("trained"))
    assert main(["truncation", *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("minilstm: error: ")
    assert words in error
    assert error.count("\n") == 1
