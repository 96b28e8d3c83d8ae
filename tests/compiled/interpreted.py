"""Whether kernels run as Python here (NUMBA_DISABLE_JIT=1)."""

import os

import pytest

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
compiled_only = pytest.mark.skipif(INTERPRETED, reason="of machine code")
