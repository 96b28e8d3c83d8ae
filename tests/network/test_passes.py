"""Forward, loss and backward through layers in a row: every weight's gradient against the complex step."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from tolerances import check

import minilstm as ml
from minilstm.losses import MeanSquaredError
from minilstm.network import passes

B, T, D = 3, 5, 2


def rows_of_layers():
    options = {"return_sequences": True, "backend": "numpy"}
    both = ml.Bidirectional(ml.SimpleRNN(2, **options))
    return {
        "one": [ml.LSTM(3, backend="numpy")],
        "stacked": [ml.GRU(3, kernel_regularizer="l2", **options), ml.LSTM(2, backend="numpy"), ml.Dense(2)],
        "both ways": [both, ml.TimeDistributed(ml.Dense(2))],
    }


@pytest.mark.parametrize("name", rows_of_layers())
@pytest.mark.parametrize("masked", [False, True])
def test_gradients_of_all_weights_are_the_complex_step_s(name, masked):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(B, T, D))
    mask = np.arange(T) < np.array([[5], [3], [1]]) if masked else None
    model = ml.Sequential(rows_of_layers()[name], dtype="float64", seed=0)
    model.compile(loss="mse")
    model.predict(x)
    loss, layers = MeanSquaredError(), model.layers
    done = passes.forward(layers, x, mask, keep="boundaries")
    y = rng.normal(size=done.output.shape)
    found = passes.loss_and_gradient(layers, loss, y, done)
    grads, traces = passes.backward(layers, found, done)
    assert list(grads) == list(model.named_weights)
    assert traces == {}

    def value(*arrays):
        left = iter(arrays)
        for leaf in (leaf for layer in layers for leaf in getattr(layer, "sublayers", (layer,))):
            leaf.params.update({key: next(left) for key in leaf.params})
        done = passes.forward(layers, x.astype(complex), mask, keep="outputs")
        logits = layers[-1].logits(done.tapes[-1])
        return complex(passes.loss_of(layers, loss, y, done.output, logits, done.mask)[0])

    weights = list(model.named_weights.values())
    for key, exact in zip(grads, oracle.complex_step(value, weights), strict=True):
        check(grads[key], exact, 1e-12, what=key)


def test_a_recorded_pass_gives_the_same_gradients_and_traces_by_layer():
    x, y = np.ones((B, T, D)), np.ones((B, 2))
    model = ml.Sequential([ml.LSTM(3, return_sequences=True), ml.Bidirectional(ml.GRU(1))], seed=0)
    model.compile(loss="mse")
    model.predict(x)
    layers, loss = model.layers, MeanSquaredError()
    done = passes.forward(layers, x.astype("float32"), None, keep="everything")
    found = passes.loss_and_gradient(layers, loss, y.astype("float32"), done)
    recorded, traces = passes.backward(layers, found, done, record=True)
    assert list(traces) == ["lstm", "bidirectional/forward_gru", "bidirectional/backward_gru"]
    plain, _ = passes.backward(layers, found, done)
    for name, grad in plain.items():
        np.testing.assert_array_equal(grad, recorded[name])
    there, back = (traces[f"bidirectional/{way}_gru"].dx for way in ("forward", "backward"))
    np.testing.assert_array_equal(traces["lstm"].external, there + back[:, ::-1])
