"""The trace against a hand-written PyTorch loop, step by step; its norms and ledger; it changes nothing."""

from __future__ import annotations

import re

import numpy as np
import oracle
import pytest
from tolerances import PARITY, check

import minilstm as ml
from minilstm.bptt.cell import Weights
from minilstm.bptt.lstm import LSTMCell
from minilstm.trace.trace import LayerTrace

N, T, D, H = 5, 7, 3, 4
BOUND = PARITY["float64"]
BACKENDS = ["numpy", "numba"]
ARRAYS = ("h", "c", "i", "f", "g", "o", "dh", "dc", "external", "dz", "dx", "x")
on_backends = pytest.mark.parametrize("backend", BACKENDS)


def masks() -> dict[str, np.ndarray | None]:
    lengths = np.array([7, 1, 4, 0, 6])[:, None]
    return {
        "none": None,
        "post": np.arange(T) < lengths,
        "pre": np.arange(T) >= T - lengths,
        "holes": np.random.default_rng(3).random((N, T)) < 0.6,
    }


def model_of(*layers, loss="mse", dtype="float64", optimizer="sgd", seed=0):
    """A compiled model with weights of no special kind."""
    model = ml.Sequential(list(layers), dtype=dtype, seed=seed)
    model.compile(optimizer=optimizer, loss=loss)
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=w.shape) * 0.5 for w in model.get_weights()])
    return model


def x_of(seed=1):
    return np.random.default_rng(seed).normal(size=(N, T, D))


def targets(loss: str, sequences: bool, units: int) -> np.ndarray:
    rng = np.random.default_rng(2)
    rows = (N, T) if sequences else (N,)
    if loss == "sparse_categorical_crossentropy":
        return rng.integers(0, units, rows)
    if loss == "binary_crossentropy":
        return rng.integers(0, 2, (*rows, units)).astype(float)
    return rng.normal(size=(*rows, units))


# ------------------------------------------------------------------------------ against PyTorch


def torch_loss(loss: str, z, y, mask):
    """The loss from the head's pre-activations, over the rows that count."""
    import torch
    from torch.nn import functional

    if mask is not None and z.ndim == 3:
        z, y = z[torch.tensor(mask)], y[mask]
    if loss == "sparse_categorical_crossentropy":
        return functional.cross_entropy(z.reshape(-1, z.shape[-1]), torch.tensor(y.reshape(-1)))
    if loss == "binary_crossentropy":
        return functional.binary_cross_entropy_with_logits(z, torch.tensor(y))
    return functional.mse_loss(z, torch.tensor(y))


ACTIVATION = {"sparse_categorical_crossentropy": "softmax", "binary_crossentropy": "sigmoid", "mse": None}


@on_backends
@pytest.mark.parametrize("mask", sorted(masks()))
@pytest.mark.parametrize("return_sequences", [False, True], ids=["last", "sequences"])
@pytest.mark.parametrize("stacked", [False, True], ids=["one", "two"])
@pytest.mark.parametrize("loss", sorted(ACTIVATION))
def test_every_array_is_that_of_a_torch_loop(torch, backend, mask, return_sequences, stacked, loss):
    """h c i f g o dh dc external dz dx per step, initial state's and weights' gradients, loss and output."""
    names = ["low", "rec"] if stacked else ["rec"]
    units = {"low": 3, "rec": H}
    layers = [
        ml.LSTM(units[name], return_sequences=name == "low" or return_sequences, backend=backend, name=name)
        for name in names
    ]
    layers[0].input_shape = (T, D)
    model = model_of(*layers, ml.Dense(3, activation=ACTIVATION[loss]), loss=loss)
    x, y, real = x_of(), targets(loss, return_sequences, 3), masks()[mask]
    rng = np.random.default_rng(4)
    states = {
        name: [rng.uniform(-0.9, 0.9, (N, units[name])), rng.normal(size=(N, units[name]))] for name in names
    }
    trace = model.trace(x, y, mask=real, initial_state=states)

    x_clean = x if real is None else np.where(real[..., None], x, 0)
    leaves = {name: torch.tensor(w, requires_grad=True) for name, w in model.named_weights.items()}
    time_mask = None if real is None else torch.tensor(real.T)
    below = list(torch.tensor(x_clean.transpose(1, 0, 2), requires_grad=True).unbind(0))
    for row in below:
        row.retain_grad()
    runs = {}
    for name in names:
        weights = [leaves[f"{name}/{key}"] for key in ("kernel", "recurrent_kernel", "bias")]
        start = [torch.tensor(s, requires_grad=True) for s in states[name]]
        # what enters a layer is a tensor of its own, so that dx and external can be told apart from dh
        entering = [row * 1 for row in below]
        for row in entering:
            row.retain_grad()
        h, c, z = oracle.torch_run(*weights, entering, *start, time_mask)
        below = [row * 1 for row in h]
        for row in below:
            row.retain_grad()
        runs[name] = (h, c, z, entering, below, start)
    head = torch.stack(below, 1) if return_sequences else below[-1]
    logits = head @ leaves["dense/kernel"] + leaves["dense/bias"]
    value = torch_loss(loss, logits, y, real)
    value.backward()

    assert trace.loss == pytest.approx(value.item(), rel=1e-13)
    for name, leaf in leaves.items():
        check(trace.grads[name], leaf.grad.numpy(), BOUND, what=name)

    def stack(tensors, gradient=False):
        if gradient:
            return np.stack([oracle._gradient(tensor) for tensor in tensors], axis=1)
        return np.stack([tensor.detach().numpy() for tensor in tensors], axis=1)

    for name in names:
        h, c, z, entering, leaving, start = runs[name]
        found = trace[name]
        shown = np.ones((N, T, 1)) if real is None else real[..., None]
        blocks = np.split(stack(z), 4, axis=-1)
        gates = [np.tanh(b) if k == 2 else oracle.logistic(b) for k, b in enumerate(blocks)]
        expected = {"h": stack(h), "c": stack(c), "dh": stack(h, True), "dc": stack(c, True)}
        expected |= {gate: shown * values for gate, values in zip("ifgo", gates, strict=True)}
        expected |= {"dz": stack(z, True), "dx": stack(entering, True), "external": stack(leaving, True)}
        expected |= {"x": shown * stack(entering)}
        assert sorted(expected) == sorted(ARRAYS) == sorted(found.names)
        for array, reference in expected.items():
            check(getattr(found, array), reference, BOUND, steps=1, what=f"{name}.{array}")
        check(found.h0, states[name][0], 0)
        check(found.c0, states[name][1], 0)
        check(found.dh0, start[0].grad.numpy(), BOUND, what="dh0")
        check(found.dc0, start[1].grad.numpy(), BOUND, what="dc0")
        np.testing.assert_array_equal(found.real, np.ones((N, T), bool) if real is None else real)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_backends_agree(dtype):
    traces = []
    for backend in BACKENDS:
        low = ml.LSTM(3, return_sequences=True, input_shape=(T, D), backend=backend)
        model = model_of(low, ml.LSTM(H, backend=backend), ml.Dense(1), dtype=dtype)
        traces.append(model.trace(x_of(), np.arange(N), mask=masks()["holes"]))
    for ours, theirs in zip(*traces, strict=True):
        for name in ARRAYS:
            assert getattr(ours, name).dtype == dtype
            check(
                getattr(ours, name),
                getattr(theirs, name).astype("float64"),
                PARITY[dtype],
                steps=1,
                what=name,
            )


# ------------------------------------------------------------------------------ where layers stand


def test_names_and_indexes():
    low = ml.LSTM(3, return_sequences=True, input_shape=(T, D), name="low")
    model = model_of(low, ml.LSTM(H), ml.Dense(1))
    trace = model.trace(x_of(), np.zeros(N))
    assert len(trace) == 2
    assert [layer.name for layer in trace] == ["low", "lstm"]
    assert trace[0] is trace["low"]
    assert trace[-1] is trace["lstm"]
    assert list(trace.grads) == list(model.named_weights)
    np.testing.assert_array_equal(trace.output, model.predict(x_of()))
    with pytest.raises(KeyError, match=r"layer must be one of .*'low', 'lstm'.*, got 'dense'"):
        trace["dense"]
    with pytest.raises(ValueError, match=r"name must be 'h' or 'c' or .*, got 'dw'"):
        trace["low"].norm("dw")


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [ml.Dense(4, input_shape=(T, D)), ml.Dense(3, activation="tanh"), ml.LSTM(H), ml.Dense(1)],
        lambda: [ml.Masking(input_shape=(T, D)), ml.Dense(4), ml.LSTM(H), ml.Dense(1)],
        lambda: [ml.LSTM(3, return_sequences=True, input_shape=(T, D)), ml.Dense(4), ml.LSTM(H), ml.Dense(1)],
        lambda: [ml.LSTM(1, input_shape=(T, D))],
        lambda: [ml.LSTM(H, use_bias=False, input_shape=(T, D)), ml.Dense(1, use_bias=False)],
    ],
    ids=["dense dense lstm", "masking dense lstm", "lstm dense lstm", "lstm alone", "no bias"],
)
def test_its_gradients_are_those_that_training_uses(layers):
    """One step of plain gradient descent moves each weight by -learning_rate * gradient."""
    model = model_of(*layers(), optimizer=ml.SGD(learning_rate=1.0))
    before = model.get_weights()
    y = np.random.default_rng(1).normal(size=(N, 1))
    trace = model.trace(x_of(), y, mask=masks()["post"])
    value = model.train_on_batch(x_of(), y, mask=masks()["post"])
    assert trace.loss == value
    for old, new, grad in zip(before, model.get_weights(), trace.grads.values(), strict=True):
        assert grad.any()
        np.testing.assert_allclose(old - new, grad, rtol=1e-9, atol=1e-14)


def test_embedding_below():
    layers = [ml.Embedding(9, 4, mask_zero=True, input_shape=(T,)), ml.Dense(3), ml.LSTM(H), ml.Dense(1)]
    model = model_of(*layers, optimizer=ml.SGD(learning_rate=1.0))
    ids = np.random.default_rng(0).integers(0, 9, (N, T))
    before = model.get_weights()
    trace = model.trace(ids, np.arange(N))
    np.testing.assert_array_equal(trace[0].real, ids != 0)
    model.train_on_batch(ids, np.arange(N))
    for old, new, grad in zip(before, model.get_weights(), trace.grads.values(), strict=True):
        np.testing.assert_allclose(old - new, grad, rtol=1e-9, atol=1e-14)


# ------------------------------------------------------------------------------ it changes nothing


@on_backends
def test_fit_after_a_trace_gives_the_bits_of_fit_without(backend):
    def fitted(traced: bool):
        model = model_of(ml.LSTM(H, input_shape=(T, D), backend=backend), ml.Dense(1), optimizer="adam")
        y = np.arange(N) / N
        for _ in range(2):
            if traced:
                before = model.get_weights()
                trace = model.trace(x_of(), y, mask=masks()["post"])
                trace["lstm"].dh[:] = 7  # the reader's own copy
                for old, new in zip(before, model.get_weights(), strict=True):
                    np.testing.assert_array_equal(old, new)
            history = model.fit(x_of(), y, batch_size=2, epochs=2, verbose=0)
        return [*model.get_weights(), history.history["loss"]]

    for ours, theirs in zip(fitted(True), fitted(False), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_two_traces_are_the_same_bits_and_share_no_memory():
    model = model_of(ml.LSTM(H, input_shape=(T, D)), ml.Dense(1))
    first, second = (model.trace(x_of(), np.zeros(N)) for _ in range(2))
    for name in ARRAYS:
        ours, theirs = getattr(first[0], name), getattr(second[0], name)
        np.testing.assert_array_equal(ours, theirs)
        assert not np.shares_memory(ours, theirs)
    for weight in model.named_weights.values():
        assert not any(np.shares_memory(weight, grad) for grad in first.grads.values())


# ------------------------------------------------------------------------------ norms, status, horizon


def hand_made(dh: np.ndarray, real: np.ndarray | None = None, reached=True) -> LayerTrace:
    """A LayerTrace that holds `dh` in all its arrays."""
    real = np.ones(dh.shape[:2], bool) if real is None else real
    path = np.broadcast_to(reached, real.shape)
    arrays = dict.fromkeys((*ARRAYS, "h0", "c0", "dh0", "dc0"), dh)
    return LayerTrace(
        name="made",
        cell=LSTMCell(),
        weights=Weights(*np.zeros((3, 1, 1))),
        arrays=arrays,
        real=real,
        cut=np.zeros(real.shape[1], bool),
        reached=dict.fromkeys(("dh", "dc", "dz", "dx"), path),
    )


def test_norm_is_the_l2_norm_over_units_and_samples():
    trace = hand_made(x_of())
    np.testing.assert_allclose(trace.norm("dh"), [np.linalg.norm(x_of()[:, t]) for t in range(T)], rtol=1e-14)
    np.testing.assert_allclose(trace.norm("dh", per_sample=True), np.linalg.norm(x_of(), axis=2), rtol=1e-14)


def test_norm_leaves_masked_steps_out_whatever_they_hold():
    real = masks()["post"]
    dh = np.where(real[..., None], x_of(), np.nan)
    trace = hand_made(dh, real)
    clean = np.where(real[..., None], x_of(), 0)
    np.testing.assert_allclose(trace.norm("dh"), np.linalg.norm(clean, axis=(0, 2)), rtol=1e-14)
    np.testing.assert_allclose(trace.norm("dh", per_sample=True), np.linalg.norm(clean, axis=2), rtol=1e-14)


@pytest.mark.parametrize("scale", [1e-200, 1e-308, 1e200])
def test_norm_neither_underflows_nor_overflows(scale):
    norms = hand_made(np.full((2, 3, 2), scale)).norm("dh")
    assert norms.dtype == np.float64
    np.testing.assert_allclose(norms, 2 * scale, rtol=1e-14)
    huge = np.full((1, 1, 1), 3e38, "float32")
    np.testing.assert_allclose(hand_made(huge).norm("dh"), 3e38, rtol=1e-7)
    least = np.full((1, 1, 4), 1e-45, "float32")
    np.testing.assert_allclose(hand_made(least).norm("dh"), 2 * float(least[0, 0, 0]), rtol=1e-14)


def test_norm_of_nan_and_inf():
    dh = np.ones((2, 3, 2))
    dh[0, 0, 0], dh[1, 2, 1] = np.nan, -np.inf
    norms = hand_made(dh).norm("dh")
    assert np.isnan(norms[0])
    assert norms[1:].tolist() == [2, np.inf]


@pytest.mark.parametrize("mask", sorted(masks()))
def test_lag_norm_by_brute_force(mask):
    """Counted back in real steps from each sample's last real step."""
    real = masks()[mask]
    real = np.ones((N, T), bool) if real is None else real
    trace = hand_made(x_of(), real)
    pooled: dict[int, list[float]] = {}
    for sample in range(N):
        for lag, step in enumerate(reversed(np.flatnonzero(real[sample]))):
            pooled.setdefault(lag, []).extend(x_of()[sample, step])
    expected = [np.linalg.norm(pooled[lag]) for lag in sorted(pooled)]
    np.testing.assert_allclose(trace.lag_norm("dh"), expected, rtol=1e-14)


def decaying(norms: list[float]) -> LayerTrace:
    """One sample whose norm k steps before the end is norms[k]."""
    return hand_made(np.array(norms[::-1])[None, :, None])


@pytest.mark.parametrize(
    ("norms", "threshold", "expected"),
    [
        ([1, 0.5, 0.02, 0.009], 0.01, 3),
        ([1, 0.5, 0.02, 0.01], 0.01, 4),  # at the threshold counts
        ([1, 0.001, 0.5, 0.0], 0.01, 3),  # the last that reaches it, not the first that fails
        ([1], 0.01, 1),
        ([1, 0], 0.5, 1),
        ([0.001, 1.0, 0.0], 0.01, 2),  # the largest need not be at the end
        ([0, 0, 0], 0.01, 0),
        ([1e-300, 1e-301, 1e-303], 0.05, 2),
        ([1e-320, 0, 0], 0.5, 1),
    ],
)
def test_horizon_by_hand(norms, threshold, expected):
    assert decaying(norms).horizon(threshold) == expected


def test_horizon_counts_real_steps_only():
    """Post-padding moves neither the horizon nor the norms behind it."""
    plain = decaying([1, 0.5, 0.02, 0.009])
    dh = np.concatenate([plain.dh, np.ones((1, 3, 1))], axis=1)
    real = np.arange(7)[None] < 4
    padded = hand_made(dh, real)
    assert padded.horizon(0.01) == plain.horizon(0.01) == 3
    np.testing.assert_array_equal(padded.lag_norm("dh"), plain.lag_norm("dh"))


def test_horizon_of_nan_of_nothing_and_of_other_arrays():
    assert np.isnan(decaying([1, np.nan]).horizon())
    assert hand_made(x_of(), np.zeros((N, T), bool)).horizon() == 0
    assert decaying([1, 0.5, 0.02]).horizon(0.1, name="dc") == 2


@pytest.mark.parametrize("threshold", [0, -0.1, 1, 1.5, np.nan])
def test_horizon_refuses_a_threshold_out_of_range(threshold):
    with pytest.raises(ValueError, match="threshold must be a finite number > 0 and < 1, got"):
        decaying([1]).horizon(threshold)


def test_status_by_hand():
    tiny = float(np.finfo("float32").tiny)
    dh = np.array([1, 0, 0, tiny / 2, tiny, np.nan, np.inf, 5], "float32")[None, :, None]
    real = np.array([[1, 1, 1, 1, 1, 1, 1, 0]], bool)
    path = np.array([[1, 0, 1, 1, 1, 1, 1, 1]], bool)
    expected = ["ok", "zero", "underflow", "underflow", "ok", "nan", "inf", "masked"]
    assert hand_made(dh, real, path).status("dh").tolist() == expected


@on_backends
def test_status_of_a_gradient_that_vanishes(backend):
    """Nearly closed forget gates over 120 steps in float32: ok, then underflow, never zero."""
    steps = 120
    model = model_of(ml.LSTM(H, input_shape=(steps, D), backend=backend), ml.Dense(1), dtype="float32")
    weights = model.get_weights()
    weights[1] *= 0.01
    weights[2][H : 2 * H] = -4
    model.set_weights(weights)
    trace = model.trace(np.random.default_rng(0).normal(size=(N, steps, D)), np.ones(N))[0]
    status = trace.status("dh").tolist()
    assert status[-1] == "ok"
    assert status[0] == "underflow"
    assert set(status) == {"ok", "underflow"}
    assert status == sorted(status, key=["underflow", "ok"].index)
    assert 0 < trace.horizon(0.01) < 20


@on_backends
def test_status_without_recurrent_weights_is_zero_not_underflow(backend):
    """No path leads from h_t to a later h, so dh is exactly 0; dc still flows through the carousel."""
    model = model_of(ml.LSTM(H, input_shape=(T, D), backend=backend), ml.Dense(1))
    weights = model.get_weights()
    weights[1][:] = 0
    model.set_weights(weights)
    trace = model.trace(x_of(), np.ones(N))[0]
    assert trace.status("dh").tolist() == ["zero"] * (T - 1) + ["ok"]
    assert trace.status("dc").tolist() == ["ok"] * T
    assert trace.status("external").tolist() == ["zero"] * (T - 1) + ["ok"]
    assert trace.horizon() == 1


def test_status_of_masked_steps():
    model = model_of(ml.LSTM(H, input_shape=(T, D)), ml.Dense(1))
    real = np.arange(T)[None] < np.full((N, 1), T - 2)
    trace = model.trace(x_of(), np.ones(N), mask=real)[0]
    for name in ("h", "dh", "dz"):
        assert trace.status(name).tolist() == ["ok"] * (T - 2) + ["masked"] * 2


# ------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"initial_state": {"other": [0, 0]}}, ValueError, "initial_state must be 'lstm', got 'other'"),
        (
            {"initial_state": {"lstm": [np.zeros((2, H))] * 2}},
            ValueError,
            f"of shape ({N}, {H}) each, got (2, {H})",
        ),
        ({"mask": np.ones((N, T + 1))}, ValueError, f"mask must be of shape ({N}, {T}) (batch, time)"),
        ({"y": np.ones(N + 1)}, ValueError, f"x and y must be of the same length, got {N} and {N + 1}"),
        ({"y": np.full(N, np.nan)}, ValueError, "y contains NaN"),
        ({"x": np.ones((N, T, D + 1))}, ValueError, "x must be of shape (batch, 7, 3)"),
    ],
)
def test_arguments(arguments, error, text):
    model = model_of(ml.LSTM(H, input_shape=(T, D)), ml.Dense(1))
    with pytest.raises(error, match=re.escape(text)):
        model.trace(**({"x": x_of(), "y": np.ones(N)} | arguments))


def test_a_model_without_a_recurrent_layer_or_without_a_loss():
    model = ml.Sequential([ml.Dense(1, input_shape=(D,))])
    with pytest.raises(RuntimeError, match="must be compiled first"):
        model.trace(np.ones((2, D)), [1, 2])
    model.compile(loss="mse")
    with pytest.raises(ValueError, match="model must be with at least one recurrent layer, to be traced"):
        model.trace(np.ones((2, D)), [1, 2])


def test_no_path_leads_over_the_cut_of_truncated_bptt():
    model = ml.Sequential([ml.LSTM(4, input_shape=(12, 2), truncate_steps=4), ml.Dense(1)], seed=0)
    model.compile(loss="mse")
    rng = np.random.default_rng(0)
    status = model.trace(rng.normal(size=(3, 12, 2)), rng.normal(size=3))["lstm"].status("dh")
    assert status.tolist() == ["zero"] * 8 + ["ok"] * 4


# ------------------------------------------------------------------------------ what made the norm


def test_the_culprit_is_the_step_that_the_weights_gradient_came_from():
    """A large input at step 2: there dz is no larger than elsewhere, but what it adds to the weights is."""
    low = ml.SimpleRNN(3, return_sequences=True, input_shape=(T, D), name="low")
    model = model_of(low, ml.LSTM(H, name="rec"), ml.Dense(1))
    model.named_weights["low/kernel"][...] *= 1e-3  # so that the input does not saturate
    x = x_of()
    x[:, 2] *= 1e3
    trace = model.trace(x, np.ones(N))
    culprit = trace.culprit()
    assert (culprit.layer, culprit.gate, culprit.step) == ("low", "h", 2)
    assert trace["low"].norm("dz").argmax() != 2
    total = sum((grad**2).sum() for grad in trace.grads.values())
    low_part = sum((grad**2).sum() for name, grad in trace.grads.items() if name.startswith("low/"))
    assert culprit.share == pytest.approx(low_part / total)
    assert 0.9 < culprit.step_share / culprit.share < 1.1


def test_no_culprit_without_a_finite_gradient():
    model = model_of(ml.LSTM(H, input_shape=(T, D), name="rec"), ml.Dense(1))
    assert model.trace(x_of(), model.predict(x_of())).culprit() is None
    model.named_weights["rec/kernel"][0, 0] = np.nan
    assert model.trace(x_of(), np.ones(N)).culprit() is None
    model = model_of(ml.LSTM(H, input_shape=(T, D), name="rec"), ml.Dense(1))
    model.named_weights["dense/kernel"][...] = 0
    assert model.trace(x_of(), np.ones(N)).culprit() is None


# ------------------------------------------------------------------------------ where little is there


@pytest.mark.parametrize("cell", [ml.LSTM, ml.GRU, ml.SimpleRNN])
def test_documented_answers_where_there_is_little_to_measure(cell):
    """T = 1, a sample without a real step, a batch without one: no NaN mean, no warning (an error here)."""
    some = np.array([[False] * 5, [True] * 5, [True] + 4 * [False]])
    for steps, mask in ((1, None), (5, some), (5, np.zeros((3, 5), bool))):
        layer = cell(H, input_shape=(steps, D), name="rec", backend="numpy")
        trace = model_of(layer, ml.Dense(1)).trace(np.ones((3, steps, D)), np.ones(3), mask)
        rec = trace["rec"]
        ledger, nothing = rec.ledger(), mask is not None and not mask.any()
        expected = "one step" if steps == 1 else "no gradient" if nothing else None
        assert expected is None or rec.verdict().word == expected
        assert rec.horizon(sample=0) == (0 if mask is not None else 1)
        assert np.isnan(rec.decay(sample=0).rate)
        assert rec.decay(sample=0).count == (0 if mask is not None else 1)
        assert (trace.culprit() is None) == nothing
        found = [*ledger.mean_shares().values(), *ledger.norm_shares().values(), ledger.input_norms()]
        assert all(np.isfinite(value).all() for value in found)
        assert trace.first_nonfinite() is None


def test_a_sample_that_is_not_there():
    rec = hand_made(x_of())
    for call in (rec.horizon, rec.decay):
        with pytest.raises(ValueError, match=f"sample must be a row of the batch, 0 to {N - 1}, got 99"):
            call(sample=99)
        with pytest.raises(ValueError, match="sample must be a whole number >= 0, got -1"):
            call(sample=-1)
