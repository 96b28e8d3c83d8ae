"""A fork waits for a kernel that is being compiled, so that no child inherits a compiler that is at work.

In the child the thread that compiles is gone, and the lock that it held would be held for ever: the child's
first kernel would wait for it. It is taken before a fork and let go after it, here and there; a child then
finds the compiler between two compilations.
"""

from __future__ import annotations

import os

from numba.core.compiler_lock import global_compiler_lock

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )
