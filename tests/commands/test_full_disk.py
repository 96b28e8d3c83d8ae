"""A disk that is full: one line that names the file, exit code 1, what was there before as it was."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

import minilstm as ml
from minilstm.commands.cli import main
from minilstm.study import length_study, report


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("full")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "study_figures", lambda *_: [])  # they take ten seconds
        length_study("recall", out=folder / "study", lengths=[2, 3], seeds=1, epochs=1, units=2)
    model = ml.Sequential([ml.LSTM(2, input_shape=(4, 1)), ml.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    model.save(folder / "model.npz")
    np.savez(folder / "data.npz", x=np.ones((3, 4, 1)), y=np.ones(3))
    return folder


COMMANDS = {
    "report study": "study/results.csv",
    "compare study study --out old.html": "old.html",
    "trace --weights model.npz --data data.npz --out traces": "traces/trace.html",
    "truncation --weights model.npz --data data.npz --draws 0 --out old.svg": "old.svg",
    "examples copy 01 --out examples": "examples/01_pad_and_mask.py",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_ends_a_command_with_one_line_and_the_old_file(work, monkeypatch, capsys, command):
    monkeypatch.chdir(work)
    if not os.path.exists(COMMANDS[command]):
        assert main(command.split()) == 0
    before = {path: path.read_bytes() for path in work.rglob("*") if path.is_file()}
    capsys.readouterr()

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert main(command.split()) == 1
    expected = os.path.join(*COMMANDS[command].split("/"))
    assert capsys.readouterr().err == f"minilstm: error: No space left on device: {expected}\n"
    assert {path: path.read_bytes() for path in work.rglob("*") if path.is_file()} == before
