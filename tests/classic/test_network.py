"""The network of 1997: its truncated gradient against the complex step, PyTorch, and its own other forms."""

from __future__ import annotations

import numpy as np
import pytest

from minilstm.classic import full, network
from minilstm.classic.configurations import RECURRENT_COUNTS, WEIGHT_COUNTS
from minilstm.classic.network import Shape, Weights

STEP = 1e-30
SHAPES = [
    Shape(inputs=3, blocks=2, size=2, outputs=2),
    Shape(inputs=2, blocks=3, size=1, outputs=4, bias="hidden"),
    Shape(inputs=4, blocks=2, size=3, outputs=1, bias="gates"),
    Shape(inputs=1, blocks=1, size=2, outputs=3, bias="none"),
]


def case(shape: Shape, T: int = 12, seed: int = 0, scale: float = 1.0):
    """Weights, x, and targets at the last step and two others."""
    rng = np.random.default_rng(seed)
    weights = shape.draw(rng, scale)
    x = rng.normal(size=(T, shape.inputs))
    targets = np.full((T, shape.outputs), np.nan)
    targets[[T // 3, T // 2, -1]] = rng.uniform(size=(3, shape.outputs))
    return weights, x, targets


def loss(shape, weights, x, targets, frozen=None):
    """The sum of E, and every step; where `frozen` gives y of each step, the steps read that for theirs."""
    y, s = network.start(shape)
    total, done = 0.0, []
    for t, row in enumerate(x):
        now = network.step(shape, weights, row, y if frozen is None else frozen[t], s)
        y, s = now.y, now.s
        done.append(now)
        if not np.isnan(targets[t]).any():
            total = total + ((now.output - targets[t]) ** 2).sum() / 2
    return total, done


def complex_step(shape, weights, x, targets, frozen=None):
    """dE/d(every weight), exact."""
    found = Weights(np.zeros_like(weights.W), np.zeros_like(weights.V))
    for which, weight in enumerate(weights):
        for place in np.ndindex(weight.shape):
            moved = [w.astype(complex) for w in weights]
            moved[which][place] += STEP * 1j
            found[which][place] = loss(shape, Weights(*moved), x, targets, frozen)[0].imag / STEP
    return found


def close(found: Weights, expected: Weights, tolerance: float) -> None:
    for one, other in zip(found, expected, strict=True):
        assert np.abs(one - other).max() <= tolerance * np.abs(other).max()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_truncated_gradient_is_that_of_constant_truncated_paths(shape):
    weights, x, targets = case(shape)
    done = loss(shape, weights, x, targets)[1]
    frozen = [network.start(shape)[0], *(now.y for now in done[:-1])]
    found, outputs = network.truncated_gradient(shape, weights, x, targets)
    close(found, complex_step(shape, weights, x, targets, frozen), 1e-12)
    np.testing.assert_array_equal(outputs, [now.output for now in done])
    close(full.ledger(shape, weights, x, targets, truncated=True).gradient, found, 1e-12)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_full_gradient_is_that_of_the_network(shape):
    weights, x, targets = case(shape)
    found = full.ledger(shape, weights, x, targets)
    close(found.gradient, complex_step(shape, weights, x, targets), 1e-12)


@pytest.mark.parametrize("k", [1, 7, 100])
def test_the_error_carousel_neither_grows_nor_shrinks(k):
    """d s(t) / d s(t-k) = 1 exactly, where the truncated paths are constants."""
    shape = SHAPES[0]
    weights, x, _ = case(shape, T=k + 3)
    done = list(network.steps(shape, weights, x))
    s = done[2].s + 0j
    s[1] += STEP * 1j
    for t in range(3, k + 3):
        s = network.step(shape, weights, x[t], done[t - 1].y, s).s
    assert (s.imag / STEP == [0, 1, 0, 0]).all()
    targets = np.full((k + 3, shape.outputs), np.nan)
    targets[-1] = 0.3
    ledger = full.ledger(shape, weights, x, targets, truncated=True)
    assert (ledger.carousel[2] == ledger.from_output[-1]).all()


def test_ledger_adds_up_and_the_true_gradient_has_more():
    shape = SHAPES[0]
    weights, x, targets = case(shape)
    ledger = full.ledger(shape, weights, x, targets)
    ds = ledger.from_output + ledger.carousel
    np.testing.assert_array_equal(ledger.carousel[:-1], ds[1:])
    assert (ledger.from_hidden[:-1] != 0).all()
    assert not ledger.from_hidden[-1].any()
    assert not full.ledger(shape, weights, x, targets, truncated=True).from_hidden.any()


def test_dropped_share():
    """Nothing is dropped where no unit reads the step before, nor from a sequence of one step."""
    shape = SHAPES[0]
    weights, x, targets = case(shape)
    share = full.dropped_share(shape, weights, x, targets)
    exact = complex_step(shape, weights, x, targets).W.ravel()
    kept = network.truncated_gradient(shape, weights, x, targets)[0].W.ravel()
    assert share == pytest.approx(1 - kept @ exact / (exact @ exact), rel=1e-10)
    assert abs(share) > 0.01
    assert full.dropped_share(shape, weights, x[:1], targets[-1:]) == 0
    weights.W[shape.inputs : -1] = 0
    assert abs(full.dropped_share(shape, weights, x, targets)) < 1e-15


@pytest.mark.peer
@pytest.mark.parametrize("truncated", [True, False])
def test_gradients_are_pytorchs(truncated):
    """Written in PyTorch from the paper, unit by unit; `detach` truncates."""
    torch = pytest.importorskip("torch")
    shape = Shape(inputs=3, blocks=2, size=2, outputs=2)
    weights, x, targets = case(shape, T=9)
    W, V = (torch.tensor(weight, requires_grad=True) for weight in weights)
    y, s, total = torch.zeros(8, dtype=torch.float64), [torch.zeros((), dtype=torch.float64)] * 4, 0.0
    for t in range(len(x)):
        z = torch.cat([torch.tensor(x[t]), y.detach() if truncated else y, torch.ones(1)])
        into = [torch.sigmoid(z @ W[:, j]) for j in range(2)]
        out = [torch.sigmoid(z @ W[:, 2 + j]) for j in range(2)]
        s = [s[v] + into[v // 2] * 2 * torch.tanh(z @ W[:, 4 + v] / 2) for v in range(4)]
        shown = [out[v // 2] * torch.tanh(s[v] / 2) for v in range(4)]
        y = torch.stack([*into, *out, *shown])
        if not np.isnan(targets[t]).any():
            found = torch.sigmoid(torch.cat([y[4:], torch.ones(1)]) @ V)
            total = total + ((found - torch.tensor(targets[t])) ** 2).sum() / 2
    total.backward()
    ours = full.ledger(shape, weights, x, targets, truncated=truncated).gradient
    close(ours, Weights(W.grad.numpy(), V.grad.numpy()), 1e-12)
    if truncated:
        close(network.truncated_gradient(shape, weights, x, targets)[0], ours, 1e-12)


def test_squashing_functions_have_the_paper_s_ranges():
    far = np.array([-800.0, 0.0, 800.0])
    assert network.g(far).tolist() == [-2, 0, 2]
    assert network.h(far).tolist() == [-1, 0, 1]


@pytest.mark.parametrize(("name", "ours", "published"), [*WEIGHT_COUNTS, *RECURRENT_COUNTS])
def test_weight_counts_are_the_published_ones(name, ours, published):
    assert ours == published


def test_there_are_12_configurations():
    assert len(WEIGHT_COUNTS) == 12


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_count_is_the_number_of_weights_that_learn(shape):
    weights = shape.draw(np.random.default_rng(0), 0.2)
    assert sum((weight != 0).sum() for weight in weights) == shape.count
    gradient = network.truncated_gradient(shape, *case(shape))[0]
    assert sum((part != 0).sum() for part in gradient) == shape.count


def test_gate_biases_go_to_their_blocks():
    shape = SHAPES[0]
    weights = shape.draw(np.random.default_rng(0), 0.1, (-3, -6), (-1, -2))
    assert weights.W[-1, :4].tolist() == [-3, -6, -1, -2]
    assert (np.abs(weights.W[-1, 4:]) <= 0.1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": 0}, "blocks must be a whole number >= 1, got 0"),
        ({"bias": "some"}, "bias must be 'none' or 'gates' or 'hidden' or 'all', got 'some'"),
    ],
)
def test_impossible_shapes(options, message):
    with pytest.raises(ValueError, match=message):
        Shape(**{"inputs": 1, "blocks": 1, "size": 1, "outputs": 1} | options)
