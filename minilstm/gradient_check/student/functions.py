"""Calling functions that somebody else wrote: what they raise, return and change is told in words."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minilstm.arrays import Array
from minilstm.gradient_check.student.cases import Case, Loss, Spec

HERE = str(Path(__file__).parent)


class FunctionError(Exception):
    """The functions cannot be checked: why, and the likely cause where there is one."""

    def __init__(self, words: str, cause: str | None = None) -> None:
        super().__init__(words)
        self.causes = [cause] if cause else []


class ComplexError(Exception):
    """The forward pass cannot be run on complex numbers, or loses their imaginary part: why."""


class Outputs(NamedTuple):
    """What a forward pass gave: h (B, T, H), the last of the other states (B, H) each, and its cache."""

    h: Array
    last: tuple[Array, ...]
    cache: Any


class Functions:
    """A student's forward and backward, of one step or of a sequence, in one form: that of a sequence."""

    def __init__(
        self, forward: Callable[..., Any], backward: Callable[..., Any], spec: Spec, step: bool
    ) -> None:
        for name, function in (("forward", forward), ("backward", backward)):
            if not callable(function):
                raise TypeError(f"{name} must be a function, got {type(function).__name__}")
        self.spec, self.step = spec, step
        self._forward, self._backward = forward, backward
        self.modified: set[str] = set()

    @property
    def inputs(self) -> list[str]:
        """The names of what forward takes, beside the mask."""
        before = [f"{name}_prev" if self.step else f"{name}0" for name in self.spec.states]
        return ["x", *before, *self.spec.weights]

    @property
    def outputs(self) -> list[str]:
        names = list(self.spec.states)
        return names if self.step else [names[0], *(f"{name}_last" for name in names[1:])]

    def forward(
        self, x: Array, states: tuple[Array, ...], weights: dict[str, Array], mask: Array | None
    ) -> Outputs:
        """Run forward; FunctionError where it raises or returns what cannot be meant."""
        B, T, _ = x.shape
        H = states[0].shape[1]
        arguments = [x[:, 0] if self.step else x, *states, *weights.values()]
        names = self.inputs
        if mask is not None:
            arguments.append(mask)
            names = [*names, "mask"]
        returned = self._call("forward", self._forward, arguments, names)
        expected = [*self.outputs, "cache"]
        values = self._several("forward", returned, expected)
        shapes = [(B, H) if self.step else (B, T, H), *[(B, H)] * (len(values) - 2)]
        arrays = [
            self._array("forward", name, value, shape)
            for name, value, shape in zip(expected[:-1], values[:-1], shapes, strict=True)
        ]
        h = arrays[0][:, None] if self.step else arrays[0]
        return Outputs(h, tuple(arrays[1:]), values[-1])

    def backward(self, loss: Loss, cache: Any, case: Case) -> dict[str, Array]:
        """Run backward; the gradients by the names of what they belong to, batch first."""
        dh = loss.dh[:, 0] if self.step else loss.dh
        incoming = [f"d{name}" for name in self.outputs]
        returned = self._call("backward", self._backward, [dh.copy(), *loss.dlast, cache], [*incoming, ""])
        expected = {f"d{name}": name for name in self.inputs}
        values = self._several("backward", returned, list(expected))
        like = [case.x[:, 0] if self.step else case.x, *case.states, *case.weights.values()]
        found = {}
        for (gradient, name), value, array in zip(expected.items(), values, like, strict=True):
            found[name] = self._array("backward", gradient, value, array.shape)
        if self.step:
            found["x"] = found["x"][:, None]
        return found

    def _call(self, what: str, function: Callable[..., Any], arguments: list[Any], names: list[str]) -> Any:
        before = [array.copy() if isinstance(array, np.ndarray) else None for array in arguments]
        try:
            with np.errstate(all="ignore"):
                returned = function(*arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a student's file may raise anything, SystemExit too
            raise FunctionError(f"{what} raised {described(error)}.") from error
        for name, array, copy in zip(names, arguments, before, strict=True):
            if name and copy is not None and array.tobytes() != copy.tobytes():
                self.modified.add(f"{what} modifies its input {name}")
                array[...] = copy
        return returned

    def _several(self, what: str, returned: Any, names: list[str]) -> tuple[Any, ...]:
        expected = f"{what} must return {len(names)} values ({', '.join(names)})"
        if not isinstance(returned, (tuple, list)):
            raise FunctionError(f"{expected}, got {type(returned).__name__}.")
        if len(returned) != len(names):
            raise FunctionError(f"{expected}, got {len(returned)}.")
        return tuple(returned)

    def _array(self, what: str, name: str, value: Any, shape: tuple[int, ...]) -> Array:
        got = type(value).__name__
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.empty(0, object)
        if array.dtype.kind not in "fiubc":
            raise FunctionError(f"{what} must return {name} as an array of numbers, got {got}.")
        if array.shape != shape:
            raise FunctionError(
                f"{what} must return {name} of shape {shape}, got {array.shape}.",
                _shape_cause(name, array, shape),
            )
        return array


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


def complex_forward(
    functions: Functions, x: Array, states: tuple[Array, ...], weights: dict[str, Array], mask: Array | None
) -> Outputs:
    """Forward on complex numbers; ComplexError where it raises, or warns that it drops a part of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            return functions.forward(x, states, weights, mask)
        except FunctionError as fault:
            raise ComplexError(str(fault).rstrip(".")) from fault


def _shape_cause(name: str, array: Array, shape: tuple[int, ...]) -> str | None:
    if array.shape == shape[::-1] and array.ndim == 2:
        return f"{name} is transposed"
    if array.ndim == len(shape) + 1 and array.shape[1:] == shape:
        return f"{name} is not accumulated over the batch: its first axis, of {len(array)}, was not summed"
    if array.ndim == 0 or array.shape == (1, *shape) or array.shape == (*shape, 1):
        return f"{name} has an axis too many or too few"
    return None
