"""Ragged sequences into rectangles: padding, truncation, masks, and what both of them cost.

B sequences of different lengths become one array `(B, T)` or `(B, T, D)`. Shorter ones are filled up
(padding), longer ones are cut (truncating). `pad_sequences` gives what Keras's function of that name
gives, and warns where that result has silently lost data.

What this is not: it does not tokenize, and it does not train. It needs NumPy only.
"""

from __future__ import annotations

import reprlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minilstm.errors import PaddingWarning, one_of, whole_number, wording

__all__ = [
    "PaddingAudit",
    "PaddingAuditRow",
    "lengths_to_mask",
    "pad_sequences",
    "padding_audit",
    "truncate",
]

Array = NDArray[Any]
Mask = NDArray[np.bool_]

# NumPy's warnings about casts that lose data are off: `_Losses` counts what was lost.
_QUIET_CASTS: dict[str, Any] = {"over": "ignore", "invalid": "ignore"}


# ---------------------------------------------------------------------------------------------- padding


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
    try:
        B = len(sequences)
    except TypeError as error:  # a 0-d array
        raise TypeError(wording("sequences", "a list of sequences", reprlib.repr(sequences))) from error
    lengths, step_shape = _lengths_and_step_shape(sequences)
    if maxlen is None:
        if not lengths:
            raise ValueError(wording("sequences", "at least one sequence where maxlen is None", "none"))
        maxlen = max(lengths)
    is_text = np.issubdtype(dtype, np.str_) or np.issubdtype(dtype, np.bytes_)
    if isinstance(value, str) and dtype is not object and not is_text:  # "object" in quotes is refused too
        expected = f"object (the type, without quotes) or a string dtype for value={value!r}"
        raise ValueError(wording("dtype", expected, repr(dtype)))
    whole_number("maxlen", maxlen, minimum=0)

    losses = _Losses()
    with warnings.catch_warnings():
        # One PaddingWarning below says what NumPy's warnings about lost parts would say.
        warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
        try:
            with np.errstate(**_QUIET_CASTS):
                out: Array = np.full((B, maxlen, *step_shape), value, dtype=dtype)  # (B, T, ...)
        except Exception as error:
            expected = f"something that fills an array of shape {(B, maxlen, *step_shape)} and dtype {dtype}"
            error.add_note(wording("value", expected, reprlib.repr(value)))
            raise
        steps_kept = 0
        for b, sequence in enumerate(sequences):
            if len(sequence) == 0:
                continue
            try:
                # Cut first, convert then: what is cut off need not be convertible. `maxlen=0` with "pre"
                # cuts nothing, since s[-0:] is all of s; NumPy then refuses what does not fit.
                kept = sequence[_cut(maxlen, truncating)]
                stored, length = _store(kept, out[b], step_shape, dtype, padding)
            except Exception as error:
                expected = f"a sequence that fits maxlen={maxlen} and dtype {out.dtype}"
                error.add_note(wording(f"sequences[{b}]", expected, reprlib.repr(sequence)))
                raise
            steps_kept += length
            losses.add(kept, stored, b)
        if steps_kept < B * out.shape[1]:  # there is padding
            losses.add_value(value, out.dtype)
    if losses:
        warnings.warn(losses.message(out.dtype), PaddingWarning, stacklevel=2)
    return out


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


def _cut(maxlen: int, truncating: str) -> slice:
    """The steps that truncation keeps."""
    if truncating == "pre":
        return slice(-maxlen, None)
    if truncating == "post":
        return slice(None, maxlen)
    raise ValueError(wording("truncating", "'pre' or 'post'", repr(truncating)))


def _store(
    kept: Any, row: Array, step_shape: tuple[int, ...], dtype: DTypeLike | None, padding: str
) -> tuple[Array, int]:
    """Write `kept` into its place in `row` (T, ...); return the view of that place and the steps written."""
    with np.errstate(**_QUIET_CASTS):
        steps = np.asarray(kept, dtype=dtype)  # (t, ...)
        if steps.shape[1:] != step_shape:
            raise ValueError(wording("the shape of each step", f"{step_shape}", f"{steps.shape[1:]}"))
        if padding == "pre":
            stored = row[-len(steps) :]
        elif padding == "post":
            stored = row[: len(steps)]
        else:
            raise ValueError(wording("padding", "'pre' or 'post'", repr(padding)))
        stored[...] = steps
    return stored, len(steps)


# ------------------------------------------------------------------------- what a conversion has lost


@dataclass
class _Losses:
    """Counts the values that a conversion to the result's dtype has changed."""

    total: int = 0
    changed: int = 0
    first: int = -1  # the first sequence with a changed value
    value: str = ""  # how the padding value is written, if it changed
    keepers: set[np.dtype[Any]] = field(default_factory=set)  # dtypes that would have kept the values

    def add(self, values: Any, stored: Array, b: int) -> None:
        """Compare the steps of sequence `b` with what the result holds of them."""
        self.total += stored.size
        changed = self._compare(values, stored)
        if changed and self.first < 0:
            self.first = b
        self.changed += changed

    def add_value(self, value: Any, dtype: np.dtype[Any]) -> None:
        """Compare the padding value with what `dtype` makes of it."""
        with suppress(Exception), np.errstate(**_QUIET_CASTS):  # never raises, as `_changed`
            if self._compare(value, np.full(np.shape(value), value, dtype=dtype)):
                self.value = reprlib.repr(value)

    def _compare(self, values: Any, stored: Array) -> int:
        changed, keeper = _changed(values, stored)
        if changed:
            self.keepers.add(keeper)
        return changed

    def __bool__(self) -> bool:
        return self.changed > 0 or self.value != ""

    def message(self, dtype: np.dtype[Any]) -> str:
        where = f" (first in sequences[{self.first}])" if self.changed else ""
        value = f" and the padding value {self.value}" if self.value else ""
        keeper = np.result_type(*self.keepers)
        # Keras's rule for strings wants the type itself, so the advice is object without quotes.
        advice = "dtype=object" if keeper.hasobject else f'dtype="{keeper}"'
        return (
            f"pad_sequences changed {self.changed} of {self.total} values{where}{value} "
            f"to fit dtype {dtype}; {advice} keeps them"
        )


def _changed(values: Any, stored: Array) -> tuple[int, np.dtype[Any]]:
    """How many of `values` are not what `stored` says, and a dtype that would have kept them.

    Never raises: values that cannot be compared as numbers or text count as unchanged.
    """
    kind = stored.dtype.kind
    try:
        with np.errstate(all="ignore"):
            if kind in "SU":
                full = np.asarray(values, dtype=kind)  # without a width: as wide as the text needs
                return int(np.count_nonzero(full != stored)), np.dtype(object)
            if kind in "biufc":  # objects are kept as they are; dates and records are not looked into
                numbers = _as_numbers(values)
                changed = int(np.count_nonzero(_differs(numbers, stored)))
                return changed, _keeper(numbers) if changed else stored.dtype
    except Exception:  # any object may stand in a sequence, and its conversion may raise anything
        if kind == "b":  # text and other objects as booleans: nothing is left of them
            return stored.size, np.dtype(object)
    return 0, stored.dtype


def _as_numbers(values: Any) -> Array:
    """`values` in NumPy's own choice of dtype; text and objects are read as numbers."""
    numbers = np.asarray(values)
    if numbers.dtype.kind in "OSU":  # "1.5", Fraction(1, 3), None (NumPy's NaN)
        numbers = numbers.astype(np.complex128)
        if not np.nan_to_num(numbers.imag).any():
            numbers = numbers.real
    return numbers


def _differs(before: Array, after: Array) -> Mask:
    """Where `after` is another number than `before`; rounding a float to a shorter float is not."""
    kinds = before.dtype.kind + after.dtype.kind
    differs: Mask
    if kinds[0] == "c" and kinds[1] != "c":
        differs = (before.imag != 0) | _differs(before.real, after)
    elif kinds in ("ff", "fc", "cc"):
        differs = np.isfinite(before) & ~np.isfinite(after)
    elif kinds in ("if", "uf", "ic", "uc"):
        differs = ~_exactly_equal(before, after.real)
    elif kinds in ("fi", "fu"):
        differs = ~_exactly_equal(after, before)
    else:  # integers and booleans, or a float as a boolean: `!=` is exact
        differs = np.not_equal(before, after)
    return differs


def _exactly_equal(integers: Array, floats: Array) -> Mask:
    """Elementwise equality in which no side is rounded (`==` takes 2**53 + 1 to float64 first)."""
    signed = integers.dtype.kind == "i"
    limit = 2.0 ** (8 * integers.dtype.itemsize - signed)
    floats = floats.astype(np.result_type(floats, np.float64))
    inside = (floats >= (-limit if signed else 0.0)) & (floats < limit)  # False for NaN
    equal: Mask = inside & (floats == np.trunc(floats)) & (floats.astype(integers.dtype) == integers)
    return equal


def _keeper(numbers: Array) -> np.dtype[Any]:
    """The shortest usual dtype of the same kind that stores `numbers` unchanged."""
    usual = {"f": "float32 float64", "c": "complex64 complex128"}
    names = usual.get(numbers.dtype.kind, "int32 int64 uint64").split()
    for name in names:
        if not _differs(numbers, numbers.astype(name)).any():
            return np.dtype(name)
    return numbers.dtype


# --------------------------------------------------------------------------------- truncation and masks


def truncate(sequences: Iterable[Any], maxlen: int, truncating: str = "pre") -> list[Any]:
    """Cut each sequence to at most `maxlen` steps, in the words of `pad_sequences`, without padding.

    Parameters
    ----------
    sequences : list, tuple or array of B sequences
        Anything that can be sliced: lists, tuples, strings, arrays `(t,)` or `(t, D)`.
    maxlen : int
        The largest number of steps to keep, at least 1.
    truncating : "pre" or "post"
        The side that loses steps: "pre" keeps the last `maxlen` steps, "post" the first.

    Returns
    -------
    list of B sequences
        Slices of the input: each keeps its type and dtype, and a slice of an array is a view.

    Raises
    ------
    TypeError
        A sequence cannot be sliced, or `maxlen` is no whole number.
    ValueError
        `maxlen` is below 1, or `truncating` is another word.

    Examples
    --------
    >>> truncate([[1, 2, 3], [4]], maxlen=2)
    [[2, 3], [4]]
    >>> truncate(["abc", "d"], maxlen=2, truncating="post")
    ['ab', 'd']
    """
    kept_steps = _cut(whole_number("maxlen", maxlen), one_of("truncating", truncating, ["pre", "post"]))
    cut = []
    for b, sequence in enumerate(sequences):
        try:
            cut.append(sequence[kept_steps])
        except (TypeError, KeyError, IndexError) as error:  # a set or number, a dict, a 0-d array
            got = reprlib.repr(sequence)
            raise TypeError(wording(f"sequences[{b}]", "a sequence that can be sliced", got)) from error
    return cut


def lengths_to_mask(lengths: Iterable[int], maxlen: int | None = None, padding: str = "pre") -> Mask:
    """The mask that belongs to padded sequences of these lengths: True at real steps.

    Parameters
    ----------
    lengths : B whole numbers >= 0
        The number of real steps of each sequence. A sequence of length 0 has a row without any True.
    maxlen : int, optional
        The number of columns T. None takes the longest. A given `maxlen` means what it means in
        `pad_sequences`: a longer sequence was cut to `maxlen` steps, and all its columns are real.
    padding : "pre" or "post"
        The side that holds the padding.

    Returns
    -------
    bool array of shape (B, T)

    Raises
    ------
    TypeError
        A length or `maxlen` is no whole number (a float, a boolean, a list); the message has its index.
    ValueError
        A length or `maxlen` is negative, `lengths` is empty, or `padding` is another word.

    Examples
    --------
    >>> lengths_to_mask([1, 3])
    array([[False, False,  True],
           [ True,  True,  True]])
    >>> lengths_to_mask([1, 3], maxlen=2, padding="post")
    array([[ True, False],
           [ True,  True]])
    """
    one_of("padding", padding, ["pre", "post"])
    try:
        given = list(lengths)
    except TypeError:
        raise TypeError(wording("lengths", "a list of whole numbers", reprlib.repr(lengths))) from None
    if not given:
        raise ValueError(wording("lengths", "at least one whole number", "none"))
    counts = [whole_number(f"lengths[{b}]", length, minimum=0) for b, length in enumerate(given)]
    T = max(counts) if maxlen is None else whole_number("maxlen", maxlen, minimum=0)
    real = np.array([min(count, T) for count in counts])[:, np.newaxis]  # (B, 1)
    step = np.arange(T)  # (T,)
    mask: Mask = step < real if padding == "post" else step >= T - real  # (B, T)
    return mask


# ------------------------------------------------------------------------------------------------ audit


@dataclass(frozen=True)
class PaddingAuditRow:
    """What padding and truncating to one `maxlen` does to a set of sequences. Shares are 0 to 1."""

    maxlen: int
    sequences: int  # B
    steps: int  # real steps of all sequences, before the cut
    steps_cut: int  # real steps that truncation removes
    cells: int  # B * maxlen, the size of the padded array (of one feature)
    cut_share: float  # steps_cut / steps
    sequences_cut_share: float  # sequences that lose steps / sequences
    padding_share: float  # cells that are padding / cells


@dataclass(frozen=True)
class PaddingAudit:
    """The rows of `padding_audit`, one per length: iterate, index, or print them as a table."""

    rows: tuple[PaddingAuditRow, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[PaddingAuditRow]:
        return iter(self.rows)

    def __getitem__(self, index: int) -> PaddingAuditRow:
        return self.rows[index]

    def to_dict(self) -> dict[str, list[dict[str, Any]]]:
        """The rows as plain numbers under the key "rows", ready for JSON."""
        return {"rows": [asdict(row) for row in self.rows]}

    def __str__(self) -> str:
        head = ("maxlen", "cells", "padding", "steps cut", "share", "sequences cut")
        table = [head] + [
            (
                f"{row.maxlen}",
                f"{row.cells}",
                f"{row.padding_share:.1%}",
                f"{row.steps_cut}",
                f"{row.cut_share:.1%}",
                f"{row.sequences_cut_share:.1%}",
            )
            for row in self.rows
        ]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(map(str.rjust, cells, widths)) for cells in table]
        return "\n".join([f"{self[0].sequences} sequences, {self[0].steps} steps", *lines])


def padding_audit(
    sequences: Iterable[Any], maxlen: int | Sequence[int] | Array | None = None
) -> PaddingAudit:
    """Count what each `maxlen` would cost: real steps cut off, and cells filled with padding.

    On which side is cut or padded changes none of these numbers, so there is no argument for it.

    Parameters
    ----------
    sequences : list, tuple or array of B sequences
        Anything with a length; only the lengths are read.
    maxlen : int, list of ints, optional
        One or several lengths >= 1. None takes the longest sequence, which cuts nothing.

    Returns
    -------
    PaddingAudit
        One `PaddingAuditRow` per `maxlen`, in the given order. A share of nothing is 0.

    Raises
    ------
    TypeError
        A sequence has no length, or a `maxlen` is no whole number.
    ValueError
        There are no sequences, no `maxlen`, or one below 1.

    Examples
    --------
    >>> print(padding_audit([[1], [2, 3], [4, 5, 6, 7, 8]], maxlen=[2, 5]))
    3 sequences, 8 steps
    maxlen  cells  padding  steps cut  share  sequences cut
         2      6    16.7%          3  37.5%          33.3%
         5     15    46.7%          0   0.0%           0.0%
    """
    counts = []
    for b, sequence in enumerate(sequences):
        try:
            counts.append(len(sequence))
        except TypeError:
            got = reprlib.repr(sequence)
            raise TypeError(wording(f"sequences[{b}]", "a sequence of steps", got)) from None
    if not counts:
        raise ValueError(wording("sequences", "at least one sequence", "none"))
    lengths = np.array(counts)  # (B,)

    if maxlen is None:
        wanted = [max(counts)]
    elif isinstance(maxlen, (list, tuple, range)) or (isinstance(maxlen, np.ndarray) and maxlen.ndim > 0):
        wanted = [whole_number(f"maxlen[{i}]", length) for i, length in enumerate(maxlen)]
    else:
        wanted = [whole_number("maxlen", maxlen)]
    if not wanted:
        raise ValueError(wording("maxlen", "at least one whole number", "none"))
    return PaddingAudit(tuple(_audit_row(lengths, length) for length in wanted))


def _audit_row(lengths: NDArray[np.int64], maxlen: int) -> PaddingAuditRow:
    B, steps = len(lengths), int(lengths.sum())
    cells = B * maxlen
    kept = int(np.minimum(lengths, maxlen).sum())
    return PaddingAuditRow(
        maxlen=maxlen,
        sequences=B,
        steps=steps,
        steps_cut=steps - kept,
        cells=cells,
        cut_share=(steps - kept) / steps if steps else 0.0,
        sequences_cut_share=int(np.count_nonzero(lengths > maxlen)) / B,
        padding_share=(cells - kept) / cells if cells else 0.0,
    )
