"""The figures hold the data they claim to show, and touch nothing global."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import minilstm as ml
from minilstm import plots
from minilstm.plots import base

T = 7


@pytest.fixture(scope="module")
def layer_trace():
    model = ml.Sequential([ml.LSTM(4, input_shape=(T, 3), name="rec"), ml.Dense(1)], seed=1, dtype="float64")
    model.compile(loss="mse")
    rng = np.random.default_rng(0)
    mask = ml.lengths_to_mask([7, 5, 3], T, padding="post")
    return model.trace(rng.normal(size=(3, T, 3)), rng.normal(size=3), mask)["rec"]


def test_doctests():
    assert doctest.testmod(plots.traces).failed == 0


def test_no_pyplot_and_no_display():
    code = (
        "import sys, minilstm.plots as p; figure, axes = p.new_figure(); p.save(figure, 'png');"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    environment = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    environment["MPLBACKEND"] = "TkAgg"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_gradient_flow_draws_the_norms_behind_the_trace(layer_trace):
    ax = plots.gradient_flow(layer_trace, "dc")
    (line,) = ax.get_lines()
    np.testing.assert_array_equal(line.get_ydata(), layer_trace.lag_norm("dc"))
    np.testing.assert_array_equal(line.get_xdata(), np.arange(T))
    assert ax.get_yscale() == "log"
    assert ax.get_xlabel() == "steps before the loss"


def test_gradient_flow_draws_into_given_axes(layer_trace):
    _, (ax,) = plots.new_figure()
    assert plots.gradient_flow(layer_trace, ax=ax) is ax


def test_zero_and_not_finite_are_marked_and_never_drawn_as_numbers():
    _, (ax,) = plots.new_figure()
    plots.log_line(ax, np.arange(5), [1.0, None, 0.0, np.inf, 1e-30], color="k")
    line, zero, broken = ax.get_lines()
    np.testing.assert_array_equal(line.get_ydata(), [1.0, np.nan, np.nan, np.nan, 1e-30])
    assert zero.get_xdata().tolist() == [2]
    assert broken.get_xdata().tolist() == [1, 3]


def test_gates_draw_one_sample_with_masked_steps_empty(layer_trace):
    figure = plots.gates(layer_trace, sample=1)
    images = [ax.get_images()[0] for ax in figure.axes if ax.get_images()]
    assert len(images) == 5
    for image, name in zip(images, "ifgoc", strict=True):
        shown = np.ma.filled(image.get_array(), np.nan)  # (H, T)
        np.testing.assert_array_equal(shown[:, :5], getattr(layer_trace, name)[1].T[:, :5])
        assert np.isnan(shown[:, 5:]).all()


def test_history_draws_every_curve():
    found = ml.History(history={"loss": [3.0, 2.0], "val_loss": [4.0, float("nan")]}, epoch=[0, 1])
    ax = plots.history(found)
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert lines["loss"].get_ydata().tolist() == [3.0, 2.0]
    assert lines["loss"].get_xdata().tolist() == [1, 2]
    assert np.isnan(lines["val_loss"].get_ydata()[1])
    assert lines["val_loss"].get_linestyle() == "--"
    assert plots.history(found.history).get_legend() is not None


def test_a_line_has_intervals_and_marks_gaps():
    _, (ax,) = plots.new_figure()
    base.line(ax, [5, 9], [0.5, None], [0.4, None], [0.7, None], label="a")
    (bars,) = ax.containers
    np.testing.assert_array_equal(bars.lines[0].get_ydata(), [0.5, np.nan])
    np.testing.assert_allclose(bars.lines[2][0].get_segments()[0][:, 1], [0.4, 0.7])
    assert [line.get_xdata().tolist() for line in ax.get_lines() if line.get_label() == "diverged"] == [[9.0]]
    assert "a" in ax.get_legend_handles_labels()[1]


def test_length_axis_has_the_lengths_as_ticks():
    _, (ax,) = plots.new_figure()
    plots.length_axis(ax, [5, 20, 92])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["5", "20", "92"]


def test_saved_figures_are_valid_and_the_same_again():
    def draw():
        figure, (ax,) = plots.new_figure()
        plots.log_line(ax, np.arange(3), [1.0, 0.1, 0.01], color="k", label="<b>")
        plots.legend(ax)
        return figure

    assert plots.save(draw(), "png").startswith(b"\x89PNG")
    svg = plots.save(draw(), "svg")
    assert ET.fromstring(svg).tag.endswith("svg")
    assert plots.save(draw(), "svg") == svg
    pdf = plots.save(draw(), "pdf")
    assert b"/Subtype /Type0" in pdf
    assert b"Type3" not in pdf
    assert plots.save(draw(), "pdf") == pdf


# ------------------------------------------------------------ traces, training, the one page


@pytest.fixture(scope="module", params=["LSTM", "GRU", "SimpleRNN"])
def any_trace(request):
    layer = getattr(ml, request.param)(4, input_shape=(T, 3), name="rec", backend="numpy")
    model = ml.Sequential([layer, ml.Dense(1)], seed=1, dtype="float64")
    model.compile(loss="mse")
    rng = np.random.default_rng(0)
    mask = ml.lengths_to_mask([0, 7, 5, 3], T, padding="post")
    return model.trace(rng.normal(size=(4, T, 3)), rng.normal(size=4), mask)


def test_ledger_stacks_the_shares_to_one(any_trace):
    ax = plots.ledger(any_trace["rec"])
    parts = [patch.get_data() for patch in ax.patches]
    heights = np.array([part.values - part.baseline for part in parts])
    np.testing.assert_allclose(heights, list(any_trace["rec"].ledger().shares().values()), atol=1e-15)
    np.testing.assert_allclose(parts[-1].values, 1)
    assert ax.get_xlabel() == "steps before the loss"


def test_credit_map_and_singular_values_draw_the_dynamics(any_trace):
    from minilstm.trace import dynamics

    rec = any_trace["rec"]
    image = plots.credit_map(rec, sample=1).get_images()[0].get_array()
    np.testing.assert_array_equal(np.ma.filled(image, np.nan), dynamics.credit_map(rec, sample=1))
    lines = plots.singular_values(rec, sample=2, lengths=(1, 5, 50)).get_lines()
    drawn = {line.get_label(): line.get_ydata() for line in lines}
    steps = dynamics.jacobians(rec, 2)[:5]  # five real steps
    expected = np.linalg.svd(dynamics.product(steps), compute_uv=False)
    np.testing.assert_allclose(drawn["5 steps"], np.where(expected > 0, expected, np.nan))
    assert "50 steps" not in drawn


def test_contributions_and_gates_of_every_cell(any_trace):
    rec = any_trace["rec"]
    lines = {line.get_label(): line for line in plots.contributions(rec).get_lines()}
    for name, norms in rec.ledger().weight_norms().items():
        np.testing.assert_array_equal(lines[name].get_ydata(), np.where(norms > 0, norms, np.nan))
    assert len(plots.gates(rec, 1).axes) % 2 == 0  # each with its scale


def test_underflow_is_named():
    model = ml.Sequential([ml.LSTM(4, input_shape=(200, 3), name="rec"), ml.Dense(1)], seed=1)
    model.compile(loss="mse")
    model.named_weights["rec/bias"][4:8] = -5
    rec = model.trace(np.zeros((2, 200, 3)), np.ones(2))["rec"]
    assert "underflow" in rec.status("dc")
    assert [text.get_text() for text in plots.gradient_flow(rec, "dc").texts] == ["underflow"]


def test_training_figures_draw_the_records():
    model = ml.Sequential([ml.LSTM(4, input_shape=(T, 3), name="rec"), ml.Dense(1)], seed=1)
    model.compile(loss="mse", optimizer=ml.SGD(clipnorm=1e-3))
    tracer, rng = ml.GradientTracer(), np.random.default_rng(0)
    x, y = rng.normal(size=(8, T, 3)), rng.normal(size=8)
    model.fit(x, y, batch_size=2, callbacks=[tracer], verbose=0)
    shown = plots.training_heatmap(tracer, "rec", "dc").get_images()[1].get_array()
    np.testing.assert_array_equal(np.ma.filled(shown, np.nan), tracer.norms("rec", "dc").T)
    ax = plots.clipping(tracer)
    norms = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
    assert norms["before clipping"].tolist() == [record.norm for record in tracer.records]
    assert ax.get_title(loc="left") == "100% of 4 batches clipped"
    drawn = {line.get_label() for line in plots.updates(tracer).get_lines()}
    assert {"rec/kernel", "rec/recurrent_kernel", "dense/kernel"} <= drawn


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["html", "pdf", "png"])
def test_trace_report_writes_one_page(any_trace, kind, tmp_path):
    path = plots.trace_report(any_trace, tmp_path / f"page.{kind}", title="<b>&")
    data = path.read_bytes()
    assert data.startswith({"html": b"<!doctype", "pdf": b"%PDF", "png": b"\x89PNG"}[kind])
    if kind == "html":
        text = data.decode()
        assert "&lt;b&gt;&amp;" in text
        assert str(any_trace["rec"].verdict()).replace("<", "&lt;") in text
        assert text.count("<svg role=") == 6
        assert "fill: #000000" not in text  # ink and ground are the page's
        assert "fill: #ffffff" not in text
        what = (
            f"{any_trace['rec'].cell.name} of 4 units, 4 samples of 7 steps, at most 7 of them real, float64"
        )
        assert f"{what}</p>" in text
        assert f"minilstm {ml.__version__}" in text


def test_the_heatmap_tells_steps_that_are_not_there_from_zero_and_from_what_is_no_number():
    layer = ml.LSTM(4, input_shape=(None, 3), name="rec")
    model = ml.Sequential([layer, ml.Dense(1)], seed=1, dtype="float64")
    model.compile(loss="mse")
    tracer, rng = ml.GradientTracer(), np.random.default_rng(0)
    x = rng.normal(size=(4, T, 3))
    model.fit([(x, np.ones(4)), (x[:, :5], np.ones(4))], callbacks=tracer, verbose=0)
    tracer.records[0].layers["rec"].states["dh"][2:4] = 0, np.nan
    zero, shown, bad = (image.get_array() for image in plots.training_heatmap(tracer, "rec").get_images())
    there = np.arange(T)[:, None] < [T, 5]
    np.testing.assert_array_equal(~zero.mask, there)
    np.testing.assert_array_equal(~bad.mask, there & (np.arange(T)[:, None] == 3) & [True, False])
    np.testing.assert_array_equal(
        ~shown.mask, there & ~((np.arange(T)[:, None] >= 2) & (np.arange(T)[:, None] < 4) & [True, False])
    )


@pytest.mark.parametrize(("values", "expected"), [([0.08, 0.5], ["0.1", "0.2", "0.5"]), ([1e-9, 1e3], None)])
def test_a_log_axis_of_little_range_has_more_than_one_tick(values, expected):
    figure, (ax,) = plots.new_figure()
    plots.log_line(ax, np.arange(2), values)
    figure.draw_without_rendering()
    low, high = ax.get_ylim()
    inside = [
        text.get_text()
        for text, place in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)
        if low <= place <= high
    ]
    if expected:
        assert inside == expected
    else:
        assert [text for text in inside if text] == ["10⁻⁹", "10⁻⁷", "10⁻⁵", "10⁻³", "10⁻¹", "10¹", "10³"]


def test_side_by_side_has_a_line_and_a_row_of_routes_for_each(any_trace, layer_trace):
    traces = {"one": any_trace["rec"], "other": layer_trace}
    flow, routes = plots.side_by_side(traces).axes
    drawn = {line.get_label(): line.get_ydata() for line in flow.get_lines()}
    for place, (label, layer) in enumerate(traces.items()):
        name = f"d{layer.states[-1]}"
        np.testing.assert_array_equal(drawn[label], layer.lag_norm(name))
        row = [patch for patch in routes.patches if round(patch.get_y() + 0.35) == place]
        shares = layer.ledger().mean_shares()
        np.testing.assert_allclose([patch.get_width() for patch in row], list(shares.values()))
        assert routes.get_yticklabels()[place].get_text() == f"{label}: {layer.verdict(name).word}"
    legend = [text.get_text() for text in routes.get_legend().get_texts()]
    assert len(legend) == len(set(legend)) >= 2


@pytest.mark.slow
def test_a_page_of_several_traces_begins_with_their_comparison(any_trace, tmp_path):
    page = plots.trace_report({"before <": any_trace, "after": any_trace}, tmp_path / "p.html").read_text()
    first, *blocks = page.split("<h2>")
    assert 'aria-label="comparison"' in first
    assert "before &lt;: the gradient of" in first
    assert [block.split(" (")[0] for block in blocks] == ["before &lt;", "after"]
    assert plots.trace_report({"a": any_trace, "b": any_trace}, tmp_path / "p.pdf").stat().st_size > 1000


def test_the_headline_says_what_where_and_through_which_path(layer_trace):
    from minilstm.plots.report import layer_words

    verdict = layer_trace.verdict("dc")
    headline, *details = layer_words(layer_trace)
    assert headline.startswith("rec: the gradient of c ")
    assert f"{verdict.length - 1} steps back" in headline
    assert re.search(r"\d+% of it arrives through the (carousel|recurrent weights)", headline)
    assert details == [f"rec, {layer_trace.verdict('dh')}", f"rec, {verdict}"]


def overflowing(scale):
    """A trace of float32 recurrent weights so large that the gradient overflows, or explodes."""
    layer = ml.LSTM(32, input_shape=(200, 3), name="rec", backend="numpy")
    model = ml.Sequential([layer, ml.Dense(1)], seed=0)
    model.compile(loss="mse")
    model.named_weights["rec/recurrent_kernel"][...] *= scale
    return model.trace(np.random.default_rng(0).normal(size=(2, 200, 3)), np.ones(2))["rec"]


@pytest.mark.parametrize(
    ("scale", "word", "pattern"),
    [
        (16, "exploding", r"the gradient of c explodes: .* times as large 199 steps back, doubling every \d"),
        (
            64,
            "not finite",
            r"the gradient of c overflows: no number from \d+ steps back on, doubling every \d",
        ),
    ],
)
def test_headlines_of_what_explodes(scale, word, pattern):
    from minilstm.plots.report import layer_words

    rec = overflowing(scale)
    assert rec.verdict("dc").word == word
    assert re.search(pattern, layer_words(rec)[0])
    texts = [text.get_text() for text in plots.gradient_flow(rec, "dc").texts]
    assert texts == (["not finite"] if word == "not finite" else [])


def test_trace_report_of_a_gradient_that_is_not_finite(tmp_path):
    model = ml.Sequential([ml.LSTM(4, input_shape=(T, 3), name="rec"), ml.Dense(1)], seed=1)
    model.compile(loss="mse")
    model.named_weights["rec/kernel"][...] = np.nan
    trace = model.trace(np.ones((2, T, 3)), np.ones(2))
    text = plots.trace_report(trace, tmp_path / "page.html").read_text()
    assert "NaN in rec/kernel (entry 0, 0)" in text
    assert "dh: not finite" in text


def test_trace_report_of_an_all_masked_batch(tmp_path):
    model = ml.Sequential([ml.LSTM(4, input_shape=(T, 3), name="rec"), ml.Dense(1)], seed=1)
    model.compile(loss="mse")
    trace = model.trace(np.ones((2, T, 3)), np.ones(2), np.zeros((2, T), bool))
    assert "no gradient arrives" in plots.trace_report(trace, tmp_path / "page.html").read_text()


def test_figures_of_layers_in_a_wrapper(tmp_path):
    """Each under its name in the trace; of the one that reads backwards the steps say so."""
    layer = ml.Bidirectional(ml.LSTM(4, name="rec"), input_shape=(T, 3))
    model = ml.Sequential([layer, ml.Dense(1)], seed=1)
    model.compile(loss="mse")
    rng, tracer = np.random.default_rng(0), ml.GradientTracer()
    x, y = rng.normal(size=(8, T, 3)), rng.normal(size=8)
    model.fit(x, y, batch_size=2, callbacks=[tracer], verbose=0)
    trace = model.trace(x, y)
    page = plots.trace_report(trace, tmp_path / "page.html").read_text()
    for direction, label in (("forward", "time step"), ("backward", "step of reading, from the end")):
        name = f"bidirectional/{direction}_rec"
        assert f"<h2>{name} (lstm)</h2>" in page
        assert plots.heatmap(trace[name], "f").get_xlabel() == label
        assert plots.contributions(trace[name]).get_xlabel() == label
        assert plots.credit_map(trace[name]).get_xlabel() == f"{label}, s"
        assert plots.training_heatmap(tracer, name).get_title(loc="left") == f"{name}: dh over training"
    drawn = {line.get_label() for line in plots.updates(tracer).get_lines()}
    assert {"bidirectional/forward_rec/kernel", "bidirectional/backward_rec/kernel"} <= drawn


def test_figures_of_what_is_not_there(layer_trace):
    with pytest.raises(ValueError, match="sample must be a row of the batch, 0 to 2, got 3"):
        plots.heatmap(layer_trace, "f", 3)
    with pytest.raises(ValueError, match=r"name must be 'h' or 'c' or .*, got 'z'"):
        plots.heatmap(layer_trace, "z")
    with pytest.raises(ValueError, match="traces must be at least one trace by its label, got none"):
        plots.side_by_side({})


def test_trace_report_refuses_labels_that_no_file_can_hold(any_trace, tmp_path):
    with pytest.raises(ValueError, match=r"labels of traces must be .* of text that UTF-8 has"):
        plots.trace_report({"a\ud800": any_trace}, tmp_path / "page.png")
    assert not list(tmp_path.iterdir())


def test_trace_report_refuses_other_endings(any_trace, tmp_path):
    with pytest.raises(
        ValueError, match=r"path must be one that ends in .html, .pdf or .png, got '.*page.svg'"
    ):
        plots.trace_report(any_trace, tmp_path / "page.svg")
