"""The options of the recurrent layers: against Keras in float64, and gradients against complex steps.

Keras runs on PyTorch and takes its gradients by autograd. Where Keras draws random numbers, it is given ours.
"""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from complex_step import check_gradients
from tolerances import PARITY, check

import minilstm as ml
from minilstm.initializers import Chrono, Constant
from minilstm.layers.dropout import drop

B, T, D, H = 4, 6, 3, 5
BOUND = PARITY["float64"]
CELLS = ["LSTM", "GRU", "SimpleRNN"]
on_cells = pytest.mark.parametrize("cell", CELLS)
on_backends = pytest.mark.parametrize("backend", ["numpy", "numba"])
on_sequences = pytest.mark.parametrize("return_sequences", [False, True], ids=["last", "sequences"])


def x_of(seed=1, batch=B, steps=T):
    return np.random.default_rng(seed).normal(size=(batch, steps, D))


def state_of(cell, seed=2):
    return list(np.random.default_rng(seed).uniform(-0.9, 0.9, (2 if cell == "LSTM" else 1, B, H)))


MASKS = {
    "none": None,
    "post": np.arange(T) < np.array([[1], [3], [6], [0]]),
    "pre": np.arange(T) >= T - np.array([[1], [3], [6], [0]]),
    "holes": np.random.default_rng(5).random((B, T)) < 0.6,
}
on_masks = pytest.mark.parametrize("mask", sorted(MASKS))


def made(cell, **options):
    """One of our layers in float64, with random weights."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "no compiled kernel", RuntimeWarning)
        layer = getattr(ml, cell)(H, return_state=True, **options)
        rng = np.random.default_rng(0)
        layer.make_weights((None, D), rng, np.dtype("float64"))
    layer.set_weights([rng.normal(size=w.shape) * 0.5 for w in layer.get_weights()])
    return layer


def theirs_of(keras, layer):
    """Keras's layer of the same arguments and weights."""
    ours = {"backend", "input_shape", "forget_gate", "peepholes"}
    apart = ("checkpoint_", "truncate_")
    options = {k: value for k, value in layer.config().items() if k not in ours and not k.startswith(apart)}
    theirs = getattr(keras.layers, type(layer).__name__)(**options, dtype="float64")
    theirs.build((B, T, D))
    theirs.set_weights(layer.get_weights())
    return theirs


def arrays(tensors):
    return [tensor.detach().numpy() for tensor in tensors]


def compare(torch, layer, theirs, mask=None, state=None, seed=None, bound=BOUND):
    """Outputs, states, dL/dx, dL/d(initial state) and dL/d(every weight)."""
    x = torch.tensor(x_of(), requires_grad=True)
    initial = None if state is None else [torch.tensor(part, requires_grad=True) for part in state]
    real = None if mask is None else torch.tensor(mask)
    expected, *states = theirs(x, initial_state=initial, mask=real, training=seed is not None)
    rng = None if seed is None else np.random.default_rng(seed)
    output, _, tape = layer.forward(
        x_of(), mask, keep="boundaries", rng=rng, initial_state=None if state is None else tuple(state)
    )
    check(output, expected.detach().numpy(), BOUND, what="output")
    for ours, reference in zip(tape.last_state, arrays(states), strict=True):
        check(ours, reference, BOUND, what="state")
    dy = np.random.default_rng(3).normal(size=output.shape)
    (expected * torch.tensor(dy)).sum().backward()
    gradients = layer.bptt(dy, tape, need_dx=True, record=False, overwrite=False)
    dx, grads = layer.backward(dy, tape, need_dx=True)
    check(dx, x.grad.numpy(), bound, what="dx")
    for name, (ours, variable) in zip(
        grads, zip(grads.values(), theirs.trainable_weights, strict=True), strict=True
    ):
        check(ours, variable.value.grad.numpy(), bound, what=name)
    for ours, part in zip(gradients.dstate, initial or [], strict=bool(initial)):
        check(ours, part.grad.numpy(), bound, what="dL/d(initial state)")


# ------------------------------------------------------------------------------ against Keras


@pytest.mark.peer
@on_cells
@on_backends
@pytest.mark.parametrize(
    ("mask", "zero"), [(mask, zero) for mask in MASKS for zero in (False, True) if mask != "none" or not zero]
)
@on_sequences
@pytest.mark.parametrize("go_backwards", [False, True], ids=["forwards", "backwards"])
def test_direction_masks_and_outputs(
    keras64, torch, cell, backend, mask, return_sequences, go_backwards, zero
):
    layer = made(
        cell,
        return_sequences=return_sequences,
        go_backwards=go_backwards,
        zero_output_for_mask=zero,
        backend=backend,
    )
    compare(torch, layer, theirs_of(keras64, layer), MASKS[mask])


@pytest.mark.peer
@on_cells
@on_backends
@on_sequences
def test_initial_states(keras64, torch, cell, backend, return_sequences):
    layer = made(cell, return_sequences=return_sequences, backend=backend)
    mask = np.arange(T) < np.array([[1], [3], [6], [2]])
    compare(torch, layer, theirs_of(keras64, layer), mask, state_of(cell))


@pytest.mark.peer
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "hard_sigmoid", "relu", "linear"])
@pytest.mark.parametrize(
    ("cell", "recurrent"),
    [("SimpleRNN", None)]
    + [(cell, a) for cell in ("LSTM", "GRU") for a in ("sigmoid", "hard_sigmoid", "tanh", "relu", "linear")],
)
def test_activations(keras64, torch, cell, activation, recurrent):
    options = {"activation": activation} | ({"recurrent_activation": recurrent} if recurrent else {})
    layer = made(cell, backend="numpy", return_sequences=True, **options)
    layer.set_weights([w * 0.5 for w in layer.get_weights()])  # linear gates grow without bound
    sixth = "hard_sigmoid" in options.values()  # PyTorch's backward holds its 1/6 in float32
    theirs = theirs_of(keras64, layer)
    compare(torch, layer, theirs, MASKS["holes"], bound=1e-6 if sixth else BOUND)


@pytest.mark.peer
@on_cells
@on_backends
@pytest.mark.parametrize("rates", [(0.4, 0.0), (0.0, 0.4), (0.3, 0.5)], ids=str)
@pytest.mark.parametrize("mask", ["none", "holes"])
def test_dropout(keras64, torch, cell, backend, rates, mask, monkeypatch):
    """Keras with our draws: it scales and places them as we do."""
    dropout, recurrent = rates
    layer = made(cell, return_sequences=True, dropout=dropout, recurrent_dropout=recurrent, backend=backend)
    theirs = theirs_of(keras64, layer)
    rng = np.random.default_rng(8)
    draws = [drop((B, n), rate, rng, np.dtype("float64")) for n, rate in ((D, dropout), (H, recurrent))]
    several = recurrent > 0 and cell != "SimpleRNN"  # Keras then wants one for each gate

    def given(draw):
        one = None if draw is None else torch.tensor(draw)
        return lambda _: [one] * 4 if several else one

    monkeypatch.setattr(theirs.cell, "get_dropout_mask", given(draws[0]))
    monkeypatch.setattr(theirs.cell, "get_recurrent_dropout_mask", given(draws[1]))
    compare(torch, layer, theirs, MASKS[mask], seed=8)


@pytest.mark.peer
@on_cells
@on_backends
def test_stateful(keras64, cell, backend):
    """Three batches, a reset, another one; a trace and a gradient check leave the state alone."""
    layer = made(cell, stateful=True, backend=backend)
    theirs = theirs_of(keras64, layer)
    for batch in range(4):
        if batch == 3:
            layer.reset_state()
            theirs.reset_state()
        x = x_of(batch)
        expected = arrays(theirs(x, mask=MASKS["holes"]))
        for _ in range(2):
            layer.forward(x, MASKS["holes"], keep="everything")
        for ours, reference in zip(layer(x, MASKS["holes"]), expected, strict=True):
            check(ours, reference, BOUND)


def test_a_stateful_layer_keeps_its_state_when_its_output_is_written_over():
    layer = ml.LSTM(3, stateful=True)
    x = np.random.default_rng(0).normal(size=(2, 4, 2))
    output = layer(x)
    kept = [part.copy() for part in layer.state]
    output *= 0
    for ours, before in zip(layer.state, kept, strict=True):
        np.testing.assert_array_equal(ours, before)


@pytest.mark.peer
@on_cells
def test_weights_are_keras_s_without_bias(keras64, torch, cell):
    layer = made(cell, use_bias=False)
    compare(torch, layer, theirs_of(keras64, layer), MASKS["post"])


@pytest.mark.peer
def test_forget_bias_is_keras_s(keras):
    """Ones in the forget block, whatever the initializer says of it, and nothing else (surprise 13)."""
    for initializer, unit in (("zeros", True), ("zeros", False), ("ones", False), (0.5, True), (0.5, False)):
        constant = isinstance(initializer, float)
        ours = ml.LSTM(
            2, unit_forget_bias=unit, bias_initializer=Constant(initializer) if constant else initializer
        )
        ours.make_weights((None, D), np.random.default_rng(0), np.dtype("float32"))
        theirs = keras.layers.LSTM(
            2,
            unit_forget_bias=unit,
            bias_initializer=keras.initializers.Constant(initializer) if constant else initializer,
        )
        theirs.build((None, T, D))
        np.testing.assert_array_equal(ours.params["bias"], theirs.weights[2].value.detach().numpy())


# ------------------------------------------------------------------------------ gradients by complex steps

OPTIONS = {
    "plain": {},
    "no bias": {"use_bias": False},
    "backwards": {"go_backwards": True, "return_sequences": True},
    "zero": {"zero_output_for_mask": True, "return_sequences": True},
    "last zero": {"zero_output_for_mask": True},
    "dropout": {"dropout": 0.4, "recurrent_dropout": 0.3, "return_sequences": True},
    "checkpoints": {"checkpoint_steps": 2, "recurrent_dropout": 0.3, "go_backwards": True},
    "relu": {"activation": "relu", "return_sequences": True},
}
VARIANTS = {
    "hard gates": {"recurrent_activation": "hard_sigmoid", "return_sequences": True},
    "no forget gate": {"forget_gate": "none", "return_sequences": True},
    "coupled": {"forget_gate": "coupled", "return_sequences": True},
    "peepholes": {"peepholes": True, "return_sequences": True},
    "peepholes, coupled": {"peepholes": True, "forget_gate": "coupled"},
}
CASES = [(cell, name, options) for cell in CELLS for name, options in OPTIONS.items()]
CASES += [("LSTM", name, options) for name, options in VARIANTS.items()]


@pytest.mark.parametrize(
    ("cell", "options"), [(c, o) for c, _, o in CASES], ids=[f"{c}-{n}" for c, n, _ in CASES]
)
@pytest.mark.parametrize("mask", ["none", "holes"])
def test_gradients(cell, options, mask):
    layer = made(cell, backend="numpy", **options)
    real = None if mask == "none" else MASKS[mask][:2, :4]
    seed = 6 if "recurrent_dropout" in options else None
    check_gradients(layer, x_of(batch=2, steps=4), real, seed=seed)


# ------------------------------------------------------------------------------ masks


@on_cells
@on_backends
@pytest.mark.parametrize("go_backwards", [False, True])
def test_the_result_depends_on_no_padding(cell, backend, go_backwards):
    """Pad side, pad value and amount of padding: outputs, states and gradients to 1e-12."""
    layer = made(cell, go_backwards=go_backwards, backend=backend)
    x, dy = x_of(), np.random.default_rng(3).normal(size=(B, H))
    lengths = [1, 3, 6, 4]
    found = []
    for total, side, value in (
        (6, "post", 0.0),
        (6, "pre", np.nan),
        (9, "post", np.inf),
        (11, "pre", -1e300),
    ):
        padded, mask = np.full((B, total, D), value), np.zeros((B, total), bool)
        for k, n in enumerate(lengths):
            span = slice(n) if side == "post" else slice(total - n, total)
            padded[k, span], mask[k, span] = x[k, :n], True
        output, _, tape = layer.forward(padded, mask, keep="boundaries")
        state = tape.last_state
        dx, grads = layer.backward(dy, tape, need_dx=True)
        found.append([output, *state, dx[mask], *grads.values()])
        assert not dx[~mask].any()
    for other in found[1:]:
        for ours, theirs in zip(other, found[0], strict=True):
            check(ours, theirs, 1e-12)


@on_cells
def test_the_mask_of_a_layer_that_reads_backwards_fits_its_output(cell):
    """Keras carries the mask on unturned, beside an output that is turned."""
    layer = made(cell, go_backwards=True, return_sequences=True, zero_output_for_mask=True)
    output, after, _ = layer.forward(x_of(), MASKS["post"], keep="outputs")
    np.testing.assert_array_equal(after, MASKS["post"][:, ::-1])
    np.testing.assert_array_equal(after, output.any(axis=-1))


# ------------------------------------------------------------------------------ how weights begin, penalties


@on_cells
def test_initializers_and_regularizers(cell):
    layer = getattr(ml, cell)(
        H,
        kernel_initializer="ones",
        recurrent_initializer="identity",
        bias_initializer=Constant(0.25),
        kernel_regularizer="l1",
        recurrent_regularizer="l2",
        bias_regularizer=ml.regularizers.l1_l2(),
        input_shape=(T, D),
        **({"unit_forget_bias": False} if cell == "LSTM" else {}),
    )
    model = ml.Sequential([layer, ml.Dense(1)], seed=0)
    kernel, recurrent, bias = layer.get_weights()
    assert (kernel == 1).all()
    np.testing.assert_array_equal(recurrent, np.eye(*recurrent.shape))
    assert (bias == 0.25).all()
    assert list(layer.regularizers) == ["kernel", "recurrent_kernel", "bias"]
    model.compile(loss="mse")
    x, y = x_of(), np.zeros(B)
    penalty = sum(r(layer.params[key]) for key, r in layer.regularizers.items())
    plain = np.mean(model.predict(x) ** 2)
    assert model.evaluate(x, y, verbose=0) == pytest.approx(plain + penalty, rel=1e-6)
    assert getattr(ml, cell)(**layer.config()).config() == layer.config()


def test_chrono_bias():
    lstm, gru = ml.LSTM(H, bias_initializer=Chrono(50)), ml.GRU(H, bias_initializer=Chrono(50))
    for layer in (lstm, gru):
        layer.make_weights((None, D), np.random.default_rng(0), np.dtype("float64"))
    i, f, g, o = np.split(lstm.params["bias"], 4)
    assert ((f > 0) & (f < np.log(49))).all()
    assert len(set(f)) == H
    np.testing.assert_array_equal(i, -f)
    assert not np.concatenate([g, o]).any()
    assert (gru.params["bias"][0, :H] > 0).all()
    assert not gru.params["bias"][1].any()
    with pytest.raises(ValueError, match="Chrono must be for a cell with a gate that keeps the state"):
        ml.Sequential([ml.SimpleRNN(4, bias_initializer=Chrono(9), input_shape=(T, D))])


def test_an_irnn_carries_its_state_and_its_gradient_unchanged():
    """Le, Jaitly and Hinton 2015: identity and relu, and an input that is only a first push."""
    layer = ml.SimpleRNN(H, activation="relu", recurrent_initializer="identity", backend="numpy")
    layer.make_weights((None, D), np.random.default_rng(0), np.dtype("float64"))
    x = np.zeros((B, 50, D))
    x[:, 0] = np.abs(x_of()[:, 0])
    layer.params["kernel"][:] = np.abs(layer.params["kernel"])
    output, _, tape = layer.forward(x, None, keep="boundaries")
    check(output, x[:, 0] @ layer.params["kernel"], 1e-14)
    dx, _ = layer.backward(np.ones((B, H)), tape, need_dx=True)
    check(dx[:, 0], np.ones((B, H)) @ layer.params["kernel"].T, 1e-14)


# ------------------------------------------------------------------------------ dropout, and NumPy's part


@on_backends
def test_dropout_in_training_only_one_draw_per_call(backend):
    layer = made("LSTM", dropout=0.5, recurrent_dropout=0.5, backend=backend, return_sequences=True)
    plain = made("LSTM", backend=backend, return_sequences=True)
    np.testing.assert_array_equal(layer(x_of())[0], plain(x_of())[0])
    first, again, other = (
        layer.forward(x_of(), None, keep="outputs", rng=np.random.default_rng(seed))[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_dropout_of_the_input_is_shared_by_all_steps():
    layer = made("SimpleRNN", dropout=0.5, return_sequences=True)
    rng = np.random.default_rng(4)
    output, _, tape = layer.forward(x_of(), None, keep="boundaries", rng=rng)
    dx, _ = layer.backward(np.ones_like(output), tape, need_dx=True)
    gone = (dx == 0).all(axis=1)  # (B, D)
    assert 0 < gone.sum() < gone.size
    assert ((dx == 0) == gone[:, None]).all()


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        (
            {"recurrent_dropout": 0.1},
            "no compiled kernel for recurrent_dropout; the NumPy backend does the w",
        ),
        (
            {"activation": "relu"},
            "no compiled kernel for lstm with activation='relu'; the NumPy backend does",
        ),
        ({"peepholes": True}, "no compiled kernel for lstm with peepholes=True; the NumPy backend does the"),
    ],
)
def test_one_warning_names_why_numpy_works(options, cause):
    layer = ml.LSTM(4, input_shape=(T, D), **options)
    with pytest.warns(RuntimeWarning, match=re.escape(cause)) as caught:
        model = ml.Sequential([layer, ml.Dense(1)])
    assert len(caught) == 1
    model.compile(loss="mse")
    model.fit(x_of(), np.zeros(B), verbose=0)  # without another word
    layer.make_weights((T, D), np.random.default_rng(0), np.dtype("float64"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ml.LSTM(4, input_shape=(T, D), backend="numpy", **options).make_weights(
            (T, D), np.random.default_rng(0), np.dtype("float32")
        )


def test_memory_of_a_layer_with_recurrent_dropout_is_that_of_its_training():
    layer = made("LSTM", recurrent_dropout=0.5)
    tape = layer.forward(x_of(), None, keep="boundaries", rng=np.random.default_rng(0))[2]
    assert layer.memory(B, T) == {"lstm": tape.nbytes}


# ------------------------------------------------------------------------------ stateful in a model


def test_a_stateful_model_reads_a_long_sequence_in_pieces():
    pieces = np.split(x_of(steps=12), 3, axis=1)

    def model(**options):
        layers = [ml.LSTM(H, return_sequences=True, input_shape=(None, D), **options), ml.Dense(1)]
        model = ml.Sequential(layers, seed=0, dtype="float64")
        model.compile(loss="mse")
        return model

    whole = model().predict(x_of(steps=12))
    stateful = model(stateful=True)
    for _ in range(2):
        found = [stateful.predict(piece) for piece in pieces]
        check(np.concatenate(found, axis=1), whole, 1e-14)
        stateful.layers[0].reset_state()
    stateful.predict(pieces[0])
    trace = stateful.trace(pieces[1], np.zeros((B, 4, 1)))
    np.testing.assert_array_equal(trace.output, found[1])
    np.testing.assert_array_equal(stateful.predict(pieces[1]), found[1])  # the trace left the state alone
    with pytest.raises(
        ValueError, match=r"input of the stateful layer 'lstm' must be a batch of 4 samples li"
    ):
        stateful.predict(pieces[0][:3])


# ------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"dropout": 1.0}, ValueError, "dropout must be a finite number >= 0 and < 1, got 1.0"),
        ({"recurrent_dropout": -0.1}, ValueError, "recurrent_dropout must be a finite number >= 0 and < 1"),
        ({"dropout": "0.5"}, TypeError, "dropout must be a finite number >= 0 and < 1, got '0.5'"),
        ({"kernel_initializer": "glorot"}, ValueError, "kernel_initializer must be 'glorot_normal' or"),
        ({"recurrent_initializer": 1.0}, TypeError, "recurrent_initializer must be a name or an initializer"),
        ({"bias_regularizer": 0.1}, TypeError, "bias_regularizer must be None, a name or a regularizer"),
        ({"activation": "softmax"}, ValueError, "activation must be 'elu' or"),
    ],
)
@on_cells
def test_arguments(cell, options, error, text):
    with pytest.raises(error, match=re.escape(text)):
        getattr(ml, cell)(4, **options)
