"""History: what fit returns, and what plots draws. Numbers only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class History:
    """What fit returns: `history[name]` has one float per epoch, `epoch` the numbers of the epochs."""

    history: dict[str, list[float]] = field(default_factory=dict)
    epoch: list[int] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)
