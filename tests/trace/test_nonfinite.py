"""Where a NaN was born: faults are planted at a known place, and must be found there."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest

import minilstm as ml

N, T, D, H = 4, 12, 3, 5


def model_of(dtype="float32", backend="numba", steps=T, units=H, loss="mse"):
    layers = [ml.LSTM(units, input_shape=(steps, D), backend=backend, name="rec"), ml.Dense(1)]
    model = ml.Sequential(layers, dtype=dtype, seed=0)
    model.compile(loss=loss, optimizer=ml.SGD(1.0))
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) * 0.5 for w in model.get_weights()])
    return model


def x_of(steps=T):
    return np.random.default_rng(2).normal(size=(N, steps, D))


def exploding(backend="numba"):
    """float32 recurrent weights so large that the gradient overflows on its way back."""
    layers = [ml.LSTM(32, input_shape=(400, D), backend=backend, name="rec"), ml.Dense(1)]
    model = ml.Sequential(layers, seed=0)
    model.compile(loss="mse", optimizer="sgd")
    weights = model.get_weights()
    weights[1] *= 32
    model.set_weights(weights)
    return model


def test_a_finite_pass_has_no_origin():
    assert model_of().trace(x_of(), np.ones(N)).first_nonfinite() is None


@pytest.mark.parametrize("name", ["rec/kernel", "rec/recurrent_kernel", "rec/bias", "dense/kernel"])
def test_a_weight_that_is_not_finite_stops_fit(name):
    model = model_of()
    weight = model.named_weights[name]
    where = tuple(size - 1 for size in weight.shape)
    weight[where] = np.nan
    with pytest.raises(ml.NonFiniteError, match="weights are those before this batch") as caught:
        model.fit(x_of(), np.ones(N), verbose=0)
    origin = caught.value.origin
    assert (origin.phase, origin.quantity, origin.index) == ("weights", name, where)
    assert f"NaN in {name} (entry {', '.join(map(str, where))})" in str(caught.value)


def test_an_infinite_weight_is_told_although_the_gates_saturate():
    model = model_of()
    model.named_weights["rec/bias"][7] = -np.inf
    trace = model.trace(x_of(), np.ones(N))
    assert np.isfinite(trace["rec"].h).all()
    assert str(trace.first_nonfinite()) == "Inf in rec/bias (entry 7)"


@pytest.mark.parametrize(("sample", "step"), [(0, 0), (2, 5), (3, 9)])
def test_two_products_that_overflow_against_each_other(sample, step):
    """x @ W is +inf and h_prev @ U is -inf: their sum is NaN, and its first part is told with its sizes.

    The compiled backend adds both products up in one sum, of which the first infinity decides.
    """
    model = model_of(backend="numpy")
    weights = model.get_weights()
    weights[0][:], weights[1][:] = 4, -3e38
    weights[2][:] = 5
    model.set_weights(weights)
    x = x_of()
    x[sample, step:] = 3e38
    state = [np.full((N, H), 0.9), np.full((N, H), 1.0)]
    trace = model.trace(x, np.ones(N), initial_state={"rec": state})
    bad = np.isnan(trace["rec"].h).any(axis=2)
    assert bad.any()
    first = np.flatnonzero(bad[sample])[0]
    origin = trace.first_nonfinite()
    assert (origin.phase, origin.layer, origin.step, origin.sample) == ("forward", "rec", first, sample)
    assert not bad[:, :first].any()
    assert origin.operation == "xw = x @ W + b"
    assert origin.quantity == "xw_i"
    assert origin.inputs == {"largest |x|": pytest.approx(3e38), "largest |W|": 4}


@pytest.mark.parametrize("cell", [ml.LSTM, ml.GRU, ml.SimpleRNN])
def test_products_that_overflow_against_each_other_may_saturate_in_compiled_code(cell):
    """One sum of all products stays at its first infinity: NaN and its origin as in NumPy, or neither."""
    layers = [cell(H, input_shape=(T, D), name="rec"), ml.Dense(1)]
    model = ml.Sequential(layers, seed=0)
    model.compile(loss="mse")
    weights = model.get_weights()
    weights[0][:], weights[1][:] = 4, -3e38
    weights[2][...] = 5
    model.set_weights(weights)
    x = x_of()
    x[2, 5:] = 3e38
    state = [np.full((N, H), 0.9)] * len(layers[0].cell.states)
    trace = model.trace(x, np.ones(N), initial_state={"rec": state})
    origin = trace.first_nonfinite()
    if np.isnan(trace["rec"].h).any():
        assert origin.phase == "forward"
        assert origin.operation in ("xw = x @ W + b", "hu = h_prev @ U")
    else:
        finite = all(np.isfinite(trace["rec"].arrays[name]).all() for name in ("h", "dh", "dz", "dx"))
        assert (origin is None) == (finite and all(np.isfinite(grad).all() for grad in trace.grads.values()))


def test_a_layer_that_reads_backwards_counts_its_steps_from_the_end():
    """Row 9 of the layer that reads backwards is time step T - 1 - 9 of the input."""
    layer = ml.Bidirectional(ml.LSTM(H, name="rec"), input_shape=(T, D))
    model = ml.Sequential([layer, ml.Dense(1)], seed=0)
    model.compile(loss="mse")
    trace = model.trace(x_of(), np.ones(N))
    forwards, backwards = trace
    assert [one.go_backwards for one in trace] == [False, True]
    np.testing.assert_array_equal(forwards.x, backwards.x[:, ::-1])
    backwards.arrays["h"][1, 9, 3] = np.nan
    text = str(trace.first_nonfinite())
    assert text.startswith(
        "NaN in h of layer 'bidirectional/backward_rec' at time step 9 of its reading, from the end, in the "
        "forward pass (sample 1, unit 3): h = o * tanh(c) with o = "
    )


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_gradient_that_overflows_on_its_way_back(backend):
    """The step is the last one (in time) with a bad value, and the norm passed 1e6 where it says."""
    model = exploding(backend)
    trace = model.trace(x_of(400), np.ones(N))
    rec, origin = trace["rec"], trace.first_nonfinite()
    bad = ~np.isfinite(rec.dh) | ~np.isfinite(rec.dc)
    step = np.flatnonzero(bad.any(axis=(0, 2))).max()
    assert (origin.phase, origin.layer, origin.step) == ("backward", "rec", step)
    assert bad[origin.sample, step, origin.index[0]]
    assert not bad[:, step + 1 :].any()
    name = origin.growth.quantity
    norms = np.linalg.norm(rec.arrays[name][origin.sample].astype("float64"), axis=1)
    passed = np.flatnonzero((norms > 1e6) & (np.arange(400) > step)).max()
    assert (origin.growth.step, origin.growth.steps_before) == (passed, passed - step)
    assert origin.growth.steps_before > 3
    if origin.quantity in ("dh", "dc"):
        terms = {"dh": ["external", "from_h", "held_h"]}
        terms["dc"] = ["external_c", "from_h_now", "from_c", "held_c"]
        assert list(origin.inputs) == terms[origin.quantity]
        assert max(abs(value) for value in origin.inputs.values()) > 1e37
    text = str(origin)
    assert re.search(rf"(Inf|NaN) in d\w+ of layer 'rec' at time step {step}, in the backward pass", text)
    assert f"passed 1e+06 at time step {passed}, {passed - step} steps before" in text


def test_fit_names_epoch_batch_and_origin_and_keeps_the_weights():
    model = exploding()
    before = model.get_weights()
    with pytest.raises(ml.NonFiniteError, match=r"epoch 1, batch 1: .*in the backward pass") as caught:
        model.fit(x_of(400), np.ones(N), verbose=0)
    assert caught.value.origin.phase == "backward"
    for new, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(new, old)
    again = pickle.loads(pickle.dumps(caught.value))  # as between the processes of a study
    assert again.origin == caught.value.origin
    assert str(again) == str(caught.value)


def test_masked_steps_are_not_blamed():
    """What stands in the padding is not read, so it cannot be an origin."""
    model = model_of()
    x = x_of()
    x[:, T - 3 :] = np.nan
    mask = np.broadcast_to(np.arange(T) < T - 3, (N, T))
    assert model.trace(x, np.ones(N), mask=mask).first_nonfinite() is None


def test_a_loss_that_overflows():
    model = model_of(dtype="float64")
    weights = model.get_weights()
    weights[3][:], weights[4][:] = 0, 1e200
    model.set_weights(weights)
    origin = model.trace(x_of(), np.ones(N)).first_nonfinite()
    assert (origin.phase, origin.layer, origin.value) == ("loss", None, np.inf)
    assert str(origin) == "Inf in the loss: from a finite output"


def test_an_output_that_overflows():
    model = model_of()
    weights = model.get_weights()
    weights[3][:] = 3e38
    weights[4][:] = 3e38
    model.set_weights(weights)
    x = x_of()
    output = model.predict(x)
    origin = model.trace(x, np.ones(N)).first_nonfinite()
    assert (origin.phase, origin.quantity) == ("forward", "the model's output")
    assert not np.isfinite(output[origin.index])


def test_a_sum_over_time_that_overflows():
    """Every dz is finite, and so is every x; what they add up to is not."""
    model = model_of()
    weights = model.get_weights()
    weights[0][:] = 0
    weights[3][:] = 1e3
    model.set_weights(weights)
    x = np.full((N, T, D), 3e37)
    trace = model.trace(x, np.full(N, 100.0))
    assert np.isfinite(trace["rec"].dz).all()
    origin = trace.first_nonfinite()
    assert (origin.phase, origin.quantity) == ("sum", "the gradient of rec/kernel")
    assert str(origin).startswith("Inf in the gradient of rec/kernel, in the sum over the time steps (entry")


def test_two_layers_the_upper_one_is_looked_at_first_on_the_way_back():
    """The lower layer's gradient is not finite either; it came from above."""
    low = ml.LSTM(H, return_sequences=True, input_shape=(400, D), name="low")
    model = ml.Sequential([low, ml.LSTM(32, name="up"), ml.Dense(1)], seed=0)
    model.compile(loss="mse")
    model.named_weights["up/recurrent_kernel"][...] *= 32
    trace = model.trace(x_of(400), np.ones(N))
    assert not np.isfinite(trace["low"].dh).all()
    assert trace.first_nonfinite().layer == "up"


# ------------------------------------------------------------ what fit does then


def poisoned(batches):
    """A model whose gradient overflows for the samples of some batches of 2, and is finite elsewhere."""
    model = model_of(dtype="float64")
    y = np.ones(8)
    for batch in batches:
        y[2 * batch] = 1e200  # its square is not a number
    return model, np.random.default_rng(0).normal(size=(8, T, D)), y


def test_skip_leaves_out_the_batch_and_says_so():
    model, x, y = poisoned([1])
    history = model.fit(x, y, batch_size=2, shuffle=False, verbose=0, on_nonfinite="skip")
    (text,) = history.nonfinite
    assert text.startswith("epoch 1, batch 2: the loss (inf) is not finite")
    assert model.optimizer.iterations == 3
    kept = np.r_[0:2, 4:8]
    alone = model_of(dtype="float64")
    expected = alone.fit(x[kept], y[kept], batch_size=2, shuffle=False, verbose=0)
    assert history.history["loss"] == expected.history["loss"]
    for ours, theirs in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_skip_of_every_batch_records_nan_and_changes_nothing():
    model, x, y = poisoned(range(4))
    before = model.get_weights()
    history = model.fit(x, y, batch_size=2, epochs=2, shuffle=False, verbose=0, on_nonfinite="skip")
    assert np.isnan(history.history["loss"]).all()
    assert len(history.nonfinite) == 8
    for new, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(new, old)


def test_stop_is_what_terminate_on_nan_does(capsys):
    model, x, y = poisoned([2])
    history = model.fit(x, y, batch_size=2, epochs=3, shuffle=False, verbose=0, on_nonfinite="stop")
    assert len(history.epoch) == 1
    assert np.isnan(history.history["loss"][0])
    assert model.optimizer.iterations == 2
    assert history.nonfinite[0].startswith("epoch 1, batch 3: ")
    assert capsys.readouterr().out == ""
    model, x, y = poisoned([2])
    model.fit(x, y, batch_size=2, epochs=3, shuffle=False, verbose=2, on_nonfinite="stop")
    assert "Training stops." in capsys.readouterr().out
    with pytest.raises(ValueError, match="on_nonfinite must be 'raise' or 'stop' or 'skip', got 'ignore'"):
        model.fit(x, y, on_nonfinite="ignore")
