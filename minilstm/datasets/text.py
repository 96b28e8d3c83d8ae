"""Text into ids: words, and a vocabulary that is counted on the training part alone.

A word is a run of letters, digits, underscores and apostrophes, in lower case. This is the plain
tokenizer that word-level LSTM examples use, not one for languages that write without spaces.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import count

import numpy as np
from numpy.typing import NDArray

from minilstm.errors import whole_number

__all__ = ["text_ids"]

Ids = NDArray[np.int32]

PADDING, UNKNOWN, FIRST = 0, 1, 2
_WORD = re.compile(r"[\w']+")


def text_ids(texts: Iterable[str], training: Iterable[int], size: int = 10_000) -> tuple[list[Ids], int]:
    """The words of each text as (L,) int32 ids, and the number of ids in use.

    Id 0 is padding, 1 any word that is not in the vocabulary; from 2 on come the commonest words of
    the texts whose indices are `training`, at most `size` - 2 >= 1 of them. Words that are equally
    common are in alphabetical order, so ids do not depend on the order of the texts.

    >>> text_ids(["It's GOOD, so good!", "so... 10/10"], training=[0], size=4)
    ([array([3, 2, 1, 2], dtype=int32), array([1, 1, 1], dtype=int32)], 4)
    """
    whole_number("size", size, FIRST + 1)
    number: defaultdict[str, int] = defaultdict(count().__next__)  # in the order of first appearance
    raw = [np.array(list(map(number.__getitem__, _WORD.findall(text.lower()))), np.int32) for text in texts]
    counts = np.bincount(np.concatenate([raw[k] for k in training]), minlength=len(number))
    words = np.array(list(number))
    seen = np.nonzero(counts)[0]
    ordered = seen[np.lexsort((words[seen], -counts[seen]))][: size - FIRST]
    ids = np.full(len(number), UNKNOWN, np.int32)
    ids[ordered] = np.arange(FIRST, FIRST + len(ordered))
    return [ids[text] for text in raw], FIRST + len(ordered)
