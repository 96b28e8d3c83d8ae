"""SciPy's products are found without scipy.linalg, in the usual way where that fails, and do it no harm."""

from __future__ import annotations

from test_kernels import RUN, run_python, slow_and_compiled

pytestmark = slow_and_compiled
IMPORTED = "\nimport sys; print('scipy.linalg' in sys.modules)\n"


def test_a_training_step_does_not_import_scipy_linalg():
    """A private arrangement with SciPy and Numba: what it saves is gone without notice if they change."""
    assert run_python(RUN + IMPORTED) == ["False"]


def test_scipy_works_afterwards():
    code = """
import numpy, scipy.linalg, scipy.linalg.cython_blas as module
from scipy.linalg import cython_blas, solve, blas
from numba.extending import get_cython_function_address
assert module is cython_blas and module.__spec__.name == module.__name__ == "scipy.linalg.cython_blas"
a = numpy.array([[2.0, 1.0], [1.0, 3.0]])
assert numpy.allclose(solve(a, a @ [1, 2]), [1, 2])
assert numpy.allclose(blas.dgemm(1, a, a), a @ a)
import scipy.special, scipy.optimize, scipy.sparse.linalg, scipy.signal
"""
    assert run_python(RUN + code) == []


def test_after_scipy_linalg_its_own_module_is_used():
    code = """
import scipy.linalg.cython_blas as module, sys
from minilstm.compiled import blas
blas.preload()
assert sys.modules[blas.NAME] is module
"""
    assert run_python(code) == []


def test_where_the_module_cannot_be_loaded_alone_it_is_imported():
    """No file of that name; a file that is not the module."""
    for spec in ("None", "ModuleSpec(name, ExtensionFileLoader(name, os.devnull), origin=os.devnull)"):
        code = f"""
import os
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from minilstm.compiled import blas
class Finder:
    find_spec = staticmethod(lambda name, folders: {spec})
blas.PathFinder = Finder
"""
        assert run_python(code + RUN + IMPORTED) == ["True"]
