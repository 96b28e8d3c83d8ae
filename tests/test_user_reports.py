"""reports.md is complete: each report names a test that exists, or is listed here as open."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest

import minilstm as ml

TESTS = Path(__file__).parent
OPEN: set[str] = set()
SOURCES = """
    fairseq PR#860, tsfresh#162, keras#496, keras#5048, keras#4379, rf-detr#1321,
    tensorflow-onnx#1871, keras#21305, ISLP#9, nolearn#7, keras#13940, keras-io#1568,
    DeepLabCut PR#3183, keras PR#22967, keras#19898, skorch#673, keras#4186, keras#4756,
    tensorflow#2803, keras#2322, tensorflow#39146, tensorflow#34158, keras#4192, tensorflow#36139,
    keras#1624, pytorch#4582, tensorflow#30430, keras#16151, keras#14630, keras#14490, keras#6399,
    keras#12511, keras#12577, pytorch#48460, onnxscript#2852, tensorflow#49240, pytorch#49555,
    numba#4908
"""
ROW = re.compile(r"^\| ([^|]+?) \| [^|]{20,} \| (?:`(.+?)::(.+?)`|open) \|$")


def rows():
    lines = [line for line in (TESTS / "reports.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    found = [ROW.match(line) for line in lines[1:]]
    assert all(found), "a row that cannot be read"
    return [row.groups() for row in found if row is not None]


def test_every_report_is_held():
    named = [source for source, _, _ in rows()]
    assert sorted(named) == sorted(source.strip() for source in SOURCES.split(","))
    assert {source for source, file, _ in rows() if file is None} == OPEN


def test_the_tests_exist():
    for source, file, name in rows():
        if file is not None:
            tree = ast.parse((TESTS / file).read_text("utf-8"))
            functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
            assert name in functions, f"{source}: {file} has no {name}"


# ---- reports without another home ----

X = np.random.default_rng(0).normal(size=(6, 5, 2))


def small(**options):
    model = ml.Sequential([ml.LSTM(3, name="rec", **options), ml.Dense(1)], seed=0, dtype="float64")
    model.compile("sgd", "mse")
    return model


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_file_from_before_keras_3_is_named(keras, tmp_path):
    """keras#19898: written by Keras itself, whole and weights alone."""
    theirs = keras.Sequential([keras.Input((5, 2)), keras.layers.LSTM(3), keras.layers.Dense(1)])
    theirs.save(tmp_path / "old.h5")
    for load in (
        lambda path: ml.interop.from_keras(path),
        lambda path: ml.interop.load_keras_weights(small(input_shape=(5, 2)), path),
    ):
        with pytest.raises(ml.WeightsFileError, match=r"old.h5: it is an .h5 file as before Keras 3"):
            load(tmp_path / "old.h5")


def test_the_last_piece_of_truncation_may_be_one_step():
    """tensorflow#2803, small: of 5 steps with k = 4 only the last is reached; with k = 5 all are."""
    for k, reached in ((4, [False] * 4 + [True]), (5, [True] * 5)):
        trace = small(truncate_steps=k).trace(X, np.ones(6))
        assert (trace["rec"].norm("dh") > 0).tolist() == reached


def test_a_stateful_model_names_a_batch_of_another_size():
    """keras#2322: the error says both sizes and what to do."""
    model = small(stateful=True)
    model.predict(X, batch_size=6)
    with pytest.raises(ValueError, match=r"6.*4|4.*6"):
        model.predict(X[:4], batch_size=4)


def test_the_gradient_of_the_first_step_is_the_total_one():
    """keras#16151: dL/dh_0 by central differences, through a state that is nudged after one step."""
    model, y = small(), np.ones(6)
    trace = model.trace(X, y)
    layer = model.layers[0]
    kernel, bias = model.layers[1].get_weights()
    h, c = trace["rec"].h[:, 0], trace["rec"].c[:, 0]

    def loss(h):
        last = layer(X[:, 1:], initial_state=[h, c])
        return np.mean(((last @ kernel + bias)[:, 0] - y) ** 2)

    found = np.zeros_like(h)
    for place in np.ndindex(h.shape):
        step = np.zeros_like(h)
        step[place] = 1e-5
        found[place] = (loss(h + step) - loss(h - step)) / 2e-5
    assert np.abs(found).max() > 0
    np.testing.assert_allclose(trace["rec"].dh[:, 0], found, atol=1e-8 * np.abs(found).max() + 1e-12)


def test_targets_without_an_axis_are_not_broadcast():
    """keras#14630: (N,) against (N, 1) is N errors, not N squared."""
    model, y = small(), np.arange(6.0)
    expected = np.mean((model.predict(X)[:, 0] - y) ** 2)
    broadcast = np.mean((model.predict(X) - y) ** 2)
    assert abs(expected - broadcast) > 0.1
    for targets in (y, y[:, None]):
        np.testing.assert_allclose(model.evaluate(X, targets), expected, rtol=1e-12)
