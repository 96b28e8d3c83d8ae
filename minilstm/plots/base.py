"""What all figures share: colours, axes, marks for what is no number, saving; and the curves of a study."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)

from minilstm.foundations.arrays import Array, numeric_array
from minilstm.foundations.errors import by_name, instance, listed, one_of, real_number, whole_number, wording
from minilstm.network.progress import History

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#595959"
MARKERS = "osD^vP*X"
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
AXES, FIGURE = "axes of matplotlib", "a figure of matplotlib, as ax.figure"
LENGTHS = "a list of whole numbers"
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", GREY)


# ------------------------------------------------------------ one history


def history(history: History | Mapping[str, Sequence[float]], ax: Axes | None = None) -> Axes:
    """Every loss and metric of a History (or of its dict) against the epoch; validation is dashed."""
    curves = by_name("history", history.history if isinstance(history, History) else history)
    ax = axes_or_new(ax)
    names = sorted({name.removeprefix("val_") for name in curves})
    for name, values in curves.items():
        k = names.index(name.removeprefix("val_"))
        validation = name.startswith("val_")
        heights = vector(f"history[{name!r}]", values)
        ax.plot(
            np.arange(1, len(heights) + 1),
            heights,
            color=(BLUE, ORANGE, GREEN, GREY)[k % 4],
            linestyle="--" if validation else "-",
            marker=MARKERS[k % len(MARKERS)],
            markersize=4,
            label=name,
        )
    name_axes(ax, "epoch", "")
    whole_ticks([ax])
    legend(ax)
    return ax


# ------------------------------------------------------------ the study


def series_style(number: int) -> dict[str, Any]:
    """Colour and marker of the k-th series of a figure; they repeat after the colours are used up."""
    number = whole_number("number", number, 0)
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}


def line(ax: Axes, x: Any, y: Any, low: Any = None, high: Any = None, **style: Any) -> None:
    """y against x, in `style`, with a bar from `low` to `high`; what is no number is a gap and a cross."""
    style = series_style(0) | {"linewidth": 2, "markersize": 7} | style
    x, y = vector("x", x), vector("y", y)
    every = 1 if style.get("linestyle") == "none" else max(1, len(x) // 12)
    if low is not None and high is not None:
        error = np.maximum(0, np.array([y - vector("low", low), vector("high", high) - y]))
        ax.errorbar(x, y, error, capsize=4, **style)
    else:
        ax.plot(x, y, markevery=every, **style)
    _mark_gaps(ax, x, y, style["color"])


def log_line(ax: Axes, x: Array, y: Array, **style: Any) -> None:
    """y against x on a log axis; zeros are triangles at the lower edge, NaN and Inf crosses at the upper."""
    instance("ax", ax, Axes, AXES)
    x, y = vector("x", x), vector("y", y)
    if len(x) != len(y):
        raise ValueError(wording("y", f"of {len(x)} numbers, as x", len(y)))
    usable = np.isfinite(y) & (y > 0)
    every = max(1, len(x) // 12)
    style = {"linewidth": 2, "markersize": 5} | style
    ax.plot(x, np.where(usable, y, np.nan), markevery=every, **style)
    log_axis(ax)
    colour = style.get("color", GREY)
    at_edge = {"transform": ax.get_xaxis_transform(), "clip_on": False, "linestyle": "none", "color": colour}
    zero, broken = np.isfinite(y) & ~usable, ~np.isfinite(y)
    if zero.any():
        ax.plot(x[zero], np.zeros(zero.sum()), marker="v", markersize=6, label="_zero", **at_edge)
    if broken.any():
        thin = max(1, int(broken.sum()) // 12)
        ones = np.ones(broken.sum())
        ax.plot(x[broken], ones, marker="x", markersize=7, markevery=thin, label="_not finite", **at_edge)


def log_axis(ax: Axes) -> None:
    """A log axis for norms, with ticks at powers of ten; over less than two decades also at 2 and 5 of each.

    Other ticks would take most of the drawing time. To be called when the data stand in the axes.
    """
    instance("ax", ax, Axes, AXES)
    ax.set_yscale("log", nonpositive="mask")
    ax.yaxis.set_minor_locator(NullLocator())
    low, high = ax.get_ylim()
    if high < 100 * low:
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    else:
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _power(value)))


def _power(value: float) -> str:
    """A power of ten; matplotlib's own formatter sets each as a formula, which takes 50 times as long.

    >>> _power(0.001), _power(1e12)
    ('10⁻³', '10¹²')
    """
    return "10" + str(round(math.log10(value))).translate(RAISED) if value > 0 else ""


def ordered_colours(count: int) -> list[Any]:
    """`count` colours for an order, from plasma without its pale end: blue, purple, red, orange."""
    places = np.linspace(0.0, 0.85, whole_number("count", count, 0))
    return [matplotlib.colormaps["plasma"](k) for k in places]


# ------------------------------------------------------------ what all figures share


class ShownFigure(Figure):
    """A figure that a notebook shows where it is the last value of a cell."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        return _shown(self)


class ShownAxes(Axes):
    """Axes that a notebook shows, with the whole of their figure."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        figure = self.get_figure(root=True)
        assert figure is not None
        return _shown(figure)


def _shown(figure: Figure) -> tuple[bytes, dict[str, int]]:
    """The figure, sharp on a screen with fine pixels, and its width there: 100 pixels an inch."""
    return save(figure, "png"), {"width": round(100 * figure.get_figwidth())}


def axes_or_new(ax: Axes | None, width: float = 7, height: float = 4.4) -> Axes:
    """`ax`, or the axes of a new figure; TypeError where it is neither None nor axes."""
    if ax is None:
        return new_figure(width=width, height=height)[1][0]
    found: Axes = instance("ax", ax, Axes, f"{AXES}, or None")
    return found


def new_figure(
    rows: int = 1, columns: int = 1, *, width: float = 7, height: float = 4.4
) -> tuple[Figure, list[Axes]]:
    """A figure with a grid of axes, given row by row."""
    whole_number("rows", rows), whole_number("columns", columns)
    size = real_number("width", width, above=True), real_number("height", height, above=True)
    figure = ShownFigure(figsize=size, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False, subplot_kw={"axes_class": ShownAxes})
    return figure, list(np.ravel(grid))


def name_axes(ax: Axes, x: str, y: str, title: str = "") -> None:
    """Names of the axes, and the common look."""
    instance("ax", ax, Axes, AXES)
    ax.set_xlabel(x, fontsize=12)
    ax.set_ylabel(y, fontsize=12)
    if title:
        ax.set_title(title, fontsize=12.5, loc="left")
    ax.tick_params(labelsize=11)
    ax.grid(True, color="0.88", linewidth=0.8)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def legend(ax: Axes, **options: Any) -> None:
    """A legend, if there is something to tell apart."""
    if instance("ax", ax, Axes, AXES).get_legend_handles_labels()[0]:
        ax.legend(fontsize=options.pop("fontsize", 11), frameon=False, **options)


def length_axis(ax: Axes, lengths: Sequence[int]) -> None:
    """A log axis with a tick at each length studied, and nothing else."""
    instance("ax", ax, Axes, AXES)
    lengths = [whole_number("lengths", length) for length in listed("lengths", LENGTHS, lengths)]
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(lengths))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xticklabels([str(length) for length in lengths])


def whole_ticks(axes: Sequence[Axes]) -> None:
    """Ticks at whole numbers only: there is no half step or half epoch."""
    for ax in listed("axes", "a list of axes of matplotlib", axes):
        instance("axes", ax, Axes, "a list of axes of matplotlib")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def settle(figure: Figure) -> None:
    """Lay the figure out once and for all, so that saving it twice does not do that work twice."""
    engine = instance("figure", figure, Figure, FIGURE).get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        with matplotlib.rc_context({"figure.autolayout": False, "figure.constrained_layout.use": False}):
            figure.set_layout_engine(None)  # with any other word, each saving would draw twice


def save(figure: Figure, kind: str) -> bytes:
    """The figure as "png", "svg" or "pdf"; the same bytes for the same figure, without a date.

    Text in PDF is TrueType (42), which publishers take; matplotlib's default, Type 3, many do not.
    In SVG it is outlines, which look the same on every machine.
    """
    instance("figure", figure, Figure, FIGURE)
    one_of("kind", kind, ("png", "svg", "pdf"))
    found = io.BytesIO()
    undated: dict[str, Any] = {
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    with matplotlib.rc_context({"svg.hashsalt": "minilstm", "pdf.fonttype": 42}):
        figure.savefig(found, format=kind, dpi=160, metadata=undated.get(kind))
    return found.getvalue()


def _mark_gaps(ax: Axes, x: Array, y: Array, colour: str) -> None:
    gaps = ~np.isfinite(y)
    if gaps.any():
        ax.plot(
            x[gaps],
            np.zeros(gaps.sum()),
            linestyle="none",
            marker="x",
            markersize=9,
            color=colour,
            transform=ax.get_xaxis_transform(),
            clip_on=False,
            label="diverged",
        )


def vector(argument: str, values: Any) -> Array:
    """Numbers as float64 (L,), None as NaN; TypeError or ValueError where they are none."""
    numbers = [np.nan if value is None else value for value in listed(argument, "a list of numbers", values)]
    found = numeric_array(argument, numbers).astype(np.float64)
    if found.ndim != 1:
        raise ValueError(wording(argument, "a list of numbers", f"shape {found.shape}"))
    return found
