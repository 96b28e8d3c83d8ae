"""Conventions of real files: what would alter or lose something is refused, or said."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from minilstm.datasets import from_sequences, from_series, read_file, read_series

N = 24


def table(tmp_path, head, rows, name="a.csv", **options):
    path = tmp_path / name
    path.write_text("\n".join([head, *rows]) + "\n")
    return read_file(path, **options)


def refused(tmp_path, head, rows, text, **options):
    with pytest.raises((ValueError, TypeError), match=re.escape(text)):
        table(tmp_path, head, rows, **options)


# ---- numbers ----


def test_whole_numbers_are_not_rounded(tmp_path):
    first = 2**53 + 1
    text = f"column 'a': expected numbers that float64 holds exactly (whole ones up to 2^53), got {first}"
    refused(tmp_path, "a,b,label", [f"{first + k},{k * k},{k % 2}" for k in range(N)], text)
    assert table(tmp_path, "a,b,label", [f"1e20,{k * k},{k % 2}" for k in range(N)]).x[0][0] == 1e20
    (tmp_path / "s.csv").write_text("time,a\n" + "".join(f"{k},{first + 2 * k}\n" for k in range(N)))
    with pytest.raises(ValueError, match=re.escape(text)):
        read_series(tmp_path / "s.csv", target="a")
    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps({"x": [first, 0.5, k], "label": k % 2}) + "\n" for k in range(N))
    )
    for x in (read_file(tmp_path / "a.jsonl").x, first + np.arange(N)[:, None]):
        with pytest.raises(ValueError, match=f"x must be numbers that float64 holds exactly .* {first} in"):
            from_sequences(x, [k % 2 for k in range(N)])
    with pytest.raises(ValueError, match=f"series must be numbers that float64 holds exactly .* {first} in"):
        from_series(first + np.arange(N), steps=2)


@pytest.mark.parametrize(
    "cell", ["{}%", "${}.50", "1'{:03d}.5", "{}/7", "{:#x}", "0:{:02d}", "{}kg", "{}D-01"]
)
def test_numbers_with_a_sign_are_no_names_of_rows(tmp_path, cell):
    rows = [f"{k * k % 7},{cell.format(k)},{k * k},{k % 2}" for k in range(N)]
    refused(tmp_path, "a,b,c,label", rows, "column 'b' holds neither plain numbers")


def test_dates_are_no_names_of_rows(tmp_path):
    rows = [f"2024-01-01T{k:02d}:00,{k * k % 7},{k % 5},{k % 2}" for k in range(N)]
    assert "left out: column 'when', which holds dates" in table(tmp_path, "when,a,b,label", rows).reading


# ---- labels ----


def test_a_label_of_blanks_is_none(tmp_path):
    path = tmp_path / "a.jsonl"
    labels = ["a", "b", " "] * 8
    path.write_text("".join(json.dumps({"x": [k], "label": one}) + "\n" for k, one in enumerate(labels)))
    with pytest.raises(ValueError, match="8 bad lines: line 3 has no 'label'"):
        read_file(path)
    with pytest.raises(ValueError, match="y must be finite"):
        from_sequences([[k] for k in range(N)], labels)


def test_true_is_not_one_among_labels():
    with pytest.raises(TypeError, match=r"labels of one kind, True and False or others, got both: 1 in .* 1"):
        from_sequences([[k] for k in range(N)], [True, 1, False] * 8)


# ---- files with types ----

ARFF = "@relation r\n@attribute a numeric\n@attribute b numeric\n@attribute label {x,y}\n@data\n"


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("1,2,x,{3}", "line 6 has 4 values, the header has 3 attributes"),
        ("{0 1, 2 x}", "has sparse rows, as {0 1.5, 4 a}, which are not read"),
        ("9007199254740993,2,x", "line 6: expected numbers that float64 holds exactly"),
    ],
)
def test_no_value_of_an_arff_is_lost(tmp_path, row, text):
    path = tmp_path / "a.arff"
    path.write_text(ARFF + f"{row}\n" * 12)
    with pytest.raises(ValueError, match=re.escape(text)):
        read_file(path)
    path.write_text(ARFF.replace("x,y", "'x, x',y") + "1,2,'x, x'\n3,4,y\n" * 6)
    assert len(read_file(path).x) == 12


def test_structs_are_no_texts(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    columns = {"x": [{"a": float(k)} for k in range(N)], "b": list(range(0, 2 * N, 2)), "label": [0, 1] * 12}
    parquet.write_table(pa.table(columns), path)
    with pytest.raises(ValueError, match="column 'x' holds structs or maps, which are not read"):
        read_file(path)
    assert len(read_file(path, drop=["x"]).x) == N
