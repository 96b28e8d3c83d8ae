"""What each length would cost: steps cut off, and cells filled with padding."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minilstm.foundations import notebook
from minilstm.foundations.arrays import Array, rows_of
from minilstm.foundations.errors import whole_number, wording
from minilstm.foundations.tables import in_columns

HEAD = ("maxlen", "cells", "padding", "steps cut", "share", "sequences cut")


@dataclass(frozen=True)
class PaddingAuditRow:
    """What padding and truncating to one `maxlen` does to a set of sequences. Shares are 0 to 1."""

    maxlen: int
    sequences: int  # B
    steps: int  # real steps of all sequences, before the cut
    steps_cut: int  # real steps that truncation removes
    cells: int  # B * maxlen, the size of the padded array (of one feature)
    cut_share: float  # steps_cut / steps
    sequences_cut_share: float  # sequences that lose steps / sequences
    padding_share: float  # cells that are padding / cells


@dataclass(frozen=True)
class PaddingAudit:
    """The rows of `padding_audit`, one per length: iterate, index, or print them as a table."""

    rows: tuple[PaddingAuditRow, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[PaddingAuditRow]:
        return iter(self.rows)

    def __getitem__(self, index: int) -> PaddingAuditRow:
        return self.rows[index]

    def to_dict(self) -> dict[str, list[dict[str, Any]]]:
        """The rows as plain numbers under the key "rows", ready for JSON."""
        return {"rows": [asdict(row) for row in self.rows]}

    def __repr__(self) -> str:
        lengths = ", ".join(str(row.maxlen) for row in self.rows[:6]) + (", ..." if len(self) > 6 else "")
        return f"<PaddingAudit of {self.rows[0].sequences} sequences, maxlen {lengths}>"

    def __str__(self) -> str:
        return "\n".join([self._title(), *in_columns([HEAD, *self._table()])])

    def _repr_html_(self) -> str:
        return notebook.block(self._title(), notebook.table(HEAD, self._table()))

    def _title(self) -> str:
        return f"{self[0].sequences} sequences, {self[0].steps} steps"

    def _table(self) -> list[tuple[str, ...]]:
        return [
            (
                f"{row.maxlen}",
                f"{row.cells}",
                f"{row.padding_share:.1%}",
                f"{row.steps_cut}",
                f"{row.cut_share:.1%}",
                f"{row.sequences_cut_share:.1%}",
            )
            for row in self.rows
        ]


def padding_audit(
    sequences: Iterable[Any], maxlen: int | Sequence[int] | Array | None = None
) -> PaddingAudit:
    """Count what each `maxlen` would cost: real steps cut off, and cells filled with padding.

    On which side is cut or padded changes none of these numbers, so there is no argument for it.

    Parameters
    ----------
    sequences : list, tuple or array of B sequences
        Anything with a length; only the lengths are read.
    maxlen : int, list of ints, optional
        One or several lengths >= 1. None takes the longest sequence, which cuts nothing.

    Returns
    -------
    PaddingAudit
        One `PaddingAuditRow` per `maxlen`, in the given order. A share of nothing is 0.

    Raises
    ------
    TypeError
        A sequence has no length, or a `maxlen` is no whole number.
    ValueError
        There are no sequences, no `maxlen`, or one below 1.

    Examples
    --------
    >>> print(padding_audit([[1], [2, 3], [4, 5, 6, 7, 8]], maxlen=[2, 5]))
    3 sequences, 8 steps
    maxlen  cells  padding  steps cut  share  sequences cut
         2      6    16.7%          3  37.5%          33.3%
         5     15    46.7%          0   0.0%           0.0%
    """
    counts = []
    for b, sequence in enumerate(rows_of("sequences", sequences)):
        try:
            counts.append(len(sequence))
        except TypeError:
            got = reprlib.repr(sequence)
            raise TypeError(wording(f"sequences[{b}]", "a sequence of steps", got)) from None
    if not counts:
        raise ValueError(wording("sequences", "at least one sequence", "none"))
    lengths = np.array(counts)  # (B,)

    if maxlen is None:
        wanted = [max(counts)]
    elif isinstance(maxlen, (list, tuple, range)) or (isinstance(maxlen, np.ndarray) and maxlen.ndim > 0):
        wanted = [whole_number(f"maxlen[{i}]", length) for i, length in enumerate(maxlen)]
    else:
        wanted = [whole_number("maxlen", maxlen)]
    if not wanted:
        raise ValueError(wording("maxlen", "at least one whole number", "none"))
    return PaddingAudit(tuple(_audit_row(lengths, length) for length in wanted))


def _audit_row(lengths: NDArray[np.int64], maxlen: int) -> PaddingAuditRow:
    B, steps = len(lengths), int(lengths.sum())
    cells = B * maxlen
    kept = int(np.minimum(lengths, maxlen).sum())
    return PaddingAuditRow(
        maxlen=maxlen,
        sequences=B,
        steps=steps,
        steps_cut=steps - kept,
        cells=cells,
        cut_share=(steps - kept) / steps if steps else 0.0,
        sequences_cut_share=int(np.count_nonzero(lengths > maxlen)) / B,
        padding_share=(cells - kept) / cells if cells else 0.0,
    )
