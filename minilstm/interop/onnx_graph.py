"""An ONNX graph in the making: nodes, constants, and the mask that the layers pass on.

A mask is known in one of two forms: as the lengths of sequences that are padded at the end, which ONNX's
recurrent operators take as they are, or as real steps (B, T) of any pattern, for which they have no input.
For the latter the real steps of each sequence are moved to its front, in their order, and back again after
the operator: a masked step changes no state, so what the operator gives for the real steps is the same.

What this file is not: it knows no layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

OPSET = 14  # the first in which LSTM, GRU and RNN have all that is used here
IR_VERSION = 8


class Graph:
    """Nodes and constants; values are known by their names, and "" is none."""

    def __init__(self, onnx: Any, lengths: bool) -> None:
        self.onnx, self.kinds = onnx, onnx.TensorProto
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.lengths = "lengths" if lengths else ""  # (B,) int32, where that is all the mask
        self.mask = ""  # (B, T) bool, where it is not

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

    def whole(self, value: int | Sequence[int]) -> str:
        """A constant of whole numbers."""
        return self.constant("number", value, np.int64)

    def flipped(self, x: str) -> str:
        """x (B, T, ...) with time turned round."""
        return self.one("Slice", x, *(self.whole([number]) for number in (-1, -(2**62), 1, -1)))

    # ------------------------------------------------------------ masks

    def real_steps(self, x: str) -> str:
        """The mask as (B, T) bool for x (B, T, ...); "" where there is none."""
        if not self.lengths:
            return self.mask
        length = self.one("Unsqueeze", self.one("Cast", self.lengths, to=self.kinds.INT64), self.whole([1]))
        return self.one("Less", self._steps(x), length)

    def also_masked(self, x: str, real: str) -> None:
        """From here on only those steps of x (B, T, ...) are real that are in `real` (B, T) too."""
        before = self.real_steps(x)
        self.lengths, self.mask = "", self.one("And", before, real) if before else real

    def zeroed(self, x: str) -> str:
        """x (B, T, D) with zeros at masked steps."""
        real = self.real_steps(x)
        return self.one("Where", self._column(real), x, self.constant("zero", 0.0)) if real else x

    def to_front(self, x: str) -> tuple[str, str]:
        """x (B, T, D) with the real steps of each sequence at its front, and their number (B,) int32."""
        if not self.mask:
            return x, self.lengths
        steps, T = self._steps(x), self._time(x)
        key = self.one("Where", self.mask, steps, self.one("Add", steps, T))  # (B, T)
        order = self.node("TopK", [key, T], 2, axis=1, largest=0, sorted=1)[1]
        count = self.one("ReduceSum", self._counted(), self.whole([1]), keepdims=0)
        front = self.one("GatherND", x, self._column(order), batch_dims=1)
        return front, self.one("Cast", count, to=self.kinds.INT32)

    def to_places(self, y: str, *, backwards: bool = False) -> str:
        """The outputs y (B, T, ...) of steps that `to_front` moved, at their places.

        A masked step has what the layer gave last, in its order of reading; zeros where that is nothing.
        """
        if not self.mask:
            return y
        ones, zero = self._counted(), self.whole(0)
        seen = self.one("CumSum", ones, self.whole(1))  # (B, T) real steps up to and with this one
        if backwards:
            place = self.one("Sub", seen, ones)  # of the next real step
            some = self.one("Less", place, self.one("ReduceSum", ones, self.whole([1])))
            place = self.one("Min", place, self.one("Sub", self._time(y), self.whole(1)))
        else:
            place = self.one("Max", self.one("Sub", seen, self.whole(1)), zero)
            some = self.one("Greater", seen, zero)
        found = self.one("GatherND", y, self._column(place), batch_dims=1)
        return self.one("Where", self._column(some), found, self.constant("zero", 0.0))

    def _counted(self) -> str:
        return self.one("Cast", self.mask, to=self.kinds.INT64)

    def _column(self, x: str) -> str:
        return self.one("Unsqueeze", x, self.whole([-1]))

    def _time(self, x: str) -> str:
        """T of x (B, T, ...), as (1,)."""
        return self.one("Gather", self.one("Shape", x), self.whole([1]))

    def _steps(self, x: str) -> str:
        """0 .. T - 1 for x (B, T, ...)."""
        return self.one(
            "Range", self.whole(0), self.one("Squeeze", self._time(x), self.whole([0])), self.whole(1)
        )
