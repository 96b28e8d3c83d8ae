"""Words of Keras on objects: misspelled ones are told, neutral ones taken, none is taken and ignored."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
from conftest import require

import minilstm as ml
from minilstm.keras import activations, initializers, layers, optimizers, regularizers, utils
from minilstm.keras import losses as keras_losses
from minilstm.keras import metrics as keras_metrics

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)
x = np.random.default_rng(0).random((4, 5, 3)).astype("float32")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: optimizers.Adam(learning_rte=0.1),
            "Adam has no argument 'learning_rte'; did you mean 'lear",
        ),
        (lambda: optimizers.AdamW(clip_norm=1), "AdamW has no argument 'clip_norm'; did you mean 'clipnorm'"),
        (lambda: optimizers.SGD(lr=0.1), "SGD has no argument 'lr'; it is learning_rate"),
        (lambda: optimizers.Adam(decay=0.1), "Adam has no argument 'decay'; learning_rate may be a schedule"),
        (lambda: optimizers.schedules.CosineDecay(0.1, 9, alfa=0), "CosineDecay has no .*mean 'alpha'"),
        (lambda: keras_losses.Huber(delt=1.0), "Huber has no argument 'delt'; did you mean 'delta'"),
        (lambda: keras_losses.BinaryCrossentropy(from_logit=True), "BinaryCro.* mean 'from_logits'"),
        (lambda: keras_metrics.AUC(num_threshold=5), "AUC has no .* mean 'num_thresholds'"),
        (lambda: keras_metrics.TruePositives(threshold=0.5), "TruePositives has no .* mean 'thresholds'"),
        (lambda: keras_metrics.Mean(nam="a"), "Mean has no .* mean 'name'"),
        (lambda: initializers.RandomNormal(std=0.1), "RandomNormal has no .* mean 'stddev'"),
        (lambda: initializers.Orthogonal(gian=1.0), "Orthogonal has no .* mean 'gain'"),
        (lambda: regularizers.L1L2(l3=0.1), "L1L2 has no argument 'l3'; it has l1, l2"),
        (lambda: regularizers.l2(l=0.1), "l2 has no argument 'l'"),
        (lambda: utils.to_categorical([0], num_class=2), "to_categorical has no .* mean 'num_classes'"),
        (lambda: utils.pad_sequences([[1]], max_len=2), "pad_sequences has no .* mean 'maxlen'"),
        (lambda: ml.load_model("a.npz", cell={}), "load_model has no .* mean 'cells'"),
        (lambda: ml.Sequential().summary(print=len), "Sequential.summary has no .* mean 'print_fn'"),
    ],
)
def test_a_misspelled_argument_is_told(call, text):
    with pytest.raises(TypeError, match=text):
        call()


def test_a_misspelled_estimator_is_told():
    require("sklearn")
    with pytest.raises(TypeError, match="LSTMClassifier has no argument 'epoch'; did you mean 'epochs'"):
        ml.LSTMClassifier(epoch=3)


def test_a_misspelled_name_is_told():
    model = ml.Sequential([ml.Dense(1, input_shape=(3,))])
    for arguments, text in (
        (("adm", "mse"), "did you mean 'adam'"),
        (("adam", "mean_squred_error"), "did you mean 'mean_squared_error'"),
        (("adam", "mse", ["acuracy"]), "did you mean 'accuracy'"),
    ):
        with pytest.raises(ValueError, match=text):
            model.compile(*arguments)
    with pytest.raises(ValueError, match="did you mean 'sigmoid'"):
        ml.Dense(1, activation="sigmod")
    with pytest.raises(AttributeError, match="no attribute 'reset_states'") as found:
        _ = ml.LSTM(2).reset_states
    assert found.value.name == "reset_states"  # Python itself says from it what is nearest
    assert isinstance(found.value.obj, ml.LSTM)


def test_a_function_of_the_user_s_is_not_taken_for_one_of_that_name():
    def relu(x):
        return x * 2

    for kind in (ml.Dense, ml.LSTM):
        with pytest.raises(ValueError, match=r"activation must be .*function"):
            kind(2, activation=relu)
    assert ml.Dense(2, activation=activations.relu).activation.name == "relu"


def test_a_state_of_true_and_false_is_no_state():
    mask = np.ones((4, 2), bool)
    with pytest.raises(ValueError, match=r"initial_state of layer .* pass mask="):
        ml.SimpleRNN(2, backend="numpy")(x, initial_state=[mask])


def test_what_stands_second_in_a_call():
    layer = ml.Dropout(0.5, seed=0)
    assert (layer(x, True) == 0).any()
    assert (layer(x, False) == x).all()
    assert ml.Dense(2)(x, True).shape == (4, 5, 2)
    mask = np.arange(5) < np.array([[2], [5], [3], [1]])
    rnn = ml.GRU(3, backend="numpy")
    assert (rnn(x, mask) == rnn(x, mask=mask)).all()


def test_optimizers_take_keras_s_words_where_they_change_nothing():
    require("keras")
    import keras

    for name in ("SGD", "RMSprop", "Adam", "AdamW"):
        theirs = getattr(keras.optimizers, name)(0.02, name="mine")
        ours = getattr(optimizers, name).from_config(theirs.get_config())
        assert (ours.name, ours.learning_rate) == ("mine", pytest.approx(0.02))
        mine = ours.get_config()
        assert mine == {key: theirs.get_config()[key] for key in mine}
        assert optimizers.get(optimizers.serialize(ours)).get_config() == mine
        assert type(optimizers.get(type(ours))) is type(ours)
    for word, value in (("use_ema", True), ("gradient_accumulation_steps", 2), ("loss_scale_factor", 8.0)):
        with pytest.raises(ValueError, match=f"{word} must be"):
            optimizers.Adam(**{word: value})
    optimizer = optimizers.Adam()
    with pytest.raises(AttributeError, match="no attribute 'lr'; it is learning_rate"):
        optimizer.lr = 0.5


def test_schedules_and_the_optimizer_around_one_by_their_config():
    require("keras")
    import keras

    for kind, arguments in {
        "ExponentialDecay": (0.1, 10, 0.5),
        "InverseTimeDecay": (0.1, 10, 0.5),
        "PolynomialDecay": (0.1, 10),
        "CosineDecay": (0.1, 10),
        "CosineDecayRestarts": (0.1, 10),
        "PiecewiseConstantDecay": ([1, 2], [0.3, 0.2, 0.1]),
    }.items():
        config = getattr(keras.optimizers.schedules, kind)(*arguments, name="s").get_config()
        ours = getattr(optimizers.schedules, kind).from_config(config)
        assert ours.get_config() == config
        outer = optimizers.Adam.from_config(optimizers.Adam(ours).get_config())
        assert outer.schedule == ours


def test_descriptions_of_initializers_and_penalties():
    require("keras")
    import keras

    for theirs in (keras.initializers.RandomNormal(0.1, 0.2, seed=3), keras.initializers.Orthogonal(2.0)):
        ours = initializers.get(keras.initializers.serialize(theirs))
        described = initializers.serialize(ours)["config"]
        assert described == {key: theirs.get_config()[key] for key in described}
    assert regularizers.deserialize(regularizers.serialize(regularizers.l1(0.5))) == ml.regularizers.L1L2(0.5)
    assert regularizers.get({"class_name": "L2", "config": {"l2": 0.5}}).get_config() == {
        "l1": 0.0,
        "l2": 0.5,
    }
    table = np.arange(6.0).reshape(3, 2)
    assert (ml.Dense(2, kernel_initializer=table, input_shape=(3,)).input_shape) == (3,)
    model = ml.Sequential([ml.Dense(2, kernel_initializer=initializers.Constant(table), input_shape=(3,))])
    assert (model.layers[0].kernel == table).all()
    with pytest.raises(ValueError, match=r"value must be .* shape \(4, 2\)"):
        initializers.Constant(table)((4, 2))


def test_activations_as_functions_like_keras():
    require("keras")
    import keras

    z = np.array([-2.0, -0.5, 0.0, 0.5, 1.0, 2.0], "float32")
    for slope in (0.0, 0.25):
        for highest in (None, 0.5, 1.0):
            for threshold in (0.0, 0.5, 1.0):
                theirs = np.asarray(keras.activations.relu(z, slope, highest, threshold))
                assert activations.relu(z, slope, highest, threshold) == pytest.approx(theirs, rel=1e-6)
    for axis in (0, (1, 2), -2):
        theirs = np.asarray(keras.activations.softmax(x, axis))
        assert activations.softmax(x, axis) == pytest.approx(theirs, rel=1e-6)


def test_a_class_that_is_ignored_like_keras():
    require("keras")
    import keras

    p = np.array([[0.8, 0.1, 0.1], [0.05, 0.95, 0], [0.1, 0.8, 0.1]], "float32")
    for weight in (None, np.array([0.5, 1.5, 2.0])):
        ours = keras_metrics.SparseCategoricalCrossentropy(ignore_class=0)
        theirs = keras.metrics.SparseCategoricalCrossentropy(ignore_class=0)
        expected = float(theirs(np.array([0, 1, 2]), p, weight))
        assert float(ours([0, 1, 2], p, weight)) == pytest.approx(expected, rel=1e-5)


def test_a_draw_that_the_steps_share():
    layer = layers.Dropout(0.5, noise_shape=(None, 1, None), seed=1)
    y = layer(np.ones((6, 5, 4), "float32"), training=True)
    assert (y == y[:, :1]).all()
    assert set(np.unique(y)) == {0.0, 2.0}
    assert (layer(np.ones((6, 5, 4), "float32")) == 1).all()
    again = layers.Dropout.from_config(layer.get_config())
    assert tuple(again.noise_shape) == (None, 1, None)
    with pytest.raises(ValueError, match="noise_shape must be of None, 1 or the sizes of the input"):
        layers.Dropout(0.5, noise_shape=(3, 1))(x, training=True)


def test_pooling_that_keeps_the_axis():
    mask = np.arange(5) < np.array([[2], [5], [3], [1]])
    plain, kept = (
        layers.GlobalAveragePooling1D(),
        layers.GlobalAveragePooling1D("channels_last", keepdims=True),
    )
    for real in (None, mask):
        assert (kept(x, real)[:, 0] == plain(x, real)).all()
    models = [
        ml.Sequential([ml.LSTM(2, return_sequences=True, backend="numpy", input_shape=(5, 3)), layer, *more])
        for layer, more in ((plain, ()), (kept, (layers.Flatten(),)))
    ]
    models[1].set_weights(models[0].get_weights())
    grads = []
    for model in models:
        model.compile("sgd", "mse")
        grads.append(model.trace(x, np.ones((4, 2))).grads["lstm/kernel"])
    assert (grads[0] == grads[1]).all()
    with pytest.raises(ValueError, match="data_format must be 'channels_last'"):
        layers.GlobalAveragePooling1D("channels_first")


def test_words_on_layers_and_models():
    model = ml.Sequential([layers.InputLayer(input_shape=(5, 3)), ml.LSTM(2, backend="numpy"), ml.Dense(1)])
    assert model.inputs[0].shape == (None, 5, 3)
    assert model.outputs[0].shape == (None, 1)
    assert model.compute_output_shape((7, 5, 3)) == (7, 1)
    assert len(model.variables) == len(model.trainable_variables) == 5
    assert not model.layers[0].non_trainable_variables
    assert model.layers[0].supports_masking
    with pytest.raises(TypeError, match=r"layer must be a layer and not a model: add its layers"):
        ml.Sequential([model])


def test_a_layer_with_a_call_is_told_what_it_needs():
    with pytest.raises(TypeError, match=r"Doubled has a call, and no forward and backward: .*ml.cell"):

        class Doubled(layers.Layer):
            def call(self, inputs):
                return 2 * inputs


class Squared(keras_losses.Loss):
    """One number for each output, as Keras's own losses of the user's do."""

    def call(self, y_true, y_pred):
        return (y_true - y_pred) ** 2

    def gradient(self, y_true, y_pred):
        return 2 * (y_pred - y_true)


class Rows(Squared):
    """One number for each row."""

    def call(self, y_true, y_pred):
        return super().call(y_true, y_pred).mean(axis=-1)

    def gradient(self, y_true, y_pred):
        return super().gradient(y_true, y_pred) / y_pred.shape[-1]


def small():
    return ml.Sequential(
        [ml.LSTM(2, backend="numpy", input_shape=(5, 3)), ml.Dense(3)], dtype="float64", seed=0
    )


@pytest.mark.parametrize("kind", [Squared, Rows])
def test_a_loss_of_the_user_s_own_class(kind):
    y, weight = np.random.default_rng(1).random((4, 3)), np.array([1.0, 2.0, 0.0, 3.0])
    p = np.random.default_rng(2).random((4, 3))
    own = weight[:, None] if kind is Squared else weight  # as in Keras, of the rank of what call gives
    assert kind()(y, p, own) == pytest.approx(keras_losses.MeanSquaredError()(y, p, weight))
    assert kind().name == kind.__name__.lower()
    found = []
    for loss in (kind(), "mse"):
        model = small()
        model.compile("sgd", loss)
        history = model.fit(x, y, epochs=2, sample_weight=weight, verbose=0, shuffle=False).history["loss"]
        found.append((history, model.evaluate(x, y), *model.get_weights()))
    for a, b in zip(*found, strict=True):
        assert a == pytest.approx(b, rel=1e-12)
    model = small()
    model.compile("sgd", kind(reduction="sum"))
    assert ml.gradcheck(model, x, y).ok


def test_a_loss_without_a_gradient_can_be_called_and_not_trained_with():
    class Called(keras_losses.Loss):
        def call(self, y_true, y_pred):
            return np.abs(y_true - y_pred)

    assert float(Called()([1.0, 2.0], [2.0, 4.0])) == 1.5
    with pytest.raises(TypeError, match=r"loss must be one with gradient\(y_true, y_pred\) .*, got Called"):
        small().compile("sgd", Called())
    with pytest.raises(TypeError, match=r"Nothing must have call\(y_true, y_pred\)"):
        type("Nothing", (keras_losses.Loss,), {})()


def test_a_metric_of_the_user_s_own_class_like_keras():
    require("keras")
    import keras

    def made(base, maximum):
        class Largest(base):
            def __init__(self, name="largest", **words):
                super().__init__(name=name, **words)
                self.found = self.add_weight(name="found", initializer="zeros")
                self.batches = self.add_weight(name="batches", initializer="zeros")

            def update_state(self, y_true, y_pred, sample_weight=None):
                self.found.assign(maximum(self.found, y_pred))
                self.batches.assign_add(1)

            def result(self):
                return self.found * 10 + self.batches

        return Largest()

    y = np.random.default_rng(1).random((4, 3))
    ours = small()
    ours.compile("sgd", "mse", metrics=[made(keras_metrics.Metric, lambda a, b: max(a, np.max(b)))])
    theirs = keras.Sequential([keras.layers.Input((5, 3)), keras.layers.LSTM(2), keras.layers.Dense(3)])
    theirs.set_weights(ours.get_weights())
    largest = made(keras.metrics.Metric, lambda a, b: keras.ops.maximum(a, keras.ops.max(b)))
    theirs.compile("sgd", "mse", metrics=[largest])
    data = {"batch_size": 2, "epochs": 2, "shuffle": False, "verbose": 0, "validation_data": (x, y)}
    found, expected = (model.fit(x, y, **data).history for model in (ours, theirs))
    for name in ("largest", "val_largest"):
        assert found[name] == pytest.approx(expected[name], rel=1e-5)
    with pytest.raises(TypeError, match="Nothing must be with update_state and result"):
        type("Nothing", (keras_metrics.Metric,), {})()


@pytest.mark.parametrize("steps", [1, 3, 4, 6])
def test_steps_of_arrays_like_keras(steps):
    require("keras")
    import keras

    data = np.random.default_rng(3).random((7, 5, 3)).astype("float32")
    y = np.random.default_rng(4).random((7, 3))
    ours = small()
    ours.compile("sgd", "mse")
    theirs = keras.Sequential([keras.layers.Input((5, 3)), keras.layers.LSTM(2), keras.layers.Dense(3)])
    theirs.set_weights(ours.get_weights())
    theirs.compile("sgd", "mse")
    fit = {"batch_size": 2, "epochs": 4, "steps_per_epoch": steps, "shuffle": False, "verbose": 0}
    fit |= {"validation_data": (data, y), "validation_steps": 2}
    with pytest.warns(UserWarning, match="ran out of") if steps in (3, 6) else nullcontext():
        histories = [model.fit(data, y, **fit).history for model in (ours, theirs)]
    for name in ("loss", "val_loss"):
        assert histories[0][name] == pytest.approx(histories[1][name], rel=1e-5)
    if steps <= 4:
        found = [model.evaluate(data, y, steps=steps, batch_size=2, verbose=0) for model in (ours, theirs)]
        assert found[0] == pytest.approx(found[1], rel=1e-5)
        shapes = [model.predict(data, steps=steps, batch_size=2, verbose=0).shape for model in (ours, theirs)]
        assert shapes[0] == shapes[1]


@pytest.mark.filterwarnings("ignore:x ran out of batches after 1 of 3 steps:UserWarning")
def test_a_fit_by_steps_goes_on_with_the_same_bits(tmp_path):
    def fitted(*epochs):
        model = small()
        model.compile("sgd", "mse")
        backup = ml.ModelCheckpoint(str(tmp_path / f"{len(epochs)}.npz"), resume=True)
        y = np.random.default_rng(4).random((4, 3))
        for number in epochs:
            model.fit(x, y, 1, number, steps_per_epoch=3, verbose=0, callbacks=[backup])
        return model.get_weights()

    for a, b in zip(fitted(4), fitted(1, 4), strict=True):
        assert (a == b).all()


def test_steps_of_a_validation_split():
    model = small()
    model.compile("sgd", "mse")
    y = np.random.default_rng(4).random((4, 3))
    model.fit(x, y, validation_split=0.5, validation_steps=1, batch_size=1, verbose=0)
    history = model.history.history
    assert history["val_loss"][0] == pytest.approx(model.evaluate(x[2:3], y[2:3]))
    with pytest.raises(ValueError, match="validation_steps must be None without validation_data, got 1"):
        model.fit(x, y, validation_steps=1, verbose=0)
