"""What happened at each time step: states, gates, and every gradient of one real training step.

A trace is numbers only; `plots` draws them. It reads the tape of the very backend that fit runs, so
it shows what training does, not what a second implementation would have done.

`dh[:, t]` is the *total* derivative of the loss with respect to h_t, through every path. What
frameworks give for the output sequence is only `external`, the part that reaches h_t directly from
the layer above: zero everywhere but at the last step when the loss reads the last step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minilstm.foundations import notebook
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import shown, whole_number, wording
from minilstm.foundations.norms import norm
from minilstm.trace.horizon import Decay, Verdict, decay_of, effective_memory, verdict_of
from minilstm.trace.lags import lag_table
from minilstm.trace.ledger import Ledger, ledger_of
from minilstm.trace.nonfinite import Origin, find_origin
from minilstm.trace.recording import Recording


class LayerTrace(Recording):
    """One recurrent layer: its arrays as `Recording` has them, and what is made of them."""

    def _repr_html_(self) -> str:
        rows = []
        for name in (*self.states, *(f"d{state}" for state in self.states), "external"):
            norms = self.norm(name)
            ends = f"{norms[0]:.3g}", f"{norms[-1]:.3g}"
            rows.append([name, *ends, self._worst_status(name), notebook.sparkline(norms, log=True)])
        head = ["norm of", "first step", "last step", "status", "log of the norm, first step to last"]
        return notebook.block(repr(self)[1:-1], notebook.table(head, rows))

    def _worst_status(self, name: str) -> str:
        found = Counter(self.status(name))
        return ", ".join(f"{count} {word}" for word, count in found.most_common() if word != "ok") or "ok"

    def ledger(self) -> Ledger:
        """The exact split of dh and dc at every step: see `minilstm.trace.ledger`."""
        return ledger_of(self)

    def decay(self, name: str = "dh", sample: int | None = None) -> Decay:
        """The exponential that fits the norms k steps before the end: rate per step, half-life, R^2.

        Of one sample, or one rate for all of them.
        """
        norms = lag_table(self.norm(name, per_sample=True), self.real)
        return decay_of(norms if sample is None else norms[self.row(sample)])

    def verdict(self, name: str = "dh", threshold: float = 0.01) -> Verdict:
        """Vanishing, steady, exploding or underflow, and the numbers that led to it; `str` says it in words.

        Documented answers where there is nothing to measure: "one step" for T = 1, "no gradient" where none
        arrives or no step is real.
        """
        return verdict_of(self, name, threshold)

    def effective_memory(self, per_sample: bool = False) -> Array:
        """For each unit, the steps after which its gate alone has kept 1/e of the state: (H,), or (B, H)."""
        return effective_memory(self, per_sample)


class StepCulprit(NamedTuple):
    """What made the norm of all gradients: a layer's gate, and the time step that gave it most.

    share : of the squared norm of all gradients, what this gate's weights hold;
    step_share : of the same, what this step gave to this gate, see `Ledger.norm_shares`
    """

    layer: str
    gate: str
    step: int
    share: float
    step_share: float


@dataclass(frozen=True)
class Trace:
    """One forward and backward pass of a model: `trace["rec"]` or `trace[0]` for its recurrent layers.

    loss : the loss that fit minimises;  output : what the model gave;
    grads : gradient of every weight under its name, such as "rec/kernel".
    """

    loss: float
    output: Array
    grads: dict[str, Array]
    layers: dict[str, LayerTrace]

    def __repr__(self) -> str:
        size, names = len(self.grads), ", ".join(self.layers) or "none"
        return f"<Trace: loss {self.loss:.4g}, output {self.output.shape}, {size} gradients, layers: {names}>"

    def _repr_html_(self) -> str:
        rows = [[name, str(grad.shape), f"{norm(grad):.3g}"] for name, grad in self.grads.items()]
        layers = [notebook.Html(layer._repr_html_()) for layer in self]
        return notebook.block(repr(self)[1:-1], notebook.table(["gradient", "shape", "norm"], rows), *layers)

    def __getitem__(self, key: str | int) -> LayerTrace:
        if isinstance(key, str):
            if key not in self.layers:
                raise KeyError(wording("layer", f"one of {list(self.layers)}", shown(key)))
            return self.layers[key]
        position = whole_number("layer", key, -len(self.layers))
        if position >= len(self.layers):
            raise IndexError(wording("layer", f"below {len(self.layers)}, the number of layers", position))
        return list(self.layers.values())[position]

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[LayerTrace]:
        return iter(self.layers.values())

    def culprit(self) -> StepCulprit | None:
        """Which recurrent layer, gate and time step made the norm of all gradients.

        None where no gradient reaches a recurrent layer, or one is not finite: see `first_nonfinite`.
        """
        total = norm(np.array([norm(grad) for grad in self.grads.values()]))
        if not (0 < total < np.inf):
            return None
        found: list[StepCulprit] = []
        for layer in self:
            own = [self.grads.get(f"{layer.name}/{key}") for key in layer.named_weights]
            size = norm(np.array([norm(grad) for grad in own if grad is not None]))
            for gate, shares in layer.ledger().norm_shares().items():
                shares = shares * (size / total) ** 2
                step = int(shares.argmax())
                found.append(StepCulprit(layer.name, gate, step, float(shares.sum()), float(shares[step])))
        largest = max(found, key=lambda one: one.share)
        return largest if largest.share > 0 else None

    def first_nonfinite(self) -> Origin | None:
        """The first NaN or Inf, in the order of computation, and what went into it; None if all is finite.

        `str` of it is a sentence. An overflow that saturates a gate is no fault, and not found; whether two
        that oppose each other give NaN is up to the backend: see `minilstm.trace.nonfinite`.
        """
        return find_origin(self)
