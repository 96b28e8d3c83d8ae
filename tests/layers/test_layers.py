"""Layers against Keras, PyTorch and ONNX Runtime: weights, outputs, masks, states, gradients."""

from __future__ import annotations

import re

import numpy as np
import pytest
from conftest import require
from tolerances import PARITY, check

import minilstm as ml

B, T, D, H = 4, 6, 3, 5
BACKENDS = ["numpy", "numba"]
BOUND = PARITY["float32"]  # Keras on PyTorch multiplies float64 matrices in float32
on_backends = pytest.mark.parametrize("backend", BACKENDS)


def built(layer, *shape, dtype="float32", seed=0):
    """The layer with its weights, and nothing special about them."""
    rng = np.random.default_rng(seed)
    layer.make_weights(shape, rng, np.dtype(dtype))
    layer.set_weights([rng.normal(size=w.shape) * 0.5 for w in layer.get_weights()])
    return layer


def masks() -> dict[str, np.ndarray | None]:
    rng = np.random.default_rng(5)
    lengths = np.array([[1], [3], [6], [0]])
    holes = rng.random((B, T)) < 0.6
    return {
        "none": None,
        "post": np.arange(T) < lengths,
        "pre": np.arange(T) >= T - lengths,
        "holes": holes,
        "nothing": np.zeros((B, T), bool),
    }


def numpy_of(tensor):
    """A PyTorch tensor, or a tuple of them, in NumPy."""
    return [numpy_of(t) for t in tensor] if isinstance(tensor, (tuple, list)) else tensor.detach().numpy()


def x_of(seed=1, dtype="float32", batch=B, steps=T):
    return np.random.default_rng(seed).normal(size=(batch, steps, D)).astype(dtype)


# ------------------------------------------------------------------------------ LSTM against Keras


@on_backends
@pytest.mark.parametrize("mask", sorted(masks()))
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("use_bias", [True, False])
def test_lstm_is_keras_s(keras, backend, mask, return_sequences, use_bias):
    """Outputs and states, and the weights there and back."""
    layer = ml.LSTM(
        H, return_sequences=return_sequences, return_state=True, use_bias=use_bias, backend=backend
    )
    built(layer, T, D)
    theirs = keras.layers.LSTM(H, return_sequences=return_sequences, return_state=True, use_bias=use_bias)
    theirs.build((None, T, D))
    theirs.set_weights(layer.get_weights())
    x, real = x_of(), masks()[mask]
    expected = numpy_of(theirs(x, mask=real))
    for ours, reference in zip(layer(x, mask=real), expected, strict=True):
        check(ours, reference, BOUND)
    layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    layer.set_weights(numpy_of([w.value for w in theirs.weights]))
    check(layer(x, mask=real)[0], expected[0], BOUND)


@on_backends
@pytest.mark.parametrize("return_sequences", [False, True])
def test_initial_state_is_keras_s(keras, backend, return_sequences):
    layer = built(ml.LSTM(H, return_sequences=return_sequences, return_state=True, backend=backend), T, D)
    theirs = keras.layers.LSTM(H, return_sequences=return_sequences, return_state=True)
    theirs.build((None, T, D))
    theirs.set_weights(layer.get_weights())
    rng = np.random.default_rng(2)
    state = [rng.uniform(-0.9, 0.9, (B, H)).astype("float32"), rng.normal(size=(B, H)).astype("float32")]
    expected = numpy_of(theirs(x_of(), initial_state=[keras.ops.convert_to_tensor(s) for s in state]))
    for ours, reference in zip(layer(x_of(), initial_state=state), expected, strict=True):
        check(ours, reference, BOUND)


@on_backends
def test_a_masked_first_step_gives_the_initial_state(backend):
    """Keras's back ends disagree here; the state's value is given, as JAX has it."""
    layer = built(ml.LSTM(H, return_sequences=True, return_state=True, backend=backend), T, D)
    state = [np.full((B, H), 0.25), np.full((B, H), -0.5)]
    real = np.ones((B, T), bool)
    real[:, :2] = False
    real[3] = False
    output, h, c = layer(x_of(), mask=real, initial_state=state)
    assert (output[:, :2] == 0.25).all()
    assert (output[3] == 0.25).all()
    assert (h[3] == 0.25).all()
    assert (c[3] == -0.5).all()


@on_backends
@pytest.mark.parametrize("mask", ["none", "post", "holes"])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_gradients_are_those_of_keras_by_autograd(keras, torch, backend, mask, return_sequences):
    layer = built(ml.LSTM(H, return_sequences=return_sequences, backend=backend), T, D)
    theirs = keras.layers.LSTM(H, return_sequences=return_sequences)
    theirs.build((None, T, D))
    theirs.set_weights(layer.get_weights())
    real = masks()[mask]
    output, _, tape = layer.forward(x_of(), real, keep="boundaries")
    dy = np.random.default_rng(3).normal(size=output.shape).astype("float32")
    dx, grads = layer.backward(dy, tape, need_dx=True)
    x = torch.tensor(x_of(), requires_grad=True)
    (theirs(x, mask=None if real is None else torch.tensor(real)) * torch.tensor(dy)).sum().backward()
    check(dx, x.grad.numpy(), BOUND, steps=1, what="dx")
    assert list(grads) == ["kernel", "recurrent_kernel", "bias"]
    for (name, ours), variable in zip(grads.items(), theirs.trainable_weights, strict=True):
        check(ours, variable.value.grad.numpy(), BOUND, what=name)


# ------------------------------------------------------------------------------ LSTM against PyTorch and ONNX


@on_backends
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lstm_is_torch_s(torch, backend, dtype):
    layer = built(ml.LSTM(H, return_sequences=True, return_state=True, backend=backend), T, D, dtype=dtype)
    W, U, b = (torch.tensor(w) for w in layer.get_weights())
    theirs = torch.nn.LSTM(D, H, batch_first=True, dtype=getattr(torch, dtype))
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(W.T)
        theirs.weight_hh_l0.copy_(U.T)
        theirs.bias_ih_l0.copy_(b)
        theirs.bias_hh_l0.zero_()
    h0, c0 = np.random.default_rng(4).uniform(-0.9, 0.9, (2, B, H)).astype(dtype)
    x = x_of(dtype=dtype)
    expected, (h, c) = theirs(torch.tensor(x), (torch.tensor(h0[None]), torch.tensor(c0[None])))
    output, last_h, last_c = layer(x, initial_state=[h0, c0])
    check(output, expected.detach().numpy(), PARITY[dtype], steps=1)
    check(last_h, h[0].detach().numpy(), PARITY[dtype])
    check(last_c, c[0].detach().numpy(), PARITY[dtype])


@on_backends
def test_lstm_is_onnx_runtime_s(backend):
    """Gates i, o, f, c there; right padding by `sequence_lens`."""
    require("onnx")
    require("onnxruntime")
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    layer = ml.LSTM(H, return_sequences=True, return_state=True, backend=backend)
    built(layer, T, D, dtype="float32")
    kernel, recurrent, bias = layer.get_weights()
    order = np.concatenate([np.arange(H) + H * block for block in (0, 3, 1, 2)])  # i, f, g, o -> i, o, f, g
    weights = {
        "W": kernel.T[order][None],
        "R": recurrent.T[order][None],
        "B": np.concatenate([bias[order], np.zeros(4 * H, "float32")])[None],
    }
    node = helper.make_node(
        "LSTM", ["X", "W", "R", "B", "lengths", "h0", "c0"], ["Y", "Y_h", "Y_c"], hidden_size=H
    )
    real = TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "lstm",
        [
            helper.make_tensor_value_info("X", real, [T, B, D]),
            helper.make_tensor_value_info("lengths", TensorProto.INT32, [B]),
            helper.make_tensor_value_info("h0", real, [1, B, H]),
            helper.make_tensor_value_info("c0", real, [1, B, H]),
        ],
        [helper.make_tensor_value_info(name, real, None) for name in ("Y", "Y_h", "Y_c")],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    model.ir_version = 10
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    x = x_of(dtype="float32")
    h0, c0 = np.random.default_rng(4).uniform(-0.9, 0.9, (2, B, H)).astype("float32")
    lengths = np.array([6, 2, 4, 1], "int32")
    inputs = {"X": x.transpose(1, 0, 2), "lengths": lengths, "h0": h0[None], "c0": c0[None]}
    Y, Y_h, Y_c = session.run(None, inputs)
    mask = np.arange(T) < lengths[:, None]
    output, h, c = layer(x, mask=mask, initial_state=[h0, c0])
    bound = PARITY["float32"]
    check(np.where(mask[..., None], output, 0), Y[:, 0].transpose(1, 0, 2), bound)
    check(h, Y_h[0], bound)
    check(c, Y_c[0], bound)


# ------------------------------------------------------------------------------ masks hide everything


@on_backends
@pytest.mark.parametrize("rubbish", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("mask", ["post", "pre", "holes"])
def test_masked_steps_may_contain_anything(backend, rubbish, mask):
    """No bit of the output or of a gradient depends on what masked steps contain."""
    layer = built(ml.LSTM(H, return_sequences=True, backend=backend), T, D)
    real = masks()[mask]
    results = []
    for filler in (0.0, rubbish):
        with np.errstate(over="ignore"):
            x = np.where(real[..., None], x_of(), np.float32(filler))
        output, _, tape = layer.forward(x, real, keep="boundaries")
        dx, grads = layer.backward(np.ones_like(output), tape, need_dx=True)
        results.append([output, dx, *grads.values()])
    for ours, theirs in zip(*results, strict=True):
        assert np.isfinite(ours).all()
        np.testing.assert_array_equal(ours, theirs)


# ------------------------------------------------------------------------------ how weights begin


def test_weights_begin_as_keras_s_do(keras):
    """Names, shapes, order, limits of glorot, orthonormal rows, ones in the forget block."""
    layer = ml.LSTM(64)
    layer.make_weights((None, 10), np.random.default_rng(0), np.dtype("float64"))
    theirs = keras.layers.LSTM(64)
    theirs.build((None, None, 10))
    assert [w.shape for w in layer.get_weights()] == [
        w.shape for w in numpy_of([w.value for w in theirs.weights])
    ]
    assert list(layer.params) == [variable.name for variable in theirs.weights]
    assert layer.count_params() == theirs.count_params() == 4 * ((10 + 64) * 64 + 64)
    kernel, recurrent, bias = layer.get_weights()
    limit = np.sqrt(6 / (10 + 4 * 64))
    assert 0.97 * limit < np.abs(kernel).max() <= limit
    assert abs(kernel.std() - limit / np.sqrt(3)) < 0.03 * limit
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(64), atol=1e-13)
    np.testing.assert_array_equal(bias, theirs.weights[2].value.detach().numpy())
    plain = ml.LSTM(3, unit_forget_bias=False)
    plain.make_weights((None, 2), np.random.default_rng(0), np.dtype("float64"))
    assert not plain.get_weights()[2].any()


def test_a_generator_fixes_the_weights():
    first, second, other = (ml.LSTM(4) for _ in range(3))
    for layer, seed in ((first, 1), (second, 1), (other, 2)):
        layer.make_weights((None, 3), np.random.default_rng(seed), np.dtype("float32"))
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (first.get_weights()[0] != other.get_weights()[0]).any()


# ------------------------------------------------------------------------------ Dense, Embedding, Masking


@pytest.mark.parametrize("activation", [None, "relu", "sigmoid", "softmax", "tanh"])
@pytest.mark.parametrize("shape", [(4, 3), (4, 6, 3)], ids=["rank 2", "rank 3"])
def test_dense_is_keras_s(keras, torch, activation, shape):
    layer = built(ml.Dense(5, activation=activation), *shape[1:])
    theirs = keras.layers.Dense(5, activation=activation)
    theirs.build((None, *shape[1:]))
    theirs.set_weights(layer.get_weights())
    rng = np.random.default_rng(1)
    x = rng.normal(size=shape).astype("float32")
    dy = rng.normal(size=(*shape[:-1], 5)).astype("float32")
    y, _, tape = layer.forward(x, None, keep="boundaries")
    dx, grads = layer.backward(dy, tape, need_dx=True)
    x_tensor = torch.tensor(x, requires_grad=True)
    expected = theirs(x_tensor)
    (expected * torch.tensor(dy)).sum().backward()
    check(y, expected.detach().numpy(), BOUND)
    check(dx, x_tensor.grad.numpy(), BOUND)
    for (name, ours), variable in zip(grads.items(), theirs.trainable_weights, strict=True):
        check(ours, variable.value.grad.numpy(), BOUND, what=name)


def test_dense_without_bias_and_without_dx():
    layer = built(ml.Dense(5, use_bias=False), 3)
    assert list(layer.params) == ["kernel"]
    y, mask, tape = layer.forward(np.ones((2, 3)), None, keep="boundaries")
    assert mask is None
    dx, grads = layer.backward(y, tape, need_dx=False)
    assert dx is None
    assert list(grads) == ["kernel"]


@pytest.mark.parametrize("mask_zero", [False, True])
def test_embedding_is_keras_s(keras, torch, mask_zero):
    """Repeated ids add up in the gradient; id 0 makes the mask."""
    layer = built(ml.Embedding(7, 4, mask_zero=mask_zero), T)
    theirs = keras.layers.Embedding(7, 4, mask_zero=mask_zero)
    theirs.build((None, T))
    theirs.set_weights(layer.get_weights())
    ids = np.random.default_rng(0).integers(0, 7, (B, T))
    ids[0] = [0, 3, 3, 0, 3, 6]
    y, mask, tape = layer.forward(ids, None, keep="boundaries")
    dy = np.random.default_rng(1).normal(size=y.shape).astype("float32")
    dx, grads = layer.backward(dy, tape, need_dx=False)
    assert dx is None
    expected = theirs(torch.tensor(ids))
    (expected * torch.tensor(dy)).sum().backward()
    np.testing.assert_array_equal(y, expected.detach().numpy())
    check(grads["embeddings"], theirs.trainable_weights[0].value.grad.numpy(), BOUND)
    their_mask = theirs.compute_mask(torch.tensor(ids))
    assert (mask is None) == (their_mask is None) == (not mask_zero)
    if mask_zero:
        np.testing.assert_array_equal(mask, their_mask.numpy())


@pytest.mark.parametrize("value", [0.0, -1.0, 0.5])
def test_masking_is_keras_s(keras, value):
    x = np.random.default_rng(0).choice([value, 0.0, 2.0], size=(B, T, 2)).astype("float32")
    layer = built(ml.Masking(value), T, 2)
    theirs = keras.layers.Masking(value)
    y, mask, tape = layer.forward(x, None, keep="boundaries")
    np.testing.assert_array_equal(y, numpy_of(theirs(x)))
    np.testing.assert_array_equal(mask, numpy_of(theirs.compute_mask(x)))
    assert 0 < mask.sum() < mask.size
    dx, grads = layer.backward(np.ones_like(x), tape, need_dx=True)
    np.testing.assert_array_equal(dx, np.broadcast_to(mask[..., None], x.shape).astype(float))
    assert grads == {}


def test_masks_of_two_sources_are_both_honoured():
    given = np.array([[True, True, False]])
    x = np.array([[[1.0], [0.0], [1.0]]])
    assert ml.Masking().forward(x, given, keep="outputs")[1].tolist() == [[True, False, False]]
    embedding = built(ml.Embedding(3, 2, mask_zero=True), 3)
    _, found, _ = embedding.forward(np.array([[1, 0, 2]]), given, keep="outputs")
    assert found.tolist() == [[True, False, False]]


def test_nan_is_never_taken_for_padding():
    x = np.array([[[np.nan], [0.0]]])
    assert ml.Masking().forward(x, None, keep="outputs")[1].tolist() == [[True, False]]


def test_the_mask_goes_on_through_dense_and_ends_at_the_last_output():
    mask = masks()["post"]
    dense = built(ml.Dense(2), T, D)
    assert dense.forward(x_of(), mask, keep="outputs")[1] is mask
    assert built(ml.LSTM(H), T, D).forward(x_of(), mask, keep="outputs")[1] is None
    assert built(ml.LSTM(H, return_sequences=True), T, D).forward(x_of(), mask, keep="outputs")[1] is mask


# ------------------------------------------------------------------------------ weights in and out


def test_get_weights_are_copies():
    layer = built(ml.LSTM(H), T, D)
    before = layer.get_weights()
    layer.get_weights()[0][:] = 99
    given = [w + 1 for w in before]
    layer.set_weights(given)
    given[0][:] = 99
    for now, old in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, old + 1)


def test_set_weights_is_all_or_nothing():
    layer = built(ml.LSTM(H, name="rec"), T, D)
    before = layer.get_weights()
    kernel, recurrent, bias = (w + 1 for w in before)
    for bad, error, text in [
        ([kernel, recurrent], ValueError, "weights must be 3 arrays for layer 'rec', got 2"),
        ([kernel, recurrent, bias[:-1]], ValueError, "rec/bias must be of shape (20,), got (19,)"),
        (
            [kernel, recurrent.T, bias],
            ValueError,
            "rec/recurrent_kernel must be of shape (5, 20), got (20, 5)",
        ),
        (
            [kernel, recurrent, bias * 1j],
            TypeError,
            "rec/bias must be an array of real numbers, got dtype complex",
        ),
        (
            [kernel, recurrent, ["a"] * 20],
            TypeError,
            "rec/bias must be an array of real numbers, got dtype <U1",
        ),
    ]:
        with pytest.raises(error, match=re.escape(text)):
            layer.set_weights(bad)
        for now, old in zip(layer.get_weights(), before, strict=True):
            np.testing.assert_array_equal(now, old)


def test_set_weights_before_build_says_so():
    with pytest.raises(
        ValueError, match=r"weights must be 0 arrays for layer 'lstm' .it has no weights before"
    ):
        ml.LSTM(3).set_weights([np.zeros((1, 12))] * 3)


# ------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("units", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (2.5, TypeError),
        ("8", TypeError),
        (True, TypeError),
        (None, TypeError),
    ],
)
@pytest.mark.parametrize("layer", [ml.LSTM, ml.Dense])
def test_units(layer, units, error):
    with pytest.raises(error, match=rf"units must be a whole number >= 1, got {re.escape(repr(units))}"):
        layer(units)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: ml.LSTM(3, backend="gpu"), ValueError, "backend must be 'numba' or 'numpy', got 'gpu'"),
        (lambda: ml.LSTM(3, name=""), ValueError, "name must be a non-empty string without '/', got ''"),
        (
            lambda: ml.LSTM(3, name="a/b"),
            ValueError,
            "name must be a non-empty string without '/', got 'a/b'",
        ),
        (
            lambda: ml.LSTM(3, input_shape=(0, 2)),
            ValueError,
            "input_shape must be a whole number >= 1, got 0",
        ),
        (
            lambda: ml.LSTM(3, input_shape=(2.5, 2)),
            TypeError,
            "input_shape must be a whole number >= 1, got 2.5",
        ),
        (lambda: ml.LSTM(3, input_shape=7), TypeError, "input_shape must be a tuple like (T, D), got 7"),
        (lambda: ml.Dense(3, activation="swoosh"), ValueError, "activation must be '"),
        (lambda: ml.Embedding(0, 3), ValueError, "input_dim must be a whole number >= 1, got 0"),
        (lambda: ml.Embedding(3, 1.5), TypeError, "output_dim must be a whole number >= 1, got 1.5"),
        (lambda: ml.Masking("0"), TypeError, "mask_value must be a finite number"),
        (lambda: ml.Masking(np.nan), ValueError, "mask_value must be a finite number"),
    ],
)
def test_arguments_of_layers(make, error, text):
    with pytest.raises(error, match=re.escape(text)):
        make()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        ({"x": np.ones((2, 3))}, ValueError, "x must be (batch, time, features)"),
        ({"x": np.ones((2, 3, 0))}, ValueError, "x must be (batch, time, features), none of them 0"),
        ({"x": np.ones((2, 3, 4))}, ValueError, "input of layer 'rec' must be of 3 features, got 4"),
        (
            {"x": np.ones((2, 3, 3)) * 1j},
            TypeError,
            "x must be an array of real numbers, got dtype complex128",
        ),
        ({"x": [[["a"]]]}, TypeError, "x must be an array of real numbers, got dtype <U1"),
        ({"mask": np.ones((2, 5))}, ValueError, "mask must be of shape (2, 6) (batch, time), got (2, 5)"),
        ({"mask": np.full((2, 6), 2)}, ValueError, "mask must be of True and False (or 1 and 0), got 2"),
        ({"mask": np.full((2, 6), 0.5)}, ValueError, "mask must be of True and False (or 1 and 0), got 0.5"),
        ({"mask": [["yes"] * 6] * 2}, TypeError, "mask must be an array of real numbers, got dtype <U3"),
        ({"mask": [[1], [1, 0]]}, ValueError, "mask must be"),
        ({"initial_state": [np.zeros((2, 5))]}, ValueError, "initial_state of layer 'rec' must be [h, c]"),
        ({"initial_state": np.zeros((2, 2, 5))}, ValueError, "initial_state of layer 'rec' must be [h, c]"),
        (
            {"initial_state": [np.zeros((2, 5)), np.zeros((2, 4))]},
            ValueError,
            "of shape (2, 5) each, got (2, 4)",
        ),
        (
            {"initial_state": [np.full((2, 5), np.nan), np.zeros((2, 5))]},
            ValueError,
            "must be finite, got NaN or Inf",
        ),
    ],
)
def test_arguments_of_a_call(call, error, text):
    layer = built(ml.LSTM(5, name="rec"), None, 3)
    arguments = {"x": np.ones((2, 6, 3))} | call
    with pytest.raises(error, match=re.escape(text)):
        layer(arguments.pop("x"), **arguments)


def test_masks_of_ones_and_zeros_are_masks():
    layer = built(ml.LSTM(5), None, 3)
    x, mask = x_of(), masks()["holes"]
    for form in (mask, mask.astype(int), mask.astype(float), mask.tolist(), np.asfortranarray(mask)):
        np.testing.assert_array_equal(layer(x, mask=form), layer(x, mask=mask))


def test_a_layer_called_alone_builds_itself():
    layer = ml.LSTM(4, return_state=True)
    output, h, c = layer([[[1, 2], [3, 4], [5, 6]]])
    assert output.shape == h.shape == c.shape == (1, 4)
    assert output.dtype == np.float32
    assert layer.input_shape == (None, 2)


def test_state_is_not_shared_between_calls():
    """A tape belongs to its call: two passes may be open at once."""
    layer = built(ml.LSTM(H, return_sequences=True), T, D)
    first, _, tape_1 = layer.forward(x_of(1), None, keep="boundaries")
    second, _, tape_2 = layer.forward(x_of(2), None, keep="boundaries")
    kept = first.copy()
    grads_2 = layer.backward(np.ones_like(second), tape_2, need_dx=True)
    grads_1 = layer.backward(np.ones_like(first), tape_1, need_dx=True)
    np.testing.assert_array_equal(first, kept)
    for seed, found in ((1, grads_1), (2, grads_2)):
        output, _, tape = layer.forward(x_of(seed), None, keep="boundaries")
        expected = layer.backward(np.ones_like(output), tape, need_dx=True)
        np.testing.assert_array_equal(found[0], expected[0])


def test_a_continued_sequence_is_the_whole_sequence():
    """Half a sequence, and the other half from its last state."""
    layer = built(ml.LSTM(H, return_sequences=True, return_state=True), None, D, dtype="float64")
    x = x_of(dtype="float64")
    whole, h, c = layer(x)
    first, *state = layer(x[:, :4])
    second, h_2, c_2 = layer(x[:, 4:], initial_state=state)
    check(np.concatenate([first, second], axis=1), whole, 1e-14)
    check(h_2, h, 1e-14)
    check(c_2, c, 1e-14)


def test_a_layer_on_its_own_refuses_nan_at_a_real_step():
    x = np.ones((2, 3, 1))
    x[1, 2, 0] = np.nan
    layer = ml.LSTM(2)
    with pytest.raises(ValueError, match=r"x must be finite, got NaN at \[1, 2, 0\]"):
        layer(x)
    assert np.isfinite(layer(x, mask=[[True] * 3, [True, True, False]])).all()


CONFIGURED = {
    "lstm": (
        ml.LSTM(4, return_sequences=True, use_bias=False, checkpoint_steps="auto", backend="numpy", name="r"),
        (None, 3),
    ),
    "dense": (ml.Dense(4, activation="softmax", use_bias=False), (7, 3)),
    "embedding": (ml.Embedding(9, 4, mask_zero=True, input_shape=(5,)), (5,)),
    "masking": (ml.Masking(-1.5), (5, 3)),
}


@pytest.mark.parametrize("name", sorted(CONFIGURED))
def test_a_config_makes_the_layer_again_and_the_weights_have_the_shapes_said_before(name):
    layer, shape = CONFIGURED[name]
    layer.make_weights(shape, np.random.default_rng(0), np.dtype("float32"))
    again = type(layer)(**layer.config())
    assert again.config() == layer.config()
    assert again.config() != type(layer)(**(layer.config() | {"name": "other"})).config()
    found = {key: value.shape for key, value in layer.params.items()}
    assert list(again.weight_shapes(shape).items()) == list(found.items())
