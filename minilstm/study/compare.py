"""Two studies side by side: what differs in how they were made, and in what they found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from minilstm.foundations import files
from minilstm.foundations.errors import wording
from minilstm.foundations.tables import fitting, in_columns, terminal_width, wrapped
from minilstm.plots.chart import Axis, Chart, Line, Panel, draw
from minilstm.plots.markup import inline_svg
from minilstm.study.journal import plain
from minilstm.study.plan import DIMENSIONS, words_of
from minilstm.study.result import StudyResult
from minilstm.study.statistics import difference
from minilstm.study.summary import Row, variant_of
from minilstm.study.words import with_interval

HEAD = ("length", "variant", "first", "second", "difference", "ms/step", "tape")
DISPENSABLE = ("tape", "ms/step")


def differences(studies: Sequence[StudyResult]) -> list[tuple[str, str, str]]:
    """(name, value in the first, value in the second) of every setting, datum and version that differs."""
    found = []
    first, second = studies
    for key in ("settings", "data", "versions", "platform"):
        before, after = first.summary[key], second.summary[key]
        for name in dict.fromkeys([*before, *after]):
            if before.get(name) != after.get(name):
                label = name if key in ("settings", "versions") else f"{key} {name}"
                found.append((label, plain(before.get(name)), plain(after.get(name))))
    return found


def table(studies: Sequence[StudyResult]) -> list[list[str]]:
    """One line per length and variant that either study has; ratios are second to first.

    A dimension in which no study varies tells no lines apart, though its value may differ between the two:
    an LSTM's study and a GRU's are compared length by length.
    """
    varied = [
        k
        for k in range(len(DIMENSIONS))
        if any(len({variant_of(row)[k] for row in study.rows}) > 1 for study in studies)
    ]

    def key(row: Row) -> tuple[Any, ...]:
        variant = variant_of(row)
        return (row["length"], *(variant[k] for k in varied))

    rows = [{key(row): row for row in study.rows} for study in studies]
    keys = dict.fromkeys(one for own in rows for one in own)
    order = {variant: k for k, variant in enumerate(dict.fromkeys(one[1:] for one in keys))}
    lines = []
    for one in sorted(keys, key=lambda one: (one[0], order[one[1:]])):
        pair = [own.get(one) for own in rows]
        row = next(row for row in pair if row is not None)
        label = ", ".join(words_of(variant_of(row), [DIMENSIONS[k] for k in varied]))
        shown = [
            "-" if row is None else with_interval(row, s.settings.metric)
            for row, s in zip(pair, studies, strict=True)
        ]
        lines.append([str(one[0]), label or "-", *shown, _change(pair), *(_ratio(pair, n) for n in COSTS)])
    return lines


COSTS = ("ms_per_step", "tape_bytes")
VALUE = ("test_metric", "test_low", "test_high")


def _change(pair: Sequence[Row | None]) -> str:
    """The difference of the test metrics, with the interval that follows from the two."""
    if any(row is None or row["test_metric"] is None for row in pair):
        return "-"
    found = [tuple(row[name] for name in VALUE) for row in pair if row is not None]
    if None in (*found[0], *found[1]):
        return f"{found[1][0] - found[0][0]:+.3g}"
    middle, low, high = (round(one, 3) + 0.0 for one in difference(found[0], found[1]))  # no -0.000
    return f"{middle:+.3f} [{low:+.3f}, {high:+.3f}]"


def _ratio(pair: Sequence[Row | None], name: str) -> str:
    values = [None if row is None else row[name] for row in pair]
    return f"{values[1] / values[0]:.2f} x" if values[0] and values[1] else "-"


def as_text(studies: Sequence[StudyResult], names: Sequence[str], width: int | None = None) -> str:
    """Both conclusions, what differs between the studies, and the table, as wide as `width` allows."""
    same_task(studies)
    differing = [f"{name}: {before} | {after}" for name, before, after in differences(studies)]
    rows, lacking = [list(HEAD), *table(studies)], []
    if width is not None and len(in_columns(rows, rule=True)[1]) > width:
        lacking = ["the intervals of first and second"]
        rows = [[*row[:2], *(value.partition(" [")[0] for value in row[2:4]), *row[4:]] for row in rows]
    lines, columns = fitting(rows, DISPENSABLE, width)
    if lacking := lacking + columns:
        lines.append(wrapped(f"Only on the page (--out FILE.html): {', '.join(lacking)}", terminal_width()))
    return "\n".join(
        [
            *(
                wrapped(f"{which}: {name}\n  {study.conclusion}", terminal_width())
                for which, name, study in zip(("first", "second"), names, studies, strict=True)
            ),
            "",
            wrapped(
                "\n  ".join(["differs:", *differing]) if differing else "differs: nothing", terminal_width()
            ),
            "",
            *lines,
        ]
    )


def write(path: Path, studies: Sequence[StudyResult], names: Sequence[str]) -> None:
    """The comparison as one page that needs no network; ValueError for another name than one in .html."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(wording("out", "the name of a page, which ends in .html", path.name))
    same_task(studies)
    from minilstm.study.report import environment

    shown, metric = chart(studies), studies[0].settings.metric
    page = environment().get_template("compare.html.j2")
    text = page.render(
        studies=[(name, study.conclusion) for name, study in zip(names, studies, strict=True)],
        metric=metric,
        differences=differences(studies),
        head=HEAD,
        table=table(studies),
        caption=shown.caption,
        figure=Markup(inline_svg(draw(shown), f"Test {metric} of both studies against length")),
    )
    files.write_text(path, text)


def chart(studies: Sequence[StudyResult]) -> Chart:
    """The test metric of both against length."""
    lines: list[Line] = []
    metric = studies[0].settings.metric
    for which, study, dash in zip(("first", "second"), studies, ("solid", "dash"), strict=True):
        for variant in study.settings.variants:
            own = [row for row in study.rows if variant_of(row) == variant]
            label = study.settings.label(variant)
            name = which + (f": {label}" if label else "")
            x, y, low, high = ([row[key] for row in own] for key in ("length", *VALUE))
            lines.append(Line(x, y, name, series=len(lines), dash=dash, low=low, high=high))
    ticks = sorted({row["length"] for study in studies for row in study.rows})
    lengths = Axis("length (time steps)", log=True, ticks=ticks)
    caption = "Bars are the range of the seeds' 95 % intervals."
    return Chart(
        metric, f"Test {metric} against length", caption, [Panel(lines, lengths, Axis(f"test {metric}"))]
    )


def same_task(studies: Sequence[StudyResult]) -> None:
    """ValueError where the two studies do not measure the same thing."""
    for what, found in (
        ("tasks", [study.settings.task for study in studies]),
        ("things", [study.settings.metric for study in studies]),
        ("horizons", [study.settings.horizon or 0 for study in studies]),
        ("classes", [study.summary["data"]["labels"] for study in studies]),
    ):
        if found[0] != found[1]:
            first, second = (", ".join(value) if isinstance(value, list) else value for value in found)
            raise ValueError(f"the two studies are of different {what}: {first} and {second}")
