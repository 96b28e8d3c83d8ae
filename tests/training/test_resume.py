"""A fit that was interrupted, and taken up again from its last checkpoint, ends with the same bits."""

from __future__ import annotations

import random
import subprocess
import sys
import time

import numpy as np
import pytest

import minilstm as ml
from minilstm.callbacks import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau

EPOCHS, BATCHES = 6, 5


class Interrupt(ml.Callback):
    """Ctrl-C after so many batches of the whole fit."""

    def __init__(self, batches):
        self.left = batches

    def on_train_batch_end(self, batch, logs):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


class Nothing(ml.Callback):
    """Stands where Interrupt stood."""


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(36, 6, 2)).astype("float32")
    return x, (x[:, :, 0].sum(axis=1) > 0).astype(float), x[:10] + 0.1


def fit(path, interrupt, save_freq):
    """The script that a user runs twice; the model it has at the end."""
    layers = [ml.LSTM(4, input_shape=(6, 2)), ml.Dropout(0.3), ml.Dense(1, activation="sigmoid")]
    model = ml.Sequential(layers, seed=5)
    model.compile(ml.Adam(0.01), "binary_crossentropy", ["accuracy"])
    x, y, held_out = data()
    callbacks = [
        ModelCheckpoint(path, save_freq=save_freq, resume=True),
        EarlyStopping("val_loss", patience=4, restore_best_weights=True),
        ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=0.02),
        interrupt,
    ]
    options = {"validation_data": (held_out, y[:10]), "batch_size": 8, "epochs": EPOCHS, "verbose": 0}
    try:
        model.fit(x, y, callbacks=callbacks, **options)
    except KeyboardInterrupt:
        return None
    return model


def same(first, second):
    assert first.history.history == second.history.history
    assert first.history.epoch == second.history.epoch
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()
    for name, slot in first.optimizer.slots.items():
        assert slot.tobytes() == second.optimizer.slots[name].tobytes()
    assert first.optimizer.learning_rate == second.optimizer.learning_rate
    assert first.optimizer.iterations == second.optimizer.iterations


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return fit(tmp_path_factory.mktemp("whole") / "m.npz", Nothing(), "epoch")


def test_20_random_cuts_end_with_the_same_bits(tmp_path, undisturbed):
    assert undisturbed.optimizer.learning_rate < 0.01, "nothing to remember in the callbacks"
    rng = random.Random(0)
    for k in range(20):
        path = tmp_path / f"{k}{rng.choice(('.npz', '.safetensors'))}"
        save_freq = rng.choice(("epoch", 1, 2, 3))
        done = 0
        while True:  # again and again, each time a little further
            cut = rng.randrange(1, 2 * BATCHES + 2)
            model = fit(path, Interrupt(cut) if done < 3 else Nothing(), save_freq)
            done += 1
            if model is not None:
                break
        same(model, undisturbed)


KILLED = """
import sys
sys.path.insert(0, sys.argv[2])
import test_resume
test_resume.fit(sys.argv[1], test_resume.Nothing(), 1)
"""


def test_kill_9_during_fit(tmp_path, undisturbed, request):
    path = tmp_path / "m.npz"
    arguments = [sys.executable, "-c", KILLED, str(path), str(request.path.parent)]
    process = subprocess.Popen(arguments)
    deadline = time.monotonic() + 60
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    process.wait()
    assert path.exists()
    same(fit(path, Nothing(), 1), undisturbed)


def test_a_saved_model_in_the_middle_of_a_fit_can_be_loaded(tmp_path):
    path = tmp_path / "m.npz"
    assert fit(path, Interrupt(2 * BATCHES + 2), 1) is None
    model = ml.load_model(path)
    assert model.history.epoch == [0, 1]
    assert (model.progress.epoch, model.progress.batch) == (2, 1)  # the interruption came before the save


def test_skipped_batches_are_told_after_a_resume(tmp_path):
    """One batch is skipped before the interruption, one after it: the history names both."""
    path, rng = tmp_path / "m.npz", np.random.default_rng(0)
    x, y = rng.normal(size=(12, 5, 2)), np.ones(12)
    y[[2, 8]] = 1e200  # its square is not finite
    histories = []
    for interrupt in (Interrupt(3), Nothing(), None):
        model = ml.Sequential([ml.LSTM(3, input_shape=(5, 2)), ml.Dense(1)], dtype="float64", seed=0)
        model.compile("sgd", "mse")
        callbacks = [ModelCheckpoint(path, save_freq=1, resume=True), interrupt] if interrupt else []
        options = {"batch_size": 2, "shuffle": False, "verbose": 0, "on_nonfinite": "skip"}
        try:
            histories.append(model.fit(x, y, callbacks=callbacks, **options))
        except KeyboardInterrupt:
            assert len(ml.load_model(path).history.nonfinite) == 1
    resumed, undisturbed = histories
    assert [text[:16] for text in resumed.nonfinite] == ["epoch 1, batch 2", "epoch 1, batch 5"]
    assert resumed == undisturbed


def test_what_does_not_belong_together_is_refused(tmp_path):
    path = tmp_path / "m.npz"
    fit(path, Interrupt(7), 1)
    x, y, _ = data()

    def refused(reason, units=4, optimizer=None, rows=36, callbacks=()):
        layers = [ml.LSTM(units, input_shape=(6, 2)), ml.Dropout(0.3), ml.Dense(1, activation="sigmoid")]
        model = ml.Sequential(layers, seed=5)
        model.compile(optimizer or ml.Adam(0.5), "binary_crossentropy", ["accuracy"])
        before = model.get_weights()
        others = callbacks or (EarlyStopping("loss"), ReduceLROnPlateau("loss"), Interrupt(1))
        with pytest.raises(ml.WeightsFileError, match=reason):
            model.fit(
                x[:rows],
                y[:rows],
                callbacks=[*others, ModelCheckpoint(path, resume=True)],
                epochs=2,
                verbose=0,
            )
        assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))

    refused("its layers are not those of the model", units=5)
    refused("it was compiled in another way", optimizer=ml.SGD())
    refused("its fit has 36 samples, and x has 20", rows=20)
    refused(
        "it remembers EarlyStopping, ReduceLROnPlateau, ModelCheckpoint, where this fit has ModelCheckpoint",
        callbacks=[Nothing()],
    )
    for options in ({"save_best_only": True}, {"save_weights_only": True}):
        with pytest.raises(ValueError, match="resume must be False where the file is not always"):
            ModelCheckpoint(path, resume=True, **options)


class Stop(ml.Callback):
    """Ends the fit by itself, as a clock or a person would: nothing that the same script does again."""

    wanted = True

    def __init__(self, hook):
        self.hook = hook

    def on_train_batch_end(self, batch, logs):
        if self.hook == "batch" and batch == 2:
            self.model.stop_training = Stop.wanted

    def on_epoch_end(self, epoch, logs):
        if self.hook == "epoch" and epoch == 1:
            self.model.stop_training = Stop.wanted


@pytest.mark.parametrize("hook", ["batch", "epoch"])
@pytest.mark.parametrize("save_freq", ["epoch", 1, 4])
def test_a_fit_that_has_ended_stays_ended(tmp_path, monkeypatch, hook, save_freq):
    """Run again, the script trains no more, although nobody stops it now; the history is whole."""
    first = fit(tmp_path / "m.npz", Stop(hook), save_freq)
    assert first.history.epoch == ([0] if hook == "batch" else [0, 1])
    monkeypatch.setattr(Stop, "wanted", False)
    same(fit(tmp_path / "m.npz", Stop(hook), save_freq), first)


def small_fit(x, y=None, callbacks=(), **options):
    model = ml.Sequential([ml.LSTM(3, input_shape=(None, 2)), ml.Dense(1)], seed=0)
    model.compile("adam", "mse")
    model.fit(x, y, callbacks=list(callbacks), verbose=0, **options)
    return model


def test_data_that_cannot_be_put_back_is_refused_by_name(tmp_path):
    """A generator, and an iterable that shuffles itself, before a file is made or a batch is read."""
    x, y, _ = data()

    class Shuffles(list):
        def on_epoch_end(self):
            self.reverse()

    def batches():
        yield x, y

    checkpoint = ModelCheckpoint(tmp_path / "m.npz", resume=True)
    expected = "must be a list of batches or an iterable with get_state and set_state, to be resumed, got a"
    with pytest.raises(ValueError, match=f"^x {expected} generator"):
        small_fit(batches(), callbacks=[checkpoint])
    with pytest.raises(ValueError, match=f"^x {expected} Shuffles"):
        small_fit(Shuffles([(x, y)]), callbacks=[checkpoint])
    with pytest.raises(ValueError, match=f"^validation_data {expected} generator"):
        small_fit(x, y, [checkpoint], validation_data=batches())
    assert not list(tmp_path.iterdir())
    small_fit(batches(), callbacks=[ModelCheckpoint(tmp_path / "m.npz")])  # it promises nothing


def test_half_a_protocol_is_refused(tmp_path):
    class Half(ml.Callback):
        def get_state(self):
            return 1

    x, y, _ = data()
    with pytest.raises(TypeError, match="Half must be with get_state and set_state, or with neither"):
        small_fit(x, y, [Half(), ModelCheckpoint(tmp_path / "m.npz", resume=True)])


def test_a_state_that_no_file_can_hold_is_refused_before_the_first_batch(tmp_path):
    class Odd(Nothing):
        def get_state(self):
            return {"seen": {1, 2}}

        def set_state(self, state):
            pass

    x, y, _ = data()
    with pytest.raises(ValueError, match=r"the state of Odd\['seen'\] must be of None, bool"):
        small_fit(x, y, [Odd(), ModelCheckpoint(tmp_path / "m.npz", resume=True)])


def test_a_log_that_lost_lines_is_refused(tmp_path):
    x, y, _ = data()

    def again(epochs):
        log = ml.callbacks.CSVLogger(tmp_path / "log.csv")
        small_fit(x, y, [log, ModelCheckpoint(tmp_path / "m.npz", resume=True)], epochs=epochs)

    again(2)
    whole = (tmp_path / "log.csv").read_bytes()
    assert whole.count(b"\r\n") == 3
    (tmp_path / "log.csv").write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=f"filename must be the log .* of {len(whole)} bytes"):
        again(4)


def test_validation_leaves_the_state_of_training_alone():
    """keras#4756: with and without validation a stateful net learns the same, bit by bit."""
    x, y, held_out = data()
    found = []
    for validation in (None, (held_out[:7], y[:7])):  # another number of samples too
        stack = [ml.LSTM(3, input_shape=(None, 2), stateful=True), ml.Dense(1)]
        model = ml.Sequential(stack, seed=0)
        model.compile("adam", "mse")
        model.fit(x, y, validation_data=validation, batch_size=12, epochs=2, verbose=0)
        found.append([*model.get_weights(), *stack[0].state])
    assert all(a.tobytes() == b.tobytes() for a, b in zip(*found, strict=True))


def test_a_skipped_batch_leaves_the_state_alone():
    """The state goes on from the batch before the one that was not finite."""
    x, y = np.random.default_rng(0).normal(size=(6, 4, 2)), np.ones(6)
    y[3] = 1e200
    stack = [ml.LSTM(3, input_shape=(None, 2), stateful=True), ml.Dense(1)]
    model = ml.Sequential(stack, dtype="float64", seed=0)
    model.compile("sgd", "mse")
    model.fit(x[:2], y[:2], batch_size=2, verbose=0)
    before = [part.copy() for part in stack[0].state]
    model.fit(x[2:4], y[2:4], batch_size=2, verbose=0, on_nonfinite="skip")
    assert all((a == b).all() for a, b in zip(before, stack[0].state, strict=True))


def test_a_checkpoint_that_is_used_again_starts_anew(tmp_path):
    """keras PR#22967: the best of the first fit is no threshold of the second."""
    x, y, _ = data()
    best = ModelCheckpoint(tmp_path / "best.npz", monitor="loss", save_best_only=True)
    small_fit(x, y, [best])
    (tmp_path / "best.npz").unlink()
    small_fit(x, 100 + y, [best])
    assert (tmp_path / "best.npz").exists()


def test_weights_alone(tmp_path):
    model = ml.Sequential([ml.GRU(3, input_shape=(None, 2)), ml.Dense(1)], seed=0)
    other = ml.Sequential([ml.GRU(3, input_shape=(None, 2)), ml.Dense(1)], seed=1)
    for name in ("w.npz", "w.safetensors"):
        model.save_weights(tmp_path / name)
        other.set_weights([np.zeros_like(w) for w in other.get_weights()])
        other.load_weights(tmp_path / name)
        for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
            assert a.tobytes() == b.tobytes()
    wrong = ml.Sequential([ml.GRU(4, input_shape=(None, 2)), ml.Dense(1)], seed=1)
    with pytest.raises(
        ml.WeightsFileError, match=r"'layers/0/kernel' has shape \(2, 9\), the model's \(2, 12\)"
    ):
        wrong.load_weights(tmp_path / "w.npz")
    with pytest.raises(ml.WeightsFileError, match="only the file has 'layers/1/bias'"):
        ml.Sequential([ml.GRU(3, input_shape=(None, 2))]).load_weights(tmp_path / "w.npz")
    with pytest.raises(ml.WeightsFileError, match="its 'name' is None"):
        ml.load_model(tmp_path / "w.npz")


class Refuses(ml.Callback):
    """Its state is not taken back."""

    def get_state(self):
        return None

    def set_state(self, state):
        if ModelCheckpoint in map(type, self.others):
            raise ValueError("refused")

    others: tuple[ml.Callback, ...] = ()


def test_a_state_that_is_refused_leaves_everything_as_it_was(tmp_path):
    """Weights, optimizer, randomness and the other callbacks: all is taken up, or nothing."""
    x, y, _ = data()

    def made(refuses):
        model = ml.Sequential([ml.LSTM(4, input_shape=(6, 2)), ml.Dense(1, activation="sigmoid")], seed=5)
        model.compile(ml.Adam(0.01), "binary_crossentropy")
        stopping = EarlyStopping("loss", patience=9)
        callbacks = [ModelCheckpoint(tmp_path / "m.npz", resume=True), stopping, refuses]
        return model, stopping, callbacks

    model, _, callbacks = made(Refuses())
    model.fit(x, y, callbacks=callbacks, epochs=2, verbose=0)
    refuses = Refuses()
    model, stopping, callbacks = made(refuses)
    refuses.others = tuple(callbacks)
    before, shuffle = model.get_weights(), model.shuffle.bit_generator.state
    with pytest.raises(ValueError, match="refused"):
        model.fit(x, y, callbacks=callbacks, epochs=4, verbose=0)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    assert model.optimizer.iterations == model.steps_taken == 0
    assert model.shuffle.bit_generator.state == shuffle
    assert stopping.best is None
