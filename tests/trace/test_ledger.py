"""The ledger: it balances to rounding, and its parts are what autograd and the definitions say."""

from __future__ import annotations

import numpy as np
import pytest

import minilstm as ml

N, T, D, H = 5, 9, 3, 4
BALANCE = 1e-12  # of the largest term of the same step
BACKENDS = ["numpy", "numba"]


def masks() -> dict[str, np.ndarray | None]:
    lengths = np.array([9, 1, 4, 0, 6])[:, None]
    return {
        "none": None,
        "post": np.arange(T) < lengths,
        "pre": np.arange(T) >= T - lengths,
        "holes": np.random.default_rng(3).random((N, T)) < 0.6,
        "all": np.zeros((N, T), bool),
    }


CELLS = {
    "lstm": (ml.LSTM, {}),
    "lstm peepholes": (ml.LSTM, {"peepholes": True}),
    "lstm coupled": (ml.LSTM, {"forget_gate": "coupled", "peepholes": True}),
    "lstm 1997": (ml.LSTM, {"forget_gate": "none"}),
    "lstm hard": (ml.LSTM, {"recurrent_activation": "hard_sigmoid", "activation": "relu"}),
    "gru": (ml.GRU, {}),
    "gru hard": (ml.GRU, {"recurrent_activation": "hard_sigmoid", "activation": "linear"}),
    "rnn": (ml.SimpleRNN, {}),
    "rnn relu": (ml.SimpleRNN, {"activation": "relu"}),
}
every_cell = pytest.mark.parametrize("cell", CELLS)


def traced(mask=None, return_sequences=False, dtype="float64", steps=T, scale=0.7, cell="lstm", **options):
    """A model, its trace, and the trace of its recurrent layer, with random weights."""
    make, settings = CELLS[cell]
    options |= settings if cell in ("lstm", "gru", "rnn") else settings | {"backend": "numpy"}
    layer = make(H, return_sequences=return_sequences, input_shape=(steps, D), name="rec", **options)
    model = ml.Sequential([layer, ml.Dense(2)], dtype=dtype, seed=0)
    model.compile(loss="mse")
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) * scale for w in model.get_weights()])
    x = rng.normal(size=(N, steps, D))
    y = rng.normal(size=(N, steps, 2) if return_sequences else (N, 2))
    trace = model.trace(x, y, mask=mask)
    return model, trace, trace["rec"]


@every_cell
@pytest.mark.parametrize("mask", sorted(masks()))
@pytest.mark.parametrize("options", [{}, {"truncate_steps": 4}, {"checkpoint_steps": 3}], ids=str)
def test_every_split_balances(cell, mask, options):
    """Masked steps included, relative to the largest term of the same step."""
    for return_sequences in (False, True):
        if mask == "all" and return_sequences:
            continue  # a loss over no step at all
        _, _, rec = traced(masks()[mask], return_sequences, cell=cell, **options)
        ledger = rec.ledger()
        assert list(ledger.terms) == [f"d{state}" for state in rec.states]
        for total in ledger.terms:
            assert (ledger.residual(total) <= BALANCE).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_balances_on_both_backends(backend):
    ledger = traced(masks()["holes"], True, backend=backend)[2].ledger()
    assert (ledger.residual("dh") <= BALANCE).all()
    assert (ledger.residual("dc") <= BALANCE).all()


WRONG = [("lstm", term) for term in ("external", "from_h", "held_h", "from_h_now", "from_c", "held_c")]


@pytest.mark.parametrize(("cell", "term"), [*WRONG, ("gru", "from_z"), ("lstm peepholes", "from_peephole")])
def test_a_wrong_term_shows_in_the_residual(cell, term):
    _, _, rec = traced(masks()["holes"], cell=cell)
    ledger = rec.ledger()
    assert ledger[term].any()
    ledger[term][...] *= 1 + 1e-9
    assert max(ledger.residual(total).max() for total in ledger.terms) > BALANCE


def test_the_balance_holds_where_the_gradient_is_far_below_float32():
    """Small weights: over 300 steps the gradient falls by hundreds of orders of magnitude."""
    _, _, rec = traced(steps=300, scale=0.02)
    assert 0 < rec.norm("dh")[0] < 1e-90
    for total in ("dh", "dc"):
        assert (rec.ledger().residual(total) <= BALANCE).all()


@pytest.mark.parametrize("mask", ["none", "post", "holes"])
def test_each_term_is_a_derivative_that_torch_takes(torch, mask):
    """from_h and from_c by autograd, with the path in question cut open: a tensor of its own for each use."""
    model, _, rec = traced(masks()[mask])
    ledger = rec.ledger()
    W, U, b, V, v = (torch.tensor(w) for w in model.get_weights())
    x = torch.tensor(rec.x)
    real = torch.tensor(rec.real)
    rng = np.random.default_rng(1)
    for w in model.get_weights():
        rng.normal(size=w.shape)
    rng.normal(size=(N, T, D))
    y = torch.tensor(rng.normal(size=(N, 2)))
    h, c = (torch.zeros(N, H, dtype=torch.float64) for _ in "hc")
    uses: dict[str, list] = {"from_h": [], "from_c": [], "from_h_now": []}

    def own(tensor, use):
        """The same values as a tensor that keeps the gradient of this one use."""
        found = tensor * 1 if tensor.requires_grad else tensor.clone().requires_grad_()
        found.retain_grad()
        uses[use].append(found)
        return found

    for t in range(T):
        z_i, z_f, z_g, z_o = (x[:, t] @ W + own(h, "from_h") @ U + b).chunk(4, dim=1)
        c_new = torch.sigmoid(z_f) * own(c, "from_c") + torch.sigmoid(z_i) * torch.tanh(z_g)
        h_new = torch.sigmoid(z_o) * torch.tanh(own(c_new, "from_h_now"))
        h = torch.where(real[:, t, None], h_new, h)
        c = torch.where(real[:, t, None], c_new, c)
    torch.nn.functional.mse_loss(h @ V + v, y).backward()
    for term, shift in (("from_h", 1), ("from_c", 1), ("from_h_now", 0)):
        expected = np.stack([u.grad.numpy() for u in uses[term]], axis=1)[:, shift:]
        found = ledger[term][:, : T - shift]
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-14 * np.abs(expected).max())


@every_cell
@pytest.mark.parametrize("mask", ["none", "post", "holes"])
def test_contributions_add_up_to_the_gradient_of_the_weights(mask, cell):
    model, trace, rec = traced(masks()[mask], return_sequences=True, cell=cell)
    ledger = rec.ledger()
    assert list(ledger.contribution(0)) == list(model.layers[0].params) == list(rec.named_weights)
    for name, weight in model.layers[0].params.items():
        np.testing.assert_array_equal(rec.named_weights[name], weight)
        total = sum(ledger.contribution(t)[name] for t in range(T))
        expected = trace.grads[f"rec/{name}"]
        np.testing.assert_allclose(total, expected, rtol=0, atol=1e-13 * np.abs(expected).max())
        norms = [np.linalg.norm(ledger.contribution(t)[name]) for t in range(T)]
        np.testing.assert_allclose(ledger.weight_norms()[name], norms, rtol=1e-14)


def test_contribution_norms_see_what_cancels_between_samples():
    """Two samples with opposite gradients at equal inputs: each is large, their sum is rounding."""
    _, _, rec = traced()
    one = {name: array[:1] for name, array in rec.arrays.items()}
    two = {name: np.concatenate([array, array]) for name, array in one.items()}
    for name in ("dz", "dh", "dc"):
        two[name][1] *= -1 + 1e-9
    pair = type(rec)(**{**rec.__dict__, "arrays": two, "real": rec.real[:2]})
    alone = type(rec)(**{**rec.__dict__, "arrays": one, "real": rec.real[:1]})
    for name, norms in pair.ledger().weight_norms().items():
        expected = 1e-9 * alone.ledger().weight_norms()[name]
        np.testing.assert_allclose(norms, expected, rtol=1e-6)


@pytest.mark.parametrize("mask", sorted(masks()))
def test_gate_norms_are_those_of_the_blocks(mask):
    _, _, rec = traced(masks()[mask])
    found = rec.ledger().gate_norms()
    assert list(found) == list("ifgo")
    for k, gate in enumerate("ifgo"):
        expected = np.linalg.norm(rec.dz[..., k * H : (k + 1) * H], axis=(0, 2))
        np.testing.assert_allclose(found[gate], expected, rtol=1e-13)


@every_cell
def test_input_norms_are_those_of_dx(cell):
    for mask in masks().values():
        rec = traced(mask, cell=cell)[2]
        found, expected = rec.ledger().input_norms(), np.linalg.norm(rec.dx, axis=(0, 2))
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert found.any() == rec.real.any()


@every_cell
@pytest.mark.parametrize("mask", ["none", "post", "holes"])
def test_norm_shares_are_the_products_of_contributions_with_the_gradient(mask, cell):
    _, trace, rec = traced(masks()[mask], return_sequences=True, cell=cell)
    ledger = rec.ledger()
    counted = [name for name in rec.named_weights if name != "peepholes"]
    n = len(rec.gates)

    def gate_parts(arrays):
        """All entries of each gate, side by side: (gates, .)."""
        return np.stack(
            [
                np.concatenate([np.split(arrays[name], n, axis=-1)[k].ravel() for name in counted])
                for k in range(n)
            ]
        )

    whole = gate_parts({name: trace.grads[f"rec/{name}"] for name in counted})
    expected = np.stack([(gate_parts(ledger.contribution(t)) * whole).sum(axis=1) for t in range(T)])
    expected /= (whole**2).sum()
    shares = ledger.norm_shares()
    assert list(shares) == list(rec.gates)
    np.testing.assert_allclose(np.stack(list(shares.values()), axis=1), expected, rtol=0, atol=1e-13)
    assert sum(share.sum() for share in shares.values()) == pytest.approx(1, rel=1e-12)


def test_norm_shares_of_gradients_whose_squares_leave_the_range():
    _, _, rec = traced()
    expected = rec.ledger().norm_shares()
    for scale in (1e-200, 1e200):
        arrays = rec.arrays | {name: rec.arrays[name] * scale for name in ("dz", "dh", "dc")}
        scaled = type(rec)(**{**rec.__dict__, "arrays": arrays})
        for gate, shares in scaled.ledger().norm_shares().items():
            np.testing.assert_allclose(shares, expected[gate], rtol=1e-10, atol=1e-14)


@every_cell
def test_routes_add_up_to_the_state_s_gradient_and_shares_to_one(cell):
    for mask in masks().values():
        _, _, rec = traced(mask, cell=cell)
        ledger = rec.ledger()
        total, expected = sum(ledger.routes.values()), rec.arrays[f"d{rec.states[-1]}"]
        np.testing.assert_allclose(total, expected, rtol=0, atol=1e-13 * np.abs(expected).max())
        if rec.real.any():
            shares = ledger.shares()
            np.testing.assert_allclose(sum(shares.values()), 1, rtol=1e-14)
            assert shares["loss"][0] == 1  # at the last real step nothing has come from later ones
            assert (shares["loss"][1:] == 0).all()
            before = {route: share[1:].mean() for route, share in shares.items() if route != "loss"}
            assert ledger.mean_shares() == pytest.approx(before)


@pytest.mark.parametrize(("cell", "route"), [("lstm", "carousel"), ("gru", "update gate"), ("rnn", None)])
def test_shares_without_recurrent_weights(cell, route):
    """All of the gradient comes past the weights; in a simple recurrent network none comes."""
    model, _, _ = traced(cell=cell)
    weights = model.get_weights()
    weights[1][...] = 0
    model.set_weights(weights)
    rng = np.random.default_rng(0)
    shares = model.trace(rng.normal(size=(N, T, D)), rng.normal(size=(N, 2)))["rec"].ledger().shares()
    assert (shares["recurrent weights"] == 0).all()
    if route is not None:
        assert (shares[route][1:] == 1).all()
    assert set(shares) == {"loss", "recurrent weights"} | ({route} - {None})


def test_no_gradient_gives_zeros_and_not_nan():
    model, _, _ = traced()
    weights = model.get_weights()
    weights[3][...] = 0  # the head: no gradient reaches the layer
    model.set_weights(weights)
    rec = model.trace(np.ones((N, T, D)), np.ones((N, 2)))["rec"]
    ledger = rec.ledger()
    sums = (*ledger.shares().values(), *ledger.weight_norms().values(), *ledger.norm_shares().values())
    for values in (*sums, ledger.residual("dc"), ledger.input_norms()):
        assert (values == 0).all()


@every_cell
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_told_and_not_warned_of(cell, value):
    """As NaN or Inf in the steps that it reached; a warning would be an error here."""
    _, _, rec = traced(masks()["post"], return_sequences=True, cell=cell)
    for name in ("dz", *(f"d{state}" for state in rec.states)):
        rec.arrays[name][0, 4, :2] = value
    rec.arrays["dx"][0, 4] = value
    ledger = rec.ledger()
    for name in ledger.terms:
        assert not np.isfinite(ledger.residual(name)[4])
    found = {**ledger.shares(), **ledger.weight_norms(), **ledger.gate_norms(), "dx": ledger.input_norms()}
    assert not all(np.isfinite(norms).all() for norms in found.values())
    assert all(np.isnan(shares).any() for shares in ledger.norm_shares().values())


def test_an_all_masked_batch_has_empty_shares():
    _, _, rec = traced(masks()["all"])
    ledger = rec.ledger()
    assert all(share.shape == (0,) for share in ledger.shares().values())
    assert all((norms == 0).all() for norms in ledger.weight_norms().values())


def test_bad_arguments():
    ledger = traced()[2].ledger()
    with pytest.raises(ValueError, match=r"term must be 'external' or .*, got 'from_x'"):
        ledger["from_x"]
    with pytest.raises(ValueError, match="total must be 'dh' or 'dc', got 'dx'"):
        ledger.residual("dx")
    with pytest.raises(ValueError, match="step must be a time step below 9, got 9"):
        ledger.contribution(9)
