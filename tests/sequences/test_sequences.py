"""`sequences`: against Keras call for call, against plain counting, and for what its messages say."""

from __future__ import annotations

import array
import json
import math
import random
import re
import warnings
from collections import Counter, deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from conftest import require
from hypothesis import given
from hypothesis import strategies as st

from minilstm.foundations.errors import PaddingWarning
from minilstm.sequences import PaddingAuditRow, lengths_to_mask, pad_sequences, padding_audit, truncate

CALLS = 2000


@pytest.fixture(scope="module")
def keras_pad_sequences() -> Callable[..., Any]:
    require("keras")
    import keras

    return keras.utils.pad_sequences


def quietly(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The result of a call, or the exception it raised; its warnings are dropped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(*args, **kwargs)
        except Exception as error:
            return error


def assert_same_outcome(ours: Any, keras: Any) -> None:
    assert type(ours) is type(keras), f"{ours!r} and Keras {keras!r}"
    if isinstance(keras, Exception):
        return
    assert ours.dtype == keras.dtype
    assert ours.shape == keras.shape
    assert str(ours.flags) == str(keras.flags)
    assert ours.flags.writeable
    assert ours.flags.c_contiguous
    if ours.dtype.hasobject:
        for a, b in zip(ours.ravel(), keras.ravel(), strict=True):
            assert type(a) is type(b)
            assert a is b or a == b or (a != a and b != b)
    else:  # the same bits: this compares NaN and -0.0 too
        assert ours.tobytes() == keras.tobytes()


# --------------------------------------------------------------------------------- random calls, for Keras

NUMPY_DTYPES = ["int8", "uint8", "int16", "int32", "int64", "uint64", "float16", "float32", "float64", "bool"]


def random_number(rng: random.Random) -> Any:
    return rng.choice(
        [
            rng.randrange(10),
            rng.randrange(-5, 300),
            rng.uniform(-3, 3),
            rng.uniform(-1e3, 1e3),
            float(rng.randrange(10)),
            rng.choice([True, False]),
        ]
    )


def random_oddity(rng: random.Random) -> Any:
    odd: list[Any] = [None, math.nan, math.inf, 1e300, 2**31, 2**40, 2**70, "1", "22", "1.5", "abc", b"7", ""]
    odd += [1 + 2j, Fraction(3, 2), Decimal("2.5"), np.int64(2**40), np.float32(1.5), [1, 2], {}, object, -1]
    return rng.choice(odd)


def random_array(rng: random.Random, length: int, step_shape: tuple[int, ...]) -> Any:
    size = (length, *step_shape)
    draw = np.random.default_rng(rng.randrange(2**32))
    kind = rng.randrange(6)
    if kind == 0:
        return draw.integers(-5, 300, size)
    if kind == 1:
        return draw.integers(-(2**62), 2**62, size)
    if kind == 2:
        values = draw.normal(size=size) * rng.choice([1, 1e3, 1e30, 1e300])
        if values.size and rng.random() < 0.5:
            values.flat[rng.randrange(values.size)] = rng.choice([math.nan, math.inf, -math.inf])
        return values
    if kind == 3:
        return draw.integers(0, 100, size).astype(rng.choice([*NUMPY_DTYPES, ">i4", ">f8", "complex64"]))
    if kind == 4:
        return draw.integers(0, 100, size).astype(rng.choice(["U3", "S3", object]))
    return draw.normal(size=(2 * length, *step_shape))[::-2]  # a strided view


def random_sequence(rng: random.Random) -> Callable[[], Any]:
    """A function that makes sequences of one kind, so that most calls fit together."""
    kind = rng.randrange(14)
    if kind <= 2:
        return lambda: [random_number(rng) for _ in range(rng.randrange(5))]
    if kind == 3:
        return lambda: tuple(rng.randrange(100) for _ in range(rng.randrange(5)))
    if kind <= 5:
        return lambda: random_array(rng, rng.randrange(5), ())
    if kind == 6:
        return lambda: random_array(rng, rng.randrange(4), (2,))
    if kind == 7:
        return lambda: [[rng.randrange(9), rng.random()] for _ in range(rng.randrange(4))]
    if kind == 8:
        return lambda: [rng.choice(["a", "bcd", "1", "22", "é"]) for _ in range(rng.randrange(4))]
    if kind == 9:
        return lambda: range(rng.randrange(6))
    if kind == 10:
        return lambda: array.array("d", [rng.random() for _ in range(rng.randrange(4))])
    if kind == 11:
        return lambda: [rng.choice([random_number, random_oddity])(rng) for _ in range(rng.randrange(4))]
    if kind == 12:
        return lambda: rng.choice(["abc", "7", b"12", bytearray(b"12"), memoryview(b"123"), ""])
    return lambda: rng.choice(
        [{1, 2}, {0: 1}, deque([1, 2]), 3, None, iter([1]), np.array(3), np.ones((2, 2)), [[1], [2, 3]], []]
    )


def random_call(rng: random.Random) -> tuple[Any, dict[str, Any]]:
    make = random_sequence(rng)
    sequences: Any = [make() for _ in range(rng.choice([0, 1, 2, 3, 4]))]
    if rng.random() < 0.1:  # two kinds in one call
        sequences.append(random_sequence(rng)())
    whole = rng.random()
    if whole < 0.1:
        sequences = tuple(sequences)
    elif whole < 0.2:
        shape = rng.choice([(2, 3), (3, 1), (2, 3, 2), (0, 3), (2, 0), (3,), (), (2, 3, 0)])
        sequences = np.arange(math.prod(shape)).reshape(shape) * rng.choice([1, 0.5, 2**40])
    elif whole < 0.24:
        sequences = rng.choice(
            [None, 5, "12", "abc", {1: 2}, {"ab": 1}, range(3), map(len, []), b"12", {(1, 2)}]
        )

    options: dict[str, Any] = {}
    if rng.random() < 0.6:
        usual = [1, 2, 3, 5]
        odd = [
            0,
            -1,
            2.0,
            "2",
            True,
            np.int64(2),
            np.array(2),
            np.bool_(True),
            np.uint8(2),
            np.uint8(255),
            [2],
        ]
        options["maxlen"] = rng.choice(usual if rng.random() < 0.7 else odd)
    if rng.random() < 0.75:
        odd = [str, bytes, "U3", "S2", None, "complex64", complex, object, object, "object", "O", "nope", 3]
        odd += [">i4", "m8[s]", "M8[D]", float, int, np.float32, np.dtype("int16"), "f4,i4"]
        options["dtype"] = rng.choice(NUMPY_DTYPES if rng.random() < 0.6 else odd)
    for word in ("padding", "truncating"):
        if rng.random() < 0.6:
            options[word] = rng.choice(["pre", "post"] * 12 + ["both", "", None, 1, "PRE", np.str_("post")])
    if rng.random() < 0.5:
        usual = [0, 1, -1, 1.0, 0.5, 7]
        odd = ["<pad>", "7", b"7", math.nan, math.inf, 1e300, 2**40, None, True, 1j, [9, 8], [[1]], -1.0, 300]
        odd += [np.float64(1.9), np.array(2**40), Fraction(1, 2), {}, [[1], [2, 3]], np.str_("x")]
        options["value"] = rng.choice(usual if rng.random() < 0.5 else odd)
    return sequences, options


@pytest.mark.peer
def test_equals_keras_for_random_calls(keras_pad_sequences):
    outcomes: Counter[str] = Counter()
    for seed in range(CALLS):
        # Built twice from one seed: an iterator among the sequences is used up by the first call.
        sequences, options = random_call(random.Random(seed))
        keras = quietly(keras_pad_sequences, sequences, **options)
        sequences, options = random_call(random.Random(seed))
        ours = quietly(pad_sequences, sequences, **options)
        try:
            assert_same_outcome(ours, keras)
        except AssertionError as error:
            pytest.fail(f"call {seed}: pad_sequences({sequences!r}, **{options!r}): {error}")
        outcomes[type(keras).__name__] += 1
    assert outcomes["ndarray"] > 850, outcomes
    assert outcomes["ValueError"] > 400, outcomes
    assert outcomes["TypeError"] > 100, outcomes
    assert outcomes["OverflowError"] > 15, outcomes


@pytest.mark.peer
@pytest.mark.parametrize(
    ("sequences", "options"),
    [
        ([[0.9, 1.9, -1.9]], {}),
        ([], {}),
        ([], {"maxlen": 3}),
        ([[]], {}),
        ([[], []], {"maxlen": 2, "padding": "both"}),
        ([[1]], {"maxlen": 0}),
        ([[1, 2]], {"maxlen": 0}),
        ([[1, 2], [3]], {"maxlen": 0, "truncating": "post"}),
        ([[1]], {"maxlen": -1}),
        ([[1, "x"], [2, 3]], {"maxlen": 1}),
        ([[1, 2], ["x", 3]], {"maxlen": 1}),  # the part cut off need not be convertible
        ([np.ones((0, 5))], {}),
        ([np.ones((0, 5)), np.ones((2, 3))], {}),
        ([np.ones((2, 3)), [1]], {"maxlen": 3}),
        ([np.ones((1, 2)), np.ones((2, 2))], {"value": [9, 8]}),
        ([["a"], ["b", "cd"]], {"dtype": str, "value": "<pad>"}),
        ([["a"], ["b", "cd"]], {"dtype": object, "value": "<pad>"}),
        ([["a"], ["b", "cd"]], {"dtype": "object", "value": "<pad>"}),
        ([np.array([2**40])], {}),
        ([np.array([math.nan, math.inf])], {}),
        ([[1], [2, 3]], {"maxlen": np.uint8(255)}),
        ([[1, 2]] * 300, {"maxlen": np.uint8(5), "truncating": "post"}),
        ((i for i in [[1], [2]]), {}),
    ],
)
def test_equals_keras_in_the_corners(keras_pad_sequences, sequences, options):
    assert_same_outcome(
        quietly(pad_sequences, sequences, **options), quietly(keras_pad_sequences, sequences, **options)
    )


@pytest.mark.peer
def test_equals_keras_for_tensors(keras_pad_sequences):
    require("torch")
    import torch

    for tensors in ([torch.arange(3), torch.arange(2.0)], torch.arange(6).reshape(2, 3)):
        assert_same_outcome(pad_sequences(tensors, maxlen=2), keras_pad_sequences(tensors, maxlen=2))


# ---------------------------------------------------------------------------------------- pad_sequences


def test_sides():
    ragged = [[1], [2, 3], [4, 5, 6]]
    assert pad_sequences(ragged).tolist() == [[0, 0, 1], [0, 2, 3], [4, 5, 6]]
    assert pad_sequences(ragged, padding="post", value=9).tolist() == [[1, 9, 9], [2, 3, 9], [4, 5, 6]]
    assert pad_sequences(ragged, maxlen=2).tolist() == [[0, 1], [2, 3], [5, 6]]
    assert pad_sequences(ragged, maxlen=2, truncating="post").tolist() == [[0, 1], [2, 3], [4, 5]]


def test_steps_with_features():
    padded = pad_sequences([np.full((1, 3), 1.5), np.full((2, 3), 2.5)], dtype="float32", padding="post")
    assert padded.shape == (2, 2, 3)
    assert padded[:, :, 0].tolist() == [[1.5, 0.0], [2.5, 2.5]]


def test_does_not_touch_or_share_its_input():
    rows = [np.arange(3, dtype="int32"), np.arange(3, dtype="int32")]
    for row in rows:
        row.flags.writeable = False
    lists = [[1, None], [3]]
    padded = pad_sequences(rows)
    padded[:] = 7
    assert [row.tolist() for row in rows] == [[0, 1, 2], [0, 1, 2]]
    pad_sequences(lists, dtype=object, maxlen=3, value=None)
    assert lists == [[1, None], [3]]
    whole = np.arange(6, dtype="int32").reshape(2, 3)
    pad_sequences(whole)[:] = 7
    assert whole.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("sequences", "options", "error", "message"),
    [
        (5, {}, ValueError, "sequences must be a list of sequences, got 5"),
        (np.array(3), {}, TypeError, "sequences must be a list of sequences, got array"),
        ([], {}, ValueError, "sequences must be at least one sequence where maxlen is None, got none"),
        ([[1], 3], {}, ValueError, r"sequences\[1\] must be a sequence of steps, got 3"),
        ([[1]], {"maxlen": -1}, ValueError, "maxlen must be a whole number >= 0, got -1"),
        ([[1]], {"maxlen": 2.0}, TypeError, "maxlen must be a whole number >= 0, got 2.0"),
        ([[1]], {"padding": "left"}, ValueError, "padding must be 'pre' or 'post', got 'left'"),
        ([[1]], {"truncating": "left"}, ValueError, "truncating must be 'pre' or 'post', got 'left'"),
        ([[1]], {"value": "x"}, ValueError, r"dtype must be object .* for value='x', got 'int32'"),
        ([[[1, 2]], [[3]]], {}, ValueError, r"the shape of each step must be \(2,\), got \(1,\)"),
        ([[1, [2]]], {}, ValueError, r"sequences\[0\] must be a sequence of steps that have one shape"),
        # NumPy's own words come first here; the note that names the argument follows.
        (
            [[1], [2, 2**40]],
            {},
            OverflowError,
            r"sequences\[1\] must be .* dtype int32, got \[2, 1099511627776\]",
        ),
        ([{1, 2}], {}, TypeError, r"sequences\[0\] must be a sequence that fits maxlen=2 .*, got \{1, 2\}"),
        ([[1, 2]], {"maxlen": 0}, ValueError, r"sequences\[0\] must be a sequence that fits maxlen=0"),
        ([[1]], {"value": {}}, TypeError, r"value must be something that fills .* dtype int32, got \{\}"),
    ],
)
def test_messages_name_argument_expected_and_got(sequences, options, error, message):
    with pytest.raises(error) as caught:
        pad_sequences(sequences, **options)
    text = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert re.search(message, text), text


# ----------------------------------------------------------------------------------- the PaddingWarning


@pytest.mark.parametrize(
    ("sequences", "options", "counted", "advice"),
    [
        ([[1.0, 2.0], [0.5, 1.5, 3.0]], {}, "2 of 5 values (first in sequences[1])", 'dtype="float32"'),
        ([np.array([math.nan, math.inf, 3.0])], {}, "2 of 3 values", 'dtype="float32"'),
        ([np.array([2**40, 1])], {}, "1 of 2 values", 'dtype="int64"'),
        ([np.array([2**63], dtype="uint64")], {}, "1 of 1 values", 'dtype="uint64"'),
        ([np.array([300, 1])], {"dtype": "uint8"}, "1 of 2 values", 'dtype="int32"'),
        ([np.array([-1])], {"dtype": "uint64"}, "1 of 1 values", 'dtype="int32"'),
        ([np.array([0.5, 2**40])], {"dtype": "int64"}, "1 of 2 values", 'dtype="float32"'),
        ([np.array([256.0, 255.0])], {"dtype": "uint8"}, "1 of 2 values", 'dtype="float32"'),
        ([np.array([2.0**31, -(2.0**31)])], {}, "1 of 2 values", 'dtype="float32"'),
        ([np.array([1e300])], {}, "1 of 1 values", 'dtype="float64"'),
        ([[1e300, 1.0]], {"dtype": "float32"}, "1 of 2 values", 'dtype="float64"'),
        ([[1e5, 1.0]], {"dtype": "float16"}, "1 of 2 values", 'dtype="float32"'),
        ([[2049, 2048]], {"dtype": "float16"}, "1 of 2 values", 'dtype="int32"'),
        ([[2**53 + 1]], {"dtype": "float64"}, "1 of 1 values", 'dtype="int64"'),
        ([[0.5, 1.0, 0.0]], {"dtype": bool}, "1 of 3 values", 'dtype="float32"'),
        ([["a", "b"]], {"dtype": bool}, "2 of 2 values", "dtype=object"),
        ([np.array([1 + 2j, 3])], {"dtype": "float32"}, "1 of 2 values", 'dtype="complex64"'),
        ([np.array([1 + 2j, 3.5])], {}, "2 of 2 values", 'dtype="complex64"'),
        ([["a", "bcd"]], {"dtype": str}, "1 of 2 values", "dtype=object"),
        ([[b"a", b"bcd"]], {"dtype": "S2"}, "1 of 2 values", "dtype=object"),
        ([[Fraction(3, 2), Decimal(2)]], {}, "1 of 2 values", 'dtype="float32"'),
        ([np.array([1.5, None], dtype=object)[:1]], {}, "1 of 1 values", 'dtype="float32"'),
        ([[[1.5, 2.0]], [[3.0, 4.5]]], {}, "2 of 4 values", 'dtype="float32"'),
        ([[1.5], np.array([2**40])], {}, "2 of 2 values (first in sequences[0])", 'dtype="float64"'),
        ([[1]], {"maxlen": 2, "value": 1.9}, "0 of 1 values and the padding value 1.9", 'dtype="float32"'),
        (
            [[1]],
            {"maxlen": 2, "value": math.nan},
            "0 of 1 values and the padding value nan",
            'dtype="float32"',
        ),
        ([["a"]], {"maxlen": 2, "dtype": str, "value": "<p>"}, "the padding value '<p>'", "dtype=object"),
        (
            [[0.5]],
            {"maxlen": 2, "value": -0.5},
            "1 of 1 values (first in sequences[0]) and the padding value -0.5",
            'dtype="float32"',
        ),
    ],
)
def test_one_warning_counts_and_advises(sequences, options, counted, advice):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pad_sequences(sequences, **options)
    assert [warning.category for warning in caught] == [PaddingWarning]
    assert caught[0].filename == __file__
    text = str(caught[0].message)
    assert counted in text
    assert text.endswith(f"; {advice} keeps them")


@pytest.mark.parametrize(
    ("sequences", "options"),
    [
        ([[1, 2], [3]], {}),
        ([[1.0, 2.0], [-3.0]], {}),  # whole floats stay what they are
        ([[0.1, 1 / 3, 1e-60]], {"dtype": "float32"}),  # rounding
        ([[math.nan, math.inf, None]], {"dtype": "float16"}),
        ([[0.5, 1.5, 7]], {"maxlen": 1}),  # the fractions were cut away by truncation
        ([[1, 2]], {"value": 0.5}),  # nothing is padded
        ([["1", "22"]], {}),
        ([["1.5"]], {"dtype": "float32"}),
        ([["a", "bcd"]], {"dtype": "U3"}),
        ([[1.5, 2]], {"dtype": "U8", "value": "x"}),
        ([["a", None, 1.5]], {"dtype": object, "value": "<pad>", "maxlen": 4}),
        ([[True, False]], {}),
        ([[0, 1, 1.0]], {"dtype": bool}),
        ([np.array([-(2**63), 2**62])], {"dtype": "float64"}),
        ([np.array(["2020-01-01"], dtype="M8[D]")], {"dtype": "int64"}),
        ([[1j, 2]], {"dtype": "complex64"}),
    ],
)
def test_no_warning_where_nothing_is_lost(sequences, options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pad_sequences(sequences, **options)


def is_changed(before: Any, after: Any) -> bool:
    """The oracle: one value, compared by Python, whose comparisons of int with float are exact."""
    if isinstance(before, complex) and not isinstance(after, complex):
        return before.imag != 0 or is_changed(before.real, after)
    if isinstance(before, float) and isinstance(after, (float, complex)):
        return math.isfinite(before) and not np.isfinite(after)
    if isinstance(before, complex):
        return bool(np.isfinite(before) and not np.isfinite(after))
    return before != after


def test_the_count_equals_counting_one_by_one():
    warned = 0
    for seed in range(1500):
        rng = random.Random(seed)
        draw = np.random.default_rng(seed)
        sequences = []
        for _ in range(rng.randrange(1, 5)):
            scale = rng.choice([1, 10, 2.0**11, 2.0**24, 2.0**31, 2.0**53, 2.0**63, 2.0**64])
            values = draw.normal(size=rng.randrange(6)) * scale
            whole = rng.random() < 0.5
            values = values.round() + rng.choice([0, 0, 1]) if whole else values
            if values.size and not whole and rng.random() < 0.3:
                values[0] = rng.choice([math.nan, math.inf, -math.inf])
            dtype = rng.choice(
                ["float16", "float64", "float64", "complex128", "int8", "uint8", "int64", "uint64"]
            )
            if dtype in ("int8", "uint8", "int64", "uint64"):
                limits = np.iinfo(dtype)
                values = [min(max(int(v), limits.min), limits.max) for v in np.nan_to_num(values)]
            with np.errstate(over="ignore"):
                sequences.append(np.array(values, dtype=dtype))
        maxlen, truncating = rng.choice([None, 2]), rng.choice(["pre", "post"])
        dtype = rng.choice([*NUMPY_DTYPES, "complex64", "complex128"])

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            padded = pad_sequences(
                sequences, maxlen=maxlen, dtype=dtype, truncating=truncating, padding="post", value=0
            )
        kept = [(s[-2:] if truncating == "pre" else s[:2]) if maxlen else s for s in sequences]
        pairs = [
            pair
            for s, row in zip(kept, padded, strict=True)
            for pair in zip(s.tolist(), row.tolist(), strict=False)
        ]
        expected = sum(is_changed(before, after) for before, after in pairs)

        assert len(caught) == (expected > 0), (seed, expected, sequences, dtype)
        if expected:
            warned += 1
            assert f"changed {expected} of {len(pairs)} values" in str(caught[0].message), (
                seed,
                sequences,
                dtype,
            )
    assert 300 < warned < 1300


class Hostile:
    """Converts to a number once, as NumPy asks; whatever else is asked of it raises."""

    def __init__(self) -> None:
        self.asked = 0

    def __int__(self) -> int:
        self.asked += 1
        if self.asked > 1:
            raise RuntimeError("only once")
        return 3

    __index__ = __int__

    def __float__(self) -> float:
        return float(self.__int__())

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("dtype", ["int32", "float32", object])
def test_the_count_never_raises(dtype):
    padded = pad_sequences([[Hostile(), 1]], dtype=dtype)
    if dtype is not object:
        assert padded.tolist() == [[3, 1]]


def test_an_error_with_a_hostile_value_is_still_numpys_error():
    value = Hostile()
    value.asked = 1
    with pytest.raises(RuntimeError, match="only once"):
        pad_sequences([[1, value]])


# ------------------------------------------------------------------------------------ truncate and masks

ragged_lists = st.lists(st.lists(st.integers(-9, 9), max_size=8), min_size=1, max_size=6)
sides = st.sampled_from(["pre", "post"])


@given(ragged_lists, st.integers(1, 9), sides)
def test_truncate_keeps_the_right_end(sequences, maxlen, truncating):
    cut = truncate(sequences, maxlen, truncating)
    for before, after in zip(sequences, cut, strict=True):
        surplus = max(0, len(before) - maxlen)
        assert after == (before[surplus:] if truncating == "pre" else before[: len(before) - surplus])
    assert (pad_sequences(cut, maxlen) == pad_sequences(sequences, maxlen, truncating=truncating)).all()


def test_truncate_keeps_types_and_does_not_copy_arrays():
    steps = np.arange(10.0).reshape(5, 2)
    cut = truncate([steps, (1, 2, 3), "abc", range(4)], 2)
    assert cut[0].tolist() == [[6, 7], [8, 9]]
    assert np.shares_memory(cut[0], steps)
    assert cut[1:] == [(2, 3), "bc", range(2, 4)]
    assert [row.tolist() for row in truncate(steps, 1, "post")] == [[0], [2], [4], [6], [8]]


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        (([[1]], 0), ValueError, "maxlen must be a whole number >= 1, got 0"),
        (([[1]], None), TypeError, "maxlen must be a whole number >= 1, got None"),
        (([[1]], True), TypeError, "maxlen must be a whole number >= 1, got True"),
        (([[1]], 2, "left"), ValueError, "truncating must be 'pre' or 'post' or 'window', got 'left'"),
        (
            ([[1], {1, 2}], 2),
            TypeError,
            r"sequences\[1\] must be a sequence that can be sliced, got \{1, 2\}",
        ),
        (([{1: 2}], 2), TypeError, r"sequences\[0\] must be a sequence that can be sliced"),
        (([np.array(1)], 2), TypeError, r"sequences\[0\] must be a sequence that can be sliced"),
        (([5], 2), TypeError, r"sequences\[0\] must be a sequence that can be sliced, got 5"),
    ],
)
def test_truncate_refuses(args, error, message):
    with pytest.raises(error, match=message):
        truncate(*args)


@given(ragged_lists, st.none() | st.integers(1, 9), sides)
def test_the_mask_is_true_exactly_at_real_steps(sequences, maxlen, padding):
    lengths = [len(sequence) for sequence in sequences]
    mask = lengths_to_mask(lengths, maxlen, padding)
    marked = [[1] * length for length in lengths]
    expected = pad_sequences(marked, maxlen, padding=padding).astype(bool)
    assert mask.dtype == bool
    assert mask.shape == expected.shape
    assert (mask == expected).all()
    T = mask.shape[1]
    for row, length in zip(mask.tolist(), lengths, strict=True):  # and without pad_sequences
        real = min(length, T)
        assert row == ([False] * (T - real) + [True] * real)[:: 1 if padding == "pre" else -1]


def test_mask_takes_lists_tuples_and_arrays():
    expected = [[False, True, True], [False, False, False], [True, True, True]]
    for lengths in ([2, 0, 3], (2, 0, 10**30), np.array([2, 0, 3], dtype="uint8"), iter([2, 0, 3])):
        assert lengths_to_mask(lengths, maxlen=3).tolist() == expected


@pytest.mark.parametrize(
    ("lengths", "options", "error", "message"),
    [
        ([1, -2], {}, ValueError, r"lengths\[1\] must be a whole number >= 0, got -2"),
        ([1, 2.5], {}, TypeError, r"lengths\[1\] must be a whole number >= 0, got 2.5"),
        (np.array([1.0]), {}, TypeError, r"lengths\[0\] must be a whole number >= 0, got .*1.0"),
        ([math.nan], {}, TypeError, r"lengths\[0\] must be a whole number >= 0, got nan"),
        ([1, True], {}, TypeError, r"lengths\[1\] must be a whole number >= 0, got True"),
        (np.array([True]), {}, TypeError, r"lengths\[0\] must be a whole number >= 0, got .*True"),
        ([None], {}, TypeError, r"lengths\[0\] must be a whole number >= 0, got None"),
        ("12", {}, TypeError, "lengths must be a list of whole numbers, got '12'"),
        ([[1], [2]], {}, TypeError, r"lengths\[0\] must be a whole number >= 0, got \[1\]"),
        (np.array([[1, 2]]), {}, TypeError, r"lengths\[0\] must be a whole number >= 0, got array"),
        (np.array([[1]]), {}, TypeError, r"lengths\[0\] must be a whole number >= 0, got array"),
        (3, {}, TypeError, "lengths must be a list of whole numbers, got 3"),
        (np.array(3), {}, TypeError, "lengths must be a list of whole numbers, got array"),
        ([], {}, ValueError, "lengths must be at least one whole number, got none"),
        ([1], {"maxlen": -1}, ValueError, "maxlen must be a whole number >= 0, got -1"),
        ([1], {"maxlen": 2.0}, TypeError, "maxlen must be a whole number >= 0, got 2.0"),
        ([1], {"padding": "left"}, ValueError, "padding must be 'pre' or 'post', got 'left'"),
    ],
)
def test_mask_refuses(lengths, options, error, message):
    with pytest.raises(error, match=message):
        lengths_to_mask(lengths, **options)


# ------------------------------------------------------------------------------------------------ audit


@given(ragged_lists, st.lists(st.integers(1, 9), min_size=1, max_size=3))
def test_audit_equals_counting_the_padded_array(sequences, maxlens):
    steps = sum(len(sequence) for sequence in sequences)
    for row, maxlen in zip(padding_audit(sequences, maxlens), maxlens, strict=True):
        marked = pad_sequences([[1] * len(sequence) for sequence in sequences], maxlen)
        real = int(marked.sum())
        assert (row.maxlen, row.sequences, row.steps) == (maxlen, len(sequences), steps)
        assert row.cells == marked.size
        assert row.steps_cut == steps - real
        assert row.cut_share == (1 - real / steps if steps else 0) or math.isclose(
            row.cut_share, 1 - real / steps
        )
        assert math.isclose(row.padding_share, (marked == 0).mean(), abs_tol=1e-15)
        assert math.isclose(
            row.sequences_cut_share,
            np.mean([len(sequence) > maxlen for sequence in sequences]),
            abs_tol=1e-15,
        )


def test_audit_rows_table_and_dict():
    audit = padding_audit([[1], (2, 3), np.zeros((5, 4))], maxlen=[2, 5])
    assert len(audit) == 2
    assert audit[0] == PaddingAuditRow(2, 3, 8, 3, 6, 3 / 8, 1 / 3, 1 / 6)
    assert [row.maxlen for row in audit] == [2, 5]
    assert audit[-1].steps_cut == 0
    assert str(audit).splitlines() == [
        "3 sequences, 8 steps",
        "maxlen  cells  padding  steps cut  share  sequences cut",
        "     2      6    16.7%          3  37.5%          33.3%",
        "     5     15    46.7%          0   0.0%           0.0%",
    ]
    rows = json.loads(json.dumps(audit.to_dict()))["rows"]
    assert rows[0]["maxlen"] == 2
    assert rows[1]["cells"] == 15
    with pytest.raises(AttributeError, match="cannot assign"):
        audit[0].steps = 1


def test_audit_lengths_in_every_form():
    ragged = [[1], [2, 3, 4]]
    assert padding_audit(ragged)[0].maxlen == 3
    assert padding_audit(ragged, 2) == padding_audit(ragged, np.array(2)) == padding_audit(ragged, (2,))
    assert padding_audit(ragged, np.array([1, 2])) == padding_audit(ragged, range(1, 3))
    empty = padding_audit([[], []])[0]
    assert (empty.maxlen, empty.cells, empty.cut_share, empty.padding_share) == (0, 0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("sequences", "maxlen", "error", "message"),
    [
        ([], None, ValueError, "sequences must be at least one sequence, got none"),
        ([[1], 2], None, TypeError, r"sequences\[1\] must be a sequence of steps, got 2"),
        ([[1]], 0, ValueError, "maxlen must be a whole number >= 1, got 0"),
        ([[1]], 2.0, TypeError, "maxlen must be a whole number >= 1, got 2.0"),
        ([[1]], "2", TypeError, "maxlen must be a whole number >= 1, got '2'"),
        ([[1]], [2, -1], ValueError, r"maxlen\[1\] must be a whole number >= 1, got -1"),
        ([[1]], [], ValueError, "maxlen must be at least one whole number, got none"),
    ],
)
def test_audit_refuses(sequences, maxlen, error, message):
    with pytest.raises(error, match=message):
        padding_audit(sequences, maxlen)


def test_truncate_keeps_a_window_that_stays_inside():
    sequences = [list(range(10)), [1, 2], np.arange(12).reshape(6, 2)]
    kept = truncate(sequences, 3, "window", start=[4, 1, 5])
    assert kept[0] == [4, 5, 6]
    assert kept[1] == [1, 2]
    assert kept[2].tolist() == [[6, 7], [8, 9], [10, 11]]
    assert truncate(["abcdef"], 2, "window", start=1) == ["bc"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"truncating": "window", "start": -1}, ValueError, "start must be a whole number >= 0, got -1"),
        ({"truncating": "window", "start": 1.5}, TypeError, "start must be a whole number >= 0, got 1.5"),
        (
            {"truncating": "window", "start": [1]},
            ValueError,
            "one number, or one for each of 2 seq",
        ),
        ({"start": 1}, ValueError, "start must be 0 where truncating is not 'window', got 1"),
    ],
)
def test_truncate_refuses_windows_that_cannot_be_meant(options, error, message):
    with pytest.raises(error, match=message):
        truncate([[1, 2], [3]], 1, **options)


@pytest.mark.parametrize("lengths", [[2**63], [1, 2**62]])
def test_a_mask_that_is_larger_than_memory_is_refused(lengths):
    with pytest.raises(MemoryError, match=r"a mask of .* steps takes"):
        lengths_to_mask(lengths)
    assert lengths_to_mask(lengths, maxlen=2).shape == (len(lengths), 2)
