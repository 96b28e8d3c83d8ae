"""Learning-rate schedules against Keras's; in training, in files, in callbacks; what they refuse."""

from __future__ import annotations

import re

import numpy as np
import pytest
from keras_pair import keras_weights, pair
from tolerances import TRAINING, check

import minilstm as ml

SCHEDULES = [
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.8}),
    (
        "ExponentialDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.8, "staircase": True},
    ),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 5, "decay_rate": 0.5}),
    (
        "InverseTimeDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 5, "decay_rate": 0.5, "staircase": True},
    ),
    ("PiecewiseConstantDecay", {"boundaries": [3, 10], "values": [0.1, 0.03, 0.01]}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 9, "power": 2.0}),
    (
        "PolynomialDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 9, "end_learning_rate": 0.01, "cycle": True},
    ),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 11, "alpha": 0.1}),
    (
        "CosineDecay",
        {"initial_learning_rate": 0.01, "decay_steps": 9, "warmup_target": 0.1, "warmup_steps": 4},
    ),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 5}),
    (
        "CosineDecayRestarts",
        {"initial_learning_rate": 0.1, "first_decay_steps": 5, "t_mul": 1.0, "m_mul": 0.7, "alpha": 0.2},
    ),
    (
        "CosineDecayRestarts",
        {"initial_learning_rate": 0.1, "first_decay_steps": 4, "t_mul": 3.0, "m_mul": 0.5},
    ),
]


@pytest.mark.peer
@pytest.mark.parametrize(("name", "options"), SCHEDULES, ids=[str(k) for k in range(len(SCHEDULES))])
def test_schedules_are_keras_s(keras, name, options):
    """Forty steps; the bound is a millionth of the first rate, since Keras computes in float32."""
    theirs = getattr(keras.optimizers.schedules, name)(**options)
    ours = getattr(ml, name)(**options)
    expected = [float(theirs(step)) for step in range(40)]
    found = [ours(step) for step in range(40)]
    assert {type(value) for value in found} == {float}
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * 0.1)
    assert len(set(found)) > 2


@pytest.mark.peer
@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
def test_training_with_a_schedule_is_keras_s(keras, kind):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 5, 3)).astype("float32"), rng.normal(size=(16, 1)).astype("float32")
    rate = ("CosineDecay", {"initial_learning_rate": 0.05, "decay_steps": 20})
    layers = [("LSTM", (4,), {}), ("Dense", (1,), {})]
    theirs, ours = pair(keras, layers, (5, 3), optimizer=(kind, {"learning_rate": rate}), loss="mse")
    fit = {"batch_size": 8, "epochs": 8, "shuffle": False, "verbose": 0}
    expected, found = theirs.fit(x, y, **fit), ours.fit(x, y, **fit)
    check(found.history["loss"], expected.history["loss"], TRAINING["float32"])
    for ours_w, theirs_w in zip(ours.get_weights(), keras_weights(theirs), strict=True):
        check(ours_w, theirs_w, 2 * TRAINING["float32"])


def test_a_schedule_is_saved_with_the_model(tmp_path):
    for name, options in SCHEDULES:
        schedule = getattr(ml, name)(**options)
        model = ml.Sequential([ml.LSTM(2, input_shape=(3, 1)), ml.Dense(1)], seed=0)
        model.compile(ml.AdamW(schedule), "mse")
        model.fit(np.ones((4, 3, 1)), np.ones(4), epochs=3, verbose=0)
        model.save(tmp_path / "m.npz")
        again = ml.load_model(tmp_path / "m.npz").optimizer
        assert again.schedule == schedule
        assert (again.learning_rate, again.weight_decay) == (schedule(3), 0.004)


@pytest.mark.parametrize("callback", [ml.ReduceLROnPlateau("loss"), ml.LearningRateScheduler(lambda e, r: r)])
def test_who_sets_the_rate_and_a_schedule_do_not_go_together(callback):
    model = ml.Sequential([ml.LSTM(2, input_shape=(3, 1)), ml.Dense(1)], seed=0)
    model.compile(ml.SGD(ml.CosineDecay(0.1, 10)), "mse")
    name = type(callback).__name__
    with pytest.raises(
        ValueError, match=f"learning_rate must be a number for {name}, which sets it, got Cos"
    ):
        model.fit(np.ones((4, 3, 1)), np.ones(4), verbose=0, callbacks=[callback])


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: ml.CosineDecay(-1, 10), ValueError, "initial_learning_rate must be a finite number >= 0"),
        (lambda: ml.CosineDecay(0.1, 0), ValueError, "decay_steps must be a whole number >= 1, got 0"),
        (lambda: ml.CosineDecay(0.1, 1.5), TypeError, "decay_steps must be a whole number >= 1, got 1.5"),
        (
            lambda: ml.CosineDecay(0.1, 5, warmup_target=1, warmup_steps=-1),
            ValueError,
            "warmup_steps must be",
        ),
        (lambda: ml.ExponentialDecay(0.1, 5, float("nan")), ValueError, "decay_rate must be a finite number"),
        (lambda: ml.CosineDecayRestarts(0.1, 5, t_mul=0.5), ValueError, "t_mul must be a finite number >= 1"),
        (lambda: ml.PiecewiseConstantDecay([], [1]), ValueError, "boundaries must be a list of rising whole"),
        (
            lambda: ml.PiecewiseConstantDecay([5, 3], [1, 2, 3]),
            ValueError,
            "boundaries must be a list of ris",
        ),
        (
            lambda: ml.PiecewiseConstantDecay([5], [1]),
            ValueError,
            "values must be 2, one more than boundaries",
        ),
        (lambda: ml.PiecewiseConstantDecay([5], [1, -1]), ValueError, "values must be a finite number >= 0"),
    ],
)
def test_what_schedules_refuse(make, error, text):
    with pytest.raises(error, match=re.escape(text)):
        make()


@pytest.mark.parametrize("t_mul", [1.0, 1.0001, 1.3, 2.0, 3.0, 1e30, 1e300])
def test_restarts_stand_where_their_periods_end(t_mul):
    """Found by counting period after period, as the formula says; and in no time, however many there are."""
    schedule = ml.CosineDecayRestarts(1.0, 5, t_mul=t_mul, m_mul=0.9)
    for step in (0, 4, 5, 9.5, 10, 14, 15, 20, 35, 65, 75, 1000):
        start, length, height = 0.0, 5.0, 1.0
        while step >= start + length:
            start, length, height = start + length, length * t_mul, height * 0.9
        expected = height * (1 + np.cos(np.pi * (step - start) / length)) / 2
        assert schedule(step) == pytest.approx(expected, abs=1e-6), step
    assert 0 <= schedule(2**62) <= 1
    assert 0 <= ml.CosineDecayRestarts(1.0, 5, t_mul=1 + 2**-52)(2**62) <= 1


@pytest.mark.parametrize(("name", "options"), SCHEDULES, ids=[str(k) for k in range(len(SCHEDULES))])
def test_a_step_is_a_number_that_can_have_been_counted(name, options):
    schedule = getattr(ml, name)(**options)
    for step in (0, 7, np.int64(7), np.float32(7), 6.5, 2**62, 1e18):
        assert 0 <= schedule(step) <= 0.1, step
    assert schedule(np.float32(7)) == schedule(np.array(7)) == schedule(7)
    for step in (-1, np.nan, np.inf, 1e40, 2**63, 10**400, True, None, "7", 1j, np.ones(2), [7]):
        with pytest.raises((TypeError, ValueError), match="step must be a finite number >= 0"):
            schedule(step)


@pytest.mark.parametrize("rate", [None, np.nan, -1.0, np.inf, "0.1", np.ones(2)])
def test_a_rate_of_your_own_schedule_is_a_number(rate):
    class Own(ml.LearningRateSchedule):
        def __call__(self, step):
            return rate if step else 0.1

    model = ml.Sequential([ml.Dense(1, input_shape=(2,))], seed=0)
    model.compile(ml.SGD(Own()), "mse")
    text = "learning_rate of Own at step 1 must be a finite number >= 0"
    with pytest.raises((TypeError, ValueError), match=text):
        model.fit(np.ones((4, 2)), np.ones(4), batch_size=2, verbose=0)
    assert model.optimizer.iterations == 1
