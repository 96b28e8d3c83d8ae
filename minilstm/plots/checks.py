"""Figures of gradient checks."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from minilstm.foundations.errors import instance, one_of
from minilstm.gradient_check import Report
from minilstm.plots.base import axes_or_new, legend, log_line, name_axes, series_style, whole_ticks


def gradient_errors(report: Report, tensor: str | None = None, ax: Axes | None = None) -> Axes:
    """The error of a tensor at each time step, a line for each gate, and the tolerance.

    tensor : its name in the report; None for the first that has gates and steps, or else the first that
    has steps. Steps that were not checked are left out; an error of 0 stands at the lower edge, Inf at
    the upper. ValueError where no tensor of the report, or not this one, has steps.

    >>> import minilstm as ml
    >>> model = ml.Sequential([ml.LSTM(4, input_shape=(6, 2)), ml.Dense(1)], seed=0)
    >>> model.compile(loss="mse")
    >>> report = ml.gradcheck(model, np.sin(np.arange(36.0)).reshape(3, 6, 2), np.zeros(3))
    >>> gradient_errors(report).get_title(loc="left")
    'lstm/dz, held against the complex step'
    """
    instance("report", report, Report, "the report of a gradient check")
    timed = [one for one in report.comparisons if one.time_axis is not None]
    if not timed:
        raise ValueError("the report has no tensor with time steps to plot")
    chosen = next((one for one in timed if one.gates), timed[0])
    if tensor is not None:
        chosen = report[one_of("tensor", tensor, [one.name for one in report.comparisons])]
    if chosen.time_axis is None:
        raise ValueError(f"tensor must have time steps, got {chosen.name!r}, which has none")
    ax = axes_or_new(ax)
    steps = np.flatnonzero(chosen.checked.any(axis=(0, 2)))
    blocks = np.split(chosen.errors, max(1, len(chosen.gates)), axis=-1)
    for k, (gate, block) in enumerate(zip(chosen.gates or (chosen.name,), blocks, strict=True)):
        worst = block.max(axis=(0, 2))[steps]  # (steps,)
        log_line(ax, steps, worst, label=gate, **series_style(k))
    ax.axhline(report.tolerance, color="0.35", linestyle="--", linewidth=1, label="tolerance")
    name_axes(ax, "time step", "largest error", f"{chosen.name}, held against {report.method}")
    whole_ticks([ax])
    legend(ax)
    return ax
