"""LSTMClassifier and LSTMRegressor: the scikit-learn face, on ragged lists of sequences.

They pad, mask, build a model, train it and predict with it, in the words of scikit-learn; so cross_val_score,
GridSearchCV and Pipeline take them. What they are not: more than `Sequential`. The fitted model is `model_`,
and can be traced, saved and exported. Needs scikit-learn (the extra "sklearn"), which is imported here only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import check_is_fitted

from minilstm.callbacks import EarlyStopping
from minilstm.cells import UserCell
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import check_room, real_number, spelled, switch, whole_number, wording
from minilstm.interop.estimator_data import labels_of, numbers_of, sequences_of, weights_of
from minilstm.layers import Dense, Dropout, Layer, maker_of
from minilstm.model import Sequential
from minilstm.optimizers import Adam
from minilstm.sequences import lengths_to_mask, pad_sequences

__all__ = ["LSTMClassifier", "LSTMRegressor"]


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """What both have in common; scikit-learn reads the parameters off the constructor."""

    n_features_in_: int
    by_columns_: bool
    model_: Sequential
    history_: dict[str, list[float]]
    n_iter_: int

    @spelled
    def __init__(
        self,
        units: int = 32,
        *,
        cell: str | UserCell = "lstm",
        layers: int = 1,
        dropout: float = 0.0,
        epochs: int = 20,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        clipnorm: float | None = 1.0,
        maxlen: int | None = None,
        truncating: str = "pre",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
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
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.random_state = random_state
        self.verbose = verbose

    def _padded(self, sequences: list[Array]) -> tuple[Array, Array]:
        """x (B, T, D) and its mask (B, T), True = real step."""
        if self.maxlen is not None:
            whole_number("maxlen", self.maxlen)
        x = pad_sequences(sequences, self.maxlen, "float32", "post", self.truncating)
        return x, lengths_to_mask([len(sequence) for sequence in sequences], self.maxlen, "post")

    def _model(self, last: Dense, loss: str, features: int, seed: int | None) -> Sequential:
        """A new model for sequences of so many features; errors name the parameter."""
        make = maker_of(self.cell, "cell")
        depth = whole_number("layers", self.layers)
        whole_number("epochs", self.epochs), whole_number("batch_size", self.batch_size)
        dropout = real_number("dropout", self.dropout, below=1.0)
        check_room(f"a model of {depth} layers", 8 * depth * whole_number("units", self.units) ** 2)
        parts: list[Layer] = []
        for k in range(depth):
            shape: dict[str, Any] = {"input_shape": (None, features)} if k == 0 else {}
            parts.append(make(self.units, return_sequences=k < depth - 1, **shape))
            parts += [Dropout(dropout)] if dropout else []
        model = Sequential([*parts, last], seed=seed)
        model.compile(Adam(self.learning_rate, global_clipnorm=self.clipnorm), loss)
        return model

    def _fit(
        self, sequences: list[Array], y: Array, weight: Array, last: Dense, loss: str, classes: Array | None
    ) -> None:
        """Build the model and train it; `y` is what the loss takes."""
        if len(sequences) != len(y):
            raise ValueError(wording("X and y", "of the same length", f"{len(sequences)} and {len(y)}"))
        share = real_number("validation_fraction", self.validation_fraction, above=True, below=1.0)
        patience = whole_number("n_iter_no_change", self.n_iter_no_change)
        least = real_number("tol", self.tol)
        stopping = switch("early_stopping", self.early_stopping)
        x, mask = self._padded(sequences)
        seed = self._seed()
        self.model_ = self._model(last, loss, x.shape[2], seed)
        rows, held, callbacks = np.arange(len(y)), None, []
        if stopping:
            rows, held = train_test_split(rows, test_size=share, random_state=seed, stratify=classes)
            callbacks.append(EarlyStopping("val_loss", least, patience, restore_best_weights=True))
        scale = len(rows) / weight[rows].sum()
        self.history_ = self.model_.fit(
            x[rows],
            y[rows],
            mask=mask[rows],
            sample_weight=None if (weight == 1).all() else weight[rows] * scale,
            validation_data=None if held is None else (x[held], y[held], weight[held] * scale, mask[held]),
            callbacks=callbacks,
            epochs=self.epochs,
            batch_size=self.batch_size,
            verbose=self.verbose,
        ).history
        self.n_iter_ = len(self.history_["loss"])

    def _seed(self) -> int | None:
        """A whole number from `random_state`, as scikit-learn understands it."""
        if isinstance(self.random_state, np.random.RandomState):
            return int(self.random_state.randint(2**31))
        return self.random_state

    def _output(self, X: Any) -> Array:
        check_is_fitted(self)
        x, mask = self._padded(sequences_of(self, X, reset=False))
        return self.model_.predict(x, mask=mask)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.non_deterministic = self.random_state is None
        return tags


class LSTMClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """Classify sequences of any lengths by the last state of a recurrent network.

    Parameters
    ----------
    units, cell, layers : size, kind ("lstm", "gru", "mgu", what `minilstm cells --list`
        shows, or a cell of `minilstm.cell`) and number of the recurrent layers
    dropout : share of the recurrent layers' outputs that is dropped in training
    epochs, batch_size, learning_rate : of training with Adam
    clipnorm : largest norm of all gradients together; None for no clipping
    maxlen, truncating : longer sequences are cut, as in `pad_sequences`
    early_stopping, validation_fraction, n_iter_no_change, tol : whether to hold back this share of the
        sequences (of each class), and to stop where their loss has not become smaller by `tol` for so many
        epochs; the weights are those of the best epoch
    class_weight : {label: weight}, 1 for a label that is not named, or "balanced"
    random_state : whole number or RandomState for reproducible weights, dropout and batches
    verbose : as in `Sequential.fit`

    Attributes
    ----------
    classes_ : the labels, sorted, as `predict` gives them
    model_, history_, n_iter_ : the fitted Sequential, its losses by epoch, the number of epochs
    n_features_in_ : D; of a table the number of its columns, and `feature_names_in_` their names
    by_columns_ : whether X was a table, an array (B, T), or a list of that form

    X is a list (a Series, an array of objects) of sequences, (t,) or (t, D) each, at least 1 step, or an
    array (B, T, D). A table, or an array (B, T), holds one sequence of numbers in each row; where `fit` had
    that, or a list that could be, later tables and arrays have the same columns, and lists any lengths.
    y has a label per sequence, of any type that can be sorted. Padding is masked and changes nothing.
    Tables and Series are taken by position.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=(t, 2)) + k for k in (0, 3) for t in rng.integers(2, 9, 20)]
    >>> y = ["low"] * 20 + ["high"] * 20
    >>> LSTMClassifier(8, epochs=30, learning_rate=0.02, random_state=0).fit(X, y).score(X, y)
    1.0
    """

    @spelled
    def __init__(
        self,
        units: int = 32,
        *,
        cell: str | UserCell = "lstm",
        layers: int = 1,
        dropout: float = 0.0,
        epochs: int = 20,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        clipnorm: float | None = 1.0,
        maxlen: int | None = None,
        truncating: str = "pre",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        class_weight: Mapping[Any, float] | str | None = None,
        random_state: int | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            units,
            cell=cell,
            layers=layers,
            dropout=dropout,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            clipnorm=clipnorm,
            maxlen=maxlen,
            truncating=truncating,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            random_state=random_state,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> LSTMClassifier:
        """Train a new model; returns the estimator.

        sample_weight : (B,), weights of the sequences in the loss; their mean is brought to 1
        """
        sequences, labels = sequences_of(self, X, reset=True), labels_of(self, y)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(wording("y", "of at least 2 classes", "1 class"))
        weight = weights_of(sample_weight, len(codes))
        if self.class_weight is not None:
            weight = weight * compute_sample_weight(self.class_weight, labels)
        last = Dense(len(self.classes_), activation="softmax")
        self._fit(sequences, codes, weight, last, "sparse_categorical_crossentropy", codes)
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

    y is (B,) or (B, outputs); predictions have its shape, and are float64. The loss is the mean squared
    error. There is no class_weight.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=t) for t in rng.integers(2, 9, 40)]
    >>> y = [x[-1] for x in X]
    >>> bool(LSTMRegressor(8, epochs=60, learning_rate=0.02, random_state=0).fit(X, y).score(X, y) > 0.9)
    True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> LSTMRegressor:
        """Train a new model; returns the estimator. `sample_weight` as in `LSTMClassifier.fit`."""
        sequences, targets = sequences_of(self, X, reset=True), numbers_of(self, y)
        self._flat = targets.ndim == 1
        weight = weights_of(sample_weight, len(targets))
        last = Dense(1 if self._flat else targets.shape[1])
        self._fit(sequences, targets, weight, last, "mse", None)
        return self

    def predict(self, X: Any) -> Array:
        """The predictions, (B,) or (B, outputs)."""
        found = self._output(X).astype(np.float64)
        return found[:, 0] if self._flat else found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.regressor_tags.poor_score = True  # by the default 20 epochs, on the 200 samples of that check
        return tags
