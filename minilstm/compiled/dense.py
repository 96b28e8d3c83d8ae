"""The kernels of Dense and Embedding: a product on the tile, and rows added up by their ids."""

from __future__ import annotations

from minilstm.compiled.tile import product
from minilstm.compiled.vectors import at
from minilstm.foundations.arrays import Array


def dense_product(c: Array, a: Array, b: Array, first: int, m: int, a_row: int, a_step: int) -> None:
    """Rows first ... first + m of c = a @ b: c is (., P NR), b (P, K, NR) in panels of columns.

    a[r, k] is number r a_row + k a_step of a: a matrix, or its transpose.
    """
    panels, K, NR = b.shape
    width = panels * NR
    product(
        m, panels, at(c, first * width), at(a, first * a_row), at(b, 0),
        width, NR, a_row, a_step, 0, NR, 0, K * NR, K, 1, 0, 0,
    )  # fmt: skip


def add_rows(out: Array, rows: Array, ids: Array) -> None:
    """out[ids[k]] += rows[k], k after k."""
    for k in range(ids.size):
        for column in range(rows.shape[1]):
            out[ids[k], column] += rows[k, column]
