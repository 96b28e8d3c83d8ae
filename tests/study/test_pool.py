"""The worker processes of a study."""

from __future__ import annotations

import os

from minilstm.compiled.threads import ONE_BLAS_THREAD
from minilstm.study.pool import run_in_pool


def said_in_a_worker(*names):
    found = {}
    run_in_pool({name: (name,) for name in names}, os.getenv, found.__setitem__, 1, str)
    return found


def test_workers_have_one_thread_of_blas_and_their_parent_what_it_had(monkeypatch):
    for name in ONE_BLAS_THREAD:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    before = dict(os.environ)
    assert said_in_a_worker(*ONE_BLAS_THREAD) == {**ONE_BLAS_THREAD, "OMP_NUM_THREADS": "3"}
    assert dict(os.environ) == before
