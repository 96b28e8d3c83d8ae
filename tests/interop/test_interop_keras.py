"""Models and files that the installed Keras makes: they load, predict the same, and go back unchanged."""

from __future__ import annotations

import io
import json
import sys
import zipfile

import numpy as np
import pytest
from conftest import require
from tolerances import PARITY, check

import minilstm as ml
from minilstm.interop import from_keras, load_keras_weights, to_keras

require("h5py")
pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

B, T = 5, 7
BOUND = PARITY["float32"]


def random_weights(model, seed=0):
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=w.shape) * 0.5 for w in model.get_weights()])
    return model


def keras_models(keras):
    """One model for every layer and option that is taken over."""
    L = keras.layers
    return {
        "lstm": [L.Input((T, 3)), L.LSTM(4, return_sequences=True), L.LSTM(2, use_bias=False)],
        "gru": [L.Input((T, 3)), L.GRU(4, return_sequences=True), L.GRU(2), L.Dense(3, activation="softmax")],
        "simple": [L.Input((None, 3)), L.SimpleRNN(4, name="mine"), L.Dense(1, use_bias=False)],
        "mask": [L.Input((T, 3)), L.Masking(0.5), L.LSTM(4), L.Dense(2, kernel_regularizer="l2")],
        "both": [
            L.Input((T, 3)),
            L.Masking(0.5),
            L.Bidirectional(L.LSTM(4, return_sequences=True)),
            L.Bidirectional(L.GRU(3, return_sequences=True), merge_mode="mul"),
            L.TimeDistributed(L.Dense(4, activation="tanh")),
            L.LSTM(3, return_sequences=True),
            L.Bidirectional(L.SimpleRNN(2), merge_mode="sum", name="last"),
            L.Dense(2),
        ],
        "backwards": [L.Input((T, 3)), L.LSTM(3, return_sequences=True, go_backwards=True), L.GRU(2)],
        "ids": [
            L.Input((None,)),
            L.Embedding(9, 4, mask_zero=True),
            L.Dropout(0.5),
            L.GRU(3, return_sequences=True),
            L.GlobalAveragePooling1D(),
            L.Dense(1, activation="sigmoid"),
        ],
    }


MODELS = ["lstm", "gru", "simple", "mask", "both", "backwards", "ids"]
on_models = pytest.mark.parametrize("name", MODELS)


def made(keras, name):
    return random_weights(keras.Sequential(keras_models(keras)[name]))


def inputs_of(name):
    rng = np.random.default_rng(1)
    if name == "ids":
        return rng.integers(0, 9, (B, T))
    x = rng.normal(size=(B, T, 3)).astype("float32")
    x[0, 3:] = x[1, 5:] = 0.5  # masked in the model "mask"
    return x


def loaded(keras, name, way, tmp_path):
    """Our model of the Keras model, by one of three ways."""
    theirs = made(keras, name)
    if way == "object":
        return theirs, from_keras(theirs)
    theirs.save(tmp_path / "m.keras")
    if way == "keras file":
        return theirs, from_keras(tmp_path / "m.keras")
    theirs.save_weights(tmp_path / "m.weights.h5")
    ours = from_keras(theirs)
    ours.set_weights([np.zeros_like(w) for w in ours.get_weights()])
    load_keras_weights(ours, tmp_path / ("m.weights.h5" if way == "weights" else "m.keras"))
    return theirs, ours


@on_models
@pytest.mark.parametrize("way", ["object", "keras file", "weights", "weights of a keras file"])
def test_models_load_and_predict_the_same_and_go_back_unchanged(keras, tmp_path, name, way):
    theirs, ours = loaded(keras, name, way, tmp_path)
    x = inputs_of(name)
    check(ours.predict(x), theirs.predict(x, verbose=0), BOUND)
    before = theirs.get_weights()
    theirs.set_weights([np.zeros_like(w) for w in before])
    theirs.set_weights(to_keras(ours))
    for old, new in zip(before, theirs.get_weights(), strict=True):
        assert old.tobytes() == new.tobytes()


@on_models
def test_all_gradients_are_keras_s(keras, torch, name):
    theirs = made(keras, name)
    ours = from_keras(theirs)
    x = inputs_of(name)
    y = np.random.default_rng(2).normal(size=ours.predict(x).shape).astype("float32")
    loss = torch.nn.functional.mse_loss(theirs(x, training=False), torch.from_numpy(y))
    (loss + sum(theirs.losses)).backward()
    ours.compile("sgd", "mse")
    trace = ours.trace(x, y)
    assert len(trace.grads) == len(theirs.trainable_weights)
    for (key, found), weight in zip(trace.grads.items(), theirs.trainable_weights, strict=True):
        check(found, weight.value.grad.numpy(), BOUND, what=key)


def test_reading_needs_no_keras(keras, tmp_path):
    import subprocess

    made(keras, "gru").save(tmp_path / "m.keras")
    code = """
import sys
sys.modules["keras"] = sys.modules["torch"] = sys.modules["tensorflow"] = None
from minilstm.interop import from_keras
print(len(from_keras(sys.argv[1]).get_weights()))
"""
    arguments = [sys.executable, "-c", code, tmp_path / "m.keras"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout == "8\n"


def test_what_this_package_does_not_have_is_named(keras):
    L = keras.layers
    refused = {
        "reset_after must be True": L.GRU(2, reset_after=False),
        "got Conv1D": L.Conv1D(2, 2),
        "kernel_constraint=": L.LSTM(2, kernel_constraint="max_norm"),
        "activation must be .*, got 'gelu'": L.LSTM(2, activation="gelu"),
        "a regularizer of the Keras model must be L1, L2 or L1L2": L.Dense(
            2, kernel_regularizer=keras.regularizers.OrthogonalRegularizer()
        ),
    }
    for message, layer in refused.items():
        with pytest.raises(ValueError, match=message):
            from_keras(keras.Sequential([L.Input((T, 3)), layer]))
    x = L.Input((T, 3))
    with pytest.raises(ValueError, match=r"source must be a keras\.Sequential, layers in a row, got"):
        from_keras(keras.Model(x, L.LSTM(2)(x)))
    with pytest.raises(ValueError, match="one that is not built"):
        from_keras(keras.Sequential([L.LSTM(2)]))
    with pytest.raises(
        TypeError, match=r"source must be a keras\.Sequential or the path of a \.keras file, got 3"
    ):
        from_keras(3)


def test_cells_that_keras_does_not_have_cannot_go_there():
    model = ml.Sequential([ml.LSTM(2, peepholes=True, backend="numpy", input_shape=(None, 3))])
    with pytest.raises(ValueError, match="a cell that Keras has too"):
        to_keras(model)


# ------------------------------------------------------------------------------ damaged files


@pytest.fixture
def file(keras, tmp_path):
    path = tmp_path / "m.keras"
    made(keras, "lstm").save(path)
    return path


def refused(path, reason):
    with pytest.raises(ml.WeightsFileError, match=reason) as caught:
        from_keras(path)
    assert caught.value.path == str(path)


def rewritten(path, change, compress=zipfile.ZIP_STORED):
    """The same .keras file with its HDF5 part or its config changed."""
    import h5py

    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    buffer = io.BytesIO(parts["model.weights.h5"])
    config = json.loads(parts["config.json"])
    with h5py.File(buffer, "r+") as weights:
        change(weights, config)
    parts["model.weights.h5"], parts["config.json"] = buffer.getvalue(), json.dumps(config).encode()
    with zipfile.ZipFile(path, "w", compress) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


BIAS = "layers/lstm/cell/vars/2"


def replaced(weights, **dataset):
    del weights[BIAS]
    weights.create_dataset(BIAS, **dataset)


def linked(weights):
    import h5py

    del weights[BIAS]
    weights[BIAS] = h5py.ExternalLink("/etc/x", "/y")


def layers_of(config):
    return config["config"]["layers"]


def config_of(config, k):
    return layers_of(config)[k]["config"]


def nest(config):
    for _ in range(40):
        inner = {"class_name": "TimeDistributed", "config": {"name": "n", "layer": layers_of(config)[1]}}
        layers_of(config)[1] = inner


HARMFUL = {
    "missing": (lambda f, c: f.__delitem__(BIAS), f"it holds no '{BIAS}', which the model has"),
    "shape": (lambda f, c: replaced(f, data=np.ones(3)), r"has shape \(3,\)"),
    "bomb": (
        lambda f, c: replaced(f, shape=(2**45,), dtype="f4", chunks=(1024,)),
        r"has shape \(35184372088832,\) of float32, the model's \(16,\)",
    ),
    "integers": (lambda f, c: replaced(f, data=np.ones(16, int)), r"has shape \(16,\) of int64"),
    "NaN": (lambda f, c: f[BIAS].__setitem__(3, np.nan), "holds NaN or Inf"),
    "another file": (lambda f, c: linked(f), "it holds no"),
    "another file's bytes": (
        lambda f, c: replaced(f, shape=(16,), dtype="f4", external=[("/etc/passwd", 0, 64)]),
        "is no array of its own",
    ),
    "another class": (lambda f, c: c.__setitem__("class_name", "Functional"), "it holds a 'Functional'"),
    "no config": (lambda f, c: c.clear(), r"its config\.json cannot be read"),
    "units": (
        lambda f, c: config_of(c, 1).__setitem__("units", 5000),
        r"has shape .*, the model's \(3, 20000\)",
    ),
    "many units": (lambda f, c: config_of(c, 1).__setitem__("units", 10**15), "has shape"),
    "units of many digits": (
        lambda f, c: config_of(c, 1).__setitem__("units", 10**40),
        "layer 'lstm.*' .* cannot be made: units must be a whole number",
    ),
    "units of a text": (
        lambda f, c: config_of(c, 1).__setitem__("units", [4]),
        "units must be a whole number",
    ),
    "rate": (
        lambda f, c: config_of(c, 1).__setitem__("dropout", 10**400),
        "layer 'lstm.*' .* cannot be made",
    ),
    "class of another type": (lambda f, c: layers_of(c)[1].__setitem__("class_name", [1]), "must be one of"),
    "a layer without config": (lambda f, c: layers_of(c)[1].pop("config"), "'config' in the config"),
    "an input without config": (lambda f, c: layers_of(c)[0].pop("config"), "'config' in the config"),
    "layers that are none": (lambda f, c: c["config"].__setitem__("layers", 3), "'layers' in the config"),
    "many layers": (lambda f, c: layers_of(c).extend([layers_of(c)[1]] * 1100), "at most 1000 layers"),
    "nested": (lambda f, c: nest(c), "nested too deeply"),
    "compressed": (
        lambda f, c: replaced(f, shape=(16,), dtype="f4", chunks=(16,), compression="gzip"),
        "compressed or not there",
    ),
}


@pytest.mark.parametrize("name", sorted(HARMFUL))
def test_harmful_files_are_refused(file, name):
    change, reason = HARMFUL[name]
    rewritten(file, change)
    refused(file, reason)


def test_damaged_files_are_refused(file, keras):
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    for length in rng.integers(0, len(whole), 40):
        file.write_bytes(whole[:length])
        refused(file, "it is not a file of Keras|its weights are not HDF5|it holds no")
    file.write_bytes(whole)
    rewritten(file, lambda f, c: None, zipfile.ZIP_DEFLATED)
    refused(file, "is compressed, which Keras does not do")
    file.with_suffix(".h5").write_bytes(b"\x89HDF\r\n\x1a\ntext")
    model = ml.Sequential([ml.LSTM(4, input_shape=(T, 3))])
    before = model.get_weights()
    with pytest.raises(ml.WeightsFileError, match="its weights are not HDF5"):
        load_keras_weights(model, file.with_suffix(".h5"))
    made(keras, "lstm").save_weights(file.with_suffix(".weights.h5"))
    stored = bytearray(file.with_suffix(".weights.h5").read_bytes())
    stored[14] = 2  # the size of lengths: it opens, and its root cannot be looked at
    file.with_suffix(".h5").write_bytes(stored)
    with pytest.raises(ml.WeightsFileError, match="its weights are not HDF5"):
        load_keras_weights(model, file.with_suffix(".h5"))
    made(keras, "gru").save_weights(file.with_suffix(".weights.h5"))
    with pytest.raises(
        ml.WeightsFileError, match="it holds no 'layers/lstm/cell/vars/0', which the model has"
    ):
        load_keras_weights(model, file.with_suffix(".weights.h5"))
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    file.write_bytes(b"text")
    with pytest.raises(ml.WeightsFileError, match=r"it is not a file of Keras, \.keras or \.weights\.h5"):
        load_keras_weights(model, file)


def test_without_h5py_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"needs h5py: pip install 'minilstm\[keras\]'"):
        from_keras(tmp_path / "m.keras")


class KerasLike:
    """What `from_keras` asks of a model: an LSTM(2) whose weights are given."""

    def __init__(self, weights):
        self.weights = weights

    def get_config(self):
        start = {"class_name": "InputLayer", "config": {"batch_shape": [None, 4, 3]}}
        return {
            "name": "s",
            "layers": [start, {"class_name": "LSTM", "config": {"name": "lstm", "units": 2}}],
        }

    def get_weights(self):
        return self.weights


KERNEL, OTHERS = np.ones((3, 8)), [np.ones((2, 8)), np.ones(8)]


@pytest.mark.parametrize("weights", [None, 5, "abc", object()])
def test_weights_that_are_no_list_are_refused_by_name(weights):
    with pytest.raises(TypeError, match=r"get_weights\(\) of the Keras model gives must be a list of arrays"):
        from_keras(KerasLike(weights))


def test_a_config_that_is_no_dict_is_refused_by_name():
    like = KerasLike([KERNEL, *OTHERS])
    like.get_config = lambda: None
    with pytest.raises(TypeError, match=r"get_config\(\) of the Keras model gives must be a dict"):
        from_keras(like)


@pytest.mark.parametrize(
    "kernel", [None, "a", b"x", dict, [1, [2]], KERNEL * 1j, np.ma.array(KERNEL, mask=True)]
)
def test_a_weight_that_is_no_array_of_numbers_is_refused_by_name(kernel):
    with pytest.raises((TypeError, ValueError), match=r"^lstm\S*/kernel must be a"):
        from_keras(KerasLike([kernel, *OTHERS]))


def test_weights_of_bfloat16_are_read():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    model = from_keras(KerasLike([np.asarray(one, bfloat16) for one in (KERNEL * 0.5, *OTHERS)]))
    assert (model.get_weights()[0] == 0.5).all()
