"""Measure what is equal to Keras and PyTorch, to how many digits, over how many random cases.

    KERAS_BACKEND=torch python tests/parity_table.py            prints the table
    KERAS_BACKEND=torch python tests/parity_table.py --write    and puts it into docs/results/parity.md

Each case draws its own sizes, weights, data, masks and options. Both sides get the same weights; compared are
outputs and the gradients of all weights, relative to the largest entry of the same array. The table gives
the largest difference of all cases, rounded up to a power of ten that is at least three times as large.
`test_parity_table.py` measures again and holds the page to it.
"""

from __future__ import annotations

import math
import os
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import torch
from keras_pair import Layers, keras_weights, pair
from tolerances import distance

import minilstm as ml
from minilstm import losses, metrics
from minilstm.network import batches, passes
from minilstm.network.network import build, optimizer_and_loss

PAGE = Path(__file__).parent.parent / "docs" / "results" / "parity.md"
START, END = "<!-- parity: written by tests/parity_table.py -->\n", "<!-- end of parity -->\n"
Generator = np.random.Generator
Case = Callable[[Generator], float]  # the largest relative difference of one random case


class Row(NamedTuple):
    """A line of the table."""

    feature: str
    peer: str
    cases: int
    measure: Case


def network(rng: Generator, layers: Layers, x: np.ndarray, masked: bool) -> float:
    """Output and all gradients of a network in both libraries, for a squared error; Keras's in float32."""
    mask = None
    if masked:
        mask = rng.random(x.shape[:2]) < 0.6
        mask[rng.integers(len(x))] = False  # a sample of padding only
        x = np.where(mask if x.ndim == 2 else mask[..., None], x, 0)
        if x.ndim == 3:
            layers = [("Masking", (), {}), *layers]
    theirs = keras.Sequential([keras.Input(x.shape[1:])] + [_layer(keras.layers, spec) for spec in layers])
    ours = ml.Sequential([_layer(ml, spec) for spec in layers], dtype="float64")
    ours.compile(loss="mse")
    build(ours, x.shape[1:])
    weights = [rng.normal(size=w.shape) * 0.5 for w in ours.get_weights()]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    output = theirs(torch.tensor(x, dtype=torch.float32))
    y = rng.normal(size=tuple(output.shape))
    error = (output - torch.tensor(y, dtype=torch.float32)) ** 2
    if mask is not None and error.ndim == 3:
        error = error[torch.tensor(mask)]
    error.mean().backward()
    batch = batches.checked(ours, x, y)
    done = passes.forward(ours.layers, batch.x, None, keep="boundaries")
    found = passes.loss_and_gradient(ours.layers, optimizer_and_loss(ours)[1], batch.y, done)
    grads, _ = passes.backward(ours.layers, found, done)
    expected = [w.value.grad for w in theirs.trainable_weights]
    pairs = [(done.output, output.detach().numpy())]
    pairs += [(g, e.numpy()) for g, e in zip(grads.values(), expected, strict=True) if e is not None]
    return max(distance(found, wanted) for found, wanted in pairs)


def _layer(home: Any, spec: tuple[str, tuple[Any, ...], dict[str, Any]]) -> Any:
    """A layer of either library; a layer inside another is given as such a tuple."""
    name, arguments, options = spec
    inner = [_layer(home, a) if isinstance(a, tuple) else a for a in arguments]
    return getattr(home, name)(*inner, **options)


def features(rng: Generator) -> np.ndarray:
    B, T, D = rng.integers(2, 8), rng.integers(1, 9), rng.integers(1, 6)
    return rng.normal(size=(B, T, D))


def recurrent(cell: str, masked: bool = False, **options: Any) -> Case:
    def measure(rng: Generator) -> float:
        sequences = bool(rng.integers(2))
        layers = [(cell, (int(rng.integers(1, 7)),), {"return_sequences": sequences, **options})]
        return network(rng, layers, features(rng), masked)

    return measure


def composed(*layers: tuple[str, tuple[Any, ...], dict[str, Any]], masked: bool = True) -> Case:
    return lambda rng: network(rng, list(layers), features(rng), masked)


def embedding(rng: Generator) -> float:
    ids = rng.integers(1, 9, rng.integers(2, 8, 2))
    return network(rng, [("Embedding", (9, 4), {"mask_zero": True}), ("LSTM", (3,), {})], ids, True)


def against_torch(cell: str, theirs: Any) -> Case:
    """Output sequence, gradients of the input and of the weights, of one layer in float64."""

    def measure(rng: Generator) -> float:
        x, units = features(rng), int(rng.integers(1, 7))
        model = ml.Sequential([getattr(ml, cell)(units, return_sequences=True)], dtype="float64")
        model.compile(loss="mse")
        build(model, x.shape[1:])
        W, U, b = [rng.normal(size=w.shape) * 0.5 for w in model.get_weights()]
        model.set_weights([W, U, b])
        layer = theirs(x.shape[2], units, batch_first=True, dtype=torch.float64)
        order = [1, 0, 2] if cell == "GRU" else range(W.shape[1] // units)  # PyTorch's GRU has r before z

        def blocks(array: np.ndarray) -> np.ndarray:
            return np.concatenate([np.split(array, len(order), axis=-1)[k] for k in order], axis=-1)

        bias = b if cell == "GRU" else np.stack([b, np.zeros_like(b)])
        values = [blocks(W).T, blocks(U).T, *blocks(bias)]
        with torch.no_grad():
            for parameter, value in zip(layer.parameters(), values, strict=True):
                parameter.copy_(torch.tensor(np.ascontiguousarray(value)))
        z = torch.tensor(x, requires_grad=True)
        output = layer(z)[0]
        y = rng.normal(size=tuple(output.shape))
        ((output - torch.tensor(y)) ** 2).mean().backward()
        trace = model.trace(x, y)
        dW, dU, db = (blocks(grad) for grad in trace.grads.values())
        theirs_dW, theirs_dU, *theirs_db = (parameter.grad.numpy() for parameter in layer.parameters())
        pairs = [(trace.output, output.detach().numpy()), (trace[0].dx, z.grad.numpy())]
        pairs += [(dW.T, theirs_dW), (dU.T, theirs_dU)]
        pairs += [(db, np.stack(theirs_db) if cell == "GRU" else theirs_db[0])]
        return max(distance(found, wanted) for found, wanted in pairs)

    return measure


def loss(name: str) -> Case:
    """Value and gradient on outputs, with weights of the rows; outputs stay where Keras does not clip."""

    def measure(rng: Generator) -> float:
        shape = tuple(rng.integers(2, 7, rng.integers(2, 4)))
        p = rng.uniform(0.05, 0.95, shape)
        y = rng.random(shape)
        if name == "sparse_categorical_crossentropy":
            y = rng.integers(0, shape[-1], shape[:-1])
        elif name != "mean_squared_error":
            y = y.round() if name == "binary_crossentropy" else np.eye(shape[-1])[y.argmax(axis=-1)]
        weight = rng.random(shape[:-1])
        leaf = torch.tensor(p, requires_grad=True)
        function = getattr(keras.losses, "".join(part.capitalize() for part in name.split("_")))
        value = function()(torch.tensor(y), leaf, sample_weight=torch.tensor(weight))
        value.backward()
        ours = losses.get(name)
        found, gradient = ours.value_and_gradient(ours.check_targets(y, shape), p, None, weight)
        return max(distance(found, value.item()), distance(gradient, leaf.grad.numpy()))

    return measure


def accuracies(rng: Generator) -> float:
    """All metrics: accuracy of the three kinds, top-k of both, mean squared and mean absolute error."""
    shape = (int(rng.integers(3, 40)), int(rng.integers(2, 8)))
    p, labels = rng.random(shape).astype("float32"), rng.integers(0, shape[1], shape[0])
    rows, k = np.eye(shape[1], dtype="float32")[labels], int(rng.integers(1, shape[1]))
    cases = [
        (keras.metrics.BinaryAccuracy(), "binary_accuracy", rows),
        (keras.metrics.CategoricalAccuracy(), "categorical_accuracy", rows),
        (keras.metrics.SparseCategoricalAccuracy(), "sparse_categorical_accuracy", labels),
        (keras.metrics.TopKCategoricalAccuracy(k), ml.TopKCategoricalAccuracy(k), rows),
        (keras.metrics.SparseTopKCategoricalAccuracy(k), ml.SparseTopKCategoricalAccuracy(k), labels),
        (keras.metrics.MeanSquaredError(), "mse", rows),
        (keras.metrics.MeanAbsoluteError(), "mae", rows),
    ]
    worst = 0.0
    for theirs, identifier, y in cases:
        theirs.update_state(y, p)
        total, count = metrics.resolve(identifier, y.shape, shape).count(y, p)
        worst = max(worst, distance(total / count, float(theirs.result())))
    return worst


def optimizer(kind: str, **drawn: Callable[[Generator], Any]) -> Case:
    """Weights after 20 steps in float32, with one way of clipping or none."""

    def measure(rng: Generator) -> float:
        options = {name: draw(rng) for name, draw in drawn.items()} | clipping(rng)
        ours, theirs = getattr(ml, kind)(**options), getattr(keras.optimizers, kind)(**options)
        params = {name: rng.normal(size=shape).astype("float32") for name, shape in SHAPES.items()}
        variables = [keras.Variable(w) for w in params.values()]
        for _ in range(20):
            grads = {name: rng.normal(size=w.shape).astype("float32") for name, w in params.items()}
            theirs.apply([torch.tensor(g) for g in grads.values()], variables)
            ours.apply(params, grads)
        found = zip(params.values(), variables, strict=True)
        return max(distance(w, variable.value.detach().numpy()) for w, variable in found)

    return measure


SHAPES = {"kernel": (3, 8), "recurrent_kernel": (2, 8), "bias": (8,)}


def clipping(rng: Generator) -> dict[str, float]:
    kind = rng.choice(["", "clipnorm", "clipvalue", "global_clipnorm"])
    return {str(kind): float(rng.uniform(0.05, 2))} if kind else {}


def schedules(rng: Generator) -> float:
    a, T, rate = float(rng.uniform(0.01, 1)), int(rng.integers(2, 30)), float(rng.uniform(0.2, 0.9))
    half = {"boundaries": [T, 2 * T], "values": [a, a * rate, a * rate**2]}
    cases = {
        "ExponentialDecay": {"initial_learning_rate": a, "decay_steps": T, "decay_rate": rate},
        "InverseTimeDecay": {"initial_learning_rate": a, "decay_steps": T, "decay_rate": rate},
        "PiecewiseConstantDecay": half,
        "PolynomialDecay": {"initial_learning_rate": a, "decay_steps": T, "power": 1 + rate},
        "CosineDecay": {"initial_learning_rate": a, "decay_steps": T, "alpha": rate},
        "CosineDecayRestarts": {"initial_learning_rate": a, "first_decay_steps": T, "alpha": rate},
    }
    worst = 0.0
    for name, options in cases.items():
        theirs, ours = getattr(keras.optimizers.schedules, name)(**options), getattr(ml, name)(**options)
        steps = range(3 * T)
        worst = max(worst, distance([ours(s) for s in steps], [float(theirs(s)) for s in steps]))
    return worst


def training(cell: str) -> Case:
    """Ten epochs in float32: losses, metrics and final weights, with masks, clipping and weights drawn."""

    def measure(rng: Generator) -> float:
        B, T, D = int(rng.integers(8, 25)), int(rng.integers(2, 9)), int(rng.integers(2, 5))
        x, y = rng.normal(size=(B, T, D)), rng.integers(0, 3, B)
        layers: Layers = [(cell, (int(rng.integers(2, 7)),), {}), ("Dense", (3,), {"activation": "softmax"})]
        if rng.integers(2):
            x[rng.random((B, T)) < 0.4] = 0
            layers.insert(0, ("Masking", (), {}))
        kind, options = [
            ("Adam", {"learning_rate": 0.01}),
            ("RMSprop", {"learning_rate": 0.003}),
            ("SGD", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}),
        ][rng.integers(3)]
        theirs, ours = pair(
            keras,
            layers,
            (T, D),
            seed=int(rng.integers(1000)),
            optimizer=(kind, options | clipping(rng)),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        fit: dict[str, Any] = {"batch_size": 7, "epochs": 10, "shuffle": False, "verbose": 0}
        weighing = rng.integers(3)
        if weighing:
            fit |= {"sample_weight": rng.random(B)} if weighing == 1 else {"class_weight": {0: 0.5, 2: 2.0}}
        fit |= {"validation_split": 0.25} if rng.integers(2) else {}
        x = x.astype("float32")
        expected, found = theirs.fit(x, y, **fit).history, ours.fit(x, y, **fit).history
        pairs = [(found[key], expected[key]) for key in expected]
        pairs += list(zip(ours.get_weights(), keras_weights(theirs), strict=True))
        return max(distance(ours, [float(v) for v in t] if isinstance(t, list) else t) for ours, t in pairs)

    return measure


def padding(rng: Generator) -> float:
    sequences = [rng.integers(0, 100, rng.integers(1, 12)).tolist() for _ in range(rng.integers(1, 9))]
    options: dict[str, Any] = {
        "maxlen": int(rng.integers(1, 14)),
        "padding": str(rng.choice(["pre", "post"])),
        "truncating": str(rng.choice(["pre", "post"])),
        "value": int(rng.integers(0, 5)),
    }
    same = np.array_equal(
        ml.pad_sequences(sequences, **options), keras.utils.pad_sequences(sequences, **options)
    )
    return 0.0 if same else 1.0


def rows() -> list[Row]:
    """The table's lines, in its order."""
    found = [Row("`pad_sequences`", "Keras", 200, padding)]
    for cell, theirs in (("LSTM", torch.nn.LSTM), ("GRU", torch.nn.GRU), ("SimpleRNN", torch.nn.RNN)):
        found.append(
            Row(f"{cell}, output and every gradient", "PyTorch, float64", 20, against_torch(cell, theirs))
        )
        found.append(Row(f"{cell}", "Keras, float32", 20, recurrent(cell)))
        found.append(Row(f"{cell}, any mask", "Keras, float32", 20, recurrent(cell, masked=True)))
    steps = {"return_sequences": True}
    dense = ("Dense", (2,), {"activation": "tanh"})
    stacked = composed(("LSTM", (4,), steps), ("GRU", (3,), steps), dense)
    found.append(Row("stacked LSTM and GRU, mask, Dense at each step", "Keras, float32", 20, stacked))
    both = [("Bidirectional", (("LSTM", (units,), steps),), {}) for units in (4, 3)]
    case = composed(*both, dense)
    found.append(Row("two bidirectional LSTMs, mask, Dense", "Keras, float32", 20, case))
    found.append(Row("Embedding with `mask_zero`, LSTM", "Keras, float32", 20, embedding))
    timed = composed(("LSTM", (4,), steps), ("TimeDistributed", (dense,), {}), masked=False)
    found.append(Row("TimeDistributed", "Keras, float32", 20, timed))
    pooled = composed(("LSTM", (4,), steps), ("GlobalAveragePooling1D", (), {}), dense, masked=False)
    found.append(Row("GlobalAveragePooling1D", "Keras, float32", 20, pooled))
    for name in (
        "binary_crossentropy",
        "categorical_crossentropy",
        "sparse_categorical_crossentropy",
        "mean_squared_error",
    ):
        found.append(Row(f"{name}, weighted", "Keras, float32", 20, loss(name)))
    found.append(Row("7 metrics: accuracy, top-k, mean errors", "Keras, float32", 20, accuracies))

    def uniform(low: float, high: float) -> Callable[[Generator], float]:
        return lambda rng: float(rng.uniform(low, high))

    def flag(rng: Generator) -> bool:
        return bool(rng.integers(2))

    rate, momentum = uniform(1e-3, 0.1), uniform(0.1, 0.9)
    optimizers = {
        "SGD": optimizer("SGD", learning_rate=rate, momentum=momentum, nesterov=flag),
        "RMSprop": optimizer(
            "RMSprop", learning_rate=rate, rho=uniform(0.5, 0.95), momentum=uniform(0.1, 0.9)
        ),
        "Adam": optimizer("Adam", learning_rate=rate, beta_1=uniform(0.5, 0.95), amsgrad=flag),
        "AdamW": optimizer("AdamW", learning_rate=rate, weight_decay=uniform(0.001, 0.1)),
    }
    for name, case in optimizers.items():
        found.append(Row(f"{name}, 20 steps, the three clippings", "Keras, float32", 20, case))
    found.append(Row("6 learning-rate schedules", "Keras, float32", 20, schedules))
    for cell in ("LSTM", "GRU", "SimpleRNN"):
        found.append(
            Row(f"10 epochs of fit, {cell}: losses and weights", "Keras, float32", 8, training(cell))
        )
    return found


def measured(row: Row, cases: int | None = None) -> float:
    """The largest difference of the first `cases` of a row, or of all; its name alone decides them."""
    seed = list(row.feature.encode())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        return max(row.measure(np.random.default_rng([*seed, case])) for case in range(cases or row.cases))


def figure(difference: float) -> str:
    """A power of ten that is at least three times the difference."""
    return "exact" if difference == 0 else f"1e{math.ceil(math.log10(3 * difference)):03d}"


def table() -> str:
    lines = ["| feature | compared with | random cases | largest difference |", "|---|---|---:|---|"]
    for row in rows():
        lines.append(f"| {row.feature} | {row.peer} | {row.cases} | {figure(measured(row))} |")
    return "\n".join(lines) + "\n"


def claims() -> dict[str, tuple[str, int, float]]:
    """The page's table: peer, cases and difference by feature."""
    text = PAGE.read_text(encoding="utf-8").split(START)[1].split(END)[0]
    lines = re.findall(r"^\| (.+?) \| (.+?) \| (\d+) \| (\S+) \|$", text, flags=re.MULTILINE)
    return {
        feature: (peer, int(cases), 0.0 if size == "exact" else float(size))
        for feature, peer, cases, size in lines
    }


if __name__ == "__main__":
    text = table()
    print(text, end="")
    if "--write" in sys.argv:
        before, rest = PAGE.read_text(encoding="utf-8").split(START)
        PAGE.write_text(before + START + text + END + rest.split(END)[1], encoding="utf-8")
