"""Series into windows and the value that follows each: a data set for forecasting.

All lengths that are studied see the same targets: a window has as many steps as the longest, and a shorter
length keeps its end. The parts follow each other in time, unless asked otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minilstm.datasets.bad_rows import LARGEST
from minilstm.datasets.base import Baseline, Dataset, Split, fingerprint
from minilstm.datasets.exact import EXPECTED, rounded
from minilstm.datasets.leaks import last_alone
from minilstm.datasets.markers import missing_markers
from minilstm.datasets.splits import WAYS, Indices, parts_by_group, three_parts
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import instance, listed, one_of, whole_number, wording
from minilstm.sequences.windows import sliding_windows

__all__ = ["from_series"]

SHARES = (0.7, 0.1)  # of train and validation; test has the rest
FEWEST = 10  # windows that can be split
LONGEST_SEASON = 2_000  # steps
ALIKE = 0.01  # share of the target's variance by which two seasons may differ and be as good


def from_series(
    series: ArrayLike | Sequence[ArrayLike],
    *,
    steps: int,
    horizon: int = 1,
    target: int = 0,
    split: str = "time",
    seed: int = 0,
    name: str = "data",
    source: str = "given from Python",
    columns: Sequence[str] | None = None,
    bad_rows: str = "refuse",
) -> Dataset:
    """Windows of `steps` steps over one series or several, each with the target `horizon` steps after it.

    Parameters
    ----------
    series : one array (L,) or (L, D) of numbers, or a list of them with the same D
    steps : of a window: the longest length that will be studied
    horizon : steps from the end of a window to its target, at least 1
    target : which of the D columns is forecast; its past is an input, as all columns are
    split : "time": of each series the first 70 % of the targets are for training, the last 20 % for the test,
        with horizon - 1 targets left out between the parts; "group": whole series; "random": windows, whose
        neighbours then stand in other parts
    seed : of the splits "group" and "random"
    name, source : for the report;  columns : names of the D columns
    bad_rows : "refuse" a step that is NaN or infinite, or "skip": leave out windows and targets with such

    Inputs and targets are standardised with the mean and standard deviation of the training part. Baselines
    are the last value that is known, and the value one season before the target, where the season is the lag
    with the least error in the training part.

    Raises ValueError or TypeError that names the argument.

    >>> data = from_series(np.sin(np.arange(300) * 2 * np.pi / 12), steps=24, horizon=3)
    >>> data.train, data.test.y.shape
    (Split(191 sequences of 24 to 24 steps), (53, 1))
    >>> [(rule.name, round(rule.test, 2)) for rule in data.baselines]
    [('the last value', 1.99), ('the value 12 steps before', 0.0)]
    """
    steps, horizon = whole_number("steps", steps), whole_number("horizon", horizon)
    target, seed = whole_number("target", target, 0), whole_number("seed", seed, 0, wide=True)
    instance("name", name, str, "a text"), instance("source", source, str, "a text")
    columns = None if columns is None else listed("columns", "a list of names", columns)
    one_of("split", split, WAYS)
    skip = one_of("bad_rows", bad_rows, ("refuse", "skip")) == "skip"
    given = _series(series, steps + horizon, target, skip)
    if columns is not None and len(columns) != given[0].shape[1]:
        raise ValueError(
            wording("columns", f"{given[0].shape[1]} names, as series has columns", len(columns))
        )
    goals = [one[:, target] for one in given]
    ends = [_ends(one, steps, horizon) for one in given]
    bad = sum(int((~_usable(one)).sum()) for one in given)
    possible = sum(len(one) - horizon - steps + 1 for one in given)
    owner = np.repeat(np.arange(len(given)), [len(own) for own in ends])
    parts = _parts(owner, horizon, split, seed)
    ahead = np.concatenate(ends) + horizon
    y = np.concatenate([goal[own + horizon] for goal, own in zip(goals, ends, strict=True)])
    known = np.concatenate([one[own] for one, own in zip(given, ends, strict=True)])[parts[0]]
    mean, std = known.mean(axis=0), known.std(axis=0)  # (D,)
    std[std == 0] = 1
    center, scale = float(y[parts[0]].mean()), float(y[parts[0]].std())
    if scale == 0:
        raise ValueError(
            wording("series", "with a target that changes in the training part", f"{center:g} alone")
        )
    inputs = [((one - mean) / std).astype(np.float32) for one in given]
    windows = [
        window
        for one, own in zip(inputs, ends, strict=True)
        for window in sliding_windows(one, None, steps)[0][own - steps + 1]
    ]
    aims = ((y - center) / scale).astype(np.float32)[:, None]
    splits = [Split([windows[k] for k in part], aims[part]) for part in parts]
    baselines = _baselines(goals, owner, ahead, parts, horizon, scale)
    column = columns[target] if columns else ""
    note = f", standardised with the training part's mean {center:g} and standard deviation {scale:g}"
    rules = ", ".join(f"{rule.name} (test MSE {rule.test:.3g})" for rule in baselines)
    return Dataset(
        name=name,
        train=splits[0],
        validation=splits[1],
        test=splits[2],
        task="regression",
        classes=None,
        features=given[0].shape[1],
        description=_description(given, steps, horizon, split, seed, column)
        + f"{note}; baselines: {rules}"
        + (f"; left out: {_lost(bad, possible - len(owner), possible)}." if bad else "."),
        source=source,
        checksum=fingerprint([Split(inputs, aims), *(Split([], part) for part in parts)]),
        remarks=tuple(missing_markers(np.concatenate(given), columns)),
        horizon=horizon,
        baselines=baselines,
        preparation={"mean": mean, "std": std, "y_mean": np.array(center), "y_std": np.array(scale)},
        alone=last_alone(splits[0], splits[2], target, columns, min(rule.test for rule in baselines)),
    )


def _lost(bad: int, windows: int, possible: int) -> str:
    steps = f"{bad:,} bad step{'s' if bad > 1 else ''}"
    return f"{steps}, and {windows:,} of {possible:,} windows, which hold such a step or are to forecast one"


def _usable(one: Array) -> Array:
    """(L,): at which steps all columns are finite, and not so large that their squares are not."""
    return np.asarray((np.abs(one) <= LARGEST).all(axis=1))


def _ends(one: Array, steps: int, horizon: int) -> Array:
    """The last step of each window of which all steps and the target are finite."""
    ends: Array = np.arange(steps - 1, len(one) - horizon)
    bad: Array = np.concatenate([[0], np.cumsum(~_usable(one))])
    usable: Array = (bad[ends + 1] == bad[ends + 1 - steps]) & _usable(one)[ends + horizon]
    return np.asarray(ends[usable])


def _series(series: Any, fewest: int, target: int, skip: bool) -> list[Array]:
    """Each series as (L, D) float64, long enough, and finite unless bad steps are to be left out (`skip`)."""
    several = isinstance(series, (list, tuple)) and len(series) > 0 and np.ndim(series[0]) > 0
    found: list[Array] = []
    for k, one in enumerate(series if several else [series]):
        array = np.asarray(one)
        if array.dtype.kind not in "fiub" or array.ndim not in (1, 2):
            got = f"dtype {array.dtype}, shape {array.shape} in series {k}"
            raise TypeError(wording("series", "numbers of shape (L,) or (L, D)", got))
        if array.size == 0:
            raise ValueError(wording("series", "of at least one step", f"shape {array.shape}"))
        with np.errstate(invalid="ignore"):  # a signalling NaN is refused below, as any other
            array = array.astype(np.float64).reshape(len(array), -1)
        if (whole := rounded(one, array)) is not None:
            raise ValueError(wording("series", EXPECTED, f"{whole} in series {k}"))
        if not skip and not _usable(array).all():
            step = int(np.argmin(_usable(array)))
            largest = np.abs(array[step]).max()
            expected, got = "finite numbers", "NaN or Inf"
            if np.isfinite(largest):
                expected, got = f"numbers up to {LARGEST:g} in size", f"{largest:g}"
            raise ValueError(wording("series", expected, f"{got} in series {k}, step {step}"))
        if len(array) < fewest:
            expected = f"at least {fewest} steps long, for one window and its target"
            raise ValueError(wording("series", expected, f"{len(array)} in series {k}"))
        if found and array.shape[1] != found[0].shape[1]:
            expected = f"of {found[0].shape[1]} columns, as the first"
            raise ValueError(wording("series", expected, f"{array.shape[1]} in series {k}"))
        found.append(array)
    if target >= found[0].shape[1]:
        raise ValueError(wording("target", f"a column from 0 to {found[0].shape[1] - 1}", target))
    return found


def _parts(owner: Array, horizon: int, split: str, seed: int) -> list[Indices]:
    """Indices of the windows of train, validation and test."""
    n = len(owner)
    if n < FEWEST:
        raise ValueError(wording("series", f"long enough for {FEWEST} windows", f"{n}"))
    sizes = (int(SHARES[0] * n), max(1, round(SHARES[1] * n)))
    if split == "group":
        return parts_by_group(owner.tolist(), sizes, seed)
    if split == "random":
        return three_parts(None, n, sizes, seed)
    parts: list[list[Array]] = [[], [], []]
    for one in np.unique(owner):
        own, gap = np.flatnonzero(owner == one), horizon - 1
        a, b = int(SHARES[0] * len(own)), round((SHARES[0] + SHARES[1]) * len(own))
        for part, cut in zip(parts, (own[:a], own[a + gap : b], own[b + gap :]), strict=True):
            part.append(cut)
    found = [np.concatenate(part) for part in parts]
    if not all(len(part) for part in found):
        expected = "long enough for three parts in time"
        raise ValueError(wording("series", expected, f"{n} windows, at a horizon of {horizon}"))
    return found


def _baselines(
    goals: list[Array], owner: Array, ahead: Array, parts: list[Indices], horizon: int, scale: float
) -> tuple[Baseline, ...]:
    """What the last value and the last season reach; `ahead` is the step of each target in its series."""
    rules = {"the last value": horizon}
    season = _season(goals, [ahead[parts[0]][owner[parts[0]] == k] for k in range(len(goals))], horizon)
    if season is not None:
        rules[f"the value {season} steps before"] = season
    y = np.array([goals[k][t] for k, t in zip(owner, ahead, strict=True)])
    found = []
    for rule, lag in rules.items():
        guess = np.array([_before(goals[k], t, lag, horizon) for k, t in zip(owner, ahead, strict=True)])
        errors = ((guess - y) / scale) ** 2
        found.append(Baseline(rule, float(errors[parts[1]].mean()), float(errors[parts[2]].mean())))
    return tuple(found)


def _before(goal: Array, step: int, lag: int, horizon: int) -> float:
    """The value `lag` steps before; the last that is known where there is none."""
    value = goal[step - lag] if step >= lag else np.nan
    return float(value if np.isfinite(value) else goal[step - horizon])


def _season(goals: list[Array], training: list[Array], horizon: int) -> int | None:
    """The lag above the horizon by which the past is the best forecast of the training targets.

    Of lags that are about as good, the shortest: a season's double is one too.
    """
    longest = min(LONGEST_SEASON, max(int(own.max()) if len(own) else 0 for own in training) // 2)
    lags = range(horizon + 1, longest + 1)
    errors = []
    for lag in lags:
        pairs = [
            (goal[own[own >= lag]], goal[own[own >= lag] - lag])
            for goal, own in zip(goals, training, strict=True)
        ]
        squares = np.square(np.concatenate([now - then for now, then in pairs]))
        errors.append(float(squares[np.isfinite(squares)].mean()) if np.isfinite(squares).any() else np.inf)
    if not errors:
        return None
    room = ALIKE * float(
        np.var(np.concatenate([goal[own] for goal, own in zip(goals, training, strict=True)]))
    )
    return next(lag for lag, error in zip(lags, errors, strict=True) if error <= min(errors) + room)


def _description(given: list[Array], steps: int, horizon: int, split: str, seed: int, column: str) -> str:
    lengths = sorted(len(one) for one in given)
    series = (
        f"{len(given):,} series of {lengths[0]:,} to {lengths[-1]:,} steps"
        if len(given) > 1
        else (f"a series of {lengths[0]:,} steps")
    )
    D = given[0].shape[1]
    how = {
        "time": f"split by time: the latest{' of each' if len(given) > 1 else ''} are tested",
        "group": f"split by whole series from seed {seed}",
        "random": f"split at random from seed {seed}: windows that overlap stand in different parts, so the "
        "test is too good",
    }[split]
    return (
        f"windows of up to {steps} steps with {D} feature{'s' if D > 1 else ''} over {series}; "
        f"forecasting{f' {column!r}' if column else ''} {horizon} step{'s' if horizon > 1 else ''} ahead, "
        f"{how}; target"
    )
