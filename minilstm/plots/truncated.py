"""The figure of a truncation study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from minilstm.arrays import Array
from minilstm.plots.base import BLUE, GREY, ORANGE, legend, line, name_axes, new_figure


def truncation_cost(
    rows: Sequence[Mapping[str, Any]],
    predicted: Array | None = None,
    mark: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The cosine of truncated and full gradient against k, with intervals over batches.

    rows : of a truncation study; predicted : the cosine by the ledger for k = 1, 2, ...; mark : its k
    """
    ax = ax or new_figure()[1][0]
    steps = [row["steps"] for row in rows]
    ends = ([row[f"cosine_{end}"] for row in rows] for end in ("low", "high"))
    line(ax, steps, [row["cosine"] for row in rows], *ends, color=BLUE, marker="o", label="measured")
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
