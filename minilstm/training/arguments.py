"""What fit, evaluate and predict take beside data, checked: callbacks, verbose, epochs."""

from __future__ import annotations

import os
from collections.abc import Sequence

from minilstm.callbacks import Callback
from minilstm.foundations.errors import listed, shown, verbosity, whole_number, wording


def checked_callbacks(callbacks: Sequence[Callback] | Callback | None) -> list[Callback]:
    """`callbacks` as a list; TypeError where one is none, ValueError where one stands there twice.

    ValueError too where two write the same file: lines would be doubled, or lost.
    """
    if callbacks is None or isinstance(callbacks, Callback):
        return [] if callbacks is None else [callbacks]
    found = listed("callbacks", "a list of Callback objects", callbacks)
    for callback in found:
        if not isinstance(callback, Callback):
            raise TypeError(wording("callbacks", "a list of Callback objects", shown(callback)))
    owners: dict[str, Callback] = {}
    for k, callback in enumerate(found):
        name = type(callback).__name__
        if any(callback is other for other in found[:k]):
            raise ValueError(wording("callbacks", "different objects", f"one {name} twice"))
        for path in callback.paths:
            other = owners.setdefault(os.path.realpath(path), callback)
            if other is not callback:
                both = f"{type(other).__name__} and {name} with {path!r}"
                raise ValueError(wording("callbacks", "that each write a file of their own", both))
    return found


def checked_verbose(verbose: int | str) -> int:
    """`verbose` as 0, 1 or 2, for "auto" 1; ValueError otherwise."""
    auto = isinstance(verbose, str) and verbose == "auto"
    return 1 if auto else verbosity(verbose, "0, 1, 2 or 'auto'")


def checked_epochs(argument: str, value: int | Sequence[int]) -> int | list[int]:
    """`value` as a whole number >= 1, or as a list of them.

    >>> checked_epochs("validation_freq", [1, 5])
    [1, 5]
    """
    if isinstance(value, (list, tuple)):
        return [whole_number(argument, epoch) for epoch in value]
    return whole_number(argument, value)
