"""Values that make no sense, for every argument of the face: refused by the argument's name, at once.

Each line is one kind of argument, with what calls take it; the values are of every type that a slip may give.
"""

from __future__ import annotations

import numpy as np
import pytest

import minilstm as ml
from minilstm import callbacks, metrics
from minilstm.interop import from_torch_state_dict, load_keras_weights, to_keras, to_onnx, to_torch_state_dict
from minilstm.keras.utils import normalize, to_categorical
from minilstm.sequences import pack_padded_sequence, pad_packed_sequence

VALUES = {
    "None": None, "True": True, "-1": -1, "0": 0, "1.5": 1.5, "nan": np.nan, "inf": np.inf, "text": "x",
    "empty": "", "bytes": b"x", "list": [], "dict": {}, "object": object(), "int64": np.int64(3),
    "float32": np.float32(0.5), "array": np.array(3), "wide": 10**30, "complex": 1j, "surrogate": "\udc80",
    "class": dict, "square": np.ones((2, 2)), "set": {1},
}  # fmt: skip
WHOLE = ("int64", "array")
REAL = ("0", "1.5", "int64", "float32", "array", "wide")
RISING = {"initial_learning_rate": 0.1, "decay_steps": 5}


def called(function, argument, taken, **others):
    names = f"{getattr(function, '__qualname__', function)}({argument})"
    return pytest.param(lambda value: function(**others, **{argument: value}), argument, taken, id=names)


def compiled(**options):
    model = ml.Sequential([ml.Dense(1, input_shape=(3,))])
    model.compile("sgd", "mse", **options)
    return model


def layers_of(layers):
    return from_torch_state_dict({}, layers)


def fitted(**options):
    return ml.LSTMRegressor(2, epochs=1, random_state=0, **options).fit(np.ones((4, 3, 1)), [0.0, 1, 0, 1])


PACKED = pack_padded_sequence(np.ones((3, 2)), [3, 2])

CALLS = [
    called(fitted, "validation_fraction", ("float32",)),
    called(fitted, "dropout", ("0", "float32")),
    called(fitted, "early_stopping", ("True", "0")),
    called(fitted, "n_iter_no_change", WHOLE),
    called(pad_packed_sequence, "padding_value", ("True", "-1", "nan", "inf", *REAL), sequence=PACKED),
    called(to_categorical, "x", ("0", "True", "square", *WHOLE)),
    called(normalize, "axis", ("None", "-1", "0"), x=[1.0, 2.0]),
    called(normalize, "order", ("-1", "inf", *REAL), x=[1.0, 2.0]),
    called(ml.EarlyStopping, "verbose", ("True", "0")),
    called(ml.EarlyStopping, "monitor", ("text", "empty", "surrogate")),
    called(
        ml.PiecewiseConstantDecay,
        "name",
        ("None", "text", "empty", "surrogate"),
        boundaries=[1],
        values=[1, 2],
    ),
    called(ml.lengths_to_mask, "lengths", ()),
    *(called(kind, "units", WHOLE) for kind in (ml.LSTM, ml.GRU, ml.SimpleRNN, ml.Dense)),
    called(ml.LSTM, "truncate_steps", (*WHOLE, "None"), units=2),
    called(ml.LSTM, "checkpoint_slots", (*WHOLE, "None"), units=2),
    called(ml.LSTM, "dtype", ("None",), units=2),
    called(ml.RepeatVector, "n", WHOLE),
    called(ml.Embedding, "weights", ("None",), input_dim=3, output_dim=2),
    called(ml.Sequential, "dtype", ()),
    called(ml.Sequential, "name", ("text", "empty", "surrogate")),
    called(ml.Sequential, "layers", ("None", "list")),
    called(ml.Sequential, "seed", ("0", *WHOLE, "None", "wide")),
    called(compiled, "metrics", ("None", "list")),
    called(compiled().fit, "callbacks", ("None", "list"), x=np.ones((2, 3)), y=[0, 1], verbose=0),
    called(compiled, "run_eagerly", ("None", "True", "0")),
    called(compiled, "steps_per_execution", ("None", *WHOLE)),
    called(compiled, "jit_compile", ("None", "True", "0")),
    called(compiled, "auto_scale_loss", ("True", "0")),
    called(compiled().evaluate, "return_dict", ("True", "0"), x=np.ones((2, 3)), y=[0, 1]),
    called(compiled().predict, "verbose", ("True", "0"), x=np.ones((2, 3))),
    called(compiled().summary, "print_fn", ("class",)),
    called(compiled().get_layer, "index", ("-1", "0")),
    called(compiled().save, "path", ()),
    called(compiled().save_weights, "path", ()),
    called(compiled().load_weights, "path", ("text", "surrogate", "empty")),
    called(ml.load_model, "path", ("text", "surrogate", "empty")),
    called(load_keras_weights, "path", ("text", "surrogate", "empty"), model=compiled()),
    called(load_keras_weights, "model", (), path="x"),
    called(to_keras, "model", ()),
    called(to_onnx, "model", ()),
    called(layers_of, "layers", ()),
    called(to_torch_state_dict, "layers", ()),
    called(callbacks.CSVLogger, "filename", ("text", "surrogate", "empty")),
    called(ml.ModelCheckpoint, "filepath", ()),
    called(ml.ModelCheckpoint, "save_best_only", ("True",), filepath="x.npz"),
    called(ml.EarlyStopping, "restore_best_weights", ("True",)),
    called(ml.BinaryCrossentropy, "from_logits", ("True",)),
    called(ml.SparseCategoricalCrossentropy, "ignore_class", ("None", "-1", "0", *WHOLE)),
    called(ml.Huber, "delta", set(REAL) - {"0"}),
    called(metrics.AUC, "thresholds", ("None", "list")),
    called(metrics.AUC, "multi_label", ("True",)),
    called(ml.Adam, "learning_rate", REAL),
    called(ml.Adam, "amsgrad", ("True",)),
    called(ml.CosineDecay, "initial_learning_rate", REAL, decay_steps=5),
    called(ml.CosineDecay, "decay_steps", WHOLE, initial_learning_rate=0.1),
    called(ml.CosineDecay, "name", ("None", "text", "empty", "surrogate"), **RISING),
    called(ml.ExponentialDecay, "staircase", ("True",), decay_rate=0.5, **RISING),
    called(ml.ExponentialDecay, "decay_rate", REAL, **RISING),
    called(ml.PiecewiseConstantDecay, "boundaries", (), values=[0.1, 0.2]),
    called(ml.initializers.zeros, "dtype", ("None",), shape=(2,)),
    called(ml.initializers.GlorotUniform, "seed", ("None", "0", *WHOLE, "wide")),
    called(ml.regularizers.L1L2, "l1", REAL),
    called(ml.keras.activations.relu, "threshold", ("-1", *REAL), x=[1.0]),
    called(ml.keras.activations.softmax, "axis", ("None", "-1", "0", "True"), x=[1.0]),
    called(ml.keras.losses.deserialize, "config", ()),
    called(ml.keras.regularizers.deserialize, "config", ()),
    called(ml.Sequential.from_config, "config", ()),
    called(ml.LSTM.from_config, "config", ("dict",)),
    called(ml.Adam.from_config, "config", ("dict",)),
]


@pytest.mark.parametrize(("call", "argument", "taken"), CALLS)
def test_what_makes_no_sense_is_refused_by_its_name(call, argument, taken):
    for name, value in VALUES.items():
        if name in taken:
            continue
        with pytest.raises((TypeError, ValueError)) as found:
            call(value)
        assert " must be " in str(found.value) or "did you mean" in str(found.value), (name, found.value)


def test_numbers_of_numpy_are_numbers():
    """Kept as NumPy's, an l2 of int64 made gradients of float64, and an array could not be saved."""
    penalty = ml.regularizers.L1L2(np.int64(3), np.array(2.0))
    assert (type(penalty.l1), type(penalty.l2)) == (float, float)
    assert type(ml.Huber(np.float32(0.5)).delta) is float
    assert ml.LSTM(2, truncate_steps=np.array(3)).truncate_steps == 3
