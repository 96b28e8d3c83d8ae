"""Layer objects, and functions with the loss inside, called as the two checks call a pair of functions.

`minilstm.gradient_check.adapters` says what they may look like.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.gradient_check.report import Stage
from minilstm.gradient_check.student import signature
from minilstm.gradient_check.student.exceptions import FunctionError
from minilstm.gradient_check.student.own_weights import INSTEAD, Own, OwnWeights

Function = Callable[..., Any]


class LayerForward:
    def __init__(self, make: Any, weights: Sequence[str] | None) -> None:
        self.make, self.weights, self.paired = make, weights, False
        made = weights is None and not inspect.isclass(make) and not inspect.isroutine(make)
        self.own = OwnWeights(make) if made else None
        self.placed: list[Own] = []
        self.given: dict[str, Array] = {}

    def inputs(self, spec: Any) -> Iterator[tuple[str, ...]]:
        count = None if self.weights is None else len(self.weights)
        for lead in (("x", *spec.states), ("x", "h"), ("x",)):
            for names in signature.weights(spec) if self.own is None else self.own.inputs(spec):
                if count is None or len(names) == count:
                    yield (*lead, *names)

    def forward(self, given: dict[str, Array]) -> Any:
        lead = {name: array for name, array in given.items() if name in ("x", "h", "c")}
        weights = {name: array for name, array in given.items() if name not in ("x", "h", "c", "mask")}
        if self.own is not None:
            made, self.given, self.placed = self.make, weights, self.own.put(weights)
        elif self.weights is None:
            made = self._made(weights)
        else:
            made = self.make
            for name, array in zip(self.weights, weights.values(), strict=True):
                if hasattr(made, name):
                    setattr(made, name, array)
                else:
                    made.params[name] = array
        masked = [given["mask"]] if "mask" in given else []
        x, *states = lead.values()
        needed, optional, any_number = signature.parameters(made.forward)
        self.paired = len(states) == 2 == len(needed) + len(optional) and not any_number and not masked
        returned = made.forward(x, states) if self.paired else made.forward(x, *states, *masked)
        outputs = returned if isinstance(returned, tuple) else (returned,)
        return *outputs, (made, list(weights))

    def _made(self, weights: dict[str, Array]) -> Any:
        needed, optional, any_number = signature.parameters(self.make)
        if not any_number and not len(needed) <= len(weights) <= len(needed) + len(optional):
            name, takes = signature.said(self.make, "__name__", "it"), ", ".join((*needed, *optional))
            made = f"{name}({', '.join(weights)})"
            raise FunctionError(
                f"{name} must be made of its weights, as {made}, or of sizes, as "
                f"{name}(input_size, hidden_size), but it takes ({takes}). {INSTEAD.format(name)}",
                Stage.FORWARD,
            )
        return self.make(*weights.values())

    def read(self, made: Any, names: list[str]) -> dict[str, Any]:
        """The gradients of the weights, from the object."""
        grads = signature.said(made, "grads")
        if isinstance(grads, (list, tuple)):
            return dict(zip(names, grads, strict=False))
        held = grads if isinstance(grads, dict) else vars(made)
        if self.weights is not None:
            keys = [
                next((k for k in (f"d{n}", f"d_{n}", f"grad_{n}", n) if k in held), None)
                for n in self.weights
            ]
            return {name: held[key] for name, key in zip(names, keys, strict=True) if key is not None}
        found: dict[str, Any] = {}
        for key in held:
            is_gradient = held is grads or key.startswith(("d", "grad"))
            name = signature.gradient_meaning(key, names) if is_gradient else None
            if name is not None:
                found.setdefault(name, held[key])
        return found


class LayerBackward:
    def __init__(self, holder: LayerForward) -> None:
        self.holder = holder

    def __call__(self, *arguments: Any) -> Any:
        *incoming, (made, names) = arguments
        pair = self.holder.paired and len(incoming) == 2 and len(signature.parameters(made.backward)[0]) == 1
        returned = made.backward(tuple(incoming)) if pair else made.backward(*incoming)
        values = returned if isinstance(returned, tuple) else (returned,)
        plain = [value for value in values if not isinstance(value, dict)]
        named = {key: v for value in values if isinstance(value, dict) for key, v in value.items()}
        if self.holder.own is not None:
            read = self.holder.own.gradients(self.holder.placed, self.holder.given, named)
            means = ((signature.gradient_meaning(key, ("x", "h", "c")), v) for key, v in named.items())
            read = {name: value for name, value in means if name is not None} | read
            return (*plain, read) if read else tuple(plain)
        read = self.holder.read(made, names)
        return (*plain, named or read) if named or read else tuple(plain)


class LossInside:
    """function(*arguments) -> loss, gradients as a pair of functions of the parameters."""

    by_name = one_batch = True
    outputs = ("loss", "cache")

    def __init__(self, function: Function, parameters: Any, arguments: tuple[Any, ...]) -> None:
        if not callable(function):
            raise TypeError(f"function must be a function, got {type(function).__name__}")
        self.own = None if isinstance(parameters, dict) else OwnWeights(parameters)
        if self.own is not None and hasattr(parameters, "__dict__"):
            self.places = {name: self.own.places(*at) for name, at in self.own.arrays().items()}
        else:
            scope = getattr(function, "__globals__", {})
            self.places = {
                n: [(parameters, n), *((scope, k) for k, v in scope.items() if v is a)]
                for n, a in (parameters.items() if isinstance(parameters, dict) else ())
            }
        self.parameters = {name: holder[slot] for name, ((holder, slot), *_) in self.places.items()}
        if not self.parameters or not all(isinstance(a, np.ndarray) for a in self.parameters.values()):
            raise TypeError(
                "parameters must be a dict of the arrays that the function reads, or their object"
            )
        self.function, self.arguments = function, arguments
        self.values = {name: array.copy() for name, array in self.parameters.items()}

    def inputs(self, spec: Any) -> Iterator[tuple[str, ...]]:
        yield tuple(self.values)

    def __call__(self, given: dict[str, Array]) -> Any:
        try:
            for name, array in given.items():
                if array.dtype == self.parameters[name].dtype:
                    self.parameters[name][...] = array
                else:
                    self._hold(name, array)
            returned = self.function(*self.arguments)
            for name, array in given.items():  # so that an update inside the function is seen
                array[...] = self.parameters[name] if array.dtype == self.parameters[name].dtype else array
        finally:
            for name, original in self.parameters.items():
                original[...] = self.values[name]
                self._hold(name, original)
        loss, *rest = returned if isinstance(returned, tuple) else (returned,)
        return np.atleast_1d(np.asarray(loss).reshape(-1)), tuple(rest)

    def _hold(self, name: str, array: Array) -> None:
        for holder, slot in self.places[name]:
            holder[slot] = array

    def backward(self, dloss: Array, cache: tuple[Any, ...]) -> dict[str, Any]:
        plain: dict[str, Any] = dict(zip(self.values, cache, strict=False))
        named = next((part for part in cache if isinstance(part, dict)), plain)
        if self.own is not None:
            named = {} if named is plain else named
            read = {name: self.own.gradient(name, at, named) for name, at in self.places.items()}
            return {
                name: dloss.item() * np.asarray(value) for name, value in read.items() if value is not None
            }
        found = {}
        for key, value in named.items():
            name = next((n for n in self.values if key in (n, f"d{n}", f"d_{n}", f"grad_{n}")), None)
            if name is not None and value is not None:
                found[name] = dloss.item() * np.asarray(value)
        return found
