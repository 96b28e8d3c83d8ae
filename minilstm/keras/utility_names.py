"""The functions of `keras.utils` that prepare data for a recurrent network."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minilstm.foundations.arrays import Array, numeric_array
from minilstm.foundations.errors import check_room, shown, spelled, switch, whole_number, wording
from minilstm.sequences import pad_sequences, sliding_windows

__all__ = ["normalize", "pad_sequences", "timeseries_dataset_from_array", "to_categorical"]


@spelled
def to_categorical(x: ArrayLike, num_classes: int | None = None) -> Array:
    """Labels (...) or (..., 1) as rows with a 1 at the label, (..., classes), float64.

    ValueError for a label that is no class, where Keras cuts fractions off, and takes -1 for the last class.
    Source: `keras.utils.to_categorical`.

    >>> to_categorical([0, 2]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    given = numeric_array("x", x)
    with np.errstate(invalid="ignore"):
        labels = given.astype(np.int64)
    if (labels != given).any():
        raise ValueError(wording("x", "of whole numbers", given[labels != given].flat[0]))
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if labels.size == 0 and num_classes is None:
        raise ValueError(wording("x", "of at least 1 label, where num_classes is None", "none"))
    classes = int(labels.max()) + 1 if num_classes is None else whole_number("num_classes", num_classes)
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(wording("x", f"of labels 0 .. {classes - 1}", f"{labels.min()} .. {labels.max()}"))
    check_room(f"a row of {classes} classes for each of {labels.size} labels", 8 * labels.size * classes)
    rows = np.zeros((*labels.shape, classes))
    np.put_along_axis(rows, labels[..., None], 1.0, axis=-1)
    return rows


@spelled
def normalize(x: ArrayLike, axis: int = -1, order: int = 2) -> Array:
    """x divided by its norm along an axis; zeros stay zeros. Source: `keras.utils.normalize`.

    >>> normalize([[3.0, 4.0]]).tolist()
    [[0.6, 0.8]]
    """
    array = np.atleast_1d(numeric_array("x", x))
    axis = None if axis is None else whole_number("axis", axis, -array.ndim)
    if not isinstance(order, Real) or isinstance(order, bool) or order != order:
        raise TypeError(wording("order", "the order of a norm, as 2 or inf", shown(order)))
    try:
        norm = np.linalg.norm(array, order, axis, keepdims=True)
    except (TypeError, ValueError, OverflowError) as error:
        expected = f"an axis of x, which has {array.ndim}, and an order of its norm"
        raise ValueError(wording("axis and order", expected, f"{axis!r} and {order!r} ({error})")) from None
    return np.asarray(array / np.where(norm == 0, 1, norm))


class Windows:
    """Batches of windows: an iterable with a length, for fit, evaluate and predict."""

    def __init__(self, x: Array, y: Array | None, batch_size: int, rng: np.random.Generator | None) -> None:
        self.x, self.y, self.batch_size, self.rng = x, y, batch_size, rng
        self.order = np.arange(len(x)) if rng is None else rng.permutation(len(x))

    def __len__(self) -> int:
        return -(-len(self.x) // self.batch_size)

    def __getitem__(self, batch: int) -> Any:
        if not 0 <= batch < len(self):
            raise IndexError(batch)
        rows = self.order[batch * self.batch_size : (batch + 1) * self.batch_size]
        return self.x[rows] if self.y is None else (self.x[rows], self.y[rows])

    def __iter__(self) -> Iterator[Any]:
        return (self[batch] for batch in range(len(self)))


@spelled
def timeseries_dataset_from_array(
    data: ArrayLike,
    targets: ArrayLike | None,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
) -> Windows:
    """Batches (x, y), or x where there are no targets, of the windows of a series; see `sliding_windows`.

    x is (batch, sequence_length, D), or without D for a series (steps,); y begins with the batch. `shuffle`
    draws one order from `seed`. Source: `keras.utils.timeseries_dataset_from_array`.

    >>> batches = timeseries_dataset_from_array(np.arange(6), np.arange(6) * 10, 3, batch_size=3)
    >>> x, y = batches[0]
    >>> x.tolist(), y.tolist(), len(batches)
    ([[0, 1, 2], [1, 2, 3], [2, 3, 4]], [0, 10, 20], 2)
    """
    x, y = sliding_windows(
        data,
        targets,
        sequence_length,
        sequence_stride,
        sampling_rate,
        start_index=0 if start_index is None else start_index,
        end_index=end_index,
    )
    x = x[..., 0] if np.ndim(data) == 1 else x
    seed = None if seed is None else whole_number("seed", seed, 0, wide=True)
    rng = np.random.default_rng(seed) if switch("shuffle", shuffle) else None
    return Windows(x, y, whole_number("batch_size", batch_size), rng)
