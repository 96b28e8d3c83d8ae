"""One step of every cell and variant: against PyTorch and the oracle, and against its own complex step."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from conftest import require
from tolerances import STEP, check

from minilstm.bptt.gru import GRUCell
from minilstm.bptt.lstm import LSTMCell
from minilstm.bptt.simple_rnn import SimpleRNNCell
from minilstm.bptt.variants import LSTMVariant
from minilstm.cells.activations import get
from minilstm.compiled.engines import without_kernel

BOUND = STEP["float64"]
SIZES = [(3, 2, 5), (1, 4, 2), (6, 1, 1), (1, 1, 1), (2, 7, 3)]  # B, D, H
on_sizes = pytest.mark.parametrize("size", SIZES, ids=["-".join(map(str, size)) for size in SIZES])
CELLS = [LSTMCell(), GRUCell(), SimpleRNNCell()]
VARIANTS = [
    *CELLS,
    LSTMVariant(forget_gate="none"),
    LSTMVariant(forget_gate="coupled"),
    LSTMVariant(peepholes=True),
    LSTMVariant(forget_gate="none", peepholes=True),
    LSTMVariant(forget_gate="coupled", peepholes=True),
    LSTMVariant(activation=get("relu"), recurrent_activation=get("hard_sigmoid")),
    LSTMVariant(activation=get("linear"), recurrent_activation=get("tanh"), peepholes=True),
    GRUCell(activation=get("relu"), recurrent_activation=get("hard_sigmoid")),
    SimpleRNNCell(activation=get("relu")),
    SimpleRNNCell(activation=get("linear")),
]
on_variants = pytest.mark.parametrize(
    "cell", VARIANTS, ids=[f"{c.name}-{without_kernel(c)}" for c in VARIANTS]
)


def inputs(cell, B: int, H: int):
    """xw, hu, prev, p, and a weight for each state in a loss."""
    rng = np.random.default_rng([B, H, len(cell.gates)])
    xw, hu = rng.normal(size=(2, B, len(cell.gates) * H))
    prev = tuple(rng.normal(size=(B, H)) for _ in cell.states)
    rows = len(cell.rows)
    p = rng.normal(size=(rows, H)) if rows else None
    return xw, hu, prev, p, tuple(rng.normal(size=(B, H)) for _ in cell.states)


@on_sizes
def test_lstm_forward_is_the_oracle_s(size):
    B, D, H = size
    case = oracle.draw(np.random.default_rng(size), 1, B, D, H)
    state, kept = LSTMCell().forward(case.x[0] @ case.W + case.b, case.h0 @ case.U, (case.h0, case.c0))
    expected = oracle.run(case)
    check(state[0], expected.h[1], BOUND, what="h")
    check(state[1], expected.c[1], BOUND, what="c")
    for name, value in zip("ifgo", kept, strict=True):
        check(value, getattr(expected, name)[0], BOUND, what=name)


@on_sizes
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_step_is_torch_s(cell, size):
    """Forward and backward against nn.LSTMCell, nn.GRUCell, nn.RNNCell and their autograd."""
    require("torch")
    import torch

    B, _, H = size
    xw, _, prev, _, d = inputs(cell, B, H)
    order = {"gru": ("r", "z", "g")}.get(cell.name, cell.gates)  # PyTorch's
    kind = {"lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell, "simple_rnn": torch.nn.RNNCell}[cell.name]

    def permuted(array):
        blocks = dict(zip(cell.gates, np.split(array, len(cell.gates), axis=-1), strict=True))
        return np.concatenate([blocks[gate] for gate in order], axis=-1)

    theirs = kind(xw.shape[1], H, dtype=torch.float64)
    U = np.random.default_rng(0).normal(size=(H, xw.shape[1]))
    with torch.no_grad():
        theirs.weight_ih.copy_(torch.eye(xw.shape[1]))
        theirs.weight_hh.copy_(torch.tensor(permuted(U).T))
        theirs.bias_ih.zero_()
        theirs.bias_hh.zero_()
    x = torch.tensor(permuted(xw), requires_grad=True)
    before = [torch.tensor(part, requires_grad=True) for part in prev]
    after = theirs(x, tuple(before) if len(before) > 1 else before[0])
    after = list(after) if len(before) > 1 else [after]
    sum((torch.tensor(w) * s).sum() for w, s in zip(d, after, strict=True)).backward()

    state, kept = cell.forward(xw, prev[0] @ U, prev)
    step = cell.backward(d, prev, state, kept)
    for ours, expected in zip(state, after, strict=True):
        check(ours, expected.detach().numpy(), BOUND)
    check(permuted(step.dxw), x.grad.numpy(), BOUND, what="dxw")
    dprev = (step.dhu @ U.T + step.dprev[0], *step.dprev[1:])
    for ours, expected in zip(dprev, before, strict=True):
        check(ours, expected.grad.numpy(), BOUND, what="dprev")


@on_sizes
@on_variants
def test_backward_is_the_complex_step_of_forward(cell, size):
    """Every gradient of a step, through the very same code."""
    B, _, H = size
    xw, hu, prev, p, d = inputs(cell, B, H)

    def loss(xw, hu, p, *prev):
        state, _ = cell.forward(xw, hu, prev, p if p.size else None)
        return complex(sum((w * part).sum() for w, part in zip(d, state, strict=True)))

    dxw, dhu, dp, *dprev = oracle.complex_step(loss, [xw, hu, np.zeros((0, H)) if p is None else p, *prev])
    state, kept = cell.forward(xw, hu, prev, p)
    step = cell.backward(d, prev, state, kept, p)
    check(step.dxw, dxw, BOUND, what="dxw")
    check(step.dhu, dhu, BOUND, what="dhu")
    for ours, expected in zip(step.dprev, dprev, strict=True):
        check(ours, expected, BOUND, what="dprev")
    if p is not None:
        check(step.dp, dp, BOUND, what="dp")
    np.testing.assert_array_equal(step.total[0], d[0])


@on_sizes
@pytest.mark.parametrize("peepholes", [False, True])
def test_the_total_of_c_has_the_path_through_h(size, peepholes):
    """What B2 (and P2) add: the path from c to h inside the step."""
    B, _, H = size
    cell = LSTMVariant(peepholes=peepholes)
    xw, hu, prev, p, d = inputs(cell, B, H)
    state, kept = cell.forward(xw, hu, prev, p)
    z_o = (xw + hu)[:, 3 * H :]

    def loss(c):
        z = z_o + p[2] * c if peepholes else z_o
        return complex((d[0] * np.tanh(c) / (1 + np.exp(-z)) + d[1] * c).sum())

    (dc,) = oracle.complex_step(loss, [state[1]])
    check(cell.backward(d, prev, state, kept, p).total[1], dc, BOUND, what="total dc")


@on_variants
def test_inputs_are_untouched(cell):
    xw, hu, prev, p, d = inputs(cell, 3, 5)
    state, kept = cell.forward(xw, hu, prev, p)
    arrays = [xw, hu, *prev, *state, *kept, *d]
    before = [array.tobytes() for array in arrays]
    cell.backward(d, prev, state, kept, p)
    assert before == [array.tobytes() for array in arrays]


@on_variants
def test_a_variant_says_what_it_is(cell):
    assert (without_kernel(cell) is None) == (cell in CELLS)


def test_the_cell_of_1997_never_forgets():
    """Without a forget gate dc_prev is dc, whatever the other gates do."""
    cell = LSTMVariant(forget_gate="none")
    xw, hu, prev, _, d = inputs(cell, 3, 5)
    state, kept = cell.forward(xw, hu, prev)
    step = cell.backward((0 * d[0], d[1]), prev, state, kept)
    np.testing.assert_array_equal(step.dprev[1], d[1])
