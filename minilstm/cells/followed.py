"""Arrays of NumPy that are numbered as functions make them, for the functions that `Dual` does not know.

They compute as any array does, real or complex, views and all. Only what a function returns has a number, in
the order of the calls, and is changed at once where the run says so (`Run.offsets`): all that reads it later
sees that. So a state can be nudged where the step makes it, and h of the same step follows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minilstm.bptt.cell import State
from minilstm.cells.dual import Run
from minilstm.foundations.arrays import Array


class Followed(np.ndarray):
    """An array of one `Run`; `number` is None for arguments, and for views of other arrays."""

    run: Run | None
    number: int | None

    def __array_finalize__(self, parent: Any) -> None:
        self.run, self.number = parent.run if isinstance(parent, Followed) else None, None

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        targets = options.pop("out", ())
        options = {name: _plain(value) for name, value in options.items()}
        if targets:
            options["out"] = tuple(_plain(one) for one in targets)
        result = getattr(ufunc, method)(*(_plain(one) for one in inputs), **options)
        return _numbered(self.run, targets[0] if len(targets) == 1 else result)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        return _numbered(self.run, super().__array_function__(function, types, args, options))


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, Followed) else value


def _numbered(run: Run | None, result: Any) -> Any:
    """What a function returned, with its number."""
    if isinstance(result, (tuple, list)):
        return type(result)(_numbered(run, one) for one in result)
    if not isinstance(result, np.ndarray) or run is None:
        return result
    found = result if isinstance(result, Followed) else result.view(Followed)
    found.run, found.number = run, run.count
    run.count += 1
    if found.number in run.offsets:
        _plain(found)[...] += run.offsets[found.number]
    return found


def states_of(
    run: Run, function: Callable[..., Any], xw: Array, hu: Array, prev: State, p: Array | None
) -> tuple[Followed, ...]:
    """The states after a step of which every array is followed."""

    def one(value: Array) -> Followed:
        found = value.view(Followed)
        found.run = run
        return found

    states, _ = function(one(xw), one(hu), tuple(map(one, prev)), None if p is None else one(p))
    return tuple(states)
