"""Which adapter fits functions that cannot be called as they are: each is tried, then some in each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
    "gates": "the weights seem to be a dict in which each gate has its own",
    "course": "the weights seem to be a dict of gates, on columns",
    "separate": "each gate's weights seem to be arguments",
    "column": "it seems to take one sample, as a column (D, 1), and sums over no others",
}
OUTER = "columns", "time_major", "single", "column"
INNER = "states", "pytorch", "listed", "blocks", "dictionary", "gates", "separate"
TWO = [
    *product(OUTER, INNER),
    *product(["pytorch"], ("states", "listed", "dictionary")),
    *[("blocks", "pytorch"), ("listed", "states"), ("dictionary", "states"), ("gates", "states")],
    *product(("gates", "separate"), ("columns", "column")),  # the layout of each gate's own array
]
THREE = [("time_major", weights, "states") for weights in ("listed", "dictionary", "pytorch")]


def adapter(forward: Callable[..., Any], backward: Callable[..., Any], case: Case) -> tuple[str, ...]:
    """The adapters with which the functions can be called, the outermost first; none if there are none."""
    if not callable(forward) or not callable(backward):
        return ()
    for names in _tried():
        B = 1 if {"single", "column"} & {*names} else case.batch
        sizes = (B, case.steps, case.sizes[2], case.units)
        mask = None if case.mask is None else case.mask[:B]
        try:
            pair = wrapped((forward, backward), names)
            Functions(*pair, draw(case.spec, sizes, mask, 0, case.step, "ids" in names), Told())
        except (FunctionError, ValueError, TypeError, KeyError):
            continue
        return names
    return ()


def wrapped(pair: Pair, names: Sequence[str]) -> Pair:
    """The functions as the adapters make them, the last first."""
    for name in reversed(names):
        pair = getattr(adapters, name)(*pair)
    return pair


def why(names: Sequence[str]) -> str:
    """What the functions seem to be, where these adapters fit."""
    return " and ".join(WHY[name] for name in names)


def advice(names: Sequence[str]) -> str:
    """How to use the adapters, in a sentence."""
    use = "(forward, backward)"
    for name in reversed(names):
        use = f"(*adapters.{name}{use})"
    use = use[2:-1] if len(names) > 1 else f"adapters.{names[0]}"
    return f"But {why(names)}: use {use}; for a file, --adapter {','.join(names)}."


def _tried() -> Iterator[tuple[str, ...]]:
    yield from ((name,) for name in WHY)
    yield from TWO
    yield from THREE
