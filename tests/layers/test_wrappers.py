"""Layers around layers: outputs, gradients, names, traces, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from complex_step import check_gradients
from tolerances import PARITY, check

import minilstm as ml

B, T, S, D = 4, 6, 5, 3


def built(layer, *shape, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    layer.make_weights(shape, rng, np.dtype(dtype))
    layer.set_weights([rng.normal(size=w.shape) * 0.5 for w in layer.get_weights()])
    return layer


def x_of(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape or (B, T, D))


# ------------------------------------------------------------------------------ TimeDistributed

INNER = {
    "dense": (lambda L: L.Dense(2, activation="tanh"), (D,)),
    "lstm": (lambda L: L.LSTM(2), (S, D)),
    "sequences": (lambda L: L.LSTM(2, return_sequences=True), (S, D)),
    "pooling": (lambda L: L.GlobalAveragePooling1D(), (S, D)),
}


@pytest.mark.peer
@pytest.mark.parametrize("inner", sorted(INNER))
def test_time_distributed_is_keras_s(keras, torch, inner):
    make, shape = INNER[inner]
    layer = built(ml.TimeDistributed(make(ml)), T, *shape)
    theirs = keras.layers.TimeDistributed(make(keras.layers), dtype="float64")
    theirs.layer.dtype_policy = keras.DTypePolicy("float64")
    x = x_of(B, T, *shape)
    tensor = torch.tensor(x, requires_grad=True)
    theirs.build((B, T, *shape))
    theirs.set_weights(layer.get_weights())
    expected = theirs(tensor)
    y, _, tape = layer.forward(x, None, keep="boundaries")
    dy = x_of(*y.shape, seed=2)
    (expected * torch.tensor(dy)).sum().backward()
    dx, grads = layer.backward(dy, tape, need_dx=True)
    bound = PARITY["float32"]  # Keras makes the inner layer float32
    check(y, expected.detach().numpy(), bound)
    check(dx, tensor.grad.numpy(), bound)
    for (name, ours), variable in zip(grads.items(), theirs.trainable_weights, strict=True):
        check(ours, variable.value.grad.numpy(), bound, what=name)


@pytest.mark.parametrize("inner", ["dense", "pooling", "sequences"])
def test_gradients_of_time_distributed(inner):
    make, shape = INNER[inner]
    layer = make(ml)
    if isinstance(layer, ml.LSTM):
        layer = ml.LSTM(2, return_sequences=True, backend="numpy")
    check_gradients(built(ml.TimeDistributed(layer), 3, *shape), x_of(2, 3, *shape))


@pytest.mark.parametrize(
    ("activation", "loss"), [("sigmoid", "binary_crossentropy"), ("softmax", "categorical_crossentropy")]
)
def test_time_distributed_dense_is_dense(activation, loss):
    """To the bit, in a model with a mask; the loss is computed from the logits, saturated ones too."""
    results = []
    for wrap in (lambda layer: layer, ml.TimeDistributed):
        head = wrap(ml.Dense(2, activation=activation, kernel_initializer=ml.initializers.Constant(40.0)))
        rec = ml.LSTM(4, return_sequences=True, input_shape=(T, D))
        model = ml.Sequential([rec, head], seed=0)
        model.compile(loss=loss)
        y = np.eye(2)[np.random.default_rng(0).integers(0, 2, (B, T))]
        mask = np.arange(T) < np.array([[1], [6], [3], [4]])
        trace = model.trace(x_of(), y, mask=mask)
        results.append([trace.output, trace.loss, trace["lstm"].dh, *trace.grads.values()])
        assert np.isfinite(trace.loss)
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_mask_goes_on():
    mask = np.ones((B, T), bool)
    layer = built(ml.TimeDistributed(ml.Dense(2)), T, D)
    assert layer.forward(x_of(), mask, keep="outputs")[1] is mask


# ------------------------------------------------------------------------------ weights, names, sizes, traces


def test_weights_go_through_to_the_inner_layer():
    inner = ml.Dense(2, kernel_regularizer="l2", name="head")
    layer = built(ml.TimeDistributed(inner), T, D)
    assert list(layer.params) == ["head/kernel", "head/bias"]
    assert layer.params["head/kernel"] is inner.params["kernel"]
    assert list(layer.regularizers) == ["head/kernel"]
    assert layer.weight_shapes((T, D)) == {"head/kernel": (3, 2), "head/bias": (2,)}
    assert layer.count_params() == 8
    layer.set_weights([np.ones((3, 2)), np.zeros(2)])
    assert (inner.params["kernel"] == 1).all()
    layer.params = {"head/kernel": np.full((3, 2), 7.0), "head/bias": np.full(2, 8.0)}
    assert (inner.params["kernel"] == 7).all()
    assert (inner.params["bias"] == 8).all()
    with pytest.raises(ValueError, match=r"time_distributed/head/bias must be of shape \(2,\), got \(3,\)"):
        layer.set_weights([np.ones((3, 2)), np.zeros(3)])


def test_a_built_wrapper_keeps_its_weights_in_another_dtype():
    layer = built(ml.TimeDistributed(ml.Dense(2)), T, D)
    before = layer.get_weights()
    layer.make_weights((T, D), np.random.default_rng(9), np.dtype("float32"))
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old.astype("float32"), new)


def test_a_model_with_a_recurrent_layer_in_a_wrapper():
    """It trains, and trace, memory and summary name the inner layer under the wrapper."""
    layers = [
        ml.TimeDistributed(ml.LSTM(3), input_shape=(T, S, D)),
        ml.LSTM(4, return_sequences=True),
        ml.TimeDistributed(ml.Dense(1)),
    ]
    model = ml.Sequential(layers, seed=0)
    model.compile(optimizer="adam", loss="mse")
    x, y = x_of(B, T, S, D), np.zeros((B, T, 1))
    trace = model.trace(x, y)
    assert list(trace.layers) == ["time_distributed/lstm", "lstm"]
    assert trace["time_distributed/lstm"].dh.shape == (B * T, S, 3)
    assert list(trace.grads) == list(model.named_weights)
    assert list(trace.grads)[:2] == ["time_distributed/lstm/kernel", "time_distributed/lstm/recurrent_kernel"]
    alone = ml.LSTM(3, input_shape=(S, D))
    sizes = ml.Sequential([alone]).memory(B * T, S)
    assert model.memory(B, T)["time_distributed/lstm"] == sizes["lstm"]
    losses = model.fit(x, y, epochs=3, verbose=0, shuffle=False).history["loss"]
    assert losses[2] < losses[0]
    lines: list[str] = []
    model.summary(lines.append)
    assert re.search(r"time_distributed \(TimeDistributed\) +\(None, 6, 3\) +84\n", lines[0])


def test_a_model_with_a_wrapper_is_saved_and_loaded(tmp_path):
    head = ml.Dense(2, kernel_initializer=ml.initializers.Orthogonal(0.5), kernel_regularizer="l2")
    model = ml.Sequential([ml.TimeDistributed(head, input_shape=(T, D))], seed=0)
    model.save(tmp_path / "model.npz")
    again = ml.load_model(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.predict(x_of()), model.predict(x_of()))
    assert list(again.named_weights) == list(model.named_weights)
    assert again.layers[0].layer.kernel_initializer == ml.initializers.Orthogonal(0.5)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: ml.TimeDistributed("dense"), TypeError, "layer must be a layer that takes numbers, not ids"),
        (
            lambda: ml.TimeDistributed(ml.Embedding(3, 2)),
            TypeError,
            "layer must be a layer that takes number",
        ),
        (
            lambda: ml.Sequential([ml.TimeDistributed(ml.Dense(2), input_shape=(3,))]),
            ValueError,
            "input of layer 'time_distributed' must be (batch, time, ...), got ('batch', 3)",
        ),
        (
            lambda: ml.Sequential([ml.TimeDistributed(ml.LSTM(2), input_shape=(4, 3))]),
            ValueError,
            "input of layer 'lstm' must be (batch, time, features), got (batch, 3)",
        ),
    ],
)
def test_arguments(make, error, text):
    with pytest.raises(error, match=re.escape(text)):
        make()
