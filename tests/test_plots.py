"""The figures hold the data they claim to show, and touch nothing global."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import minilstm as ml
from minilstm import plots

T = 7


@pytest.fixture(scope="module")
def layer_trace():
    model = ml.Sequential([ml.LSTM(4, input_shape=(T, 3), name="rec"), ml.Dense(1)], seed=1, dtype="float64")
    model.compile(loss="mse")
    rng = np.random.default_rng(0)
    mask = ml.lengths_to_mask([7, 5, 3], T, padding="post")
    return model.trace(rng.normal(size=(3, T, 3)), rng.normal(size=3), mask)["rec"]


def test_doctests():
    assert doctest.testmod(plots).failed == 0


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
    assert ax.get_xlabel() == "steps before the end"


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


def test_against_length_draws_intervals_and_marks_gaps():
    rows = [
        {"length": 5, "y": 0.5, "low": 0.4, "high": 0.7},
        {"length": 9, "y": None, "low": None, "high": None},
    ]
    _, (ax,) = plots.new_figure()
    plots.against_length(ax, rows, "y", low="low", high="high", label="a")
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
