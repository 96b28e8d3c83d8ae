"""The command line: `minilstm study`, `report`, `compare`, `gradcheck`, `trace`, `truncation`, `cells`,
`reproduce`, `examples`, `info`.

Errors are one line on stderr. Exit codes: 0 done, 1 the work failed, 2 the request or the data cannot be
meant, 130 Ctrl-C, 143 SIGTERM. Where SIGINT is ignored (a shell's `&` without job control), it stays so.
"""

from __future__ import annotations

import argparse
import difflib
import os
import platform
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import minilstm
from minilstm.commands import program
from minilstm.commands.values import (
    address,
    integer,
    lengths,
    norms,
    number,
    path,
    patience,
    positive,
    seed,
    whole,
    words,
)
from minilstm.foundations.errors import fail
from minilstm.foundations.tables import in_columns

NEAR = 0.75  # how alike two words are, from which on one is taken for the other misspelled
EXAMPLES = """\
examples:
  minilstm study                                 spoken digits
  minilstm study --lengths 5,20 --seeds 1        a quick look
  minilstm study recall --lengths 10,50,100,200  how far back can it remember?
  minilstm study --rnn lstm,gru,simple_rnn --control
  minilstm study imdb                            film reviews: which end to cut
  minilstm study --data reviews.csv --dry-run    your own data: what was found
  minilstm study --data reviews.csv --lengths q50,q75,q90,max
  minilstm study --data power.csv --problem forecasting --target load
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        own = "; a file of your own is given with --data" if message.startswith("argument task") else ""
        sys.exit(fail(message + own, 2))


def _check(words: Sequence[str], parser: argparse.ArgumentParser, commands: Mapping[str, _Parser]) -> None:
    """Refuse an option, or a command, that there is none of, with the nearest that there is.

    argparse would take what follows a misspelled option for something else, and complain of that.
    """
    word = next((word for word in words if not word.startswith("-")), "")
    if word and word not in commands:
        parser.error(f"unknown command {word!r}{_nearest(word, commands)}")
    usage = (commands[word] if word else parser).format_usage()
    known = ["--help", *re.findall("--[a-z][a-z0-9-]*", usage)]
    for given in (word.partition("=")[0] for word in words if re.match("--[a-z]", word)):
        if not any(option.startswith(given) for option in known):  # a unique beginning is enough
            parser.error(f"unknown option {given}{_nearest(given, known)}")
    for given, _, value in (word.partition("=") for word in words):
        if given.startswith("--") and value == "--":  # argparse would hand on an empty list
            parser.error(f"{given} must be a value, got '--'")


def _nearest(word: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(word, list(known), 1, NEAR)
    return f"; did you mean {found[0]}?" if found else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code. Without arguments the process is for this alone."""
    return program.run(
        lambda: _run(_parse(sys.argv[1:] if arguments is None else arguments)), whole=arguments is None
    )


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser, commands = _parser()
    _check(words, parser, commands)
    return parser.parse_args(words)


def _run(options: argparse.Namespace) -> int:
    if options.command == "info":
        return _info()
    if options.command in ("study", "report", "compare"):
        from minilstm.study import command

        does = {"study": command.run, "report": command.remake, "compare": command.compare}
        return does[options.command](options)
    run: Callable[..., int] = import_module(f"minilstm.commands.{options.command}").run
    return run(options)


def _parser() -> tuple[_Parser, Mapping[str, _Parser]]:
    parser = _Parser(
        prog="minilstm",
        description="An LSTM from scratch that shows what sequence length does.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"minilstm {minilstm.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_study(commands)
    _add_gradcheck(commands)
    _add_trace(commands)
    _add_cells(commands)
    _add_truncation(commands)
    _add_reproduce(commands)
    _add_examples(commands)
    commands.add_parser("info", help="versions, backend, threads, kernel cache: for bug reports")
    return parser, commands.choices


def _add_study(commands: Any) -> None:
    study = commands.add_parser(
        "study",
        help="what sequence length does to accuracy, cost and gradients",
        description="Train one model per length, seed and variant, and compare: accuracy, cost,\n"
        "gradients. Writes tables, figures and report.html; the same command goes on\n"
        "where it stopped. Options that show a list take one value or several, and the\n"
        "study is of all combinations.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    study.add_argument(
        "task",
        nargs="?",
        choices=("digits", "imdb", "recall", "adding"),
        help="spoken digits (the default), film reviews (extra imdb), or a generated task whose "
        "difficulty is its length; left out with --data",
    )
    _add_own_data(study.add_argument_group("your own data"))
    _add_swept(study.add_argument_group("what is swept"))
    _add_training(study)
    report = commands.add_parser("report", help="make a study's report again, from its folder")
    report.add_argument("folder", type=path, metavar="DIR")
    compare = commands.add_parser("compare", help="two studies side by side")
    compare.add_argument("folders", type=path, nargs=2, metavar="DIR")
    compare.add_argument("--out", type=path, metavar="FILE.html", help="also as a page")


def _add_own_data(own: Any) -> None:
    own.add_argument(
        "--data", type=path, metavar="FILE", help="of a kind that --formats shows, or one of these as .gz"
    )
    own.add_argument(
        "--formats", action="store_true", help="show what each kind of file looks like, and stop"
    )
    own.add_argument("--text", metavar="COLUMN", help="column of the text (found by its name or kind)")
    own.add_argument("--label", metavar="COLUMN", help="column of the label (label, target, class, y, ...)")
    own.add_argument("--features", type=words, metavar="A,B", help="columns of numbers")
    own.add_argument("--drop", type=words, metavar="A,B", help="columns that are left alone")
    own.add_argument(
        "--group", metavar="COLUMN", help="rows with the same value are the steps of one sequence"
    )
    own.add_argument(
        "--order",
        metavar="COLUMN",
        help="column that sorts the steps of a group, or lines (time, date, step, ... where they ascend)",
    )
    own.add_argument(
        "--decimal", choices=("point", "comma"), help="comma: numbers are written as 1.234,5 (point)"
    )
    own.add_argument(
        "--padded-at",
        choices=("pre", "post"),
        help="end at which the rows of an .npz with lengths are padded (found out)",
    )
    own.add_argument(
        "--bad-rows",
        choices=("refuse", "skip"),
        help="rows that cannot be used: refuse the file and count them, or leave them out (refuse)",
    )
    own.add_argument(
        "--split",
        choices=("random", "group", "time"),
        help="how training and test part are made: at random, by whole groups, or the latest tested (random; "
        "forecasting: time)",
    )
    own.add_argument("--by", metavar="COLUMN", help="the groups or the times of --split (time: file's order)")
    own.add_argument(
        "--problem",
        choices=("classification", "regression", "forecasting"),
        help="(told by the labels); forecasting: rows are steps of series, lengths how far back it looks",
    )
    own.add_argument("--target", metavar="COLUMN", help="the column to be forecast")
    own.add_argument("--horizon", type=integer, metavar="H", help="how many steps ahead (1)")
    own.add_argument("--words", type=integer, metavar="N", help="size of the vocabulary of texts (10000)")
    own.add_argument(
        "--dry-run", action="store_true", help="say what was found and what it would cost, and stop"
    )


def _add_swept(swept: Any) -> None:
    add = swept.add_argument
    add(
        "--lengths",
        type=lengths,
        metavar="5,10,q90,max",
        help="lengths in time steps, or quantiles of the data's own lengths (the task's own)",
    )
    add(
        "--seeds",
        type=whole,
        metavar="N[,M]",
        help="models per length and variant, each from its own seed; M: of the longest length without a mask "
        "(3,5; imdb 1)",
    )
    add(
        "--rnn",
        type=words,
        metavar="lstm,gru",
        help="recurrent layers: names that `minilstm cells` lists, or path/to/my_cell.py:name (lstm)",
    )
    add("--units", type=whole, metavar="32,64", help="size of the recurrent layer (64)")
    add(
        "--mask",
        action=argparse.BooleanOptionalAction,
        help="only with, or only without a mask (both, where anything is padded)",
    )
    add("--padding", type=words, metavar="pre,post", help="side that is padded (post)")
    add("--truncating", type=words, metavar="pre,post", help="side that is cut off (post; imdb: both)")
    add(
        "--clipnorm",
        type=norms,
        metavar="none,1",
        help="largest norm of each weight's gradient (digits: none; others: 1)",
    )
    add(
        "--forget-bias",
        type=whole,
        metavar="0,1",
        help="what the bias of the LSTM's forget gate starts at (1)",
    )
    add("--save-best", action="store_true", help="save a model of the recommended length, as model.npz")
    add("--control", action="store_true", help="each variant once more, with shuffled training labels")


def _add_training(study: Any) -> None:
    add = study.add_argument_group("training").add_argument
    add("--epochs", type=integer, metavar="N", help="passes over the training part (20; imdb 3)")
    add(
        "--patience",
        type=patience,
        metavar="N",
        help="stop a classifier whose training accuracy is 0.99 or more when its validation loss has not got "
        "better for so many epochs; none: never (3)",
    )
    add("--batch-size", type=integer, metavar="N", help="sequences per training step (32)")
    add("--embedding", type=integer, metavar="N", help="size of a word's vector (32)")
    add("--learning-rate", type=number, metavar="X", help="Adam's (0.003)")
    add("--seed", type=integer, metavar="N", help="seed that all others come from (0)")
    add = study.add_argument_group("where and how").add_argument
    add("--jobs", type=integer, metavar="N", help="models trained at a time (the number of processors)")
    add(
        "--cluster",
        type=address,
        metavar="tcp://HOST:8786",
        help="train on the Dask cluster with this scheduler (extra cluster)",
    )
    add("--out", type=path, metavar="DIR", help="folder for the results (./minilstm-study-TASK)")
    add("--quiet", action="store_true", help="no progress display")
    add("--json", action="store_true", help="print the summary as JSON instead of a table")


def _add_trace(commands: Any) -> None:
    parser = commands.add_parser(
        "trace",
        help="where the gradient goes: vanishing or exploding, and through which path",
        description="Trace one forward and backward pass: print the verdict, write DIR/trace.html.",
    )
    add = parser.add_argument
    add("--cell", choices=("lstm", "gru", "simple_rnn"), default="lstm", help="the recurrent layer (lstm)")
    add("--length", type=positive, default=200, metavar="T", help="time steps (200)")
    add("--units", type=positive, default=32, metavar="H", help="size of the layer (32)")
    add("--forget-bias", type=number, metavar="B", help="bias of the LSTM's forget gate (1)")
    add(
        "--recurrent-scale",
        type=number,
        default=1.0,
        metavar="S",
        help="factor on the recurrent weights (1)",
    )
    add("--float64", action="store_true", help="in double precision, where nothing underflows so soon")
    add("--seed", type=seed, default=0, metavar="N", help="of weights and data (0)")
    add("--data", type=path, metavar="FILE", help="x (and y, mask) as .npz, or x as .npy; default: noise")
    add("--weights", type=path, metavar="FILE", help="a saved model, in place of a new one")
    add("--rnn", metavar="FILE.py:NAME", help="that model's cell, if it is one of your own; the file is run")
    add("--out", type=path, default=Path("minilstm-trace"), metavar="DIR", help="folder (./minilstm-trace)")


def _add_cells(commands: Any) -> None:
    parser = commands.add_parser(
        "cells",
        help="recurrent cells side by side: which forgets first?",
        description="For each cell: parameters, by which path the gradient comes, the largest Lyapunov "
        "exponent, how far back the gradient reaches before and after training, accuracy, time. "
        "LSTM, GRU and the simple network take a minute, --all of the package's cells about ten.",
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="names, or path/to/my_cell.py:name (lstm gru simple_rnn)")
    add("--all", action="store_true", help="every cell of the package; takes minutes")
    add("--list", action="store_true", help="the names, and stop")
    add(
        "--lengths",
        type=whole,
        default=[10, 40],
        metavar="10,40",
        help="time steps of the tasks (10,40)",
    )
    add("--units", type=positive, default=32, metavar="H", help="size of the layer (32)")
    add("--epochs", type=positive, default=10, metavar="N", help="passes over 1000 sequences (10)")
    add(
        "--seeds",
        type=positive,
        default=3,
        metavar="N",
        help="models of each, from seeds 0, 1, ... (3)",
    )


def _add_truncation(commands: Any) -> None:
    parser = commands.add_parser(
        "truncation",
        help="what truncated backpropagation through time costs the gradient, for each number of steps",
        description="Compare truncated gradients with the full one; without data, of a small LSTM that is "
        "trained on spoken digits first.",
    )
    add = parser.add_argument
    add("--steps", type=whole, metavar="K,K,...", help="steps to keep (twelve shares of the length)")
    add("--data", type=path, metavar="FILE", help="x, y (and mask) as .npz; with --weights")
    add("--weights", type=path, metavar="FILE", help="a saved model, compiled; with --data")
    add("--rnn", metavar="FILE.py:NAME", help="that model's cell, if it is one of your own; the file is run")
    add("--samples", type=positive, default=256, metavar="N", help="the first ones of the data (256)")
    add("--anchor", choices=("end", "start"), default="end", help="where segments are counted from (end)")
    add(
        "--draws",
        type=integer,
        default=0,
        metavar="N",
        help="also so many gradients with random cuts (0)",
    )
    add("--seed", type=integer, default=0, metavar="N", help="of the model and the random cuts (0)")
    add("--out", type=path, metavar="FILE", help="the figure, FILE.png or FILE.svg")


def _add_reproduce(commands: Any) -> None:
    parser = commands.add_parser(
        "reproduce",
        help="published results on length and gradients, run here, each beside its published value",
        description="Run published results and say of each whether it was reproduced, by bands that were "
        "written down first. Finished trials are kept; the same command goes on where it stopped.",
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="rows, see --list")
    add("--all", action="store_true", help="every row")
    add("--list", action="store_true", help="the rows and their claims, and stop")
    add("--jobs", type=positive, metavar="N", help="trials at a time (the number of processors)")
    add("--trials", type=positive, metavar="N", help="of each condition (the published numbers)")
    add("--quick", action="store_true", help="fewer trials")
    add("--json", action="store_true", help="print the rows as JSON instead of a table")
    add(
        "--out",
        type=path,
        default=Path("minilstm-reproduce"),
        metavar="DIR",
        help="folder (./minilstm-reproduce)",
    )


def _add_examples(commands: Any) -> None:
    parser = commands.add_parser("examples", help="short programs to read and run: list or copy them")
    parser.add_argument("what", choices=["list", "copy"], help="names and their questions, or into a folder")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="to copy: a name or its beginning, as 03 (all)"
    )
    parser.add_argument("--out", type=path, default=Path("."), metavar="DIR", help="to copy: where (here)")


def _add_gradcheck(commands: Any) -> None:
    parser = commands.add_parser(
        "gradcheck",
        help="check gradients: this package's, or those you wrote by hand",
        description="Hold every gradient against the complex step, which is exact however small it is. "
        "With --file, of the functions in a file of yours, in pairs by their names: forward and backward, or "
        "lstm_step_forward and lstm_step_backward; the verdict names the likely mistake.",
    )
    option = parser.add_argument
    option(
        "--cell",
        choices=("lstm", "gru", "simple_rnn"),
        help="the cell (lstm, or what the file says with CELL = ...)",
    )
    option("--length", type=integer, default=50, metavar="T", help="time steps (50)")
    option(
        "--method",
        choices=("complex", "central", "directional"),
        default="complex",
        help="complex step, central differences, or one direction of each tensor (complex)",
    )
    option("--file", type=path, metavar="FILE", help="a Python file with your functions")
    option(
        "--folder",
        type=path,
        metavar="DIR",
        help="submissions: FILE in each folder of it, or its .py files",
    )
    option(
        "--adapter",
        metavar="NAME",
        help="columns, column, time_major, single, ids, dictionary, gates, listed, pytorch, blocks, course, "
        "separate, states, layer or loss_inside: see minilstm.gradient_check.adapters (what the file says "
        "with ADAPTER = ..., or what fits); two with a comma, the outer one first",
    )
    option(
        "--jobs",
        type=integer,
        default=os.cpu_count() or 1,
        metavar="N",
        help="files at a time (processors)",
    )
    option("--timeout", type=number, default=60.0, metavar="S", help="seconds that a file may take (60)")
    option(
        "--memory",
        type=number,
        default=4000.0,
        metavar="MB",
        help="memory that a file may take (4000)",
    )
    option("--seed", type=integer, default=0, metavar="N", help="seed of the random case (0)")
    option("--json", action="store_true", help="print the report as JSON")


def _info() -> int:
    """What a bug report should say."""
    from minilstm.compiled.engines import resolve_backend
    from minilstm.study.journal import PACKAGES, package_version

    backend = resolve_backend("numba")
    lines = [
        ("minilstm", minilstm.__version__),
        ("python", f"{platform.python_version()} ({platform.python_implementation()})"),
        ("system", f"{platform.platform()}, {platform.machine()}, {os.cpu_count()} processors"),
        *((name, package_version(name)) for name in (*PACKAGES, "rich", "jinja2", "plotly")),
        ("backend", backend),
        ("threads", str(minilstm.get_num_threads())),
    ]
    if backend == "numba":
        folder = os.environ.get("NUMBA_CACHE_DIR")
        lines.append(("kernel cache", folder or "beside the package, or in the user's cache folder"))
    print("\n".join(in_columns(lines, left=2)))
    return 0
