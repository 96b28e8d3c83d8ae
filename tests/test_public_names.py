"""Every public name with its signature, as users know them; a change here is a change of the public face.

`python tests/test_public_names.py --write` takes down the names as they are now.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

import minilstm

NAMES = Path(__file__).with_name("public_names.txt")
FACE = ["", "keras", "plots", "interop", "initializers", "regularizers"]


def signature(value: object) -> str:
    """Arguments and their defaults, without annotations."""
    try:
        found = inspect.signature(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return ""
    bare = [part.replace(annotation=part.empty) for part in found.parameters.values()]
    text = str(found.replace(parameters=bare, return_annotation=found.empty))
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def described(name: str, value: object) -> list[str]:
    """`name(...)`, and for a class its public methods and properties."""
    lines = [f"{name}{signature(value)}" if callable(value) else name]
    if inspect.isclass(value):
        for attribute in sorted(dir(value)):
            if attribute.startswith("_") or attribute in dir(BaseException):
                continue
            member = inspect.getattr_static(value, attribute)
            if isinstance(member, (staticmethod, classmethod)):
                member = member.__func__
            lines.append(f"{name}.{attribute}{signature(member) if callable(member) else ''}")
    return lines


def own(module: ModuleType) -> list[str]:
    """The names of a module that says none, without those that it imports."""
    home = module.__name__
    return [name for name, value in vars(module).items() if getattr(value, "__module__", home) == home]


def face() -> str:
    lines = []
    for module in FACE:
        holder = getattr(minilstm, module) if module else minilstm
        given = dir(holder) if "__dir__" in vars(holder) else getattr(holder, "__all__", own(holder))
        for name in sorted(one for one in given if not one.startswith("_") or one == "__version__"):
            value = getattr(holder, name)
            if not inspect.ismodule(value):
                lines += described(f"{module}.{name}" if module else name, value)
    return "\n".join(lines) + "\n"


def test_public_names_and_their_signatures_are_those_written_down():
    assert face() == NAMES.read_text(encoding="utf-8")


if __name__ == "__main__":
    if "--write" in sys.argv:
        NAMES.write_text(face(), encoding="utf-8")
    else:
        print(face(), end="")
