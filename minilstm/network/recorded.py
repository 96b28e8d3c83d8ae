"""Backward through a layer with every step recorded: what tapes and gradients hold becomes a trace."""

from __future__ import annotations

from typing import Any

import numpy as np

from minilstm.bptt.cell import Weights
from minilstm.foundations.arrays import Array
from minilstm.layers import Layer, Recurrent
from minilstm.layers.recurrent import RecurrentTape
from minilstm.layers.wrappers import Wrapper
from minilstm.trace.paths import paths
from minilstm.trace.trace import LayerTrace


def recorded(
    layer: Layer, path: str, dy: Array, tape: Any, reached: Array | None, traces: dict[str, LayerTrace]
) -> tuple[Any, dict[str, Array], Array | None]:
    """Backward through a layer; the recurrent layers in it are added to `traces`, the last one first.

    reached : (B, T), the steps of the output that a path from the loss enters; the same of the input is
    returned, beside dL/d(input) and dL/d(each weight). None where it is not known.
    """
    if isinstance(layer, Recurrent):
        trace, found = _steps(layer, path, dy, tape, reached)
        traces[path] = trace
        return layer.input_order(trace.dx), found, layer.input_order(trace.reached["dx"])
    if not isinstance(layer, Wrapper):
        dx, found = layer.backward(dy, tape, need_dx=True)
        return dx, found, reached
    dxs: list[Array] = []
    grads: dict[str, Array] = {}
    entered: list[Array | None] = []
    pieces = zip(layer.sublayers, layer.split(dy, tape), layer.split_steps(reached), strict=True)
    for sub, (piece, inner), steps in reversed(list(pieces)):
        dx, found, steps = recorded(sub, f"{path}/{sub.label}", piece, inner, steps, traces)
        dxs.append(dx)
        entered.append(steps)
        grads |= {f"{sub.label}/{key}": grad for key, grad in found.items()}
    return layer.join(dxs[::-1], tape), grads, layer.join_steps(entered[::-1], reached)


def _steps(
    layer: Recurrent, path: str, dy: Array, tape: RecurrentTape, reached: Array | None
) -> tuple[LayerTrace, dict[str, Array]]:
    """Backward through the steps of a recurrent layer: its trace, and dL/d(each weight)."""
    gradients = layer.bptt(dy, tape, need_dx=True, record=True, overwrite=False)
    assert gradients.dtotal is not None  # recorded
    steps, cell, external = tape.steps, layer.cell, layer.external(dy, tape)
    T, B, _ = steps.x.shape
    real = np.ones((B, T), bool) if steps.mask is None else steps.mask.T.copy()
    cut = np.zeros(T, bool)
    cut[[span.start for span in steps.spans]] = layer.truncate_steps is not None
    entered = (external != 0).any(axis=-1) | (False if reached is None else reached)
    weights = Weights(*(None if weight is None else weight.copy() for weight in layer.symbols))  # type: ignore[arg-type]

    def batch_first(array: Any) -> Array:
        found: Array = array.transpose(1, 0, 2)
        return found

    per_step = {key: steps.join(key) for key in (*cell.states, *cell.kept)}
    per_step |= {f"d{key}": part for key, part in zip(cell.states, gradients.dtotal, strict=True)}
    arrays = {key: batch_first(array) for key, array in per_step.items()}
    arrays |= {"external": external, "dz": batch_first(gradients.dz), "dx": batch_first(gradients.dx)}
    arrays |= {"x": batch_first(steps.x).copy()}
    arrays |= {f"{key}0": part for key, part in zip(cell.states, steps.first_state, strict=True)}
    arrays |= {f"d{key}0": part for key, part in zip(cell.states, gradients.dstate, strict=True)}
    where = paths(cell, weights, real, entered, cut)
    return LayerTrace(path, cell, weights, arrays, real, cut, where, layer.go_backwards), layer.named(
        gradients
    )
