"""Set-up shared by all tests: Keras runs on PyTorch, and a missing peer skips its tests by name."""

from __future__ import annotations

import importlib.util
import os
from types import ModuleType

import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


def require(peer: str) -> None:
    """Skip the calling module or test, by name, when `peer` is not installed."""
    if importlib.util.find_spec(peer) is None:
        pytest.skip(f"peer {peer} is not installed", allow_module_level=True)


@pytest.fixture(scope="session")
def keras() -> ModuleType:
    """Keras on PyTorch."""
    require("keras")
    require("torch")
    import keras

    return keras


@pytest.fixture
def keras64(keras: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Keras on PyTorch that computes in float64 where it is told to: by itself it multiplies in float32."""
    from keras.src.backend.common import dtypes

    monkeypatch.setitem(dtypes.BIT64_TO_BIT32_DTYPE, "float64", "float64")
    return keras


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    require("torch")
    import torch

    return torch


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts that tests have recorded with `record_property("count", ...)`."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "count":
                terminalreporter.write_line(f"{report.nodeid}: {value}")
