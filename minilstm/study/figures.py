"""The study's figures: which there are, what each says in one sentence, and how it is composed.

The drawing itself is in `minilstm.plots`. A figure is made only where there is something to see: the
generated tasks have no padding, and so none of the figures about it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilstm import plots
from minilstm.study.cell import PROBE, Record
from minilstm.study.plan import Settings
from minilstm.study.summary import Row


@dataclass(frozen=True)
class StudyFigure:
    """A figure, its file name without ending, its title, and the sentence that says what to see."""

    name: str
    title: str
    caption: str
    figure: Any  # matplotlib's Figure
    wide: bool = True  # two panels side by side: too small on a phone without scrolling


def study_figures(
    summary: dict[str, Any], records: Sequence[Record], settings: Settings
) -> Iterator[StudyFigure]:
    """All figures of a study, one after the other (each takes memory until it is dropped)."""
    rows: list[Row] = summary["rows"]
    if settings.padding == "post" and len(settings.masks) == 2:
        yield _contrast(rows, records, settings)
    yield _metric(rows, records, settings)
    yield _cost(rows, summary["cost"], settings)
    yield _back(records, settings)
    if settings.padding is not None:
        yield _padding(records, settings)
    yield _first(rows, settings)
    if settings.padding is not None:
        yield _shares(rows, settings)
    yield _training(records, settings)


def _contrast(rows: Sequence[Row], records: Sequence[Record], settings: Settings) -> StudyFigure:
    figure, (left, right) = plots.new_figure(1, 2, width=12, height=4.8)
    _draw_metric(left, rows, records, settings)
    left.set_title("The effect: accuracy against length", fontsize=13, loc="left")
    _draw_padding(right, records, settings, "before")
    right.set_title(f"The cause: the gradient at length {settings.lengths[-1]}", fontsize=13, loc="left")
    return StudyFigure(
        "contrast",
        "What padding does without a mask",
        "Left: accuracy at each length. Right: with a mask the gradient crosses the padding unchanged; "
        "without one it decays there, before it reaches any speech.",
        figure,
    )


def _metric(rows: Sequence[Row], records: Sequence[Record], settings: Settings) -> StudyFigure:
    figure, (ax,) = plots.new_figure()
    _draw_metric(ax, rows, records, settings)
    return StudyFigure(
        "mse" if settings.metric == "MSE" else "accuracy",
        f"Test {settings.metric} against length",
        "Bars are the range of the seeds' 95 % intervals, faint dots single seeds; the dashed line is what "
        f"always giving {'the mean' if settings.metric == 'MSE' else 'the commonest answer'} reaches.",
        figure,
        wide=False,
    )


def _draw_metric(ax: Any, rows: Sequence[Row], records: Sequence[Record], settings: Settings) -> None:
    plots.against_length(ax, rows, "test_metric", low="test_low", high="test_high")
    for record in records:
        if record["test_metric"] is not None and settings.seeds > 1:
            style = plots.MASK_STYLE[record["mask"] or len(settings.masks) == 1]
            ax.plot(
                record["length"],
                record["test_metric"],
                style["marker"],
                color=style["color"],
                alpha=0.3,
                markersize=4,
            )
    base = sorted({row["length"]: row["baseline"] for row in rows}.items())
    where, height = zip(*base, strict=True)
    ax.plot(where, height, color=plots.GREY, linestyle="--", linewidth=1.5, label="baseline")
    plots.name_axes(ax, "length (time steps)", f"test {settings.metric}")
    plots.length_axis(ax, settings.lengths)
    ax.set_ylim(0, 1.03 if settings.metric == "accuracy" else None)
    plots.legend(ax)


def _cost(rows: Sequence[Row], cost: dict[str, Any], settings: Settings) -> StudyFigure:
    figure, axes = plots.new_figure(1, 2, width=11, height=4.4)
    panels = (("ms_per_step", 1.0, "ms"), ("tape_bytes", 1e-6, "MB"))
    for ax, (name, scale, unit) in zip(axes, panels, strict=True):
        plots.against_length(ax, rows, name, scale=scale, connect=False)
        for mask in settings.masks:
            fit = cost["with mask" if mask else "without mask"][name]
            if fit is not None:
                fit = {key: scale * fit[key] for key in ("intercept", "slope")}
                text = f"{fit['intercept']:.3g} + {fit['slope']:.3g} T {unit}"
                plots.fit_line(ax, settings.lengths, fit, mask or len(settings.masks) == 1, text)
        ax.set_ylim(bottom=0)
        ax.set_xlim(left=0)
        plots.legend(ax)
    plots.name_axes(axes[0], "length T (time steps)", "milliseconds per step", "Time of one training step")
    plots.name_axes(axes[1], "length T (time steps)", "megabytes", "Tape kept for the backward pass")
    return StudyFigure(
        "cost",
        "Cost against length",
        "What each further time step adds: the dashed lines are least-squares fits a + b T.",
        figure,
    )


def _back(records: Sequence[Record], settings: Settings) -> StudyFigure:
    masks = settings.masks
    figure, axes = plots.new_figure(len(masks), 2, width=11, height=3.9 * len(masks))
    colours = plots.ordered_colours(len(settings.lengths))
    panels = [(mask, when) for mask in masks for when in ("before", "after")]
    for ax, (mask, when) in zip(axes, panels, strict=True):
        for k, length in enumerate(settings.lengths):
            norms = _median_over_seeds(records, length, mask, lambda r, w=when: r[w]["norms"])
            if norms is not None:
                plots.log_line(
                    ax,
                    np.arange(len(norms)),
                    norms,
                    color=colours[k],
                    marker=plots.MARKERS[k % 8],
                    label=f"{length}",
                )
        how = {True: "with mask, ", False: "without mask, "}[mask] if len(masks) == 2 else ""
        plots.name_axes(ax, "steps before the end", "norm of dh", f"{how}{when} training".capitalize())
    _same_limits(axes)
    plots.whole_ticks(axes)
    plots.legend(axes[0], title="length", ncols=2, fontsize=10)
    return StudyFigure(
        "gradient_back",
        "Gradient norm against steps before the end",
        "Read from the left: how fast the gradient of the hidden state shrinks on its way back from the loss "
        f"(L2 norm over the units of {PROBE} validation sequences; masked steps are not counted, padding "
        "without a mask is).",
        figure,
    )


def _padding(records: Sequence[Record], settings: Settings) -> StudyFigure:
    figure, axes = plots.new_figure(1, 2, width=11, height=4.4)
    for ax, when in zip(axes, ("before", "after"), strict=True):
        _draw_padding(ax, records, settings, when)
        ax.set_title(f"{when.capitalize()} training", fontsize=12.5, loc="left")
    _same_limits(axes)
    return StudyFigure(
        "padding_gradient",
        f"Gradient norm across the padding, length {settings.lengths[-1]}",
        "Read from the right, as the gradient runs: the shaded part is padding, the rest is data; "
        "the line is the median over recordings.",
        figure,
    )


def _draw_padding(ax: Any, records: Sequence[Record], settings: Settings, when: str) -> None:
    length = settings.lengths[-1]
    right = 0
    for mask in settings.masks:
        own = [r[when]["profile"] for r in records if r["length"] == length and r["mask"] == mask]
        if not own:
            continue
        offset = np.array(own[0]["offset"])
        norm = _median([profile["norm"] for profile in own])
        right = max(right, int(offset.max(initial=0)))
        plots.log_line(ax, offset, norm, **plots.MASK_STYLE[mask])
    if right > 0:
        ax.axvspan(0.5, right + 0.5, color="0.9", zorder=0)
        ax.text(0.97, 0.04, "padding", transform=ax.transAxes, ha="right", fontsize=11, color=plots.GREY)
    plots.name_axes(ax, "steps after the end of the recording", "norm of dh per recording")
    plots.legend(ax)


def _first(rows: Sequence[Row], settings: Settings) -> StudyFigure:
    figure, axes = plots.new_figure(1, 2, width=11, height=4.2)
    for ax, when in zip(axes, ("before", "after"), strict=True):
        plots.against_length(ax, rows, f"first_norm_{when}")
        plots.log_axis(ax)
        plots.name_axes(ax, "length (time steps)", "norm of dh", f"{when.capitalize()} training")
        plots.length_axis(ax, settings.lengths)
    _same_limits(axes)
    plots.legend(axes[0])
    return StudyFigure(
        "first_step",
        "Gradient norm at the first step against length",
        "What is left of the gradient when it arrives at the first step of a sequence, on a log axis: "
        "where this is tiny, the beginning cannot be learned from.",
        figure,
    )


def _shares(rows: Sequence[Row], settings: Settings) -> StudyFigure:
    figure, (ax,) = plots.new_figure()
    own = [row for row in rows if row["mask"] == rows[0]["mask"]]
    lengths = [row["length"] for row in own]
    for name, words, colour, marker in (
        ("cut_share", "steps cut off", plots.ORANGE, "s"),
        ("padding_share", "cells that are padding", plots.BLUE, "o"),
    ):
        ax.plot(
            lengths, [100 * row[name] for row in own], color=colour, marker=marker, linewidth=2, label=words
        )
    plots.name_axes(ax, "length (time steps)", "per cent of the training part")
    plots.length_axis(ax, settings.lengths)
    ax.set_ylim(0, 100)
    plots.legend(ax)
    return StudyFigure(
        "shares",
        "Truncation and padding",
        "A short length throws data away, a long one spends most of its work on padding.",
        figure,
        wide=False,
    )


def _training(records: Sequence[Record], settings: Settings) -> StudyFigure:
    masks = settings.masks
    figure, axes = plots.new_figure(1, len(masks), width=5.5 * len(masks) + (len(masks) == 1), height=4.2)
    key = "val_loss" if settings.metric == "MSE" else "val_accuracy"
    colours = plots.ordered_colours(len(settings.lengths))
    for ax, mask in zip(axes, masks, strict=True):
        for record in records:
            curve = record["curves"].get(key, [])
            if record["mask"] == mask and curve:
                k = settings.lengths.index(record["length"])
                style = {
                    "color": colours[k],
                    "marker": plots.MARKERS[k % 8],
                    "markersize": 3.5,
                    "linewidth": 1.2,
                }
                name = f"{record['length']}" if record["seed"] == 0 else None
                ax.plot(np.arange(1, len(curve) + 1), np.array(curve, dtype=float), label=name, **style)
        how = {True: "With mask", False: "Without mask"}[mask] if len(masks) == 2 else ""
        plots.name_axes(ax, "epoch", f"validation {settings.metric}", how)
        ax.set_ylim(0, 1.03 if settings.metric == "accuracy" else None)
    plots.legend(axes[0], title="length", ncols=2, fontsize=10)
    plots.whole_ticks(axes)
    return StudyFigure(
        "training",
        "Training",
        "Validation value after each epoch, one line per seed: where a line stays flat, nothing is learned.",
        figure,
    )


def _median_over_seeds(records: Sequence[Record], length: int, mask: bool, get: Any) -> Any:
    own = [get(record) for record in records if record["length"] == length and record["mask"] == mask]
    return _median(own) if own else None


def _median(lists: Sequence[Sequence[float | None]]) -> Any:
    """Elementwise median, over the shortest list's length; NaN where one is missing."""
    shortest = min(map(len, lists))
    return np.median(np.array([values[:shortest] for values in lists], dtype=float), axis=0)


def _same_limits(axes: Sequence[Any]) -> None:
    ends = [ax.get_ylim() for ax in axes]
    for ax in axes:
        ax.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))
