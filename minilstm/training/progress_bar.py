"""What fit and evaluate print, as Keras does: a bar that fills (verbose=1) or a line (verbose=2)."""

from __future__ import annotations

import math
import sys
import time

BAR = 20  # characters
INTERVAL = 0.05  # seconds between two drawings of the bar


class ProgressBar:
    """One epoch's batches. `update` after each batch, `close` with what the epoch found.

    The bar is drawn again and again on a terminal and in a notebook only; elsewhere (a file, a pipe) it is
    drawn once, when it is full, without colours. A stream that has no heavy line draws it with "=".

    >>> bar = ProgressBar(2, verbose=1)
    >>> bar.update(1, {"loss": 0.5})  # nothing: this is no terminal
    """

    def __init__(self, steps: int | None, verbose: int) -> None:
        self.steps, self.verbose = steps, verbose
        self.start = self._after_first = time.perf_counter()
        self._seen = 0  # batches since the start: a fit that goes on has done others before
        self._drawn = 0.0
        self._width = 0
        self._terminal = verbose == 1 and (sys.stdout.isatty() or _in_notebook())

    def update(self, done: int, logs: dict[str, float]) -> None:
        """Draw the bar after `done` batches, if it is time to."""
        now = time.perf_counter()
        self._seen += 1
        if self._seen == 1:
            self._after_first = now
        if self._terminal and now - self._drawn >= INTERVAL:
            self._drawn = now
            line = f"{self._bar(done, False)} {self._remaining(done, now)}{self._pace(now)}"
            self._overwrite(line + _numbers(logs), "")

    def close(self, done: int, logs: dict[str, float]) -> None:
        """Print the epoch's line."""
        now = time.perf_counter()
        seconds = f"{now - self.start:.0f}s"
        if self.verbose == 2:
            line = f"{done}/{done or self.steps or 0} - {seconds} -{self._pace(now)}{_numbers(logs)}"
            print(line)
        elif self.verbose == 1:
            line = f"{self._bar(done, True)} {self._strong(seconds)}{self._pace(now)}{_numbers(logs)}"
            self._overwrite(line, "\n")

    def _bar(self, done: int, full: bool) -> str:
        steps = (done or self.steps) if full else self.steps
        if not steps:
            return f"{done:7d}/Unknown"
        digits, filled = len(str(steps)), BAR * done // steps
        line = _line()
        if not self._terminal:
            return f"{done:{digits}d}/{steps} {line * filled}"
        bar = f"\x1b[32m{line * filled}\x1b[0m\x1b[37m{line * (BAR - filled)}\x1b[0m"
        return f"\x1b[1m{done:{digits}d}/{steps}\x1b[0m {bar}"

    def _strong(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self._terminal else text

    def _remaining(self, done: int, now: float) -> str:
        if self.steps is None:
            return self._strong(f"{now - self.start:.0f}s")
        seconds = round(self._per_step(now) * (self.steps - done))
        minutes, hours = seconds // 60 % 60, seconds // 3600
        if hours:
            return self._strong(f"{hours}:{minutes:02d}:{seconds % 60:02d}")
        return self._strong(f"{minutes}:{seconds % 60:02d}" if minutes else f"{seconds}s")

    def _per_step(self, now: float) -> float:
        """Seconds per batch; the first, in which kernels may be compiled, apart if there are others."""
        if self._seen > 1:
            return (now - self._after_first) / (self._seen - 1)
        return (now - self.start) / max(self._seen, 1)

    def _pace(self, now: float) -> str:
        seconds = self._per_step(now)
        for unit, size in (("s", 1.0), ("ms", 1e-3)):
            if seconds >= size:
                return f" {seconds / size:.0f}{unit}/step"
        return f" {seconds * 1e6:.0f}us/step"

    def _overwrite(self, line: str, end: str) -> None:
        """Print over what was drawn before."""
        if not self._terminal:
            print(line)
            return
        spaces = max(self._width - len(line), 0)
        self._width = len(line)
        print(f"\r{line}{' ' * spaces}", end=end, flush=True)


def _numbers(logs: dict[str, float]) -> str:
    return "".join(
        f" - {key}: {value:.4f}" if abs(value) > 1e-3 or math.isnan(value) else f" - {key}: {value:.4e}"
        for key, value in logs.items()
    )


def _in_notebook() -> bool:
    """Whether the output is a notebook's, which draws over a line as a terminal does."""
    return type(sys.stdout).__module__.startswith("ipykernel.")


def _line() -> str:
    try:
        "━".encode(sys.stdout.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return "="
    return "━"
