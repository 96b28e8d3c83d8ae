"""The NumPy step loop against the oracle; and on complex arrays, where it differentiates itself."""

from __future__ import annotations

import engine_cases as body
import numpy as np
import oracle
import pytest
from tolerances import check

from minilstm.bptt.cell import Weights
from minilstm.bptt.engine import PLAIN
from minilstm.compiled import chunks

on_cases = pytest.mark.parametrize("shape", body.CASES, ids=body.IDS)


@on_cases
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_forward_is_the_oracle_s(shape, dtype):
    body.check_forward(PLAIN, shape, dtype)


@on_cases
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_backward_is_the_complex_step_s(shape, dtype):
    body.check_backward(PLAIN, shape, dtype)


@on_cases
def test_overwrite_changes_nothing(shape):
    body.check_overwrite(PLAIN, shape)


@on_cases
def test_optional_parts(shape):
    body.check_optional_parts(PLAIN, shape)


@on_cases
def test_without_keep(shape):
    body.check_without_keep(PLAIN, shape)


def test_nan_stays_in_its_row():
    body.check_nan_stays_in_its_row(PLAIN)


@on_cases
def test_inputs_are_untouched(shape):
    body.check_inputs_untouched(PLAIN, shape)


def test_the_complex_step_through_the_loop_itself():
    """The code that trains runs on complex arrays, masks included, and confirms its own gradient."""
    case = body.case_of((4, 3, 2, 5, "random"))
    case = case._replace(mask=np.arange(4)[:, None] % 2 == np.arange(3) % 2)

    def loss(W, U, b, x, h0, c0):
        done = body.forward(PLAIN, case._replace(W=W, U=U, b=b, x=x, h0=h0, c0=c0))
        last = (case.dh_last * done.h[-1]).sum() + (case.dc_last * done.c[-1]).sum()
        return complex((case.dh * done.h[1:]).sum() + last)

    expected = oracle.complex_step(loss, case[:6])
    _, found = body.passes(PLAIN, case)
    parts = (found.dW, found.dU, found.db, found.dx, found.dh0, found.dc0)
    for name, ours, theirs in zip(("dW", "dU", "db", "dx", "dh0", "dc0"), parts, expected, strict=True):
        check(ours, theirs, 1e-13, what=name)


def test_the_batch_is_one_chunk():
    case = body.case_of((3, 40, 2, 2, "none"))
    tapes = chunks.forward(body.LSTM, Weights(case.W, case.U, case.b), case.x, engine=PLAIN)
    assert tapes.rows == [slice(0, 40)]
