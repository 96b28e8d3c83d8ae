"""Arrays of more than 2^31 numbers: a step at their far end gives the bits that it gives at their beginning.

The arrays are reserved and not filled, so the pages of one step are all the memory that is taken.
"""

from __future__ import annotations

import ast
import math
import mmap
import sys
from pathlib import Path

import numpy as np
import pytest
from interpreted import compiled_only
from numba import njit

from minilstm.compiled import dense, entry_points, jit, lstm, panels
from minilstm.compiled.memory import row_size

FAR = 2**31
D, H, b = 3, 8, 1
NARROW = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32)} | {"intc", "short"}
FEW = {"jit.py": 4, "vectors.py": 2, "memory.py": 1} | {
    f"{name}.py": count
    for name, count in (("lstm", 2), ("gru", 2), ("simple_rnn", 2), ("user_steps", 2), ("adam", 1))
}
NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)  # on Linux


def reserved(shape, dtype="float32"):
    """Zeros that take no memory until they are touched."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if sys.platform != "linux":
        pytest.skip("reserves addresses as Linux does")
    try:
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NORESERVE)
    except OSError:
        pytest.skip(f"no {size / 2**30:.0f} GiB of addresses to be had")
    return np.frombuffer(memory, dtype).reshape(shape)


@njit(**jit.OPTIONS)
def one_step(z, c, xh, w, wt, x, dh, dc, dx, dw, scratch, mask, external, t):
    panels.put_input(xh, t, x, t, xh.shape[2] * 0 + 8)
    for p in range(z.shape[1]):
        panels.forward_product(z, t, p, 0, 4, 1, xh, t, w, 0, w.shape[2])
        lstm.forward_gates(z, c, xh, mask, t, p)
    for p in range(z.shape[1]):
        lstm.backward_gates(z, c, mask, external, dh, dc, t, p, 8)
    panels.lead_back(dh, z, t, wt, mask, dx, scratch, 0, 4, 0, 8)
    for gate in range(4):
        panels.weight_gradient(dw, xh, z, scratch, t, z.shape[0], gate, 0, dw.shape[2])


def step(make, S):
    """The last of S steps, on arrays from `make`: all that it leaves."""
    NR = jit.lanes("float32")
    P, K = -(-H // NR), H + 1 + D
    columns, units = row_size(max(P * NR, K), 4), row_size(P * NR, 4)
    rng, t = np.random.default_rng(0), S - 1
    z, c, dh, dc = make((S, P, 4, b, NR)), make((S + 1, b, units)), *(make((S + 1, b, units)) for _ in "hc")
    xh, x, dx, external = make((S + 1, b, columns)), make((b, S, D)), make((b, S, D)), make((b, S, H))
    w, wt = (rng.normal(size=shape).astype("float32") for shape in ((P, 4, K, NR), (2 * P, P, 4, NR, NR)))
    scratch, dw = np.zeros((1, 256, NR * 2), "float32"), np.zeros((P, 4, K, NR), "float32")
    for array, row in ((c, t), (xh, t), (dh, S), (dc, S)):
        array[row, :, :H] = rng.normal(size=(b, H))
    x[:, t], external[:, t] = rng.normal(size=(b, D)), rng.normal(size=(b, H))
    entry_points.provide_product(z.dtype)
    one_step(z, c, xh, w, wt, x, dh, dc, dx, dw, scratch, np.zeros((0, b), bool), external, t)
    return z[t].copy(), c[S].copy(), xh[t:].copy(), dh[t:].copy(), dc[t:].copy(), dx[:, t].copy(), dw, z.size


@pytest.mark.slow
@compiled_only
def test_a_step_beyond_2_to_the_31_numbers():
    near = step(lambda shape: np.zeros(shape, "float32"), 2)
    steps = FAR // (4 * b * jit.lanes("float32")) + 10
    *far, size = step(reserved, steps)
    assert size > FAR
    for one, other in zip(near[:-1], far, strict=True):
        assert np.abs(one).max() > 0
        np.testing.assert_array_equal(one, other)


@compiled_only
def test_rows_beyond_2_to_the_31_numbers():
    """Of an embedding's gradient, by ids."""
    out = reserved((FAR // 64 + 3, 64))
    ids = np.array([0, len(out) - 1, len(out) - 1])
    njit(**jit.OPTIONS)(dense.add_rows)(out, np.arange(192, dtype="float32").reshape(3, 64), ids)
    np.testing.assert_array_equal(out[-1], np.arange(64) * 2 + 192)
    np.testing.assert_array_equal(out[0], np.arange(64))
    assert not out[1].any()


def test_no_index_is_narrower_than_an_address():
    """Numba gives sizes, literals and ranges 64 bits; narrow words stand only where no index is made.

    These are the control register (jit, and its 0 in the kernels), the bits of an exponent (vectors), and
    the bytes of a buffer (memory).
    """
    found = {}
    for path in sorted(Path(jit.__file__).parent.glob("*.py")):
        nodes = ast.walk(ast.parse(path.read_text()))
        count = sum(isinstance(node, ast.Attribute) and node.attr in NARROW for node in nodes)
        found |= {path.name: count} if count else {}
    assert found == FEW
