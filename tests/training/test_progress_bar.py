"""What fit prints: as Keras does on a terminal, plainly elsewhere."""

from __future__ import annotations

import io
import itertools
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import minilstm as ml
from minilstm.training import progress_bar
from minilstm.training.progress_bar import ProgressBar


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Ascii(io.StringIO):
    encoding = "ascii"


def drawn(stream, monkeypatch, verbose=1, steps: int | None = 12) -> str:
    monkeypatch.setattr(sys, "stdout", stream)
    clock = itertools.count(10**6)  # 100 us from one look at it to the next, however busy the machine is
    monkeypatch.setattr(progress_bar, "time", SimpleNamespace(perf_counter=lambda: 1e-4 * next(clock)))
    bar = ProgressBar(steps, verbose)
    for done in range(1, 13):
        bar._drawn = 0.0  # time to draw again
        bar.update(done, {"loss": 0.5 / done})
    bar.close(12, {"accuracy": 0.75, "loss": 1e-5, "val_loss": float("nan")})
    return stream.getvalue()


def test_the_last_line_of_the_bar_is_keras_s(keras, monkeypatch):
    """The same characters and colours as keras.utils.Progbar, times apart."""
    ours = drawn(Terminal(), monkeypatch).split("\r")[-1]
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    theirs = keras.utils.Progbar(12, stateful_metrics=["accuracy", "loss", "val_loss"])
    theirs.update(12, [("accuracy", 0.75), ("loss", 1e-5), ("val_loss", 0.25)], finalize=True)

    def plain(line: str) -> str:
        line = re.sub(r"\x1b\[37m\x1b\[0m", "", line)  # nothing in grey
        return re.sub(r" \d+(s|ms|us)/step", " TIME/step", line.replace("0.2500", "nan")).rstrip()

    expected = plain(stream.getvalue().split("\r")[-1]).replace("nan", "nane"[:3])
    assert plain(ours.replace("nan", "0.2500")) == expected


def test_the_bar_fills_on_a_terminal(monkeypatch):
    lines = drawn(Terminal(), monkeypatch).split("\r")[1:]
    assert len(lines) == 13
    filled = [line.count("━", 0, line.index("\x1b[37m")) for line in lines]
    assert filled == sorted(filled)
    assert (filled[0], filled[-1]) == (1, 20)
    assert all("loss" in line and "/step" in line for line in lines)
    assert lines[-1].endswith("\n")


def test_elsewhere_there_is_one_plain_line(monkeypatch):
    text = drawn(io.StringIO(), monkeypatch)
    assert re.fullmatch(
        r"12/12 (━{20}|={20}) 0s \d+us/step - accuracy: 0.7500 - loss: 1.0000e-05 - val_loss: nan\n", text
    )
    assert "=" * 20 in drawn(Ascii(), monkeypatch)
    assert re.fullmatch(r"12/12 - 0s - \d+us/step - accuracy: .*\n", drawn(io.StringIO(), monkeypatch, 2))
    assert drawn(io.StringIO(), monkeypatch, 0) == ""


def test_without_a_known_number_of_steps(monkeypatch):
    lines = drawn(Terminal(), monkeypatch, steps=None).split("\r")[1:]
    assert lines[0].lstrip().startswith("1/Unknown")
    assert "12/12" in lines[-1]


@pytest.mark.parametrize(("seconds", "text"), [(5, "5s"), (75, "1:15"), (3700, "1:01:40")])
def test_what_remains(monkeypatch, seconds, text):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    bar = ProgressBar(2, 1)
    bar.start = 0.0
    assert bar._remaining(1, float(seconds)) == text


def test_fit_and_evaluate_print(capsys):
    model = ml.Sequential([ml.LSTM(2, input_shape=(3, 1)), ml.Dense(1)], seed=0)
    model.compile(loss="mse")
    x, y = np.ones((4, 3, 1)), np.ones(4)
    model.fit(x, y, epochs=2, batch_size=2, verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[::2] == ["Epoch 1/2", "Epoch 2/2"]
    assert lines[1].startswith("2/2 ")
    model.evaluate(x, y, verbose=1)
    assert re.match(r"1/1 .* - loss: ", capsys.readouterr().out)
    model.predict(x, verbose=1)
    assert re.match(r"1/1 ", capsys.readouterr().out)
    model.evaluate(x, y)
    model.predict(x)
    assert capsys.readouterr().out == ""


def test_a_first_batch_that_is_not_finite_ends_the_bar(monkeypatch, capsys):
    """`verbose` at its default, with either way to stop: nothing was done, and that is what the bar says."""
    x, y = np.ones((4, 3, 1), "float32"), np.ones(4, "float32")
    for options in ({"callbacks": [ml.TerminateOnNaN()]}, {"on_nonfinite": "stop"}, {"verbose": 2}):
        model = ml.Sequential([ml.LSTM(2, input_shape=(3, 1)), ml.Dense(1)], seed=0)
        model.compile("sgd", "mse")
        model.layers[1].kernel[...] = np.inf
        if "verbose" in options:
            options = options | {"on_nonfinite": "stop"}
        history = model.fit(x, y, batch_size=2, **options)
        assert np.isnan(history.history["loss"]).all()
        assert "0/2" in capsys.readouterr().out


def test_seconds_per_step_are_of_the_batches_that_were_seen(monkeypatch):
    """Where a fit goes on in mid-epoch, the time of the others is not divided by all."""
    monkeypatch.setattr(sys, "stdout", stream := Terminal())
    clock = iter([1000.0, 1000.5, 1000.7, 1000.9, 1001.0])
    monkeypatch.setattr(progress_bar, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    bar = ProgressBar(12, 1)
    for done in (10, 11, 12):  # nine were done before
        bar.update(done, {"loss": 0.5})
    bar.close(12, {"loss": 0.5})
    assert "250ms/step" in stream.getvalue().split("\r")[-1]  # 0.5 s after the first, over 2 steps
    assert "737s" not in stream.getvalue()
