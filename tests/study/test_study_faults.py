"""What a study survives: kill -9 at any moment, a second run, a lost worker, a full disk, any executor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from minilstm.study import journal, length_study, run_missing
from minilstm.study import point as points
from minilstm.study.journal import Journal
from minilstm.study.plan import Settings
from minilstm.study.result import result_of
from minilstm.study.source import Source

TINY = {"lengths": [3, 5], "seeds": 3, "epochs": 1, "units": 3}


def without_times(record):
    return {key: value for key, value in record.items() if key not in (*points.TIMES, journal.MARK)}


def open_journal(settings, folder):
    source = Source.of(settings.task, settings.seed)
    return Journal(settings, journal.config(settings, source), folder), source


@pytest.fixture(scope="module")
def undisturbed():
    return list(map(without_times, length_study("recall", **TINY).cells))


# ---- kill -9, again and again ----

KILLER = textwrap.dedent("""
    import json, os, random, signal, sys, time, warnings
    from minilstm.study import journal, run_missing
    from minilstm.study.journal import Journal
    from minilstm.study.plan import Settings
    from minilstm.study.run import prepare_kernels
    from minilstm.study.source import Source

    folder, kills = sys.argv[1], int(sys.argv[2])
    warnings.simplefilter("ignore")  # torn last lines are what this is about
    settings = Settings.of("digits", lengths=[2, 3, 4], seeds=20, epochs=1, units=2, batch_size=500)
    source = Source.of("digits", settings.seed)
    config = journal.config(settings, source)
    prepare_kernels()

    def study(where):
        with Journal(settings, config, where) as found:
            run_missing(found, source, 1)
            return found.records

    def start(where):
        child = os.fork()
        if child == 0:
            study(where)
            os._exit(0)
        return child

    def first_point(where):  # seconds from the start of a run to its first finished point
        begun, path = time.perf_counter(), os.path.join(where, "results.jsonl")
        child = start(where)
        while not (os.path.exists(path) and b"\\n" in open(path, "rb").read()):
            time.sleep(1e-4)
        seconds = time.perf_counter() - begun
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return seconds

    whole = study(None)  # undisturbed, in memory
    needed = sorted(first_point(f"{folder}-{k}") for k in range(3))[1]
    random.seed(0)
    kept, torn, path = b"", 0, os.path.join(folder, "results.jsonl")
    for _ in range(kills):
        child = start(folder)
        time.sleep(random.uniform(0.3, 1.15) * needed)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        now = open(path, "rb").read() if os.path.exists(path) else b""
        assert now.startswith(kept), "a finished point was lost"
        before, kept = kept, now[: now.rfind(b"\\n") + 1]
        needed *= 1.1 if kept == before else 0.9  # on a machine whose speed changes, kills follow it
        torn += len(now) > len(kept)
    done = kept.count(b"\\n")
    again = study(folder)
    times = ("seconds_per_epoch", "ms_per_step", "ms_low", "ms_high", "seconds", "threads")
    for record in [*whole.values(), *again.values()]:
        for name in times:
            del record[name]
    lines = open(path).read().splitlines()
    print(json.dumps({"done": done, "points": len(whole), "lines": len(lines), "same": whole == again}))
""")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks the killed runs")
def test_a_study_that_is_killed_100_times_ends_like_one_that_is_not(tmp_path):
    folder = tmp_path / "s"
    arguments = [sys.executable, "-c", KILLER, os.fspath(folder), "100"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["same"]
    assert found["lines"] == found["points"] == 120
    assert 5 < found["done"] < 120, f"the kills came too early or too late to prove anything: {found}"


@pytest.mark.parametrize("cut", [2, 100, 5000])
def test_a_journal_that_ends_anywhere_is_mended(tmp_path, undisturbed, cut):
    folder = tmp_path / "s"
    settings = Settings.of("recall", **TINY)
    book, source = open_journal(settings, folder)
    with book:
        run_missing(book, source, 1)
    path = folder / "results.jsonl"
    data = path.read_bytes()
    path.write_bytes(data[:-cut])
    with pytest.warns(UserWarning, match=r"is torn; its model is trained again"):
        book, source = open_journal(settings, folder)
    with book:
        ran = run_missing(book, source, 1)["cells_run"]
        assert ran == 6 - data[:-cut].count(b"\n") > 0
        assert list(map(without_times, result_of(book).cells)) == undisturbed


# ---- one run at a time ----


def test_a_second_run_in_the_folder_is_refused_while_the_first_is_at_work(tmp_path):
    pytest.importorskip("fcntl")
    settings = Settings.of("recall", **TINY)
    first, _ = open_journal(settings, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(BlockingIOError, match=rf"is in use by another run \(process {os.getpid()} on "):
        open_journal(settings, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    first.close()
    second, _ = open_journal(settings, tmp_path)
    second.close()
    assert not (tmp_path / ".lock").exists()


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path):
    (tmp_path / ".lock").write_text("process 1 on elsewhere")
    book, _ = open_journal(Settings.of("recall", **TINY), tmp_path)
    assert (tmp_path / ".lock").read_text().startswith(f"process {os.getpid()} on ")
    book.close()


def test_a_lock_that_is_a_link_is_refused_and_what_it_leads_to_is_left_alone(tmp_path):
    pytest.importorskip("fcntl")
    (tmp_path / "thesis").write_text("three years of work")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / ".lock").symlink_to("../thesis")
    with pytest.raises(OSError, match="symbolic links"):
        open_journal(Settings.of("recall", **TINY), tmp_path / "s")
    assert (tmp_path / "thesis").read_text() == "three years of work"
    assert (tmp_path / "s" / ".lock").is_symlink()


def test_looking_at_a_study_changes_nothing(tmp_path):
    settings = Settings.of("recall", **TINY)
    book, _ = open_journal(settings, tmp_path)
    with book:
        (tmp_path / "results.jsonl").write_text('{"torn')
        with pytest.warns(UserWarning, match="is torn; it is left out"):
            assert Journal.read(tmp_path).settings == settings
        assert (tmp_path / "results.jsonl").read_text() == '{"torn'
    with pytest.raises(FileNotFoundError, match=r"holds no study: there is no config.json"):
        Journal.read(tmp_path / "nothing")


def test_a_full_disk_names_the_file_and_keeps_the_cells_before(tmp_path, monkeypatch):
    folder = tmp_path / "s"
    settings = Settings.of("recall", **TINY)
    book, source = open_journal(settings, folder)
    real, calls = os.write, []

    def write(handle, data):
        calls.append(handle)
        if len(calls) > 2:
            real(handle, bytes(data)[:10])  # what fits
            raise OSError(28, "No space left on device")
        return real(handle, data)

    with book, monkeypatch.context() as patch:
        patch.setattr("os.write", write)
        with pytest.raises(OSError, match="No space left") as caught:
            run_missing(book, source, 1)
    assert str(caught.value.filename).endswith("results.jsonl")
    assert (folder / "results.jsonl").read_text().count("\n") == 2
    book, source = open_journal(settings, folder)  # no torn line: what fitted was taken back
    with book:
        assert run_missing(book, source, 1)["cells_run"] == 4


# ---- whoever runs the points ----


def test_any_executor_gives_the_same_bits(undisturbed):
    with ThreadPoolExecutor(2) as executor:
        found = length_study("recall", executor=executor, **TINY)
    assert list(map(without_times, found.cells)) == undisturbed


def start(arguments, folder, log):
    with open(folder / log, "w") as file:
        return subprocess.Popen([sys.executable, "-m", *arguments], cwd=folder, stdout=file, stderr=file)


def until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_dask_cluster_that_loses_a_worker_gives_the_same_bits(tmp_path):
    """A scheduler and two workers on the loopback; one worker is killed when the first points are there."""
    pytest.importorskip("distributed")
    where = ["--scheduler-file", "cluster.json", "--no-dashboard"]
    options = ["--nthreads", "1", "--no-nanny", "--resources", "timing=1", "--local-directory", "."]
    processes = [
        start(
            ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", *where],
            tmp_path,
            "scheduler",
        )
    ]
    try:
        until((tmp_path / "cluster.json").exists)
        address = json.loads((tmp_path / "cluster.json").read_text())["address"]
        worker = ["distributed.cli.dask_worker", *where, *options]
        processes += [start([*worker, "--name", f"{k}"], tmp_path, f"worker{k}") for k in range(2)]
        until(lambda: all("Registered to" in (tmp_path / f"worker{k}").read_text() for k in range(2)))
        wanted = ["--lengths", "3,120", "--seeds", "6", "--epochs", "1", "--units", "8"]
        study = start(
            ["minilstm", "study", "recall", *wanted, "--cluster", address, "--out", "s"], tmp_path, "study"
        )
        processes.append(study)
        lines = tmp_path / "s" / "results.jsonl"
        until(lambda: study.poll() is not None or (lines.exists() and lines.read_bytes().count(b"\n") >= 2))
        processes[1].kill()
        assert study.wait(timeout=240) == 0, (tmp_path / "study").read_text()
    finally:
        for process in processes:
            process.kill()
            process.wait()
    found = [json.loads(line) for line in lines.read_text().splitlines()]
    assert len(found) == 12
    local = length_study("recall", lengths=[3, 120], seeds=6, epochs=1, units=8)
    key = lambda record: (record["length"], record["seed"])  # noqa: E731
    assert [without_times(r) for r in sorted(found, key=key)] == [
        without_times(r) for r in sorted(local.cells, key=key)
    ]
    assert {record["threads"] for record in found} == {1}
