"""SciPy's matrix products without the rest of scipy.linalg, which takes a quarter of a second to import."""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path

NAME = "scipy.linalg.cython_blas"


def preload() -> None:
    """Load the one module that is wanted, scipy.linalg.cython_blas, where that can be done alone.

    `kernels` wants it for the address of the products, and Numba by itself before it runs its first kernel.
    Both, and whoever imports scipy.linalg later, then find it in sys.modules; the package alone has no
    attribute of that name then (`from scipy.linalg import cython_blas` works). Where this does not work they
    import it in the usual way.
    """
    package = find_spec("scipy")
    if NAME in sys.modules or package is None:
        return
    folders = [str(Path(folder) / "linalg") for folder in package.submodule_search_locations or []]
    spec = PathFinder.find_spec(NAME, folders)
    if spec is None or spec.loader is None:
        return
    try:
        module = sys.modules[NAME] = module_from_spec(spec)
        spec.loader.exec_module(module)
    except Exception:  # whatever a broken installation raises
        sys.modules.pop(NAME, None)
