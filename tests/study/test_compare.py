"""Two studies side by side: what can be compared, and the interval of the difference."""

from __future__ import annotations

import math
import os
from types import SimpleNamespace

import pytest

from minilstm.commands import cli
from minilstm.plots.chart import draw
from minilstm.study import compare, length_study
from minilstm.study.journal import Journal
from minilstm.study.plan import DIMENSIONS
from minilstm.study.result import result_of
from minilstm.study.run import prepare_kernels

TINY = {"lengths": [3], "seeds": 1, "epochs": 1, "units": 2, "verbose": 0}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    where = tmp_path_factory.mktemp("compare")
    for name, more in (("a", {}), ("b", {"epochs": 2})):
        length_study("recall", out=where / name, **TINY | more)
    return where


@pytest.mark.slow
def test_the_page_has_the_figure_and_the_interval_and_a_name_in_html(folders, capsys):
    a, b = str(folders / "a"), str(folders / "b")
    assert cli.main(["compare", a, b, "--out", str(folders / "both.html")]) == 0
    printed = capsys.readouterr().out
    page = (folders / "both.html").read_text("utf-8")
    assert 'aria-label="Test accuracy of both studies against length"' in page
    line = next(line for line in printed.splitlines() if line.strip().startswith("3 "))
    assert page.count('<span class="interval">[') == 3  # below their values: seven columns fit a tablet
    low, high = map(float, line.split("[")[-1].split("]")[0].split(","))
    assert low < high
    odd = folders / os.fsdecode(b"\xff")  # a name that is no text
    odd.symlink_to(a)
    assert cli.main(["compare", str(odd), b, "--out", str(folders / "both.html")]) == 0
    capsys.readouterr()
    assert cli.main(["compare", a, b, "--out", str(folders / "both.pdf")]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "out must be the name of a page, which ends in .html, got both.pdf" in told.err


def study(task="digits", metric="accuracy", labels=("0", "1"), horizon=None):
    settings = SimpleNamespace(task=task, metric=metric, horizon=horizon)
    return SimpleNamespace(settings=settings, summary={"data": {"labels": list(labels)}})


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (study("recall"), "the two studies are of different tasks: digits and recall"),
        (study(metric="MSE"), "the two studies are of different things: accuracy and MSE"),
        (study(horizon=3), "the two studies are of different horizons: 0 and 3"),
        (study(labels=("0", "2")), "the two studies are of different classes: 0, 1 and 0, 2"),
    ],
)
def test_different_tasks_are_refused(other, text):
    compare.same_task([study(), study()])
    with pytest.raises(ValueError, match=text):
        compare.same_task([study(), other])


def test_the_difference_has_the_interval_of_the_two():
    """By hand: 0.5 [0.4, 0.6] and 0.8 [0.76, 0.83]."""
    row = {"test_metric": 0.5, "test_low": 0.4, "test_high": 0.6}
    other = {"test_metric": 0.8, "test_low": 0.76, "test_high": 0.83}
    low, high = 0.3 - math.hypot(0.04, 0.1), 0.3 + math.hypot(0.03, 0.1)
    assert compare._change([row, other]) == f"+0.300 [{low:+.3f}, {high:+.3f}]"
    assert compare._change([row, None]) == "-"
    assert compare._change([row, other | {"test_low": None}]) == "+0.3"


@pytest.mark.parametrize("varied", [None, "mask"])
def test_studies_of_two_cells_are_compared_length_by_length(varied):
    """What differs between the studies, and in neither, tells no lines apart."""

    def made(rnn, units):
        own = {"test_metric": 0.5, "test_low": 0.4, "test_high": 0.6, "ms_per_step": 1.0, "tape_bytes": 2}
        points = [
            own | dict.fromkeys(DIMENSIONS) | {"rnn": rnn, "units": units, "mask": mask, "length": length}
            for length in (5, 20)
            for mask in ((True, False) if varied else (True,))
        ]
        return SimpleNamespace(settings=SimpleNamespace(metric="accuracy"), rows=points)

    lines = compare.table([made("lstm", 8), made("gru", 16)])
    assert [line[:2] for line in lines] == [
        [str(length), label]
        for length in (5, 20)
        for label in (("with mask", "without mask") if varied else ("-",))
    ]
    assert all(line[4].startswith("+0.000") and line[5] == "1.00 x" for line in lines)


@pytest.mark.slow
def test_it_fits_a_narrow_terminal_and_says_what_it_lacks(folders, capsys, monkeypatch):
    def printed(width):
        monkeypatch.setenv("COLUMNS", str(width))
        assert cli.main(["compare", str(folders / "a"), str(folders / "b")]) == 0
        lines = capsys.readouterr().out.splitlines()
        start = next(k for k, line in enumerate(lines) if line.startswith("length"))
        assert max(map(len, lines[start : start + 3])) <= width
        return lines[start:]

    whole, narrow = printed(160), printed(60)
    assert not any("Only on the page" in line for line in whole)
    assert narrow[-1].startswith("Only on the page (--out FILE.html): the intervals of first and second")
    assert all(value.replace(".", "").isdigit() for value in narrow[2].split()[-5:-3])


@pytest.mark.slow
def test_lines_of_both_studies_have_markers_that_tell_them_apart(folders):
    """Dashes and colour alone do not, in print or to every eye."""
    studies = [result_of(Journal.read(folders / name)) for name in ("a", "b")]
    lines = draw(compare.chart(studies)).axes[0].get_lines()
    drawn = [(line.get_linestyle(), line.get_marker()) for line in lines if line.get_linestyle() != "None"]
    assert [style for style, _ in drawn] == ["-", "--"]
    markers = {marker for _, marker in drawn}
    assert len(markers) == 2
    assert "" not in markers


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("study --lenghts 5", "unknown option --lenghts; did you mean --lengths?"),
        ("study recall --epoch=3 --sed 3", "unknown option --sed; did you mean --seed?"),
        ("studdy", "unknown command 'studdy'; did you mean study?"),
        ("compare a b --ot x", "unknown option --ot; did you mean --out?"),
        ("study --frobnicate", "unknown option --frobnicate\n"),
    ],
)
def test_a_misspelled_option_gets_the_nearest(capsys, words, text):
    with pytest.raises(SystemExit) as ended:
        cli.main(words.split())
    assert ended.value.code == 2
    assert f"minilstm: error: {text}" in capsys.readouterr().err


def test_length_study_shows_progress_unless_it_is_told_not_to(capsys):
    prepare_kernels()
    capsys.readouterr()  # where nothing is compiled yet, that is said
    length_study("recall", **TINY)
    assert capsys.readouterr().err == ""
    length_study("recall", **TINY | {"verbose": 1})
    assert capsys.readouterr().err.startswith("1/1  length 3, seed 0: test accuracy 0.")
