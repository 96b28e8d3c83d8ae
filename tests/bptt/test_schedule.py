"""Checkpoints in slots: forward steps as published, the gradient of the whole, bytes as said before."""

from __future__ import annotations

from functools import cache

import numpy as np
import oracle
import pytest
from checkpoint_schedules.multistage import optimal_steps_binomial
from test_segments import BACKENDS, LSTM, check_all, named
from tolerances import PARITY

import minilstm as ml
from minilstm.bptt.cell import Weights
from minilstm.checkpoints.schedule import actions, with_records, with_states
from minilstm.checkpoints.slots import Plan
from minilstm.compiled import chunks, engines

KINDS = ["states", "records"]


def run(steps, slots, kind):
    """Carry the actions out on numbers: steps advanced, steps recorded."""
    kept, recorded, done, advanced, records = {0}, set(), [], 0, 0
    now = 0
    for what, start, stop in actions(steps, slots, kind):
        if what == "keep":
            assert start == now
            kept.add(now)
        elif what == "drop":
            kept.remove(start)
        elif what == "restore":
            assert start in kept
            now = start
        elif what == "back":
            recorded.remove(start)
            done.append(start)
        else:
            assert now == start < stop
            now = stop
            advanced += (stop - start) * (what == "advance")
            if what == "record":
                recorded.add(start)
                records += 1
        assert len(kept) <= slots
        assert len(recorded) <= (1 if kind == "states" else slots)
    assert done == list(range(steps))[::-1]
    return advanced, records


def test_states_are_griewank_and_walther_s_and_the_peer_s():
    for slots in range(1, 21):
        for steps in range(1, 201):
            expected = optimal_steps_binomial(steps, slots)  # which counts the recorded steps too
            assert with_states(steps, slots) + steps == expected, (steps, slots)
    for steps, slots in ((1, 1), (7, 1), (10, 3), (23, 4), (40, 40), (199, 5), (200, 20)):
        assert run(steps, slots, "states") == (with_states(steps, slots), steps)


def test_records_are_gruslys_s():
    @cache
    def fewest(t, m):
        if m == 1 or t == 0:
            return t * (t + 1) // 2
        return min(y + fewest(t - y, m - 1) + fewest(y - 1, m) for y in range(1, t + 1))

    for slots in range(1, 9):
        for steps in range(1, 61):
            assert with_records(steps, slots) == fewest(steps, slots) == sum(run(steps, slots, "records"))
    assert [with_records(1000, slots) for slots in (5, 32, 50)] == [6292, 2408, 1950]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("slots", [1, 3, 20])
def test_the_gradient_is_that_of_the_whole(backend, kind, slots):
    case = oracle.draw(np.random.default_rng(slots), 9, 3, 2, 4, "random")
    weights, last = Weights(case.W, case.U, case.b), (case.dh_last, case.dc_last)
    found, outputs = [], []
    for plan in (None, Plan(9, slots, kind)):
        outputs.append(np.empty((9, 3, 4)))
        options = {"engine": engines.engine_of(backend), "plan": plan, "outputs": outputs[-1]}
        tape = chunks.forward(LSTM, weights, case.x, case.mask, (case.h0, case.c0), **options)
        first = chunks.backward(weights, tape, case.dh, last, record=True)
        again = chunks.backward(weights, tape, case.dh, last, record=True, overwrite=True)
        for name, array in named(again).items():  # the tape was left as it was
            np.testing.assert_array_equal(array, named(first)[name])
        found.append(first)
    np.testing.assert_array_equal(*outputs)
    whole, slotted = map(named, found)
    for name in "xzhc":  # of one step: the same bits; sums over steps are added up in another order
        np.testing.assert_array_equal(slotted[name], whole[name])
    check_all(slotted, whole, PARITY["float64"])


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
@pytest.mark.parametrize("option", ["checkpoint_slots", "checkpoint_records"])
def test_a_layer_takes_slots_and_says_its_bytes(option, kind):
    """Also with more than 16 samples, in chunks."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 11, 3)).astype("float32"), rng.normal(size=(20, 5))
    grads = []
    for options in ({}, {option: 3}):
        layer = getattr(ml, kind)(5, input_shape=(None, 3), **options)
        model = ml.Sequential([layer], seed=0)
        model.compile("sgd", "mse")
        _, _, tape = layer.forward(x, None, keep="boundaries")
        assert tape.nbytes == layer.tape_bytes(20, 11)
        grads.append(layer.backward(y.astype("float32"), tape, need_dx=False)[1])
    for name, whole in grads[0].items():
        np.testing.assert_allclose(grads[1][name], whole, atol=PARITY["float32"] * np.abs(whole).max())
    assert tape.nbytes < layer.tape_bytes(20, 100) + 1  # more steps, no more bytes
    assert layer.tape_bytes(20, 100) == layer.tape_bytes(20, 100_000)


def test_one_way_to_save_memory_at_a_time():
    with pytest.raises(ValueError, match="checkpoint_slots must be given alone, without truncate_steps"):
        ml.LSTM(4, checkpoint_slots=3, truncate_steps=2)
    for bad in (0, -1):
        with pytest.raises(ValueError, match="checkpoint_slots must be a whole number >= 1"):
            ml.GRU(4, checkpoint_slots=bad)
    with pytest.raises(TypeError, match="checkpoint_records must be a whole number"):
        ml.SimpleRNN(4, checkpoint_records="auto")


def test_a_model_with_slots_trains_and_is_saved(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 11, 3)).astype("float32"), rng.normal(size=(4, 1))
    losses = []
    for options in ({}, {"checkpoint_slots": 3}):
        model = ml.Sequential([ml.LSTM(5, input_shape=(None, 3), **options), ml.Dense(1)], seed=0)
        model.compile("sgd", "mse")
        losses.append(model.fit(x, y, epochs=3, verbose=0).history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-5)
    model.save(tmp_path / "model.npz")
    assert ml.load_model(tmp_path / "model.npz").layers[0].checkpoint_slots == 3
