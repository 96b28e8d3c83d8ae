"""Where does the time of a training step go, and what share of the processor's peak does it reach?

    python benchmarks/step_profile.py [--isa avx2] [--rows 0,2] [--out FOLDER]

Whole train_on_batch of an LSTM + Dense(1, sigmoid), as in versus_peers.py. The kernels are watched while they
work in real steps; a time in which several threads work counts once.

    forward    the forward kernel: products and gates of all steps
    backward   the backward kernel, the gradients of the weights included
    Python     the step less the kernels: checks, packing, loss, Dense, optimizer, waking threads

The second table divides the last of these among the parts of a step. The peak is that of multiply-adds in
registers alone, on one core (see peak.py), times the threads used; of the step's arithmetic only the LSTM's
multiply-adds count, so a kernel's share says what gates, loads and stores leave of it. With --out, writes
step_profile.json, .md, .png and .svg.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import isa
import numpy as np
from matplotlib.figure import Figure
from measure import (
    Call,
    Others,
    covered,
    machine,
    markdown,
    sentence,
    watched,
    write_figure,
    write_json,
)
from peak import peak
from peers import ours

import minilstm as ml
from minilstm import plots
from minilstm.compiled import entry_points
from minilstm.network import batches, passes

ROWS = [  # B, T, D, H
    (32, 10, 10, 64),
    (32, 100, 10, 64),
    (1, 100, 10, 64),
    (64, 200, 32, 64),
    (64, 100, 128, 128),
    (64, 100, 256, 256),
    (32, 50, 512, 512),
]
KERNELS = ("forward", "backward")
PARTS = {  # of the Python around the kernels
    "check": "checked",
    "forward": "forward",
    "loss": "loss_and_gradient",
    "backward": "backward",
    "norm": "prepare",
    "update": "step",
}


def multiply_adds(B: int, T: int, D: int, H: int) -> dict[str, int]:
    """Of the products of each kernel: z = [h 1 x] w; dh = dz U.T and dw = [h 1 x].T dz."""
    forward, back = B * T * 4 * H * (H + 1 + D), B * T * 4 * H * H
    return {"forward": forward, "backward": back + forward}


def watched_step(model: ml.Sequential, x: np.ndarray, y: np.ndarray) -> tuple[dict[str, float], list[Call]]:
    """Seconds of one training step, of its kernels, and of each part around them; the calls of kernels."""
    owners = batches, passes, passes, passes, model.optimizer, model.optimizer
    kernels = [(entry_points, f"run_lstm_{name}") for name in KERNELS]
    with watched(*kernels) as inner, watched(*zip(owners, PARTS.values(), strict=True)) as calls:
        start = time.perf_counter()
        model.train_on_batch(x, y)
        seconds = {"step": time.perf_counter() - start}
    for name in KERNELS:
        seconds[f"{name} kernel"] = covered([call for call in inner if call.name == f"run_lstm_{name}"])
    for part, name in PARTS.items():
        call = next(call for call in calls if call.name == name)
        inside = [one for one in inner if call.start <= one.start < call.stop]
        seconds[part] = call.stop - call.start - covered(inside)
    seconds["python"] = seconds["step"] - sum(seconds[f"{name} kernel"] for name in KERNELS)
    seconds["others"] = seconds["python"] - sum(seconds[part] for part in PARTS)
    return seconds, inner


def profile(B: int, T: int, D: int, H: int, rounds: int = 4, seconds: float = 0.4) -> dict[str, Any]:
    """Medians in milliseconds, of a step and of its parts."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(B, T, D)).astype("float32"), np.arange(B) % 2
    model = ours("LSTM", T, D, H)
    watched_step(model, x, y)  # compiles
    steps: list[dict[str, float]] = []
    for _ in range(rounds):
        end, count = time.perf_counter() + seconds, len(steps)
        while time.perf_counter() < end or len(steps) == count:
            found, calls = watched_step(model, x, y)
            steps.append(found)
    ms = {name: 1e3 * float(np.median([step[name] for step in steps])) for name in steps[0]}
    return {"B": B, "T": T, "D": D, "H": H, "threads": len({call.thread for call in calls}), "ms": ms}


# ---------------------------------------------------------------- results

BARS = {"forward kernel": "forward", "backward kernel": "backward", "python": "Python"}


def text(result: dict[str, Any]) -> str:
    """Two tables in Markdown, and where they were measured."""
    best, where, around = result["peak"], [], []
    for row in result["rows"]:
        ms, sizes = row["ms"], [row[key] for key in "BTDH"]
        label, work = ", ".join(map(str, sizes)), multiply_adds(*sizes)
        shares = [f"{ms[part]:.3g} ({100 * ms[part] / ms['step']:.0f} %)" for part in BARS]
        limit = 1e-3 * best * row["threads"]  # multiply-adds per millisecond
        rates = [f"{100 * work[name] / ms[f'{name} kernel'] / limit:.0f} %" for name in KERNELS]
        whole = f"{100 * sum(work.values()) / ms['step'] / limit:.0f} %"
        where.append([label, str(row["threads"]), f"{ms['step']:.3g}", *shares, *rates, whole])
        around.append([label, *(f"{1e3 * ms[part]:.0f}" for part in (*PARTS, "others"))])
    head = ["B, T, D, H", "threads", "step ms", *BARS.values()]
    head += ["forward, of the peak", "backward, of the peak", "whole step, of the peak"]
    return "\n".join(
        [
            f"Measured {sentence(result['machine'])}.",
            f"float32; medians in ms, and share of the step. Peak of one core: {2e-9 * best:.0f} GFLOP/s.",
            "",
            markdown(head, where),
            "The Python in parts: microseconds around the kernels.",
            "",
            markdown(["B, T, D, H", *PARTS, "others"], around),
        ]
    )


def draw(result: dict[str, Any]) -> Figure:
    """The shares of each step as one bar."""
    rows = result["rows"]
    figure, (ax,) = plots.new_figure(width=9, height=1.6 + 0.42 * len(rows))
    left = np.zeros(len(rows))
    for (part, name), colour, hatch in zip(BARS.items(), plots.COLOURS, ("", "//", ".."), strict=False):
        share = np.array([100 * row["ms"][part] / row["ms"]["step"] for row in rows])
        ax.barh(range(len(rows)), share, left=left, color=colour, hatch=hatch, edgecolor="white", label=name)
        for k, (start, width) in enumerate(zip(left, share, strict=True)):
            if width > 6:
                style = {"ha": "center", "va": "center", "fontsize": 10}
                box = {"facecolor": "white", "edgecolor": "none", "pad": 1.2}
                ax.text(start + width / 2, k, f"{width:.0f}", bbox=box, **style)
        left = left + share
    ax.set_yticks(
        range(len(rows)),
        [f"{', '.join(str(row[key]) for key in 'BTDH')}: {row['ms']['step']:.3g} ms" for row in rows],
    )
    ax.invert_yaxis()
    ax.set_xlim(0, 100)
    plots.name_axes(ax, "% of a training step", "B, T, D, H: whole step")
    plots.legend(ax, loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=3)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default=",".join(map(str, range(len(ROWS)))), help="indices into the table")
    isa.add_option(parser)
    parser.add_argument("--out", type=Path, help="folder for step_profile.json, .md, .png and .svg")
    options = parser.parse_args()
    isa.restrict(options.isa)
    others = Others()
    result: dict[str, Any] = {"peak": peak(), "rows": []}
    for k in options.rows.split(","):
        result["rows"].append(profile(*ROWS[int(k)]))
    result["machine"] = machine(others)
    print(text(result))
    if options.out:
        write_json(options.out / "step_profile.json", result)
        (options.out / "step_profile.md").write_text(text(result))
        write_figure(options.out / "step_profile", draw(result))


if __name__ == "__main__":
    main()
