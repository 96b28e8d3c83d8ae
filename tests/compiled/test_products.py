"""Products and sums of Dense and Embedding: right, and the same bits in any batch, with any threads."""

from __future__ import annotations

import numpy as np
import pytest
from interpreted import INTERPRETED

import minilstm as ml
from minilstm.compiled import engines

RNG = np.random.default_rng(0)
FIXED_ORDER = pytest.mark.skipif(INTERPRETED, reason="NumPy's products have no fixed order")
COMPILED, PLAIN = engines.products_of("numba"), engines.products_of("numpy")


@pytest.fixture
def same_threads():
    count = ml.get_num_threads()
    yield
    ml.set_num_threads(count)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-14)])
@pytest.mark.parametrize(("k", "n"), [(1, 1), (3, 2), (64, 1), (16, 32), (65, 17), (300, 33), (601, 5)])
def test_products_are_those_of_numpy(dtype, tolerance, k, n):
    for m in (*range(1, 15), 40, 101):
        a, b = RNG.normal(size=(m, k)).astype(dtype), RNG.normal(size=(k, n)).astype(dtype)
        expected = a.astype("float64") @ b
        size = np.abs(a).astype("float64") @ np.abs(b)  # of the terms of each sum
        for left in (a, np.asfortranarray(a), np.repeat(a, 2, axis=1)[:, ::2]):
            for right in (b, np.asfortranarray(b)):
                found = COMPILED.matmul(left, right)
                assert found.dtype == dtype
                assert found.flags.c_contiguous
                assert (np.abs(found - expected) <= tolerance * size).all()


@FIXED_ORDER
def test_a_row_has_the_same_bits_in_any_batch_and_with_any_number_of_threads(same_threads):
    a, b = RNG.normal(size=(501, 200)).astype("float32"), RNG.normal(size=(200, 90)).astype("float32")
    assert a.shape[0] * b.size > engines.PARALLEL_WORK
    whole = COMPILED.matmul(a, b)
    for threads in (1, 2, 4):
        ml.set_num_threads(threads)
        np.testing.assert_array_equal(COMPILED.matmul(a, b), whole)
    for rows in (slice(0, 1), slice(7, 8), slice(3, 9), slice(100, 113), slice(400, None)):
        np.testing.assert_array_equal(COMPILED.matmul(a[rows], b), whole[rows])


def test_nan_and_inf_stay_in_their_rows_and_columns():
    a, b = RNG.normal(size=(9, 20)), RNG.normal(size=(20, 17))
    a[4, 3], b[5, 16] = np.nan, np.inf
    found = COMPILED.matmul(a, b)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(a @ b))
    np.testing.assert_array_equal(np.isinf(found), np.isinf(a @ b))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_rows_are_added_in_their_order(dtype):
    """The bits of np.add.at, by both backends."""
    ids, rows = RNG.integers(0, 50, 300), RNG.normal(size=(300, 7)).astype(dtype)
    expected = np.zeros((50, 7), dtype)
    np.add.at(expected, ids, rows)
    for products in (COMPILED, PLAIN):
        found = np.zeros_like(expected)
        products.add_rows(found, rows, ids)
        np.testing.assert_array_equal(found, expected)
        found = np.zeros_like(expected)
        products.add_rows(found, np.asfortranarray(rows), ids)
        np.testing.assert_array_equal(found, expected)


def test_complex_numbers_and_empty_arrays_are_left_to_numpy():
    a, b = RNG.normal(size=(3, 4)) + 1j, RNG.normal(size=(4, 2))
    np.testing.assert_array_equal(COMPILED.matmul(a, b), a @ b)
    assert COMPILED.matmul(np.ones((0, 4)), b).shape == (0, 2)
    assert COMPILED.matmul(np.ones((3, 0)), np.ones((0, 2))).tolist() == [[0, 0]] * 3


def words(backend: str = "numba") -> ml.Sequential:
    """A model with a layer of each kind."""
    layers = [ml.Embedding(30, 5), ml.LSTM(20, return_sequences=True, backend=backend)]
    layers += [ml.TimeDistributed(ml.Dense(6, activation="tanh")), ml.GRU(17, backend=backend)]
    model = ml.Sequential([*layers, ml.Dense(3, activation="softmax")], seed=0)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    return model


@FIXED_ORDER
def test_a_prediction_has_the_same_bits_in_any_batch():
    x, model = RNG.integers(0, 30, (150, 12)), words()
    whole = model.predict(x, batch_size=150)
    for size in (1, 7, 32):
        np.testing.assert_array_equal(model.predict(x, batch_size=size), whole)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_layers_compute_with_what_the_recurrent_layers_beside_them_use(backend, tmp_path):
    model = words(backend)
    model.fit(RNG.integers(0, 30, (4, 12)), [0, 1, 2, 0], verbose=0)
    model.save(tmp_path / "model.npz")
    for one in (model, ml.load_model(tmp_path / "model.npz")):
        assert [layer.backend for layer in one.layers] == [backend] * 5
        assert one.layers[2].layer.backend == backend
    assert ml.Sequential([ml.Dense(1, input_shape=(3,))]).layers[0].backend == "numpy"


def test_training_is_that_of_the_numpy_backend():
    x, y = RNG.integers(0, 30, (64, 12)), RNG.integers(0, 3, 64)
    losses = {}
    for backend in ("numba", "numpy"):
        losses[backend] = words(backend).fit(x, y, epochs=3, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(losses["numba"], losses["numpy"], rtol=1e-5)
