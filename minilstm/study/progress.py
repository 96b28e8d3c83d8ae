"""What a long run is at, on stderr: a bar on a terminal, a line for each finished part elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from minilstm.study.journal import Journal
from minilstm.study.plan import Point, Settings
from minilstm.study.point import Record
from minilstm.study.words import number

if TYPE_CHECKING:
    from rich.console import Console


class Display:
    """A bar and the time left on a terminal, elsewhere a line for each part that is finished; on stderr.

    total, done : parts of the whole, and those that were finished before;  what : what a part is, in plural;
    work : of the parts that are missing, in the unit of `shown`
    """

    def __init__(self, total: int, done: int, work: float, what: str, quiet: bool = False) -> None:
        self.total, self.done, self.quiet = total, done, quiet
        self.bar: Any = None
        if quiet or not work:
            return
        if done:
            print(f"{done} of {total} {what} were finished before", file=sys.stderr)
        if sys.stderr.isatty() and find_spec("rich"):
            self.bar = _bar()
            self.task = self.bar.add_task(self._count("loading the kernels"), total=work)

    def __enter__(self) -> Self:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def shown(self, text: str, work: float = 1) -> None:
        """Show one more finished part."""
        self.done += 1
        if self.quiet:
            return
        if self.bar is None:
            print(self._count(text), file=sys.stderr, flush=True)
        else:
            self.bar.update(self.task, advance=work, description=self._count(text))

    def _count(self, text: str) -> str:
        return f"{self.done}/{self.total}  {text}"


class Progress(Display):
    """What a study is at: its parts are models."""

    def __init__(self, journal: Journal, quiet: bool) -> None:
        self.settings = journal.settings
        work = sum(map(_work, journal.missing))
        super().__init__(len(self.settings.points()), len(journal.records), work, "models", quiet)

    def then(self, more: Callable[[Point, Record], None] | None) -> Callable[[Point, Record], None]:
        """`finished`, and `more` afterwards."""

        def both(point: Point, record: Record) -> None:
            self.finished(point, record)
            if more is not None:
                more(point, record)

        return both

    def finished(self, point: Point, record: Record) -> None:
        """Show one more finished point."""
        self.shown(_numbers(point, record, self.settings), _work(point))


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
