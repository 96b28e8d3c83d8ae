"""Padded sequences <-> packed ones, as torch.nn.utils.rnn does it: only the real steps, step by step.

    sequences  a a a        packed  data         a b a b a
               b b                  batch_sizes  2 2 1

minilstm trains on padded sequences with a mask; packing is for exchange with PyTorch, and for the steps of
ragged sequences as one array, which costs no padding.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from numbers import Number
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from minilstm.foundations.arrays import Array, plain_array
from minilstm.foundations.errors import check_room, listed, one_of, shown, switch, whole_number, wording


class PackedSequence(NamedTuple):
    """The real steps of B sequences, time step by time step, the longest sequence first."""

    data: Array  # (steps, ...)
    batch_sizes: Array  # (T,) sequences that have a step t
    sorted_indices: (
        Array | None
    )  # (B,) place in the batch of the longest, the next, ..; None if it was sorted
    unsorted_indices: Array | None  # (B,) the inverse


def pack_padded_sequence(
    input: ArrayLike, lengths: Sequence[int] | Array, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Take the real steps out of sequences that are padded at the end.

    Parameters
    ----------
    input : (T, B, ...), or (B, T, ...) with `batch_first`
    lengths : B whole numbers, 1 <= length <= T
    batch_first : whether the batch is the first axis
    enforce_sorted : whether the sequences come with the longest first; if not, they are sorted here

    Raises ValueError for lengths out of range (PyTorch lets lengths above T pass), not descending, or of
    another number than B. Source: `torch.nn.utils.rnn.pack_padded_sequence`; the names are its own.

    >>> packed = pack_padded_sequence([[1, 2, 3], [4, 5, 0]], [3, 2], batch_first=True)
    >>> packed.data.tolist(), packed.batch_sizes.tolist()
    ([1, 4, 2, 5, 3], [2, 2, 1])
    """
    switch("batch_first", batch_first)
    switch("enforce_sorted", enforce_sorted)
    array = plain_array("input", input)
    if array.ndim < 2:
        raise ValueError(wording("input", "of at least 2 axes, time and batch", f"shape {array.shape}"))
    array = array.swapaxes(0, 1) if batch_first else array  # (T, B, ...)
    T, B = array.shape[:2]
    given = listed("lengths", "a list of whole numbers", lengths)
    counts = np.array([whole_number(f"lengths[{b}]", length) for b, length in enumerate(given)], np.int64)
    if len(counts) != B or B == 0:
        raise ValueError(wording("lengths", f"one number for each of {B} sequences, at least 1", len(counts)))
    if counts.max() > T:
        b = int(counts.argmax())
        raise ValueError(wording(f"lengths[{b}]", f"at most {T}, the steps of input", counts[b]))
    order = inverse = None
    if not enforce_sorted:
        order = np.argsort(-counts, kind="stable")
        inverse = np.argsort(order)
        array, counts = array[:, order], counts[order]
    elif (np.diff(counts) > 0).any():
        b = int(np.argmax(np.diff(counts) > 0)) + 1
        expected = f"at most {counts[b - 1]}, the one before it, where enforce_sorted is True"
        raise ValueError(wording(f"lengths[{b}]", expected, counts[b]))
    real = np.arange(counts[0])[:, None] < counts  # (longest, B)
    return PackedSequence(array[: counts[0]][real], real.sum(axis=1), order, inverse)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Array, Array]:
    """The inverse: padded sequences (T, B, ...) or (B, T, ...) in the order they came in, and their lengths.

    `total_length` is the T of the result, by default the longest sequence; ValueError if that is longer.
    Source: `torch.nn.utils.rnn.pad_packed_sequence`.

    >>> packed = pack_padded_sequence([[4, 5, 0], [1, 2, 3]], [2, 3], batch_first=True, enforce_sorted=False)
    >>> padded, lengths = pad_packed_sequence(packed, batch_first=True, padding_value=-1)
    >>> padded.tolist(), lengths.tolist()
    ([[4, 5, -1], [1, 2, 3]], [2, 3])
    """
    switch("batch_first", batch_first)
    if not hasattr(sequence, "data") or not hasattr(sequence, "batch_sizes"):
        raise TypeError(wording("sequence", "a PackedSequence", shown(sequence)))
    data, sizes = np.asarray(sequence.data), np.asarray(sequence.batch_sizes)
    if sizes.ndim != 1 or len(sizes) == 0 or (np.diff(sizes) > 0).any() or sizes.sum() != len(data):
        expected = "a PackedSequence whose batch_sizes fall and add up to the steps of its data"
        raise ValueError(
            wording("sequence", expected, f"batch_sizes {sizes.tolist()!r:.60} of {len(data)} steps")
        )
    value = _held_by(data.dtype, padding_value)
    T = len(sizes) if total_length is None else whole_number("total_length", total_length)
    if len(sizes) > T:
        raise ValueError(wording("total_length", f"at least {len(sizes)}, the longest sequence", T))
    check_room(f"{sizes[0]} sequences of total_length={T}", int(sizes[0]) * T * data[:1].nbytes)
    real = np.arange(sizes[0]) < sizes[:, None]  # (longest, B)
    padded = np.full((T, sizes[0], *data.shape[1:]), value, data.dtype)
    padded[: len(sizes)][real] = data
    lengths = real.sum(axis=0)
    if sequence.unsorted_indices is not None:
        padded, lengths = padded[:, sequence.unsorted_indices], lengths[sequence.unsorted_indices]
    return (padded.swapaxes(0, 1) if batch_first else padded), lengths


def pad_sequence(
    sequences: Sequence[ArrayLike],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Array:
    """Sequences (t, ...) of one dtype padded to the longest: (T, B, ...), or (B, T, ...) with `batch_first`.

    Source: `torch.nn.utils.rnn.pad_sequence`.

    >>> pad_sequence([[1, 2], [3]], batch_first=True).tolist()
    [[1, 2], [3, 0]]
    """
    switch("batch_first", batch_first)
    one_of("padding_side", padding_side, ("left", "right"))
    given = listed("sequences", "a list of (t, ...)", sequences)
    arrays = [plain_array(f"sequences[{b}]", sequence) for b, sequence in enumerate(given)]
    if not arrays or any(array.ndim == 0 or array.shape[1:] != arrays[0].shape[1:] for array in arrays):
        got = [array.shape for array in arrays]
        raise ValueError(wording("sequences", "at least one (t, ...), all of one shape but for t", got))
    T = max(len(array) for array in arrays)
    dtype = np.result_type(*arrays)
    value = _held_by(dtype, padding_value)
    padded = np.full((len(arrays), T, *arrays[0].shape[1:]), value, dtype)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
        if padding_side == "left":
            row[:] = np.roll(row, T - len(array), axis=0)
    return padded if batch_first else padded.swapaxes(0, 1)


def unpad_sequence(
    padded_sequences: ArrayLike, lengths: Sequence[int] | Array, batch_first: bool = False
) -> list[Array]:
    """The inverse for sequences that are padded at the end. Source: `torch.nn.utils.rnn.unpad_sequence`.

    >>> [row.tolist() for row in unpad_sequence([[1, 2], [3, 0]], [2, 1], batch_first=True)]
    [[1, 2], [3]]
    """
    array = plain_array("padded_sequences", padded_sequences)
    if array.ndim < 2:
        expected = "(T, B, ...), or (B, T, ...) with batch_first"
        raise ValueError(wording("padded_sequences", expected, f"shape {array.shape}"))
    array = array if switch("batch_first", batch_first) else array.swapaxes(0, 1)
    given = listed("lengths", "a list of whole numbers", lengths)
    counts = [whole_number(f"lengths[{b}]", length, 0) for b, length in enumerate(given)]
    if len(counts) != len(array) or max(counts, default=0) > array.shape[1]:
        expected = f"{len(array)} numbers of at most {array.shape[1]}"
        raise ValueError(wording("lengths", expected, counts))
    return [row[:count].copy() for row, count in zip(array, counts, strict=True)]


def pack_sequence(sequences: Sequence[ArrayLike], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences (t, ...). Source: `torch.nn.utils.rnn.pack_sequence`.

    >>> pack_sequence([[1, 2], [3]]).data.tolist()
    [1, 3, 2]
    """
    padded = pad_sequence(sequences)  # which checks them
    lengths = [len(np.asarray(sequence)) for sequence in sequences]
    return pack_padded_sequence(padded, lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Array]:
    """The inverse, in the order they came in. Source: `torch.nn.utils.rnn.unpack_sequence`.

    >>> [row.tolist() for row in unpack_sequence(pack_sequence([[1, 2], [3]]))]
    [[1, 2], [3]]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


def _held_by(dtype: np.dtype[Any], value: Any) -> Any:
    """A padding value as a number of `dtype`, to its precision; TypeError or ValueError where it has none."""
    argument = "padding_value"
    expected = f"one number that {dtype} can hold"
    numeric = isinstance(value, (Number, np.ndarray, np.bool_))
    if not numeric or np.ndim(value):
        raise TypeError(wording(argument, expected, shown(value)))
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy's, which say that something is lost
            stored = np.asarray(value).astype(dtype)[()]
            number = complex(value)
            held = np.isfinite(stored) == np.isfinite(number)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(wording(argument, expected, shown(value))) from None
    if not held or (number.imag and dtype.kind != "c") or (dtype.kind in "iub" and stored != value):
        raise ValueError(wording(argument, expected, shown(value)))
    return stored
