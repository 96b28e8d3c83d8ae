"""A trace on one page: what the gradient does, where, and through which path."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import minilstm
from minilstm.foundations import files
from minilstm.foundations.errors import by_name, given_name, instance, wording
from minilstm.plots.base import legend, new_figure, save
from minilstm.plots.glossary import GLOSSARY
from minilstm.plots.markup import inline_svg
from minilstm.plots.traces import (
    contributions,
    credit_map,
    gradient_flow,
    heatmap,
    ledger,
    side_by_side,
    singular_values,
)
from minilstm.trace.trace import LayerTrace, Trace

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{title}</title><style>
:root {{ --ink: #1a1a1a; --soft: #595959; --line: #d5d9de; --page: #ffffff }}
@media screen and (prefers-color-scheme: dark) {{
  :root {{ --ink: #e9e9e9; --soft: #b3b3b3; --line: #3b424b; --page: #15181c }}
}}
body {{ color: var(--ink); background: var(--page);
  font: 17px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2em auto; padding: 0 1em }}
h1 {{ font-size: 1.5em; overflow-wrap: anywhere }} h2 {{ font-size: 1.2em; margin-top: 2em }}
p.headline {{ font-size: 1.25em; border-left: 8px solid #0072B2; padding: 0.2em 0.7em; margin: 0.5em 0 }}
p.headline.bad {{ border-color: #D55E00 }}
p.detail {{ padding: 0 0 0 1.5em; margin: 0.3em 0; opacity: 0.8 }}
.figures {{ display: grid; gap: 1em; margin: 1em 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26em), 1fr)) }}
svg {{ width: 100%; height: auto; break-inside: avoid }}
.number {{ white-space: nowrap }}
@media print {{
  body {{ font-size: 10pt; max-width: none; margin: 0 }}
  .figures {{ grid-template-columns: 1fr 1fr }}
  details::details-content {{ content-visibility: visible }}
  dt {{ break-after: avoid }}
}}
</style></head><body><h1>{title}</h1>
{body}
<p class="detail">minilstm {version}</p>
</body></html>
"""
SHARES = (
    "A share tells by which route came what arrives. How fast it shrinks on the route past all weights "
    "is what the gates alone would do."
)
NUMBER = re.compile(r"\d[\d.]*e-\d+")  # not to be broken at its sign
BAD = ("vanishing", "exploding", "underflow", "not finite")
ROUTE_WORDS = {
    "carousel": "the carousel (the forget gates, past all weights)",
    "update gate": "the update gate (past all weights)",
    "recurrent weights": "the recurrent weights",
    "peepholes": "the peepholes",
    "loss": "the layer above, at each step",
}


def trace_report(
    traces: Trace | Mapping[str, Trace], path: str | Path, title: str = "Where the gradient goes"
) -> Path:
    """Write a trace as one page, "file.html", "file.pdf" or "file.png", and return its path.

    One block of figures for each recurrent layer, the maps for the first of the longest samples. Of several
    traces, such as {"untrained": before, "trained": after}, the page begins with a comparison.
    """
    path = Path(files.checked_path("path", path))
    given_name("title", instance("title", title, str, "a text") or "none")
    kind = path.suffix.lower()
    if kind not in (".html", ".pdf", ".png"):
        raise ValueError(wording("path", "one that ends in .html, .pdf or .png", repr(str(path))))
    given = {"": traces} if isinstance(traces, Trace) else by_name("traces", traces)
    if not given:
        raise ValueError(wording("traces", "at least one trace by its label", "none"))
    for label, trace in given.items():
        given_name("the labels of traces", label or "none")
        instance(f"traces[{label!r}]", trace, Trace, "a trace, as model.trace gives it")
    layers = {
        f"{label}: {layer.name}" if label and len(trace) > 1 else label or layer.name: layer
        for label, trace in given.items()
        for layer in trace
    }
    found = {label: trace.first_nonfinite() for label, trace in given.items()}
    origins = [f"{label}: {one}" if label else str(one) for label, one in found.items() if one is not None]
    compared = layers if len(given) > 1 else {}
    if kind == ".html":
        data = _html(layers, compared, origins, title).encode(errors="replace")
    else:
        text = origins + [line for name, layer in layers.items() for line in layer_words(layer, name)]
        data = save(page_figure(layers, title, text), kind[1:])
    files.write_bytes(path, data)
    return path


def _html(
    layers: Mapping[str, LayerTrace], compared: Mapping[str, LayerTrace], origins: list[str], title: str
) -> str:
    """The page: what was not finite, the comparison if there is one, and each layer."""
    body = [_paragraph(line, "headline bad") for line in origins]
    if compared:
        body += [_headline(name, layer) for name, layer in compared.items()]
        body.append(inline_svg(side_by_side(compared), "comparison"))
    for name, layer in layers.items():
        cell = "" if name == layer.cell.name else f" ({layer.cell.name})"
        body.append(f"<h2>{html.escape(name + cell)}</h2>")
        body.append(_headline(name, layer))
        body += [_paragraph(line, "detail") for line in [*layer_words(layer, name)[1:], facts(layer), SHARES]]
        body.append('<div class="figures">')
        for words, draw in _panels(name, layer):
            figure, (ax,) = new_figure(width=5.6, height=3.8)
            draw(ax)
            body.append(inline_svg(figure, f"{words} of layer {name}"))
        body.append("</div>")
    words = "".join(
        f"<dt>{html.escape(word)}</dt><dd>{html.escape(meaning)}</dd>" for word, meaning in GLOSSARY.items()
    )
    body.append(f"<details><summary>Words</summary><dl>{words}</dl></details>")
    return PAGE.format(title=html.escape(title), body="\n".join(body), version=minilstm.__version__)


def facts(layer: LayerTrace) -> str:
    """What was traced."""
    B, T = layer.real.shape
    longest = int(layer.real.sum(axis=1).max(initial=0))
    units = f"{layer.cell.name} of {layer.dh.shape[-1]} units"
    masked = "" if layer.real.all() else f", at most {longest} of them real"
    return f"{units}, {B} samples of {T} steps{masked}, {layer.dh.dtype}"


def _headline(name: str, layer: LayerTrace) -> str:
    bad = layer.verdict(f"d{layer.memory}").word in BAD
    return _paragraph(layer_words(layer, name)[0], "headline bad" if bad else "headline")


def _paragraph(text: str, kind: str) -> str:
    whole = NUMBER.sub(r'<span class="number">\g<0></span>', html.escape(text))
    return f'<p class="{kind}">{whole}</p>'


def layer_words(layer: LayerTrace, name: str | None = None) -> list[str]:
    """What the gradient of the state does, where, and through which path; then each state's verdict."""
    state = layer.memory
    verdict = layer.verdict(f"d{state}")
    back, lost = f"{verdict.length - 1} steps back", verdict.lost
    ratio = f"{verdict.ratio:.0f}" if 100 <= verdict.ratio < 1e4 else f"{verdict.ratio:.2g}"
    half = f"{abs(verdict.decay.half_life):.3g} steps"
    what = {
        "vanishing": f"vanishes: below {verdict.threshold:.0%} from {verdict.horizon:g} steps back on, and "
        f"{ratio} of it is left {back}",
        "exploding": f"explodes: {ratio} times as large {back}, doubling every {half}",
        "steady": f"arrives: {ratio} times its size {back}",
        "underflow": f"underflows: too small for {layer.dh.dtype}"
        + ("" if lost is None else f" from {lost} steps back on"),
        "not finite": "overflows"
        + (f": no number from {lost} steps back on, doubling every {half} until then" if lost else ""),
        "no gradient": "is zero: none arrives",
        "one step": "has nowhere to go: there is one step",
    }[verdict.word]
    text = f"{name or layer.name}: the gradient of {state} {what}"
    means = layer.ledger().mean_shares()
    route = max(means, key=lambda key: means[key], default="")
    if route and means[route] > 0:
        words = ROUTE_WORDS.get(route, f"the path {route!r}")
        text += f". At each step back {means[route]:.0%} of it arrives through {words}"
        if len(means) > 1 and verdict.gate_rate < verdict.decay.rate:
            text += "; the rest is why it falls more slowly than the gates alone would have it"
    return [text, *(f"{layer.name}, {layer.verdict(f'd{one}')}" for one in layer.states)]


def _panels(name: str, layer: LayerTrace) -> Iterator[tuple[str, Callable[[Axes], object]]]:
    """The figures of a layer, in words, and what draws each into given axes."""

    def flow(ax: Axes) -> None:
        for state in layer.states:
            gradient_flow(layer, f"d{state}", ax, f"d{state}")
        ax.set_ylabel("norm", fontsize=12)
        ax.set_title(f"{name}: the gradient on its way back", fontsize=12.5, loc="left")
        legend(ax)

    def of_one(draw: Callable[[Axes], Axes]) -> Callable[[Axes], object]:
        def drawn(ax: Axes) -> None:
            draw(ax)
            ax.set_title(f"{ax.get_title(loc='left')} (sample {sample})", fontsize=12.5, loc="left")

        return drawn

    yield "the gradient's norm", flow
    yield "the routes", lambda ax: ledger(layer, ax)
    if layer.real.any():
        sample = int(layer.real.sum(axis=1).argmax())
        gate = {"lstm": "f", "gru": "z"}.get(layer.cell.name, layer.memory)
        yield f"gate {gate}", of_one(lambda ax: heatmap(layer, gate, sample, ax))
        if all(np.isfinite(layer.arrays[state][sample]).all() for state in layer.states):
            yield "the credit map", of_one(lambda ax: credit_map(layer, sample, ax))
            yield "the singular values", of_one(lambda ax: singular_values(layer, sample, ax=ax))
    yield "what each step adds", lambda ax: contributions(layer, ax)


def page_figure(layers: Mapping[str, LayerTrace], title: str, text: list[str]) -> Figure:
    """All figures of some layers on one page, with the verdict above them."""
    text = [part for line in text for part in textwrap.wrap(line, 120)]
    figure, axes = new_figure(3 * len(layers), 2, width=12, height=11.5 * len(layers) + 0.3 * len(text))
    for k, (name, layer) in enumerate(layers.items()):
        panels = list(_panels(name, layer))
        for place, ax in enumerate(axes[6 * k : 6 * k + 6]):
            if place < len(panels):
                panels[place][1](ax)
            else:
                ax.set_visible(False)
    figure.suptitle("\n".join([title, *text]), fontsize=12, x=0.01, ha="left")
    return figure
