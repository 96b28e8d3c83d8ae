"""The parity table of docs/results holds: measured again, row by row."""

from __future__ import annotations

import pytest
from conftest import require

require("keras")
require("torch")

import parity_table  # noqa: E402

ROWS = parity_table.rows()


FEW = 2  # cases of each row, in the quick test


@pytest.mark.peer
@pytest.mark.parametrize("row", ROWS, ids=[row.feature for row in ROWS])
def test_the_first_cases_of_what_the_page_claims(row):
    peer, cases, difference = parity_table.claims()[row.feature]
    assert (peer, cases) == (row.peer, row.cases)
    assert parity_table.measured(row, FEW) <= difference


@pytest.mark.slow
@pytest.mark.peer
@pytest.mark.parametrize("row", ROWS, ids=[row.feature for row in ROWS])
def test_what_the_page_claims_is_measured(row):
    assert parity_table.measured(row) <= parity_table.claims()[row.feature][2]


def test_the_table_has_no_other_rows():
    assert list(parity_table.claims()) == [row.feature for row in ROWS]


def test_figures_are_rounded_up():
    assert [parity_table.figure(x) for x in (0.0, 2e-7, 4e-7, 3e-13)] == ["exact", "1e-06", "1e-05", "1e-12"]
