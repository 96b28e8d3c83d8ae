"""gradcheck: a model's own gradients held against the numbers, through the very code that trains.

The gradients come from the model's layers on their own backend, in float64. The numbers come from the
same layers on the NumPy backend, run on complex arrays: weights, inputs and states nudged by 1e-30 i.

Samples do not know of each other. So a nudge of x, of an initial state, or of a state in the middle of
the sequence concerns one sample, and thousands of them run side by side as rows of one batch; a row
whose nudge stands at step t begins at step t, from the state on the tape. Weights are nudged one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import one_of, real_number, whole_number, wording
from minilstm.gradient_check.nudges import Nudged, nudged_states
from minilstm.gradient_check.numeric import (
    CENTRAL,
    COMPLEX,
    TINY,
    by_entry,
    by_rows,
    nudge,
    sample,
    without_rest,
)
from minilstm.gradient_check.report import AXES, Comparison, Report
from minilstm.gradient_check.twin import Twin, analytic
from minilstm.layers import Recurrent
from minilstm.network.states import recurrent_in
from minilstm.trace.paths import links_of

if TYPE_CHECKING:
    from minilstm.model import Sequential

TOLERANCES = {"complex": 1e-11, "central": 1e-6, "directional": 1e-10}
WEIGHT_WORK = 40_000  # entries of a weight times steps, up to which all entries are checked
SAMPLED_WORK = 10_000  # the same product where they are sampled
ROW_WORK = 1_000_000  # rows times steps times units, up to which all entries of x and states are checked
SAMPLED_ROWS = 500_000
ROUNDED = 1e-12  # of the largest gradient of a state at a step: what is left where its terms cancel
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
    seed = whole_number("seed", seed, 0, wide=True)
    if not hasattr(model, "layers") or not hasattr(model, "compile"):
        raise TypeError(wording("model", "a Sequential", type(model).__name__))
    network = Twin(analytic(model, x, y, mask, initial_state), chosen)
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
    within = dict(recurrent_in(network.layers)).keys() - {layer.label for layer in network.recurrent}
    if within and method != "directional":
        names = ", ".join(sorted(within))
        report.notes.append(
            f"{names}: within a wrapper, so checked by their weights and dx, not step by step"
        )
    if model.dtype != np.float64:
        report.notes.append(f"checked in float64; the model trains in {model.dtype}")
    return report


# ------------------------------------------------------------------------------ what is nudged


def _weights(network: Twin, rng: np.random.Generator, limit: int | None) -> list[Comparison]:
    found = []
    offsets = network.method.offsets
    steps = network.x.shape[1] if network.x.ndim > 1 else 1
    gates = {path: layer.cell.gates for path, layer in recurrent_in(network.layers)}
    for name, weight in network.model.named_weights.items():
        work = weight.size * steps * len(offsets)
        count = limit or (
            weight.size if work <= WEIGHT_WORK else max(16, SAMPLED_WORK // (steps * len(offsets)))
        )
        start = next(k for k, one in enumerate(network.layers) if one.label == name.split("/")[0])
        largest = np.abs(network.gradients[name])
        chosen = sample(weight.shape, count, rng, largest == largest.max())
        values = by_entry(network.method, weight, chosen, partial(network.whole, start))
        layer, key = name.rsplit("/", 1)
        blocks = gates.get(layer, ()) if key not in ("peepholes", "p") else ()
        axes = AXES["bias" if weight.ndim == 1 else "weight"]
        found.append(
            network.compare(name, weight.shape, chosen, values, axes, blocks if len(blocks) > 1 else ())
        )
    return found


def _nudge_rows(
    network: Twin, name: str, array: Array, chosen: Array, axes: tuple[str, ...], rounding: float = 0.0
) -> Comparison:
    """Nudge entries of x (name "dx"), or of an initial state: rows that run the whole sequence."""
    units = max([layer.units for layer in network.recurrent], default=8)
    steps = network.x.shape[1] if network.x.ndim > 2 or network.ids else 1
    per_run = max(1, BLOCK // (steps * units * len(network.method.offsets)))

    def run(part: Array, nudges: Array) -> Array:
        samples = part[:, 0]
        x, states = network.x[samples], network.row_states(samples)
        nudge(x if name == "dx" else states[name.split("/")[0]][_state_number(network, name)], part, nudges)
        mask = None if network.mask is None else network.mask[samples]
        return network.rows(samples, x, mask, states)

    values = by_rows(network.method, chosen, per_run, run)
    return network.compare(name, array.shape, chosen, values, axes, rounding=rounding)


def _state_number(network: Twin, name: str) -> int:
    label, state = name.split("/")
    layer = next(layer for layer in network.recurrent if layer.label == label)
    return layer.cell.states.index(state[1:-1])


def _inputs(network: Twin, rng: np.random.Generator, limit: int | None) -> list[Comparison]:
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
            name, rounding = f"{layer.label}/d{state}0", _cancelling(network, layer, state).max()
            found.append(_nudge_rows(network, name, array, chosen, AXES["state"], rounding))
    return found


def _affordable(size: int, cost: int) -> int:
    """How many entries to check, where each costs `cost`."""
    return size if size * cost <= ROW_WORK else max(16, SAMPLED_ROWS // cost)


def _states(network: Twin, layer: Recurrent, rng: np.random.Generator, limit: int | None) -> list[Comparison]:
    """dh_t, dc_t and dz_t of every step of one recurrent layer."""
    k = network.layers.index(layer)
    tape = network.done.tapes[k]
    T, real = len(tape.steps.x), tape.steps.mask
    carried = real if layer.return_sequences else None
    found = []
    for kind in (*layer.cell.states, "z"):
        name = f"{layer.label}/d{kind}"
        shape = network.gradients[name].shape
        cost = max(1, T // 2) * layer.units * len(network.method.offsets)
        chosen = _some_steps(shape, limit or _affordable(int(np.prod(shape)), cost), rng)
        chosen = chosen[np.argsort(chosen[:, 1], kind="stable")]
        per_run = max(1, BLOCK // (T * layer.units * len(network.method.offsets)))

        def run(part: Array, nudges: Array, kind: str = kind) -> Array:
            samples = part[:, 0]
            outputs = nudged_states(layer, tape, Nudged(kind, samples, part[:, 1], part[:, 2], nudges))
            mask = None if carried is None else carried.T[samples]
            outputs = layer.visible(outputs, None if real is None else real.T[samples])
            return network.rows(samples, outputs, mask, network.row_states(samples), k + 1)

        values = by_rows(network.method, chosen, per_run, run)
        gates = layer.cell.gates if kind == "z" and len(layer.cell.gates) > 1 else ()
        rounding = _cancelling(network, layer, kind)[:, :, None] if kind != "z" else 0.0
        found.append(network.compare(name, shape, chosen, values, AXES["states"], gates, rounding))
    return found


def _cancelling(network: Twin, layer: Recurrent, state: str) -> Array:
    """(1, T): the rounding of a state's gradient that is a sum from several other states of the same step.

    Such terms may cancel: all of them do for the stabiliser of an sLSTM, on which no output depends.
    """
    number, within = layer.cell.states.index(state), links_of(layer.cell).within
    totals = [np.abs(network.gradients[f"{layer.label}/d{name}"]) for name in layer.cell.states]
    largest: Array = np.max([total.max(axis=(0, 2)) for total in totals], axis=0)[None]
    return ROUNDED * largest * (sum(number in reached for reached in within) > 1)


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


def _directions(network: Twin, rng: np.random.Generator) -> list[Comparison]:
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
        parts = []
        for step in (TINY, TINY / 8):
            array += 1j * step * direction
            parts.append(np.array([network.whole(0).imag]))
            array[...] = kept
        numeric = without_rest(*parts) / TINY
        analytic = np.array([(gradient * direction).sum()])
        found.append(Comparison(name, analytic, numeric, np.ones(1, bool), ("direction",)))
    return found
