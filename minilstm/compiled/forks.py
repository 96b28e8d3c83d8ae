"""A fork waits for kernels that are imported or compiled, so that no child inherits such work half done.

In the child the thread that does it is gone, and the locks that it held would be held for ever: those of the
modules that it imports, and that of the compiler. They are taken before a fork and let go after it, here and
there; a child then finds all kernels or none, and the compiler between two compilations.
"""

from __future__ import annotations

import logging  # noqa: F401  its lock is taken at a fork too: after ours, since whoever imports needs it
import os
import sys
import threading
from typing import Any

importing = threading.RLock()  # whoever imports the kernels holds it
_held: list[Any] = []


def _wait() -> None:
    importing.acquire()
    _held.append(importing)
    compiler = getattr(sys.modules.get("numba.core.compiler_lock"), "global_compiler_lock", None)
    if compiler is not None:
        compiler.acquire()
        _held.append(compiler)


def _go_on() -> None:
    while _held:
        _held.pop().release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_wait, after_in_parent=_go_on, after_in_child=_go_on)
