"""How the site shows what is written for other readers: docstrings, and the README of the benchmarks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import griffe

from minilstm.plots.glossary import GLOSSARY

BENCHMARKS = Path(__file__).parents[1] / "benchmarks" / "README.md"
ITEM = re.compile(r"^(?P<names>\*{0,2}\w[\w`., *]*?) : (?=\S)", flags=re.MULTILINE)
HEADING = re.compile(r"^(\w+)\n-{3,}$", flags=re.MULTILINE)
DOCTEST = re.compile(r"^>>> .*(?:\n.*\S.*)*", flags=re.MULTILINE)


def as_markdown(text: str) -> str:
    r"""`text` with a list where it has lines `name : what`, and a block of code around each doctest.

    Underlined headings are set bold: what follows their lists is no part of them, as readers of such sections
    have it.

    >>> print(as_markdown("One sentence.\n\nParameters\n----------\nx : (B, T, D)\nk, n : whole numbers"))
    One sentence.
    <BLANKLINE>
    **Parameters**
    <BLANKLINE>
    - `x` : (B, T, D)
    - `k, n` : whole numbers
    """
    text = HEADING.sub(r"**\1**\n", text)
    listed = ITEM.sub(lambda found: f"- `{found['names'].strip('`')}` : ", text)
    return DOCTEST.sub(lambda found: f"```pycon\n{found[0]}\n```", listed)


class Docstrings(griffe.Extension):
    """Rewrites each docstring before it is shown."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def on_page_markdown(markdown: str, **kwargs: Any) -> str:
    """The page with the README of benchmarks/, and the words of the glossary (a hook of mkdocs)."""
    words = "\n\n".join(f"**{word}**: {meaning}" for word, meaning in GLOSSARY.items())
    text = markdown.replace("<!-- benchmarks -->", BENCHMARKS.read_text(encoding="utf-8"))
    return text.replace("](../docs/", "](../").replace("<!-- glossary -->", words)
