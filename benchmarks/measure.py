"""What the benchmarks share: the machine described, functions timed in turn, calls watched, files written."""

from __future__ import annotations

import datetime
import importlib
import json
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import isa
import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

import minilstm as ml
from minilstm import plots

Turns = dict[str, list[list[float]]]  # by name: for each turn, the seconds of single calls

# ---------------------------------------------------------------- the machine


def machine(others: Others, *modules: str) -> dict[str, Any]:
    """Processor, instruction sets, switches, cores, caches, threads, date, what others took, and versions."""
    names = dict.fromkeys(("minilstm", "numpy", "numba", *modules))
    versions = {"python": platform.python_version()}
    return {
        "processor": _processor(),
        "processor_isa": isa.NATIVE,
        "isa": isa.in_force(),
        "switches": {name: os.environ[name] for name in isa.SWITCHES["avx2"] if os.environ.get(name)},
        "cores": os.cpu_count(),
        "cache_bytes": cache_bytes(),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": ml.get_num_threads(),
        "taken_by_others": others.share,
        "date": datetime.date.today().isoformat(),
        "versions": versions | {name: importlib.import_module(name).__version__ for name in names},
    }


def sentence(found: dict[str, Any]) -> str:
    """One line of `machine`."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    where = f"{found['processor']}, {found['isa']}, {found['cores']} cores, {found['threads']} threads"
    where += "".join(f", {name}={value}" for name, value in found["switches"].items())
    taken = found["taken_by_others"]
    busy = f"; other work took {100 * taken:.0f} % of the cores meanwhile" if taken and taken > 0.03 else ""
    return f"{found['date']}, {where}, {versions}{busy}"


def _processor() -> str:
    """The processor's name; Linux keeps it where `platform` does not look."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def cache_bytes() -> dict[str, int]:
    """Bytes of the data caches that the first core sees, by level; empty where the system does not say."""
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        if (folder / "type").read_text().strip() != "Instruction":
            size = (folder / "size").read_text().strip()  # "1024K"
            found[f"L{(folder / 'level').read_text().strip()}"] = int(size.rstrip("KM")) * (
                1024 if size.endswith("K") else 1024**2
            )
    return found


class Others:
    """Watches, from its making on, how much of the processors other work takes: enough of it spoils a timing.

    PyTorch's threads, which wait for one another, become a hundred times slower on a busy machine.
    """

    def __init__(self) -> None:
        self.before = self._busy_and_all()

    @staticmethod
    def _busy_and_all() -> np.ndarray | None:
        """Seconds of all processors so far: busy, but not with this process or its children; and in all."""
        stat = Path("/proc/stat")
        if not stat.exists():
            return None
        ticks = np.array(stat.read_text().split("\n", 1)[0].split()[1:9], float) / os.sysconf("SC_CLK_TCK")
        idle = ticks[3] + ticks[4]
        own = sum(os.times()[:4])
        return np.array([ticks.sum() - idle - own, ticks.sum()])

    @property
    def share(self) -> float | None:
        """The share of all processors' time that went to others; None where the system does not say."""
        now = self._busy_and_all()
        if now is None or self.before is None:
            return None
        busy, total = now - self.before
        return max(0.0, float(busy / total)) if total else 0.0


# ---------------------------------------------------------------- timing


def in_turn(
    functions: dict[str, Callable[[], object]],
    rounds: int,
    seconds: float,
    warm: float = 0.0,
    pause: float = 0.0,
) -> Turns:
    """Time the functions in turn, so that all see the same machine: a pause, a warm-up, then single calls.

    Each turn warms up and measures for at least one call; in between, for that many seconds.
    """
    times: Turns = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            time.sleep(pause)
            _calls(function, warm)
            times[name].append(_calls(function, seconds))
    return times


def _calls(function: Callable[[], object], seconds: float) -> list[float]:
    found = []
    end = time.perf_counter() + seconds
    while not found or time.perf_counter() < end:
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return found


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper quartile."""
    low, median, high = np.percentile(values, [25, 50, 75])
    return float(low), float(median), float(high)


class Call(NamedTuple):
    """One call of a watched function."""

    name: str
    arguments: tuple[Any, ...]
    thread: int
    start: float
    stop: float


@contextmanager
def watched(*places: tuple[Any, str]) -> Iterator[list[Call]]:
    """Note every call of the functions `owner.name`, from all threads, while the block runs."""
    calls: list[Call] = []

    def noting(name: str, function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: Any, **options: Any) -> object:
            start = time.perf_counter()
            result = function(*arguments, **options)
            calls.append(Call(name, arguments, threading.get_ident(), start, time.perf_counter()))
            return result

        return call

    with ExitStack() as stack:
        for owner, name in places:
            stack.enter_context(mock.patch.object(owner, name, noting(name, getattr(owner, name))))
        yield calls


def covered(calls: Sequence[Call]) -> float:
    """Seconds in which at least one of the calls was running: calls of two threads at once count once."""
    total, end = 0.0, -np.inf
    for call in sorted(calls, key=lambda call: call.start):
        total += max(0.0, call.stop - max(call.start, end))
        end = max(end, call.stop)
    return float(total)


# ---------------------------------------------------------------- results


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def write_json(path: Path, result: dict[str, Any]) -> None:
    """`result` as a file, its folder made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")


def plain_log(axis: Axis) -> None:
    """A log axis with plain numbers 1, 2, 5, 10, ... (every power of ten where there are many)."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    low, high = axis.get_view_interval()
    steps = (1, 2, 5) if high < 200 * low else (1,)
    ticks = [step * 10.0**power for power in range(-9, 10) for step in steps]
    ticks = [tick for tick in ticks if low <= tick <= high]
    axis.set_ticks(ticks, [f"{tick:g}" if tick < 1e5 else f"{tick:.0e}" for tick in ticks])
    axis.set_minor_locator(NullLocator())


def write_figure(path: Path, figure: Figure) -> None:
    """The figure as .png and as .svg."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for kind in ("png", "svg"):
        path.with_suffix(f".{kind}").write_bytes(plots.save(figure, kind))
