"""Pieces put together again: stretches of time (axis 0), or chunks of the batch (axis 1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minilstm.arrays import Array
from minilstm.bptt.cell import Gradients, State, Weights
from minilstm.norms import join_norms


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

    def joined(pick: Callable[[Gradients], Any]) -> Array:
        return join([pick(piece) for piece in pieces], axis)

    last, norms = pieces[-1], [piece.norms for piece in pieces]  # the last has what was asked for
    states = range(len(last.dtotal or ()))
    return Gradients(
        dweights=dweights,
        dstate=dstate,
        dx=None if last.dx is None else joined(lambda piece: piece.dx),
        dz=None if last.dz is None else joined(lambda piece: piece.dz),
        dtotal=tuple(joined(lambda piece, k=k: piece.dtotal[k]) for k in states) or None,  # type: ignore[misc]
        norms=last.norms and join_norms([norms] if axis == 0 else [[one] for one in norms]),  # type: ignore[list-item]
    )
