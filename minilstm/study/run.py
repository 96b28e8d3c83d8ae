"""Runs points: here, in worker processes, on a Dask cluster, or on any `concurrent.futures.Executor`.

Results do not depend on where a point runs or on how many run at a time: each has its own seed, none
sees another, and the kernels give the same bits for any number of threads. `pool` has the worker processes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager
from typing import Any

import numpy as np

from minilstm import layers
from minilstm.compiled import threads
from minilstm.foundations import interrupts
from minilstm.model import Sequential
from minilstm.study.plan import Point, Settings
from minilstm.study.point import Record, run_point
from minilstm.study.pool import DEAD, POLL, StudyError, run_in_pool
from minilstm.study.source import Source

OnPoint = Callable[[Point, Record], None]


def processors() -> int:
    """The number of processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare_kernels(rnns: Sequence[str] = ("lstm",)) -> float:
    """Compile the kernels, or load them from the cache; the seconds that took."""
    start = time.perf_counter()
    for rnn in rnns:
        layer = layers.maker_of(rnn)(2, input_shape=(2, 1))
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
    here: bool = True,
    executor: Executor | None = None,
    share: Callable[[Source], Any] = lambda source: source,
) -> float:
    """Run every point and hand each record to `on_point`, in the order in which they are finished.

    `executor` runs them if there is one, otherwise `jobs` processes of our own; a single job runs in this
    process if `here`. `share` gives an executor the data in a form of its own, which it turns back into a
    Source for the point. Returns the seconds that the kernels took to be ready.

    Raises StudyError when workers die, KeyboardInterrupt after Ctrl-C, between two batches at the earliest.
    When this ends, for whatever reason, no worker of ours is left.
    """
    if not points:
        return 0.0
    rnns = sorted({point.rnn for point in points})
    if executor is not None:
        shared = share(source)
        _collect({executor.submit(work, settings, shared, point, 1): point for point in points}, on_point)
        return 0.0
    if here and jobs == 1:
        with interrupts.held() as flag:
            seconds = prepare_kernels(rnns)
            for point in points:
                flag.check()
                on_point(point, work(settings, source, point, processors()))
        return seconds
    jobs = min(jobs, len(points))
    count, tasks = max(1, processors() // jobs), {point: (point,) for point in points}
    found: float = run_in_pool(tasks, _work_here, on_point, jobs, _take_study, settings, source, count, rnns)
    return found


def work(settings: Settings, source: Source, point: Point, count: int) -> Record:
    """Run one point with `count` threads, on which its results do not depend; what a worker does."""
    before = threads.get_num_threads()
    threads.set_num_threads(count)
    try:
        return run_point(settings, source, point)
    finally:
        threads.set_num_threads(before)


def _collect(waiting: dict[Future[Record], Point], on_point: OnPoint) -> None:
    """Hand on each record as soon as it is there; what is left is cancelled if something goes wrong."""
    with interrupts.held() as flag:
        try:
            while waiting:
                flag.check()
                for future in wait(waiting, POLL, FIRST_COMPLETED).done:
                    point = waiting.pop(future)
                    error = future.exception()
                    if isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker":
                        raise StudyError(DEAD) from None
                    on_point(point, future.result())
        except BaseException:
            for future in waiting:
                future.cancel()
            raise


_given: list[Any] = []  # in a worker: the settings, the data, the number of threads. Sent once, not per point


def _work_here(point: Point) -> Record:
    settings, source, count = _given
    return work(settings, source, point, count)


def _take_study(settings: Settings, source: Source, count: int, rnns: Sequence[str]) -> float:
    _given[:] = settings, source, count
    return prepare_kernels(rnns)


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
