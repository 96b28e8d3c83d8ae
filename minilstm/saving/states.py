"""States of layers, callbacks and iterables, as plain JSON beside named arrays, and back.

A state is made of None, bool, int, float, str and NumPy arrays, in lists, tuples and dicts by text. In the
document numbers and texts stand as they are, everything else as {kind: content}. Arrays and long lists of
numbers become arrays of the file, so that the document stays small.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import shown, wording
from minilstm.saving.container import DTYPES, DamagedError

LONG = 8  # numbers in a list that becomes an array
NESTING = 16  # a list in a list in a list
NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}  # what JSON has no number for


def flatten(what: str, state: Any, arrays: dict[str, Array], depth: int = 0) -> Any:
    """`state` as JSON; its arrays are added to `arrays`. ValueError, with `what` it is, for anything else.

    >>> arrays = {}
    >>> flatten("state", {"best": [0.5, np.ones(2)], "wait": 1}, arrays)
    {'dict': {'best': {'list': [0.5, {'array': 'states/0'}]}, 'wait': 1}}
    >>> arrays["states/0"].tolist()
    [1.0, 1.0]
    """
    if isinstance(state, np.generic):
        state = state.item()
    if state is None or isinstance(state, (bool, str)):
        return state
    if isinstance(state, int) and abs(state) < 10**39:
        return int(state)
    if isinstance(state, float):
        return float(state) if math.isfinite(state) else {"float": str(float(state))}
    if isinstance(state, np.ndarray) and state.dtype.name in DTYPES:
        return {"array": _put(np.array(state), arrays)}
    if depth > NESTING:
        raise ValueError(wording(what, f"nested less than {NESTING} deep", "more"))
    if isinstance(state, (list, tuple)):
        kinds = set(map(type, state))
        small = kinds == {int} and max(map(abs, state)) < 2**63
        if type(state) is list and len(state) >= LONG and (small or kinds == {float}):
            return {"numbers": _put(np.array(state, np.int64 if small else np.float64), arrays)}
        parts = [flatten(f"{what}[{k}]", part, arrays, depth + 1) for k, part in enumerate(state)]
        return {"tuple" if isinstance(state, tuple) else "list": parts}
    if isinstance(state, dict) and all(isinstance(key, str) for key in state):
        named = state.items()
        return {"dict": {k: flatten(f"{what}[{k!r}]", part, arrays, depth + 1) for k, part in named}}
    expected = "of None, bool, int, float, str, arrays of numbers, lists, tuples and dicts by text"
    raise ValueError(wording(what, expected, shown(state)))


def unflatten(said: Any, take: Callable[[str], Array], depth: int = 0) -> Any:
    """The state that `flatten` wrote, or DamagedError; `take` gives a copy of a named array."""
    if said is None or isinstance(said, (bool, int, float, str)):
        return said
    if isinstance(said, dict) and len(said) == 1 and depth <= NESTING + 1:
        match next(iter(said.items())):
            case "array", str(name):
                return take(name)
            case "numbers", str(name):
                return take(name).tolist()
            case "float", str(name) if name in NOT_FINITE:
                return NOT_FINITE[name]
            case ("list" | "tuple") as kind, list(parts):
                found = [unflatten(part, take, depth + 1) for part in parts]
                return found if kind == "list" else tuple(found)
            case "dict", dict(parts):
                return {key: unflatten(part, take, depth + 1) for key, part in parts.items()}
    raise DamagedError(f"{said!r:.80} is no state")


def _put(array: Array, arrays: dict[str, Array]) -> str:
    name = f"states/{sum(key.startswith('states/') for key in arrays)}"
    arrays[name] = array
    return name
