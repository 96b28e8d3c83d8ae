"""The models that `versus_peers` times: one recurrent layer and Dense(1, sigmoid) in each library.

Each function takes the same weights and data and returns what is to be timed, by task: `step`, a whole
training step (binary cross-entropy, Adam, no gradient of the input), and `predict`, a whole prediction.
What this file is not: it measures nothing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import partial

import numpy as np

import minilstm as ml

Functions = dict[str, Callable[[], object]]
Weights = list[np.ndarray]  # kernel, recurrent_kernel, bias, and those of Dense, in Keras's shapes


def ours(layer: str, T: int, D: int, H: int) -> ml.Sequential:
    """The model that all sides copy."""
    recurrent = getattr(ml, layer)(H, input_shape=(T, D))
    model = ml.Sequential([recurrent, ml.Dense(1, activation="sigmoid")], seed=0)
    model.compile(optimizer=ml.Adam(1e-3), loss="binary_crossentropy")
    return model


def with_torch(
    layer: str, weights: Weights, x: np.ndarray, y: np.ndarray, threads: int, flush: bool = False
) -> Functions:
    """PyTorch: nn.LSTM, nn.GRU or nn.RNN, and nn.Linear, logits, Adam.

    With `flush`, numbers below the normal range count as 0 from then on, as in minilstm's kernels: in this
    thread and in those that it starts later, so before any other use of PyTorch.
    """
    import torch

    torch.set_num_threads(threads)
    if flush:
        torch.set_flush_denormal(True)
    kernel, recurrent, bias, dense, dense_bias = weights
    order = [1, 0, 2] if layer == "GRU" else None  # PyTorch has the reset gate first

    def blocks(array: np.ndarray) -> torch.Tensor:
        if order:
            parts = np.split(array, 3, axis=-1)
            array = np.concatenate([parts[k] for k in order], axis=-1)
        return torch.tensor(array.T.copy())

    kind = {"LSTM": torch.nn.LSTM, "GRU": torch.nn.GRU, "SimpleRNN": torch.nn.RNN}[layer]
    lstm = kind(x.shape[2], len(recurrent), batch_first=True)
    linear = torch.nn.Linear(len(recurrent), 1)
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(blocks(kernel))
        lstm.weight_hh_l0.copy_(blocks(recurrent))
        lstm.bias_ih_l0.copy_(blocks(np.atleast_2d(bias)[0]))
        if bias.ndim == 2:
            lstm.bias_hh_l0.copy_(blocks(bias[1]))
        else:  # a second bias that learns would double the steps of the first
            lstm.bias_hh_l0.zero_().requires_grad_(False)
        linear.weight.copy_(torch.tensor(dense.T.copy()))
        linear.bias.copy_(torch.tensor(dense_bias))
    inputs, targets = torch.tensor(x), torch.tensor(y[:, None], dtype=torch.float32)
    eps = 1e-7 / math.sqrt(1 - 0.999)  # added after the correction of bias: this makes the first step equal
    learned = [one for one in (*lstm.parameters(), *linear.parameters()) if one.requires_grad]
    optimizer = torch.optim.Adam(learned, lr=1e-3, eps=eps)
    loss = torch.nn.BCEWithLogitsLoss()

    def logits() -> torch.Tensor:
        return linear(lstm(inputs)[0][:, -1])

    def step() -> float:
        optimizer.zero_grad()
        value = loss(logits(), targets)
        value.backward()
        optimizer.step()
        return float(value.detach())

    def predict() -> np.ndarray:
        with torch.no_grad():
            return torch.sigmoid(logits()).numpy()

    return {"step": step, "predict": predict}


def with_onednn(layer: str, weights: Weights, x: np.ndarray, y: np.ndarray, threads: int) -> Functions:
    """oneDNN's LSTM as PyTorch calls it, its weights reordered once; for inference alone."""
    import torch

    if layer != "LSTM":
        return {}
    torch.set_num_threads(threads)
    kernel, recurrent, bias, dense, dense_bias = (torch.tensor(weight) for weight in weights)
    H, inputs, state = len(recurrent), torch.tensor(x), torch.zeros(len(x), len(recurrent))
    wx, wh = torch.ops.mkldnn._reorder_mkldnn_rnn_layer_weight(
        kernel.T.contiguous(), recurrent.T.contiguous(), H, False, True, False, (*x.shape[1::-1], x.shape[2])
    )
    fixed = wx, wh, bias, torch.zeros_like(bias), state, state
    lstm_mode, options = 2, (False, False, False)  # not bidirectional, not batch first, no training

    def predict() -> np.ndarray:
        with torch.no_grad():
            steps = inputs.transpose(0, 1).contiguous()
            h = torch.ops.aten.mkldnn_rnn_layer(steps, *fixed, False, [], lstm_mode, H, 1, True, *options)[0]
            return torch.sigmoid(torch.addmm(dense_bias, h[-1], dense)).numpy()

    return {"predict": predict}


def with_ort(layer: str, weights: Weights, x: np.ndarray, y: np.ndarray, threads: int) -> Functions:
    """ONNX Runtime: the LSTM operator on time-major input; its gates are i, o, f, c."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    if layer != "LSTM":
        return {}
    kernel, recurrent, bias, dense, dense_bias = weights
    D, H = x.shape[2], len(recurrent)

    def blocks(array: np.ndarray) -> np.ndarray:
        i, f, g, o = np.split(array, 4, axis=-1)
        return np.ascontiguousarray(np.concatenate([i, o, f, g], axis=-1).T)[None]

    constants = {
        "W": blocks(kernel),
        "R": blocks(recurrent),
        "B": np.concatenate([blocks(bias), np.zeros((1, 4 * H), "float32")], axis=1),
        "dense": dense,
        "dense_bias": dense_bias,
        "axis": np.array([0]),
    }
    nodes = [
        helper.make_node("Transpose", ["x"], ["xt"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["xt", "W", "R", "B"], ["", "h"], hidden_size=H),
        helper.make_node("Squeeze", ["h", "axis"], ["last"]),
        helper.make_node("MatMul", ["last", "dense"], ["product"]),
        helper.make_node("Add", ["product", "dense_bias"], ["z"]),
        helper.make_node("Sigmoid", ["z"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "lstm",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, None, D])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return {"predict": lambda: session.run(None, {"x": x})[0]}


def with_keras(
    backend: str, layer: str, weights: Weights, x: np.ndarray, y: np.ndarray, threads: int
) -> Functions:
    """Keras on one of its back ends, of which a process can hold one. JAX takes all cores."""
    os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # no advice on how to build TensorFlow
    if backend == "tensorflow":
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
    import keras

    model = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            getattr(keras.layers, layer)(len(weights[1])),
            keras.layers.Dense(1, "sigmoid"),
        ]
    )
    model.set_weights(weights)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="binary_crossentropy")
    targets = y.astype("float32")[:, None]
    return {
        "step": lambda: model.train_on_batch(x, targets),
        "predict": lambda: np.asarray(model.predict_on_batch(x)),
    }


PEERS: dict[str, Callable[..., Functions]] = {
    "torch": with_torch,
    "torch-flush": partial(with_torch, flush=True),
    "onednn": with_onednn,
    "ort": with_ort,
    "keras-tf": partial(with_keras, "tensorflow"),
    "keras-jax": partial(with_keras, "jax"),
}
NAMES = {
    "torch": "PyTorch",
    "torch-flush": "PyTorch, flushing",
    "onednn": "PyTorch, oneDNN packed",
    "ort": "ONNX Runtime",
    "keras-tf": "Keras, TensorFlow",
    "keras-jax": "Keras, JAX",
}
MODULES = {
    "torch": ["torch"],
    "torch-flush": ["torch"],
    "onednn": ["torch"],
    "ort": ["onnxruntime"],
    "keras-tf": ["keras", "tensorflow"],
    "keras-jax": ["keras", "jax"],
}
