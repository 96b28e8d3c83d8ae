"""Forward passes that take their tensors by name: weights in a dict or a list, or in another layout.

`minilstm.gradient_check.adapters` says what they may look like.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.gradient_check.student import signature
from minilstm.gradient_check.student.cases import WEIGHTS
from minilstm.gradient_check.student.returned import read_gradients

Function = Callable[..., Any]
ANY = "any"  # in place of letters
GATES = {"ifgo": {"c": "g"}, "zrg": {"u": "z", "h": "g", "n": "g", "c": "g"}}  # other letters for them


class Keys:
    """Which weight a key means, and which gate's block of it.

    letters : of the gates in the order of this package, at the end of a key; ANY for the usual ones
    """

    def __init__(self, letters: str | None) -> None:
        self.letters, self.names, self.gates = letters, (), ()

    letters: str | None
    names: tuple[str, ...]
    gates: tuple[str, ...]

    def find(self, key: str, gradient: bool = False) -> tuple[str, int | None] | None:
        """(name, number of the block or None)."""
        mean = signature.gradient_meaning if gradient else signature.meaning
        gate = self._gate(key[-1:].lower())
        if gate is not None:
            name = mean(key[:-1], self.names)
            if name is not None:
                return name, self.gates.index(gate)
        name = mean(key, self.names)
        return None if name is None else (name, None)

    def _gate(self, letter: str) -> str | None:
        """The gate, of this cell, that a letter means."""
        if self.letters == ANY:
            usual = next((other for gates, other in GATES.items() if set(gates) == set(self.gates)), {})
            gate = usual.get(letter, letter)
        elif self.letters and letter and letter in self.letters:
            gate = ("ifgo" if len(self.letters) == 4 else "zrg")[self.letters.index(letter)]
        else:
            return None
        return gate if gate in self.gates and len(self.gates) > 1 else None


class Parameters(dict[str, Any]):
    """A dict of weights that knows its arrays by any usual name."""

    def __init__(self, weights: dict[str, Array], keys: Keys) -> None:
        super().__init__()
        self.weights, self.keys_found = weights, keys
        self.read: set[str] = set()

    def __getattr__(self, key: str) -> Array:
        if key.startswith("_"):
            raise AttributeError(key)
        return self[key]  # type: ignore[no-any-return]

    def __missing__(self, key: str) -> Array:
        found = self.keys_found.find(key)
        if found is None:
            if re.fullmatch(r"[Wb]_?[a-z]*y[a-z]*", key):  # of the output layer
                H = next(iter(self.weights.values())).shape[-1] // len(self.keys_found.gates)
                rng = np.random.default_rng(3)
                self[key] = rng.normal(size=(H, 5) if key[0] == "W" else 5)
                return self[key]  # type: ignore[no-any-return]
            raise KeyError(key)
        name, block = found
        self.read.add(name)
        array = self.weights[name]
        if block is not None:
            array = np.split(array, len(self.keys_found.gates), axis=-1)[block].copy()
        self[key] = array
        return array


class Given(dict[str, Any]):
    """The same in another layout."""

    def __init__(self, inner: Parameters, give: Callable[[Array], Array]) -> None:
        super().__init__()
        self.inner, self.give = inner, give

    def __missing__(self, key: str) -> Array:
        self[key] = self.give(np.asarray(self.inner[key]))
        return self[key]  # type: ignore[no-any-return]


class ByName:
    """A forward pass that is called with its tensors by name."""

    by_name = True

    def __init__(self, function: Any, run: Callable[[dict[str, Array]], Any], holder: Any = None) -> None:
        self.function, self.run = function, run
        self.holder: Any = holder or run
        for name in ("single", "ids"):
            if signature.said(function, name):
                setattr(self, name, True)

    def inputs(self, spec: Any) -> Iterator[tuple[str, ...]]:
        found: Iterator[tuple[str, ...]] = self.holder.inputs(spec)
        return found

    def __call__(self, given: dict[str, Array]) -> Any:
        return self.run(given)


class InDictionary:
    def __init__(self, forward: Function, keys: Keys) -> None:
        self.function, self.keys = forward, keys

    def inputs(self, spec: Any) -> Iterator[tuple[str, ...]]:
        lead = ("x", *spec.states)
        needed, _, any_number = signature.parameters(self.function)
        count = len(lead) if any_number else len(needed) - 1
        if not 1 <= count <= len(lead):
            return
        self.keys.gates = spec.gates
        for weights in signature.weights(spec):
            self.keys.names = weights
            yield (*lead[:count], *weights)

    def __call__(self, given: dict[str, Array]) -> Any:
        lead = [array for name, array in given.items() if name in ("x", "h", "c")]
        weights = {name: array for name, array in given.items() if name in self.keys.names}
        parameters = Parameters(weights, self.keys)
        returned = self.function(*lead, parameters)
        if "rb" in weights and "rb" not in parameters.read:
            raise KeyError("rb")  # one bias only, as `inputs` tries next
        return returned


class Reading:
    """A backward pass whose gradients are read by their keys."""

    def __init__(self, backward: Function, keys: Keys) -> None:
        self.function, self.keys = backward, keys
        self.__wrapped__ = backward

    def __call__(self, *arguments: Any) -> Any:
        returned = self.function(*arguments)
        if isinstance(returned, dict):
            return self._read(returned)
        if isinstance(returned, tuple):
            return tuple(self._read(part) if isinstance(part, dict) else part for part in returned)
        return returned

    def _read(self, returned: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        blocks: dict[str, dict[int, Array]] = {}
        for key, value in returned.items():
            which = self.keys.find(key, gradient=True)
            if which is None:
                name = signature.gradient_meaning(key, ("x", "h", "c"))
                if name is not None:
                    found.setdefault(name, value)
            elif which[1] is None:
                found[which[0]] = value
            else:
                blocks.setdefault(which[0], {})[which[1]] = value
        for name, parts in blocks.items():
            if len(parts) == len(self.keys.gates):
                arrays = [np.asarray(parts[k]) for k in sorted(parts)]
                found[name] = np.concatenate(
                    [a.ravel() if name in ("b", "rb") else a for a in arrays], axis=-1
                )
        return found


class Arranged:
    """A pair of functions whose tensors are laid out in another way, each by its name.

    give, take : (name, array, number of gates) -> the array in the layout of the functions, and back
    """

    def __init__(
        self,
        forward: Function,
        backward: Function,
        give: Callable[[str, Array, int], Array],
        take: Callable[[str, Array, int], Array],
    ) -> None:
        self.forward, self.back = signature.positional(forward), signature.positional(backward)
        self.give, self.take = give, take
        self.given: dict[str, Any] = {}
        self.gates = 1

    def inputs(self, spec: Any) -> Iterator[tuple[str, ...]]:
        self.gates = len(spec.gates)
        for names in signature.inputs(self.forward, spec, False):
            yield tuple(name for name in names if name != "mask")

    def called(self, values: dict[str, Any]) -> Any:
        if signature.said(self.forward, "by_name"):
            return self.forward(values)
        return self.forward(*values.values())

    def __call__(self, given: dict[str, Array]) -> Any:
        self.given = {name: self.give(name, array, self.gates) for name, array in given.items()}
        return self.called(self.given)

    def backward(self, *arguments: Any) -> dict[str, Array | None]:
        """The gradients, read in the layout of the functions: by key, or by order and shape."""
        names = [name for name in self.given if name != "mask"]
        found = read_gradients(self.back(*arguments), names, self.given, {})
        return {n: None if a is None else self.take(n, a, self.gates) for n, a in found.items()}


class Listed(Arranged):
    """The weights are one argument, a list."""

    def inputs(self, spec: Any) -> Iterator[tuple[str, ...]]:
        self.gates = len(spec.gates)
        needed, optional, any_number = signature.parameters(self.forward)
        for lead in dict.fromkeys((("x", *spec.states), ("x", "h"), ("x",))):
            if any_number or len(needed) <= len(lead) + 1 <= len(needed) + len(optional):
                yield from ((*lead, *names) for names in signature.weights(spec))

    def called(self, values: dict[str, Any]) -> Any:
        weights = [values[name] for name in values if name in WEIGHTS]
        lead = [values[name] for name in values if name in ("x", "h", "c")]
        return self.forward(*lead, weights, *(values[name] for name in values if name == "mask"))
