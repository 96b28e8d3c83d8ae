"""Figures of traces, of training and of study results; the only package that imports matplotlib.

Each function takes plain results and returns the Axes (or the Figure) that it drew; nothing is shown,
and no display or global state is touched (no pyplot). Save with `save`, or `ax.figure.savefig(...)`.

Colours are Okabe and Ito's, plasma for an order, viridis for a map; each also has its own marker or label,
so that a figure reads without colour. What is not a number is a gap with a cross, never a zero.
"""

from minilstm.plots.base import (
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    MARKERS,
    ORANGE,
    history,
    legend,
    length_axis,
    log_axis,
    log_line,
    name_axes,
    new_figure,
    ordered_colours,
    save,
    series_style,
    settle,
    whole_ticks,
)
from minilstm.plots.checks import gradient_errors
from minilstm.plots.report import trace_report
from minilstm.plots.traces import (
    contributions,
    credit_map,
    gates,
    gradient_flow,
    heatmap,
    ledger,
    side_by_side,
    singular_values,
)
from minilstm.plots.training import clipping, training_heatmap, updates
from minilstm.plots.truncated import truncation_cost

__all__ = [
    "BLUE",
    "COLOURS",
    "GREEN",
    "GREY",
    "MARKERS",
    "ORANGE",
    "clipping",
    "contributions",
    "credit_map",
    "gates",
    "gradient_errors",
    "gradient_flow",
    "heatmap",
    "history",
    "ledger",
    "legend",
    "length_axis",
    "log_axis",
    "log_line",
    "name_axes",
    "new_figure",
    "ordered_colours",
    "save",
    "series_style",
    "settle",
    "side_by_side",
    "singular_values",
    "trace_report",
    "training_heatmap",
    "truncation_cost",
    "updates",
    "whole_ticks",
]
