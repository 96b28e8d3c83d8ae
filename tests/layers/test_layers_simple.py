"""Dense, Dropout, Embedding, Masking, pooling: against Keras and complex steps."""

from __future__ import annotations

import re

import numpy as np
import pytest
from complex_step import check_gradients
from tolerances import check

import minilstm as ml
from minilstm import initializers, regularizers

B, T, D = 4, 6, 3


def built(layer, *shape, seed=0):
    """The layer in float64, with weights that are nothing special."""
    rng = np.random.default_rng(seed)
    layer.make_weights(shape, rng, np.dtype("float64"))
    layer.set_weights([rng.normal(size=w.shape) * 0.5 for w in layer.get_weights()])
    return layer


def x_of(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape or (B, T, D))


def mask_of(seed=5):
    mask = np.random.default_rng(seed).random((B, T)) < 0.5
    mask[0], mask[1, :] = False, True
    return mask


# ------------------------------------------------------------------------------ gradients


@pytest.mark.parametrize("activation", [None, "relu", "sigmoid", "softmax", "tanh"])
def test_gradients_of_dense(activation):
    check_gradients(built(ml.Dense(5, activation=activation), D), x_of(4, D))


@pytest.mark.parametrize("mask", [None, mask_of()], ids=["no mask", "mask"])
def test_gradients_of_pooling(mask):
    check_gradients(built(ml.GlobalAveragePooling1D(), T, D), x_of(), mask)


def test_gradients_of_dropout():
    check_gradients(built(ml.Dropout(0.4), T, D), x_of(), seed=3)


# ------------------------------------------------------------------------------ beginnings and penalties


def test_initializers_and_regularizers_by_name_and_as_objects():
    layer = ml.Dense(
        3,
        kernel_initializer="ones",
        bias_initializer=initializers.Constant(0.5),
        kernel_regularizer="l2",
        bias_regularizer=regularizers.l1(0.25),
    )
    layer.make_weights((2,), np.random.default_rng(0), np.dtype("float32"))
    assert layer.params["kernel"].tolist() == [[1.0] * 3] * 2
    assert layer.params["bias"].tolist() == [0.5] * 3
    assert layer.regularizers == {"kernel": regularizers.l2(), "bias": regularizers.l1(0.25)}
    again = ml.Dense(**layer.config())
    assert (again.initializers, again.regularizers) == (layer.initializers, layer.regularizers)
    table = ml.Embedding(4, 2, embeddings_initializer="identity", embeddings_regularizer="l1")
    table.make_weights((None,), np.random.default_rng(0), np.dtype("float64"))
    np.testing.assert_array_equal(table.params["embeddings"], np.eye(4, 2))
    assert table.regularizers == {"embeddings": regularizers.l1()}


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (
            lambda: ml.Dense(3, kernel_initializer="glorot"),
            ValueError,
            "kernel_initializer must be 'glorot_n",
        ),
        (lambda: ml.Dense(3, bias_initializer=0.5), TypeError, "bias_initializer must be a name or an init"),
        (
            lambda: ml.Dense(3, kernel_regularizer=0.1),
            TypeError,
            "kernel_regularizer must be None, a name or",
        ),
        (
            lambda: ml.Embedding(3, 2, embeddings_regularizer="L3"),
            ValueError,
            "embeddings_regularizer must be",
        ),
        (lambda: ml.Dropout(1.0), ValueError, "rate must be a finite number >= 0 and < 1, got 1.0"),
        (lambda: ml.Dropout(-0.1), ValueError, "rate must be a finite number >= 0 and < 1, got -0.1"),
        (lambda: ml.Dropout("half"), TypeError, "rate must be a finite number >= 0 and < 1, got 'half'"),
    ],
)
def test_arguments(make, error, text):
    with pytest.raises(error, match=re.escape(text)):
        make()


def test_an_initializer_of_another_shape_is_refused():
    layer = ml.Dense(3, kernel_initializer=lambda shape, rng, dtype: np.zeros(shape[::-1]))
    with pytest.raises(ValueError, match=r"the initializer of kernel must be a function that gives an array"):
        layer.make_weights((2,), np.random.default_rng(0), np.dtype("float32"))


@pytest.mark.peer
def test_penalties_reach_loss_and_gradients_as_in_keras(keras):
    """One step of SGD from the same weights."""
    options = {"l1": 0.25, "l2": 0.125}
    x, y = x_of(8, D).astype("float32"), x_of(8, 2, seed=2).astype("float32")
    ours = ml.Sequential(
        [
            ml.Dense(5, "tanh", input_shape=(D,), kernel_regularizer=regularizers.l1_l2(**options)),
            ml.Dense(2, bias_regularizer=regularizers.l2(0.5)),
        ],
        seed=0,
    )
    ours.compile(optimizer=ml.SGD(0.1), loss="mse")
    theirs = keras.Sequential(
        [
            keras.Input((D,)),
            keras.layers.Dense(5, "tanh", kernel_regularizer=keras.regularizers.L1L2(**options)),
            keras.layers.Dense(2, bias_regularizer=keras.regularizers.L2(0.5)),
        ]
    )
    theirs.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    theirs.set_weights(ours.get_weights())
    for _ in range(3):
        expected = theirs.train_on_batch(x, y)
        assert ours.train_on_batch(x, y) == pytest.approx(float(expected), rel=1e-6)
    for ours_w, theirs_w in zip(ours.get_weights(), theirs.weights, strict=True):
        check(ours_w, theirs_w.value.detach().numpy(), 1e-6)


# ------------------------------------------------------------------------------ Dropout


def test_dropout_keeps_the_expected_value_and_is_off_in_inference():
    x = np.ones((200, 300), "float32")
    layer = ml.Dropout(0.3)
    y, _, scale = layer.forward(x, None, keep="boundaries", rng=np.random.default_rng(0))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert y.mean() == pytest.approx(1, abs=0.01)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(layer.backward(x, scale, need_dx=True)[0], y)
    for rng, rate in ((None, 0.3), (np.random.default_rng(0), 0.0)):
        y, _, tape = ml.Dropout(rate).forward(x, None, keep="boundaries", rng=rng)
        assert y is x
        assert layer.backward(x, tape, need_dx=True)[0] is x


def test_dropout_draws_anew_for_every_number_and_step():
    layer, rng = ml.Dropout(0.5), np.random.default_rng(0)
    first, second = (layer.forward(np.ones((50, 60, 2)), None, keep="outputs", rng=rng)[0] for _ in range(2))
    assert (first != second).mean() == pytest.approx(0.5, abs=0.05)
    assert (first[:, 0] != first[:, 1]).mean() == pytest.approx(0.5, abs=0.15)


def test_dropout_in_a_model_is_reproducible_and_absent_from_predict_and_trace():
    def model(rate):
        layers = [ml.Dense(8, "tanh", input_shape=(T, D)), ml.Dropout(rate), ml.LSTM(4), ml.Dense(1)]
        model = ml.Sequential(layers, seed=3)
        model.compile(optimizer="sgd", loss="mse")
        return model

    x, y = x_of(), np.arange(B) / B
    plain, first, second = model(0.0), model(0.5), model(0.5)
    np.testing.assert_array_equal(plain.predict(x), first.predict(x))
    assert plain.trace(x, y).loss == first.trace(x, y).loss
    losses = [m.fit(x, y, epochs=2, batch_size=2, verbose=0).history["loss"] for m in (plain, first, second)]
    assert losses[1] == losses[2] != losses[0]
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# ------------------------------------------------------------------------------ pooling


@pytest.mark.peer
@pytest.mark.parametrize("masked", [False, True])
def test_pooling_is_keras_s(keras, torch, masked):
    x = x_of()
    mask = mask_of() if masked else None
    if masked:
        mask[0, 2] = True
        x[~mask] = np.nan  # masked steps may hold anything
    layer = built(ml.GlobalAveragePooling1D(), T, D)
    y, after, tape = layer.forward(x, mask, keep="boundaries")
    assert after is None
    tensor = torch.tensor(x, requires_grad=True)
    theirs = keras.layers.GlobalAveragePooling1D(dtype="float64")
    expected = theirs(tensor, mask=None if mask is None else torch.tensor(mask))
    dy = x_of(B, D, seed=7)
    (expected * torch.tensor(dy)).sum().backward()
    bound = 1e-6  # Keras on PyTorch takes sums and means of float64 in float32
    check(y, expected.detach().numpy(), bound)
    check(layer.backward(dy, tape, need_dx=True)[0], tensor.grad.numpy(), bound)


def test_pooling_of_a_sample_without_a_real_step_is_zero():
    layer = built(ml.GlobalAveragePooling1D(), T, D)
    mask = mask_of()
    y, _, tape = layer.forward(x_of(), mask, keep="boundaries")
    assert not y[0].any()
    dx, _ = layer.backward(np.ones((B, D)), tape, need_dx=True)
    assert not dx[0].any()
    assert dx[1].all()


def test_pooling_needs_time():
    with pytest.raises(
        ValueError, match=r"input of layer 'pool' must be \(batch, time, features\), got \('b"
    ):
        ml.Sequential([ml.GlobalAveragePooling1D(name="pool", input_shape=(3,))])


def test_names_are_keras_s():
    model = ml.Sequential([ml.Dropout(0.1), ml.GlobalAveragePooling1D(), ml.Dropout(0.1)])
    assert [layer.name for layer in model.layers] == ["dropout", "global_average_pooling1d", "dropout_1"]


@pytest.mark.parametrize("flags", [
    lambda **f: ml.LSTM(2, **f), lambda **f: ml.GRU(2, **f), lambda **f: ml.SimpleRNN(2, **f),
    lambda **f: ml.Dense(2, **f), lambda **f: ml.Embedding(3, 2, **f), lambda **f: ml.LayerNormalization(**f),
    lambda **f: ml.GlobalAveragePooling1D(**f),
])  # fmt: skip
def test_flags_are_true_or_false_or_1_or_0_as_scripts_for_keras_write_them(flags):
    made = flags()
    names = [name for name, value in made.get_config().items() if isinstance(value, bool)]
    assert names
    for name in names:
        assert flags(**{name: 1}).get_config()[name] is True
        if name != "reset_after":
            assert flags(**{name: np.False_}).get_config()[name] is False
        for wrong in ("False", None, 2, 0.0, [], np.ones(2)):
            with pytest.raises(TypeError, match=f"{name} must be True or False"):
                flags(**{name: wrong})


@pytest.mark.parametrize("layer", [ml.LSTM(2, backend="numpy"), ml.Dense(2)], ids=["LSTM", "Dense"])
def test_training_is_a_flag_in_a_call_of_every_layer(layer):
    x = np.ones((1, 2, 3))
    for given in (True, 1, np.False_, None):
        layer(x, training=given)
    for wrong in ("False", 2, [], np.ones(2)):
        with pytest.raises(TypeError, match="training must be True or False"):
            layer(x, training=wrong)
