"""The report as a reader meets it: in a browser, without a network, with the keyboard, on a phone."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict

import numpy as np
import pytest
from browser import Browser

from minilstm.plots.chart import draw
from minilstm.study import length_study, report
from minilstm.study.figures import study_figures
from minilstm.study.journal import Journal
from minilstm.study.result import result_of

# The texts that lie outside the card they belong to, by more than a pixel.
OUTSIDE = """Array.from(document.querySelectorAll('.chart')).flatMap(card => {
    const box = card.getBoundingClientRect();
    const inside = r => r.left >= box.left - 1 && r.right <= box.right + 1 && r.top >= box.top - 1
        && r.bottom <= box.bottom + 1;
    return Array.from(card.querySelectorAll('text, h4, .x, .y, button, span'))
        .filter(e => e.textContent && !inside(e.getBoundingClientRect()))
        .map(e => card.id + ' ' + e.textContent);
}).join('; ')"""
EVIL = ["<script>alert(1)</script>", "=cmd()|' /C calc'!A0", "a\nb", "\u202eright to left", "x" * 10_000]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A tiny study of sequences whose labels are hostile."""
    rng = np.random.default_rng(0)
    y = [EVIL[k % len(EVIL)] for k in range(60)]
    x = [rng.normal(k % len(EVIL), 1, size=(int(rng.integers(3, 9)), 2)) for k in range(60)]
    folder = tmp_path_factory.mktemp("report") / "s"
    return length_study(x, y, lengths=[3, 8], seeds=2, epochs=3, units=3, control=True, out=folder)


@pytest.fixture(scope="module")
def chromium():
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no chromium here to open the page with")
    return found


@pytest.fixture(scope="module")
def page(study, chromium, tmp_path_factory):
    with Browser(chromium, tmp_path_factory.mktemp("chromium")) as browser:
        browser.seconds = browser.open(study.report)
        yield browser


def column(page, number):
    rows = "document.querySelectorAll('table.sortable tbody tr')"
    return page.run(f"Array.from({rows}, row => row.cells[{number}].textContent)")


def drawn(page, name):
    """y of every line in a chart's first panel."""
    return page.run(f"document.querySelector('#chart-{name} .plot').data.map(t => Array.from(t.y))")


def test_the_page_opens_without_an_error_and_without_the_network(page, study):
    page.wait("document.querySelectorAll('.chart.live').length > 0")
    assert page.errors == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert page.seconds < 10
    assert page.run("document.querySelector('header .conclusion').textContent") == study.conclusion
    assert page.run("document.querySelectorAll('script').length") == 3
    assert page.run("document.documentElement.lang") == "en"


def test_every_chart_is_drawn_when_it_comes_near(page):
    names = page.run("Array.from(document.querySelectorAll('.chart'), e => e.id.slice(6))")
    assert names == page.run("Object.keys(JSON.parse(document.getElementById('charts').textContent))")
    assert len(names) == 9
    for name in names:
        page.run(f"document.getElementById('chart-{name}').scrollIntoView()")
        page.wait(f"document.querySelector('#chart-{name} .main-svg') !== null")
    assert page.errors == []


def test_a_click_on_a_heading_sorts_the_table(page):
    lengths = column(page, 0)
    assert sorted(map(int, lengths)) == [3] * 4 + [8] * 4
    page.click("table.sortable th:first-child button")
    assert list(map(int, column(page, 0))) == [3] * 4 + [8] * 4
    page.click("table.sortable th:first-child button")
    assert list(map(int, column(page, 0))) == [8] * 4 + [3] * 4
    heading = "document.querySelector('table.sortable th:first-child').getAttribute('aria-sort')"
    assert page.run(heading) == "descending"
    page.run("document.querySelectorAll('table.sortable th button')[3].focus()")
    page.press("Enter", 13)
    values = [float(text.split()[0]) for text in column(page, 3)]
    assert values == sorted(values)
    assert page.errors == []


def test_the_slider_moves_through_the_epochs_with_the_keyboard(page, study):
    page.run("document.getElementById('epoch-gradient_back').scrollIntoView()")
    page.wait("document.querySelector('#chart-gradient_back .main-svg') !== null")
    page.run("document.getElementById('epoch-gradient_back').focus()")
    last = drawn(page, "gradient_back")
    page.press("Home", 36)
    page.wait("document.getElementById('said-gradient_back').textContent === 'before training'")
    first = drawn(page, "gradient_back")
    assert first != last
    own = [r for r in study.cells if r["length"] == 3 and r["mask"] and not r["shuffled"]]
    expected = np.median([record["before"]["norms"] for record in own], axis=0)
    np.testing.assert_allclose(first[0], expected)
    page.press("ArrowRight", 39)
    page.wait("document.getElementById('said-gradient_back').textContent === 'after epoch 1'")
    assert (
        page.run("document.getElementById('epoch-gradient_back').getAttribute('aria-valuetext')")
        == "after epoch 1"
    )
    expected = np.median([record["snapshots"][1]["norms"] for record in own], axis=0)
    np.testing.assert_allclose(drawn(page, "gradient_back")[0], expected)
    assert page.errors == []


def test_light_and_dark_and_print_and_phone(page):
    colour = "getComputedStyle(document.body).backgroundColor"
    before = page.run(colour)
    page.click("#theme")
    dark = page.run(colour)
    assert before != dark
    page.click("#theme")
    assert page.run(colour) == before
    page.call("Emulation.setEmulatedMedia", media="print")
    assert page.run(colour) == "rgb(255, 255, 255)"
    assert page.run("getComputedStyle(document.getElementById('theme')).display") == "none"
    page.call("Emulation.setEmulatedMedia", media="")
    table = "document.querySelector('table.sortable').parentElement"
    page.resize(1000, 800)
    page.wait(f"innerWidth === 1000 && {table}.scrollWidth <= {table}.clientWidth")
    page.resize(390, 800)
    page.wait("document.scrollingElement.scrollWidth <= 390")
    assert page.errors == []


def test_every_control_has_a_name_and_every_picture_a_text(page):
    unnamed = """Array.from(document.querySelectorAll('button, select, input')).filter(
        e => !(e.textContent.trim() || e.labels?.length || e.getAttribute('aria-label'))).length"""
    assert page.run(unnamed) == 0
    assert page.run("Array.from(document.images).filter(i => !i.alt).length") == 0


def test_hostile_labels_are_inert(study, page):
    text = study.report.read_text("utf-8")
    ours = text[: text.index('<script type="application/json"')]
    assert "<script" not in ours
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in ours
    assert "x" * 1000 not in ours
    assert page.run("typeof window.alerted") == "undefined"
    csv = (study.report.parent / "results.csv").read_text()
    assert not [
        field
        for line in csv.splitlines()[1:]
        for field in line.split(",")
        if field.startswith(("=", "+", "@"))
    ]


def test_json_in_a_script_cannot_end_it():
    text = str(report.in_script({"a": "</script><!--&\u2028"}))
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!--&\u2028"}


@pytest.mark.slow
def test_the_report_can_be_made_again_from_the_folder_alone(study):
    folder = study.report.parent
    before = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for name in ("report.html", "summary.json", "results.csv"):
        (folder / name).unlink()
    again = report.write(result_of(Journal.read(folder)), Journal.read(folder), jobs=2)
    assert again.conclusion == study.conclusion
    after = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert set(after) == set(before)
    same = [
        name for name in before if name not in ("report.html", "summary.json")
    ]  # they say how long it took
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert not re.findall(
        r"""(?:src|href)\s*=\s*["'](?!data:)""", after["report.html"].decode().split("<script")[0]
    )


def test_figures_have_gaps_where_there_is_no_number(study):
    row = {**study.rows[0], "test_metric": None, "test_high": None, "test_low": None}
    charts = list(study_figures({**study.summary, "rows": [row]}, study.cells, study.settings))
    metric = next(chart for chart in charts if chart.name == "accuracy")
    assert metric.panels[0].lines[0].y == [None]
    json.dumps([asdict(chart) for chart in charts], allow_nan=False)
    for chart in charts:
        draw(chart)


@pytest.mark.parametrize("width", [390, 768, 1400])
def test_no_text_of_a_chart_lies_outside_its_card(page, width):
    page.resize(width, 900)
    page.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    names = page.run("Array.from(document.querySelectorAll('.chart'), e => e.id.slice(6))")
    for name in names:
        page.run(f"document.getElementById('chart-{name}').scrollIntoView()")
        page.wait(f"document.querySelector('#chart-{name} .main-svg') !== null")
    page.wait(f"innerWidth === {width} && document.scrollingElement.scrollWidth <= {width}")
    page.wait(f"{OUTSIDE} === ''")
    assert page.run("Array.from(document.querySelectorAll('.chart text')).length") > 50


def test_charts_fit_the_paper_and_the_screen_again(page):
    """A print lays the page out anew without time to draw: charts take the paper's size before."""
    widths = (
        "Array.from(document.querySelectorAll('.main-svg:first-child'), e => Number(e.getAttribute('width')))"
    )
    cards = "Array.from(document.querySelectorAll('.plot'), e => e.clientWidth)"
    page.resize(1400, 900)
    page.run("dispatchEvent(new Event('beforeprint'))")
    paper = page.run(cards)
    assert page.run(widths) == paper
    assert max(paper) <= 717
    assert page.run(f"{OUTSIDE}") == ""
    page.run("dispatchEvent(new Event('afterprint'))")
    page.wait(f"{widths}.every((width, k) => Math.abs(width - {cards}[k]) <= 1)")
    assert page.run(cards) != paper


def test_a_click_in_the_legend_takes_a_line_away_and_brings_it_back(page):
    button = "#chart-accuracy .legend button"
    shown = "document.querySelector('#chart-accuracy .plot').data.filter(t => t.visible).length"
    page.run("document.getElementById('chart-accuracy').scrollIntoView()")
    page.wait(f"document.querySelector('{button}') !== null")
    before = page.run(shown)
    page.click(button)
    assert page.run(shown) == before - 2  # the line and its seeds
    page.click(button)
    assert page.run(shown) == before
