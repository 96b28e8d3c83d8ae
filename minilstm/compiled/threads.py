"""Threads for the kernels: a small pool that works on chunks of the batch.

Kernels are serial and release the GIL; parallelism is over chunks, whose number and order never
depend on the number of threads, so results are the same bits for any number. This is not a general
scheduler: `run` maps one function over a few chunks of equal size.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from queue import SimpleQueue
from typing import TypeAlias, TypeVar

from minilstm.foundations.errors import shown, whole_number, wording

Item = TypeVar("Item")
Result = TypeVar("Result")
Jobs: TypeAlias = "SimpleQueue[Callable[[], None] | None]"

# For a process beside which others of ours keep the processors busy. NumPy's BLAS has threads of its own, and
# waits for them even in a product of a millisecond: 200 where they get no processor.
ONE_BLAS_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")

_lock = threading.Lock()
_threads: int | None = None
_helpers: list[Jobs] = []


def _default() -> int:
    """MINILSTM_NUM_THREADS, or the number of processors this process may use."""
    text = os.environ.get("MINILSTM_NUM_THREADS", "")
    if text:
        if not text.isdecimal() or int(text) < 1:
            raise ValueError(wording("MINILSTM_NUM_THREADS", "a whole number >= 1", shown(text)))
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
    _forget_helpers()


def _forget_helpers() -> None:
    """Start new helpers at the next use; after a fork, too, where the old ones are gone."""
    global _helpers, _lock
    _lock = threading.Lock()
    for jobs in _helpers:
        jobs.put(None)
    _helpers = []


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_helpers)


def _work(jobs: Jobs) -> None:
    """What a helper does: one job after the other, until it is told None."""
    while (job := jobs.get()) is not None:
        job()
        del job  # it holds the arrays


def _started(count: int) -> list[Jobs]:
    with _lock:
        while len(_helpers) < count:
            _helpers.append(SimpleQueue())
            name = f"minilstm-{len(_helpers)}"
            threading.Thread(target=_work, args=(_helpers[-1],), name=name, daemon=True).start()
        return _helpers[:count]


def run(function: Callable[[Item], Result], items: Sequence[Item], parallel: bool) -> list[Result]:
    """`[function(item) for item in items]`, shared with the helper threads when `parallel`."""
    threads = min(get_num_threads(), len(items)) if parallel else 1
    if threads <= 1:
        return [function(item) for item in items]
    found: dict[int, Result] = {}
    ended: SimpleQueue[BaseException | None] = SimpleQueue()

    def share(k: int) -> None:
        for index in range(k, len(items), threads):
            found[index] = function(items[index])

    def job(k: int) -> None:
        try:
            share(k)
        except BaseException as error:
            ended.put(error)
        else:
            ended.put(None)

    for k, jobs in enumerate(_started(threads - 1), start=1):
        jobs.put(partial(job, k))
    try:
        share(0)
    finally:  # nobody works on the arrays any more when this returns
        errors = [ended.get() for _ in range(1, threads)]
    for error in filter(None, errors):
        raise error
    return [found[index] for index in range(len(items))]


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each of which a helper thread computes while the one before it is used."""
    made: SimpleQueue[Item | BaseException | None] = SimpleQueue()

    def job() -> None:
        try:
            made.put(next(items, None))
        except BaseException as error:
            made.put(error)

    (jobs,) = _started(1)
    jobs.put(job)
    at_work = True
    try:
        while True:
            item = made.get()
            at_work = False
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            jobs.put(job)
            at_work = True
            yield item
    finally:  # nobody works on the arrays any more when this returns
        if at_work:
            made.get()
