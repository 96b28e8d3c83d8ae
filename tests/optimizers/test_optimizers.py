"""Optimizers against Keras, against the plain formulas in float64, and at the extremes."""

from __future__ import annotations

import copy
import inspect
import math

import numpy as np
import pytest
from conftest import require
from threadpoolctl import threadpool_limits

from minilstm import optimizers
from minilstm.foundations.errors import NonFiniteError
from minilstm.optimizers import SGD, Adam, AdamW, ExponentialDecay, RMSprop

VARIANTS = [
    (SGD, {}),
    (SGD, {"momentum": 0.9}),
    (SGD, {"momentum": 0.9, "nesterov": True}),
    (SGD, {"learning_rate": 0.3, "nesterov": True}),
    (RMSprop, {}),
    (RMSprop, {"rho": 0.5, "epsilon": 1e-2}),
    (RMSprop, {"momentum": 0.8}),
    (RMSprop, {"centered": True}),
    (RMSprop, {"centered": True, "momentum": 0.5, "learning_rate": 0.01}),
    (Adam, {}),
    (Adam, {"learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-2}),
    (Adam, {"amsgrad": True, "beta_2": 0.5}),
    (SGD, {"momentum": 0.9, "weight_decay": 0.1}),
    (RMSprop, {"weight_decay": 0.5}),
    (Adam, {"learning_rate": 0.1, "weight_decay": 0.1}),
    (AdamW, {}),
    (AdamW, {"learning_rate": 0.1, "weight_decay": 0.05, "beta_1": 0.5}),
]
CLIPS = [{}, {"clipnorm": 0.5}, {"clipvalue": 0.1}, {"global_clipnorm": 0.5}]
SHAPES = {"lstm/kernel": (3, 8), "lstm/recurrent_kernel": (2, 8), "lstm/bias": (8,), "dense/bias": (1,)}
STEPS = 30


def names(value: object) -> str:
    return getattr(value, "__name__", str(value))


def draw(dtype: str) -> tuple[dict[str, np.ndarray], list[dict[str, np.ndarray]]]:
    """Parameters, and the gradients of thirty steps; a few far above the clipping limits, one all zero."""
    rng = np.random.default_rng(0)
    params = {name: rng.normal(size=shape).astype(dtype) for name, shape in SHAPES.items()}
    grads = [
        {
            name: (rng.normal(size=shape) * 10 ** rng.uniform(-3, 1)).astype(dtype)
            for name, shape in SHAPES.items()
        }
        for _ in range(STEPS)
    ]
    for g in grads[11].values():
        g[...] = 0
    return params, grads


def plain(kind, options, clip, params, grads):
    """The formulas once more, per array in float64, straight from Keras's documentation."""
    o = {"momentum": 0.0, "rho": 0.9, "epsilon": 1e-7, "beta_1": 0.9, "beta_2": 0.999} | options
    lr = options.get("learning_rate", 0.01 if kind is SGD else 0.001)
    w = {name: value.astype(float) for name, value in params.items()}
    m, v, u, top = ({name: np.zeros(value.shape) for name, value in w.items()} for _ in range(4))
    for t, step in enumerate(grads, start=1):
        total = np.sqrt(sum((g.astype(float) ** 2).sum() for g in step.values()))
        for name, raw in step.items():
            g = raw.astype(float)
            if "clipnorm" in clip:
                g = g * clip["clipnorm"] / max(np.sqrt((g**2).sum()), clip["clipnorm"])
            if "clipvalue" in clip:
                g = np.clip(g, -clip["clipvalue"], clip["clipvalue"])
            if "global_clipnorm" in clip:
                g = g * clip["global_clipnorm"] / max(total, clip["global_clipnorm"])
            w[name] -= lr * o.get("weight_decay", 0.004 if kind is AdamW else 0.0) * w[name]
            if kind is SGD:
                m[name] = o["momentum"] * m[name] - lr * g
                w[name] += o["momentum"] * m[name] - lr * g if o.get("nesterov") else m[name]
            elif kind is RMSprop:
                v[name] = o["rho"] * v[name] + (1 - o["rho"]) * g**2
                u[name] = o["rho"] * u[name] + (1 - o["rho"]) * g
                variance = v[name] - u[name] ** 2 if o.get("centered") else v[name]
                m[name] = o["momentum"] * m[name] + lr * g / np.sqrt(variance + o["epsilon"])
                w[name] -= m[name]
            else:
                m[name] = o["beta_1"] * m[name] + (1 - o["beta_1"]) * g
                v[name] = o["beta_2"] * v[name] + (1 - o["beta_2"]) * g**2
                top[name] = np.maximum(top[name], v[name])
                root = np.sqrt(top[name] if o.get("amsgrad") else v[name])
                rate = lr * np.sqrt(1 - o["beta_2"] ** t) / (1 - o["beta_1"] ** t)
                w[name] -= rate * m[name] / (root + o["epsilon"])
    return w


@pytest.mark.parametrize("clip", CLIPS, ids=str)
@pytest.mark.parametrize(("kind", "options"), VARIANTS, ids=names)
def test_the_plain_formulas(kind, options, clip):
    params, grads = draw("float64")
    expected = plain(kind, options, clip, params, grads)
    optimizer = kind(**options, **clip)
    for step in grads:
        optimizer.apply(params, step)
    assert optimizer.iterations == STEPS
    for name, w in params.items():
        np.testing.assert_allclose(w, expected[name], rtol=0, atol=1e-13 * np.abs(expected[name]).max())


@pytest.mark.peer
@pytest.mark.parametrize("clip", CLIPS, ids=str)
@pytest.mark.parametrize(("kind", "options"), VARIANTS, ids=names)
def test_like_keras_in_float32(kind, options, clip):
    require("keras")
    require("torch")
    import keras

    params, grads = draw("float32")
    variables = [keras.Variable(w) for w in params.values()]
    theirs = getattr(keras.optimizers, kind.__name__)(**options, **clip)
    ours = kind(**options, **clip)
    start = copy.deepcopy(params)
    for step in grads:
        theirs.apply([keras.ops.convert_to_tensor(g) for g in step.values()], variables)
        ours.apply(params, step)
    for (name, w), variable in zip(params.items(), variables, strict=True):
        moved = np.abs(w - start[name]).max()
        atol = 2e-6 * max(moved, np.abs(w).max())
        np.testing.assert_allclose(w, variable.value.detach().numpy(), rtol=0, atol=atol)


@pytest.mark.peer
def test_the_first_steps_of_adam_like_keras_from_zero():
    """A bias starts at zero, so here the step itself is compared: 1 - 0.999^t in float32 is seen."""
    require("keras")
    require("torch")
    import keras

    w, variable = {"b": np.zeros(8, "float32")}, keras.Variable(np.zeros(8, "float32"))
    ours, theirs = Adam(), keras.optimizers.Adam()
    g = np.linspace(-1, 1, 8, dtype="float32")
    for _ in range(5):
        ours.apply(w, {"b": g})
        theirs.apply([keras.ops.convert_to_tensor(g)], [variable])
        np.testing.assert_allclose(w["b"], variable.value.detach().numpy(), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("kind", "options"), VARIANTS, ids=names)
def test_in_place_dtype_and_gradients_untouched(kind, options, dtype):
    params, grads = draw(dtype)
    arrays = dict(params)
    before = [g.tobytes() for g in grads[0].values()]
    for g in grads[0].values():
        g.setflags(write=False)
    optimizer = kind(**options, clipnorm=0.01)
    optimizer.apply(params, grads[0])
    assert all(params[name] is arrays[name] for name in arrays)
    assert all(w.dtype == dtype for w in params.values())
    assert all(slot.dtype == dtype for slot in optimizer._slots)
    assert [g.tobytes() for g in grads[0].values()] == before


def test_apply_is_prepare_and_step():
    (a, grads), (b, _) = draw("float32"), draw("float32")
    one, two = Adam(global_clipnorm=0.1), Adam(global_clipnorm=0.1)
    for step in grads:
        update = one.apply(a, step)
        clipped, prepared = two.prepare(step)
        assert update == prepared
        two.step(b, dict(reversed(clipped.items())))  # the order of names does not matter
    assert all(a[name].tobytes() == b[name].tobytes() for name in a)


def test_prepare_changes_nothing():
    optimizer = Adam()
    _, grads = draw("float32")
    clipped, _ = optimizer.prepare(grads[0])
    assert all(clipped[name] is g for name, g in grads[0].items())
    assert optimizer.iterations == 0


@pytest.mark.parametrize("order", ["C", "F"])
def test_any_memory_layout(order):
    w = {"k": np.asarray(np.arange(6.0).reshape(2, 3), order=order)}
    g = {"k": np.asarray(np.arange(6.0).reshape(2, 3), order="F" if order == "C" else "C")}
    SGD(learning_rate=1.0).apply(w, g)
    assert not w["k"].any()


def test_a_copy_goes_on_where_the_original_stands():
    params, grads = draw("float32")
    optimizer = Adam()
    optimizer.apply(params, grads[0])
    twin, twin_params = copy.deepcopy(optimizer), copy.deepcopy(params)
    for step in grads[1:4]:
        optimizer.apply(params, step)
    for step in grads[1:4]:
        twin.apply(twin_params, step)
    assert all(params[name].tobytes() == twin_params[name].tobytes() for name in params)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("clip", CLIPS[1:], ids=str)
def test_zero_gradients_stay_zero(clip, dtype):
    w = {"a": np.ones((2, 3), dtype), "b": np.ones(3, dtype)}
    zero = {name: np.zeros_like(value) for name, value in w.items()}
    for kind in (SGD, RMSprop, Adam):
        optimizer = kind(**clip)
        clipped, update = optimizer.prepare(zero)
        assert not any(g.any() for g in clipped.values())
        assert update == (0.0, False, 0.0)
        optimizer.step(w, clipped)
    assert all((value == 1).all() for value in w.values())


@pytest.mark.parametrize(
    ("dtype", "size"),
    [("float32", 1e30), ("float32", 1e-40), ("float64", 1e200), ("float64", 1e-200), ("float64", 5e-324)],
)
def test_norms_neither_overflow_nor_underflow(dtype, size):
    grads = {"a": np.array([[3], [4]], dtype) * np.dtype(dtype).type(size), "b": np.zeros(2, dtype)}
    exact = float(math.hypot(*grads["a"].ravel().tolist()))
    clipped, update = SGD(clipnorm=1.0).prepare(grads)
    assert update.norm == pytest.approx(exact, rel=1e-6, abs=0)
    assert update.clipped is (size > 1)
    for kind in ({"clipnorm": 1.0}, {"global_clipnorm": 1.0}):
        clipped, update = SGD(**kind).prepare(grads)
        if size > 1:
            np.testing.assert_allclose(clipped["a"], [[0.6], [0.8]], rtol=1e-6)
            assert update.norm_after == 1.0
        else:
            assert clipped["a"] is grads["a"]
    assert clipped["a"].dtype == dtype


def test_long_arrays_lose_no_digits_and_do_not_depend_on_threads():
    g = np.random.default_rng(0).normal(size=2_000_001).astype("float32")
    norm = SGD().prepare({"g": g})[1].norm
    assert norm == pytest.approx(float(np.linalg.norm(g.astype(float))), rel=1e-7)
    for threads in (1, 2, 4):
        with threadpool_limits(threads):
            assert SGD().prepare({"g": g})[1].norm == norm


@pytest.mark.parametrize("clip", CLIPS, ids=str)
@pytest.mark.parametrize(("bad", "norm"), [(np.nan, np.nan), (np.inf, np.inf), (-np.inf, np.inf)])
def test_non_finite_gradients_show_in_the_norm(clip, bad, norm):
    grads = {"a": np.array([1, bad], "float32"), "b": np.ones(2, "float32")}
    for kind in (SGD, RMSprop, Adam):
        optimizer = kind(**clip)
        clipped, update = optimizer.prepare(grads)
        np.testing.assert_equal(update, (norm, False, norm))
        assert clipped["a"] is grads["a"]
        params = {"a": np.ones(2, "float32"), "b": np.ones(2, "float32")}
        with pytest.raises(NonFiniteError, match="the step would make a infinite or NaN"):
            optimizer.apply(params, grads)
        assert all((value == 1).all() for value in params.values())


def test_what_update_says():
    grads = {"a": np.array([3.0, 0.0]), "b": np.array([0.0, 4.0])}
    assert SGD().prepare(grads)[1] == (5.0, False, 5.0)
    assert SGD(clipnorm=3.0).prepare(grads)[1] == (5.0, True, math.hypot(3.0, 3.0))
    assert SGD(clipnorm=4.0).prepare(grads)[1] == (5.0, False, 5.0)
    assert SGD(clipvalue=1.0).prepare(grads)[1] == (5.0, True, math.hypot(1.0, 1.0))
    assert SGD(clipvalue=4.5).prepare(grads)[1] == (5.0, False, 5.0)
    assert SGD(global_clipnorm=2.5).prepare(grads)[1] == (5.0, True, 2.5)
    assert SGD(global_clipnorm=5.0).prepare(grads)[1] == (5.0, False, 5.0)


def test_centered_rmsprop_survives_constant_gradients():
    """v - u^2 is then pure rounding; Keras takes the root of negative numbers, and gets 521 NaN."""
    w, optimizer = {"a": np.zeros(5000, "float32")}, RMSprop(centered=True)
    g = (10 ** np.random.default_rng(0).uniform(-2, 4, 5000)).astype("float32")
    for _ in range(500):
        optimizer.apply(w, {"a": g})
    assert np.isfinite(w["a"]).all()


@pytest.mark.parametrize("kind", [SGD, RMSprop, Adam])
def test_huge_finite_gradients_do_not_warn(kind):
    w, optimizer = {"a": np.ones(2, "float32")}, kind()
    optimizer.apply(w, {"a": np.array([1e30, -1e38], "float32")})
    assert not np.isnan(w["a"]).any()


def test_learning_rate_can_be_set():
    optimizer = SGD(learning_rate=np.float32(0.5))
    assert type(optimizer.learning_rate) is float
    w = {"a": np.zeros(1)}
    optimizer.apply(w, {"a": np.ones(1)})
    optimizer.learning_rate = 0.25
    optimizer.apply(w, {"a": np.ones(1)})
    assert w["a"].tolist() == [-0.75]
    with pytest.raises(ValueError, match=r"learning_rate must be a finite number >= 0, got -1\.0"):
        optimizer.learning_rate = -1
    assert optimizer.learning_rate == 0.25


def test_a_schedule_has_the_learning_rate():
    optimizer = SGD(ExponentialDecay(1.0, 1, 0.5))
    w, rates = {"a": np.zeros(1)}, []
    for _ in range(3):
        rates.append(optimizer.learning_rate)
        optimizer.apply(w, {"a": np.ones(1)})
    assert rates == [1.0, 0.5, 0.25]
    assert w["a"].tolist() == [-1.75]
    with pytest.raises(TypeError, match=r"learning_rate must be left to its schedule, ExponentialDecay\("):
        optimizer.learning_rate = 0.1
    assert optimizer.config()["learning_rate"] == ExponentialDecay(1.0, 1, 0.5)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: SGD(-0.1), ValueError, "learning_rate must be a finite number >= 0, got -0.1"),
        (lambda: Adam(math.nan), ValueError, "learning_rate must be a finite number >= 0, got nan"),
        (lambda: Adam(math.inf), ValueError, "learning_rate must be .* got inf"),
        (lambda: Adam("fast"), TypeError, "learning_rate must be a finite number >= 0, got 'fast'"),
        (lambda: SGD(momentum=1.5), ValueError, "momentum must be a finite number >= 0 and < 1, got 1.5"),
        (lambda: SGD(nesterov="yes"), TypeError, "nesterov must be True or False, got 'yes'"),
        (lambda: RMSprop(rho=1.0), ValueError, "rho must be a finite number >= 0 and < 1, got 1.0"),
        (lambda: RMSprop(momentum=-0.1), ValueError, "momentum must be .* got -0.1"),
        (lambda: RMSprop(epsilon=0.0), ValueError, "epsilon must be a finite number > 0, got 0.0"),
        (lambda: RMSprop(centered=1), TypeError, "centered must be True or False, got 1"),
        (lambda: Adam(beta_1=1.0), ValueError, "beta_1 must be a finite number >= 0 and < 1, got 1.0"),
        (lambda: Adam(beta_2=-1), ValueError, "beta_2 must be .* got -1.0"),
        (lambda: Adam(epsilon=-1e-7), ValueError, "epsilon must be .* got -1e-07"),
        (lambda: Adam(amsgrad=None), TypeError, "amsgrad must be True or False, got None"),
        (lambda: Adam(clipnorm=0), ValueError, "clipnorm must be a finite number > 0, got 0.0"),
        (lambda: Adam(clipvalue=-1), ValueError, "clipvalue must be a finite number > 0, got -1.0"),
        (lambda: Adam(global_clipnorm=math.inf), ValueError, "global_clipnorm must be .* got inf"),
        (lambda: AdamW(weight_decay=-0.1), ValueError, "weight_decay must be a finite number >= 0, got -0.1"),
        (lambda: AdamW(weight_decay=None), ValueError, "weight_decay must be a number >= 0 .*, got None"),
        (
            lambda: SGD(weight_decay="much"),
            TypeError,
            "weight_decay must be a finite number >= 0, got 'much'",
        ),
        (lambda: Adam(clipnorm=True), TypeError, "clipnorm must be a finite number > 0, got True"),
        (
            lambda: Adam(clipnorm=1, clipvalue=2),
            ValueError,
            "clipping must be one of clipnorm, clipvalue and global_clipnorm, got clipnorm=1, clipvalue=2",
        ),
    ],
)
def test_bad_arguments(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_arrays_that_do_not_fit():
    w = {"a": np.ones((2, 3), "float32"), "b": np.ones(3, "float32")}
    g = {name: np.ones_like(value) for name, value in w.items()}
    optimizer = Adam()
    optimizer.apply(w, g)
    before = {name: value.copy() for name, value in w.items()}
    with pytest.raises(ValueError, match="grads must be the parameters of the first step, a, b, got a"):
        optimizer.apply(w, {"a": g["a"]})
    with pytest.raises(
        ValueError, match="params must be the parameters of the first step, a, b, got a, b, c"
    ):
        optimizer.apply(w | {"c": w["a"]}, g)
    text = r"grads\['b'\] must be of shape \(3,\) and dtype float32, got shape \(1,\) and dtype float32"
    with pytest.raises(ValueError, match=text):
        optimizer.apply(w, g | {"b": np.ones(1, "float32")})
    with pytest.raises(ValueError, match=r"grads\['b'\] .* got shape \(3,\) and dtype float64"):
        optimizer.apply(w, g | {"b": np.ones(3)})
    with pytest.raises(ValueError, match="params must be all float32 or all float64, got float32, float64"):
        Adam().apply({"a": np.ones(1, "float32"), "b": np.ones(1)}, g)
    with pytest.raises(ValueError, match="params must be all float32 or all float64, got no parameters"):
        Adam().apply({}, {})
    assert optimizer.iterations == 1
    assert all((w[name] == before[name]).all() for name in w)


def test_get():
    for name, kind in (("sgd", SGD), ("adam", Adam), ("adamw", AdamW), ("RMSprop", RMSprop)):
        optimizer = optimizers.get(name)
        assert type(optimizer) is kind
        assert optimizers.get(optimizer) is optimizer
        assert optimizers.get(name) is not optimizer
    with pytest.raises(
        ValueError, match="optimizer must be 'sgd' or 'rmsprop' or 'adam' or 'adamw', got 'lion'"
    ):
        optimizers.get("lion")
    for unknown in (None, len):
        with pytest.raises(
            ValueError, match="optimizer must be one of sgd, rmsprop, adam, adamw or an Optimizer, got"
        ):
            optimizers.get(unknown)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_the_compiled_step_of_adam_is_the_formula(kind, dtype):
    """Of sizes beyond one block, with gradients of many magnitudes, zeros among them."""
    rng, found = np.random.default_rng(3), {}
    start = rng.normal(size=(130, 131)).astype(dtype)
    grads = [(rng.normal(size=start.shape) * 10.0 ** rng.integers(-12, 9)).astype(dtype) for _ in range(20)]
    for g in grads:
        g[::3] = 0
    for backend in ("numpy", "numba"):
        optimizer, params = kind(1e-2, clipnorm=1e3), {"w": start.copy()}
        optimizer.backend = backend
        for g in grads:
            optimizer.apply(params, {"w": g})
        found[backend] = params["w"]
    np.testing.assert_array_equal(found["numba"], found["numpy"])
    params = {"w": found["numba"]}
    with pytest.raises(NonFiniteError, match="the step would make w infinite or NaN"):
        optimizer.step(params, {"w": np.full(start.shape, np.nan, dtype)})
    assert np.isfinite(params["w"]).all()


@pytest.mark.parametrize("optimizer", [SGD(1e5, weight_decay=1e5), AdamW(1e10, weight_decay=1.0)])
def test_a_decay_that_overflows_is_an_error_and_no_warning(optimizer):
    params = {"w": np.full(3, 3e38, np.float32)}
    with pytest.raises(NonFiniteError, match="would make w infinite or NaN"):
        optimizer.apply(params, {"w": np.ones(3, np.float32)})
    assert (params["w"] == np.float32(3e38)).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: SGD(momentum=0.9),
        lambda: SGD(momentum=0.9, nesterov=True),
        lambda: RMSprop(momentum=0.5),
        lambda: RMSprop(momentum=0.5, centered=True),
        Adam,
        lambda: Adam(amsgrad=True),
    ],
)
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_a_refused_step_leaves_the_slots_and_a_smaller_one_follows(make, backend):
    optimizer, params, grads = make(), {"w": np.ones(3, "float32")}, {"w": np.full(3, 1e3, "float32")}
    optimizer.backend = backend
    optimizer.apply(params, grads)
    before = {name: slot.copy() for name, slot in optimizer.slots.items()}
    rate, optimizer.learning_rate = optimizer.learning_rate, 1e308
    with pytest.raises(NonFiniteError):
        optimizer.apply(params, grads)
    for name, slot in optimizer.slots.items():
        np.testing.assert_array_equal(slot, before[name])
    optimizer.learning_rate = rate
    optimizer.apply(params, grads)
    assert np.isfinite(params["w"]).all()
    assert optimizer.iterations == 2


@pytest.mark.parametrize("kind", [SGD, RMSprop, Adam, AdamW])
def test_each_argument_is_shown_and_taken_at_its_default(kind):
    shown = inspect.signature(kind).parameters
    assert not [one for one in shown.values() if one.kind is one.VAR_KEYWORD]
    assert list(shown)[-1] == "name"
    defaults = {name: one.default for name, one in shown.items()}
    assert kind(**defaults).get_config() == kind().get_config()
