"""The recurrent layers: Keras's words and (B, T, .) outside, the symbols and (T, B, .) of bptt inside.

This is the only place that transposes and renames. The work is done in `bptt`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike

from minilstm import bptt, initializers
from minilstm.cells import Cell, State, Weights
from minilstm.cells.gru import GRUCell
from minilstm.cells.lstm import FORGET_GATES, LSTMCell
from minilstm.cells.simple_rnn import SimpleRNNCell
from minilstm.errors import numeric_array, one_of, whole_number, wording
from minilstm.layers.base import Array, Keep, Layer, Shape
from minilstm.tape import Gradients, Tape


class Common(TypedDict, total=False):
    """The arguments of `Recurrent`, for the signatures of its subclasses."""

    return_sequences: bool
    return_state: bool
    use_bias: bool
    checkpoint_steps: int | Literal["auto"] | None
    truncate_steps: int | None
    backend: str
    input_shape: Sequence[int | None] | None
    name: str | None


ACTIVATIONS = ("tanh", "sigmoid", "hard_sigmoid", "relu", "linear")


class Recurrent(Layer):
    """What the recurrent layers have in common; use `LSTM`, `GRU` or `SimpleRNN`.

    A subclass gives its `cell` and its bias.

    Parameters
    ----------
    units : H, the size of the hidden state
    return_sequences : whether the output is h of every step, (B, T, H), instead of the last, (B, H)
    return_state : whether a call returns (output, *states) instead of output
    use_bias : whether there is a bias
    checkpoint_steps : k to keep only every k-th state of the forward pass and compute the steps between
        them again in the backward pass: the same gradient, far less memory; "auto" for about sqrt(T)
    truncate_steps : k to cut the gradient at every k-th step: truncated backpropagation through time
    backend : "numba" (compiled kernels) or "numpy" (the readable reference)

    A mask (B, T), True = real step, may have any pattern. A masked step holds the state; the output of
    a masked step is the held state. Keras's back ends disagree where a sequence starts with masked
    steps and an initial state that is not zero: there these layers give the state, as JAX does.
    """

    cell: Cell
    observer: Callable[[Gradients, Array | None], None] | None = None
    """Called after each backward pass in training with its gradients, their norms included, and the mask."""

    def __init__(
        self,
        units: int,
        *,
        return_sequences: bool = False,
        return_state: bool = False,
        use_bias: bool = True,
        checkpoint_steps: int | Literal["auto"] | None = None,
        truncate_steps: int | None = None,
        backend: str = "numba",
        input_shape: Sequence[int | None] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(input_shape=input_shape, name=name)
        self.units = whole_number("units", units)
        self.return_sequences = bool(return_sequences)
        self.return_state = bool(return_state)
        self.use_bias = bool(use_bias)
        if checkpoint_steps is not None and truncate_steps is not None:
            expected, got = "given alone, without truncate_steps", "both"
            raise ValueError(wording("checkpoint_steps", expected, got))
        if checkpoint_steps not in (None, "auto"):
            whole_number("checkpoint_steps", checkpoint_steps)
        if truncate_steps is not None:
            whole_number("truncate_steps", truncate_steps)
        self.checkpoint_steps = checkpoint_steps
        self.truncate_steps = truncate_steps
        self.backend = one_of("backend", backend, bptt.BACKENDS)

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 2 or input_shape[1] is None:
            got = f"(batch, {', '.join('any' if size is None else str(size) for size in input_shape)})"
            raise ValueError(wording(f"input of layer {self.label!r}", "(batch, time, features)", got))
        if self.built and input_shape[1] != self.params["kernel"].shape[0]:
            expected = f"of {self.params['kernel'].shape[0]} features"
            raise ValueError(wording(f"input of layer {self.label!r}", expected, input_shape[1]))
        return (input_shape[0], self.units) if self.return_sequences else (self.units,)

    def weight_shapes(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        D, H, n = int(input_shape[-1] or 0), self.units, len(self.cell.gates)
        shapes: dict[str, tuple[int, ...]] = {"kernel": (D, n * H), "recurrent_kernel": (H, n * H)}
        return shapes | ({"bias": self._bias_shape} if self.use_bias else {})

    @property
    def _bias_shape(self) -> tuple[int, ...]:
        return (len(self.cell.gates) * self.units,)

    def _make_params(
        self, input_shape: Shape, rng: np.random.Generator, dtype: np.dtype[Any]
    ) -> dict[str, Array]:
        D, H, n = int(input_shape[-1] or 0), self.units, len(self.cell.gates)
        params = {
            "kernel": initializers.glorot_uniform((D, n * H), rng, dtype),
            "recurrent_kernel": initializers.orthogonal((H, n * H), rng, dtype),
        }
        if self.use_bias:
            params["bias"] = self._make_bias(rng, dtype)
        self.backend = bptt.resolve_backend(self.backend, self.cell)
        return params

    def restore(self, input_shape: Shape, dtype: np.dtype[Any], params: dict[str, Array]) -> None:
        super().restore(input_shape, dtype, params)
        self.backend = bptt.resolve_backend(self.backend, self.cell)

    def _make_bias(self, rng: np.random.Generator, dtype: np.dtype[Any]) -> Array:
        return initializers.zeros(self._bias_shape, rng, dtype)

    @property
    def weights(self) -> Weights:
        """The weights in the symbols of the equations: W (D, nH), U (H, nH), b (nH,), ..."""
        kernel = self.params["kernel"]
        bias = self.params["bias"] if self.use_bias else np.zeros(kernel.shape[1], kernel.dtype)
        return Weights(kernel, self.params["recurrent_kernel"], bias)

    def segment_steps(self, T: int) -> int:
        """Steps in a segment of the time axis: T, unless checkpoints or truncation ask for fewer."""
        if self.checkpoint_steps == "auto":
            return max(1, round(math.sqrt(T)))
        return min(T, self.checkpoint_steps or self.truncate_steps or T)

    def tape_bytes(self, batch: int, length: int) -> int:
        """Bytes of the tape of one training batch, to the byte; the input apart."""
        (D, _), H = self.params["kernel"].shape, self.units
        return bptt.tape_bytes(
            self.cell,
            length,
            batch,
            D,
            H,
            self.dtype.itemsize,
            self.backend,
            self.segment_steps(length),
            self._keep("gradient"),
        )

    def memory(self, batch: int, length: int) -> dict[str, int]:
        return {self.label: self.tape_bytes(batch, length)}

    def _keep(self, keep: Keep) -> str:
        """What bptt has to keep; checkpoints keep boundaries, but a trace needs every step."""
        if keep == "nothing":
            return "outputs"
        return "boundaries" if keep == "gradient" and self.checkpoint_steps is not None else "everything"

    def forward(
        self,
        x: Array,
        mask: Array | None,
        *,
        keep: Keep,
        rng: np.random.Generator | None = None,
        initial_state: State | None = None,
    ) -> tuple[Array, Array | None, Tape]:
        if mask is not None:
            x = np.where(mask[..., None], x, 0)  # a masked step may contain anything, NaN too
        B, T, _ = x.shape
        outputs = np.empty((B, T, self.units), x.dtype) if self.return_sequences else None
        tape = bptt.forward(
            self.cell,
            self.weights,
            x.transpose(1, 0, 2),
            None if mask is None else mask.T,
            initial_state,
            backend=self.backend,
            segment_steps=self.segment_steps(T),
            keep=self._keep(keep),
            outputs=None if outputs is None else outputs.transpose(1, 0, 2),
        )
        return (tape.last_state[0], None, tape) if outputs is None else (outputs, mask, tape)

    def backward(self, dy: Array, tape: Tape, *, need_dx: bool) -> tuple[Array | None, dict[str, Array]]:
        record: Literal["norms", False] = "norms" if self.observer else False
        gradients = self.bptt(dy, tape, need_dx=need_dx, record=record, overwrite=True)
        if self.observer:
            self.observer(gradients, tape.mask)
        dx = None if gradients.dx is None else gradients.dx.transpose(1, 0, 2)
        return dx, self.named(gradients)

    def bptt(
        self,
        dy: Array,
        tape: Tape,
        *,
        need_dx: bool,
        record: bool | Literal["norms"],
        overwrite: bool,
    ) -> Gradients:
        """Backpropagate dL/d(output) through time; time-major gradients, per step too if `record`."""
        external = dy.transpose(1, 0, 2) if self.return_sequences else None
        dstate = None if self.return_sequences else (dy, *(np.zeros_like(dy) for _ in self.cell.states[1:]))
        return bptt.backward(
            self.weights,
            tape,
            external,
            dstate,
            need_dx=need_dx,
            record=record,
            truncate=self.truncate_steps is not None,
            overwrite=overwrite,
        )

    def named(self, gradients: Gradients) -> dict[str, Array]:
        """The weight gradients under the names of the weights."""
        dweights = gradients.dweights
        found = {"kernel": dweights.W, "recurrent_kernel": dweights.U, "bias": dweights.b}
        return {key: found[key] for key in self.params if key in found}

    def __call__(
        self,
        x: ArrayLike,
        mask: ArrayLike | None = None,
        initial_state: Sequence[ArrayLike] | None = None,
    ) -> Array | tuple[Array, ...]:
        """Run the layer on its own: x (B, T, D), mask (B, T), initial_state [h] or [h, c] of (B, H) each.

        Returns the output, or (output, *states) with `return_state`. Builds the layer at its first use.
        """
        x = numeric_array("x", x).astype(self.dtype, copy=False)
        if x.ndim != 3 or 0 in x.shape:
            raise ValueError(wording("x", "(batch, time, features), none of them 0", x.shape))
        if not self.built:
            self.build((None, x.shape[2]), np.random.default_rng(), self.dtype)
        self.output_shape(x.shape[1:])
        real = None if mask is None else checked_mask(mask, x.shape[:2])
        if not np.isfinite(x if real is None else x[real]).all():
            raise ValueError(wording("x", "finite at every real step", "NaN or Inf"))
        state = None if initial_state is None else self.checked_state(initial_state, len(x))
        output, _, tape = self.forward(x, real, keep="nothing", initial_state=state)
        if not self.return_state:
            return output
        return output, *tape.last_state

    def checked_state(self, initial_state: Sequence[ArrayLike], B: int) -> State:
        """[h, c], or [h], as a State of this layer's dtype; ValueError where a shape or a value is wrong."""
        states = self.cell.states
        expected = f"[{', '.join(states)}] of shape {(B, self.units)}" + " each" * (len(states) > 1)
        if not isinstance(initial_state, (list, tuple)) or len(initial_state) != len(states):
            got = type(initial_state).__name__
            if isinstance(initial_state, (list, tuple)):
                got += f" of {len(initial_state)}"
            raise ValueError(wording(f"initial_state of layer {self.label!r}", expected, got))
        what = f"initial_state of layer {self.label!r}"
        found = tuple(np.ascontiguousarray(numeric_array(what, part), self.dtype) for part in initial_state)
        for part in found:
            if part.shape != (B, self.units):
                raise ValueError(wording(f"initial_state of layer {self.label!r}", expected, part.shape))
            if not np.isfinite(part).all():
                raise ValueError(wording(f"initial_state of layer {self.label!r}", "finite", "NaN or Inf"))
        return found


class LSTM(Recurrent):
    """Long short-term memory over (B, T, D).

    Parameters
    ----------
    units : H, the size of the hidden and the cell state
    activation, recurrent_activation : of candidate and output, and of the gates
    unit_forget_bias : whether the forget gate's bias starts at 1 (Jozefowicz et al. 2015)
    forget_gate : "learned"; "coupled" for f = 1 - i; "none" for f = 1, the cell of 1997
    peepholes : whether the gates see the cell state too (Greff et al. 2017); their weights start at 0
    others : as in `Recurrent`

    Weights, in Keras's order, shapes and initialisation; gates in the blocks i, f, g, o:
    kernel (D, 4H) glorot-uniform, recurrent_kernel (H, 4H) orthogonal, bias (4H,) zeros with ones in
    the forget block; then peepholes (3, H), rows i, f, o. Without a learned forget gate its block and row
    are absent. Equations in `minilstm.cells.lstm`.

    Examples
    --------
    >>> layer = LSTM(4, return_state=True)
    >>> output, h, c = layer(np.ones((2, 5, 3), "float32"))
    >>> output.shape, bool((output == h).all())
    ((2, 4), True)
    """

    cell: LSTMCell

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
        self.activation = one_of("activation", activation, ACTIVATIONS)
        self.recurrent_activation = one_of("recurrent_activation", recurrent_activation, ACTIVATIONS)
        self.unit_forget_bias = bool(unit_forget_bias)
        self.forget_gate = one_of("forget_gate", forget_gate, FORGET_GATES)
        self.peepholes = bool(peepholes)
        self.cell = LSTMCell(self.activation, self.recurrent_activation, self.forget_gate, self.peepholes)

    def _make_bias(self, rng: np.random.Generator, dtype: np.dtype[Any]) -> Array:
        bias = super()._make_bias(rng, dtype)
        if self.unit_forget_bias and "f" in self.cell.gates:
            bias[self.units : 2 * self.units] = 1
        return bias

    def weight_shapes(self, input_shape: Shape) -> dict[str, tuple[int, ...]]:
        peepholes = {"peepholes": (len(self.cell.peephole_gates), self.units)} if self.peepholes else {}
        return super().weight_shapes(input_shape) | peepholes

    def _make_params(
        self, input_shape: Shape, rng: np.random.Generator, dtype: np.dtype[Any]
    ) -> dict[str, Array]:
        params = super()._make_params(input_shape, rng, dtype)
        shape = self.weight_shapes(input_shape).get("peepholes")
        return params if shape is None else params | {"peepholes": initializers.zeros(shape, rng, dtype)}

    @property
    def weights(self) -> Weights:
        return super().weights._replace(p=self.params.get("peepholes"))

    def named(self, gradients: Gradients) -> dict[str, Array]:
        p = gradients.dweights.p
        return super().named(gradients) | ({} if p is None else {"peepholes": p})


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
    Equations in `minilstm.cells.gru`.

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
        if reset_after is not True:
            expected = "True (Keras's default; PyTorch and cuDNN know no other form)"
            raise ValueError(wording("reset_after", expected, repr(reset_after)))
        self.activation = one_of("activation", activation, ACTIVATIONS)
        self.recurrent_activation = one_of("recurrent_activation", recurrent_activation, ACTIVATIONS)
        self.reset_after = True
        self.cell = GRUCell(self.activation, self.recurrent_activation)

    @property
    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units)

    @property
    def weights(self) -> Weights:
        kernel = self.params["kernel"]
        b, rb = self.params["bias"] if self.use_bias else np.zeros((2, kernel.shape[1]), kernel.dtype)
        return Weights(kernel, self.params["recurrent_kernel"], b, rb)

    def named(self, gradients: Gradients) -> dict[str, Array]:
        b, rb = gradients.dweights.b, gradients.dweights.rb
        return super().named(gradients) | ({"bias": np.stack([b, rb])} if self.use_bias else {})  # type: ignore[list-item]


class SimpleRNN(Recurrent):
    """The simple (Elman) recurrent network over (B, T, D): h_t = activation(x_t W + h_{t-1} U + b).

    Parameters
    ----------
    units : H, the size of the hidden state
    activation : "tanh" or another
    others : as in `Recurrent`

    Weights, in Keras's order, shapes and initialisation: kernel (D, H) glorot-uniform, recurrent_kernel
    (H, H) orthogonal, bias (H,) zeros. Equations in `minilstm.cells.simple_rnn`.

    >>> SimpleRNN(4)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    def __init__(self, units: int, *, activation: str = "tanh", **common: Unpack[Common]) -> None:
        super().__init__(units, **common)
        self.activation = one_of("activation", activation, ACTIVATIONS)
        self.cell = SimpleRNNCell(self.activation)


def checked_mask(mask: ArrayLike, shape: tuple[int, ...]) -> Array:
    """`mask` as bool (B, T); ValueError or TypeError where shape or values are wrong."""
    array = numeric_array("mask", mask)
    if array.shape != tuple(shape):
        raise ValueError(wording("mask", f"of shape {tuple(shape)} (batch, time)", array.shape))
    if array.dtype.kind != "b" and not np.isin(array, (0, 1)).all():
        bad = array[~np.isin(array, (0, 1))].flat[0]
        raise ValueError(wording("mask", "of True and False (or 1 and 0)", bad))
    return array.astype(bool)
