"""From the options of `minilstm study` to checked settings and data."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from minilstm.datasets import Dataset, from_sequences, from_series, read_file, read_series
from minilstm.foundations.errors import reworded, whole_number, wording
from minilstm.study.plan import DEFAULTED, OWN, SEED, Settings
from minilstm.study.source import Source

SETTINGS = {field.name for field in fields(Settings)} - {"task", "metric", *DEFAULTED}
OF_ROWS = (
    "text",
    "label",
    "by",
    "padded_at",
    "words",
)  # of files with a label in each row
OF_SERIES = ("target", "horizon")
OF_BOTH = ("features", "drop", "group", "order", "decimal", "problem", "split", "bad_rows")
OF_COLUMNS = ("features", "drop", "group", "order")
LENGTHS = (6, 12, 24, 48, 96)  # how far a forecast looks back, where the series are long enough
WINDOWS = 5  # times the longest length that a series is to have


def request(options: argparse.Namespace) -> tuple[Settings, Source]:
    """The settings and the data that the options describe; ValueError, TypeError or OSError."""
    given = {name: value for name, value in vars(options).items() if name in SETTINGS and value is not None}
    of_data = {name: getattr(options, name) for name in (*OF_BOTH, *OF_ROWS, *OF_SERIES)}
    named = {name: value for name, value in of_data.items() if value is not None}
    if options.data is None:
        return _built_in(options, given, named)
    if options.task is not None:
        raise ValueError(wording("task", "left out with --data", repr(options.task)))
    forecast = options.problem == "forecasting"
    for name in OF_ROWS if forecast else OF_SERIES:
        if name in named:
            where = "left out for forecasting" if forecast else "given with --problem forecasting"
            raise ValueError(wording(name.replace("_", "-"), where, repr(named[name])))
    name = options.data.name.encode("utf-8", "replace").decode()  # it may hold bytes that are no text
    if forecast:
        given["lengths"], data = _forecast(options, given, name)
    else:
        Settings.of(OWN, **{**given, "lengths": [1], "embedding": None})  # what is wrong is known first
        data = _labelled(options, given, name)
        if options.words is not None and data.vocabulary is None:
            raise ValueError(wording("words", "left out where the steps are numbers", options.words))
    words = ["--data", name]
    for option, value in named.items():
        words += [f"--{option.replace('_', '-')}", ",".join(value) if isinstance(value, list) else str(value)]
    return Settings.of(OWN, **given, data=data), Source(OWN, 0, data, tuple(words))


def _built_in(
    options: argparse.Namespace, given: dict[str, Any], named: Mapping[str, Any]
) -> tuple[Settings, Source]:
    """A study that comes with minilstm."""
    wrong = [name for name in named if name != "words"]
    if wrong:
        raise ValueError(wording(wrong[0].replace("_", "-"), "given with --data FILE alone", "no --data"))
    task = options.task or "digits"
    bare = Settings.of(task, **{**given, "lengths": None})  # what is wrong is known before data are read
    source = Source.of(task, bare.seed, words=options.words)
    return Settings.of(task, **given, data=source.data), source


@contextmanager
def _formats_named() -> Iterator[None]:
    """What a file is refused for, with where to look."""
    try:
        yield
    except (ValueError, TypeError) as error:
        text = re.sub(r"\bpadding must", "padded-at must", str(error))
        raise reworded(error, f"{text}. What is read: minilstm study --formats") from None


def _labelled(options: argparse.Namespace, given: dict[str, Any], name: str) -> Dataset:
    """Sequences with a label each."""
    columns = {key: getattr(options, key) for key in ("text", "label", *OF_COLUMNS, "by")}
    columns["decimal"] = options.decimal or "point"
    bad_rows = options.bad_rows or "refuse"
    with _formats_named():
        table = read_file(options.data, **columns, padding=options.padded_at, bad_rows=bad_rows)
    try:
        return from_sequences(
            table.x,
            table.y,
            problem=options.problem,
            words=10_000 if options.words is None else options.words,
            name=name,
            source=f"{table.source}; {table.reading}",
            places=table.places,
            columns=table.columns,
            split=options.split or "random",
            by=table.by,
            seed=given.get("seed", SEED),
            bad_rows=bad_rows,
        )
    except (ValueError, TypeError) as error:  # a file has no x and y
        text = re.sub(r"\bx must", "the sequences must", re.sub(r"\by must", "the labels must", str(error)))
        if "left out: column" in table.reading:  # that may be why
            text += f"; {table.reading}"
        raise reworded(error, f"{name}: {text}") from None


def _forecast(options: argparse.Namespace, given: dict[str, Any], name: str) -> tuple[list[int], Dataset]:
    """How far back to look, and windows of that many steps."""
    if options.target is None:
        raise ValueError(wording("target", "given with --problem forecasting", "none"))
    horizon = 1 if options.horizon is None else whole_number("horizon", options.horizon)
    lengths = given.get("lengths")
    if lengths is not None and not all(isinstance(length, int) and length >= 1 for length in lengths):
        raise ValueError(wording("lengths", "whole numbers >= 1 for forecasting", lengths))
    settings = {key: value for key, value in given.items() if key != "lengths"}
    Settings.of(OWN, **{**settings, "lengths": lengths or [1], "embedding": None})
    bad_rows = options.bad_rows or "refuse"
    columns = {key: getattr(options, key) for key in OF_COLUMNS}
    columns["decimal"] = options.decimal or "point"
    with _formats_named():
        found = read_series(options.data, target=options.target, bad_rows=bad_rows, **columns)
    note = ""
    if lengths is None:
        shortest, longest = (how(map(len, found.series)) for how in (min, max))
        if shortest < longest / 2:
            note = f", lengths as the shortest series allows, of {shortest:,} steps (--lengths says others)"
        lengths = [n for n in LENGTHS if WINDOWS * n <= shortest] or [max(1, shortest // (2 * WINDOWS))]
    try:
        data = from_series(
            found.series,
            steps=max(lengths),
            horizon=horizon,
            split=options.split or "time",
            seed=given.get("seed", SEED),
            name=name,
            source=f"{found.source}; {found.reading}{note}",
            columns=found.columns,
            bad_rows=bad_rows,
        )
    except (ValueError, TypeError) as error:
        raise reworded(error, f"{name}: {error}") from None
    return lengths, data
