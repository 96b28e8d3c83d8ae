"""What a student's functions keep between calls: on objects, in globals, in closures; and putting it back.

Every forward pass then begins as the first did, whatever earlier ones left on `self`: caches, sums of
gradients, a state.
"""

from __future__ import annotations

import functools
import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, MethodType, SimpleNamespace
from typing import Any

import numpy as np

PLAIN = (np.ndarray, list, dict, set, int, float, complex, type(None))
HEAP_TYPE = 1 << 9  # a class that was made by a class statement
MOST = 5_000  # objects that are looked at


class Pristine:
    """The values that functions can reach and change, as they were; `restore` puts them back."""

    def __init__(self, *functions: Callable[..., Any]) -> None:
        self._globals: list[tuple[dict[str, Any], str, Any]] = []
        self._held: list[tuple[Any, Any]] = []  # an array, a container or an object, and what it held
        self._seen: dict[int, Any] = {}
        for function in functions:
            self._visit(function)

    def restore(self) -> None:
        """Everything as it was: names and places hold the same objects, and these what they held then."""
        for scope, name, value in self._globals:
            scope[name] = value
        for holder, held in self._held:
            if isinstance(holder, np.ndarray):
                holder[...] = held
            elif isinstance(holder, list):
                holder[:] = held
            else:
                place = holder if isinstance(holder, (dict, set)) else vars(holder)
                place.clear()
                place.update(held)

    def _visit(self, value: Any) -> None:
        if id(value) in self._seen or len(self._seen) > MOST:
            return
        self._seen[id(value)] = value
        if isinstance(value, functools.partial):
            self._visit(value.func)
        elif isinstance(value, MethodType):
            self._visit(value.__self__)
            self._visit(value.__func__)
        elif isinstance(value, FunctionType):
            self._function(value)
        elif isinstance(value, np.ndarray):
            if value.flags.writeable and value.dtype != object:
                self._held.append((value, value.copy()))
        elif isinstance(value, (list, dict, set, tuple)):
            if not isinstance(value, tuple):
                self._held.append((value, value.copy()))
            for member in value.values() if isinstance(value, dict) else value:
                if not isinstance(member, (int, float, complex, str, bytes)):
                    self._visit(member)
        elif inspect.isclass(value):
            for member in vars(value).values():
                if isinstance(member, FunctionType):
                    self._visit(member)
        elif hasattr(value, "__dict__") and not inspect.ismodule(value):
            self._object(value)

    def _function(self, value: FunctionType) -> None:
        self._visit(vars(value).get("__wrapped__"))
        for cell in value.__closure__ or ():
            try:
                self._visit(cell.cell_contents)
            except ValueError:  # not bound yet
                continue
        scope = value.__globals__
        home = str(scope.get("__name__", ""))
        if home.startswith("minilstm.") or _installed(home.partition(".")[0]):
            return
        for name in _names(value.__code__):  # what the function's code names, and what these name
            if name in scope:
                if isinstance(scope[name], PLAIN) and not isinstance(scope[name], bool):
                    self._globals.append((scope, name, scope[name]))
                self._visit(scope[name])

    def _object(self, value: Any) -> None:
        home = type(value).__module__.partition(".")[0]
        members = list(vars(value).values())
        if home == "minilstm":  # an adapter: what it wraps
            members = [m for m in members if callable(m) or not isinstance(m, PLAIN)]
        elif not isinstance(value, SimpleNamespace) and (
            not type(value).__flags__ & HEAP_TYPE or _installed(home)
        ):
            return
        else:
            self._held.append((value, dict(vars(value))))
            self._visit(type(value))
        for member in members:
            self._visit(member)


@functools.cache
def _installed(package: str) -> bool:
    """Whether a module or package is Python's own or an installed one: what it keeps is not the student's."""
    file = getattr(sys.modules.get(package), "__file__", None)
    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return file is not None and not places.isdisjoint(map(str, Path(file).parents))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)
