"""An object that makes its own weights, each gate's apart if it likes: Wf, W_xi, weight_ih, params["bo"], ...

What this file is not: it makes no object. `minilstm.gradient_check.adapters.layer` is given one.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.gradient_check.report import Stage
from minilstm.gradient_check.student import signature
from minilstm.gradient_check.student.by_name import ANY, Keys
from minilstm.gradient_check.student.exceptions import FunctionError

INSTEAD = (
    "To check it with its loss, add to the file: parameters = model = {}(...); arguments = (x, y); and a "
    "function loss_and_gradients(x, y) that returns the loss and what backward does."
)
PARAMETERS = "_?(params?|parameters?|weights?|theta|p|w)"  # attributes that hold weights by name or in order
GRADIENTS = "_?(d|g|grads?|gradients?|d_?params?|d_?parameters?|d_?weights?|grad_?params?)"
FORMS = ("d{}", "d_{}", "grad_{}", "{}_grad", "g{}", "g_{}", "grad{}")  # names of the gradient of {}
MATRICES = ("W", "U", "WU")
GATES = {
    "forget": "f",
    "input": "i",
    "output": "o",
    "candidate": "g",
    "cell": "g",
    "update": "z",
    "reset": "r",
}


class Own(NamedTuple):
    """One array of the object, under its own name: which weight it is, which gate's block, whether it stands
    transposed; every place, a dict or a list and a key, that holds it, the one with its gradient first."""

    key: str
    name: str
    block: int | None
    turned: bool
    shape: tuple[int, ...]
    places: list[tuple[Any, Any]]


class OwnWeights:
    """The weights of an object as W, U, b of the checks: put into it before forward, read after backward."""

    def __init__(self, made: Any) -> None:
        self.made = made
        self.gates = 1
        self.found: dict[tuple[str, ...], list[Own]] = {}  # by the names of the weights

    # -------------------------------------------------------------------------- which is which

    def inputs(self, spec: Any) -> Iterator[tuple[str, ...]]:
        """The weights that the object has: as which it has the most arrays."""
        self.gates = len(spec.gates)
        self.found = {}
        for rename in (_as_it_is, _gate_last):
            for names in signature.weights(spec):
                own = self._read(names, spec.gates, rename)
                if own and len(own) > len(self.found.get(names, ())):
                    self.found[names] = own
        most = max(map(len, self.found.values()), default=0)
        if not most:
            made, has = type(self.made).__name__, ", ".join([*self.arrays()][:12]) or "no arrays"
            raise FunctionError(
                f"{made} makes its own weights, and their names do not tell those of the gates "
                f"{' '.join(spec.gates)}: it has {has}. {INSTEAD.format(made)}",
                Stage.WEIGHTS,
            )
        yield from (names for names, own in self.found.items() if len(own) == most)

    def arrays(self) -> dict[str, tuple[dict[str, Any], str]]:
        """Where the object's arrays stand, a dict and a key, by their names.

        They are attributes, entries of `params`, the data of parameters, or arrays of parts (forget_gate.W).
        """
        found: dict[str, tuple[dict[str, Any], str]] = {}
        for attribute, value in vars(self.made).items():
            held = value if isinstance(value, dict) and re.fullmatch(PARAMETERS, attribute) else {}
            for holder, names in ((vars(self.made), [attribute]), (held, [*held])):
                for name in names:
                    inside = _inside(holder[name])
                    if _is_weight(holder[name]):
                        found.setdefault(str(name), (holder, name))
                    elif "grad" in inside:
                        data = (key for key, one in inside.items() if key != "grad" and _is_weight(one))
                        found.update({str(name): (inside, key) for key in data})
                    else:
                        parts = (key for key, one in inside.items() if _is_weight(one))
                        found.update({f"{name}_{key}": (inside, key) for key in parts})
        return found

    def _read(self, names: tuple[str, ...], gates: tuple[str, ...], rename: Any) -> list[Own]:
        """The arrays that are these weights; none where one of them, or of their gates, is missing."""
        keys = Keys(ANY)
        keys.names, keys.gates = names, gates
        found: dict[tuple[str, int | None], Own] = {}
        for key, (holder, slot) in self.arrays().items():
            which = keys.find(rename(key))
            if which in found and which is not None and which[0] == "b" and "rb" in names:
                which = "rb", which[1]
            if which is None or which in found:
                continue
            found[which] = Own(key, *which, False, holder[slot].shape, self.places(holder, slot))
        blocks = range(len(gates))
        for name in names:
            whole, parts = (name, None) in found, all((name, k) in found for k in blocks)
            if whole == parts:
                return []
        return [*found.values()]

    def places(self, holder: dict[str, Any], slot: str) -> list[tuple[Any, Any]]:
        """Every place that holds the array that stands there, this one first."""
        array = holder[slot]
        return [
            (holder, slot),
            *(at for at in self._all_places(array) if at[0] is not holder or at[1] != slot),
        ]

    def _all_places(self, array: Array) -> list[tuple[Any, Any]]:
        places: list[tuple[Any, Any]] = []
        for holder in (vars(self.made), *vars(self.made).values()):
            if isinstance(holder, (dict, list)):
                keys = holder if isinstance(holder, dict) else range(len(holder))
                places += [(holder, key) for key in keys if holder[key] is array]
        return places

    # -------------------------------------------------------------------------- in and out

    def put(self, weights: dict[str, Array]) -> list[Own]:
        """Set the object's arrays; each of them, with the way it stands."""
        standing = weights.get("W", weights.get("WU"))
        assert standing is not None
        columns = len(standing) == self.gates * self._units(weights) != standing.shape[1]
        placed = []
        for own in self.found[tuple(weights)]:
            array = weights[own.name]
            if columns:
                array = array.T if own.name in MATRICES else array.reshape(-1)
            if own.block is not None:
                array = np.split(array, self.gates, axis=-1)[own.block]
            placed.append((own, array))
        turned = any(
            own.name in MATRICES and own.shape == array.shape[::-1] != array.shape for own, array in placed
        )
        found = []
        for own, array in placed:
            given = array.T if turned and own.name in MATRICES else array
            if (own.name in MATRICES and own.shape != given.shape) or given.size != np.prod(own.shape):
                words = f"{own.key} must have the shape {given.shape}, got {own.shape}."
                raise FunctionError(words, Stage.FORWARD)
            for holder, key in own.places:
                holder[key] = given.reshape(own.shape).copy()
            found.append(own._replace(turned=turned))
        return found

    def _units(self, weights: dict[str, Array]) -> int:
        bias = weights.get("b", weights.get("U"))
        size = bias.size if bias is not None and "b" in weights else max(next(iter(weights.values())).shape)
        return int(size // self.gates)

    def gradients(
        self, placed: list[Own], weights: dict[str, Array], returned: dict[Any, Any]
    ) -> dict[str, Any]:
        """dW, dU, db in the layout of `weights`, of what backward left in the object or returned by name."""
        blocks: dict[str, dict[int, Array]] = {}
        missing = []
        for own in placed:
            value = self.gradient(own.key, own.places, returned)
            if value is None:
                missing.append(own)
                continue
            array = np.asarray(value)
            if array.shape != own.shape:
                words = f"backward must give d{own.key} of shape {own.shape}, got {array.shape}."
                raise FunctionError(words, Stage.GRADIENTS)
            array = array.T if own.turned and own.name in MATRICES else array
            array = array if own.name in MATRICES else array.reshape(-1)
            blocks.setdefault(own.name, {})[own.block or 0] = array
        for own in missing:
            if own.name in blocks:
                raise FunctionError(
                    f"backward leaves no gradient of {own.key}: it is looked for as d{own.key}, "
                    f"grad_{own.key} and grads[{own.key!r}].",
                    Stage.GRADIENTS,
                )
        found: dict[str, Any] = {}
        for name, parts in blocks.items():
            whole = np.concatenate([parts[k] for k in sorted(parts)], axis=-1)
            found[name] = whole.T if name in MATRICES and whole.shape != weights[name].shape else whole
        return found

    def gradient(self, name: str, places: list[tuple[Any, Any]], returned: dict[Any, Any]) -> Any:
        """The gradient of the array of that name in these places; None where there is none."""
        (holder, slot), *_ = places
        held = vars(self.made)
        dicts = [v for n, v in held.items() if isinstance(v, dict) and re.fullmatch(GRADIENTS, n)]
        tried = [(holder, form.format(slot)) for form in FORMS]
        tried += [(place, form.format(name)) for place in (returned, *dicts, held) for form in FORMS]
        tried += [(place, name) for place in (returned, *dicts)]
        tried += [(holder, "grad")] if holder is not held else []
        for place, key in tried:
            if place.get(key) is not None:
                return place[key]
        lists = [v for n, v in held.items() if isinstance(v, list) and re.fullmatch(GRADIENTS, n)]
        for holder, slot in places:
            if isinstance(holder, list):
                return next((grads[slot] for grads in lists if len(grads) == len(holder)), None)
        return None


def _is_weight(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.ndim < 3


def _inside(value: Any) -> dict[str, Any]:
    """What a part of the object holds: a layer of a gate, a parameter with its data and its gradient."""
    plain = inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value)
    return vars(value) if hasattr(value, "__dict__") and not plain else {}


def _as_it_is(key: str) -> str:
    return key


def _gate_last(key: str) -> str:
    """W_fx -> W_xf, W_forget -> W_f, forget_W -> W_f: the gate's letter last."""
    words = "|".join(GATES)
    found = re.fullmatch(rf"(.+?)_?({words})(_?gate)?", key) or re.fullmatch(
        rf"()({words})_?(?:gate_?)?(.+)", key
    )
    if found:
        name = found[1] or found[3]
        return f"{name}_{GATES[found[2]]}"
    found = re.fullmatch("([WwUuBb])_?([a-zA-Z])_?([xhXH])", key)
    return f"{found[1]}_{found[3]}{found[2]}" if found else key
