"""README and docs/: every Python block runs, a page in one namespace; links, commands and names exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = {
    str(page.relative_to(ROOT)): page for page in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
}
PROMISED = re.compile(r"print\(.*\)\s+# (\([\d, ]+\)(?: \([\d, ]+\))?|True|False)$", flags=re.MULTILINE)
BLOCK = re.compile(r"```(\w+)\n(.*?)```", flags=re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    found = BLOCK.findall(PAGES[page].read_text(encoding="utf-8"))
    return [code for name, code in found if name == language]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_python_blocks_run_and_print_what_the_comments_say(page, tmp_path):
    code = "\n".join(blocks(page, "python"))
    (tmp_path / "page.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-W", "error", "page.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    for promised in PROMISED.findall(code):
        assert promised in done.stdout
    for picture in re.findall(r'savefig\("(\w+\.png)"\)', code):
        assert (tmp_path / picture).stat().st_size > 10_000


def test_the_two_commands_are_the_ones_of_the_package():
    lines = [line for code in blocks("README.md", "bash") for line in code.strip().splitlines()]
    assert lines == ["pip install '.[study]' && minilstm study", "pip install '.[test]' && pytest -n auto"]


@pytest.mark.parametrize("page", PAGES)
def test_linked_files_exist(page):
    links = re.findall(r"\]\(([^)#]+)\)", PAGES[page].read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert not [link for link in local if not (PAGES[page].parent / link).exists()]


def test_the_site_is_built_so_that_warnings_count():
    """`--quiet` hides them from `--strict` too."""
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    (build,) = [line for line in lines if '/mkdocs" build' in line]
    assert "--strict" in build
    assert "--quiet" not in build


def test_the_site_names_every_page():
    named = set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    assert named == {str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/**/*.md")}


def test_the_reference_has_every_public_name():
    import minilstm

    pages = "\n".join(page.read_text(encoding="utf-8") for page in ROOT.glob("docs/reference/*.md"))
    shown = [f"{place}." for place in re.findall(r"^::: ([\w.]+)", pages, flags=re.MULTILINE)]
    public = [f"{home}.{name}." for home, names in minilstm._HOMES.items() for name in names]
    assert not [name for name in public if not name.startswith(tuple(shown))]
