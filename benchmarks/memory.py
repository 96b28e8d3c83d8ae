"""How much memory does a training step take, beside PyTorch; and can a million steps be differentiated?

    python benchmarks/memory.py [--long 1000000] [--isa avx2]

First: the growth of a process's peak (resident set) over what it is after a training step of 2 time steps,
each side in a process of its own; B=32, T=1000, D=10, H=64, float32. Then: time and growth of one exact
gradient over a very long sequence (B=1, D=10, H=64) with `checkpoint_steps="auto"`, the input apart: with
a loss at the last step, whose gradient soon is 0; and with a loss at every step, which leaves none out.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import isa
import numpy as np
from measure import Others, machine, sentence

D, H = 10, 64
Found = dict[str, float]


def peak() -> float:
    """The largest resident set of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def ours(B: int, T: int, checkpoints: bool = False, every: bool = False) -> Found:
    """One training step of minilstm; with `every`, the loss is that of the outputs at all time steps."""
    import minilstm as ml

    steps = "auto" if checkpoints else None
    layer = ml.LSTM(H, input_shape=(None, D), checkpoint_steps=steps, return_sequences=every)
    model = ml.Sequential([layer, ml.Dense(1, activation="sigmoid")], seed=0)
    model.compile(optimizer="adam", loss="binary_crossentropy")
    warm = max(2, round(T**0.5)) if checkpoints else 2  # compiles; a checkpointed pass needs such a segment
    y = np.arange(B * T).reshape(B, T, 1) % 2 if every else np.arange(B) % 2
    model.train_on_batch(np.zeros((B, warm, D), "float32"), y[:, :warm] if every else y)
    x = np.random.default_rng(0).standard_normal((B, T, D), dtype="float32")
    before, start = peak(), time.perf_counter()
    model.train_on_batch(x, y)
    seconds = time.perf_counter() - start
    tape = sum(model.memory(B, T).values()) / 1e6
    return {"seconds": seconds, "growth_mb": peak() - before, "tape_mb": tape}


def torch(B: int, T: int) -> Found:
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


def in_a_process(*arguments: object) -> Found:
    """The result of one side, measured in a process of its own."""
    command = [sys.executable, __file__, "--side", json.dumps(arguments)]
    found: Found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--long", type=int, default=1_000_000, help="steps of the long sequence")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    isa.add_option(parser)
    options = parser.parse_args()
    if options.side:
        name, *sizes = json.loads(options.side)
        print(json.dumps({"minilstm": ours, "torch": torch}[name](*sizes)))
        return
    isa.restrict(options.isa)
    others = Others()
    mine, theirs = in_a_process("minilstm", 32, 1000), in_a_process("torch", 32, 1000)
    print(
        f"B=32, T=1000: minilstm's peak grows by {mine['growth_mb']:.0f} MB (tape {mine['tape_mb']:.1f} MB),"
        f" PyTorch's by {theirs['growth_mb']:.0f} MB; ratio {mine['growth_mb'] / theirs['growth_mb']:.2f}"
    )
    for where, goal in (("the last step", ""), ("every step", " (goal for a million: 4)")):
        found = in_a_process("minilstm", 1, options.long, True, bool(goal))
        print(
            f"B=1, T={options.long:,}, loss at {where}: {found['seconds']:.1f} s{goal},"
            f" {found['growth_mb']:.0f} MB beside the input"
        )
    print(f"Measured {sentence(machine(others))}.")


if __name__ == "__main__":
    main()
