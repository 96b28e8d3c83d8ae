"""`minilstm examples`: list them, copy them, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

from minilstm.commands.cli import main

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_every_example_is_listed_with_its_question(capsys):
    assert main(["examples", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [path.stem for path in sorted(EXAMPLES.glob("*.py"))]
    assert all(line.endswith(("?", ".")) for line in lines)
    assert "Why does the LSTM not forget, and when does it?" in lines[2]


def test_lists_are_as_wide_as_the_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for command in (["examples", "list"], ["reproduce", "--list"]):
        assert main(command) == 0
        assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_copies_are_the_files_themselves(tmp_path, capsys):
    assert (
        main(["examples", "copy", "03", "05_check_your_own_backward.py", "--out", str(tmp_path / "here")])
        == 0
    )
    copied = sorted((tmp_path / "here").iterdir())
    assert [path.name for path in copied] == ["03_vanishing.py", "05_check_your_own_backward.py"]
    assert all(path.read_bytes() == (EXAMPLES / path.name).read_bytes() for path in copied)
    assert main(["examples", "copy", "--out", str(tmp_path / "all")]) == 0
    assert len(list((tmp_path / "all").iterdir())) == len(list(EXAMPLES.glob("*.py")))


def test_a_file_of_the_reader_s_own_is_never_overwritten(tmp_path, capsys):
    own = tmp_path / "03_vanishing.py"
    own.write_text("mine")
    assert main(["examples", "copy", "03", "--out", str(tmp_path)]) == 2
    assert own.read_text() == "mine"
    assert "is there already, and another file" in capsys.readouterr().err
    assert main(["examples", "copy", "77", "--out", str(tmp_path)]) == 2
    assert "no example is called 77" in capsys.readouterr().err
