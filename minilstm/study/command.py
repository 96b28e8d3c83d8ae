"""`minilstm study` for people: progress on stderr, a table and a sentence on stdout, an exit code."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from minilstm.datasets.formats import formats
from minilstm.foundations import interrupts
from minilstm.foundations.errors import fail, in_words, printable, whole_number
from minilstm.foundations.tables import in_columns, terminal_width, wrapped
from minilstm.study import journal as journals
from minilstm.study import run_missing
from minilstm.study.best import save_best
from minilstm.study.estimate import as_text, estimate
from minilstm.study.journal import Journal, to_json
from minilstm.study.plan import OWN, Settings
from minilstm.study.pool import StudyError
from minilstm.study.progress import Progress
from minilstm.study.request import request
from minilstm.study.result import StudyResult, result_of
from minilstm.study.run import cluster, prepare_kernels, processors
from minilstm.study.source import Source
from minilstm.study.words import too_small

EXTRA = "minilstm study needs its extra packages: pip install 'minilstm[study]'"
EXPECTED = (ValueError, TypeError, OSError, ModuleNotFoundError)  # what a request or its data can be wrong in


def extras_missing() -> bool:
    """Whether a package of the extra `study` is missing."""
    try:
        import jinja2  # noqa: F401
        import plotly  # noqa: F401
        import rich  # noqa: F401
    except ImportError:
        return True
    return False


def run(options: argparse.Namespace) -> int:
    """Run the study that the options describe; the exit code."""
    if options.formats:
        print(formats())
        return 0
    if extras_missing():
        return fail(EXTRA, 2)
    try:
        jobs = processors() if options.jobs is None else whole_number("jobs", options.jobs)
        settings, source = request(options)
        if options.data is not None or options.dry_run:
            _describe(source, settings, sys.stdout if options.dry_run else sys.stderr)
        out = default_folder(options) if options.out is None else options.out
        if options.dry_run:
            prepare_kernels(settings.rnn)
            print(as_text(estimate(settings, source), jobs))
            said = (
                f"Nothing was trained. The same command without --dry-run trains, and writes {out}{os.sep}."
            )
            print(wrapped(said, terminal_width()))
            return 0
        config = journals.config(settings, source)
        with interrupts.held() as flag:
            with warnings_as_lines():
                journal = Journal(settings, config, out)
            with journal:
                code, spent = _train(journal, source, jobs, options, flag)
    except EXPECTED as error:
        return fail(in_words(error), 2)
    return _reported(journal, source, jobs, spent, options) if code == 0 else code


def _train(
    journal: Journal, source: Source, jobs: int, options: argparse.Namespace, flag: interrupts.Interrupts
) -> tuple[int, dict[str, Any]]:
    """Run what is missing, in worker processes; the exit code, and what it took."""
    threading.Thread(target=_load).start()
    try:
        place: Any = nullcontext((None, None)) if options.cluster is None else cluster(options.cluster)
        with Progress(journal, options.quiet) as progress, place as (executor, share):
            more = {} if share is None else {"executor": executor, "share": share}
            spent = run_missing(journal, source, jobs, progress.finished, here=False, **more)
            flag.check()
            return 0, spent
    except KeyboardInterrupt:
        return _stopped(journal, 128 + (flag.number or signal.SIGINT), options), {}
    except ModuleNotFoundError as error:
        return fail(in_words(error), 2), {}
    except (StudyError, OSError, MemoryError) as error:
        return fail(in_words(error), 1), {}


def _load() -> None:
    """Import what is needed when the workers are done, while they start and this process has to wait.

    Where that fails, it does so again, and tells, when it is needed.
    """
    with suppress(Exception):
        from minilstm.compiled import entry_points  # noqa: F401
        from minilstm.study import report  # noqa: F401


def _reported(
    journal: Journal, source: Source, jobs: int, spent: dict[str, Any], options: argparse.Namespace
) -> int:
    """Write everything and print the table; a signal may end this at once, for it can be made again."""
    from minilstm.study import report

    try:
        result = result_of(journal, spent)
        if options.save_best and save_best(result, journal, source) is None:
            print("minilstm: no length is recommended, so no model is saved", file=sys.stderr)
        result = report.write(result, journal, jobs=jobs)
    except (StudyError, OSError) as error:
        return fail(in_words(error), 1)
    if options.json:
        sys.stdout.write(to_json(result.summary))
        if not options.quiet:
            print(result.report, file=sys.stderr)
        return 0
    text = f"{_table(result)}\n\n{wrapped(result.conclusion, terminal_width())}\n\n{result.report}"
    print(printable_lines(text))
    return 0


def remake(options: argparse.Namespace) -> int:
    """`minilstm report DIR`: make the files for people again, from the journal."""
    if extras_missing():
        return fail(EXTRA, 2)
    from minilstm.study import report

    try:
        with warnings_as_lines():
            journal = Journal.read(options.folder)
        result = result_of(journal)
    except EXPECTED as error:
        return fail(in_words(error), 2)
    try:
        result = report.write(result, journal, jobs=processors())
    except (StudyError, OSError) as error:
        return fail(in_words(error), 1)
    print(printable_lines(f"{wrapped(result.conclusion, terminal_width())}\n\n{result.report}"))
    return 0


def compare(options: argparse.Namespace) -> int:
    """`minilstm compare DIR DIR`: two studies side by side."""
    if extras_missing():
        return fail(EXTRA, 2)
    from minilstm.study import compare as comparison

    try:
        with warnings_as_lines():
            results = [result_of(Journal.read(folder)) for folder in options.folders]
        names = [printable(str(folder)) for folder in options.folders]
        text = comparison.as_text(results, names, _table_width())
        if options.out is not None:
            try:
                comparison.write(options.out, results, names)
            except OSError as error:
                return fail(in_words(error), 1)
            text += f"\n\n{options.out}"
        print(printable_lines(text))
    except EXPECTED as error:
        return fail(in_words(error), 2)
    return 0


# ------------------------------------------------------------ what was understood


def _describe(source: Source, settings: Settings, stream: Any) -> None:
    """What was understood, before anything is trained."""
    data = source.at(settings.lengths[-1])
    sizes = ", ".join(f"{name} {len(getattr(data, name).x):,}" for name in ("train", "validation", "test"))
    most = "" if settings.patience is None else "at most "
    origin, _, reading = printable(data.source).partition("; ")
    lines = [
        ("data", origin),
        *[("", reading)] * bool(reading),
        ("found", printable(data.description)),
        ("parts", sizes),
        ("lengths", ", ".join(map(str, settings.lengths))),
        ("variants", "; ".join(filter(None, map(settings.label, settings.variants))) or "one"),
        ("models", f"{len(settings.points())}, {most}{settings.epochs} epochs each"),
    ]
    longer = int((data.lengths() > settings.lengths[-1]).sum()) if settings.horizon is None else 0
    if longer:
        longest = f"the longest has {data.lengths().max():,} steps"
        kept = (
            f"{longer:,} training sequence{'s are' if longer > 1 else ' is'} cut at {settings.lengths[-1]:,}"
        )
        lines.append(("note", f"{kept}: {longest}; --lengths max reads all of it"))
    alone = "" if data.alone is None else data.alone.warning(None, data.classes is not None)
    small = too_small(data) if settings.task == OWN else ""
    lines += [("note", printable(remark)) for remark in (*data.remarks, alone, small) if remark]
    print("\n".join(in_columns(lines, left=2, width=terminal_width())), file=stream)


def printable_lines(text: str) -> str:
    """`printable` line by line."""
    return "\n".join(map(printable, text.split("\n")))


def default_folder(options: argparse.Namespace) -> Path:
    """Where a study goes when it is not told."""
    name = (options.task or "digits") if options.data is None else options.data.stem
    return Path(f"minilstm-study-{name}")


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print what is warned of inside as lines of a command."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        print(f"minilstm: warning: {printable(str(warning.message))}", file=sys.stderr)


def _stopped(journal: Journal, code: int, options: argparse.Namespace) -> int:
    """Print and write what is done, but no figures, which take long; further signals change nothing."""
    from minilstm.study import report

    done, planned = len(journal.records), len(journal.settings.points())
    kept = f"stopped; {done} of {planned} models are kept, the same command goes on"
    if done:
        kept += f"; minilstm report {shlex.quote(str(journal.folder))} draws the figures of what is there"
    print(f"minilstm: {kept}", file=sys.stderr, flush=True)
    if done:
        result = result_of(journal)
        try:
            report.write_tables(result, journal)
        except OSError as error:
            fail(in_words(error), code)
        if not options.json:
            print(_table(result))
    return code


def _table(result: StudyResult) -> str:
    """The study's table, as wide as the terminal."""
    return result.table(_table_width())


def _table_width() -> int:
    return shutil.get_terminal_size((160, 24)).columns
