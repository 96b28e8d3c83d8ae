"""What scikit-learn's users hand over, as sequences, targets and weights: tables, arrays, lists.

A table or a 2-D array is N sequences of one feature, a row each: its columns are the time steps, counted and
named as scikit-learn does it. Anything else is a list of sequences, of any lengths. Tables and Series are
rows by position; their index is not looked at. What this file is not: it knows no model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, column_or_1d, validate_data

from minilstm.foundations.arrays import Array, numeric_array
from minilstm.foundations.errors import shown, wording

LIST = "a list of sequences, (t,) or (t, D) each"
STEPS = "of at least 1 step, of real numbers"


def sequences_of(estimator: BaseEstimator, X: Any, *, reset: bool) -> list[Array]:
    """X as arrays (t, D) of float32; on `reset` the estimator takes down what X looks like.

    Raises ValueError, or TypeError for what is no data at all, with the place that is wrong.
    """
    if hasattr(X, "columns"):  # a table: an error names the column
        numeric_array("X", X)
    if _by_columns(X):
        if reset or estimator.by_columns_:
            array = validate_data(estimator, X, reset=reset, dtype=np.float32)
        else:
            array = check_array(X, dtype=np.float32, input_name="X")
        sequences = [row[:, None] for row in array]
    else:
        sequences = _list_of(X)
        if reset:
            _take_down(estimator, X, sequences)
    if reset and _by_columns(X):
        estimator.by_columns_ = True
    D = 1 if estimator.by_columns_ else estimator.n_features_in_
    for b, sequence in enumerate(sequences):
        if sequence.shape[1] != D:
            raise ValueError(wording(f"X[{b}]", f"of {D} features", sequence.shape[1]))
    return sequences


def labels_of(estimator: BaseEstimator, y: Any) -> Array:
    """One label per sequence, (B,); ValueError for numbers that are no classes."""
    labels = column_or_1d(_given(estimator, y), warn=True)
    if labels.dtype.kind == "f":
        check_array(labels, ensure_2d=False, input_name="y")
    check_classification_targets(labels)
    return np.asarray(labels)


def numbers_of(estimator: BaseEstimator, y: Any) -> Array:
    """Numbers to predict, (B,) or (B, outputs), finite float64."""
    targets = check_array(_given(estimator, y), ensure_2d=False, dtype=np.float64, input_name="y")
    if targets.ndim not in (1, 2):
        raise ValueError(wording("y", "(B,) or (B, outputs)", f"shape {targets.shape}"))
    return np.asarray(targets)


def weights_of(sample_weight: Any, count: int) -> Array:
    """One finite weight >= 0 per sequence, (B,), with the mean 1: their scale has no meaning."""
    if sample_weight is None:
        return np.ones(count)
    weight = numeric_array("sample_weight", sample_weight).astype(np.float64)
    if weight.shape != (count,):
        raise ValueError(wording("sample_weight", f"of shape {(count,)}", weight.shape))
    if not (np.isfinite(weight).all() and (weight >= 0).all() and weight.any()):
        expected = "finite, not negative, and not zero for every sequence"
        raise ValueError(wording("sample_weight", expected, f"{weight[:5]} ..."))
    return weight


def _given(estimator: BaseEstimator, y: Any) -> Any:
    """y; ValueError where there is none, or rows of different lengths."""
    if y is None:
        name = type(estimator).__name__
        raise ValueError(f"{name} requires y to be passed, but the target y is None")
    try:
        np.asarray(y)
    except ValueError:
        expected = "one label or one row of numbers per sequence"
        raise ValueError(wording("y", expected, "rows of different lengths")) from None
    return y


def _take_down(estimator: BaseEstimator, X: Any, sequences: list[Array]) -> None:
    """What a list looks like: one whose sequences (t,) are all of one length could be a table."""
    estimator.__dict__.pop("feature_names_in_", None)
    lengths = {len(sequence) for sequence in sequences}
    estimator.by_columns_ = len(lengths) == 1 and all(np.ndim(sequence) == 1 for sequence in X)
    estimator.n_features_in_ = lengths.pop() if estimator.by_columns_ else sequences[0].shape[1]


def _by_columns(X: Any) -> bool:
    """Whether X is a table or an array that is no list of sequences: neither 1-D of objects nor 3-D."""
    if isinstance(X, (list, tuple)) or not (hasattr(X, "__array__") or hasattr(X, "shape")):
        return False
    if hasattr(X, "columns") or hasattr(X, "toarray"):  # a table, a sparse matrix
        return True
    array = np.asarray(X)
    return array.ndim < 3 and not (array.ndim == 1 and array.dtype.kind == "O")


def _list_of(X: Any) -> list[Array]:
    """Sequences (t, D) from a list, a Series, a 3-D array or an array of objects."""
    try:
        given = list(X)
    except TypeError:
        raise TypeError(wording("X", LIST, shown(X))) from None
    if not given:
        raise ValueError(wording("X", "at least one sequence", "none"))
    found = [_numbers(b, sequence) for b, sequence in enumerate(given)]
    ranks = {array.ndim for array in found}
    if ranks not in ({1}, {2}):
        raise ValueError(wording("X", "sequences that are all (t,) or all (t, D)", f"ranks {sorted(ranks)}"))
    with np.errstate(over="ignore"):
        found = [(array[:, None] if array.ndim == 1 else array).astype(np.float32) for array in found]
    for b, array in enumerate(found):
        if 0 in array.shape:
            raise ValueError(wording(f"X[{b}]", STEPS, f"shape {array.shape}"))
        if not np.isfinite(array).all():
            got = "NaN" if np.isnan(array).any() else "infinity or a number too large for float32"
            raise ValueError(wording(f"X[{b}]", "finite", got))
    return found


def _numbers(b: int, sequence: Any) -> Array:
    """A sequence as an array of numbers."""
    try:
        return numeric_array(f"X[{b}]", sequence)
    except TypeError:
        got = f"{type(sequence).__name__} of {np.asarray(sequence).dtype}"
        raise ValueError(wording(f"X[{b}]", STEPS, got)) from None
