"""Results at the prompt and in a notebook: short, small, escaped; and a notebook that runs."""

from __future__ import annotations

import html.parser

import nbclient
import nbformat
import numpy as np
import pytest

import minilstm as ml
from minilstm.foundations import notebook

MAKE = """
import numpy as np
import minilstm as ml
rng = np.random.default_rng(0)
x = rng.normal(size=(8, 12, 3))
y = (x[:, :, 0].sum(axis=1) > 0).astype(float)
layer = ml.LSTM(4, input_shape=(12, 3), name="rec<b>", backend="numpy")
model = ml.Sequential([layer, ml.Dense(1, activation="sigmoid")], dtype="float64", seed=0)
model.compile(loss="binary_crossentropy", metrics=["accuracy"])
"""


@pytest.fixture(scope="module")
def results():
    names: dict = {}
    exec(MAKE, names)
    model, x, y = names["model"], names["x"], names["y"]
    trace = model.trace(x, y)
    return {
        "History": model.fit(x, y, epochs=3, verbose=0),
        "Trace": trace,
        "LayerTrace": trace[0],
        "Ledger": trace[0].ledger(),
        "Verdict": trace[0].verdict(),
        "Report": ml.gradcheck(model, x[:2], y[:2], method="directional"),
        "TruncationStudy": ml.truncation_study(model, x, y, steps=[2, 12]),
        "PaddingAudit": ml.padding_audit([[1], [2, 3]], maxlen=[1, 2]),
    }


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.seen = [], set()

    def handle_starttag(self, tag, attributes):
        self.seen.add(tag)
        if tag != "path":
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_results_are_short_at_the_prompt(results):
    for kind, result in results.items():
        assert repr(result).startswith(f"<{kind}")
        assert len(repr(result)) < 300
        assert "array(" not in repr(result)
    assert repr(results["LayerTrace"]) == "<LayerTrace 'rec<b>': LSTM, B=8, T=12, H=4>"


def test_what_is_made_before_a_result_says_what_it_is_too():
    model = ml.Sequential([ml.LSTM(4), ml.Dense(1)])
    assert repr(model) == "<Sequential, float32: lstm (LSTM), dense (Dense); not built>"
    model.build((None, None, 3))
    assert repr(model).endswith("; 133 weights>")
    assert repr(model.stream(2)) == "<Stream of 2 sequences, a step of shape (2, 3)>"
    assert repr(ml.Adam()) == "Adam(learning_rate=0.001)"
    assert (
        repr(ml.SGD(0.1, nesterov=True, clipnorm=1)) == "SGD(learning_rate=0.1, nesterov=True, clipnorm=1.0)"
    )
    many = ml.Sequential([ml.Dense(1) for _ in range(40)])
    assert len(repr(many)) < 200


def test_results_are_small_and_escaped_in_a_notebook(results):
    for result in results.values():
        text = result._repr_html_()
        assert len(text) < 6000
        tags = Tags()
        tags.feed(text)
        assert tags.open == []
        assert tags.seen <= {"div", "strong", "table", "thead", "tbody", "tr", "th", "td", "svg", "path"}
    assert "rec&lt;b&gt;/kernel" in results["Trace"]._repr_html_()
    assert "ok" in results["LayerTrace"]._repr_html_()


def test_the_arrays_of_a_layer_are_found_by_dir(results):
    assert {"h", "c", "dh", "dc", "i", "f", "g", "o", "external", "dz", "x", "dx"} <= set(
        dir(results["LayerTrace"])
    )


def test_a_sparkline_has_gaps_where_there_is_no_number():
    assert notebook.sparkline([1.0, np.nan, 2.0, 3.0]).count("M") == 2
    assert notebook.sparkline([1.0, 0.0, 2.0], log=True).count("M") == 2
    assert notebook.sparkline([np.nan]) == "-"
    assert "role" in notebook.sparkline([2.0, 2.0])
    assert len(notebook.sparkline(np.arange(100_000.0))) < 3000


def test_a_notebook_shows_results_figures_and_the_bar():
    plots = [f"ml.plots.{name}(model.trace(x, y)[0])" for name in ("gradient_flow", "gates")]
    cells = [MAKE, "model.fit(x, y, epochs=2, batch_size=2)", "model.trace(x, y)", *plots]
    found = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(found, timeout=300, kernel_name="python3").execute()
    outputs = [cell.outputs for cell in found.cells]
    printed = "".join(one.text for one in outputs[1] if one.output_type == "stream")
    assert printed.count("\r") >= 4  # drawn over in place
    shown = [{kind for one in cell if "data" in one for kind in one.data} for cell in outputs[1:]]
    assert shown == [{"text/plain", "text/html"}] * 2 + [{"text/plain", "image/png"}] * 2
    widths = [one.metadata["image/png"]["width"] for cell in outputs[3:] for one in cell]
    assert widths == [700, 800]
