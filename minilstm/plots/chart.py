"""A chart as data: what there is to see, and not how it is drawn; and `draw`, which draws it with matplotlib.

The page of a study draws the same data with plotly (`study/page.js`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minilstm.plots.base import (
    GREY,
    length_axis,
    line,
    log_axis,
    log_line,
    name_axes,
    new_figure,
    ordered_colours,
    series_style,
    whole_ticks,
)

Numbers = Sequence[float | None]
DASHES = {"solid": "-", "dash": "--", "dot": ":", "none": "none"}


@dataclass(frozen=True)
class Line:
    """One line, or the points of one; None is a gap.

    series : its place among things of different kinds, or order : (its place, how many) among things with
    an order; both give colour and marker, neither is grey. dash : "solid", "dash", "dot", or "none" for
    markers alone, which are rings where they are grey; of those with gaps only lines with intervals have
    markers. low, high : ends of an interval
    at each point. frames : y at each of the chart's epochs.
    A line without a name, or a faint one, is not in the legend.
    """

    x: Numbers
    y: Numbers
    name: str = ""
    series: int | None = None
    order: tuple[int, int] | None = None
    dash: str = "solid"
    low: Numbers | None = None
    high: Numbers | None = None
    faint: bool = False
    frames: Sequence[Numbers] | None = None

    @property
    def number(self) -> int | None:
        """Which marker it has."""
        return self.order[0] if self.order else self.series


@dataclass(frozen=True)
class Axis:
    """Its title and range; `ticks` : a log axis with ticks at these lengths alone; `whole` : no fractions."""

    title: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False
    ticks: Sequence[int] | None = None


@dataclass(frozen=True)
class Panel:
    """Lines in one pair of axes; `padding` : the x beyond which all is padding, and is shaded."""

    lines: Sequence[Line]
    x: Axis
    y: Axis
    title: str = ""
    padding: tuple[float, float] | None = None


@dataclass(frozen=True)
class Chart:
    """Panels under one title, with the sentence that says what to see.

    epochs : those of the lines' frames. Where it is still, each panel is drawn at the first and the last.
    """

    name: str
    title: str
    caption: str
    panels: Sequence[Panel]
    legend: str = ""
    epochs: Sequence[int] = ()

    @property
    def columns(self) -> int:
        return min(2, len(self.panels) * (2 if self.epochs else 1))


def draw(chart: Chart) -> Figure:
    """The chart as a matplotlib figure, one legend for all panels below them."""
    times = (0, -1) if chart.epochs else (None,)
    count = len(chart.panels) * len(times)
    rows = -(-count // chart.columns)
    wide = chart.columns > 1
    figure, axes = new_figure(rows, chart.columns, width=11 if wide else 7, height=4.2 * rows + 0.4)
    for k, ax in enumerate(axes):
        if k < count:
            _panel(ax, chart.panels[k // len(times)], times[k % len(times)])
        else:
            ax.set_visible(False)
    found = [ax.get_legend_handles_labels() for ax in axes]
    named = {
        label: handle for handles, labels in found for handle, label in zip(handles, labels, strict=True)
    }
    if named:
        widest = max(map(len, named)) + 6
        columns = max(1, min(len(named), (130 if wide else 80) // widest))
        style: dict[str, Any] = {"fontsize": 11, "title_fontsize": 11, "frameon": False, "ncols": columns}
        figure.legend(named.values(), named, loc="outside lower center", title=chart.legend or None, **style)
    return figure


def _panel(ax: Axes, panel: Panel, frame: int | None) -> None:
    when = {0: "before training", -1: "after training", None: ""}[frame]
    title = ", ".join(filter(None, [panel.title, when]))
    name_axes(ax, panel.x.title, panel.y.title, title[:1].upper() + title[1:])
    for one in panel.lines:
        _line(ax, one, one.y if frame is None or one.frames is None else one.frames[frame], panel.y.log)
    if panel.padding:
        ax.axvspan(*panel.padding, color="0.9", zorder=0)
        ax.text(0.97, 0.04, "padding", transform=ax.transAxes, ha="right", fontsize=11, color=GREY)
    if panel.x.ticks:
        length_axis(ax, panel.x.ticks)
    ax.set_xlim(panel.x.low, panel.x.high)
    ax.set_ylim(panel.y.low, panel.y.high)
    if panel.y.log:
        log_axis(ax)
    if panel.x.whole:
        whole_ticks([ax])


def _line(ax: Axes, one: Line, y: Numbers, log: bool) -> None:
    style: dict[str, Any] = {"color": GREY, "linewidth": 1.5}
    if one.number is not None:
        style = series_style(one.number) | {"linewidth": 2}
    if one.order:
        style["color"] = ordered_colours(one.order[1])[one.order[0]]
    style |= {"linestyle": DASHES[one.dash], "label": "_" if one.faint else one.name or "_"}
    if one.dash == "none" and one.number is None:
        style |= {"marker": "o", "markersize": 13, "markerfacecolor": "none", "markeredgewidth": 1.5}
    if one.faint:
        style |= {"alpha": 0.35, "markersize": 4}
    if one.dash in ("dash", "dot"):
        style |= {"linewidth": 1.5} if one.low else {"linewidth": 1.5, "marker": ""}
    if log:
        log_line(ax, np.asarray(one.x), np.asarray(y), **style)
    else:
        line(ax, one.x, y, one.low, one.high, **style)
