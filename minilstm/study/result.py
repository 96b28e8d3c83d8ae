"""What a study found, put together from its records."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minilstm.datasets.leaks import Alone
from minilstm.foundations import notebook
from minilstm.study.journal import Journal
from minilstm.study.plan import DIMENSIONS, Settings
from minilstm.study.point import Record
from minilstm.study.summary import Row, choose, linear_fit, make_rows, variant_of
from minilstm.study.timing import times_of
from minilstm.study.words import conclude

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class StudyResult:
    """What a study found.

    rows : one dict per length and variant, means over the seeds;  cells : one record per model;
    summary : all that summary.json holds;  conclusion : what it says in words;  settings : what was
    studied;  report : path of report.html, or None when no folder was given.
    """

    conclusion: str
    rows: list[Row] = field(repr=False)
    cells: list[Record] = field(repr=False)
    summary: dict[str, Any] = field(repr=False)
    settings: Settings = field(repr=False)
    report: Path | None = None

    def __repr__(self) -> str:
        lengths = ", ".join(map(str, self.settings.lengths))
        return f"<StudyResult: {len(self.cells)} models, lengths {lengths}: {self.conclusion}>"

    def _repr_html_(self) -> str:
        from minilstm.study.table import columns, entries

        head = [name for name, _ in columns(self.settings)]
        return notebook.block(self.conclusion, notebook.table(head, entries(self.rows, self.settings)))

    def table(self, width: int | None = None) -> str:
        """The rows as text, one line per length and variant; only columns that fit `width` characters."""
        from minilstm.study.table import as_text

        return as_text(self.rows, self.settings, width)

    def plot(self) -> Figure:
        """The metric against length, as a matplotlib Figure."""
        from minilstm.plots.chart import draw
        from minilstm.study.figures import metric_figure

        return draw(metric_figure(self.rows, self.cells, self.settings))

    def recommend(self) -> Row | None:
        """The row of the recommended length by the one-standard-error rule; None if none beats the baseline.

        Tasks whose difficulty is their length (recall, adding) have no length to recommend.
        """
        chosen = choose(self.rows, self.settings.metric) if self.settings.padding else None
        return None if chosen is None else chosen[0]


def result_of(journal: Journal, spent: dict[str, Any] | None = None) -> StudyResult:
    """The result of the points that are finished; `spent` is what it took to run them now."""
    settings, order = journal.settings, {point: k for k, point in enumerate(journal.settings.points())}
    ranked = sorted(journal.records.items(), key=lambda item: (item[0].length, order[item[0]]))
    records = [record for _, record in ranked]
    rows = [row | times_of(journal, row) for row in make_rows(records, settings)]
    variants = [v for v in settings.variants if any(variant_of(row) == v for row in rows)]
    chosen = choose(rows, settings.metric) if settings.padding else None
    told = [conclude(rows, settings, journal.config["data"]["sizes"].get("validation"))]
    conclusion = " ".join(told + _warnings(journal.config["data"], rows, settings.metric == "accuracy"))
    summary = {
        "conclusion": conclusion,
        "recommended": None
        if chosen is None
        else {name: chosen[0][name] for name in ("length", *DIMENSIONS)},
        "metric": settings.metric,
        "complete": len(records) == len(order),
        "threads": sorted({record["threads"] for record in records}),
        "timed": {
            name: sorted({record[name] for record in journal.times.values()}) for name in ("steps", "threads")
        },
        "rows": rows,
        "cost": {
            settings.label(variant): {
                name: linear_fit([row for row in rows if variant_of(row) == variant], name)
                for name in ("ms_per_step", "tape_bytes")
            }
            for variant in variants
        },
        "spent": spent or {"jobs": 0, "cells_run": 0, "kernel_seconds": 0.0, "seconds": 0.0},
        **journal.config,
    }
    return StudyResult(conclusion, rows, records, summary, settings)


def _warnings(data: dict[str, Any], rows: list[Row], accuracy: bool) -> list[str]:
    """What may mislead: the order of the rows, a column that alone reaches nearly what the best row does."""
    found = list(data.get("remarks", []))
    reached = [row["test_metric"] for row in rows if not row["shuffled"] and row["test_metric"] is not None]
    if "alone" in data and reached:
        best = max(reached) if accuracy else min(reached)
        found += filter(None, [Alone(**data["alone"]).warning(best, accuracy)])
    return found
