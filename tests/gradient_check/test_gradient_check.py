"""gradcheck on this package's own gradients: exact, honest about what it saw, and able to fail."""

from __future__ import annotations

import json

import numpy as np
import pytest

import minilstm as ml
from minilstm.gradient_check import gradcheck
from minilstm.layers import Layer, recurrent

CELLS = {"lstm": ml.LSTM, "gru": ml.GRU, "simple_rnn": ml.SimpleRNN}
EXACT = 1e-11


def network(
    cell="lstm",
    T=5,
    B=2,
    D=3,
    H=4,
    *,
    seed=0,
    units=1,
    activation=None,
    loss="mse",
    dtype="float64",
    **options,
):
    """A compiled model, and x, y, and an initial state for it."""
    rng = np.random.default_rng([seed, T, B, D, H])
    layers = [CELLS[cell](H, input_shape=(T, D), name="rec", **options), ml.Dense(units, activation)]
    model = ml.Sequential(layers, dtype=dtype, seed=seed)
    model.compile(loss=loss)
    state = [rng.uniform(-0.9, 0.9, (B, H)) for _ in layers[0].cell.states]
    y = rng.normal(size=(B, units)) if loss == "mse" else rng.integers(0, 2, (B, 1))
    return model, rng.normal(size=(B, T, D)), y, {"rec": state}


def mask_of(kind, B, T, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, T + 1, B)
    steps = np.arange(T)
    return {
        "none": None,
        "post": steps < lengths[:, None],
        "pre": steps >= T - lengths[:, None],
        "random": rng.random((B, T)) < 0.6,
        "all": np.zeros((B, T), bool),
    }[kind]


# ------------------------------------------------------------------------------ exactness


@pytest.mark.parametrize("method", ["complex", "directional"])
def test_a_derivative_of_exactly_0_is_0_beside_a_third_derivative_that_is_not(method):
    model, x, _, _ = network(B=1)
    report = gradcheck(model, 0 * x, np.zeros((1, 1)), method=method)  # output and residual are 0
    assert report.ok, str(report)
    assert all(not comparison.numeric.any() for comparison in report.comparisons)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("length", [1, 2, 5, 50])
def test_every_gradient_is_exact(cell, length):
    model, x, y, state = network(cell, length)
    report = gradcheck(model, x, y, initial_state=state)
    assert report.ok, str(report)
    assert all(one.counted == one.numeric.size for one in report.comparisons)
    assert report.max_error <= EXACT
    assert report["dx"].elementwise(0) <= EXACT
    for name in model.layers[0].cell.states:
        assert report[f"rec/d{name}"].norm_error().max() <= EXACT


def vanish_to(model, x, y, state, exponent):
    """Close the gate that carries the gradient until the largest entry of dx_0 is about 10**exponent."""
    layer = model.layers[0]
    if layer.cell.name == "simple_rnn":
        knob, low, high = layer.params["recurrent_kernel"], 1e-2, 1.5
        before = knob.copy()
    else:
        layer.params["recurrent_kernel"] *= 0.3
        block = {"lstm": slice(3, 6), "gru": slice(0, 3)}[layer.cell.name]  # f and z
        knob, low, high = layer.params["bias"][..., block], -3.0, 8.0
        before = 1
    for _ in range(60):
        knob[...] = before * (low + high) / 2
        first = np.abs(model.trace(x, y, initial_state=state)["rec"].dx[:, 0]).max()
        found = np.log10(first) if first > 0 else -400
        if abs(found - exponent) < 2:
            return
        low, high = ((low + high) / 2, high) if found < exponent else (low, (low + high) / 2)
    raise AssertionError(found)


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("length", "exponent", "entries"), [(200, -40, 60), (1000, -240, 24)])
def test_a_vanished_gradient_is_exact_too(cell, length, exponent, entries):
    """At T = 1000 a gradient of 1e-240 reaches the first step, and every entry of it is right."""
    model, x, y, state = network(cell, length, H=3, D=2)
    vanish_to(model, x, y, state, exponent)
    report = gradcheck(model, x, y, initial_state=state, entries=entries)
    assert report.ok, str(report)
    assert report.max_error <= EXACT
    assert report["dx"].elementwise(0) <= EXACT
    for name in model.layers[0].cell.states:
        assert report[f"rec/d{name}"].norm_error().max() <= EXACT
        assert report[f"rec/d{name}"].checked[:, 0].all()
    assert np.log10(np.abs(report["dx"].numeric[:, 0]).max()) == pytest.approx(exponent, abs=3)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("kind", ["post", "pre", "random", "all"])
def test_masks(cell, kind):
    model, x, y, state = network(cell, 6, B=4)
    report = gradcheck(model, x, y, mask_of(kind, 4, 6), initial_state=state)
    assert report.ok, str(report)
    assert report.max_error <= EXACT


@pytest.mark.parametrize(
    ("loss", "activation", "units"),
    [
        ("mse", None, 3),
        ("mse", "tanh", 2),
        ("binary_crossentropy", "sigmoid", 1),
        ("binary_crossentropy", "relu", 1),
        ("categorical_crossentropy", "softmax", 3),
        ("sparse_categorical_crossentropy", "softmax", 3),
        ("sparse_categorical_crossentropy", "sigmoid", 3),
    ],
)
@pytest.mark.parametrize("sequences", [False, True])
def test_losses(loss, activation, units, sequences):
    rng = np.random.default_rng(1)
    T, B = 4, 3
    model = ml.Sequential(
        [ml.LSTM(4, return_sequences=sequences, input_shape=(T, 2)), ml.Dense(units, activation)],
        dtype="float64",
        seed=1,
    )
    model.compile(loss=loss)
    if activation == "relu":
        model.layers[1].params["bias"] += 0.5
    shape = (B, T) if sequences else (B,)
    y = rng.integers(0, units if units > 1 else 2, shape)
    if loss == "categorical_crossentropy":
        y = np.eye(units)[y]
    elif loss == "mse":
        y = rng.normal(size=(*shape, units))
    mask = mask_of("post", B, T)
    report = gradcheck(model, rng.normal(size=(B, T, 2)), y, mask)
    assert report.ok, str(report)
    assert report.max_error <= EXACT


@pytest.mark.filterwarnings("ignore:no compiled kernel")
def test_deep_models_of_all_layers():
    rng = np.random.default_rng(2)
    model = ml.Sequential(
        [
            ml.Embedding(7, 3, mask_zero=True),
            ml.LSTM(4, return_sequences=True, peepholes=True, name="first"),
            ml.Dropout(0.5),
            ml.GRU(3, return_sequences=True, name="second"),
            ml.Dense(2, "tanh", kernel_regularizer="l2"),
            ml.GlobalAveragePooling1D(),
            ml.Dense(3, "softmax", kernel_regularizer="l1"),
        ],
        dtype="float64",
        seed=2,
    )
    model.compile(loss="sparse_categorical_crossentropy")
    ids = rng.integers(0, 7, (4, 5))
    model.predict(ids)
    model.layers[1].params["peepholes"] += rng.normal(size=(3, 4))
    report = gradcheck(model, ids, rng.integers(0, 3, 4))
    assert report.ok, str(report)
    names = [one.name for one in report.comparisons]
    assert "dx" not in names  # ids have no gradient
    assert {"embedding/embeddings", "first/peepholes", "second/bias", "first/dc", "second/dz"} <= set(names)


@pytest.mark.parametrize(
    "options",
    [
        {"peepholes": True},
        {"forget_gate": "coupled"},
        {"forget_gate": "none", "peepholes": True},
        {"activation": "sigmoid", "recurrent_activation": "tanh"},
        {"checkpoint_steps": 2},
        {"use_bias": False},
        {"backend": "numpy"},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:no compiled kernel")
def test_variants_of_the_lstm(options):
    model, x, y, state = network(T=5, B=3, **options)
    if "peepholes" in model.layers[0].params:
        model.layers[0].params["peepholes"] += np.random.default_rng(0).normal(
            size=model.layers[0].params["peepholes"].shape
        )
    report = gradcheck(model, x, y, mask_of("random", 3, 5), initial_state=state)
    assert report.ok, str(report)


def test_masking_layer_and_a_dense_layer_first():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(3, 5, 2))
    x[0, 3:] = 0
    model = ml.Sequential([ml.Masking(input_shape=(5, 2)), ml.LSTM(3), ml.Dense(1)], dtype="float64", seed=3)
    model.compile(loss="mse")
    report = gradcheck(model, x, rng.normal(size=3))
    assert report.ok, str(report)
    assert not report["dx"].numeric[0, 3:].any()
    model = ml.Sequential(
        [ml.Dense(4, "tanh", input_shape=(5, 2)), ml.GRU(3), ml.Dense(1)], dtype="float64", seed=3
    )
    model.compile(loss="mse")
    assert gradcheck(model, x, rng.normal(size=3)).ok


# ------------------------------------------------------------------------------ the other methods


@pytest.mark.slow
def test_central_differences_say_what_they_cannot_see():
    model, x, y, state = network(T=60, unit_forget_bias=False)
    report = gradcheck(model, x, y, method="central", initial_state=state, entries=60)
    assert report.ok, str(report)
    assert report["rec/kernel"].blind == 0
    assert report["rec/dh"].blind > 5
    assert "smaller than what central differences can see: of those it says nothing" in report.verdict


def test_the_bound_of_central_differences_holds():
    """Held against the complex step: no entry is further off than its bound says."""
    model, x, y, state = network(T=10)
    exact = gradcheck(model, x, y, initial_state=state)
    rough = gradcheck(model, x, y, initial_state=state, method="central")
    for one, other in zip(exact.comparisons, rough.comparisons, strict=True):
        error = np.abs(one.numeric - other.numeric)[other.checked]
        assert (error <= np.broadcast_to(other.bound, other.numeric.shape)[other.checked]).all(), one.name


def test_directional_is_one_number_for_each_tensor():
    model, x, y, state = network(T=30, H=16)
    report = gradcheck(model, x, y, method="directional", initial_state=state)
    assert report.ok, str(report)
    assert [one.counted for one in report.comparisons] == [1] * 8


# ------------------------------------------------------------------------------ it can fail


@pytest.mark.parametrize("method", ["complex", "central", "directional"])
def test_a_wrong_gradient_is_found(method, monkeypatch):
    """The kernel's gradient 1 % too large, in one entry of gate o."""
    named = recurrent.Recurrent.named

    def wrong(self, gradients):
        found = named(self, gradients)
        found["kernel"][1, -1] *= 1.01
        return found

    monkeypatch.setattr(recurrent.Recurrent, "named", wrong)
    model, x, y, state = network()
    report = gradcheck(model, x, y, method=method, initial_state=state)
    assert not report.ok
    assert [one.name for one in report.wrong] == ["rec/kernel"]
    if method == "complex":
        assert report.worst.place == (1, 15)
        assert report.worst.gate == "o"
        assert report.worst.ratio == pytest.approx(1.01)
        assert "rec/kernel, gate o. First wrong entry: row 1, column 15" in report.verdict


def test_truncation_is_found_and_explained():
    model, x, y, state = network(T=12, truncate_steps=4)
    report = gradcheck(model, x, y, initial_state=state)
    assert not report.ok
    assert "rec/dh: right from step 11 back to 8, wrong at step 7 (8 of 12 steps are wrong)" in report.verdict
    assert "layer 'rec' truncates the gradient at every 4. step" in str(report)


class Halver(Layer):
    """A user's own layer, y = x / 2, with a wrong backward."""

    factor = 0.5

    def output_shape(self, input_shape):
        return input_shape

    def forward(self, x, mask, *, keep, rng=None):
        return x * 0.5, mask, None

    def backward(self, dy, tape, *, need_dx):
        return dy * self.factor, {}


def test_a_user_s_layer():
    model, x, y, _ = network()
    layers = [
        ml.LSTM(4, input_shape=(5, 3), return_sequences=True, name="rec"),
        Halver(),
        ml.GRU(2),
        ml.Dense(1),
    ]
    model = ml.Sequential(layers, dtype="float64", seed=0)
    model.compile(loss="mse")
    assert gradcheck(model, x, y).ok
    Halver.factor = 1.0
    try:
        report = gradcheck(model, x, y)
    finally:
        Halver.factor = 0.5
    wrong = {one.name for one in report.wrong}
    assert wrong == {one.name for one in report.comparisons if one.name.startswith(("rec/", "dx"))}
    assert report.worst.ratio == pytest.approx(2)


class Absolute(Halver):
    def forward(self, x, mask, *, keep, rng=None):
        return np.abs(x), mask, np.sign(x)

    def backward(self, dy, tape, *, need_dx):
        return dy * tape, {}


def test_a_layer_that_is_not_complex_safe_is_refused():
    """|x| drops the imaginary part: its gradient is right, and the complex step cannot see it."""
    _, x, y, _ = network()
    model = ml.Sequential(
        [ml.LSTM(4, input_shape=(5, 3), name="rec"), Absolute(), ml.Dense(1)], dtype="float64", seed=0
    )
    model.compile(loss="mse")
    with pytest.raises(ValueError, match="method must be 'central' for this model, whose forward pass"):
        gradcheck(model, x, y)
    assert gradcheck(model, x, y, method="central").ok


# ------------------------------------------------------------------------------ report and arguments


def test_the_report_is_json_and_says_what_was_checked():
    model, x, y, state = network(T=6)
    report = gradcheck(model, x, y, initial_state=state, entries=5)
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert found["ok"] is True
    tensors = {one["tensor"]: one for one in found["tensors"]}
    assert tensors["rec/kernel"]["entries"] == 48
    assert 5 <= tensors["rec/kernel"]["checked"] <= 6  # the largest is always among them
    assert len(tensors["rec/dh"]["by_step"]) == 6
    assert list(tensors["rec/dz"]["by_gate"]) == ["i", "f", "g", "o"]
    assert " of 48 " in str(report)
    again = gradcheck(model, x, y, initial_state=state, entries=5)
    assert again.to_dict() == report.to_dict()
    other = gradcheck(model, x, y, initial_state=state, entries=5, seed=1)
    assert (other["rec/kernel"].checked != report["rec/kernel"].checked).any()


def test_the_model_is_left_as_it_was():
    model, x, y, _ = network(dtype="float32")
    before = [weight.tobytes() for weight in model.get_weights()]
    report = gradcheck(model, x, y)
    assert report.ok, str(report)
    assert "checked in float64; the model trains in float32" in str(report)
    assert [weight.tobytes() for weight in model.get_weights()] == before
    assert {weight.dtype.name for weight in model.get_weights()} == {"float32"}
    assert model.layers[0].backend == "numba"


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (
            {"method": "exact"},
            ValueError,
            "method must be 'complex' or 'central' or 'directional', got 'exact'",
        ),
        ({"entries": 0}, ValueError, "entries must be a whole number >= 1, got 0"),
        ({"tolerance": 0}, ValueError, "tolerance must be a finite number > 0, got 0"),
        ({"seed": -1}, ValueError, "seed must be a whole number >= 0, got -1"),
        ({"initial_state": {"other": []}}, ValueError, "initial_state must be 'rec', got 'other'"),
        ({"model": None}, TypeError, "model must be a Sequential, got NoneType"),
        ({"x": np.full((2, 5, 3), np.nan)}, ValueError, "x must be finite, got NaN"),
    ],
)
def test_bad_arguments(arguments, error, text):
    model, x, y, _ = network()
    given = {"model": model, "x": x, "y": y} | arguments
    with pytest.raises(error, match=text.replace("(", r"\(")):
        gradcheck(**given)


def test_the_plot_shows_errors_by_gate_and_step():
    model, x, y, state = network(T=6, truncate_steps=3)
    report = gradcheck(model, x, y, initial_state=state)
    ax = ml.plots.gradient_errors(report)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["i", "f", "g", "o", "tolerance"]
    worst = ax.lines[0].get_ydata()
    assert len(worst) == 6
    assert (worst[:3] > 1e-3).all()  # cut before step 3
    assert ml.plots.gradient_errors(report, "rec/dh").get_title(loc="left").startswith("rec/dh")
    with pytest.raises(ValueError, match="tensor must have time steps, got 'rec/kernel'"):
        ml.plots.gradient_errors(report, "rec/kernel")


def test_an_unknown_tensor_is_named():
    model, x, y, _ = network()
    with pytest.raises(KeyError, match="tensor must be one of"):
        gradcheck(model, x, y, entries=1)["rec/nothing"]


def test_a_layer_within_a_wrapper_is_checked_by_its_weights_and_says_so():
    layer = ml.Bidirectional(ml.GRU(2, name="rec"), input_shape=(4, 2))
    model = ml.Sequential([layer, ml.Dense(1)], dtype="float64", seed=0)
    model.compile(loss="mse")
    report = gradcheck(model, np.random.default_rng(0).normal(size=(2, 4, 2)), np.ones(2))
    assert report.ok
    assert report["bidirectional/backward_rec/recurrent_kernel"].gates == ("z", "r", "g")
    (note,) = report.notes
    names = "bidirectional/backward_rec, bidirectional/forward_rec"
    assert note == f"{names}: within a wrapper, so checked by their weights and dx, not step by step"
