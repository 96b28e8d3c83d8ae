"""Parquet, Feather, ARFF and .ts: the same sequences as from the .csv or .jsonl that holds the same."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from minilstm.commands import cli
from minilstm.datasets import read_file, read_series
from minilstm.datasets.column_files import _unquoted, read_columns

RNG = np.random.default_rng(0)
STEPS = pd.DataFrame(
    {
        "person": np.repeat(["ann", "bob", "cy"], 3),
        "time": pd.date_range("2024-01-01", periods=9, freq="h"),
        "east": RNG.normal(size=9),
        "count": np.arange(9) ** 2,
        "label": np.repeat([True, False, True], 3),
    }
)
WIDE = pd.DataFrame({"t0": RNG.normal(size=4), "t1": [1, None, 3, 4.5], "label": list("abab")})


@pytest.fixture(params=["parquet", "feather"])
def kind(request):
    pytest.importorskip("pyarrow")
    return request.param


def written(frame, path):
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_feather(path)
    return path


def alike(one, other):
    assert one.y == other.y
    assert one.columns == other.columns
    for a, b in zip(one.x, other.x, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_column_of_lists_can_be_dropped(tmp_path, kind):
    frame = WIDE.assign(tags=[[1], [2, 3], [], [4]])
    found = read_file(written(frame, tmp_path / f"a.{kind}"), drop=["tags"])
    assert [len(one) for one in found.x] == [2, 1, 2, 2]
    assert read_series(tmp_path / f"a.{kind}", target="t0", drop=["tags", "t1"], order="lines").columns == [
        "t0"
    ]
    found = read_file(tmp_path / f"a.{kind}", drop=["t0", "t1"], text="tags")
    assert found.x[1] == [2, 3]
    assert "not used" not in found.reading


def test_tables_are_read_as_from_csv(tmp_path, kind):
    STEPS.to_csv(tmp_path / "a.csv", index=False)
    path = written(STEPS, tmp_path / f"a.{kind}")
    found = read_file(path, group="person")
    alike(found, read_file(tmp_path / "a.csv", group="person"))
    assert [len(series) for series in found.x] == [3, 3, 3]
    assert "steps ordered by 'time' (evenly spaced, by 3600 s)" in found.reading
    one, other = (read_series(p, target="east", group="person") for p in (path, tmp_path / "a.csv"))
    np.testing.assert_array_equal(one.series, other.series)
    np.testing.assert_array_equal(np.concatenate(one.series), STEPS[["east", "count"]].to_numpy())
    WIDE.to_csv(tmp_path / "b.csv", index=False)
    alike(read_file(written(WIDE, tmp_path / f"b.{kind}")), read_file(tmp_path / "b.csv"))


def test_a_column_of_lists_is_read_as_from_jsonl(tmp_path, kind):
    rows = [{"x": RNG.normal(size=(n, 2)).tolist(), "label": "ab"[n % 2], "day": n} for n in (3, 1, 2)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    path = written(pd.DataFrame(rows), tmp_path / f"a.{kind}")
    found = read_file(path, by="day")
    alike(found, read_file(tmp_path / "a.jsonl", by="day"))
    assert (found.by, found.places[0]) == ([3, 1, 2], "row 0")
    with pytest.raises(ValueError, match="group must be left out where each row has a sequence"):
        read_file(path, group="day")


def test_the_index_of_pandas_is_left_out(tmp_path):
    pytest.importorskip("pyarrow")
    WIDE.set_index(pd.Index([7, 9, 8, 3])).to_parquet(tmp_path / "a.parquet")
    found = read_file(tmp_path / "a.parquet")
    assert found.columns == ["t0", "t1"]
    assert "left out: pandas's index" in found.reading
    STEPS.set_index("time")[["east"]].rename_axis(None).to_parquet(tmp_path / "a.parquet")
    assert "(evenly spaced, by 3600 s)" in read_series(tmp_path / "a.parquet", target="east").reading


def test_damaged_and_swollen_files_are_refused(tmp_path, kind):
    path = written(WIDE, tmp_path / f"a.{kind}")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=f"a.{kind}: cannot be read as .{kind}: "):
        read_file(path)
    if kind == "parquet":
        pd.DataFrame({"t0": np.zeros(3_000_000, np.int8), "label": 1}).to_parquet(path, compression="zstd")
        with pytest.raises(ValueError, match="more than 200 times the file's size: not read"):
            read_file(path)


@pytest.mark.parametrize(
    ("suffix", "extra"), [("parquet", "parquet"), ("feather", "parquet"), ("arff", "arff")]
)
def test_without_the_extra_it_is_named(tmp_path, monkeypatch, capsys, suffix, extra):
    for module in ("pyarrow", "scipy.io"):
        monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / f"a.{suffix}").write_bytes(b"anything")
    assert cli.main(["study", "--data", str(tmp_path / f"a.{suffix}"), "--dry-run"]) == 2
    told = capsys.readouterr().err
    assert f".{suffix} files need the extra {extra}: pip install 'minilstm[{extra}]'" in told
    assert told.count("\n") == 1


# ---- .arff ----

ARFF = """@relation beats
@attribute t0 numeric
@attribute t1 real
@attribute 'the label' {one,two}
@data
0.5,1,one
% a remark
-2e1,?,two
3,4,?
"""


def test_arff_is_read_as_a_table(tmp_path):
    (tmp_path / "a.arff").write_text(ARFF)
    with pytest.raises(ValueError, match="row 2 has no label"):
        read_file(tmp_path / "a.arff", label="the label")
    found = read_file(tmp_path / "a.arff", label="the label", bad_rows="skip")
    assert [series.tolist() for series in found.x] == [[0.5, 1], [-20]]  # as in a .csv, the end may lack
    assert found.y == ["one", "two"]


def test_quotes_around_the_values_of_an_arff_are_no_part_of_them(tmp_path):
    values = ["'a b'", "c", '"a b"', "o'b o'c", "'?'"]
    head = "@relation a\n@attribute v numeric\n@attribute label {'a b', c, o'b o'c}\n@DATA\n"
    (tmp_path / "a.arff").write_text(head + "".join(f"{k}.5, {v}\n" for k, v in enumerate(values[:3])))
    assert read_file(tmp_path / "a.arff").y == ["a b", "c", "a b"]
    unquoted = _unquoted(head + ",".join(values))
    assert unquoted == head + "a b,c,a b,o'b o'c,'?'"


def test_arff_with_sequences_inside_says_what_to_do(tmp_path):
    (tmp_path / "a.arff").write_text("@relation a\n@attribute s string\n@data\n'x y'\n")
    with pytest.raises(ValueError, match=r"numbers, dates or nominal are read.* stand in a \.ts"):
        read_file(tmp_path / "a.arff")


# ---- .ts ----

TS = """# a remark
@problemName Walks
@timeStamps false
@missing true
@univariate false
@equalLength false
@classLabel true Slow fast
@data
1,-2.5,3e-1:4,5,6:Slow
7:8:fast
9,?:1,2:fast
"""


def test_ts_has_a_sequence_and_its_label_in_each_line(tmp_path):
    (tmp_path / "a.ts.gz").write_bytes(gzip.compress(TS.encode()))
    found = read_file(tmp_path / "a.ts.gz")
    assert [series.tolist() for series in found.x[:2]] == [[[1, 4], [-2.5, 5], [0.3, 6]], [[7, 8]]]
    np.testing.assert_array_equal(found.x[2], [[9, 1], [np.nan, 2]])
    assert (found.y, found.places) == (["Slow", "fast", "fast"], ["line 9", "line 10", "line 11"])
    target = TS.replace("@classLabel true Slow fast", "@targetlabel true").replace("Slow", "0.5")
    (tmp_path / "a.ts").write_text(target.replace("fast", "-1"))
    assert read_file(tmp_path / "a.ts").y == [0.5, -1, -1]


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("@data", "", "has no line @data"),
        ("@timeStamps false", "@timeStamps true", "has time stamps"),
        ("@classLabel true Slow fast", "@classLabel false", "has no labels"),
        ("7:8:fast", "7:8:slow", "line 10 has the label 'slow', which @classLabel does not name"),
        ("7:8:fast", "7,1:8:fast", r"line 10 has features of different lengths \(2, 1\)"),
        ("7:8:fast", "seven:8:fast", "line 10, .*expected a number, got 'seven'"),
        ("7:8:fast", "fast", "line 10 has no colon, and so no label"),
    ],
)
def test_ts_that_cannot_be_meant_is_refused(tmp_path, old, new, text):
    (tmp_path / "a.ts").write_text(TS.replace(old, new))
    with pytest.raises(ValueError, match=f"a.ts: {text}"):
        read_file(tmp_path / "a.ts")
    if "line" in text and "@data" not in text:
        assert len(read_file(tmp_path / "a.ts", bad_rows="skip").y) == 2


def test_options_that_a_ts_has_no_use_for_are_refused(tmp_path):
    (tmp_path / "a.ts").write_text(TS)
    for option in ("text", "label", "group", "by"):
        with pytest.raises(ValueError, match=f"{option} must be left out"):
            read_file(tmp_path / "a.ts", **{option: "a"})


def test_a_table_without_rows_says_so(tmp_path):
    with pytest.raises(ValueError, match="has no rows"):
        read_columns(ARFF.split("0.5")[0].encode(), ".arff")


def test_bytes_that_are_no_text_are_named(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    columns = {"v": [b"\xff\xfe", b"1"] * 6, "label": [0, 1] * 6}
    parquet.write_table(pyarrow.table(columns), path)
    with pytest.raises(ValueError, match=r"a\.parquet: has bytes that are no text in UTF-8: b'\\xff\\xfe'"):
        read_file(path)


def test_a_feather_whose_texts_lie_beyond_its_end_is_refused(tmp_path):
    """pyarrow takes the offsets of texts as they stand: the process ended. In a process of its own."""
    feather, pa = pytest.importorskip("pyarrow.feather"), pytest.importorskip("pyarrow")
    path = tmp_path / "a.feather"
    texts = ["words"] * 20
    feather.write_feather(pa.table({"text": texts, "label": [0, 1] * 10}), path, compression="uncompressed")
    offsets = np.arange(0, 105, 5, np.int32)
    damaged = offsets.copy()
    damaged[10:] = 2**31 - 1 - np.arange(11)[::-1]  # they ascend, up to 2 GB
    whole = path.read_bytes()
    assert whole.count(offsets.tobytes()) == 1
    path.write_bytes(whole.replace(offsets.tobytes(), damaged.tobytes()))
    code = "import sys\nfrom minilstm.datasets.read import read_file\nread_file(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, os.fspath(path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert "ValueError" in done.stderr.splitlines()[-1]
    assert "cannot be read as .feather" in done.stderr.splitlines()[-1]
