"""Other shapes and styles of hand-written code, brought into the form that the two checks take.

    check_sequence(*columns(forward, backward), "lstm")        (D, B), (H, B), (D, B, T); a bias is a column
    check_sequence(*time_major(forward, backward), "gru")      (T, B, D)
    check_sequence(*single(forward, backward), "lstm")         (T, D), (H,): one sample, no batch axis
    check_sequence(*ids(forward, backward), "simple_rnn")      x (B, T) of whole numbers
    check_step(*dictionary(forward, backward), "lstm")         forward(x, h, c, {"Wx": ..., "b": ...})
    check_step(*course(forward, backward), "lstm")             {"Wf": ..., "bf": ...} of [h, x], on columns
    check_step(*separate(forward, backward), "lstm")           forward(x, h, c, Wi, Wf, Wc, Wo, bi, ...)
    check_step(*states(forward, backward), "lstm")             forward(x, (h, c), W, U, b)
    check_step(*layer(LSTM), "lstm")                           LSTM(W, U, b): .forward, .backward, .grads
    check_sequence(*loss_inside(function, parameters, x, y))   function(x, y) -> loss, gradients

Each takes and returns a pair of functions, so they can be put into each other:
`time_major(*dictionary(forward, backward))`. What they return is for the two checks only.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minilstm.arrays import Array
from minilstm.gradient_check.student import signature
from minilstm.gradient_check.student.objects import (
    WEIGHTS,
    Function,
    LayerBackward,
    LayerForward,
    LossInside,
)

LETTERS = ("ifco", "ifgo", "zrh", "zrg")  # of gates, in this package's order
Pair = tuple[Function, Function]


def columns(forward: Function, backward: Function, time_first: bool = False) -> Pair:
    """Samples are columns: x (D, B) or (D, B, T), h (H, B), W (nH, D), b (nH, 1).

    time_first : a sequence is (T, D, B), an array or a list of steps
    """
    there, back = ((1, 2, 0), (2, 0, 1)) if time_first else ((2, 0, 1), (1, 2, 0))

    def give(a: Array) -> Array:
        return a[:, None] if a.ndim == 1 else a.T if a.ndim == 2 else a.transpose(there)

    def take(a: Array) -> Array:
        return a.T if a.ndim < 3 else a.transpose(back)

    return _laid_out(forward, backward, give, take, time_first)


def time_major(forward: Function, backward: Function) -> Pair:
    """Time stands first: x (T, B, D), h (T, B, H), a mask (T, B)."""

    def swap(a: Array) -> Array:
        return a.swapaxes(0, 1) if a.ndim == 3 or (a.ndim == 2 and a.dtype == bool) else a

    return _laid_out(forward, backward, swap, swap)


def single(forward: Function, backward: Function) -> Pair:
    """One sample without a batch axis: x (D,) or (T, D), h (H,) or (T, H)."""

    def give(a: Array) -> Array:
        return a[0] if a.ndim > 1 and len(a) == 1 else a

    pair = _laid_out(forward, backward, give, lambda a: a)
    pair[0].single = True  # type: ignore[attr-defined]
    return pair


def ids(forward: Function, backward: Function) -> Pair:
    """x is whole numbers (B,) or (B, T), which pick rows of W; it has no gradient."""

    @functools.wraps(forward)
    def picked(x: Array, *rest: Any) -> Any:
        return forward(np.argmax(x.real, axis=-1), *rest)

    picked.ids = True  # type: ignore[attr-defined]
    return picked, backward


def dictionary(forward: Function, backward: Function, letters: str | None = None) -> Pair:
    """forward(x, h_prev, c_prev, parameters): the weights are in a dict, the gradients too if you like.

    parameters["W"] or parameters.W. Keys are understood as names of arguments are: Wx, W_xh, kernel; Wh,
    Whh, U; b. letters : the last letter of the keys, where each gate has its own ("Wf", "bf"), in the order
    i, f, g, o or z, r, g: "ifco", "zrh".
    """
    keys = _Keys(letters)
    return _ByName(forward, _Dictionary(forward, keys)), _Reading(backward, keys)


def course(forward: Function, backward: Function) -> Pair:
    """forward(x, a_prev, c_prev, parameters) on columns, with Wf, bf, Wi, bi, Wc, bc, Wo, bo of [a_prev, x]
    for the LSTM; Wax, Waa, ba for the simple RNN. Parameters of an output layer, Wy and by, are random."""
    pair = columns(forward, backward)
    return dictionary(*pair, letters="ifco")


def separate(forward: Function, backward: Function, letters: str | None = None) -> Pair:
    """forward(x, h_prev, c_prev, Wf, Wi, Wc, Wo, bf, bi, bc, bo): each gate's weights are arguments.

    backward returns their gradients last, in the order of the arguments. letters : as in `dictionary`; by
    the names' own last letters if None
    """
    given = list(inspect.signature(forward).parameters.values())
    lead = next((k for k, p in enumerate(given) if signature.meaning(p.name, ("x", "h", "c")) is None), 0)
    names = [p.name for p in given[lead:]]
    ends = {name[-1].lower() for name in names}
    letters = letters or next((known for known in LETTERS if set(known) == ends), None)

    def gathered(*arguments: Any) -> Any:
        *first, parameters = arguments
        return forward(*first, *[parameters[name] for name in names])

    @functools.wraps(backward)
    def keyed(*arguments: Any) -> Any:
        returned = backward(*arguments)
        count = len(returned) - len(names)
        return *returned[:count], dict(zip(names, returned[count:], strict=True))

    gathered.__signature__ = inspect.Signature(given[: lead + 1])  # type: ignore[attr-defined]
    return dictionary(gathered, keyed, letters)


def states(forward: Function, backward: Function) -> Pair:
    """forward(x, (h, c), W, U, b) -> h, (h, c), cache or (h, c), cache; backward(dh, (dh, dc), cache) or
    backward((dh, dc), cache). The states are one pair, as an argument, an output and a gradient."""
    whole = len(signature.parameters(backward)[0]) == 2

    def split(x: Array, h: Array, c: Array, *weights: Array) -> Any:
        returned = forward(x, (h, c), *weights)
        if whole:
            return *returned[0], *returned[1:]
        h, last, *rest = returned
        return (h, last[1], *rest) if np.shape(h) == np.shape(last[0]) else returned

    def paired(dh: Array, *given: Any) -> Any:
        *last, dc, cache = given
        return backward((dh, dc), cache) if whole else backward(dh, (*(last or [0 * dh]), dc), cache)

    split.inputs = lambda spec: (("x", "h", "c", *names) for names in WEIGHTS[1:])  # type: ignore[attr-defined]
    return split, lambda *given: paired(*given)


def layer(make: Any, weights: Sequence[str] | None = None) -> Pair:
    """An object with `forward`, `backward`, and the gradients of its weights in `grads` or in dW, dU, db.

    make : a class, or a function, that makes the object of its weights: LSTM(W, U, b). Or an object, with
    the names of its weights: layer(lstm, ["Wx", "Wh", "b"]), attributes of it or keys of its `params`; their
    sizes must be those of the check (`batch`, `features`, `units`).
    """
    holder = LayerForward(make, weights)
    return _ByName(make, holder.forward, holder), LayerBackward(holder)


def loss_inside(function: Function, parameters: dict[str, Array], *arguments: Any) -> Pair:
    """function(*arguments) -> loss, gradients: the loss is inside, as in a training script.

    parameters : the arrays that the function reads, by any names, each of them an argument, a global or an
    attribute; they are changed in place for the check and put back. The gradients come as a dict, or after
    the loss in the order of `parameters`; what comes after them is not looked at.
    """
    inside = LossInside(function, parameters, arguments)
    return inside, inside.backward


# ------------------------------------------------------------------------------ layouts


def _laid_out(
    forward: Function,
    backward: Function,
    give: Callable[[Array], Array],
    take: Callable[[Array], Array],
    lists: bool = False,
) -> Pair:
    """`lists`: also a list over time is turned, where it is the first value."""

    def given(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return give(value)
        if isinstance(value, _Parameters):
            return _Given(value, give)
        if signature.said(forward, "by_name") and isinstance(value, dict):
            return {name: given(one) for name, one in value.items()}
        return value

    def taken(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return take(value)
        if isinstance(value, dict):
            return {key: taken(one) for key, one in value.items()}
        return value

    def wrapped(function: Function, deep: bool) -> Function:
        @functools.wraps(function)
        def call(*arguments: Any) -> Any:
            # a cache is handed on as it came: only arrays that stand by themselves are turned
            returned = function(*[given(value) for value in arguments])
            if isinstance(returned, tuple):
                if lists and isinstance(returned[0], list):
                    returned = np.array(returned[0]), *returned[1:]
                return tuple(taken(v) if isinstance(v, np.ndarray) or deep else v for v in returned)
            return taken(returned) if isinstance(returned, np.ndarray) or deep else returned

        return call

    turned = wrapped(forward, False), wrapped(backward, True)
    if signature.said(forward, "by_name"):
        return _ByName(forward, turned[0], forward), turned[1]
    return turned


# ------------------------------------------------------------------------------ weights by name


class _Keys:
    """Which weight a key means, and which gate's block of it."""

    def __init__(self, letters: str | None) -> None:
        self.letters, self.names, self.gates = letters, (), ()

    letters: str | None
    names: tuple[str, ...]
    gates: tuple[str, ...]

    def find(self, key: str, gradient: bool = False) -> tuple[str, int | None] | None:
        """(name, number of the block or None)."""
        mean = signature.gradient_meaning if gradient else signature.meaning
        if self.letters and key[-1:].lower() in self.letters:
            name = mean(key[:-1], self.names)
            if name is not None:
                common = "ifgo" if len(self.letters) == 4 else "zrg"
                gate = common[self.letters.index(key[-1].lower())]
                if gate in self.gates:
                    return name, self.gates.index(gate)
        name = mean(key, self.names)
        return None if name is None else (name, None)


class _Parameters(dict[str, Any]):
    """A dict of weights that knows its arrays by any usual name."""

    def __init__(self, weights: dict[str, Array], keys: _Keys) -> None:
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


class _Given(dict[str, Any]):
    """The same in another layout."""

    def __init__(self, inner: _Parameters, give: Callable[[Array], Array]) -> None:
        super().__init__()
        self.inner, self.give = inner, give

    def __missing__(self, key: str) -> Array:
        self[key] = self.give(np.asarray(self.inner[key]))
        return self[key]  # type: ignore[no-any-return]


class _ByName:
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


class _Dictionary:
    def __init__(self, forward: Function, keys: _Keys) -> None:
        self.function, self.keys = forward, keys

    def inputs(self, spec: Any) -> Iterator[tuple[str, ...]]:
        lead = ("x", *spec.states)
        count = len(signature.parameters(self.function)[0]) - 1
        if not 1 <= count <= len(lead):
            return
        self.keys.gates = spec.gates
        for weights in WEIGHTS if spec.cell == "gru" else WEIGHTS[1:]:
            self.keys.names = weights
            yield (*lead[:count], *weights)

    def __call__(self, given: dict[str, Array]) -> Any:
        lead = [array for name, array in given.items() if name in ("x", "h", "c")]
        weights = {name: array for name, array in given.items() if name in self.keys.names}
        parameters = _Parameters(weights, self.keys)
        returned = self.function(*lead, parameters)
        if "rb" in weights and "rb" not in parameters.read:
            raise KeyError("rb")  # one bias only, as `inputs` tries next
        return returned


class _Reading:
    """A backward pass whose gradients are read by their keys."""

    def __init__(self, backward: Function, keys: _Keys) -> None:
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
