"""GRU: the layer around `minilstm.bptt.gru`."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from minilstm.bptt.cell import Gradients, Weights
from minilstm.bptt.gru import GRUCell
from minilstm.cells.activations import get, of_output
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import shown, switch, wording
from minilstm.layers.recurrent import Common, Recurrent


class GRU(Recurrent):
    """Gated recurrent unit over (B, T, D), with the reset gate after the recurrent product.

    Parameters
    ----------
    units : H, the size of the hidden state
    activation, recurrent_activation : of the candidate, and of the gates
    reset_after : True; the form with the reset gate before the product is not offered
    others : as in `Recurrent`

    Weights, in Keras's order, shapes and initialisation; gates in the blocks z, r, g: kernel (D, 3H)
    glorot-uniform, recurrent_kernel (H, 3H) orthogonal, bias (2, 3H) zeros: of x @ W and of h @ U.
    Equations in `minilstm.bptt.gru`.

    >>> GRU(4)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    cell: GRUCell

    def __init__(
        self,
        units: int,
        *,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        reset_after: bool = True,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(units, **common)
        if not switch("reset_after", reset_after):
            expected = "True (Keras's default; PyTorch and cuDNN know no other form)"
            raise ValueError(wording("reset_after", expected, shown(reset_after)))
        self.activation = of_output("activation", activation)
        self.recurrent_activation = of_output("recurrent_activation", recurrent_activation)
        self.reset_after = True
        self.cell = GRUCell(get(self.activation), get(self.recurrent_activation))

    @property
    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units)

    @property
    def symbols(self) -> Weights:
        kernel = self.params["kernel"]
        b, rb = self.params["bias"] if self.use_bias else np.zeros((2, kernel.shape[1]), kernel.dtype)
        return Weights(kernel, self.params["recurrent_kernel"], b, rb)

    def named(self, gradients: Gradients) -> dict[str, Array]:
        b, rb = gradients.dweights.b, gradients.dweights.rb
        return super().named(gradients) | ({"bias": np.stack([b, rb])} if self.use_bias else {})  # type: ignore[list-item]
