"""How weights begin: five functions (shape, rng, dtype) -> array, with Keras's distributions.

The numbers are drawn in float64 and rounded once, so one seed gives the same weights in float32 and float64.
What this file is not: Keras's random streams. A seed gives other numbers here than it gives there.

Source: Keras 3, `keras/src/initializers/random_initializers.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minilstm.errors import real_number, whole_number, wording

__all__ = ["glorot_uniform", "orthogonal", "uniform", "zeros"]


def glorot_uniform(shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike) -> NDArray[Any]:
    """Uniform in (-l, l) with l = sqrt(6 / (fan_in + fan_out)): signals keep their variance both ways.

    `shape` is (fan_in, ..., fan_out); for an LSTM's kernel (D, 4H) that makes fan_out = 4H, as in Keras.
    Raises TypeError or ValueError for a shape that is not of whole numbers >= 1.
    Source: Glorot and Bengio 2010, eq. 16; `keras.initializers.GlorotUniform`.

    >>> w = glorot_uniform((2, 4), np.random.default_rng(0), "float32")
    >>> w.shape, w.dtype, bool(abs(w).max() <= 1.0)
    ((2, 4), dtype('float32'), True)
    """
    shape = _checked(shape)
    limit = np.sqrt(6.0 / (shape[0] + shape[-1]))
    return rng.uniform(-limit, limit, size=shape).astype(dtype)


def orthogonal(shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike) -> NDArray[Any]:
    """A matrix with orthonormal rows (or columns, whichever are shorter): it neither stretches nor shrinks.

    `shape` is (rows, columns). For an LSTM's recurrent kernel it is all of (H, 4H): U @ U.T is the identity,
    and the four gates' own (H, H) blocks are not orthogonal. With A of normal numbers, tall:

        A = Q R,    result = Q sign(diag R), transposed if the shape is wide

    The sign makes the distribution uniform over orthogonal matrices, which Q alone is not.
    Raises TypeError or ValueError for a shape that is not two whole numbers >= 1.
    Source: Saxe et al. 2013; `keras.initializers.Orthogonal`.

    >>> U = orthogonal((3, 12), np.random.default_rng(0), "float64")
    >>> bool(np.allclose(U @ U.T, np.eye(3)))
    True
    """
    shape = _checked(shape)
    if len(shape) != 2:
        raise ValueError(wording("shape", "(rows, columns)", shape))
    rows, columns = shape
    A = rng.standard_normal((max(rows, columns), min(rows, columns)))
    Q, R = np.linalg.qr(A)
    Q = Q * np.sign(np.diag(R))
    return (Q.T if rows < columns else Q).astype(dtype, order="C")


def uniform(
    shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike, limit: float = 0.05
) -> NDArray[Any]:
    """Uniform in (-limit, limit), the beginning of Keras's Embedding.

    Raises TypeError or ValueError for a shape that is not of whole numbers >= 1, or a limit that is not >= 0.
    Source: `keras.initializers.RandomUniform`.

    >>> bool(abs(uniform((100, 8), np.random.default_rng(0), "float32")).max() <= 0.05)
    True
    """
    limit = real_number("limit", limit)
    return rng.uniform(-limit, limit, size=_checked(shape)).astype(dtype)


def zeros(shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike) -> NDArray[Any]:
    """Zeros; `rng` is not used.

    Raises TypeError or ValueError for a shape that is not of whole numbers >= 1.
    Source: `keras.initializers.Zeros`.

    >>> zeros((2,), np.random.default_rng(0), "float32").tolist()
    [0.0, 0.0]
    """
    return np.zeros(_checked(shape), dtype)


def _checked(shape: Sequence[int]) -> tuple[int, ...]:
    if isinstance(shape, (str, bytes)) or not isinstance(shape, Sequence) or not shape:
        raise TypeError(wording("shape", "a tuple of whole numbers", repr(shape)))
    return tuple(whole_number("shape", n) for n in shape)
