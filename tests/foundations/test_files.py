"""A file is whole or not there, whatever fails on the way."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

import minilstm as ml
from minilstm.datasets import read_file
from minilstm.foundations import files
from minilstm.study.journal import Journal


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


def test_writes_and_replaces_whole_files(tmp_path):
    path = tmp_path / "a.txt"
    files.write_text(path, "first\n")
    files.write_text(path, "zw\u00f6lf\n")
    assert path.read_bytes() == "zw\u00f6lf\n".encode()
    files.write_bytes(path, b"")
    assert path.read_bytes() == b""
    assert listing(tmp_path) == ["a.txt"]


def test_a_new_file_has_the_usual_mode_and_a_replaced_one_keeps_its_own(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_text(tmp_path / "new", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640
    (tmp_path / "new").chmod(0o600)
    files.write_text(tmp_path / "new", "y")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    files.write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@pytest.mark.parametrize("failing", ["write", "fsync", "close", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_after_a_failure_the_old_file_is_as_it_was_and_nothing_else_is_left(
    tmp_path, monkeypatch, failing, error
):
    path = tmp_path / "a"
    path.write_bytes(b"old bytes")
    real = getattr(os, failing)

    def fail(*arguments):
        if failing == "close":
            real(*arguments)
        raise error

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(type(error)) as caught:
        files.write_bytes(path, b"new bytes" * 1000)
    monkeypatch.undo()
    assert path.read_bytes() == b"old bytes"
    assert listing(tmp_path) == ["a"]
    if isinstance(error, OSError):
        assert caught.value.filename == str(path)


@pytest.mark.parametrize("k", range(1, 5))
def test_short_writes_are_finished_and_the_kth_failure_leaves_the_old_file(tmp_path, monkeypatch, k):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    real, calls = os.write, []

    def short(handle, data):
        calls.append(len(data))
        if len(calls) == k:
            raise OSError(errno.EIO, "Input/output error")
        return real(handle, bytes(data[:3]))

    monkeypatch.setattr(os, "write", short)
    if k < 4:
        with pytest.raises(OSError, match="Input/output"):
            files.write_bytes(path, b"123456789")
    else:
        files.write_bytes(path, b"123456789")
    monkeypatch.undo()
    assert path.read_bytes() == (b"old" if k < 4 else b"123456789")
    assert listing(tmp_path) == ["a"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        files.write_text(tmp_path / "no" / "a", "x")
    assert caught.value.filename == str(tmp_path / "no" / "a")


def test_lines_are_appended(tmp_path):
    path = tmp_path / "log"
    for line in ("one", "zw\u00f6lf"):
        files.append_line(path, line)
    assert path.read_bytes() == "one\nzw\u00f6lf\n".encode()


def test_a_line_that_cannot_be_written_leaves_no_part(tmp_path, monkeypatch):
    path = tmp_path / "log"
    files.append_line(path, "one")
    real = os.write

    def full(handle, data):
        if len(data) < 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, bytes(data[:4]))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space") as caught:
        files.append_line(path, "second")
    monkeypatch.undo()
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"one\n"


KILLED = """
import os, signal, sys
from minilstm.foundations import files
os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
files.write_text(sys.argv[1], "half")
"""


@pytest.mark.skipif(os.name != "posix", reason="no harmless way to ask whether a writer lives")
def test_what_a_killed_process_left_is_removed_and_a_living_one_s_is_not(tmp_path, monkeypatch):
    path, others = tmp_path / "a.txt", tmp_path / ".a.txt.word.tmp"
    others.write_text("of somebody else")
    subprocess.run([sys.executable, "-c", KILLED, path], check=False)
    (left,) = set(tmp_path.iterdir()) - {others}
    real = os.replace

    def another_writer(temporary, target):  # comes while this one, of whatever number, is at work
        monkeypatch.setattr(os, "replace", real)
        files.write_text(path, "second")
        assert sorted(tmp_path.iterdir()) == sorted([path, others, temporary])
        real(temporary, target)

    monkeypatch.setattr(os, "replace", another_writer)
    files.write_text(path, "first")
    assert not left.exists()
    assert path.read_text() == "first"
    assert listing(tmp_path) == sorted([path.name, others.name])


@pytest.mark.skipif(os.name != "posix", reason="an open file cannot be renamed")
@pytest.mark.parametrize("fails", [False, True])
def test_a_file_of_another_is_never_removed(tmp_path, monkeypatch, fails):
    """Neither one that has the name first, nor one that has it when this writer's is renamed or swept."""
    path, first, later = (tmp_path / name for name in ("a", ".a.01010101.tmp", ".a.02020202.tmp"))
    first.write_text("first")
    held = os.open(first, os.O_RDWR)
    files.fcntl.flock(held, files.fcntl.LOCK_EX)  # its writer lives
    names, replace = iter([b"\1" * 4, b"\2" * 4]), os.replace
    monkeypatch.setattr(os, "urandom", lambda size: next(names))

    def taken(temporary, target):
        replace(temporary, target if not fails else tmp_path / "elsewhere")
        later.write_text("later")
        if fails:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "replace", taken)
    with pytest.raises(OSError, match="Input") if fails else contextlib.nullcontext():
        files.write_text(path, "mine")
    os.close(held)
    assert (first.read_text(), later.read_text()) == ("first", "later")
    assert path.exists() is not fails


def test_threads_that_write_one_file_leave_one_of_theirs(tmp_path):
    path = tmp_path / "a"
    texts = [str(k) * 10_000 for k in range(4)]
    files.write_text(path, texts[0])

    def write(text):
        for _ in range(25):
            files.write_text(path, text)
            assert path.read_text() in texts

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, texts))
    assert listing(tmp_path) == ["a"]


def test_the_longest_name_can_be_written(tmp_path):
    path = tmp_path / ("n" * 255)
    files.write_text(path, "x")
    assert listing(tmp_path) == [path.name]


def test_a_folder_is_named(tmp_path):
    with pytest.raises(IsADirectoryError) as caught:
        files.write_text(tmp_path, "x")
    assert caught.value.filename == str(tmp_path)


def test_a_device_is_written_to_and_not_replaced(tmp_path):
    (tmp_path / "link").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        files.write_text(tmp_path / "link", "x")
    files.write_text("/dev/null", "x")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert listing(tmp_path) == ["link"]


@pytest.mark.skipif(os.name != "posix", reason="pipes are files there")
def test_a_pipe_is_written_to_where_somebody_reads_it_and_refused_otherwise(tmp_path):
    path, text = tmp_path / "pipe", "x" * 200_000  # more than a pipe holds
    os.mkfifo(path)
    with pytest.raises(OSError, match="A pipe that nobody reads"):
        files.write_text(path, text)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    with ThreadPoolExecutor(1) as pool, os.fdopen(reader) as file:
        pool.submit(files.write_text, path, text)
        assert select.select([reader], [], [], 10)[0]
        assert file.read() == text
    assert path.is_fifo()


@pytest.mark.skipif(os.name != "posix", reason="devices and pipes are files there")
def test_a_device_or_a_pipe_is_refused_before_it_is_read(tmp_path):
    """They may have no end, or nobody at the other one: every reader of other people's files asks first."""
    os.mkfifo(tmp_path / "pipe.csv")
    for name in ("zero.csv", "zero.npz", "zero.keras", "config.json"):
        (tmp_path / name).symlink_to("/dev/zero")
    for path in (tmp_path / "pipe.csv", "/dev/zero"):
        with pytest.raises(OSError, match="Not a regular file"):
            files.read_bytes(path)
    with pytest.raises(IsADirectoryError):
        files.read_bytes(tmp_path)
    readers = (
        (read_file, "pipe.csv"), (read_file, "zero.csv"), (ml.load_model, "zero.npz"),
        (ml.interop.from_keras, "zero.keras"), (Journal.read, ""),
    )  # fmt: skip
    for reader, name in readers:
        with pytest.raises((OSError, ml.WeightsFileError), match="ot a regular file"):
            reader(tmp_path / name)


@pytest.mark.skipif(os.name != "posix", reason="holes in files")
def test_a_file_larger_than_memory_is_named_with_its_size(tmp_path, monkeypatch):
    with open(tmp_path / "hole.csv", "wb") as file:
        file.truncate(2**43)
    with pytest.raises(MemoryError, match=r"Unable to read the 8,796,093,022,208 bytes of .*hole.csv"):
        read_file(tmp_path / "hole.csv")


def refused_to_write(path, mode):
    return mode != os.W_OK


def test_a_file_that_may_not_be_written_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_text("old")
    monkeypatch.setattr(os, "access", refused_to_write)  # root may write everywhere
    with pytest.raises(PermissionError) as caught:
        files.write_text(path, "new")
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"
    files.write_text(tmp_path / "b", "new")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "link"):
        with pytest.raises(NotADirectoryError) as caught:
            files.make_folder(tmp_path / name)
        assert caught.value.filename == str(tmp_path / name)
    for _ in range(2):
        files.make_folder(tmp_path / "a" / "b")
