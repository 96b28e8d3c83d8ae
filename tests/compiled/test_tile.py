"""Products against NumPy: any size, stride and place, NaN and Inf, the order of sums, and the assembly."""

from __future__ import annotations

import re

import numpy as np
import pytest
from interpreted import INTERPRETED, compiled_only
from numba import cfunc, from_dtype, njit

from minilstm.compiled import entry_points, jit, tile, vectors

DTYPES = ["float32", "float64"]
on_dtypes = pytest.mark.parametrize("dtype", DTYPES)


@njit(**jit.OPTIONS)
def run(m, panels, c, kc, a, ka, b, kb, strides, depth, parts, add, ahead):
    c_row, c_panel, a_row, a_step, a_part, NR, b_part, b_panel = strides
    tile.product(
        m, panels, vectors.at(c, kc), vectors.at(a, ka), vectors.at(b, kb),
        c_row, c_panel, a_row, a_step, a_part, NR, b_part, b_panel, depth, parts, add, ahead,
    )  # fmt: skip


class Operands:
    """A (m, parts, depth), B (panels, parts, depth, NR) and C (panels, m, NR) somewhere in larger arrays."""

    def __init__(self, seed, dtype, m, depth, parts=1, panels=1, transposed=False, gap=3):
        rng, NR = np.random.default_rng(seed), jit.lanes(dtype)
        shape = (parts, depth, m + gap) if transposed else (m, parts, depth + gap)
        self.a = rng.normal(size=shape).astype(dtype)
        self.b = rng.normal(size=(panels, parts, depth + gap, NR)).astype(dtype)
        self.c = rng.normal(size=(panels + 1, m + 1, NR + gap)).astype(dtype)
        self.sizes = m, panels, depth, parts
        row, part = NR + gap, (depth + gap) * NR
        of_a = (1, m + gap, depth * (m + gap)) if transposed else (parts * (depth + gap), 1, depth + gap)
        self.strides = (row, (m + 1) * row, *of_a, NR, part, parts * part)
        left = self.a[:, :, :m].transpose(2, 0, 1) if transposed else self.a[:, :, :depth]
        self.left = left.reshape(m, -1)
        self.right = self.b[:, :, :depth].reshape(panels, -1, NR)
        self.NR = NR

    def product(self, add=0, ahead=0):
        """C of `product`; what stands around it must stay."""
        entry_points.provide_product(self.a.dtype)
        m, panels, depth, parts = self.sizes
        out = self.c.copy()
        run(m, panels, out, 0, self.a, 0, self.b, 0, self.strides, depth, parts, add, ahead)
        around = out.copy()
        around[:panels, :m, : self.NR] = self.c[:panels, :m, : self.NR]
        np.testing.assert_array_equal(around, self.c)
        return out[:panels, :m, : self.NR]

    def expected(self, add=0):
        m, panels, _, _ = self.sizes
        exact = self.left.astype(np.longdouble) @ self.right.astype(np.longdouble)
        return exact + add * self.c[:panels, :m, : self.NR]

    def check(self, add=0):
        found, expected = self.product(add), self.expected(add)
        size = np.abs(self.left.astype(float)) @ np.abs(self.right.astype(float)) + 1
        eps = np.finfo(self.a.dtype).eps
        assert found.dtype == self.a.dtype
        assert (np.abs(found - expected) <= eps * (4 + np.sqrt(self.left.shape[1])) * size).all()


@on_dtypes
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("m", range(1, 41))
def test_any_number_of_rows(m, transposed, dtype):
    for depth in (1, 2, 75):
        Operands(m, dtype, m, depth, transposed=transposed).check()
        Operands(m, dtype, m, depth, transposed=transposed).check(add=1)


@on_dtypes
@pytest.mark.parametrize("depth", [1, 7, 16, 299, 300, 301, 513, 1025])
@pytest.mark.parametrize(("m", "panels"), [(1, 1), (1, 3), (1, 4), (1, 11), (5, 1), (16, 4)])
def test_any_depth_and_number_of_panels(depth, m, panels, dtype):
    Operands(depth, dtype, m, depth, panels=panels).check()


@on_dtypes
@pytest.mark.parametrize(("depth", "parts"), [(1, 5), (3, 4), (16, 16), (16, 64), (150, 7), (400, 3)])
@pytest.mark.parametrize("m", [1, 6, 17])
def test_a_sum_in_parts(depth, parts, m, dtype):
    for panels in (1, 4, 5):
        Operands(parts, dtype, m, depth, parts, panels).check(add=1)


@on_dtypes
@pytest.mark.parametrize("m", [1, 4, 13])
def test_nan_and_inf_reach_what_they_should(m, dtype):
    """A row of A, a column of B and the number in C, and nothing else."""
    for value in (np.nan, np.inf, -np.inf):
        given = Operands(0, dtype, m, 20, panels=4)
        given.a[m - 1, 0, 3] = value
        given.b[2, 0, 5, 1] = value
        given.c[1, 0, 2] = value
        with np.errstate(invalid="ignore"):
            found, expected = given.product(add=1), given.expected(add=1)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
        np.testing.assert_array_equal(np.isposinf(found), np.isposinf(expected))
        np.testing.assert_array_equal(np.isneginf(found), np.isneginf(expected))
        assert np.isfinite(found[0, : m - 1]).all()


@compiled_only
@on_dtypes
@pytest.mark.parametrize(("depth", "parts"), [(75, 1), (1025, 1), (16, 40)])
def test_a_row_has_the_same_bits_in_any_block(depth, parts, dtype):
    """Alone, by four panels at a time, in blocks of any size, before and after a cut of the sum."""
    whole = Operands(0, dtype, 40, depth, parts, panels=5)
    expected = whole.product(add=1)
    for rows in ([1] * 40, [2] * 20, [5] * 8, [7, 6, 13, 14], [16, 24]):
        start = 0
        for m in rows:
            part = Operands(0, dtype, m, depth, parts, panels=5)
            part.a, part.b = whole.a[start : start + m].copy(), whole.b
            part.c = whole.c[:, start : start + m + 1].copy()
            found = part.product(add=1)
            np.testing.assert_array_equal(found, expected[:, start : start + m])
            start += m


@compiled_only
@on_dtypes
def test_no_accumulator_waits_in_memory(dtype):
    """The loop over k of each tile: as many multiply-adds as accumulators, and no vector on the stack."""
    if not jit.processor_has("fma"):
        pytest.skip("the assembly is known where the processor has fused multiply-adds")
    kind = tile.signature(from_dtype(np.dtype(dtype)))
    assembly = cfunc(kind, **jit.BY_ADDRESS)(tile.product_code)._library.get_asm_str()  # not from the cache
    for rows, panels in [*((rows, 1) for rows in range(1, tile.ROWS + 1)), (1, tile.PANELS)]:
        name = f"minilstm_tile_{dtype}_{rows}x{panels}"
        body = assembly[assembly.index(f"{name}:") :]
        body = body[: body.index("ret")]
        loops = [block for block in re.split(r"^\.L\w+:", body, flags=re.M) if "vfmadd" in block]
        multiply_adds = {block.count("vfmadd") % (2 * rows * panels) for block in loops}
        assert multiply_adds == {0}, name
        waiting = [line for line in body.splitlines() if "(%rsp" in line and re.search(r"%[xyz]mm", line)]
        assert not waiting, name
        assert body.count("prefetch") == (tile.TURN if panels == 1 else 0), name
        turn = max((re.findall(r"^\t[a-z].*", block, re.M) for block in loops), key=len)
        pointers = -(-rows // tile.POINTER) + (3 if panels > 1 else 0)
        a_step = 2 * rows * panels + 2 * panels + rows + pointers
        assert len(turn) <= tile.TURN * a_step + 6, name


def test_the_width_is_that_of_the_processor(monkeypatch):
    """As Numba is told, or as the processor is; without AVX registers have 16 bytes."""
    monkeypatch.setattr(jit.binding, "get_host_cpu_features", lambda: {"avx": True, "avx512f": True})
    for said, expected in [
        (None, (True, True)),
        ("+avx2,-avx512f", (True, False)),
        ("-avx,-avx2,-avx512f", (False, False)),
        ("", (False, False)),  # NUMBA_CPU_NAME=generic
    ]:
        monkeypatch.setattr(jit.config, "CPU_FEATURES", said)
        assert (jit.processor_has("avx"), jit.processor_has("avx512f")) == expected
    assert jit.lanes("float32") * 4 == jit.lanes("float64") * 8 == 2 * jit.BYTES


@pytest.mark.skipif(not INTERPRETED, reason="compiled code checks nothing")
def test_without_the_compiler_places_are_checked():
    given = Operands(0, "float32", 4, 5)
    given.sizes = 4, 1, 50, 1
    with pytest.raises(AssertionError):
        given.product()


@compiled_only
@on_dtypes
def test_kernels_hold_a_call_of_the_product_and_no_tile(dtype):
    Operands(0, dtype, 2, 3).product()
    (signature,) = [one for one in run.signatures if str(one[2].dtype) == dtype]
    assembly = run.inspect_asm(signature)
    assert tile.symbol(dtype) in assembly
    assert "minilstm_tile" not in assembly
