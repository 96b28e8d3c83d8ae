"""How long a cold state takes to agree: measured, and predicted from the Lyapunov exponent."""

from __future__ import annotations

import numpy as np
import pytest

import minilstm as ml

LAYERS = {"lstm": ml.LSTM, "gru": ml.GRU, "simple_rnn": ml.SimpleRNN}


def trained(kind, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(32, 30, 3)).astype("float32")
    model = ml.Sequential([LAYERS[kind](5, input_shape=(None, 3)), ml.Dense(2)], seed=seed)
    model.compile(ml.Adam(0.01), "mse")
    model.fit(x, x[:, -4:, :2].sum(axis=1), epochs=10, verbose=0)
    return model


@pytest.mark.parametrize(
    ("kind", "seed"), [("lstm", 0), ("lstm", 1), ("gru", 0), ("gru", 1), ("simple_rnn", 0)]
)
def test_measured_and_predicted_are_within_a_factor_of_two(kind, seed):
    found = ml.stream_warmup(trained(kind, seed), np.random.default_rng(9).normal(size=(2, 400, 3)))
    assert found.forgets
    assert found.predicted / 2 < found.measured < found.predicted * 2
    assert found.measured <= found.longest < 200
    assert "a cold state agrees to 1e-06" in str(found)


def test_what_is_measured_is_what_a_cold_stream_does():
    """In float64, with a tolerance that cannot be missed: the states of a stream that begins so late."""
    layer = ml.SimpleRNN(1, input_shape=(None, 1), backend="numpy")
    model = ml.Sequential([layer], dtype="float64", seed=0)
    layer.set_weights([np.ones((1, 1)), np.full((1, 1), 0.5), np.zeros(1)])
    x = np.zeros((1, 200, 1))
    x[:, 0] = 1e-3  # later nothing comes: h halves at each step, and a cold state stays 0
    found = ml.stream_warmup(model, x, tolerance=0.1)
    assert found.measured == np.inf  # relative to a state that itself dies out, zero never agrees
    x[:] = 1e-3  # h goes to 2e-3, a cold state to the same: half of what is missing goes at each step
    found = ml.stream_warmup(model, x, tolerance=2.0**-10 * 1.01)
    assert found.measured == 10
    assert found.exponent == pytest.approx(np.log(0.5), rel=1e-4)


def test_a_network_that_does_not_forget_is_told_so():
    layer = ml.SimpleRNN(2, input_shape=(None, 1), backend="numpy")
    model = ml.Sequential([layer], dtype="float64", seed=0)
    layer.set_weights([np.ones((1, 2)), np.array([[3.0, 0], [0, 3.0]]), np.zeros(2)])  # two wells each
    x = np.zeros((1, 64, 1))
    x[0, 0] = 1.0
    found = ml.stream_warmup(model, x)
    assert found.measured == np.inf
    layer.set_weights([np.ones((1, 2)), np.eye(2), np.zeros(2)])  # at h = 0 the slope is exactly 1
    found = ml.stream_warmup(model, np.zeros((1, 64, 1)))
    assert found.predicted == np.inf
    assert not found.forgets
    assert "does not forget" in str(found)


def test_a_stateful_layer_begins_with_nothing():
    model, x = trained("lstm"), np.random.default_rng(9).normal(size=(2, 100, 3))
    expected = ml.stream_warmup(model, x)
    model.layers[0].stateful = True
    model.predict(x[:1], batch_size=1)
    assert ml.stream_warmup(model, x) == expected


def test_bad_input():
    model = trained("lstm")
    with pytest.raises(ValueError, match="tolerance must be a finite number > 0 and < 1, got 0"):
        ml.stream_warmup(model, np.ones((1, 40, 3)), tolerance=0)
    with pytest.raises(ValueError, match=r"x must be of at least 1 sequence of 16 steps, got \(1, 9, 3\)"):
        ml.stream_warmup(model, np.ones((1, 9, 3)))


def test_what_is_no_model_is_named():
    with pytest.raises(TypeError, match="model must be a Sequential, got None"):
        ml.stream_warmup(None, np.zeros((1, 40, 2)))
