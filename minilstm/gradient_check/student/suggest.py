"""Which adapter fits functions that cannot be called as they are: each is tried."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minilstm.gradient_check import adapters
from minilstm.gradient_check.student.cases import Case, draw
from minilstm.gradient_check.student.exceptions import FunctionError
from minilstm.gradient_check.student.functions import Functions, Told

Pair = tuple[Callable[..., Any], Callable[..., Any]]
TRIED: list[tuple[str, str, Callable[..., Pair]]] = [
    ("columns", "h seems to be (H, B), a sample a column", adapters.columns),
    ("time_major", "x seems to be (T, B, D)", adapters.time_major),
    ("single", "it seems to take one sample, without a batch axis", adapters.single),
    ("ids", "x seems to be integer ids", adapters.ids),
    ("states", "the states seem to be one pair (h, c)", adapters.states),
    ("dictionary", "the weights seem to be in a dict", adapters.dictionary),
    ("course", "the weights seem to be a dict of gates, on columns", adapters.course),
]


def adapter(forward: Callable[..., Any], backward: Callable[..., Any], case: Case) -> str | None:
    """In words, the adapter with which the functions can be called; None if there is none."""
    if not callable(forward) or not callable(backward):
        return None
    for name, why, adapt in TRIED:
        wrapped = adapt(forward, backward)
        B = 1 if name == "single" else case.batch
        sizes = (B, case.steps, case.sizes[2], case.units)
        mask = None if case.mask is None else case.mask[:B]
        try:
            Functions(*wrapped, draw(case.spec, sizes, mask, 0, case.step, name == "ids"), Told())
        except (FunctionError, ValueError, TypeError, KeyError):
            continue
        return f"But {why}: use adapters.{name}."
    return None
