"""Pieces put together again: stretches of time (axis 0), or chunks of the batch (axis 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minilstm.bptt.cell import Gradients, State, Weights
from minilstm.foundations.arrays import Array
from minilstm.foundations.norms import join_norms


def join(pieces: Sequence[Array], axis: int) -> Array:
    """Pieces of (T, B, .) as one, in memory (B, T, .), as layers want it; of time a single one as it is."""
    if axis == 0 and len(pieces) == 1:
        return pieces[0]
    shape = list(pieces[0].shape)
    shape[axis] = sum(piece.shape[axis] for piece in pieces)
    T, B, n = shape
    out = np.empty((B, T, n), pieces[0].dtype).transpose(1, 0, 2)
    return np.concatenate(pieces, axis, out)


def add_weights(parts: Sequence[Weights]) -> Weights:
    """The sum of several gradients, in their order; the first ones are written over."""
    first, *others = parts
    for other in others:
        for array, part in zip(first, other, strict=True):
            if array is not None:
                array += part
    return first


def join_gradients(pieces: Sequence[Gradients], axis: int, dweights: Weights, dstate: State) -> Gradients:
    """The gradients of the whole, whose `dweights` are a sum, and `dstate` is that of the first step."""

    def joined(parts: Sequence[Any]) -> Any:
        return None if parts[-1] is None else join(parts, axis)  # None: it was not asked for

    norms = [piece.norms for piece in pieces if piece.norms is not None]
    return Gradients(
        dweights=dweights,
        dstate=dstate,
        dx=joined([piece.dx for piece in pieces]),
        dz=joined([piece.dz for piece in pieces]),
        dtotal=tuple(map(joined, zip(*(piece.dtotal or () for piece in pieces), strict=True))) or None,
        norms=join_norms([norms] if axis == 0 else [[one] for one in norms]) if norms else None,
    )
