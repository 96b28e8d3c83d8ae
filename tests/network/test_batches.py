"""What fit, evaluate and predict read: batches, weights, splits; against Keras, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from keras_pair import keras_weights, pair
from tolerances import TRAINING, check

import minilstm as ml

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)

N, T, D, H = 21, 5, 3, 4
BOUND = TRAINING["float32"]
LAST = [("LSTM", (H,), {}), ("Dense", (1,), {"activation": "sigmoid"})]
CLASSES = [("GRU", (H,), {}), ("Dense", (3,), {"activation": "softmax"})]
STEPS = [("LSTM", (H,), {"return_sequences": True}), ("Dense", (2,), {})]
MASKED = [("Masking", (), {}), *STEPS]


def data(seed: int = 3):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, T, D)).astype("float32")
    return x, rng.integers(0, 2, (N, 1)).astype("float32"), rng


def small(**options):
    model = ml.Sequential([ml.LSTM(H, input_shape=(T, D)), ml.Dense(1, activation="sigmoid")], seed=0)
    model.compile(**({"optimizer": "adam", "loss": "binary_crossentropy"} | options))
    return model


def same(theirs, ours, x, y, **fit) -> None:
    """Ten epochs of both: History, weights."""
    fit = {"batch_size": 8, "epochs": 10, "shuffle": False, "verbose": 0} | fit
    expected, found = theirs.fit(x, y, **fit), ours.fit(x, y, **fit)
    # a loss that a mask reaches is told by steps too, which Keras does not
    assert [k for k in found.history if not k.endswith("loss_per_step")] == list(expected.history)
    assert found.epoch == expected.epoch
    assert found.params == expected.params
    for key, values in expected.history.items():
        check(found.history[key], values, BOUND, what=key)
    for ours_w, theirs_w in zip(ours.get_weights(), keras_weights(theirs), strict=True):
        check(ours_w, theirs_w, 2 * BOUND)


# ------------------------------------------------------------------------------ weights and splits


@pytest.mark.peer
@pytest.mark.parametrize(
    "name", ["sample weight", "class weight", "classes", "rows", "steps", "masked steps", "split", "later"]
)
def test_fit_is_keras_s(keras, name):
    x, y, rng = data()
    layers, loss, fit = LAST, "binary_crossentropy", {}
    if name == "sample weight":
        fit = {"sample_weight": rng.random(N), "validation_data": (x[:9], y[:9], rng.random(9))}
    elif name == "class weight":
        fit = {"class_weight": {0: 0.3, 1: 2.0}, "validation_data": (x[:9], y[:9])}
    elif name == "classes":
        layers, loss, y = CLASSES, "sparse_categorical_crossentropy", rng.integers(0, 3, N)
        fit = {"class_weight": {0: 0.3, 2: 2.0}}
    elif name == "rows":
        layers, loss, y = CLASSES, "categorical_crossentropy", np.eye(3)[rng.integers(0, 3, N)]
        fit = {"class_weight": {0: 0.3, 2: 2.0}}
    elif "steps" in name:
        layers, loss, y = STEPS, "mse", rng.normal(size=(N, T, 2)).astype("float32")
        fit = {"sample_weight": rng.random((N, T))}
        if name == "masked steps":
            layers = MASKED
            x[rng.random((N, T)) < 0.4] = 0
            x[4] = 0  # a row of padding only
    elif name == "split":
        fit = {"validation_split": 0.3, "sample_weight": rng.random(N)}
    else:
        fit = {"initial_epoch": 4, "epochs": 9, "validation_split": 0.2, "validation_batch_size": 3}
    theirs, ours = pair(keras, layers, (T, D), loss=loss, metrics=["mse" if loss == "mse" else "accuracy"])
    same(theirs, ours, x, y, **fit)


@pytest.mark.peer
def test_train_on_batch_with_weights_is_keras_s(keras):
    x, y, rng = data()
    theirs, ours = pair(keras, LAST, (T, D), loss="binary_crossentropy")
    for weights in ({"sample_weight": rng.random(N)}, {"class_weight": {1: 3.0}}, {}):
        assert ours.train_on_batch(x, y, **weights) == pytest.approx(
            float(theirs.train_on_batch(x, y, **weights)), rel=1e-5
        )
    assert ours.evaluate(x, y, sample_weight=rng.random(N) * 0) == 0.0
    assert set(ours.train_on_batch(x, y, return_dict=True)) == {"loss"}


def test_the_last_samples_are_held_out():
    x, y, _ = data()
    split, given = small(), small()
    history = split.fit(x, y, validation_split=0.25, epochs=3, batch_size=4, verbose=0)
    first = int(N * 0.75)
    expected = given.fit(
        x[:first], y[:first], validation_data=(x[first:], y[first:]), epochs=3, batch_size=4, verbose=0
    )
    assert history.history == expected.history


def test_a_weight_of_a_masked_step_may_be_anything():
    x, _, rng = data()
    y, weight, mask = rng.normal(size=(N, T, 2)), rng.random((N, T)), rng.random((N, T)) < 0.6
    results = []
    for filler in (0.0, np.nan):
        model = ml.Sequential([ml.LSTM(H, return_sequences=True), ml.Dense(2)], seed=0)
        model.compile(loss="mse")
        padded = np.where(mask, weight, filler)
        results.append(model.fit(x, y, sample_weight=padded, mask=mask, verbose=0).history["loss"])
    assert results[0] == results[1]


# ------------------------------------------------------------------------------ iterables of batches


class ByIndex:
    """As keras.utils.PyDataset: a length and items, no iterator."""

    def __init__(self, items):
        self.items, self.epochs = items, 0

    def __len__(self):
        return len(self.items)

    def __getitem__(self, k):
        return self.items[k] if k >= 0 else None  # never IndexError below the end

    def on_epoch_end(self):
        self.epochs += 1


def items(weights: bool = False):
    x, y, rng = data()
    weight = rng.random(N)
    rows = [slice(k, k + 8) for k in range(0, N, 8)]
    return [(x[r], y[r], weight[r]) if weights else (x[r], y[r]) for r in rows]


@pytest.mark.parametrize("form", ["list", "by index", "generator", "endless", "torch"])
@pytest.mark.parametrize("weights", [False, True])
def test_batches_train_as_arrays_do(form, weights, request):
    x, y, _ = data()
    given = items(weights)
    fit = {"epochs": 4, "verbose": 0}
    source = {"list": given, "by index": ByIndex(given)}.get(form)
    if form == "generator":
        source, fit["steps_per_epoch"] = (item for _ in range(4) for item in given), 3
    elif form == "endless":
        source, fit["steps_per_epoch"] = (given[k % 3] for k in range(10**9)), 3
    elif form == "torch":
        torch = request.getfixturevalue("torch")
        parts = [torch.tensor(np.concatenate(part)) for part in zip(*given, strict=True)]
        source = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*parts), batch_size=8)
    by_batch, by_array = small(metrics=["accuracy"]), small(metrics=["accuracy"])
    found = by_batch.fit(source, **fit)
    weight = np.concatenate([item[2] for item in given]) if weights else None
    expected = by_array.fit(x, y, sample_weight=weight, batch_size=8, epochs=4, shuffle=False, verbose=0)
    assert found.history == expected.history
    assert found.params["steps"] == 3
    for ours, theirs in zip(by_batch.get_weights(), by_array.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    if form == "by index":
        assert source.epochs == 4


@pytest.mark.peer
def test_generators_train_as_keras_s(keras):
    """An endless generator, and steps that do not end with the data."""
    given, (x, y, _) = items(weights=True), data()

    def endless():
        while True:
            yield from given

    theirs, ours = pair(keras, LAST, (T, D), loss="binary_crossentropy", metrics=["accuracy"])
    for epochs, steps in ((3, 2), (2, 4)):
        fit = {"epochs": epochs, "steps_per_epoch": steps, "verbose": 0}
        fit |= {"validation_data": (x, y), "shuffle": False}
        expected = theirs.fit(endless(), **fit).history
        found = ours.fit(endless(), **fit).history
        assert list(found) == list(expected)
        for key, values in expected.items():
            check(found[key], values, BOUND, what=key)
    scores = ours.evaluate(endless(), steps=3)
    check(scores, theirs.evaluate(endless(), steps=3, verbose=0), BOUND)
    check(ours.predict(iter(given)), theirs.predict(endless(), steps=3, verbose=0), BOUND)


def test_a_generator_to_validate_on_goes_on_where_it_ended():
    """Keras loses a batch between two validations."""
    given, scores = items(weights=True), []

    class Score(ml.Callback):
        def on_epoch_end(self, epoch, logs):
            pick = [given[k % 3] for k in (2 * epoch, 2 * epoch + 1)]
            scores.append(self.model.evaluate(pick))

    endless = (given[k % 3] for k in range(10**9))
    history = small().fit(
        given, epochs=4, verbose=0, validation_data=endless, validation_steps=2, callbacks=[Score()]
    )
    assert history.history["val_loss"] == scores


def test_batches_bring_their_own_masks():
    x, _, rng = data()
    y, mask = rng.normal(size=(N, T, 2)), rng.random((N, T)) < 0.6

    def run(*arguments, **options):
        model = ml.Sequential([ml.LSTM(H, return_sequences=True), ml.Dense(2)], seed=0)
        model.compile(loss="mse")
        history = model.fit(*arguments, epochs=3, shuffle=False, verbose=0, **options)
        return [*history.history["loss"], *model.predict([x, x][0], mask=mask).ravel()]

    given = [(x[k : k + 7], y[k : k + 7], None, mask[k : k + 7]) for k in range(0, N, 7)]
    assert run(given) == run(x, y, batch_size=7, mask=mask)
    model = small()
    found = model.predict(item for item in [(x[:9], None, None, mask[:9]), x[9:]])
    np.testing.assert_array_equal(found[:9], model.predict(x[:9], mask=mask[:9]))
    np.testing.assert_array_equal(found[9:], model.predict(x[9:]))


def test_an_iterator_that_ends_too_early_stops_training():
    given = items()
    model = small()
    with pytest.warns(UserWarning, match=r"x ran out of batches after 1 of 2 steps: training stops"):
        history = model.fit(iter(given), steps_per_epoch=2, epochs=5, verbose=0)
    assert history.epoch == [0, 1]
    with pytest.raises(ValueError, match="x must be an iterable of at least 1 batch, got no batch"):
        model.fit(iter([]), verbose=0)


def test_a_faulty_batch_is_named():
    given = items()
    given[1] = (np.full_like(given[1][0], np.nan), given[1][1])
    with pytest.raises(ValueError, match=r"batch 2 of the epoch: x must be finite, got NaN at \[0, 0, 0\]"):
        small().fit(given, verbose=0)


X, Y, _ = data()
GENERATOR = "a generator of the batches"


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ([GENERATOR], {"epochs": 2}, ValueError, "steps_per_epoch must be given where x is an iterator"),
        ([GENERATOR, Y], {}, ValueError, "y must be None where x gives batches"),
        ([GENERATOR], {"batch_size": 3}, ValueError, "batch_size must be None where x gives batches"),
        ([GENERATOR], {"sample_weight": Y}, ValueError, "sample_weight must be None where x gives batches"),
        ([GENERATOR], {"mask": Y}, ValueError, "mask must be None where x gives batches"),
        ([GENERATOR], {"validation_split": 0.5}, ValueError, "validation_split must be 0 where x gives"),
        (
            [GENERATOR],
            {"steps_per_epoch": 0},
            ValueError,
            "steps_per_epoch must be a whole number >= 1, got 0",
        ),
        ([[X]], {}, ValueError, "batch 1 of the epoch: it must be (x, y), (x, y, sample_weight) or"),
        ([X], {}, ValueError, "y must be given where x is not an iterable of batches, got None"),
        (
            [X, Y],
            {"steps_per_epoch": 0},
            ValueError,
            "steps_per_epoch must be a whole number >= 1, got 0",
        ),
        (
            [X, Y],
            {"validation_steps": 3},
            ValueError,
            "validation_steps must be None without validation_data",
        ),
        (
            [X, Y],
            {"validation_split": 1.5},
            ValueError,
            "validation_split must be a finite number >= 0 and < 1",
        ),
        ([X, Y], {"validation_split": -0.1}, ValueError, "validation_split must be a finite number >= 0"),
        ([X, Y], {"validation_split": "half"}, TypeError, "validation_split must be a finite number"),
        (
            [X, Y],
            {"validation_split": 0.5, "validation_data": (X, Y)},
            ValueError,
            "validation_split must be 0 where validation_data is given, got 0.5",
        ),
        (
            [X, Y],
            {"validation_batch_size": 0},
            ValueError,
            "validation_batch_size must be a whole number >= 1, got 0",
        ),
        ([X, Y], {"initial_epoch": -1}, ValueError, "initial_epoch must be a whole number >= 0, got -1"),
        ([X, Y], {"initial_epoch": 0.5}, TypeError, "initial_epoch must be a whole number >= 0, got 0.5"),
        (
            [X, Y],
            {"sample_weight": np.ones(N), "class_weight": {0: 1}},
            ValueError,
            "class_weight must be None where sample_weight is given, got both",
        ),
        ([X, Y], {"class_weight": [1, 2]}, TypeError, "class_weight must be a dict of numbers by class"),
        ([X, Y], {"class_weight": {2: 1.0}}, ValueError, "class_weight must be of the classes 0..1, got 2"),
        ([X, Y], {"class_weight": {True: 1.0}}, ValueError, "class_weight must be of the classes 0..1"),
        ([X, Y], {"class_weight": {1: -1.0}}, ValueError, "class_weight[1] must be a finite number >= 0"),
        ([X, Y / 2], {"class_weight": {1: 1.0}}, ValueError, "class_weight must be None for targets between"),
        ([X, Y], {"sample_weight": np.ones(N - 1)}, ValueError, f"sample_weight must be of shape ({N},) or"),
        ([X, Y], {"sample_weight": np.ones((N, T))}, ValueError, f"or ({N}, 1), got ({N}, {T})"),
        (
            [X, Y],
            {"sample_weight": np.full(N, np.nan)},
            ValueError,
            "sample_weight must be finite, got NaN at",
        ),
        ([X, Y], {"sample_weight": ["a"] * N}, TypeError, "sample_weight must be an array of real numbers"),
    ],
)
def test_what_is_refused(arguments, options, error, text):
    arguments = [(item for item in items()) if isinstance(a, str) else a for a in arguments]
    model = small()
    before = model.get_weights()
    with pytest.raises(error, match=re.escape(text)):
        model.fit(*arguments, verbose=0, **options)
    for ours, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, old)


WORK = {
    "fit": lambda model, **weights: model.fit(X, Y, verbose=0, **weights),
    "evaluate": lambda model, **weights: model.evaluate(X, Y, **weights),
    "train_on_batch": lambda model, **weights: model.train_on_batch(X, Y, **weights),
    "batches": lambda model, sample_weight: model.fit([(X, Y, sample_weight)], verbose=0),
    "validation": lambda model, sample_weight: model.fit(
        X, Y, validation_data=(X, Y, sample_weight), verbose=0
    ),
    "later": lambda model, sample_weight: model.fit(X, Y, validation_data=[(X, Y, sample_weight)], verbose=0),
}
BY_CLASS = ("fit", "train_on_batch")


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_named(work, value):
    """One of them would make the loss NaN, and then every weight of the model."""
    model = small()
    before = model.get_weights()
    weight = np.ones(N)
    weight[5] = value
    name = "NaN" if np.isnan(value) else "Inf"
    with pytest.raises(ValueError, match=rf"sample_weight must be finite, got {name} at \[5\] \(1 of 21"):
        WORK[work](model, sample_weight=weight)
    if work in BY_CLASS:
        with pytest.raises(ValueError, match=rf"class_weight\[1\] must be a finite number >= 0, got {value}"):
            WORK[work](model, class_weight={0: 1.0, 1: value})
    if work != "later":
        for ours, old in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(ours, old)


@pytest.mark.parametrize("work", WORK)
def test_weights_of_no_meaning_are_named_and_zeros_move_nothing(work):
    model = small(optimizer="sgd")
    before = model.get_weights()
    for weight in (np.ones(N - 1), np.ones((N, 2)), np.ones((1, N)), 1.0, [], "x", np.ones(N, complex)):
        with pytest.raises((TypeError, ValueError), match="sample_weight must be"):
            WORK[work](model, sample_weight=weight)
    if work in BY_CLASS:
        for weights in ({0: -1.0}, {1: None}, {"a": 1.0}, {1: "x"}, {1: [1.0]}, {-1: 1.0}, 3.0, "balanced"):
            with pytest.raises((TypeError, ValueError), match=r"class_weight.* must be"):
                WORK[work](model, class_weight=weights)
        WORK[work](model, class_weight={0: 0, 1: 0})
    if work not in ("validation", "later"):
        WORK[work](model, sample_weight=np.zeros(N))
        for ours, old in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(ours, old)


def test_weights_of_samples_are_no_weights_of_steps():
    """Keras takes (B,) for weights of time steps where B happens to equal T."""
    model = ml.Sequential([ml.LSTM(H, return_sequences=True), ml.Dense(2)], seed=0)
    model.compile(loss="mse")
    x, y = np.ones((T, T, D)), np.ones((T, T, 2))
    with pytest.raises(ValueError, match=r"sample_weight must be of shape \(5, 5\) or \(5, 1\), got \(5,\)"):
        model.fit(x, y, sample_weight=np.ones(T), verbose=0)
    weight = np.arange(T)[:, None]
    assert model.evaluate(x, y, sample_weight=weight) == pytest.approx(
        model.evaluate(x, y, sample_weight=np.repeat(weight, T, axis=1)), rel=1e-12
    )
    with pytest.raises(ValueError, match="class_weight must be None for mean_squared_error, which has no"):
        model.fit(x, y, class_weight={0: 1.0}, verbose=0)


@pytest.mark.parametrize("training", [True, False])
def test_masks_of_batches_are_on_both_sides_or_on_neither(training):
    """Iterables show their masks as they are read: one side alone is an error, and no epoch is reported."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(N, T, D)), rng.normal(size=(N, T, 2))
    masked, plain = [(x, y, None, rng.random((N, T)) < 0.6)], [(x, y)]
    model = ml.Sequential([ml.LSTM(H, input_shape=(T, D), return_sequences=True), ml.Dense(2)], seed=0)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="validation_mask must be"):
        model.fit(masked if training else plain, validation_data=plain if training else masked, verbose=0)
    assert model.history.history == {}
    model.fit(masked + plain, validation_data=masked, verbose=0)  # one batch without: all its steps are real


MASK = np.array([[True, True, False], [True, False, False]])


@pytest.mark.parametrize(
    "layer",
    [
        lambda: ml.LSTM(2, return_sequences=True),
        lambda: ml.GRU(2, return_sequences=True, go_backwards=True),
        lambda: ml.SimpleRNN(2),
        lambda: ml.Bidirectional(ml.LSTM(2, return_sequences=True)),
        lambda: ml.Bidirectional(ml.LSTM(2)),
        lambda: ml.TimeDistributed(ml.Dense(2)),
        lambda: ml.GlobalAveragePooling1D(keepdims=True),
        ml.Flatten,
        ml.Masking,
        ml.LayerNormalization,
    ],
)
def test_the_mask_that_a_layer_carries_is_the_one_that_a_pass_gives(layer):
    one = layer()
    found, passed = one.carried_mask(MASK), one.compute_mask(np.ones((2, 3, 2)), MASK)
    assert (found is None) == (passed is None)
    np.testing.assert_array_equal(found, passed)


def test_targets_and_weights_are_looked_at_under_the_mask_of_the_loss():
    """That of the inputs may be turned, or may have ended: there the targets of its masked steps count."""
    rng = np.random.default_rng(0)
    x, y, weight = rng.normal(size=(2, 3, 2)), rng.normal(size=(2, 3, 1)), rng.random((2, 3))
    for inside, real in (
        ([ml.LSTM(2, return_sequences=True, go_backwards=True)], MASK[:, ::-1]),
        ([ml.LSTM(2), ml.RepeatVector(3), ml.LSTM(2, return_sequences=True)], np.full((2, 3), True)),
    ):
        model = ml.Sequential([ml.Input((3, 2)), *inside, ml.Dense(1)], dtype="float64", seed=0)
        model.compile("sgd", "mse")
        squares = (model.predict(x, mask=MASK) - y)[..., 0] ** 2
        assert model.evaluate(x, y, mask=MASK) == pytest.approx(squares[real].mean())
        weighted = (squares * weight)[real].sum() / real.sum()
        assert model.evaluate(x, y, mask=MASK, sample_weight=weight) == pytest.approx(weighted)
        model.fit(x, y, mask=MASK, verbose=0)


def test_the_output_may_have_a_time_axis_of_its_own():
    x, y = np.random.default_rng(0).normal(size=(2, 3, 2)), np.ones((2, 5, 1))
    layers = [ml.LSTM(2, input_shape=(3, 2)), ml.RepeatVector(5), ml.LSTM(2, return_sequences=True)]
    model = ml.Sequential([*layers, ml.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    model.fit(x, y, mask=MASK, verbose=0)
    assert model.predict(x, mask=MASK).shape == (2, 5, 1)
