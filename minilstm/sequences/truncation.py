"""Cut sequences to a length, and the masks that belong to padded ones."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minilstm.foundations.arrays import Array, rows_of
from minilstm.foundations.errors import check_room, listed, one_of, shown, whole_number, wording

Mask = NDArray[np.bool_]


def steps_to_keep(maxlen: int, truncating: str) -> slice:
    """The steps that truncation keeps."""
    if truncating == "pre":
        return slice(-maxlen, None)
    if truncating == "post":
        return slice(None, maxlen)
    raise ValueError(wording("truncating", "'pre' or 'post'", shown(truncating)))


def truncate(
    sequences: Iterable[Any],
    maxlen: int,
    truncating: str = "pre",
    *,
    start: int | Sequence[int] | Array = 0,
) -> list[Any]:
    """Cut each sequence to at most `maxlen` steps, in the words of `pad_sequences`, without padding.

    Parameters
    ----------
    sequences : list, tuple or array of B sequences
        Anything that can be sliced: lists, tuples, strings, arrays `(t,)` or `(t, D)`.
    maxlen : int
        The largest number of steps to keep, at least 1.
    truncating : "pre", "post" or "window"
        The side that loses steps: "pre" keeps the last `maxlen` steps (the tail), "post" the first (the
        head). "window" keeps the `maxlen` steps from `start` on.
    start : int, or B ints
        Where the window begins, for all sequences or for each. A window that would reach beyond the end of a
        sequence begins as much earlier.

    Returns
    -------
    list of B sequences
        Slices of the input: each keeps its type and dtype, and a slice of an array is a view.

    Raises
    ------
    TypeError
        A sequence cannot be sliced, or `maxlen` or `start` is no whole number.
    ValueError
        `maxlen` is below 1, `start` is negative or not of B numbers, or given without "window"; `truncating`
        is another word.

    Examples
    --------
    >>> truncate([[1, 2, 3], [4]], maxlen=2)
    [[2, 3], [4]]
    >>> truncate(["abc", "d"], maxlen=2, truncating="post")
    ['ab', 'd']
    >>> truncate(["abcdef", "abc"], maxlen=2, truncating="window", start=2)
    ['cd', 'bc']
    """
    whole_number("maxlen", maxlen)
    one_of("truncating", truncating, ["pre", "post", "window"])
    several = isinstance(start, (list, tuple, range)) or (isinstance(start, np.ndarray) and start.ndim > 0)
    given: list[Any] = list(start) if several else [start]  # type: ignore[arg-type]
    starts = [whole_number("start", one, minimum=0) for one in given]
    if truncating != "window" and starts != [0]:
        raise ValueError(wording("start", "0 where truncating is not 'window'", start))
    listed = list(rows_of("sequences", sequences))
    if several and len(starts) != len(listed):
        expected = f"one number, or one for each of {len(listed)} sequences"
        raise ValueError(wording("start", expected, len(starts)))
    cut = []
    for b, sequence in enumerate(listed):
        try:
            if truncating == "window":
                first = min(starts[b if several else 0], max(0, len(sequence) - maxlen))
                cut.append(sequence[first : first + maxlen])
            else:
                cut.append(sequence[steps_to_keep(maxlen, truncating)])
        except (TypeError, KeyError, IndexError) as error:  # a set or number, a dict, a 0-d array
            got = reprlib.repr(sequence)
            raise TypeError(wording(f"sequences[{b}]", "a sequence that can be sliced", got)) from error
    return cut


def lengths_to_mask(lengths: Iterable[int], maxlen: int | None = None, padding: str = "pre") -> Mask:
    """The mask that belongs to padded sequences of these lengths: True at real steps.

    Parameters
    ----------
    lengths : B whole numbers >= 0
        The number of real steps of each sequence. A sequence of length 0 has a row without any True.
    maxlen : int, optional
        The number of columns T. None takes the longest. A given `maxlen` means what it means in
        `pad_sequences`: a longer sequence was cut to `maxlen` steps, and all its columns are real.
    padding : "pre" or "post"
        The side that holds the padding.

    Returns
    -------
    bool array of shape (B, T)

    Raises
    ------
    TypeError
        A length or `maxlen` is no whole number (a float, a boolean, a list); the message has its index.
    ValueError
        A length or `maxlen` is negative, `lengths` is empty, or `padding` is another word.
    MemoryError
        The mask is larger than memory.

    Examples
    --------
    >>> lengths_to_mask([1, 3])
    array([[False, False,  True],
           [ True,  True,  True]])
    >>> lengths_to_mask([1, 3], maxlen=2, padding="post")
    array([[ True, False],
           [ True,  True]])
    """
    one_of("padding", padding, ["pre", "post"])
    given = listed("lengths", "a list of whole numbers", lengths)
    if not given:
        raise ValueError(wording("lengths", "at least one whole number", "none"))
    counts = [whole_number(f"lengths[{b}]", length, minimum=0, wide=True) for b, length in enumerate(given)]
    T = max(counts) if maxlen is None else whole_number("maxlen", maxlen, minimum=0)
    check_room(f"a mask of {len(counts)} x {T} steps", max(len(counts), 8) * T)
    real = np.array([min(count, T) for count in counts])[:, np.newaxis]  # (B, 1)
    step = np.arange(T)  # (T,)
    mask: Mask = step < real if padding == "post" else step >= T - real  # (B, T)
    return mask
