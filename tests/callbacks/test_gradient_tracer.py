"""GradientTracer: its numbers are those of the trace and the weights; it changes nothing; it is bounded."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minilstm as ml
from minilstm.callbacks.gradient_tracer import _signal_to_noise

N, T, D, H = 12, 9, 3, 4
CELLS = {"lstm": ml.LSTM, "gru": ml.GRU, "simplernn": ml.SimpleRNN}


def model_of(cell="lstm", backend="numba", dtype="float64", optimizer="sgd", **options):
    layer = CELLS[cell](H, input_shape=(T, D), backend=backend, name="rec", **options)
    model = ml.Sequential([layer, ml.Dense(1)], dtype=dtype, seed=0)
    model.compile(loss="mse", optimizer=optimizer)
    return model


def data():
    rng = np.random.default_rng(0)
    mask = np.arange(T) < rng.integers(1, T + 1, N)[:, None]
    return rng.normal(size=(N, T, D)), rng.normal(size=N), mask


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("options", [{}, {"checkpoint_steps": 4}, {"truncate_steps": 4}], ids=str)
def test_it_records_what_a_trace_of_the_same_batch_finds(cell, masked, backend, options):
    model = model_of(cell, backend, **options)
    x, y, mask = data()
    mask = mask if masked else None
    trace = model.trace(x, y, mask)
    rec, tracer = trace["rec"], ml.GradientTracer()
    model.fit(x, y, mask=mask, batch_size=N, shuffle=False, verbose=0, callbacks=[tracer])
    (record,) = tracer.records
    kept = record.layers["rec"]
    for state in rec.states:
        np.testing.assert_allclose(kept.states[f"d{state}"], rec.lag_norm(f"d{state}"), rtol=1e-9)
        np.testing.assert_allclose(tracer.norms("rec", f"d{state}")[0], rec.lag_norm(f"d{state}"), rtol=1e-9)
    blocks = {
        name: array.reshape(-1, len(rec.gates), H) for name, array in trace.grads.items() if "rec" in name
    }
    real = rec.real[..., None]
    for k, gate in enumerate(rec.gates):
        dz = np.where(real, rec.blocks(rec.dz)[gate], 0)
        assert math.hypot(*kept.dz[gate]) == pytest.approx(np.linalg.norm(dz), rel=1e-9)
        own = dz.sum(axis=1)  # (N, H): each sample's gradient of the bias
        noise = np.sqrt(((own - own.mean(axis=0)) ** 2).sum(axis=1).mean())
        assert kept.signal_to_noise[gate] == pytest.approx(np.linalg.norm(own.mean(axis=0)) / noise, rel=1e-9)
        parts = [blocks["rec/kernel"][:, k], blocks["rec/recurrent_kernel"][:, k], blocks["rec/bias"][:, k]]
        expected = math.hypot(*(np.linalg.norm(part) for part in parts))
        assert kept.weights[gate] == pytest.approx(expected, rel=1e-9)
    assert record.loss == pytest.approx(trace.loss, rel=1e-12)
    assert record.norm == pytest.approx(math.hypot(*map(np.linalg.norm, trace.grads.values())), rel=1e-9)


def test_float32_norms_hold_where_squares_leave_the_range():
    model = model_of(dtype="float32")
    weights = model.get_weights()
    weights[3][:] = 1e-28
    model.set_weights(weights)
    x, y, _ = data()
    expected = model.trace(x, y)["rec"].lag_norm("dh")
    assert (expected < 1e-27).all()
    tracer = ml.GradientTracer()
    model.fit(x, y, batch_size=N, shuffle=False, verbose=0, callbacks=tracer)
    np.testing.assert_allclose(tracer.norms("rec")[0], expected, rtol=1e-5)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_it_does_not_change_training(backend):
    x, y, mask = data()

    def fitted(*callbacks):
        model = model_of(backend=backend, dtype="float32", optimizer="adam")
        model.fit(x, y, mask=mask, batch_size=5, epochs=3, verbose=0, callbacks=callbacks)
        return model.get_weights()

    for ours, theirs in zip(fitted(), fitted(ml.GradientTracer(data=(x, y, mask))), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(fitted(), fitted(ml.GradientTracer()), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("every", "places"), [(1, 9), (2, 5), (4, 3), ("epoch", 3)])
def test_every(every, places):
    x, y, _ = data()
    model, tracer = model_of(), ml.GradientTracer(every=every)
    model.fit(x, y, batch_size=4, epochs=3, verbose=0, callbacks=[tracer])
    steps = [3 * record.epoch + record.batch for record in tracer.records]
    assert len(steps) == places
    assert steps == list(range(0, 9, 3 if every == "epoch" else every))
    assert tracer.steps == 9
    assert model.layers[0].observer is None


def test_given_data_is_traced_in_place_of_the_batch():
    x, y, mask = data()
    model = model_of()
    expected = model.trace(x, y, mask)["rec"]
    tracer = ml.GradientTracer(every="epoch", data=(x, y, mask))
    model.fit(x[:4], y[:4], batch_size=2, epochs=2, verbose=0, callbacks=[tracer])
    np.testing.assert_allclose(tracer.norms("rec", "dc")[0], expected.lag_norm("dc"), rtol=1e-12)
    np.testing.assert_allclose(tracer.norms("rec", "dz_f")[0], expected.ledger().gate_norms()["f"][::-1]) if (
        mask.all()
    ) else None
    assert len(tracer.records) == 2


def test_update_to_weight_ratio_and_clipping():
    x, y, _ = data()
    model = model_of(optimizer=ml.SGD(0.1, global_clipnorm=1e-3))
    before = {name: weight.copy() for name, weight in model.named_weights.items()}
    tracer = ml.GradientTracer()
    model.fit(x, y, batch_size=N, verbose=0, callbacks=[tracer])
    (record,) = tracer.records
    assert list(record.update_to_weight) == list(before)
    for name in ("rec/kernel", "dense/kernel"):
        moved = np.linalg.norm(model.named_weights[name] - before[name])
        assert record.update_to_weight[name] == pytest.approx(moved / np.linalg.norm(before[name]), rel=1e-9)
    assert math.isnan(record.update_to_weight["dense/bias"])  # it was zero
    assert (tracer.share_clipped, record.norm_after) == (1, pytest.approx(1e-3))
    assert record.norm > 1e-3


def test_the_culprit_is_where_the_norm_comes_from():
    x, y, _ = data()
    model, tracer = model_of(), ml.GradientTracer()
    trace = model.trace(x, y)
    model.fit(x, y, batch_size=N, shuffle=False, verbose=0, callbacks=[tracer])
    culprit = tracer.records[0].culprit()
    sizes = tracer.records[0].layers["rec"].weights
    assert (culprit.layer, culprit.gate) == ("rec", max(sizes, key=sizes.get))
    assert culprit.lag == np.argmax(trace["rec"].norm("dz")[::-1])
    assert culprit.share == pytest.approx((max(sizes.values()) / tracer.records[0].norm) ** 2)


def within(kind):
    """A model with recurrent layers in wrappers, with its data and mask."""
    x, y, mask = data()
    if kind == "bidirectional":
        layer = ml.Bidirectional(ml.LSTM(H, return_sequences=True, name="rec"), input_shape=(T, D))
        layers = [layer, ml.Bidirectional(ml.GRU(3), merge_mode="sum")]
    else:
        inner = ml.Bidirectional(ml.LSTM(H)) if kind == "both" else ml.LSTM(H)
        layers = [ml.TimeDistributed(inner, input_shape=(5, T, D)), ml.SimpleRNN(3)]
        x, mask = np.random.default_rng(1).normal(size=(N, 5, T, D)), None
    model = ml.Sequential([*layers, ml.Dense(1)], dtype="float64", seed=0)
    model.compile(loss="mse", optimizer=ml.SGD(0.1, global_clipnorm=1e-3))
    return model, x, y, mask


PATHS = {
    "bidirectional": [
        "bidirectional/forward_rec",
        "bidirectional/backward_rec",
        "bidirectional_1/forward_gru",
        "bidirectional_1/backward_gru",
    ],
    "time_distributed": ["time_distributed/lstm", "simple_rnn"],
    "both": [
        "time_distributed/bidirectional/forward_lstm",
        "time_distributed/bidirectional/backward_lstm",
        "simple_rnn",
    ],
}


@pytest.mark.parametrize("kind", PATHS)
def test_layers_in_wrappers_stand_under_the_names_of_a_trace(kind):
    """Names, norms, weights' norms and the culprit: those of a trace of the same batch, as given data too."""
    model, x, y, mask = within(kind)
    trace, tracer = model.trace(x, y, mask), ml.GradientTracer()
    given = ml.GradientTracer(data=(x, y, mask))
    model.fit(x, y, mask=mask, batch_size=N, shuffle=False, verbose=0, callbacks=[given, tracer])
    (record,), (as_data,) = tracer.records, given.records
    assert list(trace.layers) == PATHS[kind]
    assert set(record.layers) == set(as_data.layers) == set(PATHS[kind])
    for name, rec in trace.layers.items():
        for kept in (record.layers[name], as_data.layers[name]):
            for state in rec.states:
                np.testing.assert_allclose(kept.states[f"d{state}"], rec.lag_norm(f"d{state}"), rtol=1e-9)
            total = math.hypot(*(np.linalg.norm(trace.grads[f"{name}/{key}"]) for key in rec.named_weights))
            if rec.cell.name != "gru":  # which has two biases, of which one counts
                assert math.hypot(*kept.weights.values()) == pytest.approx(total, rel=1e-9)
        assert f"{name}/kernel" in record.update_to_weight
        np.testing.assert_allclose(tracer.norms(name)[0], rec.lag_norm("dh"), rtol=1e-9)
    assert record.culprit()[:2] == as_data.culprit()[:2] == trace.culprit()[:2]
    if "gru" not in record.culprit().layer:
        assert record.culprit().share == pytest.approx(trace.culprit().share, rel=1e-9)


def test_records_are_bounded():
    x, y, _ = data()
    tracer = ml.GradientTracer(limit=8)
    model_of().fit(x, y, batch_size=2, epochs=20, verbose=0, callbacks=[tracer])
    assert tracer.steps == 120
    assert 4 <= len(tracer.records) <= 8
    steps = [6 * record.epoch + record.batch for record in tracer.records]
    assert len(set(np.diff(steps))) == 1  # still evenly spaced, from the first batch on
    assert steps[0] == 0


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("cell", CELLS)
def test_the_batch_that_ends_training_is_recorded(cell, backend, masked):
    x, y, mask = data()
    mask = mask if masked else None
    model, tracer = model_of(cell, backend), ml.GradientTracer()

    class Spoil(ml.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 2:
                self.model.named_weights["rec/kernel"][...] = np.nan

    with pytest.raises(ml.NonFiniteError):
        model.fit(x, y, mask=mask, batch_size=4, verbose=0, callbacks=[Spoil(), tracer])
    assert [record.batch for record in tracer.records] == [0, 1, 2]
    assert np.isnan(tracer.norms("rec")[2]).all()
    assert math.isnan(tracer.records[2].norm)
    assert tracer.records[2].culprit().layer == "rec"
    assert model.layers[0].observer is None


def test_lengths_may_differ_from_batch_to_batch():
    x, y, _ = data()
    layer = ml.LSTM(H, input_shape=(None, D), name="rec")
    model = ml.Sequential([layer, ml.Dense(1)], seed=0)
    model.compile(loss="mse")
    tracer = ml.GradientTracer()
    model.fit([(x[:4], y[:4]), (x[4:, :5], y[4:])], verbose=0, callbacks=[tracer])
    table = tracer.norms("rec")
    assert table.shape == (2, T)
    assert np.isnan(table[1, 5:]).all()
    assert np.isfinite(table[1, :5]).all()


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"every": 0}, ValueError, "every must be a whole number >= 1, got 0"),
        ({"every": "batch"}, TypeError, "every must be a whole number >= 1, got 'batch'"),
        ({"data": np.zeros(3)}, ValueError, r"data must be \(x, y\) or \(x, y, mask\), got ndarray"),
        ({"limit": 1}, ValueError, "limit must be a whole number >= 2, got 1"),
    ],
)
def test_bad_arguments(arguments, error, text):
    with pytest.raises(error, match=text):
        ml.GradientTracer(**arguments)


def test_norms_of_what_was_not_seen():
    tracer = ml.GradientTracer()
    with pytest.raises(ValueError, match="tracer must be one that has seen a batch, got no records"):
        tracer.norms("rec")
    assert math.isnan(tracer.share_clipped)
    x, y, _ = data()
    model_of().fit(x, y, verbose=0, callbacks=[tracer])
    with pytest.raises(ValueError, match="layer must be 'rec', got 'other'"):
        tracer.norms("other")
    with pytest.raises(ValueError, match=r"name must be 'dh' or 'dc' or 'dz_i' .* got 'dx'"):
        tracer.norms("rec", "dx")


def test_signal_to_noise_of_gradients_whose_sum_leaves_the_range():
    db = np.random.default_rng(0).normal(size=(2, 5, 3)) + 1
    expected, huge = _signal_to_noise(db), db / np.abs(db).max() * 1.7e308
    assert _signal_to_noise(huge) == pytest.approx(expected, rel=1e-12)
    assert all(np.isnan(_signal_to_noise(np.full((2, 5, 3), np.inf))))


def test_names_with_line_ends_are_put_back_from_a_checkpoint():
    """Line ends held the places of numbers apart: the norms of such a layer were left out without a word."""
    layer = ml.LSTM(2, input_shape=(3, 1), name="a\nb")
    model = ml.Sequential([layer, ml.Dense(1, name="c\nd")], seed=0)
    model.compile("sgd", "mse")
    tracer = ml.GradientTracer()
    model.fit(np.ones((4, 3, 1)), np.ones(4), verbose=0, callbacks=[tracer])
    again = ml.GradientTracer()
    again.set_state(tracer.get_state())
    assert again.norms("a\nb").tolist() == tracer.norms("a\nb").tolist()
    assert again.records[0].update_to_weight.keys() == tracer.records[0].update_to_weight.keys()
