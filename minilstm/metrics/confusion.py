"""Metrics of what was taken for what: true and false positives and negatives, above each threshold.

    precision   TP / (TP + FP)              recall   TP / (TP + FN)              0 / 0 is 0
    F score     (1 + b^2) precision recall / (b^2 precision + recall)
    AUC         the area under recall over FP / (FP + TN) (ROC), or under precision over recall (PR)

An output is positive where it is above the threshold; NaN never is.

Sources: Keras 3, `keras/src/metrics/{confusion,f_score}_metrics.py` and `metrics_utils.py`; for the area
between two thresholds of a PR curve, Davis and Goadrich 2006, section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minilstm.bptt.activations import sigmoid
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import (
    check_room,
    flag,
    listed,
    one_of,
    real_number,
    shown,
    spelled,
    whole_number,
    wording,
)
from minilstm.losses.base import same_rank
from minilstm.metrics.base import Metric, ratio, weights_for

EPSILON = 1e-7  # Keras's backend.epsilon()
NEVER = -1e10  # below every output


def confusion(y: Array, p: Array, weight: Array | None, thresholds: Array) -> Array:
    """TP, FP, TN, FN above each of the ascending thresholds, (4, thresholds, L).

    y, p : (N, L) each, counted for each of the L columns; weight : (N, L)
    """
    p = np.where(np.isnan(p), -np.inf, p).astype(np.float32)
    below = np.searchsorted(thresholds.astype(np.float32), p)  # how many thresholds each output is above
    n, L = len(thresholds), p.shape[1]
    columns = np.broadcast_to(np.arange(L), p.shape)
    positive, weights = y.astype(bool), np.ones(p.shape) if weight is None else weight
    above = np.zeros((2, n + 1, L))
    for k, chosen in enumerate((positive, ~positive)):
        np.add.at(above[k], (below[chosen], columns[chosen]), weights[chosen])
    above = above[:, ::-1].cumsum(axis=1)[:, ::-1]  # at least so many thresholds
    TP, FP = above[0, 1:], above[1, 1:]
    return np.stack([TP, FP, above[1, 0] - FP, above[0, 0] - TP])


class _Confusion(Metric):
    """Counts above one threshold or several, of all outputs together."""

    kept: tuple[int, ...]  # which of TP, FP, TN, FN
    way_to_one = "of one threshold"

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        self.top_k = None if top_k is None else whole_number("top_k", top_k)
        self.class_id = None if class_id is None else whole_number("class_id", class_id, 0)
        if thresholds is None:
            self.thresholds = [0.5 if top_k is None else NEVER]
        else:
            given = [thresholds] if np.ndim(thresholds) == 0 else list(thresholds)  # type: ignore[arg-type]
            self.thresholds = [real_number("thresholds", value) for value in given]
            if any(value > 1 for value in self.thresholds):
                raise ValueError(wording("thresholds", "in [0, 1]", given))
        super().__init__(name, dtype, {"thresholds": thresholds, "top_k": top_k, "class_id": class_id})

    def results(self, width: int | None) -> int:
        return len(self.thresholds)

    def empty(self) -> Array:
        return np.zeros((len(self.kept), len(self.thresholds)))

    def counted(self, y: Array, p: Array, weight: Array | None) -> Array:
        y, p, weight = _aligned(y, p, weight)
        if self.top_k is not None:
            k = min(self.top_k, p.shape[-1])
            best = np.argsort(-p, axis=-1, kind="stable")[..., :k]
            kept = np.full(p.shape, NEVER)
            np.put_along_axis(kept, best, np.take_along_axis(p, best, axis=-1), axis=-1)
            p = kept
        if self.class_id is not None:
            if p.ndim < 2 or self.class_id >= p.shape[-1]:
                raise ValueError(wording("y_pred", f"(samples, classes > {self.class_id})", p.shape))
            one = slice(self.class_id, self.class_id + 1)
            y, p, weight = y[..., one], p[..., one], None if weight is None else weight[..., one]
        order = np.argsort(self.thresholds)
        found = confusion(*_column(y, p, weight), np.asarray(self.thresholds)[order])[..., 0]
        back = np.empty_like(found)
        back[:, order] = found
        return np.asarray(back[list(self.kept)])

    def value(self, sums: Array) -> Any:
        found = self.of_counts(sums)
        return found[0] if len(self.thresholds) == 1 else found

    def of_counts(self, sums: Array) -> Array:
        """The metric at each threshold."""
        return ratio(sums[0], sums[0] + sums[1])


@spelled
class Precision(_Confusion):
    """The share of what was taken for positive that is.

    thresholds : one or several in [0, 1], 0.5 if None; top_k : only a row's so many largest outputs can be
    positive (all of them, where there are no thresholds); class_id : only this output counts

    >>> float(Precision()([0, 1, 1, 1], [1, 0, 1, 1]).round(4))
    0.6667
    """

    slots, direction, kept = ("true_positives", "false_positives"), "max", (0, 1)


@spelled
class Recall(_Confusion):
    """The share of the positives that was taken for positive; arguments as in `Precision`.

    >>> float(Recall()([0, 1, 1, 1], [1, 0, 1, 1]).round(4))
    0.6667
    """

    slots, direction, kept = ("true_positives", "false_negatives"), "max", (0, 3)


@spelled
class _Count(_Confusion):
    """One of the four counts."""

    slots = ("accumulator",)

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(thresholds, name=name, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {key: config[key] for key in ("name", "dtype", "thresholds")}

    def of_counts(self, sums: Array) -> Array:
        return np.asarray(sums[0])


class TruePositives(_Count):
    """How many positives were taken for positive.

    >>> float(TruePositives()([0, 1, 1, 1], [1, 0, 1, 1]))
    2.0
    """

    direction, kept = "max", (0,)


class FalsePositives(_Count):
    """How many negatives were taken for positive.

    >>> float(FalsePositives()([0, 1, 0, 0], [0, 0, 1, 1]))
    2.0
    """

    direction, kept = "min", (1,)


class TrueNegatives(_Count):
    """How many negatives were taken for negative.

    >>> float(TrueNegatives()([0, 1, 0, 0], [1, 1, 0, 0]))
    2.0
    """

    direction, kept = "max", (2,)


class FalseNegatives(_Count):
    """How many positives were taken for negative.

    >>> float(FalseNegatives()([0, 1, 1, 1], [0, 1, 0, 0]))
    2.0
    """

    direction, kept = "min", (3,)


@spelled
class FBetaScore(Metric):
    """The F score of rows (N, C): of each class (average=None), or their mean; beta > 1 favours recall.

    average : "micro" counts all classes together, "macro" is the mean over classes, "weighted" by their sizes
    threshold : in (0, 1]; None takes a row's largest output for positive, and no other

    >>> float(FBetaScore("macro", threshold=0.5)([[1], [1], [0]], [[0.9], [0.1], [0.9]]).round(4))
    0.5
    """

    slots = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")
    direction, way_to_one = "max", "with average='micro', 'macro' or 'weighted'"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: str | None = None,
    ) -> None:
        if average is not None:
            one_of("average", average, ("micro", "macro", "weighted"))
        if not isinstance(beta, float) or not 0 < beta < 1e100:  # its square is a float too
            raise ValueError(wording("beta", "a float > 0 and < 1e100", shown(beta)))
        if threshold is not None and (not isinstance(threshold, float) or not 0 < threshold <= 1):
            raise ValueError(
                wording("threshold", "None or a float with 0 < threshold <= 1", shown(threshold))
            )
        self.average, self.beta, self.threshold = average, beta, threshold
        super().__init__(name, dtype, {"average": average, "beta": beta, "threshold": threshold})

    def results(self, width: int | None) -> int:
        return 1 if self.average is not None or width is None else width

    def counted(self, y: Array, p: Array, weight: Array | None) -> Array:
        if p.ndim != 2 or y.shape != p.shape:
            raise ValueError(wording("y_true and y_pred", "(rows, classes)", f"{y.shape} and {p.shape}"))
        if self.threshold is None:
            taken = (p >= p.max(axis=-1, keepdims=True)) & (np.abs(p) > 1e-9)
        else:
            taken = p > self.threshold
        taken, y = taken.astype(np.float64), y.astype(np.float64)
        w = 1.0 if weight is None else weights_for(weight, p.shape[:1])[:, None]
        parts = [taken * y, taken * (1 - y), (1 - taken) * y, y]
        axis = None if self.average == "micro" else 0
        return np.stack([np.asarray((part * w).sum(axis=axis)) for part in parts])

    def value(self, sums: Array) -> Any:
        TP, FP, FN, size = sums
        precision, recall = TP / (TP + FP + EPSILON), TP / (TP + FN + EPSILON)
        square = self.beta**2
        score = precision * recall / (square * precision + recall + EPSILON) * (1 + square)
        if self.average == "weighted":
            return (score * (size / (size.sum() + EPSILON))).sum()
        return score if self.average is None else score.mean()


@spelled
class F1Score(FBetaScore):
    """The F score with beta = 1: the harmonic mean of precision and recall.

    >>> F1Score(threshold=0.5)([[1, 1], [1, 0]], [[0.2, 0.6], [0.6, 0.8]]).round(4).tolist()
    [0.6667, 0.6667]
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: str | None = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, by name."""
        return {key: value for key, value in super().get_config().items() if key != "beta"}


@spelled
class AUC(Metric):
    """The area under a curve of `num_thresholds` points: an approximation, finer with more of them.

    curve : "ROC" or "PR";  summation_method : "interpolation", "minoring" or "majoring" between two points
    thresholds : between 0 and 1, in place of evenly spaced ones
    multi_label : an area for each output (N, L), and their mean, by `label_weights`
    from_logits : take the sigmoid of the outputs first

    >>> float(AUC()([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9]))
    0.75
    """

    slots = ("true_positives", "false_positives", "true_negatives", "false_negatives")
    direction = "max"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: str | None = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        self.curve = one_of("curve", curve, ("ROC", "PR"))
        methods = ("interpolation", "minoring", "majoring")
        self.summation_method = one_of("summation_method", summation_method, methods)
        if thresholds is None:
            count = whole_number("num_thresholds", num_thresholds, 2)
            check_room(f"an AUC of num_thresholds={count}", 8 * count)
            inner = np.linspace(0, 1, count)[1:-1]
        else:
            given = listed("thresholds", "a list of numbers between 0 and 1", thresholds)
            inner = np.sort([real_number("thresholds", value) for value in given])
        self.thresholds = [0 - EPSILON, *inner.tolist(), 1 + EPSILON]
        self.num_thresholds = len(self.thresholds)
        self.multi_label, self.from_logits = (
            flag("multi_label", multi_label),
            flag("from_logits", from_logits),
        )
        if num_labels is not None and not multi_label:
            raise ValueError(wording("num_labels", "None where multi_label is False", num_labels))
        self.num_labels = 1 if num_labels is None else whole_number("num_labels", num_labels)
        check_room(f"an AUC of num_labels={self.num_labels}", 32 * self.num_thresholds * self.num_labels)
        self.label_weights = None
        if label_weights is not None:
            given = listed("label_weights", "a list of numbers, one for each label", label_weights)
            self.label_weights = np.array([real_number("label_weights", value) for value in given])
        config = {
            "num_thresholds": num_thresholds,
            "curve": curve,
            "summation_method": summation_method,
            "thresholds": None if thresholds is None else list(thresholds),
            "multi_label": multi_label,
            "num_labels": num_labels,
            "label_weights": None if label_weights is None else list(label_weights),
            "from_logits": from_logits,
        }
        super().__init__(name, dtype, config)

    def empty(self) -> Array:
        return np.zeros((4, self.num_thresholds, *([self.num_labels] if self.multi_label else [])))

    def counted(self, y: Array, p: Array, weight: Array | None) -> Array:
        y, p, weight = _aligned(y, sigmoid(p) if self.from_logits else p, weight)
        thresholds = np.asarray(self.thresholds)
        if self.multi_label:
            if p.ndim != 2:
                raise ValueError(wording("y_pred", "(samples, labels)", p.shape))
            return confusion(y, p, weight, thresholds)
        if self.label_weights is not None:
            if self.label_weights.size != np.shape(p)[-1]:
                expected = f"{np.shape(p)[-1]} numbers, one for each label"
                raise ValueError(wording("label_weights", expected, self.label_weights.size))
            weight = self.label_weights * (1.0 if weight is None else weight) * np.ones(p.shape)
        return confusion(*_column(y, p, weight), thresholds)[..., 0]

    def value(self, sums: Array) -> Any:
        by_label = (self._pieces(*sums)).sum(axis=0)
        if not self.multi_label or self.label_weights is None:
            return by_label.mean()
        return ratio((by_label * self.label_weights).sum(), self.label_weights.sum())

    def _pieces(self, TP: Array, FP: Array, TN: Array, FN: Array) -> Array:
        """The area between one threshold and the next."""
        recall = ratio(TP, TP + FN)
        if self.curve == "PR" and self.summation_method == "interpolation":
            return _pr_pieces(TP, TP + FP, FN)
        x, y = (ratio(FP, FP + TN), recall) if self.curve == "ROC" else (recall, ratio(TP, TP + FP))
        pair = y[:-1], y[1:]
        if self.summation_method == "interpolation":
            height = (pair[0] + pair[1]) / 2
        else:
            height = np.minimum(*pair) if self.summation_method == "minoring" else np.maximum(*pair)
        return (x[:-1] - x[1:]) * height


def _pr_pieces(TP: Array, P: Array, FN: Array) -> Array:
    """Areas under a PR curve along which TP and P = TP + FP, not their quotient, are linear."""
    dTP, dP = TP[:-1] - TP[1:], P[:-1] - P[1:]
    slope = ratio(dTP, np.maximum(dP, 0))
    intercept = TP[1:] - slope * P[1:]
    both = (P[:-1] > 0) & (P[1:] > 0)
    quotient = np.where(both, ratio(P[:-1], np.maximum(P[1:], 0)), 1)
    return ratio(slope * (dTP + intercept * np.log(quotient)), np.maximum(TP[1:] + FN[1:], 0))


def _aligned(y: Array, p: Array, weight: Array | None) -> tuple[Array, Array, Array | None]:
    """y, p and the weights in one shape."""
    p, y = same_rank(p, y)
    if p.shape != y.shape:
        raise ValueError(wording("y_pred", f"of the shape of y_true, {y.shape}", p.shape))
    if weight is not None:
        weight = weight[..., None]
        if weight.ndim == p.ndim + 1:
            weight = weight[..., 0]
        weight = weights_for(weight, p.shape).astype(np.float64)
    return y, p, weight


def _column(y: Array, p: Array, weight: Array | None) -> tuple[Array, Array, Array | None]:
    """All outputs below each other, (N, 1)."""
    return y.reshape(-1, 1), p.reshape(-1, 1), None if weight is None else weight.reshape(-1, 1)
