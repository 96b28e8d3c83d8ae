"""Vectors in kernels: what is loaded and stored, and exp, sigmoid and tanh against exact values."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import require
from numba import njit
from tolerances import ULPS

from minilstm.compiled import jit, vectors

DTYPES = ["float32", "float64"]
on_dtypes = pytest.mark.parametrize("dtype", DTYPES)


@njit(**jit.OPTIONS)
def sigmoid_of(a, NR):
    for k in range(0, a.size, NR):
        vectors.store(a, k, vectors.sigmoid(vectors.load(a, k)))


@njit(**jit.OPTIONS)
def tanh_of(a, NR):
    for k in range(0, a.size, NR):
        vectors.store(a, k, vectors.tanh(vectors.load(a, k)))


@pytest.fixture(scope="module")
def apply():
    """Sigmoid and tanh of the kernels as functions array -> array."""

    def whole(kernel):
        def function(values):
            NR = jit.lanes(values.dtype)
            out = np.zeros(-(-values.size // NR) * NR, values.dtype)
            out[: values.size] = values
            kernel(out, NR)
            return out[: values.size]

        return function

    return {"sigmoid": whole(sigmoid_of), "tanh": whole(tanh_of)}


# ------------------------------------------------------------------------------ what vectors do


@njit(**jit.OPTIONS)
def arithmetic(out, a, b, NR):
    x, y = vectors.load(a, 0), vectors.load(b, 0)
    vectors.store(out, 0, x + y)
    vectors.store(out, NR, x - 2 * y)
    vectors.store(out, 2 * NR, (1 - x) * y / 3)
    vectors.store(out, 3 * NR, 1 / x)
    vectors.store(out, 4 * NR, 7)


@on_dtypes
def test_operators_are_those_of_numpy(dtype):
    NR = jit.lanes(dtype)
    a, b = np.random.default_rng(0).normal(size=(2, NR)).astype(dtype)
    out, three = np.empty(5 * NR, dtype), a.dtype.type(3)
    arithmetic(out, a, b, NR)
    expected = [a + b, a - 2 * b, (1 - a) * b / three, 1 / a, np.full_like(a, 7)]
    np.testing.assert_array_equal(out, np.concatenate(expected))


@njit(**jit.OPTIONS)
def move(out, a, k, count):
    vectors.store_part(out, k, vectors.load_part(a, k, count) + 1, count)


@on_dtypes
def test_a_part_of_a_vector_touches_no_more(dtype):
    """Any number of its numbers, at any place, up to the last number of an array."""
    NR = jit.lanes(dtype)
    for count in range(1, NR + 1):
        for k in range(4):
            a = np.random.default_rng(count).normal(size=k + count).astype(dtype)
            out = np.zeros(k + count, dtype)
            move(out, a, k, count)
            np.testing.assert_array_equal(out, np.concatenate([np.zeros(k), a[k:] + 1]).astype(dtype))


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 2.0**-26), ("float64", 2.0**-54)])
def test_the_polynomials_are_those_of_mpmath(dtype, bound):
    """Coefficients as `mpmath.chebyfit` gives them, and exp to a quarter of an ulp."""
    require("mpmath")
    from mpmath import mp

    with mp.workdps(40):
        edge, p = mp.log(2) / 2, vectors.POLYNOMIALS[dtype]

        def wanted(r):
            return (mp.expm1(r) - r) / r**2 if abs(r) > 1e-9 else mp.mpf(1) / 2 + r / 6

        fitted = mp.chebyfit(wanted, [-edge, edge], len(p))[::-1]
        for ours, theirs in zip(p, fitted, strict=True):
            assert abs(ours - theirs) <= 2e-16 * abs(theirs)
        for r in np.linspace(-float(edge), float(edge), 101):
            found = 1 + mp.mpf(r) + mp.mpf(r) ** 2 * mp.polyval(p[::-1], mp.mpf(r))
            assert abs(found / mp.exp(mp.mpf(r)) - 1) <= bound


# ------------------------------------------------------------------------------ activations


def grid(dtype: str) -> np.ndarray:
    """Values of every size that matters, both signs."""
    rng = np.random.default_rng(0)
    parts = [rng.uniform(-20, 20, 3000), rng.normal(size=3000), np.linspace(-1e-3, 1e-3, 501)]
    parts += [10.0 ** rng.uniform(-30, 0, 1000), -(10.0 ** rng.uniform(-30, 0, 1000))]
    return np.concatenate(parts).astype(dtype)


def exact(name: str, values: np.ndarray) -> np.ndarray:
    """The function in extended precision."""
    require("mpmath")
    from mpmath import mp

    mp.prec = 120
    function = {"sigmoid": lambda x: 1 / (1 + mp.exp(-x)), "tanh": mp.tanh}[name]
    found = [function(mp.mpf(float(value))) for value in values]
    high = np.array([float(value) for value in found])
    low = np.array([float(value - mp.mpf(float(value))) for value in found])
    return high.astype(np.longdouble) + low.astype(np.longdouble)


def ulps(found: np.ndarray, expected: np.ndarray) -> float:
    spacing = np.spacing(np.abs(expected).astype(found.dtype)).astype(np.longdouble)
    return float((np.abs(found.astype(np.longdouble) - expected) / spacing).max())


@on_dtypes
@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_activations_to_a_few_ulps(apply, name, dtype):
    values = grid(dtype)
    measured = ulps(apply[name](values), exact(name, values))
    assert measured <= ULPS[dtype], measured


@on_dtypes
def test_closed_gates_keep_relative_accuracy(apply, dtype):
    """sigmoid(-80) is 1.8e-35, not 0: a gate that is nearly closed still has its size."""
    values = -np.linspace(1, vectors.LIMITS[dtype], 400).astype(dtype)
    found, expected = apply["sigmoid"](values), exact("sigmoid", values)
    worst = float((np.abs(found - expected) / expected).max())
    assert worst <= 2 * np.finfo(dtype).eps


@on_dtypes
def test_special_values(apply, dtype):
    special = np.array([np.nan, np.inf, -np.inf, 0.0, np.finfo(dtype).max, -np.finfo(dtype).max], dtype)
    with np.errstate(over="ignore"):
        s, t = apply["sigmoid"](special), apply["tanh"](special)
    assert np.isnan(s[0])
    assert np.isnan(t[0])
    assert s[1] == s[4] == 1
    assert s[3] == 0.5
    assert 0 <= s[2] <= np.finfo(dtype).tiny * 2
    assert s[5] == s[2]
    assert t[1:].tolist() == [1, -1, 0, 1, -1]


@on_dtypes
def test_nan_in_any_place_of_a_vector(apply, dtype):
    """The vectorised loops and their remainders let NaN through, and only there."""
    for size in (1, 7, 16, 33):
        for place in range(size):
            values = np.linspace(-3, 3, size).astype(dtype)
            values[place] = np.nan
            for function in apply.values():
                assert np.flatnonzero(np.isnan(function(values))).tolist() == [place]
