"""The study's folder: config.json says which study it is, results.jsonl has a line per finished cell.

A line is appended and brought to the disk when its cell is finished, so no finished cell is ever lost.
The same settings take up where the last run stopped; other settings are refused. It is not a lock:
two runs must not share a folder.
"""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import minilstm
from minilstm import files
from minilstm.study.cell import Record
from minilstm.study.plan import Cell, Settings

FORMAT = 1
CONFIG, RESULTS = "config.json", "results.jsonl"
OTHERS = ("results.csv", "summary.json", "report.html", "figures")
PACKAGES = ("numpy", "numba", "scipy", "matplotlib", "threadpoolctl")


class Journal:
    """The records of finished cells, in a folder; or in memory alone, without one."""

    def __init__(self, settings: Settings, folder: str | os.PathLike[str] | None = None) -> None:
        """Open `folder` for these settings, and read what is finished there.

        Raises ValueError (another study's settings, a damaged file) or OSError; nothing was changed then.
        """
        self.settings = settings
        self.folder = None if folder is None else Path(folder)
        self.config: dict[str, Any] = config(settings)
        self.records: dict[Cell, Record] = {}
        if self.folder is not None:
            self._open(self.folder)

    def _open(self, folder: Path) -> None:
        if not folder.exists():
            try:
                folder.mkdir()
            except FileNotFoundError:
                raise FileNotFoundError(f"the folder above {folder} does not exist") from None
        elif not folder.is_dir():
            raise NotADirectoryError(f"{folder} is a file; --out must be a folder")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(f"{folder} is not writable")
        if (folder / CONFIG).exists():
            self.config = _same_study(folder / CONFIG, self.config)
        else:
            taken = [name for name in (RESULTS, *OTHERS) if (folder / name).exists()]
            if taken:
                raise ValueError(f"{folder} holds {taken[0]}, but no {CONFIG} of a study it could belong to")
            files.write_text(folder / CONFIG, to_json(self.config))
        self.records = _read(folder / RESULTS, self.settings)

    @property
    def missing(self) -> list[Cell]:
        """The cells that are not finished, in the order of the plan."""
        return [cell for cell in self.settings.cells() if cell not in self.records]

    def add(self, cell: Cell, record: Record) -> None:
        """Keep a finished cell; it is on the disk when this returns."""
        if self.folder is not None:
            files.append_line(self.folder / RESULTS, json.dumps(record, allow_nan=False))
        self.records[cell] = record


def config(settings: Settings) -> dict[str, Any]:
    """What config.json holds: the settings, the data, and what the results were made with."""
    data = settings.data(settings.lengths[-1])
    return {
        "minilstm_study": FORMAT,
        "settings": settings.to_dict(),
        "data": {
            "name": data.name,
            "description": data.description if settings.task == "digits" else _each_length(data.description),
            "source": data.source,
            "checksums": {
                str(length): settings.data(length).checksum
                for length in (settings.lengths[-1:] if settings.task == "digits" else settings.lengths)
            },
            "sizes": {name: len(getattr(data, name).x) for name in ("train", "validation", "test")},
        },
        "versions": {"minilstm": minilstm.__version__, "python": platform.python_version()}
        | {name: package_version(name) for name in PACKAGES},
        "platform": {
            "system": platform.platform(),
            "machine": platform.machine(),
            "processors": os.cpu_count(),
            "threads_per_cell": 1,
        },
    }


def _each_length(description: str) -> str:
    return f"{description} (This is the longest; each length has data of its own.)"


def package_version(name: str) -> str:
    """Version of an installed distribution, or "not installed"."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def to_json(value: Any) -> str:
    """Strictly valid JSON, indented, with a line end."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def _same_study(path: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """The config at `path`; ValueError if it is not that of the wanted study."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(found, dict) or found.get("minilstm_study") != FORMAT:
        raise ValueError(f"{path} is not the {CONFIG} of a study; choose another folder")
    before, after = _identity(found), _identity(wanted)
    keys = [key for key in [*after, *before] if before.get(key) != after.get(key)]
    if keys:
        names = [key for key in dict.fromkeys(keys) if key != "data"] or ["data"]  # settings decide the data
        what = "; ".join(f"{key} was {before.get(key)}, now {after.get(key)}" for key in names)
        advice = "choose another folder with --out, or remove this one"
        raise ValueError(f"{path.parent} holds a study with other settings: {what}; {advice}")
    return found


def _identity(config: dict[str, Any]) -> dict[str, Any]:
    """What must be equal for two runs to be one study."""
    settings, data, versions = (_dict(config.get(key)) for key in ("settings", "data", "versions"))
    return settings | {"data": data.get("checksums"), "minilstm": versions.get("minilstm")}


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _read(path: Path, settings: Settings) -> dict[Cell, Record]:
    """The finished cells in `path`. A torn last line is cut off; other damage is a ValueError."""
    if not path.exists():
        return {}
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    planned = set(settings.cells())
    found: dict[Cell, Record] = {}
    for number, line in enumerate(data[:whole].splitlines(), 1):
        try:
            record = json.loads(line)
            cell = Cell(record["length"], record["mask"], record["seed"])
            if cell not in planned:
                raise ValueError(f"{cell} is not part of this study")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}:{number} is damaged: {error}") from None
        found.setdefault(cell, record)
    if whole < len(data):
        os.truncate(path, whole)
    return found
