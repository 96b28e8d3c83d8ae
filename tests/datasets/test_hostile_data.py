"""Data files that are damaged, hostile or huge: refused with a reason, within bounded time and memory."""

from __future__ import annotations

import gzip
import io
import json
import struct
import subprocess
import sys
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

from minilstm.datasets import from_sequences, from_series, read_file
from minilstm.datasets.arrays import read_npy, read_npz


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def header(shape, dtype="<f4"):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(10 + len(text) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def archive(members, method=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, content in members:
            file.writestr(name, content)
    return buffer.getvalue()


def good():
    return {"x.npy": npy(np.arange(12.0).reshape(3, 4)), "y.npy": npy(np.array([0, 1, 0]))}


def patched(data, offset, layout, value, nth=0):
    """The directory's entry of a member, changed at `offset`."""
    found, place = bytearray(data), -1
    for _ in range(nth + 1):
        place = found.index(b"PK\x01\x02", place + 1)
    struct.pack_into(layout, found, place + offset, value)
    return bytes(found)


REFUSED = {
    "encrypted": (lambda: patched(archive(good().items()), 8, "<H", 1), "'x' is encrypted"),
    "unknown method": (lambda: patched(archive(good().items()), 10, "<H", 99), "compressed by method 99"),
    "LZMA": (lambda: archive(good().items(), zipfile.ZIP_LZMA), "compressed by method 14"),
    "claims more": (
        lambda: archive({**good(), "x.npy": header((3, 500)) + bytes(48)}.items()),
        "'x' claims 6000 bytes and has 48",
    ),
    "claims petabytes": (
        lambda: archive({**good(), "x.npy": header((3, 2**50)) + bytes(48)}.items()),
        "more than 200 times the file's size",
    ),
    "claims a size beyond int64": (
        lambda: archive({**good(), "x.npy": header((2**40, 2**40)) + bytes(48)}.items()),
        "more than 200 times the file's size",
    ),
    "negative shape": (lambda: archive({**good(), "x.npy": header((-1, -4)) + bytes(16)}.items()), "'x' "),
    "no bytes an element": (
        lambda: archive({**good(), "x.npy": header((2**60,), "<U0")}.items()),
        "numbers or texts are read",
    ),
    "bomb": (
        lambda: archive(
            {**good(), "x.npy": header((2**25,), "|u1") + bytes(2**25)}.items(), zipfile.ZIP_DEFLATED
        ),
        "more than 200 times the file's size",
    ),
    "no array": (lambda: archive({**good(), "x.npy": b"text"}.items()), "'x' is no array"),
    "code in the header": (
        lambda: archive({**good(), "x.npy": header("__import__('os')")}.items()),
        "'x' is no array",
    ),
    "pickle": (lambda: archive({**good(), "x.npy": header((1,), "|O") + b"\x80\x04N."}.items()), "pickle"),
    "damaged": (lambda: archive(good().items())[:-30], "cannot be read as .npz"),
    "checksum": (
        lambda: archive(good().items()).replace(np.float64(7).tobytes(), np.float64(8).tobytes()),
        "Bad CRC-32",
    ),
    "twice": (lambda: archive([*good().items(), ("x.npy", npy(np.zeros(3)))]), "the same name"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_hostile_archives_are_refused_before_memory_is_taken(tmp_path, name):
    make, reason = REFUSED[name]
    data = make()
    (tmp_path / "a.npz").write_bytes(data)
    tracemalloc.start()
    with pytest.raises(ValueError, match=reason):
        read_file(tmp_path / "a.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * len(data) + 2**22  # what Python itself takes, for a small file


def test_members_that_are_no_arrays_are_left_alone_and_nothing_is_extracted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = archive([*good().items(), ("../evil.npy", npy(np.zeros(2))), ("notes.txt", b"text")])
    assert set(read_npz(data)) == {"x", "y", "../evil"}
    assert list(tmp_path.iterdir()) == []


def test_arrays_are_those_that_numpy_saves():
    rng = np.random.default_rng(0)
    for array in (
        rng.normal(size=(3, 4)), np.asfortranarray(rng.normal(size=(3, 4))), rng.normal(size=5).astype(">f4"),
        np.array(["a", "äö"]), np.array(3), np.zeros((0, 4)), rng.integers(0, 9, (2, 3, 4), np.uint8),
    ):  # fmt: skip
        np.testing.assert_array_equal(read_npy(npy(array)), array)
        assert read_npy(npy(array)).dtype == array.dtype


# ---- which end is padding ----


def padded(side, value=0.0, lengths=(2, 4, 1)):
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(length, 2)) for length in lengths]
    x = np.full((len(lengths), 4, 2), value)
    for row, part in zip(x, parts, strict=True):
        if side == "post":
            row[: len(part)] = part
        else:
            row[4 - len(part) :] = part
    return x, parts, np.array(lengths)


@pytest.mark.parametrize("side", ["pre", "post"])
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_the_end_that_is_padded_is_found_out(tmp_path, side, value):
    x, parts, lengths = padded(side, value)
    np.savez(tmp_path / "a.npz", x=x, y=[0, 1, 0], lengths=lengths)
    found = read_file(tmp_path / "a.npz")
    for row, part in zip(found.x, parts, strict=True):
        np.testing.assert_array_equal(row, part)
    assert found.reading.endswith(f"padded at the {'end' if side == 'post' else 'start'}")


def test_padding_is_not_guessed(tmp_path):
    x, _, lengths = padded("pre", lengths=(2, 3, 1))
    x[:, -3:] = 0  # now both ends could be padding
    np.savez(tmp_path / "a.npz", x=x, y=[0, 1, 0], lengths=lengths)
    with pytest.raises(ValueError, match=r"both ends could be padding; say which with padding="):
        read_file(tmp_path / "a.npz")
    assert read_file(tmp_path / "a.npz", padding="pre").x[0].shape == (2, 2)
    np.savez(
        tmp_path / "a.npz", x=np.random.default_rng(1).normal(size=(3, 4)), y=[0, 1, 0], lengths=[1, 2, 3]
    )
    with pytest.raises(ValueError, match=r"neither end could be padding"):
        read_file(tmp_path / "a.npz")


@pytest.mark.parametrize("lengths", [[2**63 - 1, 2**63 - 1, 4], [2**62] * 4, [1, 2]])
def test_lengths_do_not_overflow(tmp_path, lengths):
    size = len(lengths)
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3)), y=np.arange(size), lengths=np.array(lengths, np.uint64))
    with pytest.raises(ValueError, match=r"lengths must add up to the 2 steps of x|neither end|both ends"):
        read_file(tmp_path / "a.npz")


# ---- .csv and .jsonl ----


def test_a_column_that_only_counts_the_rows_is_no_time_step(tmp_path):
    rng = np.random.default_rng(0)
    rows = [",".join(map(str, [k, *rng.normal(size=3).round(3), k % 2])) for k in range(20)]
    for name in ("", "Unnamed: 0", "id", "row_id", "count"):
        (tmp_path / "a.csv").write_text("\n".join([f"{name},a,b,c,label", *rows]))
        found = read_file(tmp_path / "a.csv")
        assert {len(row) for row in found.x} == {3}
        assert f"left out: column '{name}', which only counts the rows" in found.reading
    (tmp_path / "a.csv").write_text("\n".join(["id,a,b,c,label", *rows]))
    assert {len(row) for row in read_file(tmp_path / "a.csv", features=["id", "a", "b"]).x} == {3}
    shuffled = [rows[k].replace(f"{k},", f"{(7 * k) % 20},", 1) for k in range(20)]
    (tmp_path / "a.csv").write_text("\n".join([",a,b,c,label", *shuffled]))
    assert {len(row) for row in read_file(tmp_path / "a.csv").x} == {4}


def test_surrogates_are_refused_with_their_line(tmp_path):
    rows = [{"text": f"some words {k}", "label": "ab"[k % 2]} for k in range(20)]
    for key, what in (("text", "x"), ("label", "y")):
        bad = [dict(row) for row in rows]
        bad[6][key] = "x\ud800"
        (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, bad)))
        table = read_file(tmp_path / "a.jsonl")
        with pytest.raises(ValueError, match=f"{what} must be of text that UTF-8 has, .* in line 7"):
            from_sequences(table.x, table.y, places=table.places)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_file_of_a_byte_order_mark_is_empty(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf \n")
    with pytest.raises(ValueError, match="is empty"):
        read_file(tmp_path / name)


def seconds_of(path):
    """Processor time of reading, the least of three."""
    found = []
    for _ in range(3):
        start = time.process_time()
        read_file(path)
        found.append(time.process_time() - start)
    return min(found)


def test_wide_files_take_time_that_is_linear_in_their_columns(tmp_path):
    rng = np.random.default_rng(0)

    def wide(columns):
        path = tmp_path / f"{columns}.csv"
        rows = [",".join(map(str, [*rng.integers(0, 99, columns), k % 2])) for k in range(12)]
        path.write_text("\n".join([",".join([*(f"c{k}" for k in range(columns)), "label"]), *rows]))
        return path

    few, many = seconds_of(wide(5_000)), seconds_of(wide(20_000))
    assert many < 10 * few  # 4 times as many columns; a quadratic search would take 16 times


MEMORY = """
import sys
import numpy, minilstm.datasets
from minilstm.datasets import from_sequences, from_series, read_file

def peak():  # ru_maxrss would begin with the parent's
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if "VmHWM" in line)

before = peak()
table = read_file(sys.argv[1])
x, y, places = table.x, table.y, table.places
del table
data = from_sequences(x, y, places=places)
print(peak() - before, max(max(data.lengths(part)) for part in ("train", "validation", "test")))
"""


def _memory(path):
    """The bytes that reading and splitting a file took at most, and the words of its longest text."""
    done = subprocess.run([sys.executable, "-c", MEMORY, path], capture_output=True, text=True, check=True)
    return map(int, done.stdout.split())


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/status")
@pytest.mark.parametrize("kind", ["plain.csv", "quoted.csv", "lines.csv", "doubled.csv", "lines.csv.gz"])
def test_one_huge_text_takes_at_most_three_times_the_file_of_memory(tmp_path, kind):
    """One field of 12 MB; the library's reader alone would take 4 to 9 times as much."""
    text = "the quick brown fox jumps over a lazy dog " * 290_000
    if kind.startswith("lines"):
        text = text.replace("lazy ", "lazy\n")
    if kind.startswith("doubled"):
        text = text.replace("lazy", '""lazy""')
    if not kind.startswith("plain"):
        text = f'"{text}"'
    rows = [*(f"word{k} of few,{k % 2}" for k in range(40)), f"{text},1"]
    data = ("text,label\n" + "\n".join(rows)).encode()
    path = tmp_path / kind
    path.write_bytes(gzip.compress(data, 1) if kind.endswith("gz") else data)
    taken, longest = _memory(path)
    assert longest == 9 * 290_000
    assert taken < 3 * len(data)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/status")
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_texts_take_at_most_three_times_the_file_of_memory(tmp_path, name):
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefgh"))
    lexicon = ["".join(letters[rng.integers(0, 8, 6)]) for _ in range(5000)]
    with open(tmp_path / name, "w") as file:
        if name.endswith("csv"):
            file.write("text,label\n")
        for k in range(200):
            text = " ".join(lexicon[j] for j in rng.integers(0, 5000, 50_000))
            file.write(
                f"{text},{k % 2}\n" if name.endswith("csv") else json.dumps({"text": text, "y": k % 2}) + "\n"
            )
    size = (tmp_path / name).stat().st_size
    taken, _ = _memory(tmp_path / name)
    assert taken < 3 * size


@pytest.mark.parametrize("which", ["x", "y", "series"])
def test_numbers_whose_squares_overflow_are_refused_by_place(which):
    """Found by the fuzzer (seed 2528): the standard deviation of 1e308 and 1 is Inf, and NumPy warned."""
    x, y = [[float(k), 1.0] for k in range(20)], [k / 3 for k in range(20)]
    if which == "series":
        series = np.sin(np.arange(100.0))
        series[7] = 1e200
        with pytest.raises(ValueError, match=r"up to 1e\+150 in size, got 1e\+200 in series 0, step 7"):
            from_series(series, steps=4)
        return
    (x[3] if which == "x" else y)[1 if which == "x" else 3] = 1e308
    place = "sequence 3, step 1" if which == "x" else "sequence 3"
    with pytest.raises(ValueError, match=rf"{which} .* up to 1e\+150 in size, got 1e\+308 in {place}"):
        from_sequences(x, y)


def test_a_signalling_nan_is_refused_as_any_other():
    """Found by the fuzzer (seed 4590): NumPy warns of it when it changes the dtype."""
    nan = np.array([0x7FA00000], np.uint32).view(np.float32)
    with pytest.raises(ValueError, match="finite numbers, got NaN or Inf in sequence 1, step 0"):
        from_sequences([np.ones(2, np.float32), nan, *np.ones((20, 2), np.float32)], [0, 1] * 11)
    with pytest.raises(ValueError, match="finite numbers, got NaN or Inf in series 0, step 9"):
        from_series(np.concatenate([np.arange(9, dtype=np.float32), nan, np.ones(50, np.float32)]), steps=4)
