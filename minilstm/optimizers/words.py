"""What is said of Keras's arguments of optimizers that have no place here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minilstm.foundations.errors import among, given_name, instance, misspelled, shown, wording

WORDS = {"name": "str | None"}  # what every optimizer takes, beside what changes nothing

# The values that change nothing (None: all of them), and what is said of the others.
NEUTRAL: dict[str, tuple[tuple[Any, ...] | None, str]] = {
    "use_ema": ((False, None), "no means of the weights are kept; a callback of your own can keep them"),
    "ema_momentum": (None, ""),
    "ema_overwrite_frequency": (None, ""),
    "loss_scale_factor": ((None, 1), "nothing is computed in half precision"),
    "gradient_accumulation_steps": ((None, 1), "every batch is a step; batch_size says how large"),
    "jit_compile": (None, ""),
}
RENAMED = {
    "lr": "it is learning_rate",
    "decay": "learning_rate may be a schedule, such as InverseTimeDecay",
    "schedule_decay": "learning_rate may be a schedule, such as InverseTimeDecay",
}


def name_among(words: Mapping[str, Any], owner: str, known: Sequence[str]) -> str:
    """The name in Keras's arguments `words`; the others are refused where they would mean something.

    >>> name_among({"use_ema": False}, "Adam", ["learning_rate"])
    'adam'
    """
    for name, value in words.items():
        if name in RENAMED:
            raise TypeError(f"{owner} has no argument {name!r}; {RENAMED[name]}")
        if name not in NEUTRAL and name not in WORDS:
            raise misspelled(owner, name, [*known, *WORDS])
        values, reason = NEUTRAL.get(name, (None, ""))
        if values is not None and not among(value, values):
            raise ValueError(wording(name, f"{values[0]}: {reason}", shown(value)))
    found = words.get("name")
    if found is None or (isinstance(found, str) and not found):
        return owner.lower()
    return given_name("name", instance("name", found, str, "a text"))
