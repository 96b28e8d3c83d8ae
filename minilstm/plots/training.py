"""Figures of a GradientTracer: the gradient at every step over training, clipping, the size of updates."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from minilstm.callbacks import GradientTracer
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import instance
from minilstm.plots.base import (
    COLOURS,
    MARKERS,
    axes_or_new,
    legend,
    log_axis,
    log_line,
    name_axes,
    whole_ticks,
)
from minilstm.plots.traces import LAG

TRACER = "a GradientTracer"


def training_heatmap(tracer: GradientTracer, layer: str, name: str = "dh", ax: Axes | None = None) -> Axes:
    """The gradient's norm at every step over training: records to the right, steps before the loss up.

    Log colour scale over twelve decades below the largest; zero (or underflow) is black, what is not finite
    is red, and grey are steps that no sample of the batch has.
    """
    instance("tracer", tracer, GradientTracer, TRACER)
    values, ax = tracer.norms(layer, name).T, axes_or_new(ax)  # (L, records)
    lengths = [
        len(record.layers[layer].states["dh"]) if layer in record.layers else 0 for record in tracer.records
    ]
    there = np.arange(len(values))[:, None] < np.array(lengths)
    usable = np.isfinite(values) & (values > 0)
    top = float(values[usable].max(initial=1e-300))
    shown = np.ma.masked_array(values, ~usable)
    shape = values.shape
    ax.set_facecolor("0.75")
    ax.imshow(
        np.ma.masked_array(np.zeros(shape), ~there),
        cmap="gray",
        aspect="auto",
        origin="lower",
        vmin=0,
        vmax=1,
    )
    image = ax.imshow(
        shown,
        aspect="auto",
        interpolation="nearest",
        origin="lower",
        cmap="viridis",
        norm=LogNorm(top * 1e-12, top, clip=True),
    )
    bad = np.ma.masked_array(np.ones(shape), ~(~np.isfinite(values) & there))
    ax.imshow(bad, cmap="autumn_r", aspect="auto", origin="lower", vmin=0, vmax=1)
    ax.figure.colorbar(image, ax=ax, extend="min").set_label(f"norm of {name}", fontsize=11)
    name_axes(ax, "recorded batch", LAG, f"{layer}: {name} over training")
    ax.grid(False)
    whole_ticks([ax])
    return ax


def clipping(tracer: GradientTracer, ax: Axes | None = None) -> Axes:
    """The norm of the gradient before and after clipping, over the recorded batches."""
    instance("tracer", tracer, GradientTracer, TRACER)
    steps, ax = np.arange(len(tracer.records)), axes_or_new(ax)
    for k, (key, label) in enumerate((("norm", "before clipping"), ("norm_after", "after clipping"))):
        values: Array = np.array([getattr(record, key) for record in tracer.records])
        log_line(ax, steps, values, label=label, color=COLOURS[1 - k], marker=MARKERS[k])
    title = f"{tracer.share_clipped:.0%} of {tracer.steps} batches clipped" if tracer.steps else ""
    name_axes(ax, "recorded batch", "norm of all gradients", title)
    log_axis(ax)
    whole_ticks([ax])
    legend(ax)
    return ax


def updates(tracer: GradientTracer, ax: Axes | None = None) -> Axes:
    """The size of each update relative to the weight it changes; about 1e-3 is common."""
    instance("tracer", tracer, GradientTracer, TRACER)
    steps, ax = np.arange(len(tracer.records)), axes_or_new(ax)
    names = dict.fromkeys(name for record in tracer.records for name in record.update_to_weight)
    for k, name in enumerate(names):
        values: Array = np.array([record.update_to_weight.get(name, np.nan) for record in tracer.records])
        if np.isfinite(values).any():
            log_line(ax, steps, values, label=name, color=COLOURS[k % 7], marker=MARKERS[k % 8])
    name_axes(ax, "recorded batch", "size of the update / size of the weight")
    whole_ticks([ax])
    legend(ax, loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)  # many names: beside the lines
    return ax
