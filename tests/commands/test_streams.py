"""Streams that are closed or full: the study trains and writes its folder; the exit code says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from minilstm.commands.cli import main

STUDY = "study recall --lengths 2,3 --seeds 1 --epochs 1 --units 2 --jobs 1 --out s"
pytestmark = pytest.mark.skipif(os.name != "posix", reason="a shell's redirections")


def shell(folder, arguments, redirection):
    line = f'exec "{sys.executable}" -m minilstm {arguments} {redirection}'
    return subprocess.run(["sh", "-c", line], cwd=folder, capture_output=True, text=True, timeout=300)


SOME = (">&- 2>&-", ">/dev/full")
MORE = (">&-", "2>&-", "<&-", "2>/dev/full", ">/dev/full 2>/dev/full")


@pytest.mark.slow
@pytest.mark.parametrize("redirection", [*SOME, *(pytest.param(one, marks=pytest.mark.slow) for one in MORE)])
def test_a_study_trains_whatever_its_streams_are(tmp_path, redirection):
    if "full" in redirection and not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    done = shell(tmp_path, STUDY, redirection)
    assert done.returncode == (0 if redirection == "<&-" else 1), done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert json.loads((tmp_path / "s" / "summary.json").read_text())["complete"] is True
    assert (tmp_path / "s" / "report.html").exists()
    if redirection == ">/dev/full":
        assert done.stderr.endswith("the output could not be written: No space left on device\n")


@pytest.mark.slow
def test_a_pipe_that_is_closed_is_no_fault_of_the_study(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "minilstm", *STUDY.split(), "--json"],
        cwd=tmp_path,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
    )
    os.close(writer)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "error" not in done.stderr
    assert (tmp_path / "s" / "report.html").exists()


@pytest.mark.slow
def test_other_commands_end_with_1_where_their_output_is_lost(tmp_path):
    for arguments in ("info", "trace --length 3 --units 2", "--help"):
        done = shell(tmp_path, arguments, ">/dev/full")
        assert done.returncode == 1
        assert done.stderr.endswith("the output could not be written: No space left on device\n")
        assert "Traceback" not in done.stderr


def test_memory_that_is_not_there_is_one_line_with_its_size(capsys, monkeypatch):
    def full(options):
        raise MemoryError("Unable to allocate 9 GiB")

    monkeypatch.setattr("minilstm.commands.trace.traced", full)
    assert main(["trace"]) == 1
    assert capsys.readouterr().err == "minilstm: error: out of memory: Unable to allocate 9 GiB\n"
