"""Worker processes of our own, each at the end of its own pipe, and ended by its own id.

The executors of concurrent.futures, multiprocessing and loky have one pipe and one lock for the results of
all workers. A worker that is ended while it hands over a record (30 kB, more than a pipe takes at once)
leaves half of it there, and the thread that reads it, and with it the whole process, waits for ever. Here
that half lies in a pipe that nobody else reads, there is no thread and no lock, and one loop looks at pipes
and signals.

Workers are spawned, not forked. They ignore Ctrl-C (the parent ends them), print nothing, and end when the
parent does, however it ended.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, resource_tracker
from typing import Any, TypeVar

from minilstm.compiled import threads
from minilstm.foundations import interrupts

Key = TypeVar("Key")  # of a task
Record = dict[str, Any]

# Of processes started here, where the user said nothing: one thread of BLAS, and memory that is freed stays
# with the process (the C library of Linux). A page that is asked for anew costs a fault, and long models with
# their traces after each epoch a twentieth of their time.
ENVIRONMENT = threads.ONE_BLAS_THREAD | {
    "MALLOC_MMAP_THRESHOLD_": str(2**25),  # bytes; the most that it takes
    "MALLOC_TRIM_THRESHOLD_": str(2**28),
}
POLL = 0.1  # seconds between two looks at the signals
PATIENCE = 5.0  # seconds that a worker without work gets to end
DEAD = "a worker process died (out of memory?); finished models are kept, the same command goes on"
NEVER_BEGAN = (
    "a worker process died before it began (out of memory? A script that asks for jobs needs the guard "
    "`if __name__ == '__main__':`)"
)


class StudyError(RuntimeError):
    """The study could not go on; the finished models are kept."""


def run_in_pool(
    tasks: Mapping[Key, Sequence[Any]],
    work: Callable[..., Record],
    on_record: Callable[[Key, Record], None],
    jobs: int,
    prepare: Callable[..., Any],
    *given: Any,
) -> Any:
    """Run `work(*arguments)` of every task in `jobs` processes, each of which calls `prepare(*given)` first.

    Records are handed on in the order in which they are finished. The first worker prepares alone, while the
    others start: what it compiles, they then find. What its `prepare` returned is returned.

    Raises StudyError when a worker dies, KeyboardInterrupt after Ctrl-C, and what `work` raised. When this
    ends, for whatever reason, no worker is left.
    """
    waiting = deque(tasks)
    workers: list[_Worker] = []
    found = None
    with interrupts.held() as flag:
        try:
            while waiting or any(worker.key is not None for worker in workers):
                flag.check()
                if len(workers) < min(jobs, len(tasks)) and waiting:
                    workers.append(_started(work, prepare, given, flag))
                for worker in workers if workers[0].ready else workers[:1]:
                    worker.begin()
                for worker in _speaking(workers):
                    kind, value = _heard(worker, flag)
                    if kind == "failed":
                        raise value
                    if kind == "done":
                        key, worker.key = worker.key, None
                        on_record(key, value)
                    else:
                        worker.ready = True
                        found = _prepared(value) if worker is workers[0] else found
                    if waiting:
                        worker.take(waiting[0], tasks[waiting[0]])
                        waiting.popleft()
        finally:
            _end(workers)
    return found


class _Worker:
    """A process, our end of its pipe, and what it is at."""

    def __init__(
        self, work: Callable[..., Record], prepare: Callable[..., Any], given: Sequence[Any]
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, work, prepare, given), daemon=True)
        self.begun = self.ready = False  # whether it was told to prepare, and has
        self.key: Any = None  # of the task that it works at
        try:
            with _without_sigint(), _environment():
                self.process.start()
        finally:
            theirs.close()

    def begin(self) -> None:
        """Prepare, if it has not been told before."""
        if not self.begun:
            self.begun = True
            self._send(None)

    def take(self, key: Any, arguments: Sequence[Any]) -> None:
        """Begin a task."""
        self.key = key
        self._send(tuple(arguments))

    def _send(self, value: Any) -> None:
        """A worker that has died meanwhile is found out when it is listened to."""
        with suppress(OSError):
            self.pipe.send(value)


def _started(
    work: Callable[..., Record],
    prepare: Callable[..., Any],
    given: Sequence[Any],
    flag: interrupts.Interrupts,
) -> _Worker:
    try:
        return _Worker(work, prepare, given)
    except (BrokenPipeError, EOFError, ConnectionError):
        raise _died(flag) from None


def _speaking(workers: Sequence[_Worker]) -> list[_Worker]:
    """The workers that have something to say, or have died; waits for them for a moment."""
    ready = set(map(id, connection.wait([worker.pipe for worker in workers], POLL)))
    return [worker for worker in workers if id(worker.pipe) in ready]


def _heard(worker: _Worker, flag: interrupts.Interrupts) -> tuple[str, Any]:
    try:
        kind, value = worker.pipe.recv()
        return kind, value
    except (EOFError, OSError, pickle.UnpicklingError):
        raise _died(flag, DEAD if worker.ready else NEVER_BEGAN) from None


def _died(flag: interrupts.Interrupts, words: str = NEVER_BEGAN) -> StudyError:
    """The error for a dead worker; KeyboardInterrupt where it died of a signal that we got too."""
    time.sleep(POLL)
    flag.check()
    return StudyError(words)


def _prepared(value: tuple[Any, list[tuple[str, type[Warning]]]]) -> Any:
    """What `prepare` returned; what it warned of is warned of here, once for all workers."""
    result, messages = value
    for text, category in messages:
        warnings.warn(text, category, stacklevel=3)
    return result


def _end(workers: Sequence[_Worker]) -> None:
    """End every worker: one without work by itself, the others at once."""
    for worker in workers:
        if worker.key is not None or not worker.ready:
            worker.process.kill()
        worker.pipe.close()
    for worker in workers:
        worker.process.join(PATIENCE)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.process.close()


@contextmanager
def _without_sigint() -> Iterator[None]:
    """Processes started inside never see Ctrl-C; one that comes meanwhile reaches this process after."""
    if not hasattr(signal, "pthread_sigmask"):  # no POSIX
        yield
        return
    resource_tracker.ensure_running()  # or the first worker would start it, which unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _environment() -> Iterator[None]:
    """Processes started inside have `ENVIRONMENT`, and what the user said."""
    unsaid = ENVIRONMENT.keys() - os.environ.keys()
    os.environ.update({name: ENVIRONMENT[name] for name in unsaid})
    try:
        yield
    finally:
        for name in unsaid:
            os.environ.pop(name, None)


# ------------------------------------------------------------ in a worker


def _serve(
    pipe: connection.Connection,
    work: Callable[..., Record],
    prepare: Callable[..., Any],
    given: Sequence[Any],
) -> None:
    """Prepare when told, then do what comes through the pipe until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  for as long as the process lives
    with suppress(EOFError, OSError):
        pipe.recv()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            kind, value = _outcome("ready", prepare, given)
        if kind == "ready":
            value = value, [(str(one.message), one.category) for one in caught]
        pipe.send((kind, value))
        while True:
            pipe.send(_outcome("done", work, pipe.recv()))


def _outcome(kind: str, call: Callable[..., Any], arguments: Sequence[Any]) -> tuple[str, Any]:
    """What a call returned, or ("failed", its error), in a form that can be sent."""
    try:
        return kind, call(*arguments)
    except Exception as error:
        error.add_note(traceback.format_exc())
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return "failed", StudyError(f"{type(error).__name__}: {error}")
        return "failed", error


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
