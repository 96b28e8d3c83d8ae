"""Scalars and TensorBoard: every number of the history, and the gradients that a tracer sees."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import require

import minilstm as ml

x = np.random.default_rng(0).normal(size=(6, 5, 2))
y = np.random.default_rng(1).normal(size=6)


def fit(*callbacks):
    model = ml.Sequential([ml.LSTM(3, backend="numpy", input_shape=(5, 2)), ml.Dense(1)], seed=0)
    model.compile(ml.SGD(0.1), "mse", metrics=["mae"])
    data = {"validation_data": (x, y), "batch_size": 2, "epochs": 2, "shuffle": False, "verbose": 0}
    return model.fit(x, y, callbacks=list(callbacks), **data)


def test_the_numbers_are_those_of_history_and_tracer():
    rows, tracer = [], ml.GradientTracer()
    hook = ml.callbacks.Scalars(lambda *row: rows.append(row), every=2, lags=[0, 3, 9])
    history = fit(hook, tracer).history
    found = {(tag, step): value for tag, value, step in rows}
    for name, values in history.items():
        assert [found[f"epoch_{name}", epoch] for epoch in (0, 1)] == values
    assert found["epoch_learning_rate", 1] == 0.1
    for name in ("dh", "dc"):
        norms = tracer.norms("lstm", name)
        for step in (0, 2, 4):
            assert [found[f"gradients/lstm/{name}/lag_{lag}", step] for lag in (0, 3)] == [
                norms[step, 0],
                norms[step, 3],
            ]
    assert {step for tag, step in found if tag == "norm"} == {0, 2, 4}
    assert not any("lag_9" in tag or "lag_1" in tag for tag, _ in found)


def test_lags_are_powers_of_two_where_none_are_given():
    tags = []
    fit(ml.callbacks.Scalars(lambda tag, value, step: tags.append(tag)))
    assert [tag for tag in tags if "/dh/" in tag][:4] == [f"gradients/lstm/dh/lag_{k}" for k in (0, 1, 2, 4)]


def test_what_cannot_be_meant():
    with pytest.raises(TypeError, match=r"write must be a function \(tag, value, step\), got 3"):
        ml.callbacks.Scalars(3)
    with pytest.raises(TypeError, match="TensorBoard has no argument 'logdir'; did you mean 'log_dir'"):
        ml.callbacks.TensorBoard(logdir="x")
    with pytest.raises(ValueError, match="histogram_freq must be 0: only scalars are written, got 1"):
        ml.callbacks.TensorBoard(histogram_freq=1)
    with pytest.raises(ValueError, match="update_freq must be a whole number >= 1, got 0"):
        ml.callbacks.TensorBoard(update_freq=0)


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"pip install 'minilstm\[tensorboard\]'; Scalars\(write\)"):
        ml.callbacks.TensorBoard()


def test_its_files_hold_the_numbers(tmp_path):
    require("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    board = ml.callbacks.TensorBoard(tmp_path, update_freq="batch", write_graph=False)
    history = fit(board).history
    found = {}
    for part in ("train", "validation"):
        (path,) = (tmp_path / part).iterdir()
        data = path.read_bytes()
        while data:  # length, checksum, the event, checksum
            size = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + size])
            data = data[16 + size :]
            for value in event.summary.value:
                found[part, value.tag, event.step] = value.simple_value
    for epoch in (0, 1):
        assert found["train", "epoch_loss", epoch] == pytest.approx(history["loss"][epoch])
        assert found["validation", "epoch_mae", epoch] == pytest.approx(history["val_mae"][epoch])
    assert {key[2] for key in found if key[1] == "gradients/lstm/dh/lag_4"} == set(range(6))
