"""The study's table: which columns there are, and the text of each entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from minilstm.study.plan import Settings, words_of
from minilstm.study.summary import Row, variant_of
from minilstm.study.words import number, with_interval

Entry = Callable[[Row, Settings], str]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f}"


def _decimal(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


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
    return [
        ("length", lambda row, settings: str(row["length"])),
        *varied,
        ("test", _test),
        *paired,
        ("val", lambda row, settings: number(row["validation_metric"], settings.metric)),
        ("train", lambda row, settings: number(row["train_metric"], settings.metric)),
        ("ms/step", lambda row, settings: _decimal(row["ms_per_step"], 2)),
        ("s/epoch", lambda row, settings: _decimal(row["seconds_per_epoch"], 2)),
        ("tape MB", lambda row, settings: _decimal(row["tape_bytes"] / 1e6, 2)),
        ("cut %", lambda row, settings: _share(row["cut_share"])),
        ("pad %", lambda row, settings: _share(row["padding_share"])),
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


def as_text(rows: Sequence[Row], settings: Settings) -> str:
    """The table in plain text, columns aligned to the right."""
    head = [f"test {settings.metric}" if name == "test" else name for name, _ in columns(settings)]
    lines = [head, *entries(rows, settings)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
    shown = ["  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join([shown[0], "-" * len(shown[0]), *shown[1:]])


def variant_words(row: Row) -> str:
    """All that a row's variant is, for a heading or a tooltip."""
    return ", ".join(words_of(variant_of(row)))
