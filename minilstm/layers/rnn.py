"""RNN: the layer around a cell that `minilstm.cell` made of a function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
from numpy.typing import DTypeLike

from minilstm import cells, initializers
from minilstm.bptt.cell import Gradients, Weights
from minilstm.bptt.engine import Engine
from minilstm.cells import UserCell
from minilstm.cells.user import ENGINE
from minilstm.compiled import engines
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import shown, wording
from minilstm.initializers import Chrono
from minilstm.layers.base import Shape
from minilstm.layers.recurrent import Common, Recurrent


class RNN(Recurrent):
    """A recurrent layer over (B, T, D) of any cell: one of `minilstm.cells`, or one made by `minilstm.cell`.

    It differs from Keras's RNN, whose cell is a layer with weights of its own: here a cell is a step of
    NumPy, and the layer has the weights and makes the products with W and U.

    Parameters
    ----------
    cell : a cell, or the name of one of `minilstm.cells`
    units : H, the size of the hidden state
    backend : "numpy", unlike the other layers: forward runs as it is written. With "numba" it is followed
        once and compiled with its derivatives, for this process, some seconds at the first call; numbers that
        it reads from elsewhere are those of that moment. Where it has functions that are not known one by
        one, NumPy works after one warning
    others : as in `Recurrent`

    Weights, n being the number of the cell's gates: kernel (D, nH) glorot-uniform, recurrent_kernel (H, nH)
    orthogonal, absent where the cell does not read h @ U; bias (nH,), or (2, nH) with a recurrent bias;
    p (k, H), where the cell has rows of p. Bias and p begin as the cell says.

    >>> import minilstm as ml
    >>> step = ml.cell(lambda xw, hu, prev, p: ((np.tanh(xw + hu),), ()), gates=["z"], name="elman")
    >>> RNN(step, 4)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    cell: UserCell

    def __init__(  # type: ignore[misc]  # backend, at another default than all layers'
        self, cell: UserCell | str, units: int, *, backend: str = "numpy", **common: Unpack[Common]
    ) -> None:
        if isinstance(cell, str):
            cell = cells.get(cell)
        if not isinstance(cell, UserCell):
            raise TypeError(wording("cell", "a cell made by minilstm.cell, or the name of one", shown(cell)))
        super().__init__(units, backend=backend, **common)
        self.cell = cell
        self.initializers["p"] = self._first_rows

    def _first_rows(self, shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike) -> Array:
        """Each row of p as the cell says."""
        found = np.empty(shape, dtype)
        for row, name, first in zip(found, self.cell.rows, self.cell.initial, strict=True):
            if isinstance(first, float):
                row[...] = first
            else:
                row[...] = initializers.make(f"the initializer of {name}", first, row.shape, rng, dtype)
        return found

    @property
    def _bias_shape(self) -> tuple[int, ...]:
        width = len(self.cell.gates) * self.units
        return (2, width) if self.cell.recurrent_bias else (width,)

    def weight_shapes(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        shapes = super().weight_shapes(input_shape)
        if not self.cell.recurrent:
            del shapes["recurrent_kernel"]
        return shapes | ({"p": (len(self.cell.rows), self.units)} if self.cell.rows else {})

    def _make_params(
        self, input_shape: Shape, rng: np.random.Generator, dtype: np.dtype[Any]
    ) -> dict[str, Array]:
        params = super()._make_params(input_shape, rng, dtype)
        if self.use_bias and not isinstance(self.bias_initializer, Chrono):
            first = params["bias"][0] if self.cell.recurrent_bias else params["bias"]
            for gate, value in self.cell.bias:
                k = self.cell.gates.index(gate)
                first[k * self.units : (k + 1) * self.units] = value
        return params

    @property
    def symbols(self) -> Weights:
        kernel, cell = self.params["kernel"], self.cell
        bias = self.params["bias"] if self.use_bias else np.zeros(self._bias_shape, kernel.dtype)
        b, rb = bias if cell.recurrent_bias else (bias, None)
        U = self.params["recurrent_kernel"] if cell.recurrent else np.zeros((self.units, 0), kernel.dtype)
        if cell.recurrent_map is not None:
            U = cell.recurrent_map[0](U)
        return Weights(kernel, U, b, rb, self.params.get("p"))

    def named(self, gradients: Gradients) -> dict[str, Array]:
        _, dU, b, rb, p = gradients.dweights
        if self.cell.recurrent_map is not None:
            dU = self.cell.recurrent_map[1](dU, self.params["recurrent_kernel"])
        bias = b if rb is None else np.stack([b, rb])
        found = super().named(gradients) | {"recurrent_kernel": dU, "bias": bias, "p": p}
        return {key: found[key] for key in self.params}  # type: ignore[misc]

    def _engine(self, backend: str, B: int) -> Engine:
        return engines.engine_of(backend, B, self.cell) if backend == "numba" else ENGINE
