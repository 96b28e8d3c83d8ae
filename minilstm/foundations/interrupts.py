"""Ctrl-C as a flag that a loop looks at between two steps, so that nothing is torn in the middle of one.

By itself Python raises KeyboardInterrupt wherever the main thread stands: inside a lock, which is then held
for ever, or inside a callback from C (a kernel that is being compiled), which swallows it. Whoever does
something that must be whole does it inside `held()` and calls `check()` where it may end.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 2.0  # seconds after which another Ctrl-C is no longer one that was typed twice


class Interrupts:
    """`number` is the first signal that arrived, or None; `depth` says how many are inside `held()`."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.depth = 0
        self._told, self._since = False, 0.0

    def arrived(self, number: int, frame: FrameType | None) -> None:
        """The handler of a signal; one that comes long after the first ends what does not look."""
        if self.number is None:
            self.number, self._since = number, time.monotonic()
        elif time.monotonic() - self._since > PATIENCE:
            raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal has arrived."""
        if self.number is not None:
            self._told = True
            raise KeyboardInterrupt

    def leave(self) -> None:
        """`check`, unless that has been said already."""
        if not self._told:
            self.check()


_active: Interrupts | None = None  # whoever has the process's handlers now


def check() -> None:
    """Raise KeyboardInterrupt if a signal has arrived while something is `held()`; otherwise nothing."""
    if _active is not None:
        _active.check()


@contextmanager
def held() -> Iterator[Interrupts]:
    """While inside, Ctrl-C only sets a flag; if nobody has looked at it, KeyboardInterrupt comes at the end.

    Inside another `held()` the flag is the outer one. It stays unset in other threads than the main one,
    where Ctrl-C is ignored, and where the program has a handler of its own.

    >>> with held() as flag:
    ...     flag.check()  # between two steps
    """
    global _active
    outer = _active
    if outer is not None:
        outer.depth += 1
        try:
            yield outer
        finally:
            outer.depth -= 1
        outer.leave()
        return
    found = Interrupts()
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield found
        return
    _active = found
    signal.signal(signal.SIGINT, found.arrived)
    try:
        yield found
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _active = None
    found.leave()


@contextmanager
def handled_by(handler: Interrupts, *, keep: bool = False) -> Iterator[None]:
    """While inside, `handler` gets SIGINT (unless it is ignored) and SIGTERM; for a whole program.

    keep : the process ends after this, and has nothing more to be interrupted in: both are then ignored
    """
    global _active
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    outer, _active = _active, handler
    for number, old in before.items():
        if old is not signal.SIG_IGN:
            signal.signal(number, handler.arrived)
    try:
        yield
    finally:
        _active = outer
        for number, old in before.items():
            signal.signal(number, signal.SIG_IGN if keep else old)
