"""The command line: `minilstm study`, `minilstm info`.

Errors are one line on stderr. Exit codes: 0 done, 1 the work failed, 2 the request or the data cannot be
meant, 130 Ctrl-C, 143 SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import minilstm

EXAMPLES = """\
examples:
  minilstm study                                   spoken digits, with and without a mask
  minilstm study --lengths 5,20 --seeds 1          a quick look
  minilstm study recall --lengths 10,50,100,200    how far back can it remember?
  minilstm study digits --padding pre --no-mask --json
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"minilstm: error: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "info":
            return _info()
        from minilstm.study import command

        return command.run(options)
    except KeyboardInterrupt:
        return fail("interrupted", 130)
    except BrokenPipeError:  # the reader of stdout went away; nothing more can be said to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def fail(message: str, code: int) -> int:
    """One line on stderr; the code."""
    print(f"minilstm: error: {' '.join(message.split())}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="minilstm",
        description="An LSTM from scratch that shows what sequence length does.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"minilstm {minilstm.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    study = commands.add_parser(
        "study",
        help="what sequence length does to accuracy, cost and gradients",
        description="Train one model per length, with and without a mask, and compare: accuracy, cost,\n"
        "gradients. Writes tables, figures and report.html; the same command goes on where it stopped.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    study.add_argument(
        "task",
        nargs="?",
        default="digits",
        choices=("digits", "recall", "adding"),
        help="spoken digits (the default), or a generated task whose difficulty is its length",
    )
    add = study.add_argument
    add("--lengths", type=_lengths, metavar="5,10,20", help="lengths in time steps (default: the task's own)")
    add(
        "--seeds", type=int, default=3, metavar="N", help="models per length, each from a seed of its own (3)"
    )
    add("--epochs", type=int, default=20, metavar="N", help="passes over the training part (20)")
    add("--units", type=int, default=64, metavar="N", help="size of the LSTM (64)")
    add("--batch-size", type=int, default=32, metavar="N", help="sequences per training step (32)")
    add("--padding", choices=("pre", "post"), help="side that is padded (post)")
    add("--truncating", choices=("pre", "post"), help="side that is cut off (post)")
    add("--mask", action=argparse.BooleanOptionalAction, help="only with, or only without a mask (both)")
    add(
        "--clipnorm",
        type=float,
        metavar="X",
        help="largest norm of each weight's gradient (digits: none; others: 1)",
    )
    add("--seed", type=int, default=1, metavar="N", help="seed that all others come from (1)")
    add("--jobs", type=int, metavar="N", help="models trained at a time (the number of processors)")
    add("--out", type=Path, metavar="DIR", help="folder for the results (./minilstm-study-TASK)")
    add("--quiet", action="store_true", help="no progress display")
    add("--json", action="store_true", help="print the summary as JSON instead of a table")
    commands.add_parser("info", help="versions, backend, threads, BLAS, kernel cache: for bug reports")
    return parser


def _lengths(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be whole numbers with commas between them, got {text!r}"
        ) from None


def _info() -> int:
    """What a bug report should say."""
    import scipy.linalg  # noqa: F401  so that its BLAS is loaded and listed
    from threadpoolctl import threadpool_info

    from minilstm.bptt import resolve_backend
    from minilstm.study.journal import PACKAGES, package_version

    backend = resolve_backend("numba")
    lines = [
        ("minilstm", minilstm.__version__),
        ("python", f"{platform.python_version()} ({platform.python_implementation()})"),
        ("system", f"{platform.platform()}, {platform.machine()}, {os.cpu_count()} processors"),
        *((name, package_version(name)) for name in (*PACKAGES, "rich", "jinja2")),
        ("backend", backend),
        ("threads", str(minilstm.get_num_threads())),
    ]
    for pool in threadpool_info():
        words = (str(pool.get(key)) for key in ("internal_api", "version", "architecture") if pool.get(key))
        lines.append((pool["user_api"], f"{' '.join(words)}, {pool['num_threads']} threads"))
    if backend == "numba":
        folder = os.environ.get("NUMBA_CACHE_DIR")
        lines.append(("kernel cache", folder or "beside the package, or in the user's cache folder"))
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        print(f"{name:<{width}}  {value}")
    return 0
