"""How do time and memory grow with the sequence length?

    python benchmarks/length_scaling.py [--quick] [--out FOLDER]

For each length T it times a forward pass (predict_on_batch), a training step (train_on_batch) and a
traced step (model.trace), in turn, after a warm-up, and counts the bytes of the tape. The loss reads the
outputs of all steps: the gradient of a last one alone soon is exactly 0, and the steps before that are left
out. Then it fits time = a + b T, weighted so that every length counts alike, and the exponent p of
time ~ T^p, both with 95 % intervals; names the lengths that leave the line, and the length at which the tape
outgrows each cache. Compilation is reported apart. With --out, writes length_scaling.csv, .json, .md, .png
and .svg.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from measure import (
    Others,
    in_turn,
    machine,
    markdown,
    plain_log,
    quartiles,
    sentence,
    write_figure,
    write_json,
)

import minilstm as ml
from minilstm import plots
from minilstm.compiled import entry_points
from minilstm.study.statistics import line, t_quantile

B, D, H = 32, 10, 64
TASKS = ("forward", "step", "traced")
NAMES = {"forward": "forward", "step": "training step", "traced": "traced step"}


def build(T: int) -> tuple[ml.Sequential, np.ndarray, np.ndarray]:
    """A model, and a batch of noise with a label at every step."""
    rng = np.random.default_rng(0)
    layer = ml.LSTM(H, input_shape=(T, D), return_sequences=True)
    model = ml.Sequential([layer, ml.Dense(1, activation="sigmoid")], seed=0)
    model.compile(optimizer="adam", loss="binary_crossentropy")
    return model, rng.normal(size=(B, T, D)).astype("float32"), rng.integers(0, 2, (B, T, 1))


def fit(lengths: Sequence[int], values: Sequence[float]) -> dict[str, float]:
    """time = a + b T with weights 1 / time^2, and p of time ~ T^p over the longer half; 95 % half-widths."""
    x, y = np.array(lengths, float), np.array(values)
    design = np.stack([1 / y, x / y], axis=1)
    (a, b), residual, *_ = np.linalg.lstsq(design, np.ones_like(y), rcond=None)
    free = len(x) - 2
    variance = residual[0] / free * np.linalg.inv(design.T @ design)
    a_margin, b_margin = t_quantile(free) * np.sqrt(np.diag(variance))
    half = len(x) // 2
    power = line(np.log(x[half:]), np.log(y[half:]))
    p_margin = t_quantile(len(x) - half - 2) * power.slope_error
    found = {
        "a": a,
        "a_margin": a_margin,
        "b": b,
        "b_margin": b_margin,
        "p": power.slope,
        "p_margin": p_margin,
    }
    return {name: float(value) for name, value in found.items()}


def measure(T: int, rounds: int, seconds: float) -> dict[str, float]:
    """One row: the quartiles of every task in milliseconds, and bytes."""
    model, x, y = build(T)
    functions = {
        "forward": lambda: model.predict_on_batch(x),
        "step": lambda: model.train_on_batch(x, y),
        "traced": lambda: model.trace(x, y),
    }
    row: dict[str, float] = {"T": T}
    for task, turns in in_turn(functions, rounds, seconds).items():
        low, median, high = quartiles([1e3 * call for turn in turns for call in turn])
        row |= {f"{task}_ms": median, f"{task}_low": low, f"{task}_high": high}
    row["tape_bytes"] = sum(model.memory(B, T).values())
    return row


def leaves(rows: Sequence[dict[str, float]], fits: dict[str, dict[str, float]]) -> list[str]:
    """Where a time leaves the fitted line by more than 5 %, and by more than its own spread."""
    found = []
    for task, one in fits.items():
        for row in rows:
            expected = 1e3 * (one["a"] + one["b"] * row["T"])
            off = row[f"{task}_ms"] / expected - 1
            if abs(off) > 0.05 and not row[f"{task}_low"] <= expected <= row[f"{task}_high"]:
                found.append(f"{task} at T={row['T']}: {100 * off:+.0f} %")
    return found


def outgrown(cache_bytes: dict[str, int], per_step: float) -> dict[str, float]:
    """The length at which the tape no longer fits each cache: a core's own for its half, the last for all."""
    last = max(cache_bytes, default="")
    shares = {level: 1 if level == last else min(ml.get_num_threads(), 2) for level in cache_bytes}
    return {level: size * shares[level] / per_step for level, size in cache_bytes.items()}


def draw(result: dict[str, Any]) -> Figure:
    """Time, time per step and bytes against length; the fitted lines; where the tape outgrows a cache."""
    rows, fits = result["rows"], result["fits"]
    figure, (left, middle, right) = plots.new_figure(1, 3, width=15, height=4.6)
    lengths = np.array([row["T"] for row in rows])
    fine = np.geomspace(lengths[0], lengths[-1], 200)
    for task, colour, marker in zip(TASKS, plots.COLOURS, plots.MARKERS, strict=False):
        low, median, high = (
            np.array([row[f"{task}_{part}"] for row in rows]) for part in ("low", "ms", "high")
        )
        fitted = 1e3 * (fits[task]["a"] + fits[task]["b"] * fine)
        style = {"color": colour, "marker": marker, "markersize": 6, "linestyle": "none", "label": task}
        left.errorbar(lengths, median, [median - low, high - median], **style)
        left.plot(fine, fitted, color=colour, linewidth=1)
        spread = 1e3 * np.array([median - low, high - median]) / lengths
        middle.errorbar(lengths, 1e3 * median / lengths, spread, **style)
        middle.plot(fine, 1e3 * fitted / fine, color=colour, linewidth=1)
    right.plot(lengths, [row["tape_bytes"] / 1e6 for row in rows], "o-", color=plots.BLUE)
    for ax in (left, middle, right):
        plain_log(ax.xaxis)
        plain_log(ax.yaxis)
    for level, length in result["outgrown"].items():
        if lengths[0] < length < lengths[-1]:
            middle.axvline(length, color=plots.GREY, linestyle=":")
            style = {"transform": middle.get_xaxis_transform(), "rotation": 90, "va": "top", "ha": "right"}
            middle.text(length, 0.98, f"tape > {level}", fontsize=10, color=plots.GREY, **style)
    plots.name_axes(left, "length T", "milliseconds", "time; lines: fit a + b T")
    plots.name_axes(middle, "length T", "microseconds per time step", "time per step, the same fit")
    plots.name_axes(right, "length T", "megabytes", "tape of one batch")
    plots.legend(left)
    return figure


def _digits(number: float) -> str:
    """Three digits, without powers of ten."""
    return f"{number:.3g}" if number < 999.5 else f"{number:,.0f}"


def text(result: dict[str, Any]) -> str:
    """The table in Markdown, and the fits in words."""
    head = ["T", *(f"{task} ms" for task in NAMES.values()), "tape MB"]
    lines = []
    for row in result["rows"]:
        times = [
            f"{_digits(row[f'{k}_ms'])} [{_digits(row[f'{k}_low'])}, {_digits(row[f'{k}_high'])}]"
            for k in TASKS
        ]
        lines.append([f"{row['T']:,}", *times, f"{row['tape_bytes'] / 1e6:.3g}"])
    said = [
        f"{NAMES[task]:13} = {1e3 * one['a']:.2f} +- {1e3 * one['a_margin']:.2f} ms"
        f" + ({1e6 * one['b']:.1f} +- {1e6 * one['b_margin']:.1f}) us T;"
        f" ~ T^({one['p']:.2f} +- {one['p_margin']:.2f}) over the longer half"
        for task, one in result["fits"].items()
    ]
    ratio = np.median([row["traced_ms"] / row["step_ms"] for row in result["rows"]])
    caches = ", ".join(f"{level} from T = {length:.0f}" for level, length in result["outgrown"].items())
    return "\n".join(
        [
            f"Measured {sentence(result['machine'])}.",
            f"B={B}, D={D}, H={H}, float32; medians and [quartiles]. Apart from these, kernels were compiled,"
            f" or read from the cache, in {result['compile_seconds']:.1f} s.",
            "",
            markdown(head, lines),
            "95 % intervals:",
            "",
            *(f"    {line}" for line in said),
            "",
            f"Off the line by more than 5 % and its quartiles: {'; '.join(result['leaves']) or 'none'}.",
            f"The tape takes {result['tape_bytes_per_step']:,.0f} bytes per time step; it outgrows {caches}.",
            f"A traced step takes {ratio:.2f} times a training step (median over the lengths).",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter measurements, T up to 1024")
    parser.add_argument("--out", type=Path, help="folder for length_scaling.csv, .json, .md, .png and .svg")
    options = parser.parse_args()
    lengths = [2**k for k in range(4, 11 if options.quick else 15)]
    rounds, seconds = (2, 0.2) if options.quick else (5, 0.25)
    others = Others()
    model, x, y = build(16)
    model.train_on_batch(x, y)
    model.trace(x, y)
    compile_seconds = entry_points.compile_seconds
    rows = []
    for T in lengths:
        rows.append(measure(T, rounds, seconds))
        print(
            f"T = {T}: " + ", ".join(f"{task} {rows[-1][f'{task}_ms']:.2f} ms" for task in TASKS), flush=True
        )
    fits = {task: fit(lengths, [row[f"{task}_ms"] / 1e3 for row in rows]) for task in TASKS}
    where = machine(others)
    per_step = (rows[-1]["tape_bytes"] - rows[-2]["tape_bytes"]) / (lengths[-1] - lengths[-2])
    result = {
        "machine": where,
        "compile_seconds": compile_seconds,
        "rows": rows,
        "fits": fits,
        "leaves": leaves(rows, fits),
        "tape_bytes_per_step": per_step,
        "outgrown": outgrown(where["cache_bytes"], per_step),
    }
    print(f"\n{text(result)}")
    if options.out:
        write_json(options.out / "length_scaling.json", result)
        (options.out / "length_scaling.md").write_text(text(result))
        write_figure(options.out / "length_scaling", draw(result))
        with (options.out / "length_scaling.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
