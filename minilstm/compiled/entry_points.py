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
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import binding
from numba import config, from_dtype
from numba.core.caching import FunctionCache
from numba.core.ccallback import CFunc
from numba.core.errors import NumbaError
from numba.core.registry import CPUDispatcher

from minilstm.compiled.adam import adam
from minilstm.compiled.dense import add_rows, dense_product
from minilstm.compiled.gru import gru_backward, gru_forward, gru_pack
from minilstm.compiled.jit import BY_ADDRESS, OPTIONS, sources_hash
from minilstm.compiled.lstm import lstm_backward, lstm_forward, lstm_pack
from minilstm.compiled.simple_rnn import simple_rnn_backward, simple_rnn_forward, simple_rnn_pack
from minilstm.compiled.tile import product_code, signature, symbol
from minilstm.compiled.user_steps import user_backward, user_forward

SOURCES = sources_hash()
COMPILING = "compiling kernels, once on this machine ..."

_cache_warned = False


class KernelCache(FunctionCache):
    """Numba's cache on disk, without what Numba does before it reads: 0.5 s.

    It loads all that it knows how to compile. A kernel that is read needs none of it, since it calls nothing
    of Numba's and counts no references (see `jit`); for one that is compiled the compiler loads it.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        if "_nrt" not in OPTIONS:
            return super().load_overload(sig, target_context)
        target_context.refresh = lambda: None  # for the moment; Numba's lock is held wherever it is called
        try:
            return super().load_overload(sig, target_context)
        finally:
            del target_context.refresh


class Kernel(CPUDispatcher):
    """What `njit` makes of a function, with that cache."""

    def __init__(self, function: Callable[..., None], options: dict[str, Any]) -> None:
        super().__init__(function, targetoptions={"nopython": True, **options})

    def enable_caching(self) -> None:
        self._cache = KernelCache(self.py_func)


class ProductCode(CFunc):
    """What `cfunc` makes of a function, with that cache."""

    def enable_caching(self) -> None:
        self._cache = KernelCache(self.__wrapped__)


def entry_point(
    function: Callable[..., None], options: dict[str, Any] = OPTIONS, *, products: bool = True
) -> Callable[..., None]:
    """`function` compiled, from the cache on disk where that works, without it where it does not.

    The cache can fail in many ways (no writable folder, a full disk, a damaged index), each with its
    own exception. None of them is a reason to stop: the kernel is then compiled for this process only,
    and its files are removed, so that the next process makes them anew.
    """

    function.__qualname__ = f"{function.__name__}_{SOURCES}"
    chosen: Any = function
    if not config.DISABLE_JIT:  # type: ignore[attr-defined]
        chosen = Kernel(function, options)
        try:
            chosen.enable_caching()
        except RuntimeError as error:
            _warn_of_cache(error)
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
            return _compilations(chosen) > before or (products and not _provided(arrays[1].dtype))

        notice = threading.Timer(1.0, lambda: say_compiling() if compiling() else None)
        notice.start()
        try:  # the first call compiles, or reads the cache, before it touches the arrays
            if products:
                provide_product(arrays[1].dtype)
            chosen(*arrays)
        except NumbaError:  # a fault of a kernel, not of the cache
            raise
        except Exception as error:
            _remove_cached(function, chosen.stats.cache_path)
            _warn_of_cache(error)
            chosen = Kernel(function, options)
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


def _warn_of_cache(cause: Exception) -> None:
    global _cache_warned
    if not _cache_warned:  # once, not once per kernel
        cause_text = f"{type(cause).__name__}: {cause}"
        message = f"Numba's cache cannot be used ({cause_text}); compiling for this process only"
        warnings.warn(message, RuntimeWarning, stacklevel=4)
        _cache_warned = True


def _remove_cached(function: Callable[..., None], folder: str | None) -> None:
    """Remove the files of one kernel from Numba's cache, as far as that can be done."""
    names = f"{Path(function.__code__.co_filename).stem}.{function.__qualname__}-*.nb[ic]"
    for path in () if folder is None else Path(folder).glob(names):
        with suppress(OSError):
            path.unlink()


def _provided(dtype: np.dtype[Any]) -> bool:
    return config.DISABLE_JIT or binding.address_of_symbol(symbol(dtype)) is not None  # type: ignore[attr-defined]


@cache
def provide_product(dtype: np.dtype[Any]) -> Any:
    """Give the machine code of `tile.product` for that dtype the name by which kernels call it.

    Before one of them is compiled, or read from the cache: LLVM ends a process that does not know the name.
    """
    if _provided(dtype):
        return None
    product_code.__qualname__ = f"product_{SOURCES}"
    kind = signature(from_dtype(dtype))
    code = ProductCode(product_code, (kind.args, kind.return_type), {}, BY_ADDRESS)
    try:
        code.enable_caching()
        code.compile()
    except NumbaError:
        raise
    except Exception as error:
        with suppress(Exception):
            _remove_cached(product_code, KernelCache(product_code).cache_path)
        _warn_of_cache(error)
        code = ProductCode(product_code, (kind.args, kind.return_type), {}, BY_ADDRESS)
        code.compile()
    binding.add_symbol(symbol(dtype), code.address)
    return code


@cache
def say_compiling() -> None:
    """Once in a process, whatever is compiled in it."""
    _say(COMPILING)


def _say(text: str) -> None:
    """A line for the person who waits."""
    print(f"minilstm: {text}", file=sys.stderr, flush=True)


_first = threading.Lock()  # first calls of several threads: one compiles, the others wait
compile_seconds = 0.0  # spent so far in first calls: compiling, or reading the cache

run_lstm_pack = entry_point(lstm_pack, products=False)
run_lstm_forward = entry_point(lstm_forward)
run_lstm_backward = entry_point(lstm_backward)
run_gru_pack = entry_point(gru_pack, products=False)
run_gru_forward = entry_point(gru_forward)
run_gru_backward = entry_point(gru_backward)
run_simple_rnn_pack = entry_point(simple_rnn_pack, products=False)
run_simple_rnn_forward = entry_point(simple_rnn_forward)
run_simple_rnn_backward = entry_point(simple_rnn_backward)
run_user_forward = entry_point(user_forward)
run_user_backward = entry_point(user_backward)
run_adam = entry_point(adam, products=False)
run_dense_product = entry_point(dense_product)
run_add_rows = entry_point(add_rows, products=False)


def _fresh_lock() -> None:
    """In a forked child: another thread may have held the lock, and is not there to release it."""
    global _first
    _first = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fresh_lock)
