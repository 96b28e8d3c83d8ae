"""Runs points: here, in worker processes, on a Dask cluster, or on any `concurrent.futures.Executor`.

Results do not depend on where a point runs or on how many run at a time: each has its own seed, none
sees another, and the kernels give the same bits for any number of threads. Workers are spawned, not
forked. They ignore Ctrl-C (the parent stops them) and end when the parent does, however it ended.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager, redirect_stderr
from multiprocessing import connection
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from minilstm import layers
from minilstm.compiled import threads
from minilstm.model import Sequential
from minilstm.study.plan import Point, Settings
from minilstm.study.point import RNNS, Record, run_point
from minilstm.study.source import Source

OnPoint = Callable[[Point, Record], None]
Key = TypeVar("Key")


class StudyError(RuntimeError):
    """The study could not go on; the finished points are kept."""


def processors() -> int:
    """The number of processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare_kernels(rnns: Sequence[str] = ("lstm",)) -> float:
    """Compile the kernels, or load them from the cache; the seconds that took."""
    start = time.perf_counter()
    for rnn in rnns:
        layer = RNNS[rnn](2, input_shape=(2, 1))
        model = Sequential([layer, layers.Dense(1)], dtype="float32", seed=0)
        model.compile(loss="mse")
        x, y = np.ones((1, 2, 1), np.float32), np.ones(1, np.float32)
        model.fit(x, y, mask=np.ones((1, 2), bool), verbose=0)
        model.trace(x, y)
    return time.perf_counter() - start


def run_points(
    settings: Settings,
    source: Source,
    points: Sequence[Point],
    on_point: OnPoint,
    *,
    jobs: int = 1,
    executor: Executor | None = None,
    share: Callable[[Source], Any] = lambda source: source,
) -> None:
    """Run every point and hand each record to `on_point`, in the order in which they are finished.

    `executor` runs them if there is one, otherwise `jobs` processes of our own. `share` gives an
    executor the data in a form of its own, which it turns back into a Source for the point. Raises
    StudyError when workers die. When this ends, for whatever reason, no worker of ours is left.
    """
    if executor is not None:
        shared = share(source)
        _collect({executor.submit(work, settings, shared, point, 1): point for point in points}, on_point)
    elif jobs == 1 or len(points) <= 1:
        for point in points:
            on_point(point, work(settings, source, point, processors()))
    else:
        jobs = min(jobs, len(points))
        count, rnns = max(1, processors() // jobs), sorted({point.rnn for point in points})
        tasks = {point: (point,) for point in points}
        run_in_pool(tasks, _work_here, on_point, jobs, _take_study, settings, source, count, rnns)


def work(settings: Settings, source: Source, point: Point, count: int) -> Record:
    """Run one point with `count` threads for the kernels and one for NumPy's BLAS; what a worker does.

    One for BLAS because its results may depend on the number, which those of the kernels do not.
    """
    before = threads.get_num_threads()
    threads.set_num_threads(count)
    try:
        with threadpool_limits(1, "blas"):
            return run_point(settings, source, point)
    finally:
        threads.set_num_threads(before)


def _collect(waiting: dict[Future[Record], Key], on_record: Callable[[Key, Record], None]) -> None:
    """Hand on each record as soon as it is there; what is left is cancelled if something goes wrong."""
    try:
        while waiting:
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                key = waiting.pop(future)
                error = future.exception()
                if isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker":
                    raise StudyError(
                        "a worker process died (out of memory?); "
                        "finished models are kept, the same command goes on"
                    ) from None
                on_record(key, future.result())
    except BaseException:
        for future in waiting:
            future.cancel()
        raise


def run_in_pool(
    tasks: Mapping[Key, Sequence[Any]],
    work: Callable[..., Record],
    on_record: Callable[[Key, Record], None],
    jobs: int,
    prepare: Callable[..., None],
    *given: Any,
) -> None:
    """Run `work(*arguments)` of every task in `jobs` processes, each of which calls `prepare(*given)` first.

    Raises StudyError when workers die. When this ends, for whatever reason, no worker is left.
    """
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        jobs,
        multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(prepare, given),
    )
    try:
        with _workers_without_sigint():
            waiting = {pool.submit(work, *arguments): key for key, arguments in tasks.items()}
        _collect(waiting, on_record)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in set(multiprocessing.active_children()) - others:
            worker.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


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


_given: list[Any] = []  # in a worker: the settings, the data, the number of threads. Sent once, not per point


def _work_here(point: Point) -> Record:
    settings, source, count = _given
    return work(settings, source, point, count)


def _start_worker(prepare: Callable[..., None], given: Sequence[Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):  # the parent has said it already
        prepare(*given)


def _take_study(settings: Settings, source: Source, count: int, rnns: Sequence[str]) -> None:
    _given[:] = settings, source, count
    prepare_kernels(rnns)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


# ------------------------------------------------------------ a cluster


@contextmanager
def cluster(address: str) -> Iterator[tuple[Executor, Callable[[Source], Any]]]:
    """An executor on the Dask cluster whose scheduler is at `address`, and how to share data with it.

    A worker that dies loses only the point that it was at, which another takes up. Where every worker
    offers the resource "timing" (`dask worker --resources "timing=1"`), each point takes one, so that no
    two are timed on the same node at once. Raises ModuleNotFoundError without the extra `cluster`,
    OSError where nobody answers.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "--cluster needs its extra packages: pip install 'minilstm[cluster]'"
        ) from None
    connect: Any = Client
    with connect(address, timeout="10s", set_as_default=False) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        alone = bool(workers) and all(worker["resources"].get("timing") for worker in workers)
        options = {"resources": {"timing": 1}} if alone else {}
        executor = client.get_executor(pure=False, retries=2, **options)
        try:
            yield executor, lambda source: client.scatter(source, broadcast=True, hash=False)
        finally:
            executor.shutdown(wait=False)
