"""What files and tables hold reaches the data set as it is: no value merged, moved or read as another."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from minilstm.datasets import from_sequences, from_series, read_file, read_series
from minilstm.foundations.arrays import numeric_array
from minilstm.sequences import LengthBuckets, pad_sequences, padding_audit, truncate

RNG = np.random.default_rng(0)
ROWS = 12


def table(tmp_path, head, rows, name="a.csv"):
    path = tmp_path / name
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


# ---- numbers ----


def test_a_large_mean_hides_no_difference():
    offset = 1e9  # beside it float32 has steps of 64
    x = [offset + RNG.normal(size=(4, 1)) for _ in range(20)]
    data = from_sequences(x, [0, 1] * 10)
    assert sum(len(part.x) for part in (data.train, data.validation, data.test)) == 20
    steps = np.concatenate(data.train.x)
    assert len(np.unique(steps)) == steps.size
    np.testing.assert_allclose([steps.mean(), steps.std()], [0, 1], atol=1e-4)


def test_numbers_are_only_those_that_people_write_so(tmp_path):
    found = read_file(table(tmp_path, "t0,label", [f"{k},1_{k % 2}" for k in range(ROWS)]))
    assert set(found.y) == {"1_0", "1_1"}  # Python's float() reads 10 and 11
    found = read_file(table(tmp_path, "t0,label", [f"{k},{('7', '07')[k % 2]}" for k in range(ROWS)]))
    assert set(found.y) == {"7", "07"}
    path = table(tmp_path, "t0;label", [f"0,{k};{k % 2}" for k in range(ROWS)])
    with pytest.raises(ValueError, match="must have a decimal point, no comma, got some such as '0,0' in co"):
        read_file(path)


def test_blanks_make_no_class_and_no_sequence_of_their_own(tmp_path):
    rows = [f"p{k // 3}{' ' * (k % 2)},{k},{k}, {'ab'[k // 3 % 2]}" for k in range(ROWS)]
    found = read_file(table(tmp_path, "person,time,v,label", rows), group="person")
    assert [series.ravel().tolist() for series in found.x] == [[k, k + 1, k + 2] for k in (0, 3, 6, 9)]
    assert found.y == ["a", "b", "a", "b"]


def test_repeated_sequences_with_another_label_are_counted():
    x = [[k, 1, 2] for k in range(20)] + [[0, 1, 2], [1, 1, 2]]
    data = from_sequences(x, [0, 1] * 10 + [0, 0])
    assert "2 that repeat another are left out, 1 of them with another label;" in data.description


# ---- columns ----


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "Unnamed: 0.1", "Unnamed: 0_level_0"])
@pytest.mark.parametrize("kind", ["counted", "dates", "shuffled"])
def test_an_index_without_a_name_is_no_step_in_silence(tmp_path, name, kind):
    index = {"counted": range(5, 5 + ROWS), "shuffled": RNG.permutation(ROWS)}.get(kind)
    index = [f"2024-01-{k + 1:02}" for k in range(ROWS)] if index is None else index
    rows = [f"{index[k]},{k}.5,{k * k % 7},{k % 2}" for k in range(ROWS)]
    found = read_file(table(tmp_path, f"{name},a,b,label", rows))
    if kind == "shuffled":  # it may have been measured: whoever reads the dry run knows
        assert f"note: column {name!r} has no name, and numbers the rows" in found.reading
        return
    assert found.columns == ["a", "b"]
    assert found.x[3].tolist() == [3.5, 2]
    assert f"left out: column {name!r}, which " in found.reading


def test_dates_without_a_name_tell_the_order(tmp_path):
    frame = pd.DataFrame({"load": [1.5, 2, 3]}, index=pd.date_range("2024-01-01", periods=3, freq="h"))
    frame.to_csv(tmp_path / "a.csv")
    found = read_series(tmp_path / "a.csv", target="load")
    assert (found.columns, found.series[0].ravel().tolist()) == (["load"], [1.5, 2, 3])
    assert "steps ordered by '' (evenly spaced, by 3600 s)" in found.reading


def test_a_first_line_of_numbers_is_not_taken_for_names_in_silence(tmp_path):
    with pytest.raises(ValueError, match="it has '1', '2', '0'; if these are the first row's numbers"):
        read_file(table(tmp_path, "1,2,0", ["3,4,1", "5,6,0"]))


def test_a_step_without_a_sequence_is_no_sequence(tmp_path):
    rows = [f"{'' if k == 4 else f'p{k // 3}'},{k},{k},{k // 3 % 2}" for k in range(ROWS)]
    path = table(tmp_path, "person,time,v,label", rows)
    with pytest.raises(
        ValueError, match=r"line 6 does not say which sequence it belongs to \(column 'person'\)"
    ):
        read_file(path, group="person")
    found = read_file(path, group="person", bad_rows="skip")
    assert [series.ravel().tolist() for series in found.x] == [[0, 1, 2], [3, 5], [6, 7, 8], [9, 10, 11]]
    with pytest.raises(ValueError, match="line 6 does not say which series it belongs to"):
        read_series(path, target="v", group="person", bad_rows="skip")


def test_a_time_that_is_none_is_named_and_its_sequence_left_out(tmp_path):
    rows = [f"p{k // 3},{'?' if k == 4 else k},{k},{k // 3 % 2}" for k in range(ROWS)]
    path = table(tmp_path, "person,time,v,label", rows)
    with pytest.raises(
        ValueError, match=r"line 6, column 'time': expected a number or a date as .*, got '\?'"
    ):
        read_file(path, group="person")
    found = read_file(path, group="person", bad_rows="skip")
    assert [series.ravel().tolist() for series in found.x] == [[0, 1, 2], [6, 7, 8], [9, 10, 11]]
    assert "left out: 1 bad row (line 6, " in found.reading
    assert " with their sequences, note" in found.reading


def test_a_key_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"x": [1], "x": [2], "label": "a"}\n')
    with pytest.raises(ValueError, match="a key stands twice in one object"):
        read_file(path)
    path.write_text(json.dumps({"x": [1], "label": "a", "weight": 2}) + "\n")
    assert "not used: 'weight'" in read_file(path).reading


# ---- masks of an .npz ----


def test_the_mask_of_an_npz_is_heeded(tmp_path):
    x, lengths = RNG.normal(size=(3, 5, 2)), [2, 5, 1]
    for real in ([np.arange(5) >= 5 - n for n in lengths], [np.arange(5) < n for n in lengths]):
        np.savez(tmp_path / "a.npz", x=x, y=[0, 1, 0], mask=np.array(real), weight=[1, 2, 3])
        found = read_file(tmp_path / "a.npz")
        for got, row, steps in zip(found.x, x, real, strict=True):
            np.testing.assert_array_equal(got, row[steps])
        assert "real steps from 'mask', not used: 'weight'" in found.reading


@pytest.mark.parametrize(
    ("mask", "text"),
    [
        ([[1, 0, 1], [1, 1, 1]], "one run of real steps in each row, got 2 runs of them in row 0"),
        ([[1, 1, 1], [0, 0, 0]], "one run of real steps in each row, got none in row 1"),
        ([[1, 1], [0, 1]], r"for each step, \(2, 3\), got int64 of \(2, 2\)"),
        ([[0.5, 1, 1], [1, 1, 1]], "must be True and False"),
    ],
)
def test_a_mask_that_cannot_be_meant_is_refused(tmp_path, mask, text):
    np.savez(tmp_path / "a.npz", x=np.ones((2, 3)), y=[0, 1], mask=mask)
    with pytest.raises(ValueError, match=text):
        read_file(tmp_path / "a.npz")


# ---- tables and Series are rows by position ----


def test_the_index_of_a_table_changes_nothing():
    rows, y = RNG.normal(size=(40, 4)), np.arange(40) % 2
    speakers, days = np.arange(40) // 4, RNG.permutation(40)
    index = RNG.permutation(40)
    for x in (pd.DataFrame(rows, index=index), pd.Series(list(rows), index=index)):
        for split, by in (("group", speakers), ("time", days), ("random", None)):
            given = None if by is None else pd.Series(by, index=index)
            found = from_sequences(x, pd.Series(y, index=index), split=split, by=given, bad_rows="skip")
            assert found.checksum == from_sequences(rows, y, split=split, by=by).checksum


def test_what_pandas_calls_missing_is_missing():
    x, labels = [[k, 1] for k in range(20)], pd.Series([0, 1] * 10, dtype="Int64")
    labels[3] = pd.NA
    with pytest.raises(ValueError, match="y must be finite, got NaN or Inf in sequence 3"):
        from_sequences(x, labels)
    data = from_sequences(x, labels, bad_rows="skip")
    assert sum(len(part.x) for part in (data.train, data.validation, data.test)) == 19


# ---- bad rows of a series ----


def test_no_window_has_a_step_that_is_bad(tmp_path):
    load = [f"{np.sin(k):.6f}" for k in range(80)]
    load[30], load[55] = "off", "nan"
    path = table(tmp_path, "time,load", [f"{k},{value}" for k, value in enumerate(load)])
    with pytest.raises(
        ValueError, match="2 bad rows: line 32, column 'load': expected a number, got 'off'; lin"
    ):
        read_series(path, target="load")
    found = read_series(path, target="load", bad_rows="skip")
    assert "left out: 2 bad rows (line 32" in found.reading
    with pytest.raises(ValueError, match="finite numbers, got NaN or Inf in series 0, step 30"):
        from_series(found.series, steps=4, horizon=2)
    data = from_series(found.series, steps=4, horizon=2, bad_rows="skip")
    parts = (data.train, data.validation, data.test)
    assert all(np.isfinite(window).all() for part in parts for window in part.x)
    assert all(np.isfinite(part.y).all() for part in parts)
    # 80 - 4 - 1 windows; each bad step stands in 4 windows and is the target of 1; horizon - 1 left out twice
    assert sum(len(part.x) for part in parts) == 75 - 2 * 5 - 2
    assert "left out: 2 bad steps, and 10 of 75 windows, which hold such a step" in data.description
    whole = from_series(found.series[0][:30], steps=4, horizon=2)
    same = from_series(found.series[0][:30], steps=4, horizon=2, bad_rows="skip")
    assert whole.checksum == same.checksum


def test_tables_are_rows_for_sequences_too():
    rows = RNG.integers(0, 9, (3, 2))
    table = pd.DataFrame(rows, columns=["12", "345"], index=[2, 0, 1])
    assert pad_sequences(table, maxlen=3).tolist() == pad_sequences(rows, maxlen=3).tolist()
    assert [row.tolist() for row in truncate(table, 1)] == rows[:, 1:].tolist()
    assert padding_audit(table)[0].sequences == 3
    series = pd.Series([[1, 2], [3], [4, 5, 6]], index=[2, 0, 1])
    batches = LengthBuckets(series, pd.Series([0, 1, 2], index=[1, 2, 0]), batch_size=1, shuffle=False)
    assert next((x.tolist(), y.tolist()) for x, y, *_ in batches) == ([[3.0]], [1])
    same = pd.Series(list(RNG.normal(size=(4, 3, 2))), index=[3, 1, 0, 2])
    np.testing.assert_array_equal(numeric_array("x", same), np.stack(list(same)))
