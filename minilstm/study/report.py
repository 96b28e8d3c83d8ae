"""Files for people and for other programs: results.csv, summary.json, the figures, and report.html.

The page needs no network: its figures stand in it. Every text is escaped by jinja2. It is made from
the result alone, and can be made again at any time.
"""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minilstm import files, plots
from minilstm.study.cell import Record
from minilstm.study.figures import StudyFigure, study_figures
from minilstm.study.journal import Journal, to_json
from minilstm.study.plan import Settings
from minilstm.study.summary import Row, number, with_interval

if TYPE_CHECKING:
    from minilstm.study import StudyResult

COLUMNS = (
    *("length", "mask", "seed", "test_metric", "test_low", "test_high", "baseline", "train_metric"),
    *("validation_metric", "validation_error", "validation_baseline", "seconds_per_epoch", "ms_per_step"),
    *("tape_bytes", "cut_share", "padding_share", "horizon_before", "horizon_after"),
    *("first_norm_before", "first_norm_after", "underflow_before", "underflow_after"),
    *("clipped_share", "diverged"),
)


def write(result: StudyResult, journal: Journal) -> StudyResult:
    """Write everything into the journal's folder; the result, with the report's path."""
    folder = journal.folder
    assert folder is not None
    files.write_text(folder / "results.csv", to_csv(result.cells))
    files.write_text(folder / "summary.json", to_json(result.summary))
    drawings = folder / "figures"
    drawings.mkdir(exist_ok=True)
    shown = []
    for figure in study_figures(result.summary, result.cells, journal.settings):
        plots.settle(figure.figure)
        svg = plots.save(figure.figure, "svg")
        files.write_bytes(drawings / f"{figure.name}.svg", svg)
        files.write_bytes(drawings / f"{figure.name}.png", plots.save(figure.figure, "png"))
        shown.append((replace(figure, figure=None), svg))
    files.write_text(folder / "report.html", to_html(result, journal.settings, shown))
    return replace(result, report=folder / "report.html")


def to_csv(records: Sequence[Record]) -> str:
    """One line per cell; "nan" where there is no number."""
    found = io.StringIO()
    writer = csv.writer(found, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records:
        flat = dict(record)
        for when in ("before", "after"):
            probe = record[when]
            flat[f"horizon_{when}"], flat[f"first_norm_{when}"] = probe["horizon"], probe["first_norm"]
            flat[f"underflow_{when}"] = probe["status"].get("underflow", 0)
        flat["diverged"] = record["diverged"] is not None
        values = [flat[name] for name in COLUMNS]
        writer.writerow(["nan" if v is None else int(v) if isinstance(v, bool) else v for v in values])
    return found.getvalue()


def to_html(result: StudyResult, settings: Settings, figures: Sequence[tuple[StudyFigure, bytes]]) -> str:
    """The report as one page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("minilstm.study", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(
        summary=result.summary,
        settings=settings,
        columns=[name for name, _ in TABLE],
        table=[[cell(row, settings) for _, cell in TABLE] for row in result.rows],
        diverged=[record for record in result.cells if record["diverged"] is not None],
        figures=[
            {"title": f.title, "caption": f.caption, "wide": f.wide, "data": base64.b64encode(svg).decode()}
            for f, svg in figures
        ],
        fits=fit_sentences(result.summary["cost"]),
    )
    return re.sub(r"\n{3,}", "\n\n", page)


def fit_sentences(cost: Mapping[str, Any]) -> list[str]:
    """The linear fits in words."""
    names = (("ms_per_step", "time of a training step", 1.0, "ms"), ("tape_bytes", "tape", 1e-3, "kB"))
    return [
        f"{variant}: {words} = {scale * fit['intercept']:.3g} + {scale * fit['slope']:.3g} T {unit} "
        f"(R\u00b2 {fit['r_squared']:.3f})"
        for variant, fits in cost.items()
        for name, words, scale, unit in names
        if (fit := fits[name]) is not None
    ]


# ------------------------------------------------------------ the table


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f}"


def _decimal(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _horizon(row: Row) -> str:
    before, after = (row[f"horizon_{when}"] for when in ("before", "after"))
    return " -> ".join("-" if value is None else f"{value:.0f}" for value in (before, after))


def _variant(row: Row, settings: Settings) -> str:
    return "yes" if row["mask"] else "no"


def _test(row: Row, settings: Settings) -> str:
    text = with_interval(row, settings.metric)
    if row["diverged"] and row["test_metric"] is not None:
        return f"{text} ({row['diverged']} of {row['seeds']} diverged)"
    return text


TABLE: tuple[tuple[str, Any], ...] = (
    ("length", lambda row, settings: str(row["length"])),
    ("mask", _variant),
    ("test", _test),
    ("val", lambda row, settings: number(row["validation_metric"], settings.metric)),
    ("train", lambda row, settings: number(row["train_metric"], settings.metric)),
    ("ms/step", lambda row, settings: _decimal(row["ms_per_step"], 2)),
    ("s/epoch", lambda row, settings: _decimal(row["seconds_per_epoch"], 2)),
    ("tape MB", lambda row, settings: _decimal(row["tape_bytes"] / 1e6, 2)),
    ("cut %", lambda row, settings: _share(row["cut_share"])),
    ("pad %", lambda row, settings: _share(row["padding_share"])),
    ("horizon", lambda row, settings: _horizon(row)),
)


def default_folder(task: str) -> Path:
    """Where a study goes when it is not told."""
    return Path(f"minilstm-study-{task}")
