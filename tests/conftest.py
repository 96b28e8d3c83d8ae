"""Set-up shared by all tests: Keras runs on PyTorch, and a missing peer skips its tests by name."""

from __future__ import annotations

import importlib.util
import os
import signal
import time
from collections.abc import Callable, Iterator
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(  # the same examples everywhere, however busy the machine is
    "minilstm", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("minilstm")
os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started by a shell's `&`: the tests send Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


FUZZERS = 6  # tests that take `cases`; they share the minutes
Cases = Callable[[int], Iterator[tuple[int, np.random.Generator]]]


@pytest.fixture
def cases(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Cases:
    """`cases(count)` gives (seed, generator) for 0, 1, 2, ...: `count` of them, or while --minutes last."""
    minutes = request.config.getoption("--minutes")

    def run(count: int) -> Iterator[tuple[int, np.random.Generator]]:
        seed, end = 0, time.monotonic() + 60 * (minutes or 0) / FUZZERS
        while seed < count or (minutes and time.monotonic() < end):
            yield seed, np.random.default_rng(seed)
            seed += 1
        record_property("count", f"{seed} cases")

    return run


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--minutes", type=float, default=None, help="how long the fuzzers run, together (-m fuzz)"
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts that tests have recorded with `record_property("count", ...)`."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "count":
                terminalreporter.write_line(f"{report.nodeid}: {value}")
