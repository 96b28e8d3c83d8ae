"""A fork while another thread compiles: the child works, and the parent goes on."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from interpreted import compiled_only

CODE = """
import os, signal, sys, threading, time
import numpy as np
import minilstm as ml
from minilstm.compiled import engines, entry_points, memory  # no import is at work at the fork
from numba.core.compiler_lock import global_compiler_lock

def work(units):
    return ml.LSTM(units)(np.ones((2, 3, 2)))

compiling = threading.Thread(target=work, args=(3,))
compiling.start()
while compiling.is_alive() and global_compiler_lock._lock.acquire(blocking=False):
    global_compiler_lock._lock.release()
    time.sleep(0)
busy = compiling.is_alive()
child = os.fork()
if child == 0:
    signal.alarm(240)  # it would wait for ever
    work(4)
    os._exit(0)
_, status = os.waitpid(child, 0)
compiling.join()
print(os.waitstatus_to_exitcode(status), busy, work(3).shape)
"""


@compiled_only
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_of_a_process_that_compiles_does_not_hang(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": os.fspath(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", CODE], env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.stdout == "0 True (2, 3)\n", done.stderr
