"""Every layout that `minilstm study --formats` shows is read as it says; compressed files; the refusals."""

from __future__ import annotations

import gzip
import shlex

import numpy as np
import pytest

from minilstm.commands import cli
from minilstm.datasets import read_file, read_series
from minilstm.datasets.formats import FORMATS

EXPECTED = {
    "reviews.csv": ["a fine film", "dull, and long", "not bad at all"],
    "beats.csv": [[0.1, 0.9, 0.2], [0.3, 0.8], [0.2, 0.7, 0.1]],
}


@pytest.mark.parametrize("layout", FORMATS, ids=lambda layout: layout.what.replace(" ", "-"))
def test_each_sample_is_read(tmp_path, layout):
    path = tmp_path / layout.name
    path.write_text(layout.sample)
    words = dict(zip(*[iter(shlex.split(layout.options))] * 2, strict=True))
    if "--target" in words:
        found = read_series(path, target=words["--target"])
        assert found.series[0].tolist() == [[10.5, 3], [11, 4], [12.5, 3]]
        return
    table = read_file(path, group=words.get("--group"))
    if layout.name in EXPECTED:
        assert [x if isinstance(x, str) else x.tolist() for x in table.x] == EXPECTED[layout.name]
    assert (
        len(table.y) == len(table.x) == {"walks.csv": 2, "walks.jsonl": 4, "walks.ts": 2}.get(layout.name, 3)
    )
    assert layout.sample.count("\n") == 4


def test_the_command_prints_them_all(capsys):
    assert cli.main(["study", "--formats"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    for layout in FORMATS:
        assert f"{layout.name}: {layout.what}" in " ".join(printed.split())
    assert "walks.npz" in printed


def test_tabs_and_compressed_files_are_read(tmp_path):
    text = "text\tlabel\na b\t1\nc d\t0\n"
    (tmp_path / "a.tsv").write_text(text)
    (tmp_path / "b.tsv.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("a.tsv", "b.tsv.gz"):
        assert read_file(tmp_path / name).x == ["a b", "c d"]
    several = b"".join(gzip.compress(line.encode()) for line in text.splitlines(keepends=True))
    (tmp_path / "d.tsv.gz").write_bytes(several)  # as `cat a.gz b.gz` makes them
    assert read_file(tmp_path / "d.tsv.gz").x == ["a b", "c d"]
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(b"load\n" + b"1\n2\n" * 3))
    assert read_series(tmp_path / "c.csv.gz", target="load", order="lines").series[0].shape == (6, 1)


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("a.csv.gz", b"no gzip", "a.csv.gz: cannot be decompressed"),
        ("a.csv.gz", gzip.compress(b"a,label\n1,2\n", mtime=0)[:-9], "Compressed file ended before"),
        ("a.csv.gz", gzip.compress(b"a,label\n1,2\n", mtime=0) + b"more", "Not a gzipped file (b'mo')"),
        ("a.csv.gz", gzip.compress(b"0" * 2**25, mtime=0), "it must be at most 200 times its size"),
        ("a.xlsx", b"x", ".arff or .ts file, got a.xlsx"),
    ],
)
def test_refusals_name_the_formats(tmp_path, capsys, name, data, text):
    (tmp_path / name).write_bytes(data)
    assert cli.main(["study", "--data", str(tmp_path / name), "--dry-run"]) == 2
    told = capsys.readouterr().err
    assert text in told
    assert told.endswith(". What is read: minilstm study --formats\n")
    assert told.count("\n") == 1


def test_an_array_of_objects_is_explained(tmp_path):
    ragged = np.array([np.ones(2), np.ones(3)], dtype=object)
    np.savez(tmp_path / "a.npz", x=ragged, y=[0, 1])
    with pytest.raises(ValueError, match=r"'x' holds Python objects, .*: pad its rows, or put"):
        read_file(tmp_path / "a.npz")
