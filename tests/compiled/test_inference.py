"""Forward where nothing is kept, against forward that keeps all: the same bits, however it is cut."""

import numpy as np
import pytest

import minilstm as ml
from minilstm.compiled import chunks, engines, inference

LAYERS = {"lstm": ml.LSTM, "gru": ml.GRU, "simple_rnn": ml.SimpleRNN}


@pytest.fixture
def cut_small(monkeypatch):
    monkeypatch.setattr(inference, "ROOM", 12)
    monkeypatch.setattr(inference, "STEPS", 3)
    monkeypatch.setattr(chunks, "ROWS", 2)
    monkeypatch.setattr(engines, "PARALLEL_WORK", 1)


def same(found, expected):
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_the_bits_of_a_pass_that_keeps_all(cut_small, name, every, masked):
    rng = np.random.default_rng(0)
    layer = LAYERS[name](5, return_sequences=every)
    layer.build((None, None, 3))
    for weight in layer.weights:
        weight[...] = rng.normal(size=weight.shape)
    x = rng.normal(size=(7, 11, 3)).astype("float32")
    mask = rng.random((7, 11)) < 0.6 if masked else None
    state = tuple(rng.normal(size=(7, 5)).astype("float32") for _ in layer.cell.states)
    for first in (None, state):
        kept, _, tape = layer.forward(x, mask, keep="everything", initial_state=first)
        found, _, ended = layer.forward(x, mask, keep="outputs", initial_state=first)
        same(found, kept)
        for part, expected in zip(ended.last_state, tape.last_state, strict=True):
            same(part, expected)


def test_memory_is_used_again_and_nothing_is_left_in_it(cut_small):
    layer = ml.LSTM(4)
    x = np.random.default_rng(0).normal(size=(5, 6, 2)).astype("float32")
    first = layer(x)
    given = first.copy()
    other = layer(-x)
    same(first, given)  # what was handed out is the caller's
    layer.kernel[...] *= 2
    assert (layer(x) != given).any()  # weights are read anew
    layer.kernel[...] /= 2
    same(layer(x), given)
    same(layer(-x), other)


def test_a_long_sequence_is_read_in_pieces(monkeypatch):
    """Of a million steps no call of a kernel may take all: a program could not be interrupted."""
    calls = []
    layer = ml.LSTM(2)
    x = np.zeros((1, 2500, 1), "float32")
    layer(x)
    forward = inference.kernel(layer.cell, "forward")
    monkeypatch.setattr(inference, "kernel", lambda *_: lambda *a: (calls.append(a[1].shape[1]), forward(*a)))
    monkeypatch.setattr(inference.memory, "pool", inference.memory.Pool(limit=10**6))
    layer(x)
    assert calls == [1024, 1024, 452]
