"""The scikit-learn face, in scikit-learn's own tools, on ragged lists."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

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
        ([], [], "y must be of at least 2 classes, got 0"),
        ([[1.0], [2.0]], [0, 0], "y must be of at least 2 classes, got 1"),
        ([[1.0], []], [0, 1], r"X\[1\] must be of at least 1 step, of real numbers, got shape \(0, 1\)"),
        (
            [[1.0], [[2.0]]],
            [0, 1],
            r"all \(t,\) or all \(t, D\), got ranks \[1, 2\]",
        ),
        ([[[1.0]], [[2.0, 3.0]]], [0, 1], r"X\[1\] must be of 1 features, got 2"),
        ([[1.0], [2.0], [3.0]], [0, 1], "X and y must be of the same length, got 3 and 2"),
        ([["a"], ["b"]], [0, 1], r"X\[0\] must be of at least 1 step, of real numbers"),
        ([[1.0], [2.0]], [[0], [1]], r"y must be one label per sequence, got shape \(2, 1\)"),
        ([[1.0], [np.nan]], [0, 1], "x must be finite, got NaN"),
    ],
)
def test_bad_data_are_named(X, y, message):
    with pytest.raises(ValueError, match=message):
        quick().fit(X, y)


def test_another_number_of_features_and_bad_parameters_are_named():
    X, y = ragged()
    classifier = quick(epochs=1).fit(X, y)
    with pytest.raises(ValueError, match=r"X\[0\] must be of 2 features, got 3"):
        classifier.predict([np.ones((2, 3))])
    with pytest.raises(ValueError, match="cell must be 'lstm' or 'gru' or 'simple_rnn', got 'rnn'"):
        quick(cell="rnn").fit(X, y)
    with pytest.raises(ValueError, match="units must be a whole number >= 1, got 0"):
        quick(units=0).fit(X, y)
