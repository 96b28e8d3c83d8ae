"""The study and `minilstm cells` take every cell of the package, and one in a user's file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from eight import made

import minilstm as ml
from minilstm import layers
from minilstm.commands.cells import heading, in_blocks
from minilstm.commands.cli import main
from minilstm.foundations.tables import in_columns
from minilstm.study.plan import Point, Settings
from minilstm.study.point import build_model, run_point
from minilstm.study.source import Source

EIGHT = Path(__file__).with_name("eight.py")


@pytest.fixture
def eight(tmp_path, monkeypatch):
    """A file of a user's with the eight cells as names of the module."""
    path = tmp_path / "mine.py"
    path.write_text(EIGHT.read_text() + "\n\nglobals().update(made())\n")
    return path


@pytest.mark.parametrize("name", ["own_lstm", "leaky", "stabilised", "rotation"])
def test_a_study_trains_a_cell_in_a_file(name, eight):
    rnn = f"{eight}:{name}"
    settings = Settings.of("recall", lengths=[4], seeds=1, epochs=1, rnn=rnn, units=3)
    (point,) = settings.points()
    record = run_point(settings, Source.of("recall", settings.seed), point)
    assert 0 <= record["test_metric"] <= 1
    model = build_model(settings, point, Source.of("recall", settings.seed).at(4))
    assert model.layers[0].name == name


def test_every_kind_makes_a_layer():
    for kind in layers.KINDS:
        output = layers.maker_of(kind)(3)(np.ones((2, 4, 2), "float32"))
        assert output.shape == (2, 3)
    assert isinstance(layers.maker_of("mgu")(3), ml.RNN)


def test_names_that_cannot_be_meant(eight, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("1 / 0")
    for rnn, words in (
        ("mgru", "rnn must be lstm, gru, .*or a cell in a file, as path/to/my_cell.py:name, got 'mgru'"),
        (f"{tmp_path}/no.py:cell", "rnn must be a cell in a Python file, got .*which is no file"),
        (f"{broken}:cell", "rnn must be a cell in .*broken.py, got ZeroDivisionError"),
        (f"{eight}:lstm", r"rnn must be a cell that .* makes by minilstm.cell \(elman, leaky, .*got 'lstm'"),
    ):
        with pytest.raises(ValueError, match=words):
            Settings.of("recall", rnn=rnn)
    assert Point(5, 0, "mgu").rnn == "mgu"


def test_a_table_of_cells_that_is_too_wide_is_two():
    rows = [("cell", *heading([10])), ("lstm", *map(str, range(9)))]
    assert in_blocks(rows, None) == in_blocks(rows, 100) == in_columns(rows, left=1)
    narrow = in_blocks(rows, 80)
    assert max(map(len, narrow)) <= 80
    assert [line.split() for line in narrow[1::3]] == [["lstm", *"012345"], ["lstm", *"678"]]


def test_the_table_of_cells(eight, capsys):
    options = ["--lengths", "3,4", "--units", "3", "--epochs", "1", "--seeds", "2"]
    assert main(["cells", "min_gru", f"{eight}:own_lstm", *options]) == 0
    out, told = capsys.readouterr()
    assert told.startswith("4 runs, 4 trainings of 1 epoch each; a cell without kernels takes about ten")
    assert "4/4  own_lstm, seed 1, after " in told
    head, *rows = out.splitlines()
    assert "through U" in head
    assert "recall 4" in head
    assert [row.split()[0] for row in rows] == ["min_gru", "own_lstm"]
    assert rows[0].split()[2] == "0%"
    assert main(["cells", "--list"]) == 0
    assert capsys.readouterr().out.split() == list(layers.KINDS)
    assert main(["cells", "nothing"]) == 2
    assert "NAME must be lstm, gru" in capsys.readouterr().err


def test_a_study_takes_a_cell_as_an_object(tmp_path):
    cell = made()["leaky"]
    options = {"lengths": [3], "seeds": 1, "epochs": 1, "units": 2}
    result = ml.length_study("recall", rnn=[cell, ml.cells.MGU, "gru"], **options)
    assert [row["rnn"] for row in result.rows] == ["leaky", "mgu", "gru"]
    with pytest.raises(ValueError, match=r"rnn must be a cell in a file, .*got the cells leaky"):
        ml.length_study("recall", rnn=cell, out=tmp_path / "study", **options)
    taken = ml.cell(cell.function, gates=["z"], kept=["step"], name="irnn")
    with pytest.raises(ValueError, match="rnn must be a cell whose name is no other layer's, got 'irnn'"):
        ml.length_study("recall", rnn=taken, **options)


@pytest.mark.peer
def test_estimators_take_names_and_cells():
    pytest.importorskip("sklearn")
    from sklearn.base import clone

    X, y = [np.ones((3, 2)), np.zeros((5, 2))] * 3, [0, 1] * 3
    for cell in ("mgu", made()["own_lstm"]):
        fitted = clone(ml.LSTMClassifier(3, cell=cell, epochs=1, random_state=0)).fit(X, y)
        assert isinstance(fitted.model_.layers[0], ml.RNN)
        assert fitted.predict(X).shape == (6,)


def test_commands_take_the_cell_of_a_saved_model(eight, tmp_path, capsys):
    model = ml.Sequential([ml.RNN(made()["own_lstm"], 3, input_shape=(4, 2)), ml.Dense(1)], seed=0)
    model.compile(loss="mse")
    model.save(tmp_path / "model.npz")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=rng.normal(size=(6, 4, 2)), y=rng.normal(size=(6, 1)))
    given = ["--weights", str(tmp_path / "model.npz"), "--data", str(tmp_path / "data.npz")]
    assert main(["truncation", *given, "--rnn", f"{eight}:own_lstm", "--steps", "2"]) == 0
    assert main(["trace", *given, "--rnn", f"{eight}:own_lstm", "--out", str(tmp_path / "trace")]) == 0
    capsys.readouterr()
    for words, message in (
        (given, "cells must be a dict with the cell 'own_lstm'"),
        ([*given, "--rnn", "own_lstm"], "--rnn must be a cell in a file, as path/to/my_cell.py:name"),
        (["--rnn", f"{eight}:own_lstm"], "--rnn must be given with --weights"),
    ):
        assert main(["truncation", *words]) == 2
        assert message in capsys.readouterr().err
