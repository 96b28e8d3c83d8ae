"""Cells beyond the lesson, and how a user makes one of a function: `cell`.

    making      cell: from a function to a cell;  checks: what does not fit
    dual        a step evaluated once for the derivatives by all that goes in;  local: these derivatives
    followed    arrays that tell where a state is made, for functions that dual does not know
    symbols     a step followed once as a graph;  program: the graph as text, to be compiled
    user        the cell that comes of it, in the contract of `bptt.cell`
    activations     by name: of the lesson's cells with others than their own, and of other layers

and a set of cells made like a user's own, each with its equations and source: `get("mgu")`, or `cells.MGU`.
"""

from __future__ import annotations

from importlib import import_module

from minilstm.cells.making import cell
from minilstm.cells.user import KNOWN, SET, UserCell, with_state
from minilstm.foundations.errors import one_of

__all__ = ["KNOWN", "SET", "UserCell", "cell", "get", "with_state"]


def get(name: str) -> UserCell:
    """The cell of that name in this folder.

    >>> get("min_gru").recurrent  # its gates do not see the state
    False
    """
    name = one_of("cell", name, SET)
    found: UserCell = vars(import_module(f"minilstm.cells.{name}"))[name.upper()]
    return found


def __getattr__(name: str) -> UserCell:
    if name.isupper() and name.lower() in SET:
        return get(name.lower())
    raise AttributeError(f"module 'minilstm.cells' has no attribute {name!r}")
