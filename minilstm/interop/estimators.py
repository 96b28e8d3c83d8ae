"""LSTMClassifier and LSTMRegressor: the scikit-learn face, on ragged lists of sequences.

They pad, mask, build a model, train it and predict with it, in the words of scikit-learn; so cross_val_score,
GridSearchCV and Pipeline take them. What they are not: more than `Sequential`. The fitted model is `model_`,
and can be traced, saved and exported. Needs scikit-learn (the extra "sklearn"), which is imported here only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from minilstm.arrays import Array
from minilstm.errors import one_of, wording
from minilstm.layers import RECURRENT, Dense, Dropout, Layer
from minilstm.model import Sequential
from minilstm.optimizers import Adam
from minilstm.sequences import lengths_to_mask, pad_sequences

__all__ = ["LSTMClassifier", "LSTMRegressor"]


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """What both have in common; scikit-learn reads the parameters off the constructor."""

    n_features_in_: int
    model_: Sequential
    history_: dict[str, list[float]]

    def __init__(
        self,
        units: int = 32,
        *,
        cell: str = "lstm",
        layers: int = 1,
        dropout: float = 0.0,
        epochs: int = 20,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        clipnorm: float | None = 1.0,
        maxlen: int | None = None,
        truncating: str = "pre",
        random_state: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.units = units
        self.cell = cell
        self.layers = layers
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.clipnorm = clipnorm
        self.maxlen = maxlen
        self.truncating = truncating
        self.random_state = random_state
        self.verbose = verbose

    def _padded(self, X: Any) -> tuple[Array, Array]:
        """X (B, T, D) and its mask (B, T), True = real step."""
        try:
            sequences = [np.asarray(sequence) for sequence in X]
        except TypeError:
            raise TypeError(wording("X", "a list of sequences, (t,) or (t, D) each", repr(X)[:60])) from None
        if not sequences:
            raise ValueError(wording("X", "at least one sequence", "none"))
        ranks = {sequence.ndim for sequence in sequences}
        if ranks not in ({1}, {2}):
            expected = "sequences that are all (t,) or all (t, D)"
            raise ValueError(wording("X", expected, f"ranks {sorted(ranks)}"))
        if ranks == {1}:
            sequences = [sequence[:, None] for sequence in sequences]
        for b, sequence in enumerate(sequences):
            if sequence.dtype.kind not in "fiub" or 0 in sequence.shape:
                got = f"shape {sequence.shape} of {sequence.dtype}"
                raise ValueError(wording(f"X[{b}]", "of at least 1 step, of real numbers", got))
        D = getattr(self, "n_features_in_", sequences[0].shape[1])
        for b, sequence in enumerate(sequences):
            if sequence.shape[1] != D:
                raise ValueError(wording(f"X[{b}]", f"of {D} features", sequence.shape[1]))
        x = pad_sequences(sequences, self.maxlen, "float32", "post", self.truncating)
        return x, lengths_to_mask([len(sequence) for sequence in sequences], self.maxlen, "post")

    def _fit(self, X: Any, y: Array, last: Dense, loss: str) -> None:
        """Build the model and train it; `y` is what the loss takes."""
        if hasattr(self, "n_features_in_"):
            del self.n_features_in_  # fit begins anew
        x, mask = self._padded(X)
        if len(x) != len(y):
            raise ValueError(wording("X and y", "of the same length", f"{len(x)} and {len(y)}"))
        self.n_features_in_ = x.shape[2]
        cls = RECURRENT[one_of("cell", self.cell, RECURRENT)]
        parts: list[Layer] = []
        for k in range(self.layers):
            shape: dict[str, Any] = {"input_shape": (None, x.shape[2])} if k == 0 else {}
            parts.append(cls(self.units, return_sequences=k < self.layers - 1, **shape))
            parts += [Dropout(self.dropout)] if self.dropout else []
        self.model_ = Sequential([*parts, last], seed=self._seed())
        self.model_.compile(Adam(self.learning_rate, global_clipnorm=self.clipnorm), loss)
        self.history_ = self.model_.fit(
            x, y, mask=mask, epochs=self.epochs, batch_size=self.batch_size, verbose=self.verbose
        ).history

    def _seed(self) -> int | None:
        """A whole number from `random_state`, as scikit-learn understands it."""
        if isinstance(self.random_state, np.random.RandomState):
            return int(self.random_state.randint(2**31))
        return self.random_state

    def _output(self, X: Any) -> Array:
        check_is_fitted(self)
        x, mask = self._padded(X)
        return self.model_.predict(x, mask=mask)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.non_deterministic = self.random_state is None
        return tags


class LSTMClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """Classify sequences of any lengths by the last state of a recurrent network.

    Parameters
    ----------
    units, cell, layers : size, kind ("lstm", "gru", "simple_rnn") and number of the recurrent layers
    dropout : share of the recurrent layers' outputs that is dropped in training
    epochs, batch_size, learning_rate : of training with Adam
    clipnorm : largest norm of all gradients together; None for no clipping
    maxlen, truncating : longer sequences are cut, as in `pad_sequences`
    random_state : whole number or RandomState for reproducible weights, dropout and batches
    verbose : as in `Sequential.fit`

    Attributes
    ----------
    classes_ : the labels, sorted, as `predict` gives them
    model_, history_, n_features_in_ : the fitted Sequential, its losses by epoch, D

    X is a list (or an array) of sequences, (t,) or (t, D) each, at least 1 step; y has a label per sequence,
    of any type that can be sorted. Padding is masked and changes nothing.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=(t, 2)) + k for k in (0, 3) for t in rng.integers(2, 9, 20)]
    >>> y = ["low"] * 20 + ["high"] * 20
    >>> LSTMClassifier(8, epochs=30, learning_rate=0.02, random_state=0).fit(X, y).score(X, y)
    1.0
    """

    def fit(self, X: Any, y: ArrayLike) -> LSTMClassifier:
        """Train a new model; returns the estimator."""
        labels = np.asarray(y)
        if labels.ndim != 1:
            raise ValueError(wording("y", "one label per sequence", f"shape {labels.shape}"))
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(wording("y", "of at least 2 classes", f"{len(self.classes_)}"))
        last = Dense(len(self.classes_), activation="softmax")
        self._fit(X, codes, last, "sparse_categorical_crossentropy")
        return self

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, (B, classes), in the order of `classes_`."""
        return self._output(X)

    def predict(self, X: Any) -> Array:
        """The most probable label of each sequence, (B,)."""
        best = self._output(X).argmax(axis=1)
        found: Array = self.classes_[best]
        return found


class LSTMRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """Predict a number, or several, from sequences of any lengths; parameters as in `LSTMClassifier`.

    y is (B,) or (B, outputs); predictions have its shape. The loss is the mean squared error.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=t) for t in rng.integers(2, 9, 40)]
    >>> y = [x[-1] for x in X]
    >>> bool(LSTMRegressor(8, epochs=60, learning_rate=0.02, random_state=0).fit(X, y).score(X, y) > 0.9)
    True
    """

    def fit(self, X: Any, y: ArrayLike) -> LSTMRegressor:
        """Train a new model; returns the estimator."""
        targets = np.asarray(y, dtype=np.float64)
        if targets.ndim not in (1, 2):
            raise ValueError(wording("y", "(B,) or (B, outputs)", f"shape {targets.shape}"))
        self._flat = targets.ndim == 1
        self._fit(X, targets, Dense(1 if self._flat else targets.shape[1]), "mse")
        return self

    def predict(self, X: Any) -> Array:
        """The predictions, (B,) or (B, outputs)."""
        found = self._output(X)
        return found[:, 0] if self._flat else found
