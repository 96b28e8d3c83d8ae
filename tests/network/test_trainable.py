"""Frozen layers: against Keras's on the same training, in counts, files and messages."""

from __future__ import annotations

import numpy as np
import pytest
from tolerances import TRAINING, check

import minilstm as ml

N, T, D, H = 12, 4, 3, 3
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)


def data():
    rng = np.random.default_rng(2)
    return rng.normal(size=(N, T, D)).astype("float32"), rng.normal(size=(N, 1)).astype("float32")


def stack(L, frozen: str, **options):
    """Three layers of either library; the first may be frozen."""
    two = L.Bidirectional(L.SimpleRNN(H, kernel_regularizer="l2"))
    one = L.SimpleRNN(H, return_sequences=True, trainable=frozen != "first", **options)
    return [one, two, L.Dense(1)]


def small(optimizer="sgd", **options):
    model = ml.Sequential(
        [ml.LSTM(H, input_shape=(T, D), name="rec", **options), ml.Dense(1, name="out")], seed=0
    )
    model.compile(optimizer, "mse")
    return model


@pytest.mark.parametrize("frozen", ["first", "wrapper", "direction"])
def test_training_with_a_frozen_layer_is_keras_s(keras, frozen):
    """The clipping norm and the penalties are of the weights that learn; the frozen ones keep their bits."""
    keras.utils.set_random_seed(7)  # Adam magnifies the rounding of a gradient that happens to be near 0
    x, y = data()
    theirs = keras.Sequential([keras.Input((T, D)), *stack(keras.layers, frozen)])
    ours = ml.Sequential(stack(ml, frozen, input_shape=(T, D)))
    ours.build((None, T, D))
    for model in (theirs, ours):  # Keras does not heed `trainable=False` of a Bidirectional's constructor
        if frozen != "first":
            wrapper = model.layers[1]
            (wrapper if frozen == "wrapper" else wrapper.backward_layer).trainable = False
    ours.set_weights(theirs.get_weights())
    before = ours.get_weights()
    options = {"learning_rate": 0.05, "global_clipnorm": 0.1}
    theirs.compile(keras.optimizers.Adam(**options), "mse")
    ours.compile(ml.Adam(**options), "mse")
    found = ours.fit(x, y, epochs=2, batch_size=6, shuffle=False, verbose=0).history["loss"]
    expected = theirs.fit(x, y, epochs=2, batch_size=6, shuffle=False, verbose=0).history["loss"]
    check(np.array(found), np.array(expected), TRAINING["float32"])
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        check(a, b, TRAINING["float32"])
    fixed = {"first": range(3), "wrapper": range(3, 9), "direction": range(6, 9)}[frozen]
    for k, (old, new) in enumerate(zip(before, ours.get_weights(), strict=True)):
        assert (old == new).all() == (k in fixed)
    assert len(ours.trainable_weights) == len(theirs.trainable_weights)
    assert len(ours.non_trainable_weights) == len(fixed)


def test_the_summary_counts_what_learns():
    model = small(trainable=False)
    lines: list[str] = []
    model.summary(lines.append)
    total, out = model.count_params(), H + 1
    assert lines[0].splitlines()[-3:] == [
        f"Total params: {total} (0.34 KB)",
        f"Trainable params: {out} (0.02 KB)",
        f"Non-trainable params: {total - out} (0.33 KB)",
    ]


def test_a_file_keeps_what_is_frozen_and_goes_on_with_the_same_bits(tmp_path):
    x, y = data()
    model = ml.Sequential(stack(ml, "first", input_shape=(T, D)), seed=1)
    model.build((None, T, D))
    model.layers[1].backward_layer.trainable = False
    model.compile("adam", "mse")
    model.fit(x, y, epochs=1, verbose=0)
    model.save(tmp_path / "model.npz")
    again = ml.load_model(tmp_path / "model.npz")
    assert [layer.trainable for layer in again.layers] == [False, True, True]
    assert not again.layers[1].backward_layer.trainable
    assert again.layers[1].forward_layer.trainable
    for one in (model, again):
        one.fit(x, y, epochs=1, verbose=0)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_trainable_changed_after_compile_is_told_once_and_holds():
    x, y = data()
    model = small("adam")
    model.fit(x, y, epochs=1, verbose=0)
    kept = model.optimizer.slots["velocity"][-(H + 1) :].copy()
    model.get_layer("rec").trainable = False
    before = model.get_layer("rec").get_weights()
    with pytest.warns(UserWarning, match="trainable was changed after compile"):
        model.fit(x, y, epochs=1, verbose=0)
    model.train_on_batch(x, y)
    for old, new in zip(before, model.get_layer("rec").get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert model.optimizer.slots["velocity"].shape == kept.shape
    assert (kept > 0).any()
    assert (model.optimizer.slots["velocity"] != kept).any()


def test_a_model_without_anything_that_learns_is_refused_and_evaluated(tmp_path):
    x, y = data()
    model = small()
    model.trainable = False
    model.compile("adam", "mse")
    assert model.trainable is False
    assert np.isfinite(model.evaluate(x, y))
    with pytest.raises(ValueError, match="model must be with at least one weight that learns"):
        model.fit(x, y, verbose=0)
    model.save(tmp_path / "frozen.npz")
    assert not ml.load_model(tmp_path / "frozen.npz").trainable


def test_a_frozen_layer_below_needs_no_backward_pass():
    """The tracer then has norms of the layers that learn alone, and a trace still has all gradients."""
    x, y = data()
    model = ml.Sequential(
        [ml.LSTM(H, input_shape=(T, D), return_sequences=True, trainable=False), ml.LSTM(H), ml.Dense(1)],
        seed=0,
    )
    model.compile("sgd", "mse")
    tracer = ml.GradientTracer()
    model.fit(x, y, callbacks=[tracer], verbose=0)
    assert list(tracer.records[0].layers) == ["lstm_1"]
    assert model.layers[0].observer is None
    assert "lstm/kernel" in model.trace(x, y).grads
