"""One LSTM step: forward against PyTorch and the oracle, backward against complex steps and autograd."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from conftest import require
from tolerances import STEP, check

from minilstm.cells import Saved, State, lstm

BOUND = STEP["float64"]
SIZES = [(3, 2, 5), (1, 4, 2), (6, 1, 1), (1, 1, 1), (2, 7, 3)]  # B, D, H
on_sizes = pytest.mark.parametrize("size", SIZES, ids=["-".join(map(str, size)) for size in SIZES])


def step(case: oracle.Case):
    """The package's cell on step 0 of the case."""
    return lstm.forward(case.x[0] @ case.W + case.b, case.h0 @ case.U, State(case.h0, case.c0))


def one_step(size: tuple[int, int, int]) -> oracle.Case:
    B, D, H = size
    return oracle.draw(np.random.default_rng(size), 1, B, D, H)


@on_sizes
def test_forward_is_the_oracle_s(size):
    case = one_step(size)
    state, saved = step(case)
    expected = oracle.run(case)
    check(state.h, expected.h[1], BOUND, what="h")
    check(state.c, expected.c[1], BOUND, what="c")
    for name in "ifgo":
        check(getattr(saved, name), getattr(expected, name)[0], BOUND, what=name)


@on_sizes
def test_forward_is_torch_s(size):
    require("torch")
    import torch

    case = one_step(size)
    cell = torch.nn.LSTMCell(size[1], size[2], dtype=torch.float64)
    with torch.no_grad():
        cell.weight_ih.copy_(torch.tensor(case.W.T))
        cell.weight_hh.copy_(torch.tensor(case.U.T))
        cell.bias_ih.copy_(torch.tensor(case.b))
        cell.bias_hh.zero_()
        h, c = cell(torch.tensor(case.x[0]), (torch.tensor(case.h0), torch.tensor(case.c0)))
    state, _ = step(case)
    check(state.h, h.numpy(), BOUND, what="h")
    check(state.c, c.numpy(), BOUND, what="c")


@on_sizes
def test_backward_is_the_complex_step_of_forward(size):
    """Every entry of dz, and of the gradients of both states, through the very same code."""
    B, _, H = size
    rng = np.random.default_rng([9, *size])
    xw, hu = rng.normal(size=(2, B, 4 * H))
    prev = State(rng.normal(size=(B, H)), rng.normal(size=(B, H)))
    d = State(rng.normal(size=(B, H)), rng.normal(size=(B, H)))

    def loss(xw, hu, c_prev):
        state, _ = lstm.forward(xw, hu, State(prev.h, c_prev))
        return complex((d.h * state.h).sum() + (d.c * state.c).sum())

    dxw, dhu, dc_prev = oracle.complex_step(loss, [xw, hu, prev.c])
    state, saved = lstm.forward(xw, hu, prev)
    dz, found_dc_prev, total = lstm.backward(d, saved)
    check(dz, dxw, BOUND, what="dxw")
    check(dz, dhu, BOUND, what="dhu")
    check(found_dc_prev, dc_prev, BOUND, what="dc_prev")

    def loss_from_c(c):  # what B2 adds: the path from c to h inside the step
        return complex((d.h * saved.o * np.tanh(c)).sum() + (d.c * c).sum())

    (dc,) = oracle.complex_step(loss_from_c, [state.c])
    check(total.c, dc, BOUND, what="total dc")
    np.testing.assert_array_equal(total.h, d.h)


@on_sizes
def test_backward_is_autograd_s(size):
    require("torch")
    case = one_step(size)
    case = case._replace(dh=np.zeros_like(case.dh))
    expected = oracle.torch_gradients(case)
    _, saved = step(case)
    dz, dc_prev, total = lstm.backward(State(case.dh_last, case.dc_last), saved)
    check(dz, expected["z"][0], BOUND, what="dz")
    check(dc_prev, expected["c0"], BOUND, what="dc_prev")
    check(total.h, expected["h"][0], BOUND, what="dh")
    check(total.c, expected["c"][0], BOUND, what="dc")


def test_complex_arrays_pass():
    case = one_step((3, 2, 5))
    real, _ = step(case)
    state, saved = step(case._replace(W=case.W + 1e-30j))
    check(state.h.real, real.h, BOUND)
    assert state.h.imag.any()
    dz, dc_prev, _ = lstm.backward(State(case.dh_last, case.dc_last), saved)
    assert dz.dtype == dc_prev.dtype == complex


def test_inputs_are_untouched():
    case = one_step((3, 2, 5))
    _, saved = step(case)
    before = [part.tobytes() for part in saved]
    d = State(case.dh_last, case.dc_last)
    lstm.backward(d, saved)
    assert before == [part.tobytes() for part in saved]
    assert (d.h == case.dh_last).all()
    assert (d.c == case.dc_last).all()


def test_zero_gates_stop_everything():
    """A masked step's gates count as 0; B3 to B7 then give zeros by themselves."""
    zero, one = np.zeros((2, 3)), np.ones((2, 3))
    saved = Saved(i=zero, f=zero, g=zero, o=zero, c_prev=one, c=one)
    dz, dc_prev, _ = lstm.backward(State(one, one), saved)
    assert not dz.any()
    assert not dc_prev.any()
