"""Every array of a trace against loops of PyTorch's own cells, and far below float32's range.

PyTorch's cells get x @ W + b through an identity as their input weights, in their own order of the
blocks, so that the retained gradient of that input is dz. Over 1000 steps, where the gradient is about
1e-200, the judge is the complex step.
"""

from __future__ import annotations

import numpy as np
import pytest
from tolerances import PARITY, check

import minilstm as ml
from minilstm.bptt import segments

N, D = 4, 2
PEERS = {"LSTM": "LSTMCell", "GRU": "GRUCell", "SimpleRNN": "RNNCell"}
BACKENDS = ["numpy", "numba"]
BOUND = PARITY["float64"]
on_backends = pytest.mark.parametrize("backend", BACKENDS)
on_cells = pytest.mark.parametrize("cell", PEERS)


def retained(tensor):
    """A tensor of its own, whose gradient is that of this very use."""
    tensor = tensor * 1
    tensor.retain_grad()
    return tensor


def rows(tensors, grad=False):
    """Tensors of the steps as one array (B, T, .), or their gradients; zeros where there is none."""
    picked = [(np.zeros(t.shape) if t.grad is None else t.grad) if grad else t.detach() for t in tensors]
    return np.stack([np.asarray(row) for row in picked], axis=1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def kept_of(cell, xw, before, U, rb):
    """The gates of every step, (B, T, H) each, from what PyTorch's loop went through."""
    hu = before @ U + rb
    if cell == "SimpleRNN":
        return {}
    if cell == "LSTM":
        i, f, g, o = np.split(xw + hu, 4, axis=-1)
        return {"i": sigmoid(i), "f": sigmoid(f), "g": np.tanh(g), "o": sigmoid(o)}
    (xw_z, xw_r, xw_g), (hu_z, hu_r, q) = np.split(xw, 3, axis=-1), np.split(hu, 3, axis=-1)
    r = sigmoid(xw_r + hu_r)
    return {"z": sigmoid(xw_z + hu_z), "r": r, "g": np.tanh(xw_g + r * q), "q": q}


class Loop:
    """One layer as a loop of `torch.nn.LSTMCell`, GRUCell or RNNCell over `below`, everything retained."""

    def __init__(self, torch, cell, rec, below, real, first):
        W, U, b, rb, _ = rec.weights
        self.cell, self.U, self.rb = cell, U, np.zeros_like(b) if rb is None else rb
        self.real = real
        blocks = np.split(np.arange(U.shape[1]), len(rec.gates))
        order = np.concatenate([blocks[k] for k in ((1, 0, 2) if cell == "GRU" else range(len(blocks)))])
        peer = getattr(torch.nn, PEERS[cell])(U.shape[1], len(U), dtype=torch.float64)
        with torch.no_grad():
            peer.weight_ih.copy_(torch.tensor(np.eye(U.shape[1])[order]))
            peer.weight_hh.copy_(torch.tensor(U.T[order]))
            peer.bias_ih.zero_()
            peer.bias_hh.copy_(torch.tensor(self.rb[order]))
        self.first = [torch.tensor(part, requires_grad=True) for part in first]
        self.x, self.xw, self.new, self.states, self.out = [], [], [], [], []
        state = self.first
        for t, row in enumerate(below):
            now = torch.tensor(real[:, t, None])
            self.x.append(retained(torch.where(now, row, 0)))
            self.xw.append(retained(self.x[-1] @ torch.tensor(W) + torch.tensor(b)))
            new = peer(self.xw[-1], tuple(state) if cell == "LSTM" else state[0])
            new = list(new) if cell == "LSTM" else [new]
            for part in new:
                part.retain_grad()
            self.new.append(new)
            state = [retained(torch.where(now, a, b)) for a, b in zip(new, state, strict=True)]
            self.states.append(state)
            self.out.append(retained(state[0]))

    def arrays(self):
        """All that a trace holds of such a layer, after `backward()`."""
        real = self.real[..., None]
        h = rows([state[0] for state in self.states])
        before = np.concatenate([self.first[0].detach().numpy()[:, None], h[:, :-1]], axis=1)
        found = {"h": h, "dh": rows([state[0] for state in self.states], grad=True)}
        if self.cell == "LSTM":
            # PyTorch makes h_t of c_t inside the cell: the cell's own c has that path too
            held, made = (rows([s[1] for s in some], grad=True) for some in (self.states, self.new))
            found |= {"c": rows([state[1] for state in self.states]), "dc": np.where(real, made, held)}
        xw = rows(self.xw)
        kept = kept_of(self.cell, xw, before, self.U, self.rb)
        found |= {name: np.where(real, values, 0) for name, values in kept.items()}
        found |= {"x": rows(self.x), "dx": rows(self.x, grad=True), "dz": rows(self.xw, grad=True)}
        found |= {"external": rows(self.out, grad=True)}
        for name, part in zip("hc", self.first, strict=False):
            found |= {f"{name}0": part.detach().numpy(), f"d{name}0": part.grad.numpy()}
        return found


@pytest.mark.peer
@on_cells
@on_backends
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("sequences", [False, True], ids=["last", "sequences"])
def test_every_array_is_that_of_a_loop_of_torch_cells(torch, cell, backend, masked, sequences):
    """Two stacked layers of unequal size from states that are not zero: each step within 1e-12."""
    T, units = 6, {"low": 3, "top": 5}
    layers = [
        getattr(ml, cell)(H, return_sequences=name == "low" or sequences, backend=backend, name=name)
        for name, H in units.items()
    ]
    layers[0].input_shape = (T, D)
    model = ml.Sequential([*layers, ml.Dense(2)], dtype="float64", seed=0)
    model.compile(loss="mse")
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) * 0.6 for w in model.get_weights()])
    x, y = rng.normal(size=(N, T, D)), rng.normal(size=(N, T, 2) if sequences else (N, 2))
    real = np.ones((N, T), bool)
    if masked:  # padded behind, in front with a hole, nothing real at all, and whole
        real = np.array([[1, 1, 1, 1, 0, 0], [0, 1, 1, 0, 1, 1], [0] * 6, [1] * 6], bool)
    count = 2 if cell == "LSTM" else 1
    states = {name: [rng.uniform(-0.9, 0.9, size=(N, H)) for _ in range(count)] for name, H in units.items()}
    trace = model.trace(x, y, real if masked else None, initial_state=states)

    below, loops = list(torch.tensor(x).requires_grad_().unbind(1)), {}
    for rec in trace:
        loops[rec.name] = Loop(torch, cell, rec, below, real, states[rec.name])
        below = loops[rec.name].out
    V, v = (torch.tensor(w) for w in model.get_weights()[-2:])
    output, target = (torch.stack(below, 1) if sequences else below[-1]) @ V + v, torch.tensor(y)
    if sequences:
        output, target = output[torch.tensor(real)], target[torch.tensor(real)]
    loss = torch.nn.functional.mse_loss(output, target)
    loss.backward()

    check(trace.loss, loss.item(), BOUND, what="loss")
    for rec in trace:
        expected = loops[rec.name].arrays()
        assert set(expected) == set(rec.arrays)
        for name, values in expected.items():
            steps = 1 if values.ndim == 3 else None
            check(rec.arrays[name], values, BOUND, steps=steps, what=f"{rec.name}.{name}")


# --------------------------------------------------------------- where float32 holds nothing any more


STEP, LONG, UNITS = 1e-30, 1000, 3


def long_model(cell, backend, dtype):
    """A layer through which a gradient shrinks by about 1e-200 over 1000 steps."""
    layer = getattr(ml, cell)(UNITS, backend=backend, input_shape=(LONG, D), name="rec")
    model = ml.Sequential([layer, ml.Dense(1)], dtype=dtype, seed=0)
    model.compile(loss="mse")
    rng = np.random.default_rng(2)
    model.set_weights([rng.normal(size=w.shape) * 0.2 for w in model.get_weights()])
    weights = model.named_weights
    if cell == "SimpleRNN":
        weights["rec/recurrent_kernel"][...] = 0.76 * np.linalg.qr(rng.normal(size=(UNITS, UNITS)))[0]
    elif cell == "LSTM":
        weights["rec/bias"][UNITS : 2 * UNITS] = 0.2
    else:
        weights["rec/bias"][0, :UNITS] = 0.4
    return model, rng.normal(size=(N, LONG, D)), rng.normal(size=(N, 1))


def complex_steps(rec, head, x, y, t):
    """dL/dh_t, dL/dc_t, dL/dz_t (B, .) of every sample: all of a step's perturbations as one batch."""
    W, U, b, rb, _ = rec.weights
    V, v = head
    before = tuple(rec.before(state)[:, t] for state in rec.states)
    xw, hu = x[:, t] @ W + b, before[0] @ U + (0 if rb is None else rb)
    state, kept = rec.cell.forward(xw, hu, before)

    def derivative(size, states_of):
        """By `size` numbers that `states_of` adds i * STEP to, one after the other, in each sample."""
        moves = np.tile(1j * STEP * np.eye(size), (N, 1))  # (N * size, size)
        begun = states_of(moves, lambda array: np.repeat(array, size, axis=0))
        rest = np.repeat(x[:, t + 1 :], size, axis=0).transpose(1, 0, 2).astype(complex)
        if len(rest):
            begun = segments.forward(rec.cell, rec.weights, rest, None, begun).last_state
        loss = (begun[0] @ V + v - np.repeat(y, size, axis=0)) ** 2 / N
        return (loss.imag / STEP).reshape(N, size)

    def moved_xw(moves, repeat):
        return rec.cell.forward(repeat(xw) + moves, repeat(hu), tuple(map(repeat, before)))[0]

    def moved_h(moves, repeat):
        return (repeat(state[0]) + moves, *(repeat(part) + 0j for part in state[1:]))

    def moved_c(moves, repeat):
        c = repeat(state[1]) + moves
        return repeat(kept[3]) * np.tanh(c), c

    found = {"dz": derivative(xw.shape[1], moved_xw), "dh": derivative(UNITS, moved_h)}
    return found | ({"dc": derivative(UNITS, moved_c)} if "c" in rec.states else {})


@on_cells
def test_gradients_of_1e_200_are_those_of_the_complex_step(cell):
    """dh, dc, dz, dx at chosen steps of 1000, of both backends; and in float32 the trace says underflow."""
    found = {}
    for backend in BACKENDS:
        model, x, y = long_model(cell, backend, "float64")
        found[backend] = model.trace(x, y)["rec"]
    rec = found["numpy"]
    for t in (0, 1, 333, 900, LONG - 1):
        expected = complex_steps(rec, model.get_weights()[-2:], x, y, t)
        expected["dx"] = expected["dz"] @ rec.weights.W.T
        for backend, trace in found.items():
            for name, values in expected.items():
                check(trace.arrays[name][:, t], values, BOUND, what=f"{backend}: {name}[:, {t}]")
            scaled = expected["dh"] / np.abs(expected["dh"]).max()  # its own square would underflow
            norm = np.linalg.norm(scaled) * np.abs(expected["dh"]).max()
            check(trace.norm("dh")[t], norm, BOUND, what="norm")
    assert 1e-250 < rec.norm("dh")[0] < 1e-150
    assert set(rec.status("dh")) == {"ok"}
    for backend in BACKENDS:
        model, x, y = long_model(cell, backend, "float32")
        status = model.trace(x, y)["rec"].status("dh")
        first = int(np.argmax(rec.norm("dh") > 1e-30))
        assert set(status[: LONG // 2]) == {"underflow"}
        assert set(status[first:]) == {"ok"}
