"""Texts into ids of words, through a vocabulary: 0 is padding, 1 is every word that is not in it.

What this is not: a tokenizer of subwords, or one for languages that write without spaces.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from itertools import count

import numpy as np
from numpy.typing import NDArray

from minilstm.foundations.errors import instance, listed, shown, whole_number, wording

Ids = NDArray[np.int32]

PADDING, UNKNOWN = 0, 1
PIECE = 2**16  # characters, or words
BLANK = re.compile(r"\s")


class _Characters(dict[int, str]):
    """What a character becomes: itself where words consist of such, else a space. Filled as it is asked."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        is_part = letter.isalnum() or letter == "_" or unicodedata.category(letter).startswith("M")
        self[code] = letter if is_part else " "
        return self[code]


_CHARACTERS = _Characters({ord("'"): "'", 0x2019: "'"})  # the second is the typographic apostrophe


def words(text: str) -> list[str]:
    """The words of a text: runs of letters, digits and underscores, apostrophes inside, in lower case.

    >>> words("It's 3 o'clock, 'Zoë'!")
    ["it's", '3', "o'clock", 'zoë']
    """
    instance("text", text, str, "a text")
    spaced = f" {text.lower().translate(_CHARACTERS)} "  # three times as fast as a regular expression
    return spaced.replace("''", " ").replace(" '", " ").replace("' ", " ").split()


def pieces(text: str) -> Iterator[str]:
    """A text in pieces that end between two words: their words are its words, in much less memory at a time.

    >>> sum(map(words, pieces("a rose's " * 100_000)), []) == words("a rose's " * 100_000)
    True
    """
    at = 0
    while len(text) - at > PIECE:
        blank = BLANK.search(text, at + PIECE)
        end = blank.start() if blank else len(text)
        yield text[at:end]
        at = end
    yield text[at:] if at else text


def has_words(text: str) -> bool:
    """Whether a text has a word at all; quick, for most have one at their beginning.

    >>> has_words("'Zoë'!"), has_words("...")
    (True, False)
    """
    return bool(words(text[:200])) or any(map(words, pieces(text)))


class Vocabulary:
    """The words that have an id: 2, 3, .. from the most frequent on; 0 is padding, 1 an unknown word.

    Parameters
    ----------
    vocabulary : the words, in the order of their ids from 2 on; each once
    split : text -> words; by default `words`

    `Vocabulary.of(texts, size)` counts the words of texts. `len` is the number of ids, the `input_dim` of an
    Embedding; with `mask_zero=True` the padding is masked.

    Examples
    --------
    >>> vocabulary = Vocabulary.of(["a rose is a rose", "is a"], size=4)
    >>> vocabulary.words, len(vocabulary)
    (['a', 'is'], 4)
    >>> vocabulary.ids(["a tulip is", ""])
    [[2, 1, 3], []]
    >>> vocabulary.text([2, 1, 3, 0])
    'a [UNK] is'
    >>> vocabulary.unknown_share(["a tulip is"])
    0.3333333333333333
    """

    def __init__(self, vocabulary: Sequence[str], split: Callable[[str], list[str]] = words) -> None:
        words = listed("vocabulary", "a list of words", vocabulary)
        if not all(isinstance(word, str) for word in words):
            raise TypeError(wording("vocabulary", "a list of words", shown(vocabulary)))
        self.words, self.split = words, _checked_split(split)
        self._ids = {word: number for number, word in enumerate(self.words, UNKNOWN + 1)}
        if len(self._ids) != len(self.words):
            twice = next(word for word, count in Counter(self.words).items() if count > 1)
            raise ValueError(wording("vocabulary", "of different words", f"{twice!r} twice"))

    @classmethod
    def of(
        cls,
        texts: Iterable[str],
        size: int | None = None,
        *,
        min_count: int = 1,
        split: Callable[[str], list[str]] = words,
    ) -> Vocabulary:
        """The most frequent words of `texts`; equally frequent ones in the order of the alphabet.

        size : number of ids, padding and unknown among them, at least 2; None takes all words
        min_count : how often a word must stand in the texts

        Take the training texts alone: a word that only test texts have is unknown.
        """
        whole_number("min_count", min_count), _checked_split(split)
        counts: Counter[str] = Counter()
        for text in _texts(texts):
            counts.update(split(text))
        return cls(_commonest(counts.items(), size, min_count), split)

    def __len__(self) -> int:
        return len(self.words) + UNKNOWN + 1

    def ids(self, texts: Iterable[str]) -> list[list[int]]:
        """The ids of each text's words, ready for `pad_sequences`."""
        return [[self._ids.get(word, UNKNOWN) for word in self.split(text)] for text in _texts(texts)]

    def text(self, ids: Iterable[int]) -> str:
        """The words of these ids: "[UNK]" for an unknown one, nothing for padding; ValueError for others."""
        found = []
        for position, number in enumerate(listed("ids", "a list of whole numbers", ids)):
            k = whole_number(f"ids[{position}]", number, 0)
            if k >= len(self):
                raise ValueError(wording(f"ids[{position}]", f"below {len(self)}", k))
            found += [] if k == PADDING else ["[UNK]" if k == UNKNOWN else self.words[k - UNKNOWN - 1]]
        return " ".join(found)

    def unknown_share(self, texts: Iterable[str]) -> float:
        """Share of the texts' words that the vocabulary does not have; 0 where there are no words."""
        numbers = [number for ids in self.ids(texts) for number in ids]
        return numbers.count(UNKNOWN) / len(numbers) if numbers else 0.0


def text_ids(texts: Iterable[str], training: Iterable[int], size: int) -> tuple[Vocabulary, list[Ids]]:
    """The vocabulary of the texts whose indices are `training`, and the ids of all texts, each (L,) int32.

    What `Vocabulary.of` and its `ids` give, in half of their time: every text is read once.

    >>> vocabulary, ids = text_ids(["a rose is a rose", "is a tulip"], training=[0], size=4)
    >>> vocabulary.words, ids
    (['a', 'rose'], [array([2, 3, 1, 2, 3], dtype=int32), array([1, 2, 1], dtype=int32)])
    """
    number: defaultdict[str, int] = defaultdict(count().__next__)  # in the order of first appearance
    raw = []
    for text in _texts(texts):
        raw.append(_numbered(text, number))
    counts = np.zeros(len(number), np.int64)
    for k in training:
        for piece in _slices(raw[k]):
            np.add.at(counts, piece, 1)
    vocabulary = Vocabulary(_commonest(zip(number, counts.tolist(), strict=True), size))
    ids = np.array([vocabulary._ids.get(word, UNKNOWN) for word in number], np.int32)
    for numbers in raw:
        for piece in _slices(numbers):
            piece[:] = ids[piece]
    return vocabulary, raw


def _numbered(text: str, number: Mapping[str, int]) -> Ids:
    """The number of each word (L,); of a long text a piece at a time."""
    if len(text) <= PIECE:
        found = words(text)
        return np.fromiter(map(number.__getitem__, found), np.int32, len(found))
    numbers: Ids = np.empty(len(text) // 2 + 1, np.int32)  # no word takes less than a letter and a blank
    end = 0
    for piece in pieces(text):
        found = words(piece)
        begin, end = end, end + len(found)
        numbers[begin:end] = np.fromiter(map(number.__getitem__, found), np.int32, len(found))
    numbers.resize(end, refcheck=False)
    return numbers


def _slices(numbers: Ids) -> Iterator[Ids]:
    """Parts of an array, for NumPy copies what it takes for an index."""
    return (numbers[at : at + PIECE] for at in range(0, len(numbers), PIECE))


def _commonest(counts: Iterable[tuple[str, int]], size: int | None, least: int = 1) -> list[str]:
    """The words that get an id: the most frequent, equally frequent ones in the order of the alphabet."""
    most = None if size is None else whole_number("size", size, UNKNOWN + 1) - (UNKNOWN + 1)
    return [word for _, word in sorted((-number, word) for word, number in counts if number >= least)][:most]


def _checked_split(split: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    if not callable(split):
        raise TypeError(wording("split", "a function of a text", shown(split)))
    return split


def _texts(texts: Iterable[str]) -> Iterable[str]:
    expected = "a list of texts"
    if isinstance(texts, (str, bytes)):
        raise TypeError(wording("texts", expected, "one text"))
    try:
        if isinstance(texts, (Set, Mapping)):
            raise TypeError
        iter(texts)
    except TypeError:
        raise TypeError(wording("texts", expected, shown(texts))) from None
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(wording(f"texts[{position}]", "a text", shown(text)))
        yield text
