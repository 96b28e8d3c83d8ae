"""Conventions of real files: what would alter or lose something is refused, or said."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from minilstm.commands.cli import main
from minilstm.datasets import from_sequences, from_series, read_file, read_series
from minilstm.datasets.spelling import look_alike

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
    "cell",
    ["{}%", "${}.50", "1'{:03d}.5", "{}/7", "{:#x}", "0:{:02d}", "{}kg", "{}D-01", "{}.5±0.1", "-{}.5+1j"],
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


# ---- what can be used, and may mislead ----

X = [[k, 1.5, k * k % 5] for k in range(N)]
TEXTS = [f"{'good' if k % 2 else 'bad'} film number {k}" for k in range(N)]


def told(x, y=None, **options):
    return " ".join(from_sequences(x, [k % 2 for k in range(len(x))] if y is None else y, **options).remarks)


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (["caf\xe9", "cafe\u0301"], r"not seen are different classes: 'caf\xe9', 'cafe\u0301'."),
        (["cat", "cat\u200b"], r"not seen are different classes: 'cat', 'cat\u200b'."),
        (["new york", "new  york"], "not seen are different classes: 'new york', 'new  york'."),
        (["7", "007x", "07"], "not seen are different classes: '7', '07'."),
        (["cat", "N/A", "null"], "'N/A', 'null' is a class: if it says that there is no label"),
        (["1,5", "2,5"], "Labels such as '1,5' are names of classes; quantities are written as 1.5."),
        (["3%", "4%"], "Labels such as '3%' are names of classes"),
        (
            ["a"] * 11 + ["b"],
            "22 of 24 sequences are of class 'a': naming it always has an accuracy of 0.917.",
        ),
    ],
)
def test_doubtful_labels_are_told(labels, text):
    assert text in told(X, [labels[k % len(labels)] for k in range(N)])


def test_usual_labels_are_not_doubted():
    for labels in (["cat", "dog"], ["1", "2"], [0, 1], ["2024-01-01", "2024-01-02"], ["1st", "2nd"]):
        remarks = told(X, [labels[k % 2] for k in range(N)])
        assert "class" not in remarks
        assert "Labels" not in remarks


@pytest.mark.parametrize(
    ("added", "text"),
    [
        ("<br />", "24 of 24 texts have HTML, such as '<br />', of which words are read too."),
        ("g\u200bood", "have signs that are not seen, such as U+200B: they part words."),
        ("\U0001f600", "emoji or other symbols, such as U+1F600, which are no words and are left out."),
        ("cafe\u0301", "accents as signs of their own, such as U+0301"),
        ("\ufffd", "have U+FFFD, which stands for a letter that was lost."),
        ("", ""),
    ],
)
def test_signs_that_words_do_not_have_are_told(added, text):
    remarks = told([f"{one} {added}" for one in TEXTS])
    assert text in remarks
    assert ("texts have" in remarks) == bool(text)


def test_texts_that_are_the_same_to_a_model_are_told():
    same = [f"Good film {k // 2}{'!' * (k % 2)}" for k in range(4 * N)]
    assert "of the 29 sequences to be validated and tested on are the same as one of the training" in told(
        same
    )
    assert "the same as one" not in told([f"{one} {'abc'[k % 3]} {k % 5}" for k, one in enumerate(TEXTS)])
    assert "100% of the words to be validated and tested on are not in the vocabulary" in told(
        [chr(0x4E00 + k) for k in range(N)]
    )


def test_numbers_whose_axes_or_kind_are_doubtful_are_told(tmp_path):
    rng = np.random.default_rng(0)
    assert "3 steps of 100 features: the steps must be the first axis" in told(rng.normal(size=(N, 3, 100)))
    assert "the first axis" not in told(rng.normal(size=(N, 100, 3)))
    assert "read as quantities, not as ids of words" in told(rng.integers(1, 5000, (N, 8)))
    assert "ids of words" not in told(rng.integers(0, 9, (N, 8)))
    x = rng.normal(size=(N, 5, 2))
    x[:, :, 1] = 6
    assert "Column 'n' is 6 at every step: it tells nothing." in told(x, columns=["a", "n"])


# ---- tables and arrays ----


def test_names_of_sequences_that_may_be_one_or_none_are_told(tmp_path):
    names = ["Ann", "ann", "NaN", "b\u200b", "b", "c"]
    rows = [f"{names[k // 4]},{k},{k * k % 7},{k // 4 % 2}" for k in range(N)]
    said = table(tmp_path, "id,time,v,label", rows, group="id").reading
    assert r"names in column 'id' that look alike are different ones: 'Ann', 'ann', 'b', 'b\u200b'" in said
    assert "'NaN' in column 'id' is a name; where there is none, leave those cells empty" in said
    assert read_series(tmp_path / "a.csv", target="v", group="id").reading.count("note: ") == 3


def test_rows_over_several_lines_are_counted(tmp_path):
    rows = [f"a good film {k},{k % 2}" for k in range(N)]
    assert "lines" not in table(tmp_path, "text,label", rows).reading
    rows[3], rows[6] = f'"{rows[3]}', f'{rows[6][:-2]}",0'  # quotes that are not meant
    found = table(tmp_path, "text,label", rows)
    assert len(found.x) == N - 3
    assert "1 row over several lines (at most 4: line 5 to 8)" in found.reading
    rows = [f'"{k}",{k * k}' for k in range(N)]
    rows[3] = '"3\n",9'
    (tmp_path / "s.csv").write_text("time,v\n" + "\n".join(rows))
    assert "1 row over several lines" in read_series(tmp_path / "s.csv", target="v").reading


def test_rows_that_end_in_empty_cells_are_counted(tmp_path):
    rows = [f"{k},{k * k % 7},{'' if k % 3 else 5},{k % 2}" for k in range(N)]
    assert "16 rows shorter, with empty cells at the end" in table(tmp_path, "t0,t1,t2,label", rows).reading


def test_columns_that_are_not_named_as_steps_are_told(tmp_path):
    rows = [f"{k // 6},{k % 6},{k * k % 7},{k % 2}" for k in range(N)]
    note = "the columns are not named as steps, and are read as the steps of one feature, in this order"
    assert note in table(tmp_path, "id,time,v,label", rows).reading
    assert note not in table(tmp_path, "t0,t1,t2,label", rows).reading
    assert note not in table(tmp_path, "id,time,v,label", rows, features=["v", "id"]).reading


def test_columns_that_name_whom_or_what_sequences_are_of_are_told(tmp_path):
    rows = [f"{k // 4},{k},{k * k % 7},{k // 8},{k % 3},{k // 4 % 2}" for k in range(N)]
    said = table(tmp_path, "id,time,v,who,label_2,label", rows, group="id").reading
    assert "'who' is the same at all steps of a sequence; if it says whom they are of, --split group" in said
    assert "'label_2' is read as numbers, and named as a label; --drop leaves it out" in said
    assert "'v' is the same" not in said


def test_spacing_is_that_of_each_sequence(tmp_path):
    rows = [f"{k // 6},{k % 6 * (1, 0.01)[k // 6 % 2]:g},{k * k % 7},{k // 6 % 2}" for k in range(N)]
    said = table(tmp_path, "id,time,v,label", rows, group="id").reading
    assert "each sequence evenly spaced, by 0.01 to 1" in said
    rows = [f"{k // 6},{20240129 + k % 6 + 69 * (k % 6 > 2)},{k * k % 7},{k // 6 % 2}" for k in range(N)]
    said = table(tmp_path, "id,time,v,label", rows, group="id").reading
    assert "numbers that look like dates, as 20240129: no gap is told)" in said
    rows = [f"{k // 6},{20240129 + k % 6 // 2},{k * k % 7},{k // 6 % 2}" for k in range(N)]
    said = table(tmp_path, "id,time,v,label", rows, group="id").reading
    assert f"no gap is told, {N // 2} steps with the time of another, in the order of the file)" in said


def test_names_in_letters_of_two_alphabets_look_alike():
    names = ["cop", "\u0441\u043e\u0440", "C\u041eP", "a-b", "a\u2013b", "\u0432\u043e\u0442", "bot"]
    alike = look_alike(names)
    assert alike == [r"'C\u041eP'", "'cop'", r"'\u0441\u043e\u0440'", "'a-b'", r"'a\u2013b'"]


def test_labels_that_mix_latin_and_cyrillic_letters_are_told(tmp_path):
    mixes = "ca\u0442"
    said = told(X, [("cat", mixes, "\u043a\u043e\u0442", "\u00b5m")[k % 4] for k in range(N)])
    assert r"Labels mix Latin and Cyrillic letters: 'ca\u0442'." in said
    rows = [f"{(mixes, 'b')[k // 4 % 2]}{k // 4},{k},{k * k % 7},{k // 4 % 2}" for k in range(N)]
    said = table(tmp_path, "id,time,v,label", rows, group="id").reading
    assert r"names in column 'id' mix Latin and Cyrillic letters: 'ca\u04420'" in said


def test_the_order_of_the_steps_is_nothing_to_split_by(tmp_path):
    rows = [f"{k // 4},{k},{k * k % 7},{k // 4 % 2}" for k in range(N)]
    with pytest.raises(ValueError, match="sequence '0' has several values of 'time', by which it should be"):
        table(tmp_path, "id,time,v,label", rows, group="id", by="time")


def test_the_sequences_are_no_groups_to_split_by(tmp_path):
    rows = [f"{k // 4},{k},{k * k % 7},{k // 4 % 2}" for k in range(N)]
    with pytest.raises(ValueError, match=r"by must be another column than group, .* got 'id': the split"):
        table(tmp_path, "id,time,v,label", rows, group="id", by="id")


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("NA", "column 'b' says in most rows that there is none, such as 'NA': --drop b leaves it out"),
        ("?", "column 'b' says in most rows that there is none, such as '?'"),
    ],
)
def test_a_column_of_nothing_is_named(tmp_path, cell, text):
    rows = [f"{k * k % 7},{cell if k % 3 else 1.5},{k % 5},{k % 2}" for k in range(N)]
    refused(tmp_path, "a,b,c,label", rows, text)


def test_columns_that_a_forecast_does_not_read_are_told(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("time,v,p\n" + "".join(f"{k},{k * k % 7},{k}%\n" for k in range(N)))
    assert "most rows of column 'p' hold no number, but such as '0%'" in read_series(path, target="v").reading
    path.write_text("time,v,p\n" + "".join(f'{k},{k * k % 7},"1,{k:03d}"\n' for k in range(N)))
    with pytest.raises(ValueError, match=r"no comma, got some such as '1,000' in column 'p'"):
        read_series(path, target="v")
    assert read_series(path, target="v", drop=["p"]).columns == ["v"]


def test_a_column_that_knows_the_future_is_told():
    v = np.sin(np.arange(400.0) ** 2)
    leak = from_series(np.stack([v, np.roll(v, -1)], axis=1), steps=4, columns=["v", "next"]).alone
    assert leak.column == "column 'next'"
    assert "Column 'next' alone reaches" in leak.warning(None, False)
    smooth = np.sin(np.arange(400) / 9)
    assert from_series(np.stack([smooth, smooth], axis=1), steps=4).alone is None


def test_a_column_that_is_the_label_is_told_of_few_sequences():
    x = np.random.default_rng(0).normal(size=(N, 4))
    x[:, 2] = [(5, -1)[k % 2] for k in range(N)]
    assert "Step 2 has one value for each class: look whether it gives the class away." in told(x)
    x[0, 2] = -1
    assert "one value" not in told(x)


@pytest.mark.parametrize("side", ["pre", "post"])
def test_what_is_cut_off_as_padding_is_looked_at(tmp_path, side):
    rng = np.random.default_rng(0)
    lengths = 2 + np.arange(N) % 4
    real = np.arange(6) < lengths[:, None]
    x = rng.normal(size=(N, 6)) * (real if side == "post" else real[:, ::-1])
    path = tmp_path / "a.npz"

    def reading(lengths, **options):
        np.savez(path, x=x, y=np.arange(N) % 2, lengths=lengths)
        return read_file(path, **options).reading

    assert "note" not in reading(lengths)
    end = "last" if side == "post" else "first"
    assert f"in 1 of 24 rows the {end} real step is 0 too, as the padding is" in reading(
        lengths + (lengths == 2)[0] * (np.arange(N) == 0)
    )
    assert "what is cut off is not one number throughout" in reading(np.full(N, 2), padding=side)


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named(tmp_path, coding):
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\na good film,1\n".encode(coding))
    with pytest.raises(ValueError, match="UTF-16"):
        read_file(path)


def test_the_latest_of_each_series_is_said():
    assert "the latest of each are tested" in from_series([np.arange(40.0) % 7] * 2, steps=2).description


def test_groups_to_split_by_that_may_be_one_are_told():
    by = [("Ann", "ann", "Bob", "N/A")[k % 4] for k in range(N)]
    said = from_sequences(X, [k // 4 % 2 for k in range(N)], split="group", by=by).description
    assert "names in by that look alike are different ones: 'Ann', 'ann'" in said
    assert "'N/A' in by is a name" in said


def test_a_time_to_split_by_is_named_with_its_line(tmp_path):
    rows = [f"{k},{k * k % 7},{k % 5},0{1 + k % 9}.01.2024,{k % 2}" for k in range(N)]
    found = table(tmp_path, "t0,t1,t2,when,label", rows, by="when")
    with pytest.raises(ValueError, match=r"line 2, by: expected a number or a date .* got '01.01.2024'"):
        from_sequences(found.x, found.y, places=found.places, split="time", by=found.by)


def test_labels_alone_are_no_sequences(tmp_path):
    refused(
        tmp_path,
        "label",
        [str(k % 2) for k in range(N)],
        "has no column of a text or of numbers beside 'label'",
    )


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (
            "x0,x1,x2,y0,y1,y2",
            "'x0', 'y0' look like features of the same steps, and are read one after another",
        ),
        ("x0,y0,x1,y1,x2,y2", "'x0', 'y0' look like features of the same steps"),
        ("x0,x1,x2,x3,x4,x5", None),
    ],
)
def test_features_side_by_side_are_told(tmp_path, head, said):
    rows = [",".join(str((k * j + k) % 11) for j in range(6)) + f",{k % 2}" for k in range(N)]
    found = table(tmp_path, f"{head},label", rows).reading
    assert ("note" in found) == (said is not None)
    assert said is None or said in found


def test_what_a_ts_says_of_itself_is_compared(tmp_path):
    path = tmp_path / "a.ts"
    head = "@univariate true\n@equalLength true\n@seriesLength 5\n@classLabel true a b c\n@data\n"
    path.write_text(head + "1,2:3,4:a\n1,2,3:3,4,5:b\n" * 6)
    said = read_file(path).reading
    for text in ("a line has 2 features", "lines have 2 to 3 steps", "a line has 2 steps", "no line has 'c'"):
        assert text in said
    path.write_text(head.replace(" c", "") + "1,2,3,4,5:a\n5,4,3,2,1:b\n" * 6)
    assert "note" not in read_file(path).reading


def test_a_first_row_of_texts_is_no_header(tmp_path):
    text = "if this is the first row, put a line of names above it"
    refused(tmp_path, "this is a good film,pos", [f"film {k},{k % 2}" for k in range(N)], text)


def test_a_short_series_that_sets_the_lengths_is_told(tmp_path, capsys):
    path = tmp_path / "a.csv"
    rows = [f"{g},{k},{k * (g + 1) % 7}" for g in (0, 1) for k in range((200, 20)[g])]
    path.write_text("shop,time,v\n" + "\n".join(rows))
    words = f"study --data {path} --problem forecasting --target v --group shop --dry-run".split()
    assert main(words) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "lengths as the shortest series allows, of 20 steps (--lengths says others)" in said
