"""How far back the gradient reaches: decay, half-life, memory of the gates, and a verdict with its reasons.

Everything is counted in lags: real steps back from the last real step of each sample, so padding does not
blur it. Made for a loss on the last step. Where the loss reads every step, each of them starts a gradient
of its own, and the pooled norms say little about how far any one of them reaches: the verdict says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilstm.foundations import notebook
from minilstm.foundations.arrays import Array, numeric_array
from minilstm.foundations.errors import by_name, flag, instance, real_number, wording
from minilstm.foundations.norms import norm
from minilstm.foundations.tables import in_columns
from minilstm.trace.lags import by_lag, lag_table, lags, reach
from minilstm.trace.paths import links_of
from minilstm.trace.recording import ONE_LAYER, Recording

VANISHED = 0.01  # the fraction of the first norm below which the last one counts as vanished
EXPLODED = 100.0


@dataclass(frozen=True)
class Decay:
    """The line ln n_k = a + rate k through the norms k steps before the end, by least squares.

    Of several samples: one rate for all, and a level a for each, so that neither their sizes nor their
    lengths bend the line.

    rate : change of ln(norm) per step back, negative where the gradient vanishes, nan where no sample has
    two norms that are numbers above 0;  r2 : share of the variance around the levels that the line explains,
    1 for a pure exponential;  count : number of norms used
    """

    rate: float
    r2: float
    count: int

    @property
    def factor(self) -> float:
        """What one step back multiplies the norm by, exp(rate)."""
        return math.exp(self.rate)

    @property
    def half_life(self) -> float:
        """Steps in which the norm halves; negative: in which it doubles; inf where it stays."""
        return math.inf if self.rate == 0 else -math.log(2) / self.rate


@dataclass(frozen=True)
class Verdict:
    """What the gradient does on its way back, in one word, and the numbers that led to it.

    word : "vanishing" (the last norm is below 1 % of the first), "exploding" (above 100 times), "steady",
    "underflow" (it became zero or subnormal although a path exists), "not finite", "no gradient", or
    "one step" where there is nothing to compare;
    ratio : norm at the largest lag / norm at lag 0, of the longest samples;  length : number of lags;
    threshold, horizon : see `Recording.horizon`;  decay : the fitted line;
    gate_rate : mean of ln(forget gate), the rate their product alone would give, nan without one;
    every_step : whether the loss reads more than the last step;
    lost : the lag from which on it is "not finite" or "underflow", None for the other words;
    zero_before : the step before which it is exactly 0 in every sample, None where it is not at the first
    """

    word: str
    name: str
    ratio: float
    length: int
    threshold: float
    horizon: float
    decay: Decay
    gate_rate: float
    every_step: bool
    lost: int | None = None
    zero_before: int | None = None

    def __repr__(self) -> str:
        return f"<Verdict: {self}>"

    def _repr_html_(self) -> str:
        return notebook.block(f"{self.name}: {self.word}", *str(self).split("; ")[1:])

    def __str__(self) -> str:
        if self.word == "no gradient":
            return f"{self.name}: no gradient arrives"
        if self.word == "one step":
            return f"{self.name}: one step, nothing to compare"
        parts, half = [f"{self.name}: {self.word}"], self.decay.half_life
        pace = ""
        if self.word == "steady":
            pace = self._far()
        elif math.isfinite(half):
            how = "halving" if half > 0 else "doubling"
            pace = f", {how} every {abs(half):.3g} steps (R^2 {self.decay.r2:.2f})"
        if self.word != "not finite":
            over = f"over {self.length - 1} steps back its norm changes by a factor of {self.ratio:.2g}"
            parts += [over + pace, f"{self.threshold:.2g} of the largest norm reaches {self.horizon:g} steps"]
        elif self.lost:
            parts.append(f"it is no number from {self.lost} steps back on" + (pace and f"{pace} until then"))
        if math.isfinite(self.gate_rate) and self.gate_rate < 0:
            alone = f"the gates alone would halve it every {-math.log(2) / self.gate_rate:.3g} steps"
            slower = 0.9 * self.gate_rate < self.decay.rate  # False where the rate is nan
            parts.append(alone + (", other paths bring the rest" if slower else ""))
        if self.zero_before is not None:
            parts.append(f"exactly 0 before step {self.zero_before}")
        if self.every_step:
            parts.append(
                "the loss reads many steps, so this pools gradients of many ages: see the credit map"
            )
        return "; ".join(parts)

    def _far(self) -> str:
        """Where a pace that is neither vanishing nor exploding so far would lead; "" where there is none."""
        rate = self.decay.rate
        if not math.isfinite(rate) or rate == 0 or self.decay.r2 < 0.5:
            return ""
        steps = math.ceil(math.log(EXPLODED) / abs(rate))
        return f"; at this pace it would be {'1 %' if rate < 0 else '100 times as much'} after {steps} steps"


def decay_of(norms: Array) -> Decay:
    """Fit a `Decay` to norms at lag 0, 1, 2, ...: (L,), or (B, L) with nan where a sample is shorter.

    >>> decay_of(0.5 ** np.arange(8)).half_life
    1.0
    """
    norms = np.atleast_2d(numeric_array("norms", norms))
    usable = np.isfinite(norms) & (norms > 0)
    count = np.maximum(usable.sum(axis=1, keepdims=True), 1)
    x = np.where(usable, np.arange(norms.shape[1]), 0).astype(np.float64)
    y = np.log(np.where(usable, norms, 1))
    x, y = (np.where(usable, part - part.sum(axis=1, keepdims=True) / count, 0) for part in (x, y))
    spread, variance = float((x * x).sum()), float((y * y).sum())
    if spread == 0:
        return Decay(math.nan, math.nan, int(usable.sum()))
    rate = float((x * y).sum()) / spread
    left = float(((y - rate * x) ** 2).sum())
    return Decay(rate, 1 - left / variance if variance > 0 else 1.0, int(usable.sum()))


def verdict_of(trace: Recording, name: str = "dh", threshold: float = 0.01) -> Verdict:
    """Say what the gradient `name` does on its way back. See `Verdict`."""
    instance("trace", trace, Recording, ONE_LAYER)
    per_sample = trace.norm(name, per_sample=True)  # (B, T)
    norms, pooled = lag_table(per_sample, trace.real), by_lag(per_sample, trace.real)  # (B, L), (L,)
    horizon, status = reach(pooled, threshold), set(trace.status(name).tolist())
    longest = ~np.isnan(norms[:, -1]) if norms.size else np.zeros(0, bool)
    first, last = (norm(norms[longest, k]) for k in (0, -1)) if longest.any() else (0.0, 0.0)
    ratio = float(last / first) if first > 0 else math.nan
    if status & {"nan", "inf"}:
        word = "not finite"
    elif "underflow" in status:
        word = "underflow"
    elif not (norms > 0).any():
        word = "no gradient"
    elif norms.shape[1] == 1:
        word = "one step"
    else:
        word = "vanishing" if ratio < VANISHED else "exploding" if ratio > EXPLODED else "steady"
    decay, gates, length = decay_of(norms), gate_rate(trace), norms.shape[1]
    every, lost = _reads_every_step(trace), _lost(pooled, trace.arrays[name].dtype, word)
    zero = int((trace.arrays[name] != 0).any(axis=(0, 2)).argmax()) or None  # where all are 0 too: None
    return Verdict(word, name, ratio, length, threshold, horizon, decay, gates, every, lost, zero)


def _lost(pooled: Array, dtype: np.dtype[Any], word: str) -> int | None:
    """The first lag of which the pooled norm is what the word says."""
    if word == "not finite":
        gone = ~np.isfinite(pooled)
    elif word == "underflow":
        gone = pooled < np.finfo(dtype).tiny
    else:
        return None
    return int(gone.argmax()) if gone.any() else None


def gate_rate(trace: Recording) -> float:
    """Mean of ln(gate) over real steps, units and samples, of the gate that keeps the state; nan without one.

    exp(gate_rate k) is the geometric mean of the product of k of these gates.
    """
    gate = _gate(trace)
    if gate is None or not trace.real.any():
        return math.nan
    with np.errstate(divide="ignore"):
        return float(np.log(gate[trace.real]).mean())


def effective_memory(trace: Recording, per_sample: bool = False) -> Array:
    """For each unit, the steps after which its gates alone have kept 1/e of the state: (H,), or (B, H).

    -1 / mean(ln f) over the real steps (z for a GRU, |d memory / d memory before| for any cell): 1 / (1 - f)
    for f near 1. inf where f is 1 throughout, nan without real steps. ValueError without such a way past U.
    """
    instance("trace", trace, Recording, ONE_LAYER), flag("per_sample", per_sample)
    gate = _gate(trace)
    if gate is None:
        raise ValueError(wording("trace", "that of a cell that keeps its state past U", trace.cell.name))
    real = trace.real[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.where(real, gate, 1))  # (B, T, H)
        axes, count = ((1,), real.sum(axis=1)) if per_sample else ((0, 1), real.sum())
        memory: Array = -count / logs.sum(axis=axes)
        return np.where(count > 0, np.abs(memory), np.nan)  # abs: -0.0 gives -inf


def side_by_side(traces: Mapping[str, Recording], name: str = "dh", threshold: float = 0.01) -> str:
    """A table of verdicts, one row per trace, such as {"untrained": before["rec"], "trained": after["rec"]}.

    Compare at the same data and seed; the norms themselves depend on the scale of the loss, the columns
    shown here do not.
    """
    threshold = real_number("threshold", threshold, above=True, below=1.0)
    rows = [("", "verdict", "last/first", "half-life", "R^2", "gates alone", f"reach of {threshold:.0%}")]
    for label, trace in by_name("traces", traces).items():
        found = verdict_of(trace, name, threshold)
        gates = -math.log(2) / found.gate_rate if found.gate_rate else math.inf
        numbers = (
            f"{found.ratio:.2g}",
            f"{found.decay.half_life:.3g}",
            f"{found.decay.r2:.2f}",
            f"{gates:.3g}",
        )
        rows.append((label, found.word, *numbers, f"{found.horizon:g} of {found.length}"))
    return "\n".join(in_columns(rows, left=2))


def _gate(trace: Recording) -> Array | None:
    """|d memory / d memory before the step| past U: f of an LSTM, z of a GRU; None where there is no way."""
    number = trace.states.index(trace.memory)
    if number not in links_of(trace.cell).direct[number]:
        return None
    step = trace.step_back({trace.memory: np.ones(trace.h.shape)}, gates_held=True)
    return np.abs(step.dprev[number])


def _reads_every_step(trace: Recording) -> bool:
    """Whether the loss reaches h directly at a step before the last real one of some sample."""
    direct = (trace.external != 0).any(axis=-1)
    return bool((direct & (lags(trace.real) > 0)).any())
