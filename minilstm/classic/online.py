"""Many sequences, one after another: the data of online learning, and who learns from them.

The kernel does the work; without Numba, or with backend="numpy", `network.learn` does it step by step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minilstm.classic import network
from minilstm.classic.network import Shape, Weights
from minilstm.compiled.engines import resolve_backend
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import wording


class Sequences(NamedTuple):
    """N ragged sequences in a row, their inputs by the entries that are not 0.

    Step t reads entries start[t] to start[t+1], each a column of x and its value; sequence n has the steps
    first[n] to first[n+1]; step t has the target targets[target_row[t]], none where target_row is -1.
    """

    column: Array  # (entries,) int64
    value: Array  # (entries,) float64
    start: Array  # (steps+1,) int64
    first: Array  # (N+1,) int64
    target_row: Array  # (steps,) int64
    targets: Array  # (rows, K) float64

    @classmethod
    def of_symbols(
        cls, symbols: Array, lengths: Array, targets: Array, target_row: Array | None = None
    ) -> Sequences:
        """Symbols (steps,), each a 1 in its own column; targets at the last step of each, if not said."""
        steps = np.arange(len(symbols) + 1)
        first = offsets(lengths)
        rows = at_ends(first) if target_row is None else target_row
        return cls(symbols.astype(np.int64), np.ones(len(symbols)), steps, first, rows, targets)

    @classmethod
    def of_rows(cls, x: Array, lengths: Array, targets: Array) -> Sequences:
        """Steps x (steps, D); targets (N, K) at the last step of each sequence."""
        steps, columns = x.shape
        column = np.tile(np.arange(columns), steps)
        first = offsets(lengths)
        return cls(column, x.ravel(), np.arange(steps + 1) * columns, first, at_ends(first), targets)

    def rows(self, n: int, columns: int) -> tuple[Array, Array]:
        """Sequence n in the form that `network` reads: x (T, columns), targets (T, K), NaN for none."""
        begin, end = self.first[n], self.first[n + 1]
        x, targets = np.zeros((end - begin, columns)), np.full((end - begin, self.targets.shape[1]), np.nan)
        for t in range(begin, end):
            entries = slice(self.start[t], self.start[t + 1])
            x[t - begin, self.column[entries]] = self.value[entries]
            if self.target_row[t] >= 0:
                targets[t - begin] = self.targets[self.target_row[t]]
        return x, targets


def offsets(lengths: Array) -> Array:
    """(N+1,) where each of N pieces begins; the end of all last."""
    return np.concatenate([[0], np.cumsum(lengths)])


def at_ends(first: Array) -> Array:
    """target_row where target n belongs to the last step of sequence n."""
    rows = np.full(first[-1], -1)
    rows[first[1:] - 1] = np.arange(len(first) - 1)
    return rows


def learn(
    shape: Shape, weights: Weights, sequences: Sequences, rate: float, *, backend: str = "numba"
) -> Array:
    """Read the sequences in their order and learn online, changing `weights`; the outputs (rows, K).

    Weights change after each sequence; outputs are those before. rate 0: nothing is learned.

    >>> shape = Shape(inputs=2, blocks=1, size=1, outputs=1)
    >>> ones = Sequences.of_rows(np.ones((3, 2)), np.array([3]), np.ones((1, 1)))
    >>> learn(shape, shape.draw(np.random.default_rng(0), 0.0), ones, 0.0).tolist()
    [[0.5]]
    """
    if sequences.column.size and not 0 <= sequences.column.min() <= sequences.column.max() < shape.inputs:
        raise ValueError(
            wording("column", f"that of an input, 0 to {shape.inputs - 1}", int(sequences.column.max()))
        )
    outputs = np.zeros_like(sequences.targets)
    if resolve_backend(backend) == "numpy":
        _learn_in_numpy(shape, weights, sequences, rate, outputs)
        return outputs
    from minilstm.compiled import classic

    classic.run_learn(
        *weights, shape.one, shape.one_out, float(rate), sequences.column, sequences.value,
        sequences.start, sequences.first, sequences.target_row, sequences.targets, outputs,
        *classic.rooms(*weights),
    )  # fmt: skip
    return outputs


def _learn_in_numpy(
    shape: Shape, weights: Weights, sequences: Sequences, rate: float, outputs: Array
) -> None:
    for n in range(len(sequences.first) - 1):
        x, targets = sequences.rows(n, shape.inputs)
        found = network.learn(shape, weights, x, targets, rate)
        rows = sequences.target_row[sequences.first[n] : sequences.first[n + 1]]
        outputs[rows[rows >= 0]] = found[rows >= 0]
