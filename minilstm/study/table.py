"""The study's table: which columns there are, and the text of each entry."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

from minilstm.foundations.tables import fitting
from minilstm.study.plan import Settings
from minilstm.study.summary import Row, learned
from minilstm.study.words import number, with_interval

# Columns to leave out where there is no room for all, the first of them first.
DISPENSABLE = (
    "tape MB",
    "train",
    "cut %",
    "pad %",
    "ms/step",
    "val",
    "horizon",
    "vs best",
    "learned",
)
Entry = Callable[[Row, Settings], str]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f}"


def _decimal(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _time(row: Row) -> str:
    """The median time of a step, and the times between which half of the steps lay."""
    text = _decimal(row["ms_per_step"], 2)
    if row["ms_low"] is None or row["ms_high"] is None:
        return text
    return f"{text} [{row['ms_low']:.2f}, {row['ms_high']:.2f}]"


def _horizon(row: Row) -> str:
    before, after = (row[f"horizon_{when}"] for when in ("before", "after"))
    return " -> ".join("-" if value is None else f"{value:.0f}" for value in (before, after))


def _test(row: Row, settings: Settings) -> str:
    text = with_interval(row, settings.metric)
    if row["diverged"] and row["test_metric"] is not None:
        return f"{text} ({row['diverged']} of {row['seeds']} diverged)"
    return text


def _difference(row: Row, settings: Settings) -> str:
    if row["compared_with"] == row["length"]:
        return "best"
    if row["difference"] is None:
        return "-"
    shown = "+.3f" if settings.metric == "accuracy" else "+.3g"  # as many digits as the test column
    text = format(row["difference"], shown)
    if row["difference_low"] is None:
        return text
    return f"{text} [{row['difference_low']:{shown}}, {row['difference_high']:{shown}}]"


def columns(settings: Settings) -> list[tuple[str, Entry]]:
    """The columns of a study's table: what varies in it, and what was found."""
    varied: list[tuple[str, Entry]] = [
        (
            {"shuffled": "labels", "forget_bias": "forget bias", "truncating": "cut"}.get(name, name),
            lambda row, settings, name=name: _value(row, name),  # type: ignore[misc]
        )
        for name in settings.varied
    ]
    paired: list[tuple[str, Entry]] = [("vs best", _difference)] if len(settings.lengths) > 1 else []
    seeds = max(settings.seeds, settings.longest_seeds)
    several: list[tuple[str, Entry]] = (
        [("learned", lambda row, settings: f"{learned(row)} of {row['seeds']}")] if seeds > 1 else []
    )
    padded: list[tuple[str, Entry]] = [
        ("cut %", lambda row, settings: _share(row["cut_share"])),
        ("pad %", lambda row, settings: _share(row["padding_share"])),
    ]
    return [
        ("length", lambda row, settings: str(row["length"])),
        *varied,
        ("test", _test),
        *paired,
        *several,
        ("val", lambda row, settings: number(row["validation_metric"], settings.metric)),
        ("train", lambda row, settings: number(row["train_metric"], settings.metric)),
        ("ms/step", lambda row, settings: _time(row)),
        ("tape MB", lambda row, settings: _decimal(row["tape_bytes"] / 1e6, 2)),
        *(padded if settings.horizon is None else []),
        ("horizon", lambda row, settings: _horizon(row)),
    ]


def _value(row: Row, name: str) -> str:
    if name == "mask":
        return "yes" if row["mask"] else "no"
    if name == "shuffled":
        return "shuffled" if row["shuffled"] else "true"
    if name == "truncating":
        return "start" if row["truncating"] == "pre" else "end"
    value = row[name]
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def entries(rows: Sequence[Row], settings: Settings) -> list[list[str]]:
    """The text of every entry, row by row."""
    found = columns(settings)
    return [[entry(row, settings) for _, entry in found] for row in rows]


def as_text(rows: Sequence[Row], settings: Settings, width: int | None = None) -> str:
    """The table in plain text; wider than `width`, it goes without what can best be missed."""
    metric = settings.metric
    head = [f"test {metric}" if name == "test" else name for name, _ in columns(settings)]
    text, out = fitting([head, *entries(rows, settings)], DISPENSABLE, width)
    left_out = textwrap.wrap(f"Only in results.csv: {', '.join(out)}", width or 80) if out else []
    return "\n".join([*text, *left_out])
