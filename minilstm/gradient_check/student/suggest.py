"""Which adapter fits functions that cannot be called as they are: each is tried, then some in each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

from minilstm.gradient_check import adapters
from minilstm.gradient_check.student.cases import Case, draw
from minilstm.gradient_check.student.exceptions import FunctionError
from minilstm.gradient_check.student.functions import Functions, Told

Pair = tuple[Callable[..., Any], Callable[..., Any]]
WHY = {
    "columns": "h seems to be (H, B), a sample a column",
    "time_major": "x seems to be (T, B, D)",
    "single": "it seems to take one sample, without a batch axis",
    "ids": "x seems to be integer ids",
    "states": "the states seem to be one pair (h, c)",
    "pytorch": "the weights seem to stand transposed, W (nH, D)",
    "listed": "the weights seem to be a list",
    "blocks": "the gates seem to be an axis of their own, W (n, D, H)",
    "dictionary": "the weights seem to be in a dict",
    "course": "the weights seem to be a dict of gates, on columns",
}
OUTER, INNER = ("columns", "time_major", "single"), ("states", "pytorch", "listed", "blocks", "dictionary")
TWO = [
    *product(OUTER, INNER),
    *product(["pytorch"], ("states", "listed", "dictionary")),
    *[("blocks", "pytorch"), ("listed", "states"), ("dictionary", "states")],
]
THREE = [("time_major", weights, "states") for weights in ("listed", "dictionary", "pytorch")]


def adapter(forward: Callable[..., Any], backward: Callable[..., Any], case: Case) -> str | None:
    """In words, the adapters with which the functions can be called; None if there are none."""
    if not callable(forward) or not callable(backward):
        return None
    for names in _tried():
        pair: Pair = (forward, backward)
        for name in reversed(names):
            pair = getattr(adapters, name)(*pair)
        B = 1 if "single" in names else case.batch
        sizes = (B, case.steps, case.sizes[2], case.units)
        mask = None if case.mask is None else case.mask[:B]
        try:
            Functions(*pair, draw(case.spec, sizes, mask, 0, case.step, "ids" in names), Told())
        except (FunctionError, ValueError, TypeError, KeyError):
            continue
        use = "(forward, backward)"
        for name in reversed(names):
            use = f"(*adapters.{name}{use})"
        use = use[2:-1] if len(names) > 1 else f"adapters.{names[0]}"
        why = " and ".join(WHY[name] for name in names)
        return f"But {why}: use {use}; for a file, --adapter {','.join(names)}."
    return None


def _tried() -> Iterator[tuple[str, ...]]:
    yield from ((name,) for name in WHY)
    yield from TWO
    yield from THREE
