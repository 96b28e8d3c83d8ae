"""A figure as part of a page: its ink, lines and background are those of the page, light or dark."""

from __future__ import annotations

import html

from matplotlib.figure import Figure

from minilstm.plots.base import save

INKS = {"#000000": "var(--ink)", "#595959": "var(--soft)", "#e0e0e0": "var(--line)", "#ffffff": "var(--page)"}


def inline_svg(figure: Figure, words: str) -> str:
    """The figure as an `<svg>` for a page that defines --ink, --soft, --line and --page; `words` describe it.

    What is drawn without a colour of its own, as text is, takes that of the text around it.
    """
    text = save(figure, "svg").decode()
    for colour, ink in INKS.items():
        text = text.replace(f": {colour}", f": {ink}")
    start = f'<svg role="img" aria-label="{html.escape(words)}" fill="currentColor" '
    return start + text[text.index("<svg ") :].removeprefix("<svg ")
