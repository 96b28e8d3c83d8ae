"""Runs cells, here or in worker processes, one kernel thread each.

Results do not depend on the number of workers: each cell has its own seed, and no cell sees another.
Workers are spawned, not forked. They ignore Ctrl-C (the parent stops them) and end when the parent
does, however it ended.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, redirect_stderr
from multiprocessing import connection

import numpy as np
from threadpoolctl import threadpool_limits

from minilstm import threads
from minilstm.layers import LSTM, Dense
from minilstm.model import Sequential
from minilstm.study.cell import Record, run_cell
from minilstm.study.plan import Cell, Settings

OnCell = Callable[[Cell, Record], None]


class StudyError(RuntimeError):
    """The study could not go on; the finished cells are kept."""


def processors() -> int:
    """The number of processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare_kernels() -> float:
    """Compile the kernels, or load them from the cache; the seconds that took."""
    start = time.perf_counter()
    model = Sequential([LSTM(2, input_shape=(2, 1)), Dense(1)], dtype="float32", seed=0)
    model.compile(loss="mse")
    x, y = np.ones((1, 2, 1), np.float32), np.ones(1, np.float32)
    model.fit(x, y, mask=np.ones((1, 2), bool), verbose=0)
    model.trace(x, y)
    return time.perf_counter() - start


def run_cells(settings: Settings, cells: Sequence[Cell], jobs: int, on_cell: OnCell) -> None:
    """Run every cell and hand each record to `on_cell`, in the order in which they are finished.

    Raises StudyError when a worker dies. When this ends, for whatever reason, no worker is left.
    """
    if jobs == 1 or len(cells) <= 1:
        with _one_thread():
            for cell in cells:
                on_cell(cell, run_cell(settings, cell))
        return
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        min(jobs, len(cells)), multiprocessing.get_context("spawn"), initializer=_start_worker
    )
    try:
        with _workers_without_sigint():
            waiting = {pool.submit(run_cell, settings, cell): cell for cell in cells}
        while waiting:
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                on_cell(waiting.pop(future), future.result())
    except BrokenProcessPool:
        raise StudyError(
            "a worker process died (out of memory?); finished cells are kept, the same command goes on"
        ) from None
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in set(multiprocessing.active_children()) - others:
            worker.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for kernels and BLAS, as in a worker."""
    before = threads.get_num_threads()
    threads.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        threads.set_num_threads(before)


@contextmanager
def _workers_without_sigint() -> Iterator[None]:
    """Processes started inside never see Ctrl-C; one that comes meanwhile reaches this process after."""
    if not hasattr(signal, "pthread_sigmask"):  # no POSIX
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threads.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):  # the parent has said it already
        prepare_kernels()
    threadpool_limits(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
