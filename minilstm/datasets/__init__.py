"""Data to measure sequence length with: spoken digits of natural length, and two tasks of any length.

`load_digits` gives 3,000 recordings of 6 to 92 frames, to be padded or truncated to a study's length.
`recall` and `adding` are generated at exactly the length that is asked for, and put a known distance
between what must be remembered and the answer. All three return a `Dataset`. Nothing is downloaded.

Reading order: `base` (what a data set is), `generated` (the two tasks), `speech` (the vendored file).
"""

from __future__ import annotations

from minilstm.datasets.base import Dataset, Split
from minilstm.datasets.generated import adding, recall
from minilstm.datasets.imdb import load_imdb
from minilstm.datasets.own import from_sequences
from minilstm.datasets.read import read_file
from minilstm.datasets.speech import load_digits

__all__ = ["Dataset", "Split", "adding", "from_sequences", "load_digits", "load_imdb", "read_file", "recall"]
