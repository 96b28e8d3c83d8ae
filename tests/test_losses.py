"""Losses against Keras on PyTorch, against complex steps, and at the extremes."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from conftest import require

from minilstm import losses

NAMES = [
    "binary_crossentropy",
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
    "mean_squared_error",
    "mean_absolute_error",
    "huber",
    "log_cosh",
]
KERAS = {
    "binary_crossentropy": "BinaryCrossentropy",
    "categorical_crossentropy": "CategoricalCrossentropy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    "mean_squared_error": "MeanSquaredError",
    "mean_absolute_error": "MeanAbsoluteError",
    "huber": "Huber",
    "log_cosh": "LogCosh",
}
WITH_LOGITS = NAMES[:3]
FORMS = [(name, "outputs") for name in NAMES] + [(name, "logits") for name in WITH_LOGITS]
SHAPES = [(4, 3), (2, 5, 3), (1, 1, 2)]
COLUMNS = [(5, 1), (3, 4, 1)]  # one output: not for classes
CASES = [(name, shape) for name in NAMES for shape in SHAPES + ([] if "categorical" in name else COLUMNS)]
TOLERANCE = {"float32": 5e-6, "float64": 1e-13}


@pytest.fixture
def keras() -> ModuleType:
    require("keras")
    require("torch")
    import keras

    return keras


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def draw(name: str, shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random targets, logits and outputs for the loss."""
    rng = np.random.default_rng([seed, *shape])
    z = rng.normal(size=shape) * 2
    if name == "binary_crossentropy":
        return rng.integers(0, 2, shape).astype(float), z, sigmoid(z)
    if name == "sparse_categorical_crossentropy":
        return rng.integers(0, shape[-1], shape[:-1]), z, softmax(z)
    if name == "categorical_crossentropy":
        return softmax(rng.normal(size=shape)), z, softmax(z)
    return rng.normal(size=shape), z, z


def in_keras(
    keras: ModuleType,
    name: str,
    y: np.ndarray,
    p: np.ndarray,
    mask: np.ndarray | None = None,
    from_logits: bool = False,
) -> tuple[float, np.ndarray]:
    """Keras's value, and its gradient by PyTorch's autograd.

    float32 goes through Keras's loss objects, masks and reduction included. Those round float64 to float32 in
    between (keras.ops.mean on PyTorch), so float64 goes through the formulas under them, and PyTorch reduces.
    """
    import torch

    tensor = torch.tensor(p, requires_grad=True)
    if p.dtype == np.float32:
        if mask is not None:
            keras.src.backend.set_keras_mask(tensor, torch.tensor(mask))
        options = {"from_logits": from_logits} if name in WITH_LOGITS else {}
        loss = getattr(keras.losses, KERAS[name])(**options)(y, tensor)
    else:
        nn, target = keras.src.backend.nn, torch.tensor(y)
        if name == "mean_squared_error":
            rows = torch.square(tensor - target).mean(-1)
        elif name == "mean_absolute_error":
            rows = torch.nn.functional.l1_loss(tensor, target, reduction="none").mean(-1)
        elif name == "huber":
            rows = torch.nn.functional.huber_loss(tensor, target, reduction="none").mean(-1)
        elif name == "log_cosh":
            rows = torch.log(torch.cosh(tensor - target)).mean(-1)
        elif name == "binary_crossentropy":
            rows = nn.binary_crossentropy(target, tensor, from_logits).mean(-1)
        else:
            rows = getattr(nn, name)(target, tensor, from_logits)
        real = torch.ones_like(rows) if mask is None else torch.tensor(mask)
        loss = (rows * real).sum() / real.sum()
    loss.backward()
    return loss.item(), tensor.grad.numpy()


def close(actual: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * max(np.abs(expected).max(), 1e-300))


@pytest.mark.peer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "shape"), CASES, ids=str)
def test_outputs_like_keras(keras, name, shape, dtype):
    y, _, p = draw(name, shape)
    p = p.astype(dtype)
    loss = losses.get(name)
    value, dp = loss.value_and_gradient(loss.check_targets(y, shape), p)
    keras_value, keras_dp = in_keras(keras, name, y, p)
    assert type(value) is float
    assert value == pytest.approx(keras_value, rel=TOLERANCE[dtype])
    close(dp, keras_dp, TOLERANCE[dtype])


@pytest.mark.peer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "shape"), [case for case in CASES if case[0] in WITH_LOGITS], ids=str)
def test_logits_like_keras(keras, name, shape, dtype):
    y, z, _ = draw(name, shape)
    z = z.astype(dtype)
    loss = losses.get(name)
    value, dz = loss.value_and_gradient_from_logits(loss.check_targets(y, shape), z)
    keras_value, keras_dz = in_keras(keras, name, y, z, from_logits=True)
    assert value == pytest.approx(keras_value, rel=TOLERANCE[dtype])
    close(dz, keras_dz, TOLERANCE[dtype])


@pytest.mark.peer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_masks_like_keras(keras, name, dtype):
    shape = (3, 5, 4)
    y, z, p = draw(name, shape)
    z, p = z.astype(dtype), p.astype(dtype)
    mask = np.random.default_rng(1).random((3, 5)) < 0.6
    mask[1] = False
    loss = losses.get(name)
    targets = loss.check_targets(y, shape, mask)
    pairs = [(loss.value_and_gradient(targets, p, mask), in_keras(keras, name, y, p, mask))]
    if name in WITH_LOGITS:
        ours = loss.value_and_gradient_from_logits(targets, z, mask)
        pairs.append((ours, in_keras(keras, name, y, z, mask, from_logits=True)))
    for (value, gradient), (keras_value, keras_gradient) in pairs:
        assert value == pytest.approx(keras_value, rel=TOLERANCE[dtype])
        close(gradient, keras_gradient, TOLERANCE[dtype])
        assert not gradient[~mask].any()


@pytest.mark.peer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clipped_outputs_like_keras(keras, dtype):
    below = np.nextafter(np.dtype(dtype).type(1e-7), np.dtype(dtype).type(0))
    p = np.array([[0.0], [1.0], [1e-9], [1 - 1e-9], [1e-7], [1 - 1e-7], [below], [0.5]], dtype)
    for label in (0.0, 1.0):
        y = np.full(p.shape, label)
        value, dp = losses.get("binary_crossentropy").value_and_gradient(y, p)
        keras_value, keras_dp = in_keras(keras, "binary_crossentropy", y, p)
        assert value == pytest.approx(keras_value, rel=1e-6)
        close(dp, keras_dp, 1e-6)
        assert (dp[:, 0] == 0).tolist()[:2] == [True, True]
    rows = np.array([[0.0, 1.0, 0.0], [1e-9, 0.4, 0.6], [0.2, 0.2, 0.2]], dtype)
    for labels in ([0, 0, 0], [1, 2, 1]):
        value, dp = losses.get("sparse_categorical_crossentropy").value_and_gradient(np.array(labels), rows)
        keras_value, keras_dp = in_keras(keras, "sparse_categorical_crossentropy", np.array(labels), rows)
        assert value == pytest.approx(keras_value, rel=1e-6)
        close(dp, keras_dp, 1e-6)


def test_float32_clip_limits_are_those_of_float32():
    value = losses.get("binary_crossentropy").value_and_gradient
    assert value(np.array([[0.0]]), np.ones((1, 1), "float32"))[0] == pytest.approx(15.942385, abs=1e-6)
    assert value(np.array([[1.0]]), np.zeros((1, 1), "float32"))[0] == pytest.approx(16.118095, abs=1e-6)


@pytest.mark.parametrize("mask", [None, "half"])
@pytest.mark.parametrize(("name", "form"), FORMS)
def test_gradient_is_the_complex_step(name, form, mask):
    shape = (2, 3, 4)
    y, z, p = draw(name, shape, seed=3)
    if name == "categorical_crossentropy":
        y = y * 1.7  # rows do not have to sum to 1
    at = z if form == "logits" else p * 1.3 if "categorical" in name else p  # nor here
    keep = np.array([[True, False, True], [False, True, True]]) if mask else None
    loss = losses.get(name)
    function = loss.value_and_gradient_from_logits if form == "logits" else loss.value_and_gradient
    _, gradient = function(y, at, keep)
    steps = np.zeros(shape)
    for index in np.ndindex(shape):
        moved = at.astype(complex)
        moved[index] += 1e-30j
        value, complex_gradient = function(y, moved, keep)
        assert type(value) is complex
        assert complex_gradient.dtype == moved.dtype
        steps[index] = value.imag / 1e-30
    close(gradient, steps, 1e-14)


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_logits_and_outputs_agree_where_nothing_is_clipped(scale):
    z = np.linspace(-0.5, 0.5, 12).reshape(4, 3) * scale
    y = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 1], [1, 1, 0]], dtype=float)
    loss = losses.get("binary_crossentropy")
    p = sigmoid(z)
    value, dp = loss.value_and_gradient(y, p)
    from_logits, dz = loss.value_and_gradient_from_logits(y, z)
    assert value == pytest.approx(from_logits, rel=1e-9)
    np.testing.assert_allclose(dp * p * (1 - p), dz, rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_logits(dtype):
    loss = losses.get("binary_crossentropy").value_and_gradient_from_logits
    for y, z, expected, gradient in [(0, 1e4, 1e4, 1), (1, -1e4, 1e4, -1), (1, 1e4, 0, 0), (0, -1e4, 0, 0)]:
        value, dz = loss(np.array([[float(y)]]), np.array([[z]], dtype))
        assert (value, dz.item()) == (expected, gradient)
        assert dz.dtype == dtype
    loss = losses.get("sparse_categorical_crossentropy").value_and_gradient_from_logits
    value, dz = loss(np.array([1]), np.array([[1e4, -1e4]], dtype))
    assert (value, dz.tolist()) == (20000.0, [[1.0, -1.0]])


def test_a_confidently_wrong_unit_still_learns():
    loss = losses.get("binary_crossentropy")
    y, z = np.array([[0.0]]), np.array([[17.0]])
    assert loss.value_and_gradient(y, sigmoid(z))[1].item() == 0.0
    assert loss.value_and_gradient_from_logits(y, z)[1].item() == pytest.approx(1.0)
    small = loss.value_and_gradient_from_logits(1 - y, 3 * z)[1].item()
    assert small == pytest.approx(-np.exp(-51.0), rel=1e-12, abs=0)


@pytest.mark.parametrize("name", NAMES)
def test_non_finite_outputs_reach_the_value_without_warnings(name):
    y, _, p = draw(name, (2, 3))
    for bad in (np.nan, np.inf, -np.inf, 1e300):
        broken = p.copy()
        broken[0, 1] = bad
        value, gradient = losses.get(name).value_and_gradient(y, broken)
        assert gradient.shape == p.shape
        if np.isnan(bad):
            assert np.isnan(value)
        if name in WITH_LOGITS:
            losses.get(name).value_and_gradient_from_logits(y, broken)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_real_gives_zero(name):
    y, z, p = draw(name, (2, 3, 4))
    none = np.zeros((2, 3), dtype=bool)
    value, dp = losses.get(name).value_and_gradient(y, p.astype("float32"), none)
    assert (value, dp.any(), dp.dtype, dp.shape) == (0.0, False, np.float32, (2, 3, 4))
    if name in WITH_LOGITS:
        assert losses.get(name).value_and_gradient_from_logits(y, z, none)[0] == 0.0
    assert losses.get(name).value_and_gradient(y[:0], p[:0])[0] == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_masked_steps_may_hold_anything(name):
    y, _, p = draw(name, (2, 3, 4))
    mask = np.array([[True, True, False], [True, False, False]])
    loss = losses.get(name)
    clean = loss.value_and_gradient(loss.check_targets(y, p.shape, mask), p, mask)
    for rubbish in (np.nan, np.inf, -7.5):
        dirty_y, dirty_p = y.astype(float), p.copy()
        dirty_y[~mask] = dirty_p[~mask] = rubbish
        before = dirty_y.tobytes()
        targets = loss.check_targets(dirty_y, p.shape, mask)
        assert np.isfinite(targets).all()
        assert dirty_y.tobytes() == before
        dirty = loss.value_and_gradient(targets, dirty_p, mask)
        assert dirty[0] == clean[0]
        assert dirty[1].tobytes() == clean[1].tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_not_written_to(name):
    y, z, p = draw(name, (2, 3))
    for array in (y, z, p):
        array.setflags(write=False)
    loss = losses.get(name)
    targets = loss.check_targets(y, p.shape)
    assert not np.shares_memory(targets, y)
    loss.value_and_gradient(y, p)
    if name in WITH_LOGITS:
        loss.value_and_gradient_from_logits(y, z)


@pytest.mark.parametrize(
    ("name", "y", "output_shape", "shape", "dtype"),
    [
        ("mse", [1, 2, 3], (3, 1), (3, 1), "float64"),
        ("mse", [[1], [2], [3]], (3, 1), (3, 1), "float64"),
        ("mse", np.zeros((3, 1, 1), "float32"), (3, 1), (3, 1), "float64"),
        ("mse", np.zeros((2, 3)), (2, 3, 1), (2, 3, 1), "float64"),
        ("binary_crossentropy", [True, False], (2, 1), (2, 1), "float64"),
        ("binary_crossentropy", np.zeros(0), (0, 1), (0, 1), "float64"),
        ("categorical_crossentropy", [[0, 1], [1, 0]], (2, 2), (2, 2), "float64"),
        ("sparse_categorical_crossentropy", [1.0, 0.0], (2, 2), (2,), "int64"),
        ("sparse_categorical_crossentropy", [[1], [0]], (2, 2), (2,), "int64"),
        ("sparse_categorical_crossentropy", np.ones((2, 3, 1), "uint8"), (2, 3, 2), (2, 3), "int64"),
        ("sparse_categorical_crossentropy", np.ones((2, 3), ">i2"), (2, 3, 2), (2, 3), "int64"),
    ],
)
def test_target_shapes(name, y, output_shape, shape, dtype):
    targets = losses.get(name).check_targets(y, output_shape)
    assert (targets.shape, targets.dtype) == (shape, dtype)
    np.testing.assert_array_equal(targets.ravel(), np.asarray(y, dtype).ravel())


SPARSE = "sparse_categorical_crossentropy"


@pytest.mark.parametrize(
    ("name", "y", "output_shape", "error", "text"),
    [
        (
            "mse",
            [1, 2],
            (3, 1),
            ValueError,
            "y must be of length 3, one entry per sample of the output, got len",
        ),
        ("mse", [[1, 2]] * 3, (3, 1), ValueError, r"y must be of shape \(3, 1\) .* got shape \(3, 2\)"),
        ("mse", 1.0, (3, 1), ValueError, r"got shape \(\)"),
        ("mse", [1, np.nan, np.inf], (3, 1), ValueError, r"y contains NaN at row 1 \(2 of 3 values\)"),
        ("mse", [[1, 0], [0, -np.inf]], (2, 2), ValueError, r"y contains Inf at \[1, 1\] \(1 of 4 values\)"),
        ("mse", ["1", "2", "3"], (3, 1), TypeError, "y must be an array of numbers, got dtype <U1"),
        ("mse", [None, 1, 2], (3, 1), TypeError, "y must be an array of numbers, got dtype object"),
        ("mse", None, (3, 1), TypeError, "got dtype object"),
        ("mse", [1j, 0, 0], (3, 1), TypeError, "got dtype complex128"),
        ("mse", [[1, 2], [1], [2]], (3, 2), ValueError, "got rows of different lengths"),
        ("mse", np.ma.masked_array([1.0, 2.0], [0, 1]), (2, 1), TypeError, "got a masked array"),
        ("binary_crossentropy", [0, 2, 1], (3, 1), ValueError, "y must be between 0 and 1, got 2 at row 1"),
        ("binary_crossentropy", [0, -0.5, 1], (3, 1), ValueError, "got -0.5 at row 1"),
        ("binary_crossentropy", [0, 1, 2], (3, 4), ValueError, "class labels go with sparse_categorical"),
        (
            "categorical_crossentropy",
            [[1, 0], [2, -1]],
            (2, 2),
            ValueError,
            r"y must be >= 0, got -1 at \[1, 1\]",
        ),
        ("categorical_crossentropy", [0, 1], (2, 3), ValueError, "class labels go with sparse_categorical"),
        (SPARSE, [0, 1, 3], (3, 3), ValueError, r"y has label 3 at row 2; classes are 0\.\.2"),
        (SPARSE, [[0, 1], [2, -1]], (2, 2, 3), ValueError, r"y has label -1 at \[1, 1\]; classes are 0\.\.2"),
        (SPARSE, [0, 1.5, 2], (3, 3), ValueError, "y must hold whole class labels, got 1.5 at row 1"),
        (
            SPARSE,
            np.array([0, 2**63], "uint64"),
            (2, 3),
            ValueError,
            "y has label 9223372036854775808 at row 1",
        ),
        (SPARSE, [0.0, 1e30], (2, 3), ValueError, "y has label 1000000000.* at row 1"),
        (SPARSE, [0, 1, np.nan], (3, 3), ValueError, "y contains NaN at row 2"),
        (SPARSE, np.eye(3), (3, 3), ValueError, "rows of classes go with categorical_crossentropy"),
    ],
)
def test_bad_targets(name, y, output_shape, error, text):
    with pytest.raises(error, match=text):
        losses.get(name).check_targets(y, output_shape)


def test_bad_targets_at_real_steps_are_found():
    y = np.array([[0, 9], [1, 9]])
    mask = np.array([[True, False], [True, True]])
    with pytest.raises(ValueError, match=r"y has label 9 at \[1, 1\]; classes are 0\.\.2"):
        losses.get(SPARSE).check_targets(y, (2, 2, 3), mask)
    with pytest.raises(ValueError, match=r"mask must be of shape \(2, 2\), got shape \(2, 1\)"):
        losses.get(SPARSE).check_targets(y, (2, 2, 3), mask[:, :1])


def test_get():
    for name in NAMES:
        loss = losses.get(name)
        assert loss.name == name if name != "huber" else "huber_loss"
        assert losses.get(loss) is loss
        assert losses.get(KERAS[name]) == losses.get(type(loss)) == losses.get(getattr(losses, name)) == loss
        assert losses.deserialize(losses.serialize(loss)) == type(loss).from_config(loss.get_config()) == loss
    assert losses.get("mse") == losses.get("MSE") == losses.MeanSquaredError()
    assert losses.get("mae") == losses.MeanAbsoluteError()
    assert losses.get("bce") == losses.BinaryCrossentropy()
    assert losses.get(None) is None
    assert [losses.get(name).logits_of for name in NAMES[:4]] == ["sigmoid", "softmax", "softmax", None]
    with pytest.raises(ValueError, match=r"loss must be 'binary_crossentropy' or .*'mse'.*, got 'hinge'"):
        losses.get("hinge")
    with pytest.raises(ValueError, match=r"loss must be one of binary_crossentropy, .* a Loss or .*, got 3"):
        losses.get(3)
    with pytest.raises(ValueError, match="loss must be a description with a class_name among"):
        losses.get({"class_name": "Hinge"})
    with pytest.raises(TypeError, match="mean_squared_error has no form on logits"):
        losses.get("mse").value_and_gradient_from_logits(np.ones((1, 1)), np.ones((1, 1)))


OPTIONS = [
    ("BinaryCrossentropy", {"from_logits": True}),
    ("BinaryCrossentropy", {"label_smoothing": 0.2}),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.2}),
    ("CategoricalCrossentropy", {"from_logits": True}),
    ("CategoricalCrossentropy", {"label_smoothing": 0.3}),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.3}),
    ("SparseCategoricalCrossentropy", {"from_logits": True}),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1}),
    ("Huber", {"delta": 0.3}),
    ("MeanAbsoluteError", {}),
]
REDUCTIONS = ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None]


@pytest.mark.peer
@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=str)
def test_called_like_keras(keras, name, options):
    """Options, reductions and weights, as values, and their gradients as fit uses them."""
    import torch

    key = next(key for key, value in KERAS.items() if value == name)
    for shape in [(4, 3), (2, 3, 4)]:
        y, z, p = (array.astype("float32") for array in draw(key, shape, seed=5))
        outputs = z if options.get("from_logits") else p
        rng = np.random.default_rng(6)
        scalars = [] if "ignore_class" in options else [2.5]  # Keras on PyTorch cannot
        weights = [None, *scalars, rng.random(shape[:-1]), rng.random((shape[0], 1))]
        if len(shape) == 3:
            weights.pop()  # Keras on PyTorch cannot
        for reduction in REDUCTIONS:
            ours = getattr(losses, name)(**options, reduction=reduction, name="mine")
            theirs = getattr(keras.losses, name)(**options, reduction=reduction, name="mine")
            assert ours.name == theirs.name
            for weight in weights:
                tensor = torch.tensor(outputs, requires_grad=True)
                expected = theirs(y, tensor, sample_weight=weight)
                found = ours(y, outputs, sample_weight=weight)
                expected_values = expected.detach().numpy()
                assert found.shape == expected_values.shape
                assert found.dtype == np.float32
                np.testing.assert_allclose(found, expected_values, rtol=1e-5, atol=1e-6)
                if reduction in (None, "none") or np.shape(weight) != shape[:-1]:
                    continue
                expected.backward()
                targets = ours.check_targets(y, shape)
                value, gradient = ours.value_and_gradient(targets, outputs, None, weight)
                assert value == pytest.approx(float(found), rel=1e-5)
                close(gradient, tensor.grad.numpy(), 1e-5)


@pytest.mark.peer
@pytest.mark.parametrize("name", NAMES)
def test_functions_like_keras(keras, name):
    for shape in [(4, 3), (2, 3, 4), (3,)]:
        y, _, p = (np.asarray(array, "float32") for array in draw(name, shape, seed=7))
        expected = getattr(keras.losses, name)(y, p).detach().numpy()
        found = getattr(losses, name)(y, p)
        assert np.shape(found) == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_logits_that_are_outputs_train_like_a_sigmoid():
    import minilstm as ml

    x, y = np.random.default_rng(0).normal(size=(6, 4, 2)), [0, 1, 1, 0, 1, 0]
    found = []
    for activation, loss in (("sigmoid", "bce"), (None, losses.BinaryCrossentropy(from_logits=True))):
        model = ml.Sequential([ml.LSTM(3, input_shape=(4, 2)), ml.Dense(1, activation=activation)], seed=0)
        model.compile("sgd", loss)
        model.fit(x, y, epochs=2, verbose=0)
        found.append(model.get_weights())
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def fourth_power(y, p):
    e = p - y
    return (e**4).mean(axis=-1), 4 * e**3 / e.shape[-1]


def test_a_loss_of_one_s_own_trains_and_its_gradient_is_checked():
    import minilstm as ml

    x, y = np.random.default_rng(0).normal(size=(3, 4, 2)), np.ones((3, 2))

    def model_of(loss):
        model = ml.Sequential([ml.LSTM(3, input_shape=(4, 2)), ml.Dense(2)], seed=0, dtype="float64")
        model.compile("sgd", loss)
        return model

    model = model_of(fourth_power)
    assert model.loss.name == "fourth_power"
    expected = float(((model.predict(x) - y) ** 4).mean())
    assert model.evaluate(x, y) == pytest.approx(expected)
    losses_seen = model.fit(x, y, epochs=3, verbose=0).history["loss"]
    assert losses_seen[0] == pytest.approx(expected)
    assert losses_seen[-1] < losses_seen[0]
    assert ml.gradcheck(model, x, y).ok
    assert not ml.gradcheck(model_of(lambda y, p: (fourth_power(y, p)[0], p - y)), x, y).ok
    with pytest.raises(ValueError, match=r"must be .* of minilstm's own classes, to be saved"):
        model.save("never.npz")
    for wrong, got in ((lambda y, p: (p - y) ** 2, "a ndarray"), (lambda y, p: (p, p), r"\(3, 2\) and")):
        with pytest.raises(ValueError, match=rf"loss '<lambda>' must be a function that gives .*, got {got}"):
            model_of(wrong).evaluate(x, y)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: losses.MeanSquaredError("max"), ValueError, "reduction must be 'sum_over_batch_size' or"),
        (lambda: losses.MeanSquaredError(name=""), ValueError, "name must be a non-empty string"),
        (
            lambda: losses.MeanSquaredError(dtype="bfloat16"),
            ValueError,
            "dtype must be 'float32' or 'float64'",
        ),
        (
            lambda: losses.BinaryCrossentropy(label_smoothing=2),
            ValueError,
            "label_smoothing must be at most 1",
        ),
        (lambda: losses.CategoricalCrossentropy(axis=1), ValueError, "axis must be -1: classes stand in"),
        (lambda: losses.Huber(delta=0), ValueError, "delta must be a finite number > 0, got 0"),
        (lambda: losses.CustomLoss(3), TypeError, r"function must be a function \(y, p\)"),
        (lambda: losses.get("mse")(["a"], [[1.0]]), TypeError, "LSTMClassifier takes text"),
    ],
)
def test_bad_arguments(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_a_loss_that_leaves_its_rows_cannot_train():
    import minilstm as ml

    model = ml.Sequential([ml.Dense(1, input_shape=(2,))])
    with pytest.raises(ValueError, match="reduction of the loss must be one that gives one number, to train"):
        model.compile(loss=losses.MeanSquaredError(reduction=None))
