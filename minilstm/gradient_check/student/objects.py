"""Layer objects, and functions with the loss inside, called as the two checks call a pair of functions.

`minilstm.gradient_check.adapters` says what they may look like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minilstm.arrays import Array
from minilstm.gradient_check.student import signature
from minilstm.gradient_check.student.exceptions import FunctionError

Function = Callable[..., Any]


class LayerForward:
    def __init__(self, make: Any, weights: Sequence[str] | None) -> None:
        self.make, self.weights, self.paired = make, weights, False

    def inputs(self, spec: Any) -> Iterator[tuple[str, ...]]:
        count = None if self.weights is None else len(self.weights)
        for lead in (("x", *spec.states), ("x", "h"), ("x",)):
            for names in signature.weights(spec):
                if count is None or len(names) == count:
                    yield (*lead, *names)

    def forward(self, given: dict[str, Array]) -> Any:
        lead = {name: array for name, array in given.items() if name in ("x", "h", "c")}
        weights = {name: array for name, array in given.items() if name not in ("x", "h", "c", "mask")}
        if self.weights is None:
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
        self.paired = len(states) == 2 and len(needed) == 2 and not any_number and not optional and not masked
        returned = made.forward(x, states) if self.paired else made.forward(x, *states, *masked)
        outputs = returned if isinstance(returned, tuple) else (returned,)
        return *outputs, (made, list(weights))

    def _made(self, weights: dict[str, Array]) -> Any:
        needed, optional, any_number = signature.parameters(self.make)
        if not any_number and not len(needed) <= len(weights) <= len(needed) + len(optional):
            name, takes = signature.said(self.make, "__name__", "it"), ", ".join((*needed, *optional))
            made = f"{name}({', '.join(weights)})"
            raise FunctionError(
                f"{name} must be made of its weights, as {made}, but it takes ({takes}): "
                "one that makes its own is given to adapters.layer with their names, in Python."
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
        read = self.holder.read(made, names)
        return (*plain, named or read) if named or read else tuple(plain)


class LossInside:
    """function(*arguments) -> loss, gradients as a pair of functions of the parameters."""

    by_name = one_batch = True
    outputs = ("loss", "cache")

    def __init__(self, function: Function, parameters: dict[str, Array], arguments: tuple[Any, ...]) -> None:
        if not callable(function):
            raise TypeError(f"function must be a function, got {type(function).__name__}")
        if not isinstance(parameters, dict) or not all(
            isinstance(a, np.ndarray) for a in parameters.values()
        ):
            raise TypeError("parameters must be a dict of arrays, the ones that the function reads")
        self.function, self.parameters, self.arguments = function, parameters, arguments
        self.values = {name: array.copy() for name, array in parameters.items()}

    def inputs(self, spec: Any) -> Iterator[tuple[str, ...]]:
        yield tuple(self.values)

    def __call__(self, given: dict[str, Array]) -> Any:
        scope = getattr(self.function, "__globals__", {})
        places = {n: [k for k, v in scope.items() if v is a] for n, a in self.parameters.items()}
        originals = dict(self.parameters)
        try:
            for name, array in given.items():
                original = originals[name]
                if array.dtype == original.dtype:
                    original[...] = array
                elif places[name]:
                    for key in places[name]:
                        scope[key] = array
                else:
                    self.parameters[name] = array
            returned = self.function(*self.arguments)
            for name, array in given.items():  # so that an update inside the function is seen
                array[...] = self.parameters[name] if array.dtype == originals[name].dtype else array
        finally:
            for name, original in originals.items():
                original[...] = self.values[name]
                self.parameters[name] = original
                for key in places[name]:
                    scope[key] = original
        loss, *rest = returned
        return np.atleast_1d(np.asarray(loss).reshape(-1)), tuple(rest)

    def backward(self, dloss: Array, cache: tuple[Any, ...]) -> dict[str, Any]:
        plain: dict[str, Any] = dict(zip(self.values, cache, strict=False))
        named = next((part for part in cache if isinstance(part, dict)), plain)
        found = {}
        for key, value in named.items():
            name = next((n for n in self.values if key in (n, f"d{n}", f"d_{n}", f"grad_{n}")), None)
            if name is not None and value is not None:
                found[name] = dloss.item() * np.asarray(value)
        return found
