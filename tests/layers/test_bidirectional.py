"""Bidirectional: against Keras in float64 in every merge mode; two of them stacked, with all gradients."""

from __future__ import annotations

import re

import numpy as np
import pytest
from complex_step import check_gradients
from tolerances import PARITY, check

import minilstm as ml

B, T, D, H = 4, 6, 3, 5
BOUND = PARITY["float64"]
CELLS = ["LSTM", "GRU", "SimpleRNN"]
MODES = ["concat", "sum", "ave", "mul", None]
MASKS = {
    "none": None,
    "post": np.arange(T) < np.array([[1], [3], [6], [0]]),
    "pre": np.arange(T) >= T - np.array([[1], [3], [6], [0]]),
    "holes": np.random.default_rng(5).random((B, T)) < 0.6,
}


def x_of(seed=1, batch=B, steps=T):
    return np.random.default_rng(seed).normal(size=(batch, steps, D))


def randomized(layer, seed=0):
    """Built in float64, with random weights."""
    rng = np.random.default_rng(seed)
    layer.make_weights((None, D), rng, np.dtype("float64"))
    layer.set_weights([rng.normal(size=w.shape) * 0.5 for w in layer.get_weights()])
    return layer


def as_list(outputs):
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


def check_pair(torch, layer, theirs, mask):
    """A call with initial states, then outputs, dL/dx and dL/d(every weight) of a pass without."""
    theirs.build((B, T, D))
    theirs.set_weights(layer.get_weights())
    real = None if mask is None else torch.tensor(mask)
    if mask is None:
        shape = (2 * len(layer.forward_layer.cell.states), B, H)
        state = list(np.random.default_rng(2).uniform(-0.9, 0.9, shape))
        expected = theirs(torch.tensor(x_of()), initial_state=[torch.tensor(part) for part in state])
        for ours, reference in zip(as_list(layer(x_of(), initial_state=state)), expected, strict=True):
            check(ours, reference.detach().numpy(), BOUND, what="with an initial state")
    for ours, reference in zip(
        layer(x_of(), mask=mask), theirs(torch.tensor(x_of()), mask=real), strict=True
    ):
        check(ours, reference.detach().numpy(), BOUND, what="call")
    x = torch.tensor(x_of(), requires_grad=True)
    count = 2 if layer.merge_mode is None else 1
    expected = theirs(x, mask=real)[:count]
    output, after, tape = layer.forward(x_of(), mask, keep="boundaries")
    assert after is (mask if layer.return_sequences else None)
    dys = [np.random.default_rng(k).normal(size=y.shape) for k, y in enumerate(as_list(output))]
    sum((y * torch.tensor(dy)).sum() for y, dy in zip(expected, dys, strict=True)).backward()
    dx, grads = layer.backward(dys[0] if count == 1 else tuple(dys), tape, need_dx=True)
    check(dx, x.grad.numpy(), BOUND, what="dx")
    assert list(grads) == list(layer.params)
    for (name, ours), variable in zip(grads.items(), theirs.trainable_weights, strict=True):
        check(ours, variable.value.grad.numpy(), BOUND, what=name)


@pytest.mark.peer
@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("mask", sorted(MASKS))
@pytest.mark.parametrize("return_sequences", [False, True], ids=["last", "sequences"])
def test_merge_modes_and_masks(keras64, torch, mode, mask, return_sequences):
    options = {"return_sequences": return_sequences, "return_state": True}
    layer = randomized(ml.Bidirectional(ml.LSTM(H, **options), merge_mode=mode))
    inner = keras64.layers.LSTM(H, **options, dtype="float64")
    check_pair(
        torch, layer, keras64.layers.Bidirectional(inner, merge_mode=mode, dtype="float64"), MASKS[mask]
    )


@pytest.mark.peer
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("mask", ["none", "holes"])
@pytest.mark.parametrize("own", [False, True], ids=["twin", "its own"])
def test_cells_and_a_layer_of_its_own_for_reading_backwards(keras64, torch, cell, mask, own):
    options = {"return_sequences": True, "return_state": True}
    other = options | {"go_backwards": True, "use_bias": False}

    def make(L, **dtype):
        kind = getattr(L, cell)
        second = kind(H, **other, **dtype) if own else None
        return L.Bidirectional(kind(H, **options, **dtype), backward_layer=second, **dtype)

    check_pair(torch, randomized(make(ml.layers)), make(keras64.layers, dtype="float64"), MASKS[mask])


@pytest.mark.peer
@pytest.mark.parametrize("source", ["mask", "masking", "pre", "none"])
@pytest.mark.parametrize("last", [False, True], ids=["every step", "last step"])
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_two_stacked_with_masks_and_a_head(keras64, torch, source, last, backend):
    """The whole model with random weights: outputs, loss, dL/dx and all gradients."""
    lengths = np.array([[1], [3], [6], [4]])
    mask = {"none": None, "pre": np.arange(T) >= T - lengths}.get(source, np.arange(T) < lengths)
    x = x_of()
    y = np.random.default_rng(9).normal(size=(B, 2) if last else (B, T, 2))
    masking = [ml.Masking()] if source == "masking" else []
    ours = ml.Sequential(
        [
            *masking,
            ml.Bidirectional(ml.LSTM(H, return_sequences=True, backend=backend)),
            ml.Bidirectional(ml.LSTM(4, return_sequences=not last, backend=backend), merge_mode="mul"),
            ml.Dense(2, activation="tanh"),
        ],
        dtype="float64",
        seed=0,
    )
    ours.compile(loss="mse")
    if masking:
        x[~mask] = 0
    given = None if masking else mask
    ours.predict(x, mask=given)
    rng = np.random.default_rng(3)
    ours.set_weights([rng.normal(size=w.shape) * 0.6 for w in ours.get_weights()])
    trace = ours.trace(x, y, mask=given)

    L, f64 = keras64.layers, {"dtype": "float64"}
    first = L.Bidirectional(L.LSTM(H, return_sequences=True, **f64), **f64)
    second = L.Bidirectional(L.LSTM(4, return_sequences=not last, **f64), merge_mode="mul", **f64)
    head = L.Dense(2, activation="tanh", **f64)
    tensor = torch.tensor(x, requires_grad=True)
    real = None if mask is None else torch.tensor(mask)
    with torch.no_grad():
        head(second(first(tensor)))
    weights = [*first.weights, *second.weights, *head.weights]
    for variable, w in zip(weights, ours.get_weights(), strict=True):
        variable.assign(w)
    output = head(second(first(tensor, mask=real), mask=real))
    errors = ((output - torch.tensor(y)) ** 2).mean(dim=-1)
    loss = errors.mean() if last or mask is None else (errors * real).sum() / real.sum()
    loss.backward()
    check(trace.output, output.detach().numpy(), BOUND, what="output")
    assert trace.loss == pytest.approx(loss.item(), rel=1e-12)
    assert list(trace.grads) == list(ours.named_weights)
    for (name, gradient), variable in zip(trace.grads.items(), weights, strict=True):
        check(gradient, variable.value.grad.numpy(), BOUND, what=name)
    names = [
        f"{wrapper}/{way}_lstm"
        for wrapper in ("bidirectional", "bidirectional_1")
        for way in ("forward", "backward")
    ]
    assert list(trace.layers) == names
    dx = trace[names[0]].dx + trace[names[1]].dx[:, ::-1]
    check(np.where(mask[..., None], dx, 0) if mask is not None else dx, tensor.grad.numpy(), BOUND, what="dx")


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("mode", MODES[:-1])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_gradients(cell, mode, return_sequences):
    inner = getattr(ml, cell)(2, return_sequences=return_sequences, backend="numpy")
    layer = randomized(ml.Bidirectional(inner, merge_mode=mode))
    check_gradients(layer, x_of(batch=2, steps=3), MASKS["holes"][:2, :3])


def test_the_result_depends_on_no_padding():
    layer = randomized(ml.Bidirectional(ml.LSTM(H, return_sequences=True)))
    short = layer(x_of(steps=4))
    padded = np.full((B, 9, D), np.nan)
    padded[:, 2:6] = x_of(steps=4)
    mask = np.zeros((B, 9), bool)
    mask[:, 2:6] = True
    found = layer(padded, mask=mask)
    check(found[:, 2:6], short, 1e-12)
    assert not found[~mask].any()


def test_it_trains_and_says_what_it_is(tmp_path):
    """Names, shapes, memory, states, a config, a file."""
    inner = ml.LSTM(4, return_sequences=True, dropout=0.2, kernel_regularizer="l2")
    layers = [ml.Bidirectional(inner, input_shape=(None, D)), ml.Bidirectional(ml.GRU(3)), ml.Dense(1)]
    model = ml.Sequential(layers, seed=0)
    assert [w.shape for w in model.get_weights()][:4] == [(3, 16), (4, 16), (16,), (3, 16)]
    names = list(model.named_weights)
    assert names[0] == "bidirectional/forward_lstm/kernel"
    assert names[3] == "bidirectional/backward_lstm/kernel"
    assert names[6] == "bidirectional_1/forward_gru/kernel"
    assert list(model.layers[0].regularizers) == ["forward_lstm/kernel", "backward_lstm/kernel"]
    assert model.output_shape == (None, 1)
    assert list(model.memory(B, T)) == [
        "bidirectional/forward_lstm",
        "bidirectional/backward_lstm",
        "bidirectional_1/forward_gru",
        "bidirectional_1/backward_gru",
    ]
    model.compile(optimizer="adam", loss="mse")
    losses = model.fit(x_of(), np.zeros(B), epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model.npz")
    again = ml.load_model(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.predict(x_of()), model.predict(x_of()))
    assert list(again.named_weights) == names
    rng = np.random.default_rng(0)
    model.trace(x_of(), np.zeros(B), initial_state={"bidirectional": [rng.normal(size=(B, 4))] * 4})


def test_stateful_layers_go_on_in_both_directions():
    layer = randomized(ml.Bidirectional(ml.GRU(H, stateful=True, return_state=True)))
    first = layer(x_of())
    second = layer(x_of())
    assert (first[0] != second[0]).any()
    np.testing.assert_array_equal(layer.forward_layer.state[0], second[1])
    layer.reset_state()
    np.testing.assert_array_equal(layer(x_of())[0], first[0])


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (
            lambda: ml.Bidirectional(ml.Dense(3)),
            TypeError,
            "layer must be an LSTM, GRU or SimpleRNN, got <Den",
        ),
        (lambda: ml.Bidirectional(ml.LSTM), TypeError, "layer must be an LSTM, GRU or SimpleRNN, got <class"),
        (
            lambda: ml.Bidirectional(ml.LSTM(3), merge_mode="max"),
            ValueError,
            "merge_mode must be 'concat' or 'sum' or 'ave' or 'mul', got 'max'",
        ),
        (
            lambda: ml.Bidirectional(ml.LSTM(3), backward_layer=ml.LSTM(3)),
            ValueError,
            "backward_layer must be with go_backwards=True, got False",
        ),
        (
            lambda: ml.Bidirectional(
                ml.LSTM(3), backward_layer=ml.LSTM(3, go_backwards=True, return_sequences=True)
            ),
            ValueError,
            "backward_layer must be with the same return_sequences as layer, False, got True",
        ),
        (
            lambda: ml.Bidirectional(ml.LSTM(3), "sum", backward_layer=ml.LSTM(4, go_backwards=True)),
            ValueError,
            "backward_layer must be of 3 units, to be merged by 'sum', got 4",
        ),
        (
            lambda: ml.Sequential([ml.Bidirectional(ml.LSTM(3), merge_mode=None)]),
            ValueError,
            "layer 'bidirectional' must be merged in a Sequential",
        ),
        (
            lambda: ml.Bidirectional(ml.LSTM(3))(x_of(), initial_state=[np.zeros((B, 3))] * 2),
            ValueError,
            "initial_state of layer 'bidirectional' must be a list of 4 arrays, first of forward_lstm, then",
        ),
        (
            lambda: ml.Bidirectional(ml.LSTM(3))(np.ones((2, 3))),
            ValueError,
            "x must be (batch, time, features), none of them 0, got (2, 3)",
        ),
    ],
)
def test_arguments(make, error, text):
    with pytest.raises(error, match=re.escape(text)):
        make()
