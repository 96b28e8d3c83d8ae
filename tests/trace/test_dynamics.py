"""Jacobians against PyTorch's, against the traced gradients, and against maps whose answer is known."""

from __future__ import annotations

import math
import time

import numpy as np
import oracle
import pytest
from scipy.stats import ortho_group

import minilstm as ml
from minilstm.bptt.cell import Weights
from minilstm.bptt.simple_rnn import SimpleRNNCell
from minilstm.cells.activations import get
from minilstm.trace import dynamics
from minilstm.trace.trace import LayerTrace

N, T, D, H = 3, 15, 2, 5
CELLS = {
    "lstm": (ml.LSTM, {}),
    "lstm peepholes": (ml.LSTM, {"peepholes": True, "backend": "numpy"}),
    "lstm coupled": (ml.LSTM, {"forget_gate": "coupled", "backend": "numpy"}),
    "gru": (ml.GRU, {}),
    "rnn": (ml.SimpleRNN, {}),
}
every_cell = pytest.mark.parametrize("cell", CELLS)


def traced(cell="lstm", mask=None, steps=T, units=H, scale=0.7, samples=N, **options):
    make, settings = CELLS[cell]
    layer = make(units, input_shape=(steps, D), name="rec", **settings, **options)
    model = ml.Sequential([layer, ml.Dense(1)], dtype="float64", seed=0)
    model.compile(loss="mse")
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) * scale for w in model.get_weights()])
    x, y = rng.normal(size=(samples, steps, D)), rng.normal(size=samples)
    return model, model.trace(x, y, mask)["rec"]


def made(U, activation="linear", steps=20, h0=None):
    """The trace of a simple recurrent network without input, its states by the definition."""
    units = len(U)
    h = np.zeros((steps + 1, units))
    h[0] = np.zeros(units) if h0 is None else h0
    forward = {"linear": lambda z: z, "tanh": np.tanh, "sigmoid": oracle.logistic}[activation]
    for t in range(steps):
        h[t + 1] = forward(h[t] @ U)
    arrays = {"h": h[None, 1:], "h0": h[None, 0], "x": np.zeros((1, steps, 1))}
    weights = Weights(np.zeros((1, units)), U, np.zeros(units))
    cut, real = np.zeros(steps, bool), np.ones((1, steps), bool)
    return LayerTrace("made", SimpleRNNCell(get(activation)), weights, arrays, real, cut, {})


# ------------------------------------------------------------ one step


@pytest.mark.peer
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_each_jacobian_is_torchs(torch, cell):
    """torch.nn's own cells, and torch.autograd.functional.jacobian of the joint state."""
    _, rec = traced(cell)
    W, U, b, rb, _ = rec.weights
    make = {"lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell, "rnn": torch.nn.RNNCell}[cell]
    peer = make(D, H, dtype=torch.float64)

    def torch_layout(array):
        """Gate blocks in PyTorch's order: the GRU has r, z, n."""
        if cell != "gru":
            return torch.tensor(array.T)
        z, r, g = np.split(array, 3, axis=-1)
        return torch.tensor(np.concatenate([r, z, g], axis=-1).T)

    with torch.no_grad():
        peer.weight_ih.copy_(torch_layout(W))
        peer.weight_hh.copy_(torch_layout(U))
        peer.bias_ih.copy_(torch_layout(b))
        peer.bias_hh.copy_(torch_layout(np.zeros_like(b) if rb is None else rb))
    for sample in range(N):
        found = dynamics.jacobians(rec, sample)
        for t in range(T):
            x = torch.tensor(rec.x[sample, t])[None]
            before = torch.tensor(np.concatenate([rec.before(name)[sample, t] for name in rec.states]))

            def step(state, x=x):
                if cell == "lstm":
                    return torch.cat(peer(x, (state[None, :H], state[None, H:])), dim=1)[0]
                return peer(x, state[None])[0]

            expected = torch.autograd.functional.jacobian(step, before).numpy()
            np.testing.assert_allclose(found[t], expected, rtol=0, atol=1e-13 * np.abs(expected).max())


@every_cell
@pytest.mark.parametrize("masked", [False, True])
def test_the_product_of_jacobians_is_backpropagation(cell, masked):
    """Multiplied back from a loss on the last step they give the traced dh and dc of every step."""
    mask = np.random.default_rng(0).random((N, T)) < 0.6 if masked else None
    _, rec = traced(cell, mask)
    ledger = rec.ledger()
    for sample in range(N):
        steps = dynamics.jacobians(rec, sample)
        expected = rec.dh[sample]
        if "c" in rec.states:  # the gradient of (h, c) as two numbers: without the path from c to h
            expected = np.concatenate([expected, rec.dc[sample] - ledger["from_h_now"][sample]], axis=1)
        start = np.zeros(steps.shape[1])
        start[:H] = rec.external[sample, -1]
        for t in range(T):
            found = start @ dynamics.product(steps[t + 1 :]) if t < T - 1 else start
            np.testing.assert_allclose(found, expected[t], rtol=0, atol=1e-10 * np.abs(expected[t]).max())


@pytest.mark.parametrize("bias", [-1.0, 0.0, 1.0, 5.0])
def test_zero_weights_keep_the_cell_by_the_forget_gate(bias):
    steps = 150
    model, _ = traced(steps=steps)
    weights = [np.zeros_like(w) for w in model.get_weights()]
    weights[2][H : 2 * H] = bias
    model.set_weights(weights)
    rec = model.trace(np.ones((1, steps, D)), [1.0])["rec"]
    found = dynamics.product(dynamics.jacobians(rec))[H:, H:]
    expected = (1 / (1 + math.exp(-bias))) ** steps
    np.testing.assert_allclose(np.diag(found), expected, rtol=1e-13)
    np.testing.assert_array_equal(found - np.diag(np.diag(found)), 0)


def test_a_masked_step_is_the_identity():
    mask = np.ones((N, T), bool)
    mask[1, 4:7] = False
    _, rec = traced(mask=mask)
    steps = dynamics.jacobians(rec, 1)
    for t in range(T):
        assert np.array_equal(steps[t], np.eye(2 * H)) == (4 <= t < 7)


# ------------------------------------------------------------ many steps


def test_singular_values_of_one_step_and_of_three():
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(7, 4, 4))
    np.testing.assert_allclose(dynamics.singular_values(steps)[:, 0], [np.linalg.norm(s, 2) for s in steps])
    found = dynamics.singular_values(steps, 3)
    assert found.shape == (5, 4)
    expected = np.linalg.svd(steps[4] @ steps[3] @ steps[2], compute_uv=False)
    np.testing.assert_allclose(found[2], expected, rtol=0, atol=1e-13 * expected[0])


@pytest.mark.parametrize("g", [0.5, 1.0, 1.7])
def test_a_linear_map_of_spectral_radius_g_has_exponents_ln_g(g):
    U = g * ortho_group.rvs(6, random_state=0)
    steps = dynamics.jacobians(made(U))
    np.testing.assert_allclose(dynamics.lyapunov_exponents(steps), math.log(g), rtol=0, atol=1e-13)


def test_the_largest_exponent_of_any_linear_map_is_ln_of_its_spectral_radius():
    """And all of them add up to ln |det|, however short the time."""
    U = np.random.default_rng(3).normal(size=(6, 6))
    found = dynamics.lyapunov_exponents(np.broadcast_to(U.T, (5000, 6, 6)))
    radius = np.abs(np.linalg.eigvals(U)).max()
    assert found[0] == pytest.approx(math.log(radius), abs=2e-3)
    short = dynamics.lyapunov_exponents(np.broadcast_to(U.T, (7, 6, 6)))
    assert short.sum() == pytest.approx(math.log(abs(np.linalg.det(U))), rel=1e-12)
    assert (np.diff(found) <= 0).all()


def test_exponents_do_not_overflow_where_the_product_does():
    steps = np.broadcast_to(np.diag([1e30, 1e-30]), (100, 2, 2))
    np.testing.assert_allclose(dynamics.lyapunov_exponents(steps), [math.log(1e30), math.log(1e-30)])
    assert dynamics.lyapunov_exponents(np.zeros((3, 2, 2))).tolist() == [-np.inf, -np.inf]


# ------------------------------------------------------------ credit


@pytest.mark.parametrize("mask", ["none", "random"])
def test_credit_map_by_the_complex_step(mask):
    """Every unit of h_s is nudged by itself; the network runs again; Im h_t is dh_t / dh_s."""
    case = oracle.draw(np.random.default_rng(0), T, 1, D, H, mask)
    model, _ = traced()
    model.set_weights([case.W, case.U, case.b, *model.get_weights()[3:]])
    real = None if case.mask is None else case.mask.T
    state = {"rec": [case.h0, case.c0]}
    rec = model.trace(case.x.transpose(1, 0, 2), [1.0], real, initial_state=state)["rec"]
    expected = np.full((T, T), np.nan)
    for s in range(T):
        blocks = []
        for unit in range(H):
            nudge = np.zeros((T, 1, H), complex)
            nudge[s, 0, unit] = oracle.TINY * 1j
            blocks.append(oracle.run(case, nudge).h[1:, 0].imag / oracle.TINY)  # (T, H)
        matrix = np.stack(blocks, axis=2)  # (T, H, H)
        expected[s:, s] = np.linalg.norm(matrix, axis=(1, 2))[s:] / np.sqrt(H)
    np.testing.assert_allclose(dynamics.credit_map(rec), expected, rtol=1e-11)
    np.testing.assert_allclose(dynamics.credit_map(rec, [T - 1, 3]), expected[[T - 1, 3]], rtol=1e-11)


def test_credit_map_reaches_far_below_float32():
    found = dynamics.credit_map(traced(steps=300, scale=0.02)[1], [299])[0]
    assert found[299] == 1
    assert 0 < found[0] < 1e-90
    assert np.isfinite(np.log(found)).all()


@pytest.mark.slow
def test_credit_map_of_200_steps_and_64_units_takes_seconds():
    _, rec = traced(steps=200, units=64, scale=0.1, samples=1)
    start = time.perf_counter()
    assert dynamics.credit_map(rec).shape == (200, 200)
    assert time.perf_counter() - start < 30


# ------------------------------------------------------------ the bound of Pascanu et al.


def test_the_bound_is_the_largest_singular_value_times_the_largest_slope():
    U = np.random.default_rng(0).normal(size=(4, 4))
    sigma = np.linalg.svd(U, compute_uv=False)[0]
    assert dynamics.pascanu_bound(made(U, "tanh")) == pytest.approx(sigma, rel=1e-14)
    assert dynamics.pascanu_bound(made(U, "sigmoid")) == pytest.approx(sigma / 4, rel=1e-14)


@pytest.mark.slow
def test_the_bound_holds_for_ten_thousand_random_networks():
    """||dh_t / dh_s|| <= eta^(t - s) in every one, for every pair of steps, beyond rounding."""
    rng = np.random.default_rng(0)
    closest = 0.0
    for k in range(10_000):
        units = int(rng.integers(1, 5))
        U = rng.normal(size=(units, units)) * 10 ** rng.uniform(-1, 1)
        rec = made(U, ("tanh", "sigmoid")[k % 2], 5, 0.1 * rng.normal(size=units))
        eta, found = dynamics.pascanu_bound(rec), dynamics.jacobians(rec)
        for length in range(1, 6):
            ratio = dynamics.singular_values(found, length)[:, 0].max() / eta**length
            assert ratio <= 1 + 1e-12
            closest = max(closest, ratio)
    assert closest > 0.9  # the bound is not met by being far away


# ------------------------------------------------------------ what is refused


def test_bad_arguments():
    mask = np.ones((N, T), bool)
    mask[2] = False
    _, rec = traced(mask=mask)
    with pytest.raises(ValueError, match="sample must be a row of the batch, 0 to 2, got 3"):
        dynamics.jacobians(rec, 3)
    with pytest.raises(
        ValueError, match="sample must be one with at least one real step, got 2, which is all"
    ):
        dynamics.credit_map(rec, sample=2)
    with pytest.raises(ValueError, match="steps must be time steps below 15, got 15"):
        dynamics.credit_map(rec, [15])
    with pytest.raises(ValueError, match="length must be a whole number <= 15, the number of steps, got 16"):
        dynamics.singular_values(dynamics.jacobians(rec), 16)
    with pytest.raises(ValueError, match=r"steps must be \(T, S, S\) Jacobians, T >= 1, got \(3, 2\)"):
        dynamics.lyapunov_exponents(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="trace must be that of a SimpleRNN, got lstm"):
        dynamics.pascanu_bound(rec)


def test_one_step():
    _, rec = traced(steps=1)
    assert dynamics.jacobians(rec).shape == (1, 2 * H, 2 * H)
    assert dynamics.credit_map(rec).tolist() == [[1.0]]
