"""What a student's functions take and give, in the names of this package: told, or found out.

    x  h  c          the input, and the states before it (h_prev, h0, a_prev, ...)
    W  U  b  rb      kernel, recurrent kernel, bias, recurrent bias (Wx, Wh, kernel, Whh, bh, ...)
    WU  WUb          W and U in one matrix, of [x, h] or of [h, x]; and b too, of [x, h, 1] or the like
    mask  cache      the mask; whatever backward needs;  "-" stands for what is not looked at

Names are taken from the functions' own arguments where all of them are understood, and otherwise from
their number: the candidates are tried in turn, the likeliest first.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from minilstm.foundations.errors import instance, listed, shown, wording
from minilstm.gradient_check.student.cases import Spec

WORDS = {
    "x": r"x|xs|xt|ids|idx|tokens|xseq|xin|inputs?|inp|input(seq|s)?|seq|sequence|data",
    "h": r"[has](0|prev|previous|init|old|last|s|in|next|t1|tm1|x|n)?|(prev|init|initial|last|old|next)[has]"
    r"|hidden(state)?|hiddenprev|hs0|out|outputs?|y|ys|hout|htop|upstream|grad|gradout|gradoutput|hidden0",
    "c": r"c(0|prev|previous|init|old|last|s|in|next|t1|tm1|x|n|t)?|(prev|init|initial|last|old|next)c"
    r"|cell(state)?(0|prev|next|last)?|(prev|next)cell",
    "W": r"w|wx|wxh|wax|wih|weightih|kernel|wi|win|winput|wxx|inputkernel",
    "U": r"u|wh|whh|waa|weighthh|recurrentkernel|uh|wr|wrec|whx|wu",
    "b": r"b|bias(ih)?|ba|bx|bih|bs|bi|bh|b0",
    "rb": r"rb|br|(b|bias)hh|recurrentbias|b2|bu|bhr|bh",
    "WU": r"w|wu|wxh|whx|wcat|wall|weights?|theta",
    "mask": r"masks?|m",
    "cache": r"caches?|tape|ctx|context|saved|store|memory|stuff|states?|intermediates?|history|activations?",
}
WORDS["WUb"] = WORDS["WU"]
TOLD = {"h_prev": "h", "h0": "h", "c_prev": "c", "c0": "c", "W_xh": "WU", "W_hx": "WU"}
PAIRS = "h, c", "h_last, c_last"  # given as one tuple
Names = tuple[str, ...]


def said(holder: Any, what: str, otherwise: Any = None) -> Any:
    """What an adapter, a function or an object of somebody else's says under that name, if it does.

    Adapters say: "inputs", "outputs", "values"; "ids", x is read as integers; "one_batch" and "single", of
    one batch size and of one sample; "by_name", forward takes its tensors by name.
    """
    return getattr(holder, what, otherwise)


def parameters(function: Callable[..., Any]) -> tuple[list[str], list[str], bool]:
    """Names of the positional arguments that must be given, of those that may, and whether any number may."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return [], [], True
    positional = [p for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p.name for p in positional if p.default is p.empty]
    optional = [p.name for p in positional if p.default is not p.empty]
    return needed, optional, any(p.kind is p.VAR_POSITIONAL for p in found)


def weights(spec: Spec) -> Iterator[Names]:
    """Which weights forward may take; this package's first."""
    every = ("W", "U", "b"), ("W", "U", "b", "rb"), ("W", "U"), ("WU", "b"), ("WUb",), ("WU",)
    yield from dict.fromkeys([spec.weights, *every])


def positional(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with the keyword-only arguments that it needs as the last positional ones."""
    try:
        found = inspect.signature(function)
    except (TypeError, ValueError):
        return function
    given = [*found.parameters.values()]
    named = [p for p in given if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if not named:
        return function
    first = [
        p for p in given if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        count = len(arguments) - len(named)
        names = (p.name for p in named)
        return function(*arguments[:count], **dict(zip(names, arguments[count:], strict=True)))

    ordered = [p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in (*first, *named)]
    call.__signature__ = found.replace(parameters=ordered)  # type: ignore[attr-defined]
    return call


def meaning(name: str, among: Sequence[str]) -> str | None:
    """Which of `among` an argument's name means; None if none."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return next((key for key in among if re.fullmatch(WORDS[key], plain)), None)


def gradient_meaning(name: str, among: Sequence[str]) -> str | None:
    """Which of `among` a gradient's name means: "dWx", "grad_h0", "dprev_h", or the name alone."""
    plain = re.sub(r"^(d_?|grads?_?|delta_?)(?=.)", "", name)
    return meaning(plain, among) or meaning(name, among)


def told(argument: str, names: Any, allowed: Sequence[str]) -> Names | None:
    """Names that the caller gave; ValueError for one that is not known."""
    if names is None:
        return None
    given = names.split() if isinstance(names, str) else listed(argument, "a list of names", names)
    for name in given:
        instance(argument, name, str, "a list of names")
    found = tuple(TOLD.get(name, name) for name in given)
    for name in found:
        if name not in allowed:
            raise ValueError(wording(argument, f"of the names {', '.join(allowed)}", shown(name)))
    return found


def inputs(function: Callable[..., Any], spec: Spec, masked: bool) -> Iterator[Names]:
    """What forward may take, in order; the likeliest first."""
    declared = said(function, "inputs")
    last = ("mask",) if masked else ()
    if declared is not None:
        yield from ((*names, *last) for names in declared(spec))
        return
    needed, optional, any_number = parameters(function)
    full = ("x", *spec.states, *spec.weights)
    if any_number and not needed:
        yield (*full, *last)
        return
    separate = "U" in _plain(needed, spec)
    known = ["x", *spec.states, *(["W", "U"] if separate else ["WU"]), "b", *(["rb"] if separate else [])]
    found = [meaning(name, [*known, "mask"]) for name in needed]
    if found.count("b") == 2:
        found[len(found) - 1 - found[::-1].index("b")] = "rb"
    elif "b" not in found and spec.cell != "gru":
        found = ["b" if name == "rb" else name for name in found]
    more: Names = ()  # states and mask that may be given too
    for name in optional:
        which = meaning(name, ["h", *spec.states, "mask"])
        if which is None or which in (*found, *more) or (which == "mask" and not masked):
            break
        more += (which,)
    names = (*(str(name) for name in found), *more)
    if None not in found and len(set(found)) == len(found) and found[:1] == ["x"] and len(names) > 2:
        yield from _with_bias_inside(names)
        if masked and "mask" not in names:
            yield (*names, "mask")
        return
    count = len(needed) - len(last)
    candidates = [
        ("x", *states, *last_ones) for states in (spec.states, ("h",), ()) for last_ones in weights(spec)
    ]
    for names in dict.fromkeys(candidates):
        if more and len(names) == len(needed) and not set(names) & set(more):
            yield (*names, *more)
    # other optional arguments may be given too
    for extra in range(len(optional) + 1):
        for names in dict.fromkeys(candidates):
            if len(names) == count + extra:
                yield (*names, *last)
    if any_number:
        yield (*full, *last)


def _with_bias_inside(names: Names) -> Iterator[Names]:
    """One matrix without a bias may have it inside: this is tried first, as it would run with fewer rows."""
    if "WU" in names and "b" not in names:
        yield tuple("WUb" if name == "WU" else name for name in names)
    yield names


def _plain(names: Sequence[str], spec: Spec) -> list[str | None]:
    return [meaning(name, ["x", *spec.states, "W", "U"]) for name in names]


def incoming(function: Callable[..., Any], outputs: Names, cached: bool) -> Iterator[Names]:
    """What backward may take, in order, given what forward returned; the likeliest first."""
    outputs = tuple(dict.fromkeys(outputs))
    last = ("cache",) if cached else ()
    needed, optional, any_number = parameters(function)
    if any_number and not needed:
        yield (*outputs, *last)
        yield (outputs[0], *last)
        return
    if outputs == ("loss",):
        yield (*outputs, *last)
        return
    if {"h", "h_last", "c_last"} <= set(outputs) and len(needed) == 2 + len(last):
        yield ("h", PAIRS[1], *last)
    families = {"h": [n for n in outputs if n[0] == "h"], "c": [n for n in outputs if n[0] == "c"]}
    families["c"].sort(key=lambda n: n == "c")  # the last one's gradient before that of all steps
    found = [
        "cache" if meaning(n, ["cache"]) and n[0] != "d" else gradient_meaning(n, ["h", "c"]) for n in needed
    ]
    if None not in found and found.count("cache") <= 1:
        for c in families["c"] or ["zero"]:
            left = {"h": list(families["h"]), "c": [c], "cache": ["cache"]}
            names = [left[str(kind)].pop(0) if left[str(kind)] else "-" for kind in found]
            if "-" not in names and ("cache" in names) <= cached:
                yield tuple(names)
    for count in (len(needed), *range(len(needed) + 1, len(needed) + len(optional) + 1)):
        count -= len(last)
        for c in families["c"] or [""]:
            ordered = [*families["h"][:1], *([c] if c else []), *families["h"][1:]]
            if 0 < count <= len(ordered):
                yield (*ordered[:count], *last)
                if last:
                    yield (*last, *ordered[:count])
    if len(needed) == 1 + len(last):
        for pair in PAIRS:
            if set(pair.split(", ")) <= set(outputs):
                yield (pair, *last)
                if last:
                    yield (*last, pair)
