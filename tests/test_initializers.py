"""Initializers: exact properties, and the distributions of Keras."""

from __future__ import annotations

import re

import numpy as np
import pytest
from conftest import require

from minilstm import initializers
from minilstm.initializers import (
    INITIALIZERS,
    Chrono,
    Constant,
    Identity,
    Orthogonal,
    RandomUniform,
    VarianceScaling,
)

NAMES = sorted(INITIALIZERS)
RANDOM = [name for name in NAMES if name not in ("zeros", "ones", "identity")]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_shape_dtype_and_seed(name, dtype):
    function = initializers.get("kernel_initializer", name)
    assert function is getattr(initializers, name)
    w = function((3, 5), rng(7), dtype)
    assert (w.shape, w.dtype, w.flags.c_contiguous, w.flags.writeable) == ((3, 5), dtype, True, True)
    assert function((3, 5), rng(7), dtype).tobytes() == w.tobytes()
    np.testing.assert_allclose(w, function((3, 5), rng(7), "float64"), rtol=1e-6)
    assert (function((3, 5), rng(8), dtype) == w).all() == (name not in RANDOM)


@pytest.mark.parametrize("gain", [1.0, 0.3])
@pytest.mark.parametrize("shape", [(3, 12), (12, 3), (4, 4), (1, 5), (5, 1)], ids=str)
def test_orthogonal(shape, gain):
    w = Orthogonal(gain)(shape, rng(), "float64")
    product = w @ w.T if shape[0] <= shape[1] else w.T @ w
    np.testing.assert_allclose(product, gain**2 * np.eye(min(shape)), atol=1e-14)


def test_orthogonal_is_uniform_over_orthogonal_matrices():
    signs = [initializers.orthogonal((2, 2), rng(seed), "float64") for seed in range(400)]
    # without sign(diag R), LAPACK's Q has a first column of one sign
    assert 150 < sum(w[0, 0] > 0 for w in signs) < 250
    assert 150 < sum(np.linalg.det(w) > 0 for w in signs) < 250


@pytest.mark.parametrize("shape", [(1, 256), (64, 1), (10, 40)], ids=str)
@pytest.mark.parametrize(
    ("name", "scale", "inputs", "outputs"),
    [("glorot", 2, 1, 1), ("he", 2, 1, 0), ("lecun", 1, 1, 0)],
)
def test_variances(name, scale, inputs, outputs, shape):
    """The papers' formulas: variance 2 / (fan_in + fan_out), 2 / fan_in and 1 / fan_in."""
    std = np.sqrt(scale / (inputs * shape[0] + outputs * shape[1]))
    uniform, normal = (
        np.stack([INITIALIZERS[f"{name}_{kind}"](shape, rng(seed), "float64") for seed in range(300)])
        for kind in ("uniform", "normal")
    )
    assert uniform.std() == pytest.approx(std, rel=0.03)
    assert 0.99 * std * np.sqrt(3) < np.abs(uniform).max() <= std * np.sqrt(3)
    assert normal.std() == pytest.approx(std, rel=0.03)
    edge = 2 * std / 0.87962566103423978
    assert 0.99 * edge < np.abs(normal).max() <= edge


def test_limits_and_values():
    w = initializers.uniform((1000, 8), rng(), "float64")
    assert 0.049 < np.abs(w).max() <= 0.05
    w = RandomUniform(1.0, 3.0)((1000,), rng(), "float64")
    assert 1.0 <= w.min() < 1.01
    assert 2.99 < w.max() <= 3.0
    assert (Constant(-0.5)((2, 3), rng(), "float32") == -0.5).all()
    assert (initializers.ones((2, 3), rng(), "float32") == 1).all()
    assert not initializers.zeros((2, 3), rng(), "float32").any()
    np.testing.assert_array_equal(Identity(0.5)((3, 5), rng(), "float64"), 0.5 * np.eye(3, 5))


# ------------------------------------------------------------------------------ chrono


def test_chrono_of_an_lstm():
    """Forget biases are log U(1, T - 1), input biases their negatives, one draw per unit."""
    H, length = 4000, 200
    b = Chrono(length).bias(("i", "f", "g", "o"), (4 * H,), rng(), "float64")
    i, f, g, o = np.split(b, 4)
    np.testing.assert_array_equal(i, -f)
    assert not g.any()
    assert not o.any()
    times = np.exp(f)
    assert 1 <= times.min() < 1.5
    assert length - 1.5 < times.max() <= length - 1
    assert times.mean() == pytest.approx(length / 2, rel=0.03)
    keep = 1 / (1 + np.exp(-f))  # the gate itself
    np.testing.assert_allclose(1 / (1 - keep), times + 1)


def test_chrono_of_a_gru_is_in_the_row_of_the_input():
    b = Chrono(50).bias(("z", "r", "g"), (2, 15), rng(), "float32")
    assert b.dtype == np.float32
    assert (b[0, :5] > 0).all()
    assert not b[0, 5:].any()
    assert not b[1].any()


def test_chrono_needs_a_gate_that_keeps():
    with pytest.raises(ValueError, match=re.escape("Chrono must be for a cell with a gate that keeps the")):
        Chrono(50).bias(("h",), (5,), rng(), "float32")
    with pytest.raises(ValueError, match="Chrono must be the bias_initializer of an LSTM or a GRU"):
        Chrono(50)((3, 12), rng(), "float32")


# ------------------------------------------------------------------------------ Keras


@pytest.mark.peer
@pytest.mark.parametrize(
    ("name", "shape"),
    [(name, (10, 256)) for name in RANDOM if name != "uniform"]
    + [("glorot_uniform", (300,)), ("uniform", (50, 64)), ("orthogonal", (64, 16)), ("he_normal", (3, 40))],
    ids=str,
)
def test_distributions_like_keras(name, shape):
    """The quantiles of many draws agree within sampling noise, and orthogonality lies on the same side."""
    require("keras")
    import keras

    ours = np.stack([INITIALIZERS[name](shape, rng(seed), "float32") for seed in range(20)])
    maker = type(keras.initializers.get(name))
    theirs = np.stack([np.asarray(maker(seed=seed)(shape)) for seed in range(20)])
    at = [0.1, 0.25, 0.5, 0.75, 0.9] + ([] if name in ("orthogonal", "random_normal") else [0.0, 1.0])
    np.testing.assert_allclose(
        np.quantile(ours, at), np.quantile(theirs, at), rtol=0, atol=0.1 * theirs.std()
    )
    if name == "orthogonal":
        assert np.trace(ours[0] @ ours[0].T) == pytest.approx(np.trace(theirs[0] @ theirs[0].T), rel=1e-5)


@pytest.mark.peer
@pytest.mark.parametrize(
    ("name", "options"),
    [("Constant", {"value": 0.3}), ("Identity", {"gain": 2.0}), ("Zeros", {}), ("Ones", {})],
)
def test_values_are_keras_s(name, options):
    require("keras")
    import keras

    ours = getattr(initializers, name, None) or {"Zeros": initializers.Constant, "Ones": Constant}[name]
    ours = ours(**options) if options else INITIALIZERS[name.lower()]
    theirs = getattr(keras.initializers, name)(**options)
    np.testing.assert_array_equal(ours((3, 5), rng(), "float32"), np.asarray(theirs((3, 5))))


# ------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("name", NAMES)
def test_bad_shapes(name):
    function = INITIALIZERS[name]
    with pytest.raises(ValueError, match="shape must be a whole number >= 1, got 0"):
        function((3, 0), rng(), "float32")
    with pytest.raises(TypeError, match=r"shape must be a whole number >= 1, got 2\.5"):
        function((3, 2.5), rng(), "float32")
    for shape in ((), 3, "33"):
        with pytest.raises(TypeError, match="shape must be a tuple of whole numbers, got"):
            function(shape, rng(), "float32")


@pytest.mark.parametrize("name", ["orthogonal", "identity"])
def test_matrices_need_two_axes(name):
    with pytest.raises(ValueError, match=r"shape must be \(rows, columns\), got \(2, 3, 4\)"):
        INITIALIZERS[name]((2, 3, 4), rng(), "float32")


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Constant("a"), TypeError, "value must be a finite number"),
        (lambda: Constant(np.nan), ValueError, "value must be a finite number"),
        (lambda: RandomUniform(1.0, 0.0), ValueError, "maxval must be a finite number >= 1, got 0.0"),
        (lambda: Orthogonal(np.inf), ValueError, "gain must be a finite number"),
        (lambda: Identity(None), TypeError, "gain must be a finite number"),
        (lambda: VarianceScaling(0), ValueError, "scale must be a finite number > 0, got 0.0"),
        (lambda: VarianceScaling(mode="fan"), ValueError, "mode must be 'fan_in' or 'fan_out' or 'fan_avg'"),
        (
            lambda: VarianceScaling(distribution="normal"),
            ValueError,
            "distribution must be 'truncated_normal' or 'untruncated_normal' or 'uniform', got 'normal'",
        ),
        (lambda: Chrono(2), ValueError, "max_length must be a whole number >= 3, got 2"),
        (lambda: Chrono(2.5), TypeError, "max_length must be a whole number >= 3, got 2.5"),
        (
            lambda: initializers.get("bias_initializer", "chrono"),
            ValueError,
            "bias_initializer must be 'glorot_normal' or ",
        ),
        (
            lambda: initializers.get("bias_initializer", None),
            TypeError,
            "bias_initializer must be a name or an initializer such as",
        ),
        (
            lambda: initializers.get("bias_initializer", dict),
            TypeError,
            "bias_initializer must be a name or an initializer such as",
        ),
    ],
)
def test_arguments(make, error, text):
    with pytest.raises(error, match=re.escape(text)):
        make()


def test_functions_of_one_s_own():
    own = initializers.get("kernel_initializer", lambda shape, rng, dtype: [[1, 2, 3]])
    w = initializers.make("kernel_initializer", own, (1, 3), rng(), "float32")
    assert (w.tolist(), w.dtype) == ([[1.0, 2.0, 3.0]], np.float32)
    with pytest.raises(ValueError, match=r"kernel_initializer must be a function that gives an array of sha"):
        initializers.make("kernel_initializer", own, (2, 3), rng(), "float32")
