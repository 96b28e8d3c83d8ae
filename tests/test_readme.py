"""Every Python block of the README runs, in order and in one namespace; its commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
SHELL = [line for language, code in BLOCKS if language == "bash" for line in code.strip().splitlines()]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The README's Python, run as a script in an empty folder."""
    folder = tmp_path_factory.mktemp("readme")
    script = folder / "tour.py"
    script.write_text("\n".join(PYTHON), encoding="utf-8")
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    return folder, done


def test_python_blocks_run_and_print_what_the_comments_say(ran):
    folder, done = ran
    assert done.returncode == 0, done.stderr
    for promised in re.findall(r"print\(.*\)\s+# (\([\d, ]+\)(?: \([\d, ]+\))?)", "\n".join(PYTHON)):
        assert promised in done.stdout
    assert (folder / "gradient_flow.png").stat().st_size > 10_000


def test_the_two_commands_are_the_ones_of_the_package():
    assert SHELL == ["pip install '.[study]' && minilstm study", "pip install '.[test]' && pytest -n auto"]


def test_linked_files_exist():
    root = Path(__file__).parent.parent
    links = re.findall(r"\]\(([^)#]+)\)", README)
    local = [link for link in links if "://" not in link]
    assert local
    missing = [link for link in local if not (root / link).exists()]
    assert not missing
