"""Rows that are the steps of sequences: their order is established or asked for, never assumed."""

from __future__ import annotations

import numpy as np
import pytest

from minilstm.datasets import read_file, read_series
from minilstm.datasets.grouped import spacing

ROWS = ["p,1,10,yes", "q,5,50,no", "p,3,30,yes", "q,7,70,no", "p,2,20,yes"]


def table(path, rows=ROWS, header="id,time,v,label", **options):
    (path / "a.csv").write_text("\n".join([header, *rows]) + "\n")
    return read_file(path / "a.csv", group="id", **options)


def test_a_column_named_by_the_caller_sorts_the_steps(tmp_path):
    found = table(tmp_path, order="time")
    assert [x.ravel().tolist() for x in found.x] == [[10, 20, 30], [50, 70]]
    assert (found.y, found.columns) == (["yes", "no"], ["v"])
    assert "ordered by 'time', in which the lines of 1 sequence were not" in found.reading
    assert found.places == ["sequence 'p' (line 2)", "sequence 'q' (line 3)"]
    both = table(tmp_path, order="time", features=["time", "v"])
    assert both.x[0].tolist() == [[1, 10], [2, 20], [3, 30]]


def test_a_column_that_does_not_ascend_is_not_believed_by_its_name(tmp_path):
    with pytest.raises(
        ValueError, match=r"column 'time' does not ascend within a sequence \(line 6\): --order"
    ):
        table(tmp_path)
    kept = table(tmp_path, order="lines")
    assert kept.x[0].tolist() == [[1, 10], [3, 30], [2, 20]]
    assert "in the order of the lines, as was said" in kept.reading


def test_a_column_with_a_usual_name_that_ascends_tells_the_order(tmp_path):
    found = table(tmp_path, ROWS[:4])
    assert [x.ravel().tolist() for x in found.x] == [[10, 30], [50, 70]]
    assert "steps ordered by 'time' (evenly spaced, by 2)" in found.reading


def test_where_no_column_tells_the_order_it_is_asked_for(tmp_path):
    with pytest.raises(
        ValueError, match=r"no column tells the order .* --order lines keeps .*; it has 'u', 'v'"
    ):
        table(tmp_path, header="id,u,v,label")
    assert table(tmp_path, header="id,u,v,label", order="lines").x[1].tolist() == [[5, 50], [7, 70]]


@pytest.mark.parametrize(
    ("dates", "said"),
    [
        (["2024-01-02", "2024-01-01", "2024-01-03"], "evenly spaced, by 86400 s"),
        (["2024-01-02T00:00Z", "2024-01-02T00:30+01:00", "2024-01-02T00:30Z"], "evenly spaced, by 1800 s"),
    ],
)
def test_dates_are_times(tmp_path, dates, said):
    rows = [f"p,{date},{k},1" for k, date in enumerate(dates)]
    found = table(tmp_path, rows, order="time")
    assert [x.ravel().tolist() for x in found.x] == [[1, 0, 2]]
    assert said in found.reading


@pytest.mark.parametrize(
    ("times", "text"),
    [
        (["1", "soon"], "line 3, column 'time': expected a number or a date as 2024-12-31T23:59, got 'soon'"),
        (["1", "nan"], "line 3, column 'time': the order must be a finite number or a date"),
        (["2024-01-01", "2024-01-02T00:00Z"], "line 3, column 'time': some dates have a time zone"),
    ],
)
def test_times_that_cannot_be_meant(tmp_path, times, text):
    with pytest.raises(ValueError, match=text):
        table(tmp_path, [f"p,{time},1,1" for time in times], order="time")


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ([[0, 1, 2], [5, 6]], "evenly spaced, by 1"),
        ([[0, 1, 1, 2]], "1 step with the time of another, in the order of the file, evenly spaced, by 1"),
        ([[0, 1, 2, 5], [0, 1, 3]], "2 gaps: 3 steps are missing where one follows another after 1"),
        ([[0.0, 0.1, 0.2, 0.30000000000000004]], "evenly spaced, by 0.1"),
        ([[0, 1, 2.5]], "unequally spaced: 1 to 1.5"),
        ([[0], [3]], "one step each"),
    ],
)
def test_duplicates_gaps_and_unequal_spacing_are_told(times, said):
    assert spacing([np.array(own, float) for own in times]) == said


def test_options_that_a_file_has_no_use_for_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("s1,s2,label\n1,2,0\n3,4,1\n")
    (tmp_path / "a.jsonl").write_text('{"x": [1], "y": 1}\n')
    np.savez(tmp_path / "a.npz", x=np.ones((2, 2)), y=[0, 1])
    for name, option, value in [
        ("a.csv", "order", "s1"),
        ("a.csv", "padding", "pre"),
        ("a.jsonl", "group", "x"),
        ("a.jsonl", "padding", "pre"),
        ("a.npz", "order", "x"),
    ]:
        with pytest.raises(ValueError, match=f"{name}: {option} must be left out"):
            read_file(tmp_path / name, **{option: value})


@pytest.mark.parametrize(
    ("header", "rows", "options", "note"),
    [
        ("a,count,label", ["5,1,0", "7,2,1", "6,3,0"], {}, "'count' counts the rows"),
        ("a,user_id,label", ["5,31,0", "7,12,1", "6,53,0"], {}, "'user_id' looks like an identifier"),
        ("a,b,label", ["5,31,0", "7,12,1", "6,53,0"], {}, None),
        ("a,user_id,label", ["5,31,0", "7,31,1", "6,53,0"], {}, None),
        ("a,user_id,label", ["5,31,0", "7,12,1", "6,53,0"], {"features": ["a", "user_id"]}, None),
        (
            "id,step,age,label",
            ["p,1,40,0", "p,2,40,0", "q,1,50,1", "r,1,60,1", "r,2,60,1"],
            {"group": "id"},
            "'age' has a value of its own for each sequence",
        ),
        ("id,step,age,label", ["p,1,40,0", "p,2,41,0", "q,1,50,1", "r,1,60,1"], {"group": "id"}, None),
    ],
)
def test_columns_that_look_like_identifiers_are_pointed_out_and_kept(tmp_path, header, rows, options, note):
    (tmp_path / "a.csv").write_text("\n".join([header, *rows]) + "\n")
    found = read_file(tmp_path / "a.csv", **options)
    assert ("note: column" in found.reading) == (note is not None)
    assert note is None or note in found.reading
    assert found.x[0].size == 2


@pytest.mark.parametrize(
    ("header", "rows", "options", "left_out", "size"),
    [
        ("patient,a,b,label", [f"{1000 + k},{k % 3},{k % 2},{k % 2}" for k in range(6)], {}, "counts", 2),
        ("left,a,b,label", [f"{9 - k},{k % 3},{k % 2},{k % 2}" for k in range(6)], {}, "counts", 2),
        ("patient,a,b,label", [f"P00{k},{k % 3},{k % 2},{k % 2}" for k in range(6)], {}, "names", 2),
        ("patient,a,b,label", [f"{k},{k % 3},{k % 2},{k}" for k in range(4)], {}, None, 3),  # few rows
        ("a,b,label", [f"{k},{k + 1},{k % 2}" for k in range(6)], {}, None, 2),  # all of them count
        ("n,a,label", [f"{k},{k % 3},0" for k in range(6)], {"features": ["n", "a"]}, None, 2),
        (
            "id,step,n,a,label",
            [f"{k // 3},{k % 3},{k},{k % 4},0" for k in range(9)],
            {"group": "id"},
            "counts",
            3,
        ),
    ],
)
def test_columns_that_number_or_name_the_rows_are_left_out(tmp_path, header, rows, options, left_out, size):
    (tmp_path / "a.csv").write_text("\n".join([header, *rows]) + "\n")
    found = read_file(tmp_path / "a.csv", **options)
    assert ("left out" in found.reading) == (left_out is not None)
    assert left_out is None or f"which only {left_out} the rows" in found.reading
    assert found.x[0].size == size


def test_what_is_to_be_forecast_may_count(tmp_path):
    (tmp_path / "a.csv").write_text("index,x\n" + "".join(f"{k},{k * k % 7}\n" for k in range(60)))
    assert read_series(tmp_path / "a.csv", target="index", order="lines").columns == ["index", "x"]


def test_a_column_that_cannot_be_read_is_named_and_not_every_row(tmp_path):
    for date, speed, match in [
        ("31.12.2024", "1", "column 'date' must hold numbers or dates as .* got '31.12.2024': --order"),
        ("2024-12-31", "fast", "column 'speed' holds no number, only such as 'fast': name .* --features"),
        ("2024-12-31", "1,5", "a decimal point, no comma, got some such as '1,5' in column 'speed'"),
    ]:
        lines = [f"{key};{date};{speed};{key == 'p'}" for key in "ppqq"]
        (tmp_path / "a.csv").write_text("\n".join(["id;date;speed;label", *lines]))
        for way in ("refuse", "skip"):
            with pytest.raises(ValueError, match=match):
                read_file(tmp_path / "a.csv", group="id", bad_rows=way)


def test_no_row_that_is_left_is_said(tmp_path):
    (tmp_path / "a.csv").write_text("id,step,x,label\n" + "".join(f"{k},1,{k * k},\n" for k in range(4)))
    with pytest.raises(ValueError, match=r"no row is left to use: .*left out: 4 bad rows"):
        read_file(tmp_path / "a.csv", group="id", bad_rows="skip")


def test_a_note_on_an_identifier_is_for_numbers_that_are_read(tmp_path):
    rows = [f"u{7 * k % 20},some words {k},{k % 2}" for k in range(20)]
    (tmp_path / "a.csv").write_text("\n".join(["user_id,review,label", *rows]))
    found = read_file(tmp_path / "a.csv")
    assert "note:" not in found.reading
    assert "not used: 'user_id'" in found.reading
