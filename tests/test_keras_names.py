"""`minilstm.keras`: every public name of Keras in these areas is there, or says what to use in its place.

`python tests/test_keras_names.py --write` writes the table of them, docs/reference/keras-names.md.
"""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from conftest import require

import minilstm as ml
from minilstm import initializers
from minilstm.cells import activations
from minilstm.keras import scope

pytestmark = pytest.mark.peer
PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "keras-names.md"
LEFT_OUT = {"datasets": "no data are downloaded", "utils": "minilstm reads arrays and files of its own"}
DIFFERENT = {
    "callbacks.CSVLogger": "writes only columns that exist",
    "callbacks.ModelCheckpoint": "whole models as .keras too, weights alone as .weights.h5 too",
    "losses.Loss": "to train with, one of your own has `gradient` beside `call`; no half dtypes",
    "metrics.AUC": "no curve 'PRGAIN'",
    "metrics.Metric": "one of your own computes with NumPy; no half dtypes",
    "models.load_model": "reads .keras, .npz and .safetensors; no custom_objects but cells",
    "layers.Layer": "an array carries no mask (no `set_keras_mask`): `mask=` of a call",
    "layers.Masking": "a step of padding may hold anything",
    "layers.GlobalAveragePooling1D": "a sample without a real step gives 0; channels last only",
    "regularizers.Regularizer": "one of your own has `__call__` and `gradient`",
    "activations.relu": "as an activation of a layer the plain one",
    "callbacks.TensorBoard": "scalars only, per-step gradient norms among them",
    "callbacks.TerminateOnNaN": "targets that are not finite are refused before the first batch",
    "layers.Dropout": "rate 1 is refused",
    "layers.GRU": "no reset_after=False",
    "layers.InputLayer": "it computes nothing, and cannot be called",
    "losses.get": "an object in place of a function",
    "metrics.get": "an object in place of a function",
    "metrics.SparseTopKCategoricalAccuracy": "no from_sorted_ids",
    "optimizers.Optimizer": "arrays by name, `slots` for `variables`; no averages, exclude_from_weight_decay",
    "utils.timeseries_dataset_from_array": "an iterable of arrays; no format=, and batch_size is a number",
}

# What differs in more places than one name, found by Keras's own tests.
EVERYWHERE = (
    "Errors have texts of their own, which name the argument, what was expected and what came; they are"
    " of the kinds ValueError and TypeError, and come at construction where they can.",
    "Models are Sequential: no functional models, no model inside a model, no subclasses of Model;"
    " `layers` is a plain list. A layer of one's own needs `forward` and `backward`: nothing finds the"
    " derivative of a `call`.",
    "Keras's private parts (`_functional`, `_dtype`, `_build`, `_clip_gradients` and the like), its"
    " `backend`, `ops`, `random`, `io_utils` and `config` are not here.",
    "Arrays are NumPy's: a weight is changed by `w[...] = v` or `set_weights`, not by `assign`; the"
    " learning rate and the step of a schedule are numbers without `value`; an array carries no name, no"
    " path and no mask.",
    "dtypes are float32 and float64: no float16, bfloat16 or whole numbers in layers, losses and"
    " metrics, no mixed precision, quantization or LoRA; no sparse or ragged tensors. A loss or a metric"
    " that is called on float64 arrays answers in float64.",
    "No global seed: `Sequential(seed=)`, and whole numbers as seeds of layers and initializers, no"
    " `SeedGenerator`.",
    "Optimizers step by `apply` on arrays by name, where Keras has `apply_gradients`; they keep `slots`"
    " in place of `variables` and have no `set_weights`, no averages of weights, no accumulation of"
    " gradients and no `exclude_from_weight_decay`; the learning rate is a number or a schedule, not a"
    " function without arguments; `get(None)` is refused, and names are not counted up.",
    "No constraints: `weight_decay` and regularizers in their place.",
    "A mask is (batch, time): none with an axis of features, in TimeDistributed too. No metric counts a"
    " masked step; in Keras only the accuracies, the errors without a root and the losses leave them out.",
    "Token ids are whole numbers: fractions are refused, where Keras cuts them off. Targets that are"
    " not finite are refused before the first batch.",
    "Sizes are at least 1, and a sample has at least one axis: Flatten takes no batch of single"
    " numbers. Channels stand last.",
    "`Input` has no `sparse`, `ragged`, `tensor` and no `call`; `Embedding(weights=)` holds its table"
    " once it is built; a layer's activation is given at construction, and cannot be set to None later.",
    "A description (`get_config`) may hold more than Keras's: `delta` of Huber, `dtype` of losses."
    " `get` of a loss or a metric gives an object, not a function; initializers go by their short names,"
    " without the ending `Initializer`; an array in `Constant` is no JSON.",
    "What `verbose` says is printed, not logged. ReduceLROnPlateau keeps `cooldown_counter` to itself,"
    " and monitors have no `monitor_op`. A callback works on a model of minilstm, not on a stand-in for"
    " one. A monitor that no log has is refused before the first batch, in ModelCheckpoint too.",
    "`timeseries_dataset_from_array` gives an iterable, without `take`, `format` and a batch_size of None.",
    "A metric has the arrays of its state only after its first batch; no hinge metrics.",
)


def table() -> str:
    """The page: every name that Keras has in these modules."""
    lines = [
        "# Keras's names",
        "",
        "Every public name of Keras 3 in the modules that `minilstm.keras` has, made by",
        "`tests/test_keras_names.py`. minilstm goes as far as a Sequential of recurrent layers and what",
        "stands around them; it has no graph of layers, no convolutions and no images.",
        "",
    ]
    for module in sorted(scope.HOMES):
        theirs = import_module(f"keras.{module}")
        here = scope.places(module)
        names = sorted(name for name in dir(theirs) if not name.startswith("_") and name not in scope.HOMES)
        rows = [name for name in names if name not in ("legacy", "schedules", "sequence", "image")]
        lines += [f"## {module}", "", "| name | here |", "| --- | --- |"]
        for name in rows:
            if name in here:
                word = DIFFERENT.get(f"{module}.{name}")
                lines.append(f"| `{name}` | yes{f', differently: {word}' if word else ''} |")
        absent = [name for name in rows if name not in here]
        told = scope.INSTEAD.get(module, {})
        lines += [f"| `{name}` | no; instead: {told[name]} |" for name in absent if told.get(name)]
        rest = ", ".join(f"`{name}`" for name in absent if not told.get(name))
        if rest:
            lines += ["", f"Not here: {rest}."]
        lines.append("")
    lines += ["## Everywhere", "", *(f"- {sentence}" for sentence in EVERYWHERE), ""]
    return "\n".join(lines)


def test_the_page_is_what_the_modules_have():
    require("keras")
    assert PAGE.read_text(encoding="utf-8") == table(), "run python tests/test_keras_names.py --write"


@pytest.mark.parametrize("module", sorted(scope.HOMES))
def test_every_name_is_there_or_says_what_to_use(module):
    require("keras")
    ours = import_module(f"minilstm.keras.{module}")
    theirs = import_module(f"keras.{module}")
    for name in dir(ours):
        assert getattr(ours, name) is not None
    for name in dir(theirs):
        if name.startswith("_") or name in scope.places(module) or f"{module}.{name}" in scope.HOMES:
            continue
        with pytest.raises(AttributeError, match=f"minilstm.keras.{module} has no '{name}'; ") as found:
            getattr(ours, name)
        assert hasattr(ours, name) is False
        assert len(str(found.value)) < 800


def test_an_import_says_what_to_use():
    with pytest.raises(ImportError, match="layers has no 'Conv1D'; instead: an LSTM"):
        from minilstm.keras.layers import Conv1D  # noqa: F401
    with pytest.raises(ImportError, match="has no 'LSTN'; the nearest is LSTM"):
        from minilstm.keras.layers import LSTN  # noqa: F401
    with pytest.raises(AttributeError, match="has no 'set_random_seed'; instead: Sequential"):
        ml.keras.utils.set_random_seed(0)
    with pytest.raises(AttributeError, match="models has no 'Model'; instead: Sequential"):
        _ = ml.keras.Model


def test_the_names_are_the_package_s_own():
    from minilstm.keras.callbacks import EarlyStopping, History
    from minilstm.keras.layers import LSTM, Dense
    from minilstm.keras.models import Sequential, load_model
    from minilstm.keras.optimizers import Adam
    from minilstm.keras.optimizers.schedules import ExponentialDecay
    from minilstm.keras.preprocessing.sequence import pad_sequences

    pairs = (
        LSTM,
        Dense,
        Sequential,
        Adam,
        EarlyStopping,
        ExponentialDecay,
        pad_sequences,
        History,
    )
    for one in pairs:
        assert getattr(ml, one.__name__) is one
    assert ml.keras.losses.Huber is ml.Huber
    assert load_model.__module__ == "minilstm.keras.model_names"  # it knows Keras's files and words too
    assert ml.keras.metrics.MeanSquaredError is not ml.keras.losses.MeanSquaredError
    assert ml.keras.optimizers.schedules.CosineDecay is ml.CosineDecay


def test_nothing_is_imported_before_it_is_asked_for():
    code = "import sys, minilstm.keras; print(sorted(n for n in sys.modules if n.startswith('minilstm.')))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    own = ["foundations", "foundations.forks", "keras", "keras.scope"]
    assert out.strip() == str([f"minilstm.{name}" for name in own])


def test_utilities_like_keras():
    require("keras")
    import keras

    for x, classes in (([0, 2, 1], None), ([[0], [1]], 4), ([[0, 1], [2, 2]], None)):
        expected = keras.utils.to_categorical(x, classes)
        found = ml.keras.utils.to_categorical(x, classes)
        assert found.shape == expected.shape
        assert (found == expected).all()
    with pytest.raises(ValueError, match=r"x must be of labels 0 \.\. 1, got 0 \.\. 2"):
        ml.keras.utils.to_categorical([0, 2], 2)
    x = np.array([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(ml.keras.utils.normalize(x), keras.utils.normalize(x))


def test_windows_of_a_series_train_a_model():
    series = np.sin(np.arange(40.0))
    of_numbers = ml.keras.utils.timeseries_dataset_from_array(series, series[5:], 5, batch_size=8)
    assert [x.shape for x, _ in of_numbers][-1] == (3, 5)  # as in Keras, without an axis of features
    batches = ml.keras.utils.timeseries_dataset_from_array(
        series[:, None], series[5:], 5, batch_size=8, shuffle=True, seed=0
    )
    assert sum(len(x) for x, _ in batches) == 35
    starts = np.concatenate([y for _, y in batches])
    assert sorted(starts) == sorted(series[5:])
    assert (starts != series[5:]).any()
    for x, y in batches:
        for window, target in zip(x[..., 0], y, strict=True):
            start = int(np.flatnonzero(series == window[0])[0])
            assert (window == series[start : start + 5]).all()
            assert target == series[start + 5]
    model = ml.Sequential([ml.LSTM(2, input_shape=(5, 1)), ml.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    assert len(model.fit(batches, epochs=2, verbose=0).history["loss"]) == 2
    with pytest.raises(IndexError):
        batches[5]


ACTIVATIONS = sorted(activations.ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_like_keras(name):
    """Values in float32 against Keras, gradients in float64 against PyTorch's autograd and complex steps."""
    require("keras")
    import keras
    import torch

    x = np.random.default_rng(0).normal(size=(6, 5)) * 3
    expected = np.asarray(getattr(keras.activations, name)(torch.tensor(x, dtype=torch.float32)))
    function = getattr(ml.keras.activations, name)
    np.testing.assert_allclose(function(x.astype("float32")), expected, rtol=2e-6, atol=1e-6)
    one, dy = activations.get(name), np.random.default_rng(1).normal(size=x.shape)
    tensor = torch.tensor(x, requires_grad=True)
    theirs = {
        "hard_sigmoid": lambda value: torch.clamp(value / 6 + 0.5, 0, 1),  # hardsigmoid's 1 / 6 is float32
        "linear": lambda value: value * 1,
        "softmax": lambda value: torch.softmax(value, -1),
    }
    theirs.get(name, getattr(torch.nn.functional, name, None))(tensor).backward(torch.tensor(dy))
    found = one.backward(dy, x if one.of_input else one.forward(x))
    np.testing.assert_allclose(found, tensor.grad.numpy(), rtol=1e-10, atol=1e-12)
    if name != "softmax":
        slope = one.forward(x + 1e-30j).imag / 1e-30
        np.testing.assert_allclose(found, dy * slope, rtol=1e-12, atol=1e-14)
        assert (np.abs(slope) <= one.slope * (1 + 1e-4)).all()
    extreme = one.forward(np.array([[-1e4, 1e4]]))
    assert np.isfinite(extreme).all()


@pytest.mark.parametrize("activation", ["elu", "selu", "softplus", "gelu", "swish", None])
def test_activations_in_layers_pass_the_gradient_check(activation):
    options = {"activation": "tanh" if activation in ("gelu", "swish") else activation, "backend": "numpy"}
    layers = [ml.LSTM(3, input_shape=(4, 2), **options), ml.Dense(2, activation=activation)]
    model = ml.Sequential(layers, seed=0, dtype="float64")
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(2, 4, 2))
    assert ml.gradcheck(model, x, np.ones((2, 2))).ok


def test_an_activation_that_a_cell_cannot_keep_is_refused():
    for name in ("gelu", "swish", "softmax"):
        with pytest.raises(ValueError, match=r"activation must be 'elu' or .* got"):
            ml.LSTM(2, activation=name)
    assert ml.Dense(2, activation=ml.keras.activations.swish).activation.name == "silu"
    assert ml.keras.activations.get(None)([1.0]).tolist() == [1.0]


@pytest.mark.parametrize(
    "name",
    [
        *("RandomNormal", "RandomUniform", "TruncatedNormal", "GlorotNormal", "GlorotUniform", "HeNormal"),
        *("HeUniform", "LecunNormal", "LecunUniform", "Orthogonal", "VarianceScaling"),
    ],
)
def test_initializers_with_a_seed_like_keras(name):
    """The same distribution by its moments; one seed, one draw, whatever the model's."""
    require("keras")
    import keras

    shape = (60, 240)
    kind = getattr(ml.keras.initializers, name)
    ours, theirs = kind(seed=3), getattr(keras.initializers, name)(seed=3)
    w, v = ours(shape, dtype="float64"), np.asarray(theirs(shape))
    assert w.dtype == np.float64
    assert ours(shape).dtype == np.float32
    assert w.std() == pytest.approx(v.std(), rel=0.03)
    assert abs(w.mean() - v.mean()) < 4 * w.std() / np.sqrt(w.size) * np.sqrt(2)
    if "Uniform" in name or "Truncated" in name:
        assert np.abs(w).max() == pytest.approx(np.abs(v).max(), rel=0.02)
    assert (ours(shape, np.random.default_rng(0), "float64") == w).all()
    assert (kind(seed=4)(shape, dtype="float64") != w).any()
    again = kind.from_config(ours.get_config())
    assert again == ours
    assert (again(shape, "float64") == w).all()
    layers = [ml.Dense(4, kernel_initializer=kind(seed=3), input_shape=(3,)) for _ in "ab"]
    models = [ml.Sequential([layer], seed=seed) for seed, layer in enumerate(layers)]
    assert (models[0].get_weights()[0] == models[1].get_weights()[0]).all()
    text = (
        "".join(f"_{letter}" if letter.isupper() else letter for letter in name)
        .lower()
        .lstrip("_")
        .replace("__", "_")
    )
    assert type(initializers.get("kernel_initializer", text)) is kind


if __name__ == "__main__" and "--write" in sys.argv:
    PAGE.write_text(table(), encoding="utf-8")
