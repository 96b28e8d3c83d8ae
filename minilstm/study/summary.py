"""From the records of points to rows, fits, paired differences, and the choice.

A row is one variant at one length, over its seeds. Everything here is arithmetic on records, so it can
be tested on numbers made by hand. What it means in words is the business of `words`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, median, stdev
from typing import Any

import numpy as np

from minilstm.study.plan import DIMENSIONS, Settings, Variant
from minilstm.study.point import METRICS, Record
from minilstm.study.statistics import line, student, t_quantile

Row = dict[str, Any]

MEDIANS = ("seconds_per_epoch", "ms_per_step", "ms_low", "ms_high")
STRAIGHT = 0.9  # R^2 below which a line through the times says nothing
RESOLUTION = 1 / 20  # of the best length's gain over the baseline: what a choice should tell apart
MEANS = (
    *("baseline", "validation_baseline", "tape_bytes", "data_bytes"),
    *("cut_share", "sequences_cut_share", "padding_share", "clipped_share"),
)


def variant_of(row: Row | Record) -> Variant:
    """The variant that a row or a record belongs to."""
    return tuple(row[name] for name in DIMENSIONS)


def make_rows(records: Iterable[Record], settings: Settings) -> list[Row]:
    """One row per length and variant: sorted by length, then in the order of the plan."""
    order = {variant: k for k, variant in enumerate(settings.variants)}
    groups: dict[tuple[int, int], list[Record]] = {}
    for record in records:
        groups.setdefault((record["length"], order[variant_of(record)]), []).append(record)
    made = [_row(sorted(groups[key], key=lambda r: r["seed"]), settings) for key in sorted(groups)]
    for variant in order:
        _compare([row for row in made if variant_of(row) == variant], records, settings.metric)
    return made


def _row(group: Sequence[Record], settings: Settings) -> Row:
    """Means over seeds; the metrics over those that did not diverge.

    The interval reaches from the lowest to the highest end of the seeds' own intervals, so it covers
    both the chance of the test set and that of training. The standard error of the validation metric is
    that of the validation set and that between seeds, added in quadrature. `no_better` counts the seeds
    whose interval does not exclude the baseline.
    """
    first = group[0]
    row: Row = {"length": first["length"], "seeds": len(group)} | {name: first[name] for name in DIMENSIONS}
    row["label"] = settings.label(variant_of(first))
    row["baseline_name"] = first.get("baseline_name")
    row["diverged"] = sum(record["diverged"] is not None for record in group)
    row["no_better"] = sum(_no_better(record, settings.metric) for record in group)
    row |= {name: _over(fmean, group, name) for name in (*METRICS, *MEANS)}
    row |= {name: _over(median, group, name) for name in MEDIANS}
    row["test_low"] = min(values(group, "test_low"), default=None)
    row["test_high"] = max(values(group, "test_high"), default=None)
    tests, validations = values(group, "test_metric"), values(group, "validation_metric")
    row["test_spread"] = max(tests) - min(tests) if len(tests) > 1 else None
    row["validation_chance"] = row["validation_error"]
    row["late_learners"] = sum(_learned_late(record, settings) for record in group)
    row["late_gain"] = _late_gain(group, settings)
    if len(validations) > 1 and row["validation_error"] is not None:
        between = stdev(validations) / math.sqrt(len(validations))
        row["validation_error"] = math.hypot(row["validation_error"], between)
    for when in ("before", "after"):
        probes = [record[when] for record in group]
        row[f"horizon_{when}"] = _over(median, probes, "horizon")
        row[f"first_norm_{when}"] = _over(median, probes, "first_norm")
        row[f"underflow_{when}"] = max(probe["status"].get("underflow", 0) for probe in probes)
    return row


def _late_gain(group: Sequence[Record], settings: Settings) -> float | None:
    """By how much the validation metric is better in the last quarter of the epochs than in that before.

    A model that stopped because it had become no better gains nothing.
    """
    metric, gains = settings.metric, []
    for record in group:
        curve = record["curves"].get("val_loss" if metric == "MSE" else "val_accuracy", [])
        if stopped(record, settings):
            gains.append(0.0)
            continue
        quarter = max(1, len(curve) // 4)
        late, early = curve[-quarter:], curve[-2 * quarter : -quarter]
        if early and None not in (*late, *early):
            gains.append(fmean(late) - fmean(early))
    return (-fmean(gains) if metric == "MSE" else fmean(gains)) if gains else None


def stopped(record: Record, settings: Settings) -> bool:
    """Whether training ended before the last epoch because the model had learned."""
    return record["diverged"] is None and len(record["curves"].get("loss", [])) < settings.epochs


def _learned_late(record: Record, settings: Settings) -> bool:
    """Whether a model that learned was half-way from baseline to end only after half of the epochs."""
    metric = settings.metric
    curve = record["curves"].get("val_loss" if metric == "MSE" else "val_accuracy", [])
    if not curve or curve[-1] is None or record["diverged"] is not None or _no_better(record, metric):
        return False
    half = (record["validation_baseline"] + curve[-1]) / 2
    there = [value is not None and (value <= half if metric == "MSE" else value >= half) for value in curve]
    return there.index(True) >= settings.epochs / 2 if True in there else False


def learned(row: Row) -> int:
    """How many seeds did better than the baseline."""
    return int(row["seeds"] - row["no_better"] - row["diverged"])


def _no_better(record: Record, metric: str) -> bool:
    end = record["test_high" if metric == "MSE" else "test_low"]
    if end is None:
        return record["diverged"] is None
    return bool(end >= record["baseline"] if metric == "MSE" else end <= record["baseline"])


def values(group: Sequence[Record], name: str) -> list[float]:
    """The numbers that exist among the records' `name`."""
    return [record[name] for record in group if record.get(name) is not None]


def _over(how: Callable[[list[float]], float], group: Sequence[Record], name: str) -> float | None:
    found = values(group, name)
    return float(how(found)) if found else None


# ------------------------------------------------------------ pairs on the same seeds


def _compare(rows: Sequence[Row], records: Iterable[Record], metric: str) -> None:
    """Into each row of one variant: its test metric minus that of the variant's best length, seed by seed.

    The seeds of a study start from the same weights at every length, so their differences vary less than
    the values do. The interval is Student's t over the seeds: it needs two.
    """
    sign = -1.0 if metric == "MSE" else 1.0
    able = [row for row in rows if row["validation_metric"] is not None]
    best = max(able, key=lambda row: (sign * row["validation_metric"], -row["length"]), default=None)
    own = {
        (r["length"], r["seed"]): r["test_metric"]
        for r in records
        if rows and variant_of(r) == variant_of(rows[0])
    }
    for row in rows:
        row |= dict.fromkeys(("difference", "difference_low", "difference_high"))
        row["compared_with"] = None if best is None else best["length"]
        if best is None or row is best:
            continue
        pairs = [
            (own[row["length"], seed], own.get((best["length"], seed)))
            for T, seed in own
            if row["length"] == T
        ]
        found = [a - b for a, b in pairs if a is not None and b is not None]
        if found:
            row["difference"] = fmean(found)
        if len(found) > 1:
            ends = np.clip(
                student(np.array(found)), *((-1, 1) if metric == "accuracy" else (-np.inf, np.inf))
            )
            row["difference_low"], row["difference_high"] = ends.tolist()


# ------------------------------------------------------------ cost


def linear_fit(rows: Sequence[Row], name: str) -> dict[str, float | None] | None:
    """a + b T through `name` against length, and the exponent p of c T**p; None from fewer than two lengths.

    Both by least squares, the exponent on logarithms, with the interval of its slope (Student's t, from
    three lengths on).
    """
    points = [(row["length"], row[name]) for row in rows if row[name] is not None]
    if len({length for length, _ in points}) < 2:
        return None
    fit = line(*zip(*points, strict=True))
    found: dict[str, float | None] = {
        "intercept": fit.intercept,
        "slope": fit.slope,
        "r_squared": fit.r_squared,
    }
    found |= dict.fromkeys(("exponent", "exponent_low", "exponent_high"))
    if all(value > 0 for _, value in points):
        power = line(*zip(*((math.log(T), math.log(value)) for T, value in points), strict=True))
        found["exponent"] = power.slope
        if len(points) > 2:
            half = t_quantile(len(points) - 2) * power.slope_error
            found["exponent_low"], found["exponent_high"] = power.slope - half, power.slope + half
    return found


def is_straight(fit: Mapping[str, float | None]) -> bool:
    """Whether the line may be shown: the points lie on it, and it does not fall, as no cost does.

    >>> is_straight({"slope": 1.0, "r_squared": 0.99}), is_straight({"slope": -1.0, "r_squared": 1.0})
    (True, False)
    """
    return (fit["r_squared"] or 0.0) >= STRAIGHT and (fit["slope"] or 0.0) >= 0


# ------------------------------------------------------------ choice


def beats_baseline(row: Row, metric: str) -> bool:
    """Whether the validation metric is better than the baseline's by more than two standard errors."""
    if row["validation_metric"] is None:
        return False
    gain = row["validation_metric"] - row["validation_baseline"]
    return bool((-gain if metric == "MSE" else gain) > 2 * (row["validation_error"] or 0.0))


def choose(rows: Sequence[Row], metric: str) -> tuple[Row, Row] | None:
    """(chosen, best) by the one-standard-error rule on the validation part; None if nothing was learned.

    The best row has the best mean validation metric; the chosen one is the shortest of the same variant
    whose mean is within one standard error of it. Rows of which a seed diverged are out, and so is the
    control. Source: Breiman et al., Classification and Regression Trees, 1984, section 3.4.3.
    """
    sign = -1.0 if metric == "MSE" else 1.0
    able = [
        row for row in rows if not row["diverged"] and not row["shuffled"] and beats_baseline(row, metric)
    ]
    if not able:
        return None
    best = max(able, key=lambda row: (sign * row["validation_metric"], row["mask"], -row["length"]))
    limit = sign * best["validation_metric"] - (best["validation_error"] or 0.0)
    same = [row for row in able if variant_of(row) == variant_of(best)]
    near = [row for row in same if sign * row["validation_metric"] >= limit]
    return min(near, key=lambda row: row["length"]), best


def too_few(best: Row, size: int) -> int | None:
    """How many validation sequences would be enough to choose by; None where the `size` there are is.

    They are too few where one standard error of the best length's metric, by the chance of the sequences
    alone, is more than `RESOLUTION` of what it gains over the baseline.
    """
    wanted = RESOLUTION * abs(best["validation_metric"] - best["validation_baseline"])
    ratio = (best["validation_chance"] or 0.0) / wanted
    return math.ceil(size * ratio**2) if ratio > 1 else None
