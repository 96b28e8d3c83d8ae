"""The names of `keras.losses`; see `minilstm.keras.scope` for what each is here."""

from __future__ import annotations

from typing import Any

from minilstm.keras import scope


def __getattr__(name: str) -> Any:
    return scope.find("losses", name)


def __dir__() -> list[str]:
    return sorted(scope.places("losses"))
