"""The metrics that compile was given: checked, and bound to the shapes of targets and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import nearest, shown, wording
from minilstm.metrics.base import Metric
from minilstm.metrics.known import BY_SHAPE, KNOWN, NAMES, get


class Weighted:
    """A metric of compile's `weighted_metrics`: its rows count by the sample weights, under `name`."""

    def __init__(self, metric: str | Metric, name: str) -> None:
        (self.metric,), self.name = check([metric]), name


Identifier = str | Metric | Weighted


@dataclass(frozen=True)
class Bound:
    """A metric under the name that the logs have, for one kind of targets.

    `metric.sparse` says that targets are labels, one per row; None that they are as the loss has them;
    otherwise they have the outputs' shape. Made by `resolve`.

    >>> bound = resolve("acc", (3,), (3, 1))
    >>> sums = bound.count(np.array([0, 1, 1]), np.array([[0.2], [0.9], [0.5]]))
    >>> bound.name, sums.tolist(), round(bound.value(sums), 4)
    ('acc', [2.0, 3.0], 0.6667)
    """

    name: str
    metric: Metric
    weighted: bool = False

    def count(
        self, y: Array, p: Array, mask: NDArray[np.bool_] | None = None, weight: Array | None = None
    ) -> Array:
        """What the rows that count add to the sums.

        `p` is (B, C) or (B, T, C), `mask` (B, T), True = real step, `weight` (B,) or (B, T). `y` has one
        label per row or the shape of `p`; a last axis of 1 may be missing or surplus.

        >>> resolve("mse", (2,), (2, 1)).count(np.array([1.0, 2.0]), np.array([[0.0], [0.0]])).tolist()
        [5.0, 2.0]
        """
        if self.metric.sparse is not None:
            y = y.reshape(p.shape[:-1] if self.metric.sparse else p.shape)
        real = np.ones(p.shape[:-1], bool) if mask is None else mask
        if not real.any():
            return self.metric.empty()
        weights = weight[real] if self.weighted and weight is not None else None
        with np.errstate(all="ignore"):  # diverged outputs: the loss reports them
            return self.metric.counted(y[real], p[real].astype(np.float64), weights)

    def add(
        self,
        before: Array | None,
        y: Array,
        p: Array,
        mask: NDArray[np.bool_] | None = None,
        weight: Array | None = None,
    ) -> Array:
        """The sums after one more batch, `before` those up to it: as `count`."""
        if self.metric.keeps_own:
            if mask is not None:
                y, p = y[mask], p[mask]
                weight = None if weight is None else weight[mask]
            weights = weight if self.weighted else None
            return self.metric.gone_on(before, y, p.astype(np.float64), weights)
        found = self.count(y, p, mask, weight)
        return found if before is None else before + found

    def value(self, sums: Array) -> float:
        """The metric of these sums; ValueError where one of the user's own is not one number."""
        with np.errstate(all="ignore"):
            own = self.metric.keeps_own
            found = self.metric.own_result(sums) if own else self.metric.value(sums)
        try:
            return float(np.asarray(found).item())
        except (TypeError, ValueError):
            shape = f" of shape {found.shape}" if isinstance(found, np.ndarray) else ""
            expected = "one number for the logs"
            text = wording(f"result of the metric {self.name!r}", expected, f"{type(found).__name__}{shape}")
            raise ValueError(text) from None


def direction(name: str, identifiers: tuple[Identifier, ...] = ()) -> str | None:
    """Whether a smaller ("min") or a larger ("max") value of the loss or a metric is better; None: unknown.

    `identifiers` are the metrics of the model, which may have names of their own.

    >>> direction("loss"), direction("accuracy"), direction("f1")
    ('min', 'max', None)
    """
    if name in ("loss", "loss_per_step"):
        return "min"
    for identifier in identifiers:
        if name_of(identifier) == name:
            one = identifier.metric if isinstance(identifier, Weighted) else identifier
            if not isinstance(one, str):
                return one.direction
            name = one
    known = BY_SHAPE[name][0] if name in BY_SHAPE else NAMES.get(name)
    return None if known is None else known.direction


def name_of(identifier: Identifier) -> str:
    """What the logs call it."""
    return identifier if isinstance(identifier, str) else identifier.name


def resolve(identifier: Identifier, y_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> Bound:
    """The metric of that name for the user's targets of `y_shape` and outputs of `output_shape`.

    "accuracy" and "acc" stand for binary accuracy where the outputs' last axis is 1; else for sparse
    categorical accuracy where the targets have fewer axes than the outputs or a last axis of 1; else for
    categorical accuracy; "crossentropy" and "ce" likewise.
    Raises ValueError for an unknown name, or targets that the metric cannot compare with the outputs.
    Source: `keras/src/trainers/compile_utils.py`, `get_metric`.

    >>> resolve("accuracy", (3,), (3, 4)).metric.sparse, resolve("accuracy", (3, 4), (3, 4)).metric.sparse
    (True, False)
    """
    (identifier,) = check([identifier])
    name = name_of(identifier)
    one = identifier.metric if isinstance(identifier, Weighted) else identifier
    if isinstance(one, str) and one in BY_SHAPE:
        binary, labels, rows = BY_SHAPE[one]
        if output_shape[-1] == 1:
            metric: Metric = binary()
        else:
            metric = labels() if len(y_shape) < len(output_shape) or y_shape[-1] == 1 else rows()
    else:
        metric = NAMES[one]() if isinstance(one, str) else one
    _check_one_number(name, metric, output_shape[-1])
    expected = output_shape[:-1] if metric.sparse else output_shape
    fits = y_shape == expected or y_shape == (*expected, 1) or (*y_shape, 1) == expected
    if metric.sparse is not None and not fits:
        text = f"of shape {expected} for the metric {name!r} and outputs of shape {output_shape}"
        raise ValueError(wording("y", text, f"shape {y_shape}"))
    return Bound(name, metric, isinstance(identifier, Weighted))


def stand_in(identifier: Identifier) -> Bound:
    """The metric of that name for targets that are not known: for the value of sums alone.

    >>> stand_in("accuracy").value(np.array([1.0, 2.0]))
    0.5
    """
    one = identifier.metric if isinstance(identifier, Weighted) else identifier
    if isinstance(one, str):
        one = BY_SHAPE[one][0]() if one in BY_SHAPE else NAMES[one]()
    return Bound(name_of(identifier), one)


def check(identifiers: Any) -> tuple[Any, ...]:
    """The names and objects in `metrics=`, each known and no name twice; None gives none.

    Raises ValueError for a bare string or anything else that is not a list or tuple, for an unknown name and
    for a name that comes twice (Keras numbers those). Source: `keras/src/trainers/compile_utils.py`.

    >>> check(["accuracy"])
    ('accuracy',)
    >>> check("accuracy")
    Traceback (most recent call last):
        ...
    ValueError: metrics must be a list or tuple of names, got 'accuracy'
    """
    if identifiers is None:
        return ()
    if not isinstance(identifiers, (list, tuple)):
        raise ValueError(wording("metrics", "a list or tuple of names", shown(identifiers)))
    names: list[str] = []
    found: list[Identifier] = []
    for identifier in identifiers:
        if isinstance(identifier, str) and identifier not in KNOWN:
            text = wording("metrics", f"of the names {', '.join(KNOWN)}", shown(identifier))
            raise ValueError(text + nearest(identifier, KNOWN))
        if not isinstance(identifier, (str, Weighted)):
            if not callable(identifier):
                expected = f"of the names {', '.join(KNOWN)}, of metrics and functions"
                raise ValueError(wording("metrics", expected, shown(identifier)))
            identifier = get(identifier)
        names.append(name_of(identifier))
        found.append(identifier)
        if names[-1] in names[:-1]:
            raise ValueError(wording("metrics", "different names", f"{names[-1]!r} twice"))
    return tuple(found)


def check_both(
    plain: Any, weighted: Sequence[Any] | None, width: int | None = None
) -> tuple[Identifier, ...]:
    """`metrics=` and `weighted_metrics=`; of two with one name the weighted one is "weighted_" and that.

    `width` is the size of the outputs' last axis, None where it is not known yet. Raises as `check` does,
    and for a metric whose result is more than one number.
    """
    found, own = check(plain), check(weighted)
    for one in (*found, *own):
        if isinstance(one, Metric):
            _check_one_number(one.name, one, width)
    taken = {name_of(one) for one in found}
    names = ((one, name_of(one)) for one in own)
    return check(
        [*found, *(Weighted(one, f"weighted_{name}" if name in taken else name) for one, name in names)]
    )


def _check_one_number(name: str, metric: Metric, width: int | None) -> None:
    count = metric.results(width)
    if count != 1:
        expected = f"{metric.way_to_one} in fit, whose logs have one number for each"
        raise ValueError(wording(f"metric {name!r}", expected, f"one of {count} numbers"))
