"""One long series into short sequences, each with its target, as Keras's timeseries_dataset_from_array."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from minilstm.foundations.arrays import Array, plain_array
from minilstm.foundations.errors import shown, whole_number, wording


def sliding_windows(
    data: ArrayLike,
    targets: ArrayLike | None,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    *,
    start_index: int = 0,
    end_index: int | None = None,
) -> tuple[Array, Array | None]:
    """All windows of `sequence_length` steps over a series, and the target where each begins.

    With `start_index` s, `end_index` e and the window w = 0, 1, .., that begins at p = s + w sequence_stride:

        x[w, k] = data[p + k sampling_rate],  k = 0 .. sequence_length - 1
        y[w]    = targets[p]

    for all w whose steps are before e and that have a target. To predict `series` itself, leave all of it to
    the windows, and shift the targets alone; then every window that has a target is kept. With T steps:

        the step after:            sliding_windows(series, series[T:], T)
        k steps ahead:             sliding_windows(series, series[T - 1 + k :], T)
        the next k steps, each:    sliding_windows(series, sliding_windows(series[T:], None, k)[0], T)
        every r-th step, k ahead:  sliding_windows(series, series[(T - 1) * r + k :], T, sampling_rate=r)

    (Keras's own example, `series[:-T], series[T:]`, loses the last T - 1 windows.)

    Parameters
    ----------
    data : (steps,) or (steps, D), any dtype
    targets : (at most steps, ...), or None
    sequence_length : T, steps of a window
    sequence_stride : steps from the beginning of a window to that of the next
    sampling_rate : steps of the series from one step of a window to the next
    start_index, end_index : the part of `data` that is used, end_index itself not

    Returns
    -------
    (x, y) : x (windows, T, D), with D = 1 for a series (steps,), y (windows, ...) or None. Views of the data,
        x read-only, so that overlapping windows take no memory; shuffling and batches are fit's.

    Raises
    ------
    TypeError, ValueError : an argument is no whole number, or out of range; no window fits

    Source: `keras.utils.timeseries_dataset_from_array`. What differs: a series (steps,) gets its axis of
    features; a stride or a rate as large as the series is no error as long as one window fits; with a
    `start_index`, windows without a target are left out, where Keras fails.

    Examples
    --------
    >>> x, y = sliding_windows(np.arange(10), np.arange(10) * 10, 4, sequence_stride=2)
    >>> x[:, :, 0].tolist()
    [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7], [6, 7, 8, 9]]
    >>> y.tolist()
    [0, 20, 40, 60]

    The next two steps after every window:

    >>> series = np.arange(6)
    >>> x, y = sliding_windows(series, sliding_windows(series[3:], None, 2)[0], 3)
    >>> x[:, :, 0].tolist(), y[:, :, 0].tolist()
    ([[0, 1, 2], [1, 2, 3]], [[3, 4], [4, 5]])
    """
    series = plain_array("data", data)
    if series.ndim not in (1, 2) or len(series) == 0:
        raise ValueError(wording("data", "(steps,) or (steps, features), at least 1 step", series.shape))
    T = whole_number("sequence_length", sequence_length)
    stride, rate = (
        whole_number("sequence_stride", sequence_stride),
        whole_number("sampling_rate", sampling_rate),
    )
    first = whole_number("start_index", start_index, 0)
    end = len(series) if end_index is None else whole_number("end_index", end_index)
    if not first < end <= len(series):
        expected = f"0 <= start_index < end_index <= {len(series)}, the steps of data"
        raise ValueError(wording("start_index and end_index", expected, f"{first} and {end}"))
    count = end - first - (T - 1) * rate  # windows at stride 1
    if targets is not None:
        aims = plain_array("targets", targets)
        if aims.ndim == 0:
            raise ValueError(wording("targets", "an array with a target for each step", shown(targets)))
        count = min(count, len(aims) - first)
    if count < 1:
        got = f"{end - first} steps of data" + ("" if targets is None else f" and {len(aims)} targets")
        needed = f"at least {(T - 1) * rate + 1} steps, for one window"
        raise ValueError(wording("data", needed, got))
    span = (T - 1) * rate + 1
    windows = np.lib.stride_tricks.sliding_window_view(series[first:end], span, axis=0)[:count:stride]
    x = windows[..., ::rate]  # (windows, [D,] T)
    x = x[..., None] if series.ndim == 1 else x.swapaxes(1, 2)
    return x, None if targets is None else aims[first : first + count : stride]
