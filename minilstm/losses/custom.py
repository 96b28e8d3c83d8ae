"""A loss of the user's own: a function that gives the loss of each row and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

from minilstm.foundations.arrays import Array, plain_array
from minilstm.foundations.errors import shown, spelled, wording
from minilstm.losses.base import Loss, checked_rows


@final
@spelled
@dataclass(frozen=True)
class CustomLoss(Loss):
    """The loss that `function(y, p) -> (L_n, dL_n/dp)` says, for rows of targets and outputs.

    y (N, C) and p (N, C) are the rows that count, L_n is (N,), its derivative (N, C). There is no automatic
    differentiation here; `gradcheck` of the model compares the two. `compile(loss=function)` takes the
    function itself too. A model with such a loss can be trained and its weights saved; the model as a whole
    cannot be saved.

    >>> def fourth_power(y, p):
    ...     e = p - y
    ...     return (e**4).mean(axis=-1), 4 * e**3 / e.shape[-1]
    >>> float(CustomLoss(fourth_power)([[0.0]], [[2.0]]))
    16.0
    """

    function: Callable[[Array, Array], tuple[Any, Any]]
    reduction: str | None = field(default="sum_over_batch_size", repr=False)
    name: str = field(default="", repr=False)
    dtype: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not callable(self.function):
            expected = "a function (y, p) -> (loss of each row, its gradient)"
            raise TypeError(wording("function", expected, shown(self.function)))
        if not isinstance(self.name, str):
            raise TypeError(wording("name", "a text", shown(self.name)))
        name = self.name or (self.function.__name__ if hasattr(self.function, "__name__") else "custom_loss")
        object.__setattr__(self, "name", name)
        super().__post_init__()

    def _from_outputs(self, y: Array, p: Array) -> tuple[Array, Array]:
        found = self.function(y, p)
        expected = f"a function that gives ({(len(p),)} losses, {p.shape} gradients)"
        if not isinstance(found, tuple) or len(found) != 2:
            raise ValueError(wording(f"loss {self.name!r}", expected, f"a {type(found).__name__}"))
        value, slope = (plain_array(f"what loss {self.name!r} gives", part) for part in found)
        return checked_rows(self.name, value, slope, p)
