"""A layer's arguments as plain values, which JSON can hold, and back, for `get_config` and `from_config`.

What this file is not: `saving` has a form of its own, that can hold nothing but this package's classes.
"""

from __future__ import annotations

import inspect
from typing import Any

from minilstm import initializers, regularizers
from minilstm.foundations.errors import kinds_of, one_of


def plain(value: Any) -> Any:
    """`value` with objects of this package as {"class_name": ..., "config": ...}; functions stay.

    >>> plain(regularizers.l2(0.5))
    {'class_name': 'L1L2', 'config': {'l1': 0.0, 'l2': 0.5}}
    """
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if hasattr(value, "get_config"):
        return {"class_name": type(value).__name__, "config": value.get_config()}
    if type(value).__module__ in (initializers.__name__, regularizers.__name__):
        names = inspect.signature(type(value)).parameters
        return {
            "class_name": type(value).__name__,
            "config": {name: plain(getattr(value, name)) for name in names},
        }
    return value


def revive(value: Any, base: type[Any]) -> Any:
    """What `plain` was given; ValueError for a class that is neither a layer nor of this package."""
    if isinstance(value, list):
        return [revive(part, base) for part in value]
    if not isinstance(value, dict) or "class_name" not in value:
        return value
    classes: dict[str, type] = kinds_of(base)
    for module in (initializers, regularizers):
        classes |= {name: kind for name, kind in vars(module).items() if isinstance(kind, type)}
    found: Any = classes[one_of("class_name", value["class_name"], classes)]
    config = value.get("config") or {}
    if issubclass(found, base):
        return found.from_config(config)
    return found(**{key: revive(part, base) for key, part in config.items()})
