"""Every example in a docstring runs, and shows what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import minilstm

NEEDS = {
    "minilstm.plots": "matplotlib",
    "minilstm.study": "rich",
    "minilstm.commands.cli": "rich",
    "minilstm.interop.estimators": "sklearn",
}
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(minilstm.__path__, "minilstm.")
    if not module.name.endswith("__main__") and "make_" not in module.name
)


@pytest.mark.parametrize("name", ["minilstm", *MODULES])
def test_doctests(name):
    for prefix, library in NEEDS.items():
        if name.startswith(prefix):
            pytest.importorskip(library)
    module = importlib.import_module(name)
    failures, _ = doctest.testmod(module, extraglobs={"np": np}, optionflags=doctest.ELLIPSIS)
    assert failures == 0


def test_there_are_doctests():
    finder = doctest.DocTestFinder()
    examples = sum(
        len(test.examples)
        for name in MODULES
        if name.split(".")[1] not in ("study", "plots", "commands")
        for test in finder.find(importlib.import_module(name))
    )
    assert examples > 50
