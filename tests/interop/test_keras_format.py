"""Files that minilstm writes for Keras: the installed Keras loads them and predicts the same."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import require
from tolerances import PARITY, check

import minilstm as ml
from minilstm.keras.models import load_model

require("h5py")
pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]
MODELS = {
    "sequences": lambda: [
        ml.Masking(0.5, input_shape=(None, 3)),
        ml.LSTM(4, return_sequences=True, backend="numpy", truncate_steps=3, kernel_regularizer="l2"),
        ml.Bidirectional(ml.GRU(3, return_sequences=True, backend="numpy", dropout=0.2), "sum"),
        ml.LayerNormalization(),
        ml.TimeDistributed(ml.Dense(4, activation="tanh")),
        ml.SimpleRNN(3, backend="numpy", go_backwards=True, trainable=False),
        ml.Dense(2),
        ml.keras.layers.Activation("softmax"),
    ],
    "ids": lambda: [
        ml.Embedding(9, 4, mask_zero=True, input_shape=(6,)),
        ml.Dropout(0.5, noise_shape=(None, 1, None)),
        ml.GlobalAveragePooling1D(),
        ml.keras.layers.RepeatVector(3),
        ml.LSTM(2, return_sequences=True, backend="numpy", use_bias=False),
        ml.keras.layers.Flatten(),
        ml.Dense(1, activation="sigmoid"),
    ],
}
on_models = pytest.mark.parametrize("name", MODELS)


def made(name):
    model = ml.Sequential(MODELS[name](), seed=0, name="mine")
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) * 0.5 for w in model.get_weights()])
    return model


def inputs_of(name):
    rng = np.random.default_rng(1)
    return rng.integers(0, 9, (4, 6)) if name == "ids" else rng.normal(size=(4, 5, 3)).astype("float32")


@on_models
def test_keras_loads_it_and_predicts_the_same(name, tmp_path):
    require("keras")
    import keras

    model, path, x = made(name), tmp_path / "model.keras", inputs_of(name)
    model.save(path)
    theirs = keras.models.load_model(path)
    check(model.predict(x), theirs.predict(x, verbose=0), PARITY["float32"])
    assert [layer.name for layer in theirs.layers] == [layer.name for layer in model.layers]
    assert len(theirs.trainable_weights) == len(model.trainable_weights)
    theirs.save(tmp_path / "theirs.keras")
    for again in (load_model(path), load_model(tmp_path / "theirs.keras")):
        check(again.predict(x), model.predict(x), PARITY["float32"])
        for a, b in zip(again.get_weights(), model.get_weights(), strict=True):
            assert (a == b).all()
        assert [layer.trainable for layer in again.layers] == [layer.trainable for layer in model.layers]


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning")
def test_what_it_was_compiled_with(tmp_path):
    require("keras")
    import keras

    model, path, x = made("ids"), tmp_path / "model.keras", inputs_of("ids")
    y = np.arange(4) % 2
    schedule = ml.keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    metrics = ["accuracy", ml.keras.metrics.AUC(num_thresholds=5)]
    model.compile(ml.SGD(schedule, momentum=0.5), ml.keras.losses.BinaryCrossentropy(), metrics)
    model.save(path)
    theirs = keras.models.load_model(path)
    check(model.evaluate(x, y), theirs.evaluate(x, y, verbose=0), PARITY["float32"])
    theirs.compile("adam", "mse", metrics=["mae"])
    theirs.save(tmp_path / "theirs.keras")
    for again in (load_model(path), load_model(tmp_path / "theirs.keras")):
        assert np.isfinite(again.evaluate(x, y)).all()
    assert load_model(path).optimizer.get_config() == model.optimizer.get_config()
    optimizer = load_model(tmp_path / "theirs.keras").optimizer
    assert isinstance(optimizer, ml.Adam)
    assert optimizer.name == theirs.optimizer.name  # Keras counts its optimizers in their names
    assert load_model(path, compile=False).optimizer is None
    theirs.compile("lion", "mse")
    theirs.save(path)
    with pytest.warns(UserWarning, match="the model is not compiled, .* 'lion'"):
        load_model(path)


def test_a_checkpoint_for_keras(tmp_path):
    model, path = made("ids"), str(tmp_path / "best.keras")
    model.compile("sgd", "mse")
    x, y = inputs_of("ids"), np.arange(4) % 2
    best = ml.ModelCheckpoint(path, save_best_only=True, monitor="loss")
    model.fit(x, y, epochs=1, verbose=0, callbacks=[best])
    assert (load_model(path).predict(x) == model.predict(x)).all()
    model.save(str(tmp_path / "whole.npz"))
    assert load_model(tmp_path / "whole.npz", compile=False).loss is None
    for words in ({"resume": True}, {"save_weights_only": True}):
        with pytest.raises(ValueError, match=r"filepath must .* \.npz or \.safetensors, got"):
            ml.ModelCheckpoint(path, **words)


def test_what_keras_does_not_have_is_refused(tmp_path):
    path = tmp_path / "model.keras"
    own = {"input_shape": (3, 2), "backend": "numpy"}
    for layer in (ml.LSTM(2, peepholes=True, **own), ml.RNN("mgu", 2, **own)):
        with pytest.raises(ValueError, match="a cell that Keras has too"):
            ml.Sequential([layer]).save(path)
    with pytest.raises(RuntimeError, match="the model must be built first"):
        ml.Sequential([ml.LSTM(2)]).save(path)
    assert not path.exists()
