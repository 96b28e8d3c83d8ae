"""Two studies side by side: what differs in how they were made, and in what they found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minilstm import files
from minilstm.study.plan import DIMENSIONS, words_of
from minilstm.study.result import StudyResult
from minilstm.study.summary import Row, variant_of
from minilstm.study.words import with_interval
from minilstm.tables import in_columns

HEAD = ("length", "variant", "first", "second", "difference", "ms/step", "tape")


def differences(studies: Sequence[StudyResult]) -> list[tuple[str, str, str]]:
    """(name, value in the first, value in the second) of every setting, datum and version that differs."""
    found = []
    first, second = studies
    for key in ("settings", "data", "versions", "platform"):
        before, after = first.summary[key], second.summary[key]
        for name in dict.fromkeys([*before, *after]):
            if before.get(name) != after.get(name):
                label = name if key in ("settings", "versions") else f"{key} {name}"
                found.append((label, _plain(before.get(name)), _plain(after.get(name))))
    return found


def table(studies: Sequence[StudyResult]) -> list[list[str]]:
    """One line per length and variant that either study has; ratios are second to first."""
    keys = [(row["length"], variant_of(row)) for study in studies for row in study.rows]
    columns = list(zip(*(variant for _, variant in keys), strict=True))
    varied = [k for k, values in enumerate(columns) if len(set(values)) > 1]
    rows = [{(row["length"], variant_of(row)): row for row in study.rows} for study in studies]
    order = {variant: k for k, (_, variant) in enumerate(dict.fromkeys(keys))}
    lines = []
    for key in sorted(dict.fromkeys(keys), key=lambda key: (key[0], order[key[1]])):
        pair = [own.get(key) for own in rows]
        label = ", ".join(words_of(key[1], [DIMENSIONS[k] for k in varied]))
        shown = [
            "-" if row is None else with_interval(row, s.settings.metric)
            for row, s in zip(pair, studies, strict=True)
        ]
        lines.append([str(key[0]), label or "-", *shown, _change(pair), *(_ratio(pair, n) for n in COSTS)])
    return lines


COSTS = ("ms_per_step", "tape_bytes")


def _change(pair: Sequence[Row | None]) -> str:
    values = [None if row is None else row["test_metric"] for row in pair]
    if values[0] is None or values[1] is None:
        return "-"
    return f"{values[1] - values[0]:+.3g}"


def _ratio(pair: Sequence[Row | None], name: str) -> str:
    values = [None if row is None else row[name] for row in pair]
    return f"{values[1] / values[0]:.2f} x" if values[0] and values[1] else "-"


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def as_text(studies: Sequence[StudyResult], names: Sequence[str]) -> str:
    """Both conclusions, what differs between the studies, and the table."""
    _same_metric(studies)
    differing = [f"{name}: {before} | {after}" for name, before, after in differences(studies)]
    return "\n".join(
        [
            *(
                f"{which}: {name}\n  {study.conclusion}"
                for which, name, study in zip(("first", "second"), names, studies, strict=True)
            ),
            "",
            "differs: " + ("nothing" if not differing else "\n  ".join(["", *differing])),
            "",
            *in_columns([HEAD, *table(studies)], rule=True),
        ]
    )


def write(path: Path, studies: Sequence[StudyResult], names: Sequence[str]) -> None:
    """The comparison as one page that needs no network."""
    _same_metric(studies)
    from minilstm.study.report import environment

    page = environment().get_template("compare.html.j2")
    text = page.render(
        studies=[(name, study.conclusion) for name, study in zip(names, studies, strict=True)],
        metric=studies[0].settings.metric,
        differences=differences(studies),
        head=HEAD,
        table=table(studies),
    )
    files.write_text(path, text)


def _same_metric(studies: Sequence[StudyResult]) -> None:
    found = [study.settings.metric for study in studies]
    if len(set(found)) > 1:
        raise ValueError(f"the two studies measure different things: {' and '.join(found)}")
