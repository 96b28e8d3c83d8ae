"""`load_model` in Keras's words."""

from __future__ import annotations

import os
from collections.abc import Mapping

from minilstm.cells import UserCell
from minilstm.foundations.errors import spelled
from minilstm.interop.loading import loaded
from minilstm.model import Sequential

__all__ = ["load_model"]


@spelled
def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, UserCell] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Sequential:
    """The model in a file, as `minilstm.load_model` reads it.

    custom_objects : cells made by `minilstm.cell`, by name
    safe_mode : Keras's; no file is ever run

    Source: `keras.models.load_model`.
    """
    return loaded(filepath, custom_objects, compile, "custom_objects")
