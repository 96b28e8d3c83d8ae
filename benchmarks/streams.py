"""What do very long sequences cost: a step of a stream, checkpoints in slots, a gradient that is exactly 0?

    python benchmarks/streams.py [--long 1000000] [--rounds 5] [--seconds 0.5]

First, one step of one stream (LSTM(64) over 10 features and Dense(1, sigmoid), float32), and of the LSTM
alone, beside PyTorch and ONNX Runtime called step by step with their state handed back; the goal is 25
microseconds, Python included. Then 1,000 streams at once; the goal is 2,000,000 stream steps a second on
two threads. Outputs are compared before anything is timed; of single calls in turns the fastest and the
median are given. Then a gradient over 1,000 steps with checkpoints in 50 slots, of states and of records,
beside the whole tape: bytes, forward steps, time. Last, a gradient over a very long sequence (B=1) with a
loss on the last step, which vanishes on the way, beside the forward pass alone: the goal is that it costs
no more.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from measure import Others, in_turn, machine, sentence

import minilstm as ml
from minilstm.checkpoints.schedule import with_records, with_states

D, H = 10, 64
Step = Callable[[np.ndarray], np.ndarray]


def model(dense: bool = True, **options: object) -> ml.Sequential:
    """The model of the first two parts."""
    layers: list[object] = [ml.LSTM(H, input_shape=(None, D), **options)]
    found = ml.Sequential([*layers, ml.Dense(1, activation="sigmoid")] if dense else layers, seed=0)
    found.compile("sgd", "mse")
    return found


def torch_step(source: ml.Sequential) -> Step:
    """PyTorch's LSTM, called for one step."""
    import torch

    torch.set_num_threads(1)
    lstm, linear = torch.nn.LSTM(D, H, batch_first=True), torch.nn.Linear(H, 1)
    state = ml.interop.to_torch_state_dict(source.layers[0])
    lstm.load_state_dict({name: torch.tensor(part) for name, part in state.items()})
    kernel, bias = source.layers[1].get_weights()
    linear.load_state_dict({"weight": torch.tensor(kernel.T.copy()), "bias": torch.tensor(bias)})
    carried = None

    def step(x: np.ndarray) -> np.ndarray:
        nonlocal carried
        with torch.no_grad():
            output, carried = lstm(torch.from_numpy(x)[:, None], carried)
            return torch.sigmoid(linear(output[:, 0])).numpy()

    return step


def onnx_step(source: ml.Sequential) -> Step:
    """ONNX Runtime's LSTM operator over one step, its states inputs and outputs."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    kernel, recurrent, bias = source.layers[0].get_weights()
    dense, dense_bias = source.layers[1].get_weights()

    def blocks(array: np.ndarray) -> np.ndarray:
        i, f, g, o = np.split(array, 4, axis=-1)
        return np.ascontiguousarray(np.concatenate([i, o, f, g], axis=-1).T)[None]

    both = np.concatenate([blocks(bias), np.zeros((1, 4 * H), "float32")], axis=1)
    constants = {"W": blocks(kernel), "R": blocks(recurrent), "B": both, "dense": dense, "b": dense_bias}
    constants["axis"] = np.array([0])
    nodes = [
        helper.make_node("Unsqueeze", ["x", "axis"], ["xt"]),
        helper.make_node("LSTM", ["xt", "W", "R", "B", "", "h0", "c0"], ["", "h", "c"], hidden_size=H),
        helper.make_node("Squeeze", ["h", "axis"], ["last"]),
        helper.make_node("MatMul", ["last", "dense"], ["product"]),
        helper.make_node("Add", ["product", "b"], ["z"]),
        helper.make_node("Sigmoid", ["z"], ["y"]),
    ]

    def value(name: str, *shape: int | None) -> object:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "step",
        [value("x", None, D), value("h0", 1, None, H), value("c0", 1, None, H)],
        [value("y", None, 1), value("h", 1, None, H), value("c", 1, None, H)],
        [numpy_helper.from_array(part, name) for name, part in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, ["CPUExecutionProvider"])
    h = c = np.zeros((1, 1, H), "float32")

    def step(x: np.ndarray) -> np.ndarray:
        nonlocal h, c
        y, h, c = session.run(None, {"x": x, "h0": h, "c0": c})
        return np.asarray(y)

    return step


def one_stream(rounds: int, seconds: float) -> None:
    """A step of one stream beside the others'."""
    source, rng = model(), np.random.default_rng(0)
    sides: dict[str, Step] = {"minilstm": source.stream(), "PyTorch": torch_step(source)}
    sides["ONNX Runtime"] = onnx_step(source)
    x = rng.normal(size=(8, 1, D)).astype("float32")
    expected = source.predict(x.transpose(1, 0, 2))
    for name, step in sides.items():
        found = [step(part) for part in x][-1]
        np.testing.assert_allclose(found, expected, rtol=1e-4, err_msg=name)
    sides["minilstm, the LSTM alone"] = model(dense=False).stream()
    turns = in_turn({name: (lambda step=step: step(x[0])) for name, step in sides.items()}, rounds, seconds)
    for name, times in turns.items():
        every = np.concatenate(times) * 1e6
        goal = " (goal: 25)" if name == "minilstm" else ""
        print(f"one step, {name}: {every.min():.1f} us, median {np.median(every):.1f}{goal}")


def many_streams(rounds: int, seconds: float, count: int = 1000, steps: int = 16) -> None:
    """Many streams at once, by steps and by pieces."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, steps, D)).astype("float32")
    by_step, by_piece = model(dense=False).stream(count), model(dense=False).stream(count)
    first = np.ascontiguousarray(x[:, 0])
    turns = in_turn({"a step": lambda: by_step(first), "a piece": lambda: by_piece(x)}, rounds, seconds)
    for name, size in (("a step", count), ("a piece", count * steps)):
        every = size / np.concatenate(turns[name]) / 1e6
        print(
            f"{count} streams, {name} at a time, {ml.get_num_threads()} threads: {every.max():.2f} million"
            f" stream steps a second, median {np.median(every):.2f} (goal: 2)"
        )


def slots(rounds: int, T: int = 1000, n: int = 50) -> None:
    """A gradient with checkpoints in slots beside the whole tape."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1, T, D)).astype("float32"), np.ones((1, 1))
    said = {"whole tape": T, f"{n} states": T + with_states(T, n), f"{n} records": with_records(T, n)}
    options = [{}, {"checkpoint_slots": n}, {"checkpoint_records": n}]
    models = {name: model(**option) for name, option in zip(said, options, strict=True)}
    turns = in_turn(
        {name: (lambda own=own: own.train_on_batch(x, y)) for name, own in models.items()}, rounds, 0
    )
    for name, times in turns.items():
        best = 1e3 * min(min(turn) for turn in times)
        memory = sum(models[name].memory(1, T).values())
        print(f"gradient over {T} steps, {name}: {memory:,} bytes, {said[name]} forward steps, {best:.0f} ms")


def exact_zero(T: int) -> None:
    """A vanishing gradient over a very long sequence beside the forward pass."""
    own = model(checkpoint_steps="auto")
    x = np.random.default_rng(0).standard_normal((1, T, D), dtype="float32")
    own.predict(x[:, :2048])
    own.train_on_batch(x[:, :2048], np.ones((1, 1)))
    seconds = []
    for run in (lambda: own.predict(x), lambda: own.train_on_batch(x, np.ones((1, 1)))):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    print(
        f"T={T:,}, loss on the last step: forward {seconds[0]:.2f} s, whole training step {seconds[1]:.2f} s,"
        f" {seconds[1] / seconds[0]:.2f} times"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--long", type=int, default=1_000_000, help="steps of the very long sequence")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (5)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each turn (0.5)")
    options = parser.parse_args()
    others = Others()
    one_stream(options.rounds, options.seconds)
    many_streams(options.rounds, options.seconds)
    slots(options.rounds)
    exact_zero(options.long)
    print(f"Measured {sentence(machine(others, 'torch', 'onnxruntime'))}.")


if __name__ == "__main__":
    main()
