"""Other shapes and styles of hand-written code, brought into the form that the two checks take.

    check_sequence(*columns(forward, backward), "lstm")        (D, B), (H, B), (D, B, T); a bias is a column
    check_sequence(*time_major(forward, backward), "gru")      (T, B, D)
    check_sequence(*single(forward, backward), "lstm")         (T, D), (H,): one sample, no batch axis
    check_step(*column(forward, backward), "lstm")             (D, 1), (H, 1): one sample, as a column
    check_sequence(*ids(forward, backward), "simple_rnn")      x (B, T) of whole numbers
    check_step(*dictionary(forward, backward), "lstm")         forward(x, h, c, {"Wx": ..., "b": ...})
    check_step(*listed(forward, backward), "lstm")             forward(x, h, c, [W, U, b])
    check_step(*pytorch(forward, backward), "lstm")            W_ih (4H, D), W_hh (4H, H), b_ih, b_hh
    check_step(*blocks(forward, backward), "lstm")             W (4, D, H), U (4, H, H), b (4, H)
    check_step(*gates(forward, backward), "lstm")              forward(x, h, c, {"W_xi": ..., "b_i": ...})
    check_step(*course(forward, backward), "lstm")             {"Wf": ..., "bf": ...} of [h, x], on columns
    check_step(*separate(forward, backward), "lstm")           forward(x, h, c, Wi, Wf, Wc, Wo, bi, ...)
    check_step(*states(forward, backward), "lstm")             forward(x, (h, c), W, U, b)
    check_step(*layer(LSTM), "lstm")                           LSTM(W, U, b): .forward, .backward, .grads
    check_step(*layer(LSTM(2, 3)), "lstm")                     weights of its own: Wf, W_xi, ...; dWf, ...
    check_sequence(*loss_inside(function, parameters, x, y))   function(x, y) -> loss, gradients

Each takes and returns a pair of functions, so they can be put into each other:
`time_major(*dictionary(forward, backward))`. What they return is for the two checks only.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

import numpy as np

from minilstm.foundations.arrays import Array
from minilstm.foundations.errors import shown, wording
from minilstm.gradient_check.student import signature
from minilstm.gradient_check.student.by_name import (
    ANY,
    GATES,
    Arranged,
    ByName,
    Given,
    InDictionary,
    Keys,
    Listed,
    Parameters,
    Reading,
)
from minilstm.gradient_check.student.cases import WEIGHTS
from minilstm.gradient_check.student.objects import Function, LayerBackward, LayerForward, LossInside

LETTERS = ("ifco", "ifgo", "zrh", "zrg")  # of gates, in this package's order
Pair = tuple[Function, Function]
P = ParamSpec("P")


def _of_functions(adapter: Callable[P, Pair]) -> Callable[P, Pair]:
    """`adapter`, which refuses at once what is no function; it would be called in the middle of a check."""

    @functools.wraps(adapter)
    def checked(*args: P.args, **kwargs: P.kwargs) -> Pair:
        for name, given in (*zip(("forward", "backward"), args, strict=False), *kwargs.items()):
            if name in ("forward", "backward") and not callable(given):
                raise TypeError(wording(name, "a function", shown(given)))
        return adapter(*args, **kwargs)

    return checked


@_of_functions
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


@_of_functions
def time_major(forward: Function, backward: Function) -> Pair:
    """Time stands first: x (T, B, D), h (T, B, H), a mask (T, B)."""

    def swap(a: Array) -> Array:
        return a.swapaxes(0, 1) if a.ndim == 3 or (a.ndim == 2 and a.dtype == bool) else a

    return _laid_out(forward, backward, swap, swap)


@_of_functions
def single(forward: Function, backward: Function) -> Pair:
    """One sample without a batch axis: x (D,) or (T, D), h (H,) or (T, H)."""

    def give(a: Array) -> Array:
        return a[0] if a.ndim > 1 and len(a) == 1 else a

    pair = _laid_out(forward, backward, give, lambda a: a)
    pair[0].single = True  # type: ignore[attr-defined]
    return pair


@_of_functions
def column(forward: Function, backward: Function, time_first: bool = False) -> Pair:
    """One sample, as a column: x (D, 1) or (D, 1, T), h (H, 1), W (nH, D), b (nH, 1).

    As `columns`, for a backward pass that sums over no samples.
    """
    pair = columns(forward, backward, time_first)
    pair[0].single = True  # type: ignore[attr-defined]
    return pair


@_of_functions
def ids(forward: Function, backward: Function) -> Pair:
    """x is whole numbers (B,) or (B, T), which pick rows of W; it has no gradient."""

    @functools.wraps(forward)
    def picked(x: Array, *rest: Any) -> Any:
        return forward(np.argmax(x.real, axis=-1), *rest)

    picked.ids = True  # type: ignore[attr-defined]
    return picked, backward


@_of_functions
def dictionary(forward: Function, backward: Function, letters: str | None = None) -> Pair:
    """forward(x, h_prev, c_prev, parameters): the weights are in a dict, the gradients too if you like.

    parameters["W"] or parameters.W. Keys are understood as names of arguments are: Wx, W_xh, kernel; Wh,
    Whh, U; b. letters : the last letter of the keys, where each gate has its own ("Wf", "bf"), in the order
    i, f, g, o or z, r, g: "ifco", "zrh".
    """
    keys = Keys(letters)
    return ByName(forward, InDictionary(forward, keys)), Reading(backward, keys)


@_of_functions
def gates(forward: Function, backward: Function) -> Pair:
    """forward(x, h_prev, c_prev, parameters): a dict in which each gate has its own, W_xi, W_hi, b_i, ...

    The last letter is the gate's: i, f, g or c, o; z or u, r, and g, h, n or c.
    """
    return dictionary(forward, backward, ANY)


@_of_functions
def course(forward: Function, backward: Function) -> Pair:
    """forward(x, a_prev, c_prev, parameters) on columns, with Wf, bf, Wi, bi, Wc, bc, Wo, bo of [a_prev, x]
    for the LSTM; Wax, Waa, ba for the simple RNN. Parameters of an output layer, Wy and by, are random."""
    pair = columns(forward, backward)
    return dictionary(*pair, letters="ifco")


@_of_functions
def separate(forward: Function, backward: Function, letters: str | None = None) -> Pair:
    """forward(x, h_prev, c_prev, Wf, Wi, Wc, Wo, bf, bi, bc, bo): each gate's weights are arguments.

    backward returns their gradients last, in the order of the arguments. letters : as in `dictionary`; by
    the names' own last letters if None
    """
    forward = signature.positional(forward)
    given = list(inspect.signature(forward).parameters.values())
    lead = next((k for k, p in enumerate(given) if signature.meaning(p.name, ("x", "h", "c")) is None), 0)
    names = [p.name for p in given[lead:]]
    ends = {name[-1].lower() for name in names}
    letters = letters or next((known for known in LETTERS if set(known) == ends), None)
    if letters is None and any(len(ends) == len(own) and ends <= {*own, *GATES[own]} for own in GATES):
        letters = ANY

    @functools.wraps(forward)
    def gathered(*arguments: Any) -> Any:
        *first, parameters = arguments
        return forward(*first, *[parameters[name] for name in names])

    @functools.wraps(backward)
    def keyed(*arguments: Any) -> Any:
        returned = backward(*arguments)
        if isinstance(returned, dict) or any(isinstance(part, dict) for part in returned):
            return returned
        count = len(returned) - len(names)
        return *returned[:count], dict(zip(names, returned[count:], strict=True))

    gathered.__signature__ = inspect.Signature(given[: lead + 1])  # type: ignore[attr-defined]
    return dictionary(gathered, keyed, letters)


@_of_functions
def listed(forward: Function, backward: Function) -> Pair:
    """forward(x, h_prev, c_prev, [W, U, b]): the weights are a list, their gradients too if you like."""
    return _arranged(Listed(forward, backward, _as_it_is, _as_it_is))


@_of_functions
def pytorch(forward: Function, backward: Function) -> Pair:
    """Weights stand transposed, as in PyTorch: W_ih (4H, D), W_hh (4H, H), one bias or b_ih and b_hh.

    Also one matrix (4H, D + H), or (4H, D + H + 1) with the bias as a column. For PyTorch's (T, B, D) too:
    time_major(*pytorch(forward, backward)).
    """

    def turned(name: str, array: Array, gates: int) -> Array:
        return array.swapaxes(-1, -2) if name in ("W", "U", "WU", "WUb") else array

    return _arranged(Arranged(forward, backward, turned, turned))


@_of_functions
def blocks(forward: Function, backward: Function) -> Pair:
    """The gates are an axis of their own, the first: W (4, D, H), U (4, H, H), b (4, H).

    W (4, H, D): blocks(*pytorch(forward, backward)).
    """

    def split(name: str, array: Array, gates: int) -> Array:
        return np.moveaxis(array.reshape(*array.shape[:-1], gates, -1), -2, 0) if name in WEIGHTS else array

    def joined(name: str, array: Array, gates: int) -> Array:
        return np.concatenate([*array], axis=-1) if name in WEIGHTS else array

    return _arranged(Arranged(forward, backward, split, joined))


@_of_functions
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

    split.inputs = lambda spec: (("x", "h", "c", *w) for w in signature.weights(spec))  # type: ignore[attr-defined]
    return split, lambda *given: paired(*given)


def layer(make: Any, weights: Sequence[str] | None = None) -> Pair:
    """An object with `forward`, `backward`, and the gradients of its weights in `grads` or in dW, dU, db.

    make : a class, or a function, that makes the object of its weights: LSTM(W, U, b). Or an object that has
    made them, of the sizes of the check (`features`, `units`): its attributes, keys of its `params`, or
    arrays of its parts are known by their names, each gate's apart if it likes (Wf, W_xf, forget_gate.W),
    and so are their gradients (dWf, grads["Wf"]).
    weights : the names of W, U and b where these do not tell: layer(lstm, ["A", "B", "c"])
    """
    holder = LayerForward(make, weights)
    return ByName(make, holder.forward, holder), LayerBackward(holder)


def loss_inside(function: Function, parameters: Any, *arguments: Any) -> Pair:
    """function(*arguments) -> loss, gradients: the loss is inside, as in a training script.

    parameters : a dict of the arrays that the function reads, by any names, each of them an argument or a
    global, or an object that has them; they are changed in place for the check and put back. The gradients
    come as a dict, or after the loss in the order of `parameters`, or stay in the object, as of `layer`; what
    comes after them is not looked at.
    """
    inside = LossInside(function, parameters, arguments)
    return inside, inside.backward


# ------------------------------------------------------------------------------ layouts


def _as_it_is(name: str, array: Array, gates: int) -> Array:
    return array


def _arranged(pair: Arranged) -> Pair:
    @functools.wraps(pair.back)
    def backward(*arguments: Any) -> Any:
        return pair.backward(*arguments)

    return ByName(pair.forward, pair), backward


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
        if isinstance(value, Parameters):
            return Given(value, give)
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
        def call(*arguments: Any, **named: Any) -> Any:
            # a cache is handed on as it came: only arrays that stand by themselves are turned
            returned = function(
                *[given(value) for value in arguments], **{k: given(value) for k, value in named.items()}
            )
            if isinstance(returned, tuple):
                if lists and isinstance(returned[0], list):
                    returned = np.array(returned[0]), *returned[1:]
                return tuple(taken(v) if isinstance(v, np.ndarray) or deep else v for v in returned)
            return taken(returned) if isinstance(returned, np.ndarray) or deep else returned

        return call

    turned = wrapped(forward, False), wrapped(backward, True)
    if signature.said(forward, "by_name"):
        return ByName(forward, turned[0], forward), turned[1]
    return turned
