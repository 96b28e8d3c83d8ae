"""The kernels that Python calls: compiled at the first call, kept in Numba's cache; a word for who waits.

Numba finds what it keeps on disk by the file and the name of a function. Here the name ends in a hash of all
sources of this folder, so that an edit anywhere in it compiles anew.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numba.core.errors import NumbaError

from minilstm.compiled import forks  # noqa: F401  what it is for happens at a fork
from minilstm.compiled.adam import adam
from minilstm.compiled.dense import add_rows, dense_product
from minilstm.compiled.gru import gru_backward, gru_forward, gru_pack
from minilstm.compiled.jit import OPTIONS, sources_hash
from minilstm.compiled.lstm import lstm_backward, lstm_forward, lstm_pack
from minilstm.compiled.simple_rnn import simple_rnn_backward, simple_rnn_forward, simple_rnn_pack
from minilstm.compiled.user_steps import user_backward, user_forward

SOURCES = sources_hash()
COMPILING = "compiling kernels, once on this machine ..."

_cache_warned = False


def entry_point(function: Callable[..., None], options: dict[str, Any] = OPTIONS) -> Callable[..., None]:
    """`function` compiled, from the cache on disk where that works, without it where it does not.

    The cache can fail in many ways (no writable folder, a full disk, a damaged index), each with its
    own exception. None of them is a reason to stop: the kernel is then compiled for this process only,
    and its files are removed, so that the next process makes them anew.
    """

    def uncached(cause: Exception) -> Callable[..., None]:
        global _cache_warned
        if not _cache_warned:  # once, not once per kernel
            cause_text = f"{type(cause).__name__}: {cause}"
            message = f"Numba's cache cannot be used ({cause_text}); compiling for this process only"
            warnings.warn(message, RuntimeWarning, stacklevel=3)
            _cache_warned = True
        plain: Callable[..., None] = njit(**options)(function)
        return plain

    function.__qualname__ = f"{function.__name__}_{SOURCES}"
    try:
        chosen = njit(cache=True, **options)(function)
    except RuntimeError as error:
        chosen = uncached(error)
    seen: set[tuple[np.dtype[Any], bool]] = set()

    def call(*arrays: Any) -> None:
        if (arrays[1].dtype, arrays[-1] is None) not in seen:  # norms are None, or not: see `recording`
            with _first:
                first_call(*arrays)
        else:
            chosen(*arrays)

    def first_call(*arrays: Any) -> None:
        nonlocal chosen
        global compile_seconds
        start, before = time.perf_counter(), _compilations(chosen)

        def compiling() -> bool:
            return _compilations(chosen) > before

        notice = threading.Timer(1.0, lambda: _say(COMPILING) if compiling() else None)
        notice.start()
        try:  # the first call compiles, or reads the cache, before it touches the arrays
            chosen(*arrays)
        except NumbaError:  # a fault of a kernel, not of the cache
            raise
        except Exception as error:
            _remove_cached(chosen, function)
            chosen = uncached(error)
            chosen(*arrays)
        finally:
            notice.cancel()
        seconds = time.perf_counter() - start
        if seconds > 1 and compiling():
            _say(f"compiled {function.__name__} for {arrays[1].dtype} in {seconds:.1f} s")
        compile_seconds += seconds
        seen.add((arrays[1].dtype, arrays[-1] is None))

    return call


def _compilations(chosen: Any) -> int:
    """How often this was compiled, or is being, and not read from the cache; 0 where nothing is compiled."""
    return sum(chosen.stats.cache_misses.values()) if hasattr(chosen, "stats") else 0


def _remove_cached(dispatcher: Any, function: Callable[..., None]) -> None:
    """Remove the files of one kernel from Numba's cache, as far as that can be done."""
    cached = dispatcher.stats.cache_path
    names = f"{Path(function.__code__.co_filename).stem}.{function.__qualname__}-*.nb[ic]"
    for path in () if cached is None else Path(cached).glob(names):
        with suppress(OSError):
            path.unlink()


def _say(text: str) -> None:
    """A line for the person who waits."""
    print(f"minilstm: {text}", file=sys.stderr, flush=True)


_first = threading.Lock()  # first calls of several threads: one compiles, the others wait
compile_seconds = 0.0  # spent so far in first calls: compiling, or reading the cache

run_lstm_pack = entry_point(lstm_pack)
run_lstm_forward = entry_point(lstm_forward)
run_lstm_backward = entry_point(lstm_backward)
run_gru_pack = entry_point(gru_pack)
run_gru_forward = entry_point(gru_forward)
run_gru_backward = entry_point(gru_backward)
run_simple_rnn_pack = entry_point(simple_rnn_pack)
run_simple_rnn_forward = entry_point(simple_rnn_forward)
run_simple_rnn_backward = entry_point(simple_rnn_backward)
run_user_forward = entry_point(user_forward)
run_user_backward = entry_point(user_backward)
run_adam = entry_point(adam)
run_dense_product = entry_point(dense_product)
run_add_rows = entry_point(add_rows)


def _fresh_lock() -> None:
    """In a forked child: another thread may have held the lock, and is not there to release it."""
    global _first
    _first = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fresh_lock)
