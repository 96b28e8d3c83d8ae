"""Recurrent layers by name: the package's own, their variants, the cells of `minilstm.cells`, a user's file.

A user's cell is named by its file and the name in it, "path/to/my_cell.py:name"; the file is run.
"""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from minilstm import cells
from minilstm.cells import UserCell
from minilstm.foundations.errors import shown, wording
from minilstm.initializers import Identity
from minilstm.layers.gru import GRU
from minilstm.layers.lstm import LSTM
from minilstm.layers.recurrent import Recurrent
from minilstm.layers.rnn import RNN
from minilstm.layers.simple_rnn import SimpleRNN

KINDS: dict[str, Callable[..., Recurrent]] = {
    "lstm": LSTM,
    "gru": GRU,
    "simple_rnn": SimpleRNN,
    "lstm_coupled": partial(LSTM, forget_gate="coupled", backend="numpy"),
    "lstm_peepholes": partial(LSTM, peepholes=True, backend="numpy"),
    "lstm_no_forget": partial(LSTM, forget_gate="none", backend="numpy"),
    "irnn": partial(SimpleRNN, activation="relu", recurrent_initializer=Identity(), backend="numpy"),
    **{name: partial(RNN, name) for name in cells.SET},
}
HANDED_OVER: dict[str, UserCell] = {}  # to a study, as objects: no other process knows them
IN_FILE = re.compile(r"(?P<path>.+\.py):(?P<name>[A-Za-z_]\w*)")


def is_kind(value: object) -> bool:
    """Whether `value` reads like the name of a kind; no file is looked at.

    >>> is_kind("mgu"), is_kind("cells/mine.py:leaky"), is_kind("mine")
    (True, True, False)
    """
    return isinstance(value, str) and (
        value in KINDS or value in HANDED_OVER or IN_FILE.fullmatch(value) is not None
    )


def kind_of(cell: UserCell, argument: str = "rnn") -> str:
    """The name by which this process knows a cell that was handed over as an object.

    >>> kind_of(cells.MGU)
    'mgu'
    """
    if cell.name in cells.SET and cells.get(cell.name) == cell:
        return cell.name
    if is_kind(cell.name) and cell.name not in HANDED_OVER:
        raise ValueError(wording(argument, "a cell whose name is no other layer's", shown(cell.name)))
    HANDED_OVER[cell.name] = cell
    return cell.name


def maker_of(kind: str | UserCell, argument: str = "rnn") -> Callable[..., Recurrent]:
    """What makes a layer of that kind from `units` and the options of `Recurrent`.

    >>> maker_of("irnn")(4).cell.activation
    'relu'
    """
    if isinstance(kind, UserCell):
        return partial(RNN, kind)
    if not is_kind(kind):
        expected = f"{', '.join(KINDS)}, or a cell in a file, as path/to/my_cell.py:name"
        raise ValueError(wording(argument, expected, shown(kind)))
    if kind in KINDS:
        return KINDS[kind]
    return partial(RNN, HANDED_OVER[kind] if kind in HANDED_OVER else _from_file(kind, argument))


def label(kind: str) -> str:
    """A short name: of a cell in a file, the name that it has there."""
    found = IN_FILE.fullmatch(kind)
    return found["name"] if found and kind not in KINDS else kind


def cells_in(kind: str | None, argument: str) -> dict[str, UserCell]:
    """The `cells` of `load_model` from the shell: the one in a file, path/to/my_cell.py:name, or none."""
    if kind is None:
        return {}
    if IN_FILE.fullmatch(kind) is None:
        raise ValueError(wording(argument, "a cell in a file, as path/to/my_cell.py:name", shown(kind)))
    cell = _from_file(kind, argument)
    return {cell.name: cell}


@cache
def _from_file(kind: str, argument: str) -> UserCell:
    found = IN_FILE.fullmatch(kind)
    assert found is not None  # is_kind
    path, name = Path(found["path"]), found["name"]
    if not path.is_file():
        raise ValueError(wording(argument, "a cell in a Python file", f"{path}, which is no file"))
    try:
        names = runpy.run_path(str(path))
    except Exception as error:
        raise ValueError(
            wording(argument, f"a cell in {path}", f"{type(error).__name__}: {error}")
        ) from error
    if not isinstance(names.get(name), UserCell):
        there = ", ".join(key for key, value in names.items() if isinstance(value, UserCell)) or "none"
        raise ValueError(
            wording(argument, f"a cell that {path} makes by minilstm.cell ({there})", shown(name))
        )
    cell: UserCell = names[name]
    return cell
