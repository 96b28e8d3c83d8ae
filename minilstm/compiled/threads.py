"""Threads for the kernels: a small pool that works on chunks of the batch.

Kernels are serial and release the GIL; parallelism is over chunks, whose number and order never
depend on the number of threads, so results are the same bits for any number. This is not a general
scheduler: `run` maps one function over a few chunks of equal size.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from minilstm.errors import whole_number, wording

Item = TypeVar("Item")
Result = TypeVar("Result")

_lock = threading.Lock()
_threads: int | None = None
_pool: ThreadPoolExecutor | None = None


def _default() -> int:
    """MINILSTM_NUM_THREADS, or the number of processors this process may use."""
    text = os.environ.get("MINILSTM_NUM_THREADS", "")
    if text:
        if not text.isdecimal() or int(text) < 1:
            raise ValueError(wording("MINILSTM_NUM_THREADS", "a whole number >= 1", repr(text)))
        return int(text)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def get_num_threads() -> int:
    """The number of threads the kernels use.

    >>> get_num_threads() >= 1
    True
    """
    return _default() if _threads is None else _threads


def set_num_threads(threads: int) -> None:
    """Set the number of threads the kernels use, from the next call on.

    The default is the environment variable MINILSTM_NUM_THREADS, or the number of processors.
    Results do not depend on it.

    >>> before = get_num_threads()
    >>> set_num_threads(1)
    >>> get_num_threads()
    1
    >>> set_num_threads(before)
    """
    global _threads
    _threads = whole_number("threads", threads)
    _forget_pool()


def _forget_pool() -> None:
    """Start a new pool at the next use; after a fork, too, where the threads of the old one are gone."""
    global _pool, _lock
    _lock = threading.Lock()
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def _helpers(count: int) -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(count, thread_name_prefix="minilstm")
        return _pool


def run(function: Callable[[Item], Result], items: Sequence[Item], parallel: bool) -> list[Result]:
    """`[function(item) for item in items]`, shared with the helper threads when `parallel`."""
    most = get_num_threads() if parallel and len(items) > 1 else 1
    if most == 1:
        return [function(item) for item in items]
    threads, helpers = min(most, len(items)), _helpers(most - 1)

    def share(k: int) -> list[Result]:
        return [function(item) for item in items[k::threads]]

    futures = [helpers.submit(share, k) for k in range(1, threads)]
    shares = [share(0)] + [future.result() for future in futures]
    return [shares[k % threads][k // threads] for k in range(len(items))]
