"""Runs in a process of its own: checks the functions of a student's file, and writes what it found.

    python -m minilstm.gradient_check.student.runner FILE RESULT OPTIONS

FILE defines `step_forward` and `step_backward` (see `check_step`), `forward` and `backward` (see
`check_sequence`; or of a step, if they accept and return what one does), or both pairs; otherwise pairs by
any names that differ in these words only, such as lstm_cell_forward and lstm_cell_backward, each of which is
checked; otherwise a class with forward and backward. It may say CELL = "gru", GATES = "ifog" and ADAPTER =
"columns", or "time_major, pytorch", one in the other. Without CELL it is what the names say, or the first
that they can be; without ADAPTER, adapters are tried. Where the loss is inside, it defines
`loss_and_gradients`, `parameters` and `arguments`. RESULT is the file for what was found, as JSON; OPTIONS
are JSON too. Whatever FILE prints, raises or breaks stays in here.
"""

from __future__ import annotations

import errno
import inspect
import itertools
import json
import os
import re
import runpy
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from minilstm.foundations import files
from minilstm.gradient_check import adapters
from minilstm.gradient_check.report import Report, Stage
from minilstm.gradient_check.student import signature, suggest
from minilstm.gradient_check.student.check import check_sequence, check_step
from minilstm.gradient_check.student.exceptions import described
from minilstm.gradient_check.student.own_weights import INSTEAD

PAIRS = {"step": ("step_forward", "step_backward"), "sequence": ("forward", "backward")}
CHECKS: dict[str, Callable[..., Report]] = {"step": check_step, "sequence": check_sequence}
WORDS = (("forward", "backward"), ("Forward", "Backward"), ("fwd", "bwd"), ("fprop", "bprop"), ("fp", "bp"))
CELLS = ("lstm", "gru", "simple_rnn")
PLAIN = tuple(suggest.WHY)
WHOLE = ("layer", "loss_inside")  # adapters that stand alone
FEATURES, UNITS, OUTPUTS = 2, 3, 4  # of the two checks, by default; of a layer after the cell
SIZES = {  # of the arguments of a class that makes its own weights
    "(n_?|num_?|dim_?)?(h|a|hid(den)?s?|units|hidden_?(units|state|nodes))(_?(size|dims?|units|n))?": UNITS,
    "(n_?|num_?|dim_?)?(d|x|in(put)?s?|features?|embed(ding)?|vocab)(_?(size|dims?|features|n))?": FEATURES,
    "(n_?|num_?|dim_?)?(o|y|out(put)?s?|class(es)?|labels?|targets?)(_?(size|dims?|classes|n))?": OUTPUTS,
}
LARGEST_OUTPUT = 1_000_000  # bytes that the file may print
UNWRITABLE = 74  # exit code: RESULT cannot be written, whatever was found


def run(path: str, options: dict[str, Any]) -> dict[str, Any]:
    """{"reports": {"step": ..., "sequence": ...}}, {"fault": words}, or {"usage": words}."""
    name = Path(path).name
    try:
        defined = runpy.run_path(path, run_name="student")
    except BaseException as error:
        return {"fault": f"{name} cannot be run: {why(error)}."}
    adapter = options["adapter"] or defined.get("ADAPTER")
    cell = options["cell"] or defined.get("CELL")
    reports = {}
    try:
        pairs = found(defined, adapter, cell)
        if not pairs:
            return {"usage": f"{name} must define {expected(adapter)}{suggestion(defined)}"}
        given = {"gates": defined.get("GATES"), "seed": options["seed"], "length": options["length"]}
        for kind, pair in pairs.items():
            cells = CELLS if cell is None else (cell,)
            if kind not in (*PAIRS, "layer"):
                cells = (cell or cell_of(kind),) if cell_of(kind) else cells
            called, report = first_that_runs(kinds_of(kind, pairs), cells, pair, given, adapter is None)
            reports[called if kind in PAIRS else kind] = told(report)
    except (TypeError, ValueError) as error:  # CELL, GATES or ADAPTER
        return {"usage": f"{name}: {error}"}
    return {"reports": reports}


def kinds_of(name: str, pairs: Mapping[str, Any]) -> tuple[str, ...]:
    """What a pair of this name may be; `forward` and `backward` alone are either."""
    if name == "layer" or (name in PAIRS and [*pairs] != ["sequence"]):
        return (name,)
    return ("step", "sequence") if re.search("step|cell", name, re.I) else ("sequence", "step")


def cell_of(name: str) -> str | None:
    """The cell that a function's name says."""
    plain = name.lower()
    return next((c for word, c in zip(("lstm", "gru", "rnn"), CELLS, strict=True) if word in plain), None)


def found(defined: dict[str, Any], adapter: str | None, cell: str | None) -> dict[str, adapters.Pair]:
    """The pairs of functions to check, as the adapter makes them, by "step", "sequence" or their names."""
    if adapter is None and {"loss_and_gradients", "parameters"} <= defined.keys():
        adapter = "loss_inside"
    wrapping = [] if adapter is None else [name.strip() for name in adapter.split(",")]
    if not set(wrapping) <= {*PLAIN} and adapter not in WHOLE:
        known = ", ".join((*PLAIN, *WHOLE))
        raise ValueError(f"the adapter must be one of {known}, got {adapter!r}")
    if adapter == "loss_inside":
        function, parameters = defined.get("loss_and_gradients"), defined.get("parameters")
        if function is None or parameters is None:
            return {}
        return {"sequence": adapters.loss_inside(function, parameters, *defined.get("arguments", ()))}
    pairs = {} if adapter == "layer" else functions(defined, cell)
    classes = [
        value
        for value in defined.values()
        if inspect.isclass(value) and hasattr(value, "forward") and hasattr(value, "backward")
    ]
    if not pairs and not wrapping[adapter == "layer" :] and classes:
        return {"layer": layer_of(classes[-1])}
    return {name: suggest.wrapped(pair, wrapping) for name, pair in pairs.items()}


def layer_of(kind: Any) -> adapters.Pair:
    """A class as the adapter `layer` takes it: one that is made of sizes is made of those of the check."""
    needed = signature.parameters(kind)[0]
    sizes = [size_of(name) for name in needed]
    if None in sizes and len(needed) == 2 and not any(map(is_weight, needed)):
        sizes = [FEATURES, UNITS]
    if not needed or None in sizes:
        return adapters.layer(kind)
    try:
        return adapters.layer(kind(*sizes))
    except Exception:  # the class says how it is made
        return adapters.layer(kind)


def is_weight(name: str) -> bool:
    return signature.meaning(name, ("W", "U", "b", "WU")) is not None


def size_of(name: str) -> int | None:
    """The size that an argument of a constructor asks for, by its name."""
    return next((size for words, size in SIZES.items() if re.fullmatch(words, name, re.I)), None)


def functions(defined: dict[str, Any], cell: str | None) -> dict[str, adapters.Pair]:
    """Pairs of functions by the names that they should have, otherwise by any: of recurrent cells, if one is
    named after one, and of `cell`, if one is named after it."""
    names = {kind: pair for kind, pair in PAIRS.items() if all(callable(defined.get(n)) for n in pair)}
    if names:
        return {kind: (defined[ahead], defined[back]) for kind, (ahead, back) in names.items()}
    own = {name for name, value in defined.items() if inspect.isfunction(value)}
    pairs = {}
    for ahead, back in WORDS:
        for name in defined:
            if ahead in name and {name, name.replace(ahead, back)} <= own:
                pairs[name] = defined[name], defined[name.replace(ahead, back)]
    named = [name for name in pairs if cell_of(name) is not None]
    wanted = [name for name in named if cell is None or cell_of(name) == cell] or named or [*pairs]
    return {name: pairs[name] for name in wanted}


def first_that_runs(
    kinds: Sequence[str],
    cells: Sequence[str],
    pair: adapters.Pair,
    given: dict[str, Any],
    adapt: bool,
) -> tuple[str, Report]:
    """The functions as the first kind and cell for which they run; as the very first where they never do.

    adapt : whether adapters may be put about them, where they run with no kind and cell
    """
    tried: list[tuple[str, str, Report]] = []
    for kind, cell in itertools.product(kinds, cells):
        report = checked(kind, pair, cell, given)
        if report.fault is None:
            return kind, time_first(kind, pair, cell, given, report) if adapt else report
        tried.append((kind, cell, report))
    said = "step" if of_a_step(pair[0]) else None
    best = max(tried, key=lambda one: (*_promising(one[2]), one[0] == said))  # the first of these
    kind, cell, report = best
    if report.adapters and adapt:
        why, whole = suggest.why(report.adapters), ",".join(report.adapters)
        again = checked(kind, suggest.wrapped(pair, report.adapters), cell, given)
        again.notes.insert(0, f"checked with --adapter {whole}, as {why}")
        return kind, again
    if kind == "layer" and report.stage is Stage.OUTPUTS:
        report.fault = f"{report.fault} {INSTEAD.format('the_class')}"
    if len(kinds) > 1:
        both = "It was tried as a sequence and as a step, which the names step_forward and step_backward say."
        report.fault = f"As a {kind}: {report.fault} {both}"
    if len(cells) > 1:
        report.fault = f"{report.fault} It was tried as {', '.join(cells)}: CELL says which it is."
    return kind, report


def time_first(kind: str, pair: adapters.Pair, cell: str, given: dict[str, Any], report: Report) -> Report:
    """The report, where forward is no known form of the cell: with (T, B, D), if it is one then.

    Code for (T, B, D) that needs no states runs on (B, T, D) too, and takes the samples for steps.
    """
    if report.known:
        return report
    name = ("time_major",)
    again = checked(kind, suggest.wrapped(pair, name), cell, given)
    if again.fault is not None or not again.known:
        return report
    again.notes.insert(0, f"checked with --adapter {name[0]}, as {suggest.why(name)}")
    return again


def _promising(report: Report) -> tuple[bool, bool, int]:
    """How near a try came: whether it ran, whether an adapter fits, and how far it went otherwise."""
    return report.fault is None, bool(report.adapters), report.stage or 0


def checked(kind: str, pair: adapters.Pair, cell: str, given: dict[str, Any]) -> Report:
    """The report; of a layer, as a step if it can be one."""
    of_step = {name: value for name, value in given.items() if name != "length"}
    if kind != "layer":
        return CHECKS[kind](*pair, cell, **(given if kind == "sequence" else of_step))
    step = check_step(*pair, cell, **of_step)
    if step.fault is None:
        return step
    sequence = check_sequence(*pair, cell, **given)
    return max((step, sequence) if of_a_step(pair[0]) else (sequence, step), key=_promising)


def of_a_step(forward: Any) -> bool:
    """Whether what forward takes is named after the step before: h_prev."""
    called = signature.said(signature.said(forward, "function"), "forward", forward)
    needed, optional, _ = signature.parameters(called)
    return any("prev" in name.lower() for name in (*needed, *optional))


def expected(adapter: str | None) -> str:
    if adapter == "layer":
        return "a class with forward and backward"
    if adapter == "loss_inside":
        return "loss_and_gradients and parameters (a dict of arrays), and arguments (a tuple)"
    return "a pair of functions like forward and backward, or lstm_step_forward and lstm_step_backward"


def suggestion(defined: dict[str, Any]) -> str:
    """What the file defines instead, if that looks like a pair, or like a class."""
    own = [n for n, v in defined.items() if inspect.isfunction(v)]
    inside = next((name for name in own if "loss" in name.lower()), None)
    if inside is not None:
        return (
            f"; it has {inside}: if that returns loss, gradients, add to the file loss_and_gradients = "
            f"{inside}, parameters (a dict of the arrays that it reads, in the order of the gradients) and "
            "arguments (a tuple)"
        )
    return f"; it has {', '.join(own[:6])}" if own else ""


def why(error: BaseException) -> str:
    """Why a file cannot be run, in words."""
    if isinstance(error, SyntaxError):
        return f"it is not Python: {error.msg}" + (f", line {error.lineno}" if error.lineno else "")
    if isinstance(error, UnicodeDecodeError) or "null bytes" in str(error):
        return "it is not Python, but binary data"
    if isinstance(error, ModuleNotFoundError):
        return f"it needs the package {error.name!r}, which is not installed"
    if isinstance(error, FileNotFoundError):
        return f"it reads the file {error.filename!r}, which is not there"
    if isinstance(error, EOFError):
        return "it asks for input, and there is nobody to give it"
    if isinstance(error, MemoryError):
        return "it needs more memory than it may have (--memory)"
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return f"it prints or writes more than {LARGEST_OUTPUT / 1e6:g} MB"
    return f"it raised {described(error)}"


def told(report: Report) -> dict[str, Any]:
    return report.to_dict() | {"text": str(report)}


def limited(memory: float) -> Callable[[], None]:
    """Limit what the file may print and how much memory it may take; a function that lifts the first."""
    try:
        import resource
    except ImportError:  # no such limits on Windows
        return lambda: None
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_OUTPUT, resource.RLIM_INFINITY))
    size = int(memory * 1e6)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (size if hard < 0 else min(size, hard), hard))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def main() -> None:
    path, result, text = sys.argv[1:]
    options, process = json.loads(text), os.getpid()
    lift = limited(options["memory"])
    found = run(path, options)
    if os.getpid() != process:  # the file forked: only the first process tells
        os._exit(0)
    lift()
    try:
        files.write_text(result, json.dumps(found))
    except OSError:
        os._exit(UNWRITABLE)
    with suppress(OSError):
        sys.stdout.flush()
    os._exit(0)  # whatever threads the file has started


if __name__ == "__main__":
    main()
