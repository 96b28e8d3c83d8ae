"""How do time and memory grow with the sequence length?

    python benchmarks/length_scaling.py [--quick] [--out FOLDER]

For each length T it times a forward pass (predict_on_batch), a training step (train_on_batch) and a
traced step (model.trace), in turn, after a warm-up, and counts the bytes of the tape. Then it fits
time = a + b T, weighted so that every length counts alike, and the exponent p of time ~ T^p with its
95 % interval. Compilation is reported apart. With --out, writes CSV, JSON and a figure.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy
from scipy.stats import linregress, t

import minilstm as ml
from minilstm import kernels

B, D, H = 32, 10, 64
TASKS = ("forward", "step", "traced")


def build(T: int) -> tuple[ml.Sequential, np.ndarray, np.ndarray]:
    """A model, and a batch of noise with labels."""
    rng = np.random.default_rng(0)
    model = ml.Sequential([ml.LSTM(H, input_shape=(T, D)), ml.Dense(1, activation="sigmoid")], seed=0)
    model.compile(optimizer="adam", loss="binary_crossentropy")
    return model, rng.normal(size=(B, T, D)).astype("float32"), rng.integers(0, 2, B)


Times = dict[str, list[float]]


def measure(functions: dict[str, Callable[[], object]], rounds: int, seconds: float) -> Times:
    """Seconds of single calls, the functions in turn; each turn warms up before it measures."""
    times: Times = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            function()
            end = time.perf_counter() + seconds
            while True:
                start = time.perf_counter()
                function()
                times[name].append(time.perf_counter() - start)
                if time.perf_counter() > end:
                    break
    return times


def fit(lengths: list[int], values: list[float]) -> dict[str, float]:
    """time = a + b T with weights 1 / time^2, and the exponent of time ~ T^p over the longer half."""
    x, y = np.array(lengths, float), np.array(values)
    a, b = np.linalg.lstsq(np.stack([1 / y, x / y], axis=1), np.ones_like(y), rcond=None)[0]
    half = len(x) // 2
    line = linregress(np.log(x[half:]), np.log(y[half:]))
    margin = t.ppf(0.975, len(x) - half - 2) * line.stderr if len(x) - half > 2 else np.nan
    worst = float(np.abs(a + b * x - y).max() / y[np.abs(a + b * x - y).argmax()])
    return {"a": a, "b": b, "worst": worst, "exponent": line.slope, "margin": float(margin)}


def draw(rows: list[dict[str, float]], fits: dict[str, dict[str, float]], path: Path) -> None:
    """Time and bytes against length, on log axes, with the fitted lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    lengths = np.array([row["T"] for row in rows])
    for task, color in zip(TASKS, ("#0072B2", "#D55E00", "#009E73"), strict=True):
        median, low, high = (
            np.array([row[f"{task}_{part}"] for row in rows]) for part in ("ms", "low", "high")
        )
        left.errorbar(lengths, median, [median - low, high - median], fmt="o", color=color, label=task)
        left.plot(lengths, 1e3 * (fits[task]["a"] + fits[task]["b"] * lengths), color=color, lw=1)
    left.set(xscale="log", yscale="log", xlabel="length T", ylabel="milliseconds", title="time, fit a + b T")
    left.legend()
    right.plot(lengths, [row["tape_bytes"] / 1e6 for row in rows], "o-", color="#0072B2")
    right.set(xscale="log", yscale="log", xlabel="length T", ylabel="megabytes", title="tape of one batch")
    figure.savefig(path.with_suffix(".png"), dpi=150)
    figure.savefig(path.with_suffix(".svg"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter measurements, T up to 1024")
    parser.add_argument("--out", type=Path, help="folder for length_scaling.csv, .json, .png and .svg")
    options = parser.parse_args()
    lengths = [2**k for k in range(4, 11 if options.quick else 15)]
    rounds, seconds = (2, 0.2) if options.quick else (5, 0.5)

    model, x, y = build(16)
    model.train_on_batch(x, y)
    model.trace(x, y)
    compiled = kernels.compile_seconds
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": ml.get_num_threads(),
        "python": platform.python_version(),
        "minilstm": ml.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    print(f"kernels compiled, or read from the cache, in {compiled:.1f} s; B={B} D={D} H={H} float32")
    print("\n    T   " + "   ".join(f"{task + ' ms':>10} [low, high]" for task in TASKS) + "     tape MB")
    rows: list[dict[str, float]] = []
    for T in lengths:
        model, x, y = build(T)
        functions = {
            "forward": lambda m=model, x=x: m.predict_on_batch(x),
            "step": lambda m=model, x=x, y=y: m.train_on_batch(x, y),
            "traced": lambda m=model, x=x, y=y: m.trace(x, y),
        }
        times = measure(functions, rounds, seconds)
        row: dict[str, float] = {"T": T}
        for task in TASKS:
            low, median, high = 1e3 * np.percentile(times[task], [25, 50, 75])
            row |= {f"{task}_ms": median, f"{task}_low": low, f"{task}_high": high}
        row["tape_bytes"] = sum(model.memory(B, T).values())
        rows.append(row)
        cells = (f"{row[f'{k}_ms']:10.2f} [{row[f'{k}_low']:.2f}, {row[f'{k}_high']:.2f}]" for k in TASKS)
        print(f"{T:5d}   " + "   ".join(cells) + f"   {row['tape_bytes'] / 1e6:8.2f}", flush=True)

    fits = {task: fit(lengths, [row[f"{task}_ms"] / 1e3 for row in rows]) for task in TASKS}
    print()
    for task, found in fits.items():
        print(
            f"{task:8} = {1e3 * found['a']:.3f} ms + {1e6 * found['b']:.2f} us * T"
            f" (worst point {100 * found['worst']:.0f} % off); ~ T^{found['exponent']:.2f}"
            f" +- {found['margin']:.2f} over the longer half"
        )
    ratio = np.median([row["traced_ms"] / row["step_ms"] for row in rows])
    print(f"a traced step takes {ratio:.2f} times a training step (median over the lengths)")
    per_step = (rows[-1]["tape_bytes"] - rows[-2]["tape_bytes"]) / (lengths[-1] - lengths[-2])
    print(f"the tape takes {per_step:.0f} bytes per time step, exactly linear")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        with (options.out / "length_scaling.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        result = {"machine": machine, "compile_seconds": compiled, "rows": rows, "fits": fits}
        (options.out / "length_scaling.json").write_text(json.dumps(result, indent=2))
        draw(rows, fits, options.out / "length_scaling")
        print(f"written to {options.out}")


if __name__ == "__main__":
    main()
