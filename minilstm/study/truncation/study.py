"""truncation_study: truncated gradients beside the full one, for each number of steps, over batches.

The passes are those of training, in inference mode (no dropout), with every recurrent layer cut at the same
steps. Nothing of the model changes.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from minilstm.foundations import notebook
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import listed, one_of, shown, whole_number, wording
from minilstm.foundations.tables import in_columns
from minilstm.layers import Recurrent
from minilstm.layers.wrappers import inside
from minilstm.model import Sequential
from minilstm.network import batches, passes
from minilstm.network.network import optimizer_and_loss, record
from minilstm.network.passes import Batch
from minilstm.network.states import own_states, recurrent_in
from minilstm.study.statistics import t_quantile
from minilstm.study.truncation.ledger import cosine_of, random_cuts, ratio_of, suffixes
from minilstm.study.truncation.pairs import kept_by_segments

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GOOD = 0.99  # the cosine that counts as a good gradient


@dataclass(frozen=True, repr=False)
class TruncationStudy:
    """What `truncation_study` found.

    rows : a dict for each k, by rising `steps`. Over all weights of the recurrent layers together, the means
        over the batches of `cosine` with the full gradient, `norm_ratio` to it, and `sign_agreement`, the
        share of the weights with the right sign, with the ends of their 95 % intervals (`cosine_low`,
        `cosine_high`, ...: nan from one batch); in `parameters` the same for each weight. From the ledger of
        the first batch (nan where `notes` say so): `cut_share`,
        what of the contributions is cut, and `predicted_cosine`. `last_segment` : its steps.
        With draws `bias`, |truncated - full| / |full| of the first batch; for random cuts after k steps on
        average `unbiased_error`, the same of the mean of the draws, and `unbiased_deviation`, the standard
        deviation of one draw. With epochs `loss`, after so many epochs of training with this k
    smallest : the least k of the rows from which on the cosine is at least 0.99, None without one
    predicted : the least k of 1 .. T by the ledger of the first batch; None where it says nothing
    predicted_cosines : (T,), by the ledger, for k = 1 .. T; or None
    full_loss : after the same training without truncation; or None
    notes : what to look at
    """

    rows: list[dict[str, Any]]
    smallest: int | None
    predicted: int | None
    predicted_cosines: Array | None
    full_loss: float | None
    notes: list[str]

    def table(self) -> str:
        """The rows as text."""
        return "\n".join(in_columns(self._table(), rule=True))

    def _table(self) -> list[list[str]]:
        names = ["steps", "cosine", "norm_ratio", "sign_agreement", "cut_share", "predicted_cosine"]
        more = ("bias", "unbiased_error", "unbiased_deviation", "loss")
        names += [name for name in more if self.rows and name in self.rows[0]]
        lines = [[f"{row[name]:.4g}" for name in names] for row in self.rows]
        return [[name.replace("_", " ") for name in names], *lines]

    def plot(self, ax: Axes | None = None) -> Axes:
        """The cosine against k, the prediction as a line and a mark."""
        from minilstm.plots import truncation_cost

        return truncation_cost(self.rows, self.predicted_cosines, self.predicted, ax)

    def __repr__(self) -> str:
        steps = ", ".join(str(row["steps"]) for row in self.rows[:6]) + (
            ", ..." if len(self.rows) > 6 else ""
        )
        return f"<TruncationStudy of k = {steps}: {self._found()}>"

    def __str__(self) -> str:
        return "\n".join([self.table(), self._found(), *self.notes])

    def _repr_html_(self) -> str:
        head, *rows = self._table()
        return notebook.block(self._found(), notebook.table(head, rows), *self.notes)

    def _found(self) -> str:
        good = f"a cosine of {GOOD:g} takes k = {self.smallest or 'more than was tried'}"
        return good + ("" if self.predicted is None else f"; from the ledger of one batch: {self.predicted}")


def truncation_study(
    model: Sequential,
    x: ArrayLike,
    y: ArrayLike,
    steps: Sequence[int],
    *,
    mask: ArrayLike | None = None,
    batch_size: int = 32,
    anchor: Literal["end", "start"] = "end",
    draws: int = 0,
    epochs: int = 0,
    seed: int = 0,
) -> TruncationStudy:
    """What truncated backpropagation through time does to the gradient of this model on these data.

    Parameters
    ----------
    model : compiled; nothing of it changes
    x, y, mask : as in fit
    steps : the k to try, 1 .. T each
    batch_size : samples whose gradients are compared at a time; the last batch may be smaller
    anchor : where segments of k steps are counted from: the "end", so that the last one is whole, or the
        "start", as `truncate_steps` of a layer counts
    draws : also gradients with so many random cuts (Tallec and Ollivier 2017), unbiased; for a loss on the
        last step
    epochs : also train copies of the model so long with each k, and without
    seed : of the random cuts

    >>> import minilstm as ml
    >>> model = ml.Sequential([ml.LSTM(4, input_shape=(20, 2)), ml.Dense(1)], seed=0)
    >>> model.compile(loss="mse")
    >>> x, y = np.random.default_rng(0).normal(size=(8, 20, 2)), np.ones(8)
    >>> found = truncation_study(model, x, y, steps=[1, 5, 20])
    >>> [round(row["cosine"], 2) for row in found.rows][-1]
    1.0
    """
    if not isinstance(model, Sequential):
        raise TypeError(wording("model", "a compiled Sequential", shown(model)))
    one_of("anchor", anchor, ("end", "start"))
    batch_size, draws = whole_number("batch_size", batch_size), whole_number("draws", draws, 0)
    epochs, seed = whole_number("epochs", epochs, 0), whole_number("seed", seed, 0, wide=True)
    data = batches.checked(model, x, y, mask)
    layers = _recurrent(model)
    T = data.x.shape[1]
    ks = _checked_steps(steps, T)
    parts = [data.take(slice(k, k + batch_size)) for k in range(0, data.size, batch_size)]
    with own_states(model.layers):
        trace = record(model, parts[0])
    last_only = all(not layer.external[:, :-1].any() for layer in list(trace)[-1:])
    from_ledger = suffixes(trace) if last_only else kept_by_segments(model, parts[0], trace, anchor)
    if draws and not last_only:
        raise ValueError(wording("draws", "0 where the loss reads more than the last step", draws))
    full = [_gradient(model, part) for part in parts]
    rows = []
    for k in ks:
        with _truncated(layers, k, anchor):
            cut = [_gradient(model, part) for part in parts]
        last = min(k, T) if anchor == "end" else T - (T - 1) // k * k
        kept = last if last_only else k
        row = {"steps": k, "last_segment": last, **_compared(cut, full)}
        row["cut_share"] = math.nan if from_ledger is None else float(from_ledger.cut_share[kept - 1])
        row["predicted_cosine"] = math.nan if from_ledger is None else float(from_ledger.cosine[kept - 1])
        if draws:
            row |= _drawn(trace, k, draws, cut[0], full[0], np.random.default_rng([seed, k]))
        if epochs:
            row["loss"] = _trained(model, data, k, anchor, batch_size, epochs)
        rows.append(row)
    full_loss = _trained(model, data, None, anchor, batch_size, epochs) if epochs else None
    predicted = None if from_ledger is None else _from_on(from_ledger.cosine, range(1, T + 1))
    smallest = _from_on([row["cosine"] for row in rows], ks)
    cosines = None if from_ledger is None else from_ledger.cosine
    notes = _notes(rows, T, last_only, from_ledger is not None, anchor)
    return TruncationStudy(rows, smallest, predicted, cosines, full_loss, notes)


# ---------------------------------------------------------------- passes


def _recurrent(model: Sequential) -> list[Recurrent]:
    found = [layer for _, layer in recurrent_in(model.layers)]
    if not found:
        got = [type(layer).__name__ for layer in model.layers]
        raise ValueError(wording("model", "with at least one recurrent layer", got))
    for layer in found:
        if layer.truncate_steps is not None:
            expected = f"without truncation in layer {layer.label!r}"
            raise ValueError(wording("model", expected, f"truncate_steps={layer.truncate_steps}"))
    return found


def _checked_steps(steps: Any, T: int) -> list[int]:
    expected = f"at least one whole number from 1 to {T}, the number of time steps"
    found = sorted({whole_number("steps", k) for k in listed("steps", f"a list of {expected}", steps)})
    if not found or found[-1] > T:
        raise ValueError(wording("steps", expected, found[-1] if found else "none"))
    return found


@contextmanager
def _truncated(layers: Sequence[Recurrent], k: int, anchor: str) -> Iterator[None]:
    """Within it the layers cut their gradients; checkpoints, which change no gradient, are off."""
    names = ("truncate_steps", "truncate_from", "checkpoint_steps", "checkpoint_slots", "checkpoint_records")
    before = [[getattr(layer, name) for name in names] for layer in layers]
    try:
        for layer in layers:
            for name, value in zip(names, (k, anchor, None, None, None), strict=True):
                setattr(layer, name, value)
        yield
    finally:
        for layer, values in zip(layers, before, strict=True):
            for name, value in zip(names, values, strict=True):
                setattr(layer, name, value)


def _gradient(model: Sequential, batch: Batch) -> dict[str, Array]:
    """The gradients of the recurrent layers' weights on one batch, in float64, by their names."""
    loss = optimizer_and_loss(model)[1]
    with own_states(model.layers):
        done = passes.forward(model.layers, batch.x, batch.mask, keep="boundaries")
    found = passes.loss_and_gradient(model.layers, loss, batch.y, done, batch.weight)
    grads = passes.backward(model.layers, found, done)[0]
    own = [layer.name for layer in model.layers if any(isinstance(s, Recurrent) for s in inside([layer]))]
    return {name: grad.astype(np.float64) for name, grad in grads.items() if name.partition("/")[0] in own}


def _trained(
    model: Sequential, data: Batch, k: int | None, anchor: str, batch_size: int, epochs: int
) -> float:
    """The loss over all data after training a copy of the model."""
    own = copy.deepcopy(model)
    if k is not None:
        for layer in _recurrent(own):
            layer.truncate_steps, layer.truncate_from = k, anchor
            layer.checkpoint_steps = layer.checkpoint_slots = layer.checkpoint_records = None
    own.fit(data.x, data.y, mask=data.mask, batch_size=batch_size, epochs=epochs, verbose=0)
    own.metrics = ()
    return float(own.evaluate(data.x, data.y, mask=data.mask, batch_size=batch_size))  # type: ignore[arg-type]


# ---------------------------------------------------------------- numbers


def _signs(one: Array, other: Array) -> float:
    return float((np.sign(one) == np.sign(other)).mean())


MEASURES = {"cosine": cosine_of, "norm_ratio": ratio_of, "sign_agreement": _signs}


def _flat(gradient: dict[str, Array]) -> Array:
    return np.concatenate([part.ravel() for part in gradient.values()])


def _compared(cut: list[dict[str, Array]], full: list[dict[str, Array]]) -> dict[str, Any]:
    """Cosine, norm ratio and agreement of the signs, over the batches."""
    pairs = [(_flat(one), _flat(other)) for one, other in zip(cut, full, strict=True)]
    found: dict[str, Any] = {}
    for name, measure in MEASURES.items():
        values = [measure(one, other) for one, other in pairs]
        mean, half = float(np.mean(values)), _half_width(values)
        found |= {name: mean, f"{name}_low": mean - half, f"{name}_high": mean + half}
    found["parameters"] = {}
    for weight in full[0]:
        own = [(a[weight].ravel(), b[weight].ravel()) for a, b in zip(cut, full, strict=True)]
        found["parameters"][weight] = {
            name: float(np.mean([measure(one, other) for one, other in own]))
            for name, measure in MEASURES.items()
        }
    return found


def _half_width(values: Sequence[float]) -> float:
    """Half of the 95 % interval of the mean, by Student's t; nan from one value."""
    n = len(values)
    return t_quantile(n - 1) * float(np.std(values, ddof=1)) / math.sqrt(n) if n > 1 else math.nan


def _drawn(
    trace: Any, k: int, draws: int, cut: dict[str, Array], full: dict[str, Array], rng: np.random.Generator
) -> dict[str, float]:
    one, other = _flat(cut), _flat(full)
    found = {"bias": ratio_of(one - other, other), "unbiased_error": math.nan, "unbiased_deviation": math.nan}
    if k > 1:  # a cut at every step leaves nothing to make up for
        drawn = random_cuts(trace, k, draws, rng)
        found["unbiased_error"] = ratio_of(drawn.mean - other, other)
        found["unbiased_deviation"] = drawn.deviation
    return found


def _from_on(cosines: Sequence[float] | Array, steps: Sequence[int]) -> int | None:
    """The least number of steps from which on every cosine is good."""
    found = None
    for cosine, k in zip(reversed(list(cosines)), reversed(list(steps)), strict=True):
        if not cosine >= GOOD:
            break
        found = k
    return found


def _notes(rows: list[dict[str, Any]], T: int, last_only: bool, predicted: bool, anchor: str) -> list[str]:
    found = []
    short = [
        row for row in rows if anchor == "start" and last_only and row["last_segment"] < row["steps"] / 2
    ]
    for row in short:
        steps = "1 step" if row["last_segment"] == 1 else f"{row['last_segment']} steps"
        found.append(
            f"k = {row['steps']} leaves a last segment of {steps} of {T}, and the loss reads the last step:"
            f' count from the end (anchor="end"), or choose another k'
        )
    if not predicted:
        found.append(
            "no prediction: the loss reads many steps, of a layer that reads backwards or lies in a wrapper,"
            " or of so long a sequence that what each gives does not fit into memory"
        )
    return found
