"""Layers, losses, optimizers and their parts as plain JSON, and back through a closed table.

An object is written as the name of its class and the arguments of its constructor. Reading looks the name up
among the classes of this package and calls the constructor, whose checks are those that a user's own call
would meet. A file can name nothing else: no module, no path, no code.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from minilstm import cells as cells_
from minilstm import initializers, layers, losses, metrics, optimizers, regularizers
from minilstm.cells import UserCell
from minilstm.foundations.errors import shown, wording
from minilstm.layers import Layer
from minilstm.saving.container import DamagedError

__all__ = ["decode", "encode", "known_classes"]

MODULES: tuple[ModuleType, ...] = (initializers, layers, losses, metrics, optimizers, regularizers)
NESTING = 16  # a layer in a layer in a layer: deeper than anybody builds


@cache
def known_classes() -> dict[str, type]:
    """The classes that a file may name: what the modules above offer, by its name.

    A metric that is called like a loss is named with its module, as in "metrics/MeanSquaredError".

    >>> sorted(known_classes())[:3]
    ['AUC', 'Accuracy', 'Activation']
    """
    found: dict[str, type] = {}
    for module in MODULES:
        for name, value in vars(module).items():
            if (
                isinstance(value, type)
                and value.__module__.startswith(module.__name__)
                and not inspect.isabstract(value)
                and value not in (losses.Loss, metrics.Metric)
                and not issubclass(value, (tuple, dict))  # records, as Update: no arguments of a user's
            ):
                found[f"{module.__name__.rpartition('.')[2]}/{name}" if name in found else name] = value
    return found


def _name_of(cls: type) -> str | None:
    """The name that a file has for a class; None for one that is not of this package."""
    return next((name for name, known in known_classes().items() if known is cls), None)


def is_users(value: Any) -> bool:
    """Whether an object is of a class that a file cannot name, being none of this package.

    >>> is_users(optimizers.SGD()), is_users(type("Mine", (optimizers.SGD,), {})())
    (False, True)
    """
    return _name_of(type(value)) is None


def encode(what: str, value: Any) -> Any:
    """`value` as plain JSON; ValueError, with `what` it is, for an object that is not of this package.

    >>> encode("penalty", regularizers.L1L2(l2=0.5))
    {'class': 'L1L2', 'config': {'l1': 0.0, 'l2': 0.5}}
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return encode(what, value.item())
    if isinstance(value, (list, tuple)):
        return [encode(what, part) for part in value]
    if isinstance(value, UserCell):  # its name, and what it must be like: code is not written
        return {"cell": value.name} | {key: list(names) for key, names in _parts_of(value).items()}
    cls = type(value)
    key = _name_of(cls)
    if key is None:
        expected = "a number, a text or an object of minilstm's own classes, to be saved"
        raise ValueError(wording(what, expected, shown(value)))
    if isinstance(value, (Layer, optimizers.Optimizer)):
        arguments = value.config()
    elif isinstance(value, metrics.Metric):
        arguments = value.get_config()
    else:
        arguments = {name: getattr(value, name) for name in inspect.signature(cls).parameters}
    parts = {name: encode(f"{name} of {cls.__name__}", part) for name, part in arguments.items()}
    return {"class": key, "config": parts}


def decode(
    value: Any, kind: type | None = None, depth: int = 0, cells: Mapping[str, UserCell] | None = None
) -> Any:
    """The object that `encode` wrote, of class `kind`; DamagedError for anything else.

    cells : those of the user by name; ValueError where one that is named is not among them.
    """
    if kind is not None and not isinstance(value, dict):
        raise DamagedError(f"{value!r:.40} stands where a {kind.__name__} is expected")
    if isinstance(value, list):
        return [decode(part, None, _deeper(depth), cells) for part in value]
    if not isinstance(value, dict):
        return value
    if "cell" in value and kind is None:
        return _cell(value, cells or {})
    name, config = value.get("class"), value.get("config")
    if set(value) != {"class", "config"} or not isinstance(name, str) or not isinstance(config, dict):
        raise DamagedError(f"{value!r:.80} does not describe an object")
    cls = known_classes().get(name)
    if cls is None or not issubclass(cls, kind or object):
        raise DamagedError(
            f"it names {name!r:.40}, which is no {kind.__name__ if kind else 'class'} of minilstm"
        )
    arguments = {key: decode(part, None, _deeper(depth), cells) for key, part in config.items()}
    try:
        return cls(**arguments)
    except (TypeError, ValueError, OverflowError) as error:
        raise DamagedError(f"its {name} cannot be made: {error}") from None


def _parts_of(cell: UserCell) -> dict[str, tuple[str, ...]]:
    return {"gates": cell.gates, "states": cell.states, "p": cell.rows}


def _cell(said: dict[str, Any], known: Mapping[str, UserCell]) -> UserCell:
    """The cell that a file names: of this package, or of the user's."""
    name = said["cell"]
    if not isinstance(name, str) or set(said) != {"cell", "gates", "states", "p"}:
        raise DamagedError(f"{said!r:.80} does not describe a cell")
    if name not in cells_.SET and name not in known:
        expected = f"a dict with the cell {name!r} of the saved model, as cells={{{name!r}: cell}}"
        raise ValueError(wording("cells", expected, f"{sorted(known)}" if known else "none"))
    found = cells_.get(name) if name in cells_.SET else known[name]
    for key, names in _parts_of(found).items():
        if said[key] != list(names):
            expected = f"a cell whose {key} are {said[key]!r:.80}, as the saved one's"
            raise ValueError(wording(f"cells[{name!r}]", expected, list(names)))
    return found


def _deeper(depth: int) -> int:
    if depth >= NESTING:
        raise DamagedError("its objects are nested too deeply")
    return depth + 1
