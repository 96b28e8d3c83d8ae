"""How the site shows what is written for other readers: docstrings, and the README of the benchmarks."""

from __future__ import annotations

import re
from typing import Any

import griffe

from minilstm.plots.glossary import GLOSSARY

ITEM = re.compile(r"^(?P<names>\*{0,2}\w[\w`., *]*?) : (?=\S)", flags=re.MULTILINE)
DOCTEST = re.compile(r"^>>> .*(?:\n.*\S.*)*", flags=re.MULTILINE)


def as_markdown(text: str) -> str:
    r"""`text` with a list where it has lines `name : what`, and a block of code around each doctest.

    Where a section is underlined, the reader of such sections knows both.

    >>> print(as_markdown("One sentence.\n\nx : (B, T, D)\nk, n : whole numbers"))
    One sentence.
    <BLANKLINE>
    - `x` : (B, T, D)
    - `k, n` : whole numbers
    """
    if "\nParameters\n---" in text or "\nExamples\n---" in text:
        return text
    listed = ITEM.sub(lambda found: f"- `{found['names'].strip('`')}` : ", text)
    return DOCTEST.sub(lambda found: f"```pycon\n{found[0]}\n```", listed)


class Docstrings(griffe.Extension):
    """Rewrites each docstring before it is read for sections."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def on_page_markdown(markdown: str, **kwargs: Any) -> str:
    """The figures in the README of benchmarks/, and the words of the glossary (a hook of mkdocs)."""
    words = "\n\n".join(f"**{word}**: {meaning}" for word, meaning in GLOSSARY.items())
    return markdown.replace("](../docs/figures/", "](../figures/").replace("<!-- glossary -->", words)
