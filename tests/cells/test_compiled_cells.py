"""A user's cell with backend="numba": what NumPy gives, to rounding, for every cell and use of a layer."""

from __future__ import annotations

import numpy as np
import pytest
from eight import made, sigmoid

import minilstm as ml
from minilstm.cells.program import program
from minilstm.compiled.threads import get_num_threads, set_num_threads

B, T, D, H = 5, 6, 3, 19  # H fills no number of panels
EIGHT = made()
SET = {name: ml.cells.get(name) for name in ml.cells.SET}
every_cell = pytest.mark.parametrize("cell", [*EIGHT.values(), *SET.values()], ids=[*EIGHT, *SET])


def model_of(cell, backend="numba", dtype="float64", sequences=True, units=H, **options):
    options |= {"return_sequences": sequences, "backend": backend}
    layer = ml.RNN(cell, units, input_shape=(T, D), name="rec", **options)
    model = ml.Sequential([layer, ml.Dense(2, name="out")], dtype=dtype, seed=0)
    model.compile(loss="mse", optimizer="sgd")
    rng = np.random.default_rng(1)
    model.set_weights([w + 0.3 * rng.normal(size=w.shape) for w in model.get_weights()])
    return model


def data(sequences=True, batch=B):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(batch, T, D)), rng.normal(size=(batch, T, 2) if sequences else (batch, 2))
    return x, y, rng.random((batch, T)) < 0.6


def close(found, expected, bound, scale=0.0, what=""):
    scale = max(np.abs(expected).max(initial=0), scale)
    assert found.shape == expected.shape, what
    assert np.abs(found - expected).max(initial=0) <= bound * scale, what


def same_trace(found, right, bound):
    for name, grad in right.grads.items():
        close(found.grads[name], grad, bound, what=name)
    found, right = found["rec"].arrays, right["rec"].arrays
    scale = max(np.abs(array).max() for name, array in right.items() if name in ("dh", "dc"))
    for name, array in right.items():
        if array is not None:
            close(found[name], array, bound, scale if name[0] == "d" else 0, name)  # dm of an sLSTM is 0


@every_cell
def test_the_trace_is_that_of_numpy(cell):
    """Outputs, states, what is kept, and the gradients of weights, inputs and of every step; masked, too."""
    x, y, mask = data()
    for real in (None, mask):
        same_trace(*(model_of(cell, kind).trace(x, y, mask=real) for kind in ("numba", "numpy")), 1e-12)


@pytest.mark.parametrize("name", ["own_gru", "stabilised"])
def test_in_float32_from_a_loss_on_the_last_step(name):
    x, y, mask = data(sequences=False)
    models = [model_of(EIGHT[name], kind, "float32", sequences=False) for kind in ("numba", "numpy")]
    same_trace(*(model.trace(x, y, mask=mask) for model in models), 1e-5)


def of_functions(xw, hu, prev, p):
    (h,) = prev
    z = xw + hu
    a = np.log1p(np.exp(z)) + np.log(2 + h**2) + (0.1 * z) ** 3 + np.sqrt(1 + z**2) - np.sinh(0.1 * z)
    a += np.cosh(0.1 * xw) * np.arctan(z) + np.expm1(-np.square(z)) + np.reciprocal(2 + z**2) ** 1.7
    on = (z.real > 0) & (h.real < 0.5) | ~(z.real <= 2) | (np.abs(xw.real) != 0.5)
    np.tanh(a, out=a)
    return (np.where(on & (z.real < np.inf), a, 0.1 * z) + np.zeros_like(h) * np.sin(z),), (
        np.where(z.real > 1, 1.0, z),
    )


def test_functions_of_numpy():
    cell = ml.cell(of_functions, gates=["z"])
    x, y, _ = data()
    models = [model_of(cell, kind) for kind in ("numba", "numpy")]
    assert models[0].layers[0].backend == "numba"
    same_trace(*(model.trace(x, y) for model in models), 1e-12)


def reshaped(xw, hu, prev, p):
    i, g = (xw + hu).reshape(len(xw), 2, -1).swapaxes(0, 1)
    return (sigmoid(i) * prev[0] + np.tanh(g),), ()


def by_size(xw, hu, prev, p):
    i, g = np.split(xw + hu, 2, axis=-1)
    return (sigmoid(i) * prev[0] + np.tanh(g) / prev[0].shape[-1],), ()


@pytest.mark.parametrize(
    ("forward", "words"),
    [
        (reshaped, "functions that are not known one by one"),
        (by_size, "numbers that depend on the shape of its arguments"),
    ],
)
def test_what_cannot_be_compiled_works_in_numpy_after_one_warning(forward, words):
    cell = ml.cell(forward, gates="ig")
    with pytest.warns(RuntimeWarning, match=f"no compiled kernel for {cell.name} with .* uses {words}"):
        model = model_of(cell)
    assert model.layers[0].backend == "numpy"
    assert program(cell, "float64") == words


# ------------------------------------------------------------ the layer


OPTIONS = [
    {"go_backwards": True, "zero_output_for_mask": True},
    {"stateful": True},
    {"use_bias": False},
    {"checkpoint_steps": 2},
    {"checkpoint_slots": 2},
    {"truncate_steps": 4, "truncate_from": "end"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options_do_what_they_do_in_numpy(options):
    x, y, mask = data()
    models = [model_of(EIGHT["own_gru"], kind, **options) for kind in ("numba", "numpy")]
    for model in models:
        for _ in range(2):
            model.train_on_batch(x, y, mask=mask)
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        close(a, b, 1e-12)


def test_memory_is_known_beforehand_and_norms_are_those_of_the_trace():
    cell, (x, y, mask) = EIGHT["stabilised"], data()
    layer = model_of(cell).layers[0]
    assert layer.forward(x, None, keep="boundaries")[2].nbytes == layer.tape_bytes(B, T)
    seen = {}
    for kind in ("numba", "numpy"):
        model = model_of(cell, kind)
        model.layers[0].observer = lambda gradients, _, kind=kind: seen.update({kind: gradients.norms})
        model.train_on_batch(x, y, mask=mask)
    for a, b in zip(seen["numba"], seen["numpy"], strict=True):
        close(np.asarray(a), np.asarray(b), 1e-12, 1e-3)


def test_a_sample_has_its_bits_in_any_batch_stream_and_number_of_threads():
    cell, (x, y, _) = EIGHT["own_lstm"], data(batch=40)
    before, weights = get_num_threads(), []
    whole = model_of(cell).predict(x)
    np.testing.assert_array_equal(model_of(cell).predict(x[7:9]), whole[7:9])
    stream = model_of(cell).stream(batch=40)
    steps = [stream(x[:, 0]), *np.moveaxis(stream(x[:, 1:]), 1, 0)]
    np.testing.assert_array_equal(np.stack(steps, axis=1), whole)
    try:
        for count in (1, 2):
            set_num_threads(count)
            model = model_of(cell)
            model.fit(x, y, epochs=2, batch_size=40, verbose=0)
            weights.append(model.get_weights())
    finally:
        set_num_threads(before)
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_gradients_hold_and_a_saved_model_stays_compiled(tmp_path):
    cell, (x, y, mask) = EIGHT["peephole"], data()
    model = model_of(cell, units=4)
    assert ml.gradcheck(model, x, y, mask=mask, entries=20).ok
    model.save(tmp_path / "model.npz")
    again = ml.load_model(tmp_path / "model.npz", cells={"peephole": cell})
    assert again.layers[0].backend == "numba"
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


def test_with_a_backward_by_hand():
    base = ml.LSTM(1).cell
    cell = ml.cell(
        lambda *arguments: base.forward(*arguments),
        gates="ifgo", states="hc", kept="ifgo", backward=base.backward, name="by_hand",
    )  # fmt: skip
    x, y, mask = data()
    same_trace(*(model_of(cell, kind).trace(x, y, mask=mask) for kind in ("numba", "numpy")), 1e-12)


@pytest.mark.parametrize("batch", [0, 1])
def test_an_empty_batch_and_one_sample(batch):
    models = [model_of(EIGHT["own_gru"], kind) for kind in ("numba", "numpy")]
    found, right = (model.predict(data(batch=max(batch, 1))[0][:batch]) for model in models)
    close(found, right, 1e-12)
