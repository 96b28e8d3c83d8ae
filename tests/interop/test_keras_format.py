"""Files that minilstm writes for Keras: the installed Keras loads them and predicts the same."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import require
from tolerances import PARITY, check

import minilstm as ml
from minilstm.interop import from_keras, load_keras_weights
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


SCHEDULES = [
    ("ExponentialDecay", (0.1, 3, 0.5)),
    ("InverseTimeDecay", (0.1, 3, 0.5)),
    ("PolynomialDecay", (0.1, 3)),
    ("PiecewiseConstantDecay", ([2], [0.1, 0.05])),
    ("CosineDecay", (0.1, 3)),
    ("CosineDecayRestarts", (0.1, 3)),
]


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning")
@pytest.mark.parametrize(("schedule", "arguments"), SCHEDULES)
def test_keras_trains_on_with_the_schedule_of_the_file(schedule, arguments, tmp_path):
    require("keras")
    import keras

    ours, path = ml.Sequential([ml.Dense(1, input_shape=(2,))], seed=0), tmp_path / "model.keras"
    ours.compile(ml.SGD(getattr(ml, schedule)(*arguments)), "mse")
    x, y = np.ones((4, 2), "float32"), np.zeros((4, 1), "float32")
    ours.save(path)
    theirs = keras.saving.load_model(path)
    for model in (theirs, ours):
        model.fit(x, y, batch_size=1, shuffle=False, verbose=0)
    check(ours.get_weights()[0], theirs.get_weights()[0], PARITY["float32"])


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_a_bidirectional_with_penalties_is_read_from_keras_s_file(penalty, tmp_path):
    """Keras numbers the objects in its files, so the two layers' penalties are not written alike."""
    require("keras")
    import keras

    penalties = {"kernel_regularizer": penalty, "recurrent_regularizer": keras.regularizers.L2(0.03)}
    inside = keras.layers.GRU(2, **penalties)
    theirs = keras.Sequential([keras.Input((3, 2)), keras.layers.Bidirectional(inside)])
    theirs.save(tmp_path / "model.keras")
    for ours in (ml.load_model(tmp_path / "model.keras"), from_keras(theirs)):
        assert sum(len(layer.losses) for layer in ours.layers) == 4
        x = np.ones((2, 3, 2), "float32")
        check(ours.predict(x), theirs.predict(x, verbose=0), PARITY["float32"])


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
    with pytest.raises(ValueError, match=r"filepath must .* \.npz or \.safetensors, got"):
        ml.ModelCheckpoint(path, resume=True)
    with pytest.raises(ValueError, match=r"filepath must .* \.npz or \.safetensors or \.weights\.h5, got"):
        ml.ModelCheckpoint(path, save_weights_only=True)


def test_weights_alone_go_to_keras_and_back(tmp_path):
    require("keras")
    import keras

    model, x, path = made("sequences"), inputs_of("sequences"), tmp_path / "best.weights.h5"
    model.compile("sgd", "mse")
    best = ml.ModelCheckpoint(path, save_weights_only=True)
    model.fit(x, np.ones((4, 2)), epochs=1, verbose=0, callbacks=[best])
    model.save(tmp_path / "model.keras")
    theirs = keras.models.load_model(tmp_path / "model.keras", compile=False)
    theirs.set_weights([0 * weight for weight in theirs.get_weights()])
    theirs.load_weights(path)
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    for source in (path, tmp_path / "theirs.weights.h5", tmp_path / "model.keras"):
        again = ml.Sequential(MODELS["sequences"](), seed=1)
        again.load_weights(source)
        for a, b in zip(again.get_weights(), model.get_weights(), strict=True):
            assert (a == b).all()
    with pytest.raises(ValueError, match=r"ends in \.npz or \.safetensors or \.weights\.h5, got 'best\.h5'"):
        model.save_weights("best.h5")
    with pytest.raises(ml.WeightsFileError, match="it holds weights alone: make the model, and load_weights"):
        ml.load_model(path)


def test_what_a_file_holds_decides_and_not_its_name(tmp_path):
    model, x = made("ids"), inputs_of("ids")
    model.save(tmp_path / "a.keras")
    model.save(tmp_path / "b.npz")
    (tmp_path / "a.keras").rename(tmp_path / "keras.npz")
    (tmp_path / "b.npz").rename(tmp_path / "own.keras")
    for name in ("keras.npz", "own.keras"):
        for load in (ml.load_model, load_model):
            assert (load(tmp_path / name).predict(x) == model.predict(x)).all()
        assert ml.load_model(tmp_path / name, compile=False).optimizer is None


@pytest.mark.parametrize("layout", ["whole", "weights", "weights of many layers"])
def test_files_of_keras_2_are_named(layout, tmp_path):
    import h5py

    path = tmp_path / "old.weights.h5"
    with h5py.File(path, "w") as file:
        weights = file
        if layout == "whole":
            file.attrs["model_config"] = "{}"
            weights = file.create_group("model_weights")
        weights.attrs["layer_names0" if layout.endswith("layers") else "layer_names"] = [b"lstm"]
        group = weights.create_group("lstm")
        group.attrs["weight_names"] = [b"lstm/kernel:0"]
        group["lstm/kernel:0"] = np.zeros((3, 8))
    model = made("ids")
    before = model.get_weights()
    readers = (ml.load_model, from_keras, model.load_weights, lambda path: load_keras_weights(model, path))
    for read in readers:
        with pytest.raises(ml.WeightsFileError, match=r"as before Keras 3, .* as \.keras or \.weights\.h5"):
            read(path)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


def test_what_keras_does_not_have_is_refused(tmp_path):
    path = tmp_path / "model.keras"
    own = {"input_shape": (3, 2), "backend": "numpy"}
    for layer in (ml.LSTM(2, peepholes=True, **own), ml.RNN("mgu", 2, **own)):
        with pytest.raises(ValueError, match="a cell that Keras has too"):
            ml.Sequential([layer]).save(path)
    with pytest.raises(RuntimeError, match="the model must be built first"):
        ml.Sequential([ml.LSTM(2)]).save(path)
    assert not path.exists()


def test_what_is_the_user_s_own_is_left_out_or_refused(tmp_path):
    """A function as a metric ended in what json says; a layer of the user's was written and never read."""

    class Mine(ml.Dense):
        pass

    class Slow(ml.SGD):
        pass

    def error(y_true, y_pred):
        return np.abs(y_true - y_pred)

    path, x = tmp_path / "model.keras", np.ones((2, 3, 1))
    for optimizer, metric in (("sgd", error), (Slow(), "mae")):
        model = ml.Sequential([ml.LSTM(2, input_shape=(3, 1)), ml.Dense(1)], seed=0)
        model.compile(optimizer, "mse", [metric])
        model.save(path)
        again = load_model(path)
        assert again.loss is None
        np.testing.assert_array_equal(again.predict(x), model.predict(x))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"layer 'mine' must be of one of minilstm's own .* got Mine"):
        ml.Sequential([Mine(1, input_shape=(2,))]).save(path)
    assert path.read_bytes() == before
