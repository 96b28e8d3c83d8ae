"""The tasks of the 1997 paper, drawn as it describes them.

Each function gives `count` fresh sequences. What the paper leaves open is said at the line that decides it.
Source: Hochreiter and Schmidhuber (1997), sections 5.1, 5.2, 5.4 and 5.6.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minilstm.classic.online import Sequences, offsets
from minilstm.foundations.arrays import Array

REBER = "BTPSXVE"
# Reber's grammar: node -> its one or two edges, (symbol, next node). Node 6 is the end.
EDGES = (
    (("B", 1),),
    (("T", 2), ("P", 3)),
    (("S", 2), ("X", 4)),
    (("T", 3), ("V", 5)),
    (("X", 3), ("S", 6)),
    (("P", 4), ("V", 6)),
    (("E", 7),),
)


def reber(rng: np.random.Generator) -> str:
    """A string of Reber's grammar; where there are two edges, each with probability 1/2.

    >>> reber(np.random.default_rng(0))[0]
    'B'
    """
    node, found = 0, ""
    while node < len(EDGES):
        edges = EDGES[node]
        symbol, node = edges[rng.integers(len(edges))]
        found += symbol
    return found


def embedded_reber(rng: np.random.Generator) -> str:
    """B, then T or P, a string of Reber's grammar, the same T or P once more, E."""
    second = "TP"[rng.integers(2)]
    return f"B{second}{reber(rng)}{second}E"


def possible_next(string: str) -> list[str]:
    """The symbols that may follow each symbol of an embedded string but the last.

    >>> possible_next("BTBTXSETE")
    ['TP', 'B', 'TP', 'SX', 'XS', 'E', 'T', 'E']
    """
    found, node = ["TP", "B"], 1
    for symbol in string[3:-2]:
        found.append("".join(label for label, _ in EDGES[node]))
        node = dict(EDGES[node])[symbol]
    return [*found, string[1], "E"]


def reber_sequences(strings: Sequence[str]) -> Sequences:
    """Strings as sequences that ask for the next symbol after each one but the last."""
    code = {symbol: k for k, symbol in enumerate(REBER)}
    read = np.array([code[symbol] for string in strings for symbol in string[:-1]])
    asked = np.array([code[symbol] for string in strings for symbol in string[1:]])
    lengths = np.array([len(string) - 1 for string in strings])
    return Sequences.of_symbols(read, lengths, np.eye(len(REBER))[asked], np.arange(len(read)))


def adding(rng: np.random.Generator, count: int, length: int) -> Sequences:
    """Pairs (value in [-1, 1], marker); the last step asks for 0.5 + (X1 + X2) / 4 of the two marked values.

    T to T + T/10 pairs; markers 1 at one of the first ten pairs and at another of the first T/2 - 1; -1
    at the first and last pair where they are not marked; 0 elsewhere. A marked first pair has value 0.
    """
    lengths = rng.integers(length, length + length // 10 + 1, count)
    first = offsets(lengths)
    begin = first[:-1]
    x = np.zeros((first[-1], 2))
    x[:, 0] = rng.uniform(-1, 1, first[-1])
    one = rng.integers(min(10, length // 2 - 1), size=count)
    two = rng.integers(length // 2 - 2, size=count)
    two += two >= one  # still unmarked
    x[begin[(one == 0) | (two == 0)], 0] = 0
    x[begin, 1] = x[first[1:] - 1, 1] = -1
    x[begin + one, 1] = x[begin + two, 1] = 1
    targets = 0.5 + (x[begin + one, 0] + x[begin + two, 0]) / 4
    return Sequences.of_rows(x, lengths, targets[:, None])


def temporal_order(rng: np.random.Generator, count: int, length: int = 100) -> Sequences:
    """Symbols E, ..., B with X or Y at two places; the last step asks which of XX, XY, YX, YY it was.

    L to L + L/10 symbols; the places, counted from 1, L/10 to L/5 and L/2 to 3L/5; all others of a, b, c, d.
    """
    E, B, X, a = 0, 1, 2, 4
    lengths = rng.integers(length, length + length // 10 + 1, count)
    first = offsets(lengths)
    symbols = rng.integers(a, a + 4, first[-1])
    symbols[first[:-1]], symbols[first[1:] - 1] = E, B
    which = rng.integers(2, size=(count, 2))
    for k, place in enumerate((length // 10, length // 2)):
        symbols[first[:-1] + rng.integers(place, place + length // 10 + 1, count) - 1] = X + which[:, k]
    return Sequences.of_symbols(symbols, lengths, np.eye(4)[2 * which[:, 0] + which[:, 1]])


def long_lag(rng: np.random.Generator, count: int, lag: int, distractors: int) -> Sequences:
    """Task 2c: b, x or y, q + k distractors, e; then the second symbol is asked for.

    q = `lag`; k is geometric: after q distractors, each further symbol is e with probability 1/10. Columns:
    `distractors` of them, then e, b, x, y.
    """
    e, b, x = distractors, distractors + 1, distractors + 2
    lengths = lag + rng.geometric(0.1, count) - 1 + 3
    first = offsets(lengths)
    symbols = rng.integers(distractors, size=first[-1])
    which = rng.integers(2, size=count)
    symbols[first[:-1]], symbols[first[:-1] + 1], symbols[first[1:] - 1] = b, x + which, e
    return Sequences.of_symbols(symbols, lengths, np.eye(2)[which])


def wrong(outputs: Array, sequences: Sequences, largest_error: float) -> Array:
    """Whether any output of each target is further from it than `largest_error`."""
    found: Array = (np.abs(outputs - sequences.targets) > largest_error).any(axis=1)
    return found
