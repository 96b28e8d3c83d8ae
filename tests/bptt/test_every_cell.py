"""The whole sequence with every cell and variant: complex steps, kernels against the reference, PyTorch."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from conftest import require
from test_cells import CELLS, VARIANTS
from tolerances import PARITY, check

import minilstm as ml
from minilstm.bptt.cell import Weights
from minilstm.compiled import chunks, engines

on_cells = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)


def random_layer(cell, T: int, B: int, D: int, H: int, mask: bool, seed: int):
    """Weights, x, mask, initial state, and the weights of h_t and of the last state in a loss; float64."""
    rng, n = np.random.default_rng([seed, T, B, D, H]), len(cell.gates)
    peepholes = len(cell.rows)
    weights = Weights(
        W=rng.normal(size=(D, n * H)) * 0.7,
        U=rng.normal(size=(H, n * H)) * 0.7 / np.sqrt(H),
        b=rng.normal(size=n * H) * 0.7,
        rb=rng.normal(size=n * H) * 0.7 if cell.name == "gru" else None,
        p=rng.normal(size=(peepholes, H)) * 0.7 if peepholes else None,
    )
    real = rng.random((T, B)) < 0.6 if mask else None
    if real is not None:
        real[:, B // 2] = False
    state, last = (tuple(rng.uniform(-0.9, 0.9, (B, H)) for _ in cell.states) for _ in range(2))
    return weights, rng.normal(size=(T, B, D)), real, state, rng.normal(size=(T, B, H)), last


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize(
    "cell", VARIANTS, ids=[f"{cell.name}-{engines.without_kernel(cell)}" for cell in VARIANTS]
)
def test_every_variant_is_its_own_complex_step(cell, mask):
    """Every weight, the input and the initial state, through the code that trains."""
    T, B, D, H = 4, 3, 2, 3
    weights, x, real, state, dh, last = random_layer(cell, T, B, D, H, mask, 0)
    names = [name for name, part in zip(weights._fields, weights, strict=True) if part is not None]

    def loss(*arrays):
        given = weights._replace(**dict(zip(names, arrays, strict=False)))
        x, *state = arrays[len(names) :]
        outputs = np.empty((T, B, H), complex)
        tape = chunks.forward(cell, given, x, real, tuple(state), outputs=outputs)
        ends = zip(last, tape.last_state, strict=True)
        return complex((dh * outputs).sum() + sum((w * part).sum() for w, part in ends))

    expected = oracle.complex_step(loss, [*(getattr(weights, name) for name in names), x, *state])
    tape = chunks.forward(cell, weights, x, real, state)
    found = chunks.backward(weights, tape, dh, last)
    ours = [*(getattr(found.dweights, name) for name in names), found.dx, *found.dstate]
    for name, gradient, theirs in zip([*names, "x", *cell.states], ours, expected, strict=True):
        check(gradient, theirs, 1e-13, what=name)


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "sizes", [(6, 4, 3, 5), (7, 20, 3, 8), (1, 1, 1, 1), (3, 33, 2, 300), (4, 17, 40, 9)]
)
@on_cells
def test_kernels_are_the_reference(cell, sizes, dtype, mask):
    T, B, D, H = sizes
    weights, x, real, state, dh, last = random_layer(cell, T, B, D, H, mask, 1)
    exact = chunks.forward(cell, weights, x, real, state)
    expected = chunks.backward(weights, exact, dh, last, record=True)

    def cast(parts):
        return [None if part is None else part.astype(dtype) for part in parts]

    weights, (x, dh), state, last = Weights(*cast(weights)), cast((x, dh)), cast(state), tuple(cast(last))
    tape = chunks.forward(cell, weights, x, real, tuple(state), engine=engines.engine_of("numba"))
    slim = chunks.forward(
        cell, weights, x, real, tuple(state), engine=engines.engine_of("numba"), keep="outputs"
    )
    assert tape.nbytes == engines.tape_bytes(cell, T, B, D, H, x.itemsize, "numba", T, "everything")
    bound = PARITY[dtype]
    for name in (*cell.states, *cell.kept):
        check(tape.join(name), exact.join(name), bound, steps=0, what=name)
    for ours, theirs in zip(tape.last_state, slim.last_state, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    found = chunks.backward(weights, tape, dh, last, record=True)
    again = chunks.backward(weights, tape, dh, last, overwrite=True)
    for name, part in zip(weights._fields, expected.dweights, strict=True):
        if part is not None:
            check(getattr(found.dweights, name), part, bound, what=name)
            np.testing.assert_array_equal(getattr(found.dweights, name), getattr(again.dweights, name))
    theirs = (expected.dx, expected.dz, *expected.dtotal)
    for ours, array in zip((found.dx, found.dz, *found.dtotal), theirs, strict=True):
        check(ours, array, bound, steps=0)
    for ours, array in zip(found.dstate, expected.dstate, strict=True):
        check(ours, array, bound)


@pytest.mark.parametrize(("sizes", "segment"), [((12, 3, 2, 4), 4), ((6, 1, 2, 3), 1), ((9, 40, 3, 5), 3)])
@on_cells
def test_a_recorded_pass_over_checkpoints_is_the_reference(cell, sizes, segment):
    """Each segment is computed again in memory that the one after it had: nothing recorded may live there."""
    weights, x, real, state, dh, last = random_layer(cell, *sizes, True, 3)
    expected = chunks.backward(weights, chunks.forward(cell, weights, x, real, state), dh, last, record=True)
    options = {"engine": engines.engine_of("numba"), "segment_steps": segment, "keep": "boundaries"}
    found = chunks.backward(
        weights, chunks.forward(cell, weights, x, real, state, **options), dh, last, record=True
    )
    theirs = (expected.dx, expected.dz, *expected.dtotal)
    for ours, array in zip((found.dx, found.dz, *found.dtotal), theirs, strict=True):
        check(ours, array, 1e-12, steps=0)


@pytest.mark.peer
@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("sizes", [(9, 4, 3, 5), (1, 3, 2, 4), (30, 2, 5, 3)])
@on_cells
def test_the_layer_is_torch_s(cell, sizes, backend):
    """Outputs and all gradients of nn.LSTM, nn.GRU and nn.RNN, with an initial state."""
    require("torch")
    import torch

    T, B, D, H = sizes
    weights, x, _, state, dh, last = random_layer(cell, T, B, D, H, False, 2)
    order = [cell.gates.index(gate) for gate in {"gru": "rzg"}.get(cell.name, cell.gates)]

    def permuted(array):
        blocks = np.split(array, len(cell.gates), axis=-1)
        return np.concatenate([blocks[k] for k in order], axis=-1)

    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "simple_rnn": torch.nn.RNN}[cell.name]
    layer = kind(D, H, dtype=torch.float64)
    rb = np.zeros_like(weights.b) if weights.rb is None else weights.rb
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.tensor(permuted(weights.W).T))
        layer.weight_hh_l0.copy_(torch.tensor(permuted(weights.U).T))
        layer.bias_ih_l0.copy_(torch.tensor(permuted(weights.b)))
        layer.bias_hh_l0.copy_(torch.tensor(permuted(rb)))
    tx = torch.tensor(x, requires_grad=True)
    start = [torch.tensor(part[None], requires_grad=True) for part in state]
    out, end = layer(tx, tuple(start) if len(start) > 1 else start[0])
    end = end if len(start) > 1 else [end]
    ends = sum((torch.tensor(w) * part[0]).sum() for w, part in zip(last, end, strict=True))
    ((torch.tensor(dh) * out).sum() + ends).backward()

    tape = chunks.forward(cell, weights, x, None, state, engine=engines.engine_of(backend))
    found = chunks.backward(weights, tape, dh, last)
    bound = PARITY["float64"]
    check(tape.join("h"), out.detach().numpy(), bound, steps=0, what="h")
    check(permuted(found.dweights.W), layer.weight_ih_l0.grad.numpy().T, bound, what="W")
    check(permuted(found.dweights.U), layer.weight_hh_l0.grad.numpy().T, bound, what="U")
    check(permuted(found.dweights.b), layer.bias_ih_l0.grad.numpy(), bound, what="b")
    if found.dweights.rb is not None:
        check(permuted(found.dweights.rb), layer.bias_hh_l0.grad.numpy(), bound, what="rb")
    check(found.dx, tx.grad.numpy(), bound, steps=0, what="dx")
    for ours, part in zip(found.dstate, start, strict=True):
        check(ours, part.grad.numpy()[0], bound, what="dstate")


@pytest.mark.parametrize("cell", ["LSTM", "GRU", "SimpleRNN"])
@pytest.mark.parametrize(("units", "features", "batch"), [(1, 5, 2), (1, 1, 1), (2, 1, 1), (1, 2, 5)])
def test_one_unit_one_feature_one_sample(cell, units, features, batch):
    """An array with an axis of length 1 may have any stride there: the kernels give what NumPy gives."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(batch, 4, features)), rng.normal(size=(batch, 4, units))
    found = []
    for backend in ("numba", "numpy"):
        layer = getattr(ml, cell)(units, return_sequences=True, backend=backend)
        model = ml.Sequential([layer], dtype="float64", seed=0)
        model.compile(loss="mse")
        trace = model.trace(x, y)
        found.append([trace.output, trace[0].dx, *trace.grads.values()])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-14)
