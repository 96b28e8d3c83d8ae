"""The package's cells beside the papers' equations, written anew in PyTorch: outputs and all gradients.

Where a paper has another form than the cell's file, that form stands here: the exponential gates of the
sLSTM without a stabiliser, the complex state of the LRU, the antisymmetric matrix under autograd.
"""

from __future__ import annotations

import numpy as np
import pytest
from tolerances import PARITY, check

import minilstm as ml
from minilstm.layers import maker_of

pytestmark = pytest.mark.peer
B, T, D, H = 3, 12, 2, 4


def mgu(torch, w, x):
    """Zhou et al. 2016, with the forget gate behind the product."""
    h, out = torch.zeros(B, H, dtype=torch.float64), []
    for t in range(T):
        a, u = x[:, t] @ w["kernel"] + w["bias"], h @ w["recurrent_kernel"]
        f = torch.sigmoid(a[:, :H] + u[:, :H])
        h = torch.lerp(h, torch.tanh(a[:, H:] + f * u[:, H:]), f)
        out.append(h)
    return torch.stack(out, 1)


def min_gru(torch, w, x):
    """Feng et al. 2024: all steps at once, h_t = a_t sum_s (z_s g_s / a_s), a the product of all 1 - z."""
    z, g = (x @ w["kernel"] + w["bias"]).chunk(2, -1)
    z = torch.sigmoid(z)
    along = torch.cumprod(1 - z, 1)
    return along * torch.cumsum(z * g / along, 1)


def min_lstm(torch, w, x):
    """Feng et al. 2024: the gates divided by their sum; in the form of `min_gru`."""
    f, i, g = (x @ w["kernel"] + w["bias"]).chunk(3, -1)
    share = torch.sigmoid(i) / (torch.sigmoid(f) + torch.sigmoid(i))
    along = torch.cumprod(1 - share, 1)
    return along * torch.cumsum(share * g / along, 1)


def ind_rnn(torch, w, x):
    """Li et al. 2018."""
    h, out = torch.zeros(B, H, dtype=torch.float64), []
    for t in range(T):
        h = torch.relu(x[:, t] @ w["kernel"] + w["bias"] + w["p"][0] * h)
        out.append(h)
    return torch.stack(out, 1)


def slstm(torch, w, x):
    """Beck et al. 2024, equations 8 to 14, as they stand before the stabiliser: i = exp, f = exp."""
    h = c = n = torch.zeros(B, H, dtype=torch.float64)
    out = []
    for t in range(T):
        i, f, z, o = (x[:, t] @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"]).chunk(4, -1)
        c = f.exp() * c + i.exp() * torch.tanh(z)
        n = f.exp() * n + i.exp()
        h = torch.sigmoid(o) * c / n
        out.append(h)
    return torch.stack(out, 1)


def diagonal(torch, w, x):
    """Orvieto et al. 2023: the complex state as the sum over the past of lambda^(t - s) gamma u_s."""
    rate = torch.complex(-w["p"][0].exp(), w["p"][1].exp())
    u = torch.complex(*(x @ w["kernel"] + w["bias"]).chunk(2, -1)) * (1 - (2 * rate.real).exp()).sqrt()
    lag = torch.arange(T)[:, None] - torch.arange(T)
    powers = (rate * lag.clamp(min=0)[..., None]).exp() * (lag >= 0)[..., None]
    return torch.einsum("tsh,bsh->bth", powers, u).real


def antisymmetric(torch, w, x):
    """Chang et al. 2019, equation 9, with a step of 0.1 and a diffusion of 0.01."""
    R = w["recurrent_kernel"]
    U = R - R.T - 0.01 * torch.eye(H, dtype=torch.float64)
    h, out = torch.zeros(B, H, dtype=torch.float64), []
    for t in range(T):
        h = h + 0.1 * torch.tanh(x[:, t] @ w["kernel"] + h @ U + w["bias"])
        out.append(h)
    return torch.stack(out, 1)


PAPERS = {
    paper.__name__: paper for paper in (mgu, min_gru, min_lstm, ind_rnn, slstm, diagonal, antisymmetric)
}


def test_every_cell_of_the_set_is_here():
    assert set(PAPERS) == set(ml.cells.SET)


@pytest.mark.parametrize("name", PAPERS)
def test_outputs_and_gradients_are_those_of_the_paper_s_equations(name, torch):
    model = ml.Sequential(
        [ml.RNN(name, H, return_sequences=True, input_shape=(T, D), name="rec")], dtype="float64", seed=0
    )
    model.compile(loss="mse")
    rng = np.random.default_rng(0)
    model.set_weights([w + 0.3 * rng.normal(size=w.shape) for w in model.get_weights()])
    x, y = rng.normal(size=(B, T, D)), rng.normal(size=(B, T, H))
    trace = model.trace(x, y)
    weights = {
        key.partition("/")[2]: torch.tensor(w, requires_grad=True) for key, w in model.named_weights.items()
    }
    tx = torch.tensor(x, requires_grad=True)
    output = PAPERS[name](torch, weights, tx)
    output.retain_grad()
    torch.nn.functional.mse_loss(output, torch.tensor(y)).backward()
    bound = PARITY["float64"]
    check(trace.output, output.detach().numpy(), bound, what="h")
    check(trace["rec"].external, output.grad.numpy(), bound, what="external")
    check(trace["rec"].dx, tx.grad.numpy(), bound, what="dx")
    for key, weight in weights.items():
        check(trace.grads[f"rec/{key}"], weight.grad.numpy(), bound, what=key)


@pytest.mark.parametrize("name", ["lstm_coupled", "lstm_peepholes", "lstm_no_forget", "irnn"])
def test_the_variants_of_the_layers_too(name, torch):
    """Greff et al. 2017 (CIFG, full peepholes, NFG) and Le et al. 2015, on their own weights."""
    layer = maker_of(name)(H, return_sequences=True, input_shape=(T, D), name="rec")
    model = ml.Sequential([layer], dtype="float64", seed=0)
    model.compile(loss="mse")
    rng = np.random.default_rng(1)
    model.set_weights([w + 0.2 * rng.normal(size=w.shape) for w in model.get_weights()])
    x, y = rng.normal(size=(B, T, D)), rng.normal(size=(B, T, H))
    trace = model.trace(x, y)
    w = {key.partition("/")[2]: torch.tensor(v, requires_grad=True) for key, v in model.named_weights.items()}
    h = c = torch.zeros(B, H, dtype=torch.float64)
    out = []
    for step in torch.tensor(x).unbind(1):
        z = step @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"]
        if name == "irnn":
            h = torch.relu(z)
        else:
            gates = dict(zip(layer.cell.gates, z.chunk(len(layer.cell.gates), -1), strict=True))
            peep = dict(zip(layer.cell.rows, w.get("peepholes", ()), strict=True))
            i = torch.sigmoid(gates["i"] + peep.get("i", 0) * c)
            f = {"lstm_coupled": 1 - i, "lstm_no_forget": 1}.get(name)
            f = torch.sigmoid(gates["f"] + peep.get("f", 0) * c) if f is None else f
            c = f * c + i * torch.tanh(gates["g"])
            h = torch.sigmoid(gates["o"] + peep.get("o", 0) * c) * torch.tanh(c)
        out.append(h)
    output = torch.stack(out, 1)
    torch.nn.functional.mse_loss(output, torch.tensor(y)).backward()
    check(trace.output, output.detach().numpy(), PARITY["float64"], what="h")
    for key, weight in w.items():
        check(trace.grads[f"rec/{key}"], weight.grad.numpy(), PARITY["float64"], what=key)
