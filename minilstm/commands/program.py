"""What all commands share: the signals that end them, streams that may be closed or full, the exit code.

A signal ends the process at once, with one line and no traceback, unless something is `interrupts.held()`:
files are written whole or not at all, so there is nothing else to lose.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, TextIO

from minilstm.foundations import interrupts


class _Ending(interrupts.Interrupts):
    """The first signal decides the exit code; where nothing is held it ends the process."""

    def arrived(self, number: int, frame: FrameType | None) -> None:
        if self.number is None:
            self.number = number
        if not self.depth:
            with suppress(OSError):
                os.write(2, b"minilstm: error: interrupted\n")
            os._exit(128 + self.number)


class _Stream:
    """A standard stream; what cannot be written to it is dropped, and `lost` says why."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream, self.lost = stream, ""
        with suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]

    def _try(self, call: Callable[[], Any]) -> None:
        if self.lost:
            return
        try:
            if self._stream is None:
                raise OSError("it is closed")
            call()
        except (OSError, ValueError) as error:
            self.lost = getattr(error, "strerror", None) or str(error)
            with suppress(OSError, ValueError, AttributeError):  # what is in its buffer goes nowhere
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())  # type: ignore[union-attr]
                os.close(nowhere)

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))  # type: ignore[union-attr]
        return len(text)

    def flush(self) -> None:
        if self._stream is not None:
            self._try(self._stream.flush)

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        if self._stream is None and name == "encoding":
            return "utf-8"
        return getattr(self._stream, name)


def run(command: Callable[[], int], *, whole: bool) -> int:
    """The exit code of `command`; 1 in place of 0 where output was lost, 128 + number after a signal.

    whole : whether the process is here for this alone, and ends afterwards
    """
    if whole:
        _fill_closed()
    ending, streams = _Ending(), (_Stream(sys.stdout), _Stream(sys.stderr))
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = streams
    try:
        with interrupts.handled_by(ending, keep=whole):
            try:
                code = _code(command, ending)
            except SystemExit as stop:  # argparse, after --help or a request that it cannot read
                if not whole:
                    raise
                code = stop.code if isinstance(stop.code, int) else 0
            for stream in streams:
                stream.flush()
            out, err = streams
            if out.lost and "pipe" not in out.lost.lower():
                print(f"minilstm: error: the output could not be written: {out.lost}", file=sys.stderr)
                err.flush()
            return 1 if code == 0 and (out.lost or err.lost) else code
    finally:
        if not whole:
            sys.stdout, sys.stderr = before


def _code(command: Callable[[], int], ending: _Ending) -> int:
    from minilstm.foundations.errors import NoRoomError, fail

    try:
        code = command()
    except KeyboardInterrupt:
        return fail("interrupted", 128 + (ending.number or signal.SIGINT))
    except NoRoomError as error:
        return fail(str(error), 2)
    except MemoryError as error:
        return fail(f"out of memory: {error or 'no size is known'}", 1)
    if ending.number is not None and code == 128 + signal.SIGINT:
        return 128 + ending.number
    return code


def _fill_closed() -> None:
    """Put the null device where a standard stream is closed, or the next file that is opened would be it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
