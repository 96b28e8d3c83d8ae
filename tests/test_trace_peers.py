"""Every state's gradient in a trace against loops of PyTorch's own cells with retained gradients."""

from __future__ import annotations

import numpy as np
import pytest
from tolerances import PARITY, check

import minilstm as ml

N, D, H = 3, 2, 4
CELLS = {"LSTM": "LSTMCell", "GRU": "GRUCell", "SimpleRNN": "RNNCell"}


@pytest.mark.peer
@pytest.mark.parametrize(("steps", "masked"), [(9, True), (1000, False)])
@pytest.mark.parametrize("cell", CELLS)
def test_two_stacked_layers_are_a_loop_of_torch_cells(torch, cell, steps, masked):
    """h, dh (c, dc) and dx of both layers; over 1000 steps far below what float32 can hold."""
    if cell == "SimpleRNN" and not masked:
        steps = 300  # after 1000 not even float64 holds it
    layers = [getattr(ml, cell)(H, return_sequences=k == 0, name=f"rec{k}") for k in range(2)]
    layers[0].input_shape = (steps, D)
    model = ml.Sequential([*layers, ml.Dense(1)], dtype="float64", seed=0)
    model.compile(loss="mse")
    rng = np.random.default_rng(1)
    scale = 0.6 if masked else 0.45 if cell == "SimpleRNN" else 0.25
    model.set_weights([rng.normal(size=w.shape) * scale for w in model.get_weights()])
    x, y = rng.normal(size=(N, steps, D)), rng.normal(size=(N, 1))
    mask = rng.random((N, steps)) < 0.7 if masked else None
    trace = model.trace(x, y, mask)

    def retained(tensor):
        tensor = tensor * 1
        tensor.retain_grad()
        return tensor

    def torch_layout(array):
        z, r, g = np.split(array, 3, axis=-1) if cell == "GRU" else (None, None, None)
        return torch.tensor((array if z is None else np.concatenate([r, z, g], axis=-1)).T)

    real = np.ones((N, steps), bool) if mask is None else mask
    below = list(torch.tensor(np.where(real[..., None], x, 0), requires_grad=True).unbind(1))
    kept = []
    for rec in trace:
        W, U, b, rb, _ = rec.weights
        peer = getattr(torch.nn, CELLS[cell])(W.shape[0], H, dtype=torch.float64)
        with torch.no_grad():
            weights = (W, U, b, np.zeros_like(b) if rb is None else rb)
            for parameter, array in zip(peer.parameters(), weights, strict=True):
                parameter.copy_(torch_layout(array))
        state = tuple(torch.zeros(N, H, dtype=torch.float64, requires_grad=True) for _ in rec.states)
        states = []
        for t in range(steps):
            new = peer(below[t], state if cell == "LSTM" else state[0])
            new = new if cell == "LSTM" else (new,)
            now = torch.tensor(real[:, t, None])
            state = tuple(retained(torch.where(now, a, b)) for a, b in zip(new, state, strict=True))
            states.append(state)
        kept.append(states)
        below = [step[0] for step in states]
    V, v = (torch.tensor(w) for w in model.get_weights()[-2:])
    torch.nn.functional.mse_loss(below[-1] @ V + v, torch.tensor(y)).backward()
    for rec, states in zip(trace, kept, strict=True):
        name = "h"
        expected = np.stack([step[0].detach().numpy() for step in states], axis=1)
        check(rec.h, expected, PARITY["float64"], steps=1, what=f"{rec.name}.{name}")
        gradient = np.stack([step[0].grad.numpy() for step in states], axis=1)
        check(rec.dh, gradient, PARITY["float64"], steps=1, what=f"{rec.name}.dh")
    if not masked:
        smallest = np.abs(trace[1].dh[:, 0]).max()
        assert 0 < smallest < 1e-50
