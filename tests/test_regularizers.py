"""Regularizers: values and gradients of Keras, the complex step, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from conftest import require
from tolerances import check

import minilstm as ml
from minilstm import regularizers
from minilstm.regularizers import L1L2

W = np.random.default_rng(0).normal(size=(4, 7))


@pytest.mark.peer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("ours", "name", "options"),
    [  # strengths that float32 holds exactly: Keras rounds them to it
        (regularizers.l1(0.25), "L1", {"l1": 0.25}),
        (regularizers.l2(0.375), "L2", {"l2": 0.375}),
        (regularizers.l1_l2(0.25, 0.375), "L1L2", {"l1": 0.25, "l2": 0.375}),
    ],
    ids=["l1", "l2", "l1_l2"],
)
def test_values_and_gradients_are_keras_s(ours, name, options, dtype):
    require("keras")
    require("torch")
    import keras
    import torch

    w = W.astype(dtype)
    w[0, 0] = 0
    tensor = torch.tensor(w, requires_grad=True)
    value = getattr(keras.regularizers, name)(**options)(tensor)
    value.backward()
    bound = {"float32": 1e-6, "float64": 1e-14}[dtype]
    check(ours(w), value.item(), bound)
    check(ours.gradient(w), tensor.grad.numpy(), bound)
    assert ours.gradient(w).dtype == w.dtype


@pytest.mark.parametrize(("name", "l1", "l2"), [("l1", 0.01, 0.0), ("l2", 0.0, 0.01), ("l1_l2", 0.01, 0.01)])
def test_names_mean_a_hundredth(name, l1, l2):
    assert regularizers.get("kernel_regularizer", name) == L1L2(l1, l2)


@pytest.mark.parametrize("regularizer", [L1L2(0.3, 0.0), L1L2(0.0, 0.2), L1L2(0.3, 0.2)])
def test_gradient_is_the_complex_step(regularizer):
    gradient = regularizer.gradient(W)
    for place in np.ndindex(W.shape):
        moved = W.astype(complex)
        moved[place] += 1e-30j
        assert gradient[place] == pytest.approx(regularizer(moved).imag / 1e-30, rel=1e-14)


def test_float32_weights_are_summed_in_float64():
    w = np.full(10_000_000, 0.1, "float32")
    assert L1L2(l1=1.0)(w) == pytest.approx(len(w) * float(np.float32(0.1)), rel=1e-12)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: regularizers.l1(-0.1), ValueError, "l1 must be a finite number >= 0, got -0.1"),
        (lambda: regularizers.l2("a"), TypeError, "l2 must be a finite number >= 0, got 'a'"),
        (
            lambda: regularizers.get("kernel_regularizer", "l3"),
            ValueError,
            "kernel_regularizer must be 'l1' or 'l2' or 'l1_l2', got 'l3'",
        ),
        (
            lambda: regularizers.get("kernel_regularizer", 0.1),
            TypeError,
            "kernel_regularizer must be None, a name or a regularizer such as regularizers.l2(1e-4), got 0.1",
        ),
    ],
)
def test_arguments(make, error, text):
    with pytest.raises(error, match=re.escape(text)):
        make()


def test_none_stays_none():
    assert regularizers.get("kernel_regularizer", None) is None
    own = L1L2(0.1, 0.2)
    assert regularizers.get("kernel_regularizer", own) is own


def test_a_penalty_that_overflows_is_shown_by_the_loss_and_warns_of_nothing():
    model = ml.Sequential(
        [ml.LSTM(2, kernel_regularizer="l2", input_shape=(3, 1)), ml.Dense(1)], dtype="float64"
    )
    model.compile("sgd", "mse")
    model.set_weights([np.full(weight.shape, 1e200) for weight in model.get_weights()])
    x, y = np.ones((2, 3, 1)), np.ones(2)
    assert model.evaluate(x, y) == np.inf
    with pytest.raises(ml.NonFiniteError):
        model.train_on_batch(x, y)
