"""From wrong gradients to a likely cause, by the strength of the evidence.

First what needs no formula: laws that are broken, where gradients end. Then the known mistakes are
tried: each is run on a short sequence, alone and then together, and named if it gives the student's
wrong gradients to 8 digits, all of them; then those that follow from the formulas. Several are found one
by one on a single step, where what is wrong in one gate does not reach the others, and tried together on
the short sequence. What nothing of this explains is looked at for a pattern: a constant ratio, what is
right at which distance from the loss. If nothing singles a cause out, the two that explain most are told
as such.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.gradient_check.report import Comparison, Report
from minilstm.gradient_check.student import endings, formulas, forwards, laws, mistakes, slips
from minilstm.gradient_check.student.cases import WEIGHTS, Case, Values, draw, in_our_order
from minilstm.gradient_check.student.derivatives import Numbers
from minilstm.gradient_check.student.endings import Wrong
from minilstm.gradient_check.student.exceptions import FunctionError
from minilstm.gradient_check.student.formulas import Table
from minilstm.gradient_check.student.forwards import CLOSE, Known, near
from minilstm.gradient_check.student.functions import Functions
from minilstm.gradient_check.student.laws import Laws
from minilstm.gradient_check.student.shared_mistakes import Mistake

SHORT = 5  # steps of the sequence that known mistakes are tried on
MOST = 4  # mistakes that are looked for together
ALIKE, TRIES = 8, 20  # of those that explain as much as each other; sets of them
Found = dict[str, Array]
Piece = tuple[str, int]  # a tensor, and the number of its gate or step


def causes(
    functions: Functions,
    case: Case,
    losses: Values,
    known: Known | None,
    numbers: dict[str, Numbers],
    obeyed: Laws,
    report: Report,
) -> list[str]:
    """The likely causes in words; nothing where none is recognised."""
    wrong = Wrong(functions, case, losses, numbers, report)
    if functions.changed.keys() & set(WEIGHTS) and _right_for_small(wrong):
        return [
            "weights are updated before dx and dh_prev are formed: backward is right if its updates are small"
        ]
    if obeyed.causes and (obeyed.bent or not report.wrong):
        return obeyed.causes
    ends = endings.lost(wrong) if case.mask is None else None
    if ends:
        return [ends]
    trial = _Trial.of(wrong, known)
    if trial is not None:
        named = trial.causes(wrong)
        if len(named) > 1:
            fewer = trial.one_by_one(wrong)
            named = fewer if 0 < len(fewer) < len(named) else named
        if named:
            return named
    if obeyed.causes:
        return obeyed.causes
    pattern = _ratio_cause(wrong.tensors, case) or _turned(wrong)
    if pattern:
        return [pattern]
    found = trial.one_by_one(wrong) if trial is not None else []
    distance = None if found else endings.by_distance(wrong)
    if found or distance:
        return found or [str(distance)]
    return trial.likeliest() if trial is not None else []


def _right_for_small(wrong: Wrong) -> bool:
    """Whether the gradients of a loss of almost nothing are right."""
    small = 2.0**-40
    found = wrong.functions.gradients(wrong.case.values, laws.scaled(wrong.losses, small))
    return all(
        near(np.asarray(found[name])[n.checked] / small, n.parts.sum(axis=0)[n.checked], 1e-6)
        for name, n in wrong.numbers.items()
    )


# ------------------------------------------------------------------------------ known mistakes


class _Trial:
    """A student's gradients on a short sequence, beside those that known mistakes give."""

    def __init__(self, wrong: Wrong, short: Case, known: Known) -> None:
        functions, spec = wrong.functions, short.spec
        self.known, self.short, self.step = known, short, short.step
        self.close = max(CLOSE, 2000 * functions.precision)
        given = forwards.in_our_form(spec, known, short.values, functions.inputs, short.step)
        self.run = forwards.run(spec, known, given, short.mask)
        self.table = formulas.TABLES[spec.cell] | (known.form.backward or {})
        self.losses = [{name: short.losses[name] for name in wrong.losses}]
        if short.steps > 1 and "h" in wrong.losses:
            last = {**self.losses[0], "h": np.zeros_like(short.losses["h"])}
            last["h"][:, -1] = short.losses["h"][:, -1]
            self.losses.append(last)
        self.student = []
        for loss in self.losses:
            gradients = functions.gradients(short.values, loss, short.mask)
            self.student.append(self._student_s(functions, gradients))
        self.names = set(self.student[0])
        self.right: set[str] = set()  # what the formulas give as they are
        self.scores: list[tuple[int, Mistake]] = []

    @classmethod
    def of(cls, wrong: Wrong, known: Known | None) -> _Trial | None:
        """None where the forward pass is not known well enough, or cannot be run on a short sequence."""
        if known is None or known.form.backward is None or ("c" in wrong.losses and not wrong.case.step):
            return None
        h_known = any(name[0] == "h" for name in known.outputs)
        if not h_known:
            return None
        for steps in (SHORT, wrong.case.steps):  # code may be written for one length only
            trial = cls.on(wrong, known, steps)
            if trial is not None:
                return trial
        return None

    @classmethod
    def on(cls, wrong: Wrong, known: Known, steps: int) -> _Trial | None:
        """On that many steps, or fewer; None where the functions do not take them."""
        with contextlib.suppress(FunctionError):
            return cls(wrong, _shortened(wrong, steps), known)
        return None

    def _student_s(self, functions: Functions, gradients: dict[str, Array | None]) -> Found:
        """The student's gradients, under the names and in the order of `formulas`, time-major."""
        found: Found = {}
        D = self.short.values["x"].shape[-1]
        for name in functions.judged:
            gradient = np.real(np.asarray(gradients[name]))
            if name == "x":
                found["x"] = gradient[None] if self.step else gradient.transpose(1, 0, 2)
            elif name in ("h", "c"):
                found[f"{name}0"] = gradient
            else:
                joined = name in forwards.ROWS
                parts = forwards.parts(self.known.rows, gradient, D) if joined else {name: gradient}
                for weight, part in parts.items():
                    found[weight] = in_our_order(self.short.spec, self.known.order, part)
        return found

    def explained(self, changes: Table) -> set[str]:
        """The tensors whose gradients these changed formulas give, for every loss."""
        right = set(self.names)
        for loss, student in zip(self.losses, self.student, strict=True):
            if not right:
                break
            found = self._tried(changes, loss)
            right &= {n for n in right if near(student[n], found[n], self.close, steps=n == "x")}
        return right

    def _tried(self, changes: Table, loss: Values) -> Found:
        externals = np.zeros(self.run.hs[1:].shape)  # (T, B, H)
        if "h" in loss:
            externals += loss["h"][None] if self.step else loss["h"].transpose(1, 0, 2)
        if "h_last" in loss:
            externals[-1] += loss["h_last"]
        last = loss.get("c_last", loss.get("c"))
        with np.errstate(all="ignore"):
            return formulas.backward(self.table | changes, self.run, externals, last)

    def causes(self, wrong: Wrong) -> list[str]:
        every = self.names
        as_is = self.explained({})
        if as_is == every:
            T = wrong.case.steps
            if T <= SHORT:
                return []
            return [f"right on {SHORT} steps and wrong on {T}: something depends on the length"]
        self.right = as_is
        self.mistakes = [m for m in self._known() if not (self.step and m.over_time)]
        fits, score = [], []
        for mistake in self.mistakes:
            found = self.explained(mistake.formulas)
            if found == every:
                fits.append(mistake)
            elif len(found) > len(as_is):
                score.append((len(found), mistake))
        self.scores = sorted(score, key=lambda pair: -pair[0])
        if fits:
            return [self._worded(fits)]
        return self._several() or self._jacobians(wrong)

    def _jacobians(self, wrong: Wrong) -> list[str]:
        """Whether the Jacobians of the steps are multiplied in the wrong order, or dropped."""
        T = self.short.steps
        if T < 4 or "h" not in wrong.losses or "x" not in wrong.functions.judged:
            return []
        loss = laws.alone({n: self.short.losses[n] for n in wrong.losses}, T - 1)
        dx = np.asarray(wrong.functions.gradients(self.short.values, loss, self.short.mask)["x"])
        start = loss["h"][:, -1], np.zeros_like(loss["h"][:, -1])
        for words, through in (
            ("the Jacobians of the steps are multiplied in forward order", lambda s: range(s + 1, T)),
            ("all Jacobians of the steps but the last are dropped", lambda s: [T - 1]),
            ("all Jacobians of the steps but one are dropped", lambda s: [s + 1]),
        ):
            found = []
            for s in range(T):
                dh, dc = start
                for t in through(s) if s < T - 1 else []:
                    _, dh, dc = formulas.one_step(self.table, self.run, t, dh, dc)
                found.append(formulas.one_step(self.table, self.run, s, dh, dc)[0])
            if all(near(dx[:, s], found[s], self.close) for s in range(T)):
                return [words]
        return []

    def _worded(self, fits: list[Mistake]) -> str:
        """One cause; where another one gives the very same gradients, both."""
        first = fits[0]
        other = next((m for m in fits[1:] if not first.covers(m)), None)
        return first.cause if other is None else f"{first.cause} (or, with the same gradients: {other.cause})"

    def _known(self) -> list[Mistake]:
        cell = self.short.spec.cell
        known = [*self.known.form.mistakes, *mistakes.known(cell)]
        if not self.step:
            known += endings.truncations(cell, self.short.steps)
        return known

    def _several(self) -> list[str]:
        """Mistakes that together explain everything: first in the path backwards, then in each weight."""
        path = {name for name in self.names if name == "x" or name.endswith("0")}
        others = [] if path <= self.right else self.mistakes  # a right path needs no mistake in it
        for through in [Mistake("", {}), *others]:
            explained = self.explained(through.formulas)
            if not path <= explained:
                continue
            found = [through] if through.cause else []
            for name in sorted(self.names - path - explained):
                changes = _changes(found)
                if name in self.explained(changes):
                    continue
                fits = (m for m in self.mistakes if path | {name} <= self.explained(changes | m.formulas))
                mistake = next(fits, None)
                if mistake is None:
                    found = []
                    break
                found.append(mistake)
            if found:
                return [mistake.cause for mistake in found]
        return []

    def one_by_one(self, wrong: Wrong) -> list[str]:
        """Mistakes of any kind that explain all together: on as few steps as show them, then on more."""
        form = self.known.form.backward or {}
        tried = [*self.mistakes, *slips.slips(self.short.spec.cell, self.known.rows, form)]
        over_time = [mistake for mistake in tried if mistake.over_time and not self.step]
        at_once = [mistake for mistake in tried if not mistake.over_time]
        few = self if self.step else _Trial.on(wrong, self.known, 1 if "h" in wrong.functions.inputs else 2)
        for started in few.together(at_once, []) if few is not None else ():
            for chosen in self.together(over_time, started):
                if self.explained(_changes(chosen)) == self.names:
                    return [mistake.cause for mistake in chosen]
        return []

    def together(self, tried: list[Mistake], started: list[Mistake]) -> Iterator[list[Mistake]]:
        """Sets of mistakes that explain every piece, each of which explains more than those before it."""
        every = self._pieces()

        def more(chosen: list[Mistake]) -> Iterator[list[Mistake]]:
            changes = _changes(chosen)
            explained = self._pieces(changes)
            if explained == every:
                yield chosen
                return
            gains: list[tuple[int, Mistake]] = []
            for mistake in tried if len(chosen) < MOST else ():
                if mistake.formulas.keys() & changes.keys():
                    continue
                now = self._pieces(changes | mistake.formulas)
                if now > explained:
                    gains.append((len(now), mistake))
            best = max((count for count, _ in gains), default=0)
            for mistake in [mistake for count, mistake in gains if count == best][:ALIKE]:
                yield from more([*chosen, mistake])

        yield from itertools.islice(more(started), TRIES)

    def _pieces(self, changes: Table | None = None) -> set[Piece]:
        """What these changed formulas give of the last loss's gradients, each gate's apart; all if None."""
        found = self.student[-1] if changes is None else self._tried(changes, self.losses[-1])
        explained: set[Piece] = set()
        for name in self.names:
            got, expected = (self._in_pieces(name, one[name]) for one in (self.student[-1], found))
            with np.errstate(invalid="ignore"):
                near_enough = np.abs(got - expected).max(axis=1) <= self.close * np.abs(expected).max(axis=1)
            explained |= {(name, int(k)) for k in np.flatnonzero(near_enough)}
        return explained

    def _in_pieces(self, name: str, array: Array) -> Array:
        """A row for each gate of a weight, for each step of x; one for a state."""
        if name not in WEIGHTS:
            return np.reshape(array, (len(array) if name == "x" else 1, -1))
        gates = len(formulas.GATES[self.short.spec.cell])
        return np.reshape(array, (-1, gates, self.short.units)).swapaxes(0, 1).reshape(gates, -1)

    def likeliest(self) -> list[str]:
        """The two that explain most, with how much; where nothing explains everything."""
        total = len(self.names - self.right)
        return [
            f"perhaps: {mistake.cause} (it explains {count - len(self.right)} of {total} wrong tensors)"
            for count, mistake in self.scores[:2]
        ]


def _changes(mistakes: list[Mistake]) -> Table:
    """The formulas that they put in place of the right ones."""
    return {name: formula for mistake in mistakes for name, formula in mistake.formulas.items()}


def _shortened(wrong: Wrong, steps: int) -> Case:
    """A case of that many steps at most, with a mask if the long one has one."""
    case = wrong.case
    B, D = case.batch, case.sizes[2]
    if case.step or wrong.functions.one_batch or case.steps <= steps:
        return case
    mask = None
    if case.mask is not None:
        mask = np.random.default_rng(0).random((B, steps)) < 0.6
        mask[0, : steps // 2 + 1] = False  # a masked beginning, and masked steps amid real ones
        mask[-1, -1] = False
    return draw(case.spec, (B, steps, D, case.units), mask, 0, case.step, wrong.functions.ids)


# ------------------------------------------------------------------------------ patterns


def _ratio_cause(wrong: list[Comparison], case: Case) -> str | None:
    """The cause, if in one tensor or gate, or in all, every entry is the same multiple of what it must be."""
    B, T = case.batch, case.steps
    names = {-1.0: "sign flipped", 2.0: "factor 2", 0.5: "factor 1/2", 0.0: "all zero"}
    for value, words in ((B, "B, the batch size"), (T, "T, the number of steps"), (B * T, "B * T")):
        if value > 2:
            more = {float(value): f"factor {words}", 1 / value: f"factor 1/({words}): averaged, not summed"}
            names = more | names
    ratios = {}
    for one in wrong:
        checked = one.checked & (one.errors > CLOSE)
        gates = [gate for gate, error in one.by_gate().items() if error > CLOSE]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = (one.analytic / one.numeric)[checked]
        if not len(ratio) or not np.isfinite(ratio).all():
            return None
        if np.ptp(ratio) > 1e-6 * np.abs(ratio).max(initial=1e-9):
            return _capped(wrong)
        place = one.name.split(",")[0]
        if 0 < len(gates) < len(one.gates):
            place += f" of gate{'s' if len(gates) > 1 else ''} {', '.join(gates)}"
        ratios[place] = float(np.median(ratio))
    values = np.array(list(ratios.values()))
    if not len(values) or np.ptp(values) > 1e-6 * np.abs(values).max(initial=1e-9):
        return None
    known = next((words for value, words in names.items() if abs(values[0] - value) < 1e-6), None)
    words = known or f"every entry is {values[0]:.6g} times what it must be"
    return f"{words}, in {', '.join(ratios)}"


def _turned(wrong: Wrong) -> str | None:
    """The cause, if dx is right but for the order of its steps."""
    if wrong.case.steps < 2 or any(not one.name.startswith("dx") for one in wrong.tensors):
        return None
    turned = (near(one.analytic[:, ::-1], one.numeric, CLOSE) for one in wrong.tensors)
    return "dx has its steps in reverse order" if all(turned) else None


def _capped(wrong: list[Comparison]) -> str | None:
    """The cause, if every wrong entry is the same number, and smaller than it must be."""
    for one in wrong:
        bad = one.errors > CLOSE
        size = np.abs(one.analytic[bad])
        if bad.sum() < 2 or np.ptp(size) > 1e-9 * size.max() or (size >= np.abs(one.numeric[bad])).any():
            return None
    return f"gradients are clipped, at {size.max():.4g}"
