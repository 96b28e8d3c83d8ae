"""What a study will take: time and memory per point, from a few training steps of throwaway models."""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from minilstm.foundations.tables import in_columns
from minilstm.study.plan import Point, Settings
from minilstm.study.point import build_model
from minilstm.study.source import Source

STEPS = 5  # timed training steps per model
TIMED = 400  # time steps, at most, of a sequence in them: a dry run is to be quick


class Estimate(NamedTuple):
    """One line of the plan: points that differ in what costs nothing (seed, sides, mask) are one."""

    rnn: str
    units: int
    length: int
    points: int
    seconds: float  # of one point
    nbytes: int  # tape, padded data, weights and the optimizer's state of one point


def estimate(settings: Settings, source: Source) -> list[Estimate]:
    """Time and memory of the points, by kind of layer, units and length.

    Steps are timed at the shortest length and at the longest, but at most at `TIMED`, on one thread; time is
    linear in length between them and beyond. The kernels must be ready.
    """
    groups: dict[tuple[str, int], list[Point]] = {}
    for point in settings.points():
        groups.setdefault((point.rnn, point.units), []).append(point)
    found = []
    for (rnn, units), points in groups.items():
        ends = sorted({min(length, TIMED) for length in (settings.lengths[0], settings.lengths[-1])})
        measured = [_step(settings, source, replace(points[0], length=length)) for length in ends]
        slope = (
            (measured[-1] - measured[0]) / (ends[-1] - ends[0]) if len(ends) > 1 else measured[0] / ends[0]
        )
        for length in settings.lengths:
            seconds = max(0.0, measured[0] + slope * (length - ends[0]))
            own = sum(point.length == length for point in points)
            point = replace(points[0], length=length)
            found.append(
                Estimate(
                    rnn,
                    units,
                    length,
                    own,
                    seconds * _work(settings, source, length),
                    _bytes(settings, source, point),
                )
            )
    return found


def _step(settings: Settings, source: Source, point: Point) -> float:
    """Seconds of one training step: the median of a few."""
    data = source.at(point.length)
    model = build_model(settings, point, data)
    size = min(settings.batch_size, len(data.train.x))
    x = _batch(source, point.length, size)
    y = data.train.y[:size]
    model.train_on_batch(x, y)
    times = []
    for _ in range(STEPS):
        start = time.perf_counter()
        model.train_on_batch(x, y)
        times.append(time.perf_counter() - start)
    return median(times)


def _batch(source: Source, length: int, size: int) -> Any:
    data = source.at(length)
    rng = np.random.default_rng(0)
    if data.vocabulary is not None:
        return rng.integers(data.vocabulary, size=(size, length), dtype=np.int32)
    return rng.normal(size=(size, length, data.features)).astype(np.float32)


def _work(settings: Settings, source: Source, length: int) -> float:
    """Training steps that a point is worth; a forward pass alone counts as a third of one."""
    data = source.at(length)
    batches = [-(-len(part.x) // settings.batch_size) for part in (data.train, data.validation, data.test)]
    return settings.epochs * (batches[0] + batches[1] / 3) + sum(batches) / 3


def _bytes(settings: Settings, source: Source, point: Point) -> int:
    data = source.at(point.length)
    model = build_model(settings, point, data)
    samples = sum(len(part.x) for part in (data.train, data.validation, data.test))
    steps = samples * point.length
    padded = steps * (4 if data.vocabulary is not None else 4 * data.features) + steps  # and the mask
    tape = sum(model.memory(min(settings.batch_size, len(data.train.x)), point.length).values())
    return int(tape + padded + 4 * 4 * model.count_params())


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(3.2), duration(125), duration(7400)
    ('3 s', '2 min', '2 h 03 min')
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def as_text(found: list[Estimate], jobs: int) -> str:
    """The estimate as a table, with the whole at its end."""
    head = ("layer", "units", "length", "models", "time per model", "memory per model")
    lines = [head] + [
        (e.rnn, str(e.units), str(e.length), str(e.points), duration(e.seconds), f"{e.nbytes / 1e6:.1f} MB")
        for e in found
    ]
    total = sum(e.points * e.seconds for e in found)
    points = sum(e.points for e in found)
    whole = f"{points} models, about {duration(total / jobs)} with {jobs} job{'s' if jobs > 1 else ''}"
    return "\n".join([*in_columns(lines, rule=True), whole])
