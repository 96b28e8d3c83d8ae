"""Ctrl-C during fit ends it between two batches, with everything whole, wherever in a batch it came."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

import minilstm as ml
from minilstm.callbacks import ModelCheckpoint
from minilstm.foundations import interrupts

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to itself")


class Signal(ml.Callback):
    """Ctrl-C, typed twice, in the middle of a batch; counts the batches that ended."""

    def __init__(self, at, hook="on_train_batch_begin"):
        self.at, self.seen, self.ended = at, 0, 0
        setattr(self, hook, self._hook)

    def _hook(self, *_):
        self.seen += 1
        if self.seen == self.at:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    def on_train_batch_end(self, batch, logs):
        self.ended += 1


def fitted(callback, path=None, epochs=3):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 4, 2)).astype("float32"), rng.normal(size=20)
    model = ml.Sequential([ml.LSTM(3, input_shape=(4, 2)), ml.Dense(1)], seed=0)
    model.compile("adam", "mse")
    callbacks = [callback] + ([ModelCheckpoint(path, save_freq=1, resume=True)] if path else [])
    options = {"validation_data": (x[:8], y[:8]), "batch_size": 4, "verbose": 0, "epochs": epochs}
    try:
        model.fit(x, y, callbacks=callbacks, **options)
    except KeyboardInterrupt:
        return model, True
    return model, False


@pytest.mark.parametrize("at", [1, 5, 7, 15])
def test_a_fit_ends_after_the_batch_in_which_ctrl_c_came(tmp_path, at):
    before = signal.getsignal(signal.SIGINT)
    callback = Signal(at)
    model, stopped = fitted(callback, tmp_path / "m.npz")
    assert stopped
    assert callback.ended == at
    assert signal.getsignal(signal.SIGINT) is before
    assert len(model.history.history.get("loss", [])) == (at - 1) // 5
    whole, _ = fitted(Signal(0))
    again, stopped = fitted(Signal(0), tmp_path / "m.npz")
    assert not stopped
    for old, new in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_ctrl_c_during_the_validation_loses_no_batch():
    callback = Signal(1, "on_test_batch_begin")
    model, stopped = fitted(callback)
    assert stopped
    assert callback.ended == 5
    assert model.progress.batch == 5


def test_a_program_that_handles_ctrl_c_itself_keeps_its_handler():
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        _, stopped = fitted(Signal(2))
    finally:
        signal.signal(signal.SIGINT, before)
    assert not stopped
    assert seen


def test_an_interrupt_that_nobody_looked_at_comes_at_the_end():
    with pytest.raises(KeyboardInterrupt), interrupts.held(), interrupts.held():
        os.kill(os.getpid(), signal.SIGINT)
