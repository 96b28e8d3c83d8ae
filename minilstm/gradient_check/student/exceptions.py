"""What goes wrong in functions that somebody else wrote, in words."""

from __future__ import annotations

import contextlib
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from minilstm.gradient_check.report import Stage

HERE = str(Path(__file__).parent.parent)


class FunctionError(Exception):
    """The functions cannot be checked: why, how far they came, and the likely cause where there is one."""

    def __init__(self, words: str, stage: Stage, cause: str | None = None) -> None:
        super().__init__(words)
        self.stage = stage
        self.causes = [cause] if cause else []


class ComplexError(Exception):
    """The forward pass cannot be run on complex numbers, or loses their imaginary part: why."""


def described(error: BaseException) -> str:
    """An exception in one line, with the line of the student's code that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    frames = traceback.StackSummary(f for f in frames if not f.filename.startswith((HERE, "<frozen")))
    text = " ".join(str(error).split())
    text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    own = [f for f in frames if "site-packages" not in f.filename] or frames
    if own:
        text += f" ({Path(own[-1].filename).name}, line {own[-1].lineno}: {own[-1].line})"
    return text


@contextlib.contextmanager
def complex_numbers() -> Iterator[None]:
    """ComplexError where forward raises on complex numbers, or warns that it drops a part of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            yield
        except FunctionError as fault:
            raise ComplexError(str(fault).rstrip(".")) from fault
