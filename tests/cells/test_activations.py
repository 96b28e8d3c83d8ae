"""Activations: values at the extremes, and derivatives through the value against the complex step."""

from __future__ import annotations

import numpy as np
import pytest

from minilstm.cells import activations

NAMES = sorted(activations.ACTIVATIONS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4)])
def test_backward_is_the_complex_step_of_forward(name, shape):
    rng = np.random.default_rng([len(name), *shape])
    activation = activations.get(name)
    x, dy = rng.normal(size=shape) * 2, rng.normal(size=shape)
    expected = np.zeros(shape)
    for index in np.ndindex(shape):
        nudged = x.astype(complex)
        nudged[index] += 1e-30j
        expected[index] = (dy * activation.forward(nudged)).sum().imag / 1e-30
    found = activation.backward(dy, x if activation.of_input else activation.forward(x))
    assert np.abs(found - expected).max() <= 1e-15 * max(1, np.abs(expected).max()) * 4


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_shape_and_input_are_kept(name, dtype):
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(dtype)
    before = x.tobytes()
    activation = activations.get(name)
    y = activation.forward(x)
    assert (y.dtype, y.shape) == (x.dtype, x.shape)
    assert activation.backward(x, y).dtype == x.dtype
    assert x.tobytes() == before


def test_sigmoid_has_relative_accuracy_on_both_sides():
    x = np.array([-700.0, -40.0, 40.0, 700.0])
    np.testing.assert_allclose(activations.sigmoid(x), [np.exp(-700), np.exp(-40), 1, 1], rtol=1e-15)


@pytest.mark.parametrize("name", ["linear", "relu", "sigmoid", "tanh"])
def test_nan_stays_nan(name):
    assert np.isnan(activations.get(name).forward(np.array([np.nan, 1.0]))).tolist() == [True, False]


def test_infinities_and_huge_values():
    x = np.array([-np.inf, -1e300, 1e300, np.inf])
    assert activations.sigmoid(x).tolist() == [0, 0, 1, 1]
    assert activations.get("tanh").forward(x).tolist() == [-1, -1, 1, 1]
    assert activations.relu(x).tolist() == [0, 0, 1e300, np.inf]
    assert activations.softmax(np.array([[1e300, -1e300, 1e300]])).tolist() == [[0.5, 0, 0.5]]


def test_softmax_rows_sum_to_one():
    x = np.random.default_rng(0).normal(size=(5, 4)) * 100
    np.testing.assert_allclose(activations.softmax(x).sum(-1), 1, rtol=1e-15)


def test_none_is_linear_and_unknown_names_are_refused():
    assert activations.get(None).name == "linear"
    with pytest.raises(ValueError, match=r"activation must be 'elu' or .*'tanh', got 'mish'"):
        activations.get("mish")
