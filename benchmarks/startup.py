"""How long until the first trained batch: with an empty cache of kernels, and in later processes?

    python benchmarks/startup.py [--repeats 5] [--out FOLDER]

Each time in a fresh process, from the moment at which that is started: an LSTM(64) + Dense(1, sigmoid) in
float32 trains one batch of 32 sequences of 100 steps. First with an empty cache (NUMBA_CACHE_DIR in a new
folder), which compiles what the step needs; then with that cache; and beside it what any program with Numba
takes: one that imports NumPy and Numba and calls a small function from the cache. --out writes startup.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from measure import Others, machine, sentence, write_json

CHILD = """
import time
import minilstm as ml
imported = time.monotonic()
import numpy as np
model = ml.Sequential([ml.LSTM(64, input_shape=(100, 10)), ml.Dense(1, activation="sigmoid")], seed=0)
model.compile(optimizer="adam", loss="binary_crossentropy")
x = np.random.default_rng(0).normal(size=(32, 100, 10)).astype("float32")
model.train_on_batch(x, np.arange(32) % 2)
end = time.monotonic()
import json
from minilstm.compiled.entry_points import compile_seconds
found = {"imported": imported, "end": end, "kernels": compile_seconds, "cpu": time.process_time()}
print(json.dumps(found))
"""


SMALLEST = """
import time
import numpy as np
import numba
imported = time.monotonic()
@numba.njit(cache=True)
def add_one(x):
    for k in range(x.size):
        x[k] += 1
add_one(np.zeros(3, np.float32))
end = time.monotonic()
import json
print(json.dumps({"imported": imported, "end": end, "kernels": end - imported, "cpu": time.process_time()}))
"""


def first_batch(cache: str, script: Path) -> dict[str, float]:
    """Seconds from the start of a process to its imports done and to its end, for one of the codes above."""
    usual = {key: text for key, text in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    start = time.monotonic()  # the same clock in all processes
    done = subprocess.run(
        [sys.executable, script],
        env=usual | {"NUMBA_CACHE_DIR": cache},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # "compiling kernels ..."
        check=True,
    )
    found = json.loads(done.stdout)
    return found | {"imported": found["imported"] - start, "end": found["end"] - start}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5, help="later processes (5)")
    parser.add_argument("--out", type=Path, help="folder for startup.json")
    options = parser.parse_args()
    others = Others()
    with tempfile.TemporaryDirectory() as cache:
        ours, smallest = Path(cache, "ours.py"), Path(cache, "smallest.py")
        ours.write_text(CHILD)
        smallest.write_text(SMALLEST)
        cold = first_batch(cache, ours)
        first_batch(cache, smallest)
        both = [(first_batch(cache, ours), first_batch(cache, smallest)) for _ in range(options.repeats)]
    later = [one for one, _ in both]
    warm = {name: float(np.median([one[name] for one in later])) for name in cold}
    least = float(np.median([one["end"] for _, one in both]))
    result: dict[str, Any] = {"machine": machine(others), "cold": cold, "warm": warm, "later": later}
    result["smallest"] = least
    ends = [one["end"] for one in later]
    print(f"Measured {sentence(result['machine'])}.")
    print(
        f"empty cache:     kernels compiled in {cold['kernels']:.2f} s (goal 8); first batch trained after"
        f" {cold['end']:.2f} s ({cold['cpu']:.2f} s of processor time)"
    )
    print(
        f"later processes: first batch trained after {warm['end']:.2f} s (goal 0.8; median of {len(later)},"
        f" {min(ends):.2f} to {max(ends):.2f}), of which import {warm['imported']:.2f} s,"
        f" kernels from the cache {warm['kernels']:.2f} s"
    )
    print(f"any program with Numba: one small function from the cache has run after {least:.2f} s")
    if options.out:
        write_json(options.out / "startup.json", result)


if __name__ == "__main__":
    main()
