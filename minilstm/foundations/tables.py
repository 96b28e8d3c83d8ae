"""Text in columns: how every table that is printed is laid out."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

WHOLE: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}  # options and names


def terminal_width() -> int | None:
    """Columns of the terminal; None where the output is no terminal, and its lines stay whole."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def wrapped(text: str, width: int | None) -> str:
    """The text, each line of it broken between words at `width`, with its indent; None: as it is.

    >>> print(wrapped("one two three\\n  four five", 11))
    one two
    three
      four five
    """
    if width is None:
        return text
    lines = []
    for line in text.split("\n"):
        indent = " " * (len(line) - len(line.lstrip()))
        lines += textwrap.wrap(line, width, subsequent_indent=indent, **WHOLE) or [""]
    return "\n".join(lines)


def in_columns(
    rows: Sequence[Sequence[str]], left: int = 0, rule: bool = False, width: int | None = None
) -> list[str]:
    """A line of text per row, the first `left` columns aligned to the left, the others to the right.

    rule : a line of dashes under the first row.  width : of the terminal; words of the last column that go
    beyond it continue on lines of their own, below the column.

    >>> print("\\n".join(in_columns([("name", "size"), ("a", "10")], left=1, rule=True)))
    name  size
    ----------
    a       10
    >>> rows = ("bob", "it needs a package that is not there"),
    >>> print("\\n".join(in_columns(rows, left=2, width=30)))
    bob  it needs a package that
         is not there
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [text.ljust(width) for text, width in zip(row[:left], widths[:left], strict=True)]
        cells += [text.rjust(width) for text, width in zip(row[left:], widths[left:], strict=True)]
        line = "  ".join(cells).rstrip()
        indent = sum(widths[:-1]) + 2 * len(widths[:-1])
        if width is None or len(line) <= width or width - indent < 20:
            lines.append(line)
        else:
            lines += textwrap.wrap(line, width, subsequent_indent=" " * indent, **WHOLE)
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]] if rule else lines


def fitting(
    rows: Sequence[Sequence[str]], dispensable: Sequence[str], width: int | None
) -> tuple[list[str], list[str]]:
    """A table with a head and a rule that is no wider than `width`, and the names of the columns it lacks.

    Those named in `dispensable` go, the first of them first, until the others fit.

    >>> lines, lacking = fitting([("name", "size", "age"), ("a", "10", "3")], ["age", "size"], 10)
    >>> print("\\n".join(lines), lacking)
    name  size
    ----------
       a    10 ['age']
    """
    lacking: list[str] = []
    lines = in_columns(rows, rule=True)
    for name in (name for name in dispensable if name in rows[0]):
        if width is None or len(lines[1]) <= width:
            break
        lacking.append(name)
        kept = [k for k, other in enumerate(rows[0]) if other not in lacking]
        lines = in_columns([[row[k] for k in kept] for row in rows], rule=True)
    return lines, lacking
