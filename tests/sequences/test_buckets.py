"""Batches of similar length: every sample once, deterministic, less padding, the same model at the end."""

from __future__ import annotations

import numpy as np
import pytest

import minilstm as ml


def ragged(n=200, seed=0):
    rng = np.random.default_rng(seed)
    sequences = [rng.normal(size=(int(t), 2)).astype("float32") for t in rng.integers(1, 60, n)]
    return sequences, np.array([float(s[:, 0].sum() > 0) for s in sequences])


def made(seed=0):
    model = ml.Sequential([ml.LSTM(6, input_shape=(None, 2)), ml.Dense(1, activation="sigmoid")], seed=seed)
    model.compile(ml.Adam(0.01), "binary_crossentropy", ["accuracy"])
    return model


@pytest.mark.parametrize("padding", ["pre", "post"])
def test_every_epoch_has_every_sample_once(padding):
    sequences, y = ragged()
    buckets = ml.LengthBuckets(sequences, y, batch_size=16, padding=padding)
    orders = []
    for epoch in range(3):
        assert buckets.epoch == epoch
        rows = np.concatenate(buckets.indices())
        assert sorted(rows.tolist()) == list(range(len(sequences)))
        orders.append(rows.tolist())
        batches = list(buckets)
        assert len(batches) == len(buckets) == 13
        for (x, targets, weight, mask), chosen in zip(batches, buckets.indices(), strict=True):
            assert weight is None
            np.testing.assert_array_equal(targets, y[chosen])
            for row, real, which in zip(x, mask, chosen, strict=True):
                np.testing.assert_array_equal(row[real], sequences[which])
                np.testing.assert_array_equal(row[~real], 0)
                assert real[-1 if padding == "pre" else 0]
        buckets.on_epoch_end()
    assert orders[0] != orders[1] != orders[2]
    again = ml.LengthBuckets(sequences, y, batch_size=16)
    assert np.concatenate(again.indices()).tolist() == orders[0]
    assert (
        np.concatenate(ml.LengthBuckets(sequences, y, batch_size=16, seed=1).indices()).tolist() != orders[0]
    )


def test_the_padding_that_is_saved_is_said():
    sequences, y = ragged()
    buckets = ml.LengthBuckets(sequences, y, batch_size=16)
    cells = sum(x.shape[0] * x.shape[1] for x, *_ in buckets)
    real = sum(map(len, sequences))
    assert buckets.padding_share == pytest.approx(1 - real / cells)
    assert buckets.padding_share < 0.15
    assert buckets.padding_share_unbucketed > 0.4
    assert str(buckets).startswith("13 batches of 16: ")


def test_fit_evaluate_and_predict_take_them():
    sequences, y = ragged()
    first, second = made(), made()
    for model in (first, second):
        history = model.fit(ml.LengthBuckets(sequences, y, batch_size=16), epochs=3, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert first.history == second.history
    fixed = ml.LengthBuckets(sequences, y, batch_size=16, shuffle=False)
    x = ml.pad_sequences(sequences, dtype="float32", padding="post")
    mask = ml.lengths_to_mask([len(s) for s in sequences], padding="post")
    np.testing.assert_allclose(first.evaluate(fixed), first.evaluate(x, y, mask=mask), rtol=1e-5)
    np.testing.assert_allclose(first.predict(fixed), first.predict(x, mask=mask), rtol=1e-4, atol=1e-6)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="sequences must be at least one sequence, got none"):
        ml.LengthBuckets([])
    with pytest.raises(ValueError, match=r"sequences\[1\] must be of at least 1 step, got 0 steps"):
        ml.LengthBuckets([[1], []])
    with pytest.raises(TypeError, match="sequences must be a list of sequences, got one without a length"):
        ml.LengthBuckets([1, 2])
    with pytest.raises(ValueError, match=r"y must be one target for each of 2 sequences, got shape \(1,\)"):
        ml.LengthBuckets([[1], [2]], [0])
    with pytest.raises(ValueError, match="padding must be 'pre' or 'post', got 'left'"):
        ml.LengthBuckets([[1]], padding="left")
