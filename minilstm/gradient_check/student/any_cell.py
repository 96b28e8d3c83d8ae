"""check_step of a cell that `minilstm.cell` made: its contract's two functions, block by block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minilstm.cells import UserCell, checks, making
from minilstm.gradient_check.report import AXES, Comparison, Report

ROUNDING = 1e-14  # of the chain rule, in units of the largest entry of all that one gradient gives


def check_cell(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    cell: UserCell,
    batch: int,
    units: int,
    seed: int,
    tolerance: float,
) -> Report:
    """A backward beside the derivatives of a forward with the gates and states of `cell`."""
    report = Report([], "the complex step", tolerance)
    try:
        made = making.make(
            cell.name, forward, gates=cell.gates, states=cell.states, kept=cell.own, p=cell.rows
        )
        parts = checks.Names(cell.gates, cell.states, cell.own, cell.rows)
        case = checks.draw(checks.checked(forward, parts), parts, seed, batch, units)
        for state, pairs in checks.beside(backward, forward, parts, made.structure, case):
            bound = ROUNDING * max(np.abs(right).max(initial=0) for _, _, right in pairs)
            report.comparisons += [
                Comparison(
                    f"{label}, from d{state}",
                    np.asarray(got),
                    right,
                    np.ones(right.shape, bool),
                    AXES["state"][-right.ndim :],
                    bound=bound,
                )
                for label, got, right in pairs
            ]
    except ValueError as error:  # the functions' fault
        report.fault, report.exception = f"{error}.", error.__cause__
        return report
    states, _ = forward(*case.copy())
    own, _ = cell.function(*case.copy())
    differ = [n for n, a, b in zip(cell.states, states, own, strict=True) if not np.allclose(a, b, 1e-12, 0)]
    if differ:
        report.notes.append(f"forward gives another {', '.join(differ)} than that of the cell {cell.name!r}")
    return report
