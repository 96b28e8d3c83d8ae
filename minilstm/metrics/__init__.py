"""The metrics that fit and evaluate report beside the loss; also objects of their own, and functions.

A metric is what a batch's rows add up to, and a value of the sums over batches. A row is a sample or a real
time step: with a mask, masked steps do not count.

    base        what every metric is: update_state, result, reset_state
    means       means of a number for each row: accuracies, errors, losses, and functions of your own
    confusion   precision, recall, F scores, AUC
    functions   metrics as functions
    known       all of them, by class, name and function
    choice      what compile was given, bound to shapes of targets and outputs

What this package is not: nothing here has a gradient.

Source: Keras 3, `keras/src/metrics` and `keras/src/trainers/compile_utils.py` (what "accuracy" stands for).
"""

from __future__ import annotations

from minilstm.losses import (
    binary_crossentropy,
    categorical_crossentropy,
    mean_absolute_error,
    mean_squared_error,
    sparse_categorical_crossentropy,
)
from minilstm.metrics.base import Metric
from minilstm.metrics.choice import (
    Bound,
    Identifier,
    Weighted,
    check,
    check_both,
    direction,
    name_of,
    resolve,
    stand_in,
)
from minilstm.metrics.confusion import (
    AUC,
    F1Score,
    FalseNegatives,
    FalsePositives,
    FBetaScore,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from minilstm.metrics.functions import (
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from minilstm.metrics.known import (
    deserialize,
    get,
    serialize,
)
from minilstm.metrics.means import (
    Accuracy,
    BinaryAccuracy,
    BinaryCrossentropy,
    CategoricalAccuracy,
    CategoricalCrossentropy,
    Mean,
    MeanAbsoluteError,
    MeanMetricWrapper,
    MeanSquaredError,
    RootMeanSquaredError,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)

__all__ = [
    "AUC", "Accuracy", "BinaryAccuracy", "BinaryCrossentropy", "Bound", "CategoricalAccuracy",
    "CategoricalCrossentropy", "F1Score", "FBetaScore", "FalseNegatives", "FalsePositives", "Identifier",
    "Mean", "MeanAbsoluteError", "MeanMetricWrapper", "MeanSquaredError", "Metric", "Precision", "Recall",
    "RootMeanSquaredError", "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy", "TopKCategoricalAccuracy", "TrueNegatives", "TruePositives",
    "Weighted", "binary_accuracy", "binary_crossentropy", "categorical_accuracy",
    "categorical_crossentropy", "check", "check_both", "deserialize", "direction", "get",
    "mean_absolute_error", "mean_squared_error", "name_of", "resolve", "serialize",
    "sparse_categorical_accuracy", "sparse_categorical_crossentropy", "sparse_top_k_categorical_accuracy",
    "stand_in", "top_k_categorical_accuracy",
]  # fmt: skip
