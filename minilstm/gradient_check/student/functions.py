"""Calling functions that somebody else wrote: what they raise, return and change is told in words.

Each backward directly follows a forward of its own on the same arguments, on real arrays, and each
forward begins as the first one did (see `pristine`). Arguments are copies: what is changed in place is
noted, and hurts nobody.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.gradient_check.report import Stage
from minilstm.gradient_check.student import signature
from minilstm.gradient_check.student.cases import Case, Values
from minilstm.gradient_check.student.exceptions import ComplexError, FunctionError, described
from minilstm.gradient_check.student.pristine import Pristine
from minilstm.gradient_check.student.returned import Places, at, find_places, read_gradients
from minilstm.gradient_check.student.signature import PAIRS, Names

Fault = tuple[bool, FunctionError]  # whether a try was a likely one, and what stopped it
SLOW = 2.0  # seconds for one forward and backward, above which it is said


class Told(NamedTuple):
    """Names that the caller gave for what the functions take and give; None where they are to be found."""

    inputs: Names | None = None
    outputs: Names | None = None


class _Printed(io.TextIOBase):
    """Counts the lines that are printed; they are not shown."""

    def __init__(self) -> None:
        self.lines, self.first = 0, ""

    def write(self, text: str) -> int:
        if not self.first.strip():
            self.first = (self.first + text)[:200]
        self.lines += text.count("\n")
        return len(text)


class Functions:
    """A student's forward and backward, of one step or of a sequence, by the names of their tensors."""

    def __init__(
        self, forward: Callable[..., Any], backward: Callable[..., Any], case: Case, told: Told
    ) -> None:
        for name, function in (("forward", forward), ("backward", backward)):
            if not callable(function):
                raise TypeError(f"{name} must be a function, got {type(function).__name__}")
        self.spec, self.step, self.mask = case.spec, case.step, case.mask
        self._pristine = Pristine(forward, backward)
        self._forward, self._backward = signature.positional(forward), signature.positional(backward)
        self._told = told
        self.hygiene: dict[str, None] = {}  # in the order of their finding
        self.remarks: dict[str, None] = {}
        self.changed: Values = {}  # the weights that backward changed in place, as they were afterwards
        self.inputs: Names = ()
        self.incoming: Names = ()
        self.judged: Names = ()  # the inputs whose gradient is returned
        self._places = Places(case.step)
        self.precision = float(np.finfo(np.float64).eps)  # of the forward pass, relative
        self.ids, self.one_batch = (bool(signature.said(forward, what)) for what in ("ids", "one_batch"))
        single = signature.said(forward, "single")  # whose shapes lack the batch axis, as was told
        self._shapes: dict[str, None] = {} if single else self.remarks
        self._printed = _Printed()
        try:
            self._settle(case)
        except BaseException:
            self.restore()
            raise

    @property
    def outputs(self) -> Names:
        """The names of what forward returns: h, c, h_last, c_last, loss."""
        return tuple(self._places.outputs)

    def restore(self) -> None:
        """Put back what the functions keep, as it was before the check."""
        self._pristine.restore()

    # -------------------------------------------------------------------------- finding out

    def _settle(self, case: Case) -> None:
        """Find out what is taken and given, on real arrays; the likeliest try's error if none works."""
        faults: list[Fault] = []  # the further a try came, the likelier it was meant
        masked = self.mask is not None
        taken = (
            [self._told.inputs] if self._told.inputs else signature.inputs(self._forward, self.spec, masked)
        )
        named = self._told.outputs or signature.said(self._forward, "outputs")
        for names in taken:
            self.inputs = names
            try:
                returned, _ = self._run(case.values)
                self._places = find_places(returned, case, named, self._shapes)
            except FunctionError as fault:
                faults.append((self._likely(), fault))
                continue
            if self._settle_backward(case, faults):
                return
        if not faults:
            needed = ", ".join(("x", *self.spec.states, *self.spec.weights))
            got = len(signature.parameters(self._forward)[0])
            words = f"forward must take {needed}, or some of them; it takes {got}."
            raise FunctionError(words, Stage.FORWARD)
        raise max(faults, key=lambda fault: (fault[1].stage, fault[0]))[1]

    def _likely(self) -> bool:
        return "WUb" not in self.inputs  # tried before "WU", which is the likelier

    def _settle_backward(self, case: Case, faults: list[Fault]) -> bool:
        """Find out what backward takes and gives; whether it was found."""
        cached = self._places.cache is not None
        tried = False
        for incoming in signature.incoming(self._backward, self.outputs, cached):
            self.incoming, tried = incoming, True
            start = time.perf_counter()
            try:
                found = self.gradients(case.values, case.losses)
            except FunctionError as fault:
                faults.append((self._likely(), fault))
                continue
            self.judged = tuple(name for name in self.inputs if found.get(name) is not None)
            if not self.judged:
                words = "backward returned no gradient: every one is None."
                faults.append((self._likely(), FunctionError(words, Stage.GRADIENTS)))
                continue
            took = time.perf_counter() - start
            if took > SLOW:
                self.hygiene[f"slow: one forward and backward took {took:.1f} s"] = None
            return True
        if not tried:
            expected = f"backward must take the gradients of {', '.join(self.outputs)}"
            words = expected + (" and the cache" if cached else "") + "."
            faults.append((self._likely(), FunctionError(words, Stage.BACKWARD)))
        return False

    # -------------------------------------------------------------------------- running

    def forward(self, values: Values, mask: Array | None = None) -> Values:
        """Run forward: its outputs by name; FunctionError where it raises or returns what cannot be meant."""
        returned, _ = self._run(values, mask)
        return self._places.read(returned, values, self._shapes)

    def gradients(
        self, values: Values, losses: Values, mask: Array | None = None, again: bool = False
    ) -> dict[str, Array | None]:
        """Run forward afresh, then backward; the gradients by the names of the inputs.

        `mask`: where it is not that of the case. `again`: backward is called twice in a row, and what the
        second call gives is returned.
        """
        returned, given = self._run(values, mask)
        arguments = [self._argument(name, returned, values, losses) for name in self.incoming]
        names = ["" if name in ("cache", "zero", *PAIRS) else f"d{name}" for name in self.incoming]
        before = {name: array.copy() for name, array in given.items()}
        for _ in range(2 if again else 1):
            copies = [
                a.copy() if isinstance(a, np.ndarray) and n else a
                for a, n in zip(arguments, names, strict=True)
            ]
            returned = self._call("backward", self._backward, copies, names)
        self.changed = {}
        for name, array in given.items():
            if array.tobytes() != before[name].tobytes():
                self.hygiene[f"backward modifies {name}, an input of forward"] = None
                self.changed[name] = array
        names = [name for name in self.inputs if name != "mask"]
        return read_gradients(returned, names, values, self._shapes)

    def _argument(self, name: str, returned: Any, values: Values, losses: Values) -> Any:
        """What backward is given under a name of `incoming`."""
        if name == "cache":
            return None if self._places.cache is None else at(returned, self._places.cache)
        if name in PAIRS:
            return tuple(losses[state].copy() for state in name.split(", "))
        if name == "zero":
            return np.zeros_like(values["h"])
        return losses[name].transpose(1, 0, 2) if name in self._places.listed else losses[name].copy()

    def _run(self, values: Values, mask: Array | None = None) -> tuple[Any, Values]:
        """What forward returned, and the arrays that it was given."""
        self._pristine.restore()
        given: dict[str, Any] = {name: values[name].copy() for name in self.inputs if name != "mask"}
        if signature.said(self._forward, "by_name"):
            if "mask" in self.inputs:
                given = given | {"mask": self.mask if mask is None else mask}
            returned = self._call("forward", self._forward, [dict(given)], [""])
            for name, array in given.items():
                if name != "mask" and array.tobytes() != values[name].tobytes():
                    self.hygiene[f"forward modifies its input {name}"] = None
            return returned, given
        arguments = [
            given[name] if name != "mask" else (self.mask if mask is None else mask) for name in self.inputs
        ]
        return self._call("forward", self._forward, arguments, list(self.inputs)), given

    def _call(self, what: str, function: Callable[..., Any], arguments: list[Any], names: list[str]) -> Any:
        before = [array.copy() if isinstance(array, np.ndarray) else None for array in arguments]
        lines = self._printed.lines
        try:
            with np.errstate(all="ignore"), contextlib.redirect_stdout(self._printed):
                returned = function(*arguments)
        except KeyboardInterrupt:
            raise
        except ComplexError:
            raise
        except BaseException as error:  # a student's file may raise anything, SystemExit too
            if isinstance(error, FunctionError):
                raise
            stage = Stage.FORWARD if what == "forward" else Stage.BACKWARD
            raise FunctionError(f"{what} raised {described(error)}.", stage) from error
        if self._printed.lines > lines and not any("prints" in text for text in self.hygiene):
            text = " ".join(self._printed.first.split())[:80]
            self.hygiene[f"{what} prints while it runs: {text!r}"] = None
        for name, array, copy in zip(names, arguments, before, strict=True):
            if name and copy is not None and array.tobytes() != copy.tobytes():
                self.hygiene[f"{what} modifies its input {name}"] = None
        return returned
