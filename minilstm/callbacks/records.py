"""What `GradientTracer` keeps of a batch: norms by layer, gate and lag; and many of them as a few arrays."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.foundations.norms import norm


@dataclass
class LayerNorms:
    """What is kept of one recurrent layer at one batch; L time steps, counted back from the last real one.

    states : "dh" (and "dc"): norm over units and samples at each lag, (L,);  dz : the same for each gate;
    weights : norm of the gradient of each gate's weights;  signal_to_noise : for each gate, the size of the
    mean over its spread, over the batch, of the samples' own gradients of the bias
    """

    states: dict[str, Array]
    dz: dict[str, Array]
    weights: dict[str, float]
    signal_to_noise: dict[str, float]


class Culprit(NamedTuple):
    """What made the norm: the layer and the gate with the largest gradient, and the lag of the largest dz."""

    layer: str
    gate: str
    lag: int
    share: float  # of the squared norm of all gradients that this gate's weights hold


@dataclass
class Record:
    """One chosen batch. norm : of all gradients, before and after clipping; nan until the batch is done."""

    epoch: int
    batch: int
    layers: dict[str, LayerNorms] = field(default_factory=dict)
    loss: float = math.nan
    norm: float = math.nan
    norm_after: float = math.nan
    update_to_weight: dict[str, float] = field(default_factory=dict)

    def culprit(self) -> Culprit | None:
        """Where the norm came from; None where no recurrent layer was seen."""
        sizes = {
            (path, gate): size for path, layer in self.layers.items() for gate, size in layer.weights.items()
        }
        if not sizes:
            return None
        path, gate = max(sizes, key=lambda place: (math.isnan(sizes[place]), sizes[place]))
        dz = norm(np.stack(list(self.layers[path].dz.values())), (0,))
        lag = int(np.argmax(np.where(np.isnan(dz), np.inf, dz)))
        ratio = sizes[path, gate] / self.norm if self.norm > 0 else math.nan
        return Culprit(path, gate, lag, ratio * ratio)


NUMBERS = ("epoch", "batch", "loss", "norm", "norm_after")
BY_NAME = ("states", "dz", "weights", "signal_to_noise")  # of a layer
Place = tuple[str, ...]  # where a number stands in a record: (number,), (update, weight), (path, kind, name)


def columns_of(records: Sequence[Record]) -> dict[str, dict[str, Array]]:
    """Records as long arrays: what stands at one place in all of them, behind each other."""
    found: dict[Place, list[tuple[int, Array]]] = {}
    for k, record in enumerate(records):
        for place, value in _places(record):
            found.setdefault(place, []).append((k, np.atleast_1d(np.asarray(value, np.float64))))
    return {
        json.dumps(place): {
            "records": np.array([k for k, _ in values]),
            "lengths": np.array([len(value) for _, value in values]),
            "values": np.concatenate([value for _, value in values]),
        }
        for place, values in found.items()
    }


def records_of(columns: dict[str, dict[str, Array]]) -> list[Record]:
    """The records that `columns_of` laid out; older ones have lines as their places."""
    placed = {
        tuple(json.loads(place) if place.startswith("[") else place.split("\n")): column
        for place, column in columns.items()
    }
    records = [Record(0, 0) for _ in placed.get(("epoch",), {}).get("records", ())]
    for place, column in placed.items():
        pieces = np.split(column["values"], np.cumsum(column["lengths"])[:-1])
        for k, piece in zip(column["records"], pieces, strict=True):
            _put(records[k], place, piece)
    return records


def _places(record: Record) -> Iterator[tuple[Place, Any]]:
    for name in NUMBERS:
        yield (name,), getattr(record, name)
    for name, value in record.update_to_weight.items():
        yield ("update_to_weight", name), value
    for path, layer in record.layers.items():
        for kind in BY_NAME:
            for name, value in getattr(layer, kind).items():
                yield (path, kind, name), value


def _put(record: Record, place: Sequence[str], piece: Array) -> None:
    match place:
        case [name]:
            setattr(record, name, int(piece[0]) if name in ("epoch", "batch") else float(piece[0]))
        case [_, name]:
            record.update_to_weight[name] = float(piece[0])
        case [path, kind, name]:
            layer = record.layers.setdefault(path, LayerNorms({}, {}, {}, {}))
            getattr(layer, kind)[name] = piece if kind in ("states", "dz") else float(piece[0])
