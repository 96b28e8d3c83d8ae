"""faults.md is complete: each of the 46 rows names a test that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest

import minilstm as ml

TESTS = Path(__file__).parent
ROW = re.compile(r"^\| (\d+) \| (.+?) \| `(.+?)::(.+?)` \|$")


def rows():
    lines = [line for line in (TESTS / "faults.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    found = [ROW.match(line) for line in lines if not line.startswith("| #")]
    assert all(found), "a row that cannot be read"
    return [(int(row[1]), row[3], row[4]) for row in found if row is not None]


def test_every_row_is_held():
    assert {number for number, _, _ in rows()} == set(range(1, 47))


def test_the_tests_exist():
    for number, file, name in rows():
        tree = ast.parse((TESTS / file).read_text("utf-8"))
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in functions, f"row {number}: {file} has no {name}"


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_loss_over_no_step_is_zero_and_moves_nothing(backend):
    """Row 7: 0 / 0 would be NaN, which every later step would carry on."""
    layer = ml.LSTM(3, input_shape=(4, 2), return_sequences=True, backend=backend)
    model = ml.Sequential([layer, ml.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    before = model.get_weights()
    x, y, mask = np.ones((2, 4, 2)), np.ones((2, 4, 1)), np.zeros((2, 4), bool)
    assert model.evaluate(x, y, mask=mask, verbose=0) == 0.0
    assert model.fit(x, y, mask=mask, verbose=0).history["loss"] == [0.0]
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
