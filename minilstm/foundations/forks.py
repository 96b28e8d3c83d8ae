"""A fork waits for modules that are imported and kernels that are compiled, for no child can end them.

In the child the thread that does it is gone, and the locks that it held would be held for ever: those of the
modules that it imports, and that of the compiler. So a fork waits until no other thread imports a module of
this package, or anything on its behalf, and takes the compiler's lock, to let it go here and there. A child
then finds each module whole or not at all, and the compiler between two compilations.
"""

from __future__ import annotations

import logging  # noqa: F401  its lock is taken at a fork too: after ours, since whoever imports needs it
import os
import sys
import threading
import time
from types import FrameType
from typing import Any

PATIENCE = 60.0  # seconds: an import that lasts longer waits for something, perhaps for the thread that forks
MACHINERY = "<frozen importlib._bootstrap>", "_find_and_load"  # this call of Python's holds a module's lock

_held: list[Any] = []


def _is_ours(name: Any) -> bool:
    return str(name).partition(".")[0] == "minilstm"


def _imports(frame: FrameType | None) -> bool:
    """Whether a module of ours is being imported here, or any within a call of our code."""
    imports = False
    while frame is not None:
        if (frame.f_code.co_filename, frame.f_code.co_name) == MACHINERY:
            imports = True
            if _is_ours(frame.f_locals.get("name")):
                return True
        elif imports and _is_ours(frame.f_globals.get("__name__")):
            return True
        frame = frame.f_back
    return False


def _others_import() -> bool:
    own = threading.get_ident()
    return any(_imports(frame) for thread, frame in sys._current_frames().items() if thread != own)


def _wait() -> None:
    end = time.monotonic() + PATIENCE
    while True:
        while _others_import() and time.monotonic() < end:
            time.sleep(0.001)
        compiler = getattr(sys.modules.get("numba.core.compiler_lock"), "global_compiler_lock", None)
        if compiler is None:
            return
        compiler.acquire()  # perhaps after seconds
        if not _others_import() or time.monotonic() >= end:
            _held.append(compiler)
            return
        compiler.release()  # an import may need it


def _go_on() -> None:
    while _held:
        _held.pop().release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_wait, after_in_parent=_go_on, after_in_child=_go_on)
