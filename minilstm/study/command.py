"""`minilstm study` for people: progress on stderr, a table and a sentence on stdout, an exit code."""

from __future__ import annotations

import argparse
import signal
import sys
from dataclasses import fields
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from minilstm.errors import whole_number, wording
from minilstm.study import StudyError, StudyResult, result_of, run_missing
from minilstm.study.cell import Record
from minilstm.study.journal import Journal, to_json
from minilstm.study.plan import Cell, Settings
from minilstm.study.run import processors
from minilstm.study.summary import number

if TYPE_CHECKING:
    from rich.console import Console

SETTINGS = {field.name for field in fields(Settings)} - {"task"} | {"mask"}
EXTRA = "minilstm study needs its extra packages: pip install 'minilstm[study]'"


class Terminated(BaseException):
    """SIGTERM arrived."""


def run(options: argparse.Namespace) -> int:
    """Run the study that the options describe; the exit code."""
    try:
        import jinja2  # noqa: F401
        import rich  # noqa: F401
    except ImportError:
        return _fail(EXTRA, 2)
    from minilstm.study import report

    given = {name: value for name, value in vars(options).items() if name in SETTINGS}
    try:
        settings = Settings.of(options.task, **given)
        jobs = processors() if options.jobs is None else whole_number("jobs", options.jobs)
        if options.out == "":
            raise ValueError(wording("out", "the name of a folder", "an empty name"))
        out = report.default_folder(options.task) if options.out is None else options.out
        journal = Journal(settings, out)
    except (ValueError, TypeError, OSError) as error:
        return _fail(_words(error), 2)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        with Progress(journal, options.quiet) as progress:
            spent = run_missing(journal, jobs, progress.finished)
        result = report.write(result_of(journal, spent), journal)
    except (KeyboardInterrupt, Terminated) as stop:
        return _stopped(journal, 143 if isinstance(stop, Terminated) else 130, options)
    except (StudyError, OSError, MemoryError) as error:
        return _fail(_words(error), 1)
    if options.json:
        sys.stdout.write(to_json(result.summary))
        if not options.quiet:
            print(result.report, file=sys.stderr)
        return 0
    print_table(result, settings)
    print(f"\n{result.conclusion}\n\n{result.report}")
    return 0


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def _stopped(journal: Journal, code: int, options: argparse.Namespace) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is done is printed in any case
    done, planned = len(journal.records), len(journal.settings.cells())
    if done and not options.json:
        print_table(result_of(journal, {}), journal.settings)
    print(f"minilstm: stopped; {done} of {planned} cells are kept, the same command goes on", file=sys.stderr)
    return code


def _fail(message: str, code: int) -> int:
    print(f"minilstm: error: {' '.join(message.split())}", file=sys.stderr)
    return code


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or type(error).__name__


# ------------------------------------------------------------ the table


def print_table(result: StudyResult, settings: Settings) -> None:
    """The study's table on stdout, one row per (length, mask)."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from minilstm.study.report import TABLE

    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1 if console.width >= 100 else 0, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    for name, _ in TABLE:
        head = f"test {settings.metric}" if name == "test" else name.replace("/", "/\n").replace(" ", "\n")
        table.add_column(head, justify="right", vertical="bottom", overflow="fold")
    for row in result.rows:
        table.add_row(*(value(row, settings) for _, value in TABLE))
    console.print(table, markup=False)


# ------------------------------------------------------------ progress


class Progress:
    """What is going on, on stderr: a bar on a terminal, a line per cell elsewhere, nothing if quiet."""

    def __init__(self, journal: Journal, quiet: bool) -> None:
        self.settings = journal.settings
        self.quiet = quiet
        self.total = len(self.settings.cells())
        self.done = len(journal.records)
        self.bar: Any = None
        self.task: Any = None
        work = [_work(cell) for cell in journal.missing]
        if quiet or not work:
            return
        if self.done:
            print(f"{self.done} of {self.total} cells were finished before", file=sys.stderr)
        if sys.stderr.isatty():
            self.bar = _bar()
            self.task = self.bar.add_task(self._count("loading the kernels"), total=sum(work))

    def __enter__(self) -> Progress:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def finished(self, cell: Cell, record: Record) -> None:
        """Show one more finished cell."""
        self.done += 1
        if self.quiet:
            return
        text = self._count(_numbers(cell, record, self.settings))
        if self.bar is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self.bar.update(self.task, advance=_work(cell), description=text)

    def _count(self, text: str) -> str:
        return f"{self.done}/{self.total}  {text}"


def _work(cell: Cell) -> int:
    """How long a cell takes, about, in units of one time step: what does not grow with length is worth 8."""
    return cell.length + 8


def _numbers(cell: Cell, record: Record, settings: Settings) -> str:
    name = str(cell) if settings.padding is not None else f"length {cell.length}, seed {cell.seed}"
    if record["diverged"] is not None:
        return f"{name}: diverged"
    value = number(record["test_metric"], settings.metric)
    return f"{name}: test {settings.metric} {value}, {record['ms_per_step']:.2f} ms/step"


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    console: Console = Console(stderr=True)
    return RichProgress(
        BarColumn(bar_width=24),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
