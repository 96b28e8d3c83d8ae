"""Masks end to end: what stands in masked steps, and where and how much of it, changes nothing.

float64, to 1e-12 of the largest entry: losses, metrics, outputs at real steps, weights after training.
"""

from __future__ import annotations

import numpy as np
import pytest
from tolerances import check

import minilstm as ml

B, T, D, H, C = 9, 6, 3, 4, 3
BOUND = 1e-12
LENGTHS = np.array([6, 1, 3, 0, 5, 2, 6, 4, 0])  # two rows of padding only
CELLS = ["LSTM", "GRU", "SimpleRNN"]
rng = np.random.default_rng(11)
SEQUENCES = [rng.normal(size=(length, D)) for length in LENGTHS]
TARGETS = [rng.integers(0, C, length) for length in LENGTHS]
LABELS = rng.integers(0, C, B)


def model(layers, loss="sparse_categorical_crossentropy", metric="accuracy"):
    built = ml.Sequential(layers, dtype="float64", seed=1)
    built.compile(ml.Adam(0.05, global_clipnorm=0.5), loss, [metric])
    return built


def stack(cell, bidirectional=False, sequences=True):
    """Two recurrent layers and a head."""

    def layer(units, last):
        recurrent = getattr(ml, cell)(units, return_sequences=not last)
        return ml.Bidirectional(recurrent) if bidirectional else recurrent

    return [layer(H, False), layer(H, not sequences), ml.Dense(C, activation="softmax")]


def padded(rows, side, value, more, dtype=float):
    """Rows with padding of `value` on one side, or on both; and the mask."""
    steps = T + more
    shape = rows[0].shape[1:]
    out = np.full((B, steps, *shape), value, dtype)
    mask = np.zeros((B, steps), bool)
    for k, row in enumerate(rows):
        first = {"post": 0, "pre": steps - len(row), "both": (steps - len(row)) // 2}[side]
        out[k, first : first + len(row)] = row
        mask[k, first : first + len(row)] = True
    return out, mask


def trained(layers, x, y, mask, sequences):
    found = model(layers)
    history = found.fit(x, y, mask=mask, batch_size=4, epochs=3, shuffle=False, verbose=0).history
    output = found.predict(x, mask=mask)
    scores = found.evaluate(x, y, mask=mask)
    return [*history.values(), scores, output[mask] if sequences else output, *found.get_weights()]


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize("sequences", [False, True], ids=["last", "each step"])
@pytest.mark.parametrize("cell", CELLS)
def test_side_value_and_amount_of_padding_change_nothing(cell, sequences, bidirectional):
    results = []
    for side, value, more in (
        ("post", 0.0, 0),
        ("pre", 0.0, 0),
        ("both", np.nan, 5),
        ("post", 1e300, 17),
        ("pre", -np.inf, 2),
    ):
        x, mask = padded(SEQUENCES, side, value, more)
        y = padded(TARGETS, side, -7, more, int)[0] if sequences else LABELS
        results.append(trained(stack(cell, bidirectional, sequences), x, y, mask, sequences))
    for other in results[1:]:
        for found, expected in zip(other, results[0], strict=True):
            check(found, expected, BOUND)


@pytest.mark.parametrize("cell", CELLS)
def test_any_pattern_of_masked_steps_is_their_absence(cell):
    """Steps that are masked anywhere in a sequence might as well not be there."""
    scattered, holes = np.full((B, 2 * T, D), np.nan), np.zeros((B, 2 * T), bool)
    y = np.full((B, 2 * T), -1)
    for k, (row, target) in enumerate(zip(SEQUENCES, TARGETS, strict=True)):
        places = np.sort(rng.choice(2 * T, len(row), replace=False))
        scattered[k, places], holes[k, places], y[k, places] = row, True, target
    x, mask = padded(SEQUENCES, "post", 0.0, 0)
    expected = trained(stack(cell), x, padded(TARGETS, "post", 0, 0, int)[0], mask, True)
    for found, wanted in zip(trained(stack(cell), scattered, y, holes, True), expected, strict=True):
        check(found, wanted, BOUND)


@pytest.mark.parametrize("source", ["masking", "embedding"])
def test_targets_and_weights_at_padding_may_be_anything(source):
    """Also where the mask comes from a layer, and not from the caller."""
    ids, mask = padded([1 + np.arange(length) % 4 for length in LENGTHS], "post", 0, 2, int)
    y, weight = rng.integers(0, C, ids.shape), rng.random(ids.shape)
    results = []
    for targets, weights in ((y, weight), (np.where(mask, y, 99), np.where(mask, weight, np.nan))):
        if source == "masking":
            x = np.where(mask[..., None], ids[..., None] + np.arange(D) / 10, -1.0)
            first: ml.Masking | ml.Embedding = ml.Masking(-1.0)
        else:
            x, first = ids, ml.Embedding(5, D, mask_zero=True)
        found = model([first, *stack("LSTM")])
        history = found.fit(x, targets, sample_weight=weights, epochs=2, verbose=0).history
        results.append([*history.values(), *found.get_weights()])
        with pytest.raises(ValueError, match="y has label 99 at"):
            found.fit(x, np.full(ids.shape, 99), verbose=0)
    for found, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_the_loss_divides_by_the_real_steps():
    """By hand, for a loss and a metric; rows of padding only count for nothing."""
    x, mask = padded(SEQUENCES, "pre", np.nan, 3)
    y, _ = padded(TARGETS, "pre", 0, 3, int)
    found = model(stack("GRU"))
    found.predict(x, mask=mask)
    loss, accuracy = found.evaluate(x, y, mask=mask, batch_size=B)
    p = found.predict(x, mask=mask)[mask]
    own = p[np.arange(len(p)), y[mask]]
    check(loss, -np.log(own).sum() / LENGTHS.sum(), BOUND)
    check(accuracy, (p.argmax(axis=-1) == y[mask]).sum() / LENGTHS.sum(), BOUND)
    nothing = np.zeros_like(mask)
    before = found.get_weights()
    assert found.evaluate(x, y, mask=nothing) == [0.0, 0.0]
    found.fit(x, y, mask=nothing, verbose=0)
    for now, old in zip(found.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, old)
