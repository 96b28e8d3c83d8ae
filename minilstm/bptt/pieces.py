"""Pieces [chunk of the batch][segment of time] put together again: states, gradients, steps, norms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minilstm.arrays import Array
from minilstm.bptt.cell import State, Weights
from minilstm.norms import over_units


class StepNorms(NamedTuple):
    """What is left of a backward pass where only norms are wanted, L2 over the units."""

    steps: Array
    """(states + n, T, B) float64: of dL/dh_t, dL/dc_t of an LSTM, and dL/dz_t gate by gate. Where there is no
    mask, the compiled engine may give one norm for all samples of a chunk: fewer columns than B"""
    db: Array
    """(n, B, H): each sample's own gradient of the bias, the sum of its dz over time"""


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
    """Pieces [chunk][segment] of (S, b, .) as one array (T, B, .), laid out (B, T, .) in memory.

    The caller of the layer wants (B, T, .), and gets a view of this without another copy.
    """
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


def step_norms(dz: Array, dstates: tuple[Array, ...]) -> StepNorms:
    """The norms of one segment, by sample: dz (S, B, nH), dstates (S, B, H) each."""
    S, B, H = dstates[0].shape
    gates = dz.reshape(S, B, -1, H).transpose(2, 0, 1, 3)  # (n, S, B, H)
    steps = [*(over_units(part) for part in dstates), *over_units(gates)]
    return StepNorms(np.stack(steps), gates.sum(axis=1))


def join_norms(chunks: Sequence[Sequence[StepNorms]]) -> StepNorms:
    """Norms of [chunk of the batch][segment of time] as those of the whole; db in float64."""
    steps = [np.concatenate([part.steps for part in segments], axis=1) for segments in chunks]
    db = [np.add.reduce([part.db for part in segments], dtype=np.float64) for segments in chunks]
    return StepNorms(np.concatenate(steps, axis=2), np.concatenate(db, axis=1))
