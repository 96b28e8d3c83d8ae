"""Imports go one way: read with `ast`, held to the one list below, imports for the type checker included."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "minilstm"

# Each line imports only from the lines above it.
ORDER = """
foundations
bptt sequences initializers regularizers
losses
metrics
checkpoints
cells compiled
trace datasets
layers optimizers
network
saving
streams
callbacks
training
model
gradient_check interop
keras plots
study classic
commands
"""
FLOOR = {room: floor for floor, line in enumerate(ORDER.strip().splitlines()) for room in line.split()}
ONLY_HERE = {
    "numba": {"compiled"}, "llvmlite": {"compiled"}, "matplotlib": {"plots"}, "pyarrow": {"datasets"},
}  # fmt: skip
# Names of others that begin with an underscore: of named tuples, `os`, `sys`, Numba's struct proxies.
NOT_PRIVATE = {"_replace", "_asdict", "_fields", "_make", "_exit", "_current_frames", "_getvalue"}
NOWHERE = {"scipy", "threadpoolctl"}
NEVER_HERE = {"torch", "keras", "tensorflow", "jax", "sklearn", "onnxruntime"}


class Import:
    """One import: the file and the room it stands in, what it names, whether at the top of the module."""

    def __init__(self, path: Path, target: str, node: ast.stmt, top: bool, typing_only: bool) -> None:
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        self.who, self.file = parts[0], ".".join(("minilstm", *parts)).removesuffix(".__init__")
        self.target, self.top, self.typing_only = target, top, typing_only
        self.place = f"{path.relative_to(PACKAGE.parent)}:{node.lineno} imports {target}"

    @property
    def room(self) -> str | None:
        """The room of the package that is imported, None for other packages and for `minilstm` itself."""
        parts = self.target.split(".")
        return parts[1] if parts[0] == "minilstm" and len(parts) > 1 and parts[1] in FLOOR else None

    @property
    def imported(self) -> str:
        """The module that is imported, by its dotted name."""
        longest = self.target
        while longest not in NAMES and "." in longest:
            longest = longest.rpartition(".")[0]
        return longest


def imports_of(path: Path) -> list[Import]:
    found: list[Import] = []

    def visit(nodes: list[ast.stmt], top: bool, typing_only: bool) -> None:
        for node in nodes:
            if isinstance(node, ast.Import):
                found.extend(Import(path, alias.name, node, top, typing_only) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path.name}:{node.lineno}: a relative import"
                for alias in node.names:
                    found.append(Import(path, f"{node.module}.{alias.name}", node, top, typing_only))
            inner_typing = typing_only or (
                isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
            )
            inner_top = top and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            for field in ("body", "orelse", "finalbody"):
                visit(getattr(node, field, []), inner_top, inner_typing)
            for handler in getattr(node, "handlers", []):
                visit(handler.body, inner_top, inner_typing)

    visit(ast.parse(path.read_text(encoding="utf-8")).body, True, False)
    return found


def dotted(path: Path) -> str:
    return ".".join(("minilstm", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


FILES = sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
NAMES = {dotted(path) for path in FILES}
IMPORTS = [one for path in FILES for one in imports_of(path)]
INSIDE = [one for one in IMPORTS if one.room is not None and one.who not in ("__init__", "__main__")]


def upward() -> dict[str, set[str]]:
    """Room -> rooms that it imports although they do not stand below it."""
    found: dict[str, set[str]] = {}
    for one in INSIDE:
        if one.room != one.who and FLOOR[str(one.room)] >= FLOOR[one.who]:
            found.setdefault(one.who, set()).add(str(one.room))
    return found


def circles() -> list[list[str]]:
    """Files that import each other, also by way of others (Tarjan's strongly connected components)."""
    edges: dict[str, set[str]] = {name: set() for name in NAMES}
    for one in INSIDE:
        if one.imported != one.file and one.imported != "minilstm":
            edges[one.file].add(one.imported)
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in edges[name]:
            if other not in index:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == index[name]:
            circle = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(circle) > 1:
                found.append(sorted(circle))

    for name in edges:
        if name not in index:
            visit(name)
    return found


def private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name not in NOT_PRIVATE


def names_of(tree: ast.Module) -> set[str]:
    """What a module defines: its functions, classes, methods, variables and attributes."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return found


def foreign_private(tree: ast.Module) -> list[str]:
    """Private members of other modules: `other._x`, `from other import _x`."""
    own = names_of(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and private(node.attr) and node.attr not in own:
            found.append(ast.unparse(node))
        elif isinstance(node, ast.ImportFrom):
            found += [f"import {a.name}" for a in node.names if private(a.name)]
    return found


def roundabout(tree: ast.Module, members: set[str]) -> list[str]:
    """`getattr(other, "name")` for a `name` that this package defines: it goes around an import."""
    return [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "getattr"
        and ast.unparse(node.args[0]) != "self"
        and isinstance(node.args[1], ast.Constant)
        and node.args[1].value in members
    ]


def figures() -> str:
    """The structure in figures; `python tests/test_architecture.py` prints them."""
    files = [path for path in PACKAGE.iterdir() if path.suffix == ".py" and not path.stem.startswith("__")]
    arrows = {(one.who, one.room) for one in INSIDE if one.who != one.room}
    lesson = {path.name: len(path.read_text().splitlines()) for path in (PACKAGE / "bptt").glob("*.py")}
    path = ["cell", "activations", "lstm", "steps", "tape", "segments"]
    return "\n".join(
        [
            f"modules at the top: {len(files)}, folders {sum(p.is_dir() for p in PACKAGE.iterdir())}",
            f"arrows between rooms: {len(arrows)}, upward: {sum(map(len, upward().values()))}",
            f"circles of files: {len(circles())}",
            f"lesson: {sum(lesson.values())} lines in {len(lesson)} files",
            f"of it the LSTM's path: {sum(lesson.get(f'{name}.py', 0) for name in path)}",
            f"package: {sum(len(p.read_text().splitlines()) for p in FILES)} lines in {len(FILES)} files",
        ]
    )


def test_every_room_has_its_floor():
    rooms = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in FILES}
    assert rooms - {"__init__", "__main__"} <= set(FLOOR)
    assert len(FILES) > 20


def test_imports_go_one_way():
    assert upward() == {}, "\n".join(
        one.place for one in INSIDE if one.room != one.who and FLOOR[str(one.room)] >= FLOOR[one.who]
    )


def test_the_reading_order_is_told_once_and_true():
    """By `minilstm/__init__` and the README, the same rooms in the same order, none above a later one."""
    inside = re.findall(r"^    ([a-z_]+)  +\S", ast.get_docstring(TREES[PACKAGE / "__init__.py"]) or "", re.M)
    readme = (PACKAGE.parent / "README.md").read_text(encoding="utf-8")
    told = readme.partition("## What is inside")[2].partition("\n\n- ")[0]
    rooms = [name for name in re.findall(r"`([a-z_]+)`", told) if name in FLOOR]
    assert inside[0] == "bptt"
    assert rooms == inside[1:]
    assert [FLOOR[room] for room in inside] == sorted(FLOOR[room] for room in inside)


def test_no_file_imports_itself_by_way_of_others():
    assert circles() == []


def test_no_private_member_is_used_from_another_module():
    found = [
        f"{path.relative_to(PACKAGE)}: {text}" for path in FILES for text in foreign_private(TREES[path])
    ]
    assert not found, "\n".join(found)


def test_no_getattr_stands_for_an_import():
    members = set().union(*(names_of(tree) for tree in TREES.values()))
    found = [
        f"{path.relative_to(PACKAGE)}: {text}" for path in FILES for text in roundabout(TREES[path], members)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("library", sorted(ONLY_HERE))
def test_heavy_libraries_have_one_home(library):
    users = {one.who for one in IMPORTS if one.target.split(".")[0] == library and not one.typing_only}
    assert users <= ONLY_HERE[library]


def test_nothing_is_borrowed_from_scipy_but_its_reader_of_arff():
    found = {(one.file, one.target) for one in IMPORTS if one.target.split(".")[0] in NOWHERE}
    assert {target.removesuffix(".arff") for _, target in found} == {"scipy.io"}
    assert {file for file, _ in found} == {"minilstm.datasets.column_files"}


def test_no_other_framework_does_the_work():
    foreign = [one for one in IMPORTS if one.target.split(".")[0] in NEVER_HERE]
    assert {one.who for one in foreign} <= {"interop"}


def test_kernels_are_imported_when_they_are_needed():
    early = [
        one.place
        for one in IMPORTS
        if one.top
        and one.who != "compiled"
        and re.match(r"minilstm\.compiled\.(?!threads|engines|chunks)", one.target)
    ]
    assert not early, "\n".join(early)


def test_the_package_itself_imports_nothing_at_the_top():
    """But for `forks`, which has to be there before the first import that a fork waits for."""
    early = [one for one in IMPORTS if one.who == "__init__" and one.room and not one.typing_only]
    assert {one.target for one in early} == {"minilstm.foundations.forks"}


def test_no_public_name_is_a_module_s_name():
    """A lazy `__init__` would hand out the one or the other. `keras` and `plots` are given out as modules."""
    import minilstm

    modules = {path.stem for path in PACKAGE.iterdir()} - {"__init__", "__main__", "__pycache__"}
    assert modules & set(dir(minilstm)) == set(minilstm.__all__)


if __name__ == "__main__":
    print(figures())
