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


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study whose classes are told apart from the first steps on."""
    rng = np.random.default_rng(0)
    y = [("low", "high")[k % 2] for k in range(300)]
    x = [rng.normal(2 * (k % 2) - 1, 0.5, size=(int(rng.integers(4, 9)), 2)) for k in range(300)]
    settings, source = prepare(x, y, None, 10, {"lengths": [3, 8], "seeds": 2, "epochs": 6, "units": 3})
    with Journal(
        settings, journals.config(settings, source), tmp_path_factory.mktemp("best") / "s"
    ) as journal:
        run_missing(journal, source, 1)
        yield result_of(journal), journal, source


def test_the_saved_model_is_that_of_the_record(study, monkeypatch):
    result, journal, source = study
    chosen = result.recommend()
    assert chosen is not None
    path = save_best(result, journal, source)
    assert path == journal.folder / MODEL
    monkeypatch.chdir(journal.folder)
    test = source.at(chosen["length"]).test
    lines = loading(result)
    names = {"ml": ml, "sequences": test.x}
    exec("\n".join(lines[:-1]), names)
    answers = eval(lines[-1], names).argmax(axis=1)
    reached = float((answers == test.y).mean())
    own = [record for record in result.cells if record["length"] == chosen["length"]]
    assert reached in [record["test_metric"] for record in own if record["mask"] == chosen["mask"]]


def test_the_page_shows_the_lines_and_the_classes(study):
    result, journal, source = study
    save_best(result, journal, source)
    text = report.to_html(result, journal.settings, [], True)
    for line in loading(result):
        assert line.replace('"', "&#34;") in text
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
