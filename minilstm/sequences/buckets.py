"""Batches of sequences of similar length: less padding, and so less work, for the same samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from minilstm.foundations.arrays import Array, plain_array, rows_of
from minilstm.foundations.errors import one_of, switch, whole_number, wording
from minilstm.sequences.padding import pad_sequences
from minilstm.sequences.truncation import lengths_to_mask

JITTER = 0.1  # lengths that differ by less than about this share are mixed anew in each epoch


class LengthBuckets:
    """Batches (x, y, None, mask) of similar length, for `model.fit`, `evaluate` and `predict`.

    In each epoch the sequences are sorted by length, those of about the same length in a new order; cut into
    batches, each padded to its own longest sequence; and the batches are put into a random order. So every
    epoch has all samples once, in other batches, and one seed gives the same epochs again.

    Parameters
    ----------
    sequences : N sequences, each (t,) or (t, D), at least 1 step
    y : N targets, or None for `predict`
    batch_size : sequences in a batch; the last one cut may be smaller
    shuffle : False for one order: by length, the same in each epoch
    seed : whole number, for the order
    dtype, padding, value : as in `pad_sequences`

    Attributes
    ----------
    epoch : the epoch whose batches iterating gives; fit advances it through `on_epoch_end`

    Raises ValueError or TypeError for sequences without steps, another number of targets, or bad arguments.
    What it is not: a change of what is learned from a batch. Batches are no longer random samples of all
    lengths, which can matter where length and class go together.

    Examples
    --------
    >>> buckets = LengthBuckets([[1], [2, 3, 4], [5], [6, 7, 8]], [0, 1, 0, 1], batch_size=2, shuffle=False)
    >>> for x, y, _, mask in buckets:
    ...     print(x.tolist(), y.tolist(), mask.all())
    [[1.0], [5.0]] [0, 0] True
    [[2.0, 3.0, 4.0], [6.0, 7.0, 8.0]] [1, 1] True
    >>> print(buckets)
    2 batches of 2: 0.0% padding, instead of 33.3% when all are padded to the longest
    """

    def __init__(
        self,
        sequences: Sequence[Any],
        y: ArrayLike | None = None,
        *,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int = 0,
        dtype: DTypeLike = "float32",
        padding: str = "post",
        value: float = 0.0,
    ) -> None:
        self.sequences = list(rows_of("sequences", sequences))
        if not self.sequences:
            raise ValueError(wording("sequences", "at least one sequence", "none"))
        try:
            self.lengths: Array = np.array([len(sequence) for sequence in self.sequences])
        except TypeError:
            raise TypeError(wording("sequences", "a list of sequences", "one without a length")) from None
        if self.lengths.min() < 1:
            b = int(self.lengths.argmin())
            raise ValueError(wording(f"sequences[{b}]", "of at least 1 step", "0 steps"))
        self.y = None if y is None else plain_array("y", y)
        if self.y is not None and (self.y.ndim == 0 or len(self.y) != len(self.sequences)):
            expected = f"one target for each of {len(self.sequences)} sequences"
            raise ValueError(wording("y", expected, f"shape {self.y.shape}"))
        self.batch_size = whole_number("batch_size", batch_size)
        self.shuffle, self.seed = switch("shuffle", shuffle), whole_number("seed", seed, 0, wide=True)
        self.dtype, self.padding, self.value = dtype, one_of("padding", padding, ["pre", "post"]), value
        self.epoch = 0

    def __len__(self) -> int:
        return -(-len(self.sequences) // self.batch_size)

    def on_epoch_end(self) -> None:
        """The next epoch's batches from here on; fit calls it."""
        self.epoch += 1

    def get_state(self) -> dict[str, int]:
        """Which epoch it is at, for a fit that is taken up again."""
        return {"epoch": self.epoch}

    def set_state(self, state: dict[str, int]) -> None:
        """Go to the epoch that `get_state` told."""
        self.epoch = whole_number("epoch", state["epoch"], 0)

    def indices(self) -> list[Array]:
        """Which sequences are in each batch of this epoch, in order.

        >>> [rows.tolist() for rows in LengthBuckets([[1, 2], [3]], batch_size=1, shuffle=False).indices()]
        [[1], [0]]
        """
        rng = np.random.default_rng([self.seed, self.epoch]) if self.shuffle else None
        keys = self.lengths.astype(float)
        if rng is not None:
            keys *= rng.uniform(1, 1 + JITTER, len(keys))
        order = np.argsort(keys, kind="stable")
        batches = [order[k : k + self.batch_size] for k in range(0, len(order), self.batch_size)]
        if rng is not None:
            batches = [batches[k] for k in rng.permutation(len(batches))]
        return batches

    def __iter__(self) -> Iterator[tuple[Array, Array | None, None, Array]]:
        for rows in self.indices():
            chosen = [self.sequences[row] for row in rows]
            x = pad_sequences(chosen, dtype=self.dtype, padding=self.padding, value=self.value)
            mask = lengths_to_mask(self.lengths[rows], padding=self.padding)
            yield x, None if self.y is None else self.y[rows], None, mask

    @property
    def padding_share(self) -> float:
        """Share of the cells of this epoch's batches that are padding, 0 to 1."""
        cells = sum(len(rows) * int(self.lengths[rows].max()) for rows in self.indices())
        return 1 - int(self.lengths.sum()) / cells

    @property
    def padding_share_unbucketed(self) -> float:
        """The same where all sequences are padded to the longest."""
        return 1 - int(self.lengths.sum()) / (len(self.lengths) * int(self.lengths.max()))

    def __str__(self) -> str:
        return (
            f"{len(self)} batches of {self.batch_size}: {self.padding_share:.1%} padding, "
            f"instead of {self.padding_share_unbucketed:.1%} when all are padded to the longest"
        )
