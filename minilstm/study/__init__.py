"""The main job: what sequence length does to accuracy, cost and gradients.

    plan       settings, checked; the grid of points
    source     where the data come from
    point      train and measure one model
    run        many points: in worker processes, on a cluster, on any executor
    pool       the worker processes
    timing     the time of a training step, when nothing else of ours runs
    journal    the folder: nothing finished is lost, nothing finished is done twice
    summary    rows, paired differences, fits, the choice
    words      what that says in a few sentences
    table, figures, report    for people: tables, CSV, figures, one HTML page
    truncation                a wing of its own: what truncation costs the gradient

`length_study` does all of it; `minilstm study` is that function on the command line.
"""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

from minilstm import layers
from minilstm.datasets import Dataset, from_sequences
from minilstm.foundations import files
from minilstm.foundations.errors import misspelled, shown, whole_number, wording
from minilstm.study import journal as journals
from minilstm.study.journal import Journal
from minilstm.study.plan import OWN, SEED, TASKS, Point, Settings
from minilstm.study.point import Record
from minilstm.study.pool import StudyError
from minilstm.study.progress import Progress
from minilstm.study.result import StudyResult, result_of
from minilstm.study.run import OnPoint, processors, run_points
from minilstm.study.source import Source
from minilstm.study.timing import time_steps

__all__ = ["StudyError", "StudyResult", "length_study"]


def length_study(
    x: str | Sequence[Any] | Dataset = "digits",
    y: Sequence[Any] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    executor: Executor | None = None,
    on_cell: OnPoint | None = None,
    problem: str | None = None,
    words: int = 10_000,
    verbose: int = 1,
    **settings: Any,
) -> StudyResult:
    """Train one model per length, seed and variant, and compare.

    Parameters
    ----------
    x : the sequences: a list of N arrays (L, D) or (L,) of numbers, or of N texts; or the name of a
        study that comes with minilstm ("digits", "imdb", "recall", "adding"); or a Dataset
    y : N labels or targets, for sequences of your own
    out : folder for results, figures and report; finished points in it are not run again. None: no files
    jobs : worker processes. With more than 1 a script needs the guard `if __name__ == "__main__":`
    executor : any `concurrent.futures.Executor` that runs the points instead
    on_cell : called with (point, record) after each finished point
    problem : "classification" or "regression"; None tells by y
    words : size of the vocabulary of texts
    verbose : 1 shows progress on stderr, 0 nothing
    settings : lengths, seeds, epochs, rnn, units, mask, padding, truncating, clipnorm, forget_bias,
        control, batch_size, embedding, learning_rate, seed; see `minilstm.study.plan.Settings.of`. rnn
        is a name that `minilstm cells --list` shows, a cell in a file (path/to/my_cell.py:name), or a cell
        of `minilstm.cell`, without files and other processes, which could not find it again

    Returns
    -------
    StudyResult, with `.table()`, `.plot()` and `.recommend()`.

    Raises ValueError or TypeError that names the argument, OSError for the folder, StudyError when a
    worker dies.

    >>> result = length_study("recall", lengths=[2, 3], seeds=1, epochs=1, units=2)
    >>> [row["length"] for row in result.rows]
    [2, 3]
    >>> import numpy as np
    >>> waves = [np.sin(np.arange(length) * (1 + k % 2)) for k, length in enumerate(range(5, 45))]
    >>> result = length_study(waves, ["slow", "fast"] * 20, lengths=["q50"], seeds=1, epochs=1, units=2)
    >>> result.rows[0]["length"], result.recommend()
    (24, None)
    """
    jobs = whole_number("jobs", jobs)
    out = None if out is None else files.checked_path("out", out)
    if on_cell is not None and not callable(on_cell):
        raise TypeError(wording("on_cell", "a function of (point, record), or None", shown(on_cell)))
    if executor is not None and not hasattr(executor, "submit"):
        raise TypeError(wording("executor", "a concurrent.futures.Executor, or None", shown(executor)))
    checked, source = prepare(x, y, problem, words, settings)
    if not layers.HANDED_OVER.keys().isdisjoint(checked.rnn) and (jobs > 1 or executor or out is not None):
        expected = "a cell in a file, as path/to/my_cell.py:name, where out, executor or jobs > 1 is given"
        raise ValueError(wording("rnn", expected, f"the cells {', '.join(checked.rnn)}"))
    with Journal(checked, journals.config(checked, source), out) as journal:
        if out is not None:
            from minilstm.study import report  # here, so that a missing extra is known before the work
        with Progress(journal, quiet=not verbose) as progress:
            spent = run_missing(journal, source, jobs, progress.then(on_cell), executor)
        result = result_of(journal, spent)
        return result if out is None else report.write(result, journal)


def prepare(
    x: Any, y: Sequence[Any] | None, problem: str | None, words: int, settings: dict[str, Any]
) -> tuple[Settings, Source]:
    """The checked settings of a study, and its data."""
    known = inspect.signature(Settings.of).parameters.keys() - {"task", "data"}
    for name in settings.keys() - known:
        raise misspelled("length_study", name, known)
    seed = settings.get("seed", SEED)
    if isinstance(x, str):
        if y is not None:
            raise ValueError(wording("y", f"left out for the study {x!r}", type(y).__name__))
        if x not in TASKS:
            Settings.of(x)  # raises, with the names that there are
        bare = Settings.of(x, **{**settings, "lengths": None})  # what is wrong is known before data are read
        source = Source.of(x, bare.seed)
        return Settings.of(x, **settings, data=source.data), source
    data = x if isinstance(x, Dataset) else from_sequences(x, y, problem=problem, words=words, seed=seed)
    return Settings.of(OWN, **settings, data=data), Source(OWN, seed, data)


def run_missing(
    journal: Journal,
    source: Source,
    jobs: int,
    on_cell: OnPoint | None = None,
    executor: Executor | None = None,
    share: Callable[[Source], Any] = lambda source: source,
    here: bool = True,
) -> dict[str, Any]:
    """Run the points that are not finished; what that took. A single job runs in this process if `here`."""
    start = time.perf_counter()
    missing = journal.settings.in_turn(journal.missing)

    def finished(point: Point, record: Record) -> None:
        journal.add(point, record)
        if on_cell is not None:
            on_cell(point, record)

    kernels = run_points(
        journal.settings, source, missing, finished, jobs=jobs, here=here, executor=executor, share=share
    )
    if executor is None:
        time_steps(journal, source, max(1, processors() // jobs))
    return {
        "jobs": jobs,
        "cells_run": len(missing),
        "kernel_seconds": kernels,
        "seconds": time.perf_counter() - start,
    }
