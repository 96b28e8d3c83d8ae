"""One pass through layers in a row: forward, the loss, and backward, recorded step by step or not.

Training, evaluation and the trace run this code and no other, so that a trace shows what training does.
What this file is not: it checks nothing and changes no weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minilstm.bptt.cell import State
from minilstm.bptt.tape import Contents
from minilstm.foundations.arrays import Array
from minilstm.layers import Bidirectional, Layer, Recurrent
from minilstm.losses import Loss
from minilstm.metrics import Bound
from minilstm.network.recorded import recorded
from minilstm.trace.trace import LayerTrace


class Batch(NamedTuple):
    """Checked samples: inputs, targets, mask (B, T), weight of each row of the loss, fitting metrics."""

    x: Array
    y: Array
    mask: Array | None
    weight: Array | None
    metrics: tuple[Bound, ...]

    @property
    def size(self) -> int:
        """The number of samples."""
        return len(self.x)

    def take(self, rows: slice | Array) -> Batch:
        """Some of the samples."""
        mask = None if self.mask is None else self.mask[rows]
        weight = None if self.weight is None else self.weight[rows]
        return Batch(self.x[rows], self.y[rows], mask, weight, self.metrics)


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
    keep: Contents,
    rng: np.random.Generator | None = None,
    states: dict[str, State] | None = None,
) -> Pass:
    """x (B, ...) through all layers; `rng` in training, None in inference; `states` by layer name."""
    tapes = []
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite, the loss and the norm show
        for layer in layers:
            if states and isinstance(layer, (Recurrent, Bidirectional)):
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
    value, gradient, from_logits = loss_of(
        layers, loss, y, done.output, layers[-1].logits(done.tapes[-1]), done.mask, weight
    )
    return LossGradient(float(value.real), gradient, from_logits)


def loss_of(
    layers: Sequence[Layer],
    loss: Loss,
    y: Array,
    output: Array,
    logits: tuple[str, Array] | None,
    mask: Array | None,
    weight: Array | None = None,
) -> tuple[float | complex, Array, bool]:
    """The loss, complex where the output is; its gradient; whether that is with respect to the logits.

    logits : what the last layer's `logits` gave.
    """
    penalty = penalties(layers)
    if logits is not None and logits[0] == loss.logits_of:
        value, gradient = loss.value_and_gradient_from_logits(y, logits[1], mask, weight)
        return value + penalty, gradient, True
    value, gradient = loss.value_and_gradient(y, output, mask, weight)
    return value + penalty, gradient, False


def penalties(layers: Sequence[Layer]) -> float | complex:
    """What the regularizers of all weights that learn add to the loss, as in Keras."""
    found = [
        (penalty, layer.params[key])
        for layer in layers
        for key, penalty in layer.regularizers.items()
        if layer.learns(key)
    ]
    if not found:
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # the loss shows it
        return sum((penalty(weight) for penalty, weight in found), 0.0)


def backward(
    layers: Sequence[Layer], loss: LossGradient, done: Pass, *, record: bool = False
) -> tuple[dict[str, Array], dict[str, LayerTrace]]:
    """dL/d(every weight) by its name, and with `record` a trace of every recurrent layer by its name.

    Without `record` only of the weights that learn.

    A recorded pass leaves the tapes as they were; one that is not recorded may use them up.
    Recurrent layers within a wrapper are traced under its name and theirs: "bidirectional/forward_lstm".
    """
    wanted = [layer.params if record else layer.trainable_params for layer in layers]
    lowest = next(k for k, params in enumerate(wanted) if params)  # below it nothing is learned
    grads: dict[int, dict[str, Array]] = {}
    traces: dict[str, LayerTrace] = {}
    reached: Array | None = None  # (B, T): steps of this layer's output that a path from the loss enters
    dy: Any = loss.gradient
    with np.errstate(over="ignore", invalid="ignore"):
        for k in reversed(range(lowest, len(layers))):
            layer, tape = layers[k], done.tapes[k]
            if loss.from_logits and k == len(layers) - 1:
                dy, found = layer.backward_logits(dy, tape, need_dx=k > lowest)
            elif record:
                dy, found, reached = recorded(layer, layer.label, dy, tape, reached, traces)
            else:
                dy, found = layer.backward(dy, tape, need_dx=k > lowest)
            for key, regularizer in layer.regularizers.items():
                if layer.learns(key):
                    found[key] = found[key] + regularizer.gradient(layer.params[key])
            grads[k] = found
    named = {f"{layer.name}/{key}": grads[k][key] for k, layer in enumerate(layers) for key in wanted[k]}
    return named, dict(reversed(traces.items()))
