"""gradcheck: a model's own gradients held against the numbers, through the very code that trains.

The gradients come from the model's layers on their own backend, in float64. The numbers come from the
same layers on the NumPy backend, run on complex arrays: weights, inputs and states nudged by 1e-30 i.

Samples do not know of each other. So a nudge of x, of an initial state, or of a state in the middle of
the sequence concerns one sample, and thousands of them run side by side as rows of one batch; a row
whose nudge stands at step t begins at step t, from the state on the tape. Weights are nudged one by one.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from minilstm.arrays import Array
from minilstm.bptt.cell import State
from minilstm.errors import one_of, real_number, whole_number, wording
from minilstm.gradient_check.nudges import Nudged, nudged_states
from minilstm.gradient_check.numeric import CENTRAL, COMPLEX, TINY, Method, sample
from minilstm.gradient_check.report import AXES, Comparison, Report
from minilstm.layers import Embedding, Layer, Recurrent
from minilstm.layers.wrappers import Wrapper, inside
from minilstm.losses import Loss
from minilstm.network import batches, passes
from minilstm.network.network import optimizer_and_loss
from minilstm.network.tracing import checked_states

if TYPE_CHECKING:
    from minilstm.model import Sequential

TOLERANCES = {"complex": 1e-11, "central": 1e-6, "directional": 1e-10}
WEIGHT_WORK = 40_000  # entries of a weight times steps, up to which all entries are checked
SAMPLED_WORK = 10_000  # the same product where they are sampled
ROW_WORK = 1_000_000  # rows times steps times units, up to which all entries of x and states are checked
SAMPLED_ROWS = 500_000
BLOCK = 200_000  # rows times steps times units in one run


def gradcheck(
    model: Sequential,
    x: ArrayLike,
    y: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    method: str = "complex",
    initial_state: dict[str, Sequence[ArrayLike]] | None = None,
    entries: int | None = None,
    seed: int = 0,
    tolerance: float | None = None,
) -> Report:
    """Check every gradient of a model on one batch: weights, x, initial states, and dh_t, dc_t, dz_t.

    Parameters
    ----------
    model : compiled; it stays as it is. The check runs in float64 on the backend of each layer, in
        inference mode (without dropout)
    x, y, mask, initial_state : as in `Sequential.trace`
    method : "complex", the complex step: exact to rounding, however small a gradient is;
        "central", central differences with an error bound for each entry, which see large gradients only;
        "directional", the complex step along one random direction of each tensor: cheap at any size
    entries : how many entries of each tensor to check; None for all where that is cheap, and otherwise a
        sample from `seed`. The report says how many were checked
    tolerance : the largest error that passes, relative to the largest entry of the same tensor and time
        step; 1e-11 (complex), 1e-6 beyond the bound (central), 1e-10 (directional) if None

    Returns
    -------
    Report, with the tensors under their names in a trace: "rec/kernel", "dx", "rec/dh", "rec/dh0", ...
    Recurrent layers within a wrapper are checked by their weights and by dx; a note says so.

    Raises
    ------
    ValueError, TypeError : an argument cannot be meant
    RuntimeError : the model is not compiled, or has no layers

    >>> import minilstm as ml
    >>> model = ml.Sequential([ml.LSTM(3, input_shape=(5, 2), name="rec"), ml.Dense(1)], seed=0)
    >>> model.compile(loss="mse")
    >>> report = gradcheck(model, np.sin(np.arange(20.0)).reshape(2, 5, 2), [0.5, -0.5])
    >>> report.ok, report.max_error < 1e-12, report["rec/dh"].counted
    (True, True, 30)
    """
    one_of("method", method, TOLERANCES)
    chosen = CENTRAL if method == "central" else COMPLEX
    bound = TOLERANCES[method] if tolerance is None else real_number("tolerance", tolerance, above=True)
    limit = None if entries is None else whole_number("entries", entries)
    whole_number("seed", seed, 0)
    if not hasattr(model, "layers") or not hasattr(model, "compile"):
        raise TypeError(wording("model", "a Sequential", type(model).__name__))
    analytic = _analytic(model, x, y, mask, initial_state)
    network = _Network(analytic, chosen)
    report = Report([], chosen.words, bound)
    if method == "directional":
        report.method = "the complex step along one direction of each tensor"
        report.comparisons += _directions(network, np.random.default_rng(seed))
    else:
        rng = np.random.default_rng(seed)
        report.comparisons += _weights(network, rng, limit)
        report.comparisons += _inputs(network, rng, limit)
        for layer in network.recurrent:
            report.comparisons += _states(network, layer, rng, limit)
    for layer in network.recurrent:
        if layer.truncate_steps is not None:
            words = (
                f"layer {layer.label!r} truncates the gradient at every {layer.truncate_steps}. step, so what"
            )
            report.notes.append(f"{words} it gives is not the gradient of the loss")
    within = _gates(network.layers).keys() - {layer.label for layer in network.recurrent}
    if within and method != "directional":
        names = ", ".join(sorted(within))
        report.notes.append(
            f"{names}: within a wrapper, so checked by their weights and dx, not step by step"
        )
    if model.dtype != np.float64:
        report.notes.append(f"checked in float64; the model trains in {model.dtype}")
    return report


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


def _analytic(
    model: Sequential,
    x: ArrayLike,
    y: ArrayLike,
    mask: ArrayLike | None,
    initial_state: dict[str, Sequence[ArrayLike]] | None,
) -> Analytic:
    twin = _as_dtype(model, np.dtype(np.float64))
    data = batches.checked(twin, x, y, mask)
    states = checked_states(twin, initial_state, data.size)
    for layer in _recurrent(twin):
        zeros = tuple(np.zeros((data.size, layer.units)) for _ in layer.cell.states)
        states.setdefault(layer.label, zeros)
    layers = list(twin.layers)
    if not isinstance(layers[0], Embedding):
        shift = _Shift(name="\0")
        shift.params, shift.built = {"shift": np.zeros(0)}, True
        layers.insert(0, shift)
    done = passes.forward(layers, data.x, data.mask, keep="trace", states=states)
    loss = passes.loss_and_gradient(layers, optimizer_and_loss(twin)[1], data.y, done)
    gradients, traces = passes.backward(layers, loss, done, record=True)
    dx = gradients.pop("\0/shift", None)
    if dx is not None:
        gradients["dx"] = dx
    for layer in _recurrent(twin):
        trace = traces[layer.label]
        names = [f"d{state}0" for state in layer.cell.states] + [f"d{state}" for state in layer.cell.states]
        gradients |= {f"{layer.label}/{name}": getattr(trace, name) for name in [*names, "dz"]}
    return Analytic(twin, data, states, gradients)


def _as_dtype(model: Sequential, dtype: np.dtype[Any], backend: str | None = None) -> Sequential:
    """A copy of the model with weights of that dtype, and on that backend if given."""
    twin = copy.deepcopy(model)
    twin.dtype = dtype
    for layer in twin.layers:
        if layer.built:
            assert layer.input_shape is not None
            layer.build(layer.input_shape, np.random.default_rng(0), dtype)
        if backend is not None:
            _set_backend(layer, backend)
    return twin


def _set_backend(layer: Layer, backend: str) -> None:
    """On a layer and on the layers that it wraps."""
    for inner in inside([layer]):
        if isinstance(inner, Recurrent):
            inner.backend = backend


def _recurrent(model: Sequential) -> list[Recurrent]:
    return [layer for layer in model.layers if isinstance(layer, Recurrent)]


class _Network:
    """The model as a function of everything that can be nudged; real or complex, as the method wants."""

    def __init__(self, analytic: Analytic, method: Method) -> None:
        self.method, self.gradients = method, analytic.gradients
        self.model = _as_dtype(analytic.model, method.dtype, "numpy")
        self.layers = self.model.layers
        self.loss: Loss = optimizer_and_loss(analytic.model)[1]
        data = analytic.data
        self.ids = isinstance(self.layers[0], Embedding)
        self.x = data.x if self.ids else data.x.astype(method.dtype)
        self.y, self.mask = data.y, data.mask
        self.states = {
            name: tuple(part.astype(method.dtype) for part in state)
            for name, state in analytic.states.items()
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
            x, mask, (tape,) = passes.forward([layer], x, mask, keep="trace", states=self.states)
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
        slope, difference = values[0].imag / TINY, (values[1] - values[2]).real / 2e-6
        return abs(slope - difference) > 1e-2 * abs(difference) + 1e-6 * self.value

    @property
    def recurrent(self) -> list[Recurrent]:
        return _recurrent(self.model)

    def _value(self, done: passes.Pass) -> float | complex:
        logits = self.layers[-1].logits(done.tapes[-1])
        return passes.loss_of(self.layers, self.loss, self.y, done.output, logits, done.mask)[0]

    def whole(self, start: int) -> float | complex:
        """The loss of the batch with the weights and inputs of layer `start` and above as they are now."""
        x, mask = self.inputs[start]
        done = passes.forward(self.layers[start:], x, mask, keep="nothing", states=self.states)
        return self._value(done)

    def rows(
        self, samples: Array, x: Array, mask: Array | None, states: dict[str, State], start: int = 0
    ) -> Array:
        """The loss for each row: the batch with sample `samples[r]` replaced by row r, (R,).

        x, mask, states : inputs of layer `start` and the layers above it, one row each.
        """
        done = passes.forward(self.layers[start:], x, mask, keep="nothing", states=states)
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
    ) -> Comparison:
        """The values (n, offsets) of the loss at the chosen entries (n, ndim), beside the gradient."""
        found, bounds = self.method.derivatives(values, self.value)
        numeric, bound = np.zeros(shape), np.zeros(shape)
        checked = np.zeros(shape, bool)
        at = tuple(chosen.T)
        numeric[at], bound[at], checked[at] = found, bounds, True
        return Comparison(name, np.asarray(self.gradients[name]), numeric, checked, axes, gates, bound)


# ------------------------------------------------------------------------------ what is nudged


def _weights(network: _Network, rng: np.random.Generator, limit: int | None) -> list[Comparison]:
    found = []
    offsets = network.method.offsets
    steps = network.x.shape[1] if network.x.ndim > 1 else 1
    gates = _gates(network.layers)
    for name, weight in network.model.named_weights.items():
        work = weight.size * steps * len(offsets)
        count = limit or (
            weight.size if work <= WEIGHT_WORK else max(16, SAMPLED_WORK // (steps * len(offsets)))
        )
        start = next(k for k, one in enumerate(network.layers) if one.label == name.split("/")[0])
        largest = np.abs(network.gradients[name])
        chosen = sample(weight.shape, count, rng, largest == largest.max())
        values = np.empty((len(chosen), len(offsets)), network.method.dtype)
        for n, index in enumerate(map(tuple, chosen)):
            kept = weight[index]
            for m, offset in enumerate(np.array(offsets).astype(network.method.dtype)):
                weight[index] = kept + offset
                values[n, m] = network.whole(start)
            weight[index] = kept
        layer, key = name.rsplit("/", 1)
        blocks = gates.get(layer, ()) if key != "peepholes" else ()
        axes = AXES["bias" if weight.ndim == 1 else "weight"]
        found.append(
            network.compare(name, weight.shape, chosen, values, axes, blocks if len(blocks) > 1 else ())
        )
    return found


def _gates(layers: Sequence[Layer], path: str = "") -> dict[str, tuple[str, ...]]:
    """The gates of every recurrent layer, those in wrappers too, by its path."""
    found: dict[str, tuple[str, ...]] = {}
    for layer in layers:
        if isinstance(layer, Recurrent):
            found[path + layer.label] = layer.cell.gates
        elif isinstance(layer, Wrapper):
            found |= _gates(layer.sublayers, f"{path}{layer.label}/")
    return found


def _nudge_rows(
    network: _Network, name: str, array: Array, chosen: Array, axes: tuple[str, ...]
) -> Comparison:
    """Nudge entries of x (name "dx"), or of an initial state: rows that run the whole sequence."""
    offsets = np.array(network.method.offsets).astype(network.method.dtype)
    units = max([layer.units for layer in network.recurrent], default=8)
    steps = network.x.shape[1] if network.x.ndim > 2 or network.ids else 1
    per_run = max(1, BLOCK // (steps * units * len(offsets)))
    values = np.empty((len(chosen), len(offsets)), network.method.dtype)
    for start in range(0, len(chosen), per_run):
        part = np.repeat(chosen[start : start + per_run], len(offsets), axis=0)
        samples, at = part[:, 0], (np.arange(len(part)), *part[:, 1:].T)
        x, states = network.x[samples], network.row_states(samples)
        nudged = x if name == "dx" else states[name.split("/")[0]][_state_number(network, name)]
        nudged[at] += np.tile(offsets, len(part) // len(offsets))
        mask = None if network.mask is None else network.mask[samples]
        rows = network.rows(samples, x, mask, states)
        values[start : start + per_run] = rows.reshape(-1, len(offsets))
    return network.compare(name, array.shape, chosen, values, axes)


def _state_number(network: _Network, name: str) -> int:
    label, state = name.split("/")
    layer = next(layer for layer in network.recurrent if layer.label == label)
    return layer.cell.states.index(state[1:-1])


def _inputs(network: _Network, rng: np.random.Generator, limit: int | None) -> list[Comparison]:
    """x and the initial states."""
    found = []
    units = max([layer.units for layer in network.recurrent], default=8)
    T = network.x.shape[1] if network.x.ndim > 2 or network.ids else 1
    cost = T * units * len(network.method.offsets)
    if not network.ids:
        first = np.zeros(network.x.shape, bool)
        first[:, 0] = network.x.ndim == 3  # the gradient with the longest way is always looked at
        count = limit or _affordable(network.x.size, cost)
        chosen = sample(network.x.shape, count, rng, first)
        axes = AXES["steps"] if network.x.ndim == 3 else ("sample", "feature")
        found.append(_nudge_rows(network, "dx", network.x, chosen, axes))
    for layer in network.recurrent:
        for state, array in zip(layer.cell.states, network.states[layer.label], strict=True):
            chosen = sample(array.shape, limit or _affordable(array.size, cost), rng)
            found.append(_nudge_rows(network, f"{layer.label}/d{state}0", array, chosen, AXES["state"]))
    return found


def _affordable(size: int, cost: int) -> int:
    """How many entries to check, where each costs `cost`."""
    return size if size * cost <= ROW_WORK else max(16, SAMPLED_ROWS // cost)


def _states(
    network: _Network, layer: Recurrent, rng: np.random.Generator, limit: int | None
) -> list[Comparison]:
    """dh_t, dc_t and dz_t of every step of one recurrent layer."""
    k = network.layers.index(layer)
    tape = network.done.tapes[k].steps
    T = len(tape.x)
    carried = tape.mask if layer.return_sequences else None
    found = []
    for kind in (*layer.cell.states, "z"):
        name = f"{layer.label}/d{kind}"
        shape = network.gradients[name].shape
        cost = max(1, T // 2) * layer.units * len(network.method.offsets)
        chosen = _some_steps(shape, limit or _affordable(int(np.prod(shape)), cost), rng)
        chosen = chosen[np.argsort(chosen[:, 1], kind="stable")]
        values = np.empty((len(chosen), len(network.method.offsets)), network.method.dtype)
        per_run = max(1, BLOCK // (T * layer.units * len(network.method.offsets)))
        for start in range(0, len(chosen), per_run):
            part = np.repeat(chosen[start : start + per_run], len(network.method.offsets), axis=0)
            offsets = np.tile(
                np.array(network.method.offsets).astype(network.method.dtype),
                len(part) // len(network.method.offsets),
            )
            samples = part[:, 0]
            outputs = nudged_states(layer, tape, Nudged(kind, samples, part[:, 1], part[:, 2], offsets))
            mask = None if carried is None else carried.T[samples]
            outputs = layer.visible(outputs, None if tape.mask is None else tape.mask.T[samples])
            rows = network.rows(samples, outputs, mask, network.row_states(samples), k + 1)
            values[start : start + per_run] = rows.reshape(-1, len(network.method.offsets))
        gates = layer.cell.gates if kind == "z" and len(layer.cell.gates) > 1 else ()
        found.append(network.compare(name, shape, chosen, values, AXES["states"], gates))
    return found


def _some_steps(shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Array:
    """Entries of (B, T, F): all of them, or whole steps (the first and the last among them), or a sample."""
    B, T, F = shape
    if count >= B * T * F:
        return sample(shape, count, rng)
    steps = min(T, max(2, count // (B * F)) if count >= 2 * B * F else 4)
    drawn = rng.choice(T, steps, replace=False)
    drawn[:2] = (0, T - 1) if steps > 1 else 0
    within = sample((B, F), max(1, count // steps), rng)
    return np.array([(b, t, f) for t in sorted(set(drawn.tolist())) for b, f in within])


def _directions(network: _Network, rng: np.random.Generator) -> list[Comparison]:
    """One derivative for each tensor: along a random direction in which no two terms cancel."""
    found = []
    targets: dict[str, Array] = dict(network.model.named_weights)
    if not network.ids:
        targets["dx"] = network.x
    for label, state in network.states.items():
        layer = next(layer for layer in network.recurrent if layer.label == label)
        targets |= {f"{label}/d{key}0": part for key, part in zip(layer.cell.states, state, strict=True)}
    for name, array in targets.items():
        gradient = np.asarray(network.gradients[name])
        direction = np.abs(rng.normal(size=array.shape)) * np.where(gradient < 0, -1, 1)
        kept = array.copy()
        array += 1j * TINY * direction
        value = network.whole(0)
        array[...] = kept
        numeric = np.array([value.imag / TINY])
        analytic = np.array([(gradient * direction).sum()])
        found.append(Comparison(name, analytic, numeric, np.ones(1, bool), ("direction",)))
    return found
