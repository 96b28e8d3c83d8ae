"""Where does the time of a training step go: matrix products, gates, Python?

    python benchmarks/step_profile.py [--rows 0,2] [--out FOLDER]

Whole train_on_batch of an LSTM + Dense(1, sigmoid), as in versus_peers.py. The kernels are watched while they
work in real steps; a time in which several threads work counts once. Then the very same products (the
same arrays of the step's tape, panels, order, threads) run alone:

    products   the products alone
    gates      the kernels less the products: activations and all that goes element by element
    Python     the step less the kernels: checks, packing, loss, Dense, optimizer, waking threads

The second table divides the last of these among the parts of a step. The processor's peak is the best that
the same tile reaches on one core with operands in the first-level cache, times the threads used; only the
LSTM's multiply-adds are counted. With --out, writes step_profile.json, .md, .png and .svg.
"""

from __future__ import annotations

import argparse
import inspect
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from measure import Call, Others, covered, machine, markdown, sentence, watched, write_figure, write_json
from numba import njit
from peers import ours

import minilstm as ml
from minilstm import plots
from minilstm.compiled import entry_points, jit, lstm, panels, threads, tile, vectors
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
KERNELS = {"run_lstm_forward": lstm.lstm_forward, "run_lstm_backward": lstm.lstm_backward}

# ---------------------------------------------------------------- the products alone


@njit(**jit.OPTIONS)
def forward_products(w: Any, xh: Any, z: Any) -> None:
    """The products of `lstm.lstm_forward`."""
    control = jit.float_control(np.uint32(0))
    jit.float_control(control | jit.FLUSH)
    P, gates, K, _ = w.shape
    for t in range(z.shape[0]):
        for p in range(P):
            panels.forward_product(z, t, p, 0, gates, 1, xh, t, w, 0, K)
    jit.float_control(control)


@njit(**jit.OPTIONS)
def backward_products(wt: Any, xh: Any, z: Any, dh: Any, dw: Any, scratch: Any, found: Any) -> None:
    """The products of `lstm.lstm_backward`."""
    control = jit.float_control(np.uint32(0))
    jit.float_control(control | jit.FLUSH)
    S, P, gates, b, _ = z.shape
    tile, stop = panels.steps_of_product(b), S
    for t in range(S - 1, -1, -1):
        panels.backward_product(dh, t % dh.shape[0], z, t, wt, 0, P, 0, gates, found.shape[1] // gates, 0)
        if stop - t == tile or t == 0:
            for gate in range(gates):
                panels.weight_gradient(dw, xh, z, scratch, t, stop, gate, 0, dw.shape[2])
            stop = t
    jit.float_control(control)


PRODUCTS = {"run_lstm_forward": forward_products, "run_lstm_backward": backward_products}


def products_of(call: Call) -> Any:
    """A function that does the products of one call of a kernel, with the arrays of that call."""
    given = inspect.signature(KERNELS[call.name]).bind(*call.arguments).arguments
    function = PRODUCTS[call.name]
    arrays = [given[name] for name in inspect.signature(function.py_func).parameters]
    return lambda: function(*arrays)


def replay(calls: Sequence[Call]) -> float:
    """Seconds of the products of all kernels of a step, on as many threads as they had."""

    def run(products: Any) -> Call:
        start = time.perf_counter()
        products()
        return Call("", (), 0, start, time.perf_counter())

    seconds = 0.0
    for name in KERNELS:
        chunks = [products_of(call) for call in calls if call.name == name]
        seconds += covered(threads.run(run, chunks, parallel=len({call.thread for call in calls}) > 1))
    return seconds


def multiply_adds(calls: Sequence[Call]) -> int:
    """Multiply-adds of the products of a step."""
    total = 0
    for call in calls:
        given = inspect.signature(KERNELS[call.name]).bind(*call.arguments).arguments
        S, _, gates, b, _ = given["z"].shape
        if "w" in given:
            K = given["w"].shape[2]
            H = K - 1 - given["x"].shape[2]
        else:
            K, H = len(given["found"]), given["found"].shape[1] // gates
            total += gates * S * b * H * H  # dh = dz U.T
        total += gates * S * b * K * H  # z = xh w, or dw = xh.T dz
    return total


@njit(**jit.OPTIONS)
def repeat(a: Any, b: Any, out: Any, times: Any) -> None:
    """The same product several times."""
    (m, K), (P, _, NR) = a.shape, b.shape
    for _ in range(times):
        tile.product(
            m, P, vectors.at(out, 0), vectors.at(a, 0), vectors.at(b, 0),
            NR, m * NR, K, 1, 0, NR, 0, K * NR, K, 1, 0,
        )  # fmt: skip


def peak() -> float:
    """The best multiply-adds per second of one core, in products of several sizes that fit its caches."""
    best, NR = 0.0, jit.lanes("float32")
    for K in (64, 96, 128, 192, 256):
        a, b, out = (np.ones(size, "float32") for size in ((tile.ROWS, K), (2, K, NR), (2, tile.ROWS, NR)))
        work = tile.ROWS * K * 2 * NR
        times = max(1, 20_000_000 // work)
        for _ in range(20):
            start = time.perf_counter()
            repeat(a, b, out, times)
            best = max(best, times * work / (time.perf_counter() - start))
    return best


# ---------------------------------------------------------------- a step, watched

PARTS = {  # of the Python around the kernels
    "check": "checked",
    "forward": "forward",
    "loss": "loss_and_gradient",
    "backward": "backward",
    "norm": "prepare",
    "update": "step",
}


def watched_step(model: ml.Sequential, x: np.ndarray, y: np.ndarray) -> tuple[dict[str, float], list[Call]]:
    """Seconds of one training step, of its kernels, and of each part around them; the calls of kernels."""
    owners = batches, passes, passes, passes, model.optimizer, model.optimizer
    with watched(
        *((entry_points, name) for name in KERNELS), *zip(owners, PARTS.values(), strict=True)
    ) as calls:
        start = time.perf_counter()
        model.train_on_batch(x, y)
        seconds = {"step": time.perf_counter() - start}
    inner = [call for call in calls if call.name in KERNELS]
    seconds["kernels"] = covered(inner)
    for part, name in PARTS.items():
        call = next(call for call in calls if call.name == name)
        inside = [one for one in inner if call.start <= one.start < call.stop]
        seconds[part] = call.stop - call.start - covered(inside)
    seconds["others"] = seconds["step"] - seconds["kernels"] - sum(seconds[part] for part in PARTS)
    return seconds, inner


def profile(B: int, T: int, D: int, H: int, rounds: int = 4, seconds: float = 0.4) -> dict[str, Any]:
    """Medians in milliseconds, of steps and of the products alone in turn."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(B, T, D)).astype("float32"), np.arange(B) % 2
    model = ours("LSTM", T, D, H)
    steps: list[dict[str, float]] = []
    products: list[float] = []
    for turn in range(rounds + 1):  # the first compiles, and warms up
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or not steps:
            found, calls = watched_step(model, x, y)
            steps.append(found)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or not products:
            products.append(replay(calls))
        if turn == 0:
            steps, products = [], []
    ms = {name: 1e3 * float(np.median([step[name] for step in steps])) for name in steps[0]}
    ms["products"] = 1e3 * float(np.median(products))
    ms["gates"] = ms["kernels"] - ms["products"]
    ms["python"] = ms["step"] - ms["kernels"]
    used = len({call.thread for call in calls})
    return {"B": B, "T": T, "D": D, "H": H, "threads": used, "multiply_adds": multiply_adds(calls), "ms": ms}


# ---------------------------------------------------------------- results


def text(result: dict[str, Any]) -> str:
    """Two tables in Markdown, and where they were measured."""
    best, where, around = result["peak"], [], []
    for row in result["rows"]:
        ms, name = row["ms"], ", ".join(str(row[key]) for key in "BTDH")
        shares = [f"{ms[part]:.3g} ({100 * ms[part] / ms['step']:.0f} %)" for part in BARS]
        rate = row["multiply_adds"] / (1e-3 * ms["products"])
        limit = best * row["threads"]
        share = row["multiply_adds"] / (1e-3 * ms["step"]) / limit
        rates = [f"{2e-9 * rate:.0f}", f"{100 * rate / limit:.0f} %", f"{100 * share:.0f} %"]
        where.append([name, str(row["threads"]), f"{ms['step']:.3g}", *shares, *rates])
        around.append([name, *(f"{1e3 * ms[part]:.0f}" for part in (*PARTS, "others"))])
    head = ["B, T, D, H", "threads", "step ms", *BARS.values()]
    head += ["products, GFLOP/s", "of the peak", "whole step, of the peak"]
    return "\n".join(
        [
            f"Measured {sentence(result['machine'])}.",
            f"float32; medians in ms, and share of the step. Peak of one core: {2e-9 * best:.0f} GFLOP/s.",
            "",
            markdown(head, where),
            "The last of these in parts: microseconds around the kernels.",
            "",
            markdown(["B, T, D, H", *PARTS, "others"], around),
        ]
    )


BARS = {"products": "products", "gates": "gates", "python": "Python"}


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
    parser.add_argument("--out", type=Path, help="folder for step_profile.json, .md, .png and .svg")
    options = parser.parse_args()
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
