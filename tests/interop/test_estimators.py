"""The scikit-learn face, in scikit-learn's own tools, on ragged lists."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator

import minilstm as ml

pytestmark = pytest.mark.peer


def ragged(n=40, seed=0):
    rng = np.random.default_rng(seed)
    X = [rng.normal(size=(int(t), 2)) + 2 * (b % 2) for b, t in enumerate(rng.integers(1, 9, n))]
    return X, np.array(["even", "odd"])[np.arange(n) % 2]


def quick(**options):
    return ml.LSTMClassifier(
        **({"units": 4, "epochs": 8, "learning_rate": 0.05, "random_state": 0} | options)
    )


def test_classifier_learns_and_says_its_classes():
    X, y = ragged()
    classifier = quick(epochs=20).fit(X, y)
    assert classifier.classes_.tolist() == ["even", "odd"]
    assert classifier.score(X, y) > 0.9
    p = classifier.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    assert (classifier.predict(X) == classifier.classes_[p.argmax(axis=1)]).all()
    assert len(classifier.history_["loss"]) == 20
    np.testing.assert_allclose(classifier.predict_proba(X[:3]), p[:3], rtol=1e-5)  # padding changes nothing


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple_rnn"])
def test_regressor_learns_numbers_and_rows(cell):
    rng = np.random.default_rng(0)
    X = [rng.normal(size=int(t)) for t in rng.integers(1, 7, 40)]
    y = np.array([x[-1] for x in X])
    options = {
        "cell": cell,
        "layers": 2,
        "dropout": 0.0,
        "epochs": 40,
        "learning_rate": 0.02,
        "random_state": 0,
    }
    regressor = ml.LSTMRegressor(8, **options)
    assert regressor.fit(X, y).score(X, y) > 0.7
    assert regressor.predict(X).shape == (40,)
    assert regressor.set_params(epochs=1).fit(X, np.stack([y, -y], axis=1)).predict(X).shape == (40, 2)


def test_cross_validation_search_and_pipeline():
    X, y = ragged()
    assert cross_val_score(quick(), X, y, cv=3).mean() > 0.7
    scale = FunctionTransformer(lambda sequences: [s / 2 for s in sequences])
    pipeline = Pipeline([("scale", scale), ("lstm", quick())])
    search = GridSearchCV(pipeline, {"lstm__units": [2, 4]}, cv=2).fit(X, y)
    assert search.best_params_["lstm__units"] in (2, 4)
    assert search.predict(X).shape == (40,)


def test_clone_pickle_and_the_same_numbers():
    X, y = ragged()
    first = quick().fit(X, y)
    second = clone(first)
    assert second.get_params() == first.get_params()
    with pytest.raises(NotFittedError):
        second.predict(X)
    second.fit(X, y)
    assert second.predict_proba(X).tobytes() == first.predict_proba(X).tobytes()
    back = pickle.loads(pickle.dumps(first))
    assert back.predict_proba(X).tobytes() == first.predict_proba(X).tobytes()
    assert quick(random_state=1).fit(X, y).predict_proba(X).tobytes() != first.predict_proba(X).tobytes()
    by_state = [
        quick(random_state=np.random.RandomState(3), epochs=1).fit(X, y).predict_proba(X) for _ in "ab"
    ]
    assert by_state[0].tobytes() == by_state[1].tobytes()
    before = first.get_params()
    first.fit(X, y)
    assert first.get_params() == before


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([], [], "X must be at least one sequence, got none"),
        ([[1.0], [2.0]], [0, 0], "y must be of at least 2 classes, got 1 class"),
        ([[1.0], [2.0]], None, "LSTMClassifier requires y to be passed, but the target y is None"),
        ([[1.0], [2.0]], [0.25, 1.75], "Unknown label type: continuous"),
        ([[1.0], [2.0]], [[0], [1, 2]], "y must be one label .* per sequence, got rows of different lengths"),
        ([[1.0], []], [0, 1], r"X\[1\] must be of at least 1 step, of real numbers, got shape \(0, 1\)"),
        (
            [[1.0], [[2.0]]],
            [0, 1],
            r"all \(t,\) or all \(t, D\), got ranks \[1, 2\]",
        ),
        ([[[1.0]], [[2.0, 3.0]]], [0, 1], r"X\[1\] must be of 1 features, got 2"),
        ([[1.0], [2.0], [3.0]], [0, 1], "X and y must be of the same length, got 3 and 2"),
        ([["a"], ["b"]], [0, 1], r"X\[0\] must be of at least 1 step, of real numbers"),
        ([[1.0], [2.0]], [[0, 1], [1, 0]], "y should be a 1d array, got an array of shape"),
        ([[1.0], [np.nan]], [0, 1], r"X\[1\] must be finite, got NaN"),
        (np.array([[1.0], [np.inf]]), [0, 1], "Input X contains infinity"),
    ],
)
def test_bad_data_are_named(X, y, message):
    with pytest.raises(ValueError, match=message):
        quick().fit(X, y)


EXPECTED_TO_FAIL = {
    "check_sample_weight_equivalence_on_dense_data": "a batch of repeated rows is another batch than one of "
    "weighted rows, and float32 rounds at 1e-7 where the check asks for 1e-9",
}


@pytest.mark.parametrize("kind", [ml.LSTMClassifier, ml.LSTMRegressor])
def test_every_check_of_scikit_learn(kind):
    estimator = kind(8, epochs=15, learning_rate=0.05, random_state=0)
    found = check_estimator(estimator, expected_failed_checks=EXPECTED_TO_FAIL, on_skip=None)
    status = {result["check_name"]: result["status"] for result in found}
    assert len(found) > 50, "the tags hide checks"
    assert {name for name, one in status.items() if one == "xfail"} <= set(EXPECTED_TO_FAIL)
    assert {name for name, one in status.items() if one == "skipped"} == {"check_array_api_input"}


def test_tables_are_rows_by_position():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 4)).astype("float32")
    labels = np.where(x[:, -1] > 0, "up", "down")
    plain = quick().fit(x, labels)
    index = rng.permutation(30) + 100
    table = pd.DataFrame(x, columns=list("abcd"), index=index)
    mixed = table.assign(a=table.a.astype("Float64"), b=table.b.astype(object))
    for X, y in ((table, labels), (mixed, pd.Series(labels, index=index[::-1])), (table, pd.Series(labels))):
        by_table = quick().fit(X, y)
        assert (by_table.predict_proba(X) == plain.predict_proba(x)).all()
        assert by_table.feature_names_in_.tolist() == list("abcd")
        assert by_table.n_features_in_ == 4
    with pytest.raises(ValueError, match="feature names should match"):
        by_table.predict(table.rename(columns={"d": "e"}))
    sequences = [pd.Series(row, index=range(9, 5, -1)) for row in x]
    assert (quick().fit(sequences, labels).predict_proba(x) == plain.predict_proba(x)).all()
    assert (quick().fit(pd.Series(list(x)), labels).predict_proba(x) == plain.predict_proba(x)).all()
    ragged_objects = np.array([row[: 1 + k % 4] for k, row in enumerate(x)], dtype=object)
    expected = plain.predict_proba([row[: 1 + k % 4] for k, row in enumerate(x)])
    assert (plain.predict_proba(ragged_objects) == expected).all()
    with pytest.warns(DataConversionWarning):
        column = quick().fit(x, labels[:, None])
    assert (column.predict_proba(x) == plain.predict_proba(x)).all()


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        (["1", "2"], "str"),
        (pd.to_datetime(["2020-01-01"] * 2), "datetime64"),
        ([[1.0], [1.0, 2.0]], "object"),
    ],
)
def test_a_column_without_numbers_is_named(column, dtype):
    table = pd.DataFrame({"fine": [1.0, 2.0], "odd": column})
    text = rf"column 'odd' of [xX] must be of numbers \(.*use pad_sequences\), got dtype {dtype}"
    with pytest.raises(TypeError, match=text):
        quick().fit(table, [0, 1])
    model = ml.Sequential([ml.Dense(1, input_shape=(2,))])
    with pytest.raises(TypeError, match=text):
        model.predict(table)
    with pytest.raises(
        ValueError, match=r"x must be a rectangular array, got sequences .*: use pad_sequences"
    ):
        model.predict(np.array([[1.0], [1.0, 2.0]], dtype=object))


def test_weights_of_sequences_and_classes():
    """One batch of all sequences: the weighted loss is the loss of repeated sequences."""
    X, y = ragged(12)
    weight = np.arange(12) % 3 + 1
    options = {"batch_size": 100, "epochs": 3, "clipnorm": None}
    repeated = [x for x, n in zip(X, weight, strict=True) for _ in range(n)]
    by_weight = quick(**options).fit(X, y, sample_weight=5 * weight).predict_proba(X)
    again = quick(**options).fit(repeated, np.repeat(y, weight)).predict_proba(X)
    np.testing.assert_allclose(by_weight, again, rtol=1e-5)
    assert not np.allclose(by_weight, quick(**options).fit(X, y).predict_proba(X), rtol=1e-5)
    by_class = quick(**options, class_weight={"odd": 3}).fit(X, y).predict_proba(X)
    same = quick(**options).fit(X, y, sample_weight=np.where(y == "odd", 3, 1)).predict_proba(X)
    assert (by_class == same).all()
    balanced = quick(**options, class_weight="balanced").fit(X[:-3], y[:-3]).predict_proba(X)
    counts = np.where(y[:-3] == "odd", 9 / (2 * 4), 9 / (2 * 5))
    np.testing.assert_allclose(
        balanced, quick(**options).fit(X[:-3], y[:-3], sample_weight=counts).predict_proba(X), rtol=1e-5
    )
    for bad in (-weight, weight * np.nan, weight[:-1], weight * 0):
        with pytest.raises(ValueError, match="sample_weight must be"):
            quick().fit(X, y, sample_weight=bad)


def test_early_stopping_holds_sequences_of_each_class_back():
    X, y = ragged()
    options = {"early_stopping": True, "n_iter_no_change": 2, "tol": 1e-3, "validation_fraction": 0.25}
    stopped = quick(epochs=200, **options).fit(X, y)
    held = stopped.history_["val_loss"]
    assert stopped.n_iter_ == len(held) < 200
    best = 0
    for k, loss in enumerate(held):
        best = k if loss < held[best] - 1e-3 else best
    assert len(held) - 1 - best == 2
    rows = train_test_split(np.arange(40), test_size=0.25, random_state=0, stratify=y)[1]
    loss = log_loss(y[rows], stopped.predict_proba([X[row] for row in rows]))
    np.testing.assert_allclose(loss, held[best], rtol=1e-5)  # the weights of the best epoch
    with pytest.raises(
        ValueError, match=r"validation_fraction must be a finite number > 0 and < 1, got 1\.0"
    ):
        quick(early_stopping=True, validation_fraction=1.0).fit(X, y)


def test_another_number_of_features_and_bad_parameters_are_named():
    X, y = ragged()
    classifier = quick(epochs=1).fit(X, y)
    with pytest.raises(ValueError, match=r"X\[0\] must be of 2 features, got 3"):
        classifier.predict([np.ones((2, 3))])
    with pytest.raises(ValueError, match=r"cell must be lstm, gru, simple_rnn, .*got 'rnn'"):
        quick(cell="rnn").fit(X, y)
    with pytest.raises(ValueError, match="units must be a whole number >= 1, got 0"):
        quick(units=0).fit(X, y)
    with pytest.raises(ValueError, match="layers must be a whole number >= 1, got 0"):
        quick(layers=0).fit(X, y)
