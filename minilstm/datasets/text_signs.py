"""Signs in texts of which a reader sees more, or less, than what becomes of them: words are what is kept."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from minilstm.sequences.text import pieces

TAG = re.compile(r"<[a-zA-Z/][^<>\n]{0,200}>|&(amp|lt|gt|quot|nbsp|#\d+);")
NUMBERS = re.compile(r"\s*[a-z.]*\(?\[+\s*[-+]?\d[^\s,]*[,\s]+[-+]?\d")  # an array, as Python writes it
OFTEN = 0.01  # share of the texts from which on it is told
INVISIBLE, SYMBOL, MARK, LOST = range(4)


def text_remarks(texts: Sequence[str]) -> Iterable[str]:
    """Sentences on tags, invisible signs, symbols, accents in two codings, and letters that were lost.

    >>> print(*text_remarks(["<p>a fine film</p>", "dull"]))
    1 of 2 texts has HTML, such as '<p>', of which words are read too.
    """
    kinds: dict[str, int | None] = {}
    found: list[tuple[int, str]] = [(0, "")] * 4
    tags, tag = 0, ""
    lists, first = 0, ""
    for text in texts:
        if match := TAG.search(text):
            tags, tag = tags + 1, tag or match[0][:20]
        if match := NUMBERS.match(text):
            lists, first = lists + 1, first or match[0][:20]
        if text.isascii():
            continue
        signs = sorted({sign for piece in pieces(text) for sign in set(piece)})
        own = {}
        for sign in signs:
            if sign not in kinds:
                kinds[sign] = _kind(sign)
            if (kind := kinds[sign]) is not None:
                own[kind] = sign
        for kind, sign in own.items():
            found[kind] = found[kind][0] + 1, found[kind][1] or sign
    said = {
        INVISIBLE: "signs that are not seen, such as {}: they part words",
        SYMBOL: "emoji or other symbols, such as {}, which are no words and are left out",
        MARK: "accents as signs of their own, such as {}: they make other words than accented letters",
        LOST: "{}, which stands for a letter that was lost",
    }
    if tags >= max(1, OFTEN * len(texts)):
        yield f"{_counted(tags, len(texts))} HTML, such as {tag!r}, of which words are read too."
    if lists >= max(1, OFTEN * len(texts)):
        listed = f"{_counted(lists, len(texts))} a list of numbers, as {first!r}, of which words are made"
        yield f"{listed}: a .jsonl holds lists."
    for kind, (count, sign) in enumerate(found):
        if count and count >= OFTEN * len(texts):
            yield f"{_counted(count, len(texts))} {said[kind].format(f'U+{ord(sign):04X}')}."


def _counted(count: int, texts: int) -> str:
    return f"{count:,} of {texts:,} texts {'has' if count == 1 else 'have'}"


def _kind(sign: str) -> int | None:
    if sign == "\ufffd":
        return LOST
    category = unicodedata.category(sign)
    if category == "Cf":
        return INVISIBLE
    if category == "So":
        return SYMBOL
    # Accents of Latin, Greek and Cyrillic letters; the marks of other scripts have no other form.
    return MARK if "\u0300" <= sign <= "\u036f" else None
