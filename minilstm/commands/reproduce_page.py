"""The page of reproduced results: each row with its claim, its bands, and a figure of its trials."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from minilstm.plots import base

HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Published results, run here</title>
<style>body { font: 16px/1.5 sans-serif; max-width: 52em; margin: 2em auto; padding: 0 1em }
img { max-width: 100% } h2 { margin-top: 2em }</style></head><body>
<h1>Published results, run here</h1>
"""


def page(results: Sequence[Mapping[str, Any]], words: Sequence[Sequence[str]]) -> str:
    """The rows as one HTML document that needs no other file; `words` say what was measured in each."""
    parts = [HEAD]
    for result, lines in zip(results, words, strict=True):
        verdict = {"not": "not reproduced", None: "no verdict"}.get(result["verdict"], result["verdict"])
        parts.append(f"<h2>{escape(result['name'])}: {escape(verdict)}</h2>\n<p>{escape(result['claim'])}")
        parts.append(f" {escape(result['source'])}. {escape(result['reduced'])}</p>\n")
        parts.append(f"<p>Published: {escape(result['published'])}<br>Here: ")
        parts.append(f"{'<br>'.join(map(escape, lines))}</p>\n<ul>")
        for band in result["bands"]:
            held = "holds" if band["holds"] else "missed"
            parts.append(f"<li>{escape(band['text'])} ({escape(band['reason'])}): {held}</li>\n")
        parts.append("</ul>\n")
        image = figure(result)
        if image is not None:
            data = base64.b64encode(image).decode("ascii")
            text = escape(f"{result['name']}: {result['measured']}, each trial a dot, the bar their mean")
            parts.append(f'<p><img alt="{text}" src="data:image/png;base64,{data}"></p>\n')
    return "".join([*parts, "</body></html>\n"])


def figure(result: Mapping[str, Any]) -> bytes | None:
    """The value of each successful trial by condition, and their mean, as PNG; None for fewer than two."""
    values = {
        str(condition): [one["value"] for one in summary["records"] if one["solved"]]
        for condition, summary in result["conditions"].items()
    }
    if max(map(len, values.values()), default=0) < 2:
        return None
    drawn, (ax,) = base.new_figure(height=1.2 + 0.6 * len(values))
    for place, found in enumerate(values.values()):
        ax.plot(found, np.full(len(found), place), "o", alpha=0.6, color="C0")
        if found:
            ax.plot([np.mean(found)], [place], "|", markersize=24, color="C1", markeredgewidth=3)
    base.name_axes(ax, result["measured"], "")
    ax.set_yticks(range(len(values)), ["" if name == "None" else name for name in values])
    ax.set_ylim(-0.5, len(values) - 0.5)
    return base.save(drawn, "png")
