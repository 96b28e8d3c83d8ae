"""500 random cases per cell against PyTorch's cells and Keras's layers: forward, and all gradients.

Sizes are unequal and drawn anew, weights are random (constant ones cannot see swapped gates), masks have any
pattern. Both backends are held against the same numbers.
"""

from __future__ import annotations

import numpy as np
import pytest
from tolerances import PARITY, check, distance

import minilstm as ml
from minilstm.bptt.cell import Weights
from minilstm.bptt.gru import GRUCell
from minilstm.bptt.lstm import LSTMCell
from minilstm.bptt.simple_rnn import SimpleRNNCell
from minilstm.compiled import chunks, engines

CELLS = {cell.name: cell for cell in (LSTMCell(), GRUCell(), SimpleRNNCell())}
ORDER = {"lstm": (0, 1, 2, 3), "gru": (1, 0, 2), "simple_rnn": (0,)}  # our blocks in PyTorch's order
CASES = 500
on_cells = pytest.mark.parametrize("name", CELLS)
pytestmark = pytest.mark.peer


def case(name, seed):
    """Weights, x, mask, states, and the gradients that come in: of every h_t, and of the last state."""
    rng = np.random.default_rng([seed, len(name)])
    T, B, D, H = (int(rng.integers(1, top)) for top in (7, 5, 5, 6))
    cell = CELLS[name]
    n = len(cell.gates) * H
    scale = 0.7
    weights = Weights(
        rng.normal(size=(D, n)) * scale,
        rng.normal(size=(H, n)) * scale / np.sqrt(H),
        rng.normal(size=n) * scale,
        rng.normal(size=n) * scale if name == "gru" else None,
    )
    mask = rng.random((T, B)) < 0.7 if seed % 2 else None
    states = tuple(rng.uniform(-0.9, 0.9, (B, H)) for _ in cell.states)
    external = rng.normal(size=(T, B, H))
    dlast = tuple(rng.normal(size=(B, H)) for _ in cell.states)
    return weights, rng.normal(size=(T, B, D)), mask, states, external, dlast


def torch_s(torch, name, weights, x, mask, states, external, dlast):
    """States after each step, and all gradients, of PyTorch's own cell in a loop."""
    (T, _, D), H = x.shape, len(weights.U)
    kind = {"lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell, "simple_rnn": torch.nn.RNNCell}[name]
    cell = kind(D, H, dtype=torch.float64)

    def blocks(array):
        parts = np.split(array, len(ORDER[name]), axis=-1)
        return torch.tensor(np.concatenate([parts[k] for k in ORDER[name]], axis=-1))

    rb = np.zeros_like(weights.b) if weights.rb is None else weights.rb
    with torch.no_grad():
        cell.weight_ih.copy_(blocks(weights.W).T)
        cell.weight_hh.copy_(blocks(weights.U).T)
        cell.bias_ih.copy_(blocks(weights.b))
        cell.bias_hh.copy_(blocks(rb))
    start = [torch.tensor(part, requires_grad=True) for part in states]
    inputs = torch.tensor(x, requires_grad=True)
    now, every = tuple(start), []
    for t in range(T):
        new = cell(inputs[t], now if name == "lstm" else now[0])
        new = new if name == "lstm" else (new,)
        if mask is not None:
            real = torch.tensor(mask[t])[:, None]
            new = tuple(torch.where(real, one, held) for one, held in zip(new, now, strict=True))
        now = tuple(part.clone() for part in new)
        for part in now:
            part.retain_grad()
        every.append(now)
    loss = sum((torch.tensor(external[t]) * every[t][0]).sum() for t in range(T))
    loss = loss + sum((torch.tensor(d) * part).sum() for d, part in zip(dlast, now, strict=True))
    loss.backward()

    def gradient(tensor):
        return np.zeros(tuple(tensor.shape)) if tensor.grad is None else tensor.grad.numpy()

    def back(array):
        parts = np.split(array, len(ORDER[name]), axis=-1)
        return np.concatenate([parts[ORDER[name].index(k)] for k in range(len(parts))], axis=-1)

    found = {"W": back(gradient(cell.weight_ih).T), "U": back(gradient(cell.weight_hh).T)}
    found |= {"b": back(gradient(cell.bias_ih)), "rb": back(gradient(cell.bias_hh)), "x": gradient(inputs)}
    for k, state in enumerate(CELLS[name].states):
        found[f"d{state}0"] = gradient(start[k])
        found[state] = np.stack([step[k].detach().numpy() for step in every])
        # the total gradient of a state as it leaves the step; c's path to h is within PyTorch's cell
        found[f"d{state}"] = np.stack([gradient(step[k]) for step in every])
    return found


def ours(name, backend, weights, x, mask, states, external, dlast):
    cell = CELLS[name]
    tape = chunks.forward(cell, weights, x, mask, states, engine=engines.engine_of(backend))
    got = chunks.backward(weights, tape, external, dlast, record=True)
    found = {"W": got.dweights.W, "U": got.dweights.U, "b": got.dweights.b, "x": got.dx}
    found |= {} if name != "gru" else {"rb": got.dweights.rb}
    for k, state in enumerate(cell.states):
        found |= {state: tape.join(state), f"d{state}": got.dtotal[k], f"d{state}0": got.dstate[k]}
    if name == "lstm":  # without the step's own path from c to h, as PyTorch's tensors have it
        gate, tanh_c = tape.join("o"), np.tanh(tape.join("c"))
        inside = found["dh"] * gate * (1 - tanh_c**2)
        found["dc"] = found["dc"] - (inside if mask is None else np.where(mask[..., None], inside, 0))
    return found


@pytest.mark.slow
@on_cells
def test_500_random_cases_are_torch_s(name, torch):
    for seed in range(CASES):
        drawn = case(name, seed)
        expected = torch_s(torch, name, *drawn)
        for backend in ("numpy", "numba"):
            found = ours(name, backend, *drawn)
            for key, array in found.items():
                steps = 0 if array.ndim == 3 else None
                if key == "dc":  # a difference of two numbers: held against the larger
                    whole = np.abs(drawn[4]).max() + np.abs(expected[key]).max()
                    assert np.abs(array - expected[key]).max() <= PARITY["float64"] * whole
                    continue
                bound, what = PARITY["float64"], f"{key}, case {seed}, {backend}"
                if distance(array, expected[key], steps) > bound:
                    # 1 - h^2 has few digits where h is nearly 1: PyTorch's own error says how few
                    exact = ours(name, "numpy", *extended(drawn))[key]
                    bound = max(bound, 10 * distance(expected[key], exact, steps))
                check(array, expected[key], bound, steps, what)


def extended(drawn):
    """A case in the processor's 80 bits."""
    weights, x, mask, states, external, dlast = drawn
    wide = [None if part is None else part.astype(np.longdouble) for part in (*weights, x, external)]
    states, dlast = ([part.astype(np.longdouble) for part in given] for given in (states, dlast))
    return Weights(*wide[:-2]), wide[-2], mask, tuple(states), wide[-1], tuple(dlast)


@pytest.mark.slow
@on_cells
def test_500_random_cases_are_keras_s(name, keras64, torch):
    """Keras's layer in float64, gradients from autograd; sizes from 12 layers, all else drawn anew."""
    rng = np.random.default_rng(len(name))
    kind = {"lstm": "LSTM", "gru": "GRU", "simple_rnn": "SimpleRNN"}[name]
    bound = PARITY["float64"]
    for _ in range(12):
        D, H = int(rng.integers(2, 6)), int(rng.integers(1, 6))
        theirs = getattr(keras64.layers, kind)(H, return_sequences=True, dtype="float64")
        theirs.build((None, None, D))
        layer = getattr(ml, kind)(H, return_sequences=True)
        layer.make_weights((None, D), rng, np.dtype("float64"))
        for count in range(-(-CASES // 12)):
            B, T = int(rng.integers(1, 5)), int(rng.integers(1, 6))
            weights = [rng.normal(size=w.shape) * 0.7 for w in layer.get_weights()]
            layer.set_weights(weights)
            theirs.set_weights(weights)
            layer.backend = ("numpy", "numba")[count % 2]
            x, dy = rng.normal(size=(B, T, D)), rng.normal(size=(B, T, H))
            states = [rng.uniform(-0.9, 0.9, (B, H)) for _ in layer.cell.states]
            mask = rng.random((B, T)) < 0.7 if count % 3 else None
            if mask is not None:
                mask[:, 0] = True  # Keras's back ends disagree on a masked first step
            inputs = [torch.tensor(array, requires_grad=True) for array in (x, *states)]
            real = None if mask is None else torch.tensor(mask)
            output = theirs(inputs[0], initial_state=inputs[1:], mask=real)
            values = [variable.value for variable in theirs.trainable_variables]
            loss = (output * torch.tensor(dy)).sum()
            expected = torch.autograd.grad(loss, [*inputs, *values], allow_unused=True)
            found, _, tape = layer.forward(x, mask, keep="boundaries", initial_state=tuple(states))
            gradients = layer.bptt(dy, tape, need_dx=True, record=False, overwrite=False)
            dx, grads = layer.backward(dy, tape, need_dx=True)
            check(found, output.detach().numpy(), bound, what="output")
            names = ["dx", *layer.cell.states, *grads]
            for key, got, want in zip(names, [dx, *gradients.dstate, *grads.values()], expected, strict=True):
                check(got, np.zeros(got.shape) if want is None else want.numpy(), bound, what=key)


@on_cells
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_adjoint_laws(name, backend):
    """Backward twice gives the same bits; of nothing, nothing; and it is linear in what comes in."""
    for seed in range(20):
        weights, x, mask, states, external, dlast = case(name, seed)
        tape = chunks.forward(CELLS[name], weights, x, mask, states, engine=engines.engine_of(backend))

        def back(dh, last, tape=tape, weights=weights):
            got = chunks.backward(weights, tape, dh, last, record=True)
            sums = [part for part in got.dweights if part is not None]
            return [*sums, *got.dstate, got.dx, got.dz, *got.dtotal]

        one = back(external, dlast)
        for first, second in zip(one, back(external, dlast), strict=True):
            np.testing.assert_array_equal(first, second)
        assert not any(part.any() for part in back(0 * external, tuple(0 * d for d in dlast)))
        rng = np.random.default_rng(seed)
        other = rng.normal(size=external.shape), tuple(rng.normal(size=d.shape) for d in dlast)
        both = back(
            2 * external - 3 * other[0], tuple(2 * a - 3 * b for a, b in zip(dlast, other[1], strict=True))
        )
        for a, b, sum_of in zip(one, back(*other), both, strict=True):
            size = np.abs(2 * a).max(initial=0) + np.abs(3 * b).max(initial=0)
            assert np.abs(2 * a - 3 * b - sum_of).max(initial=0) <= 1e-13 * size
