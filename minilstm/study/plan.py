"""What a study will do: its settings, checked before any work, and the list of its points.

A point is one model: one place in the grid of lengths, seeds and variants. A variant is everything
else that may be swept: the kind of recurrent layer, its size, the sides of padding and truncation,
the mask, clipping, the forget bias, shuffled labels. Everything that can change a result stands in
`Settings`; what cannot (the number of jobs, where files go) does not.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from itertools import product
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from minilstm import layers
from minilstm.cells import UserCell
from minilstm.foundations.errors import check_room, one_of, real_number, whole_number, wording

Value = TypeVar("Value")

TASKS = ("digits", "imdb", "recall", "adding")
OWN = "data"  # the name of a study of the user's own data
GENERATED = ("recall", "adding")  # made at exactly the length studied: no padding
LEARNING_RATE = 3e-3
OUTLIER = 4  # times the 90th percentile, above which a length is none that a study reads by default
SEED = 0  # never chosen by what comes out
LARGEST_PLAN = 10**6  # models of one study
LARGEST = 1e100  # of a learning rate or a norm: more does not fit what computes with it
PATIENCE = 3  # epochs without a better validation loss, after which a model that has learned stops

_DEFAULTS: dict[str, dict[str, Any]] = {
    "digits": {"lengths": (5, 10, 20, 40, 92), "seeds": (3, 5), "epochs": 20, "clipnorm": None},
    "recall": {"lengths": (10, 50, 100, 200), "seeds": 3, "epochs": 20, "clipnorm": 1.0},
    "adding": {"lengths": (10, 50, 100), "seeds": 3, "epochs": 20, "clipnorm": 1.0},
    "imdb": {
        "lengths": (25, 50, 100, 200, 400),
        "seeds": 1,
        "epochs": 3,
        "clipnorm": 1.0,
        "truncating": ("pre", "post"),
    },
    OWN: {"lengths": ("q25", "q50", "q75", "q90", "max"), "seeds": (3, 5), "epochs": 20, "clipnorm": 1.0},
}

# The dimensions that a variant has, in the order in which its name says them.
DIMENSIONS = ("rnn", "units", "mask", "padding", "truncating", "clipnorm", "forget_bias", "shuffled")
Variant = tuple[Any, ...]  # one value for each of DIMENSIONS


@dataclass(frozen=True)
class Point:
    """One model of the study; `seed` counts from 0. None where a dimension has no meaning."""

    length: int
    seed: int
    rnn: str = "lstm"
    units: int = 64
    mask: bool = False
    padding: str | None = None
    truncating: str | None = None
    clipnorm: float | None = None
    forget_bias: int | None = 1
    shuffled: bool = False  # the control: training labels in random order

    @property
    def variant(self) -> Variant:
        """All but the length and the seed."""
        return tuple(getattr(self, name) for name in DIMENSIONS)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Point:
        """The point that a record belongs to; KeyError if it does not say."""
        return cls(**{name: record[name] for name in POINT_FIELDS})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        own = {"length": self.length, "seed": self.seed}
        return ", ".join([f"{key} {value}" for key, value in own.items()] + words_of(self.variant))


DEFAULTED = ("longest_seeds", "horizon")  # settings that no option gives by their name
POINT_FIELDS = tuple(field.name for field in fields(Point))


def words_of(variant: Variant, names: Iterable[str] = DIMENSIONS) -> list[str]:
    """A variant in words, of the dimensions in `names` that have a meaning."""
    words: dict[str, Callable[[Any], str]] = {
        "rnn": str,
        "units": lambda value: f"{value} units",
        "mask": lambda value: "with mask" if value else "without mask",
        "padding": lambda value: f"padding {value}",
        "truncating": lambda value: "keeps the end" if value == "pre" else "keeps the start",
        "clipnorm": lambda value: "no clipping" if value is None else f"clipnorm {value:g}",
        "forget_bias": lambda value: f"forget bias {value}",
        "shuffled": lambda value: "shuffled labels" if value else "",
    }
    present = {k: v for k, v in zip(DIMENSIONS, variant, strict=True) if v is not None or k == "clipnorm"}
    return [
        text
        for name in DIMENSIONS
        if name in names and name in present and (text := words[name](present[name]))
    ]


@dataclass(frozen=True)
class Settings:
    """All that decides the results. Made by `Settings.of`, which checks and fills in defaults."""

    task: str
    lengths: tuple[int, ...]
    seeds: int
    epochs: int
    rnn: tuple[str, ...]
    units: tuple[int, ...]
    mask: tuple[bool, ...]
    padding: tuple[str, ...]  # empty where every sequence has exactly the length that is studied
    truncating: tuple[str, ...]
    clipnorm: tuple[float | None, ...]
    forget_bias: tuple[int, ...]
    control: bool
    batch_size: int
    embedding: int | None  # None where steps are numbers and not words
    learning_rate: float
    seed: int
    metric: str  # "accuracy", or "MSE" where less is better
    longest_seeds: int = (
        0  # of the longest length without a mask, where learning hangs on luck; 0: as elsewhere
    )
    horizon: int | None = None  # steps that a forecast is made ahead
    patience: int | None = None  # None: every model is trained for all epochs

    @classmethod
    def of(
        cls,
        task: str = "digits",
        *,
        lengths: Sequence[int | str] | None = None,
        seeds: int | Sequence[int] | None = None,
        epochs: int | None = None,
        rnn: str | Sequence[str] = "lstm",
        units: int | Sequence[int] = 64,
        mask: bool | Sequence[bool] | None = None,
        padding: str | Sequence[str] | None = None,
        truncating: str | Sequence[str] | None = None,
        clipnorm: float | str | Sequence[float | str | None] | None = None,
        forget_bias: int | Sequence[int] = 1,
        control: bool = False,
        batch_size: int = 32,
        embedding: int | None = None,
        learning_rate: float = LEARNING_RATE,
        seed: int = SEED,
        patience: int | str | None = None,
        data: Any = None,
    ) -> Settings:
        """Checked settings; ValueError or TypeError that names the argument.

        rnn, units, mask, padding, truncating, clipnorm and forget_bias take one value or several: the
        study is of all their combinations. Two numbers of seeds are those of all points, and of the longest
        length without a mask. `mask=None` studies both, with and without, where anything is padded;
        `clipnorm="none"` is no clipping, and None the task's own choice. `patience` ends the training of a
        classifier early: when its training accuracy is 0.99 or more and its validation loss has not got
        better for so many epochs; None is 3, and "none" trains all epochs. A length may be a quantile of the
        training part's lengths, "q90", or "max". `control` adds each variant with shuffled training labels.
        The generated tasks have no padding, so padding, truncating and mask=True are errors for them, and for
        the windows of a forecast, of which shorter lengths keep the end. `data` is the Dataset, for a task
        whose data exist beforehand; without it quantiles cannot be asked for.

        >>> Settings.of("digits", lengths=[20, 5], seeds=1).points()[0].length
        20
        """
        task = one_of("task", task, (*TASKS, OWN))
        defaults = _DEFAULTS[task]
        ragged = task not in GENERATED
        text = task == "imdb" or (data is not None and data.vocabulary is not None)
        if embedding is not None and not text:
            raise ValueError(wording("embedding", "left out where the steps are numbers", embedding))
        horizon = None if data is None else data.horizon
        whole = None if ragged else f"{task}, whose sequences all have exactly the length studied"
        whole = whole if horizon is None else "forecasting, where every window has the length studied"
        for name, value in (("padding", padding), ("truncating", truncating), ("mask", mask or None)):
            if whole and value is not None:
                raise ValueError(wording(name, f"left out for {whole}", repr(value)))
        if horizon is not None:
            mask, truncating = False, "pre"
        found = _lengths(
            (_own_lengths(data) or defaults["lengths"]) if lengths is None else lengths,
            2 if task == "adding" else 1,
            None if data is None else data.lengths(),
        )
        if mask is None and data is not None and _never_padded(data, found[-1]):
            mask = False
        several = _seeds(defaults["seeds"] if seeds is None else seeds)
        regression = task == "adding" or (data is not None and data.task == "regression")
        sides = ("pre", "post")
        rnns = _several("rnn", rnn, _rnn)
        settings = cls(
            task=task,
            lengths=found,
            seeds=several[0],
            longest_seeds=several[-1] if ragged and horizon is None else several[0],
            horizon=horizon,
            patience=_patience(patience, regression),
            epochs=whole_number("epochs", defaults["epochs"] if epochs is None else epochs),
            rnn=rnns,
            units=_several("units", units, lambda value: whole_number("units", value)),
            mask=_several("mask", (True, False) if mask is None else mask, _flag("mask"))
            if ragged
            else (False,),
            padding=_several("padding", padding or "post", lambda v: one_of("padding", v, sides))
            if ragged
            else (),
            truncating=_several(
                "truncating",
                truncating or defaults.get("truncating", "post"),
                lambda value: one_of("truncating", value, sides),
            )
            if ragged
            else (),
            clipnorm=_several("clipnorm", defaults["clipnorm"] if clipnorm is None else clipnorm, _clipnorm),
            forget_bias=_several("forget_bias", forget_bias, _forget_bias),
            control=_flag("control")(control),
            batch_size=whole_number("batch_size", batch_size),
            embedding=whole_number("embedding", 32 if embedding is None else embedding) if text else None,
            learning_rate=real_number("learning_rate", learning_rate, above=True, below=LARGEST),
            seed=whole_number("seed", seed, 0),
            metric="MSE" if regression else "accuracy",
        )
        if settings.most_points > LARGEST_PLAN:
            expected = f"so few that the study has {LARGEST_PLAN:,} models at most"
            raise ValueError(wording("seeds", expected, several[-1]))
        settings._check_room(data)
        return settings

    @property
    def most_points(self) -> int:
        """How many points there are at most, without making them."""
        several = [value for value in vars(self).values() if isinstance(value, tuple)]
        models = math.prod(max(1, len(value)) for value in several) * (1 + self.control)
        return models * max(self.seeds, self.longest_seeds)

    def _check_room(self, data: Any) -> None:
        """NoRoomError where the weights or the padded sequences are larger than memory."""
        units = max(self.units)
        check_room(f"a recurrent layer of {units} units", 4 * units * units)
        if self.embedding is not None and data is not None:
            check_room(f"an embedding of {self.embedding} numbers", 4 * self.embedding * data.vocabulary)
        if data is not None:
            count, longest = len(data.train.x), self.lengths[-1]
            size = 4 * (1 if data.vocabulary is not None else data.features)
            check_room(f"a training part of {count} sequences of length {longest}", size * count * longest)

    def points(self) -> list[Point]:
        """All points: a whole sweep of a variant, then the next, per seed.

        A sweep begins with its longest length, and the others take as long again, so that two workers hardly
        ever train the longest models at once: at length 400 the tapes of two do not fit a processor's
        cache together, and each takes twice as long a step as beside a short one.
        """
        grid = product(
            range(max(self.seeds, self.longest_seeds)),
            self.rnn,
            self.units,
            self.mask,
            self.padding or (None,),
            self.truncating or (None,),
            self.clipnorm,
            self.forget_bias,
            (False, True) if self.control else (False,),
            self.lengths[::-1],
        )
        made = (
            Point(length, seed, rnn, units, mask, pad, cut, clip, bias if rnn == "lstm" else None, shuffled)
            for seed, rnn, units, mask, pad, cut, clip, bias, shuffled, length in grid
            if seed < (self.seeds if mask or length < self.lengths[-1] else self.longest_seeds or self.seeds)
        )
        return list(
            dict.fromkeys(made)
        )  # only an LSTM has a forget bias: for others a sweep over it is one point

    def in_turn(self, points: Iterable[Point]) -> list[Point]:
        """Points of the plan in the order in which they are run: seed after seed, so that a study that is
        interrupted has its first seeds whole.

        The last thing to be run is a whole sweep, and in it the shortest lengths: where a worker has nothing
        left to do, the others are soon ready too. So what the longest length alone has more of comes before.
        """
        last = self.seeds - 1
        return sorted(points, key=lambda point: (min(point.seed, last), point.seed <= last))

    @property
    def variants(self) -> list[Variant]:
        """The variants, in the order of the plan, those with shuffled labels last."""
        return sorted(
            dict.fromkeys(point.variant for point in self.points()), key=lambda variant: bool(variant[-1])
        )

    @property
    def varied(self) -> list[str]:
        """The dimensions in which the variants differ."""
        found = []
        for name, values in zip(DIMENSIONS, zip(*self.variants, strict=True), strict=True):
            real = set(values) - {None} if name == "forget_bias" else set(values)  # only an LSTM has one
            found += [name] if len(real) > 1 else []
        return found

    def label(self, variant: Variant) -> str:
        """The name of a variant: what tells it from the others; "" where there is only one."""
        return ", ".join(words_of(variant, self.varied))

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON has them (lists for tuples)."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """The inverse of `to_dict`; TypeError or KeyError for anything else."""
        found: dict[str, Any] = {
            field.name: values[field.name]
            for field in fields(cls)
            if field.default is MISSING or field.name in values
        }
        for key, value in found.items():
            found[key] = tuple(value) if isinstance(value, list) else value
        return cls(**found)

    def model_seed(self, point: Point) -> int:
        """Seed of the point's weights and shuffling: the same for every length and every variant."""
        child = np.random.SeedSequence(self.seed).spawn(point.seed + 1)[point.seed]
        return int(child.generate_state(1, np.uint64)[0])

    def command(self, more: Sequence[str] = ()) -> str:
        """What to type to run this study again, with every setting spelled out.

        `more` are the words that say which data file to read, and how.
        """
        words = ["minilstm", "study", *([] if self.task == OWN else [self.task]), *more]
        for name, value in self.to_dict().items():
            if name in ("task", "metric", "control", "mask", *DEFAULTED):
                continue
            if value in (None, []) and (name != "patience" or self.metric == "MSE"):
                continue
            if self.horizon is not None and name in ("padding", "truncating"):
                continue
            values = value if isinstance(value, list) else [value]
            if name == "seeds" and self.longest_seeds not in (0, value):
                values = [value, self.longest_seeds]
            words += [
                f"--{name.replace('_', '-')}",
                ",".join("none" if v is None else f"{v}" for v in values),
            ]
        if self.padding and len(self.mask) == 1 and self.horizon is None:
            words.append("--mask" if self.mask[0] else "--no-mask")
        return shlex.join(words + (["--control"] if self.control else []))


# ------------------------------------------------------------ checks


def _rnn(value: str | UserCell) -> str:
    if isinstance(value, UserCell):
        return layers.kind_of(value)
    layers.maker_of(value)  # raises where there is none of that name
    return value


def _never_padded(data: Any, longest: int) -> bool:
    """Whether every sequence has as many steps as the longest length, so that a mask changes nothing."""
    return all(len(x) >= longest for part in (data.train, data.validation, data.test) for x in part.x)


def _several(name: str, value: Any, check: Callable[[Any], Value]) -> tuple[Value, ...]:
    """One value or a list of them as a tuple of checked, different values."""
    given = list(value) if isinstance(value, (list, tuple, range, np.ndarray)) else [value]
    found = tuple(check(one) for one in given)
    if not found:
        raise ValueError(wording(name, "at least one value", "none"))
    if len(set(found)) < len(found):
        raise ValueError(wording(name, "different from each other", list(found)))
    return found


def _seeds(value: Any) -> tuple[int, ...]:
    """One number of seeds, or two."""
    given = list(value) if isinstance(value, (list, tuple)) else [value]
    if len(given) not in (1, 2):
        raise ValueError(wording("seeds", "one number, or two: in general and for the longest length", given))
    return tuple(whole_number("seeds", one) for one in given)


def _flag(name: str) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(wording(name, "True or False", repr(value)))
        return bool(value)

    return check


def _clipnorm(value: Any) -> float | None:
    if value is None or value == "none":
        return None
    return real_number("clipnorm", value, above=True, below=LARGEST)


def _patience(value: Any, regression: bool) -> int | None:
    if regression and value not in (None, "none"):
        raise ValueError(wording("patience", "left out for a regression, which has no accuracy", repr(value)))
    if regression or value == "none":
        return None
    return whole_number("patience", PATIENCE if value is None else value)


def _forget_bias(value: Any) -> int:
    number = whole_number("forget_bias", value, 0)
    if number > 1:
        raise ValueError(wording("forget_bias", "0 or 1", number))
    return number


def _lengths(values: Sequence[int | str], minimum: int, own: NDArray[np.int64] | None) -> tuple[int, ...]:
    """`values` as sorted numbers; quantiles are those of `own`, the lengths of the training part."""
    expected = "a list of whole numbers, or quantiles such as 'q90' and 'max'"
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise TypeError(wording("lengths", expected, repr(values)))
    found = []
    for value in values:
        if isinstance(value, str):
            found.append(max(minimum, _quantile(value, own, expected)))
            continue
        try:
            found.append(whole_number("lengths", value, minimum))
        except TypeError:
            raise TypeError(wording("lengths", expected, repr(value))) from None
    if not found:
        raise ValueError(wording("lengths", "at least one whole number", "none"))
    named = any(isinstance(value, str) for value in values)
    if len(set(found)) < len(found) and not named:  # quantiles of few lengths may well be equal
        raise ValueError(wording("lengths", "different from each other", found))
    return tuple(sorted(set(found)))


def _own_lengths(data: Any) -> list[int | str] | None:
    """Lengths for data of the user's own, by default: quantiles, an outlier not among them.

    Where all sequences are equally long, an eighth of that, a quarter, a half and the whole.
    """
    if data is None or data.name in TASKS:
        return None
    own = data.lengths()
    longest = int(own.max())
    if own.min() == longest:
        return sorted({-(-longest // part) for part in (8, 4, 2, 1)})
    usual = int(own[own <= OUTLIER * np.quantile(own, 0.9, method="inverted_cdf")].max())
    return ["q25", "q50", "q75", "q90", usual]


def _quantile(word: str, own: NDArray[np.int64] | None, expected: str) -> int:
    share = word[1:] if word.startswith("q") else "100" if word == "max" else ""
    try:
        number = real_number("lengths", float(share), 0.0)
    except ValueError:
        raise ValueError(wording("lengths", expected, repr(word))) from None
    if number > 100:
        raise ValueError(wording("lengths", "a quantile from q0 to q100", repr(word)))
    if own is None:
        raise ValueError(wording("lengths", "whole numbers for a generated task", repr(word)))
    return int(np.quantile(own, number / 100, method="inverted_cdf"))
