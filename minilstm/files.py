"""Files that are whole or not there: atomic writes, and lines that are on the disk when they are appended.

A file is written to a temporary sibling, brought to the disk, and renamed over the old one, so that a
reader (or a crash) sees the old file or the new one and never a part. It is not a lock: two writers
of one file both succeed, and the later one wins.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Put `data` at `path`, whole; on failure the old file is as it was, and nothing else is left.

    Follows a symbolic link, and keeps the mode of a file that it replaces. Raises OSError that names
    the file.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
        try:
            with suppress(FileNotFoundError):
                os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
            _write_all(handle, data)
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, target)
    except BaseException as error:  # Ctrl-C too must not leave the temporary file
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            error.filename, error.filename2 = os.fspath(path), None
        raise
    _sync_folder(target.parent)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """`write_bytes` of `text` as UTF-8, with the line ends that it has."""
    write_bytes(path, text.encode("utf-8"))


def append_line(path: str | os.PathLike[str], line: str) -> None:
    """Append `line` and a line end to `path`, and return when they are on the disk.

    After a failure the file is as long as it was before, as far as the disk still allows.
    """
    created = not os.path.exists(path)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
    try:
        size = os.fstat(handle).st_size
        try:
            _write_all(handle, line.encode("utf-8") + b"\n")
            os.fsync(handle)
        except BaseException as error:
            with suppress(OSError):
                os.ftruncate(handle, size)
            if isinstance(error, OSError):
                error.filename = os.fspath(path)
            raise
    finally:
        os.close(handle)
    if created:
        _sync_folder(Path(path).parent)


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _sync_folder(folder: Path) -> None:
    """Bring the folder's list of names to the disk; not every system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
