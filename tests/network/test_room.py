"""Sizes beyond any memory: refused before work that would fill it bit by bit, or answered by arithmetic."""

import numpy as np
import pytest

import minilstm as ml
from minilstm.study.plan import Settings

HUGE = 10**12


CUT = [{}, {"checkpoint_steps": 2}, {"truncate_steps": 3, "truncate_from": "end"}]


@pytest.mark.parametrize("words", CUT)
def test_memory_of_a_length_is_arithmetic(words):
    model = ml.Sequential([ml.LSTM(4, input_shape=(None, 3), **words)])
    (short,), (twice,) = (model.memory(2, 6 * k).values() for k in (1, 2))
    (long,) = model.memory(2, HUGE).values()
    assert 0 < short < twice < long
    layer = model.layers[0]
    for length in (1, 5, 6, 7, 1024, 1025, 2500):
        x = np.zeros((2, length, 3), "float32")
        tape = layer.forward(x, None, keep="boundaries")[2]
        assert tape.nbytes == layer.tape_bytes(2, length), length


@pytest.mark.parametrize(
    "make",
    [
        lambda x: ml.LSTMClassifier(layers=HUGE).fit(x, [0, 1]),
        lambda x: ml.Sequential([ml.LSTM(4, input_shape=(None, 3))]).stream(HUGE),
        lambda x: Settings.of("digits", units=HUGE).points(),
        lambda x: ml.Sequential([ml.LSTM(HUGE, input_shape=(None, 3))]),
    ],
)
def test_what_no_memory_holds_is_refused_at_once(make):
    with pytest.raises(MemoryError, match=r"takes .* GB at the least|Unable to allocate"):
        make(np.zeros((2, 5, 3), "float32"))
