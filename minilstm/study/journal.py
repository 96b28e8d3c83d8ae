"""The study's folder: config.json says which study it is, results.jsonl has a line per finished point.

A line is appended and brought to the disk when its point is finished, so no finished point is ever lost.
The same settings take up where the last run stopped; other settings are refused, and so is a second
run while the first is at work.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import minilstm
from minilstm.foundations import files
from minilstm.study.plan import DIMENSIONS, GENERATED, Point, Settings
from minilstm.study.point import Record
from minilstm.study.shapes import checked_point, checked_settings, checked_times, strict_json
from minilstm.study.source import Source

Key = TypeVar("Key")

Timed = tuple[Any, ...]  # a length, and the dimensions of a variant but that of its labels

FORMAT = 2
CONFIG, RESULTS, TIMES, LOCK = "config.json", "results.jsonl", "times.jsonl", ".lock"
MARK = "study"  # of a record, with the mark of the study that it belongs to
TIMED = ("length", *DIMENSIONS[:-1])
OTHERS = ("results.csv", "summary.json", "report.html", "figures")
MODEL = "model.npz"
PREPARATION = "preparation.npz"
PACKAGES = ("numpy", "numba", "matplotlib")


class Journal:
    """The records of finished points, in a folder; or in memory alone, without one.

    A context manager: while it is open, no other run can write to the folder.
    """

    def __init__(
        self, settings: Settings, config: dict[str, Any], folder: str | os.PathLike[str] | None = None
    ) -> None:
        """Open `folder` for these settings, and read what is finished there.

        Raises ValueError (another study's settings, a damaged file) or OSError (among them
        BlockingIOError: another run is at work there); nothing was changed then.
        """
        self.settings = settings
        self.config = config
        self.folder = None if folder is None else Path(folder)
        self.records: dict[Point, Record] = {}
        self.times: dict[Timed, Record] = {}
        self._lock: int | None = None
        if self.folder is not None:
            _check_folder(self.folder)
            _check_files(self.folder)
            self._lock = _lock(self.folder)
            try:
                self._open(self.folder)
            except BaseException:
                self.close()
                raise

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> Journal:
        """The study that is in `folder`, to be looked at only: no lock, and nothing is changed.

        Raises ValueError or OSError where there is none, or a damaged one.
        """
        _check_files(Path(folder))
        config = _read_config(Path(folder) / CONFIG)
        settings = checked_settings(config)
        planned = settings.points()
        journal = cls(settings, config)
        journal.folder = Path(folder)
        journal.records = _read(Path(folder) / RESULTS, planned, mark(config), mend=False)
        journal.times = _read_times(Path(folder) / TIMES, mark(config))
        return journal

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let others write to the folder."""
        if self._lock is not None and self.folder is not None:
            _unlock(self.folder, self._lock)
            self._lock = None

    def _open(self, folder: Path) -> None:
        if (folder / CONFIG).exists():
            self.config = _same_study(folder / CONFIG, self.config)
        else:
            taken = [
                name for name in (RESULTS, TIMES, MODEL, PREPARATION, *OTHERS) if (folder / name).exists()
            ]
            if taken:
                raise ValueError(f"{folder} holds {taken[0]}, but no {CONFIG} of a study it could belong to")
            files.write_text(folder / CONFIG, to_json(self.config))
        self.records = _read(folder / RESULTS, self.settings.points(), mark(self.config), mend=True)
        if os.path.lexists(folder / RESULTS):  # a link that leads nowhere too
            with (folder / RESULTS).open("ab"):
                pass  # that it can be written is known before anything is trained
        self.times = _read_times(folder / TIMES, mark(self.config))

    @property
    def missing(self) -> list[Point]:
        """The points that are not finished, in the order of the plan."""
        return [point for point in self.settings.points() if point not in self.records]

    def add(self, point: Point, record: Record) -> None:
        """Keep a finished point; it is on the disk when this returns."""
        if self.folder is not None:
            line = json.dumps(record | {MARK: mark(self.config)}, allow_nan=False)
            files.append_line(self.folder / RESULTS, line)
        self.records[point] = record

    def keep_times(self, times: dict[Timed, Record]) -> None:
        """Keep what `timing` has measured, in place of what was there."""
        self.times = times
        if self.folder is not None:
            own = {MARK: mark(self.config)}
            lines = [dict(zip(TIMED, key, strict=True)) | record | own for key, record in times.items()]
            text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
            files.write_text(self.folder / TIMES, text)


# ------------------------------------------------------------ what a study is


OF_THE_LONGEST = " (This is the longest; each length has data of its own.)"


def config(settings: Settings, source: Source) -> dict[str, Any]:
    """What config.json holds: the settings, the data, and what the results were made with."""
    data = source.at(settings.lengths[-1])
    each = settings.task in GENERATED
    return {
        "minilstm_study": FORMAT,
        "settings": settings.to_dict(),
        "data": {
            "name": data.name,
            "description": data.description + (OF_THE_LONGEST if each else ""),
            "source": data.source,
            "checksums": {
                str(length): source.at(length).checksum
                for length in (settings.lengths if each else settings.lengths[-1:])
            },
            "sizes": {name: len(getattr(data, name).x) for name in ("train", "validation", "test")},
            "labels": list(data.labels),
            "remarks": list(data.remarks),
            **({} if data.alone is None else {"alone": data.alone._asdict()}),
            "options": list(source.options),
        },
        "versions": {"minilstm": minilstm.__version__, "python": platform.python_version()}
        | {name: package_version(name) for name in PACKAGES},
        "platform": {
            "system": platform.platform(),
            "machine": platform.machine(),
            "processors": os.cpu_count(),
        },
    }


def package_version(name: str) -> str:
    """Version of an installed distribution, or "not installed"."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def to_json(value: Any) -> str:
    """Strictly valid JSON, indented, with a line end."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def _read_config(path: Path) -> dict[str, Any]:
    try:
        found = strict_json(files.read_bytes(path).decode("utf-8-sig"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path.parent} holds no study: there is no {path.name}") from None
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(found, dict) or "minilstm_study" not in found:
        raise ValueError(f"{path} is not the {CONFIG} of a study; choose another folder")
    if found["minilstm_study"] != FORMAT:
        raise ValueError(
            f"{path} was written by another version of minilstm (format {found['minilstm_study']!r:.20}, "
            f"this one reads {FORMAT}); choose another folder"
        )
    try:
        checked_settings(found)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    return found


def _same_study(path: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """The config at `path`; ValueError if it is not that of the wanted study."""
    found = _read_config(path)
    before, after = _identity(found), _identity(wanted)
    keys = [key for key in [*after, *before] if before.get(key) != after.get(key)]
    if keys:
        names = [key for key in dict.fromkeys(keys) if key != "data"] or ["data"]  # settings decide the data
        what = "; ".join(f"{key} was {plain(before.get(key))}, now {plain(after.get(key))}" for key in names)
        advice = "choose another folder with --out, or remove this one"
        raise ValueError(f"{path.parent} holds a study with other settings: {what}; {advice}")
    return found


def plain(value: Any) -> str:
    """A setting in words."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _identity(config: dict[str, Any]) -> dict[str, Any]:
    """What must be equal for two runs to be one study."""
    settings, data, versions = (_dict(config.get(key)) for key in ("settings", "data", "versions"))
    return settings | {"data": data.get("checksums"), "minilstm": versions.get("minilstm")}


def mark(config: dict[str, Any]) -> str:
    """Of the study that a config describes; it stands in each record."""
    identity = json.dumps(_identity(config), sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


# ------------------------------------------------------------ the lines


def _read(path: Path, planned: list[Point], own: str, mend: bool) -> dict[Point, Record]:
    """The finished points in `path`, without their study's mark, which must be `own`: see `read_lines`."""
    known = {point: point for point in planned}

    def point_of(record: Record) -> Point:
        point = checked_point(record)
        if point not in known or repr(point) != repr(known[point]):  # 1 is not True
            raise ValueError(f"{point} is not part of this study")
        _unmark(record, own)
        return point

    return read_lines(path, point_of, mend)


def _unmark(record: Record, own: str) -> None:
    """Take the mark of its study out of a record; ValueError where that is another than `own`."""
    if record.pop(MARK, own) != own:  # records of older versions have none
        raise ValueError(f"it belongs to another study than {CONFIG} describes")


def _read_times(path: Path, own: str) -> dict[Timed, Record]:
    def key_of(record: Record) -> Timed:
        checked_times(record, TIMED)
        _unmark(record, own)
        return tuple(record[name] for name in TIMED)

    return read_lines(path, key_of, mend=False)


def read_lines(path: Path, key_of: Callable[[Record], Key], mend: bool) -> dict[Key, Record]:
    """The records in `path`, one a line, by their keys; of several with one key the first, after a warning.

    A last line that was torn as it was written is dropped with a warning (and cut off to `mend`). Other
    damage, and a record of which `key_of` raises a ValueError, KeyError or TypeError, is a ValueError.
    """
    try:
        data = files.read_bytes(path)
    except FileNotFoundError:
        return {}
    found: dict[Key, Record] = {}
    again: list[int] = []
    whole = 0  # bytes
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        ended = line.endswith((b"\n", b"\r"))
        try:
            record = strict_json(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            key = key_of(record)
        except (ValueError, KeyError, TypeError) as error:
            if not ended and _torn(line):
                break
            raise ValueError(f"{path}:{number} is damaged: {error}") from None
        if found.setdefault(key, record) is not record:
            again.append(number)
        whole += len(line)
    if again:
        repeated = f"{path}:{again[0]} is of a model that stands above it already"
        more = f", and so are {len(again) - 1} more lines" if len(again) > 1 else ""
        warnings.warn(f"{repeated}{more}; the first record of a model counts", UserWarning, stacklevel=2)
    if whole < len(data):
        then = "its model is trained again" if mend else "it is left out"
        warnings.warn(f"the last line of {path} is torn; {then}", UserWarning, stacklevel=2)
    if mend and whole < len(data):
        os.truncate(path, whole)
    elif mend and data and not ended:  # an editor left the last line without its end
        files.append_line(path, "")
    return found


def _torn(line: bytes) -> bool:
    """Whether this is the beginning of a record, or what a file system puts in the place of one: zeros."""
    try:
        strict_json(line)
    except ValueError:
        return line.startswith(b"{") or not line.strip(b"\0")
    return False


# ------------------------------------------------------------ one run at a time


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make `folder` if it is not there, and keep other runs out of it meanwhile; an OSError if that fails."""
    _check_folder(folder)
    handle = _lock(folder)
    try:
        yield
    finally:
        if handle is not None:
            _unlock(folder, handle)


def _check_folder(folder: Path) -> None:
    if not folder.exists():
        try:
            folder.mkdir()
        except FileNotFoundError:
            raise FileNotFoundError(f"the folder above {folder} does not exist") from None
        except FileExistsError:
            raise NotADirectoryError(f"{folder} is a link that leads nowhere") from None
    elif not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; --out must be a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder} is not writable")


def _check_files(folder: Path) -> None:
    """OSError where a file of a study is a pipe, a device or a folder: known before anything is trained."""
    names = (
        CONFIG,
        RESULTS,
        TIMES,
        LOCK,
        MODEL,
        PREPARATION,
        *(name for name in OTHERS if name != "figures"),
    )
    drawn = (path for path in (folder / "figures").glob("*") if not path.is_dir())
    for path in (*(folder / name for name in names), *drawn):
        with suppress(FileNotFoundError):
            files.check_regular(path)


def _lock(folder: Path) -> int | None:
    """Lock the folder for this process; the system lets go of the lock however the process ends.

    The file says who holds it. None where the system has no such locks.
    """
    try:
        import fcntl
    except ModuleNotFoundError:  # not POSIX
        return None
    path = folder / LOCK
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)  # not what a link leads to
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(handle, 300).decode("utf-8", "replace").strip()
            os.close(handle)
            raise BlockingIOError(f"{folder} is in use by another run ({owner or 'just started'})") from None
        except OSError:  # a file system without locks
            os.close(handle)
            return None
        if _same_file(handle, path):
            break
        os.close(handle)  # its last owner has just removed it: take the new one
    with suppress(OSError):  # a full disk: whoever holds it then stays unnamed
        os.truncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
    return handle


def _same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _unlock(folder: Path, handle: int) -> None:
    (folder / LOCK).unlink(missing_ok=True)
    os.close(handle)
