"""What a student's functions returned, by name: outputs by shape and place, gradients by key or order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.gradient_check.report import Stage
from minilstm.gradient_check.student import signature
from minilstm.gradient_check.student.cases import Case, Values
from minilstm.gradient_check.student.exceptions import FunctionError
from minilstm.gradient_check.student.signature import Names

Place = tuple[int, ...]
Remarks = dict[str, None]  # in the order of their finding


@dataclass
class Places:
    """Where the outputs (h, c, h_last, c_last, loss) and the cache stand in what forward returns."""

    step: bool
    outputs: dict[str, Place] = field(default_factory=dict)
    cache: Place | None = None
    listed: set[str] = field(default_factory=set)  # outputs that are lists over time

    def read(self, returned: Any, values: Values, remarks: Remarks) -> Values:
        """The outputs by name, batch-major; FunctionError where one is no array of its shape."""
        arrays = {}
        for name, place in self.outputs.items():
            shape = self._shape(name, values)
            listed = name in self.listed
            if listed:
                shape = shape[1], shape[0], shape[2]
            array = array_of("forward", name, at(returned, place), shape, remarks)
            arrays[name] = array.transpose(1, 0, 2) if listed else array
        return arrays

    def _shape(self, name: str, values: Values) -> tuple[int, ...]:
        if name == "loss":
            return (1,)
        B, H = len(values["x"]), values["h"].shape[1]
        if self.step or name.endswith("_last"):
            return B, H
        return B, values["x"].shape[1], H


# ------------------------------------------------------------------------------ outputs


def find_places(returned: Any, case: Case, names: Names | None, remarks: Remarks) -> Places:
    """Which of the returned values are h and c, and which is the cache; by `names` where they are told."""
    values = _flat(returned, (tuple, list) if case.step else tuple)
    if names is not None:
        return _told_places(values, case, names, remarks)
    places = Places(case.step)
    _name_outputs(places, _states(values, case), case)
    outputs = places.outputs
    if not outputs:
        shape = (case.batch, case.units) if case.step else (case.batch, case.steps, case.units)
        got = as_array(values[0][1]) if values else None
        words = type(returned).__name__ if got is None or got.dtype.kind not in "fiubc" else got.shape
        raise FunctionError(
            f"forward must return h of shape {shape}, got {words}.",
            Stage.OUTPUTS,
            None if got is None else _shape_cause("h", got, shape),
        )
    rest = [place for place, _ in values if place not in outputs.values() and len(place) <= 1]
    if rest and rest[-1] == max(place[:1] for place, _ in values):
        places.cache = rest[-1]
    elif rest == [(0,)] and as_array(returned[0]) is None:
        places.cache = rest[0]
    return places


def _told_places(values: list[tuple[Place, Any]], case: Case, names: Names, remarks: Remarks) -> Places:
    if len(names) != len(values):
        expected = f"forward must return {len(names)} values ({', '.join(names)})"
        raise FunctionError(f"{expected}, got {len(values)}.", Stage.OUTPUTS)
    places = Places(case.step)
    for (place, value), name in zip(values, names, strict=True):
        if name == "cache":
            places.cache = place
        elif name != "-":
            if not case.step and name == "c" and np.ndim(value) < 3:
                name = "c_last"
            places.outputs[name] = place
            array_of("forward", name, value, places._shape(name, case.values), remarks)
    return places


def _states(values: list[tuple[Place, Any]], case: Case) -> list[tuple[Place, str, Array]]:
    """(place, kind, array) of what may be a state: "steps" (B, T, H), "state" (B, H), "listed" (T, B, H)."""
    B, H, T = case.batch, case.units, case.steps
    found: list[tuple[Place, str, Array]] = []
    for place, value in values:
        array = as_array(value)
        kinds = {"steps": (B, T, H), "state": (B, H), "listed": (T, B, H)}
        if case.step or isinstance(value, dict):
            del kinds["steps"]
        if case.step or not isinstance(value, (list, dict)):
            del kinds["listed"]
        if array is None or array.dtype.kind not in "fiubc" or not array.ndim:
            continue
        kind = next((kind for kind, shape in kinds.items() if array.shape == shape), None)
        kind = kind or next((kind for kind, shape in kinds.items() if _fits(array.shape, shape)), None)
        if kind is not None:
            found.append((place, kind, array))
        elif not found and len(values) == len(case.spec.states) + 1:
            break  # the first of as many values as there should be must be h
    return found


def _name_outputs(places: Places, found: list[tuple[Place, str, Array]], case: Case) -> None:
    steps = [one for one in found if one[1] != "state"]
    single = [one for one in found if one[1] == "state"]
    if case.step:
        if len(single) > len(case.spec.states) and np.array_equal(single[0][2], single[1][2]):
            del single[1]  # h, (h, c)
        places.outputs.update(zip(case.spec.states, (place for place, *_ in single), strict=False))
        return
    for (place, kind, _), name in zip(steps, case.spec.states, strict=False):
        places.outputs[name] = place
        if kind == "listed":
            places.listed.add(name)
    last = None
    if steps:
        _, kind, h = steps[0]
        last = h[-1] if kind == "listed" else h.reshape(case.batch, case.steps, -1)[:, -1]
    for place, _, array in single:
        is_last = last is not None and np.array_equal(array.reshape(last.shape), last)
        name = "h_last" if is_last or not steps else "c_last"
        if name == "h_last" and name in places.outputs:
            name = "c_last"
        if name not in places.outputs and ("c" in case.spec.states or name == "h_last"):
            places.outputs[name] = place


def _flat(returned: Any, pairs: Any) -> list[tuple[Place, Any]]:
    """(place, value) of what was returned: the values of a tuple, and of a pair of states in it (`pairs`)."""
    if not isinstance(returned, (tuple, list)) or (isinstance(returned, list) and len(returned) > 5):
        return [((), returned)]
    found: list[tuple[Place, Any]] = []
    for k, value in enumerate(returned):
        last = len(returned) > 2 and k == len(returned) - 1  # the cache
        first = k == 0 and len(returned) > 1  # before the cache
        states = isinstance(value, pairs) and len(value) == 2 and (first or (k > 0 and not last))
        if states and all(isinstance(part, np.ndarray) and part.ndim in (2, 3) for part in value):
            found += [((k, 0), value[0]), ((k, 1), value[1])]
        else:
            found.append(((k,), value))
    return found


def at(returned: Any, place: Place) -> Any:
    """The value that stands there."""
    for k in place:
        returned = returned[k]
    return returned


# ------------------------------------------------------------------------------ gradients


def read_gradients(
    returned: Any, names: list[str], values: Values, remarks: Remarks
) -> dict[str, Array | None]:
    """The returned gradients by the names of the inputs: by their keys, or by their order and shapes."""
    if isinstance(returned, dict):
        named = _keyed(returned, names)
    else:
        if isinstance(returned, np.ndarray) and len(names) > 1:
            returned = (returned,)
        if not isinstance(returned, (tuple, list)):
            raise _wrong_number(names, type(returned).__name__)
        named = {}
        plain: list[Any] = []
        for value in returned:
            if isinstance(value, dict):
                named |= _keyed(value, names)
            elif isinstance(value, tuple) or (isinstance(value, list) and as_array(value) is None):
                plain += value
            else:
                plain.append(value)
        named |= _in_order(plain, [name for name in names if name not in named], values, remarks)
    return {
        name: None if value is None else array_of("backward", f"d{name}", value, values[name].shape, remarks)
        for name, value in named.items()
    }


def _keyed(returned: dict[Any, Any], names: list[str]) -> dict[str, Any]:
    found = {}
    for key, value in returned.items():
        among = names + (["b"] if "rb" in names and "b" not in names else [])
        name = str(key) if str(key) in names else signature.gradient_meaning(str(key), among)
        if name in names and name not in found:
            found[str(name)] = value
    if not found:
        keys = ", ".join(map(str, list(returned)[:8]))
        words = f"backward must return the gradients of {', '.join(names)}, got keys {keys}."
        raise FunctionError(words, Stage.GRADIENTS)
    return found


def _in_order(plain: list[Any], names: list[str], values: Values, remarks: Remarks) -> dict[str, Any]:
    """Values for names, in order; where there are fewer values than names, by their shapes."""
    if len(plain) == len(names):
        return _one_each(plain, names, values, remarks)
    rest = list(names)
    found: dict[str, Any] = {}
    for value in plain:
        first = next((n for n in rest if _could_be(value, values[n].shape)), None)
        if first is None:
            break
        found[first] = value
        rest = rest[rest.index(first) + 1 :]
    if not plain or len(found) < len(plain):
        raise _wrong_number(names, len(plain))
    return found


def _one_each(plain: list[Any], names: list[str], values: Values, remarks: Remarks) -> dict[str, Any]:
    """As many values as names: in order, or in another one if each value fits one name only."""
    in_order = dict(zip(names, plain, strict=True))
    if all(_could_be(value, values[name].shape) for name, value in in_order.items()):
        return in_order
    left = list(names)
    found: dict[str, Any] = {}
    for value in plain:
        fitting = [n for n in left if _could_be(value, values[n].shape)]
        if not fitting or value is None:
            return in_order
        found[fitting[0]] = value
        left.remove(fitting[0])
    remarks["backward returns its gradients in another order than forward takes its inputs"] = None
    return found


def _wrong_number(names: list[str], got: object) -> FunctionError:
    listed = ", ".join(f"d{name}" for name in names)
    return FunctionError(f"backward must return {len(names)} values ({listed}), got {got}.", Stage.GRADIENTS)


def _could_be(value: Any, shape: tuple[int, ...]) -> bool:
    if value is None:
        return True
    array = as_array(value)
    return array is not None and _fits(array.shape, shape)


# ------------------------------------------------------------------------------ arrays


def array_of(what: str, name: str, value: Any, shape: tuple[int, ...], remarks: Remarks) -> Array:
    """A copy of a value in its shape; FunctionError if it is no array of numbers, or cannot have it."""
    array, stage = as_array(value), Stage.OUTPUTS if what == "forward" else Stage.GRADIENTS
    if array is None or array.dtype.kind not in "fiubc":
        words = f"{what} must return {name} as an array of numbers, got {type(value).__name__}."
        raise FunctionError(words, stage)
    if array.shape != shape:
        if not _fits(array.shape, shape):
            raise FunctionError(
                f"{what} must return {name} of shape {shape}, got {array.shape}.",
                stage,
                _shape_cause(name, array, shape),
            )
        remarks[f"{what} returns {name} of shape {array.shape}, taken for {shape}"] = None
        array = array.reshape(shape)
    return array.copy()  # later calls may write into what this one returned


def as_array(value: Any) -> Array | None:
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


def _shape_cause(name: str, array: Array, shape: tuple[int, ...]) -> str | None:
    if array.shape == shape[::-1] and array.ndim == 2:
        return f"{name} is transposed"
    if array.ndim == len(shape) + 1 and array.shape[1:] == shape:
        return f"{name} is not accumulated over the batch: its first axis, of {len(array)}, was not summed"
    return None
