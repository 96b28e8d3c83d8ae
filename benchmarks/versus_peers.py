"""How fast is a training step and a prediction, beside PyTorch, ONNX Runtime and Keras?

    python benchmarks/versus_peers.py [--isa avx2] [--peers torch,ort] [--rows 0,2,5] [--runs 3] [--quick]
        [--out FOLDER]
    python benchmarks/versus_peers.py --join A.json B.json [--out FOLDER]

A training step is a whole train_on_batch: LSTM (or GRU, SimpleRNN) + Dense(1, sigmoid), binary
cross-entropy, Adam, no gradient of the input. A prediction is a whole predict_on_batch. float32. All
sides have the same weights and the same data; what they predict is compared, before and after one
training step, before anything is timed, and where it differs nothing is. All sides run in one process,
in turn, each turn after a pause and a warm-up.

A ratio says how many times ours the other takes: above 1 we are faster. In each turn it is the quotient of
the two medians of that turn; of a run, the median of its turns; of several runs, the median of the runs. The
brackets hold the quartiles of all turns. The goals are those that the project set itself, for AVX2 and for
AVX-512; a prediction's is a ratio to the faster of PyTorch and ONNX Runtime.

With --isa avx2 or avx512 the measuring process starts with the switches of Numba, NumPy, PyTorch, oneDNN, MKL
and XLA for that instruction set. ONNX Runtime has none: where it may use more than the others, its column
says so. MKL obeys on processors of Intel; TensorFlow's own kernels are compiled for one set.

Peers: torch, torch-flush (numbers below the normal range count as 0, as in our kernels), onednn (the LSTM
that PyTorch calls, its weights reordered once; predicts only), ort (LSTM, predicts only), keras-tf,
keras-jax. A process can hold PyTorch in one of the first two ways, and Keras on one back end; TensorFlow
likes an environment of its own. --join makes one table of the files of several runs.

With --out, writes versus_peers.json, .md (the tables below), .png and .svg.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import isa
import numpy as np
from matplotlib.figure import Figure
from measure import (
    Others,
    Turns,
    in_turn,
    machine,
    markdown,
    plain_log,
    quartiles,
    sentence,
    write_figure,
    write_json,
)
from peers import MODULES, NAMES, PEERS, Functions, ours

import minilstm as ml
from minilstm import plots

Goals = tuple[float, float]  # with AVX2, with AVX-512


class Row(NamedTuple):
    """A configuration, and the goals: least ratios of a training step and of a prediction."""

    layer: str
    B: int
    T: int
    D: int
    H: int
    step: Goals | None = None
    predict: Goals | None = None
    beside: str = "torch"  # whose training step is the goal's

    @property
    def name(self) -> str:
        return f"{self.layer} {self.B}, {self.T}, {self.D}, {self.H}"


ROWS = [
    Row("LSTM", 32, 10, 10, 64, (2.0, 2.4), (0.9, 1.0)),
    Row("LSTM", 32, 50, 10, 64, (2.0, 2.2), (1.0, 1.2)),
    Row("LSTM", 32, 100, 10, 64, (2.2, 2.4), (1.1, 1.3)),
    Row("LSTM", 32, 1000, 10, 64, (3.0, 4.0), (1.3, 1.7), "torch-flush"),
    Row("LSTM", 1, 100, 10, 64, (3.0, 3.3), (0.9, 1.0)),
    Row("LSTM", 64, 200, 32, 64, (2.3, 2.6), (1.2, 1.3)),
    Row("LSTM", 64, 100, 128, 128, (1.7, 2.0), (1.1, 1.1)),
    Row("LSTM", 64, 100, 256, 256, (1.4, 1.5), (1.05, 1.05)),
    Row("LSTM", 32, 50, 512, 512, (1.0, 1.1), (0.9, 0.9)),
    Row("GRU", 32, 100, 10, 64, (3.0, 3.0)),
    Row("SimpleRNN", 32, 100, 10, 64, (3.0, 3.0)),
]
TASKS = {"step": "Training step", "predict": "Prediction"}
FASTER = ("torch", "ort")  # a prediction's goal is a ratio to the faster of these

# ---------------------------------------------------------------- measuring


def sides_of(row: Row, peers: Sequence[str], threads: int) -> dict[str, Functions]:
    """What is timed, by side; SystemExit where a peer predicts something else than we do."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(row.B, row.T, row.D)).astype("float32"), np.arange(row.B) % 2
    model = ours(row.layer, row.T, row.D, row.H)
    sides: dict[str, Functions] = {
        "minilstm": {
            "step": lambda: model.train_on_batch(x, y),
            "predict": lambda: model.predict_on_batch(x),
        }
    }
    for peer in peers:
        sides[peer] = PEERS[peer](row.layer, model.get_weights(), x, y, threads)
    _refuse_unequal(row, sides)
    for functions in sides.values():
        if "step" in functions:
            functions["step"]()
    _refuse_unequal(row, {side: found for side, found in sides.items() if "step" in found})
    return sides


def _refuse_unequal(row: Row, sides: dict[str, Functions]) -> None:
    expected = sides["minilstm"]["predict"]()
    for side, functions in sides.items():
        if "predict" in functions:
            difference = float(np.abs(functions["predict"]() - expected).max())
            if not difference < 1e-5:
                raise SystemExit(f"{side} differs from minilstm by {difference:.1e} at {row.name}: not timed")


def measured(row: Row, peers: Sequence[str], rounds: int, seconds: float) -> dict[str, Turns]:
    """Seconds of single calls: by task and side, turn by turn."""
    sides = sides_of(row, peers, ml.get_num_threads())
    return {
        task: in_turn(
            {side: functions[task] for side, functions in sides.items() if task in functions},
            rounds,
            seconds,
            warm=0.1,
            pause=0.06,
        )
        for task in TASKS
    }


def summary(runs: Sequence[Turns]) -> dict[str, dict[str, Any]]:
    """By side: milliseconds; of all others also the ratio, its quartiles, and the ratio of each run."""
    found: dict[str, dict[str, Any]] = {}
    for side in runs[0]:
        medians = [np.array([np.median(turn) for turn in run[side]]) for run in runs]
        found[side] = {"ms": 1e3 * float(np.median([np.median(run) for run in medians]))}
        if side != "minilstm":
            ratios = [
                turns / [np.median(turn) for turn in run["minilstm"]]
                for turns, run in zip(medians, runs, strict=True)
            ]
            each = [float(np.median(run)) for run in ratios]
            low, _, high = quartiles(np.concatenate(ratios))
            found[side] |= {"ratio": float(np.median(each)), "low": low, "high": high, "runs": each}
    return found


def measure_all(rows: Sequence[Row], peers: Sequence[str], runs: int, quick: bool) -> dict[str, Any]:
    """The whole table, `runs` times."""
    rounds, seconds = (3, 0.15) if quick else (8, 0.2)
    others, start = Others(), time.perf_counter()
    raw: dict[Row, list[dict[str, Turns]]] = {row: [] for row in rows}
    for run in range(runs):
        for row in rows:
            raw[row].append(measured(row, peers, rounds, seconds))
            for task in TASKS:
                cells = summary([raw[row][-1][task]])
                ratios = (f"{side} {one['ratio']:.2f}x" for side, one in cells.items() if side != "minilstm")
                print(
                    f"{run + 1}/{runs}  {row.name:24} {task:8} {cells['minilstm']['ms']:8.2f} ms   "
                    + "   ".join(ratios),
                    flush=True,
                )
    modules = [module for peer in peers for module in MODULES[peer]]
    return {
        "machine": [machine(others, *modules)],
        "runs": runs,
        "seconds": time.perf_counter() - start,
        "rows": [
            dict(zip(Row._fields[:5], row[:5], strict=True))
            | {task: summary([run[task] for run in raw[row]]) for task in TASKS}
            for row in rows
        ],
    }


# ---------------------------------------------------------------- results


def joined(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One result of several, on one machine; where two have the same side of a row, the first counts."""
    machines = {f"{one['processor']}, {one['isa']}" for result in results for one in result["machine"]}
    if len(machines) > 1:
        raise SystemExit(f"not of one machine: {'; '.join(sorted(machines))}")
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for result in results:
        for row in result["rows"]:
            key = tuple(row[name] for name in Row._fields[:5])
            found = rows.setdefault(key, row)
            for task in TASKS:
                found[task] = row[task] | found[task]
    return {
        "machine": [machine for result in results for machine in result["machine"]],
        "runs": min(result["runs"] for result in results),
        "seconds": sum(result["seconds"] for result in results),
        "rows": list(rows.values()),
    }


def goals(row: dict[str, Any], task: str, instructions: str) -> dict[str, float]:
    """The least ratio that is the goal, by side, where that side was measured."""
    config = next((one for one in ROWS if one[:5] == tuple(row[k] for k in Row._fields[:5])), None)
    wanted = config and (config.step if task == "step" else config.predict)
    sides = (config.beside,) if config and task == "step" else FASTER
    if not wanted or instructions not in isa.SWITCHES or not set(sides) <= set(row[task]):
        return {}
    return {
        min(sides, key=lambda side: row[task][side]["ratio"]): wanted[list(isa.SWITCHES).index(instructions)]
    }


def table(result: dict[str, Any], task: str) -> str:
    """One task in Markdown: our milliseconds, every ratio with its quartiles, and the goals."""
    sides = [side for side in NAMES if any(side in row[task] for row in result["rows"])]
    where, lines = result["machine"][0], []
    names = dict(NAMES)
    if where["isa"] != where["processor_isa"]:
        names["ort"] += f" (no switch: {where['processor_isa']})"
    for row in result["rows"]:
        cells = [_name(row), f"{row[task]['minilstm']['ms']:.3g}"]
        wanted = goals(row, task, where["isa"])
        for side in sides:
            found = row[task].get(side)
            cells.append(f"{found['ratio']:.2f}x [{found['low']:.2f}, {found['high']:.2f}]" if found else "")
        verdicts = []
        for side, goal in wanted.items():
            met = "met" if row[task][side]["ratio"] >= goal else "**missed**"
            verdicts.append(f"{NAMES[side]} {goal:.2f}x: {met}")
        lines.append([*cells, "; ".join(verdicts)])
    head = [f"{TASKS[task]}: B, T, D, H", "minilstm ms", *(names[side] for side in sides), "goal"]
    return markdown(head, lines)


def text(result: dict[str, Any]) -> str:
    """Both tables, and where they were measured."""
    where = "\n".join(f"Measured {sentence(machine)}." for machine in result["machine"])
    runs = f"float32; median of {result['runs']} run{'s' * (result['runs'] > 1)}, [quartiles of all turns];"
    runs += f" {result['seconds']:.0f} s in all."
    return "\n".join([where, runs, "", *(table(result, task) for task in TASKS)])


def draw(result: dict[str, Any]) -> Figure:
    """Every ratio on a log axis, a line at 1, and a tick at each goal."""
    rows = result["rows"]
    figure, axes = plots.new_figure(1, 2, width=12, height=2 + 0.5 * len(rows))
    for ax, task in zip(axes, TASKS, strict=True):
        sides = [side for side in NAMES if any(side in row[task] for row in rows)]
        for number, side in enumerate(sides):
            k = list(NAMES).index(side)
            style = {"color": plots.COLOURS[k % len(plots.COLOURS)], "marker": plots.MARKERS[k]}
            y = np.array([k for k, row in enumerate(rows) if side in row[task]])
            y = y + 0.15 * (number - (len(sides) - 1) / 2)
            found = [row[task][side] for row in rows if side in row[task]]
            ratio, low, high = (np.array([one[key] for one in found]) for key in ("ratio", "low", "high"))
            spread = [np.maximum(0, ratio - low), np.maximum(0, high - ratio)]
            ax.errorbar(ratio, y, xerr=spread, linestyle="none", markersize=7, label=NAMES[side], **style)
            wanted = [goals(row, task, result["machine"][0]["isa"]) for row in rows if side in row[task]]
            goal = [one.get(side, np.nan) for one in wanted]
            tick = {"marker": "|", "markersize": 13, "markeredgewidth": 2.5, "linestyle": "none"}
            ax.plot(goal, y, color=style["color"], **tick)
        ax.plot([], [], color="black", label="goal, in the colour of its peer", **tick)
        ax.axvline(1, color="black", linewidth=1.2)
        plain_log(ax.xaxis)
        ax.set_yticks(range(len(rows)), [""] * len(rows))
        ax.set_ylim(len(rows) - 0.5, -0.5)
        plots.name_axes(ax, "times as long as minilstm (right of 1: we are faster)", "", TASKS[task])
    axes[0].set_yticklabels([_name(row) for row in rows])
    axes[0].set_ylabel("layer B, T, D, H", fontsize=12)
    known = dict(zip(*(axes[1].get_legend_handles_labels()[::-1]), strict=True))
    known = dict(zip(*(axes[0].get_legend_handles_labels()[::-1]), strict=True)) | known
    figure.legend(known.values(), known, loc="outside lower center", ncols=4, fontsize=11, frameon=False)
    return figure


def _name(row: dict[str, Any]) -> str:
    return f"{row['layer']} {row['B']}, {row['T']}, {row['D']}, {row['H']}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    isa.add_option(parser)
    parser.add_argument(
        "--peers", default="torch,onednn,ort", help=f"of {','.join(PEERS)}; torch and keras once"
    )
    parser.add_argument("--rows", default=",".join(map(str, range(len(ROWS)))), help="indices into the table")
    parser.add_argument("--runs", type=int, help="times to measure the whole table (3; with --quick 1)")
    parser.add_argument("--quick", action="store_true", help="fewer turns")
    parser.add_argument("--join", nargs="+", type=Path, help="measure nothing: one table of these JSON files")
    parser.add_argument("--out", type=Path, help="folder for versus_peers.json, .md, .png and .svg")
    options = parser.parse_args()
    peers = [peer for peer in options.peers.split(",") if peer]
    unknown = set(peers) - set(PEERS)
    if unknown:
        parser.error(f"--peers must be of {', '.join(PEERS)}, got {', '.join(sorted(unknown))}")
    libraries = [peer.split("-")[0] for peer in peers]
    twice = {library for library in libraries if libraries.count(library) > 1}
    if twice:
        parser.error(f"--peers must name {twice.pop()} once: a process can hold it in one way; see --join")
    if options.runs is not None and options.runs < 1:
        parser.error(f"--runs must be at least 1, got {options.runs}")
    if options.join:
        result = joined([json.loads(path.read_text()) for path in options.join])
    else:
        isa.restrict(options.isa)
        rows = [ROWS[int(k)] for k in options.rows.split(",")]
        result = measure_all(rows, peers, options.runs or (1 if options.quick else 3), options.quick)
    print(f"\n{text(result)}")
    if options.out:
        write_json(options.out / "versus_peers.json", result)
        (options.out / "versus_peers.md").write_text(text(result))
        write_figure(options.out / "versus_peers", draw(result))


if __name__ == "__main__":
    main()
