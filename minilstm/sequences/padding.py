"""pad_sequences: what Keras's function of that name gives, and a warning where that has lost data."""

from __future__ import annotations

import math
import reprlib
import warnings
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minilstm.foundations.arrays import Array, rows_of
from minilstm.foundations.errors import (
    PaddingWarning,
    check_room,
    reworded,
    shown,
    spelled,
    whole_number,
    wording,
)
from minilstm.sequences.lossy import Losses
from minilstm.sequences.truncation import steps_to_keep

# NumPy's warnings about casts that lose data are off: `Losses` counts what was lost.
ARRAY_CODES = {np.dtype(code).str: code for code in "bBhHiIqQ"}
QUIET_CASTS: dict[str, Any] = {"over": "ignore", "invalid": "ignore"}


@spelled
def pad_sequences(
    sequences: Sequence[Any] | Array,
    maxlen: int | None = None,
    dtype: DTypeLike | None = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> Array:
    """Fill up and cut sequences to one length, with exactly the result of `keras.utils.pad_sequences`.

    Parameters
    ----------
    sequences : list, tuple or array of B sequences
        Each sequence has any length; its steps are numbers, or arrays that all have one shape, as `(D,)`.
        The first sequence that is not empty fixes that shape.
    maxlen : int, optional
        The number of steps T of the result. None takes the longest sequence.
    dtype : dtype
        The dtype of the result. The default, int32, cuts the fractions off floats.
    padding : "pre" or "post"
        The side on which short sequences are filled up.
    truncating : "pre" or "post"
        The side on which long sequences lose steps: "pre" keeps their last `maxlen` steps.
    value : number, str or array
        What padding consists of; anything that broadcasts against `(B, T, ...)`.

    Returns
    -------
    array of shape (B, T) or (B, T, D), dtype `dtype`
        Always a new array; the input is only read.

    Raises
    ------
    ValueError
        `sequences` has no length, or holds something that has none; it is empty and `maxlen` is None;
        steps differ in shape; a wrong word for `padding` or `truncating` (noticed at the first sequence
        that is not empty); a string `value` without a string dtype or `dtype=object`.
    TypeError, OverflowError
        Whatever NumPy raises for values that cannot be stored as `dtype`. The error's note names the
        sequence.

    Warns
    -----
    PaddingWarning
        The result is Keras's, but some values no longer are what they were: cut fractions, NaN or
        infinity as an integer, integers that wrapped or rounded, floats that became infinite, cut text.
        Rounding a float to a shorter float is not counted, nor are steps that truncation removed.

    Examples
    --------
    >>> pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2)
    array([[0, 1],
           [2, 3],
           [5, 6]], dtype=int32)
    >>> pad_sequences([[0.5], [1.5, 2.5]], dtype="float32", padding="post", value=-1)
    array([[ 0.5, -1. ],
           [ 1.5,  2.5]], dtype=float32)
    """
    if not hasattr(sequences, "__len__"):
        raise ValueError(wording("sequences", "a list of sequences", reprlib.repr(sequences)))
    sequences = rows_of("sequences", sequences)
    try:
        B = len(sequences)
    except TypeError as error:  # a 0-d array
        raise TypeError(wording("sequences", "a list of sequences", reprlib.repr(sequences))) from error
    lengths, step_shape = _lengths_and_step_shape(sequences)
    if maxlen is None:
        if not lengths:
            raise ValueError(wording("sequences", "at least one sequence where maxlen is None", "none"))
        maxlen = max(lengths)
    if dtype is not None:
        try:
            np.dtype(dtype)
        except (TypeError, ValueError):  # a lone surrogate is a ValueError
            raise TypeError(wording("dtype", "a dtype of NumPy", reprlib.repr(dtype))) from None
    is_text = np.issubdtype(dtype, np.str_) or np.issubdtype(dtype, np.bytes_)
    if isinstance(value, str) and dtype is not object and not is_text:  # "object" in quotes is refused too
        expected = f"object (the type, without quotes) or a string dtype for value={value!r}"
        raise ValueError(wording("dtype", expected, repr(dtype)))
    T = whole_number("maxlen", maxlen, minimum=0)
    check_room(f"{B} sequences of maxlen={T}", B * T * math.prod(step_shape) * np.dtype(dtype).itemsize)

    losses = Losses()
    with warnings.catch_warnings(), np.errstate(**QUIET_CASTS):
        # One PaddingWarning below says what NumPy's warnings about lost parts would say.
        warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
        out = _filled(value, (B, maxlen, *step_shape), dtype)  # (B, T, ...)
        steps_kept = 0
        for b, sequence in enumerate(sequences):
            if len(sequence) == 0:
                continue
            try:
                # Cut first, convert then: what is cut off need not be convertible. `maxlen=0` with "pre"
                # cuts nothing, since s[-0:] is all of s; NumPy then refuses what does not fit.
                kept = sequence[steps_to_keep(maxlen, truncating)]
                whole = _as_whole_numbers(kept, out.dtype, step_shape)
                steps = np.asarray(kept, dtype=dtype) if whole is None else whole  # (t, ...)
                if steps.shape[1:] != step_shape:
                    raise ValueError(wording("the shape of each step", f"{step_shape}", f"{steps.shape[1:]}"))
                if padding == "pre":
                    stored = out[b, -len(steps) :]
                elif padding == "post":
                    stored = out[b, : len(steps)]
                else:
                    raise ValueError(wording("padding", "'pre' or 'post'", shown(padding)))
                stored[...] = steps
            except Exception as error:
                expected = f"a sequence that fits maxlen={maxlen} and dtype {out.dtype}"
                error.add_note(wording(f"sequences[{b}]", expected, reprlib.repr(sequence)))
                raise
            steps_kept += len(steps)
            losses.add(kept, stored, b, sure=whole is not None)
        losses.look(out)
        if steps_kept < B * out.shape[1]:  # there is padding
            losses.add_value(value, out.dtype)
    if losses:
        warnings.warn(losses.message(out.dtype), PaddingWarning, stacklevel=3)
    return out


def _filled(value: Any, shape: tuple[int, ...], dtype: Any) -> Array:
    """An array full of `value`; NumPy's kind of error, in our words, where it does not fit."""
    try:
        found: Array = np.full(shape, value, dtype)
    except (TypeError, ValueError, OverflowError) as error:
        expected = f"something that fills an array of shape {shape} and dtype {dtype}"
        raise reworded(error, wording("value", expected, reprlib.repr(value))) from error
    return found


def _as_whole_numbers(kept: Any, dtype: np.dtype[Any], step_shape: tuple[int, ...]) -> Array | None:
    """A list of whole numbers that fit an integer `dtype`, twice as fast as NumPy; None for anything else.

    Python's own arrays take nothing that would be cut or wrapped, and so nothing needs to be looked for.
    """
    code = ARRAY_CODES.get(dtype.str)
    if code is None or step_shape or type(kept) is not list or not kept:
        return None
    try:
        return np.frombuffer(array(code, kept), dtype)
    except (TypeError, OverflowError):
        return None


def _lengths_and_step_shape(sequences: Iterable[Any]) -> tuple[list[int], tuple[int, ...]]:
    """The length of each sequence, and the shape of a step of the first that is not empty."""
    lengths: list[int] = []
    step_shape: tuple[int, ...] | None = None
    for b, sequence in enumerate(sequences):
        try:
            lengths.append(len(sequence))
            if lengths[-1] > 0 and step_shape is None:
                step_shape = np.asarray(sequence).shape[1:]
        except TypeError as error:
            got = reprlib.repr(sequence)
            raise ValueError(wording(f"sequences[{b}]", "a sequence of steps", got)) from error
        except ValueError as error:
            got = reprlib.repr(sequence)
            error.add_note(wording(f"sequences[{b}]", "a sequence of steps that have one shape", got))
            raise
    return lengths, step_shape or ()
