"""What a reproduced result is: a claim with its published value, trials, and the bands that count.

A row's trials are independent of each other: each has its own seed, 0, 1, 2, ..., and leaves a small
record. The bands were written down, each with its reason, before the row was first run in full; no setting
was chosen by them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minilstm.foundations.errors import one_of, whole_number, wording

Record = dict[str, Any]  # of a trial: value (what is measured, or None), solved, and where it has one, wrong
Summaries = dict[Any, dict[str, Any]]  # by condition

RESAMPLES = 10_000


@dataclass(frozen=True)
class Band:
    """What must hold for a row to count as reproduced, and why just this."""

    text: str
    reason: str
    holds: Callable[[Summaries], bool]


@dataclass(frozen=True)
class Row:
    """A published result.

    run : `run(seed, **settings)` gives the record of one trial
    settings : sizes and their values; a tuple of values makes a condition of each, with trials of its own
    measured : what the value of a record is, in words
    trials, quick_trials : of each condition, and with --quick; 0: the row is exact and runs once
    """

    name: str
    claim: str
    source: str
    published: str
    run: Callable[..., Record]
    bands: tuple[Band, ...]
    measured: str
    trials: int = 1
    quick_trials: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)
    reduced: str = ""  # how it is smaller than what was published, if it is

    @property
    def swept(self) -> str | None:
        """The setting that makes the conditions, if there is one."""
        return next((name for name, value in self.settings.items() if isinstance(value, tuple)), None)

    def with_settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The row's settings with those that are given in their places; ValueError for a foreign one."""
        for name, value in given.items():
            if name not in self.settings:
                expected = " or ".join(map(repr, self.settings)) or "left out: this row has none"
                raise ValueError(wording(f"a setting of {self.name}", expected, repr(name)))
            if isinstance(value, (tuple, list)) and name != self.swept:
                raise ValueError(wording(name, "one value", repr(value)))
            _same_kind(name, value, self.settings[name])
        return dict(self.settings) | {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}

    def conditions(self, settings: Mapping[str, Any]) -> dict[Any, dict[str, Any]]:
        """The settings of each condition, by the value that tells it from the others (None if it is one)."""
        if self.swept is None:
            return {None: dict(settings)}
        values = settings[self.swept]
        values = values if isinstance(values, tuple) else (values,)
        return {value: dict(settings) | {self.swept: value} for value in values}

    def trial(self, seed: int, settings: Mapping[str, Any]) -> Record:
        """One trial, with the seconds that it took.

        A number that is not finite becomes None, and a trial whose value is one has not succeeded.
        """
        begin = time.perf_counter()
        record = {name: _finite(value) for name, value in self.run(seed, **settings).items()}
        record["solved"] = record["solved"] and record["value"] is not None
        return record | {"seed": seed, "seconds": round(time.perf_counter() - begin, 3)}

    def verdict(self, summaries: Summaries) -> str:
        """reproduced: all bands hold; partly: some do; not: none does."""
        held = [band.holds(summaries) for band in self.bands]
        return "reproduced" if all(held) else "partly" if any(held) else "not"

    def words(self) -> dict[str, Any]:
        """What the row is, without anything that was run."""
        return {
            "name": self.name,
            "claim": self.claim,
            "source": self.source,
            "reduced": self.reduced,
            "published": self.published,
            "measured": self.measured,
            "settings": dict(self.settings),
            "trials": self.trials,
        }

    def result(
        self, records: Mapping[Any, Sequence[Record]], settings: Mapping[str, Any], trials: int
    ) -> dict[str, Any]:
        """What the row says: the first condition's numbers, those of all by condition, and the verdict.

        The verdict is None for other settings than the published ones.
        """
        summaries = {condition: summary(found) for condition, found in records.items()}
        published = dict(settings) == dict(self.settings)
        first = next(iter(summaries.values()))
        seconds = sum(one["seconds"] for one in summaries.values())
        return self.words() | {
            "settings": dict(settings),
            "trials": trials,
            **{key: first[key] for key in ("solved", "mean", "range", "interval", "wrong")},
            "seconds": seconds,
            "conditions": summaries,
            "bands": [
                {"text": band.text, "reason": band.reason, "holds": band.holds(summaries)}
                for band in self.bands
                if published
            ],
            "verdict": self.verdict(summaries) if published else None,
        }


def _finite(value: Any) -> Any:
    """`value`, or None in the place of a number that is not finite, in lists too."""
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _same_kind(name: str, value: Any, default: Any) -> None:
    """Check the value of a setting against the kind of its default."""
    for one in value if isinstance(value, (tuple, list)) else (value,):
        kind = default[0] if isinstance(default, tuple) else default
        if isinstance(kind, (bool, str)):
            if type(one) is not type(kind):
                raise TypeError(wording(name, f"a {type(kind).__name__}", repr(one)))
        elif isinstance(kind, int):
            whole_number(name, one, 0 if kind == 0 else 1)
        elif isinstance(one, bool) or not isinstance(one, (int, float)) or not 0 <= one < np.inf:
            raise ValueError(wording(name, "a finite number >= 0", repr(one)))


def summary(records: Sequence[Record]) -> dict[str, Any]:
    """Of one condition: trials, solved, seconds; mean, sd, range, interval and wrong of those.

    interval : 95 %, of the mean, by resampling the trials; None below two. wrong : [mean, largest] of the
    solved trials that have such a number.
    """
    good = [record for record in records if record["solved"]]
    values = [record["value"] for record in good if record["value"] is not None]
    wrong = [record["wrong"] for record in good if record.get("wrong") is not None]
    return {
        "trials": len(records),
        "solved": len(good),
        "mean": float(np.mean(values)) if values else None,
        "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "range": [min(values), max(values)] if values else None,
        "interval": interval(values),
        "wrong": [float(np.mean(wrong)), max(wrong)] if wrong else None,
        "seconds": round(sum(record["seconds"] for record in records), 3),
        "records": list(records),
    }


def interval(values: Sequence[float]) -> list[float] | None:
    """The 95 % interval of the mean by resampling (times to success are skewed); None below two values.

    >>> interval([1.0, 1.0, 1.0])
    [1.0, 1.0]
    """
    if len(values) < 2:
        return None
    drawn = np.random.default_rng(0).choice(np.asarray(values, float), (RESAMPLES, len(values)))
    low, high = np.quantile(drawn.mean(axis=1), [0.025, 0.975])
    return [float(low), float(high)]


# ---------------------------------------------------------------- bands that several rows share


def pairs(found: Summaries) -> list[tuple[Record, Record]]:
    """The records of equal seeds, of a row's first condition and of its second."""
    first, second = found.values()
    return list(zip(first["records"], second["records"], strict=True))


def nearly_all_solved(share: float = 0.05) -> Band:
    """At most this share of the trials fails, in each condition."""
    return Band(
        f"at most {share:.0%} of the trials fail",
        "the paper reports success in all, or all but one of 30, trials",
        lambda found: all(one["trials"] - one["solved"] <= share * one["trials"] for one in found.values()),
    )


def time_to_success(published: Mapping[Any, float]) -> Band:
    """The mean, of each condition, from 0.5 to 1.25 times the published number."""
    return Band(
        "each mean within 0.5 to 1.25 of the published one",
        "times to success have a standard deviation of about 0.35 of their mean, so 1.25 is two standard "
        "errors at ten trials; below one half the task or the criterion would be easier than the paper's",
        lambda found: all(
            found[key]["mean"] is not None and 0.5 <= found[key]["mean"] / number <= 1.25
            for key, number in published.items()
        ),
    )


def never_more_wrong_than(number: int) -> Band:
    """The largest number of wrong sequences of any trial."""
    return Band(
        f"never more than {number} of 2,560 fresh sequences wrong",
        "the paper's own words",
        lambda found: all(one["wrong"] is not None and one["wrong"][1] <= number for one in found.values()),
    )


def chosen(rows: Sequence[Row], name: str) -> Row:
    """The row of that name; ValueError otherwise."""
    return next(row for row in rows if row.name == one_of("name", name, [row.name for row in rows]))
