"""Where a NaN was born: the first value that is not finite, and what went into it.

Looks through one traced pass in the order in which it was computed: the weights; the layers forward,
step by step; the output and the loss; the layers backward; the gradients of the weights. NaN spreads: one
at the first step makes everything after it NaN, so only the first says anything.
What this file is not: it repairs nothing, and replaces nothing by zero.

Two things it cannot tell. An overflow that a gate saturates leaves no trace: sigmoid(inf) is 1. So where
x @ W overflows to +inf and h_prev @ U to -inf, the backends may differ: NumPy forms both and their sum is
NaN, while the compiled kernels add all products into one sum, which stays at its first infinity, saturates
the gate and trains on. And the two products that are shown among the inputs are formed again, by NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.foundations.norms import norm
from minilstm.trace.ledger import ledger_of
from minilstm.trace.recording import Recording

HUGE = 1e6  # a norm that no healthy network has; passing it is told beside the overflow


@dataclass(frozen=True)
class Growth:
    """The norm of `quantity` passed 1e6 at time step `step`, `steps_before` steps before it overflowed."""

    quantity: str
    step: int
    steps_before: int

    def __str__(self) -> str:
        plural = "" if self.steps_before == 1 else "s"
        return (
            f"the norm of {self.quantity} passed {HUGE:.0e} at time step {self.step}, "
            f"{self.steps_before} step{plural} before"
        )


@dataclass(frozen=True)
class Origin:
    """The first value that is not finite. Fields that do not apply are None.

    phase : "weights", "forward", "loss", "backward" or "sum" (over the time steps, for the weights);
    layer, quantity : where, such as "rec" and "dh";  step, sample, index : the time step, the row of the
    batch, the unit (or the place in a weight);  operation : the equation, such as "c = f * c_prev + i * g";
    inputs : the values that went into it;  growth : how long before the overflow the norm was huge;
    go_backwards : whether the layer reads backwards, so that its steps count from the end, as in its trace.
    """

    phase: str
    layer: str | None
    quantity: str
    value: float
    operation: str | None = None
    step: int | None = None
    sample: int | None = None
    index: tuple[int, ...] = ()
    inputs: dict[str, float] = field(default_factory=dict)
    growth: Growth | None = None
    go_backwards: bool = False

    def __str__(self) -> str:
        kind = "NaN" if math.isnan(self.value) else "Inf"
        phase = {"sum": "in the sum over the time steps"}.get(self.phase, f"in the {self.phase} pass")
        text = f"{kind} in {self.quantity}"
        if self.layer is not None:
            text += f" of layer {self.layer!r}"
        if self.step is not None:
            text += f" at time step {self.step}"
            text += " of its reading, from the end" if self.go_backwards else ""
        if self.phase not in ("weights", "loss"):
            text += f", {phase}"
        places = [] if self.sample is None else [f"sample {self.sample}"]
        if self.index:
            what = "unit" if self.step is not None else "entry"
            places.append(f"{what} {', '.join(map(str, self.index))}")
        if places:
            text += f" ({', '.join(places)})"
        if self.operation:
            text += f": {self.operation}"
        if self.inputs:
            text += " with " + ", ".join(f"{name} = {value:.4g}" for name, value in self.inputs.items())
        return text if self.growth is None else f"{text}; {self.growth}"


class Traced(Protocol):
    """A traced pass, as `trace.Trace` is one."""

    @property
    def loss(self) -> float: ...
    @property
    def output(self) -> Array: ...
    @property
    def grads(self) -> dict[str, Array]: ...
    def __iter__(self) -> Iterator[Recording]: ...


def find_origin(trace: Traced, weights: Mapping[str, Array] | None = None) -> Origin | None:
    """The first value of a traced pass that is not finite, or None.

    weights : all weights of the model by name, where the caller has them; otherwise those of the
    recurrent layers are looked at.
    """
    with np.errstate(all="ignore"):
        return next(_origins(trace, weights), None)


def _origins(trace: Traced, weights: Mapping[str, Array] | None) -> Iterator[Origin]:
    """The places where something is not finite, in the order of computation; only the first is asked for."""
    layers = list(trace)
    if weights is None:
        weights = {f"{layer.name}/{key}": w for layer in layers for key, w in layer.named_weights.items()}
    for name, weight in weights.items():
        yield from _in_array("weights", name, weight)
    for layer in layers:
        yield from _forward(layer)
    yield from _in_array("forward", "the model's output", trace.output)
    if not math.isfinite(trace.loss):
        yield Origin("loss", None, "the loss", trace.loss, "from a finite output")
    for layer in reversed(layers):
        yield from _backward(layer)
    for name, grad in trace.grads.items():
        yield from _in_array("sum", f"the gradient of {name}", grad)


def _in_array(phase: str, name: str, array: Array) -> Iterator[Origin]:
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        index = tuple(int(k) for k in bad[0])
        yield Origin(phase, None, name, float(array[index]), index=index)


# ------------------------------------------------------------ one recurrent layer

# For each cell, in the order of computation: the array of the trace, its equation, what goes into it.
FORWARD: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {
    "lstm": {
        "i": ("i = sigmoid(xw_i + hu_i)", ("xw_i", "hu_i")),
        "f": ("f = sigmoid(xw_f + hu_f)", ("xw_f", "hu_f")),
        "g": ("g = tanh(xw_g + hu_g)", ("xw_g", "hu_g")),
        "o": ("o = sigmoid(xw_o + hu_o)", ("xw_o", "hu_o")),
        "c": ("c = f * c_prev + i * g", ("f", "c_prev", "i", "g")),
        "h": ("h = o * tanh(c)", ("o", "c")),
    },
    "gru": {
        "z": ("z = sigmoid(xw_z + hu_z)", ("xw_z", "hu_z")),
        "r": ("r = sigmoid(xw_r + hu_r)", ("xw_r", "hu_r")),
        "q": ("q = hu_g", ("hu_g",)),
        "g": ("g = tanh(xw_g + r * q)", ("xw_g", "r", "q")),
        "h": ("h = z * h_prev + (1 - z) * g", ("z", "h_prev", "g")),
    },
    "simple_rnn": {"h": ("h = tanh(xw_h + hu_h)", ("xw_h", "hu_h"))},
}


def equations_of(layer: Recording) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Those of `FORWARD`; for another cell its step as a whole."""
    cell = layer.cell
    if cell.name in FORWARD:
        return FORWARD[cell.name]
    needs = [f"xw_{gate}" for gate in cell.gates]
    needs += [f"hu_{gate}" for gate in cell.gates if layer.weights.U.size]
    needs += [f"{state}_prev" for state in cell.states]
    return {
        name: (f"{name}, by forward of the cell {cell.name!r}", tuple(needs))
        for name in (*cell.kept, *reversed(cell.states))
    }


def _first(layer: Recording, names: Iterable[str], *, backward: bool) -> tuple[str, int, int, int] | None:
    """(name, step, sample, unit) of the first bad value; within a step the names go in their order."""
    bad = {name: ~np.isfinite(layer.arrays[name]) for name in names if name in layer.arrays}
    steps = np.flatnonzero(np.any([found.any(axis=(0, 2)) for found in bad.values()], axis=0))
    if not len(steps):
        return None
    step = int(steps[-1] if backward else steps[0])
    name = next(name for name in bad if bad[name][:, step].any())
    sample, unit = (int(k) for k in np.argwhere(bad[name][:, step])[0])
    return name, step, sample, unit


def _forward(layer: Recording) -> Iterator[Origin]:
    found = _first(layer, ["x"], backward=False)
    if found is not None:
        yield _origin(layer, "forward", found, "the output of the layers below")
    equations = equations_of(layer)
    found = _first(layer, equations, backward=False)
    if found is None:
        return
    name, step, sample, unit = found
    values = _values(layer, step, sample, unit)
    operation, needs = equations[name]
    inputs = {need: values[need] for need in needs}
    for need in needs:
        if need[:3] in ("xw_", "hu_") and not math.isfinite(values[need]):  # the product overflowed
            operation = "xw = x @ W + b" if need[:2] == "xw" else "hu = h_prev @ U"
            vector, matrix = ("x", "W") if need[:2] == "xw" else ("h_prev", "U")
            factors = {
                vector: values[f"|{vector}|"],
                matrix: float(np.abs(getattr(layer.weights, matrix)).max()),
            }
            inputs = {f"largest |{key}|": value for key, value in factors.items()}
            where = need, step, sample, unit
            yield _origin(layer, "forward", where, operation, inputs, value=values[need])
    growth = _growth(layer, layer.states, step, sample, backward=False)
    yield _origin(layer, "forward", found, operation, inputs, growth)


def _values(layer: Recording, step: int, sample: int, unit: int) -> dict[str, float]:
    """Everything that a step's equations read at one unit, and the largest |x| and |h_prev|."""
    x = layer.x[sample, step]
    before = {state: layer.before(state)[sample, step] for state in layer.states}
    xw = layer.blocks(x @ layer.weights.W + layer.weights.b)
    hu = layer.blocks(before["h"] @ layer.weights.U + (0 if layer.weights.rb is None else layer.weights.rb))
    found = {f"xw_{gate}": block[unit] for gate, block in xw.items()}
    found |= {f"hu_{gate}": block[unit] for gate, block in hu.items() if block.size}
    found |= {f"{state}_prev": value[unit] for state, value in before.items()}
    found |= {name: layer.arrays[name][sample, step, unit] for name in equations_of(layer)}
    found |= {"|x|": np.abs(x).max(), "|h_prev|": np.abs(before["h"]).max()}
    return {name: float(value) for name, value in found.items()}


def _backward(layer: Recording) -> Iterator[Origin]:
    found = _first(layer, ["external"], backward=True)
    if found is not None:
        yield _origin(layer, "backward", found, "the gradient from the layers above")
    totals = [f"d{state}" for state in layer.states]
    found = _first(layer, [*totals, "dz", "dx"], backward=True)
    if found is None:
        return
    name, step, sample, unit = found
    value = None
    if name in totals:
        ledger = ledger_of(layer)
        operation = f"{name} = {' + '.join(ledger.terms[name])}"
        inputs = {term: float(ledger[term][sample, step, unit]) for term in ledger.terms[name]}
    elif name == "dz":
        value = float(layer.dz[sample, step, unit])
        block, unit = divmod(unit, layer.h.shape[-1])
        name, operation = f"dz_{layer.gates[block]}", "the chain rule through the gate"
        inputs = {
            key: float(layer.arrays[key][sample, step, unit]) for key in (*totals, *equations_of(layer))
        }
    else:
        operation = "dx = dz @ W.T"
        factors = {"dz": layer.dz[sample, step], "W": layer.weights.W}
        inputs = {f"largest |{key}|": float(np.abs(value).max()) for key, value in factors.items()}
    growth = _growth(layer, totals, step, sample, backward=True)
    yield _origin(layer, "backward", (name, step, sample, unit), operation, inputs, growth, value)


def _origin(
    layer: Recording,
    phase: str,
    where: tuple[str, int, int, int],
    operation: str,
    inputs: dict[str, float] | None = None,
    growth: Growth | None = None,
    value: float | None = None,
) -> Origin:
    name, step, sample, unit = where
    if value is None:
        value = float(layer.arrays[name][sample, step, unit])
    place = step, sample, (unit,)
    return Origin(phase, layer.name, name, value, operation, *place, inputs or {}, growth, layer.go_backwards)


def _growth(
    layer: Recording, names: Iterable[str], step: int, sample: int, *, backward: bool
) -> Growth | None:
    """How many steps before `step` the norm of a state (or its gradient) of this sample passed 1e6."""
    direction = -1 if backward else 1
    for name in names:
        norms = norm(layer.arrays[name][sample], (1,))[::direction]
        end = (len(norms) - 1 - step) if backward else step
        huge = np.flatnonzero(norms[:end] > HUGE)
        if len(huge):
            passed = int(huge[0])
            return Growth(name, len(norms) - 1 - passed if backward else passed, end - passed)
    return None
