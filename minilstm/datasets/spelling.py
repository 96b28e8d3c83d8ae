"""Names of classes and of sequences: those that look alike, and those that seem to say that there is none."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence

NONE = {"nan", "na", "n/a", "#n/a", "<na>", "nat", "null", "none", "nil", "?", "-", "--", ".", "missing"}
NONE |= {"\\n"}  # the one of SQL, in small letters
SHOWN = 12
WORD = re.compile(r"[^\W\d_]+")
ROUNDED = re.compile(r"\d\.\d+E\+\d\d")  # a number of many digits, as Excel shows and saves it
# Letters of other alphabets, hyphens and quotes that are drawn as signs of ASCII are.
DRAWN = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеѕіјорсухԛԝһΑΒΕΖΗΙΚΜΝΟΡΤΥΧο‐‑‒–—−‘’ʼ`´“”",  # noqa: RUF001
    "ABESIJKMHOPCTYXaesijopcyxqwhABEZHIKMNOPTYXo------'''''\"\"",
)


def look_alike(names: Iterable[str]) -> list[str]:
    """Those that differ in nothing that a reader would heed, as Python writes them.

    That are capitals, blanks, signs without a shape, one letter in two codings or of two alphabets, a sign as
    &amp;, and zeros in front.

    >>> look_alike(["ann", "Ann ", "bob", "7", "007", "e"])
    ["'7'", "'007'", "'ann'", "'Ann '"]
    """
    alike: dict[str, set[str]] = {}
    for name in names:
        for heeded in (_heeded(name), _heeded(name.translate(DRAWN))):
            alike.setdefault(heeded, set()).add(name)
    found = {tuple(sorted(group, key=lambda n: (len(n), n))) for group in alike.values() if len(group) > 1}
    return list(dict.fromkeys(_written(name, group) for group in sorted(found) for name in group))


def say_none(names: Iterable[str]) -> list[str]:
    """Those of the names that tables write where there is nothing.

    >>> say_none(["a", "N/A", "null", "nano"])
    ["'N/A'", "'null'"]
    """
    return [repr(name) for name in names if name.strip().casefold() in NONE]


def mixed(names: Iterable[str]) -> list[str]:
    """Those with a word of Latin and Cyrillic letters, written in ASCII.

    >>> mixed(["cat", "ca\\N{CYRILLIC SMALL LETTER TE}"])
    ["'ca\\\\u0442'"]
    """
    found = []
    for name in names:
        words = [] if name.isascii() else WORD.findall(name)
        alphabets = ({unicodedata.name(letter, "").split(" ")[0] for letter in set(word)} for word in words)
        if any({"LATIN", "CYRILLIC"} <= own for own in alphabets):
            found.append(ascii(name[:60]))
    return found


def doubtful_names(where: str, names: Iterable[str]) -> str:
    """Remarks on the names of sequences or groups; "" for none. `where` they stand is said."""
    names, remarks = list(names), ""
    if alike := look_alike(names):
        remarks += f", note: names in {where} that look alike are different ones: {listed_names(alike)}"
    if none := say_none(names):
        remarks += f", note: {listed_names(none)} in {where} is a name; where there is none, leave "
        remarks += "those cells empty"
    if odd := mixed(names):
        remarks += f", note: names in {where} mix Latin and Cyrillic letters: {listed_names(odd)}"
    if lost := next(filter(ROUNDED.fullmatch, names), ""):
        remarks += f", note: names as {lost!r} in {where} have lost digits: several may have become one"
    return remarks


def listed_names(names: list[str]) -> str:
    """Names that are written already, for a message."""
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _heeded(name: str) -> str:
    plain = unicodedata.normalize("NFKC", html.unescape(name)).casefold()
    plain = " ".join("".join(sign for sign in plain if unicodedata.category(sign) != "Cf").split())
    return (plain.lstrip("0") or "0") if plain.isdecimal() else plain


def _written(name: str, group: Sequence[str]) -> str:
    """A name as Python writes it; in letters of ASCII alone where two of the group would look the same."""
    same = len({unicodedata.normalize("NFC", one).translate(DRAWN) for one in group}) < len(group)
    return (ascii if same else repr)(name[:60])
