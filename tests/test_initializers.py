"""Initializers: exact properties, and the distributions of Keras."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import require

from minilstm import initializers

ALL = [initializers.__dict__[name] for name in initializers.__all__]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", ALL, ids=lambda function: function.__name__)
def test_shape_dtype_and_seed(function, dtype):
    w = function((3, 5), rng(7), dtype)
    assert (w.shape, w.dtype, w.flags.c_contiguous, w.flags.writeable) == ((3, 5), dtype, True, True)
    assert function((3, 5), rng(7), dtype).tobytes() == w.tobytes()
    np.testing.assert_allclose(w, function((3, 5), rng(7), "float64"), rtol=1e-6)


@pytest.mark.parametrize("shape", [(3, 12), (12, 3), (4, 4), (1, 5), (5, 1)], ids=str)
def test_orthogonal(shape):
    w = initializers.orthogonal(shape, rng(), "float64")
    product = w @ w.T if shape[0] <= shape[1] else w.T @ w
    np.testing.assert_allclose(product, np.eye(min(shape)), atol=1e-14)


def test_orthogonal_is_uniform_over_orthogonal_matrices():
    signs = [initializers.orthogonal((2, 2), rng(seed), "float64") for seed in range(400)]
    # without sign(diag R), LAPACK's Q has a first column of one sign
    assert 150 < sum(w[0, 0] > 0 for w in signs) < 250
    assert 150 < sum(np.linalg.det(w) > 0 for w in signs) < 250


@pytest.mark.parametrize("shape", [(1, 256), (64, 1), (10, 40)], ids=str)
def test_glorot_limits(shape):
    limit = np.sqrt(6 / (shape[0] + shape[-1]))
    w = np.stack([initializers.glorot_uniform(shape, rng(seed), "float64") for seed in range(200)])
    assert 0.99 * limit < np.abs(w).max() <= limit
    assert w.std() == pytest.approx(limit / np.sqrt(3), rel=0.03)


def test_uniform_limit():
    w = initializers.uniform((1000, 8), rng(), "float64")
    assert 0.049 < np.abs(w).max() <= 0.05
    assert np.abs(initializers.uniform((100,), rng(), "float32", limit=2.0)).max() > 1.5
    with pytest.raises(ValueError, match=r"limit must be a finite number >= 0, got -1\.0"):
        initializers.uniform((2,), rng(), "float32", limit=-1.0)


@pytest.mark.peer
@pytest.mark.parametrize(
    ("function", "keras_name", "shape"),
    [
        (initializers.glorot_uniform, "GlorotUniform", (10, 256)),
        (initializers.glorot_uniform, "GlorotUniform", (300,)),
        (initializers.uniform, "RandomUniform", (50, 64)),
        (initializers.orthogonal, "Orthogonal", (16, 64)),
        (initializers.orthogonal, "Orthogonal", (64, 16)),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_distributions_like_keras(function, keras_name, shape):
    """The quantiles of many draws agree within sampling noise, and orthogonality lies on the same side."""
    require("keras")
    import keras

    ours = np.stack([function(shape, rng(seed), "float32") for seed in range(20)])
    maker = getattr(keras.initializers, keras_name)
    theirs = np.stack([np.asarray(maker(seed=seed)(shape)) for seed in range(20)])
    at = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0] if keras_name != "Orthogonal" else [0.1, 0.25, 0.5, 0.75, 0.9]
    np.testing.assert_allclose(
        np.quantile(ours, at), np.quantile(theirs, at), rtol=0, atol=0.1 * theirs.std()
    )
    if keras_name == "Orthogonal":
        assert np.trace(ours[0] @ ours[0].T) == pytest.approx(np.trace(theirs[0] @ theirs[0].T), rel=1e-5)


@pytest.mark.parametrize("function", ALL, ids=lambda function: function.__name__)
def test_bad_shapes(function):
    with pytest.raises(ValueError, match="shape must be a whole number >= 1, got 0"):
        function((3, 0), rng(), "float32")
    with pytest.raises(TypeError, match=r"shape must be a whole number >= 1, got 2\.5"):
        function((3, 2.5), rng(), "float32")
    for shape in ((), 3, "33"):
        with pytest.raises(TypeError, match="shape must be a tuple of whole numbers, got"):
            function(shape, rng(), "float32")


def test_orthogonal_needs_two_axes():
    with pytest.raises(ValueError, match=r"shape must be \(rows, columns\), got \(2, 3, 4\)"):
        initializers.orthogonal((2, 3, 4), rng(), "float32")
