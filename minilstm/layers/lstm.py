"""LSTM: the layer around `minilstm.bptt.lstm`."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from minilstm import initializers
from minilstm.bptt.cell import Gradients, Weights
from minilstm.bptt.lstm import LSTMCell
from minilstm.bptt.variants import FORGET_GATES, LSTMVariant
from minilstm.cells.activations import get, of_output
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import one_of, switch
from minilstm.initializers import Chrono
from minilstm.layers.base import Shape
from minilstm.layers.recurrent import Common, Recurrent


class LSTM(Recurrent):
    """Long short-term memory over (B, T, D).

    Parameters
    ----------
    units : H, the size of the hidden and the cell state
    activation, recurrent_activation : of candidate and output, and of the gates
    unit_forget_bias : whether the forget gate's bias starts at 1 (Jozefowicz et al. 2015), whatever
        `bias_initializer` says of it, but for Chrono, which chooses it itself
    forget_gate : "learned"; "coupled" for f = 1 - i; "none" for f = 1, the cell of 1997
    peepholes : whether the gates see the cell state too (Greff et al. 2017); their weights start at 0
    others : as in `Recurrent`

    Weights, in Keras's order, shapes and initialisation; gates in the blocks i, f, g, o:
    kernel (D, 4H) glorot-uniform, recurrent_kernel (H, 4H) orthogonal, bias (4H,) zeros with ones in
    the forget block; then peepholes (3, H), rows i, f, o. Without a learned forget gate its block and row
    are absent. Equations in `minilstm.bptt.lstm` and `variants`.

    Examples
    --------
    >>> layer = LSTM(4, return_state=True)
    >>> output, h, c = layer(np.ones((2, 5, 3), "float32"))
    >>> output.shape, bool((output == h).all())
    ((2, 4), True)
    """

    def __init__(
        self,
        units: int,
        *,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        unit_forget_bias: bool = True,
        forget_gate: str = "learned",
        peepholes: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(units, **common)
        self.activation = of_output("activation", activation)
        self.recurrent_activation = of_output("recurrent_activation", recurrent_activation)
        self.unit_forget_bias = switch("unit_forget_bias", unit_forget_bias)
        self.forget_gate = one_of("forget_gate", forget_gate, FORGET_GATES)
        self.peepholes = switch("peepholes", peepholes)
        self.initializers["peepholes"] = initializers.zeros
        functions = get(self.activation), get(self.recurrent_activation)
        self._variant = LSTMVariant(*functions, self.forget_gate, self.peepholes)
        self.cell = LSTMCell() if self._variant == LSTMVariant() else self._variant

    def weight_shapes(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        peepholes = {"peepholes": (len(self._variant.rows), self.units)} if self.peepholes else {}
        return super().weight_shapes(input_shape) | peepholes

    def _make_params(
        self, input_shape: Shape, rng: np.random.Generator, dtype: np.dtype[Any]
    ) -> dict[str, Array]:
        params = super()._make_params(input_shape, rng, dtype)
        chosen = isinstance(self.bias_initializer, Chrono)
        if self.unit_forget_bias and self.use_bias and "f" in self.cell.gates and not chosen:
            params["bias"][self.units : 2 * self.units] = 1
        return params

    @property
    def symbols(self) -> Weights:
        symbols = super().symbols
        return symbols._replace(p=self.params["peepholes"]) if self.peepholes else symbols

    def named(self, gradients: Gradients) -> dict[str, Array]:
        p = gradients.dweights.p
        return super().named(gradients) | ({} if p is None else {"peepholes": p})
