"""Figures of one trace: gradient flow, ledger, gates, credit, singular values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import by_name, instance, listed, one_of, whole_number, wording
from minilstm.plots.base import (
    BLUE,
    COLOURS,
    GREY,
    LENGTHS,
    MARKERS,
    axes_or_new,
    legend,
    log_axis,
    log_line,
    name_axes,
    new_figure,
    series_style,
    whole_ticks,
)
from minilstm.trace import dynamics
from minilstm.trace.recording import ONE_LAYER
from minilstm.trace.trace import LayerTrace

LAG = "steps before the loss"
TITLES = {
    ("lstm", "i"): "i, input gate",
    ("lstm", "f"): "f, forget gate",
    ("lstm", "o"): "o, output gate",
    ("gru", "z"): "z, update gate",
    ("gru", "r"): "r, reset gate",
}
ROUTES = {
    "loss": GREY,
    "recurrent weights": COLOURS[1],
    "carousel": BLUE,
    "update gate": BLUE,
    "past all weights": BLUE,
    "peepholes": COLOURS[3],
}


def gradient_flow(
    layer_trace: LayerTrace, name: str = "dh", ax: Axes | None = None, label: str | None = None
) -> Axes:
    """The norm of a gradient against the steps before the end of each sample, on a log axis.

    With `ax`, a further line in the same axes, in the next colour; `label` is its name in the legend.
    Steps whose norm is zero (or underflowed to it) cannot stand on a log axis: they are marked at the
    lower edge, and named there. NaN and Inf are gaps with a cross at the upper edge.

    >>> import minilstm as ml
    >>> model = ml.Sequential([ml.LSTM(4, input_shape=(6, 2)), ml.Dense(1)], seed=0)
    >>> model.compile(loss="mse")
    >>> ax = gradient_flow(model.trace(np.ones((3, 6, 2)), np.zeros(3))["lstm"])
    >>> ax.get_xlabel()
    'steps before the loss'
    """
    instance("layer_trace", layer_trace, LayerTrace, ONE_LAYER)
    instance("label", label, (str, type(None)), "a text or None")
    norms, ax = layer_trace.lag_norm(name), axes_or_new(ax)
    number = sum(not str(line.get_label()).startswith("_") for line in ax.lines)
    style = series_style(number)
    log_line(ax, np.arange(len(norms)), norms, label=label or f"{layer_trace.name}: {name}", **style)
    found = set(layer_trace.status(name).tolist())
    for words, height, there in (
        ("underflow", 0.03, "underflow" in found),
        ("not finite", 0.92, bool(found & {"nan", "inf"})),
    ):
        if there:
            ax.text(
                0.99, height, words, transform=ax.transAxes, ha="right", fontsize=11, color=style["color"]
            )
    name_axes(ax, LAG, f"norm of {name}")
    whole_ticks([ax])
    return ax


def ledger(layer_trace: LayerTrace, ax: Axes | None = None) -> Axes:
    """By which route the gradient of the state arrives, as shares stacked to 1, against the lag.

    See `Ledger.shares`. Lags where no gradient arrives are empty.

    >>> import minilstm as ml
    >>> model = ml.Sequential([ml.GRU(4, input_shape=(6, 2)), ml.Dense(1)], seed=0)
    >>> model.compile(loss="mse")
    >>> ax = ledger(model.trace(np.ones((3, 6, 2)), np.zeros(3))["gru"])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['loss', 'recurrent weights', 'update gate']
    """
    instance("layer_trace", layer_trace, LayerTrace, ONE_LAYER)
    shares, ax = layer_trace.ledger().shares(), axes_or_new(ax)
    lags = np.arange(len(next(iter(shares.values()))))
    edges = np.arange(len(lags) + 1) - 0.5
    bottom = np.zeros(len(lags))
    for route, share in shares.items() if len(lags) else ():
        ax.stairs(bottom + share, edges, baseline=bottom, fill=True, label=route, **_route_style(route))
        bottom = bottom + np.nan_to_num(share)
    state = layer_trace.memory
    name_axes(ax, LAG, f"share of d{state}", f"How the gradient of {state} arrives")
    ax.set_ylim(0, 1)
    ax.set_xlim(-0.5, max(len(lags) - 0.5, 0.5))
    ax.grid(False)
    whole_ticks([ax])
    if len(lags):
        legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=3)
    return ax


def side_by_side(traces: Mapping[str, LayerTrace]) -> Figure:
    """Several traces, such as {"untrained": before["rec"], "trained": after["rec"]}: what the gradient of
    each does, in words, its norm on its way back, and the routes by which it arrives before the last step.

    Of the state that carries the memory, c of an LSTM and h otherwise. See `horizon.side_by_side`.
    """
    if not by_name("traces", traces):
        raise ValueError(wording("traces", "at least one trace by its label", "none"))
    for label, layer in traces.items():
        instance(f"traces[{label!r}]", layer, LayerTrace, ONE_LAYER)
    figure, (flow, routes) = new_figure(1, 2, width=12, height=4.6)
    verdicts = {}
    for place, (label, layer) in enumerate(traces.items()):
        name = f"d{layer.memory}"
        gradient_flow(layer, name, flow, label)
        verdicts[label] = layer.verdict(name).word
        left = 0.0
        for route, share in layer.ledger().mean_shares().items():
            routes.barh(place, share, 0.7, left, label=route, linewidth=0, **_route_style(route))
            left += share
    name_axes(flow, LAG, "norm", "The gradient of the state on its way back")
    legend(flow)
    name_axes(routes, "share before the last step", "", "By which route it arrives")
    routes.set_yticks(range(len(traces)), [f"{label}: {word}" for label, word in verdicts.items()])
    routes.invert_yaxis()
    routes.grid(False)
    named = dict(zip(*reversed(routes.get_legend_handles_labels()), strict=True))
    if named:
        routes.legend(
            named.values(),
            named,
            fontsize=11,
            frameon=False,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.18),
            ncols=3,
        )
    return figure


def gates(layer_trace: LayerTrace, sample: int = 0) -> Figure:
    """The gates and states of one sample over time: units up, steps to the right.

    Masked steps are grey.
    """
    instance("layer_trace", layer_trace, LayerTrace, ONE_LAYER)
    names = [*dict.fromkeys(("z", "r", "g", "h") if layer_trace.cell.name == "gru" else ())]
    names = names or [*layer_trace.cell.kept, "c" if "c" in layer_trace.states else "h"]
    figure, axes = new_figure(len(names), 1, width=8, height=1 + 1.6 * len(names))
    for ax, name in zip(axes, names, strict=True):
        heatmap(layer_trace, name, sample, ax)
        if name != names[-1]:
            ax.set_xlabel("")
    return figure


def heatmap(layer_trace: LayerTrace, name: str, sample: int = 0, ax: Axes | None = None) -> Axes:
    """One gate or state of one sample over time: units up, steps to the right; masked steps are grey."""
    instance("layer_trace", layer_trace, LayerTrace, ONE_LAYER)
    one_of("name", name, layer_trace.names)
    real = layer_trace.real[layer_trace.row(sample)]
    ax = axes_or_new(ax, height=2.6)
    values = np.where(real[:, None], layer_trace.arrays[name][sample], np.nan).T  # (H, T)
    title = TITLES.get((layer_trace.cell.name, name))
    signed = title is None
    found = np.abs(values[np.isfinite(values)])
    largest = max(1.0 if not signed or name == "g" else float(found.max(initial=0)), 1e-30)
    image = ax.imshow(
        values,
        aspect="auto",
        interpolation="nearest",
        origin="lower",
        cmap="PuOr" if signed else "viridis",
        vmin=-largest if signed else 0,
        vmax=largest,
    )
    ax.set_facecolor("0.75")
    ax.figure.colorbar(image, ax=ax)
    words = {"g": "g, candidate", "c": "c, cell state", "h": "h, hidden state"}
    name_axes(ax, _step_words(layer_trace), "unit", title or words.get(name, name))
    ax.grid(False)
    return ax


def credit_map(layer_trace: LayerTrace, sample: int = 0, ax: Axes | None = None, most: int = 200) -> Axes:
    """||dh_t / dh_s|| of one sample: s to the right, t up, on a log colour scale from 1e-12 to the largest.

    Of a longer sample, `most` steps t, evenly spaced. See `dynamics.credit_map`.
    """
    instance("layer_trace", layer_trace, LayerTrace, ONE_LAYER)
    T = layer_trace.real.shape[1]
    steps = sorted({round(t) for t in np.linspace(0, T - 1, min(T, whole_number("most", most)))})
    values, ax = dynamics.credit_map(layer_trace, steps, sample), axes_or_new(ax, width=5.6, height=4.6)
    finite = values[np.isfinite(values)]
    top = max(float(finite.max(initial=0)), 1.0)
    image = ax.imshow(
        np.ma.masked_invalid(values),
        aspect="auto",
        interpolation="nearest",
        origin="lower",
        cmap="viridis",
        norm=LogNorm(1e-12, top, clip=True),
        extent=(-0.5, T - 0.5, -0.5, T - 0.5),
    )
    bar = ax.figure.colorbar(image, ax=ax, extend="min")
    bar.set_label("|dh_t / dh_s|", fontsize=11)
    words = _step_words(layer_trace)
    name_axes(ax, f"{words}, s", f"{words}, t", "How much of h_t goes back to h_s")
    ax.grid(False)
    whole_ticks([ax])
    return ax


def singular_values(
    layer_trace: LayerTrace,
    sample: int = 0,
    lengths: Sequence[int] = (1, 10, 50, 100),
    ax: Axes | None = None,
) -> Axes:
    """Singular values of the product of the last k Jacobians, for some k: what k steps do to lengths.

    Values above 1 (dashed line) stretch a gradient on its way back, values below shrink it. Values below the
    rounding error of the largest one are noise, and left out.
    """
    instance("layer_trace", layer_trace, LayerTrace, ONE_LAYER)
    lengths = [whole_number("lengths", length) for length in listed("lengths", LENGTHS, lengths)]
    jacobians = dynamics.jacobians(layer_trace, sample)[layer_trace.real[sample]]
    ax = axes_or_new(ax)
    for k, length in enumerate(length for length in lengths if length <= len(jacobians)):
        values = np.linalg.svd(dynamics.product(jacobians[-length:]), compute_uv=False)
        values = values[values >= values[0] * len(values) * np.finfo(values.dtype).eps]
        label = "1 step" if length == 1 else f"{length} steps"
        order = np.arange(1, len(values) + 1)
        log_line(ax, order, values, label=label, **series_style(k))
    log_axis(ax)
    low, high = ax.get_ylim()
    ax.set_ylim(max(low, 1e-30), max(high, 3))
    ax.axhline(1, color=GREY, linestyle="--", linewidth=1)
    name_axes(ax, "singular value, by size", "stretching", "What the last k steps do to lengths")
    whole_ticks([ax])
    legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=4)
    return ax


def contributions(layer_trace: LayerTrace, ax: Axes | None = None) -> Axes:
    """The norm of what each time step adds to the gradient of each weight, on a log axis."""
    instance("layer_trace", layer_trace, LayerTrace, ONE_LAYER)
    ax = axes_or_new(ax)
    for k, (name, norms) in enumerate(layer_trace.ledger().weight_norms().items()):
        steps: Array = np.arange(len(norms))
        log_line(ax, steps, norms, label=name, color=COLOURS[k], marker=MARKERS[k])
    name_axes(ax, _step_words(layer_trace), "norm", "What each step adds to the weights' gradients")
    whole_ticks([ax])
    legend(ax)
    return ax


def _route_style(route: str) -> dict[str, Any]:
    """Colour and hatch of a route, so that it reads without colour."""
    hatch = {"recurrent weights": "//", "peepholes": ".."}.get(route, "")
    return {"facecolor": ROUTES.get(route, COLOURS[4]), "hatch": hatch, "edgecolor": "white"}


def _step_words(layer_trace: LayerTrace) -> str:
    """What a row of the trace's arrays is."""
    return "step of reading, from the end" if layer_trace.go_backwards else "time step"
