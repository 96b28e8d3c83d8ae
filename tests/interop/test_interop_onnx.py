"""Exported models in ONNX Runtime: random weights, ragged lengths, both directions, every cell."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from conftest import require
from tolerances import PARITY, check

import minilstm as ml
from minilstm.cells.activations import ACTIVATIONS
from minilstm.interop import to_onnx

require("onnx")
require("onnxruntime")
pytestmark = pytest.mark.peer

B, T, D = 5, 7, 3
LENGTHS = np.array([7, 1, 4, 6, 2], "int32")
MASK = np.arange(T) < LENGTHS[:, None]
BOUND = PARITY["float32"]


def random_weights(model, seed=0):
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=w.shape) * 0.6 for w in model.get_weights()])
    return model


def run(proto, inputs):
    import onnxruntime

    return onnxruntime.InferenceSession(proto.SerializeToString()).run(None, inputs)[0]


def onnx_of(model, inputs, **options):
    return run(to_onnx(model, **options), inputs)


def x_of(seed=1, steps=T):
    return np.random.default_rng(seed).normal(size=(B, steps, D)).astype("float32")


CELLS = {
    "lstm": (ml.LSTM, {}),
    "lstm without bias": (ml.LSTM, {"use_bias": False}),
    "lstm with peepholes": (ml.LSTM, {"peepholes": True, "backend": "numpy"}),
    "lstm of other activations": (
        ml.LSTM,
        {"activation": "linear", "recurrent_activation": "hard_sigmoid", "backend": "numpy"},
    ),
    "gru": (ml.GRU, {}),
    "gru without bias": (ml.GRU, {"use_bias": False}),
    "gru of other activations": (
        ml.GRU,
        {"activation": "relu", "recurrent_activation": "hard_sigmoid", "backend": "numpy"},
    ),
    "lstm of elu": (ml.LSTM, {"activation": "elu", "backend": "numpy"}),
    "lstm of linear": (ml.LSTM, {"activation": "linear", "backend": "numpy"}),
    "simple rnn": (ml.SimpleRNN, {}),
    "simple rnn of relu": (ml.SimpleRNN, {"activation": "relu", "backend": "numpy"}),
}


@pytest.mark.filterwarnings("ignore:no compiled kernel:RuntimeWarning")
@pytest.mark.parametrize("cell", sorted(CELLS))
def test_stacked_cells_with_ragged_lengths(cell):
    cls, options = CELLS[cell]
    layers = [
        cls(4, return_sequences=True, input_shape=(None, D), **options),
        cls(5, **options),
        ml.Dense(3, activation="softmax"),
    ]
    model = random_weights(ml.Sequential(layers))
    x = x_of()
    check(onnx_of(model, {"x": x, "lengths": LENGTHS}), model.predict(x, mask=MASK), BOUND)
    check(onnx_of(model, {"x": x}, lengths=False), model.predict(x), BOUND)
    different = onnx_of(model, {"x": x, "lengths": LENGTHS}) != onnx_of(model, {"x": x}, lengths=False)
    assert different[LENGTHS < T].all(), "the lengths change nothing"
    one = random_weights(ml.Sequential([cls(4, return_sequences=True, input_shape=(None, D), **options)]))
    x = x_of(2, 3)
    check(onnx_of(one, {"x": x}, lengths=False), one.predict(x), BOUND)  # another batch, another length


@pytest.mark.parametrize("cls", [ml.LSTM, ml.GRU, ml.SimpleRNN])
@pytest.mark.parametrize("merge_mode", ["concat", "sum", "ave", "mul"])
def test_both_directions_with_ragged_lengths(cls, merge_mode):
    layers = [
        ml.Bidirectional(cls(4, return_sequences=True), merge_mode=merge_mode, input_shape=(None, D)),
        ml.TimeDistributed(ml.Dense(4, activation="tanh")),
        ml.Bidirectional(cls(3), merge_mode=merge_mode),
        ml.Dense(2),
    ]
    model = random_weights(ml.Sequential(layers))
    x = x_of()
    check(onnx_of(model, {"x": x, "lengths": LENGTHS}), model.predict(x, mask=MASK), BOUND)
    check(onnx_of(model, {"x": x}, lengths=False), model.predict(x), BOUND)


@pytest.mark.parametrize("return_sequences", [True, False])
def test_backwards_with_ragged_lengths(return_sequences):
    first = ml.GRU(4, return_sequences=return_sequences, go_backwards=True, input_shape=(None, D))
    model = random_weights(ml.Sequential([first]))
    x = x_of()
    expected, found = model.predict(x, mask=MASK), onnx_of(model, {"x": x, "lengths": LENGTHS})
    if return_sequences:
        real = MASK[:, ::-1, None]
        expected, found = expected * real, found * real
    check(found, expected, BOUND)
    check(onnx_of(model, {"x": x}, lengths=False), model.predict(x), BOUND)


def test_a_whole_model_of_ids():
    layers = [
        ml.Embedding(9, 4, mask_zero=True, input_shape=(None,)),
        ml.Dropout(0.5),
        ml.GRU(5, return_sequences=True),
        ml.Dense(3, activation="relu"),
        ml.GlobalAveragePooling1D(),
        ml.Dense(1, activation="sigmoid"),
    ]
    model = random_weights(ml.Sequential(layers, dtype="float64"))
    ids = np.where(MASK, np.random.default_rng(3).integers(1, 9, (B, T)), 0)
    check(onnx_of(model, {"x": ids, "lengths": LENGTHS}), model.predict(ids), BOUND)


PATTERNS = {  # real steps
    "at the end": MASK,
    "in front": MASK[:, ::-1],
    "anywhere": np.random.default_rng(4).random((B, T)) < 0.5,
    "some rows of padding alone": MASK & (np.arange(B) % 2 == 0)[:, None],
}
LAYERS_OF_MASKS = {
    "last state": lambda: [ml.LSTM(4)],
    "two layers": lambda: [ml.GRU(4, return_sequences=True), ml.LSTM(3)],
    "every step": lambda: [ml.LSTM(4, return_sequences=True)],
    "every step, zeros": lambda: [ml.LSTM(4, return_sequences=True, zero_output_for_mask=True)],
    "backwards": lambda: [ml.GRU(4, return_sequences=True, go_backwards=True), ml.LSTM(3)],
    "backwards, every step": lambda: [ml.LSTM(4, return_sequences=True, go_backwards=True)],
    "both ways": lambda: [ml.Bidirectional(ml.LSTM(4, return_sequences=True)), ml.Bidirectional(ml.GRU(3))],
    "first backwards": lambda: [ml.Bidirectional(ml.LSTM(4, go_backwards=True, return_sequences=True))],
    "the mean": lambda: [ml.LSTM(4, return_sequences=True), ml.GlobalAveragePooling1D()],
}


@pytest.mark.parametrize("what", sorted(LAYERS_OF_MASKS))
def test_masks_that_layers_make_are_made_in_the_graph(what):
    """Padding in front, as pad_sequences gives it, has no lengths: exported without its mask it was lost."""
    ids, x = np.random.default_rng(3).integers(1, 9, (B, T)), x_of()
    first = {
        "ids": (ml.Embedding(9, D, mask_zero=True, input_shape=(None,)), ids),
        "numbers": (ml.Masking(0.5, input_shape=(None, D)), x),
    }
    for layer, values in first.values():
        model = random_weights(ml.Sequential([layer, *LAYERS_OF_MASKS[what](), ml.Dense(2)]))
        proto = to_onnx(model, lengths=False), to_onnx(model)
        for pattern in PATTERNS.values():
            given = (
                np.where(pattern, values, 0)
                if values.ndim == 2
                else np.where(pattern[..., None], values, 0.5)
            )
            given = given.astype(values.dtype)
            check(run(proto[0], {"x": given}), model.predict(given), BOUND)
            both = model.predict(given, mask=MASK)
            check(run(proto[1], {"x": given, "lengths": LENGTHS}), both, BOUND)


def test_lengths_reach_the_layer_behind_one_that_reads_backwards():
    layers = [ml.LSTM(4, return_sequences=True, go_backwards=True, input_shape=(None, D)), ml.GRU(3)]
    model = random_weights(ml.Sequential(layers))
    x = x_of()
    check(onnx_of(model, {"x": x, "lengths": LENGTHS}), model.predict(x, mask=MASK), BOUND)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_dense_alone_and_its_activations(activation):
    model = random_weights(ml.Sequential([ml.Dense(4, activation=activation, input_shape=(D,))]))
    x = x_of()[:, 0]
    check(onnx_of(model, {"x": x}, lengths=False), model.predict(x), BOUND)


def test_the_file_is_the_model(tmp_path):
    import onnxruntime

    model = random_weights(ml.Sequential([ml.LSTM(4, input_shape=(None, D))]))
    to_onnx(model, tmp_path / "m.onnx")
    x = x_of()
    found = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(None, {"x": x, "lengths": LENGTHS})[0]
    check(found, model.predict(x, mask=MASK), BOUND)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_what_onnx_has_no_operator_for_is_refused():
    for options in ({"forget_gate": "none"}, {"forget_gate": "coupled"}):
        model = ml.Sequential([ml.LSTM(4, input_shape=(None, D), backend="numpy", **options)])
        with pytest.raises(
            ValueError, match="layer 'lstm' must be an LSTM with a learned forget gate, for ONNX"
        ):
            to_onnx(model)
    with pytest.raises(ValueError, match="activation of layer 'lstm' must be an activation that ONNX has"):
        to_onnx(ml.Sequential([ml.LSTM(2, activation="selu", backend="numpy", input_shape=(None, D))]))
    with pytest.raises(RuntimeError, match="the model must be built first"):
        to_onnx(ml.Sequential([ml.LSTM(4)]))

    class Mine(ml.Masking):
        pass

    assert to_onnx(ml.Sequential([Mine(input_shape=(None, D)), ml.LSTM(2)])) is not None


def test_without_onnx_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"to_onnx needs onnx: pip install 'minilstm\[onnx\]'"):
        to_onnx(ml.Sequential([ml.LSTM(4, input_shape=(None, D))]))
