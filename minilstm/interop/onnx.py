"""Whole models as ONNX graphs, for ONNX Runtime and every other tool that reads them.

A graph has the inputs x, (batch, time, features) floats or (batch, time) ids, and, if asked for, lengths
(batch,), the real steps of each sequence. ONNX knows no masks of any pattern: what it knows is sequences that
are padded at the end. For those the graph gives what the model gives with the mask that goes with lengths.

Blocks of gates: LSTM i o f c, GRU z r h; peepholes i o f. Biases are [b, rb] in one row.

Source: the operators' specifications, https://onnx.ai/onnx/operators.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minilstm import files
from minilstm.arrays import Array
from minilstm.errors import wording
from minilstm.layers import (
    Dense,
    Dropout,
    Embedding,
    GlobalAveragePooling1D,
    Layer,
    Masking,
    Recurrent,
)
from minilstm.model import Sequential

__all__ = ["to_onnx"]

OPSET = 14  # the first in which LSTM, GRU and RNN have all that is used here
IR_VERSION = 8
OPERATORS = {"lstm": "LSTM", "gru": "GRU", "simple_rnn": "RNN"}
BLOCKS = {"lstm": ("i", "o", "f", "g"), "gru": ("z", "r", "g"), "simple_rnn": ("h",)}
ACTIVATIONS: dict[str, tuple[str, float, float]] = {  # ONNX's name, alpha, beta
    "tanh": ("Tanh", 0.0, 0.0),
    "sigmoid": ("Sigmoid", 0.0, 0.0),
    "relu": ("Relu", 0.0, 0.0),
    "hard_sigmoid": ("HardSigmoid", 1 / 6, 0.5),
    "linear": ("Affine", 1.0, 0.0),
}


def to_onnx(model: Sequential, path: str | os.PathLike[str] | None = None, *, lengths: bool = True) -> Any:
    """The model as an `onnx.ModelProto`, checked by onnx's checker, and written to `path` if given.

    Parameters
    ----------
    model : built; of recurrent layers, Bidirectional, Dense, Embedding, Dropout, GlobalAveragePooling1D,
        TimeDistributed around a Dense, Masking
    path : a file that is replaced whole, or not at all
    lengths : whether the graph has the input `lengths`. It takes the place of all masks: those of Masking
        and of Embedding(mask_zero=True) are not made in the graph

    Returns
    -------
    onnx.ModelProto, opset 14, float32 (a float64 model is rounded: ONNX Runtime has no float64 kernels for
    LSTM). Inputs x and lengths (int32), output y; batch and time may have any size. Outputs at steps beyond a
    sequence's length are not defined.

    Raises
    ------
    ValueError : a layer that ONNX has no operator for (a coupled or missing forget gate), or that keeps its
        state (stateful)
    ImportError : onnx is not installed (`pip install 'minilstm[onnx]'`)
    """
    try:
        import onnx
    except ImportError:
        raise ImportError("to_onnx needs onnx: pip install 'minilstm[onnx]'") from None
    if not model.layers or not model.built:
        raise RuntimeError("the model must be built first: give the first layer input_shape=(T, D)")
    graph = _Graph(onnx, lengths)
    value = graph.start(model)
    for layer in model.layers:
        value = graph.layer(layer, value)
    made = graph.finish(model, value)
    onnx.checker.check_model(made, full_check=True)
    if path is not None:
        files.write_bytes(path, made.SerializeToString())
    return made


class _Graph:
    """Nodes and constants of a graph in the making; values are known by their names."""

    def __init__(self, onnx: Any, lengths: bool) -> None:
        self.onnx, self.lengths = onnx, "lengths" if lengths else ""
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []

    def node(self, operator: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> list[str]:
        """Add a node; the names of its outputs."""
        names = [f"v{len(self.nodes)}_{k}" if outputs > 1 else f"v{len(self.nodes)}" for k in range(outputs)]
        self.nodes.append(self.onnx.helper.make_node(operator, list(inputs), names, **attributes))
        return names

    def one(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output; its name."""
        return self.node(operator, inputs, **attributes)[0]

    def constant(self, what: str, value: Any, dtype: Any = np.float32) -> str:
        """Add a constant; its name."""
        name = f"{what}_{len(self.constants)}"
        array = np.asarray(value, dtype, order="C")
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def start(self, model: Sequential) -> str:
        """The inputs of the graph."""
        kind, shape = self.onnx.TensorProto, model.input_shape or ()
        ids = isinstance(model.layers[0], Embedding)
        sizes = ["batch", "time", *shape[1:]] if len(shape) > 1 or ids else ["batch", *shape]
        make = self.onnx.helper.make_tensor_value_info
        self.inputs.append(make("x", kind.INT64 if ids else kind.FLOAT, sizes))
        if self.lengths:
            self.inputs.append(make("lengths", kind.INT32, ["batch"]))
        return "x"

    def finish(self, model: Sequential, value: str) -> Any:
        """The model with everything that was added."""
        helper = self.onnx.helper
        self.nodes.append(helper.make_node("Identity", [value], ["y"]))
        shape = model.output_shape
        sizes = ["batch", "time", *shape[1:]] if len(shape) > 1 else ["batch", *shape]
        output = helper.make_tensor_value_info("y", self.onnx.TensorProto.FLOAT, sizes)
        graph = helper.make_graph(self.nodes, model.name, self.inputs, [output], self.constants)
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(
            graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="minilstm"
        )

    # ------------------------------------------------------------ layers

    def layer(self, layer: Layer, x: str) -> str:
        """The output of `layer` for the input x."""
        kinds: list[tuple[type, Callable[[Any, str], str]]] = [
            (Recurrent, self._recurrent),
            (Dense, self._dense),
            (Embedding, self._embedding),
            (GlobalAveragePooling1D, self._mean),
            (Masking, lambda layer, x: x),
            (Dropout, lambda layer, x: x),
        ]
        for kind, make in kinds:
            if isinstance(layer, kind):
                return make(layer, x)
        name = type(layer).__name__
        if name == "Bidirectional":
            return self._bidirectional(layer, x)
        if name == "TimeDistributed" and isinstance(layer.layer, Dense):  # type: ignore[attr-defined]
            return self._dense(layer.layer, x)  # type: ignore[attr-defined]
        raise ValueError(wording(f"layer {layer.label!r}", "one that ONNX has an operator for", repr(layer)))

    def _dense(self, layer: Dense, x: str) -> str:
        y = self.one("MatMul", x, self.constant("kernel", layer.params["kernel"]))
        if layer.use_bias:
            y = self.one("Add", y, self.constant("bias", layer.params["bias"]))
        return self._activated(layer.activation.name, y)

    def _activated(self, name: str, x: str) -> str:
        if name == "linear":
            return x
        if name == "hard_sigmoid":
            return self.one("HardSigmoid", x, alpha=1 / 6, beta=0.5)
        return self.one(name.capitalize(), x)

    def _embedding(self, layer: Embedding, x: str) -> str:
        return self.one("Gather", self.constant("embeddings", layer.params["embeddings"]), x)

    def _mean(self, layer: GlobalAveragePooling1D, x: str) -> str:
        if not self.lengths:
            return self.one("ReduceMean", x, axes=[1], keepdims=0)
        first, second, last = (self.constant("axis", [axis], np.int64) for axis in (0, 1, -1))
        time = self.one("Squeeze", self.one("Gather", self.one("Shape", x), second), first)
        numbers = [self.constant("number", number, np.int64) for number in (0, 1)]
        steps = self.one("Range", numbers[0], time, numbers[1])  # (T,)
        length = self.one("Cast", self.one("Unsqueeze", "lengths", last), to=self.onnx.TensorProto.INT64)
        real = self.one("Unsqueeze", self.one("Less", steps, length), last)  # (B, T, 1)
        kept = self.one("Where", real, x, self.constant("zero", 0.0))
        total = self.one("ReduceSum", kept, second, keepdims=0)
        count = self.one("Cast", length, to=self.onnx.TensorProto.FLOAT)
        return self.one("Div", total, self.one("Max", count, self.constant("one", 1.0)))

    def _recurrent(self, layer: Recurrent, x: str) -> str:
        Y, Y_h = self._operator([layer], x, "reverse" if layer.go_backwards else "forward")
        if not layer.return_sequences:
            return self.one("Squeeze", Y_h, self.constant("axis", [0], np.int64))
        y = self.one(
            "Transpose", self.one("Squeeze", Y, self.constant("axis", [1], np.int64)), perm=[1, 0, 2]
        )
        return self._flipped(y) if layer.go_backwards else y

    def _flipped(self, x: str) -> str:
        """x (B, T, .) with time turned round, the order of the outputs of a layer that goes backwards."""
        bounds = [self.constant("bound", [number], np.int64) for number in (-1, -(2**62), 1, -1)]
        return self.one("Slice", x, *bounds)

    def _bidirectional(self, layer: Any, x: str) -> str:
        ahead, back = layer.sublayers
        Y, Y_h = self._operator([ahead, back], x, "bidirectional")
        sequences = ahead.return_sequences
        if sequences:
            y = self.one("Transpose", Y, perm=[2, 0, 1, 3])  # (T, 2, B, H) -> (B, T, 2, H)
        else:
            y = self.one("Transpose", Y_h, perm=[1, 0, 2])  # (2, B, H) -> (B, 2, H)
        if layer.merge_mode == "concat":
            return self.one(
                "Reshape", y, self.constant("shape", [0, 0, -1] if sequences else [0, -1], np.int64)
            )
        axis = 2 if sequences else 1
        parts = [self.one("Gather", y, self.constant("number", k, np.int64), axis=axis) for k in (0, 1)]
        merged = self.one("Mul" if layer.merge_mode == "mul" else "Add", *parts)
        return self.one("Mul", merged, self.constant("half", 0.5)) if layer.merge_mode == "ave" else merged

    def _operator(self, directions: Sequence[Recurrent], x: str, direction: str) -> list[str]:
        """The recurrent operator for one or two directions: Y (T, directions, B, H) and Y_h."""
        first = directions[0]
        cell = first.cell.name
        for layer in directions:
            if set(layer.cell.gates) != set(BLOCKS[cell]):
                expected = "an LSTM with a learned forget gate, for ONNX"
                raise ValueError(
                    wording(f"layer {layer.label!r}", expected, f"forget_gate={layer.cell.variant}")
                )
            if layer.stateful or (layer.zero_output_for_mask and not layer.return_sequences):
                expected = "without stateful=True, and without zero_output_for_mask=True for a last state"
                raise ValueError(wording(f"layer {layer.label!r}", f"{expected}, for ONNX", repr(layer)))
        W = np.stack([_blocks(layer, layer.weights.W).T for layer in directions])
        R = np.stack([_blocks(layer, layer.weights.U).T for layer in directions])
        inputs = [
            self.one("Transpose", x, perm=[1, 0, 2]),
            self.constant("W", W),
            self.constant("R", R),
            self.constant("B", np.stack([_biases(layer) for layer in directions])),
            self.lengths,
        ]
        if first.weights.p is not None:
            inputs += ["", "", self.constant("P", np.stack([_peepholes(layer) for layer in directions]))]
        functions = [ACTIVATIONS[name] for layer in directions for name in _functions(layer)]
        names, alphas, betas = zip(*functions, strict=True)
        attributes: dict[str, Any] = {"hidden_size": first.units, "direction": direction}
        attributes["activations"] = names
        if any(name in ("HardSigmoid", "Affine") for name in names):
            attributes |= {"activation_alpha": alphas, "activation_beta": betas}
        if cell == "gru":
            attributes["linear_before_reset"] = 1
        while not inputs[-1]:
            inputs.pop()
        return self.node(OPERATORS[cell], inputs, outputs=2, **attributes)


def _functions(layer: Recurrent) -> list[str]:
    """The activations in the operator's order: gates, candidate, and the LSTM's output."""
    activation = layer.activation  # type: ignore[attr-defined]
    if layer.cell.name == "simple_rnn":
        return [activation]
    gates = layer.recurrent_activation  # type: ignore[attr-defined]
    return [gates, activation, activation] if layer.cell.name == "lstm" else [gates, activation]


def _blocks(layer: Recurrent, W: Array) -> Array:
    """The blocks of the last axis in ONNX's order."""
    parts = dict(zip(layer.cell.gates, np.split(W, len(layer.cell.gates), axis=-1), strict=True))
    return np.concatenate([parts[gate] for gate in BLOCKS[layer.cell.name]], axis=-1)


def _biases(layer: Recurrent) -> Array:
    """[b, rb] in one row."""
    weights = layer.weights
    second = np.zeros_like(weights.b) if weights.rb is None else weights.rb
    return np.concatenate([_blocks(layer, weights.b), _blocks(layer, second)])


def _peepholes(layer: Recurrent) -> Array:
    """The rows i, f, o in the order i, o, f, in one row."""
    i, f, o = layer.params["peepholes"]
    return np.concatenate([i, o, f])
