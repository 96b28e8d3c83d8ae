"""Text in columns: how every table that is printed is laid out."""

from __future__ import annotations

from collections.abc import Sequence


def in_columns(rows: Sequence[Sequence[str]], left: int = 0, rule: bool = False) -> list[str]:
    """A line of text per row, the first `left` columns aligned to the left, the others to the right.

    rule : a line of dashes under the first row.

    >>> print("\\n".join(in_columns([("name", "size"), ("a", "10")], left=1, rule=True)))
    name  size
    ----------
    a       10
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [text.ljust(width) for text, width in zip(row[:left], widths[:left], strict=True)]
        cells += [text.rjust(width) for text, width in zip(row[left:], widths[left:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]] if rule else lines
