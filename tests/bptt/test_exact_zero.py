"""A gradient that is exactly 0 ends the backward pass, with the same bits; Inf and NaN do not let it end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import minilstm as ml
from minilstm.bptt.cell import Weights
from minilstm.bptt.engine import PLAIN
from minilstm.bptt.gru import GRUCell
from minilstm.bptt.lstm import LSTMCell
from minilstm.bptt.simple_rnn import SimpleRNNCell
from minilstm.checkpoints.slots import Plan
from minilstm.compiled import chunks, engines
from minilstm.layers import recurrent

CELLS = {"lstm": LSTMCell(), "gru": GRUCell(), "simple_rnn": SimpleRNNCell()}
T, B, D, H = 120, 3, 3, 5
KEEP = {
    "everything": {"segment_steps": 8},
    "boundaries": {"segment_steps": 8, "keep": "boundaries"},
    "slots": {"plan": Plan(T, 4, "states")},
}


def problem(kind, scale=0.02):
    """Weights so small that the gradient is gone after 30 steps, and inputs."""
    rng, n = np.random.default_rng(0), len(CELLS[kind].gates)
    W, U, b = (
        (scale * rng.normal(size=size)).astype("float32") for size in ((D, n * H), (H, n * H), (n * H,))
    )
    if kind != "simple_rnn":
        b -= 3  # the gates that keep the state are closed
    x = rng.normal(size=(T, B, D)).astype("float32")
    return Weights(W, U, b, np.zeros_like(b) if kind == "gru" else None), x


def passes(kind, weights, x, external=None, stops=True, truncate=False, **options):
    """Gradients, and how many segments were gone through backwards."""
    engine, calls = engines.engine_of("numba"), []

    def backward_segment(*arguments, **more):
        calls.append(1)
        return engine.backward_segment(*arguments, **more)

    counted = replace(engine, backward_segment=backward_segment)
    if not stops:
        counted = replace(counted, stays_zero=PLAIN.stays_zero)
    with np.errstate(all="ignore"):
        tape = chunks.forward(CELLS[kind], weights, x, engine=counted, **options)
        last = tuple(np.ones((B, H), "float32") for _ in tape.cell.states)
        last = None if external is not None else last
        return chunks.backward(weights, tape, external, last, truncate=truncate), len(calls)


def same(found, expected):
    """The same bits, the sign of a zero apart; NaN in the same places."""
    for one, other in zip(found.dweights, expected.dweights, strict=True):
        if one is not None:
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(found.dx, expected.dx)
    np.testing.assert_array_equal(found.dstate, expected.dstate)


@pytest.mark.parametrize("keep", KEEP)
@pytest.mark.parametrize("kind", CELLS)
def test_it_ends_with_the_same_bits(kind, keep):
    weights, x = problem(kind)
    found, few = passes(kind, weights, x, **KEEP[keep])
    whole, all_of_them = passes(kind, weights, x, stops=False, **KEEP[keep])
    same(found, whole)
    assert not found.dx[:30].any()
    assert few < all_of_them / 2


def test_a_loss_that_reaches_an_earlier_step_goes_on_from_there():
    weights, x = problem("lstm")
    external = np.zeros((T, B, H), "float32")
    external[[40, 119]] = 1
    found, few = passes("lstm", weights, x, external, segment_steps=8)
    whole, all_of_them = passes("lstm", weights, x, external, stops=False, segment_steps=8)
    same(found, whole)
    assert found.dx[40].any()
    assert 10 < few < all_of_them == 15


def test_a_cut_gradient_ends_at_the_cut():
    weights, x = problem("lstm")
    found, few = passes("lstm", weights, x, truncate=True, segment_steps=8)
    whole, _ = passes("lstm", weights, x, truncate=True, stops=False, segment_steps=8)
    same(found, whole)
    assert few == 1


@pytest.mark.parametrize("keep", KEEP)
@pytest.mark.parametrize("bad", ["x", "weights", "overflow"])
def test_nothing_is_left_out_where_the_forward_pass_may_not_be_finite(bad, keep):
    """0 * Inf is NaN: what the whole pass gives is given."""
    weights, x = problem("gru")
    if bad == "x":
        x[2, 0, 0] = np.inf
    elif bad == "weights":
        weights.W[0, 0] = np.nan
    else:
        weights.U[:, -1] = 3e38  # h U may overflow in the candidate's q, which the tape keeps
        weights.rb[-1] = 3e38
    found, count = passes("gru", weights, x, **KEEP[keep])
    whole, all_of_them = passes("gru", weights, x, stops=False, **KEEP[keep])
    same(found, whole)
    assert count == all_of_them
    assert np.isnan(found.dweights.W).any()


def test_a_layer_of_many_steps_ends_too(monkeypatch):
    monkeypatch.setattr(recurrent, "SEGMENT_STEPS", 8)
    layer = ml.LSTM(H, input_shape=(None, D), bias_initializer="zeros", unit_forget_bias=False)
    model = ml.Sequential([layer], seed=0)
    layer.set_weights([0.02 * part for part in layer.get_weights()])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(B, 200, D)).astype("float32")
    trace = model.trace(x, np.ones((B, H)))
    verdict = trace["lstm"].verdict()
    assert f"exactly 0 before step {verdict.zero_before}" in str(verdict)
    assert not trace["lstm"].dh[:, : verdict.zero_before].any()
    assert trace["lstm"].dh[:, verdict.zero_before].any()
    _, _, tape = layer.forward(x, None, keep="boundaries")
    assert len(tape.steps.spans) == 25
