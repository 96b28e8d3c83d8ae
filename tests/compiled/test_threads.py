"""The small pool of threads: order, errors, its size, and life after a fork."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from minilstm.compiled import threads

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def restore(monkeypatch):
    """The number of threads as it was."""
    monkeypatch.delenv("MINILSTM_NUM_THREADS", raising=False)
    before = threads._threads
    yield
    threads._threads = before
    threads._forget_helpers()


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("items", [0, 1, 2, 5, 9])
def test_results_come_in_order(count, items):
    threads.set_num_threads(count)
    assert threads.run(lambda k: k * k, range(items), parallel=True) == [k * k for k in range(items)]


def test_serial_work_stays_in_the_caller():
    threads.set_num_threads(4)
    caller = threading.get_ident()
    assert set(threads.run(lambda _: threading.get_ident(), range(5), parallel=False)) == {caller}


def test_parallel_work_is_shared():
    """Two items that wait for each other finish only if two threads run them."""
    threads.set_num_threads(2)
    barrier = threading.Barrier(2, timeout=30)
    threads.run(lambda _: barrier.wait(), range(2), parallel=True)


def test_an_error_reaches_the_caller_and_the_pool_lives_on():
    threads.set_num_threads(3)

    def fail(k):
        if k == 1:
            raise KeyError("item 1")
        return k

    with pytest.raises(KeyError, match="item 1"):
        threads.run(fail, range(5), parallel=True)
    assert threads.run(lambda k: k, range(5), parallel=True) == list(range(5))


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_items_computed_ahead_come_in_order_from_another_thread(count):
    found = list(threads.ahead((k, threading.get_ident()) for k in range(count)))
    assert [k for k, _ in found] == list(range(count))
    assert threading.get_ident() not in {thread for _, thread in found}


def test_the_next_item_is_computed_while_one_is_used():
    barrier = threading.Barrier(2, timeout=30)

    def items():
        yield 0
        barrier.wait()
        yield 1

    for item in threads.ahead(items()):
        if item == 0:
            barrier.wait()


def test_an_error_ahead_reaches_the_caller_after_what_came_before_it():
    def items():
        yield 0
        raise KeyError("item 1")

    found = []
    with pytest.raises(KeyError, match="item 1"):
        found.extend(threads.ahead(items()))
    assert threads.run(lambda k: k, range(5), parallel=True) == list(range(5))


def test_who_stops_early_waits_for_the_item_at_work():
    started, ended = threading.Event(), threading.Event()

    def items():
        yield 0
        started.set()
        time.sleep(0.05)
        ended.set()
        yield 1

    for _ in threads.ahead(items()):
        assert started.wait(30)
        break
    assert ended.is_set()


def test_several_callers_at_once():
    threads.set_num_threads(3)
    found = {}

    def call(name):
        found[name] = [threads.run(lambda k: (name, k), range(7), parallel=True) for _ in range(50)]

    callers = [threading.Thread(target=call, args=(name,)) for name in "ab"]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    for name in "ab":
        assert found[name] == [[(name, k) for k in range(7)]] * 50


def test_the_number_comes_from_the_environment_or_the_machine(monkeypatch):
    threads._threads = None
    assert threads.get_num_threads() >= 1
    monkeypatch.setenv("MINILSTM_NUM_THREADS", "3")
    assert threads.get_num_threads() == 3
    threads.set_num_threads(2)
    assert threads.get_num_threads() == 2


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "²"])
def test_a_wrong_environment_variable_is_named(monkeypatch, text):
    threads._threads = None
    monkeypatch.setenv("MINILSTM_NUM_THREADS", text)
    with pytest.raises(ValueError, match=r"MINILSTM_NUM_THREADS must be a whole number >= 1, got"):
        threads.get_num_threads()


@pytest.mark.parametrize(
    ("number", "error"),
    [(0, ValueError), (-2, ValueError), (1.5, TypeError), ("2", TypeError), (True, TypeError)],
)
def test_a_wrong_number_is_refused(number, error):
    with pytest.raises(error, match="threads must be a whole number >= 1, got"):
        threads.set_num_threads(number)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_starts_helpers_of_its_own():
    code = """
import os
from minilstm.compiled import threads
threads.set_num_threads(3)
assert threads.run(lambda k: k, range(6), parallel=True) == list(range(6))
child = os.fork()
if child == 0:
    os._exit(0 if threads.run(lambda k: k, range(6), parallel=True) == list(range(6)) else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-P", "-c", code], env=environment, timeout=60, check=True)
