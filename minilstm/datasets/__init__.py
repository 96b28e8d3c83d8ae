"""Data to measure sequence length with: real ones of natural length, two tasks of any length, your own.

`load_digits` gives 3,000 recordings of spoken digits, 6 to 92 frames, and `load_imdb` 24,904 film
reviews, to be padded or truncated to a study's length. `recall` and `adding` are generated at exactly the
length asked for, and put a known distance between what must be remembered and the answer. `read_file` and
`from_sequences` take data of your own, `read_series` and `from_series` make windows of series for
forecasting. All return a `Dataset`. Nothing is downloaded.

Reading order: `base` (what a data set is), `generated` (the two tasks), `speech` and `imdb` (the two that
come in files), `read` (files of your own), `own` (what was found in them), `splits` (three parts), `leaks`
(what gives the label away), `markers` (numbers that say that there is none), `forecast` (windows of series).
"""

from __future__ import annotations

from minilstm.datasets.base import Dataset, Split
from minilstm.datasets.forecast import from_series
from minilstm.datasets.generated import adding, recall
from minilstm.datasets.imdb import load_imdb
from minilstm.datasets.own import from_sequences
from minilstm.datasets.read import read_file, read_series
from minilstm.datasets.speech import load_digits

__all__ = [
    "Dataset",
    "Split",
    "adding",
    "from_sequences",
    "from_series",
    "load_digits",
    "load_imdb",
    "read_file",
    "read_series",
    "recall",
]
