"""How results look in a notebook: small pieces of HTML, every text escaped, in the notebook's own colours.

Not the report page of a study, which jinja2 writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from minilstm.foundations.arrays import Array

WIDTH, HEIGHT = 160, 28  # pixels of a sparkline
MOST_ROWS = 30
CELL = 'style="text-align:left"'


class Html(str):
    """A text that is HTML already, and is not escaped again."""


def block(title: str, *parts: str) -> str:
    """A title and what follows it; plain texts become paragraphs."""
    shown = [part if isinstance(part, Html) else f"<div>{escape(part)}</div>" for part in parts]
    return f"<div><strong>{escape(title)}</strong>{''.join(shown)}</div>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    """A table of texts; of a long one the first rows, and how many more there are.

    >>> print(table(["name"], [["<b>"]]))
    <table><thead><tr><th style="text-align:left">name</th></tr></thead><tbody><tr><td style="text-align:left">&lt;b&gt;</td></tr></tbody></table>
    """  # noqa: E501
    top = "".join(f"<th {CELL}>{escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows[:MOST_ROWS])
    rest = f"<div>and {len(rows) - MOST_ROWS} more</div>" if len(rows) > MOST_ROWS else ""
    return Html(f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>{rest}")


def _cell(value: str) -> str:
    return f"<td {CELL}>{value if isinstance(value, Html) else escape(value)}</td>"


def sparkline(values: Sequence[float] | Array, log: bool = False) -> Html:
    """A line of numbers as a small picture, without axes; gaps where a value is no number (log: or <= 0)."""
    y = np.asarray(values, dtype=float).ravel()
    if len(y) > WIDTH:
        y = y[np.linspace(0, len(y) - 1, WIDTH).round().astype(int)]
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.log(y) if log else y
    shown = np.isfinite(y)
    if not shown.any():
        return Html("-")
    low, high = y[shown].min(), y[shown].max()
    down = np.full(len(y), 0.5) if high == low else (high - y) / (high - low)
    across = np.linspace(2, WIDTH - 2, len(y)) if len(y) > 1 else np.array([WIDTH / 2])
    path, pen = [], "M"
    for x, part, number in zip(across, down, shown, strict=True):
        if number:
            path.append(f"{pen}{x:.1f},{2 + part * (HEIGHT - 4):.1f}")
        pen = "L" if number else "M"
    if len(path) == 1:
        path.append("h1")
    return Html(
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="from {float(y[shown][0]):.3g} to '
        f'{float(y[shown][-1]):.3g}{" (ln)" if log else ""}"><path d="{"".join(path)}" fill="none" '
        'stroke="currentColor" stroke-width="1.5"/></svg>'
    )
