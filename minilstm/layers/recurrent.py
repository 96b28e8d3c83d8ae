"""What the recurrent layers share: Keras's words and (B, T, .) outside, symbols and (T, B, .) inside.

The turn from one to the other, and the flip of a layer that reads backwards, stand here. The work is done
in `bptt`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple, Unpack

import numpy as np
from numpy.typing import ArrayLike

from minilstm.bptt.cell import Cell, Gradients, State, Weights
from minilstm.bptt.engine import Engine
from minilstm.bptt.tape import Contents
from minilstm.checkpoints.slots import Plan
from minilstm.compiled import chunks, engines
from minilstm.foundations.arrays import Array, numeric_array
from minilstm.foundations.errors import one_of, real_number, sized, switch, whole_number, wording
from minilstm.initializers import Chrono, Initializer
from minilstm.layers.base import Layer, Shape, declare_weight
from minilstm.layers.dropout import drop
from minilstm.layers.words import NEUTRAL, NEUTRAL_RECURRENT, Words
from minilstm.regularizers import Regularizer

SEGMENT_STEPS = 1024  # where nothing asks for fewer: backward can end between two of them, see `segments`


class Common(Words, total=False):
    """The arguments of `Recurrent`, for the signatures of its subclasses."""

    return_sequences: bool
    return_state: bool
    go_backwards: bool
    stateful: bool
    zero_output_for_mask: bool
    dropout: float
    recurrent_dropout: float
    use_bias: bool
    kernel_initializer: str | Initializer
    recurrent_initializer: str | Initializer
    bias_initializer: str | Initializer
    kernel_regularizer: str | Regularizer | None
    recurrent_regularizer: str | Regularizer | None
    bias_regularizer: str | Regularizer | None
    checkpoint_steps: int | Literal["auto"] | None
    checkpoint_slots: int | None
    checkpoint_records: int | None
    truncate_steps: int | None
    truncate_from: str
    backend: str


class RecurrentTape(NamedTuple):
    """What a recurrent layer leaves for backward."""

    steps: Any  # chunks.Tapes, in the order in which the layer reads; chunks.Ended where nothing is kept
    drop: Array | None  # (B, D) the dropout of its input

    @property
    def nbytes(self) -> int:
        """Bytes that wait for the backward pass, the input apart."""
        return int(self.steps.nbytes)

    @property
    def last_state(self) -> State:
        """The state after the last step, (B, H) each."""
        found: State = self.steps.last_state
        return found


class Recurrent(Layer):
    """What the recurrent layers have in common; use `LSTM`, `GRU` or `SimpleRNN`.

    A subclass gives its `cell`, and the shape of its bias.

    Parameters
    ----------
    units : H, the size of the hidden state
    return_sequences : whether the output is h of every step, (B, T, H), instead of the last, (B, H)
    return_state : whether a call returns (output, *states) instead of output
    go_backwards : whether to read from the last step to the first; the output stays in the order of
        reading, and so does the mask it carries on (Keras leaves the mask unturned)
    stateful : whether each batch starts from the state in which the last one ended, sample by sample,
        until `reset_state()`; the gradient ends at the batch. A trace reads that state and leaves it
    zero_output_for_mask : whether the output of a masked step is 0 instead of the held state; the state
        itself is held in either case. As in Keras also the last output, where the last step is masked
    dropout, recurrent_dropout : rates of input and of h_prev set to 0 in training, where they enter the
        products with W and U. One draw per call for each sample and feature, shared by all time steps and
        all gates (Gal and Ghahramani 2016). Keras does the same with recurrent_dropout=0, and otherwise
        draws for each gate (four for x and four for h in an LSTM)
    use_bias : whether there is a bias
    kernel_, recurrent_, bias_initializer : how the weights begin: see `minilstm.initializers`
    kernel_, recurrent_, bias_regularizer : penalties on the weights: see `minilstm.regularizers`
    checkpoint_steps : k to keep only every k-th state of the forward pass and compute the steps between
        them again in the backward pass: the same gradient, far less memory; "auto" for about sqrt(T)
    checkpoint_slots : n to keep n states at a time, at the places that need the fewest steps again (Griewank
        and Walther 2000): the same gradient, memory that does not grow with the length
    checkpoint_records : the same with n steps kept whole (Gruslys et al. 2016)
    truncate_steps : k to cut the gradient at every k-th step: truncated backpropagation through time. The
        pieces begin with the first step: of 101 steps and k = 100 the last piece has one step alone
    truncate_from : whether these steps are counted from the "start", or from the "end", so that the last
        segment, which a loss on the last step reaches, is a whole one
    backend : "numba" (compiled kernels) or "numpy" (the readable reference). Where there is no kernel
        (other activations, variants, training with recurrent_dropout) NumPy works, after one warning.
        They agree to rounding, but where sums overflow: see `minilstm.trace.nonfinite`

    A mask (B, T), True = real step, may have any pattern. A masked step holds the state; the output of
    a masked step is the held state. Keras's back ends disagree where a sequence starts with masked
    steps and an initial state that is not zero: there these layers give the state, as JAX does.
    """

    neutral: ClassVar[dict[str, str]] = NEUTRAL | NEUTRAL_RECURRENT
    reads_sequences = True
    cell: Cell
    bias_initializer: str | Initializer
    observer: Callable[[Gradients, Array | None], None] | None = None
    """Called after each backward pass in training with its gradients, their norms included, and the mask."""

    def __init__(
        self,
        units: int,
        *,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        zero_output_for_mask: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        use_bias: bool = True,
        kernel_initializer: str | Initializer = "glorot_uniform",
        recurrent_initializer: str | Initializer = "orthogonal",
        bias_initializer: str | Initializer = "zeros",
        kernel_regularizer: str | Regularizer | None = None,
        recurrent_regularizer: str | Regularizer | None = None,
        bias_regularizer: str | Regularizer | None = None,
        checkpoint_steps: int | Literal["auto"] | None = None,
        checkpoint_slots: int | None = None,
        checkpoint_records: int | None = None,
        truncate_steps: int | None = None,
        truncate_from: str = "start",
        backend: str = "numba",
        **words: Unpack[Words],
    ) -> None:
        super().__init__(**words)
        self.units = whole_number("units", units)
        self.return_sequences = switch("return_sequences", return_sequences)
        self.return_state = switch("return_state", return_state)
        self.go_backwards = switch("go_backwards", go_backwards)
        self.stateful = switch("stateful", stateful)
        self.zero_output_for_mask = switch("zero_output_for_mask", zero_output_for_mask)
        self.dropout = real_number("dropout", dropout, below=1.0)
        self.recurrent_dropout = real_number("recurrent_dropout", recurrent_dropout, below=1.0)
        self.use_bias = switch("use_bias", use_bias)
        declare_weight(self, "kernel", "kernel", kernel_initializer, kernel_regularizer)
        declare_weight(self, "recurrent_kernel", "recurrent", recurrent_initializer, recurrent_regularizer)
        declare_weight(self, "bias", "bias", bias_initializer, bias_regularizer)
        memory = {
            "checkpoint_steps": checkpoint_steps,
            "checkpoint_slots": checkpoint_slots,
            "checkpoint_records": checkpoint_records,
            "truncate_steps": truncate_steps,
        }
        given = [argument for argument, value in memory.items() if value is not None]
        if len(given) > 1:
            raise ValueError(wording(given[0], f"given alone, without {given[1]}", "both"))
        automatic = isinstance(checkpoint_steps, str) and checkpoint_steps == "auto"
        self.checkpoint_steps = checkpoint_steps
        if checkpoint_steps is not None and not automatic:
            self.checkpoint_steps = whole_number("checkpoint_steps", checkpoint_steps)
        self.checkpoint_slots = _whole("checkpoint_slots", checkpoint_slots)
        self.checkpoint_records = _whole("checkpoint_records", checkpoint_records)
        self.truncate_steps = _whole("truncate_steps", truncate_steps)
        self.truncate_from = one_of("truncate_from", truncate_from, ("start", "end"))
        self.backend = one_of("backend", backend, engines.BACKENDS)
        self.training_backend = self.backend
        self.state: State | None = None  # of a stateful layer, after its last batch

    @property
    def draws(self) -> bool:
        return self.dropout > 0 or self.recurrent_dropout > 0

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 2 or input_shape[1] is None:
            got = f"(batch, {', '.join('any' if size is None else str(size) for size in input_shape)})"
            raise ValueError(wording(f"input of layer {self.label!r}", "(batch, time, features)", got))
        if self.built and input_shape[1] != self.params["kernel"].shape[0]:
            expected = f"of {self.params['kernel'].shape[0]} features"
            raise ValueError(wording(f"input of layer {self.label!r}", expected, input_shape[1]))
        return (input_shape[0], self.units) if self.return_sequences else (self.units,)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Any:
        output = super().compute_output_shape(input_shape)
        return (output, *[(output[0], self.units)] * len(self.cell.states)) if self.return_state else output

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
        if isinstance(self.bias_initializer, Chrono):
            self.initializers["bias"] = partial(self.bias_initializer.bias, self.cell.gates)
        return super()._make_params(input_shape, rng, dtype)

    def make_weights(self, input_shape: Shape, rng: np.random.Generator, dtype: np.dtype[Any]) -> None:
        super().make_weights(input_shape, rng, dtype)
        self.backend = engines.resolve_backend(self.backend, self.cell)
        if self.recurrent_dropout and self.training_backend == self.backend == "numba":
            message = "no compiled kernel for recurrent_dropout; the NumPy backend does the work of training"
            warnings.warn(message, RuntimeWarning, stacklevel=4)
        self.training_backend = "numpy" if self.recurrent_dropout else self.backend

    @property
    def symbols(self) -> Weights:
        """The weights in the symbols of the equations: W (D, nH), U (H, nH), b (nH,), ..."""
        kernel = self.params["kernel"]
        bias = self.params["bias"] if self.use_bias else np.zeros(kernel.shape[1], kernel.dtype)
        return Weights(kernel, self.params["recurrent_kernel"], bias)

    def segment_steps(self, T: int) -> int:
        """Steps in a segment of the time axis: T, unless checkpoints or truncation ask for fewer."""
        if self.checkpoint_steps == "auto":
            return max(1, round(math.sqrt(T)))
        return min(T, self.checkpoint_steps or self.truncate_steps or SEGMENT_STEPS)

    def plan(self, T: int) -> Plan | None:
        """The schedule of checkpoints in slots, where these are asked for."""
        if self.checkpoint_slots is not None:
            return Plan(T, self.checkpoint_slots, "states")
        return None if self.checkpoint_records is None else Plan(T, self.checkpoint_records, "records")

    def tape_bytes(self, batch: int, length: int) -> int:
        """Bytes of the tape of one training batch, to the byte; the input apart."""
        (D, _), H, plan = self.params["kernel"].shape, self.units, self.plan(length)
        return engines.tape_bytes(
            self.cell,
            length,
            batch,
            D,
            H,
            self.dtype.itemsize,
            self.training_backend,
            self.segment_steps(length),
            self._keep("boundaries"),
            None if plan is None else plan.waiting,
        )

    def memory(self, batch: int, length: int) -> dict[str, int]:
        return super().memory(batch, length) | {self.label: self.tape_bytes(batch, length)}

    def _engine(self, backend: str, B: int) -> Engine:
        """What runs the steps of a batch of B samples."""
        return engines.engine_of(backend, B)

    def _keep(self, keep: Contents) -> Contents:
        """What is asked for; without checkpoints a backward pass is given every step."""
        return "everything" if keep == "boundaries" and self.checkpoint_steps is None else keep

    def forward(
        self,
        x: Array,
        mask: Array | None,
        *,
        keep: Contents,
        rng: np.random.Generator | None = None,
        initial_state: State | None = None,
    ) -> tuple[Array, Array | None, RecurrentTape]:
        if self.go_backwards:
            x, mask = x[:, ::-1], None if mask is None else mask[:, ::-1]
        if mask is not None:
            x = x.copy()
            x[~mask] = 0  # a masked step may contain anything, NaN too
        B, T, D = x.shape
        drop_x = drop_h = None
        if rng is not None:
            drop_x = drop((B, D), self.dropout, rng, x.dtype)
            drop_h = drop((B, self.units), self.recurrent_dropout, rng, x.dtype)
            x = x if drop_x is None else x * drop_x[:, None]
        outputs = np.empty((B, T, self.units), x.dtype) if self.return_sequences else None
        engine = self._engine(self.backend if rng is None else self.training_backend, B)
        state = self._first_state(B) if initial_state is None else initial_state
        steps: chunks.Tapes | chunks.Ended
        if keep == "outputs" and engine.read is not None:
            steps = chunks.read(self.cell, self.symbols, x, mask, state, outputs, engine)
        else:
            steps = chunks.forward(
                self.cell,
                self.symbols,
                x.transpose(1, 0, 2),
                None if mask is None else mask.T,
                state,
                engine=engine,
                segment_steps=self.segment_steps(T),
                from_end=self.truncate_from == "end",
                keep=self._keep(keep),
                outputs=None if outputs is None else outputs.transpose(1, 0, 2),
                drop=drop_h,
                plan=self.plan(T) if keep == "boundaries" else None,
            )
        if self.stateful and keep != "everything":
            self.state = tuple(part.copy() for part in steps.last_state)  # the caller may write to the output
        output = steps.last_state[0] if outputs is None else outputs
        return (
            self.visible(output, mask),
            mask if self.return_sequences else None,
            RecurrentTape(steps, drop_x),
        )

    def _first_state(self, B: int) -> State | None:
        """The state that a stateful layer kept."""
        if self.state is not None and len(self.state[0]) != B:
            expected = f"a batch of {len(self.state[0])} samples like the one before (or call reset_state())"
            raise ValueError(wording(f"input of the stateful layer {self.label!r}", expected, B))
        return self.state

    def reset_state(self) -> None:
        """Forget the state that a stateful layer kept: the next batch starts from zeros."""
        self.state = None

    def carried_mask(self, mask: Array) -> Array | None:
        return self.input_order(mask) if self.return_sequences else None

    def visible(self, array: Array, mask: Array | None) -> Array:
        """An output, or its gradient, with zeros at masked steps if they are asked for."""
        if mask is None or not self.zero_output_for_mask:
            return array
        return np.where(mask[..., None] if self.return_sequences else mask[:, -1:], array, 0)

    def backward(
        self, dy: Array, tape: RecurrentTape, *, need_dx: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        record: Literal["norms", False] = "norms" if self.observer else False
        gradients = self.bptt(dy, tape, need_dx=need_dx, record=record, overwrite=True)
        if self.observer:
            self.observer(gradients, tape.steps.mask)
        dx = None if gradients.dx is None else self.input_order(gradients.dx.transpose(1, 0, 2))
        return dx, self.named(gradients)

    def input_order(self, array: Array) -> Array:
        """(B, T, ...) in the order of the input, from the order in which the layer reads."""
        return array[:, ::-1] if self.go_backwards else array

    def external(self, dy: Array, tape: RecurrentTape) -> Array:
        """What dL/d(output) says of each h_t directly, (B, T, H): of the last one, or of all."""
        mask = tape.steps.mask
        dy = self.visible(dy, None if mask is None else mask.T)
        if self.return_sequences:
            return dy
        found = np.zeros((len(dy), len(tape.steps.x), self.units), dy.dtype)
        found[:, -1] = dy
        return found

    def bptt(
        self,
        dy: Array,
        tape: RecurrentTape,
        *,
        need_dx: bool,
        record: bool | Literal["norms"],
        overwrite: bool,
    ) -> Gradients:
        """Backpropagate dL/d(output) through time; time-major gradients, per step too if `record`."""
        external = dstate = None
        if self.return_sequences:
            external = self.external(dy, tape).transpose(1, 0, 2)
        else:
            mask = tape.steps.mask
            dh = self.visible(dy, None if mask is None else mask.T)
            dstate = (dh, *(np.zeros(dh.shape, dh.dtype) for _ in self.cell.states[1:]))
        gradients = chunks.backward(
            self.symbols,
            tape.steps,
            external,
            dstate,
            need_dx=need_dx,
            record=record,
            truncate=self.truncate_steps is not None,
            overwrite=overwrite,
        )
        if gradients.dx is not None and tape.drop is not None:
            gradients.dx *= tape.drop
        return gradients

    def named(self, gradients: Gradients) -> dict[str, Array]:
        """The weight gradients under the names of the weights."""
        dweights = gradients.dweights
        found = {"kernel": dweights.W, "recurrent_kernel": dweights.U, "bias": dweights.b}
        return {key: found[key] for key in self.params if key in found}

    def __call__(  # type: ignore[override]  # as in Keras, the initial state comes before the mask
        self,
        sequences: ArrayLike,
        initial_state: Sequence[ArrayLike] | ArrayLike | None = None,
        mask: ArrayLike | None = None,
        training: bool = False,
    ) -> Array | tuple[Array, ...]:
        """Run the layer on its own: sequences (B, T, D), initial_state [h] or [h, c] of (B, H), mask (B, T).

        Returns the output, or (output, *states) with `return_state`. Builds the layer at its first use.
        With `training` there is dropout. layer(x, mask) is understood too: no state is of bool.
        """
        if isinstance(initial_state, np.ndarray) and initial_state.dtype == bool and mask is None:
            initial_state, mask = None, initial_state
        x, real = self.checked_call(sequences, mask)
        state = None if initial_state is None else self.checked_state(initial_state, len(x))
        output, _, tape = self.forward(
            x, real, keep="outputs", rng=self.call_rng(training), initial_state=state
        )
        return (output, *tape.last_state) if self.return_state else output

    def checked_inputs(self, inputs: ArrayLike) -> Array:
        x = numeric_array("x", inputs).astype(self.dtype, copy=False)
        if x.ndim != 3 or 0 in x.shape:
            raise ValueError(wording("x", "(batch, time, features), none of them 0", x.shape))
        return x

    def checked_state(self, initial_state: Sequence[ArrayLike] | ArrayLike, B: int) -> State:
        """[h, c], or [h], as a State of this layer's dtype; ValueError where a shape or a value is wrong.

        Where there is one state, it may come without its list.
        """
        states = self.cell.states
        if isinstance(initial_state, np.ndarray) and len(states) == 1 and initial_state.ndim == 2:
            initial_state = [initial_state]
        what = f"initial_state of layer {self.label!r}"
        expected = f"[{', '.join(states)}] of shape {(B, self.units)}" + " each" * (len(states) > 1)
        if not isinstance(initial_state, (list, tuple)) or len(initial_state) != len(states):
            raise ValueError(wording(what, expected, sized(initial_state)))
        found = tuple(np.ascontiguousarray(numeric_array(what, part), self.dtype) for part in initial_state)
        if any(np.asarray(part).dtype == bool for part in initial_state):
            raise ValueError(wording(what, "of numbers", "True and False: is it the mask? pass mask="))
        for part in found:
            if part.shape != (B, self.units):
                raise ValueError(wording(what, expected, part.shape))
            if not np.isfinite(part).all():
                raise ValueError(wording(what, "finite", "NaN or Inf"))
        return found


def _whole(argument: str, value: int | None) -> int | None:
    return None if value is None else whole_number(argument, value)
