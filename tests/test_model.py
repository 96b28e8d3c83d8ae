"""Sequential against Keras: training, evaluation, masks; what it returns; what it refuses; seeds."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from tolerances import TRAINING, check

import minilstm as ml

N, T, D, H = 22, 6, 3, 5
BOUND = TRAINING["float32"]


def x_of(seed=1, samples=N, steps=T, features=D):
    return np.random.default_rng(seed).normal(size=(samples, steps, features)).astype("float32")


def mask_of(samples=N, steps=T):
    """Post-padding of every length from 1 to T."""
    return np.arange(steps) < (1 + np.arange(samples) % steps)[:, None]


def small(seed=0, **options):
    """A small compiled model."""
    layers = [ml.LSTM(H, input_shape=(T, D)), ml.Dense(1, activation="sigmoid")]
    model = ml.Sequential(layers, seed=seed)
    model.compile(**({"optimizer": "adam", "loss": "binary_crossentropy"} | options))
    return model


def labels(samples=N):
    return np.arange(samples) % 2


def same_bits(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


# ------------------------------------------------------------------------------ training against Keras


OPTIMIZERS = {
    "adam": ("Adam", {"learning_rate": 0.01}),
    "adam clipnorm": ("Adam", {"learning_rate": 0.01, "clipnorm": 0.05}),
    "adam global_clipnorm": ("Adam", {"learning_rate": 0.01, "global_clipnorm": 0.1}),
    "adam clipvalue": ("Adam", {"learning_rate": 0.01, "clipvalue": 0.02}),
    "rmsprop": ("RMSprop", {"learning_rate": 0.003}),
    "sgd": ("SGD", {"learning_rate": 0.1}),
    "sgd nesterov": ("SGD", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}),
    "sgd nesterov clipnorm": (
        "SGD",
        {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True, "clipnorm": 0.1},
    ),
}
MODELS = {
    "binary": ([("LSTM", (H,), {}), ("Dense", (1,), {"activation": "sigmoid"})], "binary_crossentropy"),
    "classes": (
        [("LSTM", (H,), {}), ("Dense", (3,), {"activation": "softmax"})],
        "sparse_categorical_crossentropy",
    ),
    "rows": ([("LSTM", (H,), {}), ("Dense", (3,), {"activation": "softmax"})], "categorical_crossentropy"),
    "regression": ([("LSTM", (H,), {}), ("Dense", (4,), {"activation": "relu"}), ("Dense", (1,), {})], "mse"),
    "no bias": ([("LSTM", (H,), {"use_bias": False}), ("Dense", (1,), {"use_bias": False})], "mse"),
    "masking": (
        [("Masking", (), {}), ("LSTM", (H,), {}), ("Dense", (1,), {"activation": "sigmoid"})],
        "binary_crossentropy",
    ),
    "stacked": (
        [
            ("LSTM", (4,), {"return_sequences": True}),
            ("LSTM", (H,), {}),
            ("Dense", (1,), {"activation": "sigmoid"}),
        ],
        "binary_crossentropy",
    ),
    "stacked masking": (
        [
            ("Masking", (), {}),
            ("LSTM", (4,), {"return_sequences": True}),
            ("LSTM", (H,), {}),
            ("Dense", (1,), {}),
        ],
        "mse",
    ),
    "embedding": (
        [
            ("Embedding", (9, 4), {"mask_zero": True}),
            ("LSTM", (H,), {}),
            ("Dense", (1,), {"activation": "sigmoid"}),
        ],
        "binary_crossentropy",
    ),
    "many to many": ([("LSTM", (H,), {"return_sequences": True}), ("Dense", (2,), {})], "mse"),
    "many to many masking": (
        [("Masking", (), {}), ("LSTM", (H,), {"return_sequences": True}), ("Dense", (2,), {})],
        "mse",
    ),
    "labelled steps masking": (
        [
            ("Masking", (), {}),
            ("LSTM", (H,), {"return_sequences": True}),
            ("Dense", (3,), {"activation": "softmax"}),
        ],
        "sparse_categorical_crossentropy",
    ),
}
for cell in ("GRU", "SimpleRNN"):
    MODELS[f"{cell}"] = (
        [(cell, (H,), {}), ("Dense", (1,), {"activation": "sigmoid"})],
        "binary_crossentropy",
    )
    MODELS[f"{cell} masking"] = (
        [("Masking", (), {}), (cell, (H,), {}), ("Dense", (1,), {"activation": "sigmoid"})],
        "binary_crossentropy",
    )
    MODELS[f"many to many {cell} masking"] = (
        [("Masking", (), {}), (cell, (H,), {"return_sequences": True}), ("Dense", (2,), {})],
        "mse",
    )
METRICS = {"mse": ["mae"]}
CASES = [
    *[("binary", optimizer) for optimizer in OPTIMIZERS],
    *[("masking", optimizer) for optimizer in ("adam", "rmsprop", "sgd nesterov", "adam clipnorm")],
    *[(f"{cell} masking", name) for cell in ("GRU", "SimpleRNN") for name in ("rmsprop", "sgd nesterov")],
    *[(cell, name) for cell in ("GRU", "SimpleRNN") for name in ("adam clipnorm", "adam global_clipnorm")],
    *[(model, "adam") for model in MODELS if model not in ("binary", "masking")],
]


def data_for(name: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    layers, loss = MODELS[name]
    if layers[0][0] == "Embedding":
        x = np.where(mask_of(), rng.integers(1, 9, (N, T)), 0)
    else:
        x = x_of()
        if layers[0][0] == "Masking":
            x = np.where(mask_of()[..., None], x, 0).astype("float32")
            x[3] = 0  # a sample of padding only
    rows = (N, T) if name.startswith(("many", "labelled")) else (N,)
    units = layers[-1][1][0]
    if loss == "sparse_categorical_crossentropy":
        return x, rng.integers(0, units, rows)
    if loss == "categorical_crossentropy":
        return x, np.eye(units, dtype="float32")[rng.integers(0, units, rows)]
    if loss == "binary_crossentropy":
        return x, rng.integers(0, 2, (*rows, units)).astype("float32")
    return x, rng.normal(size=(*rows, units)).astype("float32")


def keras_weights(model) -> list[np.ndarray]:
    return [variable.value.detach().numpy().copy() for variable in model.weights]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "optimizer"), CASES, ids=[f"{name}, {optimizer}" for name, optimizer in CASES]
)
def test_training_is_keras_s(keras, name, optimizer):
    """Ten epochs from the same weights: losses and metrics of each epoch, weights, evaluation, prediction."""
    layers, loss = MODELS[name]
    kind, options = OPTIMIZERS[optimizer]
    metrics = METRICS.get(loss, ["accuracy"])
    x, y = data_for(name)

    keras.utils.set_random_seed(7)  # Adam magnifies the rounding of a gradient that happens to be near 0
    theirs = keras.Sequential(
        [keras.Input(x.shape[1:])] + [getattr(keras.layers, layer)(*args, **kw) for layer, args, kw in layers]
    )
    theirs.compile(optimizer=getattr(keras.optimizers, kind)(**options), loss=loss, metrics=metrics)
    ours = ml.Sequential([getattr(ml, layer)(*args, **kw) for layer, args, kw in layers])
    ours.compile(optimizer=getattr(ml, kind)(**options), loss=loss, metrics=metrics)
    ours.predict(x[:1])  # builds
    ours.set_weights(keras_weights(theirs))

    fit = {"batch_size": 8, "epochs": 10, "shuffle": False, "verbose": 0, "validation_data": (x[:9], y[:9])}
    expected, found = theirs.fit(x, y, **fit), ours.fit(x, y, **fit)
    # a loss that a mask reaches is told by steps too, which Keras does not
    assert [k for k in found.history if not k.endswith("loss_per_step")] == list(expected.history)
    assert found.epoch == expected.epoch
    assert found.params == expected.params
    for key, values in expected.history.items():
        check(found.history[key], values, BOUND, what=key)
    for ours_w, theirs_w in zip(ours.get_weights(), keras_weights(theirs), strict=True):
        check(ours_w, theirs_w, 2 * BOUND)
    check(ours.evaluate(x, y), theirs.evaluate(x, y, verbose=0), BOUND)
    check(ours.predict(x), theirs.predict(x, verbose=0), BOUND)


def test_mask_argument_is_a_masking_layer_s():
    """`mask=` says what Masking finds, and gives the same training bit for bit."""
    x, y = data_for("many to many masking")
    results = []
    for masked in (False, True):
        layers = [ml.LSTM(H, return_sequences=True), ml.Dense(2)]
        model = ml.Sequential(layers if masked else [ml.Masking(), *layers], seed=0)
        model.compile(optimizer="adam", loss="mse", metrics=["mae"])
        model.predict(x)
        rng = np.random.default_rng(0)
        model.set_weights([rng.normal(size=w.shape) * 0.5 for w in model.get_weights()])
        mask = (x != 0).any(axis=-1) if masked else None
        history = model.fit(x, y, mask=mask, batch_size=5, epochs=3, shuffle=False, verbose=0)
        scores = model.evaluate(x, y, mask=mask)
        results.append([*history.history.values(), *model.get_weights(), scores, model.predict(x, mask=mask)])
    same_bits(*results)


def test_a_masked_loss_divides_by_the_real_steps():
    """By hand: the mean over the steps that count, not over all."""
    x, y = data_for("many to many")
    model = ml.Sequential([ml.LSTM(H, return_sequences=True), ml.Dense(2)], seed=0)
    model.compile(loss="mse", metrics=["mae"])
    mask = mask_of()
    error = (model.predict(x, mask=mask) - y)[mask]
    value, mae = model.evaluate(x, y, mask=mask, batch_size=N)
    assert value == pytest.approx((error**2).mean(), rel=1e-6)
    assert mae == pytest.approx(np.abs(error).mean(), rel=1e-6)
    assert model.evaluate(x, y, mask=np.zeros((N, T))) == [0.0, 0.0]  # nothing to be wrong about


def test_a_diverged_sigmoid_still_learns():
    """The loss comes from the logits: exact at +-1e4, and its gradient never dies."""
    model = ml.Sequential([ml.LSTM(2, input_shape=(T, D)), ml.Dense(1, activation="sigmoid")], seed=0)
    model.compile(optimizer=ml.SGD(1.0), loss="binary_crossentropy")
    weights = model.get_weights()
    weights[3][:], weights[4][:] = 0, 1e4
    model.set_weights(weights)
    assert model.train_on_batch(x_of(), np.zeros(N)) == 1e4
    assert model.get_weights()[4] == 1e4 - 1


# ------------------------------------------------------------------------------ what methods return


def test_history():
    model = small(metrics=["accuracy", "mae"])
    history = model.fit(
        x_of(), labels(), epochs=3, batch_size=8, verbose=0, validation_data=(x_of(2), labels())
    )
    assert list(history.history) == ["accuracy", "loss", "mae", "val_accuracy", "val_loss", "val_mae"]
    assert {type(value) for values in history.history.values() for value in values} == {float}
    assert history.epoch == [0, 1, 2]
    assert history.params == {"verbose": 0, "epochs": 3, "steps": 3}
    assert model.fit(x_of(), labels(), epochs=0, verbose=0).history == {}


def test_epoch_means_are_weighted_by_the_batch():
    """The short last batch counts for its samples; each batch is measured before its update."""
    model = small(optimizer=ml.SGD(0.0), metrics=["accuracy"])
    found = model.fit(x_of(), labels(), batch_size=8, verbose=0, shuffle=False).history
    value, accuracy = model.evaluate(x_of(), labels(), batch_size=N)
    assert found["loss"][0] == pytest.approx(value, rel=1e-6)
    assert found["accuracy"][0] == pytest.approx(accuracy, rel=1e-12)


def test_kinds_of_results():
    plain, with_metrics = small(), small(metrics=["accuracy"])
    x, y = x_of(), labels()
    assert type(plain.evaluate(x, y)) is float
    assert type(plain.train_on_batch(x, y)) is float
    assert [type(v) for v in with_metrics.evaluate(x, y)] == [float, float]
    assert [type(v) for v in with_metrics.train_on_batch(x, y)] == [float, float]
    scores = with_metrics.evaluate(x, y, return_dict=True)
    assert list(scores) == ["loss", "accuracy"]
    assert list(scores.values()) == with_metrics.evaluate(x, y)


def test_predict_does_not_depend_on_the_batches():
    model = small()
    whole = model.predict(x_of())
    assert whole.dtype == np.float32
    assert whole.shape == (N, 1)
    check(model.predict(x_of(), batch_size=3), whole, 1e-6)
    np.testing.assert_array_equal(model.predict_on_batch(x_of()), model.predict(x_of(), batch_size=N))


@pytest.mark.parametrize("sequences", [False, True])
def test_predicting_nothing_gives_nothing(sequences):
    model = ml.Sequential([ml.LSTM(H, input_shape=(T, D), return_sequences=sequences), ml.Dense(2)])
    for predict in (model.predict, model.predict_on_batch):
        found = predict(np.zeros((0, T, D)))
        assert found.shape == ((0, T, 2) if sequences else (0, 2))
        assert found.dtype == np.float32


def test_train_on_batch_is_one_step_of_fit():
    by_hand, fitted = small(), small()
    x, y = x_of(), labels()
    for _ in range(3):
        values = [by_hand.train_on_batch(x[k : k + 8], y[k : k + 8]) for k in range(0, N, 8)]
    history = fitted.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    same_bits(by_hand.get_weights(), fitted.get_weights())
    sizes = [8, 8, 6]
    assert history.history["loss"][-1] == pytest.approx(np.average(values, weights=sizes), rel=1e-12)


def test_verbose_prints_one_entry_per_epoch(capsys):
    small(metrics=["accuracy"]).fit(x_of(), labels(), epochs=2, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[::2] == ["Epoch 1/2", "Epoch 2/2"]
    assert all(
        re.fullmatch(r"1/1 - \d+s - \d+(s|ms|us)/step - accuracy: 0\.\d{4} - loss: \d\.\d{4}", x)
        for x in lines[1::2]
    )
    small().fit(x_of(), labels(), verbose=0)
    assert capsys.readouterr().out == ""


def test_summary():
    texts: list[str] = []
    model = ml.Sequential([ml.LSTM(64, input_shape=(None, 1)), ml.Dense(1)], name="net")
    model.summary(print_fn=texts.append)
    (text,) = texts
    lines = text.splitlines()
    assert lines[0] == 'Model: "net", float32'
    assert [line.split() for line in lines[3:5]] == [
        ["lstm", "(LSTM)", "(None,", "64)", "16,896"],
        ["dense", "(Dense)", "(None,", "1)", "65"],
    ]
    assert lines[-1] == "Total params: 16,961 (66.25 KB)"
    ml.Sequential([ml.LSTM(3)]).summary(print_fn=texts.append)
    assert "0 (unbuilt)" in texts[1]
    assert model.count_params() == 16961


# ------------------------------------------------------------------------------ structure


def test_names_are_unique_and_given_in_order():
    layers = [ml.LSTM(2, return_sequences=True), ml.LSTM(2), ml.Dense(2), ml.Dense(1, name="out")]
    model = ml.Sequential(layers)
    assert [layer.name for layer in model.layers] == ["lstm", "lstm_1", "dense", "out"]
    with pytest.raises(ValueError, match="layer names must be unique in a model, got 'out' twice"):
        model.add(ml.Dense(1, name="out"))
    with pytest.raises(TypeError, match="layer must be a minilstm layer, got str: 'dense'"):
        model.add("dense")
    with pytest.raises(ValueError, match="layer 'lstm' must be without return_state in a Sequential"):
        model.add(ml.LSTM(3, return_state=True))


def test_weights_exist_where_the_input_is_known():
    known = ml.Sequential([ml.LSTM(H, input_shape=(T, D)), ml.Dense(2)])
    assert known.built
    assert known.output_shape == (None, 2)
    assert list(known.named_weights) == [
        "lstm/kernel", "lstm/recurrent_kernel", "lstm/bias", "dense/kernel", "dense/bias"
    ]  # fmt: skip
    late = ml.Sequential([ml.LSTM(H), ml.Dense(2)])
    assert not late.built
    assert late.get_weights() == []
    with pytest.raises(AttributeError, match="no output_shape before it is built"):
        _ = late.output_shape
    late.predict(x_of())
    assert late.built
    assert [w.shape for w in late.get_weights()] == [w.shape for w in known.get_weights()]


def test_a_model_of_dense_layers_takes_rows():
    model = ml.Sequential([ml.Dense(4, activation="tanh"), ml.Dense(1)], seed=0)
    model.compile(loss="mse", optimizer="adam")
    history = model.fit(x_of()[:, 0], labels(), epochs=20, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]


def test_layers_that_do_not_fit_are_refused_at_once():
    with pytest.raises(
        ValueError, match=r"input of layer 'lstm_1' must be \(batch, time, features\), got \(batch, 5\)"
    ):
        ml.Sequential([ml.LSTM(5, input_shape=(T, D)), ml.LSTM(3)])
    with pytest.raises(
        ValueError, match=r"input of layer 'embedding' must be \(batch, time\) of whole numbers"
    ):
        ml.Sequential([ml.Embedding(5, 2, input_shape=(T, D))])


def test_time_may_be_of_another_length_than_declared():
    assert small().predict(x_of(steps=T + 4)).shape == (N, 1)


def test_rank_repair():
    """A missing or a surplus last axis of 1, as in Keras; then features must fit."""
    model = ml.Sequential([ml.LSTM(H, input_shape=(T, 1)), ml.Dense(1)], seed=0)
    x = x_of(features=1)
    expected = model.predict(x)
    np.testing.assert_array_equal(model.predict(x[..., 0]), expected)
    np.testing.assert_array_equal(model.predict(x[..., None]), expected)
    with pytest.raises(ValueError, match=re.escape("x must be of shape (batch, 6, 1), got (22, 6, 3)")):
        model.predict(x_of())


def test_set_weights_is_all_or_nothing():
    model = small()
    before = model.get_weights()
    given = [w + 1 for w in before]
    for bad, text in [
        (given[:-1], "weights must be 5 arrays, got 4"),
        ([*given[:-1], np.zeros(2)], "dense/bias must be of shape (1,), got (2,)"),
        ([*given[:2], np.zeros(3), *given[3:]], "lstm/bias must be of shape (20,), got (3,)"),
    ]:
        with pytest.raises(ValueError, match=re.escape(text)):
            model.set_weights(bad)
        same_bits(model.get_weights(), before)
    model.set_weights(given)
    same_bits(model.get_weights(), given)
    given[0][:] = 0
    model.get_weights()[0][:] = 0
    assert (model.get_weights()[0] == before[0] + 1).all()


def test_dtype_of_everything():
    model = ml.Sequential([ml.LSTM(H, input_shape=(T, D)), ml.Dense(1)], dtype="float64")
    model.compile(loss="mse")
    model.fit(x_of(), labels(), verbose=0)
    assert {w.dtype.name for w in model.get_weights()} == {"float64"}
    assert model.predict(x_of()).dtype == np.float64
    with pytest.raises(ValueError, match="dtype must be 'float32' or 'float64', got 'float16'"):
        ml.Sequential(dtype="float16")


# ------------------------------------------------------------------------------ randomness


def test_the_same_seed_gives_the_same_bits():
    def run(seed):
        model = small(seed=seed)
        start = model.get_weights()
        history = model.fit(x_of(), labels(), batch_size=5, epochs=3, verbose=0)
        return start, [*model.get_weights(), history.history["loss"]]

    first, second, other = run(0), run(0), run(1)
    same_bits(first[0], second[0])
    same_bits(first[1], second[1])
    assert (first[0][0] != other[0][0]).any()
    assert first[1][-1] != other[1][-1]
    unseeded = [ml.Sequential([ml.LSTM(H, input_shape=(T, D))]).get_weights()[0] for _ in range(2)]
    assert (unseeded[0] != unseeded[1]).any()


def test_global_random_state_is_left_alone():
    np.random.seed(3)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    small(seed=5).fit(x_of(), labels(), verbose=0)
    assert np.random.random() == expected  # noqa: NPY002


def test_shuffling_is_a_new_order_each_epoch():
    orders: list[list[float]] = []

    class Watch(ml.Callback):
        def on_epoch_begin(self, epoch, logs):
            orders.append([])

        def on_train_batch_end(self, batch, logs):
            orders[-1].append(logs["batch_loss"])

    model = ml.Sequential([ml.LSTM(1, input_shape=(1, 1)), ml.Dense(1)], seed=0)
    model.compile(optimizer=ml.SGD(0.0), loss="mse")
    x = np.zeros((10, 1, 1))
    y = np.arange(10.0)
    model.fit(x, y, batch_size=1, epochs=3, verbose=0, callbacks=[Watch()])
    model.fit(x, y, batch_size=1, epochs=1, verbose=0, shuffle=False, callbacks=[Watch()])
    assert len({tuple(order) for order in orders[:3]}) == 3
    assert len({tuple(sorted(order)) for order in orders}) == 1  # every sample once
    assert orders[3] == sorted(orders[3])


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_both_backends_train_alike(backend):
    def run(backend):
        model = ml.Sequential(
            [ml.LSTM(H, input_shape=(T, D), backend=backend), ml.Dense(1)], seed=0, dtype="float64"
        )
        model.compile(optimizer="adam", loss="mse")
        model.fit(x_of(), labels(), mask=mask_of(), epochs=5, batch_size=8, verbose=0)
        return model.get_weights()

    for ours, theirs in zip(run(backend), run("numpy"), strict=True):
        check(ours, theirs, TRAINING["float64"])


# ------------------------------------------------------------------------------ callbacks


def test_callbacks_see_what_happens_and_may_stop():
    calls: list[tuple] = []

    class Watch(ml.Callback):
        def on_epoch_begin(self, epoch, logs):
            calls.append(("begin", epoch))

        def on_train_batch_end(self, batch, logs):
            calls.append(("batch", batch, sorted(logs)))

        def on_epoch_end(self, epoch, logs):
            calls.append(("end", epoch, sorted(logs)))
            self.model.stop_training = epoch == 1

    model = small(optimizer=ml.Adam(clipnorm=1e-6))
    history = model.fit(x_of(), labels(), batch_size=16, epochs=5, verbose=0, callbacks=[Watch()])
    keys = ["batch_loss", "clipped", "loss", "norm", "norm_after"]
    one = [("batch", 0, keys), ("batch", 1, keys)]
    assert calls == [("begin", 0), *one, ("end", 0, ["loss"]), ("begin", 1), *one, ("end", 1, ["loss"])]
    assert history.epoch == [0, 1]
    assert model.fit(x_of(), labels(), epochs=2, verbose=0).epoch == [0, 1]  # stopping is for one fit


# ------------------------------------------------------------------------------ scripts in Keras's words


def test_a_short_script_with_padding_and_labels_in_a_list():
    """Ragged whole numbers, post-padded; labels in a list; `tf.keras.Sequential` with another import."""
    import minilstm as tf
    from minilstm import LSTM, Dense, pad_sequences

    tides = [[5, 1], [2, 2, 7, 1, 3], [8]]
    rising = [1, 0, 0]
    longest = max(len(tide) for tide in tides)
    rows = pad_sequences(tides, maxlen=longest, padding="post")
    model = tf.keras.Sequential([LSTM(64, input_shape=(longest, 1)), Dense(1, activation="sigmoid")])
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    history = model.fit(rows, rising, epochs=10, verbose=0)
    assert len(history.history["accuracy"]) == 10
    assert history.history["loss"][-1] < history.history["loss"][0]


def test_a_script_over_growing_lengths_is_told_that_its_data_is_lost():
    """Fractions padded with the default int32 all become 0: Keras's result, and a warning that says so."""
    from minilstm import LSTM, Dense, Sequential, pad_sequences

    rng = np.random.default_rng(0)
    for longest in (4, 9):
        walks = [rng.random((rng.integers(1, longest + 1), 10)) for _ in range(30)]
        uphill = rng.integers(0, 2, 30)
        with pytest.warns(ml.PaddingWarning, match='dtype="float'):
            x = pad_sequences(walks, maxlen=longest, padding="post")
        assert not x.any()
        model = Sequential([LSTM(64, input_shape=(longest, 10)), Dense(1, activation="sigmoid")])
        model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
        history = model.fit(x, np.array(uphill), epochs=2, verbose=0)
        assert history.history["accuracy"][-1] <= 1
        assert len(np.unique(model.predict(x))) == 1  # nothing left to tell samples apart


def test_a_script_that_cuts_long_sequences():
    import minilstm as tf
    from minilstm import LSTM, Dense

    ramps = [list(range(start, start + 300)) for start in range(12)]
    side = [0] * 6 + [1] * 6
    cut = [ramp[:40] for ramp in ramps]
    model = tf.keras.Sequential([LSTM(64, input_shape=(40, 1)), Dense(1, activation="sigmoid")])
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    history = model.fit(np.array(cut).reshape(-1, 40, 1), np.array(side), epochs=3, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


# ------------------------------------------------------------------------------ bad input


BAD_DATA = [
    ({"x": np.ones(3)}, ValueError, "x must be of shape (batch, 6, 3), got (3,)"),
    ({"x": np.ones((N, T))}, ValueError, "x must be of shape (batch, 6, 3), got (22, 6)"),
    ({"x": np.ones((N, T, D, 2))}, ValueError, "x must be of shape (batch, 6, 3), got (22, 6, 3, 2)"),
    ({"x": np.ones((N, T, D + 1))}, ValueError, "x must be of shape (batch, 6, 3), got (22, 6, 4)"),
    ({"x": np.ones((0, T, D)), "y": []}, ValueError, "x must be of at least 1 sample, got 0 samples"),
    ({"x": np.ones((N, 0, D))}, ValueError, "x must be of at least 1 of its time steps, got 0 time steps"),
    ({"x": np.ones((N, T, D)) * 1j}, TypeError, "x must be an array of real numbers, got dtype complex128"),
    ({"x": np.full((N, T, D), None)}, TypeError, "x must be an array of real numbers, got dtype object"),
    ({"x": np.full((N, T, D), "1")}, TypeError, "x must be an array of real numbers, got dtype <U1"),
    ({"x": None}, TypeError, "x must be an array of real numbers, got dtype object"),
    (
        {"x": [[[1, 2, 3]], [[1, 2, 3]] * 2]},
        ValueError,
        "x must be a rectangular array, got sequences of different",
    ),
    (
        {"x": np.ma.ones((N, T, D))},
        TypeError,
        "x must be a plain array, got a masked array: pass mask= instead",
    ),
    ({"y": labels(N + 1)}, ValueError, "x and y must be of the same length, got 22 and 23"),
    ({"y": 1}, ValueError, "y must be an array with one entry per sample, got a"),
    ({"y": None}, ValueError, "y must be"),
    ({"y": np.full(N, np.nan)}, ValueError, "y contains NaN at row 0 (22 of 22 values)"),
    ({"y": np.where(labels(), np.inf, 0)}, ValueError, "y contains Inf at row 1 (11 of 22 values)"),
    ({"y": labels() * 2}, ValueError, "y must be between 0 and 1, got 2 at row 1"),
    ({"y": -labels()}, ValueError, "y must be between 0 and 1, got -1 at row 1"),
    ({"y": ["a"] * N}, TypeError, "y must be an array of numbers, got dtype <U1"),
    ({"y": np.ones((N, 2))}, ValueError, "y must be of shape (22, 1) to go with outputs of shape (22, 1)"),
    ({"y": [[0]] * (N - 1) + [[0, 1]]}, ValueError, "y must be an array or rows of one length"),
    ({"y": np.ma.ones(N)}, TypeError, "y must be a plain array"),
    ({"mask": np.ones((N, T - 1))}, ValueError, "mask must be of shape (22, 6) (batch, time), got (22, 5)"),
    ({"mask": np.full((N, T), 0.5)}, ValueError, "mask must be of True and False (or 1 and 0), got 0.5"),
    ({"mask": np.full((N, T), np.nan)}, ValueError, "mask must be of True and False (or 1 and 0), got nan"),
    ({"mask": np.full((N, T), 2)}, ValueError, "mask must be of True and False (or 1 and 0), got 2"),
    ({"mask": [["yes"] * T] * N}, TypeError, "mask must be"),
    ({"mask": [[1]] * (N - 1) + [[1, 0]]}, ValueError, "mask must be a rectangular array"),
]


def ids_of(cases) -> list[str]:
    return [f"{k} {text[:40]}" for k, (*_, text) in enumerate(cases)]


@pytest.mark.parametrize(("bad", "error", "text"), BAD_DATA, ids=ids_of(BAD_DATA))
@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "trace", "validation"])
def test_bad_data_is_named_before_any_work(method, bad, error, text):
    model = small(metrics=["accuracy"])
    before = model.get_weights()
    given = {"x": x_of(), "y": labels(), "mask": None} | bad
    if method == "validation":
        method, (x, y, mask) = "fit", given.values()
        given = {"x": x_of(), "y": labels(), "validation_data": (x, y), "validation_mask": mask}
        given["mask"] = None if mask is None else np.ones((N, T))  # with a mask on both sides
    with pytest.raises(error, match=re.escape(text)):
        getattr(model, method)(**given)
    same_bits(model.get_weights(), before)
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize(
    ("bad", "error", "text"),
    [case for case in BAD_DATA if "y" not in case[0]],
    ids=ids_of([case for case in BAD_DATA if "y" not in case[0]]),
)
def test_bad_data_in_predict(bad, error, text):
    given = {"x": x_of(), "mask": None} | bad
    for predict in (small().predict, small().predict_on_batch):
        with pytest.raises(error, match=re.escape(text)):
            predict(**given)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", ["fit", "predict", "evaluate", "trace"])
def test_values_that_are_not_finite(method, value):
    """In a real step they are refused, with their place; in a masked step they do not matter."""
    model = small()
    x = x_of()
    x[4, 5, 2] = value
    name = "NaN" if np.isnan(value) else "Inf"
    y = () if method == "predict" else (labels(),)
    with pytest.raises(
        ValueError, match=re.escape(f"x must be finite, got {name} at [4, 5, 2] (1 of 396 values)")
    ):
        getattr(model, method)(x, *y)
    mask = np.ones((N, T), bool)
    mask[4, 5] = False
    getattr(model, method)(x, *y, mask=mask)


def test_rubbish_in_masked_steps_changes_no_bit():
    results = []
    for rubbish in (0.0, np.nan, np.inf, 1e30, 1e300):
        x = np.where(mask_of()[..., None], x_of().astype("float64"), rubbish)
        model = small()
        model.fit(x, labels(), mask=mask_of(), epochs=2, batch_size=8, verbose=0)
        trace = model.trace(x, labels(), mask=mask_of())
        results.append(
            [*model.get_weights(), model.predict(x, mask=mask_of()), *trace.grads.values(), trace[0].dx]
        )
    for other in results[1:]:
        same_bits(other, results[0])


def test_targets_of_masked_steps_may_be_anything():
    x, y = data_for("labelled steps masking")
    model = ml.Sequential([ml.LSTM(H, return_sequences=True), ml.Dense(3, activation="softmax")], seed=0)
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    mask = mask_of()
    assert model.evaluate(x, np.where(mask, y, -1), mask=mask) == model.evaluate(x, y, mask=mask)


@pytest.mark.parametrize(
    ("y", "text"),
    [
        (np.where(np.arange(N) == 7, 3, 0), "y has label 3 at row 7; classes are 0..2"),
        (np.where(np.arange(N) == 2, -1, 0), "y has label -1 at row 2; classes are 0..2"),
        (np.full(N, 0.5), "y must hold whole class labels, got 0.5 at row 0"),
        (np.eye(3)[labels()], "rows of classes go with categorical_crossentropy"),
    ],
)
def test_labels_out_of_range(y, text):
    model = ml.Sequential([ml.LSTM(H, input_shape=(T, D)), ml.Dense(3, activation="softmax")])
    model.compile(loss="sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=re.escape(text)):
        model.fit(x_of(), y, verbose=0)


@pytest.mark.parametrize(
    ("ids", "error", "text"),
    [
        ([[1, 9]], ValueError, "x must be of ids 0 .. 8, got 9 at [0, 1]"),
        ([[-1, 2]], ValueError, "x must be of ids 0 .. 8, got -1 at [0, 0]"),
        ([[0.5, 2]], ValueError, "x must be of whole numbers, got fractions, NaN or Inf"),
        ([[np.nan, 2]], ValueError, "x must be of whole numbers, got fractions, NaN or Inf"),
        ([[1e30, 2]], ValueError, "x must be"),
        ([1, 2], ValueError, "x must be (batch, time) of whole numbers"),
        (np.zeros((2, 0)), ValueError, "x must be (batch, time) of whole numbers, at least 1 step"),
        ([["a", "b"]], TypeError, "x must be an array of real numbers"),
    ],
)
def test_ids_out_of_range(ids, error, text):
    model = ml.Sequential([ml.Embedding(9, 4), ml.LSTM(H), ml.Dense(1)])
    with pytest.raises(error, match=re.escape(text)):
        model.predict(ids)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be a whole number >= 1, got 0"),
        ({"batch_size": -3}, ValueError, "batch_size must be a whole number >= 1, got -3"),
        ({"batch_size": 2.0}, TypeError, "batch_size must be a whole number >= 1, got 2.0"),
        ({"batch_size": True}, TypeError, "batch_size must be a whole number >= 1, got True"),
        ({"epochs": -1}, ValueError, "epochs must be a whole number >= 0, got -1"),
        ({"epochs": 1.5}, TypeError, "epochs must be a whole number >= 0, got 1.5"),
        ({"verbose": "loud"}, ValueError, "verbose must be 0, 1, 2 or 'auto', got 'loud'"),
        (
            {"validation_data": np.ones(3)},
            ValueError,
            "validation_data must be (x, y), with sample_weight, with sample_weight and mask, or an iterable "
            "of batches, got ndarray",
        ),
        ({"validation_data": (1, 2, 3, 4, 5)}, ValueError, "or an iterable of batches, got tuple of 5"),
        (
            {"validation_split": 1.5},
            ValueError,
            "validation_split must be a finite number >= 0 and < 1, got 1.5",
        ),
        (
            {"validation_split": 0.99},
            ValueError,
            "validation_split must be small enough to leave 1 of 22 samples",
        ),
        ({"callbacks": [lambda logs: None]}, TypeError, "callbacks"),
    ],
)
def test_arguments_of_fit(options, error, text):
    model = small()
    before = model.get_weights()
    with pytest.raises(error, match=re.escape(text)):
        model.fit(x_of(), labels(), **({"verbose": 0} | options))
    same_bits(model.get_weights(), before)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        (
            {"optimizer": "adamax"},
            ValueError,
            "optimizer must be 'sgd' or 'rmsprop' or 'adam' or 'adamw', got 'adamax'",
        ),
        ({"loss": "hinge"}, ValueError, "loss must be"),
        ({"metrics": "accuracy"}, ValueError, "metrics must be a list or tuple of names, got 'accuracy'"),
        ({"metrics": ["f1"]}, ValueError, "metrics must be of the names"),
    ],
)
def test_arguments_of_compile(options, error, text):
    model = small()
    with pytest.raises(error, match=re.escape(text)):
        model.compile(**({"optimizer": "adam", "loss": "mse"} | options))
    assert model.loss.name == "binary_crossentropy"  # as it was


def test_work_before_compile():
    model = ml.Sequential([ml.LSTM(H, input_shape=(T, D)), ml.Dense(1)])
    for work in (model.fit, model.evaluate, model.train_on_batch, model.trace):
        with pytest.raises(RuntimeError, match=r"must be compiled first: call model\.compile"):
            work(x_of(), labels())
    model.compile(optimizer="adam")
    with pytest.raises(RuntimeError, match="compiled without a loss"):
        model.fit(x_of(), labels())
    with pytest.raises(RuntimeError, match="the model has no layers"):
        ml.Sequential().predict(x_of())


@pytest.mark.parametrize(
    ("seed", "error"), [(-1, ValueError), (1.5, TypeError), (True, TypeError), ("0", TypeError)]
)
def test_seeds_that_are_none(seed, error):
    with pytest.raises(error, match="seed must be a whole number >= 0, got"):
        ml.Sequential(seed=seed)


# ------------------------------------------------------------------------------ the caller's arrays


def forms(array: np.ndarray) -> dict[str, object]:
    """The same numbers in other memory."""
    wide = np.zeros([2 * size for size in array.shape], array.dtype)
    strided = wide[tuple(slice(None, None, 2) for _ in array.shape)]
    strided[...] = array
    read_only = array.copy()
    read_only.flags.writeable = False
    return {
        "fortran": np.asfortranarray(array),
        "strided": strided,
        "negative stride": np.ascontiguousarray(array[::-1])[::-1],
        "read-only": read_only,
        "big-endian": array.astype(array.dtype.newbyteorder(">")),
        "list": array.tolist(),
        "float64": array.astype("float64"),
        "longdouble": array.astype("longdouble"),
    }


@pytest.mark.parametrize("form", sorted(forms(np.ones((1, 1, 1), "float32"))))
def test_memory_of_the_caller_changes_no_bit(form):
    def run(x, y, mask):
        model = small(metrics=["accuracy"])
        history = model.fit(x, y, mask=mask, batch_size=8, epochs=2, verbose=0)
        return [*model.get_weights(), *history.history.values(), model.predict(x, mask=mask)]

    y, mask = labels().astype("float32"), mask_of()
    other_mask = forms(mask.astype("float32"))[form] if form != "strided" else mask[:, ::-1].copy()[:, ::-1]
    other_y = forms(y)[form]
    same_bits(run(forms(x_of())[form], other_y, other_mask), run(x_of(), y, mask))


@pytest.mark.parametrize("dtype", ["float16", "int8", "uint8", "int64", "bool"])
def test_other_dtypes_are_converted_once(dtype):
    x = np.abs(x_of() * 3).astype(dtype)
    np.testing.assert_array_equal(small().predict(x), small().predict(x.astype("float32")))


def test_a_broadcast_array_works():
    x = np.broadcast_to(np.float32(0.5), (N, T, D))
    np.testing.assert_array_equal(small().predict(x), small().predict(x.copy()))
    assert np.isfinite(small().train_on_batch(x, np.broadcast_to(1, (N,))))


def test_the_caller_s_arrays_are_never_written_to():
    x, y, mask = x_of(), labels().astype("float64"), mask_of()
    weights = small().get_weights()
    arrays = [x, y, mask, *weights]
    before = [array.tobytes() for array in arrays]
    model = small()
    model.set_weights(weights)
    model.fit(x, y, mask=mask, epochs=2, verbose=0, validation_data=(x, y), validation_mask=mask)
    model.evaluate(x, y, mask=mask)
    model.predict(x, mask=mask)
    model.trace(x, y, mask=mask)
    assert before == [array.tobytes() for array in arrays]


def test_the_caller_may_change_arrays_while_fit_runs():
    """fit works on what it was given at the start."""

    def run(spoil: bool):
        x, y, mask = x_of().astype("float64"), labels().astype("float64"), mask_of()

        class Spoil(ml.Callback):
            def on_train_batch_end(self, batch, logs):
                if spoil:
                    x[:], y[:], mask[:] = 9, 0, True

        model = small()
        model.fit(x, y, mask=mask, batch_size=8, epochs=2, verbose=0, callbacks=[Spoil()])
        return model.get_weights()

    same_bits(run(True), run(False))


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("scale", [1e30, float(np.finfo("float32").max)])
def test_huge_inputs_saturate_and_nothing_else(backend, scale):
    model = ml.Sequential([ml.LSTM(H, input_shape=(T, D), backend=backend), ml.Dense(1)], seed=0)
    model.compile(loss="mse")
    x = np.sign(x_of()) * np.float32(scale)
    assert np.isfinite(model.predict(x)).all()
    assert np.isfinite(model.evaluate(x, labels()))


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (1, 5, 1, 1), (3, 1, 2, 1), (1, 1, 3, 2)])
def test_sizes_of_one(sizes):
    samples, steps, features, units = sizes
    model = ml.Sequential([ml.LSTM(units, input_shape=(steps, features)), ml.Dense(1)], seed=0)
    model.compile(optimizer="adam", loss="mse")
    history = model.fit(x_of(1, samples, steps, features), np.ones(samples), epochs=30, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]


# ------------------------------------------------------------------------------ divergence


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("place", ["lstm/kernel", "lstm/recurrent_kernel", "dense/kernel", "dense/bias"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_stop_fit(backend, place, value):
    """An error that names epoch, batch and place; the weights are those before the batch."""
    model = ml.Sequential([ml.LSTM(H, input_shape=(T, D), backend=backend), ml.Dense(1)], seed=0)
    model.compile(loss="mse")
    model.named_weights[place][...] = value
    before = model.get_weights()
    with pytest.raises(
        ml.NonFiniteError, match=r"epoch 1, batch 1: .* is not finite.*weights are those before this"
    ):
        model.fit(x_of(), labels(), batch_size=8, verbose=0)
    same_bits(model.get_weights(), before)
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_huge_learning_rate_stops_fit(backend):
    """Finite at first, then not: the batch is named, and its weights are kept."""
    model = ml.Sequential([ml.LSTM(H, input_shape=(T, D), backend=backend), ml.Dense(1)], seed=0)
    model.compile(optimizer=ml.SGD(1e30), loss="mse")
    seen = []

    class Keep(ml.Callback):
        def on_train_batch_end(self, batch, logs):
            seen.append(self.model.get_weights())

    with pytest.raises(ml.NonFiniteError, match=r"epoch (\d+), batch (\d+): ") as caught:
        model.fit(x_of(), labels(), batch_size=8, epochs=50, verbose=0, callbacks=[Keep()])
    epoch, batch = map(int, re.match(r"epoch (\d+), batch (\d+)", str(caught.value)).groups())
    assert len(seen) == (epoch - 1) * 3 + batch - 1
    assert seen
    same_bits(model.get_weights(), seen[-1])


def test_train_on_batch_stops_too():
    model = ml.Sequential([ml.LSTM(H, input_shape=(T, D)), ml.Dense(1)], seed=0)
    model.compile(loss="mse")
    model.named_weights["lstm/kernel"][...] = np.nan
    with pytest.raises(ml.NonFiniteError, match=r"NaN in lstm/kernel \(entry 0, 0\)"):
        model.train_on_batch(x_of(), labels())


def test_a_mask_without_a_time_axis_is_refused():
    model = ml.Sequential([ml.Dense(1)], seed=0)
    model.compile(loss="mse")
    with pytest.raises(
        ValueError, match=r"mask must be None where x has no time axis, got x of shape \(2, 3\)"
    ):
        model.predict(np.ones((2, 3)), mask=np.ones((2, 3), bool))


def test_a_step_that_would_make_weights_infinite_is_not_taken():
    model = ml.Sequential([ml.LSTM(3, input_shape=(4, 2)), ml.Dense(1)], seed=0)
    model.compile(ml.SGD(3e38), "mse")
    before = model.get_weights()
    x, y = 10 * np.ones((4, 4, 2)), 10 * np.ones(4)
    with pytest.raises(
        ml.NonFiniteError, match=r"epoch 1, batch 1: the step would make dense/kernel infinite|lstm"
    ):
        model.fit(x, y, epochs=1, verbose=0)
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_masked_ids_may_be_anything():
    model = ml.Sequential([ml.Embedding(5, 3), ml.LSTM(2), ml.Dense(1)], seed=0)
    ids = np.array([[1, 2, -1], [3, 99, -7]])
    mask = np.array([[True, True, False], [True, False, False]])
    clean = model.predict(np.where(mask, ids, 0), mask=mask)
    np.testing.assert_array_equal(model.predict(ids, mask=mask), clean)
    with pytest.raises(ValueError, match=r"x must be of ids 0 \.\. 4, got -1 at \[0, 2\]"):
        model.predict(ids)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"callbacks": 3}, TypeError, "callbacks must be a list of Callback objects, got 3"),
        ({"validation_mask": [[1]]}, ValueError, "validation_mask must be None without validation_data"),
    ],
)
def test_odd_arguments_of_fit(arguments, error, message):
    model = ml.Sequential([ml.LSTM(2, input_shape=(3, 1)), ml.Dense(1)], seed=0)
    model.compile(loss="mse")
    with pytest.raises(error, match=message):
        model.fit(np.ones((2, 3, 1)), [0, 1], verbose=0, **arguments)


def test_one_callback_or_none_is_taken():
    model = ml.Sequential([ml.LSTM(2, input_shape=(3, 1)), ml.Dense(1)], seed=0)
    model.compile(loss="mse")
    ended = []

    class Seen(ml.Callback):
        def on_epoch_end(self, epoch, logs):
            ended.append(epoch)

    for callbacks in (None, Seen()):
        model.fit(np.ones((2, 3, 1)), [0, 1], epochs=2, verbose=0, callbacks=callbacks)
    assert ended == [0, 1]


def test_odd_models_and_states_are_named():
    with pytest.raises(TypeError, match="layers must be a list of layers, got one LSTM"):
        ml.Sequential(ml.LSTM(2))
    with pytest.raises(ValueError, match="dtype must be 'float32' or 'float64', got 'nope'"):
        ml.Sequential(dtype="nope")
    model = ml.Sequential([ml.LSTM(2, input_shape=(3, 1)), ml.Dense(1)], seed=0)
    model.compile(loss="mse")
    with pytest.raises(TypeError, match="weights must be a list of arrays, got 3"):
        model.set_weights(3)
    x, y = np.ones((2, 3, 1)), [0, 1]
    with pytest.raises(TypeError, match=r"initial_state must be a dict of \[h, c\] by layer name, got list"):
        model.trace(x, y, initial_state=[x, x])
    with pytest.raises(ValueError, match=r"initial_state of layer 'lstm' must be \[h, c\] .* got int"):
        model.trace(x, y, initial_state={"lstm": 5})
    nothing = ml.Sequential([ml.Masking(input_shape=(3, 1))])
    nothing.compile(loss="mse")
    with pytest.raises(ValueError, match="model must be with at least one layer that learns"):
        nothing.fit(x, x, verbose=0)


def test_a_wrong_y_builds_nothing():
    model = ml.Sequential([ml.LSTM(2), ml.Dense(1)], seed=0)
    model.compile(loss="mse")
    with pytest.raises(ValueError, match="x and y must be of the same length, got 3 and 2"):
        model.fit(np.ones((3, 4, 2)), [0, 1], verbose=0)
    assert not model.built


def test_sparse_matrices_are_refused_by_name():
    """They ended in a RecursionError, in words of SciPy's about a length, or were taken for batches."""
    model, sparse = ml.Sequential([ml.LSTM(2, input_shape=(4, 3)), ml.Dense(1)]), csr_matrix(np.ones((4, 3)))
    model.compile("sgd", "mse")
    x, y = np.ones((4, 4, 3)), np.ones((4, 1))
    calls = {
        "x": [lambda: model.predict(sparse), lambda: model.fit(sparse, y), lambda: model.evaluate(sparse, y)],
        "y": [lambda: model.fit(x, sparse, verbose=0)],
        "mask": [lambda: model.fit(x, y, mask=sparse, verbose=0)],
        "sample_weight": [lambda: model.fit(x, y, sample_weight=sparse, verbose=0)],
        "y_pred": [lambda: ml.keras.losses.MeanSquaredError()(y, sparse)],
    }
    for name, refused in calls.items():
        for call in refused:
            with pytest.raises(
                (TypeError, ValueError), match=rf"^{name} must be .* got a (sparse one|csr_matrix)"
            ):
                call()
