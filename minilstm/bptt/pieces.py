"""Pieces [chunk of the batch][segment of time] put together again: states, gradients, steps, norms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minilstm.arrays import Array
from minilstm.bptt.cell import Gradients, State, Weights
from minilstm.norms import join_norms


def join_states(chunks: Sequence[State]) -> State:
    """The states of the chunks as one state of the whole batch."""
    if len(chunks) == 1:
        return chunks[0]
    return tuple(np.concatenate(parts) for parts in zip(*chunks, strict=True))


def add_weights(parts: Sequence[Weights]) -> Weights:
    """The sum of the gradients of several segments, in their order; the first ones are written over."""
    first, *others = parts
    for other in others:
        for array, part in zip(first, other, strict=True):
            if array is not None:
                array += part
    return first


def join_chunks(pieces: Sequence[Sequence[Array]]) -> Array:
    """Pieces [chunk][segment] of (S, b, .) as one (T, B, .), in memory (B, T, .), as layers want it."""
    T = sum(len(piece) for piece in pieces[0])
    B = sum(chunk[0].shape[1] for chunk in pieces)
    out = np.empty((B, T, pieces[0][0].shape[2]), pieces[0][0].dtype).transpose(1, 0, 2)
    row = 0
    for chunk in pieces:
        step, b = 0, chunk[0].shape[1]
        for piece in chunk:
            out[step : step + len(piece), row : row + b] = piece
            step += len(piece)
        row += b
    return out


def join_gradients(chunks: Sequence[Sequence[Gradients]], dstate: State) -> Gradients:
    """The gradients of the whole; those of the weights stand, added up, in each chunk's first segment."""

    def joined(pick: Callable[[Gradients], Any]) -> Array:
        return join_chunks([[pick(segment) for segment in chunk] for chunk in chunks])

    found = chunks[0][-1]  # has what was asked for
    states = range(len(found.dtotal or ()))
    return Gradients(
        dweights=add_weights([chunk[0].dweights for chunk in chunks]),  # a fixed order, for any threads
        dstate=dstate,
        dx=None if found.dx is None else joined(lambda segment: segment.dx),
        dz=None if found.dz is None else joined(lambda segment: segment.dz),
        dtotal=tuple(joined(lambda segment, k=k: segment.dtotal[k]) for k in states) or None,  # type: ignore[misc]
        norms=found.norms and join_norms([[segment.norms for segment in chunk] for chunk in chunks]),  # type: ignore[misc]
    )
