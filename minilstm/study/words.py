"""What a study says, in a few sentences: the recommendation, its cost, its risk, and the contrasts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from minilstm.datasets import Dataset
from minilstm.study.plan import DIMENSIONS, Settings, words_of
from minilstm.study.statistics import NORMAL, share_error
from minilstm.study.summary import (
    RESOLUTION,
    Row,
    choose,
    is_straight,
    learned,
    linear_fit,
    too_few,
    variant_of,
)

BARELY = 0.005  # shares below this are not worth a word


def conclude(rows: Sequence[Row], settings: Settings, size: int | None = None) -> str:
    """What the study says, in a few sentences; `size` is that of the validation part."""
    metric = settings.metric
    real = [row for row in rows if not row["shuffled"]]
    if not real:
        return "No model is finished."
    if not settings.padding:
        variants = dict.fromkeys(map(variant_of, real))
        said = [_reach([row for row in real if variant_of(row) == v], settings) for v in variants]
        return " ".join([*filter(None, said), *_control(rows, settings)])
    chosen = choose(real, metric)
    if chosen is None:
        return " ".join(filter(None, [_nothing(real, metric), _unfinished(real), *_control(rows, settings)]))
    contrasts = [_contrast(real, name, settings) for name in settings.varied if name != "shuffled"]
    same = [row for row in real if variant_of(row) == variant_of(chosen[0])]
    doubts = _doubts(*chosen, settings, size)
    parts = [
        _enough(same, *chosen, settings, bool(doubts)),
        _lost_side(same, *chosen, settings),
        *doubts,
        _risk(chosen[0], settings),
        _unfinished(same),
        _unsteady(same),
        *_luck(real, settings),
        *contrasts,
        *_control(rows, settings),
    ]
    return " ".join(filter(None, parts))


def _nothing(rows: Sequence[Row], metric: str) -> str:
    diverged, models = sum(row["diverged"] for row in rows), sum(row["seeds"] for row in rows)
    text = f"No length is recommended: none beats {_baseline(rows[0], metric)}"
    sign = -1.0 if metric == "MSE" else 1.0
    able = [row for row in rows if row["validation_metric"] is not None]
    if able:
        best = max(able, key=lambda row: (sign * row["validation_metric"], -row["length"]))
        text += f"; the best, length {best['length']}, has a test {metric} of {with_interval(best, metric)}"
    return text + (f"; {diverged} of {models} models diverged." if diverged else ".")


def _baseline(row: Row, metric: str) -> str:
    return f"the {number(row['baseline'], metric)} of {baseline_rule(row, metric)}"


def baseline_rule(row: Row, metric: str) -> str:
    """What the baseline is that a row is held against."""
    usual = "always answering the mean" if metric == "MSE" else "always answering the commonest class"
    return row.get("baseline_name") or usual


def _enough(rows: Sequence[Row], chosen: Row, best: Row, settings: Settings, doubted: bool) -> str:
    metric = settings.metric
    how = settings.label(variant_of(chosen))
    result = f"test {metric} {with_interval(chosen, metric)}{f' ({how})' if how else ''}"
    own = {row["length"] for row in rows}
    if len(own) == 1:
        return f"Length {chosen['length']} is the only one studied: {result}."
    if chosen is best:
        if min(own) == best["length"]:
            return f"Length {best['length']}, the shortest studied, is best: {result}."
        other = "no shorter length" if max(own) > best["length"] else "no shorter one"
        return f"Length {best['length']} is best: {result}; {other} comes within one standard error."
    verb = "seems" if doubted else "is"
    return (
        f"Length {chosen['length']} {verb} enough: {result}, within one standard error of length "
        f"{best['length']}'s on the validation part{_cost(chosen, best, bool(_unsteady(rows)))}."
    )


def _lost_side(rows: Sequence[Row], chosen: Row, best: Row, settings: Settings) -> str:
    """Where no shorter length does as well: that they lose one side alone of a sequence, which may be why."""
    shorter = [row for row in rows if row["length"] < best["length"]]
    cut = any(row["sequences_cut_share"] > BARELY for row in shorter)
    if chosen is not best or not cut or len(settings.truncating) != 1 or settings.horizon is not None:
        return ""
    side = "beginning" if settings.truncating == ("pre",) else "end"
    return (
        f"Shorter ones lose the {side} of the sequences: --truncating pre,post tells whether it is their "
        "length or that side which counts."
    )


def _cost(chosen: Row, best: Row, unsteady: bool) -> str:
    if not chosen["ms_per_step"] or not best["ms_per_step"]:
        return ""
    time, memory = (chosen[name] / best[name] for name in ("ms_per_step", "tape_bytes"))
    return (
        f", at {'' if unsteady else f'{time:.2f} times its time per step and '}{memory:.2f} times its memory"
    )


def too_small(data: Dataset) -> str:
    """That the validation part is too small to choose by, as can be said before any training; or nothing.

    At best a classifier is right on all of it. A regression's best length is taken to halve the baseline's
    error, with errors that are normal and independent: a mean of n squares then has the standard error
    sqrt(2 / n) of itself.
    """
    size, answers = len(data.validation.x), data.validation.y
    if data.classes is None:
        error, wanted = math.sqrt(2 / size), RESOLUTION
        needed = 2 / wanted**2
        chance = f"of an MSE is {100 * error:.0f} % of it"
        where = " where the best model halves the baseline's error"
    else:
        error = share_error(np.ones(size))
        wanted = RESOLUTION * (1 - float(np.mean(answers == np.bincount(data.train.y).argmax())))
        needed = NORMAL / wanted - NORMAL**2 if wanted else math.inf
        chance, where = f"is {error:.3f} even if all are right", ""
    if error <= wanted or needed == math.inf:
        return ""
    return (
        f"the validation part is too small to choose by: with {size} sequences one standard error {chance}; "
        f"about {math.ceil(needed)} would be enough{where}"
    )


def _doubts(chosen: Row, best: Row, settings: Settings, size: int | None) -> list[str]:
    """Why the choice may be wrong: few validation sequences, or a test part that allows for much worse."""
    found, metric = [], settings.metric
    needed = None if size is None else too_few(best, size)
    if needed:
        error = number(best["validation_chance"], metric)
        found.append(
            f"The validation part is too small to choose by: with {size} sequences the standard error is "
            f"{error}; about {needed} would be enough."
        )
    ends = [chosen["difference_low"], chosen["difference_high"]]
    if chosen is best or chosen["compared_with"] != best["length"] or None in ends:
        return found
    worst, mildest = (-ends[1], -ends[0]) if metric == "MSE" else ends
    if worst < -RESOLUTION * abs(best["validation_metric"] - best["validation_baseline"]):
        shown = "+.3f" if metric == "accuracy" else "+.3g"
        verb = "contradicts" if mildest < 0 else "cannot confirm"
        found.append(
            f"The test part {verb} this: seed by seed, its {metric} differs from that of length "
            f"{best['length']} by {chosen['difference']:{shown}} [{ends[0]:{shown}}, {ends[1]:{shown}}]."
        )
    return found


def _unfinished(rows: Sequence[Row]) -> str:
    """The lengths whose training had not come to its end."""
    late = dict.fromkeys(
        r["length"] for r in rows if (r["late_gain"] or 0.0) > (r["validation_chance"] or 0.0)
    )
    if not late:
        return ""
    return (
        f"Training was still improving at the last epoch at {_list(late)}: more epochs may change the choice."
    )


def _unsteady(rows: Sequence[Row]) -> str:
    """Where the times lie on no line, something else was running."""
    fit = linear_fit(rows, "ms_per_step")
    if fit is None or is_straight(fit):
        return ""
    quality = "they fall" if (fit["slope"] or 0.0) < 0 else f"R\u00b2 {fit['r_squared']:.2f}"
    return f"Times do not grow evenly with length ({quality}): measure them on a quiet machine."


def _risk(row: Row, settings: Settings) -> str:
    """What may still go wrong with the recommended length, in words."""
    risks = []
    if row["sequences_cut_share"] > BARELY and settings.horizon is None:
        side = "beginning" if row["truncating"] == "pre" else "end"
        risks.append(
            f"{_percent(row['sequences_cut_share'])} of the training sequences lose their {side} there"
        )
    if not row["mask"] and row["padding"] == "post" and row["padding_share"] > BARELY:
        risks.append(
            f"{_percent(row['padding_share'])} of what it reads is padding, which the gradient has to cross"
        )
    if row["no_better"]:
        risks.append(f"{row['no_better']} of {row['seeds']} seeds are no better than the baseline")
    if row["seeds"] == 1:
        risks.append("with one seed the chance of training is not known")
    elif (
        row["test_spread"]
        and row["test_high"]
        and row["test_spread"] > (row["test_high"] - row["test_low"]) / 2
    ):
        risks.append(f"its seeds lie {number(row['test_spread'], settings.metric)} apart")
    return f"Its risk: {'; '.join(risks)}." if risks else ""


def _luck(rows: Sequence[Row], settings: Settings) -> list[str]:
    """The rows of which some seeds learned and some did not, and those that learned late."""
    found: dict[str, dict[int, list[str]]] = {}  # lengths and their variants of which the same is told
    for row in rows:
        late = row.get("late_learners", 0)
        if not late and learned(row) in (0, row["seeds"] - row["diverged"]):
            continue
        text = f"{_seeds(row)} learned"
        when = "in the second half of the epochs"
        if late == learned(row):
            text += f", {when}"
        elif late:
            text += f", {late} of them {when}"
        own = found.setdefault(text, {}).setdefault(row["length"], [])
        own.append(settings.label(variant_of(row)))
    return [
        f"At {_list(f'length {n}{_named(labels)}' for n, labels in own.items())} {text}."
        for text, own in found.items()
    ]


def _named(labels: Sequence[str]) -> str:
    names = "; ".join(filter(None, labels))
    return f" ({names})" if names else ""


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _contrast(rows: Sequence[Row], name: str, settings: Settings) -> str:
    """The pair of rows that differ in one dimension alone, and most, if their intervals do not overlap."""
    sign = -1.0 if settings.metric == "MSE" else 1.0
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if row["test_metric"] is not None:
            key = tuple(row[other] for other in ("length", *DIMENSIONS) if other != name)
            groups.setdefault(key, []).append(row)
    pairs = [
        (
            max(group, key=lambda row: sign * row["test_metric"]),
            min(group, key=lambda row: sign * row["test_metric"]),
        )
        for group in groups.values()
        if len(group) > 1
    ]
    if not pairs:
        return ""
    better, worse = max(pairs, key=lambda pair: abs(pair[0]["test_metric"] - pair[1]["test_metric"]))
    if worse["test_low"] <= better["test_high"] and better["test_low"] <= worse["test_high"]:
        return f"{_NOUNS[name].capitalize()} makes no difference that this test part could show."
    value = number(better["test_metric"], settings.metric)
    if name == "mask":
        text = (
            f"{'With' if worse['mask'] else 'Without'} a mask, length {worse['length']} "
            f"{'rises' if settings.metric == 'MSE' else 'falls'} to {with_interval(worse, settings.metric)} "
            f"from {value}"
        )
    else:
        first, second = (words_of(variant_of(row), [name])[0] for row in (better, worse))
        text = (
            f"{_NOUNS[name].capitalize()} matters most at length {worse['length']}: {first} gives {value}, "
            f"{second} {with_interval(worse, settings.metric)}"
        )
    if not worse["no_better"]:
        return text + "."
    who = "" if worse["no_better"] == worse["seeds"] else f"{worse['no_better']} of {worse['seeds']} seeds "
    return f"{text}, {who}no better than {_baseline(worse, settings.metric)}."


_NOUNS = {
    "rnn": "the kind of recurrent layer",
    "units": "the number of units",
    "mask": "the mask",
    "padding": "the side of the padding",
    "truncating": "the side that is cut off",
    "clipnorm": "clipping",
    "forget_bias": "the forget bias",
}


def _control(rows: Sequence[Row], settings: Settings) -> list[str]:
    """What training on shuffled labels reached, where it was asked for."""
    own = [row for row in rows if row["shuffled"] and row["train_metric"] is not None]
    if not own:
        return []
    sign = -1.0 if settings.metric == "MSE" else 1.0
    row = max(own, key=lambda row: sign * row["train_metric"])
    train, test = (number(row[key], settings.metric) for key in ("train_metric", "test_metric"))
    able = [r for r in own if r["seeds"] > 1 and not r["no_better"] and not r["diverged"]]
    text = (
        f"Control: with shuffled labels, where there is nothing to learn, training {settings.metric} "
        f"still reaches {train} (length {row['length']}), and test {settings.metric} is {test}"
    )
    if able:
        return [
            f"{text}; it beats the baseline in every seed: "
            "look whether training and test part share something."
        ]
    return [f"{text}; {_baseline(row, settings.metric)} is the measure."]


def _reach(rows: Sequence[Row], settings: Settings) -> str:
    """For a task whose difficulty is its length there is nothing to choose: how far was it learned?"""
    metric = settings.metric
    able = [row for row in rows if learned(row)]
    if not able:
        return _nothing(rows, metric)
    whole = [row for row in able if learned(row) == row["seeds"]]
    far = max(whole or able, key=lambda row: row["length"])
    reach = "up to" if whole else f"by {_seeds(far)} at"
    label = settings.label(variant_of(far))
    task = settings.task.capitalize() + (f" ({label})" if label else "")
    parts = [f"{task} is learned {reach} length {far['length']}"]
    parts.append(f": test {metric} {with_interval(far, metric)}")
    parts += [f"; by {_seeds(row)} at {row['length']}" for row in able if row is not far and row not in whole]
    failed = [row for row in rows if row not in able]
    if failed:
        parts.append(f"; not at {_list(row['length'] for row in failed)}, where")
        parts.append(f" {number(failed[-1]['test_metric'], metric)} is")
        parts.append(f" no better than {_baseline(failed[-1], metric)}")
    first, last = rows[0]["first_norm_before"], rows[-1]["first_norm_before"]
    if len(rows) > 1 and first and last is not None:
        parts.append(f". Before training, the gradient norm at the first step goes from {first:.1e}")
        parts.append(f" at length {rows[0]['length']} to {last:.1e} at {rows[-1]['length']}")
    return "".join(parts) + "."


def _seeds(row: Row) -> str:
    return f"{learned(row)} of {row['seeds']} seeds"


def _list(values: Iterable[object]) -> str:
    found = [str(value) for value in values]
    return " and ".join(filter(None, [", ".join(found[:-1]), found[-1]]))


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
