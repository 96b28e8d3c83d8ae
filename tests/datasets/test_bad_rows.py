"""Rows that cannot be used, lengths that are outliers, padding that nobody spoke of."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from minilstm.commands import cli
from minilstm.datasets import from_sequences, read_file
from minilstm.datasets.constant_ends import constant_ends
from minilstm.study.plan import Settings

RNG = np.random.default_rng(0)


def write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "text", "count", "kept", "options"),
    [
        (
            "a.csv",
            "s1,s2,label\n1,2,0\n3,oh,1\n5,6,\n7,8,1\n9,9,9,9\n",
            "3 bad rows: line 6 has 4 fields",
            [1, 7],
            {},
        ),
        ("b.csv", 'text,label\n"a b",x\n"c",\n"d e",y\n', "line 3 has no label", ["a b", "d e"], {}),
        (
            "c.csv",
            "id,t,v,label\np,1,1,0\np,2,oh,0\nq,1,3,1\nr,1,4,\n",
            "2 bad rows: line 5 has no label .*; line 3, column 'v'",
            [3],
            {"group": "id"},
        ),
        (
            "a.jsonl",
            '{"x": [1], "y": 0}\nno\n{"x": [2]}\n{"x": [3], "y": 1}\n',
            "2 bad lines: line 2 is not valid JSON: .*; line 3 has no 'y'",
            [1, 3],
            {},
        ),
    ],
)
def test_bad_rows_are_counted_or_left_out_and_said(tmp_path, name, text, count, kept, options):
    path = write(tmp_path / name, text)
    with pytest.raises(ValueError, match=rf"{name}: {count}.*; bad_rows=.skip. \(--bad-rows skip\) leaves "):
        read_file(path, **options)
    found = read_file(path, bad_rows="skip", **options)
    assert [x if isinstance(x, str) else np.ravel(x)[0] for x in found.x] == kept
    assert len(found.y) == len(found.places) == len(kept)
    assert "left out: " in found.reading
    with pytest.raises(ValueError, match="bad_rows must be 'refuse' or 'skip', got 'drop'"):
        read_file(path, bad_rows="drop", **options)


def test_bad_sequences_are_counted_or_left_out_and_said():
    x = [RNG.normal(size=4) for _ in range(20)]
    y = [0.0, 1.0] * 10
    by = [f"speaker {k % 5}" for k in range(20)]
    good = from_sequences([*x[:3], *x[5:]], [*y[:3], *y[5:]], split="group", by=[*by[:3], *by[5:]])
    x[3] = np.array([1.0, np.nan])
    y[4] = np.nan
    with pytest.raises(ValueError, match=r"2 bad sequences: x .* NaN or Inf in sequence 3, step 1; y"):
        from_sequences(x, y)
    data = from_sequences(x, y, split="group", by=by, bad_rows="skip")
    assert data.checksum == good.checksum
    assert "; left out: 2 bad sequences (x must be" in data.description
    texts = [f"word {k}" for k in range(19)]
    with pytest.raises(ValueError, match=r"at least one word, got none in sequence 19; bad_rows"):
        from_sequences([*texts, "..."], y[:4] * 5)
    skipped = from_sequences([*texts, "..."], y[:4] * 5, bad_rows="skip")
    assert sum(len(getattr(skipped, part).x) for part in ("train", "validation", "test")) == 19


def lengths_of(lengths):
    data = from_sequences([RNG.normal(size=n) for n in lengths], [0, 1] * (len(lengths) // 2))
    return Settings.of("data", data=data).lengths, data.lengths()


def test_an_outlier_sets_no_length():
    found, own = lengths_of([*range(10, 50), 100_000, *range(11, 50)])
    assert found[-1] == own[own < 100].max()
    assert found[:-1] == tuple(
        sorted(
            {int(np.quantile(own, q, method="inverted_cdf")) for q in (0.25, 0.5, 0.75, 0.9)} - {found[-1]}
        )
    )
    found, own = lengths_of(range(10, 50))
    assert found[-1] == own.max()


@pytest.mark.parametrize(("T", "expected"), [(80, (10, 20, 40, 80)), (3, (1, 2, 3)), (1, (1,))])
def test_series_of_one_length_get_several_to_compare(T, expected):
    assert lengths_of([T] * 20)[0] == expected


def test_long_outliers_do_not_hang_the_dry_run(tmp_path, capsys):
    """Processor time: the machine may be busy. The first run loads the kernels."""
    rows = [json.dumps({"text": f"word{k} " * (5 + k % 20), "label": k % 2}) for k in range(60)]
    for k in range(4):
        rows.append(json.dumps({"text": " ".join(f"w{j}" for j in range(k, 75_000)), "label": k % 2}))
    path = write(tmp_path / "a.jsonl", "\n".join(rows))
    for more, said in (
        ([], "1 training sequence is cut at 24: the longest has 74,999 steps"),
        (["--lengths", "5,max"], "lengths   5, 7"),
    ):
        start = time.process_time()
        dry = ["study", "--data", str(path), "--dry-run", "--jobs", "1", "--units", "4"]
        assert cli.main([*dry, *more]) == 0
        taken = time.process_time() - start
        assert said in capsys.readouterr().out
    assert taken < 5


def test_constant_ends_are_recognised():
    x = RNG.normal(size=(20, 8))
    assert constant_ends([row[:, None] for row in x]) == []
    padded = x.copy()
    padded[:12, 5:] = 0
    assert constant_ends([row[:, None] for row in padded])[0].startswith(
        "12 of 20 sequences end with 0, repeated"
    )
    assert constant_ends([row[::-1, None] for row in padded])[0].startswith("12 of 20 sequences begin with 0")
    assert constant_ends([row[: 7 + k % 2, None] for k, row in enumerate(padded)]) == []  # not equally long
    rare = x.copy()
    rare[:2, 5:] = 0
    assert constant_ends([row[:, None] for row in rare]) == []
    data = from_sequences(list(padded), [0, 1] * 10)
    assert any("as if padded" in remark for remark in data.remarks)


def test_what_is_left_out_as_bad_is_not_said_to_repeat():
    with pytest.raises(ValueError, match=r"at least 10 different sequences, got 8$"):
        from_sequences([*([k, 1] for k in range(8)), *[[]] * 4], [0, 1] * 6, bad_rows="skip")
    with pytest.raises(ValueError, match=r"got 5 \(15 of 20 repeat another\)"):
        from_sequences([*([k % 5, 1] for k in range(20)), []], [0, 1] * 10 + [1], bad_rows="skip")
