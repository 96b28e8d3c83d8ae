"""How many time steps a second does the network of 1997 learn from?

    python benchmarks/classic_steps.py [--seconds 5]

The paper's adding task, T = 100, its 93 weights in float64: online learning, one sequence after another, each
with its forward pass, its truncated gradient and its update; and the forward pass alone. The best of many
short repetitions, in turn, on one core.
"""

from __future__ import annotations

import argparse

import numpy as np
from measure import Others, in_turn, machine, sentence

from minilstm.classic import configurations, online, tasks

SEQUENCES = 100
RATES = {"learning": 0.5, "forward alone": 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="for each of the two (5)")
    options = parser.parse_args()
    others = Others()
    rng = np.random.default_rng(0)
    shape = configurations.ADDING
    sequences = tasks.adding(rng, SEQUENCES, 100)
    weights = shape.draw(rng, 0.1, (-3, -6))
    calls = {
        name: lambda rate=rate: online.learn(shape, weights, sequences, rate) for name, rate in RATES.items()
    }
    for call in calls.values():
        call()  # compile, or read the cache
    times = in_turn(calls, rounds=10, seconds=options.seconds / 10)
    steps = int(sequences.first[-1])
    print(f"{shape.count} weights, {SEQUENCES} sequences of {steps / SEQUENCES:.0f} steps on average")
    for name, turns in times.items():
        best = min(min(turn) for turn in turns)
        print(f"{name:<14} {steps / best:12,.0f} steps a second")
    print(sentence(machine(others)))


if __name__ == "__main__":
    main()
