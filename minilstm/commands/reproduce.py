"""`minilstm reproduce`: published results on length and gradients, run here, each with a verdict.

Trials are independent and are kept one by one, a line each, in DIR/results.jsonl: the same command goes on
where it stopped, and a run with more trials takes over what a quick one has done. The finished rows stand in
DIR/results.json as `ml.reproduce` gives them, in DIR/table.md as a table, in DIR/report.html with figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import minilstm
from minilstm.classic.results import ROWS
from minilstm.classic.row import Record, Row, chosen
from minilstm.commands.reproduce_page import page
from minilstm.compiled.threads import set_num_threads
from minilstm.foundations import files
from minilstm.foundations.errors import fail, in_words, wording
from minilstm.foundations.tables import in_columns, terminal_width
from minilstm.study.command import EXTRA, extras_missing, warnings_as_lines
from minilstm.study.journal import locked, read_lines, to_json
from minilstm.study.pool import StudyError, run_in_pool
from minilstm.study.progress import Display
from minilstm.study.run import processors

JOURNAL, TABLE, TEXT, PAGE = "results.jsonl", "results.json", "table.md", "report.html"
KEPT = "finished trials are kept, the same command goes on"
KINDS = {  # what a line of the journal must hold
    "row": (str,),
    "settings": (dict,),
    "seed": (int,),
    "value": (int, float, type(None)),
    "solved": (bool,),
    "wrong": (int, type(None)),
    "seconds": (int, float),
}
MOST = 10**6  # trials of a condition
WIDE = 120  # columns of a terminal in which the whole table can be read
VERDICTS = {"reproduced": "reproduced", "partly": "partly", "not": "not reproduced", None: ""}


class Trial(NamedTuple):
    """One trial of one condition; `condition` is its settings as JSON."""

    row: str
    condition: str
    seed: int


def run(options: argparse.Namespace) -> int:
    """Run the rows that are asked for; the exit code."""
    if options.list:
        if options.json:
            sys.stdout.write(to_json([row.words() for row in ROWS]))
        else:
            listed = [(row.name, f"{row.claim} ({row.source})") for row in ROWS]
            print("\n".join(in_columns(listed, left=2, width=terminal_width())))
        return 0
    try:
        rows = _wanted(options)
        if not options.json and extras_missing():
            return fail(EXTRA, 2)
        with warnings_as_lines(), locked(options.out):
            done = read_lines(options.out / JOURNAL, _trial_of, mend=True)
            return _run(rows, done, options)
    except (ValueError, OSError) as error:
        return fail(in_words(error), 2)


def _wanted(options: argparse.Namespace) -> list[Row]:
    if options.all and options.names:
        raise ValueError("give names of rows or --all, not both")
    if not options.all and not options.names:
        raise ValueError("which rows? give names, --all, or --list to see them")
    if options.trials is not None and options.trials > MOST:
        raise ValueError(wording("--trials", f"a whole number from 1 to {MOST:,}", options.trials))
    return list(ROWS) if options.all else [chosen(ROWS, name) for name in dict.fromkeys(options.names)]


def _trial_of(record: Record) -> Trial:
    if record["minilstm"] != minilstm.__version__:
        raise ValueError(f"it is of minilstm {record['minilstm']}; choose another folder with --out")
    for name, kinds in KINDS.items():
        if type(record.get(name)) not in kinds:
            raise TypeError(f"{name} is {record.get(name)!r}")
    return Trial(record["row"], _as_key(record["settings"]), record["seed"])


def _as_key(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)


def _count(row: Row, options: argparse.Namespace) -> int:
    if options.trials is not None:
        return int(options.trials)
    return row.quick_trials if options.quick else row.trials


def _planned(row: Row, count: int) -> dict[Trial, tuple[str, int, dict[str, Any]]]:
    """The trials of a row, and what `_work` needs for each."""
    return {
        Trial(row.name, _as_key(settings), seed): (row.name, seed, settings)
        for settings in row.conditions(row.settings).values()
        for seed in range(count)
    }


def _work(name: str, seed: int, settings: dict[str, Any]) -> Record:
    """One trial, in a worker."""
    record = chosen(ROWS, name).trial(seed, settings)
    return {"row": name, "settings": settings, "minilstm": minilstm.__version__} | record


def _words(trial: Trial, record: Record) -> str:
    """A finished trial, for the display."""
    value = "" if record["value"] is None else f", {number(record['value'])}"
    return f"{trial.row}, seed {trial.seed}{value}, {record['seconds']:.1f} s"


def _run(rows: Sequence[Row], done: dict[Trial, Record], options: argparse.Namespace) -> int:
    """Run what is missing; then the table of all rows that are finished, whatever happened."""
    faults: list[str] = []
    try:
        code = _fill(rows, done, options, faults)
    except KeyboardInterrupt:
        faults.append(f"stopped; {KEPT}")
        code = 130
    results = _results(rows, done, options)
    if options.json:
        sys.stdout.write(to_json(results))
    elif results:
        show(results, options.quick)
    try:
        files.write_text(options.out / TABLE, to_json(results))
        files.write_text(options.out / TEXT, markdown(results))
        files.write_text(options.out / PAGE, page(results, [here(result) for result in results]))
        if not options.json:
            print(f"\n{options.out / PAGE}")
    except OSError as error:
        faults.append(f"{in_words(error)}; {KEPT}")
        code = code or 1
    for fault in faults:
        fail(fault, code)
    return code


def _fill(
    rows: Sequence[Row], done: dict[Trial, Record], options: argparse.Namespace, faults: list[str]
) -> int:
    """Run what is missing, row by row, until Ctrl-C or a disk that takes no more; the exit code.

    One trial at a time has a process of its own too: Ctrl-C then need not wait for it.
    """
    planned = {row.name: _planned(row, _count(row, options)) for row in rows}
    missing = {
        name: {t: task for t, task in tasks.items() if t not in done} for name, tasks in planned.items()
    }
    total, left = sum(map(len, planned.values())), sum(map(len, missing.values()))
    code = 0
    with Display(total, total - left, left, "trials") as display:

        def keep(trial: Trial, record: Record) -> None:
            files.append_line(options.out / JOURNAL, json.dumps(record, allow_nan=False))
            done[trial] = record
            display.shown(_words(trial, record))

        for name, tasks in missing.items():
            try:
                jobs = min(options.jobs or processors(), len(tasks))
                if tasks:
                    run_in_pool(tasks, _work, keep, jobs, set_num_threads, max(1, processors() // jobs))
            except OSError as error:
                faults.append(f"{in_words(error)}; {KEPT}")
                return 1
            except (StudyError, ArithmeticError, ModuleNotFoundError, MemoryError) as error:
                faults.append(f"{name}: {in_words(error)}")
                code = 1
    return code


def _results(
    rows: Sequence[Row], done: Mapping[Trial, Record], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Of each row all of whose trials are finished, what `ml.reproduce` gives."""
    found = []
    for row in rows:
        count = _count(row, options)
        if not set(_planned(row, count)) <= set(done):
            continue
        records = {
            condition: [done[Trial(row.name, _as_key(settings), seed)] for seed in range(count)]
            for condition, settings in row.conditions(row.settings).items()
        }
        try:
            result = row.result(records, row.settings, count)
        except (KeyError, TypeError, IndexError) as error:
            message = f"{options.out / JOURNAL} is damaged: a trial of {row.name} has no fit {error}"
            raise ValueError(f"{message}; choose another folder with --out") from None
        conditions = result["conditions"].items()
        found.append(result | {"conditions": {str(key): summary for key, summary in conditions}})
    return found


# ------------------------------------------------------------ the table


def show(results: Sequence[Mapping[str, Any]], quick: bool) -> None:
    """The rows on stdout; without their sources, which the page has, where there is no room."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    sources = ["source"] if console.width >= WIDE else []
    for name in ("claim", *sources, "published", "here", "trials", "seconds", "verdict"):
        table.add_column(name, justify="right" if name in ("trials", "seconds") else "left", overflow="fold")
    for result in results:
        reduced = f" ({result['reduced']})" if result["reduced"] else ""
        table.add_row(
            f"{result['name']}: {result['claim']}{reduced}",
            *([result["source"]] if sources else []),
            result["published"],
            "\n".join(here(result)),
            str(result["trials"]),
            f"{result['seconds']:.1f}",
            VERDICTS[result["verdict"]],
        )
    console.print(table, markup=False)
    if quick:
        console.print("quick: fewer trials than were published", markup=False)


def markdown(results: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a table in Markdown, and below it the band that each was judged by."""
    lines = [
        "| row | claim | published | here | trials | seconds | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        reduced = f" ({result['reduced']})" if result["reduced"] else ""
        claim = f"{result['claim']}{reduced} {result['source']}."
        cells = [result["name"], claim, result["published"], "<br>".join(here(result)), str(result["trials"])]
        cells += [f"{result['seconds']:.1f}", VERDICTS[result["verdict"]]]
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for result in results:
        for band in result["bands"]:
            kept = "holds" if band["holds"] else "missed"
            lines.append(f"- {result['name']}: {band['text']} ({band['reason']}): {kept}")
    return "\n".join(lines) + "\n"


def here(result: Mapping[str, Any]) -> list[str]:
    """What was measured, a line for each condition."""
    lines = []
    for condition, one in result["conditions"].items():
        words = [] if condition in (None, "None") else [f"{condition}:"]
        if one["trials"] > 1 or one["solved"] != one["trials"]:
            words.append(f"{one['solved']}/{one['trials']} solved,")
        if one["mean"] is not None:
            words.append(number(one["mean"]))
        if one["interval"]:
            words.append(f"[{number(one['interval'][0])}, {number(one['interval'][1])}]")
        if one["wrong"]:
            words.append(f"wrong {one['wrong'][0]:.1f}, at most {one['wrong'][1]}")
        lines.append(" ".join(words).rstrip(","))
    return [*lines, f"({result['measured']})"]


def number(value: float) -> str:
    """A number with four digits, thousands separated.

    >>> number(21730.0), number(0.09452)
    ('21,730', '0.09452')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
