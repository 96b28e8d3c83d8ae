"""Norms of the gradients of one step, formed while these are in the cache.

    norms  (states + n, S, parts) float64: of dh, dc and dz at each step, for each of `parts` parts of the
           batch: all of it, or each sample
    rows   (n, b, P NR): the sum over the steps of dz, each sample's own gradient of the bias

Both are None where norms are not wanted: then a kernel is compiled without this file.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numba.core import cgutils

from minilstm.compiled.jit import SUMS, instruction, kernel
from minilstm.compiled.vectors import load, store
from minilstm.foundations.arrays import Array

summing = partial(kernel, options=SUMS)


@instruction(lambda values: values.reshape(-1))
def flattened(typing_context: object, values: object) -> object:
    """Contiguous `values` in one dimension; `reshape` does the same, but takes 0.1 s to compile."""
    kind = values.copy(ndim=1)  # type: ignore[attr-defined]

    def generate(context: object, builder: object, signature: object, args: object) -> object:
        array = context.make_array(values)(context, builder, args[0])  # type: ignore[attr-defined,index]
        made = context.make_array(kind)(context, builder)  # type: ignore[attr-defined]
        made.data, made.itemsize, made.nitems = array.data, array.itemsize, array.nitems
        made.shape = cgutils.pack_array(builder, [array.nitems])
        made.strides = cgutils.pack_array(builder, [array.itemsize])
        return made._getvalue()

    return kind(values), generate


@summing
def squares(values: Array, k: int, count: int, scale: float) -> float:
    """The sum of the squares of `count` numbers times `scale`, from the k-th on; values is 1-D."""
    piece, total = values[k : k + count], np.float64(0)
    for j in range(piece.size):
        value = np.float64(piece[j]) * scale
        total += value * value
    return total


@kernel
def row_norms(out: Array, values: Array, k: int, row: int, panel: int, width: int, H: int, b: int) -> None:
    """out (parts,) = norms of b rows of H numbers, of each row or of all of them; as `norms.norm` forms them.

    Row r has its numbers in pieces of `width`: piece p begins at k + r * row + p * panel.
    """
    P, parts = (H + width - 1) // width, out.size
    for part in range(parts):
        scale, norm = 1.0, 0.0
        for _ in range(2):
            total = 0.0
            for r in range(part * b // parts, (part + 1) * b // parts):
                for p in range(P):
                    count = min(width, H - p * width)
                    total += squares(values, k + r * row + p * panel, count, scale)
            norm = np.sqrt(total) / scale
            if not (norm < 1e-135 or norm == np.inf):
                break
            scale = 2.0**700 if norm < 1 else 2.0**-700  # squares out of the range of float64, or zeros
        out[part] = norm


@kernel
def record_state(norms: Array, line: int, t: int, states: Array, row: int, H: int) -> None:
    """norms[line, t] = the norms of states[row] (b, H)."""
    _, b, width = states.shape
    row_norms(norms[line, t], flattened(states), row * b * width, width, 0, H, H, b)


@kernel
def record_gate(
    norms: Array, line: int, rows: Array, gate: int, z: Array, t: int, block: int, H: int
) -> None:
    """norms[line, t] = the norms of dz in `block` of z[t], and rows[gate] += dz."""
    _, P, n, b, NR = z.shape
    start = (t * P * n + block) * b * NR
    row_norms(norms[line, t], flattened(z), start, NR, n * b * NR, NR, H, b)
    for r in range(b):
        for p in range(P):
            k = ((gate * b + r) * P + p) * NR
            store(rows, k, load(rows, k) + load(z, start + p * n * b * NR + r * NR))
