"""A fit that is interrupted at any batch, with every callback and kind of data, ends with the same bits.

What is compared is whole: the last checkpoint file, byte by byte, which holds weights, optimizer,
randomness, history and the states of layers, data and callbacks; the files that callbacks wrote; and what
the objects hold.
"""

from __future__ import annotations

import numpy as np
import pytest

import minilstm as ml
from minilstm.callbacks import (
    CSVLogger,
    EarlyStopping,
    GradientTracer,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from minilstm.network.progress import Stateful

EPOCHS, SIZE, T, D = 3, 4, 5, 2


class Interrupt(ml.Callback):
    """Ctrl-C at the k-th of all calls: the ends of batches and of epochs, in their order."""

    def __init__(self, calls):
        self.left, self.calls = calls, 0

    def on_train_batch_end(self, batch, logs):
        self.calls += 1
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs):
        self.on_train_batch_end(0, logs)


class Average(ml.Callback):
    """A user's callback that remembers: the mean of the weights so far, told in every second epoch's logs."""

    def on_train_begin(self, logs):
        self.count, self.mean, self.odd = 0, None, [1, 2.5, {"deep": (None, True, "text", float("inf"))}]

    def on_train_batch_end(self, batch, logs):
        flat = np.concatenate([w.ravel() for w in self.model.get_weights()])
        self.mean = flat if self.mean is None else self.mean + (flat - self.mean) / (self.count + 1)
        self.count += 1

    def on_epoch_end(self, epoch, logs):
        if epoch % 2 == 0:
            logs["average"] = float(np.abs(self.mean).mean())

    def get_state(self):
        return {"count": self.count, "mean": self.mean, "odd": self.odd}

    def set_state(self, state):
        self.count, self.mean, self.odd = state["count"], state["mean"], state["odd"]


class Walk:
    """A user's iterable whose batches depend on a generator that iterating moves."""

    def __init__(self, batches=4):
        self.rng, self.batches = np.random.default_rng(3), batches

    def __iter__(self):
        for _ in range(self.batches):
            x = self.rng.normal(size=(SIZE, T, D))
            yield x, (x.sum(axis=(1, 2)) > 0).astype(float)

    def get_state(self):
        return self.rng.bit_generator.state

    def set_state(self, state):
        self.rng.bit_generator.state = state


class ByIndex:
    """Batches by length and index, which never change."""

    def __init__(self):
        self.items = list(Walk(5))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, k):
        return self.items[k]


def buckets(seed):
    rng = np.random.default_rng(seed)
    sequences = [rng.normal(size=(int(t), D)) for t in rng.integers(2, T + 1, 4 * SIZE)]
    return ml.LengthBuckets(sequences, rng.integers(0, 2, 4 * SIZE), batch_size=SIZE, seed=seed)


def arrays():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4 * SIZE, T, D))
    mask = rng.random((4 * SIZE, T)) < 0.7
    y = rng.integers(0, 2, 4 * SIZE)
    held_out = (x[:SIZE] + 0.1, y[:SIZE])
    return {"x": x, "y": y, "mask": mask, "batch_size": SIZE} | {
        "validation_data": held_out,
        "validation_mask": mask[:SIZE],
    }


DATA = {
    "arrays": arrays,
    "buckets": lambda: {"x": buckets(0), "validation_data": buckets(1)},
    "steps of buckets": lambda: {"x": buckets(0), "steps_per_epoch": 3, "validation_data": buckets(1)},
    "a user's iterable": lambda: {"x": Walk(), "validation_data": list(Walk(2))},
    "steps of a user's iterable": lambda: {
        "x": Walk(),
        "steps_per_epoch": 3,
        "validation_data": Walk(3),
        "validation_steps": 2,
    },
    "by index": lambda: {"x": ByIndex(), "steps_per_epoch": 4, "validation_data": list(Walk(2))},
}


def fit(folder, kind, save_freq, interrupt, stop_early=False):
    """The script that a user runs again; what it leaves, or None where it was interrupted."""
    stack = [
        ml.LSTM(3, input_shape=(None, D), stateful=True, return_sequences=True),
        ml.Bidirectional(ml.GRU(2, stateful=True)),
        ml.Dropout(0.3),
        ml.Dense(1, activation="sigmoid"),
    ]
    model = ml.Sequential(stack, seed=5)
    model.compile(ml.Adam(0.05), "binary_crossentropy", ["accuracy"])
    callbacks = [
        ModelCheckpoint(folder / "last.npz", save_freq=save_freq, resume=True),
        EarlyStopping("val_loss", patience=0 if stop_early else 3, restore_best_weights=True),
        ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=0.5),
        LearningRateScheduler(lambda epoch, rate: rate * 0.9),
        Average(),
        CSVLogger(folder / "new.csv"),
        CSVLogger(folder / "old.csv", append=True),
        GradientTracer(every=2, limit=3),
        ModelCheckpoint(folder / "best.npz", save_best_only=True, save_weights_only=True),
        ModelCheckpoint(folder / "often.safetensors", save_freq=3, save_weights_only=True),
        TerminateOnNaN(),
        interrupt,
    ]
    given = DATA[kind]()
    try:
        history = model.fit(**given, epochs=EPOCHS, verbose=0, callbacks=callbacks)
    except KeyboardInterrupt:
        return None
    found = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    found |= {f"weights {k}": w.tobytes() for k, w in enumerate(model.get_weights())}
    states = {
        type(c).__name__ + str(k): c.get_state() for k, c in enumerate(callbacks) if isinstance(c, Stateful)
    }
    return found | {
        "history": repr((history.history, history.epoch, history.params)),
        "layers": [part.tobytes() for part in (*stack[0].state, *stack[1].forward_layer.state)],
        "states": repr(states),
        "data": repr(given["x"].get_state()) if isinstance(given["x"], Stateful) else None,
        "rate": model.optimizer.learning_rate,
        "stopped": model.stop_training,
    }


def begun(folder):
    """A folder in which an earlier script has logged."""
    folder.mkdir()
    (folder / "old.csv").write_bytes(b"epoch,accuracy,average,learning_rate,loss,val_accuracy,val_loss\r\n")
    return folder


CASES = [*((kind, 1) for kind in DATA), ("arrays", "epoch"), ("buckets", "epoch"), ("steps of buckets", 2)]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "save_freq"), CASES)
def test_interrupted_at_every_batch_it_ends_with_the_same_bits(tmp_path, kind, save_freq):
    count = Interrupt(0)
    expected = fit(begun(tmp_path / "whole"), kind, save_freq, count)
    assert count.calls >= EPOCHS * 4
    for call in range(1, count.calls + 1):
        folder = begun(tmp_path / str(call))
        assert fit(folder, kind, save_freq, Interrupt(call)) is None
        found = fit(folder, kind, save_freq, Interrupt(0))
        for name, value in expected.items():
            assert found[name] == value, (call, name)
        assert found.keys() == expected.keys()
