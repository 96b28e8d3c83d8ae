"""A trace on one page: what the gradient does, where, and through which path."""

from __future__ import annotations

import base64
import html
import textwrap
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from minilstm import files
from minilstm.errors import wording
from minilstm.plots.base import legend, new_figure, save
from minilstm.plots.traces import (
    contributions,
    credit_map,
    gradient_flow,
    heatmap,
    ledger,
    singular_values,
)
from minilstm.trace import LayerTrace, Trace

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 17px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2em auto;
       padding: 0 1em; color: #222 }}
h1 {{ font-size: 1.5em }} h2 {{ font-size: 1.2em; margin-top: 2em }}
p.verdict {{ border-left: 5px solid {colour}; padding: 0.3em 0.9em; margin: 0.5em 0 }}
img {{ width: 100% }}
</style></head><body><h1>{title}</h1>
{body}
</body></html>
"""
COLOURS = {"vanishing": "#D55E00", "exploding": "#D55E00", "underflow": "#D55E00", "not finite": "#D55E00"}


def trace_report(trace: Trace, path: str | Path, title: str = "Where the gradient goes") -> Path:
    """Write a trace as one page, "file.html", "file.pdf" or "file.png", and return its path.

    One block of figures for each recurrent layer, for the first sample that has a real step.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (".html", ".pdf", ".png"):
        raise ValueError(wording("path", "one that ends in .html, .pdf or .png", repr(str(path))))
    origin = trace.first_nonfinite()
    words = {layer.name: [*layer_words(layer)] for layer in trace}
    if kind != ".html":
        text = [line for lines in words.values() for line in lines] + ([str(origin)] if origin else [])
        figure = page_figure(list(trace), title, text)
        files.write_bytes(path, save(figure, kind[1:]))
        return path
    body = [] if origin is None else [f'<p class="verdict">{html.escape(str(origin))}</p>']
    worst = "#0072B2"
    for layer in trace:
        body.append(f"<h2>Layer {html.escape(layer.name)} ({html.escape(layer.cell.name)})</h2>")
        body += [f'<p class="verdict">{html.escape(line)}</p>' for line in words[layer.name]]
        picture = base64.b64encode(save(page_figure([layer], "", []), "png")).decode()
        body.append(
            f'<img alt="figures of layer {html.escape(layer.name)}" src="data:image/png;base64,{picture}">'
        )
        worst = COLOURS.get(layer.verdict().word, worst)
    page = PAGE.format(title=html.escape(title), body="\n".join(body), colour=worst)
    files.write_bytes(path, page.encode())
    return path


def layer_words(layer: LayerTrace) -> list[str]:
    """The verdict of each state's gradient, and the route it mostly takes."""
    lines = [f"{layer.name}, {layer.verdict(f'd{state}')}" for state in layer.states]
    shares = {route: share[1:][np.isfinite(share[1:])] for route, share in layer.ledger().shares().items()}
    means = {route: float(share.mean()) if len(share) else 0.0 for route, share in shares.items()}
    route = max(means, key=lambda key: means[key])
    if means[route] > 0:
        text = f"before the last step, {means[route]:.0%} of the gradient arrives through the {route}"
        lines.append(f"{layer.name}: {text}")
    return lines


def page_figure(layers: list[LayerTrace], title: str, text: list[str]) -> Figure:
    """All figures of some layers on one page, with the verdict above them."""
    text = [part for line in text for part in textwrap.wrap(line, 120)]
    figure, axes = new_figure(3 * len(layers), 2, width=12, height=11.5 * len(layers) + 0.3 * len(text))
    for k, layer in enumerate(layers):
        flow, shares, gate, credit, spectrum, steps = axes[6 * k : 6 * k + 6]
        for state in layer.states:
            gradient_flow(layer, f"d{state}", flow, f"d{state}")
        flow.set_ylabel("norm", fontsize=12)
        flow.set_title(f"{layer.name}: the gradient on its way back", fontsize=12.5, loc="left")
        legend(flow)
        ledger(layer, shares)
        contributions(layer, steps)
        some = np.flatnonzero(layer.real.any(axis=1))
        if len(some):
            sample = int(some[0])
            heatmap(layer, {"lstm": "f", "gru": "z"}.get(layer.cell.name, "h"), sample, gate)
            if all(np.isfinite(layer.arrays[state][sample]).all() for state in layer.states):
                credit_map(layer, sample, credit)
                singular_values(layer, sample, ax=spectrum)
    if title or text:
        figure.suptitle("\n".join([title, *text]), fontsize=12, x=0.01, ha="left")
    return figure
