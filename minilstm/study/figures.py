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
from minilstm.study.plan import Settings, Variant
from minilstm.study.point import PROBE, Record
from minilstm.study.summary import Row, variant_of

MOST_PANELS = 6  # variants, at most, that a figure with a panel for each shows


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
    if not rows:
        return
    if "post" in settings.padding and settings.varied == ["mask"]:
        yield _contrast(rows, records, settings)
    yield metric_figure(rows, records, settings)
    yield from _cost(rows, summary["cost"], settings)
    if "rnn" in settings.varied:
        yield _kinds(records, settings)
    yield _back(records, settings)
    yield _horizons(rows, settings)
    if settings.padding:
        yield _padding(records, settings)
    yield _first(rows, settings)
    if settings.padding:
        yield _shares(rows, settings)
    yield _training(records, settings)


def style_of(settings: Settings, variant: Variant) -> dict[str, Any]:
    """Colour, marker and name of a variant, the same in every figure."""
    variants = settings.variants
    if len(variants) == 1:
        return plots.series_style(0)
    if settings.varied == ["mask"]:
        return dict(plots.MASK_STYLE[variant[2]])
    style = plots.series_style(variants.index(variant)) | {"label": settings.label(variant)}
    return style | ({"color": plots.GREY, "alpha": 0.6} if variant[-1] else {})


def _own(rows: Sequence[Any], variant: Variant) -> list[Any]:
    """Those of the rows, or records, that belong to a variant."""
    return [row for row in rows if variant_of(row) == variant]


def _panels(settings: Settings) -> list[Variant]:
    return [variant for variant in settings.variants if not variant[-1]][:MOST_PANELS]


def _contrast(rows: Sequence[Row], records: Sequence[Record], settings: Settings) -> StudyFigure:
    figure, (left, right) = plots.new_figure(1, 2, width=12, height=4.8)
    _draw_metric(left, rows, records, settings)
    left.set_title(f"The effect: {settings.metric} against length", fontsize=13, loc="left")
    _draw_padding(right, records, settings, "before")
    right.set_title(f"The cause: the gradient at length {settings.lengths[-1]}", fontsize=13, loc="left")
    return StudyFigure(
        "contrast",
        "What padding does without a mask",
        f"Left: {settings.metric} at each length. Right: with a mask the gradient crosses the "
        "padding unchanged; without one it decays there, before it reaches any data.",
        figure,
    )


def metric_figure(rows: Sequence[Row], records: Sequence[Record], settings: Settings) -> StudyFigure:
    """The test metric against length, with the seeds and the baseline."""
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
    for variant in settings.variants:
        style = style_of(settings, variant)
        plots.against_length(
            ax, _own(rows, variant), "test_metric", low="test_low", high="test_high", **style
        )
        if settings.seeds > 1:
            found = [r for r in _own(records, variant) if r["test_metric"] is not None]
            dots = [[r[key] for r in found] for key in ("length", "test_metric")]
            faint = {"color": style["color"], "alpha": 0.3, "markersize": 4, "linestyle": "none"}
            ax.plot(*dots, marker=style["marker"], **faint)
    base = sorted({row["length"]: row["baseline"] for row in rows}.items())
    where, height = zip(*base, strict=True)
    ax.plot(where, height, color=plots.GREY, linestyle="--", linewidth=1.5, label="baseline")
    plots.name_axes(ax, "length (time steps)", f"test {settings.metric}")
    plots.length_axis(ax, settings.lengths)
    if settings.metric == "accuracy":
        lowest = min((row["test_low"] for row in rows if row["test_low"] is not None), default=0)
        ax.set_ylim(max(0.0, min(lowest, *height) - 0.05) if min(lowest, *height) > 0.4 else 0, 1.03)
    else:
        ax.set_ylim(0, None)
    plots.legend(ax, fontsize=11 if len(settings.variants) < 4 else 9)


def _cost(rows: Sequence[Row], cost: dict[str, Any], settings: Settings) -> Iterator[StudyFigure]:
    panels = (
        (
            "cost",
            "ms_per_step",
            1.0,
            "ms",
            "milliseconds per training step",
            "Time of a training step against length",
        ),
        ("memory", "tape_bytes", 1e-6, "MB", "megabytes", "Tape kept for the backward pass against length"),
    )
    few = len(settings.variants) <= 2
    for file, name, scale, unit, axis, title in panels:
        figure, (ax,) = plots.new_figure()
        for variant in settings.variants:
            style = style_of(settings, variant)
            plots.against_length(ax, _own(rows, variant), name, scale=scale, connect=False, **style)
            fit = cost.get(settings.label(variant), {}).get(name)
            if fit is not None:
                fit = {key: scale * fit[key] for key in ("intercept", "slope")}
                text = f"{fit['intercept']:.3g} + {fit['slope']:.3g} T {unit}" if few else "_fit"
                plots.fit_line(ax, settings.lengths, fit, style["color"], text)
        ax.set_ylim(bottom=0)
        ax.set_xlim(left=0)
        plots.legend(ax, fontsize=11 if few else 9)
        plots.name_axes(ax, "length T (time steps)", axis)
        caption = "What each further time step adds: the dashed lines are least-squares fits a + b T."
        yield StudyFigure(file, title, caption, figure, wide=False)


def _back(records: Sequence[Record], settings: Settings) -> StudyFigure:
    variants = _panels(settings)
    figure, axes = plots.new_figure(len(variants), 2, width=11, height=3.9 * len(variants))
    colours = plots.ordered_colours(len(settings.lengths))
    panels = [(variant, when) for variant in variants for when in ("before", "after")]
    for ax, (variant, when) in zip(axes, panels, strict=True):
        for k, length in enumerate(settings.lengths):
            norms = _median_over_seeds(records, length, variant, lambda r, w=when: r[w]["norms"])
            if norms is not None:
                plots.log_line(
                    ax,
                    np.arange(len(norms)),
                    norms,
                    color=colours[k],
                    marker=plots.MARKERS[k % 8],
                    label=f"{length}",
                )
        label = settings.label(variant)
        title = f"{label}, {when} training" if label else f"{when} training"
        plots.name_axes(ax, "steps before the end", "norm of dh", title[:1].upper() + title[1:])
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


def _kinds(records: Sequence[Record], settings: Settings) -> StudyFigure:
    """The kinds of layer in one picture: the first variant of each, at the longest length."""
    figure, axes = plots.new_figure(1, 2, width=11, height=4.4)
    length = settings.lengths[-1]
    kinds = {variant[0]: variant for variant in reversed(settings.variants) if not variant[-1]}
    for ax, when in zip(axes, ("before", "after"), strict=True):
        for k, rnn in enumerate(settings.rnn):
            norms = _median_over_seeds(records, length, kinds[rnn], lambda r, w=when: r[w]["norms"])
            if norms is not None and np.isfinite(norms).any() and np.nanmax(norms) > 0:
                relative = norms / np.nanmax(norms)
                plots.log_line(ax, np.arange(len(norms)), relative, label=rnn, **plots.series_style(k))
        plots.name_axes(
            ax, "steps before the end", "norm of dh / its largest", f"{when.capitalize()} training"
        )
    _same_limits(axes)
    plots.whole_ticks(axes)
    plots.legend(axes[0])
    return StudyFigure(
        "kinds",
        f"Which forgets first, at length {length}",
        "Read from the left: what is left of the gradient on its way back. At each step a GRU's direct path "
        "multiplies it by its gate z, which starts at 1/2, an LSTM's by its forget gate, which starts "
        "at 0.73 (bias 1), and training can open both; a SimpleRNN has nothing to open.",
        figure,
    )


def _horizons(rows: Sequence[Row], settings: Settings) -> StudyFigure:
    figure, axes = plots.new_figure(1, 2, width=11, height=4.2)
    for ax, when in zip(axes, ("before", "after"), strict=True):
        for variant in settings.variants:
            plots.against_length(ax, _own(rows, variant), f"horizon_{when}", **style_of(settings, variant))
        ax.plot(settings.lengths, settings.lengths, color=plots.GREY, linestyle=":", label="the whole length")
        plots.name_axes(ax, "length (time steps)", "horizon (time steps)", f"{when.capitalize()} training")
        plots.length_axis(ax, settings.lengths)
        plots.log_axis(ax)
    _same_limits(axes)
    plots.legend(axes[0], fontsize=9)
    return StudyFigure(
        "horizon",
        "Horizon against length",
        "How many steps back from the end the gradient keeps 1 % of its largest norm: where this stays below "
        "the dotted line, the first steps hardly teach anything.",
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
        "the line is the median over sequences.",
        figure,
    )


def _draw_padding(ax: Any, records: Sequence[Record], settings: Settings, when: str) -> None:
    length = settings.lengths[-1]
    right = 0
    for variant in _panels(settings):
        own = [r[when]["profile"] for r in _own(records, variant) if r["length"] == length]
        own = [profile for profile in own if profile["offset"]]
        if not own:
            continue
        offset = np.array(own[0]["offset"])
        norm = _median([profile["norm"] for profile in own])
        right = max(right, int(offset.max(initial=0)))
        plots.log_line(ax, offset, norm, **style_of(settings, variant))
    if right > 0:
        ax.axvspan(0.5, right + 0.5, color="0.9", zorder=0)
        ax.text(0.97, 0.04, "padding", transform=ax.transAxes, ha="right", fontsize=11, color=plots.GREY)
    plots.name_axes(ax, "steps after the end of the sequence", "norm of dh per sequence")
    plots.legend(ax, fontsize=11 if len(settings.variants) < 4 else 9)


def _first(rows: Sequence[Row], settings: Settings) -> StudyFigure:
    figure, axes = plots.new_figure(1, 2, width=11, height=4.2)
    for ax, when in zip(axes, ("before", "after"), strict=True):
        for variant in settings.variants:
            plots.against_length(ax, _own(rows, variant), f"first_norm_{when}", **style_of(settings, variant))
        plots.log_axis(ax)
        plots.name_axes(ax, "length (time steps)", "norm of dh", f"{when.capitalize()} training")
        plots.length_axis(ax, settings.lengths)
    _same_limits(axes)
    plots.legend(axes[0], fontsize=11 if len(settings.variants) < 4 else 9)
    return StudyFigure(
        "first_step",
        "Gradient norm at the first step against length",
        "What is left of the gradient when it arrives at the first step of a sequence, on a log axis: "
        "where this is tiny, the beginning cannot be learned from.",
        figure,
    )


def _shares(rows: Sequence[Row], settings: Settings) -> StudyFigure:
    figure, (ax,) = plots.new_figure()
    own = _own(rows, variant_of(rows[0]))
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
    variants = _panels(settings)
    columns = min(2, len(variants))
    rows = -(-len(variants) // columns)
    figure, axes = plots.new_figure(rows, columns, width=5.5 * columns + (columns == 1), height=4.2 * rows)
    key = "val_loss" if settings.metric == "MSE" else "val_accuracy"
    colours = plots.ordered_colours(len(settings.lengths))
    for ax, variant in zip(axes, variants, strict=False):
        for record in _own(records, variant):
            curve = record["curves"].get(key, [])
            if curve:
                k = settings.lengths.index(record["length"])
                style = {
                    "color": colours[k],
                    "marker": plots.MARKERS[k % 8],
                    "markersize": 3.5,
                    "linewidth": 1.2,
                }
                name = f"{record['length']}" if record["seed"] == 0 else None
                ax.plot(np.arange(1, len(curve) + 1), np.array(curve, dtype=float), label=name, **style)
        label = settings.label(variant)
        plots.name_axes(ax, "epoch", f"validation {settings.metric}", label[:1].upper() + label[1:])
        ax.set_ylim(0, 1.03 if settings.metric == "accuracy" else None)
    for ax in axes[len(variants) :]:
        ax.set_visible(False)
    plots.legend(axes[0], title="length", ncols=2, fontsize=10)
    plots.whole_ticks(axes)
    return StudyFigure(
        "training",
        "Training",
        "Validation value after each epoch, one line per seed: where a line stays flat, nothing is learned.",
        figure,
    )


def _median_over_seeds(records: Sequence[Record], length: int, variant: Variant, get: Any) -> Any:
    own = [get(record) for record in _own(records, variant) if record["length"] == length]
    return _median(own) if own else None


def _median(lists: Sequence[Sequence[float | None]]) -> Any:
    """Elementwise median, over the shortest list's length; NaN where one is missing."""
    shortest = min(map(len, lists))
    return np.median(np.array([values[:shortest] for values in lists], dtype=float), axis=0)


def _same_limits(axes: Sequence[Any]) -> None:
    ends = [ax.get_ylim() for ax in axes]
    low, high = (how(values) for how, values in zip((min, max), zip(*ends, strict=True), strict=True))
    for ax in axes:
        if ax.get_yscale() == "linear" or low > 0:  # a log axis with nothing on it has no limits to share
            ax.set_ylim(low, high)
