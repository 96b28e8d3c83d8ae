"""How fast is a training step and a prediction, beside PyTorch, ONNX Runtime and Keras?

    python benchmarks/versus_peers.py [--peers torch,ort] [--rows 0,2,5] [--quick] [--out FOLDER]

A training step is a whole train_on_batch: LSTM (or GRU, SimpleRNN) + Dense(1, sigmoid), binary
cross-entropy, Adam, no gradient of the input. A prediction is a whole predict_on_batch. float32. All
sides have the same weights and the same data, and their outputs are compared before anything is timed;
where they differ the row is refused. All sides run in one process, in turn, each turn after a pause and
a warm-up; medians over all turns. `products` is the matrix products of the step alone, through NumPy on
all cores.

Peers: torch, ort (prediction only), keras (its back end from KERAS_BACKEND: tensorflow, jax or torch).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import minilstm as ml

ROWS = [  # layer, B, T, D, H
    ("LSTM", 32, 10, 10, 64),
    ("LSTM", 32, 50, 10, 64),
    ("LSTM", 32, 100, 10, 64),
    ("LSTM", 32, 1000, 10, 64),
    ("LSTM", 1, 100, 10, 64),
    ("LSTM", 64, 200, 32, 64),
    ("LSTM", 64, 100, 128, 128),
    ("LSTM", 64, 100, 256, 256),
    ("LSTM", 32, 50, 512, 512),
    ("GRU", 32, 100, 10, 64),
    ("SimpleRNN", 32, 100, 10, 64),
]
Functions = dict[str, Callable[[], object]]
Weights = list[np.ndarray]  # kernel, recurrent_kernel, bias, and those of Dense, in Keras's shapes


def ours(layer: str, T: int, D: int, H: int) -> ml.Sequential:
    """The model that all sides copy."""
    recurrent = getattr(ml, layer)(H, input_shape=(T, D))
    model = ml.Sequential([recurrent, ml.Dense(1, activation="sigmoid")], seed=0)
    model.compile(optimizer=ml.Adam(1e-3), loss="binary_crossentropy")
    return model


def with_torch(layer: str, weights: Weights, x: np.ndarray, y: np.ndarray, threads: int) -> Functions:
    """PyTorch: nn.LSTM, nn.GRU or nn.RNN, and nn.Linear, logits, Adam."""
    import torch

    torch.set_num_threads(threads)
    kernel, recurrent, bias, dense, dense_bias = weights
    order = [1, 0, 2] if layer == "GRU" else None  # PyTorch has the reset gate first

    def blocks(array: np.ndarray) -> torch.Tensor:
        if order:
            parts = np.split(array, 3, axis=-1)
            array = np.concatenate([parts[k] for k in order], axis=-1)
        return torch.tensor(array.T.copy())

    kind = {"LSTM": torch.nn.LSTM, "GRU": torch.nn.GRU, "SimpleRNN": torch.nn.RNN}[layer]
    lstm = kind(x.shape[2], len(recurrent), batch_first=True)
    linear = torch.nn.Linear(len(recurrent), 1)
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(blocks(kernel))
        lstm.weight_hh_l0.copy_(blocks(recurrent))
        lstm.bias_ih_l0.copy_(blocks(np.atleast_2d(bias)[0]))
        lstm.bias_hh_l0.copy_(blocks(bias[1])) if bias.ndim == 2 else lstm.bias_hh_l0.zero_()
        linear.weight.copy_(torch.tensor(dense.T.copy()))
        linear.bias.copy_(torch.tensor(dense_bias))
    inputs, targets = torch.tensor(x), torch.tensor(y[:, None], dtype=torch.float32)
    optimizer = torch.optim.Adam([*lstm.parameters(), *linear.parameters()], lr=1e-3, eps=1e-7)
    loss = torch.nn.BCEWithLogitsLoss()

    def logits() -> torch.Tensor:
        return linear(lstm(inputs)[0][:, -1])

    def step() -> float:
        optimizer.zero_grad()
        value = loss(logits(), targets)
        value.backward()
        optimizer.step()
        return float(value.detach())

    def predict() -> np.ndarray:
        with torch.no_grad():
            return torch.sigmoid(logits()).numpy()

    return {"step": step, "predict": predict}


def with_ort(layer: str, weights: Weights, x: np.ndarray, y: np.ndarray, threads: int) -> Functions:
    """ONNX Runtime: the LSTM operator on time-major input; its gates are i, o, f, c."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    kernel, recurrent, bias, dense, dense_bias = weights
    D, H = x.shape[2], len(recurrent)

    def blocks(array: np.ndarray) -> np.ndarray:
        i, f, g, o = np.split(array, 4, axis=-1)
        return np.ascontiguousarray(np.concatenate([i, o, f, g], axis=-1).T)[None]

    constants = {
        "W": blocks(kernel),
        "R": blocks(recurrent),
        "B": np.concatenate([blocks(bias), np.zeros((1, 4 * H), "float32")], axis=1),
        "dense": dense,
        "dense_bias": dense_bias,
        "axis": np.array([0]),
    }
    nodes = [
        helper.make_node("Transpose", ["x"], ["xt"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["xt", "W", "R", "B"], ["", "h"], hidden_size=H),
        helper.make_node("Squeeze", ["h", "axis"], ["last"]),
        helper.make_node("MatMul", ["last", "dense"], ["product"]),
        helper.make_node("Add", ["product", "dense_bias"], ["z"]),
        helper.make_node("Sigmoid", ["z"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "lstm",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, None, D])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return {"predict": lambda: session.run(None, {"x": x})[0]}


def with_keras(layer: str, weights: Weights, x: np.ndarray, y: np.ndarray, threads: int) -> Functions:
    """Keras on the back end of KERAS_BACKEND."""
    import keras

    model = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            getattr(keras.layers, layer)(len(weights[1])),
            keras.layers.Dense(1, "sigmoid"),
        ]
    )
    model.set_weights(weights)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="binary_crossentropy")
    targets = y.astype("float32")[:, None]
    return {
        "step": lambda: model.train_on_batch(x, targets),
        "predict": lambda: np.asarray(model.predict_on_batch(x)),
    }


def products(gates: int, B: int, T: int, D: int, H: int) -> Functions:
    """The matrix products of a pass alone, as NumPy does them: the same sizes, nothing between them."""
    rng = np.random.default_rng(0)
    K = H + D + 1
    xh, w = rng.normal(size=(T, B, K)).astype("float32"), rng.normal(size=(K, gates * H)).astype("float32")
    dz, ut = rng.normal(size=(T, B, gates * H)).astype("float32"), np.ascontiguousarray(w[:H].T)
    z, dh = np.empty((B, gates * H), "float32"), np.empty((B, H), "float32")

    def predict() -> None:
        for t in range(T):
            np.dot(xh[t], w, out=z)

    def step() -> None:
        predict()
        for t in range(T):
            np.dot(dz[t], ut, out=dh)
        xh.reshape(T * B, K).T @ dz.reshape(T * B, gates * H)

    return {"step": step, "predict": predict}


PEERS = {"torch": with_torch, "ort": with_ort, "keras": with_keras}


def compare(sides: dict[str, Functions], rounds: int, seconds: float) -> dict[str, dict[str, list[float]]]:
    """Seconds of single calls, [task][side]: the sides in turn, each turn after a pause and a warm-up."""
    times: dict[str, dict[str, list[float]]] = {"step": {}, "predict": {}}
    for _ in range(rounds):
        for task, found in times.items():
            for side, functions in sides.items():
                if task not in functions:
                    continue
                time.sleep(0.06)
                calls = found.setdefault(side, [])
                warm = time.perf_counter() + 0.1
                while time.perf_counter() < warm:
                    functions[task]()
                end, count = time.perf_counter() + seconds, 0
                while time.perf_counter() < end or count < 2:
                    start = time.perf_counter()
                    functions[task]()
                    calls.append(time.perf_counter() - start)
                    count += 1
    return times


def row(
    layer: str, B: int, T: int, D: int, H: int, peers: list[str], threads: int, rounds: int, seconds: float
) -> dict:
    """Milliseconds of every side, and ratios peer / ours, of one configuration."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(B, T, D)).astype("float32"), np.arange(B) % 2
    model = ours(layer, T, D, H)
    sides: dict[str, Functions] = {
        "minilstm": {
            "step": lambda: model.train_on_batch(x, y),
            "predict": lambda: model.predict_on_batch(x),
        }
    }
    expected = model.predict_on_batch(x)
    for peer in peers:
        if peer == "ort" and layer != "LSTM":
            continue
        sides[peer] = PEERS[peer](layer, model.get_weights(), x, y, threads)
        difference = float(np.abs(sides[peer]["predict"]() - expected).max())
        if not difference < 1e-5:
            raise SystemExit(f"{peer} differs from minilstm by {difference:.1e} at {(B, T, D, H)}: not timed")
    sides["products"] = products(len(model.layers[0].cell.gates), B, T, D, H)
    times = compare(sides, rounds, seconds)
    found: dict = {"layer": layer, "B": B, "T": T, "D": D, "H": H}
    for task, by_side in times.items():
        mine = np.median(by_side["minilstm"])
        found[f"{task}_ms"] = {side: 1e3 * float(np.median(calls)) for side, calls in by_side.items()}
        found[f"{task}_ratio"] = {side: float(np.median(calls) / mine) for side, calls in by_side.items()}
        low, high = np.percentile(by_side["minilstm"], [25, 75]) / mine
        found[f"{task}_spread"] = [float(low), float(high)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", default="torch,ort", help=f"any of {','.join(PEERS)}")
    parser.add_argument("--rows", default=",".join(map(str, range(len(ROWS)))), help="indices into the table")
    parser.add_argument("--quick", action="store_true", help="fewer turns")
    parser.add_argument("--out", type=Path, help="folder for versus_peers.json")
    options = parser.parse_args()
    peers = [peer for peer in options.peers.split(",") if peer]
    unknown = set(peers) - set(PEERS)
    if unknown:
        parser.error(f"--peers must be of {', '.join(PEERS)}, got {', '.join(sorted(unknown))}")
    threads = ml.get_num_threads()
    rounds, seconds = (3, 0.15) if options.quick else (8, 0.2)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {threads} threads, minilstm {ml.__version__}, float32"
    )
    print("milliseconds, and in brackets how many times ours; [spread] is ours, quartiles / median")
    results = []
    for k in map(int, options.rows.split(",")):
        found = row(*ROWS[k], peers, threads, rounds, seconds)
        results.append(found)
        for task in ("step", "predict"):
            ms, ratio, (low, high) = found[f"{task}_ms"], found[f"{task}_ratio"], found[f"{task}_spread"]
            others = "   ".join(
                f"{side} {ms[side]:.2f} ({ratio[side]:.2f}x)" for side in ms if side != "minilstm"
            )
            sizes = ", ".join(map(str, ROWS[k]))
            print(f"{sizes:24} {task:8} {ms['minilstm']:8.2f} [{low:.2f}, {high:.2f}]   {others}", flush=True)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "versus_peers.json").write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
