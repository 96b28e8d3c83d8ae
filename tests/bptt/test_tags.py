"""An equation's tag stands where it is derived, at its line of NumPy, and at its line of the kernel."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "minilstm"


def derived(name: str) -> set[str]:
    """The tags in the docstring of a file of the lesson: each stands before its equation."""
    docstring = (PACKAGE / "bptt" / f"{name}.py").read_text(encoding="utf-8").split('"""')[1]
    return set(re.findall(r"\b([FBSPV]\d)  \S", docstring))


def coded(path: str) -> set[str]:
    """The tags in the comments of a file; `F1..` says only that a cell's begin there."""
    code = (PACKAGE / path).read_text(encoding="utf-8")
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    comments = [one.string for one in tokens if one.type == tokenize.COMMENT]
    return set(re.findall(r"\b[FBSPV]\d\b(?!\.\.)", " ".join(comments)))


def test_the_tags_are_read():
    assert derived("lstm") == {f"{side}{n}" for side in "FB" for n in range(1, 8)}
    assert derived("steps") == {f"S{n}" for n in range(1, 8)}
    assert derived("variants") == {"F3", "V1", "P1", "P2", "P3"}


@pytest.mark.parametrize("name", ["simple_rnn", "lstm", "steps", "gru"])
def test_each_equation_has_its_line_of_numpy(name):
    assert coded(f"bptt/{name}.py") == derived(name)


@pytest.mark.parametrize("name", ["simple_rnn", "lstm", "gru"])
def test_no_line_of_a_cell_computes_without_a_tag(name):
    code = (PACKAGE / "bptt" / f"{name}.py").read_text(encoding="utf-8")
    computing = [
        ast.get_source_segment(code, node, padded=True) + code.splitlines()[node.end_lineno - 1]
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Assign) and any(isinstance(part, ast.BinOp) for part in ast.walk(node))
    ]
    assert computing
    assert [line for line in computing if not re.search("# [FB][0-9]", line)] == []


def test_a_variant_has_its_own_equations_and_the_plain_cell_s():
    assert coded("bptt/variants.py") == derived("variants") | derived("lstm")


@pytest.mark.parametrize("name", ["simple_rnn", "lstm", "gru"])
def test_each_equation_has_its_line_in_the_kernel(name):
    assert coded(f"compiled/{name}.py") == derived(name) | derived("steps")
