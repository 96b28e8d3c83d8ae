"""Where Keras's names live here, and what to use for those that are not here.

    find("layers", "LSTM")      the class
    find("layers", "Conv1D")    AttributeError (ImportError in a `from ... import`) that names what is nearest

What this file is not: an implementation. Everything is somewhere else in the package, and is imported when it
is asked for.
"""

from __future__ import annotations

import difflib
import dis
import inspect
from collections.abc import Callable
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

# Of each module of Keras: the modules here that hold its names, under the same names.
HOMES: dict[str, tuple[str, ...]] = {
    "activations": ("minilstm.keras.activation_names",),
    "callbacks": ("minilstm.callbacks",),
    "datasets": (),
    "initializers": ("minilstm.keras.initializer_names",),
    "layers": ("minilstm.layers",),
    "losses": ("minilstm.losses",),
    "metrics": ("minilstm.metrics",),
    "models": (),
    "optimizers": ("minilstm.optimizers",),
    "optimizers.schedules": ("minilstm.optimizers.schedules",),
    "preprocessing": (),
    "preprocessing.sequence": ("minilstm.keras.utility_names",),
    "regularizers": ("minilstm.keras.regularizer_names",),
    "utils": ("minilstm.keras.utility_names",),
}
# Names of one module here that belong to another module of Keras, or to none.
ELSEWHERE: dict[str, dict[str, str]] = {
    "callbacks": {"History": "minilstm.network.progress"},
    "layers": {"InputLayer": "minilstm.layers.input"},
    "models": {"Sequential": "minilstm.model", "load_model": "minilstm.keras.model_names"},
}
NOT_KERAS = {
    "callbacks": {"GradientTracer", "Logs", "Scalars"},
    "layers": {"RECURRENT", "Recurrent"},
    "losses": {"CustomLoss", "for_training"},
    "metrics": {"Bound", "Identifier", "Weighted", "check", "check_both", "direction", "name_of", "resolve"},
    "optimizers": {"Update"},
    "preprocessing.sequence": {"normalize", "timeseries_dataset_from_array", "to_categorical"},
}
NOT_KERAS["metrics"] |= {"stand_in"}

SEQUENTIAL = "a Sequential of recurrent layers is as far as minilstm goes"
INSTEAD: dict[str, dict[str, str]] = {
    "activations": {"deserialize": "get"},
    "callbacks": {
        "BackupAndRestore": "ModelCheckpoint with save_freq, and resume",
        "RemoteMonitor": "a Callback of your own",
        "SwapEMAWeights": "a Callback of your own",
    },
    "datasets": {
        "imdb": "minilstm.datasets.imdb (the extra 'imdb'), which downloads nothing",
        "mnist": "minilstm.load_digits, which downloads nothing",
        "reuters": "minilstm.datasets; nothing is downloaded",
    },
    "layers": {
        "Add": SEQUENTIAL,
        "Attention": SEQUENTIAL,
        "AveragePooling1D": "GlobalAveragePooling1D",
        "BatchNormalization": "LayerNormalization, or scaled inputs: statistics over a batch mix sequences",
        "Concatenate": SEQUENTIAL,
        "Conv1D": "an LSTM: minilstm has recurrent layers only",
        "Conv2D": "an LSTM: minilstm has recurrent layers only",
        "ConvLSTM2D": "LSTM",
        "GlobalMaxPooling1D": "GlobalAveragePooling1D",
        "LSTMCell": "LSTM, or RNN with a cell of your own",
        "GRUCell": "GRU, or RNN with a cell of your own",
        "SimpleRNNCell": "SimpleRNN, or RNN with a cell of your own",
        "Lambda": "a function applied to the data before fit",
        "MaxPooling1D": "GlobalAveragePooling1D",
        "MultiHeadAttention": SEQUENTIAL,
        "Normalization": "a scaler of scikit-learn on the data before fit",
        "SpatialDropout1D": "dropout= of the recurrent layer, which drops features of all steps alike",
        "TextVectorization": "minilstm.Vocabulary",
    },
    "models": {
        "Model": f"Sequential: {SEQUENTIAL}",
        "clone_model": "a function that makes the model, called again",
        "model_from_json": "load_model",
        "save_model": "Sequential.save",
    },
    "optimizers": dict.fromkeys(
        ("Adadelta", "Adafactor", "Adagrad", "Adamax", "Ftrl", "Lamb", "Lion", "Muon", "Nadam"), "Adam"
    ),
    "preprocessing": {"text": "minilstm.Vocabulary", "timeseries_dataset_from_array": "utils"},
    "preprocessing.sequence": {"TimeseriesGenerator": "utils.timeseries_dataset_from_array"},
    "regularizers": {"OrthogonalRegularizer": "an object of your own with __call__ and gradient"},
    "utils": {
        "set_random_seed": "Sequential(seed=...): there is no global randomness here",
        "plot_model": "Sequential.summary",
        "PyDataset": "any object with __len__ and __getitem__, or an iterable of batches",
        "Sequence": "any object with __len__ and __getitem__, or an iterable of batches",
    },
}


def places(module: str) -> dict[str, str]:
    """The names that a module of Keras has here, and the module each lives in."""
    found = dict(ELSEWHERE.get(module, {}))
    for home in HOMES[module]:
        for name in import_module(home).__all__:
            if name not in NOT_KERAS.get(module, ()):
                found.setdefault(name, home)
    return found


def find(module: str, name: str) -> Any:
    """What Keras calls `module.name`; an error that says what to use, where that is not here."""
    if name.startswith("__"):  # what Python itself asks modules for
        raise AttributeError(name)
    if f"{module}.{name}" in HOMES:
        return import_module(f"minilstm.keras.{module}.{name}")
    home = places(module).get(name)
    if home is None:
        missing(module, name, inspect.currentframe())
    return getattr(import_module(home), name)


def lookup(module: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a module of Keras."""

    def getattr_(name: str) -> Any:
        return find(module, name)

    return getattr_, lambda: sorted(places(module))


def sentence(module: str, name: str) -> str:
    """What to use instead of a name that is not here.

    >>> sentence("layers", "LSTN")
    "minilstm.keras.layers has no 'LSTN'; the nearest is LSTM"
    """
    text = f"minilstm.keras.{module} has no {name!r}"
    instead = INSTEAD.get(module, {}).get(name)
    if instead:
        return f"{text}; instead: {instead}"
    known = sorted(places(module))
    near = difflib.get_close_matches(name, known, 1, 0.5)
    return text + (f"; the nearest is {near[0]}" if near else f"; it has {', '.join(known) or 'nothing'}")


def missing(module: str, name: str, frame: FrameType | None) -> NoReturn:
    """AttributeError, or ImportError where a `from ... import` would put its own text in that one's place."""
    text = sentence(module, name)
    caller = None if frame is None or frame.f_back is None else frame.f_back.f_back
    operation = "" if caller is None else dis.opname[caller.f_code.co_code[caller.f_lasti]]
    raise (ImportError if operation == "IMPORT_FROM" else AttributeError)(text)
