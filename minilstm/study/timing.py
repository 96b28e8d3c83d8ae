"""The time of a training step at each length, when nothing else of ours runs.

Models that are trained beside each other disturb each other's times. So steps are timed after all of them,
one at a time, in rounds through all lengths: what else the machine does meanwhile meets all of them alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from minilstm.compiled import threads
from minilstm.datasets import Split
from minilstm.foundations import interrupts
from minilstm.foundations.errors import NonFiniteError
from minilstm.study.journal import Journal, Timed
from minilstm.study.plan import Point, Settings
from minilstm.study.point import Part, build_model, quartiles
from minilstm.study.source import Source

ROUNDS, FEWEST = 25, 5  # timed steps of each length and variant: so many, or at least so many
SECONDS = 5.0  # after which no more than the fewest are made


def time_steps(journal: Journal, source: Source, count: int) -> None:
    """Time a step of each length and variant that is finished, with `count` threads, and keep it."""
    settings = journal.settings
    done = [point for point in settings.points() if point in journal.records]
    points = {timed_key(point): replace(point, seed=0, shuffled=False) for point in done}
    if not points or not set(points) - set(journal.times):
        return
    found: dict[Timed, list[float]] = {key: [] for key in points}
    before = threads.get_num_threads()
    threads.set_num_threads(count)
    try:
        with interrupts.held() as flag, np.errstate(all="ignore"):
            steps = {key: _step(settings, source, point) for key, point in points.items()}
            start = time.perf_counter()
            for k in range(ROUNDS):
                if k >= FEWEST and time.perf_counter() - start > SECONDS:
                    break
                for key, step in list(steps.items()):
                    flag.check()
                    seconds = step()
                    if seconds is None:
                        del steps[key]  # it diverges: what was measured until then stays
                    else:
                        found[key].append(seconds)
    finally:
        threads.set_num_threads(before)
    journal.keep_times(
        {
            key: {**quartiles([1000 * one for one in seconds]), "steps": len(seconds), "threads": count}
            for key, seconds in found.items()
        }
    )


def timed_key(point: Point) -> Timed:
    """What the time of a step depends on: length and variant, whatever the labels are."""
    return (point.length, *point.variant[:-1])


def _step(settings: Settings, source: Source, point: Point) -> Callable[[], float | None]:
    """A function that trains on the first batch once more and says how long that took; once was before."""
    data = source.at(point.length)
    size = settings.batch_size
    part = Part(Split(data.train.x[:size], data.train.y[:size]), point, data.vocabulary is not None)
    model = build_model(settings, point, data)

    def step() -> float | None:
        begin = time.perf_counter()
        try:
            model.train_on_batch(part.x, part.y, mask=part.mask)
        except NonFiniteError:
            return None
        return time.perf_counter() - begin

    step()
    return step


def times_of(journal: Journal, row: dict[str, Any]) -> dict[str, Any]:
    """The row's times where they were measured so; nothing otherwise."""
    found = journal.times.get(timed_key(Point.of(row | {"seed": 0})), {})
    return {name: value for name, value in found.items() if name in row and value is not None}
