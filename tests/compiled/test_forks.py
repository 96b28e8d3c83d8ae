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


BOTH = """
import faulthandler, os, sys, threading, time
import numpy as np
import minilstm as ml

def train(kind):
    model = ml.Sequential([kind(3, input_shape=(4, 2)), ml.Dense(1)], seed=0)
    model.compile("adam", "mse")
    return model.fit(np.ones((4, 4, 2)), np.ones(4), epochs=2, verbose=0).history["loss"]

found = []
training = threading.Thread(target=lambda: found.append(train(ml.LSTM)))
training.start()
while "numba.core" not in sys.modules:  # the kernels are being imported
    time.sleep(0.001)
child = os.fork()
if child == 0:
    faulthandler.dump_traceback_later(240, exit=True)
    os._exit(0 if train(ml.LSTM) and train(ml.GRU) else 1)
_, status = os.waitpid(child, 0)
training.join()
print(os.waitstatus_to_exitcode(status), found[0] == train(ml.LSTM))
"""


@compiled_only
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_of_a_process_that_imports_the_kernels_does_not_hang(tmp_path):
    """It waited for a module that a thread was importing, which is not there in the child."""
    environment = os.environ | {"NUMBA_CACHE_DIR": os.fspath(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-P", "-c", BOTH],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.stdout == "0 True\n", done.stderr


LAZY = """
import faulthandler, os, sys, threading, time
import numpy as np
import minilstm as ml

def train():
    model = ml.Sequential([ml.LSTM(3, input_shape=(4, 2), backend="numpy"), ml.Dense(1)], seed=0)
    model.compile("adam", "mse")
    return model.fit(np.ones((4, 4, 2)), np.ones(4), epochs=1, verbose=0).history["loss"]

training = threading.Thread(target=train)
training.start()
while sys.argv[1] not in sys.modules:
    time.sleep(0.0001)
child = os.fork()
if child == 0:
    faulthandler.dump_traceback_later(60, exit=True)
    os._exit(0 if train() else 1)
_, status = os.waitpid(child, 0)
training.join()
print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("module", ["minilstm.model", "minilstm.layers.recurrent", "minilstm.training.fit"])
def test_a_child_of_a_process_that_imports_our_modules_does_not_hang(module):
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-P", "-c", LAZY, module],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.stdout == "0\n", done.stderr
