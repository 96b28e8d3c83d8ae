"""The main job: what sequence length does to accuracy, cost and gradients.

    plan       settings, checked; the list of cells
    cell       train and measure one model
    run        many cells, in worker processes
    journal    the folder: nothing finished is lost, nothing finished is done twice
    summary    rows, fits, the sentence
    figures    what the figures show
    report     files for people: table, CSV, figures, one HTML page

`length_study` does all of it; `minilstm study` is that function on the command line.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minilstm.errors import whole_number
from minilstm.study.cell import Record
from minilstm.study.journal import Journal
from minilstm.study.plan import Cell, Settings
from minilstm.study.run import OnCell, StudyError, prepare_kernels, run_cells
from minilstm.study.summary import Row, summarize

__all__ = ["StudyError", "StudyResult", "length_study"]


@dataclass(frozen=True)
class StudyResult:
    """What a study found.

    rows : one dict per (length, mask), means over the seeds;  cells : one record per model;
    summary : all that summary.json holds;  conclusion : the sentence;  report : path of report.html, or
    None when no folder was given.
    """

    conclusion: str
    rows: list[Row] = field(repr=False)
    cells: list[Record] = field(repr=False)
    summary: dict[str, Any] = field(repr=False)
    report: Path | None = None


def length_study(
    task: str = "digits",
    *,
    out: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    on_cell: OnCell | None = None,
    **settings: Any,
) -> StudyResult:
    """Train one model per (length, mask or not, seed), and compare.

    Parameters
    ----------
    task : "digits", "recall" or "adding"
    out : folder for results, figures and report; finished cells in it are not run again. None: no files
    jobs : worker processes. With more than 1 a script needs the guard `if __name__ == "__main__":`
    on_cell : called with (cell, record) after each finished cell
    settings : lengths, seeds, epochs, units, batch_size, padding, truncating, mask, clipnorm,
        learning_rate, seed; see `minilstm.study.plan.Settings.of`

    Raises ValueError or TypeError that names the argument, OSError for the folder, StudyError when a
    worker dies.

    >>> result = length_study("recall", lengths=[2, 3], seeds=1, epochs=1, units=2)
    >>> [row["length"] for row in result.rows]
    [2, 3]
    """
    jobs = whole_number("jobs", jobs)
    journal = Journal(Settings.of(task, **settings), out)
    if out is not None:
        from minilstm.study import report  # here, so that a missing extra is known before the work
    spent = run_missing(journal, jobs, on_cell)
    result = result_of(journal, spent)
    return result if out is None else report.write(result, journal)


def run_missing(journal: Journal, jobs: int, on_cell: OnCell | None = None) -> dict[str, Any]:
    """Run the cells that are not finished; what that took."""
    start = time.perf_counter()
    missing = journal.missing
    kernels = prepare_kernels() if missing else 0.0

    def finished(cell: Cell, record: Record) -> None:
        journal.add(cell, record)
        if on_cell is not None:
            on_cell(cell, record)

    run_cells(journal.settings, missing, jobs, finished)
    return {
        "jobs": jobs,
        "cells_run": len(missing),
        "kernel_seconds": kernels,
        "seconds": time.perf_counter() - start,
    }


def result_of(journal: Journal, spent: dict[str, Any]) -> StudyResult:
    """The result of the cells that are finished."""
    summary = summarize(journal.records, journal.config, journal.settings, spent)
    order = sorted(journal.records.items(), key=lambda item: (item[0].length, not item[0].mask, item[0].seed))
    return StudyResult(summary["conclusion"], summary["rows"], [record for _, record in order], summary)
