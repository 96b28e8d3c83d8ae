"""Rows of a file, or sequences of a list, that cannot be used: all are found, then refused or left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from minilstm.foundations.errors import one_of

WAYS = ("refuse", "skip")
SHOWN = 3
LARGEST = 1e150  # in size: the squares of such numbers can still be added up, for a standard deviation

Value = TypeVar("Value")


class BadRows:
    """The bad rows that were found so far, in their order.

    >>> found = BadRows("refuse")
    >>> found.read(0, lambda: float("1")), found.read(1, lambda: float("one"))
    (1.0, None)
    >>> found.settle("rows")
    Traceback (most recent call last):
    ValueError: could not convert string to float: 'one'; bad_rows="skip" (--bad-rows skip) leaves it out
    """

    def __init__(self, way: str) -> None:
        self.way = one_of("bad_rows", way, WAYS)
        self.errors: dict[int, Exception] = {}

    def read(self, row: int, how: Callable[[], Value]) -> Value | None:
        """What `how` returns; None where it raises a ValueError or TypeError, and the row is bad then."""
        try:
            return how()
        except (ValueError, TypeError) as error:
            self.errors.setdefault(row, error)
            return None

    def add(self, row: int, text: str) -> None:
        """`row` is bad, for this reason."""
        self.errors.setdefault(row, ValueError(text))

    def settle(self, what: str) -> str:
        """A remark on those that are left out, "" for none; raises the first error where they are refused."""
        if not self.errors:
            return ""
        texts = [str(error) for error in self.errors.values()]
        what = what if len(texts) > 1 else what.removesuffix("s")
        shown = "; ".join(texts[:SHOWN]) + ("; ..." if len(texts) > SHOWN else "")
        if self.way == "skip":
            return f"left out: {len(texts):,} bad {what} ({shown})"
        them = "it" if len(texts) == 1 else "them"
        count = "" if len(texts) == 1 else f"{len(texts):,} bad {what}: "
        first = next(iter(self.errors.values()))
        raise type(first)(f'{count}{shown}; bad_rows="skip" (--bad-rows skip) leaves {them} out')
