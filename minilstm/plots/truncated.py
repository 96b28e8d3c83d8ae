"""The figure of a truncation study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import by_name, listed, shown, whole_number, wording
from minilstm.plots.base import BLUE, GREY, ORANGE, axes_or_new, legend, line, name_axes, vector

ROWS = "the rows of a truncation study"


def truncation_cost(
    rows: Sequence[Mapping[str, Any]],
    predicted: Array | None = None,
    mark: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The cosine of truncated and full gradient against k, with intervals over batches.

    rows : of a truncation study; predicted : the cosine by the ledger for k = 1, 2, ...; mark : its k
    """
    names = ("steps", "cosine", "cosine_low", "cosine_high")
    rows = listed("rows", ROWS, rows)
    for row in rows:
        if not set(names) <= set(by_name("rows", row)):
            raise ValueError(wording("rows", f"{ROWS}, with {', '.join(names)}", shown(row)))
    columns = [[row[name] for row in rows] for name in names]
    if mark is not None:
        whole_number("mark", mark)
    if predicted is not None:
        predicted = vector("predicted", predicted)
    ax = axes_or_new(ax)
    line(ax, *columns, color=BLUE, marker="o", label="measured")
    if predicted is not None:
        k = np.arange(1, len(predicted) + 1)
        ax.plot(k, predicted, color=ORANGE, linestyle="--", label="from the ledger of one batch")
    ax.axhline(0.99, color=GREY, linewidth=1)
    if mark is not None:
        style: dict[str, Any] = {"marker": "v", "color": ORANGE, "markersize": 9, "linestyle": ""}
        ax.plot([mark], [0.99], label=f"predicted: {mark}", **style)
    name_axes(ax, "steps kept, k", "cosine with the full gradient")
    legend(ax, loc="lower right")
    return ax
