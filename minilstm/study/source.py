"""Where a study's data come from: one data set for all lengths, or one made for each.

A source goes to every worker once, so that a worker needs neither the file nor the package that the data
were read from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from minilstm.datasets import Dataset, adding, load_digits, load_imdb, recall
from minilstm.foundations.errors import wording
from minilstm.study.plan import GENERATED


@dataclass(frozen=True)
class Source:
    """The data of a study: `data` for every length, or made at each length where it is None."""

    task: str
    seed: int
    data: Dataset | None
    options: tuple[str, ...] = ()  # the words of the command line that say what to read, and how

    @classmethod
    def of(cls, task: str, seed: int, words: int | None = None) -> Source:
        """The source of a task by name; `words` is the size of the vocabulary of texts."""
        if words is not None and task != "imdb":
            raise ValueError(wording("words", "left out where the steps are numbers", words))
        if task == "imdb":
            options = () if words is None else ("--words", str(words))
            return cls(task, seed, load_imdb(words=words or 10_000), options)
        return cls(task, seed, None if task in GENERATED else load_digits())

    def at(self, length: int) -> Dataset:
        """The data for points of `length`; the same for every seed of the model."""
        return _generated(self.task, length, self.seed) if self.data is None else self.data


@lru_cache(maxsize=2)
def _generated(task: str, length: int, seed: int) -> Dataset:
    return (recall if task == "recall" else adding)(length, seed=seed)
