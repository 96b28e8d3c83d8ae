"""Files that are whole or not there: atomic writes, and lines that are on the disk when they are appended.

A file is written to a temporary sibling, brought to the disk, and renamed over the old one, so that a
reader (or a crash) sees the old file or the new one and never a part. It is not a lock: two writers
of one file both succeed, and the later one wins.
"""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from minilstm.foundations.errors import shown, wording

try:
    import fcntl
except ModuleNotFoundError:  # not POSIX
    fcntl = None  # type: ignore[assignment]


def checked_path(argument: str, path: object) -> str:
    """`path` as a text; TypeError for what is neither a text nor a path, ValueError for one with a zero byte.

    >>> checked_path("path", Path("folder") / "model.npz") == os.path.join("folder", "model.npz")
    True
    """
    found = None
    with suppress(TypeError):  # of a path's own method
        found = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(found, str):
        raise TypeError(wording(argument, "a text or a path", shown(path)))
    if "\0" in found:
        raise ValueError(wording(argument, "a path without a zero byte", shown(found)))
    return found


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file. A device or a pipe may have no end, or nobody at its other one.

    Raises OSError that names the file, MemoryError that names its size too, TypeError for what is no path.
    """
    path = checked_path("path", path)
    size = check_regular(path)
    try:
        return Path(path).read_bytes()
    except MemoryError:
        raise MemoryError(f"Unable to read the {size:,} bytes of {os.fspath(path)}") from None


def check_regular(path: str | os.PathLike[str]) -> int:
    """The size of a regular file; OSError that names what is none, or is not there."""
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", os.fspath(path))
    return status.st_size


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Put `data` at `path`, whole; on failure the old file is as it was, and nothing else is left.

    Follows a symbolic link, and keeps the mode of a file that it replaces. Removes what an earlier process
    left when it was killed in the middle of this. A device or a pipe is written to, not replaced; a file that
    may not be written is not replaced either, and a pipe that nobody reads is refused. Raises OSError that
    names the file.
    """
    target = Path(os.path.realpath(checked_path("path", path)))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if target.exists() and not target.is_file():
        _write_to_device(target, data)
        return
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
    _sweep(target)
    try:
        with _sibling(target) as temporary:
            handle = os.open(temporary, os.O_WRONLY | getattr(os, "O_BINARY", 0))
            try:
                with suppress(FileNotFoundError):
                    os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
                _write_all(handle, data)
                os.fsync(handle)
            finally:
                os.close(handle)
            os.replace(temporary, target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
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


def check_folder(path: str | os.PathLike[str]) -> None:
    """OSError that names what is in the way where `path` is no folder, and cannot be made one."""
    found = Path(path)
    while _is_missing(found):
        found = found.parent
    if not found.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fspath(found))
    if not os.access(found, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(found))


def _is_missing(path: Path) -> bool:
    """Whether nothing is there, nor a link; OSError where nothing could be, by a name that is too long."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    return False


def make_folder(path: str | os.PathLike[str]) -> None:
    """Make `path` and what is missing above it, where it is not there; an OSError names what is no folder."""
    try:
        os.makedirs(path, exist_ok=True)
    except FileExistsError:  # a file, or a link that leads nowhere
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fspath(path)) from None


def truncate(path: str | os.PathLike[str], size: int) -> None:
    """Make `path`, which is made if it is not there, `size` bytes long."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    try:
        if os.fstat(handle).st_size != size:
            os.ftruncate(handle, size)
            os.fsync(handle)
    finally:
        os.close(handle)


def _write_to_device(target: Path, data: bytes) -> None:
    try:  # a pipe would wait for its reader
        handle = os.open(target, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        if error.errno == errno.ENXIO and target.is_fifo():
            raise OSError(error.errno, "A pipe that nobody reads", os.fspath(target)) from None
        raise
    try:
        os.set_blocking(handle, True)
        _write_all(handle, data)
    except OSError as error:
        error.filename = os.fspath(target)
        raise
    finally:
        os.close(handle)


@contextmanager
def _sibling(target: Path) -> Iterator[Path]:
    """A new empty file beside `target`, of this writer alone, and gone at the end; locked while it is there.

    The lock says that its writer lives, to any process that sees the file: their numbers do not, for two
    containers that share a folder number theirs apart.
    """
    while True:
        path = target.with_name(f"{_beginning(target)}{os.urandom(4).hex()}.tmp")
        try:
            handle: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            continue  # another's
        assert handle is not None
        made = os.fstat(handle)
        try:
            if fcntl is None:  # not POSIX, where an open file cannot be renamed
                os.close(handle)
                handle = None
                yield path
                return
            with suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:  # nobody swept it before it was locked
                yield path
                return
        finally:
            with suppress(OSError):
                if os.path.samestat(os.lstat(path), made):  # by that name there may be another's by now
                    os.unlink(path)
            if handle is not None:
                os.close(handle)


def _beginning(target: Path) -> str:
    """Of the names of a target's temporary files; short enough where the target's own name is the longest."""
    return f".{target.name[:50]}."


def _sweep(target: Path) -> None:
    """Remove the temporary files of `target` whose writers are no more."""
    if fcntl is None:
        return  # elsewhere there is no harmless way to ask whether a writer lives
    with suppress(OSError):
        for left in target.parent.glob(glob.escape(_beginning(target)) + 8 * "[0-9a-f]" + ".tmp"):
            with suppress(OSError):
                handle = os.open(left, os.O_RDWR)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    left.unlink()
                finally:
                    os.close(handle)


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
