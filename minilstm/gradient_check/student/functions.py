"""Calling functions that somebody else wrote: what they raise, return and change is told in words.

Each backward directly follows a forward of its own on the same arguments, on real arrays, and each
forward begins as the first one did (see `pristine`). Arguments are copies: what is changed in place is
noted, and hurts nobody.
"""

from __future__ import annotations

import contextlib
import io
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minilstm.arrays import Array
from minilstm.gradient_check.student import signature
from minilstm.gradient_check.student.cases import Case, Values
from minilstm.gradient_check.student.pristine import Pristine
from minilstm.gradient_check.student.signature import PAIR, Names

HERE = str(Path(__file__).parent.parent)
SLOW = 2.0  # seconds for one forward and backward, above which it is said


class FunctionError(Exception):
    """The functions cannot be checked: why, and the likely cause where there is one."""

    def __init__(self, words: str, cause: str | None = None) -> None:
        super().__init__(words)
        self.causes = [cause] if cause else []


class ComplexError(Exception):
    """The forward pass cannot be run on complex numbers, or loses their imaginary part: why."""


class Outputs(NamedTuple):
    """What a forward pass gave, by name (h, c, h_last, c_last), and its cache."""

    arrays: Values
    cache: Any


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
        self._forward, self._backward, self._told = forward, backward, told
        self._pristine = Pristine(forward, backward)
        self.hygiene: dict[str, None] = {}  # in the order of their finding
        self.remarks: dict[str, None] = {}
        self.changed: Values = {}  # the weights that backward changed in place, as they were afterwards
        self.inputs: Names = ()
        self.outputs: dict[str, tuple[int, ...]] = {}  # name -> where it stands in what forward returns
        self.incoming: Names = ()
        self.judged: Names = ()  # the inputs whose gradient is returned
        self._cache: tuple[int, ...] | None = None
        self._listed: set[str] = set()  # outputs that are lists over time
        self.precision = float(np.finfo(np.float64).eps)  # of the forward pass, relative
        self.ids, self.one_batch = (bool(signature.said(forward, what)) for what in ("ids", "one_batch"))
        self._printed = _Printed()
        self._settle(case)

    # -------------------------------------------------------------------------- finding out

    def _settle(self, case: Case) -> None:
        """Find out what is taken and given, on real arrays; the likeliest try's error if none works."""
        faults: list[tuple[int, FunctionError]] = []
        masked = self.mask is not None
        taken = (
            [self._told.inputs] if self._told.inputs else signature.inputs(self._forward, self.spec, masked)
        )
        for names in taken:
            self.inputs = names
            stage = 0
            try:
                returned, _ = self._run(case.values)
                stage = 1
                self._find_outputs(returned, case)
            except FunctionError as fault:
                faults.append((stage, fault))
                continue
            for incoming in signature.incoming(self._backward, tuple(self.outputs), self._cache is not None):
                self.incoming = incoming
                stage = 2
                try:
                    start = time.perf_counter()
                    found = self.gradients(case.values, case.losses)
                except FunctionError as fault:
                    faults.append((3 if "must return" in str(fault) else 2, fault))
                    continue
                self.judged = tuple(name for name, value in found.items() if value is not None)
                if not self.judged:
                    faults.append((3, FunctionError("backward returned no gradient: every one is None.")))
                    continue
                took = time.perf_counter() - start
                if took > SLOW:
                    self.hygiene[f"slow: one forward and backward took {took:.1f} s"] = None
                self.judged = tuple(name for name in self.inputs if name in self.judged)
                return
            if stage == 1:
                expected = f"backward must take the gradients of {', '.join(self.outputs)}"
                faults.append((2, FunctionError(expected + (" and the cache" if self._cache else "") + ".")))
        if not faults:
            needed = ", ".join(("x", *self.spec.states, *self.spec.weights))
            got = len(signature.parameters(self._forward)[0])
            faults.append((0, FunctionError(f"forward must take {needed}, or some of them; it takes {got}.")))
        raise max(faults, key=lambda fault: fault[0])[1]

    def _find_outputs(self, returned: Any, case: Case) -> None:
        """Which of the returned values are h and c, and which is the cache."""
        B, H, T = case.batch, case.units, case.steps
        self.outputs, self._cache, self._listed = {}, None, set()
        values = _flat(returned)
        names = self._told.outputs
        declared = signature.said(self._forward, "outputs")
        if names is None and declared is not None:
            names = declared
        if names is not None:
            if len(names) != len(values):
                expected = f"forward must return {len(names)} values ({', '.join(names)})"
                raise FunctionError(f"{expected}, got {len(values)}.")
            for (path, value), name in zip(values, names, strict=True):
                if name == "cache":
                    self._cache = path
                elif name != "-":
                    if not self.step and name == "c" and np.ndim(value) < 3:
                        name = "c_last"
                    self.outputs[name] = path
                    self._array("forward", name, value, self._shape(name, case.values))
            return
        arrays = []
        for path, value in values:
            array = _as_array(value)
            kinds = {"steps": (B, T, H), "state": (B, H), "listed": (T, B, H)}
            if self.step or isinstance(value, dict):
                del kinds["steps"]
            if self.step or not isinstance(value, (list, dict)):
                del kinds["listed"]
            if array is None or array.dtype.kind not in "fiubc" or not array.ndim:
                continue
            kind = next((kind for kind, shape in kinds.items() if array.shape == shape), None)
            kind = kind or next((kind for kind, shape in kinds.items() if _fits(array.shape, shape)), None)
            if kind is not None:
                arrays.append((path, "state" if kind == "state" else "steps", kind == "listed", array))
            elif not arrays and len(values) == len(self.spec.states) + 1:
                break  # the first of as many values as there should be must be h
        self._name_outputs(arrays, case)
        if not self.outputs:
            shape = (B, H) if self.step else (B, T, H)
            got = _as_array(values[0][1]) if values else None
            words = type(returned).__name__ if got is None or got.dtype.kind not in "fiubc" else got.shape
            raise FunctionError(
                f"forward must return h of shape {shape}, got {words}.",
                None if got is None else _shape_cause("h", got, shape),
            )
        rest = [path for path, _ in values if path not in self.outputs.values() and len(path) <= 1]
        if rest and rest[-1] == max(path[:1] for path, _ in values):
            self._cache = rest[-1]

    def _name_outputs(self, arrays: list[tuple[Any, ...]], case: Case) -> None:
        lstm = "c" in self.spec.states
        steps = [found for found in arrays if found[1] == "steps"]
        single = [found for found in arrays if found[1] == "state"]
        if self.step:
            for (path, *_), name in zip(single, self.spec.states, strict=False):
                self.outputs[name] = path
            return
        for (path, _, listed, _), name in zip(steps, self.spec.states, strict=False):
            self.outputs[name] = path
            if listed:
                self._listed.add(name)
        last = None
        if steps:
            h = steps[0][3]
            last = h[-1] if steps[0][2] else h.reshape(case.batch, case.steps, -1)[:, -1]
        for path, _, _, array in single:
            is_last = last is not None and np.array_equal(array.reshape(last.shape), last)
            name = "h_last" if is_last or not steps else "c_last"
            if name == "h_last" and name in self.outputs:
                name = "c_last"
            if name not in self.outputs and (lstm or name == "h_last"):
                self.outputs[name] = path

    # -------------------------------------------------------------------------- running

    def forward(self, values: Values, mask: Array | None = None) -> Outputs:
        """Run forward; FunctionError where it raises or returns what cannot be meant."""
        returned, _ = self._run(values, mask)
        return self._outputs(returned, values)

    def gradients(self, values: Values, losses: Values, again: bool = False) -> dict[str, Array | None]:
        """Run forward afresh, then backward; the gradients by the names of the inputs.

        `again`: backward is called twice in a row, and what the second call gives is returned.
        """
        returned, given = self._run(values)
        cache = _at(returned, self._cache) if self._cache is not None else None
        arguments: list[Any] = []
        for name in self.incoming:
            if name == PAIR:
                arguments.append((losses["h_last"].copy(), losses["c_last"].copy()))
                continue
            if name == "zero":
                arguments.append(np.zeros_like(values["h"]))
                continue
            weight = cache if name == "cache" else losses[name].copy()
            arguments.append(weight if name not in self._listed else losses[name].transpose(1, 0, 2))
        names = ["" if name in ("cache", "zero", PAIR) else f"d{name}" for name in self.incoming]
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
        return self._gradients(returned, values)

    def _run(self, values: Values, mask: Array | None = None) -> tuple[Any, Values]:
        """What forward returned, and the arrays that it was given."""
        self._pristine.restore()
        given: dict[str, Any] = {name: values[name].copy() for name in self.inputs if name != "mask"}
        if signature.said(self._forward, "by_name"):
            if "mask" in self.inputs:
                given = given | {"mask": self.mask if mask is None else mask}
            return self._call("forward", self._forward, [dict(given)], [""]), given
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
            raise FunctionError(f"{what} raised {described(error)}.") from error
        if self._printed.lines > lines and not any("prints" in text for text in self.hygiene):
            text = " ".join(self._printed.first.split())[:80]
            self.hygiene[f"{what} prints while it runs: {text!r}"] = None
        for name, array, copy in zip(names, arguments, before, strict=True):
            if name and copy is not None and array.tobytes() != copy.tobytes():
                self.hygiene[f"{what} modifies its input {name}"] = None
        return returned

    # -------------------------------------------------------------------------- reading what was returned

    def _shape(self, name: str, values: Values) -> tuple[int, ...]:
        if name == "loss":
            return (1,)
        B, H = len(values["x"]), values["h"].shape[1]
        if self.step or name.endswith("_last"):
            return B, H
        return B, values["x"].shape[1], H

    def _outputs(self, returned: Any, values: Values) -> Outputs:
        arrays = {}
        for name, path in self.outputs.items():
            shape = self._shape(name, values)
            if name in self._listed:
                shape = shape[1], shape[0], shape[2]
            array = self._array("forward", name, _at(returned, path), shape)
            arrays[name] = array.transpose(1, 0, 2) if name in self._listed else array
        return Outputs(arrays, None)

    def _gradients(self, returned: Any, values: Values) -> dict[str, Array | None]:
        """The returned gradients by the names of the inputs: by their keys, or by their order and shapes."""
        names = [name for name in self.inputs if name != "mask"]
        if isinstance(returned, dict):
            named = self._keyed(returned, names)
        else:
            if isinstance(returned, np.ndarray) and len(names) > 1:
                returned = (returned,)
            if not isinstance(returned, (tuple, list)):
                words = f"backward must return {len(names)} values ({_d(names)})"
                raise FunctionError(f"{words}, got {type(returned).__name__}.")
            named = {}
            plain: list[Any] = []
            for value in returned:
                if isinstance(value, dict):
                    named |= self._keyed(value, names)
                elif isinstance(value, tuple) or (isinstance(value, list) and _as_array(value) is None):
                    plain += value
                else:
                    plain.append(value)
            named |= self._in_order(plain, [name for name in names if name not in named], values)
        return {
            name: None if value is None else self._array("backward", f"d{name}", value, values[name].shape)
            for name, value in named.items()
        }

    def _keyed(self, returned: dict[Any, Any], names: list[str]) -> dict[str, Any]:
        found = {}
        for key, value in returned.items():
            among = names + (["b"] if "rb" in names and "b" not in names else [])
            name = str(key) if str(key) in names else signature.gradient_meaning(str(key), among)
            if name in names and name not in found:
                found[str(name)] = value
        if not found:
            keys = ", ".join(map(str, list(returned)[:8]))
            raise FunctionError(f"backward must return the gradients of {', '.join(names)}, got keys {keys}.")
        return found

    def _in_order(self, plain: list[Any], names: list[str], values: Values) -> dict[str, Any]:
        """Values for names, in order; where there are fewer values than names, by their shapes."""
        if len(plain) == len(names):
            fits = [self._could_be(v, values[n].shape) for v, n in zip(plain, names, strict=True)]
            if all(fits):
                return dict(zip(names, plain, strict=True))
            left = list(names)
            found: dict[str, Any] = {}  # another order, if each value fits one name only
            for value in plain:
                fitting = [n for n in left if self._could_be(value, values[n].shape)]
                if not fitting or value is None:
                    return dict(zip(names, plain, strict=True))
                found[fitting[0]] = value
                left.remove(fitting[0])
            self.remarks["backward returns its gradients in another order than forward takes its inputs"] = (
                None
            )
            return found
        if not plain or len(plain) > len(names):
            words = f"backward must return {len(names)} values ({_d(names)})"
            raise FunctionError(f"{words}, got {len(plain)}.")
        rest = list(names)
        found = {}
        for value in plain:
            first = next((n for n in rest if self._could_be(value, values[n].shape)), None)
            if first is None:
                words = f"backward must return {len(names)} values ({_d(names)})"
                raise FunctionError(f"{words}, got {len(plain)}.")
            found[first] = value
            rest = rest[rest.index(first) + 1 :]
        return found

    @staticmethod
    def _could_be(value: Any, shape: tuple[int, ...]) -> bool:
        if value is None:
            return True
        array = _as_array(value)
        return array is not None and _fits(array.shape, shape)

    def _array(self, what: str, name: str, value: Any, shape: tuple[int, ...]) -> Array:
        array = _as_array(value)
        if array is None or array.dtype.kind not in "fiubc":
            raise FunctionError(
                f"{what} must return {name} as an array of numbers, got {type(value).__name__}."
            )
        if array.shape != shape:
            if not _fits(array.shape, shape):
                raise FunctionError(
                    f"{what} must return {name} of shape {shape}, got {array.shape}.",
                    _shape_cause(name, array, shape),
                )
            self.remarks[f"{what} returns {name} of shape {array.shape}, taken for {shape}"] = None
            array = array.reshape(shape)
        return array.copy()  # later calls may write into what this one returned


def _d(names: list[str]) -> str:
    return ", ".join(f"d{name}" for name in names)


def _flat(returned: Any) -> list[tuple[tuple[int, ...], Any]]:
    """(path, value) of what was returned: the values of a tuple, and of a pair of states at its end."""
    if not isinstance(returned, (tuple, list)) or (isinstance(returned, list) and len(returned) > 5):
        return [((), returned)]
    found: list[tuple[tuple[int, ...], Any]] = []
    for k, value in enumerate(returned):
        last = len(returned) > 2 and k == len(returned) - 1  # the cache
        states = isinstance(value, tuple) and len(value) == 2 and k > 0 and not last
        if states and all(isinstance(part, np.ndarray) and part.ndim in (2, 3) for part in value):
            found += [((k, 0), value[0]), ((k, 1), value[1])]
        else:
            found.append(((k,), value))
    return found


def _at(returned: Any, path: tuple[int, ...]) -> Any:
    for k in path:
        returned = returned[k]
    return returned


def _as_array(value: Any) -> Array | None:
    """An array of a value; of a list over time, or a dict {0: ..., 1: ...}, with the steps in front."""
    if isinstance(value, dict):
        keys = sorted(key for key in value if isinstance(key, int) and key >= 0)
        if not keys:
            return None
        value = [value[key] for key in keys]
    if isinstance(value, (str, bytes)):
        return np.asarray(value)
    try:
        return np.asarray(value)
    except (ValueError, TypeError):
        return None


def _fits(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """Equal, axes of one entry apart."""
    return shape == expected or [n for n in shape if n > 1] == [n for n in expected if n > 1]


def described(error: BaseException) -> str:
    """An exception in one line, with the line of the student's code that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    frames = traceback.StackSummary(f for f in frames if not f.filename.startswith((HERE, "<frozen")))
    text = " ".join(str(error).split())
    text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    own = [f for f in frames if "site-packages" not in f.filename] or frames
    if own:
        text += f" ({Path(own[-1].filename).name}, line {own[-1].lineno}: {own[-1].line})"
    return text


@contextlib.contextmanager
def complex_numbers() -> Iterator[None]:
    """ComplexError where forward raises on complex numbers, or warns that it drops a part of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            yield
        except FunctionError as fault:
            raise ComplexError(str(fault).rstrip(".")) from fault


def _shape_cause(name: str, array: Array, shape: tuple[int, ...]) -> str | None:
    if array.shape == shape[::-1] and array.ndim == 2:
        return f"{name} is transposed"
    if array.ndim == len(shape) + 1 and array.shape[1:] == shape:
        return f"{name} is not accumulated over the batch: its first axis, of {len(array)}, was not summed"
    return None
