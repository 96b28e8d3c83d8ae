"""Norms at the edges of the floating-point range. More of them, through the trace, in test_trace.py."""

from __future__ import annotations

import numpy as np
import pytest

from minilstm.foundations.norms import norm, norms_along, over_units


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1.0, 1e200])
@pytest.mark.parametrize("axis", [None, (1,), (0, 2)])
def test_norm_is_numpys_at_any_scale(scale, axis):
    values = np.random.default_rng(0).normal(size=(3, 4, 5))
    reduced = (0, 1, 2) if axis is None else axis
    expected = np.sqrt((values**2).sum(axis=reduced))
    rtol = 1e-14 if scale > 1e-300 else 1e-12
    np.testing.assert_allclose(norm(values * scale, axis) / scale, expected, rtol=rtol)


def test_norm_of_nothing_and_of_what_is_not_finite():
    assert norm(np.zeros((0, 3))) == 0
    assert norm(np.zeros((2, 0)), (1,)).tolist() == [0, 0]
    assert norm(np.array([1.0, np.inf])) == np.inf
    assert np.isnan(norm(np.array([1.0, np.nan, np.inf])))
    assert norm(np.array([3e38, 3e38], "float32")).dtype == np.float64


@pytest.mark.parametrize("scale", [0, 1e-310, 1e-200, 1.0, 1e200])
def test_quick_norms_are_the_scaled_ones(scale):
    """Rows at any scale beside rows of the usual one, zeros, NaN and Inf."""
    values = np.random.default_rng(0).normal(size=(7, 4, 5))
    values[0] *= scale
    values[1] = 0
    values[2:5, 0, 0] = np.nan, np.inf, -np.inf
    rtol = 1e-14 if scale > 1e-300 else 1e-12
    np.testing.assert_allclose(over_units(values), norm(values, (2,)), rtol=rtol)
    np.testing.assert_allclose(norms_along(0, values), norm(values, (1, 2)), rtol=rtol)
    np.testing.assert_allclose(norms_along(2, values[:2]), norm(values[:2], (0, 1)), rtol=rtol)
