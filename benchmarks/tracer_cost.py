"""What does GradientTracer cost, on every training step?

    python benchmarks/tracer_cost.py

Times whole training steps of fit (forward, backward, update, callbacks) with and without the tracer, in
turns, so that both see the same machine, and compares the medians. It should print at most 1.25.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import minilstm as ml


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


if __name__ == "__main__":
    main()
