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


def quotient(bound: metrics.Bound, *arguments: np.ndarray) -> float:
    found = bound.value(bound.count(*arguments))
    assert type(found) is float
    return found


@pytest.mark.parametrize(("y_shape", "p_shape", "expected"), RESOLUTION)
def test_what_accuracy_stands_for(y_shape, p_shape, expected):
    for name in ("accuracy", "acc"):
        bound = metrics.resolve(name, y_shape, p_shape)
        assert (bound.name, type(bound.metric).__name__) == (name, expected)


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
    assert metric.count(y, p, mask).tolist() == [sum(total for total, _ in steps), mask.sum()]
    assert metric.count(y, p, np.zeros_like(mask)).tolist() == [0.0, 0]


def test_targets_as_the_loss_returns_them():
    """`check_targets` gives BCE targets (B, 1) and sparse labels (B,), whatever the user's shape was."""
    p = np.array([[0.2], [0.9]])
    assert metrics.resolve("acc", (2,), (2, 1)).count(np.array([[0.0], [1.0]]), p).tolist() == [2.0, 2]
    p = np.array([[0.2, 0.8], [0.9, 0.1]])
    assert metrics.resolve("acc", (2, 1), (2, 2)).count(np.array([1, 1]), p).tolist() == [1.0, 2]


def test_edges():
    binary = metrics.resolve("accuracy", (4,), (4, 1))
    y = np.array([0.0, 0.0, 0.9, 1.0])
    p = np.array([[0.5], [np.nan], [0.9], [np.inf]])
    assert binary.count(y, p).tolist() == [3.0, 4]  # 0.5 and NaN are class 0; a label 0.9 never matches
    sparse = metrics.resolve("accuracy", (1,), (1, 3))
    assert sparse.count(np.array([0]), np.array([[0.4, 0.4, 0.2]])).tolist() == [1.0, 1]
    value, _ = metrics.resolve("mse", (1,), (1, 1)).count(np.array([0.0]), np.array([[1e200]]))
    assert value == np.inf


def test_check():
    assert metrics.check(None) == metrics.check([]) == ()
    assert metrics.check(("acc", "mse")) == ("acc", "mse")
    with pytest.raises(ValueError, match="metrics must be a list or tuple of names, got 'accuracy'"):
        metrics.check("accuracy")
    with pytest.raises(ValueError, match=r"metrics must be a list or tuple of names, got \{'accuracy'\}"):
        metrics.check({"accuracy"})
    for unknown in (["hinge"], [None], [3]):
        with pytest.raises(ValueError, match=r"metrics must be of the names accuracy, .*mae, .*, got"):
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
            assert metrics.resolve(name, y.shape, p.shape).count(y, p, mask).tolist() == [total, count]


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


def yes_no(n=60, seed=0, classes=None):
    """Labels, outputs on a grid that 200 thresholds tell apart, weights."""
    rng = np.random.default_rng(seed)
    shape = (n,) if classes is None else (n, classes)
    grid = (rng.integers(0, 40, shape) * 5 + 2.5) / 199
    return rng.integers(0, 2, shape), grid, rng.random(n)


def streamed(metric, y, p, weight=None, size=13):
    for start in range(0, len(y), size):
        part = slice(start, start + size)
        metric.update_state(y[part], p[part], None if weight is None else weight[part])
    return metric.result()


@pytest.mark.peer
@pytest.mark.parametrize("weighted", [False, True])
def test_like_scikit_learn(weighted):
    from sklearn import metrics as theirs

    y, p, w = yes_no()
    w = w if weighted else None
    pairs = [
        (metrics.AUC(), theirs.roc_auc_score(y, p, sample_weight=w)),
        (metrics.Precision(), theirs.precision_score(y, p > 0.5, sample_weight=w)),
        (metrics.Precision(0.3), theirs.precision_score(y, p > 0.3, sample_weight=w)),
        (metrics.Recall(), theirs.recall_score(y, p > 0.5, sample_weight=w)),
        (metrics.BinaryAccuracy(threshold=0.6), theirs.accuracy_score(y, p > 0.6, sample_weight=w)),
        (metrics.RootMeanSquaredError(), theirs.root_mean_squared_error(y, p, sample_weight=w)),
    ]
    for metric, expected in pairs:
        assert streamed(metric, y, p, w) == pytest.approx(expected, abs=1e-6), metric
        metric.reset_state()
        assert metric.result() == 0
        assert metric(y, p, w) == pytest.approx(expected, abs=1e-6)
    y, p, w = yes_no(classes=3, seed=1)
    w = w if weighted else None
    for average in (None, "micro", "macro", "weighted"):
        expected = theirs.f1_score(y, p > 0.5, average=average, sample_weight=w)
        found = streamed(metrics.F1Score(average, threshold=0.5), y, p, w)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    rows = np.eye(3)[p.argmax(axis=1)]
    expected = theirs.accuracy_score(y.argmax(axis=1), rows.argmax(axis=1), sample_weight=w)
    assert streamed(metrics.CategoricalAccuracy(), y, p, w) == pytest.approx(expected, abs=1e-6)


STREAMS = [
    ("AUC", {}, 1), ("AUC", {"num_thresholds": 7}, 1), ("AUC", {"curve": "PR"}, 1),
    ("AUC", {"curve": "PR", "summation_method": "minoring"}, 1), ("AUC", {"summation_method": "majoring"}, 1),
    ("AUC", {"thresholds": [0.7, 0.2, 0.25]}, 1), ("AUC", {"from_logits": True}, 1),
    ("AUC", {"multi_label": True}, 3), ("AUC", {"multi_label": True, "label_weights": [1.0, 0.0, 2.0]}, 3),
    ("AUC", {"label_weights": [1.0, 0.5, 2.0]}, 3),
    ("Precision", {}, 3), ("Precision", {"thresholds": [0.7, 0.2]}, 1), ("Precision", {"top_k": 2}, 3),
    ("Precision", {"class_id": 1}, 3), ("Recall", {}, 3), ("Recall", {"top_k": 2, "class_id": 2}, 3),
    ("Recall", {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]}, 1), ("TruePositives", {}, 3),
    ("FalsePositives", {"thresholds": [0.2, 0.7]}, 3), ("TrueNegatives", {}, 1), ("FalseNegatives", {}, 3),
    ("F1Score", {}, 3), ("F1Score", {"average": "weighted"}, 3), ("FBetaScore", {"beta": 2.0}, 3),
    ("FBetaScore", {"average": "micro", "threshold": 0.4, "beta": 0.5}, 3),
    ("Accuracy", {}, 3), ("BinaryAccuracy", {"threshold": 0.7}, 3), ("RootMeanSquaredError", {}, 3),
    ("MeanSquaredError", {}, 3), ("MeanAbsoluteError", {"name": "mine"}, 3), ("BinaryCrossentropy", {}, 3),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, 3),
]  # fmt: skip


@pytest.mark.peer
@pytest.mark.parametrize(("name", "options", "classes"), STREAMS, ids=str)
def test_streams_like_keras(keras, name, options, classes):
    y, p, w = yes_no(50, 3, None if classes == 1 else classes)
    ours, theirs = getattr(metrics, name)(**options), getattr(keras.metrics, name)(**options)
    if "name" in options or name != "AUC":
        assert ours.name.rstrip("_0123456789") == theirs.name.rstrip("_0123456789")
    for weight in (None, w):
        found, expected = streamed(ours, y, p, weight), streamed(theirs, y, p, weight)
        np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(ours.variables[0], theirs.variables[0].value.detach().numpy(), rtol=1e-5)
    again = type(ours).from_config(ours.get_config())
    assert metrics.deserialize(metrics.serialize(again)).get_config() == ours.get_config()
    np.testing.assert_allclose(streamed(again, y, p, w), streamed(type(ours)(**options), y, p, w))


@pytest.mark.peer
def test_weights_of_rows_and_steps_like_keras(keras):
    rng = np.random.default_rng(0)
    y, p = rng.random((2, 4, 5, 3))
    for weight in (None, 2.0, rng.random(4), rng.random((4, 1)), rng.random((4, 5))):
        for name in ("RootMeanSquaredError", "MeanAbsoluteError", "CategoricalAccuracy", "BinaryAccuracy"):
            ours, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
            for one in (ours, theirs):
                one.update_state(y, p, weight)
                one.update_state(y[:3], p[1:], None)
            np.testing.assert_allclose(ours.result(), theirs.result().detach().numpy(), rtol=1e-5)
            np.testing.assert_allclose(ours.count, theirs.count.value.detach().numpy(), rtol=1e-6)
        ours, theirs = metrics.Mean(), keras.metrics.Mean()
        for one in (ours, theirs):
            one.update_state(p[..., 0], weight if np.ndim(weight) != 2 or weight.shape == (4, 5) else None)
        np.testing.assert_allclose(ours.result(), theirs.result().detach().numpy(), rtol=1e-5)


def test_get():
    assert type(metrics.get("mse")) is metrics.MeanSquaredError
    assert type(metrics.get("AUC")) is type(metrics.get("auc")) is metrics.AUC
    assert type(metrics.get(metrics.Recall)) is metrics.Recall
    assert type(metrics.get(metrics.binary_accuracy)) is metrics.BinaryAccuracy
    assert metrics.get(None) is None
    assert metrics.get(lambda y, p: abs(y - p)).name == "<lambda>"
    for unknown in ("typo", 3):
        with pytest.raises(ValueError, match=r"metric must be one of auc, .*, got"):
            metrics.get(unknown)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: metrics.AUC(1), ValueError, "num_thresholds must be a whole number >= 2, got 1"),
        (lambda: metrics.AUC(curve="x"), ValueError, "curve must be 'ROC' or 'PR', got 'x'"),
        (lambda: metrics.AUC(num_labels=2), ValueError, "num_labels must be None where multi_label is False"),
        (lambda: metrics.Precision(-0.5), ValueError, "thresholds must be a finite number >= 0, got -0.5"),
        (lambda: metrics.Recall([0.5, 2]), ValueError, r"thresholds must be in \[0, 1\], got \[0.5, 2\]"),
        (
            lambda: metrics.F1Score("x"),
            ValueError,
            "average must be 'micro' or 'macro' or 'weighted', got 'x'",
        ),
        (lambda: metrics.F1Score(threshold=1), ValueError, "threshold must be None or a float"),
        (lambda: metrics.FBetaScore(beta=1), ValueError, "beta must be a float > 0 and < 1e100, got 1"),
        (
            lambda: metrics.F1Score()([0, 1], [0.5, 1]),
            ValueError,
            r"y_true and y_pred must be \(rows, classes\)",
        ),
        (lambda: metrics.AUC()([0, 1], [[0.5, 1]]), ValueError, "y_pred must be of the shape of y_true"),
        (
            lambda: metrics.Precision()([0, 1], [0, 1], [1, 2, 3]),
            ValueError,
            "sample_weight must be of a shape",
        ),
        (lambda: metrics.MeanMetricWrapper(3), TypeError, "fn must be a function"),
        (
            lambda: metrics.Recall(dtype="int8"),
            ValueError,
            "dtype must be 'float32' or 'float64', got 'int8'",
        ),
        (lambda: metrics.deserialize({"class_name": "X"}), ValueError, "metric must be a description"),
    ],
)
def test_bad_arguments(make, error, text):
    with pytest.raises(error, match=text):
        make()


def model_of(loss="bce", outputs=1, **options):
    import minilstm as ml

    layers = [ml.LSTM(3, input_shape=(4, 2)), ml.Dense(outputs, activation="sigmoid")]
    model = ml.Sequential(layers, seed=0)
    model.compile("sgd", loss, **options)
    return model


def test_objects_functions_and_weighted_metrics_in_fit(tmp_path):
    """Evaluated in batches, they give what the whole gives; the objects themselves are left as they were."""
    import minilstm as ml

    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=(20, 4, 2)), rng.integers(0, 2, 20), rng.random(20)
    auc = metrics.AUC(name="area")
    largest = [auc, metrics.RootMeanSquaredError(), "precision", "accuracy", lambda y, p: abs(y - p)[:, 0]]
    model = model_of(metrics=largest, weighted_metrics=["accuracy", metrics.Recall(0.2), "mse"])
    found = model.evaluate(x, y, batch_size=7, sample_weight=w, return_dict=True)
    p = model.predict(x).astype(float)[:, 0]
    for name, metric, weight in (
        ("area", metrics.AUC(), None),
        ("root_mean_squared_error", metrics.RootMeanSquaredError(), None),
        ("precision", metrics.Precision(), None),
        ("accuracy", metrics.BinaryAccuracy(), None),
        ("<lambda>", metrics.MeanAbsoluteError(), None),
        ("weighted_accuracy", metrics.BinaryAccuracy(), w),
        ("recall", metrics.Recall(0.2), w),
        ("mse", metrics.MeanSquaredError(), w),
    ):
        expected = metric(y[:, None], p[:, None], weight)
        assert found[name] == pytest.approx(expected, rel=1e-6), name
    assert auc.result() == 0
    history = model.fit(
        x, y, epochs=2, batch_size=7, verbose=0, sample_weight=w, validation_split=0.2
    ).history
    assert {"area", "val_area", "weighted_accuracy", "val_recall"} <= set(history)
    model = model_of(
        metrics=[metrics.F1Score("macro", 0.4), "mse"], weighted_metrics=[metrics.MeanSquaredError()]
    )
    model.fit(x, y, epochs=2, verbose=0)
    model.save(tmp_path / "m.npz")
    again = ml.load_model(tmp_path / "m.npz")
    assert again.evaluate(x, y, return_dict=True) == model.evaluate(x, y, return_dict=True)
    assert metrics.direction("f1_score", model.metrics) == "max"
    assert metrics.direction("root_mean_squared_error") == "min"


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (metrics.F1Score, "metric 'f1_score' must be with average='micro', .*, got one of 2 numbers"),
        (metrics.FBetaScore, "metric 'fbeta_score' must be with average='micro', .*, got one of 2 numbers"),
        (lambda: metrics.Recall([0.2, 0.5]), "metric 'recall' must be of one threshold .* 2 numbers"),
        (lambda: metrics.TruePositives([0.2, 0.5]), "metric 'true_positives' must be of one threshold in"),
    ],
)
def test_what_gives_several_numbers_is_refused_at_compile(metric, expected):
    import minilstm as ml

    with pytest.raises(ValueError, match=expected):
        model_of(outputs=2, metrics=[metric()])
    with pytest.raises(ValueError, match=expected):
        model_of(outputs=2, weighted_metrics=[metric()])
    late = ml.Sequential([ml.Dense(2)])  # whose outputs no one knows before the first batch

    def compiled_and_used():
        late.compile(loss="mse", metrics=[metric()])
        late.evaluate(np.ones((2, 4)), np.ones((2, 2)))

    with pytest.raises(ValueError, match=expected):
        compiled_and_used()


def test_a_score_of_the_only_class_is_one_number():
    model = model_of(outputs=1, metrics=[metrics.F1Score(threshold=0.5)])
    x, y = np.ones((2, 4, 2)), np.ones((2, 1))
    assert [model.evaluate(x, y)[1]] == metrics.F1Score(threshold=0.5)(y, model.predict(x)).tolist()


def test_a_metric_of_the_users_that_is_no_number_is_named():
    class Pair(metrics.Metric):
        def update_state(self, y_true, y_pred, sample_weight=None):
            pass

        def result(self):
            return np.zeros(2)

    class Named(Pair):
        def result(self):
            return {"low": 0.0, "high": 1.0}

    x, y = np.ones((2, 4, 2)), np.ones((2, 1))
    for metric, got in ((Pair(), r"ndarray of shape \(2,\)"), (Named(), "dict")):
        expected = f"result of the metric '{metric.name}' must be one number for the logs, got {got}"
        with pytest.raises(ValueError, match=expected):
            model_of(outputs=1, metrics=[metric]).fit(x, y, verbose=0)


def test_masks_reach_counts():
    y, p = np.array([[[1.0], [0.0]], [[1.0], [1.0]]]), np.array([[[0.9], [0.9]], [[0.1], [0.9]]])
    mask = np.array([[True, False], [True, True]])
    bound = metrics.resolve(metrics.Precision(), y.shape, p.shape)
    assert bound.value(bound.count(y, p, mask)) == 1.0
    assert bound.value(bound.count(y, p)) == pytest.approx(2 / 3)


KINDS = [
    kind for kind in vars(metrics).values()
    if isinstance(kind, type) and issubclass(kind, metrics.Metric)
    and kind not in (metrics.Metric, metrics.MeanMetricWrapper)
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_shapes_that_do_not_go_together_are_refused_by_name(kind):
    """Whatever the shapes: taken, or refused in our own words, not NumPy's about axes and broadcasting."""
    rng, taken, said = np.random.default_rng(0), 0, set()

    def shape():
        return tuple(
            map(int, rng.choice([0, 1, 2, 3, 4], size=rng.integers(0, 4), p=[0.05, 0.2, 0.25, 0.25, 0.25]))
        )

    for _ in range(400):
        outputs = shape()
        targets = (outputs, outputs[:-1], shape())[rng.integers(3)]
        weights = (None, targets, targets[:1], shape())[rng.integers(4)]
        y, p = rng.integers(0, 2, targets), rng.random(outputs)
        given = (p,) if kind is metrics.Mean else (y, p)
        try:
            kind().update_state(*given, None if weights is None else rng.random(weights))
            taken += 1
        except ValueError as error:
            said.add(str(error))
    assert taken > 20
    assert [text for text in said if " must be " not in text and "classes are" not in text] == []


def test_an_error_of_a_function_of_your_own_is_its_own():
    """It was taken for one about shapes."""

    def picky(y, p):
        raise ValueError("prices are positive")

    with pytest.raises(ValueError, match=r"^prices are positive$"):
        metrics.MeanMetricWrapper(picky)([1.0], [1.0])
    with pytest.raises(ValueError, match=r"^y has label 3 at row 0; classes are 0\.\.1$"):
        metrics.SparseCategoricalCrossentropy()([3], [[0.5, 0.5]])
