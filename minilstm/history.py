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
    nonfinite: list[str] = field(default_factory=list)  # the batches that fit stopped at or skipped, and why

    def add(self, epoch: int, logs: dict[str, float]) -> None:
        """Take in what an epoch found, or more of the last epoch."""
        if self.epoch[-1:] != [epoch]:
            self.epoch.append(epoch)
        for key, value in logs.items():
            self.history.setdefault(key, []).append(value)
