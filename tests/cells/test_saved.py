"""A model of a user's cell in a file: the file names the cell, and never code."""

from __future__ import annotations

import re

import numpy as np
import pytest
from eight import made

import minilstm as ml

EIGHT = made()


def fitted(cell, **options):
    layers = [ml.RNN(cell, 4, input_shape=(5, 2), name="rec", **options), ml.Dense(1)]
    model = ml.Sequential(layers, seed=0)
    model.compile(optimizer="adam", loss="mse")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 5, 2)), rng.normal(size=(8, 1))
    model.fit(x, y, epochs=2, verbose=0)
    return model, x, y


@pytest.mark.parametrize(
    "cell", [*EIGHT.values(), "slstm", "diagonal"], ids=lambda cell: getattr(cell, "name", cell)
)
def test_training_goes_on_with_the_same_bits(cell, tmp_path):
    model, x, y = fitted(cell)
    model.save(tmp_path / "model.npz")
    again = ml.load_model(tmp_path / "model.npz", cells={} if isinstance(cell, str) else {cell.name: cell})
    for one in (model, again):
        one.fit(x, y, epochs=1, verbose=0)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_within_a_bidirectional(tmp_path):
    cell = EIGHT["rotation"]
    model = ml.Sequential([ml.Bidirectional(ml.RNN(cell, 3), input_shape=(5, 2)), ml.Dense(1)], seed=0)
    model.compile(loss="mse")
    model.save(tmp_path / "model.safetensors")
    again = ml.load_model(tmp_path / "model.safetensors", cells={cell.name: cell})
    x = np.ones((2, 5, 2))
    np.testing.assert_array_equal(model.predict(x), again.predict(x))


@pytest.mark.peer
def test_libraries_that_have_no_such_cell_are_told_apart():
    pytest.importorskip("onnx")
    for cell in (EIGHT["own_lstm"], "mgu"):
        model, _, _ = fitted(cell)
        layer = model.layers[0]
        with pytest.raises(ValueError, match="layer 'rec' must be of a cell that Keras has too"):
            ml.interop.to_keras(model)
        with pytest.raises(ValueError, match="'rec' must be an LSTM, GRU or SimpleRNN, for ONNX, got RNN"):
            ml.interop.to_onnx(model)
        with pytest.raises(ValueError, match="'rec' must be LSTM, GRU or SimpleRNN as PyTorch has"):
            ml.interop.to_torch_state_dict(layer)


def test_a_cell_that_is_not_known_or_another(tmp_path):
    cell = EIGHT["own_lstm"]
    path = tmp_path / "model.npz"
    fitted(cell)[0].save(path)
    words = (
        "cells must be a dict with the cell 'own_lstm' of the saved model, as cells={'own_lstm': cell}, got "
    )
    with pytest.raises(ValueError, match=re.escape(words + "none")):
        ml.load_model(path)
    with pytest.raises(ValueError, match=re.escape(words + "['elman']")):
        ml.load_model(path, cells={"elman": EIGHT["elman"]})
    with pytest.raises(
        ValueError, match=r"cells\['own_lstm'\] must be a cell whose gates are .*'i', 'f', 'g', 'o'"
    ):
        ml.load_model(path, cells={"own_lstm": EIGHT["elman"]})
    for wrong in ([cell], {"own_lstm": len}):
        with pytest.raises(TypeError, match="cells must be a dict of cells made by"):
            ml.load_model(path, cells=wrong)


def test_a_fit_is_resumed(tmp_path):
    model, x, y = fitted(EIGHT["own_gru"], stateful=True)
    model.save_weights(tmp_path / "weights.npz")
    other = fitted(EIGHT["own_gru"], stateful=True)[0]
    other.load_weights(tmp_path / "weights.npz")
    np.testing.assert_array_equal(other.predict(x, batch_size=8), model.predict(x, batch_size=8))
    assert model.loss is not None
    assert y.shape == (8, 1)
