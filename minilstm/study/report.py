"""Files for people and for other programs: results.csv, summary.json, the figures, and report.html.

The page needs no network: its figures stand in it. Every text is escaped by jinja2. It is made from
the result alone, and can be made again at any time.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from minilstm import plots
from minilstm.foundations import files
from minilstm.plots.chart import Chart, draw
from minilstm.plots.glossary import GLOSSARY
from minilstm.study.best import loading
from minilstm.study.classes import ClassRow, class_rows, shown_classes
from minilstm.study.figures import study_figures
from minilstm.study.journal import MODEL, PREPARATION, Journal, to_json
from minilstm.study.plan import POINT_FIELDS, Point, Settings
from minilstm.study.point import Record
from minilstm.study.pool import run_in_pool
from minilstm.study.summary import is_straight, variant_of
from minilstm.study.table import columns, entries
from minilstm.study.words import baseline_rule

if TYPE_CHECKING:
    from jinja2 import Environment

    from minilstm.study.result import StudyResult

COLUMNS = (
    *POINT_FIELDS,
    *("test_metric", "test_low", "test_high", "baseline", "train_metric"),
    *("validation_metric", "validation_error", "validation_baseline"),
    *("epochs", "seconds_per_epoch", "ms_per_step"),
    *("ms_low", "ms_high"),
    *("tape_bytes", "data_bytes", "threads", "cut_share", "sequences_cut_share", "padding_share"),
    *("horizon_before", "horizon_after"),
    *("first_norm_before", "first_norm_after", "underflow_before", "underflow_after"),
    *("clipped_share", "diverged"),
)


def write(
    result: StudyResult, journal: Journal, kinds: Sequence[str] = ("png", "pdf"), jobs: int = 1
) -> StudyResult:
    """Write everything into the journal's folder; the result, with the report's path.

    `kinds` are the formats of the figures beside SVG, which are drawn in `jobs` processes. Raises StudyError
    when one of them dies.
    """
    folder = write_tables(result, journal)
    drawings = folder / "figures"
    files.make_folder(drawings)
    charts = list(study_figures(result.summary, result.cells, journal.settings))
    tasks = {chart.name: (chart, ("svg", *kinds)) for chart in charts}
    pictures: dict[str, dict[str, bytes]] = {}
    if jobs > 1 and len(tasks) > 1:
        run_in_pool(tasks, _pictures, pictures.__setitem__, jobs, dict)
    else:
        pictures = {name: _pictures(*task) for name, task in tasks.items()}
    for name, kept in pictures.items():
        for kind, data in kept.items():
            files.write_bytes(drawings / f"{name}.{kind}", data)
    shown = [(chart, pictures[chart.name]["svg"]) for chart in charts]
    saved, prepares = ((folder / name).is_file() for name in (MODEL, PREPARATION))
    lines = loading(result, prepares) if saved else []
    files.write_text(folder / "report.html", to_html(result, journal.settings, shown, lines))
    return replace(result, report=folder / "report.html")


def _pictures(chart: Chart, kinds: Sequence[str]) -> dict[str, bytes]:
    """The chart drawn in each format; what a worker does."""
    figure = draw(chart)
    plots.settle(figure)
    return {kind: plots.save(figure, kind) for kind in kinds}


def write_tables(result: StudyResult, journal: Journal) -> Path:
    """Write the tables alone, which take no time; the folder."""
    assert journal.folder is not None
    files.write_text(journal.folder / "results.csv", to_csv(result.cells))
    files.write_text(journal.folder / "summary.json", to_json(result.summary))
    return journal.folder


def to_csv(records: Sequence[Record]) -> str:
    """One line per point; "nan" where there is no number."""
    found = io.StringIO()
    writer = csv.writer(found, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records:
        flat = dict(record) | {"epochs": len(record["curves"].get("loss", []))}
        for when in ("before", "after"):
            probe = record[when]
            flat[f"horizon_{when}"], flat[f"first_norm_{when}"] = probe["horizon"], probe["first_norm"]
            flat[f"underflow_{when}"] = probe["status"].get("underflow", 0)
        flat["diverged"] = record["diverged"] is not None
        values = [flat.get(name) for name in COLUMNS]
        writer.writerow(["nan" if v is None else int(v) if isinstance(v, bool) else v for v in values])
    return found.getvalue()


def _classes(result: StudyResult) -> list[ClassRow]:
    """The classes of the test part as the recommended length's models tell them apart."""
    chosen = result.recommend()
    own = [
        record
        for record in result.cells
        if chosen is not None
        and record["length"] == chosen["length"]
        and variant_of(record) == variant_of(chosen)
    ]
    return class_rows(own, result.summary["data"]["labels"])


def to_html(
    result: StudyResult,
    settings: Settings,
    figures: Sequence[tuple[Chart, bytes]],
    lines: Sequence[str] = (),
) -> str:
    """The report as one page; `lines` load the saved model."""
    from plotly.offline import get_plotlyjs

    summary, chosen = result.summary, result.recommend()
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            summary=summary,
            settings=settings,
            baseline_rule=baseline_rule(result.rows[0], settings.metric) if result.rows else "",
            command=settings.command(summary["data"]["options"]),
            loading=lines,
            prepares=len(lines) > 3,
            classes=shown_classes(_classes(result)),
            words=GLOSSARY,
            columns=[name for name, _ in columns(settings)],
            table=entries(result.rows, settings),
            chosen=None if chosen is None else result.rows.index(chosen),
            diverged=[(str(Point.of(r)), r["diverged"]) for r in result.cells if r["diverged"] is not None],
            figures=[(chart, base64.b64encode(svg).decode()) for chart, svg in figures],
            fits=fit_sentences(summary["cost"]),
            labels=[
                label if len(label) <= 60 else label[:57] + "..." for label in summary["data"]["labels"][:30]
            ],
            charts=in_script({chart.name: asdict(chart) for chart, _ in figures}),
            plotly=Markup(get_plotlyjs()),
        )
    )


def in_script(value: Any) -> Markup:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def environment() -> Environment:
    """The templates, with everything escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("minilstm.study", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _exponent(fit: Mapping[str, float | None]) -> str:
    """It grows as T to which power?"""
    if fit["exponent"] is None:
        return ""
    text = f"; it grows as T to the power of {fit['exponent']:.2f}"
    if fit["exponent_low"] is None:
        return text
    return f"{text} [{fit['exponent_low']:.2f}, {fit['exponent_high']:.2f}]"


def fit_sentences(cost: Mapping[str, Any]) -> list[str]:
    """The linear fits in words."""
    names = (("ms_per_step", "time of a training step", 1.0, "ms"), ("tape_bytes", "tape", 1e-3, "kB"))
    found = []
    for variant, fits in cost.items():
        for name, words, scale, unit in names:
            if (fit := fits[name]) is None:
                continue
            text = f"{scale * fit['intercept']:.3g} + {scale * fit['slope']:.3g} T {unit}"
            if straight := is_straight(fit):
                words += f" = {text}"
            quality = f" (R\u00b2 {fit['r_squared']:.3f})"
            end = _exponent(fit) if straight else ": on no line; something else was running"
            found.append(f"{variant}{': ' if variant else ''}{words}{quality}{end}")
    return found
