"""The shapes of the JSON in a study's folder: what config.json and a line of results.jsonl must look like.

Both may have been edited or damaged, and what is made of them may fail long after they were read. A shape is
a type; None; a tuple of shapes, of which one fits; a list of one shape, for each item; or a dict, key by key.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, NoReturn

from minilstm import layers
from minilstm.foundations.errors import in_utf8, wording
from minilstm.study.plan import LARGEST, LARGEST_PLAN, OWN, POINT_FIELDS, TASKS, Point, Settings

Record = dict[str, Any]

NUMBER = (float, int, None)  # None where there is none, for JSON has no NaN
SIDES = [("pre", "post")]

PROBE = {
    "horizon": NUMBER,
    "first_norm": NUMBER,
    "norms": [NUMBER],
    "status": {str: int},
    "profile": {"offset": [int], "norm": [NUMBER]},
}
RECORD: Record = {
    "diverged": (str, None),
    "baseline": (float, int),
    "validation_baseline": (float, int),
    **dict.fromkeys(("test_metric", "test_low", "test_high", "validation_metric"), NUMBER),
    **dict.fromkeys(("validation_error", "train_metric", "seconds_per_epoch", "ms_per_step"), NUMBER),
    "before": PROBE,
    "after": PROBE,
    "seconds": (float, int),
    **dict.fromkeys(("threads", "tape_bytes", "data_bytes"), int),
    **dict.fromkeys(("cut_share", "sequences_cut_share", "padding_share"), (float, int)),
    "clipped_share": NUMBER,
    "curves": {str: [NUMBER]},
    "lags": [int],
    "snapshots": [{"epoch": int, "horizon": NUMBER, "norms": [NUMBER]}],
}
LATER: Record = {  # not in the records of older versions
    **dict.fromkeys(("ms_low", "ms_high"), NUMBER),
    **dict.fromkeys(("baseline_name", "study"), str),
}
SETTINGS: Record = {
    "task": (*TASKS, OWN),
    "lengths": [int],
    "seeds": int,
    "epochs": int,
    "rnn": [str],
    "units": [int],
    "mask": [bool],
    "padding": SIDES,
    "truncating": SIDES,
    "clipnorm": [NUMBER],
    "forget_bias": [int],
    "control": bool,
    "batch_size": int,
    "embedding": (int, None),
    "learning_rate": (float, int),
    "seed": int,
    "metric": ("accuracy", "MSE"),
}
CONFIG: Record = {
    "minilstm_study": int,
    "settings": SETTINGS,
    "data": {
        "name": str,
        "description": str,
        "source": str,
        "checksums": {str: str},
        "sizes": dict.fromkeys(("train", "validation", "test"), int),
        "labels": [str],
        "options": [str],
    },
    "versions": {str: str},
    "platform": {"system": str, "machine": str, "processors": (int, None)},
}
LATER_SETTINGS: Record = {"longest_seeds": int, "horizon": (int, None), "patience": (int, None)}
REMARKS: Record = {  # of the data; not in the folders of older versions
    "remarks": [str],
    "alone": {"column": str, "metric": (float, int), "baseline": (float, int)},
}
WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", None: "null"}


def strict_json(text: str | bytes) -> Any:
    """JSON of finite numbers, with each key once; ValueError for anything else."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError(f"{digits:.20} is larger than any number")
    return number


def _once(pairs: list[tuple[str, Any]]) -> Record:
    found: Record = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {name!r:.60} stands in it twice")
        found[name] = value
    return found


def check(value: Any, shape: Any, place: str = "") -> None:
    """ValueError that names the place where `value` does not have the shape.

    >>> check({"a": [1, 2]}, {"a": [int]})
    >>> check({"a": [1, "2"]}, {"a": [int]})
    Traceback (most recent call last):
    ValueError: a[1] must be a whole number, got '2'
    """
    if isinstance(shape, list) and isinstance(value, list):
        for k, item in enumerate(value):
            check(item, shape[0], f"{place}[{k}]")
    elif isinstance(shape, dict) and isinstance(value, dict):
        for key in shape:
            if key is not str and key not in value:
                raise ValueError(f"it has no {'.'.join(filter(None, [place, key]))!r}")
        for key, item in value.items():
            inner = shape.get(key, shape.get(str))
            if inner is not None:  # what is not known is left alone
                check(item, inner, ".".join(filter(None, [place, key])))
    elif not any(_fits(value, one) for one in (shape if isinstance(shape, tuple) else (shape,))):
        raise ValueError(f"{place or 'it'} must be {_worded(shape)}, got {value!r:.60}")


def _fits(value: Any, shape: Any) -> bool:
    if isinstance(shape, str):
        return bool(value == shape)
    if not isinstance(shape, type):
        return value is None and shape is None
    if type(value) is not shape:
        return False
    if isinstance(value, str):
        return in_utf8(value)
    if isinstance(value, float):
        return abs(value) < LARGEST  # nor is it NaN
    return not isinstance(value, int) or abs(value) < 2**63


def _worded(shape: Any) -> str:
    if isinstance(shape, (list, dict)):
        return "a list" if isinstance(shape, list) else "an object"
    several = shape if isinstance(shape, tuple) else (shape,)
    return " or ".join(dict.fromkeys(WORDS.get(one, repr(one)) for one in several))


def checked_point(record: Any) -> Point:
    """The point that a record belongs to; ValueError where the record is not one."""
    if not isinstance(record, dict):
        raise ValueError(f"it must be an object, got {record!r:.60}")
    later = {key: shape for key, shape in LATER.items() if key in record}
    check(record, dict.fromkeys(POINT_FIELDS, (str, int, float, bool, None)) | RECORD | later)
    for when in ("before", "after"):
        profile = record[when]["profile"]
        if len(profile["offset"]) != len(profile["norm"]):
            raise ValueError(f"{when}.profile has columns of different lengths")
    steps, lags = len(record["before"]["norms"]), record["lags"]
    if len(record["after"]["norms"]) != steps or not all(0 <= lag < steps for lag in lags):
        raise ValueError("its norms and lags do not belong together")
    if any(len(snapshot["norms"]) != len(lags) for snapshot in record["snapshots"]):
        raise ValueError("its snapshots and lags do not belong together")
    return Point.of(record)


def checked_times(record: Any, names: Iterable[str]) -> None:
    """ValueError where a line of times.jsonl has not these names, or not numbers."""
    named = dict.fromkeys(names, (str, int, float, bool, None))
    numbers = dict.fromkeys(("ms_per_step", "ms_low", "ms_high"), NUMBER)
    if not isinstance(record, dict):
        raise ValueError(f"it must be an object, got {record!r:.60}")
    check(record, named | numbers | {"steps": int, "threads": int})


def checked_settings(config: Any) -> Settings:
    """The settings of the study that a config describes; ValueError where it is none."""
    check(config, CONFIG)
    check(config["data"], {key: shape for key, shape in REMARKS.items() if key in config["data"]})
    given = config["settings"]
    check(given, {key: shape for key, shape in LATER_SETTINGS.items() if key in given})
    found = Settings.from_dict(given)
    numbers = (*found.lengths, *found.units, found.seeds, found.epochs, found.batch_size)
    if (
        min(*numbers, found.patience or 1) < 1
        or min(found.longest_seeds, found.horizon or 1) < 0
        or found.seed < 0
        or found.most_points > LARGEST_PLAN
        or not found.lengths
        or not found.rnn
    ):
        raise ValueError("its settings are not those of a study")
    for k, rnn in enumerate(found.rnn):
        if not layers.is_kind(rnn):
            expected = "'lstm' or another recurrent layer, or a cell in a file"
            raise ValueError(wording(f"settings.rnn[{k}]", expected, f"{rnn!r:.60}"))
    return found
