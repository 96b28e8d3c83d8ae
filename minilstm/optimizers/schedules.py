"""Learning rates that change with the number of steps taken, t = 0, 1, 2, ...

Give one to an optimizer in the place of a number. a is `initial_learning_rate`, T is `decay_steps`.
Source: `keras/src/optimizers/schedules/learning_rate_schedule.py`; computed here in float64.
"""

from __future__ import annotations

import inspect
import math
import sys
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from minilstm.foundations.errors import (
    by_name,
    described,
    flag,
    instance,
    kinds_of,
    listed,
    one_of,
    real_number,
    settle,
    shown,
    spelled,
    whole_number,
    wording,
)

__all__ = [
    "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "LearningRateSchedule",
    "PiecewiseConstantDecay", "PolynomialDecay", "deserialize", "serialize",
]  # fmt: skip


class LearningRateSchedule(ABC):
    """Base: a function of the number of steps taken. Write your own by `__call__`.

    >>> class Halves(LearningRateSchedule):
    ...     def __call__(self, step: int) -> float:
    ...         return 0.5**step
    >>> Halves()(3)
    0.125
    """

    @abstractmethod
    def __call__(self, step: int) -> float:
        """The learning rate of step `step`; of the classes here of any finite number >= 0 below 2^63."""

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The schedule that `get_config` describes."""
        return cls(**by_name("config", config))


def _taken(step: Any) -> float:
    """The number of steps taken; TypeError or ValueError for what an optimizer cannot have counted."""
    return real_number("step", step, below=2.0**63)


def _check(schedule: LearningRateSchedule) -> None:
    """Numbers of steps are whole and >= 1 (of a warm-up >= 0), all other numbers finite and >= 0."""
    for name, value in vars(schedule).copy().items():
        if name.endswith("steps"):
            settle(schedule, **{name: whole_number(name, value, 0 if name == "warmup_steps" else 1)})
        elif name in ("staircase", "cycle"):
            settle(schedule, **{name: flag(name, value)})
        elif name == "name":
            if not isinstance(value, (str, type(None))):
                raise TypeError(wording(name, "a text or None", shown(value)))
        elif name != "warmup_target" or value is not None:
            settle(schedule, **{name: real_number(name, value)})


@dataclass(frozen=True)
class _InPeriods(LearningRateSchedule):
    """A decay by the share t/T of a period that has passed."""

    initial_learning_rate: float
    decay_steps: int
    decay_rate: float
    staircase: bool = False
    name: str | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self)

    def _passed(self, step: int) -> float:
        share = _taken(step) / self.decay_steps
        return math.floor(share) if self.staircase else share


@spelled
@dataclass(frozen=True)
class ExponentialDecay(_InPeriods):
    """a decay_rate^(t/T); with `staircase` t/T is rounded down.

    >>> ExponentialDecay(1.0, decay_steps=10, decay_rate=0.5)(20)
    0.25
    """

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate * _power(self.decay_rate, self._passed(step))


@spelled
@dataclass(frozen=True)
class InverseTimeDecay(_InPeriods):
    """a / (1 + decay_rate t/T); with `staircase` t/T is rounded down.

    >>> InverseTimeDecay(1.0, decay_steps=10, decay_rate=1.0)(10)
    0.5
    """

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate / (1 + self.decay_rate * self._passed(step))


@spelled
@dataclass(frozen=True)
class PiecewiseConstantDecay(LearningRateSchedule):
    """values[k] for boundaries[k-1] < t <= boundaries[k].

    >>> schedule = PiecewiseConstantDecay([100, 200], [1.0, 0.5, 0.1])
    >>> schedule(100), schedule(101), schedule(300)
    (1.0, 0.5, 0.1)
    """

    boundaries: Sequence[int]
    values: Sequence[float]
    name: str | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.name is not None and not isinstance(self.name, str):
            raise TypeError(wording("name", "a text or None", shown(self.name)))
        settle(self, boundaries=listed("boundaries", "a list of rising whole numbers", self.boundaries))
        settle(self, values=listed("values", "a list of numbers", self.values))
        found = [whole_number("boundaries", boundary, 0) for boundary in self.boundaries]
        settle(self, boundaries=found)
        if not found or found != sorted(set(found)):
            raise ValueError(wording("boundaries", "a list of rising whole numbers", list(self.boundaries)))
        settle(self, values=[real_number("values", value) for value in self.values])
        if len(self.values) != len(found) + 1:
            raise ValueError(
                wording("values", f"{len(found) + 1}, one more than boundaries", len(self.values))
            )

    def __call__(self, step: int) -> float:
        return float(self.values[bisect_left(self.boundaries, _taken(step))])


@spelled
@dataclass(frozen=True)
class PolynomialDecay(LearningRateSchedule):
    """(a - end) (1 - t/T)^power + end until T, then end; with `cycle` T doubles, triples .. as t passes it.

    >>> PolynomialDecay(1.0, decay_steps=10, end_learning_rate=0.0)(4)
    0.6
    """

    initial_learning_rate: float
    decay_steps: int
    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False
    name: str | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, step: int) -> float:
        taken = _taken(step)
        periods = max(1, math.ceil(taken / self.decay_steps)) if self.cycle else 1
        p = min(taken / (self.decay_steps * periods), 1.0)
        start, end = self.initial_learning_rate, self.end_learning_rate
        return float((start - end) * (1 - p) ** self.power + end)


@spelled
@dataclass(frozen=True)
class CosineDecay(LearningRateSchedule):
    """a ((1 - alpha) (1 + cos(pi t/T)) / 2 + alpha) until T, then a alpha.

    With `warmup_target`, a line from a to it over the first `warmup_steps`, then the decay from there.

    >>> CosineDecay(1.0, decay_steps=10)(5)
    0.5
    """

    initial_learning_rate: float
    decay_steps: int
    alpha: float = 0.0
    warmup_target: float | None = None
    warmup_steps: int = 0
    name: str | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, step: int) -> float:
        start, taken = self.initial_learning_rate, _taken(step)
        if self.warmup_target is not None:
            if taken < self.warmup_steps:
                return start + (self.warmup_target - start) * taken / self.warmup_steps
            start, taken = self.warmup_target, taken - self.warmup_steps
        return start * _cosine(min(taken / self.decay_steps, 1.0), self.alpha, 1.0)


@spelled
@dataclass(frozen=True)
class CosineDecayRestarts(LearningRateSchedule):
    """The cosine of `CosineDecay` again and again: each time t_mul times as long and m_mul times as high.

    Source: Loshchilov and Hutter 2017.

    >>> schedule = CosineDecayRestarts(1.0, first_decay_steps=10)
    >>> schedule(0), schedule(10), schedule(20)
    (1.0, 1.0, 0.5)
    """

    initial_learning_rate: float
    first_decay_steps: int
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0
    name: str | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self)
        real_number("t_mul", self.t_mul, 1.0)

    def __call__(self, step: int) -> float:
        done, r = _taken(step) / self.first_decay_steps, self.t_mul  # in lengths of the first period
        most = min(done * (r - 1), sys.float_info.max)
        n = round(done if r == 1 else math.log1p(most) / math.log(r))  # whole periods done, or one more
        begin = _begin(n, r)
        if begin > done:
            n, begin = n - 1, _begin(n - 1, r)
        p = min((done - begin) / r**n, 1.0)
        return self.initial_learning_rate * _cosine(p, self.alpha, _power(self.m_mul, n))


def _begin(n: int, r: float) -> float:
    """1 + r + ... + r^(n-1)."""
    return float(n) if r == 1 else (r**n - 1) / (r - 1)


def _power(base: float, exponent: float) -> float:
    """base^exponent, infinite where that is too large for a number."""
    try:
        return float(base**exponent)
    except OverflowError:
        return math.inf


def _cosine(p: float, alpha: float, height: float) -> float:
    return (1 - alpha) * height * (1 + math.cos(math.pi * p)) / 2 + alpha


def serialize(schedule: LearningRateSchedule) -> dict[str, Any]:
    """What `deserialize` makes the same schedule of. Source: `keras.optimizers.schedules.serialize`.

    >>> deserialize(serialize(CosineDecay(0.1, 10)))
    CosineDecay(initial_learning_rate=0.1, decay_steps=10, alpha=0.0, warmup_target=None, warmup_steps=0)
    """
    instance("schedule", schedule, LearningRateSchedule, "a LearningRateSchedule")
    return {"class_name": type(schedule).__name__, "config": schedule.get_config()}


def deserialize(config: Mapping[str, Any]) -> LearningRateSchedule:
    """The schedule that `serialize` describes. Source: `keras.optimizers.schedules.deserialize`."""
    known: dict[str, type[LearningRateSchedule]] = kinds_of(LearningRateSchedule)
    name, arguments = described("schedule", config)
    return known[one_of("class_name", name, known)].from_config(arguments)
