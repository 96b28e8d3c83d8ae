"""Values that make no sense, for every argument of the face: refused by the argument's name, at once.

Each line is one kind of argument, with what calls take it; the values are of every type that a slip may give.
"""

from __future__ import annotations

import numpy as np
import pytest

import minilstm as ml
from minilstm import callbacks, datasets, metrics, plots
from minilstm.interop import from_torch_state_dict, load_keras_weights, to_keras, to_onnx, to_torch_state_dict
from minilstm.keras.utils import normalize, to_categorical
from minilstm.sequences import pack_padded_sequence, pad_packed_sequence
from minilstm.sequences.packing import unpad_sequence
from minilstm.trace import dynamics, horizon
from minilstm.trace.ledger import ledger_of

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


def checked(**options):
    return ml.check_step(lambda x, h, c, W, U, b: (h, c, None), lambda *a: None, **options)


def traced_layer():
    model = ml.Sequential([ml.LSTM(2, input_shape=(4, 3), backend="numpy"), ml.Dense(1)], dtype="float64")
    model.compile("sgd", "mse")
    return model, model.trace(np.ones((2, 4, 3)), [0.0, 1.0])


BOARD = {
    "histogram_freq": ("0",),
    "write_graph": ("True", "0"),
    "write_images": ("0",),
    "profile_batch": ("0",),
}
TINY = {"x": "recall", "lengths": [2], "seeds": 1, "epochs": 1, "units": 2, "verbose": 0}
MODEL, TRACE = traced_layer()
LAYER = MODEL.layers[0]
TRACED = {"layer_trace": TRACE[0]}
TRACER = {"tracer": ml.GradientTracer()}
MODEL.fit(np.ones((2, 4, 3)), [0.0, 1.0], verbose=0, callbacks=list(TRACER.values()))
REPORT = {"report": ml.gradcheck(MODEL, np.ones((2, 4, 3)), [0.0, 1.0], entries=2)}
ROWS = [{"steps": 1, "cosine": 1.0, "cosine_low": 1.0, "cosine_high": 1.0}]
RAGGED = [[k, 1.0, 2.0] for k in range(12)]
MEANT = ("None", "True", "-1", "0", "1.5", "nan", "inf", "int64", "float32", "array", "wide")
METRICS = (metrics.Accuracy, metrics.BinaryAccuracy, metrics.CategoricalAccuracy, metrics.MeanSquaredError)
WORDS = ml.Vocabulary(["a", "b"])
FIGURES = [
    (plots.clipping, TRACER),
    (plots.updates, TRACER),
    (plots.training_heatmap, {"layer": "lstm", **TRACER}),
    (plots.contributions, TRACED),
    (plots.credit_map, TRACED),
    (plots.gates, TRACED),
    (plots.gradient_flow, TRACED),
    (plots.heatmap, {**TRACED, "name": "dh"}),
    (plots.ledger, TRACED),
    (plots.singular_values, TRACED),
    (plots.gradient_errors, REPORT),
    (plots.history, {"history": {"loss": [1.0]}}),
    (plots.truncation_cost, {"rows": ROWS}),
    (plots.side_by_side, {"traces": {"a": TRACE[0]}}),
    (plots.trace_report, {"traces": {"a": TRACE}, "path": "x.html"}),
]
EMPTY = {"history": ("dict",), "rows": ("list",), "layer": ()}


def figures():
    """Each figure, given something else than what it draws, and other axes than matplotlib's."""
    for function, given in FIGURES:
        first = next(name for name in given if name not in ("layer", "name"))
        others = {name: value for name, value in given.items() if name != first}
        yield called(function, first, EMPTY.get(first, ()), **others)
        if function not in (plots.gates, plots.side_by_side, plots.trace_report):
            yield called(function, "ax", ("None",), **given)


PACKED = pack_padded_sequence(np.ones((3, 2)), [3, 2])

CALLS = [
    *figures(),
    called(plots.gradient_flow, "label", ("None", "text", "empty", "surrogate"), **TRACED),
    called(plots.credit_map, "most", WHOLE, **TRACED),
    called(plots.singular_values, "lengths", ("list",), **TRACED),
    called(plots.gradient_errors, "tensor", ("None",), **REPORT),
    called(plots.truncation_cost, "mark", ("None", *WHOLE), rows=ROWS),
    called(plots.truncation_cost, "predicted", ("None", "list"), rows=ROWS),
    called(
        plots.trace_report, "title", ("text", "empty", "surrogate"), traces=TRACE, path="no folder/x.html"
    ),
    called(plots.save, "figure", (), kind="png"),
    called(plots.save, "kind", (), figure=plots.new_figure()[0]),
    called(plots.new_figure, "rows", WHOLE),
    called(plots.new_figure, "width", set(REAL) - {"0"}),
    called(plots.legend, "ax", ()),
    called(plots.whole_ticks, "axes", ("list",)),
    called(TRACE[0].norm, "per_sample", ("True",), name="dh"),
    called(TRACE[0].effective_memory, "per_sample", ("True",)),
    called(TRACE[0].blocks, "array", ()),
    called(TRACE[0].step_back, "dstate", ("dict",)),
    called(TRACE[0].decay, "sample", ("None", "0")),
    called(dynamics.jacobians, "trace", ()),
    called(dynamics.credit_map, "steps", ("None", "list"), trace=TRACE[0]),
    called(dynamics.lyapunov_exponents, "steps", ()),
    called(horizon.side_by_side, "traces", ("dict",)),
    called(ledger_of, "trace", ()),
    called(LAYER.memory, "batch", WHOLE, length=3),
    called(LAYER.memory, "length", WHOLE, batch=2),
    called(LAYER.compute_output_shape, "input_shape", ()),
    called(ml.Vocabulary.of, "texts", ("list",)),
    called(ml.Vocabulary.of, "split", ("class",), texts=["a"]),
    called(WORDS.split, "text", ("text", "empty", "surrogate")),
    called(WORDS.ids, "texts", ("list",)),
    called(WORDS.text, "ids", ("list",)),
    called(unpad_sequence, "padded_sequences", ("square",), lengths=[1, 1]),
    called(datasets.from_sequences, "places", ("None",), x=RAGGED, y=[0, 1] * 6),
    called(datasets.from_sequences, "by", ("None",), x=RAGGED, y=[0, 1] * 6),
    called(datasets.from_sequences, "seed", ("0", *WHOLE, "wide"), x=RAGGED, y=[0, 1] * 6),
    called(datasets.from_series, "columns", ("None",), series=np.arange(40.0) % 7, steps=3),
    called(datasets.from_series, "seed", ("0", *WHOLE, "wide"), series=np.arange(40.0) % 7, steps=3),
    called(datasets.from_series, "name", ("text", "empty", "surrogate"), series=np.arange(40.0) % 7, steps=3),
    called(datasets.from_series, "series", (), steps=3),
    called(datasets.read_file, "path", ("text", "empty", "surrogate")),
    called(datasets.read_file, "text", ("None", "text", "empty", "surrogate"), path=__file__),
    called(datasets.read_file, "features", ("None", "list"), path=__file__),
    called(datasets.read_series, "target", ("text", "empty", "surrogate"), path=__file__),
    called(checked, "inputs", ("None", "list", "empty", "text")),
    called(checked, "strict", ("True",)),
    called(REPORT["report"]["lstm/dz"].elementwise, "step", ("None", "0", *WHOLE)),
    called(REPORT["report"]["lstm/dz"].to_dict, "tolerance", REAL),
    *(called(metric().update_state, "y_true", MEANT, y_pred=np.ones((4, 3))) for metric in METRICS),
    called(metrics.F1Score("macro").update_state, "sample_weight", MEANT, y_true=np.eye(3), y_pred=np.eye(3)),
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
    called(ml.SGD().prepare, "grads", ("dict",)),
    called(ml.SGD().step, "params", (), grads={"w": np.ones(2)}),
    called(ml.SGD().step, "grads", (), params={"w": np.ones(2)}),
    called(ml.SGD().follow, "params", ("dict",)),
    called(ml.Adam().restore, "params", ("dict",), iterations=1, slots={}),
    called(ml.Adam().restore, "iterations", ("0", *WHOLE), params={}, slots={}),
    called(ml.keras.losses.serialize, "loss", ()),
    called(ml.keras.metrics.serialize, "metric", ()),
    called(ml.keras.optimizers.serialize, "optimizer", ()),
    called(ml.keras.optimizers.schedules.serialize, "schedule", ()),
    called(callbacks.TensorBoard, "log_dir", ("text", "surrogate", "empty")),
    called(callbacks.TensorBoard, "update_freq", WHOLE),
    *(called(callbacks.TensorBoard, name, taken) for name, taken in BOARD.items()),
    called(ml.load_model, "compile", ("True", "0"), path="x"),
    called(ml.cell, "states", (), forward=lambda xw, hu, prev, p: None, gates="f"),
    called(ml.cell, "p", (), forward=lambda xw, hu, prev, p: None, gates="f", states="h"),
    called(metrics.binary_accuracy, "y_true", MEANT, y_pred=np.ones((4, 3))),
    called(metrics.AUC().add_weight, "shape", ("list",)),
    called(ml.length_study, "out", ("text", "surrogate", "empty", "None"), **TINY),
    called(ml.length_study, "on_cell", ("None", "class"), **TINY),
    called(ml.length_study, "executor", ("None",), **TINY),
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


def test_a_layer_of_a_trace_is_asked_for_by_name_or_number():
    assert TRACE[-1] is TRACE["lstm"] is TRACE[np.int64(0)]
    with pytest.raises(IndexError, match="layer must be below 1, the number of layers, got 1"):
        TRACE[1]
    for key in (-2, True, 1.5, None, [0]):
        with pytest.raises((TypeError, ValueError), match="layer must be a whole number >= -1"):
            TRACE[key]
    assert [layer.name for layer in TRACE] == ["lstm"]


def test_memory_of_a_layer_without_weights():
    for layer in (ml.LSTM(2), ml.TimeDistributed(ml.LSTM(2))):
        with pytest.raises(RuntimeError, match="must be built first"):
            layer.memory(2, 3)
