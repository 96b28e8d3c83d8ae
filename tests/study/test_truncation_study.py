"""What truncation costs: passes that are cut beside full ones, the ledger's word for it, and random cuts."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import require

import minilstm as ml
from minilstm.commands import cli
from minilstm.study.truncation import pairs
from minilstm.study.truncation.ledger import contributions, random_cuts

T, D, H = 20, 3, 5
LAYERS = {"lstm": ml.LSTM, "gru": ml.GRU, "simple_rnn": ml.SimpleRNN}


def problem(kind="lstm", T=T, sequences=False, **options):
    rng = np.random.default_rng(0)
    layer = LAYERS[kind](H, return_sequences=sequences, input_shape=(None, D), **options)
    model = ml.Sequential([layer, ml.Dense(2)], dtype="float64", seed=0)
    model.compile("sgd", "mse")
    x = rng.normal(size=(12, T, D))
    return model, x, rng.normal(size=(12, T, 2) if sequences else (12, 2))


def recurrent(grads):
    return np.concatenate([grad.ravel() for name, grad in grads.items() if not name.startswith("dense")])


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("anchor", ["end", "start"])
def test_rows_are_those_of_a_layer_that_truncates_and_of_the_ledger(kind, anchor):
    model, x, y = problem(kind)
    found = ml.truncation_study(model, x, y, steps=[20, 3, 7], anchor=anchor, batch_size=12)
    full = recurrent(model.trace(x, y).grads)
    for row in found.rows:
        other, _, _ = problem(kind, truncate_steps=row["steps"], truncate_from=anchor)
        cut = recurrent(other.trace(x, y).grads)
        sizes = np.linalg.norm(cut), np.linalg.norm(full)
        assert row["cosine"] == pytest.approx(cut @ full / np.prod(sizes), abs=1e-12)
        assert row["norm_ratio"] == pytest.approx(sizes[0] / sizes[1], rel=1e-12)
        assert row["sign_agreement"] == (np.sign(cut) == np.sign(full)).mean()
        assert row["predicted_cosine"] == pytest.approx(row["cosine"], abs=1e-9)  # of the same batch: exact
    assert [row["steps"] for row in found.rows] == [3, 7, 20]
    assert found.rows[-1]["cosine"] == pytest.approx(1, abs=1e-12)
    assert found.rows[-1]["cut_share"] == pytest.approx(0, abs=1e-12)
    assert found.predicted <= found.smallest
    assert set(found.rows[0]["parameters"]) == {f"{kind}/{name}" for name in model.layers[0].params}
    assert model.layers[0].truncate_steps is None
    assert "cosine" in str(found)


def test_torch_with_detach_gives_the_same_cosine():
    require("torch")
    import torch

    model, x, y = problem()
    lstm = torch.nn.LSTM(D, H, batch_first=True, dtype=torch.float64)
    state = ml.interop.to_torch_state_dict(model.layers[0])
    lstm.load_state_dict({name: torch.tensor(part) for name, part in state.items()})
    kernel, bias = (torch.tensor(part) for part in model.layers[1].get_weights())

    def gradient(k):
        lstm.zero_grad()
        inputs = torch.tensor(x)
        with torch.no_grad():
            _, (h, c) = lstm(inputs[:, : T - k]) if k < T else (None, (torch.zeros(1, 12, H).double(),) * 2)
        output = lstm(inputs[:, T - k :], (h, c))[0][:, -1] @ kernel + bias
        ((output - torch.tensor(y)) ** 2).mean().backward()
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0")
        return np.concatenate([getattr(lstm, name).grad.numpy().ravel() for name in names])

    (row,) = ml.truncation_study(model, x, y, steps=[4]).rows
    cut, full = gradient(4), gradient(T)
    expected = cut @ full / (np.linalg.norm(cut) * np.linalg.norm(full))
    assert row["cosine"] == pytest.approx(expected, abs=1e-9)


def test_an_interval_over_batches_and_masks():
    model, x, y = problem()
    mask = np.arange(T) >= np.arange(12)[:, None]
    found = ml.truncation_study(model, x, y, steps=[5], mask=mask, batch_size=4)
    row = found.rows[0]
    assert row["cosine_low"] < row["cosine"] < row["cosine_high"]


def test_two_layers_are_cut_at_the_same_steps():
    layers = [ml.LSTM(4, return_sequences=True, input_shape=(None, D)), ml.GRU(3), ml.Dense(2)]
    model, (_, x, y) = ml.Sequential(layers, dtype="float64", seed=0), problem()
    model.compile("sgd", "mse")
    (row,) = ml.truncation_study(model, x, y, steps=[6]).rows
    assert row["predicted_cosine"] == pytest.approx(row["cosine"], abs=1e-9)


@pytest.mark.parametrize("anchor", ["end", "start"])
@pytest.mark.parametrize("kind", ["many", "stacked", "pooled"])
def test_a_loss_on_every_step_is_predicted_too(kind, anchor):
    """For the batch that it is made from exactly, at every length of the segments, behind a mask too."""
    more = {"return_sequences": True}
    layers = {
        "many": [ml.LSTM(H, input_shape=(None, D), **more), ml.Dense(2)],
        "stacked": [ml.GRU(4, input_shape=(None, D), **more), ml.LSTM(3, **more), ml.Dense(2)],
        "pooled": [ml.LSTM(H, input_shape=(None, D), **more), ml.GlobalAveragePooling1D(), ml.Dense(2)],
    }
    model, (_, x, y) = ml.Sequential(layers[kind], dtype="float64", seed=0), problem(sequences=True)
    model.compile("sgd", "mse")
    y, mask = (y[:, 0] if kind == "pooled" else y), np.arange(T) >= np.arange(12)[:, None]
    found = ml.truncation_study(model, x, y, range(1, T + 1), mask=mask, batch_size=12, anchor=anchor)
    for row in found.rows:
        assert row["predicted_cosine"] == pytest.approx(row["cosine"], abs=1e-9)
    assert found.predicted == found.smallest < T
    shares = [row["cut_share"] for row in found.rows]
    assert shares[0] > 0.1 > shares[-1] == pytest.approx(0, abs=1e-12)
    assert not [note for note in found.notes if "prediction" in note]


def test_a_loss_on_every_step_of_both_directions_has_no_prediction(monkeypatch):
    _, x, y = problem(sequences=True)
    both = ml.Bidirectional(ml.LSTM(H, return_sequences=True), input_shape=(None, D))
    model = ml.Sequential([both, ml.Dense(2)], dtype="float64", seed=0)
    model.compile("sgd", "mse")
    found = ml.truncation_study(model, x, y, steps=[5, 20])
    assert found.predicted is None
    assert np.isnan(found.rows[0]["predicted_cosine"])
    assert found.rows[0]["cosine"] < found.rows[1]["cosine"]
    assert "no prediction: the loss reads many steps" in found.notes[0]
    model, x, y = problem(sequences=True)
    monkeypatch.setattr(pairs, "ROOM", 100)
    assert ml.truncation_study(model, x, y, steps=[5]).predicted is None


def test_draws_want_a_loss_on_the_last_step():
    model, x, y = problem(sequences=True)
    with pytest.raises(ValueError, match="draws must be 0 where the loss reads more"):
        ml.truncation_study(model, x, y, steps=[5], draws=10)


def test_a_last_segment_of_one_step_is_pointed_out():
    model, x, y = problem(T=21)
    found = ml.truncation_study(model, x, y, steps=[20], anchor="start")
    assert found.rows[0]["last_segment"] == 1
    assert "k = 20 leaves a last segment of 1 step of 21" in str(found)
    assert not ml.truncation_study(model, x, y, steps=[20]).notes


def test_random_cuts_are_unbiased_and_tell_their_spread():
    """Against draws made one by one; the mean lies within five standard errors of the full gradient."""
    model, x, y = problem()
    trace, draws, stays = model.trace(x, y), 4000, 1 - 1 / 6
    full = recurrent(trace.grads)
    drawn = random_cuts(trace, 6, draws, np.random.default_rng(0))
    assert np.linalg.norm(drawn.mean - full) < 5 * drawn.deviation * np.linalg.norm(full) / draws**0.5
    parts, rng = list(contributions(trace)), np.random.default_rng(0)
    found = []
    for length in rng.geometric(1 / 6, draws):
        found.append(sum(part / stays**lag for lag, part in enumerate(parts[:length])))
    np.testing.assert_allclose(drawn.mean, np.mean(found, axis=0), atol=1e-12)
    spread = np.sqrt(((found - np.mean(found, axis=0)) ** 2).sum(axis=1).sum() / (draws - 1))
    assert drawn.deviation == pytest.approx(spread / np.linalg.norm(full), rel=1e-9)
    fixed = ml.truncation_study(model, x, y, steps=[1, 6], draws=draws).rows
    assert fixed[1]["unbiased_error"] < fixed[1]["bias"]
    assert np.isnan(fixed[0]["unbiased_error"])


def test_training_with_k_steps_beside_training_without():
    model, x, y = problem()
    before = [part.copy() for part in model.get_weights()]
    found = ml.truncation_study(model, x, y, steps=[1, 20], epochs=2)
    assert found.rows[1]["loss"] == pytest.approx(found.full_loss, rel=1e-12)
    assert found.rows[0]["loss"] != found.full_loss
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_bad_input():
    model, x, y = problem()
    for steps in ([], [21], [3, 40]):
        with pytest.raises(ValueError, match="steps must be at least one whole number from 1 to 20"):
            ml.truncation_study(model, x, y, steps=steps)
    with pytest.raises(ValueError, match="steps must be a whole number >= 1, got 0"):
        ml.truncation_study(model, x, y, steps=[0])
    for steps in (5, None, "5"):
        with pytest.raises(TypeError, match=f"steps must be a list of at least one .*, got {steps!r}"):
            ml.truncation_study(model, x, y, steps=steps)
    with pytest.raises(TypeError, match="model must be a compiled Sequential, got 3"):
        ml.truncation_study(3, x, y, steps=[1])
    with pytest.raises(ValueError, match="anchor must be 'end' or 'start'"):
        ml.truncation_study(model, x, y, steps=[1], anchor="middle")
    cut, _, _ = problem(truncate_steps=3)
    with pytest.raises(ValueError, match="model must be without truncation in layer 'lstm'"):
        ml.truncation_study(cut, x, y, steps=[1])
    with pytest.raises(ValueError, match="truncate_from must be 'start' or 'end'"):
        ml.LSTM(3, truncate_from="middle")


def test_a_gradient_of_zero_has_no_direction():
    model, x, _ = problem()
    (row,) = ml.truncation_study(model, x, model.predict(x), steps=[3], draws=5).rows
    assert all(np.isnan(row[name]) for name in ("cosine", "norm_ratio", "bias", "unbiased_error"))


def test_a_stateful_layer_begins_with_nothing_and_keeps_its_state():
    model, x, y = problem()
    own, _, _ = problem(stateful=True)
    own.predict(x[:3], batch_size=3)
    before = [part.copy() for part in own.layers[0].state]
    rows = [ml.truncation_study(one, x, y, steps=[3], batch_size=4).rows for one in (model, own)]
    assert rows[0][0]["cosine"] == rows[1][0]["cosine"]
    np.testing.assert_array_equal(own.layers[0].state, before)


def test_the_figure_and_the_command(tmp_path, capsys):
    model, x, y = problem()
    axes = ml.truncation_study(model, x, y, steps=[2, 20]).plot()
    assert axes.get_xlabel() == "steps kept, k"
    model.save(tmp_path / "model.npz")
    np.savez(tmp_path / "data.npz", x=x, y=y)
    given = ["--data", str(tmp_path / "data.npz"), "--weights", str(tmp_path / "model.npz")]
    figure = tmp_path / "cost.png"
    assert cli.main(["truncation", *given, "--steps", "2,20", "--draws", "50", "--out", str(figure)]) == 0
    said = capsys.readouterr().out
    assert "unbiased deviation" in said
    assert figure.stat().st_size > 1000
    assert cli.main(["truncation", *given[:2]]) == 2
    assert cli.main(["truncation", *given, "--steps", "50"]) == 2


def test_a_long_series_in_segments_with_the_state_carried_over():
    """The classic form, fit over segments with a stateful layer: k >= T is full BPTT, to the bit."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 12, D)).astype("float32"), rng.normal(size=(2, 12, 1)).astype("float32")

    def model(**options):
        layer = ml.LSTM(H, return_sequences=True, input_shape=(None, D), **options)
        found = ml.Sequential([layer, ml.Dense(1)], seed=0)
        found.compile("sgd", "mse")
        return found

    def pieces(k):
        for start in range(0, 12, k):
            yield x[:, start : start + k], y[:, start : start + k]

    full = model()
    full.fit(x, y, batch_size=2, shuffle=False, verbose=0)
    for k in (12, 50):
        carried = model(stateful=True)
        carried.fit(pieces(k), verbose=0)
        for one, other in zip(full.get_weights(), carried.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    short = model(stateful=True)
    short.fit(pieces(4), verbose=0)
    assert not np.array_equal(short.get_weights()[0], full.get_weights()[0])
