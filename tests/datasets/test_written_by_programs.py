"""What spreadsheets, databases, R and loggers write: kept as it is, or told in the dry run."""

from __future__ import annotations

import numpy as np
import pytest

from minilstm.datasets import from_sequences, read_file, read_series
from minilstm.datasets.spelling import look_alike

N = 24
X = [[k, 1.5, k * k % 5] for k in range(N)]


def written(tmp_path, head, rows):
    path = tmp_path / "a.csv"
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def table(tmp_path, head, rows, **options):
    return read_file(written(tmp_path, head, rows), **options)


def series(tmp_path, head, rows, **options):
    return read_series(written(tmp_path, head, rows), target="v", **options)


def told(y):
    return " ".join(from_sequences(X, y).remarks)


def test_separators_behind_the_last_column_are_no_columns(tmp_path):
    rows = [f"{k}.5,{k * k},{k % 2},," for k in range(N)]
    assert table(tmp_path, "t0,t1,label,,", rows).columns == ["t0", "t1"]
    rows[3] = "1,2,0,3,"
    with pytest.raises(ValueError, match="line 5 has 5 fields, the header has 3"):
        table(tmp_path, "t0,t1,label,,", rows)
    with pytest.raises(ValueError, match="column names must differ"):
        table(tmp_path, ",,label", rows)


def test_a_header_that_is_none_is_named(tmp_path):
    rows = [f'"{k}"\t{k * k}\t{k % 2}' for k in range(N)]  # R's write.table names no first column
    text = "line 2 has 3 fields, the header has 2: the first line must name each column"
    with pytest.raises(ValueError, match=text):
        table(tmp_path, "t0\tlabel", rows)
    with pytest.raises(ValueError, match=r"line 3 has 2 fields, .* must name each column"):
        series(tmp_path, "Device 7", ["Serial", *(f"{k},{k}" for k in range(N))])


def test_points_between_thousands_are_told_or_refused(tmp_path):
    rows = [f"{k};{950 + 37 * k if k < 2 else f'{k}.{100 + k}'}" for k in range(N)]
    note = "'v' is read with decimals, as 2.102; if that is 2102, --decimal comma reads it"
    assert note in series(tmp_path, "t;v", rows).reading
    assert "is read with decimals" not in series(tmp_path, "t;v", [*rows[:-1], "30;2.5"]).reading
    found = series(tmp_path, "t;v", rows, decimal="comma")
    assert found.series[0][2, 0] == 2102
    text = r"column 'v' has points before decimals, as '0.370', and between thousands, as '2.102'"
    with pytest.raises(ValueError, match=text):
        series(tmp_path, "t;v", [*rows, "30;0.370"], decimal="comma")


def test_long_numbers_that_excel_rounded_are_told_where_they_are_names(tmp_path):
    rows = [f"{1.23456 + k // 4:.5f}E+15,{k},{k * k % 7},{k // 4 % 2}" for k in range(N)]
    said = table(tmp_path, "id,time,v,label", rows, group="id").reading
    assert "names as '1.23456E+15' in column 'id' have lost digits: several may have become one" in said


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (["a", "b", r"\N"], r"'\\N' is a class: if it says that there is no label"),
        ([0, 1, 2, -1], "-1 is a class: if it says that there is no label"),
        ([0, 1, -999], "-999 is a class"),
        (["R&D", "R&amp;D"], "'R&D', 'R&amp;D'"),
    ],
)
def test_labels_that_say_there_is_none_or_are_written_twice(labels, text):
    assert text in told([labels[k % len(labels)] for k in range(N)])
    assert look_alike(["R", "D", "&"]) == []


@pytest.mark.parametrize("labels", [[-1, 0, 1], [-1, 1], [-2, -1, 0, 1]])
def test_negative_labels_that_are_meant(labels):
    assert "is a class" not in told([labels[k % len(labels)] for k in range(N)])


def test_targets_have_markers_too_and_one_value_may_be_far_from_all():
    y = [(k * 7 % 11) / 3 for k in range(N)]
    assert "far from" not in told(y)
    assert "Of the targets, -999 stands 3 times, far from" in told(
        [-999.0 if k % 8 == 1 else y[k] for k in range(N)]
    )
    assert "12345 stands 1 time, far from all other values" in told([*y[:-1], 12345.0])


def test_arrays_that_were_written_as_texts_are_told():
    texts = [f"tensor([{k}.5, {k * k}.25])" for k in range(N)]
    said = " ".join(from_sequences(texts, [k % 2 for k in range(N)]).remarks)
    assert "24 of 24 texts have a list of numbers, as 'tensor([0.5, 0', of which words are made" in said
    said = " ".join(from_sequences([f"({k}) fine" for k in range(N)], [k % 2 for k in range(N)]).remarks)
    assert "list of numbers" not in said


def test_months_as_numbers_and_times_in_days(tmp_path):
    said = series(
        tmp_path, "time,v", [f"{2000 + k // 12}{k % 12 + 1:02d},{k * k % 7}" for k in range(N)]
    ).reading
    assert "numbers that look like dates, as 200001: no gap is told" in said
    said = series(tmp_path, "time,v", [f"{45292 + k / 24:.6f},{k * k % 7}" for k in range(N)]).reading
    assert "evenly spaced, by 0.041667" in said
    assert np.isfinite(read_series(tmp_path / "a.csv", target="v").series[0]).all()
