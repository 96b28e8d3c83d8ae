"""What the texts of options mean: numbers in decimal digits, lists of them with commas, names of files.

Python's own `int` and `float` take 1_0 and the digits of other scripts too; a command line does not.
"""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from pathlib import Path


def integer(text: str, expected: str = "a whole number") -> int:
    """A whole number.

    >>> integer(" -12 ")
    -12
    """
    if not re.fullmatch("[+-]?[0-9]{1,4000}", text.strip()):
        raise ArgumentTypeError(f"must be {expected}, got {text!r:.80}")
    return int(text)


def positive(text: str) -> int:
    """A whole number from 1 on."""
    expected = "a whole number >= 1"
    found = integer(text, expected)
    if found < 1 or found.bit_length() > 63:
        more = " of 64 bits" if found > 0 else ""
        raise ArgumentTypeError(f"must be {expected}{more}, got {text!r:.80}")
    return found


def seed(text: str) -> int:
    """A whole number from 0 on."""
    expected = "a whole number >= 0"
    if (found := integer(text, expected)) < 0:
        raise ArgumentTypeError(f"must be {expected}, got {text!r:.80}")
    return found


def number(text: str) -> float:
    """A number.

    >>> number("3e-4")
    0.0003
    """
    try:
        if text.isascii() and "_" not in text:
            return float(text)
    except ValueError:
        pass
    raise ArgumentTypeError(f"must be a number, got {text!r:.80}")


def path(text: str) -> Path:
    """The name of a file or a folder.

    >>> path("a.csv").suffix
    '.csv'
    """
    if not text or "\0" in text:
        raise ArgumentTypeError(f"must be the name of a file or a folder, got {text!r:.80}")
    return Path(text)


def address(text: str) -> str:
    """Where a scheduler listens.

    >>> address("tcp://node-1:8786")
    'tcp://node-1:8786'
    """
    if not re.fullmatch(r"((tcp|tls|ucx|wss?)://)?[A-Za-z0-9._:\[\]%-]+:[0-9]{1,5}", text):
        raise ArgumentTypeError(f"must be an address, as tcp://HOST:8786, got {text!r:.80}")
    return text


def words(text: str) -> list[str]:
    """Words between commas."""
    return [word.strip() for word in text.split(",")]


def lengths(text: str) -> list[int | str]:
    """Lengths, or quantiles of the data's.

    >>> lengths("5, q90, max")
    [5, 'q90', 'max']
    """
    found = words(text)
    if not all(re.fullmatch(r"-?[0-9]{1,4000}|max|q[0-9]+(\.[0-9]+)?", word) for word in found):
        expected = "whole numbers or quantiles (q90, max) with commas between them"
        raise ArgumentTypeError(f"must be {expected}, got {text!r:.80}")
    return [word if word[0] in "qm" else int(word) for word in found]


def whole(text: str) -> list[int]:
    """Whole numbers between commas."""
    try:
        return [integer(word) for word in words(text)]
    except ArgumentTypeError:
        message = f"must be whole numbers with commas between them, got {text!r:.80}"
        raise ArgumentTypeError(message) from None


def patience(text: str) -> int | str:
    """A whole number, or "none"."""
    return text if text == "none" else integer(text, "a whole number or none")


def norms(text: str) -> list[float | str]:
    """Numbers or "none" between commas."""
    try:
        return [word if word == "none" else number(word) for word in words(text)]
    except ArgumentTypeError:
        message = f"must be numbers or none, with commas between them, got {text!r:.80}"
        raise ArgumentTypeError(message) from None
