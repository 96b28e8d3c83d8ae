"""What does it cost to record gradients: GradientTracer on every training step, dh and dc of every step?

    python benchmarks/tracer_cost.py [--cell LSTM] [--backend numba] [--rounds 20]

Times whole training steps of fit (forward, backward, update, callbacks) with and without the tracer, in
turns, so that both see the same machine, and compares the medians. It should print at most 1.25. Then,
compiled backend only, the backward pass of one chunk with dh and dc of every step recorded, beside one
without: the kernel (at most 1.05), and all of it with what is done to the records: norms, or nothing but
dz copied into the order (T, B, gates).
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from measure import watched

import minilstm as ml
from minilstm.compiled import chunks, entry_points, memory


class Clock(ml.Callback):
    """The time of each batch; the first in the list, so that it sees all that the others do."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch, logs=None):
        self.last = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        pass

    def on_train_batch_begin(self, batch, logs=None):
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.last = now


def step_times(model: ml.Sequential, x: np.ndarray, y: np.ndarray, batch: int, traced: bool) -> list[float]:
    """Seconds from the beginning of one batch to that of the next."""
    clock = Clock()
    callbacks = [clock, ml.GradientTracer()] if traced else [clock]
    model.fit(x, y, batch_size=batch, epochs=1, verbose=0, callbacks=callbacks)
    return clock.seconds[2:]


def recording(cell: str, B: int, T: int, D: int, H: int, rounds: int) -> str:
    """The backward pass of the first chunk of a batch, recorded beside not: kernel, and all of it."""
    rng = np.random.default_rng(0)
    layer = getattr(ml, cell)(H, input_shape=(T, D))
    ml.Sequential([layer], seed=0)
    weights = layer.symbols
    chunk = chunks.cut(B, parallel=True)[0]
    packed, b = memory.Packed(layer.cell, weights), chunk.stop
    x, external = (rng.normal(size=(T, b, size)).astype("float32") for size in (D, H))
    zeros = tuple(np.zeros((b, H), "float32") for _ in layer.cell.states)
    kernel = f"run_{layer.cell.name}_backward"
    options = {"need_dx": False, "overwrite": True}

    def backward(record: bool | str) -> dict[str, float]:
        """Seconds of the kernel and of all."""
        segment = memory.forward_segment(packed, x, None, zeros)
        with watched((entry_points, kernel), (memory, "backward_segment")) as calls:
            memory.backward_segment(packed, segment, external, zeros, record=record, **options)
        memory.release(segment)
        return {call.name: call.stop - call.start for call in calls}

    modes: list[bool | str] = [False, True, "norms"]
    turns = [[backward(mode) for mode in modes] for _ in range(20 * rounds + 2)][2:]
    said = []
    for name, part in ((kernel, "kernel"), ("backward_segment", "all")):
        plain, *others = (1e3 * float(np.median([turn[k][name] for turn in turns])) for k in range(3))
        said.append(f"{part} {plain:.2f} ms, with dh and dc {others[0] / plain:.3f} times, with norms")
        said[-1] += f" {others[1] / plain:.3f} times"
    return f"backward, B={B} T={T} D={D} H={H}: " + "; ".join(said)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cell", default="LSTM", choices=("LSTM", "GRU", "SimpleRNN"))
    parser.add_argument("--backend", default="numba", choices=("numba", "numpy"))
    parser.add_argument("--rounds", type=int, default=20, help="turns of each (20)")
    options = parser.parse_args()
    B, T, D, H, steps = 32, 100, 10, 64, 20
    layer = getattr(ml, options.cell)(H, input_shape=(T, D), backend=options.backend)
    model = ml.Sequential([layer, ml.Dense(1)], seed=0)
    model.compile(optimizer="adam", loss="mse")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(B * steps, T, D)).astype("float32")
    y = rng.normal(size=(B * steps, 1)).astype("float32")
    for traced in (False, True):
        step_times(model, x, y, B, traced)  # compile, and warm up
    times: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(options.rounds):
        for traced in (False, True):
            times[traced] += step_times(model, x, y, B, traced)
    plain, with_tracer = (1000 * float(np.median(times[traced])) for traced in (False, True))
    print(f"{options.cell}, {options.backend}, float32, B={B} T={T} D={D} H={H}, {len(times[True])} steps")
    print(f"plain step       {plain:7.2f} ms")
    print(f"with the tracer  {with_tracer:7.2f} ms")
    print(f"ratio            {with_tracer / plain:7.2f}")
    if options.backend == "numba":
        for sizes in ((B, T, D, H), (64, 100, 128, 128)):
            print(recording(options.cell, *sizes, options.rounds))


if __name__ == "__main__":
    main()
