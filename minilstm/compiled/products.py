"""What Dense and Embedding compute with, by the compiled kernels.

A row of a product has the same bits in any batch and with any number of threads: see `tile`.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from minilstm.compiled import entry_points, threads
from minilstm.compiled.jit import lanes
from minilstm.compiled.memory import plain
from minilstm.foundations.arrays import Array

PIECES = 8  # of a product, at most, which threads share
ROWS = 32  # in a piece, at least


def panels_of(b: Array) -> Array:
    """b (k, n) as the kernel wants it: panels of columns (P, k, NR), the last one filled up with zeros."""
    k, n = b.shape
    NR = lanes(b.dtype)
    columns = np.zeros((k, -(-n // NR) * NR), b.dtype)
    columns[:, :n] = b
    return np.ascontiguousarray(columns.reshape(k, -1, NR).transpose(1, 0, 2))


def matmul(a: Array, b: Array, parallel: bool) -> Array:
    """a (m, k) @ b (k, n) of float32 or float64, in pieces of a's rows; a and b may be transposed views."""
    return times_panels(a, panels_of(b), b.shape[1], parallel)


def times_panels(a: Array, panels: Array, n: int, parallel: bool) -> Array:
    """a (m, k) @ b (k, n), given `panels_of(b)`."""
    (m, k), dtype = a.shape, panels.dtype
    turned = a.flags.f_contiguous and not a.flags.c_contiguous
    a, a_row, a_step = (plain(a.T, dtype), 1, m) if turned else (plain(a, dtype), k, 1)
    out = np.empty((m, len(panels) * panels.shape[2]), dtype)
    if parallel:
        count = min(PIECES, -(-m // ROWS))
        pieces = list(pairwise(part * m // count for part in range(count + 1)))

        def rows(piece: tuple[int, int]) -> None:
            start, stop = piece
            entry_points.run_dense_product(out, a, panels, start, stop - start, a_row, a_step)

        threads.run(rows, pieces, parallel)
    else:
        entry_points.run_dense_product(out, a, panels, 0, m, a_row, a_step)
    return out if out.shape[1] == n else np.ascontiguousarray(out[:, :n])


def add_rows(out: Array, rows: Array, ids: Array) -> None:
    """out[ids[k]] += rows[k], k after k: the bits of `np.add.at`."""
    entry_points.run_add_rows(out, plain(rows, out.dtype), ids)
