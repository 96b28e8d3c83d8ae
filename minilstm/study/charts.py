"""The interactive charts of the report, as plain data for plotly: what `figures` draws, to be touched.

Each chart has the name of a figure, which stands in its place until the script runs, and where it does
not. Colours come as roles ("0", "1", ..., "soft"): the page gives them, and changes them with the theme.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from minilstm.study.plan import Settings, Variant
from minilstm.study.point import Record
from minilstm.study.summary import Row, variant_of

Chart = dict[str, Any]
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "star", "x", "cross")


def charts(
    rows: Sequence[Row], records: Sequence[Record], cost: dict[str, Any], settings: Settings
) -> dict[str, Chart]:
    """Every interactive chart, by the name of its figure."""
    if not rows:
        return {}
    metric = settings.metric
    lengths = {"title": "length (time steps)", "type": "log", "tickvals": list(settings.lengths)}
    found = {
        "mse" if metric == "MSE" else "accuracy": _metric(rows, records, lengths, settings),
        "gradient_back": _profiles(records, settings),
        "training": _training(records, settings),
        "horizon": {
            "traces": [
                *_lines(rows, "horizon_before", settings, dash="dot", suffix=" before"),
                *_lines(rows, "horizon_after", settings, suffix=" after"),
                {
                    "x": list(settings.lengths),
                    "y": list(settings.lengths),
                    "name": "whole length",
                    "dash": "dot",
                    "role": "soft",
                },
            ],
            "x": lengths,
            "y": {"title": "horizon (time steps)", "type": "log"},
        },
        "first_step": {
            "traces": [
                *_lines(rows, "first_norm_before", settings, dash="dot", suffix=" before"),
                *_lines(rows, "first_norm_after", settings, suffix=" after"),
            ],
            "x": lengths,
            "y": {"title": "norm of dh at the first step", "type": "log"},
        },
    }
    for name, column, scale, unit in (
        ("cost", "ms_per_step", 1.0, "ms"),
        ("memory", "tape_bytes", 1e-6, "MB"),
    ):
        title = "milliseconds per training step" if name == "cost" else "megabytes of tape"
        found[name] = {
            "traces": [
                *_lines(rows, column, settings, scale=scale, mode="markers"),
                *_fits(cost, column, scale, unit, settings),
            ],
            "x": {"title": "length T (time steps)", "rangemode": "tozero"},
            "y": {"title": title, "rangemode": "tozero"},
        }
    if settings.padding:
        own = [row for row in rows if variant_of(row) == variant_of(rows[0])]
        shares = (("steps cut off", "cut_share", "1"), ("cells that are padding", "padding_share", "0"))
        found["shares"] = {
            "traces": [
                {
                    "x": [row["length"] for row in own],
                    "y": [100 * row[column] for row in own],
                    "name": name,
                    "role": role,
                    "symbol": SYMBOLS[k],
                }
                for k, (name, column, role) in enumerate(shares)
            ],
            "x": lengths,
            "y": {"title": "per cent of the training part", "range": [0, 100]},
        }
    return found


def _role(variant: Variant, settings: Settings) -> str:
    return "soft" if variant[-1] else str(settings.variants.index(variant))


def _name(variant: Variant, settings: Settings) -> str:
    return settings.label(variant) or settings.rnn[0]


def _lines(
    rows: Sequence[Row],
    column: str,
    settings: Settings,
    *,
    scale: float = 1.0,
    mode: str = "lines+markers",
    dash: str = "solid",
    suffix: str = "",
) -> list[Chart]:
    """One trace per variant of a column against length; what does not exist is a gap."""
    found = []
    for k, variant in enumerate(settings.variants):
        own = [row for row in rows if variant_of(row) == variant]
        found.append(
            {
                "x": [row["length"] for row in own],
                "y": [None if row[column] is None else scale * row[column] for row in own],
                "name": _name(variant, settings) + suffix,
                "role": _role(variant, settings),
                "symbol": SYMBOLS[k % len(SYMBOLS)],
                "mode": mode,
                "dash": dash,
            }
        )
    return found


def _metric(rows: Sequence[Row], records: Sequence[Record], lengths: Chart, settings: Settings) -> Chart:
    traces = _lines(rows, "test_metric", settings)
    for trace, variant in zip(traces, settings.variants, strict=True):
        own = [row for row in rows if variant_of(row) == variant]
        trace["up"] = [_gap(row["test_high"], row["test_metric"]) for row in own]
        trace["down"] = [_gap(row["test_metric"], row["test_low"]) for row in own]
    if settings.seeds > 1:
        for k, variant in enumerate(settings.variants):
            seeds = [r for r in records if variant_of(r) == variant and r["test_metric"] is not None]
            traces.append(
                {
                    "x": [record["length"] for record in seeds],
                    "y": [record["test_metric"] for record in seeds],
                    "name": f"{_name(variant, settings)}, single seeds",
                    "role": _role(variant, settings),
                    "symbol": SYMBOLS[k % len(SYMBOLS)],
                    "mode": "markers",
                    "faint": True,
                }
            )
    base = sorted({row["length"]: row["baseline"] for row in rows}.items())
    traces.append(
        {
            "x": [T for T, _ in base],
            "y": [b for _, b in base],
            "name": "baseline",
            "role": "soft",
            "dash": "dash",
        }
    )
    return {"traces": traces, "x": lengths, "y": {"title": f"test {settings.metric}"}}


def _gap(high: float | None, low: float | None) -> float | None:
    return None if high is None or low is None else max(0.0, high - low)


def _fits(cost: dict[str, Any], column: str, scale: float, unit: str, settings: Settings) -> list[Chart]:
    found = []
    for variant in settings.variants:
        fit = cost.get(settings.label(variant), {}).get(column)
        if fit is not None:
            a, b = scale * fit["intercept"], scale * fit["slope"]
            ends = [0, settings.lengths[-1]]
            name = f"{_name(variant, settings)}: {a:.3g} + {b:.3g} T {unit}"
            found.append(
                {
                    "x": ends,
                    "y": [a + b * T for T in ends],
                    "name": name,
                    "role": _role(variant, settings),
                    "dash": "dash",
                }
            )
    return found


def _training(records: Sequence[Record], settings: Settings) -> Chart:
    """A view per variant: the validation metric after each epoch, a line per length and seed."""
    key = "val_loss" if settings.metric == "MSE" else "val_accuracy"
    views = []
    for variant in settings.variants:
        traces = []
        for record in records:
            curve = record["curves"].get(key, [])
            if variant_of(record) == variant and curve:
                k = settings.lengths.index(record["length"])
                traces.append(
                    {
                        "x": list(range(1, len(curve) + 1)),
                        "y": curve,
                        "name": f"length {record['length']}",
                        "group": f"{record['length']}",
                        "order": k,
                        "symbol": SYMBOLS[k % len(SYMBOLS)],
                        "hide": record["seed"] > 0,
                    }
                )
        views.append({"name": _name(variant, settings), "traces": traces})
    return {
        "views": views,
        "steps": len(settings.lengths),
        "x": {"title": "epoch"},
        "y": {"title": f"validation {settings.metric}"},
    }


def _profiles(records: Sequence[Record], settings: Settings) -> Chart:
    """A view per variant: the gradient's norm against steps back, a line per length, a frame per epoch."""
    epochs = sorted({shot["epoch"] for record in records for shot in record["snapshots"]})
    views = []
    for variant in settings.variants:
        own = [record for record in records if variant_of(record) == variant]
        traces = []
        for k, length in enumerate(settings.lengths):
            seeds = [record for record in own if record["length"] == length]
            if not seeds:
                continue
            shots = [{shot["epoch"]: shot["norms"] for shot in record["snapshots"]} for record in seeds]
            frames = [_medians([shot[epoch] for shot in shots if epoch in shot]) for epoch in epochs]
            traces.append(
                {
                    "x": seeds[0]["lags"],
                    "frames": frames,
                    "y": frames[-1],
                    "name": f"length {length}",
                    "order": k,
                    "symbol": SYMBOLS[k % len(SYMBOLS)],
                    "mode": "lines+markers" if len(seeds[0]["lags"]) <= 12 else "lines",
                }
            )
        views.append({"name": _name(variant, settings), "traces": traces})
    return {
        "views": views,
        "steps": len(settings.lengths),
        "epochs": epochs,
        "x": {"title": "steps before the end"},
        "y": {"title": "norm of dh", "type": "log"},
    }


def _medians(lists: Sequence[Sequence[float | None]]) -> list[float | None]:
    """Elementwise median over seeds; None where a seed has no number, and for 0, which a log axis has not."""
    middle: Callable[[Any], float] = median
    if not lists:
        return []
    return [
        None if None in values or middle(values) <= 0 else middle(values)
        for values in zip(*lists, strict=False)
    ]
