"""Callbacks against Keras's on the same training; what they print, write and refuse."""

from __future__ import annotations

import csv
import os
import re
import warnings

import numpy as np
import pytest
from keras_pair import keras_weights, pair
from tolerances import TRAINING, check

import minilstm as ml

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)

N, T, D, H = 20, 5, 3, 4
BOUND = TRAINING["float32"]
LAYERS = [("SimpleRNN", (H,), {}), ("Dense", (1,), {"activation": "sigmoid"})]
HOOKS = [
    "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_train_batch_begin",
    "on_train_batch_end", "on_test_begin", "on_test_end", "on_test_batch_begin", "on_test_batch_end",
]  # fmt: skip


def data():
    rng = np.random.default_rng(5)
    return rng.normal(size=(N, T, D)).astype("float32"), rng.integers(0, 2, (N, 1)).astype("float32")


def small(rate: float = 0.01):
    model = ml.Sequential([ml.LSTM(H, input_shape=(T, D)), ml.Dense(1, activation="sigmoid")], seed=0)
    model.compile(ml.Adam(rate), "binary_crossentropy", ["accuracy"])
    return model


def watcher(base):
    """A callback of either library that writes down each call, and the loss it was told."""

    class Watch(base):
        def __init__(self):
            super().__init__()
            self.calls, self.losses = [], []

    def hook(name):
        def method(self, *arguments, logs=None):
            if arguments and isinstance(arguments[-1], dict):
                *arguments, logs = arguments
            logs = dict(logs or {})
            self.calls.append(
                (name, *arguments, sorted(set(logs) - {"batch_loss", "norm", "norm_after", "clipped"}))
            )
            self.losses.append(float(logs.get("loss", 0.0)))

        return method

    for name in HOOKS:
        setattr(Watch, name, hook(name))
    return Watch()


@pytest.mark.peer
def test_hooks_are_called_as_keras_s(keras):
    """The same calls in the same order with the same logs: running means per batch, History per epoch."""
    x, y = data()
    theirs, ours = pair(keras, LAYERS, (T, D), loss="binary_crossentropy", metrics=["accuracy"])
    one, other = watcher(keras.callbacks.Callback), watcher(ml.Callback)
    fit = {"epochs": 2, "batch_size": 8, "verbose": 0, "shuffle": False, "validation_data": (x, y)}
    theirs.fit(x, y, callbacks=[one], **fit)
    ours.fit(x, y, callbacks=[other], **fit)
    assert other.calls == one.calls
    check(other.losses, one.losses, BOUND)
    theirs.evaluate(x, y, callbacks=[one], verbose=0)
    ours.evaluate(x, y, callbacks=[other], verbose=0)
    assert other.calls == one.calls
    assert other.params["steps"] == 1


FOLLOWERS = {
    "early stopping": ("EarlyStopping", {"monitor": "loss", "patience": 2, "min_delta": 0.02}),
    "best weights": (
        "EarlyStopping",
        {"monitor": "val_accuracy", "patience": 3, "restore_best_weights": True},
    ),
    "best weights, not stopped": (
        "EarlyStopping",
        {"monitor": "val_loss", "min_delta": 10.0, "patience": 50, "restore_best_weights": True},
    ),
    "baseline": ("EarlyStopping", {"monitor": "loss", "baseline": 0.1, "patience": 4}),
    "late start": ("EarlyStopping", {"monitor": "val_loss", "min_delta": 10.0, "start_from_epoch": 3}),
    "plateau": (
        "ReduceLROnPlateau",
        {"monitor": "loss", "factor": 0.5, "patience": 1, "min_delta": 0.03, "min_lr": 1e-3},
    ),
    "plateau with cooldown": (
        "ReduceLROnPlateau",
        {"monitor": "val_loss", "min_delta": 10.0, "factor": 0.5, "patience": 2, "cooldown": 3},
    ),
    "plateau at once": ("ReduceLROnPlateau", {"monitor": "loss", "min_delta": 1.0, "patience": 0}),
    "scheduler": ("LearningRateScheduler", {"schedule": lambda epoch, rate: rate * 0.7}),
}


@pytest.mark.peer
@pytest.mark.parametrize("name", FOLLOWERS)
def test_callbacks_do_what_keras_s_do(keras, name):
    x, y = data()
    kind, options = FOLLOWERS[name]
    theirs, ours = pair(keras, LAYERS, (T, D), loss="binary_crossentropy", metrics=["accuracy"])
    fit = {"epochs": 12, "batch_size": 8, "verbose": 0, "shuffle": False, "validation_data": (x[::-1], y)}
    expected = theirs.fit(x, y, callbacks=[getattr(keras.callbacks, kind)(**options)], **fit)
    found = ours.fit(x, y, callbacks=[getattr(ml, kind)(**options)], **fit)
    assert found.epoch == expected.epoch
    assert list(found.history) == list(expected.history)
    for key, values in expected.history.items():
        check(found.history[key], values, BOUND, what=key)
    for ours_w, theirs_w in zip(ours.get_weights(), keras_weights(theirs), strict=True):
        check(ours_w, theirs_w, 2 * BOUND)


def constant(epochs: int, callback, **options) -> ml.History:
    """Training that changes nothing."""
    model = small()
    model.compile(ml.SGD(0.0), "binary_crossentropy")
    return model.fit(*data(), epochs=epochs, verbose=0, shuffle=False, callbacks=[callback], **options)


@pytest.mark.parametrize(
    ("options", "epochs"),
    [
        ({"patience": 0}, 2),
        ({"patience": 1}, 2),
        ({"patience": 2}, 3),
        ({"baseline": 0.0, "patience": 2}, 2),
        ({"start_from_epoch": 5, "patience": 1}, 7),
    ],
)
def test_how_long_early_stopping_waits(options, epochs):
    """Counted in Keras 3.15 on a loss that never changes."""
    assert len(constant(20, ml.EarlyStopping("loss", **options)).epoch) == epochs


def test_a_plateau_records_the_rate_before_it_is_reduced():
    model = small(1.0)
    model.compile(ml.SGD(1.0), "binary_crossentropy")
    callback = ml.ReduceLROnPlateau("loss", patience=2, min_delta=100)
    found = model.fit(*data(), epochs=6, verbose=0, callbacks=[callback]).history["learning_rate"]
    check(found, [1, 1, 1, 0.1, 0.1, 0.01], 1e-12)


def test_nan_is_never_an_improvement():
    callback = ml.EarlyStopping("made up", mode="min", patience=3)

    class Report(ml.Callback):
        def on_epoch_end(self, epoch, logs):
            logs["made up"] = [float("nan"), 1.0, float("nan"), 2.0, 3.0][epoch]

    model = small()
    history = model.fit(*data(), epochs=5, verbose=0, callbacks=[Report(), callback])
    assert (callback.best, callback.best_epoch) == (1.0, 1)
    assert history.epoch == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(history.history["made up"], [np.nan, 1, np.nan, 2, 3])


class MayAdd(ml.Callback):
    """Nobody can know beforehand what it will add to the logs."""

    def on_epoch_end(self, epoch, logs):
        pass


@pytest.mark.parametrize("kind", ["EarlyStopping", "ReduceLROnPlateau"])
def test_nothing_to_follow_is_told_once(kind):
    with pytest.warns(UserWarning) as caught:  # noqa: PT030
        history = small().fit(*data(), epochs=3, verbose=0, callbacks=[MayAdd(), getattr(ml, kind)()])
    (one,) = caught
    text = f"{kind} has nothing to follow: monitor must be one of accuracy, loss"
    assert str(one.message).startswith(text)
    assert history.epoch == [0, 1, 2]


def test_a_direction_that_is_not_known_is_refused_before_any_work():
    model = small()
    before = model.get_weights()
    with pytest.raises(ValueError, match="mode must be 'min' or 'max' for what is not a known metric"):
        model.fit(*data(), verbose=0, callbacks=[MayAdd(), ml.EarlyStopping("val_f1")])
    for now, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, old)


# ------------------------------------------------------------------------------ files


def test_checkpoints(tmp_path, capsys):
    x, y = data()
    path = str(tmp_path / "new" / "{epoch:02d}-{loss:.3f}.npz")
    model = small()
    history = model.fit(x, y, epochs=2, verbose=0, callbacks=[ml.ModelCheckpoint(path, verbose=1)])
    losses = history.history["loss"]
    names = [f"{epoch:02d}-{loss:.3f}.npz" for epoch, loss in enumerate(losses, 1)]
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == names
    assert capsys.readouterr().out.split("\n\n")[0] == f"\nEpoch 1: saving model to {tmp_path}/new/{names[0]}"
    again = ml.load_model(tmp_path / "new" / names[-1])
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    assert again.history.history == history.history


def test_only_the_best_checkpoint_is_kept(tmp_path, capsys):
    x, y = data()
    saved = []

    class Follow(ml.ModelCheckpoint):
        def on_epoch_end(self, epoch, logs):
            logs["made up"] = [3.0, 4.0, 2.0, 2.0][epoch]
            super().on_epoch_end(epoch, logs)
            saved.append(len(list(tmp_path.iterdir())))

    path = tmp_path / "best-{epoch}.npz"
    callback = Follow(path, "made up", 1, mode="min", save_best_only=True, initial_value_threshold=3.5)
    small().fit(x, y, epochs=4, verbose=0, callbacks=[callback])
    assert saved == [1, 1, 2, 2]
    out = capsys.readouterr().out
    assert f"Epoch 1: made up improved from 3.50000 to 3.00000, saving model to {tmp_path}/best-1.npz" in out
    assert "Epoch 2: made up did not improve from 3.00000" in out


def test_checkpoints_by_batch_and_by_mistake(tmp_path):
    x, y = data()
    path = tmp_path / "{epoch}-{batch}.npz"
    small().fit(x, y, batch_size=5, epochs=2, verbose=0, callbacks=[ml.ModelCheckpoint(path, save_freq=3)])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1-3.npz", "2-2.npz"]
    with pytest.raises(
        ValueError, match=r"filepath must be a path with no other names in braces than epoch, "
    ):
        small().fit(x, y, verbose=0, callbacks=[ml.ModelCheckpoint(tmp_path / "{f1}.npz")])
    callback = ml.ModelCheckpoint(tmp_path / "m.npz", save_best_only=True)
    with pytest.warns(UserWarning, match="ModelCheckpoint has nothing to follow: monitor must be one of"):
        small().fit(x, y, verbose=0, callbacks=[MayAdd(), callback])
    assert (tmp_path / "m.npz").exists()


@pytest.mark.peer
def test_csv_logger_writes_what_keras_writes(keras, tmp_path):
    x, y = data()
    theirs, ours = pair(keras, LAYERS, (T, D), loss="binary_crossentropy", metrics=["accuracy"])
    fit = {"epochs": 3, "verbose": 0, "shuffle": False, "validation_data": (x, y)}

    class Plain(keras.callbacks.CSVLogger):  # Keras cannot write the tensors of its own PyTorch back end
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, {key: float(value) for key, value in logs.items()})

    for logger, model, name in ((Plain, theirs, "theirs"), (ml.CSVLogger, ours, "ours")):
        path = str(tmp_path / name)
        model.fit(x, y, callbacks=[logger(path, separator=";")], **fit)
        model.fit(x, y, callbacks=[logger(path, separator=";", append=True)], **fit)
    rows = [
        list(csv.reader((tmp_path / name).read_text().splitlines(), delimiter=";"))
        for name in ("theirs", "ours")
    ]
    assert rows[1][0] == rows[0][0]
    check(np.array(rows[1][1:], float), np.array(rows[0][1:], float), BOUND)
    small().fit(x, y, epochs=1, verbose=0, callbacks=[ml.CSVLogger(tmp_path / "plain")])
    assert (tmp_path / "plain").read_bytes().startswith(b"epoch,accuracy,loss\r\n0,0.")


# ------------------------------------------------------------------------------ NaN, and what is refused


def test_terminate_on_nan_stops_and_keeps_the_weights(capsys):
    x, y = data()
    model = small()
    model.compile(ml.SGD(1.0), "binary_crossentropy")
    ended = []

    class Spoil(ml.Callback):
        def on_train_batch_end(self, batch, logs):
            if batch == 1:
                self.model.named_weights["lstm/bias"][0] = np.nan
                self.kept = self.model.get_weights()

        def on_epoch_end(self, epoch, logs):
            ended.append(logs["loss"])

    spoil = Spoil()
    history = model.fit(x, y, batch_size=5, epochs=3, verbose=2, callbacks=[spoil, ml.TerminateOnNaN()])
    assert history.epoch == [0]
    assert np.isnan(history.history["loss"][0])
    assert len(ended) == 1
    for now, kept in zip(model.get_weights(), spoil.kept, strict=True):
        np.testing.assert_array_equal(now, kept)
    assert re.search(r"epoch 1, batch 3: .* not finite.* Training stops\.", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: ml.EarlyStopping(patience=-1), ValueError, "patience must be a whole number >= 0, got -1"),
        (lambda: ml.EarlyStopping(patience=2.5), TypeError, "patience must be a whole number >= 0, got 2.5"),
        (
            lambda: ml.EarlyStopping(min_delta=-1),
            ValueError,
            "min_delta must be a finite number >= 0, got -1",
        ),
        (
            lambda: ml.EarlyStopping(mode="most"),
            ValueError,
            "mode must be 'auto' or 'min' or 'max', got 'most'",
        ),
        (lambda: ml.EarlyStopping(baseline="low"), TypeError, "baseline must be a finite number"),
        (lambda: ml.ReduceLROnPlateau(factor=1.0), ValueError, "factor must be a finite number >= 0 and < 1"),
        (lambda: ml.ReduceLROnPlateau(min_lr=-1), ValueError, "min_lr must be a finite number >= 0, got -1"),
        (
            lambda: ml.ModelCheckpoint("m.npz", save_freq=0),
            ValueError,
            "save_freq must be a whole number >= 1",
        ),
        (
            lambda: ml.ModelCheckpoint("m.npz", save_freq="day"),
            ValueError,
            "save_freq must be 'epoch' or a number",
        ),
        (lambda: ml.LearningRateScheduler(0.1), TypeError, "schedule must be a function of (epoch, learning"),
        (lambda: ml.CSVLogger("m", separator=""), ValueError, "separator must be a string of one character"),
    ],
)
def test_what_callbacks_refuse(make, error, text):
    with pytest.raises(error, match=re.escape(text)):
        make()


def test_a_schedule_must_return_a_float():
    with pytest.raises(TypeError, match="what schedule returns must be a float, got 1"):
        small().fit(*data(), verbose=0, callbacks=[ml.LearningRateScheduler(lambda epoch, rate: 1)])


def test_stopping_in_the_middle_of_an_epoch():
    class Stop(ml.Callback):
        def on_train_batch_end(self, batch, logs):
            self.model.stop_training = batch == 1

    seen = watcher(ml.Callback)
    with warnings.catch_warnings():
        small().fit(*data(), batch_size=4, epochs=3, verbose=0, callbacks=[Stop(), seen])
    assert [call[1] for call in seen.calls if call[0] == "on_train_batch_end"] == [0, 1]
    assert [call[0] for call in seen.calls][-2:] == ["on_epoch_end", "on_train_end"]


def test_the_old_names_of_the_batch_hooks_are_called_and_logs_may_be_left_out(keras):
    """on_batch_begin and on_batch_end, in Keras's order, and `super()` without logs."""

    def run(base, model):
        said = []

        class Watch(base):
            def on_batch_begin(self, batch, logs=None):
                said.append(("begin", batch))

            def on_batch_end(self, batch, logs=None):
                super().on_batch_end(batch)
                said.append(("end", batch, "loss" in logs))

            def on_epoch_end(self, epoch, logs=None):
                super().on_epoch_end(epoch)
                said.append(epoch)

            def on_predict_batch_end(self, batch, logs=None):
                said.append((batch, np.shape(logs["outputs"])))

        x, y = data()
        model.fit(x, y, epochs=2, batch_size=8, callbacks=[Watch()], verbose=0)
        model.predict(x, batch_size=8, callbacks=[Watch()], verbose=0)
        return said

    theirs, ours = pair(keras, LAYERS, (T, D))
    theirs.compile("sgd", "mse")
    ours.compile("sgd", "mse")
    assert run(ml.Callback, ours) == run(keras.callbacks.Callback, theirs)


def test_what_callbacks_are_handed_is_theirs():
    """A callback that spoils its logs, params and outputs changes neither training nor other callbacks."""
    x, y = data()

    class Spoiler(ml.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.params.clear()

        def on_train_batch_end(self, batch, logs=None):
            logs.clear()

        def on_test_end(self, logs=None):
            logs["loss"] = -1.0

        def on_epoch_end(self, epoch, logs=None):
            logs |= {"loss": -1.0, "mine": 3.0}

        def on_predict_batch_end(self, batch, logs=None):
            logs["outputs"][...] = -1.0

    class Reader(ml.Callback):
        def on_train_batch_end(self, batch, logs=None):
            assert logs["loss"] > 0

        def on_epoch_end(self, epoch, logs=None):
            assert self.params["epochs"] == 2
            assert (logs["loss"] > 0, logs["mine"]) == (True, 3.0)

    plain, spoiled = small(), small()
    options = {"epochs": 2, "validation_split": 0.2, "verbose": 0}
    expected = plain.fit(x, y, **options)
    found = spoiled.fit(x, y, callbacks=[Spoiler(), Reader()], **options)
    assert found.history == expected.history | {"mine": [3.0, 3.0]}
    assert found.params == expected.params
    np.testing.assert_array_equal(spoiled.predict(x, callbacks=[Spoiler()]), plain.predict(x))


def test_a_schedule_of_the_epoch_alone_and_a_callback_of_functions(keras):
    theirs, ours = pair(keras, LAYERS, (T, D))
    x, y = data()
    found = {}
    for library, model in ((keras.callbacks, theirs), (ml, ours)):
        seen = []
        model.compile("sgd", "mse")
        history = model.fit(
            x, y, epochs=3, verbose=0, shuffle=False,
            callbacks=[
                library.LearningRateScheduler(lambda epoch: 0.5 / (1 + epoch)),
                library.LambdaCallback(
                    on_epoch_end=lambda epoch, logs, seen=seen: seen.append((epoch, sorted(logs))),
                    on_test_begin=lambda logs, seen=seen: seen.append("test"),
                ),
            ],
            validation_data=(x, y), validation_freq=2,
        )  # fmt: skip
        rates = [round(rate, 6) for rate in history.history["learning_rate"]]
        found[library] = seen, rates, len(history.history["val_loss"])
    assert found[ml] == found[keras.callbacks]
    with pytest.raises(TypeError, match="no argument 'on_epoch_ends'; did you mean 'on_epoch_end'"):
        ml.LambdaCallback(on_epoch_ends=print)


def test_terminate_on_nan_raises_where_it_is_asked_to():
    x, y = data()
    model = small()
    model.layers[-1].kernel[...] = np.inf
    with pytest.raises(RuntimeError, match="epoch 1, batch 1: the loss"):
        model.fit(x, y, callbacks=[ml.TerminateOnNaN(raise_error=True)], verbose=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ml.EarlyStopping(patiance=3), "EarlyStopping has no argument 'patiance'; did you mean"),
        (lambda: ml.LSTM(3, return_sequence=True), "did you mean 'return_sequences'"),
        (lambda: ml.Dense(3, kernal_initializer="zeros"), "did you mean 'kernel_initializer'"),
        (lambda: ml.Sequential(layer=[]), "did you mean 'layers'"),
        (
            lambda: small().fit(*data(), epoch=2),
            "fit has no argument 'epoch'; did you mean 'epochs'",
        ),
        (lambda: small().compile(optimiser="sgd"), "did you mean 'optimizer'"),
    ],
)
def test_a_misspelled_argument_is_told_what_it_may_mean(make, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        make()


@pytest.mark.parametrize("callbacks", [3, 0, "abc", [ml.TerminateOnNaN(), None], ml.EarlyStopping])
def test_what_is_no_callback_is_refused_by_name(callbacks):
    with pytest.raises(TypeError, match="callbacks must be a list of Callback objects, got"):
        small().fit(*data(), verbose=0, callbacks=callbacks)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_csv_log_is_no_pipe_or_device(tmp_path):
    """Nothing can be taken back of one: the second epoch could not be written."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", os.devnull):
        with pytest.raises(ValueError, match="filename must be a file, got the pipe or device"):
            ml.CSVLogger(path)


class Adds(ml.Callback):
    def __init__(self, name, value):
        self.added = {name: value}

    def on_epoch_end(self, epoch, logs=None):
        logs.update(self.added)


@pytest.mark.parametrize("name", ["\udc80", "", 3, None, ("a", 1)])
def test_a_name_that_no_file_can_hold_is_refused_in_the_logs(tmp_path, name):
    """CSVLogger ended with a UnicodeEncodeError, or with what sorting texts and numbers says."""
    model, x, y = small(), np.ones((4, T, D)), np.ones((4, 1))
    with pytest.raises(ValueError, match="a name which Adds adds to the logs must be a non-empty string"):
        model.fit(x, y, verbose=0, callbacks=[Adds(name, 1.0), ml.CSVLogger(tmp_path / "a.csv")])


@pytest.mark.parametrize("value", ["1.5", None, [1.0, 2.0], 1j, 10**400, {}, object()])
def test_what_is_no_number_is_refused_in_the_logs(value):
    """A History of it could not be printed, and a checkpoint could not be saved."""
    model, x, y = small(), np.ones((4, T, D)), np.ones((4, 1))
    with pytest.raises(TypeError, match="'mine', which Adds adds to the logs, must be a number, got "):
        model.fit(x, y, verbose=0, callbacks=[Adds("mine", value)])


@pytest.mark.parametrize("value", [2, True, np.float32(2), np.array(2.0), float("nan"), float("-inf")])
def test_numbers_in_the_logs_are_floats(value):
    model, x, y = small(), np.ones((4, T, D)), np.ones((4, 1))
    found = model.fit(x, y, verbose=0, callbacks=[Adds("mine", value)]).history["mine"]
    assert type(found[0]) is float
    assert repr(found[0]) == repr(float(value))


def test_a_log_called_epoch_is_no_second_column_of_a_csv(tmp_path):
    model, x, y = small(), np.ones((4, T, D)), np.ones((4, 1))
    with pytest.warns(UserWarning, match="CSVLogger has no column for epoch"):
        model.fit(x, y, verbose=0, callbacks=[Adds("epoch", 7), ml.CSVLogger(tmp_path / "a.csv")])
    assert (tmp_path / "a.csv").read_text().startswith("epoch,accuracy,loss\n0,")


def test_a_csv_log_is_not_added_to_what_is_none(tmp_path):
    path, x, y = tmp_path / "a.csv", np.ones((4, T, D)), np.ones((4, 1))
    path.write_bytes(b"\xff\xfe\x00PNG")
    with pytest.raises(ValueError, match="filename must be a log of CSVLogger, got "):
        small().fit(x, y, verbose=0, callbacks=[ml.CSVLogger(path, append=True)])
    assert path.read_bytes() == b"\xff\xfe\x00PNG"
    for separator in '"\n\r':
        with pytest.raises(ValueError, match="separator must be no quote and no line end"):
            ml.CSVLogger(path, separator=separator)
