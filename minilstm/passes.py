"""One pass through layers in a row: forward, the loss, and backward, recorded step by step or not.

Training, evaluation and the trace run this code and no other, so that a trace shows what training does.
What this file is not: it checks nothing, changes no weight, and knows no batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minilstm.cells import State
from minilstm.layers import Dense, Layer, Recurrent
from minilstm.layers.base import Array, Keep
from minilstm.losses import Loss
from minilstm.trace import LayerTrace, layer_trace


class Pass(NamedTuple):
    """A forward pass: the output (B, ...), the mask it carries, and each layer's tape."""

    output: Array
    mask: Array | None
    tapes: list[Any]


class LossGradient(NamedTuple):
    """The loss, and its gradient: with respect to the last layer's logits if `from_logits`."""

    value: float
    gradient: Array
    from_logits: bool


def forward(
    layers: Sequence[Layer],
    x: Array,
    mask: Array | None,
    *,
    keep: Keep,
    rng: np.random.Generator | None = None,
    states: dict[str, State] | None = None,
) -> Pass:
    """x (B, ...) through all layers; `rng` in training, None in inference; `states` by layer name."""
    tapes = []
    with np.errstate(over="ignore", invalid="ignore"):  # huge inputs saturate the gates: no fault
        for layer in layers:
            if states and isinstance(layer, Recurrent):
                x, mask, tape = layer.forward(
                    x, mask, keep=keep, rng=rng, initial_state=states.get(layer.label)
                )
            else:
                x, mask, tape = layer.forward(x, mask, keep=keep, rng=rng)
            tapes.append(tape)
    return Pass(x, mask if x.ndim == 3 else None, tapes)


def loss_and_gradient(
    layers: Sequence[Layer], loss: Loss, y: Array, done: Pass, weight: Array | None = None
) -> LossGradient:
    """The loss of a forward pass: from the logits where the loss has that form, penalties included."""
    last, penalty = layers[-1], penalties(layers)
    if isinstance(last, Dense) and loss.logits_of == last.activation.name:
        value, gradient = loss.value_and_gradient_from_logits(y, done.tapes[-1].z, done.mask, weight)
        return LossGradient(float(value.real) + penalty, gradient, True)
    value, gradient = loss.value_and_gradient(y, done.output, done.mask, weight)
    return LossGradient(float(value.real) + penalty, gradient, False)


def penalties(layers: Sequence[Layer]) -> float:
    """What the regularizers of all weights add to the loss."""
    values = (penalty(layer.params[key]) for layer in layers for key, penalty in layer.regularizers.items())
    return float(sum(value.real for value in values))


def backward(
    layers: Sequence[Layer], loss: LossGradient, done: Pass, *, record: bool = False
) -> tuple[dict[str, Array], dict[str, LayerTrace]]:
    """dL/d(every weight) by its name, and with `record` a trace of every recurrent layer by its name.

    A recorded pass leaves the tapes as they were; one that is not recorded may use them up.
    """
    lowest = next(k for k, layer in enumerate(layers) if layer.params)  # below it nothing is learned
    grads: dict[str, Array] = {}
    traces: dict[str, LayerTrace] = {}
    reached: Array | None = None  # (B, T): steps of this layer's output that a path from the loss enters
    dy: Any = loss.gradient
    for k in reversed(range(lowest, len(layers))):
        layer, tape = layers[k], done.tapes[k]
        if loss.from_logits and k == len(layers) - 1 and isinstance(layer, Dense):
            dy, found = layer.backward_logits(dy, tape, need_dx=k > lowest)
        elif record and isinstance(layer, Recurrent):
            traces[layer.label], found = _recorded(layer, dy, tape, reached)
            dy, reached = traces[layer.label].dx, traces[layer.label]._reached["dx"]
        else:
            dy, found = layer.backward(dy, tape, need_dx=k > lowest)
        for key, regularizer in layer.regularizers.items():
            found[key] = found[key] + regularizer.gradient(layer.params[key])
        grads |= {f"{layer.name}/{key}": gradient for key, gradient in found.items()}
    names = (f"{layer.name}/{key}" for layer in layers for key in layer.params)
    ordered = {layer.label: traces[layer.label] for layer in layers if layer.label in traces}
    return {name: grads[name] for name in names}, ordered


def _recorded(
    layer: Recurrent, dy: Array, tape: Any, reached: Array | None
) -> tuple[LayerTrace, dict[str, Array]]:
    """Backward through a recurrent layer with every step recorded."""
    gradients = layer.bptt(dy, tape, need_dx=True, record=True, overwrite=False)
    external = dy
    if not layer.return_sequences:
        external = np.zeros((len(dy), len(tape.x), layer.units), dy.dtype)
        external[:, -1] = dy
    entered = (external != 0).any(axis=-1) | (False if reached is None else reached)
    cut = layer.truncate_steps is not None
    trace = layer_trace(layer.label, layer.weights, tape, gradients, external, entered, cut)
    return trace, layer.named(gradients)
