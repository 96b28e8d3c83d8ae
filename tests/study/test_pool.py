"""The worker processes of a study."""

from __future__ import annotations

import os
import time

from minilstm.study.pool import ENVIRONMENT, run_in_pool


def said_in_a_worker(*names):
    found = {}
    run_in_pool({name: (name,) for name in names}, os.getenv, found.__setitem__, 1, str)
    return found


def test_workers_have_their_environment_and_their_parent_what_it_had(monkeypatch):
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    before = dict(os.environ)
    assert said_in_a_worker(*ENVIRONMENT) == {**ENVIRONMENT, "OMP_NUM_THREADS": "3"}
    assert dict(os.environ) == before


def prepare_slowly(folder):
    start = time.monotonic()
    time.sleep(0.5)
    (folder / str(os.getpid())).write_text(f"{start} {time.monotonic()}")


def nap(seconds):
    time.sleep(seconds)
    return {"pid": os.getpid()}


def test_the_first_worker_prepares_alone_while_the_others_start(tmp_path):
    found = {}
    run_in_pool(dict.fromkeys(range(4), (1.0,)), nap, found.__setitem__, 2, prepare_slowly, tmp_path)
    times = sorted(tuple(map(float, path.read_text().split())) for path in tmp_path.iterdir())
    (_, ready), (begun, _) = times
    assert ready <= begun < ready + 0.4  # a worker that has yet to start takes longer
    assert len({record["pid"] for record in found.values()}) == 2
