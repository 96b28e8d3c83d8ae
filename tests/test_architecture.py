"""Imports go one way. Read with `ast` and held to the list below: lower never imports higher."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "minilstm"

# For each module, what it may import of the package. "errors" is open to all.
ALLOWED = {
    "cli": {"*"},
    "__main__": {"*"},
    "study": {
        "plots", "model", "layers", "losses", "metrics", "optimizers", "callbacks", "datasets", "sequences",
        "trace", "files", "threads", "kernels", "initializers",
    },
    "keras": {"model", "layers", "sequences"},
    "estimators": {"model", "layers", "optimizers", "sequences"},
    "interop": {"model", "layers", "regularizers", "files"},
    "plots": {"gradient_check", "callbacks", "cells", "dynamics", "files", "history", "trace"},
    "model": {
        "training", "progress_bar", "batches", "passes", "layers", "losses", "metrics", "optimizers",
        "callbacks", "history", "nonfinite", "trace", "cells", "saving",
        "progress",
    },
    "saving": {
        "files", "history", "progress", "layers", "losses", "metrics", "optimizers", "initializers",
        "regularizers",
    },
    "progress": {"history"},
    "training": {
        "progress_bar", "batches", "passes", "layers", "optimizers", "callbacks", "history",
        "progress", "saving",
    },
    "batches": {"inputs", "layers", "metrics"},
    "progress_bar": set(),
    "passes": {"layers", "losses", "trace", "cells"},
    "trace_command": {"cells", "layers", "model", "plots", "trace"},
    "check_command": {"gradient_check", "layers", "model"},
    "gradient_check": {"passes", "batches", "losses", "tape", "layers", "bptt", "cells", "activations"},
    "history": set(),
    "callbacks": {"cells", "layers", "metrics", "norms", "tape"},  # others only for the type checker
    "layers": {"bptt", "initializers", "regularizers", "activations", "cells", "tape"},
    "trace": {"cells", "tape", "horizon", "ledger", "nonfinite", "norms"},
    "dynamics": {"cells", "norms", "trace"},
    "horizon": {"cells", "norms"},
    "nonfinite": {"cells", "norms"},
    "ledger": {"cells", "norms"},
    "bptt": {"norms", "steps", "compiled", "threads", "cells", "tape"},
    "steps": {"cells", "tape"},
    "compiled": {"norms", "kernels", "cells", "tape"},
    "kernels": {"blas", "cells", "threads"},
    "blas": set(),
    "cells": {"activations"},
    "tape": {"cells", "norms"},
    "datasets": {"sequences"},
    "files": set(),
    "activations": set(),
    "inputs": set(),
    "initializers": set(),
    "losses": set(),
    "metrics": set(),
    "norms": set(),
    "optimizers": {"kernels", "norms"},
    "regularizers": set(),
    "sequences": set(),
    "threads": set(),
    "errors": set(),
}  # fmt: skip
ONLY_HERE = {"numba": {"kernels"}, "llvmlite": {"kernels"}, "matplotlib": {"plots"}}
NEVER_HERE = {"torch", "keras", "tensorflow", "jax", "sklearn", "onnxruntime"}


class Import:
    """One import: who, what, where, whether at the top of the module, whether for the type checker only."""

    def __init__(self, path: Path, target: str, node: ast.stmt, top: bool, typing_only: bool) -> None:
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        self.who = parts[0] if parts != ("__init__",) else "__init__"
        self.target, self.line, self.top, self.typing_only = target, node.lineno, top, typing_only
        self.place = f"{path.relative_to(PACKAGE.parent)}:{node.lineno} imports {target}"

    @property
    def module(self) -> str | None:
        """The package's module that is imported, None for others."""
        parts = self.target.split(".")
        return (parts[1] if len(parts) > 1 else "__init__") if parts[0] == "minilstm" else None


def imports_of(path: Path) -> list[Import]:
    found: list[Import] = []

    def visit(nodes: list[ast.stmt], top: bool, typing_only: bool) -> None:
        for node in nodes:
            if isinstance(node, ast.Import):
                found.extend(Import(path, alias.name, node, top, typing_only) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path.name}:{node.lineno}: a relative import"
                for alias in node.names:
                    target = f"{node.module}.{alias.name}" if node.module == "minilstm" else str(node.module)
                    found.append(Import(path, target, node, top, typing_only))
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


FILES = sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)
IMPORTS = [one for path in FILES for one in imports_of(path)]


def test_there_is_something_to_look_at():
    assert len(FILES) > 20
    assert {one.module for one in IMPORTS} >= {"cells", "bptt", "errors"}


def test_every_module_has_its_line_in_the_list():
    modules = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in FILES} - {"__init__"}
    assert modules - {"interop", "estimators", "dynamics", "gradient_check"} <= set(ALLOWED)


def test_imports_go_one_way():
    wrong = []
    for one in IMPORTS:
        ours = one.module is None or one.module == one.who or one.who == "__init__"
        version = one.who == "study" and one.target in ("minilstm", "minilstm.__version__")
        if ours or version or one.typing_only:
            continue
        allowed = ALLOWED.get(one.who, {"*"})
        if "*" not in allowed and one.module not in allowed | {"errors"}:
            wrong.append(one.place)
    assert not wrong, "\n".join(wrong)


def test_the_list_itself_has_no_circle():
    """Whoever may import whom, following the list never leads back."""

    def below(module: str, seen: tuple[str, ...]) -> None:
        assert module not in seen, " -> ".join((*seen, module))
        for other in ALLOWED.get(module, set()) - {"*"}:
            below(other, (*seen, module))

    for module in ALLOWED:
        below(module, ())


def test_types_only_are_the_exception_of_what_the_model_hands_itself_to():
    assert {one.who for one in IMPORTS if one.typing_only and one.module == "model"} <= {
        "batches",
        "callbacks",
        "gradient_check",
        "saving",
        "training",
        "__init__",
    }


@pytest.mark.parametrize("library", sorted(ONLY_HERE))
def test_heavy_libraries_have_one_home(library):
    users = {one.who for one in IMPORTS if one.target.split(".")[0] == library and not one.typing_only}
    assert users <= ONLY_HERE[library]


def test_no_other_framework_does_the_work():
    foreign = [one for one in IMPORTS if one.target.split(".")[0] in NEVER_HERE and one.who != "interop"]
    assert {(one.who, one.target.split(".")[0]) for one in foreign} <= {("estimators", "sklearn")}


def test_kernels_are_imported_when_they_are_needed():
    early = [one.place for one in IMPORTS if one.module in ("kernels", "compiled") and one.top]
    early = [place for place in early if not place.startswith("minilstm/compiled.py")]
    assert not early, "\n".join(early)


def test_the_package_itself_imports_nothing_at_the_top():
    early = [one.place for one in IMPORTS if one.who == "__init__" and one.module and not one.typing_only]
    assert not early, "\n".join(early)


def test_no_public_name_is_a_module_s_name():
    """A lazy `__init__` would hand out the one or the other. `keras` and `plots` are given out as modules."""
    import minilstm

    modules = {path.stem for path in PACKAGE.iterdir()} - {"__init__", "__main__", "__pycache__"}
    assert not modules & (set(minilstm.__all__) - set(minilstm._MODULES))
    assert set(minilstm._MODULES) <= modules
