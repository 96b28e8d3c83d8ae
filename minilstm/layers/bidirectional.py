"""Bidirectional: two recurrent layers, one that reads forwards and one that reads backwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Unpack

import numpy as np
from numpy.typing import ArrayLike

from minilstm.bptt.cell import State
from minilstm.bptt.tape import Contents
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import one_of, shown, sized, wording
from minilstm.layers.base import Shape
from minilstm.layers.recurrent import Recurrent, RecurrentTape
from minilstm.layers.words import Words
from minilstm.layers.wrappers import Wrapper

MERGE_MODES = ("concat", "sum", "ave", "mul")
SHARED = ("return_sequences", "return_state", "stateful")  # what both layers must agree in


class BidirectionalTape(NamedTuple):
    """What Bidirectional leaves for backward."""

    inner: tuple[RecurrentTape, RecurrentTape]
    outputs: tuple[Array, Array]  # before they are merged, in the order of the input

    @property
    def last_state(self) -> State:
        """The last states of the layer that reads forwards, then of the other."""
        return self.inner[0].last_state + self.inner[1].last_state


class Bidirectional(Wrapper):
    """A recurrent layer and its twin that reads backwards; each step sees past and future.

    Parameters
    ----------
    layer : LSTM, GRU or SimpleRNN; both layers are made from its arguments, and it is not used itself
    merge_mode : how the two outputs become one: "concat", "sum", "ave" (mean), "mul", or None for both
    backward_layer : a layer of other arguments in place of the twin; it must have the other go_backwards

    The layers are called forward_NAME and backward_NAME after `layer`, and their weights stand in this
    order: "bidirectional/forward_lstm/kernel". Both read only real steps, so a sequence with padding gives
    what it gives without. As in Keras: with return_sequences the outputs at masked steps are 0
    (zero_output_for_mask), and without it the layer that reads backwards gives its state at the first step.

    A call returns the output (with merge_mode=None both), then with return_state the states of the layer
    that reads forwards and those of the other; `initial_state` is a list in the same order.

    >>> import minilstm as ml
    >>> Bidirectional(ml.LSTM(4, return_sequences=True))(np.ones((2, 5, 3))).shape
    (2, 5, 8)
    """

    def __init__(
        self,
        layer: Recurrent,
        merge_mode: str | None = "concat",
        *,
        backward_layer: Recurrent | None = None,
        **words: Unpack[Words],
    ) -> None:
        for argument, value in (("layer", layer), ("backward_layer", backward_layer)):
            if not isinstance(value, Recurrent) and not (value is None and argument == "backward_layer"):
                raise TypeError(wording(argument, "an LSTM, GRU or SimpleRNN", shown(value)))
        self.merge_mode = None if merge_mode is None else one_of("merge_mode", merge_mode, MERGE_MODES)
        other = {"go_backwards": not layer.go_backwards}
        forwards = _again(layer, "forward", {})
        backwards = _again(backward_layer or layer, "backward", {} if backward_layer else other)
        for key in SHARED:
            if getattr(forwards, key) != getattr(backwards, key):
                expected = f"with the same {key} as layer, {getattr(forwards, key)}"
                raise ValueError(wording("backward_layer", expected, getattr(backwards, key)))
        if forwards.go_backwards == backwards.go_backwards:
            expected = f"with go_backwards={not layer.go_backwards}"
            raise ValueError(wording("backward_layer", expected, forwards.go_backwards))
        if self.merge_mode != "concat" and self.merge_mode and forwards.units != backwards.units:
            expected = f"of {forwards.units} units, to be merged by {merge_mode!r}"
            raise ValueError(wording("backward_layer", expected, backwards.units))
        self.forward_layer, self.backward_layer = forwards, backwards
        self.return_sequences, self.return_state = forwards.return_sequences, forwards.return_state
        if not layer.built and "input_shape" not in words:
            words["input_shape"] = layer.input_shape
        super().__init__([forwards, backwards], **words)

    @property
    def layer(self) -> Recurrent:
        """The layer that reads forwards: with `backward_layer` it makes this one again."""
        return self.forward_layer

    def inner_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def output_shape(self, input_shape: Shape) -> Shape:
        *time, units = self.forward_layer.output_shape(input_shape)
        self.backward_layer.output_shape(input_shape)
        return (
            *time,
            self.forward_layer.units + self.backward_layer.units if self.merge_mode == "concat" else units,
        )

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Any:
        """Shape of a batch's output, or of all that a call returns, as in Keras."""
        output = super().compute_output_shape(input_shape)
        outputs = (output, output) if self.merge_mode is None else (output,)
        layers = (self.forward_layer, self.backward_layer) if self.return_state else ()
        states = [(output[0], one.units) for one in layers for _ in one.cell.states]
        return (*outputs, *states) if len(outputs) + len(states) > 1 else output

    def forward(
        self,
        x: Array,
        mask: Array | None,
        *,
        keep: Contents,
        rng: np.random.Generator | None = None,
        initial_state: State | None = None,
    ) -> tuple[Any, Array | None, BidirectionalTape]:
        n = len(self.forward_layer.cell.states)
        states = (None, None) if initial_state is None else (initial_state[:n], initial_state[n:])
        runs = [
            sub.forward(x, mask, keep=keep, rng=rng, initial_state=state)
            for sub, state in zip((self.forward_layer, self.backward_layer), states, strict=True)
        ]
        outputs = self._in_time([output for output, _, _ in runs])
        after = None if mask is None else self.carried_mask(mask)
        return self._merged(*outputs), after, BidirectionalTape((runs[0][2], runs[1][2]), outputs)

    def carried_mask(self, mask: Array) -> Array | None:
        return mask if self.return_sequences else None

    def _in_time(self, pair: Sequence[Array]) -> tuple[Array, Array]:
        """Outputs in the order of the input from those in the order of reading; or gradients, back again."""
        if not self.return_sequences:
            return pair[0], pair[1]
        return self.forward_layer.input_order(pair[0]), self.backward_layer.input_order(pair[1])

    def _merged(self, a: Array, b: Array) -> Any:
        match self.merge_mode:
            case "concat":
                return np.concatenate([a, b], axis=-1)
            case "sum":
                return a + b
            case "ave":
                return (a + b) / 2
            case "mul":
                return a * b
        return a, b

    def split(self, dy: Any, tape: BidirectionalTape) -> list[tuple[Array, Any]]:
        a, b = tape.outputs
        match self.merge_mode:
            case "concat":
                pair = dy[..., : a.shape[-1]], dy[..., a.shape[-1] :]
            case "sum":
                pair = dy, dy
            case "ave":
                pair = dy / 2, dy / 2
            case "mul":
                pair = dy * b, dy * a
            case _:
                pair = dy
        return list(zip(self._in_time(pair), tape.inner, strict=True))

    def join(self, dxs: Sequence[Array], tape: BidirectionalTape) -> Array:
        return dxs[0] + dxs[1]

    def split_steps(self, reached: Array | None) -> list[Array | None]:
        return [None, None] if reached is None else [*self._in_time((reached, reached))]

    def join_steps(self, entered: Sequence[Array | None], reached: Array | None) -> Array | None:
        a, b = entered
        return None if a is None or b is None else a | b

    def reset_state(self) -> None:
        """Forget the states that stateful layers kept."""
        for sub in (self.forward_layer, self.backward_layer):
            sub.reset_state()

    def checked_inputs(self, inputs: ArrayLike) -> Array:
        return self.forward_layer.checked_inputs(inputs)

    def checked_state(self, initial_state: Sequence[ArrayLike], B: int) -> State:
        """The states of both layers, checked as theirs are."""
        n = len(self.forward_layer.cell.states)
        if not isinstance(initial_state, (list, tuple)) or len(initial_state) != 2 * n:
            first, second = self.forward_layer.label, self.backward_layer.label
            expected = f"a list of {2 * n} arrays, first of {first}, then of {second}"
            what = f"initial_state of layer {self.label!r}"
            raise ValueError(wording(what, expected, sized(initial_state)))
        forwards = self.forward_layer.checked_state(initial_state[:n], B)
        return forwards + self.backward_layer.checked_state(initial_state[n:], B)

    def __call__(  # type: ignore[override]  # as in Keras, the initial state comes before the mask
        self,
        sequences: ArrayLike,
        initial_state: Sequence[ArrayLike] | None = None,
        mask: ArrayLike | None = None,
        training: bool = False,
    ) -> Any:
        """Run the layer on its own: sequences (B, T, D), mask (B, T). Builds the layer at its first use."""
        x, real = self.checked_call(sequences, mask)
        state = None if initial_state is None else self.checked_state(initial_state, len(x))
        output, _, tape = self.forward(
            x, real, keep="outputs", rng=self.call_rng(training), initial_state=state
        )
        if not self.return_state:
            return output
        return *(output if self.merge_mode is None else (output,)), *tape.last_state


def _again(layer: Recurrent, direction: str, changes: dict[str, Any]) -> Recurrent:
    """A layer of the same arguments, without weights, named after its direction of reading."""
    config = layer.config() | {"input_shape": None, "zero_output_for_mask": layer.return_sequences}
    name = f"{direction}_{layer.label.removeprefix(f'{direction}_')}"
    return type(layer)(**(config | {"name": name} | changes))
