"""Small files that could be read in two ways: the right value, a refusal, or a word in the dry run."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from minilstm.datasets import from_sequences, from_series, read_file, read_series
from minilstm.study.plan import Settings

N = 12
X = [[k, 1.5, k * k % 5] for k in range(24)]
Y = [k % 2 for k in range(24)]


def table(tmp_path, head, rows, **options):
    path = tmp_path / "a.csv"
    path.write_text("\n".join([head, *rows]) + "\n")
    return read_file(path, **options)


def refused(tmp_path, head, rows, text, **options):
    with pytest.raises(ValueError, match=re.escape(text)):
        table(tmp_path, head, rows, **options)


# ---- numbers and texts ----


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (["1,001", "999"], "numbers must have a decimal point, no comma, got some such as '1,001'"),
        (
            ["1,001,000.5", "2,5"],
            "numbers must have a decimal point, no comma, got some such as '1,001,000.5'",
        ),
        (["1 00{}"], "holds neither plain numbers, as 1234.5, nor texts of several words, such as '1 000'"),
        (
            ["01/{}/2024"],
            "holds neither plain numbers, as 1234.5, nor texts of several words, such as '01/0/2024'",
        ),
        (["{} %"], "holds neither plain numbers, as 1234.5, nor texts of several words, such as '0 %'"),
        (
            ["\u2212{}"],
            "holds neither plain numbers, as 1234.5, nor texts of several words, such as '\u22120'",
        ),
    ],
)
def test_numbers_that_are_written_otherwise_are_no_texts(tmp_path, cells, text):
    rows = [f'"{cells[k % len(cells) if k % 3 else 0].format(k)}",{k * k},{k % 2}' for k in range(N)]
    refused(tmp_path, "a,b,label", rows, text)


def test_true_and_false_are_one_and_zero(tmp_path):
    found = table(tmp_path, "a,flag,label", [f"{k}.5,{k % 3 == 0},{k % 2 == 0}" for k in range(N)])
    assert [row.tolist() for row in found.x[:2]] == [[0.5, 1], [1.5, 0]]
    assert found.y[:2] == ["True", "False"]  # names of classes
    assert "1 for True in 'flag'" in found.reading
    series = read_series(tmp_path / "a.csv", target="a", features=["flag"], order="lines")
    assert series.series[0][:2].tolist() == [[0.5, 1], [1.5, 0]]


def test_a_comma_in_a_quoted_name_is_no_delimiter(tmp_path):
    found = table(tmp_path, '"a,x";"b,x,y";label', [f"{k}.5;{k * k};{k % 2}" for k in range(N)])
    assert found.columns == ["a,x", "b,x,y"]


def test_the_header_of_a_file_that_was_joined_is_no_row(tmp_path):
    rows = [f"good film {k},{'ab'[k % 2]}" for k in range(N)]
    rows[5] = "text,label"
    refused(tmp_path, "text,label", rows, "line 7 repeats the header")
    assert len(table(tmp_path, "text,label", rows, bad_rows="skip").x) == N - 1


# ---- labels and names ----


@pytest.mark.parametrize("start", [2**53, 10**20])
def test_labels_that_float64_does_not_hold_stay_apart(tmp_path, start):
    found = table(tmp_path, "a,b,label", [f"{k}.5,{k * k},{start + k % 2}" for k in range(N)])
    assert set(found.y) == {str(start), str(start + 1)}
    data = from_sequences(X, [2**63 + k for k in Y])
    assert data.labels == (str(2**63), str(2**63 + 1))


def test_codes_keep_their_spelling(tmp_path):
    found = table(tmp_path, "a,b,label", [f"{k}.5,{k * k},{('250', 'E11', '007')[k % 3]}" for k in range(N)])
    data = from_sequences(found.x, found.y, problem="classification")
    assert data.labels == ("007", "250", "E11")


def test_blanks_make_no_class_whatever_the_file(tmp_path):
    labels = ["cat", "cat ", "dog"] * 4
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"x": [k], "label": one}) + "\n" for k, one in enumerate(labels)))
    np.savez(tmp_path / "a.npz", x=np.arange(12.0)[:, None], y=labels)
    for found in (read_file(path), read_file(tmp_path / "a.npz")):
        assert found.y == ["cat", "cat", "dog"] * 4


def test_the_keys_of_all_rows_are_those_of_a_jsonl(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"x": [1]}\n{"x": [2], "label": 1, "weight": 2}\n')
    with pytest.raises(ValueError, match="line 1 has no 'label'"):
        read_file(path)
    assert "not used: 'weight', left out: 1 bad line" in read_file(path, bad_rows="skip").reading


def test_one_group_is_written_in_one_way(tmp_path):
    rows = [f"{k // 6}{'.0' if k % 2 else ''},{k},{k * k},{k // 6}" for k in range(N)]
    text = "column 'id' must write each name in one way, got '0' and '0.0'"
    refused(tmp_path, "id,time,v,label", rows, text, group="id")
    with pytest.raises(ValueError, match=re.escape(text)):
        read_series(tmp_path / "a.csv", target="v", group="id")
    with pytest.raises(ValueError, match=r"by must write each name in one way, got '0' and '0\.0'"):
        from_sequences(X, Y, split="group", by=[(k // 4, float(k // 4))[k % 2] for k in range(24)])
    rows = [f"{'0' * (k // 6)}7,{k},{k * k},{k // 6}" for k in range(N)]
    assert len(table(tmp_path, "id,time,v,label", rows, group="id").x) == 2  # 7 and 07


def test_parts_are_told_apart_by_values_that_are_there(tmp_path):
    rows = [f"p{k // 3}{' ' * (k % 2)},{k},{k * k},{k % 2}" for k in range(N)]
    assert table(tmp_path, "who,a,b,label", rows, by="who").by == [f"p{k // 3}" for k in range(N)]
    rows[4] = " ,1,2,0"
    refused(tmp_path, "who,a,b,label", rows, "line 6 has no value to split by (column 'who')", by="who")
    for missing in (None, float("nan")):
        by = [missing, *(k // 4 for k in range(1, 24))]
        with pytest.raises(ValueError, match="by must be a value for each sequence, got none for sequence 0"):
            from_sequences(X, Y, split="group", by=by)
        data = from_sequences(X, Y, split="group", by=by, bad_rows="skip")
        assert sum(len(part.x) for part in (data.train, data.validation, data.test)) == 23
    with pytest.raises(ValueError, match="by must be as long as x, which has 24 sequences, got 25 values"):
        from_sequences(X, Y, split="time", by=range(25))


# ---- times ----


@pytest.mark.parametrize(
    "written", ["170000000000000000{}", "170000000000.000000{}", "2024-01-01T00:00:00.00000000{}Z"]
)
def test_times_keep_their_nanoseconds(tmp_path, written):
    """Of 1.7e18 ns since 1970 float64 holds every 256th, and a datetime no nanoseconds."""
    rows = [f"p{k // 3},{written.format(9 - k % 3)},{k},{k // 3 % 2}" for k in range(N)]
    found = table(tmp_path, "id,time,v,label", rows, group="id", order="time")
    assert [series.ravel().tolist() for series in found.x[:2]] == [[2, 1, 0], [5, 4, 3]]
    assert "with the time of another" not in found.reading
    assert "evenly spaced" in found.reading


# ---- lengths and masks ----


@pytest.mark.parametrize("value", [-1.0, np.nan])
@pytest.mark.parametrize("side", ["pre", "post"])
def test_lengths_and_a_mask_say_the_same(tmp_path, side, value):
    lengths = np.array([1, 3, 2])
    post = np.arange(3) < lengths[:, None]
    mask = post if side == "post" else post[:, ::-1]
    x = np.where(mask, np.arange(1.0, 10).reshape(3, 3), value)
    path = tmp_path / "a.npz"
    np.savez(path, x=x, y=[0, 1, 0], lengths=lengths, mask=mask)
    found = read_file(path)
    for got, row, real in zip(found.x, x, mask, strict=True):
        np.testing.assert_array_equal(got, row[real])
    for given, text in (
        ({"mask": mask[:, ::-1]}, "'mask' must leave out the padding, which is at the"),
        ({"lengths": lengths[[0, 2, 1]]}, "must say the same, got 3 real steps and length 2 in row 1"),
        ({"lengths": lengths[:2]}, r"must say the same, got lengths of \(2,\)"),
    ):
        np.savez(path, **{"x": x, "y": [0, 1, 0], "lengths": lengths, "mask": mask} | given)
        with pytest.raises(ValueError, match=text):
            read_file(path)


def test_lengths_that_cannot_be_are_named_with_their_row(tmp_path):
    path = tmp_path / "a.npz"
    for lengths, text in (([1, 0], "got 0 in row 1"), ([1, 4], "at most the 3 steps of x, got 4 in row 1")):
        np.savez(path, x=np.ones((2, 3)), y=[0, 1], lengths=lengths)
        with pytest.raises(ValueError, match=text):
            read_file(path)


# ---- from Python ----


@pytest.mark.parametrize(
    ("x", "y", "text"),
    [
        (dict(enumerate(X)), Y, "x must be a list of sequences, or of texts, got dict"),
        (set(map(tuple, X)), Y, "x must be a list of sequences, or of texts, got set"),
        (X, dict(enumerate(Y)), "y must be a list with one label for each sequence, got dict"),
        (np.ma.masked_equal(X, 1.5), Y, "x must be plain arrays, got a masked one: cut it to its real steps"),
    ],
)
def test_what_has_no_order_or_a_mask_of_its_own_is_refused(x, y, text):
    with pytest.raises(TypeError, match=text):
        from_sequences(x, y)


def test_classes_that_a_part_lacks_are_told():
    remarks = from_sequences(X, [0] * 9 + [1] * 9 + [2] * 6, split="time").remarks
    said = "The training part has none of '2', which the test part has: no model can know it."
    assert said in remarks
    assert "The test part has one class alone, '2'." in remarks
    assert not any("part has" in one for one in from_sequences(X, Y).remarks)


# ---- what is only pointed out ----


def test_commas_are_decimal_points_where_that_is_said(tmp_path):
    rows = [f"{k},5;-{k},25;1e3;{k % 2}" for k in range(N)]
    refused(tmp_path, "a;b;c;label", rows, "--decimal comma reads 1.234,5")
    found = table(tmp_path, "a;b;c;label", rows, decimal="comma")
    assert found.x[1].tolist() == [1.5, -1.25, 1000]
    thousands = [f"{k}.000.125,5;1.{k + 100}" for k in range(1, N)]
    refused(tmp_path, "a;label", thousands, "no comma, got some such as '1.000.125,5' in column 'a'")
    assert table(tmp_path, "a;label", thousands, decimal="comma").x[1].tolist() == [2000125.5]
    texts = table(tmp_path, "text;label", [f"{k},5;{k % 2}" for k in range(N)], decimal="comma")
    assert texts.x[1] == "1,5"
    table(tmp_path, "a;b;label", [f"{k},5;1.{k + 100};0" for k in range(N)], decimal="comma")
    series = read_series(tmp_path / "a.csv", target="b", decimal="comma", order="lines")
    assert series.series[0][:2, :2].tolist() == [[1100, 0.5], [1101, 1.5]]


def test_columns_are_dropped_by_their_names_and_those_that_are_empty(tmp_path):
    rows = [f"{k}.5,{('red', 'blue')[k % 2]},{k * k},{k % 2}," for k in range(N)]
    refused(tmp_path, "a,colour,b,label,", rows, "if neither, --drop colour leaves it out")
    found = table(tmp_path, "a,colour,b,label,", rows, drop=["colour"])
    assert found.columns == ["a", "b"]
    assert "left out: column '', which is empty" in found.reading
    refused(tmp_path, "a,colour,b,label,", rows, "has no column 'color' for --drop", drop=["color"])
    series = read_series(tmp_path / "a.csv", target="b", drop=["a", "label"], order="lines")
    assert series.columns == ["b"]
    path = tmp_path / "a.jsonl"
    path.write_text('{"x": [1], "label": 1}\n')
    with pytest.raises(ValueError, match="decimal must be left out"):
        read_file(path, decimal="comma")
    path.write_text('{"x": [1], "y": 1, "series": [2]}\n')
    assert read_file(path, drop=["series"]).x == [[1]]
    with pytest.raises(ValueError, match="has no column 'z' for --drop"):
        read_file(path, drop=["z"])


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("age,t0,t1,t2", "'age' is read as a step, as 't0' is; if it is none, --drop leaves it out"),
        ("t0,t1,t10,t2", "in the order of the columns, in which 't10' stands before 't2'"),
        ("2024-01-02,2024-01-01,2023-12-31,2023-12-30", "'2024-01-02' stands before '2024-01-01'"),
        ("9,8,7,6", "in which '9' stands before '8'"),
        ("t7,t8,t9,t10", ""),
        ("0.5,1,1.5,10", ""),
        (
            "load,heat,wind,sun",
            "the columns are not named as steps, and are read as the steps of one feature",
        ),
    ],
)
def test_columns_that_are_no_steps_or_stand_in_another_order_are_told(tmp_path, head, said):
    rows = [f"{k}.5,{k * k},{k % 5}.5,{-k * k},{k % 2}" for k in range(N)]
    found = table(tmp_path, f"{head},label", rows)
    assert len(found.columns) == 4
    assert said in found.reading
    assert ("note:" in found.reading) == bool(said)
    assert "note:" not in table(tmp_path, f"{head},label", rows, features=head.split(",")).reading


def test_numbers_that_say_that_there_is_none_are_told():
    odd = [[-999.0 if k % 5 == step else k + step / 3 for step in range(3)] for k in range(24)]
    assert any("-999 stands 15 times" in remark for remark in from_sequences(odd, Y).remarks)
    for fine in (X, [[k % 2, k, 1] for k in range(24)], [[k, 1.5, 10.0**k] for k in range(24)]):
        assert not any("stands" in remark for remark in from_sequences(fine, Y).remarks)
    load = np.sin(np.arange(200.0))
    load[::20] = 1e6
    data = from_series(load, steps=4, columns=["load"])
    assert data.remarks[0].startswith("1e+06 stands 10 times in column 'load', far from all other values")
    assert from_series(np.sin(np.arange(200.0)), steps=4).remarks == ()


def test_labels_that_may_be_one_and_classes_that_are_rare_are_told():
    remarks = from_sequences(X, ["Cat", "dog", "cat"] * 7 + ["Dog", "ox", "dog"]).remarks
    alike, rare = (next(one for one in remarks if word in one) for word in ("capitals", "Too few"))
    assert alike.endswith("are different classes: 'Cat', 'cat', 'Dog', 'dog'.")
    assert rare.endswith("'Dog', 'ox'.")
    assert not any(
        "capitals" in one or "Too few" in one for one in from_sequences(X, ["a", "b"] * 12).remarks
    )


def test_where_a_row_or_a_label_is_wrong_is_told(tmp_path):
    refused(tmp_path, "a,b,c,label", ["1.5,2.5,3.5,0"] * N + [",,2.5,1"], "line 14 begins with 2 empty cells")
    refused(tmp_path, "text,label", ["good,1", '"bad,0', "x,1"], "in the row that begins in line 3")
    with pytest.raises(TypeError, match=r"both: 0\.0 in sequence 0, 'Total' in sequence 24"):
        from_sequences([*X, [1, 2, 3]], [*map(float, Y), "Total"])
    x = [np.array([k, 1.0, np.nan, np.nan]) for k in range(12)]
    with pytest.raises(ValueError, match="in sequence 0 from step 2 to its end, as if padded"):
        from_sequences(x, Y[:12])
    with pytest.raises(ValueError, match="in sequence 0 before step 2, as if padded"):
        from_sequences([one[::-1] for one in x], Y[:12])
    (tmp_path / "b.csv").write_text("time,load\n" + "".join(f"{k},high\n" for k in range(N)))
    with pytest.raises(
        ValueError, match=r"'load' holds no number, .* name the column of numbers with --target"
    ):
        read_series(tmp_path / "b.csv", target="load")


def test_a_mask_is_studied_where_anything_is_padded():
    """Where every sequence is as long as the longest length or longer, it changes nothing."""
    even, ragged = from_sequences(X, Y), from_sequences([[*x, 1] if x[0] % 2 else x for x in X], Y)
    for data, more, mask in (
        (even, {}, (False,)),
        (even, {"lengths": [2]}, (False,)),
        (even, {"lengths": [2, 4]}, (True, False)),
        (even, {"mask": True}, (True,)),
        (ragged, {}, (True, False)),
        (ragged, {"lengths": [3]}, (False,)),
    ):
        assert Settings.of("data", data=data, **more).mask == mask


def test_a_first_line_for_excel_tells_the_delimiter(tmp_path):
    rows = [f"{k}.5;{k * k};{k % 2}" for k in range(N)]
    found = table(tmp_path, "sep=;", ["a;b;label", *rows])
    assert found.columns == ["a", "b"]
    assert found.places[0] == "line 3"
