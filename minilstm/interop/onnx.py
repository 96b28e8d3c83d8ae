"""Whole models as ONNX graphs, for ONNX Runtime and every other tool that reads them.

A graph has the inputs x, (batch, time, features) floats or (batch, time) ids, and, if asked for, lengths
(batch,), the real steps of each sequence that is padded at the end. The masks of Masking and of
Embedding(mask_zero=True) are made in the graph, of any pattern: see `onnx_graph`.

Blocks of gates: LSTM i o f c, GRU z r h; peepholes i o f. Biases are [b, rb] in one row.

Source: the operators' specifications, https://onnx.ai/onnx/operators.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minilstm.foundations import files
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import shown, switch, wording
from minilstm.interop.onnx_graph import IR_VERSION, OPSET, Graph
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
from minilstm.network.network import checked_built

__all__ = ["to_onnx"]

OPERATORS = {"lstm": "LSTM", "gru": "GRU", "simple_rnn": "RNN"}
BLOCKS = {"lstm": ("i", "o", "f", "g"), "gru": ("z", "r", "g"), "simple_rnn": ("h",)}
ACTIVATIONS: dict[str, tuple[str, float, float]] = {  # ONNX's name, alpha, beta
    "tanh": ("Tanh", 0.0, 0.0),
    "sigmoid": ("Sigmoid", 0.0, 0.0),
    "relu": ("Relu", 0.0, 0.0),
    "hard_sigmoid": ("HardSigmoid", 1 / 6, 0.5),
    "linear": ("Affine", 1.0, 0.0),
    "elu": ("Elu", 1.0, 0.0),
    "softplus": ("Softplus", 0.0, 0.0),
}


def to_onnx(model: Sequential, path: str | os.PathLike[str] | None = None, *, lengths: bool = True) -> Any:
    """The model as an `onnx.ModelProto`, checked by onnx's checker, and written to `path` if given.

    Parameters
    ----------
    model : built; of recurrent layers, Bidirectional, Dense, Embedding, Dropout, GlobalAveragePooling1D,
        TimeDistributed around a Dense, Masking
    path : a file that is replaced whole, or not at all
    lengths : whether the graph has the input `lengths`, which stands for mask=lengths_to_mask(lengths, T,
        "post") of predict, beside the masks that Masking and Embedding(mask_zero=True) make

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
    checked_built(model)
    graph = _Graph(onnx, switch("lengths", lengths))
    value = graph.start(model)
    for layer in model.layers:
        value = graph.layer(layer, value)
    made = graph.finish(model, value)
    onnx.checker.check_model(made, full_check=True)
    if path is not None:
        files.write_bytes(path, made.SerializeToString())
    return made


class _Graph(Graph):
    """The graph of a model, layer by layer."""

    def start(self, model: Sequential) -> str:
        """The inputs of the graph."""
        kind, shape = self.kinds, model.sample_shape or ()
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
        shape = model.output_shape[1:]
        sizes = ["batch", "time", *shape[1:]] if len(shape) > 1 else ["batch", *shape]
        output = helper.make_tensor_value_info("y", self.kinds.FLOAT, sizes)
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
            (Masking, self._masking),
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
        raise ValueError(wording(f"layer {layer.label!r}", "one that ONNX has an operator for", shown(layer)))

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
        if name == "silu":
            return self.one("Mul", x, self.one("Sigmoid", x))
        if name == "gelu":
            erf = self.one("Erf", self.one("Mul", x, self.constant("number", 0.5**0.5)))
            normal = self.one("Add", erf, self.constant("one", 1.0))
            return self.one("Mul", self.one("Mul", x, self.constant("half", 0.5)), normal)
        return self.one(name.capitalize(), x)

    def _embedding(self, layer: Embedding, x: str) -> str:
        if layer.mask_zero:
            self.also_masked(x, self.one("Not", self.one("Equal", x, self.whole(0))))
        return self.one("Gather", self.constant("embeddings", layer.params["embeddings"]), x)

    def _masking(self, layer: Masking, x: str) -> str:
        other = self.one("Not", self.one("Equal", x, self.constant("mask_value", layer.mask_value)))
        counts = self.one("Cast", other, to=self.kinds.FLOAT)
        some = self.one("ReduceMax", counts, axes=[-1], keepdims=0)  # (B, T) whether any feature is another
        self.also_masked(x, self.one("Cast", some, to=self.kinds.BOOL))
        return self.zeroed(x)

    def _mean(self, layer: GlobalAveragePooling1D, x: str) -> str:
        real = self.real_steps(x)
        kept = self.zeroed(x)
        if not real:
            return self.one("ReduceMean", x, axes=[1], keepdims=0)
        count = self.one("ReduceSum", self.one("Cast", real, to=self.kinds.FLOAT), self.whole([1]))
        total = self.one("ReduceSum", kept, self.whole([1]), keepdims=0)
        return self._unmasked(self.one("Div", total, self.one("Max", count, self.constant("one", 1.0))))

    def _recurrent(self, layer: Recurrent, x: str) -> str:
        back = bool(layer.go_backwards)
        (y,) = self._directions([layer], x, "reverse" if back else "forward")
        if not layer.return_sequences:
            return self._unmasked(y)
        y = self.zeroed(y) if layer.zero_output_for_mask else y
        if back:
            real = self.real_steps(y)
            self.lengths, self.mask = "", self.flipped(real) if real else ""
            y = self.flipped(y)
        return y

    def _bidirectional(self, layer: Any, x: str) -> str:
        pair = sorted(layer.sublayers, key=lambda sub: bool(sub.go_backwards))
        parts = self._directions(pair, x, "bidirectional")
        if pair[0] is not layer.sublayers[0]:
            parts.reverse()
        if layer.merge_mode == "concat":
            y = self.one("Concat", *parts, axis=-1)
        else:
            y = self.one("Mul" if layer.merge_mode == "mul" else "Add", *parts)
            y = self.one("Mul", y, self.constant("half", 0.5)) if layer.merge_mode == "ave" else y
        return self.zeroed(y) if pair[0].return_sequences else self._unmasked(y)

    def _unmasked(self, y: str) -> str:
        """y (B, H), which has no time axis and so no mask."""
        self.lengths = self.mask = ""
        return y

    def _directions(self, layers: Sequence[Recurrent], x: str, direction: str) -> list[str]:
        """The output of each direction in the order of the input, (B, T, H), or of its last step, (B, H)."""
        Y, Y_h = self._operator(layers, x, direction)
        if not layers[0].return_sequences:
            return [self.one("Gather", Y_h, self.whole(k), axis=0) for k in range(len(layers))]
        parts = []
        for k, layer in enumerate(layers):
            y = self.one("Transpose", self.one("Gather", Y, self.whole(k), axis=1), perm=[1, 0, 2])
            parts.append(self.to_places(y, backwards=bool(layer.go_backwards)))
        return parts

    def _operator(self, directions: Sequence[Recurrent], x: str, direction: str) -> list[str]:
        """The recurrent operator for one or two directions: Y (T, directions, B, H) and Y_h."""
        first = directions[0]
        cell = first.cell.name
        for layer in directions:
            if layer.cell.name not in BLOCKS:
                expected = "an LSTM, GRU or SimpleRNN, for ONNX"
                raise ValueError(wording(f"layer {layer.label!r}", expected, f"RNN of {layer.cell!r}"))
            if set(layer.cell.gates) != set(BLOCKS[cell]):
                expected = "an LSTM with a learned forget gate, for ONNX"
                got = f"one of the gates {', '.join(layer.cell.gates)}"
                raise ValueError(wording(f"layer {layer.label!r}", expected, got))
            if layer.stateful or (layer.zero_output_for_mask and not layer.return_sequences):
                expected = "without stateful=True, and without zero_output_for_mask=True for a last state"
                raise ValueError(wording(f"layer {layer.label!r}", f"{expected}, for ONNX", shown(layer)))
        W = np.stack([_blocks(layer, layer.symbols.W).T for layer in directions])
        R = np.stack([_blocks(layer, layer.symbols.U).T for layer in directions])
        x, lengths = self.to_front(x)
        inputs = [
            self.one("Transpose", x, perm=[1, 0, 2]),
            self.constant("W", W),
            self.constant("R", R),
            self.constant("B", np.stack([_biases(layer) for layer in directions])),
            lengths,
        ]
        if first.symbols.p is not None:
            inputs += ["", "", self.constant("P", np.stack([_peepholes(layer) for layer in directions]))]
        for layer in directions:
            for name in _functions(layer):
                expected = "an activation that ONNX has for cells"
                if name not in ACTIVATIONS:
                    raise ValueError(wording(f"activation of layer {layer.label!r}", expected, shown(name)))
        functions = [ACTIVATIONS[name] for layer in directions for name in _functions(layer)]
        attributes: dict[str, Any] = {"hidden_size": first.units, "direction": direction}
        attributes["activations"] = [name for name, _, _ in functions]
        # the lists hold numbers for those functions alone that take one
        alphas = [alpha for name, alpha, _ in functions if name in ("HardSigmoid", "Affine", "Elu")]
        betas = [beta for name, _, beta in functions if name in ("HardSigmoid", "Affine")]
        attributes |= {"activation_alpha": alphas} if alphas else {}
        attributes |= {"activation_beta": betas} if betas else {}
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
    weights = layer.symbols
    second = np.zeros_like(weights.b) if weights.rb is None else weights.rb
    return np.concatenate([_blocks(layer, weights.b), _blocks(layer, second)])


def _peepholes(layer: Recurrent) -> Array:
    """The rows i, f, o in the order i, o, f, in one row."""
    i, f, o = layer.params["peepholes"]
    return np.concatenate([i, o, f])
