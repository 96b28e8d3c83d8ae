"""The command as a person runs it: in a process of its own, judged by files, exit code and both streams."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

import minilstm
from minilstm.commands import cli
from minilstm.study.report import COLUMNS

TINY = ["study", "recall", "--lengths", "3,5", "--seeds", "1", "--epochs", "1", "--units", "4"]
FILES = [
    "config.json",
    "figures",
    "report.html",
    "results.csv",
    "results.jsonl",
    "summary.json",
    "times.jsonl",
]


def run(*arguments, cwd, environment=None, timeout=300):
    return subprocess.run(
        [sys.executable, "-m", "minilstm", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A tiny study with two jobs, into the default folder."""
    cwd = tmp_path_factory.mktemp("study")
    return run(*TINY, "--jobs", "2", cwd=cwd), cwd / "minilstm-study-recall"


def test_a_study_prints_a_table_a_sentence_and_the_report(done):
    process, folder = done
    assert process.returncode == 0, process.stderr
    lines = process.stdout.rstrip().splitlines()
    assert lines[0].split()[:3] == ["length", "test", "accuracy"]
    assert [line.split()[0] for line in lines[2:4]] == ["3", "5"]
    assert lines[-1] == "minilstm-study-recall/report.html"
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["conclusion"] == lines[-3]
    said = [line for line in process.stderr.splitlines() if not line.startswith("minilstm: compil")]
    assert [line.split()[0] for line in said] == ["1/2", "2/2"]


def test_a_study_writes_its_files(done):
    _, folder = done
    assert sorted(path.name for path in folder.iterdir()) == FILES
    names = sorted(path.name for path in (folder / "figures").iterdir())
    wanted = ["accuracy", "cost", "first_step", "gradient_back", "horizon", "memory", "training"]
    assert names == [f"{name}.{kind}" for name in wanted for kind in ("pdf", "png", "svg")]
    with open(folder / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["length"], row["mask"], row["seed"]) for row in rows] == [("3", "0", "0"), ("5", "0", "0")]
    assert {row["rnn"] for row in rows} == {"lstm"}
    assert all(
        0 <= float(row["test_low"]) <= float(row["test_metric"]) <= float(row["test_high"]) for row in rows
    )
    for text in [(folder / "config.json").read_text(), (folder / "summary.json").read_text()]:
        json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert len((folder / "results.jsonl").read_text().splitlines()) == 2


def test_the_report_stands_alone_and_begins_with_the_conclusion(done):
    _, folder = done
    page, _, scripts = (
        (folder / "report.html").read_text("utf-8").partition('<script type="application/json"')
    )
    assert (
        scripts.count("</script>") == 3
    )  # the charts' data, plotly, and ours; test_report watches what they do
    conclusion = json.loads((folder / "summary.json").read_text())["conclusion"]
    assert page.index(conclusion) < page.index("<table")
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:)""", page)
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "@import" not in page
    assert "<script" not in page
    config = json.loads((folder / "config.json").read_text())
    for text in [*config["data"]["checksums"].values(), config["versions"]["numpy"], "minilstm study recall"]:
        assert text in page


def test_no_path_and_no_name_of_this_machine_is_in_the_results(done):
    _, folder = done
    names = {os.fspath(folder.parent), os.path.expanduser("~"), os.uname().nodename}
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_text("utf-8", errors="replace")
            assert not [name for name in names if len(name) > 3 and name in text]


def test_the_same_command_again_trains_nothing(done):
    _, folder = done
    before = (folder / "results.jsonl").read_bytes()
    again = run(*TINY, "--json", cwd=folder.parent)
    assert again.returncode == 0
    assert json.loads(again.stdout)["spent"]["cells_run"] == 0
    assert (folder / "results.jsonl").read_bytes() == before


def test_other_settings_in_the_same_folder_exit_2(done):
    _, folder = done
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    process = run(*TINY, "--batch-size", "16", cwd=folder.parent)
    assert process.returncode == 2
    assert process.stderr == (
        "minilstm: error: minilstm-study-recall holds a study with other settings: "
        "batch_size was 32, now 16; choose another folder with --out, or remove this one\n"
    )
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["study", "--nonsense"], "unknown option --nonsense"),
        (["study", "mnist"], "invalid choice: 'mnist'"),
        (["study", "a.csv"], "; a file of your own is given with --data"),
        (["study", "--lengths", "5,x"], "argument --lengths: must be whole numbers or quantiles"),
        (["study", "--lengths", "0"], "lengths must be a whole number >= 1, got 0"),
        (["study", "--seeds", "0"], "seeds must be a whole number >= 1, got 0"),
        (["trace", "--seed", "-1"], "argument --seed: must be a whole number >= 0, got '-1'"),
        (["trace", "--cell=--"], "--cell must be a value, got '--'"),
        (["trace", "--length", f"{2**63}"], "argument --length: must be a whole number >= 1 of 64 bits, got"),
        (["cells", "--units", f"{2**63}"], "argument --units: must be a whole number >= 1 of 64 bits, got"),
        (["study", "--jobs", "0"], "jobs must be a whole number >= 1, got 0"),
        (["study", "recall", "--mask"], "mask must be left out for recall"),
        (["study", "--clipnorm", "nan"], "clipnorm must be a finite number > 0 and < 1e+100, got nan"),
        (["study", "--out", "no/such"], "the folder above no/such does not exist"),
        (["study", "--out", "file"], "file is a file; --out must be a folder"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_a_request_that_cannot_be_meant_is_one_line_and_exit_2(tmp_path, arguments, text):
    (tmp_path / "file").write_text("")
    process = run(*arguments, cwd=tmp_path)
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr.startswith("minilstm: error: ")
    assert process.stderr.count("\n") == 1
    assert text in process.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


TOO_LARGE = f"{2**62}"
UNMEANT = {
    f"study --seeds {TOO_LARGE}": "seeds must be so few that the study has 1,000,000 models at most, got 46",
    f"study recall --lengths {TOO_LARGE}": f"of length={TOO_LARGE} takes",
    f"study digits --lengths {TOO_LARGE}": f"of length {TOO_LARGE} takes",
    "study --units 2147483648": "a recurrent layer of 2147483648 units takes",
    "study --data rows.csv --embedding 1000000000000": "an embedding of 1000000000000 numbers takes",
    f"study --seed {2**63}": "seed must be a whole number >= 0 of 64 bits, got one of 64",
    "study --clipnorm 1e308": "clipnorm must be a finite number > 0 and < 1e+100, got 1e+308",
    "study --learning-rate 1e308": "learning_rate must be a finite number > 0 and < 1e+100, got 1e+308",
    f"trace --length {TOO_LARGE}": f"a trace of --length {TOO_LARGE} takes",
    "trace --forget-bias nan": "--forget-bias must be a number of at most 1e+38 in size, got nan",
    "trace --recurrent-scale 1e308": "a number of at most 1e+38 in size, got 1e+308",
    "trace --units 2147483648": "a layer of --units 2147483648 takes",
    "cells --units 2147483648": "a cell with --units 2147483648 and --lengths 40 takes",
    f"cells --lengths 3,{TOO_LARGE}": f"--lengths {TOO_LARGE} takes",
    f"gradcheck --length {TOO_LARGE}": f"a check of --length {TOO_LARGE} takes",
    f"truncation --draws {TOO_LARGE}": f"a cut for each of --draws {TOO_LARGE} takes",
    "reproduce reber --trials 1000001": "--trials must be a whole number from 1 to 1,000,000, got 1000001",
    "study --out=": "argument --out: must be the name of a file or a folder, got ''",
    "study --data=": "argument --data: must be the name of a file or a folder, got ''",
    "trace --out=": "argument --out: must be the name of a file or a folder, got ''",
    "examples copy --out a\0b": "argument --out: must be the name of a file or a folder, got 'a\\x00b'",
    "examples copy --out file/below": "Not a directory: file",
    "trace --out file": "Not a directory: file",
    "truncation --out file/a.png": "Not a directory: file",
    f"examples copy --out {'a' * 300}": "File name too long: aaa",
    "examples list 01": "NAME must be left out for examples list, got '01'",
    "study --cluster host": "argument --cluster: must be an address, as tcp://HOST:8786, got 'host'",
    "study --data rows.csv --words 0": "rows.csv: words must be a whole number >= 3, got 0",
    "study --data steps.csv --words 9": "words must be left out where the steps are numbers, got 9",
    "study --data rows.csv --padded-at pre": "padded-at must be left out for a .csv, got 'pre'",
}


@pytest.mark.parametrize("line", UNMEANT)
def test_what_no_machine_can_do_is_refused_by_its_option_before_any_work(tmp_path, monkeypatch, capsys, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "rows.csv").write_text("text,label\n" + "".join(f"word {k},{k % 2}\n" for k in range(40)))
    (tmp_path / "steps.csv").write_text(
        "t0,t1,label\n" + "".join(f"{k % 7}.5,{k / 9},{k % 2}\n" for k in range(40))
    )
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    try:
        code = cli.main(line.split(" "))
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert UNMEANT[line] in said.err
    assert said.err.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("words", [["--decimal", "{}"], ["{}"], ["--quiet", "{}"], ["--quiet={}"]])
def test_what_argparse_quotes_is_one_line_for_a_terminal(capsys, words):
    """Line ends, colours, marks that turn the text, and 100,000 letters went to the terminal as they were."""
    for value in ("a\nb", "a\x1b[31mb", "a\u202eb", "a" * 10**5, "a\udc80b"):
        with pytest.raises(SystemExit) as found:
            cli._parse(["study", *(word.format(value) for word in words)])
        said = capsys.readouterr().err
        assert found.value.code == 2
        assert said.count("\n") == 1
        assert said.rstrip("\n").isprintable()
        assert len(said) < 2100


NO_NUMBERS = ["", " ", "x", "1_0", "\u0663", "\uff13", "0x10", "1" * 4001 + "x", "\udc80", "1\n2", "1,,2"]
NUMBERS = (
    *("study --seed", "study --units", "study --lengths", "study --patience", "study --clipnorm"),
    *("trace --length", "trace --recurrent-scale", "gradcheck --timeout", "truncation --steps"),
    *("cells --epochs", "reproduce --trials"),
)


@pytest.mark.parametrize("option", NUMBERS)
def test_what_is_no_number_is_refused_by_its_option(capsys, option):
    """Python reads 1_0 and the digits of other scripts as numbers."""
    for value in NO_NUMBERS:
        with pytest.raises(SystemExit) as found:
            cli._parse([*option.split(), value])
        assert found.value.code == 2
        said = capsys.readouterr().err
        assert said.startswith(f"minilstm: error: argument {option.split()[1]}: must be ")
        assert said.count("\n") == 1
        assert len(said) < 250


@pytest.mark.parametrize("missing", ["rich", "jinja2", "plotly"])
def test_without_the_extra_one_line_says_which(tmp_path, missing):
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{missing!r}] = None\n")
    path = os.pathsep.join(filter(None, [os.fspath(tmp_path), os.environ.get("PYTHONPATH")]))
    process = run(*TINY, cwd=tmp_path, environment={"PYTHONPATH": path})
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr == (
        "minilstm: error: minilstm study needs its extra packages: pip install 'minilstm[study]'\n"
    )


def children_of(pid):
    """Process ids of the children of `pid`, from /proc."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(entry))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="reads /proc")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_a_stop_keeps_the_finished_cells_and_leaves_no_process(tmp_path, number, code):
    arguments = [
        *TINY[:2],
        "--lengths",
        "2,400",
        "--seeds",
        "40",
        "--epochs",
        "1",
        "--units",
        "32",
        "--jobs",
        "2",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "minilstm", *arguments, "--out", "s"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    journal = tmp_path / "s" / "results.jsonl"
    # the last line that is seen may still be on its way to the disk, and is taken back then: two are finished
    while time.monotonic() < deadline and not (journal.exists() and journal.read_bytes().count(b"\n") >= 3):
        time.sleep(0.05)
    children = children_of(process.pid)
    assert len(children) >= 2
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # what a terminal does: the workers get it, too
    else:
        os.kill(process.pid, number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    lines = journal.read_text().splitlines()
    kept = [json.loads(line) for line in lines]
    assert len(kept) >= 2
    if number != signal.SIGKILL:
        assert f"stopped; {len(kept)} of 80 models are kept" in errors
        assert "Traceback" not in errors
        assert output.split()[0] == "length"
        assert "of 80 models" in errors
        assert json.loads((tmp_path / "s" / "summary.json").read_text("utf-8"))["complete"] is False
    while any(os.path.exists(f"/proc/{pid}") for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in children if os.path.exists(f"/proc/{pid}")]


def test_version_help_and_info(tmp_path):
    assert run("--version", cwd=tmp_path).stdout == f"minilstm {minilstm.__version__}\n"
    for arguments in (["--help"], ["study", "--help"]):
        text = run(*arguments, cwd=tmp_path)
        assert text.returncode == 0
        assert "examples:" in text.stdout
    info = run("info", cwd=tmp_path)
    assert info.returncode == 0
    names = {line.split()[0] for line in info.stdout.splitlines()}
    assert {"minilstm", "python", "numpy", "numba", "plotly", "backend", "threads", "kernel"} <= names


@pytest.mark.slow
def test_help_fits_a_terminal_of_80_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    parser, commands = cli._parser()
    for one in (parser, *commands.values()):
        assert max(map(len, one.format_help().splitlines())) < 80


def test_output_that_is_not_utf8_is_no_problem(done):
    _, folder = done
    process = run(*TINY, cwd=folder.parent, environment={"LC_ALL": "C", "PYTHONIOENCODING": "ascii"})
    assert process.returncode == 0, process.stderr
    assert process.stdout.isascii()


def test_importing_the_package_stays_light():
    heavy = {"numba", "scipy", "matplotlib", "rich", "jinja2"}
    code = f"import sys, minilstm; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
