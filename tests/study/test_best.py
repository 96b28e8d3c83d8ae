"""The model of the recommended length, saved; and the classes that it tells apart."""

from __future__ import annotations

import numpy as np
import pytest

import minilstm as ml
from minilstm.study import journal as journals
from minilstm.study import prepare, report, run_missing
from minilstm.study.best import MODEL, loading, save_best
from minilstm.study.classes import class_rows, shown_classes
from minilstm.study.journal import Journal
from minilstm.study.result import result_of

LEVELS = np.arange(300) % 2


def numbers():
    """Classes that are told apart from the first steps on."""
    rng = np.random.default_rng(0)
    y = [("low", "high")[k] for k in LEVELS]
    return [rng.normal(20 * k - 10, 5, size=(int(rng.integers(4, 9)), 2)) + 1000 for k in LEVELS], y


def texts():
    x, y = numbers()
    return [
        " ".join(f"{label}{round(abs(step[0]))}" for step in one) for one, label in zip(x, y, strict=True)
    ], y


def quantities():
    x, _ = numbers()
    return [one[:, 0] for one in x], [float(one[:3].mean()) for one in x]


def studied(made, folder):
    options = {"lengths": [3, 8], "seeds": 2, "epochs": 6, "units": 3, "learning_rate": 0.02}
    settings, source = prepare(*made, None, 2000, options)
    with Journal(settings, journals.config(settings, source), folder) as journal:
        run_missing(journal, source, 1)
        yield result_of(journal), journal, source


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    yield from studied(numbers(), tmp_path_factory.mktemp("best") / "s")


@pytest.mark.parametrize("kind", [numbers, texts, quantities])
def test_the_lines_predict_from_what_was_given_as_the_records_model_does(kind, tmp_path, monkeypatch):
    (result, journal, source), *_ = studied(kind(), tmp_path / "s")
    chosen = result.recommend()
    assert chosen is not None
    path = save_best(result, journal, source)
    assert path == journal.folder / MODEL
    monkeypatch.chdir(journal.folder)
    x, y = kind()
    lines = loading(result, True)
    names = {"ml": ml, "np": np, "sequences": x, "texts": x}
    exec("\n".join(lines[:-1]), names)
    answers = eval(lines[-1], names)
    data = source.at(chosen["length"])
    if kind is quantities:
        assert np.square(answers[:, 0] - y).mean() < 0.3 * np.var(y)
    else:
        assert (np.array(data.labels)[answers.argmax(axis=1)] == y).mean() > 0.95
    # The test part alone gives the figure of the record.
    names = {"ml": ml, "sequences": data.test.x}
    lines = loading(result, False)
    exec("\n".join(lines[:-1]), names)
    answers = eval(lines[-1], names)
    reached = (
        np.square(answers - data.test.y).mean()
        if kind is quantities
        else (answers.argmax(axis=1) == data.test.y).mean()
    )
    own = [record for record in result.cells if record["length"] == chosen["length"]]
    known = [record["test_metric"] for record in own if record["mask"] == chosen["mask"]]
    assert min(abs(reached - one) for one in known) < 1e-6


def test_the_page_shows_the_lines_and_the_classes(study):
    result, journal, source = study
    save_best(result, journal, source)
    text = report.write(result, journal, ()).report.read_text()
    for line in ["import numpy as np", *loading(result, True)]:
        assert line.replace('"', "&#34;") in text
    assert "raw numbers" in text
    assert "Which classes it tells apart" in text
    assert "The model of the recommended length" not in report.to_html(result, journal.settings, [])


def test_recall_by_class_and_seed():
    records = [{"confusion": [[3, 1], [0, 4]]}, {"confusion": [[4, 0], [2, 2]]}, {"confusion": None}]
    low, high = class_rows(records, ["low", "high"])
    assert (low.counts, low.count, low.recall, low.low, low.high, low.instead) == (
        [7, 1],
        8,
        0.875,
        0.75,
        1.0,
        "high",
    )
    assert (high.recall, high.instead) == (0.75, "low")
    assert class_rows([{"confusion": None}, {}], []) == []
    (only,) = class_rows([{"confusion": [[0]]}], [])
    assert (only.label, only.recall, only.instead) == ("0", None, "")
    many = np.eye(30, dtype=int)
    many[7, 7], many[7, 2] = 0, 1
    assert shown_classes(class_rows([{"confusion": many.tolist()}], []))[0].label == "7"
