"""An .npz file into sequences and labels: arrays that are padded, masked, or one after another."""

from __future__ import annotations

from typing import Any

import numpy as np

from minilstm.datasets.arrays import read_npz
from minilstm.datasets.columns import (
    LENGTHS,
    MASKS,
    SERIES,
    TEXTS,
    Found,
    Names,
    by_of,
    label_of,
    pick,
    some,
    unused,
)
from minilstm.foundations.arrays import Array


def read_arrays(data: bytes, names: Names) -> Found:
    """Sequences, labels, their places, and what was taken for what; ValueError for what does not fit."""
    arrays = read_npz(data)
    columns = list(arrays)
    label = label_of(names["label"], columns)
    by = by_of(names, columns)
    rest = [column for column in columns if column not in (label, by)]
    column = pick("features", (names["features"] or [names["text"]])[0], (*SERIES, *TEXTS), rest)
    if column is None:
        raise ValueError(f"name the sequences with --features; it has {some(rest)}")
    sizes = pick("lengths", None, LENGTHS, rest)
    mask = pick("mask", None, MASKS, rest)
    x, y = arrays[column], arrays[label]
    if y.ndim != 1 or x.ndim not in (1, 2, 3) or x.dtype.kind == "S" or y.dtype.kind == "S":
        expected = "expected x of (N, T) or (N, T, D) and y of (N,), of numbers or texts"
        raise ValueError(f"{expected}, got {x.dtype} of {x.shape} and {y.dtype} of {y.shape}")
    said = f"sequences from {column!r}, labels from {label!r}"
    if mask is not None and names["padding"] is None:
        series = _real_steps(x, arrays[mask])
        said += f", real steps from {mask!r}"
        if sizes is not None:
            _check_same(x, arrays[mask].astype(bool), arrays[sizes], (mask, sizes))
            said += f", as many as {sizes!r} says"
    elif sizes is not None:
        series, more = _unpadded(x, arrays[sizes], len(y), names["padding"])
        said += f", lengths from {sizes!r}{more}"
    elif names["padding"] is not None:
        raise ValueError(f"padding must be left out where there are no lengths, got {names['padding']!r}")
    else:
        series = x.tolist() if x.dtype.kind == "U" else list(x)
    if by is not None and arrays[by].shape != y.shape:
        raise ValueError(f"{by!r} must have a value for each of the {len(y)} labels, got {arrays[by].shape}")
    said += unused(rest, [column, *filter(None, [sizes, mask])])
    places = [f"row {k}" for k in range(len(series))]
    return Found(series, y.tolist(), places, said, by=None if by is None else arrays[by].tolist())


def _unpadded(x: Array, lengths: Array, samples: int, padding: str | None) -> tuple[list[Any], str]:
    """Each sequence without its padding, and at which end that was found."""
    expected = f"lengths must be {samples} whole numbers >= 1"
    if lengths.dtype.kind not in "iu" or lengths.shape != (samples,):
        raise ValueError(f"{expected}, got {lengths.dtype} of {lengths.shape}")
    if samples and lengths.min() < 1:
        raise ValueError(f"{expected}, got {lengths.min()} in row {lengths.argmin()}")
    sizes: list[int] = lengths.tolist()  # Python's numbers do not overflow
    if len(x) == samples and x.ndim >= 2 and max(sizes, default=0) <= x.shape[1]:
        T, side = x.shape[1], padding or _padded_end(x, lengths)
        if side is None:
            return list(x), ""
        parts = [
            row[:size] if side == "post" else row[T - size :] for row, size in zip(x, sizes, strict=True)
        ]
        return (
            parts,
            f", padded at the {'end' if side == 'post' else 'start'}{_doubtful_cut(x, lengths, side)}",
        )
    if sum(sizes) != len(x) == samples and x.ndim >= 2:
        row = int(lengths.argmax())
        raise ValueError(
            f"lengths must be at most the {x.shape[1]} steps of x, got {sizes[row]} in row {row}"
        )
    if sum(sizes) != len(x):
        raise ValueError(f"lengths must add up to the {len(x)} steps of x, got {sum(sizes)}")
    if padding is not None:
        raise ValueError(
            f"padding must be left out where x holds one sequence after another, got {padding!r}"
        )
    return np.split(x, np.cumsum(sizes)[:-1]), ""


def _doubtful_cut(x: Array, lengths: Array, side: str) -> str:
    """A remark where what is cut off is not one number throughout, or where real steps look like it."""
    cut = _left_over(x, lengths)[side]
    if not cut.any():
        return ""
    if not _is_constant(x[cut]):
        return ", note: what is cut off is not one number throughout, as padding is"
    value = x[cut].reshape(-1)[:1]
    rows = np.flatnonzero(cut.any(axis=1))
    last = lengths[rows] - 1 if side == "post" else x.shape[1] - lengths[rows]
    steps = x[rows, last].reshape(len(rows), -1)
    alike = int(((steps == value) | ((steps != steps) & (value != value))).all(axis=1).sum())
    if not alike:
        return ""
    end = "last" if side == "post" else "first"
    return (
        f", note: in {alike:,} of {len(x):,} rows the {end} real step is {value[0]:g} too, as the padding is"
    )


def _padded_end(x: Array, lengths: Array) -> str | None:
    """The end at which one number fills all that `lengths` leaves over; None where nothing is left over.

    Raises ValueError where both ends, or neither, look like that.
    """
    if (lengths == x.shape[1]).all():
        return None
    found = [side for side, where in _left_over(x, lengths).items() if _is_constant(x[where])]
    if len(found) != 1:
        which = "both ends" if found else "neither end"
        raise ValueError(
            f"the rows of x are longer than lengths says, and {which} could be padding; "
            "say which with padding= ('pre' or 'post'; on the command line --padded-at)"
        )
    return found[0]


def _left_over(x: Array, lengths: Array) -> dict[str, Array]:
    """The steps (N, T) that would be padding at either end."""
    steps, T = np.arange(x.shape[1]), x.shape[1]
    return {"post": steps >= lengths[:, None], "pre": steps < T - lengths[:, None].astype(np.int64)}


def _is_constant(values: Array) -> bool:
    """Whether all are the same number (or all NaN)."""
    first = values.reshape(-1)[:1]
    return bool((values == first).all() or (values != values).all())


def _check_same(x: Array, real: Array, lengths: Array, names: tuple[str, str]) -> None:
    """ValueError where a mask contradicts `lengths`, or the end at which x is padded."""
    counts = real.sum(axis=1)
    expected = f"{names[0]!r} and {names[1]!r} must say the same"
    if lengths.shape != counts.shape:
        raise ValueError(f"{expected}, got lengths of {lengths.shape}")
    if (lengths != counts).any():
        k = int(np.argmax(lengths != counts))
        raise ValueError(f"{expected}, got {counts[k]} real steps and length {lengths[k]} in row {k}")
    padded = [side for side, where in _left_over(x, lengths).items() if _is_constant(x[where])]
    if len(padded) == 1 and (_left_over(x, lengths)[padded[0]] == real).any():
        end = "end" if padded[0] == "post" else "start"
        raise ValueError(f"{names[0]!r} must leave out the padding, which is at the {end} of the rows of x")


def _real_steps(x: Array, mask: Array) -> list[Any]:
    """Each row's steps where `mask` is True; ValueError where they do not follow each other."""
    real = mask.astype(bool)
    if x.ndim < 2 or mask.shape != x.shape[:2] or not (real == mask).all():
        expected = f"must be True and False (or 1 and 0) for each step, {x.shape[:2]}"
        raise ValueError(f"mask {expected}, got {mask.dtype} of {mask.shape}")
    starts = real & ~np.roll(real, 1, axis=1)
    starts[:, 0] = real[:, 0]
    runs = starts.sum(axis=1)
    if (runs != 1).any():
        k = int(np.argmax(runs != 1))
        found = "none" if runs[k] == 0 else f"{runs[k]} runs of them"
        raise ValueError(f"mask must have one run of real steps in each row, got {found} in row {k}")
    return [row[steps] for row, steps in zip(x, real, strict=True)]
