"""The one wording, and the checks of single values: what passes, what is refused, and as which error."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import minilstm as ml
from minilstm.foundations import arrays, errors
from minilstm.sequences import pack_padded_sequence, pad_packed_sequence


class Four:
    def __index__(self) -> int:
        return 4


@pytest.mark.parametrize("value", [4, np.int8(4), np.uint64(4), np.array(4), Four()])
def test_whole_numbers_of_any_kind(value):
    found = errors.whole_number("units", value)
    assert (found, type(found)) == (4, int)


@pytest.mark.parametrize("value", [True, np.True_, 4.0, "4", None])
def test_what_is_no_whole_number(value):
    with pytest.raises(TypeError, match="units must be a whole number >= 1, got "):
        errors.whole_number("units", value)


def test_a_whole_number_has_its_minimum():
    assert errors.whole_number("steps", 0, 0) == 0
    with pytest.raises(ValueError, match="steps must be a whole number >= 2, got 1"):
        errors.whole_number("steps", 1, 2)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.array(0.5), "a word", None, True, b"1"])
def test_real_numbers(value):
    if isinstance(value, (str, bytes, bool)) or value is None:
        with pytest.raises(TypeError, match="rate must be a finite number >= 0, got "):
            errors.real_number("rate", value)
    else:
        assert errors.real_number("rate", value) == 0.5


@pytest.mark.parametrize(
    ("value", "options", "text"),
    [
        (-1e-300, {}, "a finite number >= 0, got -1e-300"),
        (np.nan, {}, "a finite number >= 0, got nan"),
        (np.inf, {}, "a finite number >= 0, got inf"),
        (0, {"above": True}, "a finite number > 0, got 0.0"),
        (1, {"below": 1.0}, "a finite number >= 0 and < 1, got 1.0"),
        (2, {"minimum": 3.0}, "a finite number >= 3, got 2.0"),
    ],
)
def test_real_numbers_out_of_bounds(value, options, text):
    with pytest.raises(ValueError, match=f"rate must be {text}"):
        errors.real_number("rate", value, **options)


def test_one_of_some_words():
    assert errors.one_of("side", "pre", (word for word in ("pre", "post"))) == "pre"
    with pytest.raises(ValueError, match="side must be 'pre' or 'post', got 3"):
        errors.one_of("side", 3, ("pre", "post"))


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError("not today")


class Vague:
    """Neither equal to anything nor different, as a Series and pandas.NA are."""

    def __eq__(self, other):
        return np.ones(2)

    __hash__ = None


def deep():
    found = []
    for _ in range(100_000):
        found = [found]
    return found


CHECKS = {
    "whole_number": lambda value: errors.whole_number("it", value),
    "real_number": lambda value: errors.real_number("it", value),
    "flag": lambda value: errors.flag("it", value),
    "switch": lambda value: errors.switch("it", value),
    "instance": lambda value: errors.instance("it", value, str, "a text"),
    "described": lambda value: errors.described("it", value),
    "by_name": lambda value: errors.by_name("it", value),
    "number_dtype": lambda value: errors.number_dtype("it", value),
    "one_of": lambda value: errors.one_of("it", value, ("pre", "post")),
    "verbosity": errors.verbosity,
}


@pytest.mark.parametrize("check", CHECKS)
def test_what_cannot_be_shown_or_compared_is_refused_like_anything_else(check):
    """A list of a million numbers filled 7 MB of an error; these ended in a RecursionError, or their own."""
    for value in (deep(), Unshowable(), Vague(), [Unshowable()], list(range(10**5)), np.void(b"ab")):
        with pytest.raises((TypeError, ValueError), match=r"(it|verbose) must be ") as found:
            CHECKS[check](value)
        assert len(str(found.value)) < 250


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        ([10**400], ValueError, "x must be an array of numbers that float64 can hold, got a whole number of"),
        ([[1], [1, 2]], ValueError, "x must be a rectangular array, got sequences of different lengths"),
        (["a"], TypeError, "x must be an array of real numbers, got dtype <U1"),
        ([1j], TypeError, "x must be an array of real numbers, got dtype complex128"),
        (np.ma.array([1.0]), TypeError, "x must be a plain array, got a masked array"),
    ],
)
def test_what_is_no_array_of_numbers(value, error, text):
    with pytest.raises(error, match=text):
        arrays.numeric_array("x", value)


def test_errors_carry_what_they_are_about():
    assert errors.NonFiniteError("loss is nan").origin is None
    assert errors.NonFiniteError("loss is nan", "dz").origin == "dz"
    found = pickle.loads(pickle.dumps(errors.WeightsFileError("m.npz", "is damaged")))
    assert (found.path, found.reason, str(found)) == ("m.npz", "is damaged", "m.npz: is damaged")


def test_commands_say_it_in_one_line(capsys):
    assert errors.fail("two\n  lines", 3) == 3
    assert capsys.readouterr().err == "minilstm: error: two lines\n"
    assert errors.fail("\x1b[2J\u202e" + "x" * 10**6, 2) == 2  # quoted from a file
    error = capsys.readouterr().err
    assert error.startswith("minilstm: error: ?[2J?xxx")
    assert len(error) < 2100
    assert errors.in_words(FileNotFoundError(2, "No such file", "a.csv")) == "No such file: a.csv"
    assert errors.in_words(KeyError()) == "KeyError"


@pytest.mark.parametrize("size", [2**48, 2**62])
@pytest.mark.parametrize(
    "call",
    [
        lambda n: ml.adding(n),
        lambda n: ml.adding(5, samples=(4, n, 4)),
        lambda n: ml.recall(n),
        lambda n: ml.RepeatVector(n)([[1.0, 2.0]]),
        lambda n: ml.pad_sequences([[1]], n),
        lambda n: ml.lengths_to_mask([1], n),
        lambda n: pad_packed_sequence(pack_padded_sequence([[1.0]], [1], batch_first=True), total_length=n),
        lambda n: ml.check_step(print, print, units=n),
        lambda n: ml.check_sequence(print, print, length=n),
        lambda n: ml.keras.utils.to_categorical([0], n),
        lambda n: ml.keras.metrics.AUC(num_thresholds=n),
        lambda n: ml.keras.metrics.AUC(multi_label=True, num_labels=n),
        lambda n: ml.initializers.Zeros()((n, n)),
    ],
)
def test_what_is_larger_than_memory_is_refused_with_its_size(call, size):
    """NumPy spoke of an array that is too big, or of a maximum allowed dimension."""
    with pytest.raises(MemoryError, match=r"takes \S+ GB at the least, more than there is"):
        call(size)


@pytest.mark.parametrize(
    "call",
    [
        lambda name: ml.LSTM(3, name=name),
        lambda name: ml.Sequential(name=name),
        lambda name: ml.MeanSquaredError(name=name),
        lambda name: ml.CustomLoss(lambda y, p: (p, p), name=name),
        lambda name: ml.Adam(name=name),
        lambda name: ml.keras.metrics.Precision(name=name),
        lambda name: ml.cell(lambda xw, hu, prev, p: (xw, ()), gates="g", name=name),
    ],
)
def test_a_name_that_no_file_can_hold_is_refused(call):
    """A fit ended at its first line of CSV, a summary in the middle, an ONNX file at its end."""
    with pytest.raises(ValueError, match=r"name must be .* of text that UTF-8 has, got 'a\\ud800'"):
        call("a\ud800")
