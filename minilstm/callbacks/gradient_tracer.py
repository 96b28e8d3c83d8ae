"""GradientTracer: the gradient's norm at every time step, watched while fit runs.

Of each chosen batch it keeps norms and no arrays, taken from the very backward pass that trains; so it costs
little time, and memory that does not grow with batch or units.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np

from minilstm.bptt.cell import Gradients, Weights
from minilstm.callbacks.base import Callback, Logs
from minilstm.callbacks.records import LayerNorms, Record, columns_of, records_of
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import one_of, spelled, whole_number, wording
from minilstm.foundations.norms import StepNorms, norm, norms_along, over_units, vector_norm
from minilstm.layers import Recurrent
from minilstm.network import tracing
from minilstm.network.states import recurrent_in
from minilstm.trace.lags import lags

Observer = Callable[[Gradients, Array | None], None]


class GradientTracer(Callback):
    """Record per-step gradient norms of chosen batches while fit runs.

    Parameters
    ----------
    every : k for every k-th batch; "epoch" for the first batch of each epoch
    data : (x, y) or (x, y, mask) to trace in place of the training batch, always the same ones: one more
        forward and backward pass, in inference mode, before each chosen batch
    limit : most records kept; beyond it every second one is dropped and `every` doubles

    records : list of `Record`;  steps, clipped_steps : batches seen, and how many of them were clipped.
    `plots.training_heatmap`, `plots.clipping` and `plots.updates` draw them.

    >>> import minilstm as ml
    >>> model = ml.Sequential([ml.LSTM(4, input_shape=(6, 2)), ml.Dense(1)], seed=0)
    >>> model.compile(loss="mse", optimizer=ml.SGD(clipnorm=1e-3))
    >>> tracer = GradientTracer()
    >>> history = model.fit(np.ones((8, 6, 2)), np.ones(8), batch_size=4, callbacks=[tracer], verbose=0)
    >>> tracer.norms("lstm", "dh").shape, tracer.share_clipped
    ((2, 6), 1.0)
    """

    @spelled
    def __init__(
        self,
        every: int | Literal["epoch"] = 1,
        data: tuple[Any, ...] | None = None,
        limit: int = 1000,
    ) -> None:
        if not isinstance(every, str) or every != "epoch":
            every = whole_number("every", every)
        if data is not None and (not isinstance(data, (tuple, list)) or len(data) not in (2, 3)):
            raise ValueError(wording("data", "(x, y) or (x, y, mask)", type(data).__name__))
        self.every, self.data, self.limit = every, data, whole_number("limit", limit, 2)
        self.records: list[Record] = []
        self.steps = self.clipped_steps = 0
        self._epoch = 0
        self._open: Record | None = None
        self._before: dict[str, Array] = {}

    # ------------------------------------------------------------ called by fit

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        if batch != 0 if self.every == "epoch" else self.steps % int(self.every) != 0:
            return
        self._open = Record(self._epoch, batch)
        self.records.append(self._open)
        if self.data is not None:
            self._open.layers = _traced(tracing.trace(self.model, *self.data))
        else:
            for path, layer in recurrent_in(self.model.layers):
                layer.observer = partial(self._observe, path, layer, layer.observer)
        self._before = {name: weight.copy() for name, weight in self.model.named_weights.items()}

    def _observe(
        self, path: str, layer: Recurrent, other: Observer | None, gradients: Gradients, mask: Array | None
    ) -> None:
        layer.observer = None  # once: nothing stays behind where fit ends with an error
        if other is not None:  # of another callback that looks on
            other(gradients, mask)
        if self._open is not None and gradients.norms is not None:
            cell, real = layer.cell, None if mask is None else mask.T
            kept = _layer_norms(cell.states, cell.gates, gradients.norms, gradients.dweights, real)
            self._open.layers[path] = kept

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.steps += 1
        logs = logs or {}
        self.clipped_steps += logs.get("clipped", 0.0) > 0
        record, self._open = self._open, None
        if record is None:
            return
        for _, layer in recurrent_in(self.model.layers):  # a frozen layer has no backward pass to look on
            layer.observer = None
        record.loss, record.norm, record.norm_after = (
            logs[key] for key in ("batch_loss", "norm", "norm_after")
        )
        for name, weight in self.model.named_weights.items():
            before = self._before[name]
            moved, size = vector_norm(weight - before), vector_norm(before)
            record.update_to_weight[name] = moved / size if size > 0 else math.nan
        if len(self.records) > self.limit:
            self.records = self.records[::2]
            if self.every != "epoch":
                self.every = 2 * int(self.every)

    def get_state(self) -> dict[str, Any]:
        """All records, as columns; see `minilstm.network.progress.Stateful`."""
        counts = {"steps": self.steps, "clipped_steps": self.clipped_steps}
        return {"every": self.every, "epoch": self._epoch, "records": columns_of(self.records)} | counts

    def set_state(self, state: dict[str, Any]) -> None:
        """Take the records of `get_state`."""
        self.every, self._epoch = state["every"], state["epoch"]
        self.steps, self.clipped_steps = state["steps"], state["clipped_steps"]
        self.records = records_of(state["records"])

    # ------------------------------------------------------------ for the reader

    @property
    def share_clipped(self) -> float:
        """Share of all batches whose gradient was clipped; nan before the first."""
        return self.clipped_steps / self.steps if self.steps else math.nan

    def norms(self, layer: str, name: str = "dh") -> Array:
        """Norm at each lag of each record, (records, L): "dh", "dc", "dz_i" for gate i; nan where shorter."""
        if not self.records:
            raise ValueError(wording("tracer", "one that has seen a batch", "no records"))
        one_of("layer", layer, self.records[0].layers)
        found = []
        for record in self.records:
            kept = record.layers.get(layer)
            choices = {} if kept is None else kept.states | {f"dz_{gate}": dz for gate, dz in kept.dz.items()}
            found.append(choices[one_of("name", name, choices)] if choices else np.zeros(0))
        table = np.full((len(found), max(map(len, found))), np.nan)
        for row, values in zip(table, found, strict=True):
            row[: len(values)] = values
        return table


def _traced(trace: Any) -> dict[str, LayerNorms]:
    """The norms of a trace, as the training pass would give them."""
    found = {}
    for path, layer in trace.layers.items():
        blocks = list(layer.blocks(layer.dz).values())
        steps = [layer.norm(f"d{state}", per_sample=True).T for state in layer.states]
        steps += [norm(block, (2,)).T for block in blocks]
        db = [block.sum(axis=1, dtype=np.float64) for block in blocks]
        norms = StepNorms(np.stack(steps), np.stack(db))
        names = (f"{path}/{key}" for key in ("kernel", "recurrent_kernel"))
        W, U = (trace.grads[name] for name in names)
        bias = trace.grads.get(f"{path}/bias", layer.dz.sum(axis=(0, 1)))  # of a GRU: [b, rb]
        weights = Weights(W, U, bias)
        found[path] = _layer_norms(layer.states, layer.gates, norms, weights, layer.real)
    return found


def _layer_norms(
    states: tuple[str, ...], gates: tuple[str, ...], norms: StepNorms, dweights: Weights, real: Array | None
) -> LayerNorms:
    steps, n = norms.steps, len(gates)  # (states + n, T, parts)
    if real is None:
        ordered = steps[:, ::-1]
    else:
        lag = lags(real)
        ordered = np.zeros((len(steps), int(lag.max(initial=-1)) + 1, steps.shape[2]))
        ordered[:, lag[real], np.nonzero(real)[0]] = steps.transpose(0, 2, 1)[:, real]
    pooled = over_units(ordered, wide=dweights.W.dtype == np.float64)  # (states + n, L)
    arrays = [array.reshape(-1, n, array.shape[-1] // n) for array in dweights[:4] if array is not None]
    sizes = norms_along(1, np.concatenate(arrays, dtype=np.float64))
    return LayerNorms(
        states={f"d{state}": pooled[k] for k, state in enumerate(states)},
        dz={gate: pooled[k + len(states)] for k, gate in enumerate(gates)},
        weights=dict(zip(gates, sizes, strict=True)),
        signal_to_noise=dict(zip(gates, _signal_to_noise(norms.db), strict=True)),
    )


def _signal_to_noise(db: Array) -> list[float]:
    """Norm of the mean over the samples, over their standard deviation, for each gate of db (n, B, H)."""
    B = db.shape[1]
    with np.errstate(over="ignore", invalid="ignore"):  # Inf - Inf: nan says it
        mean = np.add.reduce(db, axis=1, keepdims=True) / B
        apart = db - mean
    if not np.isfinite(apart).all() and np.isfinite(db).all():  # the sum left the range
        return _signal_to_noise(db / np.abs(db).max())
    sizes = zip(norms_along(0, mean), norms_along(0, apart), strict=True)
    return [signal * math.sqrt(B) / noise if noise > 0 else math.nan for signal, noise in sizes]
