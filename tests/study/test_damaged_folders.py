"""A study's folder that was edited or damaged: exit code 2, file and line, and nothing overwritten."""

from __future__ import annotations

import copy
import json
import os
import shutil

import mutants
import pytest

from minilstm.commands.cli import main
from minilstm.study import journal as journals
from minilstm.study import report, run_missing, shapes
from minilstm.study.journal import Journal
from minilstm.study.plan import Settings
from minilstm.study.result import result_of
from minilstm.study.source import Source

TINY = {"lengths": [3, 5], "seeds": 2, "epochs": 1, "units": 3}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a finished study."""
    folder = tmp_path_factory.mktemp("whole") / "s"
    settings = Settings.of("recall", **TINY)
    source = Source.of("recall", settings.seed)
    with Journal(settings, journals.config(settings, source), folder) as book:
        run_missing(book, source, 1)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "s")
    return tmp_path / "s"


def changed(path, line, change):
    """The file with a change of the JSON in one of its lines."""
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    value = json.loads(lines[line])
    change(value)
    lines[line] = json.dumps(value)
    path.write_text("\n".join(lines) + "\n")


RECORDS = {
    "missing": (lambda r: r.pop("lags"), "it has no 'lags'"),
    "null": (lambda r: r.update(seconds=None), "seconds must be a number or a whole number, got None"),
    "NaN": (lambda r: r.update(test_metric=float("nan")), "NaN is no JSON"),
    "infinite": (lambda r: r["before"].update(horizon=float("-inf")), "-Infinity is no JSON"),
    "text": (lambda r: r["before"]["norms"].__setitem__(1, "2"), r"before.norms\[1\] must be a number"),
    "a list": (lambda r: r.update(curves=[1]), "curves must be an object"),
    "a huge number": (lambda r: r.update(tape_bytes=10**30), "tape_bytes must be a whole number"),
    "more than a float": (lambda r: r.update(tape_bytes=10**400), "tape_bytes must be a whole number"),
    "another study": (lambda r: r.update(study="0" * 16), "belongs to another study than config.json"),
    "a number for a flag": (lambda r: r.update(mask=0), "is not part of this study"),
    "another model": (lambda r: r.update(length=4), "is not part of this study"),
    "lags": (lambda r: r["lags"].append(99), "norms and lags"),
    "snapshots": (lambda r: r["snapshots"][0]["norms"].pop(), "snapshots and lags"),
    "surrogate": (lambda r: r.update(diverged="\ud800"), "diverged must be text or null"),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_damaged_record_is_refused_with_its_line(folder, name, capsys):
    change, reason = RECORDS[name]
    changed(folder / "results.jsonl", 1, change)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match=rf"results\.jsonl:2 is damaged: .*{reason}"):
        Journal.read(folder)
    settings = Settings.of("recall", **TINY)
    with pytest.raises(ValueError, match=r"results\.jsonl:2 is damaged"):
        Journal(settings, journals.config(settings, Source.of("recall", settings.seed)), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert main(["report", str(folder)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def replaced(folder, change):
    """The journal's bytes changed; what is in the folder then."""
    path = folder / "results.jsonl"
    path.write_bytes(change(path.read_bytes()))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


LINES = {
    "a key twice": (
        lambda data: data.replace(b'{"', b'{"seed": 7, "', 1),
        "1 is damaged: the key 'seed' stands",
    ),
    "a key twice among very many": (  # one look at each: a search for each would take minutes
        lambda data: data.replace(
            b'{"', b'{"' + b'": 0, "'.join(b"k%d" % k for k in range(300_000)) + b'": 0, "k299999": 0, "', 1
        ),
        "1 is damaged: the key 'k299999' stands",
    ),
    "infinite": (
        lambda data: data.replace(b"{", b'{"new": 1e999, ', 1),
        "1 is damaged: 1e999 is larger than",
    ),
    "two in a line": (lambda data: data.replace(b"\n", b"", 1), "1 is damaged: Extra data"),
    "UTF-16": (lambda data: data.decode().encode("utf-16"), "1 is damaged: 'utf-8' codec can't decode"),
    "a tail that is no record": (lambda data: data + b"hello", "5 is damaged: Expecting value"),
}


@pytest.mark.parametrize("name", LINES)
def test_a_damaged_line_is_refused_and_nothing_is_cut_off(folder, name):
    change, reason = LINES[name]
    before = replaced(folder, change)
    settings = Settings.of("recall", **TINY)
    for read in (
        lambda: Journal.read(folder),
        lambda: Journal(settings, journals.config(settings, Source.of("recall", settings.seed)), folder),
    ):
        with pytest.raises(ValueError, match=rf"results\.jsonl:{reason}"):
            read()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


WAYS = {
    "lines that end as in Windows": (lambda data: data.replace(b"\n", b"\r\n"), b""),
    "lines that end as they did on a Mac": (lambda data: data.replace(b"\n", b"\r"), b""),
    "a byte order mark": (lambda data: b"\xef\xbb\xbf" + data, b""),
    "a last line without its end": (lambda data: data[:-1], b"\n"),
    "another order": (lambda data: b"".join(data.splitlines(keepends=True)[::-1]), b""),
}


@pytest.mark.parametrize("name", WAYS)
def test_what_an_editor_does_to_a_journal_loses_no_model(whole, folder, name):
    change, added = WAYS[name]
    before = replaced(folder, change)
    config = (folder / "config.json").read_bytes()
    (folder / "config.json").write_bytes(config if name == "another order" else change(config))
    settings = Settings.of("recall", **TINY)
    expected = Journal.read(whole).records
    assert Journal.read(folder).records == expected
    with Journal(settings, journals.config(settings, Source.of("recall", settings.seed)), folder) as book:
        assert (book.records, book.missing) == (expected, [])
    assert (folder / "results.jsonl").read_bytes() == before["results.jsonl"] + added


def test_a_model_that_is_in_a_journal_twice_counts_once_and_is_told(whole, folder):
    replaced(folder, lambda data: data + data.replace(b'"test_metric": ', b'"test_metric": 1'))
    with pytest.warns(UserWarning, match=r"jsonl:5 is of a model that .* and so are 3 more lines; the first"):
        assert Journal.read(folder).records == Journal.read(whole).records


def test_times_of_another_study_are_refused(folder):
    time = dict.fromkeys(("ms_per_step", "ms_low", "ms_high"), 1.0) | {"steps": 5, "threads": 1}
    key = (3, *journals.TIMED[1:])
    Journal.read(folder).keep_times({key: time})
    assert Journal.read(folder).times == {key: dict(zip(journals.TIMED, key, strict=True)) | time}
    changed(folder / "times.jsonl", 0, lambda line: line.update(study="0" * 16))
    with pytest.raises(ValueError, match=r"times\.jsonl:1 is damaged: it belongs to another study"):
        Journal.read(folder)


def test_a_record_of_an_older_version_has_no_mark_of_its_study(whole, folder):
    for line in range(4):
        changed(folder / "results.jsonl", line, lambda record: record.pop("study"))
    assert Journal.read(folder).records == Journal.read(whole).records


CONFIGS = {
    "missing": (lambda c: c.pop("data"), "it has no 'data'"),
    "sizes": (lambda c: c["data"].update(sizes=3), "data.sizes must be an object"),
    "seeds": (lambda c: c["settings"].update(seeds=10**9), "are not those of a study"),
    "lengths": (lambda c: c["settings"].update(lengths=5), "settings.lengths must be a list"),
    "negative": (lambda c: c["settings"].update(lengths=[-3]), "are not those of a study"),
    "labels": (lambda c: c["data"].update(labels=[None]), r"data.labels\[0\] must be text"),
    "rnn": (lambda c: c["settings"].update(rnn=["x"]), r"settings.rnn\[0\] must be 'lstm'"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_of_another_shape_is_refused(folder, name, capsys):
    change, reason = CONFIGS[name]
    changed(folder / "config.json", 0, change)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match=rf"config\.json is damaged: .*{reason}"):
        Journal.read(folder)
    assert main(["report", str(folder)]) == main(["compare", str(folder), str(folder)]) == 2
    assert capsys.readouterr().err.count("\n") == 2
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("text", ["[" * 10**5, '{"minilstm_study": ' * 10**5, "[]", "3", "", "\ufeff{}", "{"])
def test_any_other_json_is_no_study(folder, text, capsys):
    for name in ("config.json", "results.jsonl"):
        before = (folder / name).read_bytes()
        (folder / name).write_text(text + "\n")
        assert main(["report", str(folder)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert name in error
        (folder / name).write_bytes(before)


NAMES = (
    *("config.json", "results.jsonl", "times.jsonl", ".lock", "results.csv", "summary.json"),
    *("report.html", "model.npz", "figures/mse.png"),
)


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices are files there")
@pytest.mark.parametrize("name", NAMES)
def test_a_pipe_or_a_device_in_a_folder_is_refused_at_once(folder, name, capsys):
    """A pipe would be waited for without end; what is written to a device is lost."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    study = ["study", "recall", "--lengths", "3,5", "--seeds", "2", "--epochs", "1", "--units", "3"]
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/null")):
        make(path)
        before = sorted(folder.rglob("*"))
        for command in (["report", str(folder)], [*study, "--out", str(folder), "--quiet"]):
            assert main(command) == 2
            assert f"Not a regular file: {path}" in capsys.readouterr().err
        assert sorted(folder.rglob("*")) == before
        path.unlink()


@pytest.mark.fuzz
@pytest.mark.filterwarnings("ignore::UserWarning")  # of torn lines, and of models that stand there twice
def test_mutants_of_a_folder(folder, cases):
    config = json.loads((folder / "config.json").read_text())
    records = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    read = 0
    for seed, rng in cases(600):
        new, lines = copy.deepcopy(config), copy.deepcopy(records)
        if seed % 2:
            new = mutants.of_json(new, rng)
        else:
            k = rng.integers(len(lines))
            lines[k] = mutants.of_json(lines[k], rng)
        (folder / "config.json").write_text(json.dumps(new))
        text = "".join(json.dumps(line) + "\n" for line in lines).encode()
        (folder / "results.jsonl").write_bytes(text if seed % 3 else mutants.of_bytes(text, rng))
        try:
            book = Journal.read(folder)
        except (ValueError, OSError):
            continue
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
        result = result_of(book)  # what was read can be told
        report.to_csv(result.cells).encode()
        assert result.table()
        read += 1
    assert read > 0


@pytest.mark.parametrize(
    "largest",
    [
        {"seed": 2**63 - 1},
        {"clipnorm": 9e99},
        {"learning_rate": 9e99},
        {"batch_size": 2**63 - 1, "epochs": 2**63 - 1, "patience": 2**63 - 1},
        {"seeds": 10**6 // 5, "units": 20_000},
    ],
)
def test_a_study_that_can_be_asked_for_can_be_read_again(largest):
    """A seed above 64 bits or a clipnorm of 1e30 was trained, and then its folder was called damaged."""
    settings = Settings.of("recall", **{"lengths": [3], **largest})
    config = journals.config(settings, Source.of("recall", 0))
    assert shapes.checked_settings(json.loads(journals.to_json(config))) == settings
    name, value = next(iter(largest.items()))
    with pytest.raises((ValueError, MemoryError)):
        Settings.of("recall", **{"lengths": [3], **largest, name: 16 * value})
