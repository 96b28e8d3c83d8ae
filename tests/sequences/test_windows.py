"""Sliding windows are those of Keras; where its iteration needs another library, a stand-in iterates."""

from __future__ import annotations

import types

import numpy as np
import pytest

import minilstm as ml


@pytest.fixture
def keras_windows(keras, monkeypatch):
    """Keras's own function, with lists where it uses grain's datasets."""
    from keras.src.utils import timeseries_dataset_utils as utils

    class Listed(list):
        def to_iter_dataset(self):
            return self

    grain = types.SimpleNamespace(
        MapDataset=types.SimpleNamespace(source=Listed),
        experimental=types.SimpleNamespace(ZipMapDataset=lambda parts: Listed(zip(*parts, strict=True))),
    )
    monkeypatch.setattr(utils, "grain", grain)

    def windows(*arguments, **options):
        return list(
            utils.timeseries_dataset_from_array(*arguments, **options, batch_size=None, format="grain")
        )

    return windows


@pytest.mark.peer
def test_200_random_calls_give_keras_s_windows(keras_windows):
    rng = np.random.default_rng(0)
    compared = 0
    for _ in range(400):
        steps = int(rng.integers(4, 40))
        data = rng.normal(size=(steps, 2)[: rng.integers(1, 3)])
        targets = None if rng.random() < 0.3 else rng.normal(size=(int(rng.integers(steps // 2, steps + 1)),))
        options = {"sequence_stride": int(rng.integers(1, 4)), "sampling_rate": int(rng.integers(1, 4))}
        if rng.random() < 0.5:
            options["start_index"] = int(rng.integers(0, steps // 2))
        if rng.random() < 0.5:
            options["end_index"] = int(rng.integers(steps // 2 + 1, steps))
        length = int(rng.integers(1, 6))
        try:
            x, y = ml.sliding_windows(data, targets, length, **options)
        except ValueError:  # no window fits
            continue
        try:
            expected = keras_windows(data, targets, length, **options)
        except IndexError:  # Keras counts the targets before start_index too
            assert targets is not None
            assert options["start_index"] > 0
            continue
        compared += 1
        found = x[:, :, 0] if data.ndim == 1 else x
        if targets is None:
            assert y is None
            np.testing.assert_array_equal(found, np.array(expected))
        else:
            np.testing.assert_array_equal(found, np.array([one for one, _ in expected]))
            np.testing.assert_array_equal(y, np.array([two for _, two in expected]))
    assert compared > 200


def test_windows_take_no_memory_and_train():
    series = np.sin(np.arange(300) / 5).astype("float32")
    x, y = ml.sliding_windows(series, series[20:], 20)
    assert x.shape == (280, 20, 1)
    assert np.shares_memory(x, series)
    assert y[0] == series[20]
    model = ml.Sequential([ml.LSTM(4, input_shape=(20, 1)), ml.Dense(1)], seed=0)
    model.compile("adam", "mse")
    history = model.fit(x, y, epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]


@pytest.mark.parametrize("steps", [10, 20])
@pytest.mark.parametrize("T", [1, 4])
@pytest.mark.parametrize(
    ("k", "rate", "stride", "start"), [(1, 1, 1, 0), (3, 1, 1, 0), (2, 2, 1, 0), (2, 2, 3, 1)]
)
def test_the_recipes_keep_every_window_that_has_a_target(steps, T, k, rate, stride, start):
    """Counted one by one: windows of T steps, `rate` apart, whose k-th step after them is in the series."""
    series = np.arange(steps)
    span = (T - 1) * rate
    starts = [p for p in range(start, steps, stride) if p + span + k < steps]
    x, y = ml.sliding_windows(
        series, series[span + k :], T, sampling_rate=rate, sequence_stride=stride, start_index=start
    )
    assert x[:, :, 0].tolist() == [[p + rate * j for j in range(T)] for p in starts]
    assert y.tolist() == [p + span + k for p in starts]


@pytest.mark.parametrize(("steps", "T", "k"), [(9, 4, 1), (9, 4, 3), (9, 4, 5), (20, 6, 2)])
def test_the_recipe_for_several_steps_keeps_every_window_that_has_them_all(steps, T, k):
    series = np.arange(steps)
    x, y = ml.sliding_windows(series, ml.sliding_windows(series[T:], None, k)[0], T)
    starts = [p for p in range(steps) if p + T + k <= steps]
    assert x[:, :, 0].tolist() == [list(range(p, p + T)) for p in starts]
    assert y[:, :, 0].tolist() == [list(range(p + T, p + T + k)) for p in starts]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([], None, 2), {}, ValueError, r"data must be \(steps,\) or \(steps, features\), at least 1 step"),
        ((np.ones((2, 2, 2)), None, 2), {}, ValueError, r"got \(2, 2, 2\)"),
        (([1, 2], None, 0), {}, ValueError, "sequence_length must be a whole number >= 1, got 0"),
        (([1, 2], None, 2.0), {}, TypeError, "sequence_length must be a whole number >= 1, got 2.0"),
        (([1, 2], None, 1, 0), {}, ValueError, "sequence_stride must be a whole number >= 1"),
        (([1, 2], None, 1, 1, 0), {}, ValueError, "sampling_rate must be a whole number >= 1"),
        (
            ([1, 2], None, 3),
            {},
            ValueError,
            "data must be at least 3 steps, for one window, got 2 steps",
        ),
        (([1, 2], [], 1), {}, ValueError, "got 2 steps of data and 0 targets"),
        (([1, 2], 3, 1), {}, ValueError, "targets must be an array with a target for each step, got 3"),
        (([1, 2], None, 1), {"start_index": 2}, ValueError, "0 <= start_index < end_index <= 2"),
        (([1, 2], None, 1), {"end_index": 3}, ValueError, "got 0 and 3"),
    ],
)
def test_bad_arguments_are_named(arguments, options, error, message):
    with pytest.raises(error, match=message):
        ml.sliding_windows(*arguments, **options)
