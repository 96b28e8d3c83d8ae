"""Layers around the recurrent ones: against Keras's, and their gradients against the complex step."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tolerances import TRAINING, check

import minilstm as ml
from minilstm.cells.activations import ACTIVATIONS

N, T, D, H = 6, 4, 3, 3
BOUND = TRAINING["float32"]
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)


def x_of(*shape: int):
    return np.random.default_rng(1).normal(2.0, 3.0, shape).astype("float32")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"axis": [1, 2], "center": False},
        {"scale": False, "epsilon": 0.5},
        {"rms_scaling": True},
        {"beta_initializer": "ones", "gamma_regularizer": "l2"},
    ],
)
@pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`")
def test_layer_normalization_is_keras_s(keras, options):
    theirs, ours = keras.layers.LayerNormalization(**options), ml.LayerNormalization(**options)
    theirs.build((None, T, D))
    ours.build((None, T, D))
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    weights = [x_of(*w.shape) for w in ours.weights]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    x = x_of(N, T, D)
    check(ours(x), keras.ops.convert_to_numpy(theirs(x)), BOUND)
    assert len(ours.losses) == len(theirs.losses)


@pytest.mark.parametrize("options", [{}, {"axis": [2, 1]}, {"rms_scaling": True}, {"axis": 1}])
def test_gradients_are_those_of_the_complex_step(options):
    """LayerNormalization between recurrent layers, an activation, a vector repeated, flattened."""
    layers = [
        ml.LSTM(H, input_shape=(T, D)),
        ml.RepeatVector(T),
        ml.SimpleRNN(H, return_sequences=True),
        ml.LayerNormalization(beta_initializer=ml.initializers.Constant(0.3), **options),
        ml.Activation("tanh"),
        ml.Flatten(),
        ml.Dense(2),
        ml.Activation("softmax"),
    ]
    model = ml.Sequential(layers, dtype="float64", seed=0)
    model.compile("sgd", "categorical_crossentropy")
    report = ml.gradcheck(model, x_of(N, T, D) / 4, np.eye(2)[np.arange(N) % 2])
    assert report.ok, str(report)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
@pytest.mark.parametrize("inside", [False, True])
def test_the_gradient_of_every_activation_is_that_of_the_complex_step(name, inside):
    """As a layer of its own and as one of Dense; silu and gelu have one y for several x."""
    last = [ml.Dense(4, activation=name)] if inside else [ml.Dense(4), ml.Activation(name)]
    model = ml.Sequential([ml.SimpleRNN(H, input_shape=(T, D)), *last, ml.Dense(1)], dtype="float64", seed=0)
    model.compile("sgd", "mse")
    report = ml.gradcheck(model, x_of(N, T, D) / 4, np.arange(N) / N)
    assert report.ok, str(report)


def test_training_with_all_of_them_is_keras_s(keras):
    """Masks reach the loss through them, and end where Keras's end."""
    x = x_of(N, T, D)
    x[0, 2:] = x[3, 1:] = 0

    def built(L, **options):
        return [
            L.Masking(**options),
            L.SimpleRNN(H, return_sequences=True),
            L.LayerNormalization(),
            L.Activation("relu"),
            L.TimeDistributed(L.Dense(2)),
        ]

    theirs = keras.Sequential([keras.Input((T, D)), *built(keras.layers)])
    ours = ml.Sequential([ml.Input((T, D)), *built(ml)])
    ours.set_weights(theirs.get_weights())
    found = []
    for model in (theirs, ours):
        model.compile("sgd", "mse")
        history = model.fit(x, x_of(N, T, 2), epochs=2, batch_size=4, shuffle=False, verbose=0)
        found.append([history.history["loss"], model.predict(x, verbose=0)])
    check(found[1][0], found[0][0], BOUND)
    check(found[1][1], found[0][1], 2 * BOUND)


def test_shapes_and_masks_of_calls_are_keras_s(keras):
    for name, arguments, shape in (
        ("RepeatVector", (3,), (N, D)),
        ("Flatten", (), (N, T, D)),
        ("Activation", ("softmax",), (N, D)),
        ("Dense", (2,), (N, T, D)),
    ):
        theirs, ours = getattr(keras.layers, name)(*arguments), getattr(ml, name)(*arguments)
        theirs.build(shape)
        ours.build(shape)
        ours.set_weights(theirs.get_weights())
        check(ours(x_of(*shape)), keras.ops.convert_to_numpy(theirs(x_of(*shape))), BOUND)
        any_batch = (None, *shape[1:])
        assert ours.compute_output_shape(any_batch) == theirs.compute_output_shape(any_batch)
    for sequences, states in ((False, False), (False, True), (True, True)):
        words = {"return_sequences": sequences, "return_state": states}
        theirs, ours = keras.layers.LSTM(2, **words), ml.LSTM(2, **words)
        assert ours.compute_output_shape((N, T, D)) == theirs.compute_output_shape((N, T, D))
        for merge in ("concat", "sum", None):
            theirs, ours = (kind.Bidirectional(kind.LSTM(2, **words), merge) for kind in (keras.layers, ml))
            assert ours.compute_output_shape((N, T, D)) == theirs.compute_output_shape((N, T, D))
    mask = ml.Masking().compute_mask([[[0.0], [1.0]]])
    assert mask.tolist() == [[False, True]]
    assert ml.LayerNormalization().compute_mask(np.ones((1, 2, 3)), mask).tolist() == [[False, True]]
    assert ml.Flatten().compute_mask(np.ones((1, 2, 3)), mask) is None


@pytest.mark.parametrize(
    "layer",
    [
        ml.LSTM(3, dropout=0.1, kernel_initializer=ml.initializers.Constant(0.5), kernel_regularizer="l2"),
        ml.Bidirectional(ml.GRU(3, return_sequences=True), "sum", name="two"),
        ml.TimeDistributed(ml.Dense(2, bias_regularizer=ml.regularizers.l2(0.5)), trainable=False),
        ml.LayerNormalization([1, 2]),
        ml.Embedding(7, 2, mask_zero=True, input_length=4),
    ],
)
def test_a_config_goes_through_json_and_makes_the_layer_again(layer):
    config = json.loads(json.dumps(layer.get_config()))
    again = type(layer).from_config(config)
    assert again.get_config() == layer.get_config()
    assert type(again.config().get("kernel_initializer")) is type(layer.config().get("kernel_initializer"))


def test_a_model_s_config_makes_it_again():
    model = ml.Sequential([ml.Embedding(9, 2), ml.LSTM(3), ml.Dense(1)], dtype="float64", name="m")
    again = ml.Sequential.from_config(json.loads(json.dumps(model.get_config())))
    assert again.get_config() == model.get_config()
    model.build((None, 5))
    again = ml.Sequential.from_config(json.loads(json.dumps(model.get_config())))
    assert (again.built, again.dtype.name, again.output_shape) == (True, "float64", (None, 1))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ml.RepeatVector(2.5), TypeError, "n must be a whole number >= 1"),
        (lambda: ml.RepeatVector(0), ValueError, "n must be a whole number >= 1"),
        (lambda: ml.RepeatVector(2)(np.ones((2, 3, 4))), ValueError, r"must be \(batch, features\)"),
        (lambda: ml.Flatten("channels_first"), ValueError, "data_format must be 'channels_last'"),
        (lambda: ml.LayerNormalization({"axis": -1}), TypeError, "axis must be a whole number or a list"),
        (lambda: ml.LayerNormalization(0), ValueError, "axis must be none of them 0"),
        (lambda: ml.LayerNormalization(4)(np.ones((2, 3))), ValueError, "axis must be of 2 axes"),
        (lambda: ml.Dense(2, kernel_constraint="max_norm"), ValueError, "no constraints on weights"),
        (lambda: ml.LSTM(2, time_major=True), ValueError, "time_major must be False"),
        (lambda: ml.LSTM(2, dtype="float16"), ValueError, "dtype must be 'float32' or 'float64'"),
        (
            lambda: ml.Sequential([ml.LSTM(2, dtype="float64")]),
            ValueError,
            "dtype must be float32, the model's",
        ),
        (lambda: ml.Conv1D, AttributeError, "convolutions are not built"),
        (lambda: ml.BatchNormalization, AttributeError, "LayerNormalization normalizes each step"),
        (lambda: ml.Model, AttributeError, "one input and one output"),
    ],
)
def test_what_is_refused_says_what_there_is(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_arguments_that_change_nothing_are_told_once(caplog):
    from minilstm.layers import words as of_layers

    of_layers._told.clear()
    x = x_of(2, T, D)
    for _ in range(2):
        words = {"unroll": True, "implementation": 1, "use_cudnn": "auto", "seed": 3}
        layer = ml.GRU(2, input_dim=D, input_length=T, **words)
        assert layer.input_shape == (T, D)
        layer(x)
    assert [record.args[0] for record in caplog.records] == ["unroll", "implementation", "use_cudnn"]
    assert ml.Dense(2, "relu", batch_input_shape=(8, 3)).input_shape == (3,)
    a, b = (ml.Dropout(0.5, seed=1)(x, training=True) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    table = np.arange(6.0).reshape(3, 2)
    assert ml.Embedding(3, 2, weights=[table])([[2, 0]]).tolist() == [[[4.0, 5.0], [0.0, 1.0]]]
    state = np.ones((2, 2), "float32")
    layer = ml.GRU(2)
    np.testing.assert_array_equal(layer(x, initial_state=state), layer(x, [state]))


def test_nan_in_a_call_is_told_with_its_place():
    x = x_of(2, T, D)
    x[1, 2, 0] = np.nan
    for layer in (ml.LSTM(2), ml.Dense(2), ml.Bidirectional(ml.LSTM(2))):
        with pytest.raises(ValueError, match=r"x must be finite, got NaN at \[1, 2, 0\]"):
            layer(x)
        assert np.isfinite(layer(x, mask=np.arange(T) < 2 + np.zeros((2, 1)))).all()
