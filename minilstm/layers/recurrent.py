"""The recurrent layer: Keras's words and (B, T, .) outside, the symbols and (T, B, .) of bptt inside.

This is the only place that transposes and renames. The work is done in `bptt`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from minilstm import bptt, initializers
from minilstm.cells import State, Weights
from minilstm.errors import numeric_array, one_of, whole_number, wording
from minilstm.layers.base import Array, Keep, Layer, Shape
from minilstm.tape import Gradients, Tape


class LSTM(Layer):
    """Long short-term memory over (B, T, D).

    Parameters
    ----------
    units : H, the size of the hidden and the cell state
    return_sequences : whether the output is h of every step, (B, T, H), instead of the last, (B, H)
    return_state : whether a call returns (output, h, c) instead of output
    use_bias : whether there is a bias
    unit_forget_bias : whether the forget gate's bias starts at 1 (Jozefowicz et al. 2015)
    checkpoint_steps : k to keep only every k-th state of the forward pass and compute the steps between
        them again in the backward pass: the same gradient, far less memory; "auto" for about sqrt(T)
    truncate_steps : k to cut the gradient at every k-th step: truncated backpropagation through time
    backend : "numba" (compiled kernels) or "numpy" (the readable reference)

    Weights, in Keras's order, shapes and initialisation; gates in the blocks i, f, g, o:
    kernel (D, 4H) glorot-uniform, recurrent_kernel (H, 4H) orthogonal, bias (4H,) zeros with ones in
    the forget block. Equations in `minilstm.cells.lstm`.

    A mask (B, T), True = real step, may have any pattern. A masked step holds the state; the output of
    a masked step is the held state. Keras's back ends disagree where a sequence starts with masked
    steps and an initial state that is not zero: there this layer gives the state, as JAX does.

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
        return_sequences: bool = False,
        return_state: bool = False,
        use_bias: bool = True,
        unit_forget_bias: bool = True,
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
        self.unit_forget_bias = bool(unit_forget_bias)
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
        D, H = int(input_shape[-1] or 0), self.units
        shapes: dict[str, tuple[int, ...]] = {"kernel": (D, 4 * H), "recurrent_kernel": (H, 4 * H)}
        return shapes | ({"bias": (4 * H,)} if self.use_bias else {})

    def _make_params(
        self, input_shape: Shape, rng: np.random.Generator, dtype: np.dtype[Any]
    ) -> dict[str, Array]:
        D, H = int(input_shape[-1] or 0), self.units
        params = {
            "kernel": initializers.glorot_uniform((D, 4 * H), rng, dtype),
            "recurrent_kernel": initializers.orthogonal((H, 4 * H), rng, dtype),
        }
        if self.use_bias:
            params["bias"] = initializers.zeros((4 * H,), rng, dtype)
            if self.unit_forget_bias:
                params["bias"][H : 2 * H] = 1
        self.backend = bptt.resolve_backend(self.backend)
        return params

    @property
    def weights(self) -> Weights:
        """The weights in the symbols of the equations: W (D, 4H), U (H, 4H), b (4H,)."""
        bias = self.params["bias"] if self.use_bias else np.zeros(4 * self.units, self.dtype)
        return Weights(self.params["kernel"], self.params["recurrent_kernel"], bias)

    def segment_steps(self, T: int) -> int:
        """Steps in a segment of the time axis: T, unless checkpoints or truncation ask for fewer."""
        if self.checkpoint_steps == "auto":
            return max(1, round(math.sqrt(T)))
        return min(T, self.checkpoint_steps or self.truncate_steps or T)

    def tape_bytes(self, batch: int, length: int) -> int:
        """Bytes of the tape of one training batch, to the byte; the input apart."""
        (D, _), H = self.params["kernel"].shape, self.units
        return bptt.tape_bytes(
            length,
            batch,
            D,
            H,
            self.dtype.itemsize,
            self.backend,
            self.segment_steps(length),
            self._keep("gradient"),
        )

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
            self.weights,
            x.transpose(1, 0, 2),
            None if mask is None else mask.T,
            initial_state,
            backend=self.backend,
            segment_steps=self.segment_steps(T),
            keep=self._keep(keep),
            outputs=None if outputs is None else outputs.transpose(1, 0, 2),
        )
        return (tape.last_state.h, None, tape) if outputs is None else (outputs, mask, tape)

    def backward(self, dy: Array, tape: Tape, *, need_dx: bool) -> tuple[Array | None, dict[str, Array]]:
        gradients = self.bptt(dy, tape, need_dx=need_dx, record=False, overwrite=True)
        dx = None if gradients.dx is None else gradients.dx.transpose(1, 0, 2)
        return dx, self.named(gradients)

    def bptt(self, dy: Array, tape: Tape, *, need_dx: bool, record: bool, overwrite: bool) -> Gradients:
        """Backpropagate dL/d(output) through time; time-major gradients, per step too if `record`."""
        external = dy.transpose(1, 0, 2) if self.return_sequences else None
        dstate = None if self.return_sequences else State(dy, np.zeros_like(dy))
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
        found = {"kernel": gradients.dW, "recurrent_kernel": gradients.dU, "bias": gradients.db}
        return {key: found[key] for key in self.params}

    def __call__(
        self,
        x: ArrayLike,
        mask: ArrayLike | None = None,
        initial_state: Sequence[ArrayLike] | None = None,
    ) -> Array | tuple[Array, Array, Array]:
        """Run the layer on its own: x (B, T, D), mask (B, T), initial_state [h, c] of (B, H) each.

        Returns the output, or (output, h, c) with `return_state`. Builds the layer at its first use.
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
        return output, tape.last_state.h, tape.last_state.c

    def checked_state(self, initial_state: Sequence[ArrayLike], B: int) -> State:
        """[h, c] as a State of this layer's dtype; ValueError where a shape or a value is wrong."""
        if not isinstance(initial_state, (list, tuple)) or len(initial_state) != 2:
            expected, got = f"[h, c] of shape {(B, self.units)} each", type(initial_state).__name__
            if isinstance(initial_state, (list, tuple)):
                got += f" of {len(initial_state)}"
            raise ValueError(wording(f"initial_state of layer {self.label!r}", expected, got))
        what = f"initial_state of layer {self.label!r}"
        h, c = (np.ascontiguousarray(numeric_array(what, part), self.dtype) for part in initial_state)
        for part in (h, c):
            if part.shape != (B, self.units):
                expected = f"[h, c] of shape {(B, self.units)} each"
                raise ValueError(wording(f"initial_state of layer {self.label!r}", expected, part.shape))
            if not np.isfinite(part).all():
                raise ValueError(wording(f"initial_state of layer {self.label!r}", "finite", "NaN or Inf"))
        return State(h, c)


def checked_mask(mask: ArrayLike, shape: tuple[int, ...]) -> Array:
    """`mask` as bool (B, T); ValueError or TypeError where shape or values are wrong."""
    array = numeric_array("mask", mask)
    if array.shape != tuple(shape):
        raise ValueError(wording("mask", f"of shape {tuple(shape)} (batch, time)", array.shape))
    if array.dtype.kind != "b" and not np.isin(array, (0, 1)).all():
        bad = array[~np.isin(array, (0, 1))].flat[0]
        raise ValueError(wording("mask", "of True and False (or 1 and 0)", bad))
    return array.astype(bool)
