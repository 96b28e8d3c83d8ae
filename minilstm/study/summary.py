"""From the records of cells to rows, a linear fit, and one sentence.

A row is one length with or without a mask, over its seeds. Everything here is arithmetic on records,
so it can be tested on numbers made by hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean, median, stdev
from typing import Any

from minilstm.study.cell import METRICS, Record
from minilstm.study.plan import Cell, Settings

Row = dict[str, Any]

MEDIANS = ("seconds_per_epoch", "ms_per_step")
MEANS = ("baseline", "validation_baseline", "tape_bytes", "cut_share", "padding_share", "clipped_share")


def make_rows(records: Iterable[Record], metric: str) -> list[Row]:
    """One row per (length, mask), sorted by length, with the mask first."""
    groups: dict[tuple[int, bool], list[Record]] = {}
    for record in sorted(records, key=lambda r: (r["length"], not r["mask"], r["seed"])):
        groups.setdefault((record["length"], record["mask"]), []).append(record)
    return [_row(group, metric) for group in groups.values()]


def _row(group: Sequence[Record], metric: str) -> Row:
    """Means over seeds; the metrics over those that did not diverge.

    The interval reaches from the lowest to the highest end of the seeds' own intervals, so it covers
    both the chance of the test set and that of training. The standard error of the validation metric is
    that of the validation set and that between seeds, added in quadrature. `no_better` counts the seeds
    whose interval does not exclude the baseline.
    """
    row: Row = {"length": group[0]["length"], "mask": group[0]["mask"], "seeds": len(group)}
    row["diverged"] = sum(record["diverged"] is not None for record in group)
    row["no_better"] = sum(_no_better(record, metric) for record in group)
    row |= {name: _over(fmean, group, name) for name in (*METRICS, *MEANS)}
    row |= {name: _over(median, group, name) for name in MEDIANS}
    row["test_low"] = min(_values(group, "test_low"), default=None)
    row["test_high"] = max(_values(group, "test_high"), default=None)
    validations = _values(group, "validation_metric")
    if len(validations) > 1 and row["validation_error"] is not None:
        between = stdev(validations) / math.sqrt(len(validations))
        row["validation_error"] = math.hypot(row["validation_error"], between)
    for when in ("before", "after"):
        probes = [record[when] for record in group]
        row[f"horizon_{when}"] = _over(median, probes, "horizon")
        row[f"first_norm_{when}"] = _over(median, probes, "first_norm")
        row[f"underflow_{when}"] = max(probe["status"].get("underflow", 0) for probe in probes)
    return row


def _no_better(record: Record, metric: str) -> bool:
    end = record["test_high" if metric == "MSE" else "test_low"]
    if end is None:
        return record["diverged"] is None
    return bool(end >= record["baseline"] if metric == "MSE" else end <= record["baseline"])


def _values(group: Sequence[Record], name: str) -> list[float]:
    return [record[name] for record in group if record[name] is not None]


def _over(how: Callable[[list[float]], float], group: Sequence[Record], name: str) -> float | None:
    values = _values(group, name)
    return float(how(values)) if values else None


# ------------------------------------------------------------ cost


def linear_fit(rows: Sequence[Row], name: str) -> dict[str, float] | None:
    """a + b T through `name` against length (least squares); None from fewer than two lengths."""
    from scipy.stats import linregress

    points = [(row["length"], row[name]) for row in rows if row[name] is not None]
    if len({length for length, _ in points}) < 2:
        return None
    fit = linregress(*zip(*points, strict=True))
    return {"intercept": float(fit.intercept), "slope": float(fit.slope), "r_squared": float(fit.rvalue**2)}


# ------------------------------------------------------------ choice


def beats_baseline(row: Row, metric: str) -> bool:
    """Whether the validation metric is better than the baseline's by more than two standard errors."""
    if row["validation_metric"] is None:
        return False
    gain = row["validation_metric"] - row["validation_baseline"]
    return bool((-gain if metric == "MSE" else gain) > 2 * (row["validation_error"] or 0.0))


def choose(rows: Sequence[Row], metric: str) -> tuple[Row, Row] | None:
    """(chosen, best) by the one-standard-error rule on the validation part; None if nothing was learned.

    The best row has the best mean validation metric; the chosen one is the shortest, with or without
    a mask as the best, whose mean is within one standard error of it. Rows of which a seed diverged
    are out. Source: Breiman et al., Classification and Regression Trees, 1984, section 3.4.3.
    """
    sign = -1.0 if metric == "MSE" else 1.0
    able = [row for row in rows if not row["diverged"] and beats_baseline(row, metric)]
    if not able:
        return None
    best = max(able, key=lambda row: (sign * row["validation_metric"], row["mask"], -row["length"]))
    limit = sign * best["validation_metric"] - (best["validation_error"] or 0.0)
    near = [r for r in able if r["mask"] == best["mask"] and sign * r["validation_metric"] >= limit]
    return min(near, key=lambda row: row["length"]), best


# ------------------------------------------------------------ the sentence


def conclude(rows: Sequence[Row], settings: Settings) -> str:
    """What the study says, in a sentence or two."""
    metric = settings.metric
    if not rows:
        return "No cell is finished."
    if settings.task != "digits":
        return _reach(rows, metric, settings.task)
    chosen = choose(rows, metric)
    if chosen is None:
        return _nothing(rows, metric)
    return " ".join(filter(None, [_enough(rows, *chosen, metric), _contrast(rows, metric)]))


def _nothing(rows: Sequence[Row], metric: str) -> str:
    diverged, cells = sum(row["diverged"] for row in rows), sum(row["seeds"] for row in rows)
    text = f"No length is recommended: none beats {_baseline_words(rows[0], metric)}"
    return text + (f"; {diverged} of {cells} models diverged." if diverged else ".")


def _baseline_words(row: Row, metric: str) -> str:
    what = "always answering the mean" if metric == "MSE" else "always answering the commonest class"
    return f"the {number(row['baseline'], metric)} of {what}"


def _enough(rows: Sequence[Row], chosen: Row, best: Row, metric: str) -> str:
    masks = {row["mask"] for row in rows}
    how = (" with a mask" if chosen["mask"] else " without a mask") if len(masks) == 2 else ""
    result = f"test {metric} {with_interval(chosen, metric)}{how}"
    if len({row["length"] for row in rows}) == 1:
        return f"Length {chosen['length']} is the only one studied: {result}."
    if chosen is best:
        longer = any(row["length"] > best["length"] for row in rows)
        other = "no shorter length" if longer else "no shorter one"
        return f"Length {best['length']} is best: {result}; {other} comes within one standard error."
    return (
        f"Length {chosen['length']} is enough: {result}, within one standard error of length "
        f"{best['length']}'s on the validation part{_cost_words(chosen, best)}."
    )


def _cost_words(chosen: Row, best: Row) -> str:
    if not chosen["ms_per_step"] or not best["ms_per_step"]:
        return ""
    return f", at {chosen['ms_per_step'] / best['ms_per_step']:.2f} times its cost per step"


def _contrast(rows: Sequence[Row], metric: str) -> str:
    """The length at which masked and unmasked differ most, if their intervals do not overlap."""
    sign = -1.0 if metric == "MSE" else 1.0
    by_key = {(row["length"], row["mask"]): row for row in rows if row["test_metric"] is not None}
    pairs = [(by_key[T, True], by_key[T, False]) for T, mask in by_key if mask and (T, False) in by_key]
    if not pairs:
        return ""
    masked, plain = max(pairs, key=lambda pair: abs(pair[0]["test_metric"] - pair[1]["test_metric"]))
    if masked["test_low"] <= plain["test_high"] and plain["test_low"] <= masked["test_high"]:
        return "The mask makes no difference that this test part could show."
    better, worse = sorted((masked, plain), key=lambda row: -sign * row["test_metric"])
    text = (
        f"{'Without' if worse is plain else 'With'} a mask, length {worse['length']} "
        f"{'rises' if metric == 'MSE' else 'falls'} to {with_interval(worse, metric)} "
        f"from {number(better['test_metric'], metric)}"
    )
    if not worse["no_better"]:
        return text + "."
    who = "" if worse["no_better"] == worse["seeds"] else f"{worse['no_better']} of {worse['seeds']} seeds "
    return f"{text}, {who}no better than {_baseline_words(worse, metric)}."


def _reach(rows: Sequence[Row], metric: str, task: str) -> str:
    """For a task whose difficulty is its length there is nothing to choose: how far was it learned?"""
    able = [row for row in rows if _learned(row)]
    if not able:
        return _nothing(rows, metric)
    whole = [row for row in able if _learned(row) == row["seeds"]]
    far = max(whole or able, key=lambda row: row["length"])
    reach = "up to" if whole else f"by {_seeds(far)} at"
    parts = [f"{task.capitalize()} is learned {reach} length {far['length']}"]
    parts.append(f": test {metric} {with_interval(far, metric)}")
    parts += [f"; by {_seeds(row)} at {row['length']}" for row in able if row is not far and row not in whole]
    failed = [row for row in rows if row not in able]
    if failed:
        parts.append(f"; not at {_list(row['length'] for row in failed)}, where")
        parts.append(f" {number(failed[-1]['test_metric'], metric)} is")
        parts.append(f" no better than {_baseline_words(failed[-1], metric)}")
    first, last = rows[0]["first_norm_before"], rows[-1]["first_norm_before"]
    if len(rows) > 1 and first and last is not None:
        parts.append(f". Before training, the gradient norm at the first step goes from {first:.1e}")
        parts.append(f" at length {rows[0]['length']} to {last:.1e} at {rows[-1]['length']}")
    return "".join(parts) + "."


def _learned(row: Row) -> int:
    """How many seeds did better than the baseline."""
    return int(row["seeds"] - row["no_better"] - row["diverged"])


def _seeds(row: Row) -> str:
    return f"{_learned(row)} of {row['seeds']} seeds"


def _list(values: Iterable[int]) -> str:
    words = [str(value) for value in values]
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def number(value: float | None, metric: str) -> str:
    """A metric for people to read; what does not exist is "diverged"."""
    if value is None:
        return "diverged"
    return f"{value:.3f}" if metric == "accuracy" else f"{value:.3g}"


def with_interval(row: Row, metric: str) -> str:
    """A row's test metric with its interval."""
    if row["test_low"] is None:
        return number(row["test_metric"], metric)
    low, high = (number(row[key], metric) for key in ("test_low", "test_high"))
    return f"{number(row['test_metric'], metric)} [{low}, {high}]"


def summarize(
    cells: dict[Cell, Record], config: dict[str, Any], settings: Settings, spent: dict[str, Any]
) -> dict[str, Any]:
    """What summary.json holds."""
    rows = make_rows(cells.values(), settings.metric)
    chosen = choose(rows, settings.metric) if settings.task == "digits" else None
    masks = sorted({row["mask"] for row in rows}, reverse=True)
    return {
        "conclusion": conclude(rows, settings),
        "recommended": None if chosen is None else {key: chosen[0][key] for key in ("length", "mask")},
        "metric": settings.metric,
        "complete": len(cells) == len(settings.cells()),
        "rows": rows,
        "cost": {
            "with mask" if mask else "without mask": {
                name: linear_fit([row for row in rows if row["mask"] == mask], name)
                for name in ("ms_per_step", "tape_bytes")
            }
            for mask in masks
        },
        "spent": spent,
        **config,
    }
