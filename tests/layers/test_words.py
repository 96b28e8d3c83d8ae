"""The arguments of layers as `inspect.signature`, help and notebooks show them."""

from __future__ import annotations

import inspect

import pytest

import minilstm as ml
from minilstm.layers import Layer

FIRST = {
    "units": 3,
    "rate": 0.5,
    "n": 2,
    "activation": "tanh",
    "input_dim": 5,
    "output_dim": 2,
    "layer": ml.LSTM(2),
    "cell": "mgu",
}
LAYERS = [
    value for name in dir(ml) if inspect.isclass(value := getattr(ml, name)) and issubclass(value, Layer)
]


@pytest.mark.parametrize("kind", [one for one in LAYERS if not inspect.isabstract(one)])
def test_each_argument_is_shown_and_taken_at_its_default(kind):
    shown = inspect.signature(kind).parameters.values()
    assert not [one for one in shown if one.kind is one.VAR_KEYWORD]
    needed = {one.name: FIRST[one.name] for one in shown if one.default is one.empty}
    others = {one.name: one.default for one in shown if one.default is not one.empty}
    assert kind(**needed, **others).get_config() == kind(**needed).get_config()
    assert {"name", "trainable", "dtype", "seed", "input_shape"} <= set(others)
    assert not [one for one in shown if "ForwardRef" in str(one)]


def test_a_layer_s_own_signature_is_that_of_its_call_and_a_subclass_s_its_own():
    assert "units" not in inspect.signature(ml.LSTM(2)).parameters

    class Narrow(ml.LSTM):
        def __init__(self, width):
            super().__init__(width)

    assert list(inspect.signature(Narrow).parameters) == ["width"]
