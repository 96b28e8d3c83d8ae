"""Cells of a user: their gradients beside autograd, the hand-written cells, and every instrument."""

from __future__ import annotations

import types

import numpy as np
import pytest
from eight import made, sigmoid

import minilstm as ml
from minilstm.bptt import segments
from minilstm.bptt.cell import Weights
from minilstm.bptt.gru import GRUCell
from minilstm.bptt.lstm import LSTMCell
from minilstm.bptt.simple_rnn import SimpleRNNCell
from minilstm.bptt.variants import LSTMVariant
from minilstm.cells.activations import get
from minilstm.cells.user import ENGINE
from minilstm.compiled.engines import without_kernel
from minilstm.trace import dynamics

B, T, D, H = 4, 7, 3, 5
EIGHT = made()
SET = {name: ml.cells.get(name) for name in ml.cells.SET}
every_cell = pytest.mark.parametrize("cell", [*EIGHT.values(), *SET.values()], ids=[*EIGHT, *SET])
eight = pytest.mark.parametrize("cell", EIGHT.values(), ids=EIGHT)
LESSON = [
    LSTMCell(),
    GRUCell(),
    SimpleRNNCell(),
    LSTMVariant(peepholes=True),
    LSTMVariant(forget_gate="coupled", peepholes=True),
    LSTMVariant(activation=get("relu"), recurrent_activation=get("hard_sigmoid")),
]


def model_of(cell, steps=T, sequences=False, dtype="float64", scale=0.3, **options):
    layer = ml.RNN(cell, H, return_sequences=sequences, input_shape=(steps, D), name="rec", **options)
    model = ml.Sequential([layer, ml.Dense(2, name="out")], dtype=dtype, seed=0)
    model.compile(loss="mse", optimizer="sgd")
    rng = np.random.default_rng(1)
    model.set_weights([w + scale * rng.normal(size=w.shape) for w in model.get_weights()])
    return model


def data(steps=T, sequences=False):
    rng = np.random.default_rng(2)
    return rng.normal(size=(B, steps, D)), rng.normal(size=(B, steps, 2) if sequences else (B, 2))


def close(found, expected, bound, what=""):
    error = np.abs(found - expected).max(initial=0) / max(np.abs(expected).max(initial=0), 1e-300)
    assert error <= bound, (what, error)


# ------------------------------------------------------------ the derivatives


@pytest.mark.parametrize("base", LESSON, ids=lambda cell: f"{cell.name} {without_kernel(cell)}")
@pytest.mark.parametrize("by_hand", [False, True])
def test_gradients_are_those_of_the_hand_written_cells(base, by_hand):
    """To 1e-13 in float64, of weights, inputs, states, and of each step."""

    def forward(xw, hu, prev, p):
        return base.forward(xw, hu, prev, p)

    options = {"backward": base.backward} if by_hand else {}
    rows = [f"p{row}" for row in base.rows]
    mine = ml.cell(forward, gates=base.gates, states=base.states, kept=base.kept, p=rows, **options)
    rng, n = np.random.default_rng(0), len(base.gates)
    rb = rng.normal(size=n * H) if base.name == "gru" else None
    p = rng.normal(size=(len(rows), H)) if rows else None
    shapes = (D, n * H), (H, n * H), n * H
    weights = Weights(*(rng.normal(size=shape) for shape in shapes), rb, p)
    x, external, mask = (rng.normal(size=(T, B, k)) for k in (D, H, 1))
    mask = mask[..., 0] > -0.5
    right = segments.backward(weights, segments.forward(base, weights, x, mask), external, record=True)
    tape = segments.forward(mine, weights, x, mask, engine=ENGINE, segment_steps=3)
    found = segments.backward(weights, tape, external, record=True)
    for one, other in (
        (found.dweights, right.dweights),
        (found.dtotal, right.dtotal),
        (found.dstate, right.dstate),
        ((found.dx, found.dz), (right.dx, right.dz)),
    ):
        for a, b in zip(one, other, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                close(a, b, 1e-13)


class TorchNames:
    """NumPy's names for the functions that the eight cells call."""

    def __init__(self, torch):
        self.exp, self.tanh, self.cos, self.sin = torch.exp, torch.tanh, torch.cos, torch.sin
        self.where = lambda condition, a, b: torch.where(condition, a, b)
        self.split = lambda array, sections, axis: array.chunk(sections, dim=axis)


@eight
def test_the_trace_is_what_a_torch_loop_gives(cell, torch):
    """The same lines of Python run by torch: every state's gradient at every step, and every weight's."""
    model, (x, y) = model_of(cell), data()
    trace = model.trace(x, y)
    names = {"np": TorchNames(torch)}
    names["sigmoid"] = types.FunctionType(sigmoid.__code__, dict(names))
    forward = types.FunctionType(cell.function.__code__, names)
    weights = {name: torch.tensor(w, requires_grad=True) for name, w in model.named_weights.items()}
    state = tuple(torch.zeros(B, H, dtype=torch.float64) for _ in cell.states)
    b, rb = weights["rec/bias"] if cell.recurrent_bias else (weights["rec/bias"], 0)
    U, met = weights.get("rec/recurrent_kernel"), []
    for t in range(T):
        hu = None if U is None else state[0] @ U + rb
        state, _ = forward(torch.tensor(x[:, t]) @ weights["rec/kernel"] + b, hu, state, weights.get("rec/p"))
        for part in state:
            part.retain_grad()
        met.append(state)
    output = state[0] @ weights["out/kernel"] + weights["out/bias"]
    torch.nn.functional.mse_loss(output, torch.tensor(y)).backward()
    for name, weight in weights.items():
        close(trace.grads[name], weight.grad.numpy(), 1e-12, name)
    rec = trace["rec"]
    for k, name in enumerate(cell.states):
        close(rec.arrays[name], np.stack([s[k].detach().numpy() for s in met], 1), 1e-13, name)
        grads = [np.zeros((B, H)) if s[k].grad is None else s[k].grad.numpy() for s in met]
        scale = max(np.abs(rec.arrays[f"d{other}"]).max() for other in cell.states)  # dm of an sLSTM is 0
        np.testing.assert_allclose(rec.arrays[f"d{name}"], np.stack(grads, 1), rtol=0, atol=1e-12 * scale)


@every_cell
def test_float32_is_float64_to_its_rounding(cell):
    x, y = data()
    found, right = (model_of(cell, dtype=dtype).trace(x, y) for dtype in ("float32", "float64"))
    for name, grad in right.grads.items():
        assert found.grads[name].dtype == np.float32
        close(found.grads[name], grad, 3e-5, name)


# ------------------------------------------------------------ the instruments


@every_cell
@pytest.mark.parametrize("masked", [False, True])
def test_ledger_routes_and_contributions(cell, masked):
    x, y = data(sequences=True)
    mask = np.random.default_rng(3).random((B, T)) < 0.7 if masked else None
    trace = model_of(cell, sequences=True).trace(x, y, mask=mask)
    rec, ledger = trace["rec"], trace["rec"].ledger()
    assert list(ledger.terms) == [f"d{state}" for state in cell.states]
    for total in ledger.terms:
        assert (ledger.residual(total) <= 1e-12).all()
    close(sum(ledger.routes.values()), rec.arrays[f"d{rec.memory}"], 1e-13)
    for name in rec.named_weights:
        if cell.recurrent_map is None or name != "recurrent_kernel":
            total = sum(ledger.contribution(t)[name] for t in range(T))
            close(total, trace.grads[f"rec/{name}"], 1e-12, name)
    assert sum(share.sum() for share in ledger.norm_shares().values()) == pytest.approx(1, rel=1e-12)
    shares = ledger.mean_shares()
    if not cell.recurrent:
        assert shares["recurrent weights"] == 0


@pytest.mark.slow
@every_cell
def test_gradcheck_over_two_hundred_steps(cell):
    x, y = data(200)
    report = ml.gradcheck(model_of(cell, 200, scale=0.1), x, y, entries=40)
    assert report.ok, str(report)
    assert report.max_error < 1e-11


@every_cell
def test_jacobians_are_derivatives_of_the_step(cell):
    x, y = data()
    rec = model_of(cell).trace(x, y)["rec"]
    found = dynamics.jacobians(rec, 1)
    weights, t = rec.weights, 4
    prev = [rec.before(state)[1:2, t] for state in cell.states]
    for k in range(len(cell.states) * H):
        nudged = [part.astype(complex) for part in prev]
        nudged[k // H][0, k % H] += 1e-30j
        hu = nudged[0] @ weights.U + (0 if weights.rb is None else weights.rb)
        state, _ = cell.forward(x[1:2, t] @ weights.W + weights.b + 0j, hu, tuple(nudged), weights.p)
        column = np.concatenate([part[0].imag for part in state]) / 1e-30
        np.testing.assert_allclose(found[t][:, k], column, rtol=0, atol=1e-13 * np.abs(found[t]).max())
    assert np.isfinite(dynamics.credit_map(rec, sample=1)[-1]).all()
    verdict = rec.verdict()
    assert verdict.word in ("vanishing", "steady", "exploding")
    if verdict.gate_rate == verdict.gate_rate:
        assert (rec.effective_memory() >= 0).all()


def test_words_of_the_ledger_of_an_lstm_of_one_s_own():
    rec = model_of(EIGHT["own_lstm"]).trace(*data())["rec"]
    assert rec.ledger().terms == {
        "dh": ("external", "from_h", "held_h"),
        "dc": ("external_c", "from_h_now", "from_c", "held_c"),
    }
    np.testing.assert_allclose(rec.effective_memory(), -1 / np.log(rec.f).mean(axis=(0, 1)), rtol=1e-13)


def reshaped(xw, hu, prev, p):
    z = (xw + hu).reshape(len(xw), 4, -1)
    return stepped(*z.swapaxes(0, 1), prev)


def stacked(xw, hu, prev, p):
    return stepped(*np.stack(np.split(xw + hu, 4, axis=-1)), prev)


def in_place(xw, hu, prev, p):
    i, f, g, o = np.split(xw + hu, 4, axis=-1)
    c = np.multiply(sigmoid(f), prev[1], where=np.isfinite(f), out=np.zeros_like(f))
    c += sigmoid(i) * np.tanh(g)
    return (sigmoid(o) * np.tanh(c), c), (sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o))


def stepped(i, f, g, o, prev):
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    c = f * prev[1] + i * g
    return (o * np.tanh(c), c), (i, f, g, o)


@pytest.mark.parametrize("forward", [reshaped, stacked, in_place], ids=lambda forward: forward.__name__)
def test_functions_that_the_first_order_does_not_know_give_the_same_trace(forward):
    """The total dL/dc_t too, whose path through h of the same step no complex argument shows."""
    parts = {"gates": "ifgo", "states": "hc", "bias": {"f": 1.0}, "name": "own_lstm"}
    cell = ml.cell(forward, **parts)
    assert not cell.structure.dual
    found, right = (model_of(one).trace(*data())["rec"] for one in (cell, EIGHT["own_lstm"]))
    for name in ("h", "c", "dh", "dc", "dz", "dx"):
        close(getattr(found, name), getattr(right, name), 1e-13, name)
    assert found.ledger().terms == right.ledger().terms
    close(dynamics.jacobians(found, 1), dynamics.jacobians(right, 1), 1e-13)
    model = model_of(cell)
    assert ml.gradcheck(model, *data(), entries=20).ok
    base = LSTMCell()
    ml.cell(forward, **parts, backward=base.backward)

    def half(*arguments):
        step = base.backward(*arguments)
        return step._replace(total=tuple(0.5 * part for part in step.total))

    with pytest.raises(ValueError, match="backward must be the derivative of forward, got total of 'h' off"):
        ml.cell(forward, **parts, backward=half)


# ------------------------------------------------------------ the layer


def pair(own, theirs, **options):
    """The same weights in a layer of one's own cell and in the package's."""
    models = []
    for make in (lambda **more: ml.RNN(own, H, **more), lambda **more: theirs(H, backend="numpy", **more)):
        layer = make(input_shape=(T, D), name="rec", **options)
        model = ml.Sequential([layer, ml.Dense(2)], dtype="float64", seed=0)
        model.compile(loss="mse", optimizer="sgd")
        models.append(model)
    models[1].set_weights(models[0].get_weights())
    return models


OPTIONS = [
    {},
    {"go_backwards": True, "return_sequences": True, "zero_output_for_mask": True},
    {"stateful": True},
    {"dropout": 0.3, "recurrent_dropout": 0.3},
    {"use_bias": False},
    {"checkpoint_steps": 3},
    {"truncate_steps": 3},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("name", "theirs"), [("own_lstm", ml.LSTM), ("own_gru", ml.GRU)])
def test_options_do_what_they_do_for_the_package_s_own_layers(options, name, theirs):
    own, right = pair(EIGHT[name], theirs, **options)
    assert [w.shape for w in own.get_weights()] == [w.shape for w in right.get_weights()]
    x, y = data(sequences=bool(options.get("return_sequences")))
    mask = np.arange(T) < np.array([7, 3, 5, 1])[:, None]
    for _ in range(3):
        for model in (own, right):
            model.train_on_batch(x, y, mask=mask)
    for a, b in zip(own.get_weights(), right.get_weights(), strict=True):
        close(a, b, 1e-12)
    close(own.predict(x, mask=mask), right.predict(x, mask=mask), 1e-12)


def test_states_can_be_given_and_returned_and_the_layer_read_both_ways():
    x, _ = data()
    for cell in (EIGHT["stabilised"], EIGHT["independent"]):
        layer = ml.RNN(cell, H, return_state=True, return_sequences=True)
        output, *states = layer(x)
        assert output.shape == (B, T, H)
        assert len(states) == len(cell.states)
        first = layer(x[:, :3])
        second = layer(x[:, 3:], initial_state=list(first[1:]))
        np.testing.assert_array_equal(second[0], output[:, 3:])
        both = ml.Bidirectional(ml.RNN(cell, H, return_sequences=True))
        assert both(x).shape == (B, T, 2 * H)


@eight
def test_memory_is_known_beforehand(cell):
    model, (x, _) = model_of(cell), data()
    layer = model.layers[0]
    tape = layer.forward(x, None, keep="boundaries")[2]
    assert tape.nbytes == layer.tape_bytes(B, T)


def test_cell_is_a_decorator_too():
    def fading(xw, hu, prev, p):
        return (p[0] * prev[0] + np.tanh(xw + hu),), ()

    options = {"gates": ["g"], "p": {"a": 0.5}, "bias": {"g": 1.0}, "name": "mine"}
    assert vars(ml.cell(**options)(fading)) == vars(ml.cell(fading, **options))

    @ml.cell(gates=["g"])
    def plain(xw, hu, prev, p):
        return (np.tanh(xw + hu),), ()

    assert plain.name == "plain"


def test_bias_and_rows_begin_as_the_cell_says():
    layer = model_of(EIGHT["own_lstm"], scale=0).layers[0]
    np.testing.assert_array_equal(layer.params["bias"], np.repeat([0, 1, 0, 0], H))
    layer = model_of("diagonal", scale=0).layers[0]
    size = np.exp(-np.exp(layer.params["p"][0]))
    assert ((size > 0.9) & (size < 0.999)).all()
    assert set(layer.params) == {"kernel", "bias", "p"}


def test_an_antisymmetric_cell_learns_its_parameters_and_shows_u():
    model, (x, y) = model_of("antisymmetric"), data()
    U = model.trace(x, y)["rec"].weights.U
    np.testing.assert_allclose(U + U.T, -0.02 * np.eye(H), atol=1e-14)
    before = model.named_weights["rec/recurrent_kernel"].copy()
    model.train_on_batch(x, y)
    assert (before != model.named_weights["rec/recurrent_kernel"]).any()


@pytest.mark.parametrize("name", ["own_lstm", "stabilised", "independent"])
def test_pages_and_figures_take_any_cell(name, tmp_path):
    trace = model_of(EIGHT[name]).trace(*data())
    ml.plots.trace_report(trace, tmp_path / "trace.html")
    assert "past all weights" in (tmp_path / "trace.html").read_text()
    ml.plots.side_by_side({"one": trace["rec"]})
    ml.plots.gates(trace["rec"])


def test_a_stream_reads_step_by_step_what_predict_reads_at_once():
    model, (x, _) = model_of(EIGHT["rotation"], sequences=True), data()
    stream = model.stream(batch=B)
    steps = np.stack([stream(x[:, t]) for t in range(T)], axis=1)
    np.testing.assert_allclose(steps, model.predict(x), rtol=0, atol=1e-14)


def test_what_is_not_finite_is_found_in_any_cell():
    model, (x, y) = model_of(EIGHT["leaky"]), data()
    trace = model.trace(x, y)
    trace["rec"].arrays["h"][1, 3, 2] = np.nan
    origin = trace.first_nonfinite()
    assert (origin.quantity, origin.step, origin.sample) == ("h", 3, 1)
    assert "forward of the cell 'leaky'" in str(origin)
