"""What a gradient check found: not a boolean, but where, by how much, and what it looks like.

A `Comparison` holds one tensor as the backward pass gave it and as the numbers say it must be; a
`Report` holds all of them, with a verdict in words. Nothing here computes a derivative.

An error is |analytic - numeric| divided by the largest numeric entry of the same tensor, and of the
same time step where a tensor has time steps: a gradient of 1e-200 is held to the same digits as one
of 1. Absolute tolerances, which pass any gradient that has vanished, do not exist here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from minilstm.foundations import notebook
from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import real_number, whole_number, wording
from minilstm.foundations.tables import in_columns

FLOOR = 1e-270  # derivatives below it are not judged: 1e-30 times that nears the end of float64
AXES = {
    "weight": ("row", "column"),
    "bias": ("column",),
    "state": ("sample", "unit"),
    "steps": ("sample", "step", "feature"),
    "states": ("sample", "step", "unit"),
}


class Stage(IntEnum):
    """How far a try of hand-written functions came: the further, the likelier they were meant so."""

    WEIGHTS = 0  # the names of an object's weights do not tell which they are
    FORWARD = 1  # forward takes something else, or raised
    OUTPUTS = 2  # it returned something else
    BACKWARD = 3  # backward takes something else, or raised
    GRADIENTS = 4  # it returned something else


class Entry(NamedTuple):
    """One entry of one tensor: what backward gave, what the numbers say, and how far apart they are."""

    tensor: str
    place: tuple[int, ...]
    gate: str | None
    step: int | None
    analytic: float
    numeric: float
    error: float

    @property
    def ratio(self) -> float:
        """analytic / numeric; nan where numeric is 0."""
        return self.analytic / self.numeric if self.numeric else math.nan


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """One tensor, analytic beside numeric.

    analytic : what the backward pass gave;  numeric : the same by perturbation, of the same shape;
    checked : bool, the entries that were perturbed;  bound : absolute error bound of `numeric` (0 for
    the complex step);  axes : what each axis counts;  gates : blocks of the last axis, () where none.
    """

    name: str
    analytic: Array
    numeric: Array
    checked: Array
    axes: tuple[str, ...]
    gates: tuple[str, ...] = ()
    bound: Array | float = 0.0

    def __repr__(self) -> str:
        checked = f"{self.counted} of {self.numeric.size}"
        return f"<Comparison of {self.name}: {checked}, max error {self.max_error:.1e}>"

    @property
    def time_axis(self) -> int | None:
        return self.axes.index("step") if "step" in self.axes else None

    @cached_property
    def scale(self) -> Array:
        """The largest checked numeric entry, of each time step where there are steps; keeps its axes."""
        size = np.where(self.checked, np.abs(self.numeric), 0.0)
        axes = tuple(k for k in range(size.ndim) if k != self.time_axis)
        found: Array = size.max(axis=axes, keepdims=True, initial=0.0)
        return found

    @cached_property
    def distance(self) -> Array:
        """|analytic - numeric| beyond the error bound of `numeric`; NaN where backward gave no number."""
        with np.errstate(invalid="ignore", over="ignore"):
            found: Array = np.maximum(np.abs(self.analytic - self.numeric) - self.bound, 0.0)
        unseen = (np.abs(self.analytic) < FLOOR) & (np.abs(self.numeric) < FLOOR)
        return np.where(unseen, 0.0, found)

    @cached_property
    def errors(self) -> Array:
        """The error of each entry (see the top of this file): 0 where it was not checked, inf where the
        numbers say 0 and backward does not, or where backward gave NaN or Inf."""
        with np.errstate(divide="ignore", invalid="ignore"):
            error = self.distance / self.scale
        error = np.where(self.distance == 0, 0.0, error)
        return np.where(self.checked, np.where(np.isnan(error), np.inf, error), 0.0)

    @cached_property
    def max_error(self) -> float:
        return float(self.errors.max(initial=0.0))

    @property
    def counted(self) -> int:
        return int(self.checked.sum())

    @cached_property
    def blind(self) -> int:
        """Checked entries that the method cannot see: smaller than its own error bound, but not 0."""
        return int((self.checked & (np.abs(self.numeric) < self.bound) & (self.analytic != 0)).sum())

    def elementwise(self, step: int | None = None) -> float:
        """The largest |analytic / numeric - 1| of the checked entries, of one time step if given.

        Stricter than an error: every entry is held against itself, not against the largest.
        """
        steps = self.by_step()
        if step is not None and whole_number("step", step, 0) >= (0 if steps is None else len(steps)):
            expected = "None: there are no time steps" if steps is None else f"a time step below {len(steps)}"
            raise ValueError(wording("step", expected, step))
        at = (slice(None),) * (self.time_axis or 0) + (slice(None) if step is None else step,)
        checked, analytic, numeric = self.checked[at], self.analytic[at], self.numeric[at]
        checked = checked & ~((np.abs(analytic) < FLOOR) & (np.abs(numeric) < FLOOR))
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.abs(analytic[checked] / numeric[checked] - 1)
        return float(np.where(np.isnan(found), np.inf, found).max(initial=0.0))

    def norm_error(self) -> Array:
        """|norm of analytic / norm of numeric - 1| of every time step, over the checked entries: (T,)."""
        axes = tuple(k for k in range(self.numeric.ndim) if k != self.time_axis)
        scale = np.where(self.scale > 0, self.scale, 1.0)
        norms = [
            np.sqrt((np.where(self.checked, part / scale, 0.0) ** 2).sum(axis=axes))
            for part in (self.analytic, self.numeric)
        ]
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.abs(norms[0] / norms[1] - 1)
        return np.where(norms[0] == norms[1], 0.0, np.where(np.isnan(found), np.inf, found))

    def by_step(self) -> Array | None:
        """The worst error of every time step, (T,); None where the tensor has no steps."""
        if self.time_axis is None:
            return None
        axes = tuple(k for k in range(self.errors.ndim) if k != self.time_axis)
        found: Array = self.errors.max(axis=axes, initial=0.0)
        return found

    def by_gate(self) -> dict[str, float]:
        """The worst error of every gate's block; empty where the tensor has no gates."""
        blocks = np.split(self.errors, len(self.gates), axis=-1) if self.gates else []
        return {g: float(block.max(initial=0.0)) for g, block in zip(self.gates, blocks, strict=True)}

    def entry(self, index: tuple[int, ...]) -> Entry:
        gate = None
        if self.gates:
            gate = self.gates[index[-1] // (self.numeric.shape[-1] // len(self.gates))]
        return Entry(
            self.name,
            index,
            gate,
            None if self.time_axis is None else index[self.time_axis],
            float(self.analytic[index]),
            float(self.numeric[index]),
            float(self.errors[index]),
        )

    def worst(self) -> Entry | None:
        if not self.counted:
            return None
        ranks = np.where(self.checked, self.errors, -1.0)
        return self.entry(tuple(int(k) for k in np.unravel_index(ranks.argmax(), ranks.shape)))

    def first_wrong(self, tolerance: float) -> Entry | None:
        """The wrong entry that the backward pass meets first: of the latest wrong step, the first."""
        wrong = np.argwhere(self.errors > real_number("tolerance", tolerance))
        if not len(wrong):
            return None
        if self.time_axis is not None:
            wrong = wrong[wrong[:, self.time_axis] == wrong[:, self.time_axis].max()]
        return self.entry(tuple(int(k) for k in wrong[0]))

    def to_dict(self, tolerance: float) -> dict[str, Any]:
        steps = self.by_step()
        return {
            "tensor": self.name,
            "shape": list(self.numeric.shape),
            "entries": int(self.numeric.size),
            "checked": self.counted,
            "below_what_the_method_sees": self.blind,
            "max_error": _number(self.max_error),
            "ok": self.max_error <= real_number("tolerance", tolerance),
            "by_gate": {gate: _number(error) for gate, error in self.by_gate().items()},
            "by_step": None if steps is None else [_number(error) for error in steps],
            "worst": _entry_dict(self.worst()),
        }


HEAD = ("tensor", "checked", "max error", "gate", "step", "analytic", "numeric", "ratio")


@dataclass(eq=False, repr=False)
class Report:
    """What `gradcheck`, `check_step` and `check_sequence` return.

    comparisons : the tensors;  method : how the numbers were made;  tolerance : the largest error that
    passes;  notes : what the reader must know;  causes : what is likely wrong, in words, the likeliest first;
    fault : why nothing could be compared, in words; None otherwise;  hygiene : what is not wrong but unwise,
    such as inputs changed in place;  forward : hand-written outputs beside this package's;  lawful : whether
    backward is linear in what it is given;  strict : whether hygiene and forward count;  adapters : where
    there is a fault, those with which the functions could be called, the outermost first;  stage : how far
    the functions came, where there is a fault;  known : whether forward is a known form of the cell.
    """

    comparisons: list[Comparison]
    method: str
    tolerance: float
    notes: list[str] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)
    fault: str | None = None
    exception: BaseException | None = None
    hygiene: list[str] = field(default_factory=list)
    forward: list[Comparison] = field(default_factory=list)
    lawful: bool = True
    strict: bool = False
    adapters: tuple[str, ...] = ()
    stage: Stage | None = None
    known: bool = True

    @property
    def right(self) -> bool:
        """Whether every checked gradient is right, and there was something to check."""
        right = all(one.max_error <= self.tolerance for one in self.comparisons)
        return right and self.fault is None and self.lawful and any(c.counted for c in self.comparisons)

    @property
    def ok(self) -> bool:
        """Whether the gradients are right; with `strict`, whether nothing else is to be said either."""
        return self.right and not (self.strict and (self.hygiene or self._other_forward))

    @property
    def _other_forward(self) -> list[str]:
        return [one.name for one in self.forward if not one.max_error <= self.tolerance]

    @property
    def max_error(self) -> float:
        """The largest error; inf if nothing could be compared."""
        errors = [one.max_error for one in self.comparisons]
        return math.inf if self.fault is not None else max(errors, default=math.inf)

    @property
    def worst(self) -> Entry | None:
        """The entry with the largest error."""
        entries = [entry for one in self.comparisons if (entry := one.worst()) is not None]
        return max(entries, key=lambda entry: entry.error, default=None)

    def __getitem__(self, name: str) -> Comparison:
        """The comparison of that tensor; KeyError with the known names otherwise."""
        for one in self.comparisons:
            if one.name == name:
                return one
        raise KeyError(f"tensor must be one of {[one.name for one in self.comparisons]}, got {name!r}")

    @property
    def wrong(self) -> list[Comparison]:
        """The tensors with an error above the tolerance."""
        return [one for one in self.comparisons if not one.max_error <= self.tolerance]

    @property
    def verdict(self) -> str:
        """The finding in words."""
        if self.fault is not None:
            return self.fault
        if self.right:
            strictly = [f"{name} differs" for name in self._other_forward] + self.hygiene
            return self._praise() + ("" if self.ok else f" But strictly: {'; '.join(strictly)}.")
        lines = [f"Likely cause: {cause}." for cause in self.causes]
        if not self.wrong:
            return "\n".join(lines or ["Nothing was checked."])
        right = [one.name for one in self.comparisons if one.max_error <= self.tolerance]
        wrong = ", ".join(one.name for one in self.wrong)
        lines.insert(0, f"Wrong: {wrong}." + (f" Right: {', '.join(right)}." if right else ""))
        lines.extend(_where(one, self.tolerance) for one in self.wrong)
        return "\n".join(lines)

    def _praise(self) -> str:
        counted = sum(one.counted for one in self.comparisons)
        size = sum(one.numeric.size for one in self.comparisons)
        worst, blind = self.worst, sum(one.blind for one in self.comparisons)
        text = f"Every gradient holds: {counted} of {size} entries, largest error {self.max_error:.1e}"
        if worst is not None and worst.error > 0:
            text += f" ({worst.tensor}" + (f", step {worst.step})" if worst.step is not None else ")")
        text += "."
        if blind:
            text += f" {blind} entries are smaller than what {self.method} can see: of those it says nothing."
        return text

    def __repr__(self) -> str:
        wrong = f", wrong: {', '.join(one.name for one in self.wrong)}" if self.wrong else ""
        cause = f", cause: {self.causes[0]}" if self.causes else ""
        return f"<Report: {'ok' if self.ok else 'NOT ok'}, max error {self.max_error:.1e}{wrong}{cause}>"

    def __str__(self) -> str:
        table = in_columns([HEAD, *self._table()], left=len(HEAD)) if self.comparisons else []
        return "\n".join([self._title(), *table, *self._said(), self.verdict])

    def _repr_html_(self) -> str:
        table = [notebook.table(HEAD, self._table())] if self.comparisons else []
        return notebook.block(self._title(), *table, *self._said(), *self.verdict.splitlines())

    def _title(self) -> str:
        return f"gradient check by {self.method}, tolerance {self.tolerance:.0e}"

    def _said(self) -> list[str]:
        return [f"Note: {note}." for note in self.notes] + [f"Hygiene: {one}." for one in self.hygiene]

    def _table(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for one in self.comparisons:
            worst = one.worst()
            if worst is None:
                rows.append((one.name, f"0 of {one.numeric.size}", *["-"] * 6))
                continue
            full = one.counted == one.numeric.size
            rows.append(
                (
                    one.name,
                    f"all {one.counted}" if full else f"{one.counted} of {one.numeric.size}",
                    f"{one.max_error:.1e}" + ("" if one.max_error <= self.tolerance else " WRONG"),
                    worst.gate or "-",
                    "-" if worst.step is None else str(worst.step),
                    f"{worst.analytic:.6g}",
                    f"{worst.numeric:.6g}",
                    f"{worst.ratio:.6g}",
                )
            )
        return rows

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON's types; what is not a finite number is None."""
        return {
            "ok": self.ok,
            "verdict": self.verdict,
            "method": self.method,
            "tolerance": self.tolerance,
            "max_error": _number(self.max_error),
            "worst": _entry_dict(self.worst),
            "causes": list(self.causes),
            "notes": list(self.notes),
            "hygiene": list(self.hygiene),
            "fault": self.fault,
            "tensors": [one.to_dict(self.tolerance) for one in self.comparisons],
        }


def _where(one: Comparison, tolerance: float) -> str:
    """Where a tensor is wrong, in a sentence."""
    first = one.first_wrong(tolerance)
    assert first is not None
    text = one.name
    gates = [gate for gate, error in one.by_gate().items() if error > tolerance]
    if 0 < len(gates) < len(one.gates):
        text += f", gate{'s' if len(gates) > 1 else ''} {', '.join(gates)}"
    steps = one.by_step()
    if steps is not None and len(steps) > 1:
        bad = np.nonzero(steps > tolerance)[0]
        last = len(steps) - 1
        back = f"right from step {last} back to {bad[-1] + 1}, wrong at step {bad[-1]}"
        text += f": {back if bad[-1] < last else f'wrong at the last step, {last},'}"
        text += f" ({len(bad)} of {len(steps)} steps are wrong)"
    place = ", ".join(f"{axis} {k}" for axis, k in zip(one.axes, first.place, strict=True))
    text += (
        f". First wrong entry: {place}: backward gives {first.analytic:.9g}, it must be {first.numeric:.9g}"
    )
    return text + (f", ratio {first.ratio:.6g}." if first.numeric else ".")


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _entry_dict(entry: Entry | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    return {
        "tensor": entry.tensor,
        "index": list(entry.place),
        "gate": entry.gate,
        "step": entry.step,
        "analytic": _number(entry.analytic),
        "numeric": _number(entry.numeric),
        "ratio": _number(entry.ratio),
        "error": _number(entry.error),
    }
