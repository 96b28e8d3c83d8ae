"""Metrics against Keras's metrics, and what "accuracy" stands for against a compiled Keras model."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from conftest import require

from minilstm import metrics

RESOLUTION = [
    # targets, outputs, what Keras takes "accuracy" for
    ((3,), (3, 1), "BinaryAccuracy"),
    ((3, 1), (3, 1), "BinaryAccuracy"),
    ((3,), (3, 4), "SparseCategoricalAccuracy"),
    ((3, 1), (3, 4), "SparseCategoricalAccuracy"),
    ((3, 4), (3, 4), "CategoricalAccuracy"),
    ((3, 2), (3, 2), "CategoricalAccuracy"),
    ((3, 5), (3, 5, 1), "BinaryAccuracy"),
    ((3, 5, 1), (3, 5, 1), "BinaryAccuracy"),
    ((3, 5), (3, 5, 4), "SparseCategoricalAccuracy"),
    ((3, 5, 1), (3, 5, 4), "SparseCategoricalAccuracy"),
    ((3, 5, 4), (3, 5, 4), "CategoricalAccuracy"),
]
RULES = {
    "BinaryAccuracy": metrics._binary_accuracy,
    "SparseCategoricalAccuracy": metrics._sparse_categorical_accuracy,
    "CategoricalAccuracy": metrics._categorical_accuracy,
}


@pytest.fixture
def keras() -> ModuleType:
    require("keras")
    require("torch")
    import keras

    return keras


def draw(y_shape: tuple[int, ...], p_shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([len(y_shape), *p_shape])
    C = p_shape[-1]
    p = rng.random(p_shape).astype("float32")
    if C == 1:
        return rng.integers(0, 2, y_shape), p
    if y_shape == p_shape:
        return np.eye(C)[rng.integers(0, C, p_shape[:-1])], p
    return rng.integers(0, C, y_shape), p


def quotient(metric: metrics.Metric, *arguments: np.ndarray) -> float:
    total, n = metric.count(*arguments)
    assert type(total) is float
    assert type(n) is int
    return total / n


@pytest.mark.parametrize(("y_shape", "p_shape", "expected"), RESOLUTION)
def test_what_accuracy_stands_for(y_shape, p_shape, expected):
    for name in ("accuracy", "acc"):
        metric = metrics.resolve(name, y_shape, p_shape)
        assert (metric.name, metric.rule) == (name, RULES[expected])


@pytest.mark.peer
@pytest.mark.parametrize(("y_shape", "p_shape", "expected"), RESOLUTION)
def test_resolution_and_values_like_a_compiled_keras_model(keras, y_shape, p_shape, expected):
    y, p = draw(y_shape, p_shape)
    inputs = keras.Input(p_shape[1:])
    model = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
    model.compile(loss="mse", metrics=["accuracy"])
    # the loss plays no part; mse accepts only equal shapes, so the metrics are updated directly
    model._compile_metrics.build(keras.ops.convert_to_tensor(y), keras.ops.convert_to_tensor(p))
    (metric,) = model._compile_metrics._flat_metrics[0].metrics
    assert type(metric).__name__ == expected
    model._compile_metrics.update_state(keras.ops.convert_to_tensor(y), keras.ops.convert_to_tensor(p))
    assert quotient(metrics.resolve("accuracy", y_shape, p_shape), y, p) == pytest.approx(
        float(metric.result())
    )


@pytest.mark.peer
@pytest.mark.parametrize("name", ["mean_squared_error", "mean_absolute_error", "binary_accuracy"])
@pytest.mark.parametrize("shape", [(5, 1), (5, 3), (2, 4, 3)], ids=str)
def test_means_like_keras(keras, name, shape):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, shape).astype("float32")
    p = rng.random(shape).astype("float32")
    theirs = keras.metrics.MeanMetricWrapper(getattr(keras.metrics, name), name=name)
    theirs.update_state(y, p)
    assert quotient(metrics.resolve(name, shape, shape), y, p) == pytest.approx(
        float(theirs.result()), rel=1e-6
    )


@pytest.mark.peer
@pytest.mark.parametrize(
    ("y_shape", "p_shape", "expected"), [row for row in RESOLUTION if len(row[1]) == 3 and row[1][-1] > 1]
)
def test_masks_like_keras(keras, y_shape, p_shape, expected):
    import torch

    y, p = draw(y_shape, p_shape)
    mask = np.random.default_rng(5).random(p_shape[:2]) < 0.6
    tensor = torch.tensor(p)
    keras.src.backend.set_keras_mask(tensor, torch.tensor(mask))
    theirs = getattr(keras.metrics, expected)()
    theirs.update_state(y, tensor)
    ours = quotient(metrics.resolve("accuracy", y_shape, p_shape), y, p, mask)
    assert ours == pytest.approx(float(theirs.result()))


@pytest.mark.parametrize(("y_shape", "p_shape", "expected"), [row for row in RESOLUTION if len(row[1]) == 3])
def test_masked_steps_do_not_count(y_shape, p_shape, expected):
    y, p = draw(y_shape, p_shape)
    mask = np.random.default_rng(5).random(p_shape[:2]) < 0.6
    metric = metrics.resolve("accuracy", y_shape, p_shape)
    steps = [
        metric.count(y[b : b + 1, t : t + 1], p[b : b + 1, t : t + 1])
        for b, t in zip(*np.nonzero(mask), strict=True)
    ]
    assert metric.count(y, p, mask) == (sum(total for total, _ in steps), mask.sum())
    assert metric.count(y, p, np.zeros_like(mask)) == (0.0, 0)


def test_targets_as_the_loss_returns_them():
    """`check_targets` gives BCE targets (B, 1) and sparse labels (B,), whatever the user's shape was."""
    p = np.array([[0.2], [0.9]])
    assert metrics.resolve("acc", (2,), (2, 1)).count(np.array([[0.0], [1.0]]), p) == (2.0, 2)
    p = np.array([[0.2, 0.8], [0.9, 0.1]])
    assert metrics.resolve("acc", (2, 1), (2, 2)).count(np.array([1, 1]), p) == (1.0, 2)


def test_edges():
    binary = metrics.resolve("accuracy", (4,), (4, 1))
    y = np.array([0.0, 0.0, 0.9, 1.0])
    p = np.array([[0.5], [np.nan], [0.9], [np.inf]])
    assert binary.count(y, p) == (3.0, 4)  # 0.5 and NaN are class 0; a label 0.9 never matches
    sparse = metrics.resolve("accuracy", (1,), (1, 3))
    assert sparse.count(np.array([0]), np.array([[0.4, 0.4, 0.2]])) == (1.0, 1)
    value, _ = metrics.resolve("mse", (1,), (1, 1)).count(np.array([0.0]), np.array([[1e200]]))
    assert value == np.inf


def test_check():
    assert metrics.check(None) == metrics.check([]) == ()
    assert metrics.check(("acc", "mse")) == ("acc", "mse")
    with pytest.raises(ValueError, match="metrics must be a list or tuple of names, got 'accuracy'"):
        metrics.check("accuracy")
    with pytest.raises(ValueError, match=r"metrics must be a list or tuple of names, got \{'accuracy'\}"):
        metrics.check({"accuracy"})
    for unknown in (["auc"], [None], [3]):
        with pytest.raises(ValueError, match=r"metrics must be of the names accuracy, acc, .*mae, .*, got"):
            metrics.check(unknown)
    with pytest.raises(ValueError, match="metrics must be different names, got 'acc' twice"):
        metrics.check(["acc", "mse", "acc"])


@pytest.mark.parametrize(
    ("name", "y_shape", "p_shape"),
    [("mse", (3,), (3, 4)), ("categorical_accuracy", (3,), (3, 4)), ("accuracy", (3, 4), (3, 1))],
)
def test_targets_that_cannot_be_compared(name, y_shape, p_shape):
    with pytest.raises(ValueError, match=rf"y must be of shape .* for the metric '{name}' .*got shape"):
        metrics.resolve(name, y_shape, p_shape)


@pytest.mark.peer
@pytest.mark.parametrize("k", [1, 2, 5, 6])
@pytest.mark.parametrize("shape", [(40, 6), (9, 4, 6)], ids=str)
def test_top_k_like_keras(keras, k, shape):
    """Random outputs with ties, labels and rows, with a mask where there are steps; by name for k = 5."""
    rng = np.random.default_rng(k)
    p = rng.integers(0, 5, shape) / 5.0
    labels = rng.integers(0, 6, shape[:-1])
    rows = np.eye(6)[labels]
    mask = rng.random(shape[:-1]) < 0.6 if len(shape) == 3 else None
    cases = (
        (metrics.TopKCategoricalAccuracy, rows, "top_k_categorical_accuracy"),
        (metrics.SparseTopKCategoricalAccuracy, labels, "sparse_top_k_categorical_accuracy"),
    )
    for kind, y, name in cases:
        theirs = getattr(keras.metrics, kind.__name__)(k=k)
        theirs.update_state(y, p, sample_weight=mask)
        ours = metrics.resolve(kind(k=k), y.shape, p.shape)
        total, count = ours.count(y, p, mask)
        assert total / count == pytest.approx(float(theirs.result()), rel=1e-6)
        assert ours.name == name
        if k == 5:
            assert metrics.resolve(name, y.shape, p.shape).count(y, p, mask) == (total, count)


def test_top_k_of_ones_own_name():
    metric = metrics.TopKCategoricalAccuracy(k=2, name="top2")
    assert metrics.check(["accuracy", metric]) == ("accuracy", metric)
    assert metrics.direction("top2", (metric,)) == "max"
    with pytest.raises(ValueError, match="metrics must be different names, got 'top2' twice"):
        metrics.check([metric, metrics.SparseTopKCategoricalAccuracy(name="top2")])
    with pytest.raises(TypeError, match=r"k must be a whole number >= 1, got 2\.5"):
        metrics.TopKCategoricalAccuracy(k=2.5)
    with pytest.raises(ValueError, match="name must be a non-empty string, got ''"):
        metrics.TopKCategoricalAccuracy(name="")
