"""What a study is at, on stderr: a bar on a terminal, a line per model elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any

from minilstm.study.journal import Journal
from minilstm.study.plan import Point, Settings
from minilstm.study.point import Record
from minilstm.study.words import number

if TYPE_CHECKING:
    from rich.console import Console


class Progress:
    """What is going on, on stderr: a bar on a terminal, a line per point elsewhere, nothing if quiet."""

    def __init__(self, journal: Journal, quiet: bool) -> None:
        self.settings = journal.settings
        self.quiet = quiet
        self.total = len(self.settings.points())
        self.done = len(journal.records)
        self.bar: Any = None
        self.task: Any = None
        work = [_work(point) for point in journal.missing]
        if quiet or not work:
            return
        if self.done:
            print(f"{self.done} of {self.total} models were finished before", file=sys.stderr)
        if sys.stderr.isatty() and find_spec("rich"):
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

    def then(self, more: Callable[[Point, Record], None] | None) -> Callable[[Point, Record], None]:
        """`finished`, and `more` afterwards."""

        def both(point: Point, record: Record) -> None:
            self.finished(point, record)
            if more is not None:
                more(point, record)

        return both

    def finished(self, point: Point, record: Record) -> None:
        """Show one more finished point."""
        self.done += 1
        if self.quiet:
            return
        text = self._count(_numbers(point, record, self.settings))
        if self.bar is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self.bar.update(self.task, advance=_work(point), description=text)

    def _count(self, text: str) -> str:
        return f"{self.done}/{self.total}  {text}"


def _work(point: Point) -> int:
    """How long a point takes, about, in units of one time step: what does not grow with length is worth 8."""
    return point.length + 8


def _numbers(point: Point, record: Record, settings: Settings) -> str:
    label = settings.label(point.variant)
    name = f"length {point.length}{f', {label}' if label else ''}, seed {point.seed}"
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
