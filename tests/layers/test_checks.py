"""Checks at the public edge: what is repaired, what is converted, what is refused, and in which words."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from minilstm.layers import checks as inputs

F32 = np.dtype("float32")


@pytest.mark.parametrize(
    ("shape", "input_shape", "expected"),
    [
        ((4, 6, 3), (6, 3), (4, 6, 3)),
        ((4, 9, 3), (6, 3), (4, 9, 3)),  # another length
        ((4, 9, 3), (None, 3), (4, 9, 3)),
        ((4, 6), (6, 1), (4, 6, 1)),  # a missing last axis of 1
        ((4, 6, 3, 1), (6, 3), (4, 6, 3)),  # a surplus one
        ((4, 3), (3,), (4, 3)),
        ((4, 3, 1), (3,), (4, 3)),
        ((4, 6, 3), None, (4, 6, 3)),
        ((4, 3), None, (4, 3)),
        ((0, 6, 3), (6, 3), (0, 6, 3)),
    ],
)
def test_shapes_that_fit(shape, input_shape, expected):
    found = inputs.batch(np.ones(shape), input_shape, F32)
    assert found.shape == expected
    assert found.dtype == F32
    assert found.flags.c_contiguous


@pytest.mark.parametrize(
    ("shape", "input_shape", "text"),
    [
        ((3,), None, "x must be (batch, time, features), got shape (3,)"),
        ((1, 2, 3, 4), None, "x must be (batch, time, features), got shape (1, 2, 3, 4)"),
        ((4, 6), (6, 3), "x must be of shape (batch, 6, 3), got (4, 6)"),
        ((4, 6, 2), (6, 3), "x must be of shape (batch, 6, 3), got (4, 6, 2)"),
        ((4, 6, 2), (None, 3), "x must be of shape (batch, any, 3), got (4, 6, 2)"),
        ((4, 0, 3), (None, 3), "x must be of at least 1 of its time steps, got 0 time steps"),
        ((4, 6, 0), None, "x must be of at least 1 of its features, got 0 features"),
        ((), None, "x must be (batch, time, features), got shape ()"),
    ],
)
def test_shapes_that_do_not_fit(shape, input_shape, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        inputs.batch(np.ones(shape), input_shape, F32)


@pytest.mark.parametrize("dtype", ["float16", ">f4", ">f8", "longdouble", "int8", "uint64", "bool"])
def test_numeric_dtypes_are_converted(dtype):
    x = (np.arange(12).reshape(2, 3, 2) % 2).astype(dtype)
    found = inputs.batch(x, None, F32)
    assert found.dtype == F32
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, x.astype("float32"))


class Endless:
    """What has dimensions, and no elements that NumPy finds: they were looked for without an end."""

    ndim, shape = 2, (3, 3)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (
            [[1], [1, 2]],
            ValueError,
            "x must be a rectangular array, got sequences of different lengths: use pad",
        ),
        (np.ma.ones((2, 2)), TypeError, "x must be a plain array, got a masked array: pass mask= instead"),
        (
            csr_matrix(np.eye(3)),
            TypeError,
            "x must be a plain array, got a sparse one: its toarray() makes one",
        ),
        (Endless(), TypeError, "x must be an array of real numbers, got dtype object"),
        ("text", TypeError, "x must be an array of real numbers, got dtype <U4"),
        (None, TypeError, "x must be an array of real numbers, got dtype object"),
        ({1, 2}, TypeError, "x must be an array of real numbers, got dtype object"),
        ([1j], TypeError, "x must be an array of real numbers, got dtype complex128"),
        (
            np.array(["2020-01-01"], "M8"),
            TypeError,
            "x must be an array of real numbers, got dtype datetime64",
        ),
        ((k for k in range(3)), TypeError, "x must be an array of real numbers, got dtype object"),
    ],
)
def test_what_is_no_array_of_numbers(value, error, text):
    with pytest.raises(error, match=re.escape(text)):
        inputs.numeric_array("x", value)


def test_other_containers_are_arrays():
    class Table:
        """As a DataFrame: it knows how to become an array."""

        def __array__(self, dtype=None, copy=None):
            return np.ones((2, 3), dtype)

    assert inputs.numeric_array("x", Table()).shape == (2, 3)
    assert inputs.numeric_array("x", (range(3), range(3))).shape == (2, 3)
    assert inputs.numeric_array("x", memoryview(np.ones((2, 2)))).shape == (2, 2)


def test_overflow_at_the_border_is_found_by_the_check_and_not_by_a_warning():
    found = inputs.batch(np.full((1, 1, 1), 1e300), None, F32)
    with pytest.raises(ValueError, match=re.escape("x must be finite, got Inf at [0, 0, 0] (1 of 1 values)")):
        inputs.check_finite("x", found)


def test_check_finite_looks_at_real_steps_only():
    x = np.zeros((2, 3, 2))
    mask = np.ones((2, 3), bool)
    inputs.check_finite("x", x)
    x[1, 2, 0], x[0, 1, 1] = np.nan, -np.inf
    with pytest.raises(
        ValueError, match=re.escape("x must be finite, got Inf at [0, 1, 1] (2 of 12 values)")
    ):
        inputs.check_finite("x", x, mask)
    mask[0, 1] = False
    with pytest.raises(
        ValueError, match=re.escape("x must be finite, got NaN at [1, 2, 0] (1 of 12 values)")
    ):
        inputs.check_finite("x", x, mask)
    mask[1, 2] = False
    inputs.check_finite("x", x, mask)


def test_token_ids():
    found = inputs.check_token_ids(inputs.token_ids([[1.0, 2.0], [0.0, 4.0]]), 5, None)
    assert found.dtype == np.int64
    assert found.tolist() == [[1, 2], [0, 4]]
    assert inputs.check_token_ids(np.zeros((0, 3)), 5, None).shape == (0, 3)


@pytest.mark.parametrize("ids", [[[2**63]], [[1e19]], [[-(2.0**70)]]])
def test_token_ids_beyond_int64(ids):
    """Refused as any other id out of range, without a warning about the cast."""
    with pytest.raises(ValueError, match="x must be"):
        inputs.check_token_ids(inputs.token_ids(ids), 5, None)


def test_same_length():
    x = np.zeros((2, 5, 1))
    inputs.check_same_length(x, [0, 1])
    inputs.check_same_length(x, np.zeros((2, 3)))
    inputs.check_same_length(x, [[0], [1, 2]])  # ragged: another check's business
    with pytest.raises(ValueError, match="x and y must be of the same length, got 2 and 3"):
        inputs.check_same_length(x, [0, 1, 0])
    for scalar in (1, None, np.float64(2), np.array(3)):
        with pytest.raises(ValueError, match="y must be an array with one entry per sample, got a"):
            inputs.check_same_length(x, scalar)
