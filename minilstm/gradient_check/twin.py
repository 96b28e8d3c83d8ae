"""A model twice: in float64 with its own gradients, and as a function of everything that can be nudged."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from minilstm.bptt.cell import State
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import wording
from minilstm.gradient_check.numeric import COMPLEX, TINY, Method
from minilstm.gradient_check.report import Comparison
from minilstm.layers import Embedding, Layer, Recurrent
from minilstm.layers.wrappers import inside
from minilstm.network import batches, passes
from minilstm.network.network import optimizer_and_loss
from minilstm.network.tracing import checked_states

if TYPE_CHECKING:
    from collections.abc import Sequence

    from minilstm.model import Sequential


class Analytic(NamedTuple):
    """A model in float64 with one batch, and all its gradients by their names in the report."""

    model: Sequential
    data: Any
    states: dict[str, State]
    gradients: dict[str, Array]


class _Shift(Layer):
    """x + shift: a layer in front of the others, whose gradient of `shift` is dL/dx."""

    def output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def forward(
        self, x: Array, mask: Array | None, *, keep: Any, rng: np.random.Generator | None = None
    ) -> tuple[Array, Array | None, None]:
        return x, mask, None

    def backward(self, dy: Array, tape: None, *, need_dx: bool) -> tuple[Array | None, dict[str, Array]]:
        return None, {"shift": dy}


def analytic(
    model: Sequential,
    x: ArrayLike,
    y: ArrayLike,
    mask: ArrayLike | None,
    initial_state: dict[str, Sequence[ArrayLike]] | None,
) -> Analytic:
    twin = as_dtype(model, np.dtype(np.float64))
    data = batches.checked(twin, x, y, mask)
    states = checked_states(twin, initial_state, data.size)
    for layer in recurrent_layers(twin):
        zeros = tuple(np.zeros((data.size, layer.units)) for _ in layer.cell.states)
        states.setdefault(layer.label, zeros)
    layers = list(twin.layers)
    if not isinstance(layers[0], Embedding):
        shift = _Shift(name="\0")
        shift.params, shift.built = {"shift": np.zeros(0)}, True
        layers.insert(0, shift)
    done = passes.forward(layers, data.x, data.mask, keep="everything", states=states)
    loss = passes.loss_and_gradient(layers, optimizer_and_loss(twin)[1], data.y, done)
    gradients, traces = passes.backward(layers, loss, done, record=True)
    dx = gradients.pop("\0/shift", None)
    if dx is not None:
        gradients["dx"] = dx
    for layer in recurrent_layers(twin):
        trace = traces[layer.label]
        names = [f"d{state}0" for state in layer.cell.states] + [f"d{state}" for state in layer.cell.states]
        gradients |= {f"{layer.label}/{name}": getattr(trace, name) for name in [*names, "dz"]}
    return Analytic(twin, data, states, gradients)


def as_dtype(model: Sequential, dtype: np.dtype[Any], backend: str | None = None) -> Sequential:
    """A copy of the model with weights of that dtype, and on that backend if given."""
    twin = copy.deepcopy(model)
    twin.dtype = dtype
    for layer in twin.layers:
        if layer.built:
            assert layer.input_shape is not None
            layer.make_weights(layer.input_shape, np.random.default_rng(0), dtype)
    if backend is not None:
        for recurrent in (one for one in inside(twin.layers) if isinstance(one, Recurrent)):
            recurrent.backend = backend
    return twin


def recurrent_layers(model: Sequential) -> list[Recurrent]:
    return [layer for layer in model.layers if isinstance(layer, Recurrent)]


class Twin:
    """The model as a function of everything that can be nudged; real or complex, as the method wants."""

    def __init__(self, given: Analytic, method: Method) -> None:
        self.method, self.gradients = method, given.gradients
        self.model = as_dtype(given.model, method.dtype, "numpy")
        self.layers = self.model.layers
        self.loss = optimizer_and_loss(given.model)[1]
        data = given.data
        self.ids = isinstance(self.layers[0], Embedding)
        self.x = data.x if self.ids else data.x.astype(method.dtype)
        self.y, self.mask = data.y, data.mask
        self.states = {
            name: tuple(part.astype(method.dtype) for part in state) for name, state in given.states.items()
        }
        reason = "'central' for this model, whose forward pass cannot run on complex numbers"
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            try:
                self.done, self.inputs = self._base()
            except (np.exceptions.ComplexWarning, TypeError) as error:
                raise ValueError(wording("method", f"{reason} ({error})", "another")) from None
        self.value = abs(self._value(self.done))
        if method is COMPLEX and self._loses_imaginary_parts():
            expected = f"{reason}: it drops their imaginary part (abs, conj, real, ...)"
            raise ValueError(wording("method", expected, "another"))

    def _base(self) -> tuple[passes.Pass, list[tuple[Array, Array | None]]]:
        """The pass without any nudge, and the input and mask of each layer."""
        x, mask, tapes, inputs = self.x, self.mask, [], []
        for layer in self.layers:
            inputs.append((x, mask))
            x, mask, (tape,) = passes.forward([layer], x, mask, keep="everything", states=self.states)
            tapes.append(tape)
        return passes.Pass(x, mask, tapes), inputs

    def _loses_imaginary_parts(self) -> bool:
        """Whether the complex step along a direction is far from a difference of real values along it."""
        rng = np.random.default_rng(0)
        targets = list(self.model.named_weights.values())  # x may hold the zeros that Masking looks for
        directions = [rng.normal(size=array.shape) for array in targets]
        kept = [array.copy() for array in targets]
        values = []
        for offset in (1j * TINY, 1e-6, -1e-6):
            for array, before, direction in zip(targets, kept, directions, strict=True):
                array[...] = before + offset * direction
            values.append(self.whole(0))
        for array, before in zip(targets, kept, strict=True):
            array[...] = before
        step, above, below = values
        slope, difference = step.imag / TINY, (above - below).real / 2e-6
        moved = (abs(above - step.real) + abs(below - step.real)) / 2e-6  # where the slope is 0, by its bend
        return abs(slope - difference) > 1e-2 * moved + 1e-6 * self.value

    @property
    def recurrent(self) -> list[Recurrent]:
        return recurrent_layers(self.model)

    def _value(self, done: passes.Pass) -> float | complex:
        logits = self.layers[-1].logits(done.tapes[-1])
        return passes.loss_of(self.layers, self.loss, self.y, done.output, logits, done.mask)[0]

    def whole(self, start: int) -> float | complex:
        """The loss of the batch with the weights and inputs of layer `start` and above as they are now."""
        x, mask = self.inputs[start]
        done = passes.forward(self.layers[start:], x, mask, keep="outputs", states=self.states)
        return self._value(done)

    def rows(
        self, samples: Array, x: Array, mask: Array | None, states: dict[str, State], start: int = 0
    ) -> Array:
        """The loss for each row: the batch with sample `samples[r]` replaced by row r, (R,).

        x, mask, states : inputs of layer `start` and the layers above it, one row each.
        """
        done = passes.forward(self.layers[start:], x, mask, keep="outputs", states=states)
        output, logits, row_z = self.done.output.copy(), None, None
        if start < len(self.layers):
            row_logits = self.layers[-1].logits(done.tapes[-1])
            row_z = None if row_logits is None else row_logits[1]
        base = self.layers[-1].logits(self.done.tapes[-1])
        if base is not None:
            logits = base[0], base[1].copy()
        values = np.empty(len(samples), self.method.dtype)
        for r, b in enumerate(samples):
            output[b] = done.output[r]
            if logits is not None and row_z is not None:
                logits[1][b] = row_z[r]
            values[r] = passes.loss_of(self.layers, self.loss, self.y, output, logits, self.done.mask)[0]
            output[b] = self.done.output[b]
            if base is not None and logits is not None:
                logits[1][b] = base[1][b]
        return values

    def row_states(self, samples: Array) -> dict[str, State]:
        return {name: tuple(part[samples] for part in state) for name, state in self.states.items()}

    def compare(
        self,
        name: str,
        shape: tuple[int, ...],
        chosen: Array,
        values: Array,
        axes: tuple[str, ...],
        gates: tuple[str, ...] = (),
        rounding: Array | float = 0.0,
    ) -> Comparison:
        """The values (n, offsets) of the loss at the chosen entries (n, ndim), beside the gradient.

        rounding : an error of the gradient that may be, for terms that cancel; broadcasts to `shape`
        """
        found, bounds = self.method.derivatives(values, self.value)
        numeric, bound = np.zeros(shape), np.zeros(shape)
        checked = np.zeros(shape, bool)
        at = tuple(chosen.T)
        numeric[at], bound[at], checked[at] = found, bounds, True
        bound += rounding
        return Comparison(name, np.asarray(self.gradients[name]), numeric, checked, axes, gates, bound)
