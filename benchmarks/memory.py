"""How much memory does a training step take, beside PyTorch; and can a million steps be differentiated?

    python benchmarks/memory.py [--long 1000000]

First: the growth of a process's peak (resident set) over what it is after a training step of 2 time steps,
each side in a process of its own; B=32, T=1000, D=10, H=64, float32. Then: time and growth of one exact
gradient over a very long sequence (B=1, D=10, H=64) with `checkpoint_steps="auto"`, the input apart.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np

D, H = 10, 64


def peak() -> float:
    """The largest resident set of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def ours(B: int, T: int, checkpoints: bool) -> dict[str, float]:
    """One training step of minilstm."""
    import minilstm as ml

    layer = ml.LSTM(H, input_shape=(None, D), checkpoint_steps="auto" if checkpoints else None)
    model = ml.Sequential([layer, ml.Dense(1, activation="sigmoid")], seed=0)
    model.compile(optimizer="adam", loss="binary_crossentropy")
    y = np.arange(B) % 2
    warm = max(2, round(T**0.5))  # compiles; and a checkpointed pass needs one segment of this length
    model.train_on_batch(np.zeros((B, 2 if not checkpoints else warm, D), "float32"), y)
    x = np.random.default_rng(0).standard_normal((B, T, D), dtype="float32")
    before, start = peak(), time.perf_counter()
    model.train_on_batch(x, y)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "growth_mb": peak() - before,
        "tape_mb": sum(model.memory(B, T).values()) / 1e6,
    }


def torch(B: int, T: int) -> dict[str, float]:
    """One training step of PyTorch."""
    import torch

    lstm, linear = torch.nn.LSTM(D, H, batch_first=True), torch.nn.Linear(H, 1)
    optimizer = torch.optim.Adam([*lstm.parameters(), *linear.parameters()])
    loss, y = torch.nn.BCEWithLogitsLoss(), (torch.arange(B) % 2).float()[:, None]

    def step(x: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss(linear(lstm(x)[0][:, -1]), y).backward()
        optimizer.step()

    step(torch.zeros(B, 2, D))
    x = torch.randn(B, T, D)
    before, start = peak(), time.perf_counter()
    step(x)
    return {"seconds": time.perf_counter() - start, "growth_mb": peak() - before}


def in_a_process(*arguments: object) -> dict[str, float]:
    """The result of one side, measured in a process of its own."""
    command = [sys.executable, __file__, "--side", json.dumps(arguments)]
    found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", type=int, default=1_000_000, help="steps of the long sequence")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        name, *sizes = json.loads(options.side)
        print(json.dumps({"minilstm": ours, "torch": torch}[name](*sizes)))
        return
    mine, theirs = in_a_process("minilstm", 32, 1000, False), in_a_process("torch", 32, 1000)
    print(
        f"B=32, T=1000: minilstm's peak grows by {mine['growth_mb']:.0f} MB (tape {mine['tape_mb']:.1f} MB),"
    )
    print(f"PyTorch's by {theirs['growth_mb']:.0f} MB; ratio {mine['growth_mb'] / theirs['growth_mb']:.2f}")
    found = in_a_process("minilstm", 1, options.long, True)
    print(f"B=1, T={options.long:,}: {found['seconds']:.1f} s, {found['growth_mb']:.0f} MB beside the input")


if __name__ == "__main__":
    main()
